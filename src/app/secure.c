#include "app/secure.h"
#include "base/log.h"
#include "base/mem.h"
#include <limits.h>
#include <sysexits.h>

/* Names of peers that are spoken to at one time, nearly: those asked for longest ago give way. */
#define NAMES_MAX 16384

#define KEY_MAX_BYTES 64

struct secure {
    struct net_tls_certificate *certificates;
    struct net_tls *tls;
    struct net_names *names;
};

static bool is_secure(const struct config_listener *listener)
{
    return listener->transport == CONFIG_TLS || listener->transport == CONFIG_WSS;
}

static bool needs_tls(const struct config *config)
{
    for (size_t i = 0; i < config->n_listeners; i++)
        if (is_secure(&config->listeners[i]))
            return true;
    return false;
}

/* The key of the configuration that names the file. */
static const char *key_of(const struct net_tls_problem *problem, char out[KEY_MAX_BYTES])
{
    if (problem->file == NET_TLS_CA)
        snprintf(out, KEY_MAX_BYTES, "tls.ca_file");
    else
        snprintf(out, KEY_MAX_BYTES, "tls.certificates[%zu].%s", problem->index,
                 problem->file == NET_TLS_CERT ? "cert" : "key");
    return out;
}

static const char *path_of(const struct config_tls *tls, const struct net_tls_problem *problem)
{
    if (problem->file == NET_TLS_CA)
        return tls->ca_file;
    return problem->file == NET_TLS_CERT ? tls->certificates[problem->index].cert
                                         : tls->certificates[problem->index].key;
}

/* ---- life ---- */

static void log_problem(const char *event, int rc, const struct net_tls_problem *problem)
{
    char key[KEY_MAX_BYTES];
    if (rc == ERR_NOMEM)
        log_event(LOG_ERROR, event, log_cstr("why", "no memory"));
    else
        log_event(LOG_ERROR, event, log_cstr("key", key_of(problem, key)), log_cstr("why", problem->what),
                  log_cstr("remedy", problem->remedy));
}

static int open_tls(struct secure *s, const struct config *config)
{
    const struct config_tls *from = &config->tls;
    struct net_tls_problem problem;
    s->certificates = mem_zalloc((from->n_certificates + 1) * sizeof(*s->certificates));
    if (s->certificates == NULL)
        return EX_OSERR;
    for (size_t i = 0; i < from->n_certificates; i++)
        s->certificates[i] =
            (struct net_tls_certificate){from->certificates[i].cert, from->certificates[i].key};
    const struct net_tls_opts opts = {.certificates = s->certificates,
                                      .n_certificates = from->n_certificates,
                                      .ca_file = from->ca_file,
                                      .only_1_3 = from->min_version == CONFIG_TLS_1_3,
                                      .handshakes = from->handshakes};
    int rc = net_tls_new(&opts, &problem, &s->tls);
    if (rc == 0)
        return EX_OK;
    log_problem("start.tls_failed", rc, &problem);
    return rc == ERR_NOMEM ? EX_OSERR : EX_CONFIG;
}

int secure_new(const struct config *config, struct secure **ret_secure)
{
    struct secure *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return EX_OSERR;
    int code = EX_OK;
    if (needs_tls(config))
        code = net_names_new(NAMES_MAX, &s->names) == 0 ? open_tls(s, config) : EX_OSERR;
    if (code == EX_OK)
        *ret_secure = s;
    else
        secure_free(s);
    return code;
}

void secure_free(struct secure *s)
{
    if (s == NULL)
        return;
    net_tls_free(s->tls);
    net_names_free(s->names);
    mem_free(s->certificates);
    mem_free(s);
}

struct net_tls *secure_tls(const struct secure *s)
{
    return s->tls;
}

struct net_names *secure_names(const struct secure *s)
{
    return s->names;
}

/* ---- while it runs ---- */

