/* The command line. main() calls cli_main(); it finds the command in a table (cli.c), reads its arguments by
 * what the table allows, and calls it. Commands print results to standard output and everything else to
 * standard error, and return a code of sysexits.h. */
#ifndef APP_CLI_H
#define APP_CLI_H

#include "base/err.h"
#include "base/slice.h"
#include "config/config.h"
#include <stdbool.h>

/* What may stand on a command line. Each command says which of them it takes. */
enum cli_option {
    CLI_CONFIG = 1 << 0,         /* --config FILE */
    CLI_STORE = 1 << 1,          /* --store PATH */
    CLI_PASSWORD_STDIN = 1 << 2, /* --password-stdin */
    CLI_VERBOSE = 1 << 3,        /* -v, --verbose */
    CLI_KEYS = 1 << 4,           /* --keys */
    CLI_HELP = 1 << 5,           /* -h, --help: every command takes it */
};

#define CLI_OPERANDS_MAX 2

struct cli_args {
    const char *program; /* as it was called, to be repeated in what the user shall type */
    unsigned given;      /* enum cli_option, or-ed */
    const char *config;  /* or NULL */
    const char *store;   /* or NULL */
    const char *operands[CLI_OPERANDS_MAX];
    int n_operands;
};

struct cli_command {
    const char *name;     /* "user add" */
    const char *operands; /* "NAME@DOMAIN", "[FILE]", "" */
    int least, most;      /* how many operands */
    unsigned options;     /* enum cli_option, or-ed */
    const char *summary;  /* one line */
    const char *help;     /* what `help COMMAND` says besides, or "" */
    int (*run)(const struct cli_args *args);
};

int cli_main(int argc, char **argv);

/* Reads what follows the command's name. EX_OK, or EX_USAGE when that has been told. */
int cli_args_parse(const struct cli_command *command, int argc, char **argv, struct cli_args *ret_args);
/* The options of a command, each with its meaning, for the help. */
void cli_args_print(const struct cli_command *command, FILE *out);

/* Every command; ends with a name that is NULL. */
extern const struct cli_command cli_commands[];
/* By its words ("user", "add"): *ret_words is how many of them name it. NULL: none. */
const struct cli_command *cli_find(int n_words, char *const *words, int *ret_words);
/* "viaduct: " and the message on standard error. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Loads the configuration of --config, or the built-in default. EX_OK, or another code when that has been
 * told. */
int cli_load_config(const struct cli_args *args, struct config **ret_config);
/* One line without its end from standard input. When that is a terminal and --password-stdin was not given,
 * asks for it twice without showing it. EX_OK, or another code when that has been told. The caller wipes it. */
#define CLI_PASSWORD_MAX_BYTES 256
int cli_password_read(const struct cli_args *args, const char *user,
                      char ret_password[CLI_PASSWORD_MAX_BYTES + 1]);

int cli_run(const struct cli_args *args);
int cli_check(const struct cli_args *args);
int cli_user_add(const struct cli_args *args);
int cli_user_delete(const struct cli_args *args);
int cli_user_list(const struct cli_args *args);
int cli_user_passwd(const struct cli_args *args);
int cli_version(const struct cli_args *args);
int cli_help(const struct cli_args *args);

#endif
