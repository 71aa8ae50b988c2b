#include "base/num.h"
#include "sip/msg.h"
#include "sip/scan.h"

bool sip_param(struct slice params, struct slice name, struct slice *ret_value)
{
    struct sip_scan s = sip_scan_of(params);
    struct sip_scan_param param;
    while (sip_scan_param(&s, &param) == 0) {
        if (!slice_eq_nocase(param.name, name))
            continue;
        *ret_value = slice_is_null(param.value) ? slice_make(s.p, 0) : param.value;
        return true;
    }
    return false;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) */
static int parse_qvalue(struct slice text, unsigned *ret_q)
{
    static const unsigned weight[] = {100, 10, 1};
    if (text.len < 1 || text.len > 5 || (text.len > 1 && text.ptr[1] != '.'))
        return ERR_SYNTAX;
    if (text.ptr[0] != '0' && text.ptr[0] != '1')
        return ERR_SYNTAX;
    unsigned q = text.ptr[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < text.len; i++) {
        if (!sip_char_is(text.ptr[i], SIP_CHAR_DIGIT))
            return ERR_SYNTAX;
        q += (unsigned)(text.ptr[i] - '0') * weight[i - 2];
    }
    if (q > 1000)
        return ERR_SYNTAX;
    *ret_q = q;
    return 0;
}

int sip_param_q(struct slice params, unsigned *ret_q)
{
    struct slice text;
    if (sip_param(params, SLICE("q"), &text))
        return parse_qvalue(text, ret_q);
    *ret_q = 1000;
    return 0;
}
