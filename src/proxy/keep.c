/* Keep-alives that a client asks its next hop for: RFC 6223 section 4.4. What it says is that we take them,
 * on whatever way the request came: a double CRLF over a stream, STUN over UDP. */
#include "base/num.h"
#include "proxy/internal.h"

#define VALUE_BYTES 12 /* "=" and a number of 32 bits */

/* "keep" alone asks; with a value it has been answered, by who added that to the Via before it came to us. */
static bool find_question(struct slice via_text, size_t *ret_end)
{
    struct sip_via via;
    struct slice value;

    if (sip_via_parse(via_text, &via) != 0 || !sip_param(via.params, SLICE("keep"), &value) ||
        value.len > 0 || value.ptr <= via_text.ptr || value.ptr[-1] == '=')
        return false;
    *ret_end = (size_t)(value.ptr - via_text.ptr);
    return true;
}

int proxy_keep_answer(struct proxy *p, struct slice *via_text)
{
    char digits[VALUE_BYTES], *memory;
    struct buf out;
    size_t end;

    if (!find_question(*via_text, &end))
        return 0;
    memory = arena_alloc(&p->scratch, via_text->len + VALUE_BYTES);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, via_text->len + VALUE_BYTES);
    buf_put(&out, slice_sub(*via_text, 0, end));
    buf_lit(&out, "=");
    buf_put(&out, slice_make(digits, num_format_u64(p->opts->flow_timer_s, digits)));
    buf_put(&out, slice_sub(*via_text, end, via_text->len));
    *via_text = buf_slice(&out);
    return 0;
}
