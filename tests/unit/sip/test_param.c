#include "support.h"

static void a_parameter_is_found_without_case(void **state)
{
    (void)state;
    struct slice params = SLICE(";expires=60;+sip.instance=\"<urn:uuid:0>\" ; OB;q = 0.5;Q=1"), value;
    assert_true(sip_param(params, SLICE("EXPIRES"), &value));
    assert_slice(value, "60");
    assert_true(sip_param(params, SLICE("+sip.instance"), &value));
    assert_slice(value, "\"<urn:uuid:0>\"");
    assert_true(sip_param(params, SLICE("ob"), &value));
    assert_false(slice_is_null(value));
    assert_int_equal(value.len, 0);
    assert_true(sip_param(params, SLICE("q"), &value)); /* the first of two */
    assert_slice(value, "0.5");
    value = SLICE("untouched");
    assert_false(sip_param(params, SLICE("expire"), &value));
    assert_false(sip_param(SLICE(""), SLICE("expires"), &value));
    assert_false(sip_param(SLICE_NULL, SLICE("expires"), &value));
    assert_slice(value, "untouched");
}

static void what_looks_like_a_parameter_in_a_quoted_value_is_none(void **state)
{
    (void)state;
    struct slice value;
    assert_false(sip_param(SLICE(";a=\";tag=1\""), SLICE("tag"), &value));
    assert_false(sip_param(SLICE(";a=\"\\\";tag=1;\""), SLICE("tag"), &value));
    assert_true(sip_param(SLICE(";a=\"\\\\\";tag=1"), SLICE("tag"), &value));
    assert_slice(value, "1");
}

static void q_is_in_thousandths_20_10(void **state)
{
    (void)state;
    static const struct {
        const char *params;
        int q; /* or -1 */
    } rows[] = {
        {"", 1000},        {";x=y", 1000},    {";q=1", 1000},  {";q=1.", 1000},     {";q=1.000", 1000},
        {";q=0", 0},       {";q=0.", 0},      {";q=0.5", 500}, {";q=0.05", 50},     {";q=0.123", 123},
        {";Q=0.9", 900},   {";q=", -1},       {";q", -1},      {";q=2", -1},        {";q=1.001", -1},
        {";q=0.1234", -1}, {";q=.5", -1},     {";q=-1", -1},   {";q=0.x", -1},      {";q=00.5", -1},
        {";q=\"1\"", -1},  {";q=1.0000", -1}, {";q=1x", -1},   {";q=0.3;q=9", 300}, {";q=0x", -1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        unsigned q = 7;
        int rc = sip_param_q(cstr(rows[i].params), &q);
        check_that(rc == (rows[i].q < 0 ? ERR_SYNTAX : 0), cstr(rows[i].params));
        check_that(q == (rows[i].q < 0 ? 7U : (unsigned)rows[i].q), cstr(rows[i].params));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parameter_is_found_without_case),
        cmocka_unit_test(what_looks_like_a_parameter_in_a_quoted_value_is_none),
        cmocka_unit_test(q_is_in_thousandths_20_10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
