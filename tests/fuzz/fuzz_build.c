/* What is made from any request, good or bad, is itself good: responses, and ACK and CANCEL of an INVITE.
 * Input: steering octets for the arguments, and a message. */
#include "fuzz_sip.h"

#include "sip/build.h"

static void parse_built(struct fuzz_memory *memory, const struct wire *wire, struct sip_msg *ret_msg)
{
    struct sip_error error;
    FUZZ_ASSERT(sip_msg_parse(wire_slice(wire), false, &fuzz_wide_limits, &memory->arena, ret_msg, &error) ==
                0);
    FUZZ_ASSERT(ret_msg->len == wire->len && ret_msg->body_len == 0);
}

/* The same values line by line. */
static void check_same_lines(const struct sip_msg *a, const struct sip_msg *b, enum sip_hdr_id id)
{
    uint16_t i = a->first[id], j = b->first[id];
    while (i != SIP_HDR_NONE && j != SIP_HDR_NONE) {
        FUZZ_ASSERT(slice_eq(sip_hdr_value(a, &a->hdrs[i]), sip_hdr_value(b, &b->hdrs[j])));
        i = a->hdrs[i].next;
        j = b->hdrs[j].next;
    }
    FUZZ_ASSERT(i == j);
}

static void check_same_value(const struct sip_msg *a, const struct sip_msg *b, enum sip_hdr_id id)
{
    FUZZ_ASSERT(sip_msg_has(a, id) == sip_msg_has(b, id));
    FUZZ_ASSERT(slice_eq(sip_msg_value(a, id), sip_msg_value(b, id)));
}

static void check_tag(struct sip_msg *req, struct sip_msg *response, const struct sip_response_args *args)
{
    const struct sip_name_addr *to;
    struct slice tag = sip_msg_to_tag(req);
    if (sip_msg_to(req, &to) < 0 || args->status == 100)
        check_same_value(req, response, SIP_HDR_TO);
    else
        FUZZ_ASSERT(slice_eq(sip_msg_to_tag(response), slice_is_null(tag) ? args->to_tag : tag));
}

static void try_response(struct fuzz_memory *memory, struct fuzz_program *p, struct sip_msg *req, bool good)
{
    static const struct sip_extra extra[] = {{.id = SIP_HDR_UNSUPPORTED, .value = {"foo", 3}},
                                             {.id = SIP_HDR_OTHER}};
    uint8_t flags = fuzz_step(p);
    struct sip_response_args args = {
        .status = 100 + (unsigned)(fuzz_step(p) % 6) * 100,
        .to_tag = SLICE("viaduct"),
        .copy_record_route = flags & 1,
        .copy_timestamp = flags & 2,
        .extra = flags & 4 ? extra : NULL,
        .top_via = flags & 8 ? SLICE("SIP/2.0/UDP replaced;branch=x") : SLICE_NULL,
    };
    struct wire *wire;
    struct sip_msg response;
    struct sip_error error;
    struct sip_via head;
    if (sip_build_response(req, &args, &wire) < 0) {
        FUZZ_ASSERT(flags & 8 || sip_msg_top_via_head(req, &head) < 0);
        return;
    }
    parse_built(memory, wire, &response);
    FUZZ_ASSERT(response.status == args.status);
    check_same_value(req, &response, SIP_HDR_FROM);
    check_same_value(req, &response, SIP_HDR_CALL_ID);
    check_same_value(req, &response, SIP_HDR_CSEQ);
    check_tag(req, &response, &args);
    if (flags & 8)
        FUZZ_ASSERT(fuzz_count(req, SIP_HDR_VIA) == fuzz_count(&response, SIP_HDR_VIA));
    else
        check_same_lines(req, &response, SIP_HDR_VIA);
    if (flags & 1)
        check_same_lines(req, &response, SIP_HDR_RECORD_ROUTE);
    FUZZ_ASSERT(!good || sip_msg_check(&response, &error) == 0);
    wire_unref(wire);
}

static void check_follow_up(struct fuzz_memory *memory, const struct sip_msg *invite, struct wire *wire,
                            enum sip_method method)
{
    struct sip_msg msg;
    struct sip_error error;
    parse_built(memory, wire, &msg);
    FUZZ_ASSERT(sip_msg_check(&msg, &error) == 0);
    FUZZ_ASSERT(msg.method == method && slice_eq(msg.ruri, invite->ruri));
    FUZZ_ASSERT(fuzz_count(&msg, SIP_HDR_VIA) == 1);
    check_same_lines(invite, &msg, SIP_HDR_ROUTE);
    check_same_value(invite, &msg, SIP_HDR_FROM);
    check_same_value(invite, &msg, SIP_HDR_TO);
    wire_unref(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_program p = fuzz_program_of(data, size);
    struct fuzz_memory memory;
    struct sip_msg msg;
    struct sip_error error = {0};
    struct wire *wire;
    fuzz_memory_init(&memory);
    int rc = sip_msg_parse(p.message, true, &sip_limits_default, &memory.arena, &msg, &error);
    bool good = rc == 0 && sip_msg_check(&msg, &error) == 0;
    if (p.message.len > 0 && msg.is_request) {
        struct sip_via head;
        FUZZ_ASSERT(error.status == 0 || sip_msg_top_via_head(&msg, &head) == 0);
        try_response(&memory, &p, &msg, good);
    }
    if (good && msg.is_request) {
        FUZZ_ASSERT(sip_build_ack(&msg, &msg, &wire) == 0);
        check_follow_up(&memory, &msg, wire, SIP_METHOD_ACK);
        FUZZ_ASSERT(sip_build_cancel(&msg, SLICE("SIP;cause=200"), &wire) == 0);
        check_follow_up(&memory, &msg, wire, SIP_METHOD_CANCEL);
    }
    fuzz_memory_done(&memory);
    return 0;
}
