#include "location/register.h"
#include "base/num.h"
#include "location/instance.h"

/* Section 10.2: "Malformed values SHOULD be treated as equivalent to 3600." */
#define MALFORMED_EXPIRES_S 3600

static int fail(int err, const char *phrase, const char *why, struct location_register_error *ret_error)
{
    *ret_error = (struct location_register_error){.status = 400, .phrase = phrase, .why = why};
    return err;
}

/* Section 10.2: more than 2**32-1 counts as 2**32-1. */
static uint32_t expires_of(struct slice text)
{
    uint32_t value;

    return num_parse_u32_saturate(text, UINT32_MAX, &value) == 0 ? value : MALFORMED_EXPIRES_S;
}

/* A header value that goes into one of ours must be one line: folding becomes white space (section 7.3.1). */
static void put_unfolded(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_putc(out, s.ptr[i] == '\r' || s.ptr[i] == '\n' ? ' ' : s.ptr[i]);
}

/* The first ";name=value" of params, quotes honoured; what follows it is left in *rest. */
static bool next_param(struct slice *rest, struct slice *ret_param)
{
    struct slice s = slice_trim(*rest);
    bool quoted = false;
    size_t end = 1;

    if (s.len == 0)
        return false;
    while (end < s.len && (quoted || s.ptr[end] != ';')) {
        if (quoted && s.ptr[end] == '\\')
            end++;
        else if (s.ptr[end] == '"')
            quoted = !quoted;
        end++;
    }
    *ret_param = slice_trim(slice_sub(s, 1, end));
    *rest = slice_sub(s, end, s.len);
    return true;
}

static bool is_param(struct slice param, struct slice name)
{
    return slice_eq_nocase(slice_trim(slice_sub(param, 0, slice_find(param, '='))), name);
}

/* What the registrar says itself. RFC 5627 section 5.1: "If the contact contained a "pub-gruu" Contact header
 * field parameter, the header field parameter MUST be ignored", and so "temp-gruu". */
static bool is_ours(struct slice param)
{
    static const struct slice names[] = {{"q", 1}, {"expires", 7}, {"pub-gruu", 8}, {"temp-gruu", 9}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_param(param, names[i]))
            return true;
    }
    return false;
}

/* Everything but q and expires, which are kept as numbers, and what the registrar says itself. */
static int copy_params(struct slice params, struct arena *arena, struct slice *ret_params)
{
    struct slice rest = params, param;
    struct buf out;
    void *memory;

    if (params.len == 0) {
        *ret_params = SLICE("");
        return 0;
    }
    memory = arena_alloc(arena, params.len + 1);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, params.len + 1);
    while (next_param(&rest, &param)) {
        if (is_ours(param))
            continue;
        buf_putc(&out, ';');
        put_unfolded(&out, param);
    }
    *ret_params = buf_slice(&out);
    return 0;
}

/* RFC 5626 section 10: "c-p-reg = "reg-id" EQUAL 1*DIGIT ; 1 to (2^31 - 1)"; section 6: of a contact without
 * an instance-id "it simply ignores the reg-id". */
static int parse_reg_id(struct slice params, uint32_t *ret_reg_id)
{
    struct slice text;
    int rc = 0;

    *ret_reg_id = 0;
    if (!sip_param(params, SLICE("reg-id"), &text) || slice_is_null(location_instance_of(params)))
        return 0;
    rc = num_parse_u32(text, INT32_MAX, ret_reg_id);
    return rc == 0 && *ret_reg_id == 0 ? ERR_RANGE : rc;
}

static int parse_contact(const struct sip_msg *msg, struct slice element, struct arena *arena,
                         struct location_contact *ret_contact, struct location_register_error *ret_error)
{
    struct location_contact c = {.q_milli = 1000};
    struct sip_name_addr na;
    struct sip_uri uri;
    struct slice text = SLICE_NULL;
    int rc;

