/* What a REGISTER does to the bindings of an address-of-record: RFC 3261 section 10.3 steps 6 and 7. */
#include "base/mem.h"
#include "location/apply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW  1000000
#define AOR  SLICE("sip:alice@example.com")
#define NONE UINT32_MAX /* no expiration asked for */

static const struct location_flows no_flows;

struct contact {
    const char *uri;
    uint32_t requested_s;
};

/* A binding as it was, or must be: uri NULL ends a list. */
struct bound {
    const char *uri, *call_id;
    uint32_t cseq;
    int left_s;
};

#define CONTACTS 4

struct request {
    const char *call_id;
    uint32_t cseq;
    bool wildcard;
    struct contact contacts[CONTACTS];
};

static struct location_record *record_of(const struct bound *bound)
{
    struct location_binding b[LOCATION_CONTACTS_MAX];
    struct location_record *record;
    size_t n = 0;

    for (; bound && bound[n].uri; n++) {
        b[n] = (struct location_binding){.uri = slice_from_cstr(bound[n].uri),
                                         .call_id = slice_from_cstr(bound[n].call_id),
                                         .cseq = bound[n].cseq,
                                         .row = n + 1,
                                         .q_milli = 1000,
                                         .expires_s = NOW + bound[n].left_s};
    }
    if (n == 0)
        return NULL;
    assert_int_equal(location_record_new(AOR, b, n, &record), 0);
    return record;
}

static void apply_with(const struct location_limits *limits, const struct location_record *old,
                       const struct request *request, struct location_outcome *ret_outcome)
{
    struct location_contact contacts[CONTACTS];
    struct location_register reg = {.aor = AOR,
                                    .call_id = slice_from_cstr(request->call_id),
                                    .cseq = request->cseq,
                                    .wildcard = request->wildcard,
                                    .contacts = contacts};

    for (; reg.n_contacts < CONTACTS && request->contacts[reg.n_contacts].uri; reg.n_contacts++) {
        const struct contact *c = &request->contacts[reg.n_contacts];

        contacts[reg.n_contacts] = (struct location_contact){.uri = slice_from_cstr(c->uri),
                                                             .q_milli = 1000,
                                                             .requested_s = c->requested_s,
                                                             .has_requested = c->requested_s != NONE};
    }
    assert_int_equal(location_apply(old, &reg, NOW, limits, ret_outcome), 0);
}

static void assert_record(const char *name, const struct location_record *record, const struct bound *want)
{
    size_t n = 0;

    for (; want && want[n].uri; n++) {
        struct location_binding b;

        if (!record || n >= record->count)
            fail_msg("%s: binding %zu is missing", name, n);
        b = location_record_get(record, n);
        if (!slice_eq(b.uri, slice_from_cstr(want[n].uri)) ||
            !slice_eq(b.call_id, slice_from_cstr(want[n].call_id)) || b.cseq != want[n].cseq ||
            b.expires_s != NOW + want[n].left_s)
            fail_msg("%s: binding %zu is %.*s %.*s %u %lld", name, n, SLICE_ARG(b.uri), SLICE_ARG(b.call_id),
                     b.cseq, (long long)(b.expires_s - NOW));
    }
    if (record && record->count != n)
        fail_msg("%s: %u bindings, not %zu", name, record->count, n);
}

#define A "sip:a@192.0.2.1"
#define B "sip:b@192.0.2.2"
#define C "sip:c@192.0.2.3"

