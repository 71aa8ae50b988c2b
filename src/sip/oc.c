#include "sip/oc.h"
#include "base/num.h"
#include "sip/scan.h"

#define SEQ_DIGITS_MAX 12 /* before the point */
#define SEQ_PARTS_MAX  5  /* and behind it */

/* Most Vias have none of it, and most of ours come back with nothing but what was asked: looked for by the
 * first letters, before anything is parsed. with_value: only an `oc` that may have one. The semicolon before
 * it, or NULL. */
static const char *find_letters(struct slice text, bool with_value)
{
    const char *p = text.ptr, *end = text.ptr + text.len, *semicolon;
    while ((semicolon = memchr(p, ';', (size_t)(end - p))) != NULL) {
        for (p = semicolon + 1; p < end && (uint8_t)*p <= ' '; p++)
            ;
        if (end - p > 1 && (p[0] | 0x20) == 'o' && (p[1] | 0x20) == 'c' &&
            (!with_value || (end - p > 2 && (p[2] == '=' || (uint8_t)p[2] <= ' '))))
            return semicolon;
    }
    return NULL;
}

static bool may_have(struct slice text)
{
    return find_letters(text, false) != NULL;
}

/* The question as nearly everybody writes it, and nothing else of the kind behind it, which is ret_rest. It stands at
 * the first letters of a text that has been read as a Via, so that its quotes cannot be others'. */
static bool is_usual_question(struct slice text, const char *at, struct slice *ret_rest)
{
    struct slice from = slice_make(at, (size_t)(text.ptr + text.len - at));
    if (!slice_starts_with(from, SLICE(SIP_OC_QUESTION)))
        return false;
    *ret_rest = slice_sub(from, sizeof(SIP_OC_QUESTION) - 1, from.len);
    return (ret_rest->len == 0 || ret_rest->ptr[0] == ';') && !may_have(*ret_rest);
}

static bool is_algo(const struct sip_scan_param *param)
{
    return slice_eq_nocase(param->name, SLICE("oc-algo"));
}

static bool is_feedback(const struct sip_scan_param *param)
{
    return slice_eq_nocase(param->name, SLICE("oc")) || slice_eq_nocase(param->name, SLICE("oc-validity")) ||
           slice_eq_nocase(param->name, SLICE("oc-seq"));
}

static struct slice unquote(struct slice value)
{
    bool is_quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    return is_quoted ? slice_sub(value, 1, value.len - 1) : value;
}

/* oc-algo = "oc-algo" EQUAL DQUOTE algo-list *(COMMA algo-list) DQUOTE */
static bool has_loss(struct slice algorithms)
{
    struct slice rest = unquote(algorithms);
    while (rest.len > 0) {
        size_t end = slice_find(rest, ',');
        if (slice_eq_nocase(slice_trim(slice_sub(rest, 0, end)), SLICE("loss")))
            return true;
        rest = slice_sub(rest, end + 1, rest.len);
    }
    return false;
}

static bool knows_loss(struct slice params)
{
    struct slice value;
    return sip_param(params, SLICE("oc-algo"), &value) && has_loss(value);
}

bool sip_oc_is_asked(struct slice params)
{
    const char *at = find_letters(params, false);
    struct slice value, rest;
    if (at == NULL)
        return false;
    return is_usual_question(params, at, &rest) ||
           (sip_param(params, SLICE("oc"), &value) && value.len == 0 && knows_loss(params));
}

/* oc-seq = "oc-seq" EQUAL 1*12DIGIT "." 1*5DIGIT. As a fraction: .5 is more than .25. Section 4.4 calls the whole an
 * "unsigned integer value", and one without a point is taken as such. */
static bool read_seq(struct slice text, uint64_t *ret_seq)
{
    size_t point = slice_find(text, '.');
    struct slice head = slice_sub(text, 0, point), parts = slice_sub(text, point + 1, text.len);
    uint64_t number, part = 0;
    if (head.len > SEQ_DIGITS_MAX || num_parse_u64(head, UINT64_MAX, &number) < 0)
        return false;
    if (point < text.len && (parts.len > SEQ_PARTS_MAX || num_parse_u64(parts, UINT64_MAX, &part) < 0))
        return false;
    for (size_t i = point < text.len ? parts.len : SEQ_PARTS_MAX; i < SEQ_PARTS_MAX; i++)
        part *= 10;
    *ret_seq = number * SIP_OC_SEQ_PARTS + part;
    return true;
}

