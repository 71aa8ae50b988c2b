/* URIs of which something has to be left out before they may stand in a Request-URI. */
#include "proxy/internal.h"

typedef bool keep_fn(struct slice name, struct slice value);

static struct slice next_param(struct slice *rest)
{
    size_t end = slice_find(*rest, ';');
    struct slice param = slice_sub(*rest, 0, end);

    *rest = slice_sub(*rest, end + 1, rest->len);
    return param;
}

static bool is_kept(struct slice param, keep_fn *keep)
{
    size_t equals = slice_find(param, '=');

    return keep(slice_sub(param, 0, equals), slice_sub(param, equals + 1, param.len));
}

static void put_params(struct buf *out, struct slice params, keep_fn *keep)
{
    while (params.len > 0) {
        struct slice param = next_param(&params);

        if (!is_kept(param, keep))
            continue;
        buf_lit(out, ";");
        buf_put(out, param);
    }
}

/* The URI up to its parameters, without the port if has_port is false. */
static void put_head(struct buf *out, const struct sip_uri *uri, bool has_port)
{
    const char *host_end = uri->host.ptr + uri->host.len;

    buf_put(out, slice_make(uri->text.ptr, (size_t)(host_end - uri->text.ptr)));
    if (has_port && uri->port) {
        buf_lit(out, ":");
        buf_u64(out, uri->port);
    }
}

static struct slice rewrite(const struct sip_uri *uri, bool has_port, keep_fn *keep, struct arena *arena)
{
    char *memory = arena_alloc(arena, uri->text.len + 1);
    struct buf out;

    if (!memory)
        return SLICE_NULL;
    buf_init(&out, memory, uri->text.len + 1);
    put_head(&out, uri, has_port);
    put_params(&out, uri->params, keep);
    return buf_slice(&out);
}

/* Section 19.1.4: a parameter is the same however it is escaped. */
static bool is_text(struct slice part, struct slice text)
{
    return sip_uri_text_eq(part, text, SIP_URI_NOCASE);
}

static bool is_for_request(struct slice name, struct slice value)
{
    (void)value;
    return !is_text(name, SLICE("method"));
}

struct slice proxy_uri_for_request(const struct sip_uri *uri, struct arena *arena)
{
    struct slice method;

    if (slice_is_null(uri->headers) && !sip_uri_param(uri, SLICE("method"), &method))
        return uri->text;
    return rewrite(uri, true, is_for_request, arena);
}

static bool is_default_for_sip(struct slice name, struct slice value)
{
    return !is_text(name, SLICE("maddr")) &&
           (!is_text(name, SLICE("transport")) || is_text(value, SLICE("udp")));
}

static bool is_default_for_sips(struct slice name, struct slice value)
{
    return !is_text(name, SLICE("maddr")) &&
           (!is_text(name, SLICE("transport")) || is_text(value, SLICE("tcp")));
}

struct slice proxy_uri_without_maddr(const struct sip_uri *uri, struct arena *arena)
{
    /* Table 1: the default transport of sips is TCP, its port 5061. */
    bool is_sips = uri->scheme == SIP_SCHEME_SIPS;

    return rewrite(uri, uri->port == (is_sips ? 5061 : 5060),
                   is_sips ? is_default_for_sips : is_default_for_sip, arena);
}
