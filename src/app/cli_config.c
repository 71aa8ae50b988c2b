#include "app/cli.h"
#include "app/run.h"
#include "app/secure.h"
#include <sysexits.h>

static int load(const char *path, struct config **ret_config)
{
    struct config_errors errors;
    int code = EX_OK;

    config_errors_init(&errors, path);
    switch (config_load(path, ret_config, &errors)) {
    case 0:
        break;
    case ERR_NOMEM:
        cli_complain("no memory");
        code = EX_OSERR;
        break;
    case ERR_IO:
        code = EX_NOINPUT;
        break;
    default:
        code = EX_CONFIG;
    }
    config_errors_print(&errors, stderr);
    config_errors_done(&errors);
    return code;
}

int cli_load_config(const struct cli_args *args, struct config **ret_config)
{
    return load(args->config, ret_config);
}

/* ---- check ---- */

/* Whether the files that the configuration names for TLS do. */
static int check_tls(const char *path, const struct config *config)
{
    struct config_errors errors;
    int code;

    config_errors_init(&errors, path ? path : "(built-in default)");
    secure_check(config, &errors, stderr);
    config_errors_print(&errors, stderr);
    code = config_errors_any(&errors) ? EX_CONFIG : EX_OK;
    config_errors_done(&errors);
    return code;
}

int cli_check(const struct cli_args *args)
{
    const char *path = args->operands[0];
    struct config *config = NULL;
    int code;

    if (args->given & CLI_KEYS) {
        config_print_keys(stdout);
        return EX_OK;
    }
    code = load(path, &config);
    if (code != EX_OK)
        return code;
    code = check_tls(path, config);
    if (code != EX_OK) {
        config_free(config);
        return code;
    }
    if (args->given & CLI_VERBOSE)
        config_print(config, stdout);
    else
        printf("%s: right; %zu listener%s, %zu domain%s, store %s\n", path ? path : "the built-in default",
               config->n_listeners, config->n_listeners == 1 ? "" : "s", config->n_domains,
               config->n_domains == 1 ? "" : "s", config->store.path);
    config_free(config);
    return EX_OK;
}

/* ---- run ---- */

/* For who tries it out: the built-in default and what to do next. */
static void introduce(const struct cli_args *args, const struct config *config)
{
    const char *domain = config->domains[0].name;

    fprintf(stderr,
            "No --config: the built-in default. Store: %s\n"
            "Add users:     %s user add alice@%s\n"
            "Set up phones: user alice, domain %s, outbound proxy 127.0.0.1:%u, UDP or TCP; then call "
            "sip:bob@%s\n",
            config->store.path, args->program, domain, domain, config->listeners[0].address.port, domain);
}

int cli_run(const struct cli_args *args)
{
    struct config *config = NULL;
    int code = cli_load_config(args, &config);

    if (code != EX_OK)
        return code;
    if (!args->config)
        introduce(args, config);
    code = app_run(config);
    config_free(config);
    return code;
}
