/* Certificates made at run time: an issuer, and what it signs, as PEM files in a folder of their own. */
#ifndef TEST_NET_TLS_SUPPORT_H
#define TEST_NET_TLS_SUPPORT_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test_issuer {
    EVP_PKEY *key;
    X509 *cert;
};

/* What a certificate says. Days are from today; a zero not_after is a year. */
struct test_cert {
    const char *cn;
    const char *alternatives; /* "URI:sip:example.com,DNS:www.example.com"; NULL: no subjectAltName */
    const char *usages;       /* extendedKeyUsage; NULL: none */
    int not_before_days, not_after_days;
};

#define DAY_S (24L * 3600)

static inline void test_add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!extension)
        fail_msg("extension %s", value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline X509 *test_make_cert(const struct test_cert *says, EVP_PKEY *key,
                                   const struct test_issuer *issuer, bool is_ca)
{
    static long serial = 1;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    int after = says->not_after_days ? says->not_after_days : 365;

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), says->not_before_days * DAY_S - 3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), after * DAY_S + 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)says->cn, -1, -1, 0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
    X509_set_pubkey(cert, key);
    test_add_extension(cert, issuer ? issuer->cert : cert, NID_basic_constraints,
                       is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (says->alternatives)
        test_add_extension(cert, cert, NID_subject_alt_name, says->alternatives);
    if (says->usages)
        test_add_extension(cert, cert, NID_ext_key_usage, says->usages);
    X509_sign(cert, issuer ? issuer->key : key, EVP_sha256());
    return cert;
}

static inline struct test_issuer test_issuer_new(const char *cn)
{
    struct test_issuer issuer = {.key = EVP_EC_gen("P-256")};

    issuer.cert = test_make_cert(&(struct test_cert){.cn = cn}, issuer.key, NULL, true);
    return issuer;
}

static inline void test_issuer_free(struct test_issuer *issuer)
{
    X509_free(issuer->cert);
    EVP_PKEY_free(issuer->key);
}

static inline void test_write_cert(const char *path, X509 *cert)
{
    FILE *out = fopen(path, "w");

    if (!out || PEM_write_X509(out, cert) != 1)
        fail_msg("%s", path);
    fclose(out);
}

static inline void test_write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
    FILE *out = fopen(path, "w");

    if (!out || PEM_write_PrivateKey(out, key, passphrase ? EVP_aes_128_cbc() : NULL,
                                     (const unsigned char *)passphrase,
                                     passphrase ? (int)strlen(passphrase) : 0, NULL, NULL) != 1)
        fail_msg("%s", path);
    fclose(out);
}

/* folder/name.pem and folder/name.key */
static inline void test_write_pair(const char *folder, const char *name, const struct test_cert *says,
                                   const struct test_issuer *issuer)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = test_make_cert(says, key, issuer, false);
    char path[256];

    snprintf(path, sizeof(path), "%s/%s.pem", folder, name);
    test_write_cert(path, cert);
    snprintf(path, sizeof(path), "%s/%s.key", folder, name);
    test_write_key(path, key, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

#endif
