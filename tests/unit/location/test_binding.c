/* Records: one allocation with all bindings of an address-of-record. */
#include "base/mem.h"
#include "location/binding.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define AOR SLICE("sip:subscriber123@example.com")

static const struct location_binding ordinary = {
    .row = 77,
    .changed = true,
    .uri = {"sip:subscriber123@192.168.100.123:50601;transport=udp", 53},
    .params = {"", 0},
    .path = {"", 0},
    .call_id = {"a84b4c76e66710@pc33.atlanta.example.com", 39},
    .cseq = 4294967295u,
    .q_milli = 500,
    .expires_s = 5000000000,
    .has_hop = true,
    .hop = {.addr = {.family = ADDR_IPV4, .ip = {192, 0, 2, 1}, .port = 5060},
            .flow = 99,
            .listener = 3,
            .transport = SIP_TRANSPORT_UDP},
};

static void assert_same(const struct location_binding *a, const struct location_binding *b)
{
    assert_int_equal(a->row, b->row);
    assert_int_equal(a->changed, b->changed);
    assert_true(slice_eq(a->uri, b->uri));
    assert_true(slice_eq(a->params, b->params));
    assert_true(slice_eq(a->path, b->path));
    assert_true(slice_eq(a->call_id, b->call_id));
    assert_int_equal(a->cseq, b->cseq);
    assert_int_equal(a->q_milli, b->q_milli);
    assert_int_equal(a->expires_s, b->expires_s);
    assert_int_equal(a->has_hop, b->has_hop);
    assert_true(addr_eq(&a->hop.addr, &b->hop.addr));
    assert_int_equal(a->hop.flow, b->hop.flow);
    assert_int_equal(a->hop.listener, b->hop.listener);
    assert_int_equal(a->hop.transport, b->hop.transport);
}

static void test_what_goes_in_comes_out(void **state)
{
    struct location_binding in[2] = {ordinary, ordinary}, out;
    struct location_record *record, *copy;

    (void)state;
    in[1].params = SLICE(";+sip.instance=\"<urn:uuid:1>\";reg-id=1");
    in[1].path = SLICE("<sip:p1.example.com;lr>,<sip:p2.example.com;lr>");
    assert_int_equal(location_record_new(AOR, in, 2, &record), 0);
    copy = location_record_dup(record);
    assert_non_null(copy);
    location_record_free(record);
    assert_true(slice_eq(location_record_aor(copy), AOR));
    assert_int_equal(copy->count, 2);
    for (size_t i = 0; i < 2; i++) {
        out = location_record_get(copy, i);
        assert_same(&in[i], &out);
    }
    location_record_set_stored(copy, 1, 1234);
    out = location_record_get(copy, 1);
    assert_int_equal(out.row, 1234);
    assert_false(out.changed);
    location_record_free(copy);
    assert_int_equal(mem_held_bytes(), 0);
}

static void test_an_ordinary_binding_takes_at_most_500_octets(void **state)
{
    struct location_record *record;

    (void)state;
    assert_int_equal(location_record_new(AOR, &ordinary, 1, &record), 0);
    /* With what the heap adds and two pointers of a map that is half full. */
    assert_in_range(mem_held_bytes() + 8 + 2 * sizeof(void *), 1, 500);
    location_record_free(record);
}

static void test_texts_beyond_their_limits_are_refused(void **state)
{
    static char text[LOCATION_PATH_BYTES_MAX + 1];
    struct location_record *record;
    struct location_binding b = ordinary;

    (void)state;
    b.uri = slice_make(text, LOCATION_URI_BYTES_MAX + 1);
    assert_int_equal(location_record_new(AOR, &b, 1, &record), ERR_LIMIT);
    b = ordinary;
    b.path = slice_make(text, sizeof(text));
    assert_int_equal(location_record_new(AOR, &b, 1, &record), ERR_LIMIT);
    b = ordinary;
    b.params = slice_make(text, LOCATION_PARAMS_BYTES_MAX + 1);
    assert_int_equal(location_record_new(AOR, &b, 1, &record), ERR_LIMIT);
    b = ordinary;
    b.call_id = slice_make(text, LOCATION_CALL_ID_BYTES_MAX + 1);
    assert_int_equal(location_record_new(AOR, &b, 1, &record), ERR_LIMIT);
    assert_int_equal(location_record_new(slice_make(text, LOCATION_AOR_BYTES_MAX + 1), &ordinary, 1, &record),
                     ERR_LIMIT);
    assert_int_equal(location_record_new(AOR, &ordinary, 0, &record), ERR_LIMIT);
    assert_int_equal(mem_held_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_an_ordinary_binding_takes_at_most_500_octets),
        cmocka_unit_test(test_texts_beyond_their_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