void secure_reload(struct secure *s)
{
    struct net_tls_problem problem;
    if (s->tls == NULL) {
        log_event(LOG_NOTICE, "reload.nothing", log_cstr("why", "no listener has TLS"));
        return;
    }
    int rc = net_tls_reload(s->tls, &problem);
    if (rc != 0)
        log_problem("reload.tls_failed", rc, &problem);
    else
        log_event(LOG_NOTICE, "reload.tls", log_i64("days_left", secure_days_left(s)));
}

int secure_days_left(const struct secure *s)
{
    return s->tls != NULL ? net_tls_days_left(s->tls) : INT_MAX;
}

void secure_tell_days(const struct secure *s, bool is_start)
{
    int days = secure_days_left(s);
    if (days < SECURE_FEW_DAYS)
        log_event(days < 0 ? LOG_ERROR : LOG_WARN, "tls.certificate_expires", log_i64("days_left", days),
                  log_cstr("remedy", "renew it, then send SIGHUP"));
    else if (is_start && days != INT_MAX)
        log_event(LOG_NOTICE, "start.tls", log_i64("days_left", days));
}

/* ---- check ---- */

static void tell(const struct config *config, const struct net_tls_problem *problem,
                 struct config_errors *errors)
{
    const struct config_tls *tls = &config->tls;
    char key[KEY_MAX_BYTES], quoted[CONFIG_QUOTED_BYTES];
    unsigned line = problem->file == NET_TLS_CA     ? tls->ca_file_line
                    : problem->file == NET_TLS_CERT ? tls->certificates[problem->index].cert_line
                                                    : tls->certificates[problem->index].key_line;
    config_errors_add(errors, line, key_of(problem, key), problem->remedy, "%s %s",
                      config_quote(slice_from_cstr(path_of(tls, problem)), quoted), problem->what);
}

/* RFC 5922 sections 6 and 7.5: who looks for us by this name must find it in a certificate. */
static void doubt_name(struct net_tls *tls, const char *file, const char *what, const char *name, FILE *out)
{
    struct addr addr;
    if (name[0] == '\0' || addr_parse_ip(slice_from_cstr(name), &addr) == 0 ||
        net_tls_has_name(tls, slice_from_cstr(name)))
        return;
    fprintf(out,
            "%s: warning: no certificate of tls.certificates has the %s \"%s\" as a SIP domain identity (RFC "
            "5922 "
            "section 7.1), so peers that verify it are lost; add \"URI:sip:%s\" or \"DNS:%s\" to its "
            "subjectAltName\n",
            file, what, name, name, name);
}

static void doubt(const struct config *config, const char *file, struct secure *s, FILE *out)
{
    int days = secure_days_left(s);
    if (days < SECURE_FEW_DAYS)
        fprintf(out, "%s: warning: a certificate of tls.certificates expires in %d day%s; renew it\n", file,
                days, days == 1 ? "" : "s");
    for (size_t i = 0; i < config->n_domains; i++)
        doubt_name(s->tls, file, "domain", config->domains[i].name, out);
    for (size_t i = 0; i < config->n_listeners; i++)
        if (is_secure(&config->listeners[i]))
            doubt_name(s->tls, file, "advertised host", config->listeners[i].advertise.host, out);
}

void secure_check(const struct config *config, struct config_errors *errors, FILE *out)
{
    const struct config_tls *tls = &config->tls;
    struct net_tls_problem problem;
    struct secure s = {0};
    int rc = 0, worst = 0;
    for (size_t i = 0; i < tls->n_certificates; i++) {
        const struct net_tls_certificate files = {tls->certificates[i].cert, tls->certificates[i].key};
        rc = net_tls_check_certificate(&files, &problem);
        problem.index = i;
        if (rc != 0 && rc != ERR_NOMEM)
            tell(config, &problem, errors);
        worst = rc != 0 ? rc : worst;
    }
    rc = net_tls_check_ca(tls->ca_file, &problem);
    if (rc != 0 && rc != ERR_NOMEM)
        tell(config, &problem, errors);
    if (rc == 0 && worst == 0 && needs_tls(config) && open_tls(&s, config) == EX_OK)
        doubt(config, errors->file, &s, out);
    net_tls_free(s.tls);
    mem_free(s.certificates);
}
