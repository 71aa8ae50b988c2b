#include "location/apply.h"
#include "location/instance.h"
#include "sip/uri.h"

/* Section 10.3 step 7: a requested interval of an hour or more is never too brief. */
#define NEVER_BRIEF_S 3600

const struct location_limits location_limits_default = {
    .default_expires_s = 3600, .min_expires_s = 60, .max_expires_s = 7200, .contacts = 10};

/* The bindings as they become. Tentative until a record is made of them. */
struct tentative {
    struct location_binding bindings[LOCATION_CONTACTS_MAX];
    bool fresh[LOCATION_CONTACTS_MAX]; /* put there by this request */
    size_t count;
    bool changed;
};

static void load_live(struct tentative *t, const struct location_record *old, unix_s_t now_s,
                      const struct location_flows *flows)
{
    t->count = 0;
    t->changed = false;
    for (size_t i = 0; old && i < old->count; i++) {
        struct location_binding b = location_record_get(old, i);

        if (location_binding_is_live(&b, now_s) && !location_binding_is_cut(&b, flows)) {
            t->fresh[t->count] = false;
            t->bindings[t->count++] = b;
        } else {
            t->changed = true;
        }
    }
}

static int finish(const struct tentative *t, struct slice aor, struct location_outcome *ret_outcome)
{
    struct location_outcome outcome = {.status = 200, .changed = t->changed};

    if (t->changed && t->count > 0) {
        int rc = location_record_new(aor, t->bindings, t->count, &outcome.record);

        if (rc == ERR_LIMIT)
            outcome =
                (struct location_outcome){.status = 403, .phrase = "Contact Too Long", .why = "a text limit"};
        else if (rc != 0)
            return rc;
    }
    *ret_outcome = outcome;
    return 0;
}

static int refuse(unsigned status, const char *phrase, const char *why, struct location_outcome *ret_outcome)
{
    *ret_outcome = (struct location_outcome){.status = status, .phrase = phrase, .why = why};
    return 0;
}

/* Section 10.3 steps 6 and 7: same Call-ID and a CSeq that is not higher. */
static bool is_out_of_order(const struct location_binding *b, const struct location_register *reg)
{
    return slice_eq(b->call_id, reg->call_id) && reg->cseq <= b->cseq;
}

static int refuse_out_of_order(struct location_outcome *ret_outcome)
{
    return refuse(500, "Out of Order", "CSeq not higher than the binding's: RFC 3261 section 10.3 step 7",
                  ret_outcome);
}

static void remove_at(struct tentative *t, size_t index)
{
    t->count--;
    for (size_t i = index; i < t->count; i++) {
        t->bindings[i] = t->bindings[i + 1];
        t->fresh[i] = t->fresh[i + 1];
    }
    t->changed = true;
}

/* RFC 5626 section 6: "the corresponding binding is between an AOR and the combination of the
 * instance-id ... and the value of "reg-id"". */
static size_t find_flow(const struct tentative *t, struct slice instance, uint32_t reg_id)
{
    size_t i;

    for (i = 0; i < t->count; i++) {
        if (t->bindings[i].reg_id == reg_id &&
            location_instance_eq(location_instance_of(t->bindings[i].params), instance))
            break;
    }
    return i;
}

/* A flow is another binding than the same URI registered without it, but one that is
 * to be removed may be called by its URI. */
static bool may_mean(const struct location_binding *b, bool is_removal)
{
    return b->reg_id == 0 || is_removal;
}

/* Equality is not transitive (section 19.1.4), so several bindings may equal one contact: the one with the
 * very same text is meant before any other. */
static size_t find_uri(const struct tentative *t, struct slice uri_text, bool is_removal)
{
    struct sip_uri uri;

    for (size_t i = 0; i < t->count; i++) {
        if (may_mean(&t->bindings[i], is_removal) && slice_eq(t->bindings[i].uri, uri_text))
            return i;
    }
    if (t->count == 0 || sip_uri_parse(uri_text, &uri) != 0)
        return t->count;
    for (size_t i = 0; i < t->count; i++) {
        struct sip_uri other;

        if (may_mean(&t->bindings[i], is_removal) && sip_uri_parse(t->bindings[i].uri, &other) == 0 &&
            sip_uri_eq(&other, &uri))
            return i;
    }
    return t->count;
}

static size_t find(const struct tentative *t, const struct location_contact *contact, bool is_removal)
{
    return contact->reg_id != 0 ? find_flow(t, location_instance_of(contact->params), contact->reg_id)
                                : find_uri(t, contact->uri, is_removal);
}

static uint32_t requested_s(const struct location_contact *contact, const struct location_limits *limits)
{
    return contact->has_requested ? contact->requested_s : limits->default_expires_s;
}

static bool is_too_brief(uint32_t interval_s, const struct location_limits *limits)
{
    return interval_s > 0 && interval_s < NEVER_BRIEF_S && interval_s < limits->min_expires_s;
}

/* When a contact is put, and until when it is to stay. */
struct moment {
    uint32_t now_s;
    unix_s_t expires_s;
};

/* RFC 5627 section 5.1: the contact of the same instance (and flow, if it is one) that was
 * registered last; t->count when there is none. */
static size_t find_predecessor(const struct tentative *t, struct slice instance, size_t index,
                               uint32_t reg_id)
{
    size_t last = t->count;

    if (reg_id != 0)
        return index;
    for (size_t i = 0; i < t->count; i++) {
        if (location_instance_eq(location_instance_of(t->bindings[i].params), instance) &&
            (last == t->count || t->bindings[i].updated_s >= t->bindings[last].updated_s))
            last = i;
    }
    return last;
}

