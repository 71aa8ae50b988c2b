#include "policy/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(text)      slice_from_cstr(text)

static void numbers_are_rewritten_from_the_front(void **state)
{
    static const struct {
        const char *user, *prefix, *add;
        unsigned strip;
        const char *from, *to; /* NULL: as it was */
    } rows[] = {
        {"", "00", "+", 0, "004930", "+4930"},
        {"", "00", "+", 0, "4930", NULL},
        {"", "00", "", 0, "00123", "123"},
        {"", "", "+49", 1, "030", "+4930"},
        {"", "", "", 2, "12345", "345"},
        {"", "9", "", 1, "9012", "12"},
        {"", "", "", 0, "123", NULL},
        {"", "", "7", 0, "1;isub=2", "71;isub=2"},
        {"", "", "", 1, "12;isub=2", "2;isub=2"},
        {"", "+4", "0", 0, "%2B%349", "09"},
        {"", "", "", 1, "%23x", "x"},
        {"bob", "00", "+", 3, "anything", "bob"},
        {"a b", "", "", 0, "x", "a%20b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct policy_rewrite_opts rewrite = {.user = S(rows[i].user),
                                                    .prefix = S(rows[i].prefix),
                                                    .add = S(rows[i].add),
                                                    .strip = rows[i].strip};
        char memory[64];
        struct buf out;

        buf_init(&out, memory, sizeof(memory));
        if (!rows[i].to) {
            assert_int_equal(policy_rewrite(&rewrite, S(rows[i].from), &out), ERR_NOTFOUND);
            continue;
        }
        assert_int_equal(policy_rewrite(&rewrite, S(rows[i].from), &out), 0);
        assert_true(slice_eq(buf_slice(&out), S(rows[i].to)));
    }
}

static void nothing_must_be_left_and_nothing_written_beyond_the_room(void **state)
{
    char memory[3];
    struct buf out;

    (void)state;
    buf_init(&out, memory, sizeof(memory));
    assert_int_equal(policy_rewrite(&(struct policy_rewrite_opts){.strip = 5}, S("123"), &out), ERR_SYNTAX);
    assert_int_equal(policy_rewrite(&(struct policy_rewrite_opts){.strip = 5}, S("12;x=y"), &out),
                     ERR_SYNTAX);
    assert_int_equal(policy_rewrite(&(struct policy_rewrite_opts){.add = SLICE("99")}, S("123"), &out),
                     ERR_LIMIT);
}

static void a_user_is_decoded_up_to_a_semicolon(void **state)
{
    char memory[POLICY_USER_BYTES], lengthy[600];

    (void)state;
    assert_true(slice_eq(policy_user_decode(S("%2B49;x=y"), memory), S("+49")));
    assert_int_equal(policy_user_decode(SLICE_NULL, memory).len, 0);
    memset(lengthy, 'a', sizeof(lengthy));
    assert_int_equal(policy_user_decode(slice_make(lengthy, sizeof(lengthy)), memory).len, POLICY_USER_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rewritten_from_the_front),
        cmocka_unit_test(nothing_must_be_left_and_nothing_written_beyond_the_room),
        cmocka_unit_test(a_user_is_decoded_up_to_a_semicolon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