bool sip_oc_read(struct slice params, struct sip_oc *ret_oc)
{
    struct sip_oc oc = {.validity_ms = SIP_OC_VALIDITY_DEFAULT_MS};
    uint32_t loss;
    struct slice value;
    if (find_letters(params, true) == NULL || !sip_param(params, SLICE("oc"), &value) || value.len == 0 ||
        !knows_loss(params) || num_parse_u32(value, SIP_OC_LOSS_MAX, &loss) < 0)
        return false;
    oc.loss_percent = loss;
    if (sip_param(params, SLICE("oc-validity"), &value) &&
        num_parse_u32_saturate(value, UINT32_MAX, &oc.validity_ms) < 0)
        return false;
    if (sip_param(params, SLICE("oc-seq"), &value)) {
        if (!read_seq(value, &oc.seq))
            return false;
        oc.has_seq = true;
    }
    *ret_oc = oc;
    return true;
}

void sip_oc_put(const struct sip_oc *oc, struct buf *out)
{
    buf_lit(out, ";oc=");
    buf_u64(out, oc->loss_percent);
    buf_lit(out, ";oc-algo=\"loss\";oc-validity=");
    buf_u64(out, oc->validity_ms);
    if (oc->has_seq)
        buf_printf(out, ";oc-seq=%llu.%05u", (unsigned long long)(oc->seq / SIP_OC_SEQ_PARTS),
                   (unsigned)(oc->seq % SIP_OC_SEQ_PARTS));
}

static int find_params(struct slice via_text, struct sip_scan *ret_scan)
{
    struct sip_via via;
    int rc = sip_via_parse(via_text, &via);
    if (rc == 0)
        *ret_scan = sip_scan_of(via.params);
    return rc;
}

int sip_oc_strip(struct slice via_text, struct arena *arena, struct slice *ret_text)
{
    struct sip_scan scan = {0};
    struct sip_scan_param param;
    struct slice rest;
    struct buf out;
    const char *from = via_text.ptr, *at = find_letters(via_text, false);
    bool is_usual = at != NULL && is_usual_question(via_text, at, &rest);
    char *memory;
    if (at == NULL || (!is_usual && find_params(via_text, &scan) < 0)) {
        *ret_text = via_text;
        return 0;
    }
    memory = arena_alloc(arena, via_text.len);
    if (memory == NULL)
        return ERR_NOMEM;
    buf_init(&out, memory, via_text.len);
    if (is_usual) {
        buf_put(&out, slice_make(from, (size_t)(at - from)));
        from = rest.ptr;
    }
    while (sip_scan_param(&scan, &param) == 0) {
        if (!is_algo(&param) && !is_feedback(&param))
            continue;
        buf_put(&out, slice_make(from, (size_t)(param.text.ptr - from)));
        from = param.text.ptr + param.text.len;
    }
    buf_put(&out, slice_make(from, (size_t)(via_text.ptr + via_text.len - from)));
    *ret_text = buf_slice(&out);
    return 0;
}

static void cut(struct sip_edit *edit, struct slice element, bool with_algo)
{
    struct sip_scan scan = {0};
    struct sip_scan_param param;
    if (!may_have(element) || find_params(element, &scan) < 0)
        return;
    while (sip_scan_param(&scan, &param) == 0) {
        if (is_feedback(&param) || (with_algo && is_algo(&param)))
            sip_edit_replace(edit, param.text, slice_make("", 0));
    }
}

/* Is there any below the first Via? */
static bool has_any(const struct sip_msg *msg, const struct sip_values *behind_first)
{
    struct slice rest = sip_hdr_value(msg, &msg->hdrs[behind_first->hdr]);
    if (behind_first->next_hdr == behind_first->hdr && may_have(slice_sub(rest, behind_first->off, rest.len)))
        return true;
    for (uint16_t i = msg->hdrs[behind_first->hdr].next; i != SIP_HDR_NONE; i = msg->hdrs[i].next) {
        if (may_have(sip_hdr_value(msg, &msg->hdrs[i])))
            return true;
    }
    return false;
}

void sip_oc_replace(struct sip_edit *edit, struct slice answer)
{
    struct sip_values it = sip_values_of(edit->msg, SIP_HDR_VIA);
    struct slice element;
    if (sip_values_next(&it, &element) < 0 || (answer.len == 0 && !has_any(edit->msg, &it)))
        return;
    for (bool is_second = true; sip_values_next(&it, &element) == 0; is_second = false) {
        cut(edit, element, is_second && answer.len > 0);
        if (is_second && answer.len > 0)
            sip_edit_replace(edit, slice_make(element.ptr + element.len, 0), answer);
    }
}
