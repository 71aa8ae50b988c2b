/* What a REGISTER does to the bindings of an address-of-record: RFC 3261 section 10.3 steps 6 and 7 as a pure
 * function. Whoever calls it (storage.h) sees to it that the record before is the current one and that the
 * result is committed, or nothing is. */
#ifndef LOCATION_APPLY_H
#define LOCATION_APPLY_H

#include "location/binding.h"

/* One Contact value of a REGISTER. */
struct location_contact {
    struct slice uri;    /* a URI that parses */
    struct slice params; /* header parameters without q and expires */
    unsigned q_milli;
    uint32_t requested_s; /* expiration interval asked for; see location_limits for what becomes of it */
    bool has_requested;   /* false: neither an expires parameter nor an Expires header field */
    /* RFC 5626 section 6: the binding is that of this flow of the contact's instance, whatever its URI; 0: of
     * the URI. */
    uint32_t reg_id;
    bool is_host_invalid; /* it is under .invalid, where nothing can be: sip_host_is_invalid() */
    bool by_flow;         /* see struct location_binding */
};

/* What a REGISTER asks. */
struct location_register {
    struct slice aor; /* canonical */
    struct slice call_id;
    uint32_t cseq;
    struct slice path; /* for every contact in it */
    struct sip_hop hop;
    bool wildcard; /* Contact: * with Expires: 0 */
    const struct location_contact *contacts;
    size_t n_contacts;
};

struct location_limits {
    uint32_t default_expires_s;  /* when none is asked for */
    uint32_t min_expires_s;      /* asked for less, but more than 0 and less than an hour: 423 */
    uint32_t max_expires_s;      /* asked for more: this much is given */
    unsigned contacts;           /* per address-of-record, at most LOCATION_CONTACTS_MAX */
    struct location_flows flows; /* a binding that is cut counts as one whose time has come */
};
/* 3600 s, 60 s, 7200 s; 10 contacts. */
extern const struct location_limits location_limits_default;

struct location_outcome {
    unsigned status;    /* 200, or what to answer; then nothing is to be changed */
    const char *phrase; /* NULL: the default one */
    const char *why;    /* for the log, with the RFC section */
    bool changed;       /* false: the record stays as it is */
    struct location_record
        *record; /* the new one, owned by the caller; NULL when no binding is left, or !changed */
};

/* Bindings of `old` (NULL: none) whose time has come do not count, and are gone from the result. Out-of-order
 * requests are recognised by Call-ID and CSeq against the bindings of `old`; of two equal contacts in one
 * request the later counts. 0, with the outcome; ERR_NOMEM. */
MUST_USE int location_apply(const struct location_record *old, const struct location_register *reg,
                            unix_s_t now_s, const struct location_limits *limits,
                            struct location_outcome *ret_outcome);

/* The record without the bindings that are as reg says: URI and Call-ID to the octet, CSeq. One that was
 * registered again since has another CSeq, and stays. *ret_outcome as above. */
MUST_USE int location_apply_loss(const struct location_record *old, const struct location_register *reg,
                                 unix_s_t now_s, const struct location_limits *limits,
                                 struct location_outcome *ret_outcome);

/* The record without the bindings whose time has come, or that are cut: *ret_outcome as above. */
MUST_USE int location_apply_expiry(const struct location_record *old, unix_s_t now_s,
                                   const struct location_flows *flows, struct location_outcome *ret_outcome);

#endif
