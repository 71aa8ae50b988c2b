/* Any octets as a datagram and as a frame: look before the parser, parse, check, every typed header, every
 * element of every header; a message without edits is the same octets, a kept one says the same as the first,
 * and so does an outline. Input: a message. */
#include "fuzz_sip.h"

#include "sip/edit.h"
#include "sip/outline.h"
#include "sip/peek.h"

static void read_elements(const struct sip_msg *msg)
{
    struct slice whole = slice_make(msg->bytes, msg->len);
    for (unsigned id = 1; id < SIP_HDR_COUNT; id++) {
        struct sip_values it = sip_values_of(msg, id);
        struct slice element, value;
        while (sip_values_next(&it, &element) == 0) {
            struct sip_via via;
            struct sip_name_addr na;
            unsigned q;
            FUZZ_ASSERT(fuzz_is_within(element, sip_hdr_value(msg, &msg->hdrs[it.hdr])));
            if (sip_via_parse(element, &via) == 0) {
                FUZZ_ASSERT(fuzz_is_within(via.params, element) &&
                            fuzz_is_within(via.rport_text, via.params));
                FUZZ_ASSERT(fuzz_is_within(via.branch, via.params) && via.host.len > 0);
                FUZZ_ASSERT(sip_via_parse_head(element, &via) == 0);
            }
            if (sip_name_addr_parse(element, &na) == 0) {
                FUZZ_ASSERT(fuzz_is_within(na.uri_text, whole) && na.uri_text.len > 2);
                (void)sip_param(na.params, SLICE("expires"), &value);
                (void)!sip_param_q(na.params, &q);
            }
        }
        (void)sip_msg_has_option(msg, id, SLICE("path"));
        uint32_t number;
        (void)!sip_msg_u32(msg, id, &number);
    }
}

/* One number for all that the typed headers say; equal messages give equal numbers. */
static uint64_t fingerprint(struct sip_msg *msg)
{
    const struct sip_via *via;
    const struct sip_name_addr *from, *to;
    const struct sip_cseq *cseq;
    const struct sip_uri *ruri;
    struct slice parts[16] = {
        msg->method_name,      msg->ruri,          msg->version, msg->reason, sip_msg_call_id(msg),
        sip_msg_from_tag(msg), sip_msg_to_tag(msg)};
    unsigned n = 7;
    if (sip_msg_top_via(msg, &via) == 0) {
        parts[n++] = via->host;
        parts[n++] = via->branch;
        parts[n++] = via->rport_text;
    }
    if (sip_msg_from(msg, &from) == 0)
        parts[n++] = from->uri_text;
    if (sip_msg_to(msg, &to) == 0)
        parts[n++] = to->params;
    if (sip_msg_cseq(msg, &cseq) == 0)
        parts[n++] = cseq->method_name;
    if (sip_msg_ruri(msg, &ruri) == 0)
        parts[n++] = ruri->host;
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        FUZZ_ASSERT(fuzz_is_within(parts[i], slice_make(msg->bytes, msg->len)));
        for (size_t k = 0; k < parts[i].len; k++)
            sum = sum * 31 + (uint8_t)parts[i].ptr[k];
        sum = sum * 31 + parts[i].len;
    }
    return sum;
}

static void check_unedited(const struct sip_msg *msg, struct fuzz_memory *m)
{
    struct sip_edit edit;
    struct wire *wire;
    sip_edit_init(&edit, msg, &m->arena);
    FUZZ_ASSERT(sip_edit_build(&edit, UINT32_MAX, &wire) == 0);
    FUZZ_ASSERT(slice_eq(wire_slice(wire), slice_make(msg->bytes, msg->len)));
    wire_unref(wire);
}

static void check_kept(struct sip_msg *msg, struct fuzz_memory *m)
{
    struct sip_msg kept;
    FUZZ_ASSERT(sip_msg_keep(msg, &m->arena, &m->arena, &kept) == 0);
    FUZZ_ASSERT(kept.bytes != msg->bytes);
    uint64_t before = fingerprint(&kept);
    FUZZ_ASSERT(before == fingerprint(msg));
    FUZZ_ASSERT(sip_msg_keep(msg, &m->arena, &m->arena, &kept) == 0);
    FUZZ_ASSERT(fingerprint(&kept) == before);
}

