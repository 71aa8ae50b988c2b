#include "support.h"

#include "sip/scan.h"

/* Every search, its portable form, and the same by one octet after the other. */
struct search {
    const char *name;
    const char *(*find)(const char *p, const char *end), *(*portable)(const char *p, const char *end);
    bool (*ends_at)(char c);
};

static bool is_control(char c)
{
    return (uint8_t)c < ' ';
}

static bool is_blank(char c)
{
    return (uint8_t)c <= ' ';
}

static const char *find_separator(const char *p, const char *end)
{
    return sip_find_any_of_3(p, end, ',', '"', '<');
}

static const char *find_separator_portable(const char *p, const char *end)
{
    return sip_find_any_of_3_portable(p, end, ',', '"', '<');
}

static bool is_separator(char c)
{
    return c == ',' || c == '"' || c == '<';
}

#define OF_CLASS(name, class)                                                                                \
    static const char *find_##name##_portable(const char *p, const char *end)                                \
    {                                                                                                        \
        return sip_find_not(p, end, class);                                                                  \
    }                                                                                                        \
    static bool is_no_##name(char c)                                                                         \
    {                                                                                                        \
        return !sip_char_is(c, class);                                                                       \
    }

OF_CLASS(token, SIP_CHAR_TOKEN)
OF_CLASS(uri, SIP_CHAR_URI)
OF_CLASS(value, SIP_CHAR_VALUE)

static const struct search searches[] = {
    {"control", sip_find_control, sip_find_control_portable, is_control},
    {"blank", sip_find_blank, sip_find_blank_portable, is_blank},
    {"any of 3", find_separator, find_separator_portable, is_separator},
    {"token", sip_find_token_end, find_token_portable, is_no_token},
    {"URI", sip_find_uri_end, find_uri_portable, is_no_uri},
    {"value", sip_find_value_end, find_value_portable, is_no_value},
};

static void check_search(const struct search *search, struct slice text)
{
    const char *p = text.ptr, *end = p + text.len, *expected = p;
    while (expected < end && !search->ends_at(*expected))
        expected++;
    if (search->find(p, end) != expected || search->portable(p, end) != expected)
        fail_msg("%s: octet %ld of %zu", search->name, (long)(expected - p), text.len);
}

#define LENGTH_MAX 40 /* two blocks and some more */

/* Every octet, at every place, in a text of every length that ends where nobody may read. */
static void a_search_sees_every_octet_at_every_place(void **state)
{
    (void)state;
    char text[LENGTH_MAX];
    memset(text, 'x', sizeof(text));
    struct guarded g = guarded_copy(slice_make(text, sizeof(text)));
    assert_int_equal(mprotect(g.pages, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE), 0);
    char *end = g.pages + sysconf(_SC_PAGESIZE);
    for (size_t len = 0; len <= LENGTH_MAX; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                end[-(ptrdiff_t)(len - at)] = (char)c;
                for (size_t i = 0; i < ROWS(searches); i++)
                    check_search(&searches[i], slice_make(end - len, len));
            }
            end[-(ptrdiff_t)(len - at)] = 'x';
        }
    }
    guarded_free(&g);
}

/* The first of several is found. */
static void a_search_ends_at_the_first(void **state)
{
    (void)state;
    uint32_t seed = 3261;
    for (int round = 0; round < 20000; round++) {
        char text[LENGTH_MAX];
        for (size_t i = 0; i < LENGTH_MAX; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = seed >> 30 ? 'a' : (char)(seed >> 16);
        }
        for (size_t i = 0; i < ROWS(searches); i++)
            check_search(&searches[i], slice_make(text, (size_t)(seed >> 8) % (LENGTH_MAX + 1)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_sees_every_octet_at_every_place),
        cmocka_unit_test(a_search_ends_at_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