    if (sip_name_addr_parse(element, &na) != 0 || sip_uri_parse(na.uri_text, &uri) != 0)
        return fail(ERR_SYNTAX, "Bad Contact", "Contact: RFC 3261 section 20.10", ret_error);
    if (sip_param_q(na.params, &c.q_milli) != 0)
        return fail(ERR_SYNTAX, "Bad q in Contact", "q of a Contact: RFC 3261 section 25.1", ret_error);
    if (parse_reg_id(na.params, &c.reg_id) != 0)
        return fail(ERR_SYNTAX, "Bad reg-id in Contact", "reg-id of a Contact: RFC 5626 section 10",
                    ret_error);
    if (sip_param(na.params, SLICE("expires"), &text))
        c.requested_s = expires_of(text);
    else if (sip_msg_has(msg, SIP_HDR_EXPIRES))
        c.requested_s = expires_of(sip_msg_value(msg, SIP_HDR_EXPIRES));
    c.has_requested = !slice_is_null(text) || sip_msg_has(msg, SIP_HDR_EXPIRES);
    c.uri = na.uri_text;
    c.is_host_invalid = sip_host_is_invalid(uri.host);
    rc = copy_params(na.params, arena, &c.params);
    if (rc != 0)
        return rc;
    if (c.uri.len > LOCATION_URI_BYTES_MAX || c.params.len > LOCATION_PARAMS_BYTES_MAX)
        return fail(ERR_LIMIT, "Contact Too Long", "limit on the length of a Contact", ret_error);
    *ret_contact = c;
    return 0;
}

/* Section 10.3 step 6: "*" stands alone, with Expires: 0. */
static int check_wildcard(const struct sip_msg *msg, size_t n_elements,
                          struct location_register_error *ret_error)
{
    uint32_t expires_s;

    if (n_elements != 1)
        return fail(ERR_SYNTAX, "Contact * Not Alone", "RFC 3261 section 10.3 step 6", ret_error);
    if (num_parse_u32(sip_msg_value(msg, SIP_HDR_EXPIRES), UINT32_MAX, &expires_s) != 0 || expires_s != 0)
        return fail(ERR_SYNTAX, "Contact * Without Expires 0", "RFC 3261 section 10.3 step 6", ret_error);
    return 0;
}

struct elements {
    struct slice at[LOCATION_CONTACTS_MAX];
    size_t count;
};

static int split_contacts(const struct sip_msg *msg, struct elements *elements,
                          struct location_register_error *ret_error)
{
    struct sip_values it = sip_values_of(msg, SIP_HDR_CONTACT);
    struct slice element;
    int rc;

    elements->count = 0;
    while ((rc = sip_values_next(&it, &element)) == 0) {
        if (elements->count == LOCATION_CONTACTS_MAX)
            return fail(ERR_LIMIT, "Too Many Contacts", "limit on the contacts of a request", ret_error);
        elements->at[elements->count++] = element;
    }
    return rc == ERR_NOTFOUND ? 0
                              : fail(ERR_SYNTAX, "Bad Contact", "Contact: RFC 3261 section 20.10", ret_error);
}

static int parse_contacts(const struct sip_msg *msg, struct arena *arena, struct location_register *reg,
                          struct location_register_error *ret_error)
{
    struct location_contact *contacts;
    struct elements elements;
    size_t n = 0;
    int rc = split_contacts(msg, &elements, ret_error);

    if (rc != 0)
        return rc;
    contacts = arena_alloc(arena, elements.count * sizeof(*contacts) + 1);
    if (!contacts)
        return ERR_NOMEM;
    for (size_t i = 0; i < elements.count; i++) {
        if (slice_eq(elements.at[i], SLICE("*"))) {
            reg->wildcard = true;
            continue;
        }
        rc = parse_contact(msg, elements.at[i], arena, &contacts[n++], ret_error);
        if (rc != 0)
            return rc;
    }
    reg->contacts = contacts;
    reg->n_contacts = n;
    return reg->wildcard ? check_wildcard(msg, elements.count, ret_error) : 0;
}

static bool is_path_value(struct slice element)
{
    struct sip_name_addr na;
    struct sip_uri uri;

    return sip_name_addr_parse(element, &na) == 0 && na.brackets && sip_uri_parse(na.uri_text, &uri) == 0 &&
           (uri.scheme == SIP_SCHEME_SIP || uri.scheme == SIP_SCHEME_SIPS);
}

