#include "sip/msg_private.h"

/* One row per header, made by the table of headers, so that a phrase never has to be put together at run
 * time. */
struct phrase_row {
    const char *missing, *bad, *duplicate, *too_many;
};

static const struct phrase_row phrases[SIP_HDR_COUNT] = {
    [SIP_HDR_OTHER] = {"Missing Header", "Bad Header", "Duplicate Header", "Too Many Headers"},
#define HEADER(id, name, compact, flags)                                                                     \
    [SIP_HDR_##id] = {"Missing " name, "Bad " name, "Duplicate " name, "Too Many " name},
#include "sip/headers.def"
#undef HEADER
};

const char *sip_phrase_missing(enum sip_hdr_id id)
{
    return phrases[id].missing;
}

const char *sip_phrase_bad(enum sip_hdr_id id)
{
    return phrases[id].bad;
}

const char *sip_phrase_duplicate(enum sip_hdr_id id)
{
    return phrases[id].duplicate;
}

const char *sip_phrase_too_many(enum sip_hdr_id id)
{
    return phrases[id].too_many;
}
