#include "sip/msg_private.h"
#include "sip/scan.h"

/* *( SEMI generic-param ), and among them tag-param = "tag" EQUAL token Tags decide which dialog and
 * transaction a message is of: two of them, or one that is no token, is an error where one is asked for. */
static int scan_params(struct slice params, struct slice *ret_tag)
{
    struct sip_scan s = sip_scan_of(params);
    struct sip_scan_param param;
    struct slice tag = SLICE_NULL;
    int rc;
    while ((rc = sip_scan_param(&s, &param)) == 0) {
        if (!ret_tag || param.name.len != 3 || !slice_eq_nocase(param.name, SLICE("tag")))
            continue;
        if (!slice_is_null(tag) || !param.is_token)
            return ERR_SYNTAX;
        tag = param.value;
    }
    if (rc == ERR_NOTFOUND && ret_tag)
        *ret_tag = tag;
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* addr-spec = SIP-URI / SIPS-URI / absoluteURI
 * Here only that it has a scheme and no white space; what is in it is for sip_uri_parse when somebody uses
 * it. */
static bool addr_spec_is_good(struct slice text)
{
    struct sip_scan s = sip_scan_of(text);
    if (text.len == 0 || !sip_char_is(text.ptr[0], SIP_CHAR_ALPHA))
        return false;
    (void)sip_scan_run(&s, SIP_CHAR_SCHEME);
    return sip_scan_take(&s, ':') && !sip_scan_at_end(&s);
}

/* display-name = *(token LWS) / quoted-string
 * LWS between the last token and LAQUOT is optional, as RFC 4475 section 3.1.1.6 asks; UTF-8 is taken in a
 * token, for nothing but DQUOTE and LAQUOT can end the name. */
static bool scan_display_name(struct sip_scan *s, struct slice *ret_display)
{
    const char *from = s->p, *end = s->p;
    if (sip_scan_is(s, '"')) {
        if (!sip_scan_quoted(s))
            return false;
        end = s->p;
        sip_scan_sws(s);
    } else {
        while (sip_scan_run(s, SIP_CHAR_DISPLAY).len > 0) {
            end = s->p;
            sip_scan_sws(s);
        }
    }
    *ret_display = end > from ? slice_make(from, (size_t)(end - from)) : SLICE_NULL;
    return true;
}

/* name-addr = [ display-name ] LAQUOT addr-spec RAQUOT */
static int scan_name_addr(struct sip_scan *s, struct sip_name_addr *na)
{
    if (!scan_display_name(s, &na->display) || !sip_scan_take(s, '<'))
        return ERR_SYNTAX;
    na->brackets = true;
    na->uri_text = sip_scan_uri_run(s);
    return sip_scan_take(s, '>') ? 0 : ERR_SYNTAX;
}

/* RFC 3261 section 20: "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in
 * angle brackets"; so the first semicolon begins the header parameters and the other two are errors. */
static int scan_addr_spec(struct sip_scan *s, struct sip_name_addr *na)
{
    const char *from = s->p;
    while (s->p < s->end && sip_char_is(*s->p, SIP_CHAR_VALUE) && *s->p != '?')
        s->p++;
    na->uri_text = sip_scan_since(s, from);
    return 0;
}

static int parse(struct slice element, struct sip_name_addr *ret_na, struct slice *ret_tag)
{
    struct sip_name_addr na = {.text = slice_trim(element)};
    struct sip_scan s = sip_scan_of(na.text);
    struct sip_scan as_name_addr = s;
    if (scan_name_addr(&as_name_addr, &na) == 0) {
        s = as_name_addr;
    } else {
        na = (struct sip_name_addr){.text = na.text};
        (void)scan_addr_spec(&s, &na);
    }
    sip_scan_sws(&s);
    na.params = sip_scan_rest(&s);
    if (!addr_spec_is_good(na.uri_text) || scan_params(na.params, ret_tag) < 0)
        return ERR_SYNTAX;
    *ret_na = na;
    return 0;
}

/* from-spec = ( name-addr / addr-spec ) *( SEMI from-param ), and To, Contact, Route ... alike */
int sip_name_addr_parse(struct slice element, struct sip_name_addr *ret_na)
{
    return parse(element, ret_na, NULL);
}

int sip_party_parse(struct slice value, struct sip_name_addr *ret_na, struct slice *ret_tag)
{
    return parse(value, ret_na, ret_tag);
}
