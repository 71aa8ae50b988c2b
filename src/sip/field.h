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

/* message-header = header-name HCOLON header-value CRLF. False when there is no token or no colon. The value
 * is without surrounding white space; the name is also given by its number. */
bool sip_field_split(struct slice line, enum sip_hdr_id *ret_id, struct slice *ret_name,
                     struct slice *ret_value);

#endif
