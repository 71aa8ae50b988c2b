#include "support.h"

#include "sip/find.h"
#include "sip/table.h"
#include <ctype.h>

static void change_case(char *text, int (*change)(int))
{
    for (; *text; text++)
        *text = (char)change((unsigned char)*text);
}

static void expect_header(const char *name, enum sip_hdr_id id)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", name);
    check_that(sip_hdr_from_name(cstr(text)) == id, cstr(text));
    change_case(text, tolower);
    check_that(sip_hdr_from_name(cstr(text)) == id, cstr(text));
    change_case(text, toupper);
    check_that(sip_hdr_from_name(cstr(text)) == id, cstr(text));
}

static void every_header_is_found_by_name_in_any_case_7_3_1(void **state)
{
    (void)state;
#define HEADER(id, name, compact, flags) expect_header(name, SIP_HDR_##id);
#include "sip/headers.def"
#undef HEADER
}

static void every_header_is_found_by_its_compact_form_7_3_3(void **state)
{
    (void)state;
#define HEADER(id, name, compact, flags)                                                                     \
    if (compact)                                                                                             \
        expect_header((const char[]){compact, 0}, SIP_HDR_##id);
#include "sip/headers.def"
#undef HEADER
}

/* One octet changed, added or missing is another header. */
static void no_other_name_is_taken_for_a_known_header(void **state)
{
    (void)state;
    for (unsigned id = 1; id < SIP_HDR_COUNT; id++) {
        struct slice name = sip_hdr_name(id);
        char text[64];
        for (size_t i = 0; i < name.len; i++) {
            memcpy(text, name.ptr, name.len);
            text[i] = text[i] == '.' ? '!' : '.';
            check_that(sip_hdr_from_name(slice_make(text, name.len)) == SIP_HDR_OTHER,
                       slice_make(text, name.len));
        }
        memcpy(text, name.ptr, name.len);
        text[name.len] = 's';
        check_that(sip_hdr_from_name(slice_make(text, name.len + 1)) == SIP_HDR_OTHER, name);
        if (name.len > 2)
            check_that(sip_hdr_from_name(slice_make(text, name.len - 1)) != id, name);
    }
    assert_int_equal(sip_hdr_from_name(SLICE("")), SIP_HDR_OTHER);
    assert_int_equal(sip_hdr_from_name(SLICE("C%6Fntact")), SIP_HDR_OTHER);
    for (int c = 0; c < 256; c++) {
        char one = (char)c;
        bool compact = strchr("VvFfTtIiMmLlCcEeKkSsOoRr", c) && c;
        assert_int_equal(sip_hdr_from_name(slice_make(&one, 1)) != SIP_HDR_OTHER, compact);
    }
}

/* What it finds is what the name alone would give; a name as the RFC writes it, shorter than a block, it has
 * to find. */
static void the_header_that_begins_a_line_is_the_one_of_its_name(void **state)
{
    (void)state;
    static const char *const rests[] = {": x234567890123456", ":", " : x234567890123456",
                                        "x: 234567890123456", "%: 34567890123456"};
    for (int id = 1; id < SIP_HDR_COUNT; id++) {
        struct slice name = sip_hdr_name(id);
        for (size_t i = 0; i < ROWS(rests); i++) {
            for (int flipped = -1; flipped < (int)name.len; flipped++) {
                char line[64];
                snprintf(line, sizeof(line), "%.*s%s", SLICE_ARG(name), rests[i]);
                if (flipped >= 0)
                    line[flipped] ^= 0x20;
                struct guarded g = guarded_copy(cstr(line));
                struct sip_hdr_at found = sip_hdr_at(g.copy);
                if (found.id != SIP_HDR_OTHER)
                    check_that(found.id == id && found.value_at == name.len + 2 && i == 0 && flipped < 0,
                               g.copy);
#ifdef SIP_BLOCK_BYTES
                if (i == 0 && flipped < 0 && name.len + 2 <= SIP_BLOCK_BYTES)
                    check_that(found.id == id, g.copy);
#endif
                guarded_free(&g);
            }
        }
    }
    assert_int_equal(sip_hdr_at(SLICE(": x234567890123456")).id, SIP_HDR_OTHER);
    assert_int_equal(sip_hdr_at(SLICE("::x234567890123456")).id, SIP_HDR_OTHER);
    assert_int_equal(sip_hdr_at(SLICE("")).id, SIP_HDR_OTHER);
}

static void a_header_name_is_given_in_its_long_form(void **state)
{
    (void)state;
#define HEADER(id, name, compact, flags) assert_slice(sip_hdr_name(SIP_HDR_##id), name);
#include "sip/headers.def"
#undef HEADER
    assert_slice(sip_hdr_name(SIP_HDR_OTHER), "");
}

static void flags_say_which_headers_are_single_and_which_are_lists(void **state)
{
    (void)state;
    assert_int_equal(sip_hdr_flags(SIP_HDR_OTHER), 0);
    assert_int_equal(sip_hdr_flags(SIP_HDR_CALL_ID), SIP_HDRF_SINGLE);
    assert_int_equal(sip_hdr_flags(SIP_HDR_VIA), SIP_HDRF_LIST);
    assert_int_equal(sip_hdr_flags(SIP_HDR_SUPPORTED), SIP_HDRF_LIST | SIP_HDRF_MAY_BE_EMPTY);
    /* Section 7.3.1 names these as the ones that are repeated and still no lists. */
    assert_int_equal(sip_hdr_flags(SIP_HDR_WWW_AUTHENTICATE), 0);
    assert_int_equal(sip_hdr_flags(SIP_HDR_AUTHORIZATION), 0);
    assert_int_equal(sip_hdr_flags(SIP_HDR_PROXY_AUTHENTICATE), 0);
    assert_int_equal(sip_hdr_flags(SIP_HDR_PROXY_AUTHORIZATION), 0);
}

static void methods_are_found_by_their_exact_name_7_1(void **state)
{
    (void)state;
#define METHOD(id, name)                                                                                     \
    assert_int_equal(sip_method_from_name(SLICE(name)), SIP_METHOD_##id);                                    \
    assert_slice(sip_method_name(SIP_METHOD_##id), name);
#include "sip/methods.def"
#undef METHOD
    static const char *const others[] = {"",         "invite", "Invite",    "INVITES", "INVIT",        "ACKK",
                                         "AC",       "INFOX",  "NEWMETHOD", "CANCER",  "RE%47IST%45R", "A",
                                         "BYEBYEBYE"};
    for (size_t i = 0; i < ROWS(others); i++)
        check_that(sip_method_from_name(cstr(others[i])) == SIP_METHOD_OTHER, cstr(others[i]));
    assert_slice(sip_method_name(SIP_METHOD_OTHER), "");
}

static void every_status_has_its_phrase_21(void **state)
{
    (void)state;
#define STATUS(code, phrase) assert_slice(sip_status_phrase(code), phrase);
#include "sip/status.def"
#undef STATUS
}

static void an_unknown_status_has_the_phrase_of_its_class_8_1_3_2(void **state)
{
    (void)state;
    assert_slice(sip_status_phrase(179), "Session Progress");
    assert_slice(sip_status_phrase(299), "OK");
    assert_slice(sip_status_phrase(399), "Multiple Choices");
    assert_slice(sip_status_phrase(499), "Bad Request");
    assert_slice(sip_status_phrase(599), "Server Internal Error");
    assert_slice(sip_status_phrase(699), "Busy Everywhere");
    assert_slice(sip_status_phrase(700), "Unknown");
    assert_slice(sip_status_phrase(0), "Unknown");
}

static void transports_are_found_in_any_case(void **state)
{
    (void)state;
#define TRANSPORT(id, via, param, flags)                                                                     \
    assert_int_equal(sip_transport_from_name(SLICE(via)), SIP_TRANSPORT_##id);                               \
    assert_int_equal(sip_transport_from_name(SLICE(param)), SIP_TRANSPORT_##id);                             \
    assert_slice(sip_transport_via_name(SIP_TRANSPORT_##id), via);                                           \
    assert_slice(sip_transport_param(SIP_TRANSPORT_##id), param);
#include "sip/transports.def"
#undef TRANSPORT
    static const char *const others[] = {"", "u", "t", "w", "s", "tc", "udpx", "wsss", "TLS-SCTP", "UNKNOWN"};
    for (size_t i = 0; i < ROWS(others); i++)
        check_that(sip_transport_from_name(cstr(others[i])) == SIP_TRANSPORT_OTHER, cstr(others[i]));
    assert_slice(sip_transport_via_name(SIP_TRANSPORT_OTHER), "");
}

static void transports_know_what_they_are(void **state)
{
    (void)state;
    static const struct {
        enum sip_transport transport;
        bool reliable, secure;
        uint16_t port;
    } rows[] = {
        {SIP_TRANSPORT_UDP, false, false, 5060},   {SIP_TRANSPORT_TCP, true, false, 5060},
        {SIP_TRANSPORT_TLS, true, true, 5061},     {SIP_TRANSPORT_SCTP, true, false, 5060},
        {SIP_TRANSPORT_WS, true, false, 80},       {SIP_TRANSPORT_WSS, true, true, 443},
        {SIP_TRANSPORT_OTHER, false, false, 5060},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(sip_transport_is_reliable(rows[i].transport), rows[i].reliable);
        assert_int_equal(sip_transport_is_secure(rows[i].transport), rows[i].secure);
        assert_int_equal(sip_transport_default_port(rows[i].transport), rows[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_is_found_by_name_in_any_case_7_3_1),
        cmocka_unit_test(every_header_is_found_by_its_compact_form_7_3_3),
        cmocka_unit_test(no_other_name_is_taken_for_a_known_header),
        cmocka_unit_test(the_header_that_begins_a_line_is_the_one_of_its_name),
        cmocka_unit_test(a_header_name_is_given_in_its_long_form),
        cmocka_unit_test(flags_say_which_headers_are_single_and_which_are_lists),
        cmocka_unit_test(methods_are_found_by_their_exact_name_7_1),
        cmocka_unit_test(every_status_has_its_phrase_21),
        cmocka_unit_test(an_unknown_status_has_the_phrase_of_its_class_8_1_3_2),
        cmocka_unit_test(transports_are_found_in_any_case),
        cmocka_unit_test(transports_know_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
