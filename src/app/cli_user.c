#include "app/cli.h"
#include "app/users_db.h"
#include "auth/users.h"
#include "config/value.h"
#include "crypto/crypto.h"
#include <sqlite3.h>
#include <string.h>
#include <sysexits.h>

/* What a `user` command works on. */
struct job {
    const struct cli_args *args;
    struct config *config; /* NULL: --store */
    const char *store;
    sqlite3 *db;
    struct arena_pool pool;
    struct arena arena;          /* the texts of account */
    struct auth_account account; /* none for `list` */
    char shown[CONFIG_QUOTED_BYTES];
};

/* ---- the account ---- */

static int not_an_account(struct job *j, const char *problem)
{
    cli_complain("%s is not NAME@DOMAIN: %s", config_quote(slice_from_cstr(j->args->operands[0]), j->shown),
                 problem);
    return EX_DATAERR;
}

static const struct config_domain *find_domain(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_domains; i++)
        if (strcmp(config->domains[i].name, name) == 0)
            return &config->domains[i];
    return NULL;
}

static int foreign_domain(const struct job *j, const char *name)
{
    const struct config *config = j->config;

    fprintf(stderr, "viaduct: %s is not a domain of %s; those are ", name,
            j->args->config ? j->args->config : "the built-in default");
    for (size_t i = 0; i < config->n_domains; i++)
        fprintf(stderr, "%s%s", i > 0 ? ", " : "", config->domains[i].name);
    fputs(config->n_domains == 0 ? "none\n" : "\n", stderr);
    return EX_DATAERR;
}

/* Of "alice@home.example"; the realm is the configuration's. */
static int read_account(struct job *j)
{
    struct slice text = slice_from_cstr(j->args->operands[0]);
    size_t at = slice_find(text, '@');
    const struct config_domain *domain;
    const char *name, *problem;

    if (at == text.len)
        return not_an_account(j, "it has no @");
    j->account.name = slice_sub(text, 0, at);
    problem = auth_name_problem(j->account.name);
    if (problem)
        return not_an_account(j, problem);
    if (value_parse(&value_host, slice_sub(text, at + 1, text.len), &j->arena, &name) != 0)
        return not_an_account(j, "what follows the @ is not a host name");
    j->account.domain = j->account.realm = slice_from_cstr(name);
    if (!j->config)
        return EX_OK;
    domain = find_domain(j->config, name);
    if (!domain)
        return foreign_domain(j, name);
    j->account.realm = slice_from_cstr(domain->realm);
    return EX_OK;
}

/* ---- the database ---- */

static int open_store(struct job *j)
{
    struct location_why why;

    if (users_db_open(j->store, &why, &j->db) == 0)
        return EX_OK;
    cli_complain("%s", why.text);
    return EX_CANTCREAT;
}

/* From what a function of auth/users.h says to what the user is told. */
static int tell_result(const struct job *j, int r)
{
    const char *who = j->args->operands[0];

    switch (r) {
    case 0:
        return EX_OK;
    case ERR_EXISTS:
        cli_complain("%s is there already; \"viaduct user passwd\" changes the password", who);
        return EX_DATAERR;
    case ERR_NOTFOUND:
        cli_complain("there is no user %s in %s", who, j->store);
        return EX_NOUSER;
    case ERR_IO:
        cli_complain("%s: %s", j->store, sqlite3_errmsg(j->db));
        return EX_IOERR;
    default:
        cli_complain("%s: %s", who, err_name(r));
        return EX_SOFTWARE;
    }
}

/* ---- the commands ---- */

static int find_store(struct job *j)
{
    if (j->args->config && j->args->store) {
        cli_complain("--config and --store exclude each other");
        return EX_USAGE;
    }
    j->store = j->args->store;
    if (!j->store) {
        int code = cli_load_config(j->args, &j->config);

        if (code != EX_OK)
            return code;
        j->store = j->config->store.path;
    }
    return j->args->n_operands > 0 ? read_account(j) : EX_OK;
}

static int on_store(const struct cli_args *args, int (*work)(struct job *job))
{
    struct job j = {.args = args};
    int code;

    arena_pool_init(&j.pool, 64 * 1024);
    arena_init(&j.arena, &j.pool);
    code = find_store(&j);
    if (code == EX_OK && crypto_init() != 0) {
        cli_complain("OpenSSL offers no SHA-256: check its configuration");
        code = EX_OSERR;
    }
    if (code == EX_OK)
        code = work(&j);
    location_db_close(j.db);
    config_free(j.config);
    arena_done(&j.arena);
    arena_pool_done(&j.pool);
    return code;
}

/* The password is asked for first: whoever gives up then has changed nothing, not even made the store. */
static int with_password(struct job *j,
                         int (*set)(sqlite3 *db, const struct auth_account *account, struct slice password))
{
    char password[CLI_PASSWORD_MAX_BYTES + 1];
    int code = cli_password_read(j->args, j->args->operands[0], password);

    if (code == EX_OK)
        code = open_store(j);
    if (code == EX_OK)
        code = tell_result(j, set(j->db, &j->account, slice_from_cstr(password)));
    crypto_wipe(password, sizeof(password));
    return code;
}

static int add(struct job *j)
{
    return with_password(j, auth_user_add);
}

static int set_password(struct job *j)
{
    return with_password(j, auth_user_set_password);
}

static int delete (struct job *j)
{
    int code = open_store(j);

    return code == EX_OK ? tell_result(j, auth_user_delete(j->db, &j->account)) : code;
}

static void print_account(void *ctx, const struct auth_account *account)
{
    (void)ctx;
    printf("%.*s@%.*s\n", SLICE_ARG(account->name), SLICE_ARG(account->domain));
}

static int list(struct job *j)
{
    int code = open_store(j);

    return code == EX_OK ? tell_result(j, auth_user_list(j->db, SLICE_NULL, print_account, NULL)) : code;
}

int cli_user_add(const struct cli_args *args)
{
    return on_store(args, add);
}

int cli_user_passwd(const struct cli_args *args)
{
    return on_store(args, set_password);
}

int cli_user_delete(const struct cli_args *args)
{
    return on_store(args, delete);
}

int cli_user_list(const struct cli_args *args)
{
    return on_store(args, list);
}