static void check_index(const struct sip_msg *msg, struct slice bytes)
{
    FUZZ_ASSERT(fuzz_is_within(slice_make(msg->bytes, msg->len), bytes));
    FUZZ_ASSERT(msg->hdrs_off <= msg->hdrs_end && msg->hdrs_end <= msg->body_off);
    FUZZ_ASSERT(msg->body_off + msg->body_len == msg->len);
    for (uint16_t i = 0; i < msg->n_hdrs; i++) {
        const struct sip_hdr *h = &msg->hdrs[i];
        FUZZ_ASSERT(fuzz_is_within(sip_hdr_value(msg, h), sip_hdr_line(msg, h)));
        FUZZ_ASSERT(h->line_off >= msg->hdrs_off && h->line_off + h->line_len <= msg->hdrs_end);
        FUZZ_ASSERT(h->next == SIP_HDR_NONE || (h->next > i && msg->hdrs[h->next].id == h->id));
    }
}

static void peek(struct slice bytes)
{
    char memory[SIP_PEEK_SUBJECT_BYTES];
    FUZZ_ASSERT(fuzz_is_within(sip_peek_call_id(bytes), bytes));
    FUZZ_ASSERT(fuzz_is_within(sip_peek_top_via(bytes), bytes));
    (void)sip_peek_subject(bytes, memory);
}

static bool is_same(struct slice a, struct slice b)
{
    return slice_is_null(a) == slice_is_null(b) && slice_eq(a, b);
}

/* A request that is good and has an outline is in both the same. Only the topmost Via need be good: of those below, an
 * outline may have one that ends the walk. */
static void check_outline(struct sip_msg *msg, struct slice bytes)
{
    struct sip_values it = sip_values_of(msg, SIP_HDR_VIA);
    struct sip_outline o;
    struct slice element;
    const struct sip_cseq *cseq;
    unsigned n = 0;
    int rc;
    if (!sip_outline_read(bytes, &o))
        return;
    FUZZ_ASSERT(msg->is_request && slice_eq(o.method, msg->method_name) && slice_eq(o.ruri, msg->ruri));
    FUZZ_ASSERT(slice_eq(o.call_id, sip_msg_call_id(msg)));
    FUZZ_ASSERT(slice_eq(o.from, sip_msg_value(msg, SIP_HDR_FROM)) &&
                slice_eq(o.to, sip_msg_value(msg, SIP_HDR_TO)));
    FUZZ_ASSERT(is_same(o.from_tag, sip_msg_from_tag(msg)) && is_same(o.to_tag, sip_msg_to_tag(msg)));
    FUZZ_ASSERT(sip_msg_cseq(msg, &cseq) == 0 && cseq->number == o.cseq_number);
    while ((rc = sip_values_next(&it, &element)) == 0) {
        FUZZ_ASSERT(n < o.n_vias && slice_eq(o.vias[n], element));
        n++;
    }
    FUZZ_ASSERT(rc != ERR_NOTFOUND || n == o.n_vias);
}

static void try(struct slice bytes, bool datagram)
{
    struct fuzz_memory m;
    struct sip_msg msg;
    struct sip_error error = {0};
    fuzz_memory_init(&m);
    int rc = sip_msg_parse(bytes, datagram, &sip_limits_default, &m.arena, &msg, &error);
    FUZZ_ASSERT(rc == 0 || error.phrase);
    if (bytes.len > 0 && msg.len > 0) {
        check_index(&msg, bytes);
        read_elements(&msg);
        (void)fingerprint(&msg);
    }
    if (rc == 0) {
        check_unedited(&msg, &m);
        check_kept(&msg, &m);
        if (sip_msg_check(&msg, &error) == 0 && datagram)
            check_outline(&msg, bytes);
    }
    fuzz_memory_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    peek(fuzz_slice(data, size));
    try(fuzz_slice(data, size), true);
    try(fuzz_slice(data, size), false);
    return 0;
}