/* Since when the temporary GRUUs of an instance count. "If it differs" (the Call-ID) "from the
 * one in the REGISTER request, the registrar MUST invalidate all previously generated
 * temporary GRUUs for the AOR and instance ID". */
static uint32_t update_gruus(struct tentative *t, size_t index, const struct location_register *reg,
                             const struct location_contact *contact, uint32_t now_s)
{
    struct slice instance = location_instance_of(contact->params);
    uint32_t since_s = 0;
    size_t before;
    bool is_void;

    if (slice_is_null(instance))
        return 0;
    before = find_predecessor(t, instance, index, contact->reg_id);
    is_void = before < t->count && !slice_eq(t->bindings[before].call_id, reg->call_id);
    for (size_t i = 0; i < t->count; i++) {
        struct location_binding *b = &t->bindings[i];

        if (b->gruus_s > since_s && location_instance_eq(location_instance_of(b->params), instance))
            since_s = b->gruus_s;
    }
    if (since_s != 0 && !is_void)
        return since_s;
    since_s = since_s < now_s ? now_s : since_s + 1;
    for (size_t i = 0; i < t->count; i++) {
        struct location_binding *b = &t->bindings[i];

        if (location_instance_eq(location_instance_of(b->params), instance)) {
            b->gruus_s = since_s;
            b->changed = true;
        }
    }
    return since_s;
}

static void put_contact(struct tentative *t, size_t index, const struct location_register *reg,
                        const struct location_contact *contact, const struct moment *moment)
{
    uint32_t gruus_s = update_gruus(t, index, reg, contact, moment->now_s);
    uint64_t row = index < t->count ? t->bindings[index].row : 0;

    if (index == t->count)
        t->count++;
    t->bindings[index] = (struct location_binding){
        .row = row,
        .changed = true,
        .uri = contact->uri,
        .params = contact->params,
        .path = reg->path,
        .call_id = reg->call_id,
        .cseq = reg->cseq,
        .q_milli = contact->q_milli,
        .expires_s = moment->expires_s,
        .updated_s = moment->now_s,
        .reg_id = contact->reg_id,
        .gruus_s = gruus_s,
        .has_hop = true,
        .by_flow = contact->by_flow,
        .hop = reg->hop,
    };
    t->fresh[index] = true;
    t->changed = true;
}

/* Section 10.3 step 6: all bindings go, but not one that a later request has made. */
static int apply_wildcard(struct tentative *t, const struct location_register *reg,
                          struct location_outcome *ret_outcome)
{
    for (size_t i = 0; i < t->count; i++) {
        if (is_out_of_order(&t->bindings[i], reg))
            return refuse_out_of_order(ret_outcome);
    }
    t->changed = t->changed || t->count > 0;
    t->count = 0;
    return finish(t, reg->aor, ret_outcome);
}

int location_apply(const struct location_record *old, const struct location_register *reg, unix_s_t now_s,
                   const struct location_limits *limits, struct location_outcome *ret_outcome)
{
    struct tentative t;
    bool added = false;

    load_live(&t, old, now_s, &limits->flows);
    if (reg->wildcard)
        return apply_wildcard(&t, reg, ret_outcome);

    for (size_t i = 0; i < reg->n_contacts; i++) {
        const struct location_contact *contact = &reg->contacts[i];
        uint32_t interval_s = requested_s(contact, limits);
        size_t at = find(&t, contact, interval_s == 0);

        if (is_too_brief(interval_s, limits))
            return refuse(423, NULL, "less than min-expires: RFC 3261 section 10.3 step 7", ret_outcome);
        if (interval_s > limits->max_expires_s)
            interval_s = limits->max_expires_s;
        if (at < t.count && !t.fresh[at] && is_out_of_order(&t.bindings[at], reg))
            return refuse_out_of_order(ret_outcome);
        if (interval_s == 0) {
            if (at < t.count)
                remove_at(&t, at);
            continue;
        }
        if (at == t.count) {
            if (t.count == LOCATION_CONTACTS_MAX)
                return refuse(403, "Too Many Contacts", "contacts per address-of-record", ret_outcome);
            added = true;
        }
        put_contact(&t, at, reg, contact,
                    &(struct moment){.now_s = (uint32_t)now_s, .expires_s = now_s + interval_s});
    }
    /* A limit that was lowered must not keep those from refreshing who were let in before. */
    if (added && t.count > limits->contacts)
        return refuse(403, "Too Many Contacts", "contacts per address-of-record", ret_outcome);
    return finish(&t, reg->aor, ret_outcome);
}

int location_apply_loss(const struct location_record *old, const struct location_register *reg,
                        unix_s_t now_s, const struct location_limits *limits,
                        struct location_outcome *ret_outcome)
{
    struct tentative t;

    load_live(&t, old, now_s, &limits->flows);
    for (size_t i = t.count; i-- > 0;) {
        const struct location_binding *b = &t.bindings[i];

        if (b->cseq == reg->cseq && slice_eq(b->call_id, reg->call_id) &&
            slice_eq(b->uri, reg->contacts[0].uri))
            remove_at(&t, i);
    }
    return finish(&t, reg->aor, ret_outcome);
}

int location_apply_expiry(const struct location_record *old, unix_s_t now_s,
                          const struct location_flows *flows, struct location_outcome *ret_outcome)
{
    struct tentative t;

    load_live(&t, old, now_s, flows);
    return finish(&t, location_record_aor(old), ret_outcome);
}
