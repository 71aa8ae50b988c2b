/* Cutting the head of a message into fields: what the framer and the parser both rest on, so that they cannot
 * differ in what they hold for a header. Private to src/sip. */
#ifndef SIP_FIELD_H
#define SIP_FIELD_H

#include "sip/find.h"
#include "sip/table.h"

/* What is wrong with the line ends and octets of a field. */
enum sip_field_fault {
    SIP_FIELD_GOOD = 0,
    SIP_FIELD_BARE_CR,
    SIP_FIELD_BARE_LF,      /* it still ends the line, so that what follows can be read */
    SIP_FIELD_NUL,          /* and not as a quoted-pair */
    SIP_FIELD_UNTERMINATED, /* the octets end before the line does */
};

struct sip_field {
    struct slice line; /* with folded lines and the line end */
    enum sip_field_fault fault;
};

/* The rest of sip_field_cut, for what is not one line that ends in CRLF: `at` is the first octet below SP. */
struct sip_field sip_field_cut_rest(const char *p, const char *at, const char *end, bool fold);

/* The field that begins at p, p < end. With fold, lines that begin with white space belong to it
 * (section 7.3.1). */
static inline struct sip_field sip_field_cut(const char *p, const char *end, bool fold)
{
    const char *at = sip_find_control(p, end);
    if (end - at >= 3 && at[0] == '\r' && at[1] == '\n' && !(fold && (at[2] == ' ' || at[2] == '\t')))
        return (struct sip_field){slice_make(p, (size_t)(at + 2 - p)), SIP_FIELD_GOOD};
    return sip_field_cut_rest(p, at, end, fold);
}

/* message-header = header-name HCOLON header-value CRLF */
struct sip_field_parts {
    enum sip_hdr_id id;
    size_t name_len;    /* the name begins the line; 0: there is no token, or no colon */
    struct slice value; /* without surrounding white space */
};

struct sip_field_parts sip_field_split_any(struct slice line);

/* line: a field that ends in CRLF; end: of the octets that may be read, at or behind the end of the line. A
 * name that is known and written as in the RFC, as nearly all are, is a token; and one space and the line end
 * are all the white space that most values have around them. */
static inline struct sip_field_parts sip_field_split(struct slice line, const char *end)
{
    struct sip_hdr_at at = sip_hdr_at(slice_make(line.ptr, (size_t)(end - line.ptr)));
    const char *value = line.ptr + at.value_at, *value_end = line.ptr + line.len - 2;
    if (at.id == SIP_HDR_OTHER || value >= value_end || (uint8_t)*value <= ' ' ||
        (uint8_t)value_end[-1] <= ' ')
        return sip_field_split_any(line);
    return (struct sip_field_parts){(enum sip_hdr_id)at.id, at.value_at - 2U,
                                    slice_make(value, (size_t)(value_end - value))};
}

#endif
