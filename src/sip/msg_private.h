/* What the files that make up sip/msg.h share. Private to src/sip. */
#ifndef SIP_MSG_PRIVATE_H
#define SIP_MSG_PRIVATE_H

#include "sip/msg.h"

/* Bits of sip_msg.have. */
enum {
    SIP_HAVE_TOP_VIA = 1 << 0,
    SIP_HAVE_FROM = 1 << 1,
    SIP_HAVE_TO = 1 << 2,
    SIP_HAVE_CSEQ = 1 << 3,
    SIP_HAVE_RURI = 1 << 4,
    SIP_HAVE_REPEATED = 1 << 5, /* some header that may be there once is there more often */
};

/* The status to answer with, or 0 when nothing can or may be answered: to a response, to an ACK
 * (section 17.1.1.3), or when no Via tells where to. */
unsigned sip_msg_answer_status(const struct sip_msg *msg, unsigned status);

/* From or To: a name-addr and its tag, which is absent when there is none. Both are untouched on failure. */
MUST_USE int sip_party_parse(struct slice value, struct sip_name_addr *ret_na, struct slice *ret_tag);

/* Fills method and method_name of a response from its CSeq; leaves them empty when that cannot be read. */
void sip_msg_take_cseq_method(struct sip_msg *msg);

/* "Missing Call-ID", "Bad CSeq", "Duplicate To", "Too Many Via". */
const char *sip_phrase_missing(enum sip_hdr_id id);
const char *sip_phrase_bad(enum sip_hdr_id id);
const char *sip_phrase_duplicate(enum sip_hdr_id id);
const char *sip_phrase_too_many(enum sip_hdr_id id);

#endif