/* RFC 3327 section 5.3: the path vector in order. */
static int parse_path(const struct sip_msg *msg, struct arena *arena, struct slice *ret_path,
                      struct location_register_error *ret_error)
{
    struct sip_values it = sip_values_of(msg, SIP_HDR_PATH);
    struct slice element;
    struct buf out;
    void *memory;
    int rc;

    if (!sip_msg_has(msg, SIP_HDR_PATH)) {
        *ret_path = SLICE("");
        return 0;
    }
    memory = arena_alloc(arena, LOCATION_PATH_BYTES_MAX);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, LOCATION_PATH_BYTES_MAX);
    while ((rc = sip_values_next(&it, &element)) == 0) {
        if (!is_path_value(element))
            return fail(ERR_SYNTAX, "Bad Path", "Path: RFC 3327 section 4", ret_error);
        if (out.len > 0)
            buf_putc(&out, ',');
        put_unfolded(&out, element);
    }
    if (rc != ERR_NOTFOUND)
        return fail(ERR_SYNTAX, "Bad Path", "Path: RFC 3327 section 4", ret_error);
    if (buf_failed(&out))
        return fail(ERR_LIMIT, "Path Too Long", "limit on the length of a path", ret_error);
    *ret_path = buf_slice(&out);
    return 0;
}

static bool is_sips(struct slice uri)
{
    return slice_starts_with_nocase(uri, SLICE("sips:"));
}

static bool is_way_sips(const struct sip_msg *msg)
{
    struct sip_values it = sip_values_of(msg, SIP_HDR_PATH);
    struct sip_name_addr na;
    struct slice element;
    bool is_secure = is_sips(msg->ruri);

    while (is_secure && sip_values_next(&it, &element) == 0)
        is_secure = sip_name_addr_parse(element, &na) == 0 && is_sips(na.uri_text);
    return is_secure;
}

/* RFC 5630 section 5.2: "A registrar MUST accept a binding to a SIPS Contact header field only if all the
 * appropriate URIs are of the SIPS scheme". "This includes the Request-URI and the Contacts and all the Path
 * header fields". A binding may be removed whatever way the request comes. */
static int check_sips(const struct sip_msg *msg, const struct location_register *reg,
                      struct location_register_error *ret_error)
{
    size_t n_sips = 0, n_others = 0;

    for (size_t i = 0; i < reg->n_contacts; i++) {
        const struct location_contact *c = &reg->contacts[i];

        if (c->has_requested && c->requested_s == 0)
            continue;
        n_sips += is_sips(c->uri);
        n_others += !is_sips(c->uri);
    }
    if (n_sips > 0 && (n_others > 0 || !is_way_sips(msg)))
        return fail(ERR_SYNTAX, "SIPS Contact Beside SIP",
                    "SIPS contacts need SIPS everywhere: RFC 5630 section 5.2", ret_error);
    return 0;
}

int location_register_parse(struct sip_msg *msg, struct arena *arena, struct location_register *ret_reg,
                            struct location_register_error *ret_error)
{
    struct location_register reg = {.call_id = sip_msg_call_id(msg)};
    const struct sip_cseq *cseq;
    int rc;

    if (reg.call_id.len == 0 || sip_msg_cseq(msg, &cseq) != 0)
        return fail(ERR_SYNTAX, "Bad Call-ID or CSeq", "RFC 3261 section 8.1.1", ret_error);
    if (reg.call_id.len > LOCATION_CALL_ID_BYTES_MAX)
        return fail(ERR_LIMIT, "Call-ID Too Long", "limit on the length of a Call-ID", ret_error);
    reg.cseq = cseq->number;
    rc = parse_contacts(msg, arena, &reg, ret_error);
    if (rc == 0)
        rc = parse_path(msg, arena, &reg.path, ret_error);
    if (rc == 0)
        rc = check_sips(msg, &reg, ret_error);
    if (rc == 0)
        *ret_reg = reg;
    return rc;
}
