/* Any octets as the answers of a name server: whatever they say, a look-up ends, its hops are addresses that something
 * may be sent to, and the same answers give the same hops. Input: answers, each after two octets that are its length;
 * they are given in turn to whatever is asked, from the start again when they are used up. */
#include "base/mem.h"
#include "dns/resolver.h"
#include "fuzz.h"

#define QUESTIONS_MAX (4 * DNS_HOPS_MAX)

struct world {
    const uint8_t *data;
    size_t size, at;
    size_t n_asked;
    struct timer_wheel wheel;
};

static struct slice next_answer(struct world *w)
{
    size_t len;

    if (w->size - w->at < 2)
        w->at = 0;
    if (w->size < 2)
        return SLICE_NULL;
    len = (size_t)w->data[w->at] << 8 | w->data[w->at + 1];
    w->at += 2;
    if (len > w->size - w->at)
        len = w->size - w->at;
    w->at += len;
    return slice_make((const char *)w->data + w->at - len, len);
}

/* The question is put in, as a server that knows what it was asked would do: else every answer is another's. */
static int source_ask(void *ctx, const struct dns_name *name, enum dns_type type, struct dns_query *query)
{
    static char packet[65536 + 300];
    struct world *w = ctx;
    struct slice given = next_answer(w);
    size_t len = 12, labels = 0;

    (void)type;
    FUZZ_ASSERT(name->len > 0 && strlen(name->text) == name->len && ++w->n_asked <= QUESTIONS_MAX);
    if (given.len < 12) {
        query->answered(query, given);
        return 0;
    }
    memcpy(packet, given.ptr, 12);
    if (given.ptr[0] & 1) {
        packet[2] = (char)0x81;
        packet[4] = 0;
        packet[5] = 1;
        for (size_t i = 0; i <= name->len; i = labels) {
            while (labels < name->len && name->text[labels] != '.')
                labels++;
            packet[len++] = (char)(labels - i);
            memcpy(packet + len, name->text + i, labels - i);
            len += labels - i;
            labels++;
        }
        memcpy(packet + len, "\0\0\1\0\1", 5);
        len += 5;
    }
    memcpy(packet + len, given.ptr + 12, given.len - 12);
    query->answered(query, slice_make(packet, len + given.len - 12));
    return 0;
}

static void source_forget(void *ctx, struct dns_query *query)
{
    (void)ctx;
    (void)query;
}

static void on_resolved(void *ctx, uint64_t ticket, int err, const struct sip_hop *hops, size_t count)
{
    (void)ctx;
    (void)ticket;
    (void)err;
    (void)hops;
    (void)count;
    FUZZ_ASSERT(false); /* every answer is there at once */
}

static ms_t on_now(void *ctx)
{
    struct world *w = ctx;

    return w->wheel.now_ms;
}

static int look_up(struct world *w, struct dns_resolver *resolver, const char *text,
                   struct sip_hop hops[DNS_HOPS_MAX], size_t *ret_count)
{
    struct sip_uri uri;
    const struct dns_request request = {.uri = &uri, .ticket = 1, .seed = 42};

    w->at = 0;
    w->n_asked = 0;
    memset(hops, 0, DNS_HOPS_MAX * sizeof(*hops));
    FUZZ_ASSERT(sip_uri_parse(slice_from_cstr(text), &uri) == 0);
    return dns_resolver_resolve(resolver, &request, hops, DNS_HOPS_MAX, ret_count);
}

static void check(struct world *w, struct dns_resolver *resolver, const char *text)
{
    static struct sip_hop hops[DNS_HOPS_MAX], again[DNS_HOPS_MAX];
    size_t n = 0, m = 0;
    int rc = look_up(w, resolver, text, hops, &n);

    FUZZ_ASSERT(rc == look_up(w, resolver, text, again, &m) && n == m);
    FUZZ_ASSERT(rc == 0 || rc == ERR_NOTFOUND);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        FUZZ_ASSERT(addr_is_unicast(&hops[i].addr) && hops[i].addr.port != 0);
        FUZZ_ASSERT(addr_eq(&hops[i].addr, &again[i].addr) && hops[i].transport == again[i].transport);
        FUZZ_ASSERT(slice_from_cstr(text).ptr[3] != 's' ||
                    sip_transport_is_secure((enum sip_transport)hops[i].transport));
        for (size_t k = 0; k < i; k++)
            FUZZ_ASSERT(!addr_eq(&hops[i].addr, &hops[k].addr) || hops[i].transport != hops[k].transport);
    }
    FUZZ_ASSERT(dns_resolver_pending(resolver) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    static struct dns_hosts *hosts;
    struct dns_resolver *resolver;
    const struct dns_source source = {&w, source_ask, source_forget};
    struct dns_resolver_opts opts = {.source = &source,
                                     .wheel = &w.wheel,
                                     .now_ms = on_now,
                                     .timeout_ms = 1000,
                                     .max_lookups = 4,
                                     .budget_bytes = 1 << 24,
                                     .resolved = on_resolved,
                                     .ctx = &w};

    if (!hosts)
        FUZZ_ASSERT(dns_hosts_parse(SLICE(""), &hosts) == 0);
    w = (struct world){.data = data, .size = size};
    timer_wheel_init(&w.wheel, 1, NULL);
    opts.hosts = hosts;
    for (unsigned t = SIP_TRANSPORT_UDP; t <= SIP_TRANSPORT_WSS; t++)
        opts.spoken.families[t] = DNS_IPV4 | DNS_IPV6;
    FUZZ_ASSERT(dns_resolver_new(&opts, &resolver) == 0);
    check(&w, resolver, "sip:a@example.com");
    check(&w, resolver, "sips:a@example.com");
    check(&w, resolver, "sip:a@example.com;transport=tcp");
    check(&w, resolver, "sip:a@example.com:5070");
    dns_resolver_free(resolver);
    return 0;
}
