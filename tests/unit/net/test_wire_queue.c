#include "net/wire_queue.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

static void push(struct wire_queue *q, struct slice text)
{
    struct wire *wire = wire_from(text);

    assert_int_equal(wire_queue_push(q, wire), 0);
    wire_unref(wire);
}

static void expect(const struct wire_queue *q, const char *want)
{
    struct iovec pieces[64];
    char text[256];
    size_t len = 0;

    for (int i = 0, n = wire_queue_pieces(q, pieces, 64); i < n; i++) {
        memcpy(text + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    text[len] = '\0';
    assert_string_equal(text, want);
    assert_int_equal(q->bytes, len);
}

static void advances_in_the_middle_and_over_the_ends_of_wires(void **state)
{
    struct wire_queue q = {0};

    (void)state;
    push(&q, SLICE("abc"));
    push(&q, SLICE("de"));
    push(&q, SLICE("fgh"));
    expect(&q, "abcdefgh");
    wire_queue_advance(&q, 1);
    expect(&q, "bcdefgh");
    wire_queue_advance(&q, 0);
    expect(&q, "bcdefgh");
    wire_queue_advance(&q, 2);
    expect(&q, "defgh");
    wire_queue_advance(&q, 3);
    expect(&q, "gh");
    push(&q, SLICE("i"));
    wire_queue_advance(&q, 3);
    assert_int_equal(q.count, 0);
    assert_null(q.slots); /* nothing is held while nothing waits */
    assert_int_equal(mem_held_bytes(), 0);
}

static void pieces_are_bounded(void **state)
{
    struct wire_queue q = {0};
    struct iovec pieces[4];

    (void)state;
    for (int i = 0; i < 10; i++)
        push(&q, SLICE("xy"));
    wire_queue_advance(&q, 1);
    assert_int_equal(wire_queue_pieces(&q, pieces, 4), 4);
    assert_int_equal(pieces[0].iov_len, 1);
    assert_int_equal(pieces[3].iov_len, 2);
    wire_queue_clear(&q);
    assert_int_equal(mem_held_bytes(), 0);
}

static void a_random_flow_comes_out_as_it_went_in(void **state)
{
    static char in[200000], out[200000];
    size_t put = 0, taken = 0;
    struct wire_queue q = {0};

    (void)state;
    srand(7);
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (char)rand();
    while (taken < sizeof(in)) {
        size_t len = 1 + (size_t)rand() % 300;
        struct iovec pieces[16];

        if (rand() % 2 && put < sizeof(in)) {
            len = len < sizeof(in) - put ? len : sizeof(in) - put;
            push(&q, slice_make(in + put, len));
            put += len;
            continue;
        }
        len = len * 3 < q.bytes ? len * 3 : q.bytes;
        for (int i = 0, n = wire_queue_pieces(&q, pieces, 16), left = (int)len; i < n && left > 0; i++) {
            size_t some = pieces[i].iov_len < (size_t)left ? pieces[i].iov_len : (size_t)left;

            memcpy(out + taken, pieces[i].iov_base, some);
            taken += some;
            left -= (int)some;
            wire_queue_advance(&q, some);
            n = wire_queue_pieces(&q, pieces, 16);
            i = -1;
        }
    }
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(mem_held_bytes(), 0);
}

static void no_memory_is_an_error_and_takes_no_reference(void **state)
{
    struct wire *wire = wire_from(SLICE("x"));
    struct wire_queue q = {0};

    (void)state;
    mem_fail_after(0);
    assert_int_equal(wire_queue_push(&q, wire), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(wire->refs, 1);
    wire_unref(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advances_in_the_middle_and_over_the_ends_of_wires),
        cmocka_unit_test(pieces_are_bounded),
        cmocka_unit_test(a_random_flow_comes_out_as_it_went_in),
        cmocka_unit_test(no_memory_is_an_error_and_takes_no_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
