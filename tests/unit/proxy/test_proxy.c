#include "world.h"

/* --- A call --- */

static void call_goes_end_to_end_and_leaves_nothing(void **state)
{
    struct world w;
    const struct sent *inv, *ack, *bye, *up;
    char extra[512];

    (void)state;
    world_with_bob(&w);
    invite(&w);
    up = take_starting(&w, "SIP/2.0 100 Trying\r\n");
    assert_goes_to(up, ALICE);
    assert_has_not(up, "To: <sip:bob@example.com>;tag");
    inv = take_starting(
        &w, "INVITE sip:bob@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKvd03-");
    assert_goes_to(inv, BOB);
    assert_string_equal(header(inv, "Max-Forwards", 0), "69");
    assert_string_equal(header(inv, "Max-Breadth", 0), "60");
    assert_int_equal(count_headers(inv, "Via"), 2);
    assert_int_equal(count_headers(inv, "Record-Route"), 1);
    assert_has(inv, "Record-Route: <sip:vd0300-");
    assert_has(inv, "@192.0.2.1:5060;lr>\r\n");
    assert_silence(&w);

    respond(&w, inv, 100, NULL);
    assert_silence(&w);
    respond(&w, inv, 180, "b1");
    up = take_starting(&w, "SIP/2.0 180 ");
    assert_int_equal(count_headers(up, "Via"), 1);
    assert_goes_to(up, ALICE);
    respond(&w, inv, 200, "b1");
    up = take_starting(&w, "SIP/2.0 200 ");
    assert_string_equal(header(up, "Record-Route", 0), header(inv, "Record-Route", 0));
    assert_silence(&w);

    snprintf(extra, sizeof(extra), "Route: %s\r\n", header(up, "Record-Route", 0));
    request(&w, &(struct call){.method = "ACK",
                               .ruri = "sip:bob@192.0.2.20",
                               .branch = "z9hG4bKalice2",
                               .to = "<sip:bob@example.com>;tag=b1",
                               .extra = extra});
    ack = take_starting(&w, "ACK sip:bob@192.0.2.20 ");
    assert_goes_to(ack, BOB);
    assert_int_equal(count_headers(ack, "Route"), 0);
    assert_int_equal(count_headers(ack, "Via"), 2);
    assert_silence(&w);

    request(&w, &(struct call){.method = "BYE",
                               .ruri = "sip:bob@192.0.2.20",
                               .branch = "z9hG4bKalice3",
                               .to = "<sip:bob@example.com>;tag=b1",
                               .cseq = 2,
                               .extra = extra});
    bye = take_starting(&w, "BYE ");
    assert_int_equal(count_headers(bye, "Route"), 0);
    respond(&w, bye, 200, NULL);
    (void)take_starting(&w, "SIP/2.0 200 ");
    assert_silence(&w);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_goes_end_to_end_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
