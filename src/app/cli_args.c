#include "app/cli.h"
#include "config/suggest.h"
#include <getopt.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>

static const struct option_row {
    enum cli_option id;
    const char *name;
    char letter;       /* or 0 */
    const char *value; /* what to call its argument; NULL: it has none */
    size_t at;         /* where the argument goes in struct cli_args */
    const char *help;
} rows[] = {
    {CLI_CONFIG, "config", 0, "FILE", offsetof(struct cli_args, config), "the configuration"},
    {CLI_STORE, "store", 0, "PATH", offsetof(struct cli_args, store),
     "the database itself, without a configuration; the realm is the domain"},
    {CLI_PASSWORD_STDIN, "password-stdin", 0, NULL, 0, "read the password from standard input, one line"},
    {CLI_VERBOSE, "verbose", 'v', NULL, 0, "print every key with its value"},
    {CLI_KEYS, "keys", 0, NULL, 0, "print all keys there are, with defaults and meaning, as Markdown"},
    {CLI_HELP, "help", 'h', NULL, 0, "print this"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool is_allowed(const struct cli_command *command, const struct option_row *row)
{
    return (command->options | CLI_HELP) & row->id;
}

/* The part of the table that the command takes, as getopt_long wants it; val is the row's index + 1. */
struct getopt_tables {
    struct option longs[ROWS + 1];
    char shorts[ROWS + 2];
};

static void fill_tables(const struct cli_command *command, struct getopt_tables *t)
{
    size_t n_longs = 0, n_shorts = 0;

    memset(t, 0, sizeof(*t));
    t->shorts[n_shorts++] = ':';
    for (size_t i = 0; i < ROWS; i++) {
        if (!is_allowed(command, &rows[i]))
            continue;
        t->longs[n_longs++] =
            (struct option){rows[i].name, rows[i].value ? required_argument : no_argument, NULL, (int)i + 1};
        if (rows[i].letter)
            t->shorts[n_shorts++] = rows[i].letter;
    }
}

static const struct option_row *row_of(int c)
{
    if (c > 0 && c <= (int)ROWS)
        return &rows[c - 1];
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter == c)
            return &rows[i];
    return NULL;
}

static int bad_option(const struct cli_command *command, const char *word)
{
    size_t dashes = strspn(word, "-");
    struct suggest close = {.word = slice_sub(slice_from_cstr(word), dashes, strlen(word))};

    for (size_t i = 0; i < ROWS && dashes == 2; i++)
        if (is_allowed(command, &rows[i]))
            suggest_consider(&close, rows[i].name);
    if (close.best)
        cli_complain("\"%s\" is no option of \"%s\"; did you mean \"--%s\"?", word, command->name,
                     close.best);
    else
        cli_complain("\"%s\" is no option of \"%s\"; see \"viaduct help %s\"", word, command->name,
                     command->name);
    return EX_USAGE;
}

static int take_operands(const struct cli_command *command, int argc, char **argv, struct cli_args *args)
{
    int count = argc - optind;

    if (count < command->least) {
        cli_complain("%s is missing; see \"viaduct help %s\"", command->operands, command->name);
        return EX_USAGE;
    }
    if (count > command->most) {
        cli_complain("\"%s\" is too much; see \"viaduct help %s\"", argv[optind + command->most],
                     command->name);
        return EX_USAGE;
    }
    for (int i = 0; i < count; i++)
        args->operands[i] = argv[optind + i];
    args->n_operands = count;
    return EX_OK;
}

int cli_args_parse(const struct cli_command *command, int argc, char **argv, struct cli_args *ret_args)
{
    struct cli_args args = {.program = ret_args->program};
    struct getopt_tables t;
    int code, c;

    fill_tables(command, &t);
    opterr = 0;
    optind = 0; /* begin anew */
    while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
        const struct option_row *row = row_of(c);

        if (c == ':') {
            cli_complain("\"%s\" needs a value; see \"viaduct help %s\"", argv[optind - 1], command->name);
            return EX_USAGE;
        }
        if (!row)
            return bad_option(command, argv[optind - 1]);
        args.given |= row->id;
        if (row->value)
            memcpy((char *)&args + row->at, &optarg, sizeof(optarg));
    }
    code = args.given & CLI_HELP ? EX_OK : take_operands(command, argc, argv, &args);
    if (code == EX_OK)
        *ret_args = args;
    return code;
}

void cli_args_print(const struct cli_command *command, FILE *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        char text[48];

        if (!is_allowed(command, &rows[i]))
            continue;
        snprintf(text, sizeof(text), "%c%c%c --%s%s%s", rows[i].letter ? '-' : ' ',
                 rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? ',' : ' ', rows[i].name,
                 rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
        fprintf(out, "  %-24s %s\n", text, rows[i].help);
    }
}
