#include "support.h"

struct good_name_addr {
    const char *text, *display, *uri, *params; /* display NULL: none */
    bool brackets;
};

static const struct good_name_addr good[] = {
    {"<sip:a@b>", NULL, "sip:a@b", "", true},
    {" \r\n <sip:a@b> ", NULL, "sip:a@b", "", true},
    {"Alice <sip:alice@atlanta.com>;tag=1928301774", "Alice", "sip:alice@atlanta.com", ";tag=1928301774",
     true},
    {"\"Mr. \\\"Watson\\\", Jr <sip:x@y>\" <sip:w@b>;q=0.7; expires=3600",
     "\"Mr. \\\"Watson\\\", Jr <sip:x@y>\"", "sip:w@b", ";q=0.7; expires=3600", true},
    {"A. G. Bell<sip:agb@bell.com>", "A. G. Bell", "sip:agb@bell.com", "", true},
    {"caller<sip:caller@example.com>;tag=323", "caller", "sip:caller@example.com", ";tag=323",
     true}, /* lwsdisp */
    {"\"\"<sip:a@b>", "\"\"", "sip:a@b", "", true},
    {"Ren\xc3\xa9 <sip:a@b>", "Ren\xc3\xa9", "sip:a@b", "", true},
    {"a\r\n b\t<sip:a@b>\r\n ;\r\n tag\t=\r\n x", "a\r\n b", "sip:a@b", ";\r\n tag\t=\r\n x", true},
    {"<sip:a@b;x=y?c=d,e>;z", NULL, "sip:a@b;x=y?c=d,e", ";z", true},
    {"<isbn:2983792873>", NULL, "isbn:2983792873", "", true},
    /* Section 20: without brackets everything after the semicolon is of the header. */
    {"sip:a@b", NULL, "sip:a@b", "", false},
    {"sip:a@b;tag=x", NULL, "sip:a@b", ";tag=x", false},
    {"sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n", NULL, "sip:vivekg@chair-dnrc.example.com",
     ";   tag    = 1918181833n", false},
    {"sip:user@[2001:db8::10]", NULL, "sip:user@[2001:db8::10]", "", false},
    {"tel:+1-212-555-1212;phone-context=x", NULL, "tel:+1-212-555-1212", ";phone-context=x", false},
    {"http://www.example.com", NULL, "http://www.example.com", "", false},
};

static void names_and_uris_are_told_apart_20(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good); i++) {
        struct guarded g = guarded_copy(cstr(good[i].text));
        struct sip_name_addr na;
        check_that(sip_name_addr_parse(g.copy, &na) == 0, g.copy);
        check_that(slice_is_null(na.display) == !good[i].display, g.copy);
        check_slice(na.display, cstr(good[i].display), g.copy);
        check_slice(na.uri_text, cstr(good[i].uri), g.copy);
        check_slice(na.params, cstr(good[i].params), g.copy);
        check_that(na.brackets == good[i].brackets, g.copy);
        check_slice(na.text, slice_trim(g.copy), g.copy);
        guarded_free(&g);
    }
}

static const char *const bad[] = {
    "",
    " ",
    "<>",
    "<",
    ">",
    "x",
    "*",
    "<sip:a@b",
    "sip:a@b>",
    "<<sip:a@b>>",
    "<sip:>",
    "sip:",
    "<:a>",
    "<1x:a>",
    "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",    /* RFC 4475 section 3.1.2.15 */
    "\"Watson, Thomas\" < sip:t.watson@example.org >",      /* 3.1.2.14 */
    "\"Mr. J. User <sip:j.user@example.com>",               /* 3.1.2.6 */
    "sip:user@example.com?Route=%3Csip:sip.example.com%3E", /* 3.1.2.13 */
    "\"Joe\" <sip:joe@example.org>;;;;",                    /* 3.1.2.1 */
    "sip:a@b,c",
    "sip:a,x@b",
    "sip:a@b;x,y",
    "sip:a@b x",
    "sip:a@b <sip:c@d>",
    "a;b <sip:c@d>",
    "a@b <sip:c@d>",
    "<sip:a@b>x",
    "<sip:a@b> x=y",
    "<sip:a@b>;",
    "<sip:a@b>;=x",
    "<sip:a@b>;x=\"",
    "<sip:a\"@b>",
    "<sip:a\tb>",
    "\\\"arik\\\" <sip:816666@voip.example>;tag=6433ef9",
    "\"a\" b <sip:c@d>",
    "a \"b\" <sip:c@d>",
    "\"a\"sip:c@d",
    "<sip:a@b>, <sip:c@d>",
    "<sip:a@b><sip:c@d>",
    "sip:\x7f",
};

static void what_is_no_name_addr_and_no_addr_spec_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct guarded g = guarded_copy(cstr(bad[i]));
        struct sip_name_addr na = {.brackets = true};
        check_that(sip_name_addr_parse(g.copy, &na) == ERR_SYNTAX, g.copy);
        check_that(na.brackets && slice_is_null(na.text), g.copy);
        guarded_free(&g);
    }
}

static void a_nul_is_good_as_a_quoted_pair_only(void **state)
{
    (void)state;
    struct sip_name_addr na;
    assert_int_equal(sip_name_addr_parse(SLICE("\"NUL:\\\0\" <sip:a@b>"), &na), 0);
    assert_int_equal(sip_name_addr_parse(SLICE("a\0b <sip:a@b>"), &na), ERR_SYNTAX);
    assert_int_equal(sip_name_addr_parse(SLICE("<sip:a\0b>"), &na), ERR_SYNTAX);
}

static void every_prefix_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(good); i++) {
        struct slice text = cstr(good[i].text);
        for (size_t len = 0; len < text.len; len++) {
            struct guarded g = guarded_copy(slice_sub(text, 0, len));
            struct sip_name_addr na;
            int rc = sip_name_addr_parse(g.copy, &na);
            check_that(rc == 0 || rc == ERR_SYNTAX, g.copy);
            guarded_free(&g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_uris_are_told_apart_20),
        cmocka_unit_test(what_is_no_name_addr_and_no_addr_spec_is_refused),
        cmocka_unit_test(a_nul_is_good_as_a_quoted_pair_only),
        cmocka_unit_test(every_prefix_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
