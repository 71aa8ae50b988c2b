#include "net/tls_files.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(struct net_tls_problem *problem, enum net_tls_file file, size_t index, const char *remedy,
                 const char *what, const char *detail)
{
    *problem = (struct net_tls_problem){.file = file, .index = index, .remedy = remedy};
    snprintf(problem->what, sizeof(problem->what), detail ? "%s: %s" : "%s", what, detail);
}

static int tell_errno(struct net_tls_problem *problem, enum net_tls_file file, size_t index)
{
    tell(problem, file, index,
         errno == EACCES ? "give the user of this process the right to read it" : "check the name",
         "cannot be read", strerrordesc_np(errno));
    return ERR_IO;
}

/* OpenSSL reports a missing file, a folder and a broken one much alike,
 * and would wait for the writer of a pipe. */
static int check_file(const char *path, enum net_tls_file file, size_t index, struct net_tls_problem *problem)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return tell_errno(problem, file, index);
    if (fstat(fd, &st) < 0) {
        r = tell_errno(problem, file, index);
    } else if (!S_ISREG(st.st_mode) || st.st_size > NET_TLS_FILE_MAX_BYTES) {
        tell(problem, file, index, "name the PEM file itself",
             S_ISREG(st.st_mode) ? "is too large" : "is not a regular file", NULL);
        r = ERR_IO;
    }
    close(fd);
    return r;
}

/* What OpenSSL said, in its words; and ERR_NOMEM when that was all it had to say. */
static int library_error(const char **ret_reason)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);

    *ret_reason = reason;
    ERR_clear_error();
    return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? ERR_NOMEM : ERR_CORRUPT;
}

static int tell_library(struct net_tls_problem *problem, enum net_tls_file file, size_t index,
                        const char *remedy, const char *what)
{
    const char *reason;
    int r = library_error(&reason);

    tell(problem, file, index, remedy, what, reason);
    return r;
}

/* Without it OpenSSL asks at the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return 0;
}

int tls_files_use(SSL_CTX *ctx, const struct net_tls_certificate *files, size_t index,
                  struct net_tls_problem *problem)
{
    int r = check_file(files->cert, NET_TLS_CERT, index, problem);

    if (r == 0)
        r = check_file(files->key, NET_TLS_KEY, index, problem);
    if (r < 0)
        return r;
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
        return tell_library(problem, NET_TLS_CERT, index,
                            "give a PEM file that begins with the certificate of this server",
                            "is no certificate that can be used");
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1)
        return 0;
    if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_TYPE_MISMATCH)
        return tell_library(problem, NET_TLS_KEY, index, "give the key that the certificate was made for",
                            "is not the key of the certificate");
    return tell_library(problem, NET_TLS_KEY, index, "give a PEM file with a private key and no passphrase",
                        "is no key that can be used");
}

int tls_files_store(const char *ca_file, struct net_tls_problem *problem, X509_STORE **ret_store)
{
    X509_STORE *store;
    int r = 0;

    if (ca_file[0] != '\0')
        r = check_file(ca_file, NET_TLS_CA, 0, problem);
    if (r < 0)
        return r;
    ERR_clear_error();
    store = X509_STORE_new();
    if (!store)
        return ERR_NOMEM;
    if (ca_file[0] != '\0' && X509_STORE_load_file(store, ca_file) != 1)
        r = tell_library(problem, NET_TLS_CA, 0, "give a PEM file with the certificates of issuers",
                         "has no certificates that can be used");
    /* The defaults may be missing on a machine that believes nobody. */
    if (ca_file[0] == '\0')
        (void)X509_STORE_set_default_paths(store);
    ERR_clear_error();
    if (r < 0)
        X509_STORE_free(store);
    else
        *ret_store = store;
    return r;
}

int tls_files_days_left(const SSL_CTX *ctx)
{
    int days = 0, seconds = 0;

    if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(SSL_CTX_get0_certificate(ctx))))
        return -1;
    return seconds < 0 ? days - 1 : days;
}

int tls_files_check_dates(const SSL_CTX *ctx, size_t index, struct net_tls_problem *problem)
{
    X509 *certificate = SSL_CTX_get0_certificate(ctx);
    bool is_early = X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0;

    if (!is_early && tls_files_days_left(ctx) >= 0)
        return 0;
    tell(problem, NET_TLS_CERT, index,
         is_early ? "wait, or set the clock right" : "renew it, then send SIGHUP",
         is_early ? "is not valid yet" : "has expired", NULL);
    return ERR_STALE;
}
