/* sip_peek_call_id: the worker of a message is chosen by its Call-ID before anything is parsed. */
#include "support.h"

#include "sip/peek.h"

static void expect(const char *message, const char *call_id)
{
    struct slice got = sip_peek_call_id(slice_from_cstr(message));
    if (call_id == NULL)
        assert_null(got.ptr);
    else
        assert_true(slice_eq(got, slice_from_cstr(call_id)));
}

/* RFC 3261 sections 7.3.1 and 7.3.3: case, white space before the colon, folding, compact form. */
static void test_every_spelling(void **state)
{
    (void)state;
    expect("OPTIONS sip:a SIP/2.0\r\nCall-ID: a84b4c76e66710\r\n\r\n", "a84b4c76e66710");
    expect("OPTIONS sip:a SIP/2.0\r\nTo: x\r\ncALL-id \t: 1@h\r\n\r\n", "1@h");
    expect("SIP/2.0 200 OK\r\ni:1@h\r\n\r\n", "1@h");
    expect("SIP/2.0 200 OK\r\nI : 1@h  \r\n\r\n", "1@h");
    expect("OPTIONS sip:a SIP/2.0\r\nCall-ID:\r\n 1@h\r\n\r\n", "1@h");
    /* Section 7.5: empty lines before the start line do not count. */
    expect("\r\nSIP/2.0 200 OK\r\nTo: x\r\nCall-ID: 1@h\r\n\r\n", "1@h");
    expect("\r\n\r\n\r\nOPTIONS sip:a SIP/2.0\r\ni: 1@h\r\n\r\n", "1@h");
}

static void test_nothing_to_find(void **state)
{
    (void)state;
    expect("", NULL);
    expect("OPTIONS sip:a SIP/2.0", NULL);
    expect("OPTIONS sip:a SIP/2.0\r\nCall-IDs: 1\r\nIdentity: 2\r\n\r\n", NULL);
    /* A Call-ID in the start line or in the body is none. */
    expect("Call-ID: 1\r\nTo: x\r\n\r\n", NULL);
    expect("OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\nCall-ID: 1\r\n", NULL);
}

static void expect_subject(const char *message, const char *want)
{
    char memory[SIP_PEEK_SUBJECT_BYTES];
    struct slice got = sip_peek_subject(slice_from_cstr(message), memory);
    if (!slice_eq(got, slice_from_cstr(want)))
        fail_msg("%s: \"%.*s\"", message, SLICE_ARG(got));
}

/* Section 10.3: "REGISTER requests MUST be processed by a registrar in the order that they are received". Those for one
 * address-of-record go to one worker, whatever their Call-ID, and so do the responses to one that was forwarded. */
static void test_10_3_registers_of_one_user_have_one_subject(void **state)
{
    (void)state;
#define REST "\r\nCall-ID: 1@h\r\nCSeq: 7 REGISTER\r\n\r\n"
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: <sip:bob@a>" REST, "bob");
    expect_subject("\r\nREGISTER sip:a SIP/2.0\r\nTo: \"Bob\" <sip:bob@a;x=y>;z" REST, "bob");
    expect_subject("REGISTER sip:a SIP/2.0\r\nt: sip:bob@a;tag=1" REST, "bob");
    expect_subject("SIP/2.0 200 OK\r\nTo:\r\n <sip:bob@a>;tag=2" REST, "bob");
    /* Others by their Call-ID. */
    expect_subject("OPTIONS sip:a SIP/2.0\r\nTo: <sip:bob@a>" REST, "1@h");
    expect_subject("REGISTERS sip:a SIP/2.0\r\nTo: <sip:bob@a>" REST, "1@h");
    expect_subject("SIP/2.0 200 OK\r\nTo: <sip:bob@a>\r\nCall-ID: 1@h\r\nCSeq: 7 INVITE\r\n\r\n", "1@h");
    expect_subject("SIP/2.0 200 OK\r\nTo: <sip:bob@a>\r\nCall-ID: 1@h\r\n\r\n", "1@h");
    expect_subject("REGISTER sip:a SIP/2.0\r\nCall-ID: 1@h\r\n\r\n", "1@h");
}

