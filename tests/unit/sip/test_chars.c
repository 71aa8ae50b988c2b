#include "support.h"

#include "sip/chars.h"

/* Each class is held to its rule of RFC 3261 section 25.1, written out as a string of octets. */
#define ALPHANUM   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define UNRESERVED ALPHANUM "-_.!~*'()"

static const struct {
    unsigned class;
    const char *octets;
} classes[] = {
    {SIP_CHAR_ALPHA, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    {SIP_CHAR_DIGIT, "0123456789"},
    {SIP_CHAR_ALPHANUM, ALPHANUM},
    {SIP_CHAR_HEX, "0123456789abcdefABCDEF"},
    {SIP_CHAR_TOKEN, ALPHANUM "-.!%*_+`'~"},
    {SIP_CHAR_WORD, ALPHANUM "-.!%*_+`'~()<>:\\\"/[]?{}"},
    {SIP_CHAR_UNRESERVED, UNRESERVED},
    {SIP_CHAR_RESERVED, ";/?:@&=+$,"},
    {SIP_CHAR_USER, UNRESERVED "&=+$,;?/"},
    {SIP_CHAR_PASSWORD, UNRESERVED "&=+$,"},
    {SIP_CHAR_PARAM, UNRESERVED "[]/:&+$"},
    {SIP_CHAR_HNV, UNRESERVED "[]/?:+$"},
    {SIP_CHAR_HOST, ALPHANUM "-._"},
    {SIP_CHAR_SCHEME, ALPHANUM "+-."},
};

static void every_class_is_its_rule_of_section_25_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(classes); i++) {
        for (int c = 1; c < 256; c++) {
            bool expected = strchr(classes[i].octets, c) != NULL;
            if (sip_char_is((char)c, classes[i].class) != expected)
                fail_msg("octet %d in class %x", c, classes[i].class);
        }
        assert_false(sip_char_is('\0', classes[i].class));
    }
}

static void an_addr_spec_is_visible_and_has_no_delimiters(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool visible = c > 32 && c != 127;
        bool uri = visible && !strchr("<>\"", c);
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_URI), uri);
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_VALUE), uri && !strchr(";,", c));
        assert_int_equal(sip_char_is((char)c, SIP_CHAR_DISPLAY),
                         c >= 128 || sip_char_is((char)c, SIP_CHAR_TOKEN));
    }
}

static void lower_case_folds_ascii_letters_and_nothing_else(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char expected = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
        assert_int_equal(sip_char_lower((char)c), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_is_its_rule_of_section_25_1),
        cmocka_unit_test(an_addr_spec_is_visible_and_has_no_delimiters),
        cmocka_unit_test(lower_case_folds_ascii_letters_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