static const struct {
    const char *name;
    struct bound old[4];
    struct request request;
    unsigned status;
    struct bound now[4]; /* after a 200 */
} cases[] = {
    /* Step 7: adding. */
    {"10.3.7: a binding that does not exist is added",
     {{0}},
     {"x", 1, false, {{A, 600}}},
     200,
     {{A, "x", 1, 600}}},
    {"10.3.7: others stay",
     {{B, "y", 7, 50}},
     {"x", 1, false, {{A, 600}}},
     200,
     {{B, "y", 7, 50}, {A, "x", 1, 600}}},
    {"10.3.7: several at once",
     {{0}},
     {"x", 1, false, {{A, 600}, {B, 700}}},
     200,
     {{A, "x", 1, 600}, {B, "x", 1, 700}}},
    {"10.3.7: without expires the default is taken",
     {{0}},
     {"x", 1, false, {{A, NONE}}},
     200,
     {{A, "x", 1, 3600}}},
    {"10.3.7: longer than the maximum is cut",
     {{0}},
     {"x", 1, false, {{A, 4294967294u}}},
     200,
     {{A, "x", 1, 7200}}},
    /* Step 7: 423. */
    {"10.3.7: less than the minimum is too brief", {{0}}, {"x", 1, false, {{A, 59}}}, 423, {{0}}},
    {"10.3.7: 1 s is too brief", {{0}}, {"x", 1, false, {{A, 1}}}, 423, {{0}}},
    {"10.3.7: the minimum itself is not", {{0}}, {"x", 1, false, {{A, 60}}}, 200, {{A, "x", 1, 60}}},
    {"10.3.7: 0 is never too brief", {{A, "x", 1, 50}}, {"x", 2, false, {{A, 0}}}, 200, {{0}}},
    {"10.3.7: one brief contact refuses all", {{0}}, {"x", 1, false, {{A, 600}, {B, 5}}}, 423, {{0}}},
    /* Step 7: refreshing and order. */
    {"10.3.7: same Call-ID, higher CSeq updates",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{A, 600}}},
     200,
     {{A, "x", 2, 600}}},
    {"10.3.7: same Call-ID, same CSeq fails", {{A, "x", 2, 50}}, {"x", 2, false, {{A, 600}}}, 500, {{0}}},
    {"10.3.7: same Call-ID, lower CSeq fails", {{A, "x", 3, 50}}, {"x", 2, false, {{A, 600}}}, 500, {{0}}},
    {"10.3.7: same Call-ID, lower CSeq does not remove",
     {{A, "x", 3, 50}},
     {"x", 2, false, {{A, 0}}},
     500,
     {{0}}},
    {"10.3.7: another Call-ID updates, whatever the CSeq",
     {{A, "x", 9, 50}},
     {"y", 2, false, {{A, 600}}},
     200,
     {{A, "y", 2, 600}}},
    {"10.3.7: another Call-ID removes, whatever the CSeq",
     {{A, "x", 9, 50}},
     {"y", 2, false, {{A, 0}}},
     200,
     {{0}}},
    {"10.3.7: Call-IDs differ by case",
     {{A, "x", 9, 50}},
     {"X", 2, false, {{A, 600}}},
     200,
     {{A, "X", 2, 600}}},
    {"10.3.7: the highest CSeq is a number",
     {{A, "x", 4294967294u, 50}},
     {"x", 4294967295u, false, {{A, 600}}},
     200,
     {{A, "x", 4294967295u, 600}}},
    /* Step 7: all or nothing. */
    {"10.3.7: one that is out of order undoes those before it",
     {{B, "x", 5, 50}},
     {"x", 5, false, {{A, 600}, {B, 600}}},
     500,
     {{0}}},
    {"10.3.7: removing and adding in one request",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{A, 0}, {B, 600}}},
     200,
     {{B, "x", 2, 600}}},
    {"10.3.7: of two equal contacts the later counts",
     {{0}},
     {"x", 1, false, {{A, 600}, {A, 700}}},
     200,
     {{A, "x", 1, 700}}},
    {"10.3.7: added and removed at once is nothing", {{0}}, {"x", 1, false, {{A, 600}, {A, 0}}}, 200, {{0}}},
    /* Section 10.2.2. */
    {"10.2.2: removing one leaves the others",
     {{A, "x", 1, 50}, {B, "y", 1, 60}, {C, "z", 1, 70}},
     {"y", 2, false, {{B, 0}}},
     200,
     {{A, "x", 1, 50}, {C, "z", 1, 70}}},
    {"10.2.2: removing what is not there succeeds",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{B, 0}}},
     200,
     {{A, "x", 1, 50}}},
    /* Expiry. */
    {"10.2: a dead binding is gone",
     {{A, "x", 1, 0}, {B, "y", 1, 1}},
     {"z", 1, false, {{C, 600}}},
     200,
     {{B, "y", 1, 1}, {C, "z", 1, 600}}},
    {"10.3.7: a dead binding does not set the order",
     {{A, "x", 9, -5}},
     {"x", 1, false, {{A, 600}}},
     200,
     {{A, "x", 1, 600}}},
    /* Comparison by section 19.1.4. */
    {"19.1.4: host and parameter names without case",
     {{"sip:a@Host.example;Transport=TCP", "x", 1, 50}},
     {"x", 2, false, {{"sip:a@hOST.example;transport=tcp", 600}}},
     200,
     {{"sip:a@hOST.example;transport=tcp", "x", 2, 600}}},
    {"19.1.4: users with case",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{"sip:A@192.0.2.1", 600}}},
     200,
     {{A, "x", 1, 50}, {"sip:A@192.0.2.1", "x", 2, 600}}},
    {"19.1.4: escaped or not",
     {{"sip:%61@192.0.2.1", "x", 1, 50}},
     {"x", 2, false, {{A, 600}}},
     200,
     {{A, "x", 2, 600}}},
    {"19.1.4: the default port counts",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{A ":5060", 600}}},
     200,
     {{A, "x", 1, 50}, {A ":5060", "x", 2, 600}}},
    {"19.1.4: sips is another",
     {{A, "x", 1, 50}},
     {"x", 2, false, {{"sips:a@192.0.2.1", 600}}},
     200,
     {{A, "x", 1, 50}, {"sips:a@192.0.2.1", "x", 2, 600}}},
    {"19.1.4: an unknown parameter in one is ignored",
     {{A ";ob", "x", 1, 50}},
     {"x", 2, false, {{A, 600}}},
     200,
     {{A, "x", 2, 600}}},
    {"19.1.4: not transitive: the very same text is meant first",
     {{A ";p=1", "x", 1, 50}, {A ";p=2", "y", 1, 60}, {A, "z", 1, 70}},
     {"z", 2, false, {{A, 600}}},
     200,
     {{A ";p=1", "x", 1, 50}, {A ";p=2", "y", 1, 60}, {A, "z", 2, 600}}},
    {"10.2.1: any scheme",
     {{"tel:+123", "x", 1, 50}},
     {"x", 2, false, {{"tel:+123", 600}, {"mailto:a@b.example", 600}}},
     200,
     {{"tel:+123", "x", 2, 600}, {"mailto:a@b.example", "x", 2, 600}}},
    /* RFC 4475 section 3.1.1.4. */
    {"4475 3.1.1.4: escaped nulls are two contacts",
     {{0}},
     {"x", 1, false, {{"sip:%00@h.example", 600}, {"sip:%00%00@h.example", 600}}},
     200,
     {{"sip:%00@h.example", "x", 1, 600}, {"sip:%00%00@h.example", "x", 1, 600}}},
    /* Step 6. */
    {"10.3.6: * removes all", {{A, "x", 1, 50}, {B, "y", 9, 60}}, {"x", 2, true, {{0}}}, 200, {{0}}},
    {"10.3.6: * where there is nothing", {{0}}, {"x", 2, true, {{0}}}, 200, {{0}}},
    {"10.3.6: * of another Call-ID removes, whatever the CSeq",
     {{A, "x", 9, 50}},
     {"y", 1, true, {{0}}},
     200,
     {{0}}},
    {"10.3.6: * with the CSeq of a binding fails", {{A, "x", 2, 50}}, {"x", 2, true, {{0}}}, 500, {{0}}},
    {"10.3.6: * out of order for one removes none",
     {{A, "y", 1, 50}, {B, "x", 3, 60}},
     {"x", 2, true, {{0}}},
     500,
     {{0}}},
};