/* Section 19.1.4 and section 10.3 step 5: many spellings are one address-of-record, and must have one worker. */
static void test_10_3_however_the_user_is_spelled_it_is_one_subject(void **state)
{
    static const char *const tos[] = {
        "<sip:bob@a>",
        "<sip:bob@A>",
        "<sip:%62o%62@a>",
        "<sip:bob@a:5060;transport=tcp>;x=y",
        "<sips:bob@alias.a>",
        "<SIP:bob:secret@a>",
        "sip:bob@a;tag=1",
        "\"<sip:eve@a>\" <sip:bob@a>",
        "\"\\\"<sip:eve@a>\" <sip:bob@a>",
        "\"Bob\"\r\n <sip:bob@a>",
        "Bob\r\n\t<sip:bob@a>\r\n ;x=y",
    };
    char message[256];

    (void)state;
    for (size_t i = 0; i < sizeof(tos) / sizeof(tos[0]); i++) {
        snprintf(message, sizeof(message), "REGISTER sip:a SIP/2.0\r\nTo: %s" REST, tos[i]);
        expect_subject(message, "bob");
    }
    /* The case of a user matters; what is no escape stays. */
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: <sip:Bob@a>" REST, "Bob");
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: <sip:b%6@a>" REST, "b%6");
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: <sip:b%6x@a>" REST, "b%6x");
    /* Nobody is registered without a user. */
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: <sip:a>;x=y@z" REST, "1@h");
    expect_subject("REGISTER sip:a SIP/2.0\r\nTo: \"open <sip:bob@a>" REST, "1@h");
}

static void test_a_long_user_is_cut(void **state)
{
    char message[512], user[301], memory[SIP_PEEK_SUBJECT_BYTES];

    (void)state;
    memset(user, 'u', sizeof(user) - 1);
    user[sizeof(user) - 1] = '\0';
    snprintf(message, sizeof(message), "REGISTER sip:a SIP/2.0\r\nTo: <sip:%s@a>" REST, user);
    struct slice got = sip_peek_subject(slice_from_cstr(message), memory);
    assert_int_equal(got.len, SIP_PEEK_SUBJECT_BYTES);
    assert_true(slice_starts_with(slice_from_cstr(user), got));
}

/* Every cut of a message is read within its bounds, behind which nobody may read, and gives a prefix of the value. */
static void test_every_prefix(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "OPTIONS sip:a SIP/2.0\r\nTo: x\r\nCall-ID: 1234@host\r\n\r\n",
        "SIP/2.0 200 OK\r\nTo: <sip:u@h>\r\nCSeq: 1 REGISTER\r\nCall-ID: 1234@host\r\n\r\n",
    };
    for (size_t i = 0; i < ROWS(texts); i++) {
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            char memory[SIP_PEEK_SUBJECT_BYTES];
            struct guarded g = guarded_copy(slice_make(texts[i], n));
            struct slice got = sip_peek_call_id(g.copy);
            check_that(got.ptr == NULL || slice_starts_with(SLICE("1234@host"), got), g.copy);
            (void)sip_peek_subject(g.copy, memory);
            (void)sip_peek_top_via(g.copy);
            guarded_free(&g);
        }
    }
}

static void test_the_first_element_of_the_first_via(void **state)
{
    static const struct {
        const char *message, *via;
    } cases[] = {
        {"OPTIONS sip:a SIP/2.0\r\nTo: x\r\nVia: SIP/2.0/TLS a:1;branch=x\r\nVia: second\r\n\r\n",
         "SIP/2.0/TLS a:1;branch=x"},
        {"OPTIONS sip:a SIP/2.0\r\nv : SIP/2.0/TLS a ,SIP/2.0/UDP b\r\n\r\n", "SIP/2.0/TLS a"},
        {"OPTIONS sip:a SIP/2.0\r\n\r\nVia: in the body\r\n", ""},
        {"OPTIONS sip:a SIP/2.0\r\nVia:", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice via = sip_peek_top_via(slice_from_cstr(cases[i].message));

        if (!slice_eq(via, slice_from_cstr(cases[i].via)))
            fail_msg("case %zu: \"%.*s\"", i, SLICE_ARG(via));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_spelling),
        cmocka_unit_test(test_nothing_to_find),
        cmocka_unit_test(test_10_3_registers_of_one_user_have_one_subject),
        cmocka_unit_test(test_10_3_however_the_user_is_spelled_it_is_one_subject),
        cmocka_unit_test(test_a_long_user_is_cut),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_the_first_element_of_the_first_via),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
