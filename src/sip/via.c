#include "sip/msg.h"
#include "sip/scan.h"

/* protocol-name SLASH protocol-version SLASH, each a token */
static bool scan_protocol(struct sip_scan *s)
{
    static const char usual[8] = {'S', 'I', 'P', '/', '2', '.', '0', '/'};
    if (s->end - s->p > (ptrdiff_t)sizeof(usual) && memcmp(s->p, usual, sizeof(usual)) == 0) {
        s->p += sizeof(usual);
        sip_scan_sws(s);
        return true;
    }
    return sip_scan_token(s).len > 0 && sip_scan_separator(s, '/') && sip_scan_token(s).len > 0 &&
           sip_scan_separator(s, '/');
}

/* sent-protocol = protocol-name SLASH protocol-version SLASH transport, each a token */
static int scan_sent_protocol(struct sip_scan *s, struct sip_via *via)
{
    if (!scan_protocol(s))
        return ERR_SYNTAX;
    via->transport_text = sip_scan_token(s);
    via->transport = sip_transport_from_name(via->transport_text);
    return via->transport_text.len > 0 ? 0 : ERR_SYNTAX;
}

/* sent-by = host [ COLON port ] */
static int scan_sent_by(struct sip_scan *s, struct sip_via *via)
{
    if (sip_scan_host(s, &via->host, &via->addr) < 0)
        return ERR_SYNTAX;
    return sip_scan_separator(s, ':') ? sip_scan_port(s, &via->port) : 0;
}

/* response-port = "rport" [EQUAL 1*DIGIT]: RFC 3581 section 5 */
static int set_rport(struct sip_via *via, const struct sip_scan_param *param)
{
    struct sip_scan s = sip_scan_of(param->value);
    if (via->has_rport || (param->value.len > 0 && sip_scan_port(&s, &via->rport) < 0) ||
        !sip_scan_at_end(&s))
        return ERR_SYNTAX;
    via->has_rport = true;
    via->rport_text = param->text;
    return 0;
}

/* A parameter that occurs twice would mean one thing here and another in the next element: RFC 3261
 * section 7.3.1, "any given parameter-name MUST NOT appear more than once". */
static int set_once(struct slice *field, struct slice value)
{
    if (!slice_is_null(*field) || value.len == 0)
        return ERR_SYNTAX;
    *field = value;
    return 0;
}

/* via-params = via-ttl / via-maddr / via-received / via-branch / via-extension */
static int set_param(struct sip_via *via, const struct sip_scan_param *param)
{
    if (slice_eq_nocase(param->name, SLICE("branch")))
        return param->is_token ? set_once(&via->branch, param->value) : ERR_SYNTAX;
    if (slice_eq_nocase(param->name, SLICE("rport")))
        return set_rport(via, param);
    if (slice_eq_nocase(param->name, SLICE("keep")))
        via->has_keep = true;
    if (slice_eq_nocase(param->name, SLICE("received")))
        return set_once(&via->received, param->value);
    if (slice_eq_nocase(param->name, SLICE("maddr")))
        return set_once(&via->maddr, param->value);
    if (slice_eq_nocase(param->name, SLICE("ttl")))
        return set_once(&via->ttl, param->value);
    return 0;
}

/* The part that says where an answer goes; the cursor is left behind it. */
static int scan_via_head(struct sip_scan *s, struct sip_via *via)
{
    if (scan_sent_protocol(s, via) < 0 || !sip_scan_lws(s))
        return ERR_SYNTAX;
    return scan_sent_by(s, via);
}

/* via-parm = sent-protocol LWS sent-by *( SEMI via-params ) */
int sip_via_parse(struct slice element, struct sip_via *ret_via)
{
    struct sip_via via = {.text = slice_trim(element)};
    struct sip_scan s = sip_scan_of(via.text);
    struct sip_scan_param param;
    int rc = scan_via_head(&s, &via);
    if (rc < 0)
        return rc;
    struct sip_scan at_params = s;
    sip_scan_sws(&at_params);
    via.params = sip_scan_rest(&at_params);
    while ((rc = sip_scan_param(&s, &param)) == 0) {
        if (set_param(&via, &param) < 0)
            return ERR_SYNTAX;
    }
    if (rc != ERR_NOTFOUND)
        return rc;
    *ret_via = via;
    return 0;
}

int sip_via_parse_head(struct slice value, struct sip_via *ret_via)
{
    struct sip_via via = {.text = slice_trim(value)};
    struct sip_scan s = sip_scan_of(via.text);
    int rc = scan_via_head(&s, &via);
    if (rc < 0)
        return rc;
    via.params = slice_make(s.p, 0);
    *ret_via = via;
    return 0;
}
