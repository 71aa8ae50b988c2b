/* An outgoing message is built once, from the original and a list of edits, and is immutable then. An edit
 * says "instead of these octets of the original, those": everything not named by an edit is copied as it
 * came.
 *
 *     struct sip_edit e;
 *     sip_edit_init(&e, msg, arena);
 *     sip_edit_pop_value(&e, SIP_HDR_ROUTE);
 *     sip_edit_push_via(&e, via);
 *     rc = sip_edit_build(&e, limits, &wire);      // the only place where errors show: edits are sticky
 *
 * Edits apply to the original, not to each other: two that overlap are a programming error (assert), and so
 * is an offset beyond the message. Text given to an edit is not copied and must live until the build. Every
 * text given is checked for CR, LF and NUL (a folded value taken from a message is fine): ERR_SYNTAX at the
 * build, so no header can be smuggled in by a value. Edits made in the order of the message cost O(1) each;
 * others walk the list of those there are. */
#ifndef SIP_EDIT_H
#define SIP_EDIT_H

#include "base/arena.h"
#include "base/wire.h"
#include "sip/msg.h"

struct sip_splice {
    uint32_t off, remove_len;
    struct slice insert;
    struct sip_splice
        *next; /* by offset; same offset: pushed lines first, then in the order given, a removal last */
};

struct sip_edit {
    const struct sip_msg *msg;
    struct arena *arena;
    struct sip_splice *first, *last;
    int error;
};

void sip_edit_init(struct sip_edit *e, const struct sip_msg *msg, struct arena *arena);

/* The primitive. */
void sip_edit_splice(struct sip_edit *e, uint32_t off, uint32_t remove_len, struct slice insert);

/* Start line. */
void sip_edit_set_ruri(struct sip_edit *e, struct slice uri);

/* A new line "Name: value" before the first header of this id; before all headers for VIA when there is none,
 * else at the end of the headers. `push` puts it above those that are there (Via, Route, Record-Route, Path),
 * and above those pushed before: what is pushed last is on top, as on a stack. */
void sip_edit_push_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value);
/* The same with a whole line, "Name: value" and CRLF, made by us of what no stranger has
 * written: it is neither checked nor copied. */
void sip_edit_push_line(struct sip_edit *e, enum sip_hdr_id id, struct slice line);
/* A new line at the end of the headers. */
void sip_edit_append_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value);
void sip_edit_append_other(struct sip_edit *e, struct slice name, struct slice value);
/* Replaces the value of a single header, or appends the header. */
void sip_edit_set_header(struct sip_edit *e, enum sip_hdr_id id, struct slice value);
/* Removes header number index (with its line), or every header of an id. */
void sip_edit_remove_at(struct sip_edit *e, uint16_t index);
void sip_edit_remove_header(struct sip_edit *e, enum sip_hdr_id id);
/* Removes the first `count` elements of a comma-listed header, over line ends; lines left empty go.
 * ERR_NOTFOUND or ERR_SYNTAX at the build when there are fewer, or they cannot be told apart; lines behind
 * them are not looked into. True when another is left. */
bool sip_edit_pop_values(struct sip_edit *e, enum sip_hdr_id id, unsigned count);
/* Removes one element found by sip_values_next (only one per header line and edit), with its comma or its
 * line. */
void sip_edit_remove_value(struct sip_edit *e, const struct sip_values *at, struct slice element);
/* Replaces an element, or any slice of the original message, by other text. */
void sip_edit_replace(struct sip_edit *e, struct slice part_of_msg, struct slice text);
/* Sets Content-Length to the body's real length where it is missing (section 16.6 step 9; for streams 18.3). */
void sip_edit_fix_content_length(struct sip_edit *e);
/* Section 7.1: the SIP-Version is read in any case, "but implementations MUST send upper-case". */
void sip_edit_fix_version(struct sip_edit *e);

/* How long the built message will be. */
size_t sip_edit_length(const struct sip_edit *e);
/* Builds. ERR_NOMEM; ERR_LIMIT when longer than max_bytes; ERR_SYNTAX when a text had CR, LF or NUL in it. */
MUST_USE int sip_edit_build(struct sip_edit *e, size_t max_bytes, struct wire **ret_wire);

#endif
