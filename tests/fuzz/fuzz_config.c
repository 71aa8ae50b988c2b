/* Any octets as a configuration: it loads, or every reason why not names a line of the text. What loads
 * prints as a configuration that loads again and prints the same. */
#include "fuzz.h"

#include "base/mem.h"
#include "config/config.h"

static char *printed(const struct config *config, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);
    FUZZ_ASSERT(out != NULL);
    config_print(config, out);
    fclose(out);
    return text;
}

static void check_round_trip(const struct config *config)
{
    struct config_errors errors;
    struct config *again;
    size_t len, len_again;
    char *text = printed(config, &len);
    config_errors_init(&errors, "printed");
    FUZZ_ASSERT(config_parse(slice_make(text, len), &again, &errors) == 0);
    char *text_again = printed(again, &len_again);
    FUZZ_ASSERT(len == len_again && memcmp(text, text_again, len) == 0);
    config_free(again);
    config_errors_done(&errors);
    free(text);
    free(text_again);
}

/* In the order of the file; and libcyaml never refuses what the inspection let pass. */
static void check_errors(const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        FUZZ_ASSERT(i == 0 || errors->items[i - 1].line <= errors->items[i].line);
        FUZZ_ASSERT(strncmp(errors->items[i].what, "is not understood", strlen("is not understood")) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t held_before = mem_held_bytes();
    struct config_errors errors;
    struct config *config;
    config_errors_init(&errors, "fuzz.yaml");
    int rc = config_parse(slice_make((const char *)data, size), &config, &errors);
    FUZZ_ASSERT((rc == ERR_SYNTAX) == config_errors_any(&errors));
    if (rc == 0) {
        check_round_trip(config);
        config_free(config);
    }
    check_errors(&errors);
    config_errors_done(&errors);
    FUZZ_ASSERT(mem_held_bytes() == held_before);
    return 0;
}
