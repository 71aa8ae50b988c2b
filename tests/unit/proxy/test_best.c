#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/best.h"

static unsigned rank(unsigned status, bool is_local, bool is_invite, bool is_cancelled)
{
    const struct proxy_candidate candidate = {status, is_local, is_invite, is_cancelled};

    return proxy_best_rank(&candidate);
}

static unsigned class_of(unsigned status)
{
    return status / 100;
}

/* All pairs of final statuses, all flags. */
static void any_6xx_is_chosen_before_anything_else(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 8; flags++)
        for (unsigned a = 600; a < 700; a++)
            for (unsigned b = 300; b < 600; b++)
                assert_true(rank(a, flags & 1, flags & 2, flags & 4) < rank(b, false, flags & 2, flags & 4));
}

static void of_the_others_the_lowest_class_is_chosen(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++)
        for (unsigned a = 300; a < 600; a++)
            for (unsigned b = a; b < 600; b++)
                if (class_of(a) < class_of(b))
                    assert_true(rank(a, true, true, flags & 1) < rank(b, false, true, flags & 1));
}

static void what_helps_to_resubmit_is_preferred_in_the_4xx_class(void **state)
{
    static const unsigned preferred[] = {401, 407, 415, 420, 484};

    (void)state;
    for (size_t i = 0; i < sizeof(preferred) / sizeof(preferred[0]); i++) {
        for (unsigned other = 400; other < 500; other++) {
            bool is_preferred = false;

            for (size_t j = 0; j < sizeof(preferred) / sizeof(preferred[0]); j++)
                is_preferred |= preferred[j] == other;
            if (!is_preferred)
                assert_true(rank(preferred[i], false, true, false) < rank(other, false, true, false));
        }
    }
    /* Challenges first, since they are gathered; both alike. */
    assert_int_equal(rank(401, false, true, false), rank(407, false, true, false));
    assert_true(rank(407, false, true, false) < rank(415, false, true, false));
}

static void what_was_made_here_comes_after_the_same_from_outside(void **state)
{
    (void)state;
    for (unsigned status = 300; status < 700; status++)
        for (unsigned flags = 0; flags < 4; flags++)
            assert_true(rank(status, true, flags & 1, flags & 2) > rank(status, false, flags & 1, flags & 2));
}

static void a_timeout_comes_after_every_answer_of_its_class(void **state)
{
    (void)state;
    for (unsigned status = 400; status < 500; status++)
        assert_true(rank(408, true, true, false) > rank(status, false, true, false));
}

static void a_503_comes_last_in_its_class(void **state)
{
    (void)state;
    for (unsigned status = 500; status < 600; status++)
        if (status != 503)
            assert_true(rank(503, false, true, false) > rank(status, true, true, false));
}

static void a_408_is_no_answer_to_a_non_invite(void **state)
{
    (void)state;
    for (unsigned status = 300; status < 700; status++)
        if (status != 408)
            assert_true(rank(408, false, false, false) > rank(status, true, false, false));
}

static void a_cancelled_request_prefers_487_in_its_class_only(void **state)
{
    (void)state;
    for (unsigned status = 400; status < 500; status++)
        if (status != 487)
            assert_true(rank(487, false, true, true) < rank(status, false, true, true));
    assert_true(rank(487, false, true, true) > rank(302, false, true, true));
    assert_true(rank(487, false, true, true) > rank(603, false, true, true));
    assert_true(rank(487, false, true, false) > rank(486, false, true, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_6xx_is_chosen_before_anything_else),
        cmocka_unit_test(of_the_others_the_lowest_class_is_chosen),
        cmocka_unit_test(what_helps_to_resubmit_is_preferred_in_the_4xx_class),
        cmocka_unit_test(what_was_made_here_comes_after_the_same_from_outside),
        cmocka_unit_test(a_timeout_comes_after_every_answer_of_its_class),
        cmocka_unit_test(a_503_comes_last_in_its_class),
        cmocka_unit_test(a_408_is_no_answer_to_a_non_invite),
        cmocka_unit_test(a_cancelled_request_prefers_487_in_its_class_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
