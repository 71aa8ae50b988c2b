#include "support.h"

#include "sip/msg_private.h"

static void a_phrase_names_the_header(void **state)
{
    (void)state;
    assert_string_equal(sip_phrase_missing(SIP_HDR_CALL_ID), "Missing Call-ID");
    assert_string_equal(sip_phrase_bad(SIP_HDR_CSEQ), "Bad CSeq");
    assert_string_equal(sip_phrase_duplicate(SIP_HDR_TO), "Duplicate To");
    assert_string_equal(sip_phrase_too_many(SIP_HDR_VIA), "Too Many Via");
    for (unsigned id = 0; id < SIP_HDR_COUNT; id++) {
        assert_non_null(sip_phrase_missing(id));
        assert_non_null(sip_phrase_bad(id));
        assert_non_null(sip_phrase_duplicate(id));
        assert_non_null(sip_phrase_too_many(id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phrase_names_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
