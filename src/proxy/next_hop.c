#include "proxy/internal.h"

struct slice proxy_first_element(struct slice list)
{
    bool in_quotes = false, in_brackets = false;
    size_t i;

    for (i = 0; i < list.len; i++) {
        char c = list.ptr[i];

        if (c == '"' && !in_brackets)
            in_quotes = !in_quotes;
        else if (c == '\\' && in_quotes)
            i++;
        else if (c == '<' && !in_quotes)
            in_brackets = true;
        else if (c == '>')
            in_brackets = false;
        else if (c == ',' && !in_quotes && !in_brackets)
            break;
    }
    return slice_sub(list, 0, i);
}

/* The Route values of the copy in their order: those of the Path, then those left of the request. */
struct route_list {
    struct slice path; /* comma-separated, may be empty */
    const struct slice *values;
    size_t n_values;
};

static bool is_empty(const struct route_list *list)
{
    return list->path.len == 0 && list->n_values == 0;
}

static struct slice top_of(const struct route_list *list)
{
    return list->path.len > 0 ? slice_trim(proxy_first_element(list->path)) : list->values[0];
}

static void pop(struct route_list *list)
{
    if (list->path.len > 0) {
        size_t len = proxy_first_element(list->path).len;

        list->path = slice_trim(slice_sub(list->path, len + 1, list->path.len));
    } else {
        list->values++;
        list->n_values--;
    }
}

static void put_element(struct buf *out, struct slice element)
{
    if (out->len > 0)
        buf_lit(out, ", ");
    buf_put(out, element);
}

/* All of them in one header value, then `last`, a URI, unless it is absent. */
static int join(const struct route_list *list, struct slice last, struct arena *arena,
                struct slice *ret_value)
{
    size_t cap = list->path.len + last.len + 4;
    struct buf out;
    char *memory;

    for (size_t i = 0; i < list->n_values; i++)
        cap += list->values[i].len + 2;
    memory = arena_alloc(arena, cap);
    if (!memory)
        return ERR_NOMEM;
    buf_init(&out, memory, cap);
    if (list->path.len > 0)
        put_element(&out, list->path);
    for (size_t i = 0; i < list->n_values; i++)
        put_element(&out, list->values[i]);
    if (!slice_is_null(last)) {
        put_element(&out, SLICE("<"));
        buf_put(&out, last);
        buf_lit(&out, ">");
    }
    *ret_value = out.len > 0 ? buf_slice(&out) : SLICE_NULL;
    return 0;
}

static int parse_top(const struct route_list *list, struct sip_uri *ret_uri)
{
    struct sip_name_addr na;
    int rc = sip_name_addr_parse(top_of(list), &na);

    if (rc == 0)
        rc = sip_uri_parse(na.uri_text, ret_uri);
    if (rc == 0 && ret_uri->scheme != SIP_SCHEME_SIP && ret_uri->scheme != SIP_SCHEME_SIPS)
        rc = ERR_SYNTAX;
    return rc;
}

/* Section 16.6 step 6: "The proxy MUST place the Request-URI into the Route header field as the last value.
 * The proxy MUST then place the first Route header field value into the Request-URI and remove that value
 * from the Route header field." */
static int plan_strict(const struct proxy_context *c, struct route_list list, const struct sip_uri *top,
                       struct proxy_plan *plan)
{
    struct arena *scratch = &c->req.proxy->scratch;
    struct slice last = plan->ruri;

    plan->ruri = proxy_uri_for_request(top, scratch);
    if (slice_is_null(plan->ruri))
        return ERR_NOMEM;
    pop(&list);
    plan->is_rewritten = true;
    return join(&list, last, scratch, &plan->routes);
}

/* Most requests lose some values from the top and get others in their place; what stays is not touched. */
static int plan_loose(const struct proxy_context *c, const struct route_list *list, struct proxy_plan *plan)
{
    if (!c->is_tail_moved) {
        plan->push = list->path.len > 0 ? list->path : SLICE_NULL;
        return 0;
    }
    plan->is_rewritten = true;
    return join(list, SLICE_NULL, &c->req.proxy->scratch, &plan->routes);
}

bool proxy_target_is_secure(const struct proxy_target *target)
{
    return target->needs_tls || target->uri->scheme == SIP_SCHEME_SIPS;
}

int proxy_plan_make(const struct proxy_context *c, const struct proxy_target *target,
                    struct proxy_plan *ret_plan)
{
    struct route_list list = {slice_trim(target->path), c->routes, c->n_routes};
    struct proxy_plan plan = {.ruri = target->uri_text, .next = *target->uri};
    struct sip_uri top;
    int rc = 0;

    plan.is_next_secure = target->uri->scheme == SIP_SCHEME_SIPS;
    if (!is_empty(&list)) {
        rc = parse_top(&list, &top);
        if (rc < 0)
            return rc;
        plan.next = top;
        plan.is_next_secure |= top.scheme == SIP_SCHEME_SIPS;
    }
    if (!is_empty(&list) && !top.lr)
        rc = plan_strict(c, list, &top, &plan);
    else
        rc = plan_loose(c, &list, &plan);
    /* Step 7: "if the Request-URI specifies a SIPS resource, the proxy MUST follow the procedures of [4] as
     * if the input URI were a SIPS URI"; it may stand for one (RFC 5630 section 5.3). */
    if (proxy_target_is_secure(target))
        plan.next.scheme = SIP_SCHEME_SIPS;
    if (rc == 0)
        *ret_plan = plan;
    return rc;
}
