#include "sip/msg.h"
#include "sip/scan.h"

/* "SIP/2.0/UDP " and its like, as nearly everybody writes it. */
static bool take_usual_protocol(struct sip_scan *s, struct sip_via *via)
{
    static const struct {
        char text[5];
        uint8_t transport;
    } usual[] = {{"UDP ", SIP_TRANSPORT_UDP}, {"TCP ", SIP_TRANSPORT_TCP}, {"TLS ", SIP_TRANSPORT_TLS}};
    if (s->end - s->p <= 12 || memcmp(s->p, "SIP/2.0/", 8) != 0)
        return false;
    const char *name = s->p + 8;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (memcmp(name, usual[i].text, 4) != 0)
            continue;
        via->transport = (enum sip_transport)usual[i].transport;
        via->transport_text = slice_make(name, 3);
        s->p = name + 3;
        return true;
    }
    return false;
}

/* protocol-name SLASH protocol-version SLASH, each a token */
static bool scan_protocol(struct sip_scan *s)
{
    return sip_scan_token(s).len > 0 && sip_scan_separator(s, '/') && sip_scan_token(s).len > 0 &&
           sip_scan_separator(s, '/');
}

/* sent-protocol = protocol-name SLASH protocol-version SLASH transport, each a token */
static int scan_sent_protocol(struct sip_scan *s, struct sip_via *via)
{
    if (take_usual_protocol(s, via))
        return 0;
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

/* via-parm = sent-protocol LWS sent-by *( SEMI via-params )
 * The cursor is left behind it, and behind the white space there: at a comma or the end. */
static int scan_via(struct sip_scan *s, struct sip_via *via)
{
    struct sip_scan_param param;
    const char *from = s->p, *end;
    if (scan_via_head(s, via) < 0)
        return ERR_SYNTAX;
    end = s->p;
    sip_scan_sws(s);
    via->params = slice_make(sip_scan_is(s, ';') ? s->p : end, 0);
    while (!sip_scan_at_end(s) && *s->p != ',') {
        if (sip_scan_param(s, &param) < 0 || set_param(via, &param) < 0)
            return ERR_SYNTAX;
        end = s->p;
        sip_scan_sws(s);
    }
    via->text = slice_make(from, (size_t)(end - from));
    via->params.len = (size_t)(end - via->params.ptr);
    return 0;
}

int sip_via_parse_first(struct slice value, struct sip_via *ret_via, struct slice *ret_rest)
{
    struct sip_via via = {0};
    struct sip_scan s = sip_scan_of(value);
    sip_scan_sws(&s);
    if (scan_via(&s, &via) < 0)
        return ERR_SYNTAX;
    *ret_via = via;
    *ret_rest = sip_scan_rest(&s);
    return 0;
}

int sip_via_parse(struct slice element, struct sip_via *ret_via)
{
    struct sip_via via = {0};
    struct sip_scan s = sip_scan_of(slice_trim(element));
    if (scan_via(&s, &via) < 0 || !sip_scan_at_end(&s))
        return ERR_SYNTAX;
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