static void test_table_of_section_10_3(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct location_record *old = record_of(cases[i].old);
        struct location_outcome outcome;

        apply_with(&location_limits_default, old, &cases[i].request, &outcome);
        if (outcome.status != cases[i].status)
            fail_msg("%s: %u", cases[i].name, outcome.status);
        if (outcome.status != 200) {
            assert_false(outcome.changed);
            assert_null(outcome.record);
            assert_non_null(outcome.why);
        } else {
            assert_record(cases[i].name, outcome.changed ? outcome.record : old, cases[i].now);
        }
        location_record_free(outcome.record);
        location_record_free(old);
    }
}

static void test_10_3_7_an_hour_or_more_is_never_too_brief(void **state)
{
    const struct location_limits limits = {
        .default_expires_s = 7200, .min_expires_s = 5000, .max_expires_s = 9000, .contacts = 10};
    struct location_outcome outcome;

    (void)state;
    apply_with(&limits, NULL, &(struct request){"x", 1, false, {{A, 3599}}}, &outcome);
    assert_int_equal(outcome.status, 423);
    apply_with(&limits, NULL, &(struct request){"x", 1, false, {{A, 3600}}}, &outcome);
    assert_int_equal(outcome.status, 200);
    assert_record("3600", outcome.record, (struct bound[]){{A, "x", 1, 3600}, {0}});
    location_record_free(outcome.record);
}

static void test_a_limit_on_contacts_refuses_new_ones_only(void **state)
{
    const struct bound two[] = {{A, "x", 1, 50}, {B, "x", 1, 50}, {0}};
    struct location_limits limits = location_limits_default;
    struct location_record *old = record_of(two);
    struct location_outcome outcome;

    (void)state;
    limits.contacts = 2;
    apply_with(&limits, old, &(struct request){"x", 2, false, {{C, 600}}}, &outcome);
    assert_int_equal(outcome.status, 403);
    apply_with(&limits, old, &(struct request){"x", 2, false, {{C, 600}, {A, 0}}}, &outcome);
    assert_int_equal(outcome.status, 200);
    location_record_free(outcome.record);
    limits.contacts = 1;
    apply_with(&limits, old, &(struct request){"x", 2, false, {{A, 600}}}, &outcome);
    assert_int_equal(outcome.status, 200);
    location_record_free(outcome.record);
    location_record_free(old);
}

