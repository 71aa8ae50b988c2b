#include "support.h"

#define WITH(a, b, c, d, e, f) INVITE_LINE a b c d e f "\r\n"

struct verdict {
    const char *text;
    unsigned status;    /* 0 with a phrase: dropped */
    const char *phrase; /* NULL: good */
    enum sip_hdr_id hdr;
};

static const struct verdict verdicts[] = {
    {PLAIN_INVITE, 0, NULL, 0},
    {PLAIN_RINGING, 0, NULL, 0},
    /* Everything that section 8.1.1 wants, missing in turn. Max-Forwards may be (section 16.3 item 3). */
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, NULL, 0},
    {WITH("", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, "Missing Via", SIP_HDR_VIA},
    {WITH(VIA_LINE, "", TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Missing From", SIP_HDR_FROM},
    {WITH(VIA_LINE, FROM_LINE, "", CALL_ID_LINE, CSEQ_LINE, ""), 400, "Missing To", SIP_HDR_TO},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "", CSEQ_LINE, ""), 400, "Missing Call-ID", SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "", ""), 400, "Missing CSeq", SIP_HDR_CSEQ},
    /* There twice. */
    {INVITE_OF(FROM_LINE), 400, "Duplicate From", SIP_HDR_FROM},
    {INVITE_OF(TO_LINE), 400, "Duplicate To", SIP_HDR_TO},
    {INVITE_OF("t: <sip:x>\r\n"), 400, "Duplicate To", SIP_HDR_TO},
    {INVITE_OF(CALL_ID_LINE), 400, "Duplicate Call-ID", SIP_HDR_CALL_ID},
    {INVITE_OF(CSEQ_LINE), 400, "Duplicate CSeq", SIP_HDR_CSEQ},
    {INVITE_OF("Max-Forwards: 1\r\nMax-Forwards: 1\r\n"), 400, "Duplicate Max-Forwards",
     SIP_HDR_MAX_FORWARDS},
    {INVITE_OF("Max-Breadth: 1\r\nMax-Breadth: 1\r\n"), 400, "Duplicate Max-Breadth", SIP_HDR_MAX_BREADTH},
    /* But what a proxy does not use is not looked at (section 16.3 item 1). */
    {INVITE_OF("Expires: 1\r\nExpires: 2\r\n"), 0, NULL, 0},
    {INVITE_OF("c: a/b\r\nContent-Type: a/b\r\n"), 0, NULL, 0},
    {INVITE_OF("s: a\r\nSubject: b\r\n"), 0, NULL, 0},
    {INVITE_OF(VIA_LINE "Route: <sip:x>\r\nRoute: <sip:y>\r\nContact: <sip:x>\r\nm: <sip:y>\r\n"), 0, NULL,
     0},
    {INVITE_OF("X: 1\r\nX: 2\r\n"), 0, NULL, 0},
    {INVITE_OF("Authorization: a b=c\r\nAuthorization: a b=c\r\n"), 0, NULL, 0},
    /* Via. */
    {WITH("Via: SIP/2.0/UDP a;;\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad Via",
     SIP_HDR_VIA},
    {WITH("Via: SIP/2.0/UDP\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, "Bad Via",
     SIP_HDR_VIA},
    {WITH("Via:\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, "Bad Via", SIP_HDR_VIA},
    {WITH("Via: ,SIP/2.0/UDP a\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, "Bad Via",
     SIP_HDR_VIA},
    {WITH("Via: SIP/2.0/UDP a;branch=1;branch=2\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400,
     "Bad Via", SIP_HDR_VIA},
    /* Only the top Via matters (section 16.3 item 1); one without a branch is of RFC 2543. */
    {INVITE_OF("Via: \\garbage\r\n"), 0, NULL, 0},
    {WITH("Via: SIP/2.0/UDP a\r\n", FROM_LINE, TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 0, NULL, 0},
    /* From and To; a tag is not demanded (section 17.2.3). */
    {WITH(VIA_LINE, "From: sip:a@b\r\n", "To: <isbn:1>\r\n", CALL_ID_LINE, CSEQ_LINE, ""), 0, NULL, 0},
    {WITH(VIA_LINE, "From: <sip:a@b>;tag\r\n", TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad From",
     SIP_HDR_FROM},
    {WITH(VIA_LINE, "From: <sip:a@b>;tag=\r\n", TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad From",
     SIP_HDR_FROM},
    {WITH(VIA_LINE, "From: <sip:a@b>;tag=\"x\"\r\n", TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad From",
     SIP_HDR_FROM},
    {WITH(VIA_LINE, FROM_LINE, "To: <sip:a@b>;tag=x;TAG=x\r\n", CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad To",
     SIP_HDR_TO},
    {WITH(VIA_LINE, FROM_LINE, "To: <sip:a@b>;tag=x@y\r\n", CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad To",
     SIP_HDR_TO},
    {WITH(VIA_LINE, FROM_LINE, "To: \"x <sip:a@b>\r\n", CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad To",
     SIP_HDR_TO},
    {WITH(VIA_LINE, FROM_LINE, "To:\r\n", CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad To", SIP_HDR_TO},
    {WITH(VIA_LINE, "From: a, b <sip:a@b>\r\n", TO_LINE, CALL_ID_LINE, CSEQ_LINE, ""), 400, "Bad From",
     SIP_HDR_FROM},
    /* Call-ID is a word, or two round an "@". */
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "i: (<)>:\\\"/[]?{}-.!%*_+`'~a1@b\r\n", CSEQ_LINE, ""), 0, NULL, 0},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID:\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID", SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID: a@\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID",
     SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID: @a\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID",
     SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID: a@b@c\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID",
     SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID: a b\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID",
     SIP_HDR_CALL_ID},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, "Call-ID: a;b\r\n", CSEQ_LINE, ""), 400, "Bad Call-ID",
     SIP_HDR_CALL_ID},
    /* CSeq. */
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 4294967295 INVITE\r\n", ""), 0, NULL, 0},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 0009\r\n  INVITE\r\n", ""), 0, NULL, 0},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 4294967296 INVITE\r\n", ""), 400, "Bad CSeq",
     SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 36893488147419103232 INVITE\r\n", ""), 400,
     "Bad CSeq", SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: -1 INVITE\r\n", ""), 400, "Bad CSeq",
     SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 1INVITE\r\n", ""), 400, "Bad CSeq",
     SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 1\r\n", ""), 400, "Bad CSeq", SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: INVITE\r\n", ""), 400, "Bad CSeq", SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 1 INVITE x\r\n", ""), 400, "Bad CSeq",
     SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 1 OPTIONS\r\n", ""), 400, "CSeq Method Mismatch",
     SIP_HDR_CSEQ},
    {WITH(VIA_LINE, FROM_LINE, TO_LINE, CALL_ID_LINE, "CSeq: 1 invite\r\n", ""), 400, "CSeq Method Mismatch",
     SIP_HDR_CSEQ},
    {"NEWMETHOD sip:b SIP/2.0\r\n" VIA_LINE FROM_LINE TO_LINE CALL_ID_LINE "CSeq: 1 NEWMETHOX\r\n\r\n", 400,
     "CSeq Method Mismatch", SIP_HDR_CSEQ},
    {"NEWMETHOD sip:b SIP/2.0\r\n" VIA_LINE FROM_LINE TO_LINE CALL_ID_LINE "CSeq: 1 NEWMETHOD\r\n\r\n", 0,
     NULL, 0},
    /* Max-Forwards is a number; how large is for the proxy. */
    {INVITE_OF("Max-Forwards: 300\r\n"), 0, NULL, 0},
    {INVITE_OF("Max-Forwards: 99999999999999\r\n"), 0, NULL, 0},
    {INVITE_OF("Max-Forwards: 0\r\n"), 0, NULL, 0},
    {INVITE_OF("Max-Forwards: -1\r\n"), 400, "Bad Max-Forwards", SIP_HDR_MAX_FORWARDS},
    {INVITE_OF("Max-Forwards:\r\n"), 400, "Bad Max-Forwards", SIP_HDR_MAX_FORWARDS},
    {INVITE_OF("Max-Forwards: 7 0\r\n"), 400, "Bad Max-Forwards", SIP_HDR_MAX_FORWARDS},
    /* The Request-URI; of another scheme it is for the proxy to answer 416. */
    {"INVITE sip:2001:db8::10 SIP/2.0\r\n" IDENTITY "\r\n", 400, "Bad Request-URI", SIP_HDR_OTHER},
    {"INVITE bob SIP/2.0\r\n" IDENTITY "\r\n", 400, "Bad Request-URI", SIP_HDR_OTHER},
    {"INVITE isbn:1 SIP/2.0\r\n" IDENTITY "\r\n", 0, NULL, 0},
    /* What the proxy does not use is not looked at (section 16.3 item 1). */
    {INVITE_OF("Contact: ;;;\r\nDate: tomorrow\r\nExpires: never\r\nRetry-After: x\r\n"), 0, NULL, 0},
    /* An ACK is never answered. */
    {"ACK sip:b SIP/2.0\r\n" VIA_LINE FROM_LINE TO_LINE "CSeq: 1 ACK\r\n\r\n", 0, "Missing Call-ID",
     SIP_HDR_CALL_ID},
    /* A response is dropped without what it is matched by (section 17.1.3). */
    {"SIP/2.0 200 OK\r\n" FROM_LINE TO_LINE CALL_ID_LINE CSEQ_LINE "\r\n", 0, "Missing Via", SIP_HDR_VIA},
    {"SIP/2.0 200 OK\r\n" VIA_LINE FROM_LINE TO_LINE CALL_ID_LINE "\r\n", 0, "Missing CSeq", SIP_HDR_CSEQ},
    {"SIP/2.0 200 OK\r\n" VIA_LINE CSEQ_LINE "\r\n", 0, NULL, 0},
    {"SIP/2.0 200 OK\r\n" IDENTITY TO_LINE "\r\n", 0, "Duplicate To", SIP_HDR_TO},
    {"SIP/2.0 503 x\r\n" VIA_LINE FROM_LINE TO_LINE CALL_ID_LINE "CSeq: 4294967296 INVITE\r\n\r\n", 0,
     "Bad CSeq", SIP_HDR_CSEQ},
    /* What belongs into messages of the other kind is ignored (section 7.3.2). */
    {"SIP/2.0 200 OK\r\n" IDENTITY "Max-Forwards: x\r\nMax-Forwards: y\r\n\r\n", 0, NULL, 0},
    {INVITE_OF("Server: a\r\nServer: b\r\nRetry-After: 1\r\nRetry-After: 2\r\n"), 0, NULL, 0},
    /* A response is not dropped for what only its receiver cares about. */
    {"SIP/2.0 200 OK\r\n" VIA_LINE "From: <\r\nTo: sip:b;tag=a;tag=b\r\nCall-ID: a b\r\n" CSEQ_LINE "\r\n", 0,
     NULL, 0},
    {"SIP/2.0 200 OK\r\n" IDENTITY "Date: a\r\nDate: b\r\nServer: c\r\nServer: d\r\n\r\n", 0, NULL, 0},
};

static void what_decides_identity_must_be_there_once_and_be_grammatical_16_3(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(verdicts); i++) {
        const struct verdict *row = &verdicts[i];
        struct memory m;
        struct sip_msg msg;
        struct sip_error error = {.status = 4711};
        memory_init(&m);
        struct guarded g = guarded_copy(cstr(row->text));
        parse_good(&m, g.copy, &msg);
        int rc = sip_msg_check(&msg, &error);
        check_that(rc == (row->phrase ? ERR_SYNTAX : 0), g.copy);
        if (rc < 0) {
            check_slice(cstr(error.phrase), cstr(row->phrase), g.copy);
            check_that(error.status == row->status, g.copy);
            check_that(error.hdr == row->hdr, g.copy);
            check_that(error.offset < g.copy.len, g.copy);
        } else {
            check_that(error.status == 4711, g.copy);
        }
        guarded_free(&g);
        memory_done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_decides_identity_must_be_there_once_and_be_grammatical_16_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
