#include "app/cli.h"
#include "config/suggest.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define COMMAND_WORDS_MAX 2

static const char user_help[] = "The store is the one of the configuration (--config, or the built-in "
                                "default), or the file that --store names.\n"
                                "A server that uses the store need not be stopped.\n";

const struct cli_command cli_commands[] = {
    {"run", "", 0, 0, CLI_CONFIG, "run the server",
     "Without --config the server listens on 127.0.0.1 (and ::1), port 5060, UDP and TCP, and serves the "
     "domain\n"
     "\"localhost\". It stays in the foreground and logs to standard error.\n\n"
     "SIGTERM and SIGINT end it when what is under way is done, SIGUSR1 makes the log say more and SIGUSR2 "
     "less.\n",
     cli_run},
    {"check", "[FILE]", 0, 1, CLI_VERBOSE | CLI_KEYS, "tell whether a configuration is right",
     "Tells all that is wrong with it, each with its line, key and remedy. Without FILE: the built-in "
     "default.\n",
     cli_check},
    {"user add", "NAME@DOMAIN", 1, 1, CLI_CONFIG | CLI_STORE | CLI_PASSWORD_STDIN, "add a user", user_help,
     cli_user_add},
    {"user delete", "NAME@DOMAIN", 1, 1, CLI_CONFIG | CLI_STORE, "delete a user", user_help, cli_user_delete},
    {"user list", "", 0, 0, CLI_CONFIG | CLI_STORE, "list the users", user_help, cli_user_list},
    {"user passwd", "NAME@DOMAIN", 1, 1, CLI_CONFIG | CLI_STORE | CLI_PASSWORD_STDIN,
     "change a user's password", user_help, cli_user_passwd},
    {"version", "", 0, 0, 0, "print the version", "", cli_version},
    {"help", "[COMMAND]", 0, COMMAND_WORDS_MAX, 0, "explain a command", "", cli_help},
    {0},
};

/* ---- finding a command ---- */

/* "user add" from one or two words. */
static void join(int n_words, char *const *words, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s%s%s", words[0], n_words > 1 ? " " : "", n_words > 1 ? words[1] : "");
}

const struct cli_command *cli_find(int n_words, char *const *words, int *ret_words)
{
    char joined[64];

    for (int n = n_words < COMMAND_WORDS_MAX ? n_words : COMMAND_WORDS_MAX; n > 0; n--) {
        join(n, words, joined, sizeof(joined));
        for (const struct cli_command *c = cli_commands; c->name; c++) {
            if (strcmp(c->name, joined) == 0) {
                *ret_words = n;
                return c;
            }
        }
    }
    return NULL;
}

/* Is this the first word of commands that have two? */
static bool is_family(const char *word)
{
    size_t len = strlen(word);

    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
            return true;
    return false;
}

static int unknown_command(int n_words, char *const *words)
{
    char joined[64];
    struct suggest close = {.word = SLICE_NULL};

    join(n_words > 1 && is_family(words[0]) && words[1][0] != '-' ? 2 : 1, words, joined, sizeof(joined));
    if (is_family(joined)) {
        cli_complain("\"%s\" needs one more word; see \"viaduct help %s\"", joined, joined);
        return EX_USAGE;
    }
    close.word = slice_from_cstr(joined);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        suggest_consider(&close, c->name);
    if (close.best)
        cli_complain("unknown command \"%s\"; did you mean \"%s\"?", joined, close.best);
    else
        cli_complain("unknown command \"%s\"; see \"viaduct help\"", joined);
    return EX_USAGE;
}

void cli_complain(const char *format, ...)
{
    va_list args;

    fputs("viaduct: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- help ---- */

static void print_overview(const char *family, FILE *out)
{
    size_t len = strlen(family);

    fprintf(out, "A SIP proxy server.\n\nusage: viaduct COMMAND [ARGUMENTS]\n\n");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        char synopsis[64];

        if (strncmp(c->name, family, len) != 0)
            continue;
        snprintf(synopsis, sizeof(synopsis), "%s%s%s", c->name, c->operands[0] ? " " : "", c->operands);
        fprintf(out, "  %-26s %s\n", synopsis, c->summary);
    }
    fprintf(out, "\n\"viaduct help COMMAND\" or \"viaduct COMMAND --help\" says more.\n");
}

static void print_command(const struct cli_command *command, FILE *out)
{
    fprintf(out, "viaduct %s: %s\n\nusage: viaduct %s%s%s%s\n\n", command->name, command->summary,
            command->name, command->options ? " [OPTIONS]" : "", command->operands[0] ? " " : "",
            command->operands);
    cli_args_print(command, out);
    if (command->help[0])
        fprintf(out, "\n%s", command->help);
}

int cli_help(const struct cli_args *args)
{
    char *words[CLI_OPERANDS_MAX];
    const struct cli_command *command;
    int n_words = 0;

    for (int i = 0; i < args->n_operands; i++)
        words[i] = (char *)(uintptr_t)args->operands[i];
    command = cli_find(args->n_operands, words, &n_words);
    if (command && n_words == args->n_operands)
        print_command(command, stdout);
    else if (args->n_operands == 0 || (args->n_operands == 1 && is_family(words[0])))
        print_overview(args->n_operands == 0 ? "" : words[0], stdout);
    else
        return unknown_command(args->n_operands, words);
    return EX_OK;
}

int cli_version(const struct cli_args *args)
{
    (void)args;
    printf("viaduct %s\n", VIADUCT_VERSION);
    return EX_OK;
}

/* ---- main ---- */

/* "--help", "-h" and "--version" in place of a command. */
static int run_bare_option(const char *word)
{
    static const struct cli_args none;

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return cli_help(&none);
    if (strcmp(word, "--version") == 0)
        return cli_version(&none);
    cli_complain("\"%s\" does not come before a command; see \"viaduct help\"", word);
    return EX_USAGE;
}

static bool asks_for_help(int n_words, char *const *words)
{
    return n_words > 1 && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0);
}

static int run_command(int argc, char **argv)
{
    struct cli_args args = {.program = argv[0]};
    const struct cli_command *command;
    int n_words;
    int code;

    if (argc < 2) {
        print_overview("", stderr);
        return EX_USAGE;
    }
    if (argv[1][0] == '-')
        return run_bare_option(argv[1]);
    command = cli_find(argc - 1, argv + 1, &n_words);
    if (!command && is_family(argv[1]) && asks_for_help(argc - 1, argv + 1)) {
        print_overview(argv[1], stdout);
        return EX_OK;
    }
    if (!command)
        return unknown_command(argc - 1, argv + 1);
    code = cli_args_parse(command, argc - n_words, argv + n_words, &args);
    if (code != EX_OK)
        return code;
    if (args.given & CLI_HELP) {
        print_command(command, stdout);
        return EX_OK;
    }
    return command->run(&args);
}

int cli_main(int argc, char **argv)
{
    int code = run_command(argc, argv);

    /* A full disk behind standard output must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EX_OK) {
        cli_complain("standard output cannot be written: %s", strerror(errno));
        return EX_IOERR;
    }
    return code;
}