static void test_rows_are_kept_by_a_refresh_and_only_what_changed_is_marked(void **state)
{
    struct location_record *old = record_of((struct bound[]){{A, "x", 1, 50}, {B, "y", 1, 60}, {0}});
    struct location_outcome outcome;

    (void)state;
    apply_with(&location_limits_default, old, &(struct request){"y", 2, false, {{B, 600}, {C, 600}}},
               &outcome);
    assert_int_equal(outcome.status, 200);
    assert_int_equal(location_record_get(outcome.record, 0).row, 1);
    assert_false(location_record_get(outcome.record, 0).changed);
    assert_int_equal(location_record_get(outcome.record, 1).row, 2);
    assert_true(location_record_get(outcome.record, 1).changed);
    assert_int_equal(location_record_get(outcome.record, 2).row, 0);
    assert_true(location_record_get(outcome.record, 2).changed);
    location_record_free(outcome.record);
    location_record_free(old);
}

static void test_expiry_removes_the_dead(void **state)
{
    struct location_record *old = record_of((struct bound[]){{A, "x", 1, 0}, {B, "y", 1, 1}, {0}});
    struct location_outcome outcome;

    (void)state;
    assert_int_equal(location_apply_expiry(old, NOW, &no_flows, &outcome), 0);
    assert_true(outcome.changed);
    assert_record("one lives", outcome.record, (struct bound[]){{B, "y", 1, 1}, {0}});
    location_record_free(outcome.record);
    assert_int_equal(location_apply_expiry(old, NOW - 1, &no_flows, &outcome), 0);
    assert_false(outcome.changed);
    assert_int_equal(location_apply_expiry(old, NOW + 1, &no_flows, &outcome), 0);
    assert_true(outcome.changed);
    assert_null(outcome.record);
    location_record_free(old);
}

/* The binding that is named exactly, by URI, Call-ID and CSeq: not what was registered since, and not what is
 * merely equal. */
static void test_a_loss_takes_that_very_binding(void **state)
{
    static const struct bound before[] = {
        {"sip:a@h", "c1", 4, 60}, {"sip:b@h", "c1", 4, 60}, {"sip:c@h", "c1", 4, 0}, {0}};
    static const struct {
        const char *uri, *call_id;
        uint32_t cseq;
        size_t count;
    } rows[] = {{"sip:a@h", "c1", 4, 1},
                {"sip:a@h", "c1", 3, 2},
                {"sip:a@h", "c1", 5, 2},
                {"sip:a@h", "c2", 4, 2},
                {"sip:a@H", "c1", 4, 2}};
    struct location_record *old = record_of(before);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct location_contact contact = {.uri = slice_from_cstr(rows[i].uri)};
        const struct location_register reg = {.aor = AOR,
                                              .call_id = slice_from_cstr(rows[i].call_id),
                                              .cseq = rows[i].cseq,
                                              .contacts = &contact,
                                              .n_contacts = 1};
        struct location_outcome outcome;

        assert_int_equal(location_apply_loss(old, &reg, NOW, &location_limits_default, &outcome), 0);
        assert_int_equal(outcome.status, 200);
        assert_true(outcome.changed); /* the dead one goes in any case */
        assert_int_equal(outcome.record->count, rows[i].count);
        assert_true(slice_eq(location_record_get(outcome.record, 0).uri,
                             rows[i].count == 1 ? SLICE("sip:b@h") : SLICE("sip:a@h")));
        location_record_free(outcome.record);
    }
    location_record_free(old);
}

static void test_without_memory_nothing_is_changed(void **state)
{
    const struct location_contact contact = {.uri = SLICE(A), .requested_s = 600, .has_requested = true};
    const struct location_register reg = {
        .aor = AOR, .call_id = SLICE("x"), .cseq = 1, .contacts = &contact, .n_contacts = 1};
    struct location_outcome outcome;

    (void)state;
    mem_fail_after(0);
    assert_int_equal(location_apply(NULL, &reg, NOW, &location_limits_default, &outcome), ERR_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(mem_held_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_of_section_10_3),
        cmocka_unit_test(test_10_3_7_an_hour_or_more_is_never_too_brief),
        cmocka_unit_test(test_a_limit_on_contacts_refuses_new_ones_only),
        cmocka_unit_test(test_rows_are_kept_by_a_refresh_and_only_what_changed_is_marked),
        cmocka_unit_test(test_expiry_removes_the_dead),
        cmocka_unit_test(test_a_loss_takes_that_very_binding),
        cmocka_unit_test(test_without_memory_nothing_is_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
