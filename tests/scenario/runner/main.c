/* scenario [-v] [-k TITLE] [--oom] FILE...: see README.md. */
#include "base/buf.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "run.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* More allocations than any scenario makes: an end for a proxy that asks for memory for ever. */
#define OOM_MAX 2000

struct totals {
    unsigned passed, failed;
    unsigned oom_runs;
};

/* For whoever reads of an assertion that failed. */
static struct {
    const char *file;
    char title[200];
    long long fail_after;
} now = {.fail_after = -1};

static void on_abort(int sig)
{
    char line[600];
    struct buf b;

    buf_init(&b, line, sizeof(line));
    buf_cstr(&b, "ABORTED: ");
    buf_cstr(&b, now.title);
    if (now.fail_after >= 0)
        buf_printf(&b, " with allocation %lld failing", now.fail_after);
    buf_printf(&b, "\n  in %s\n", now.file);
    if (write(STDOUT_FILENO, b.ptr, b.len) < 0)
        _exit(1);
    signal(sig, SIG_DFL);
    raise(sig);
}

static enum verdict run_oom(const struct script *script, const struct script_part *part, bool once,
                            bool at_start, unsigned *ret_runs)
{
    for (long long n = 0; n < OOM_MAX; n++) {
        struct run_options options = {
            .lenient = true, .fail_after = n, .fail_once = once, .fail_at_start = at_start};
        bool exhausted = false;

        ++*ret_runs;
        now.fail_after = n;
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
    heap_init(&heap);
    if (!script_load(&heap, file, &script))
        totals->failed++;
    for (size_t i = 1; i < script.n_parts; i++) {
        const struct script_part *part = &script.parts[i];
        struct run_options options = {.verbose = verbose, .fail_after = -1};
        enum verdict v;

        if (title && !strstr(heap_cstr(&heap, part->title), title))
            continue;
        now.file = file;
        snprintf(now.title, sizeof(now.title), "%.*s", SLICE_ARG(part->title));
        v = oom ? VERDICT_PASS : run_scenario(&script, part, &options, NULL);
        /* The start of the proxy is the same for all: once is enough. */
        if (oom && (run_oom(&script, part, false, totals->oom_runs == 0, &totals->oom_runs) ||
                    run_oom(&script, part, true, false, &totals->oom_runs)))
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
    signal(SIGABRT, on_abort);
    if (!verbose)
        log_set_sink(no_log, NULL);
    for (; i < argc; i++)
        run_file(argv[i], title, verbose, oom, &totals);
    if (oom)
        printf("%u runs\n", totals.oom_runs);
    printf("%u scenarios passed, %u failed\n", totals.passed, totals.failed);
    return totals.failed > 0 || totals.passed == 0 ? 1 : 0;
}
