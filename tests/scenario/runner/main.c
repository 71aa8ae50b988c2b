/* scenario [-v] [-k TITLE] [--oom] FILE...: see README.md. */
#include "base/log.h"
#include "crypto/crypto.h"
#include "run.h"
#include <stdio.h>
#include <stdlib.h>

/* More allocations than any scenario makes: an end for a proxy that asks for memory for ever. */
#define OOM_MAX 2000

struct totals {
    unsigned passed, failed;
};

static enum verdict run_oom(const struct script *script, const struct script_part *part, bool once,
                            unsigned *ret_runs)
{
    for (long long n = 0; n < OOM_MAX; n++) {
        struct run_options options = {.lenient = true, .fail_after = n, .fail_once = once};
        bool exhausted = false;

        ++*ret_runs;
        if (run_scenario(script, part, &options, &exhausted) != VERDICT_PASS) {
            printf("  with allocation %lld failing%s\n", n, once ? " until the next statement" : " for good");
            return VERDICT_FAIL;
        }
        if (!exhausted)
            return VERDICT_PASS;
    }
    return VERDICT_PASS;
}

static void run_file(const char *file, const char *title, bool verbose, bool oom, struct totals *totals)
{
    struct heap heap;
    struct script script;
    unsigned runs = 0;

    heap_init(&heap);
    if (!script_load(&heap, file, &script))
        totals->failed++;
    for (size_t i = 1; i < script.n_parts; i++) {
        const struct script_part *part = &script.parts[i];
        struct run_options options = {.verbose = verbose, .fail_after = -1};
        enum verdict v;

        if (title && !strstr(heap_cstr(&heap, part->title), title))
            continue;
        v = oom ? VERDICT_PASS : run_scenario(&script, part, &options, NULL);
        if (oom && (run_oom(&script, part, false, &runs) || run_oom(&script, part, true, &runs)))
            v = VERDICT_FAIL;
        if (v == VERDICT_PASS)
            totals->passed++;
        else
            totals->failed++;
    }
    heap_done(&heap);
}

static void no_log(struct slice line, void *ctx)
{
    (void)line;
    (void)ctx;
}

static int usage(void)
{
    fputs("usage: scenario [-v] [-k TITLE] [--oom] FILE...\n"
          "  -v        print each message and each line of the script\n"
          "  -k TITLE  only scenarios whose title contains this\n"
          "  --oom     rerun each scenario with its first, second, ... allocation failing; look only at what "
          "is left\n",
          stderr);
    return 64;
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    const char *title = NULL;
    bool verbose = false, oom = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--oom") == 0)
            oom = true;
        else if (strcmp(argv[i], "-k") == 0 && i + 1 < argc)
            title = argv[++i];
        else
            return usage();
    }
    if (i == argc)
        return usage();
    if (crypto_init() < 0)
        return 70;
    if (!verbose)
        log_set_sink(no_log, NULL);
    for (; i < argc; i++)
        run_file(argv[i], title, verbose, oom, &totals);
    printf("%u scenarios passed, %u failed\n", totals.passed, totals.failed);
    return totals.failed > 0 || totals.passed == 0 ? 1 : 0;
}
