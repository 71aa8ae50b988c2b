#include "net/tls_names.h"
#include <openssl/x509v3.h>

/* Names looked at in one certificate: virtual hosting needs hundreds (section 7.8). */
#define NAMES_MAX 1000

struct walk {
    bool (*each)(void *ctx, struct slice name);
    void *ctx;
    size_t left;
    bool found, stopped;
};

/* What can stand in a host name; with it, no name hides a NUL or breaks a line of the log. '*' may be there, and
 * matches nothing but itself. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '.' && c != '_' && c != '*' && c != ':' && c != '[' && c != ']')
            return false;
    }
    return name.len > 0;
}

static void give(struct walk *walk, struct slice name)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (walk->stopped || !is_name(name))
        return;
    walk->found = true;
    walk->stopped = walk->left == 0 || !walk->each(walk->ctx, name);
    walk->left -= walk->left > 0;
}

static struct slice text_of(const ASN1_STRING *string)
{
    return slice_make((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

/* Section 7.1: "If the scheme of the URI is not "sip", then the implementation MUST NOT accept the value as a SIP
 * domain identity." "If the scheme of the URI value is "sip", and the URI value that contains a userpart (there
 * is an '@'), the implementation MUST NOT accept the value". */
static void give_uri(struct walk *walk, struct slice uri)
{
    struct slice host;
    size_t end = 0;

    if (!slice_starts_with_nocase(uri, SLICE("sip:")) || slice_find(uri, '@') < uri.len)
        return;
    host = slice_sub(uri, 4, uri.len);
    if (host.len > 0 && host.ptr[0] == '[')
        end = slice_find(host, ']');
    while (end < host.len && host.ptr[end] != ':' && host.ptr[end] != ';' && host.ptr[end] != '?')
        end++;
    give(walk, slice_sub(host, 0, end));
}

static void give_type(struct walk *walk, const GENERAL_NAMES *alternatives, int type)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alternatives, i);

        if (name->type == type && type == GEN_URI)
            give_uri(walk, text_of(name->d.uniformResourceIdentifier));
        else if (name->type == type)
            give(walk, text_of(name->d.dNSName));
    }
}

/* "An implementation MUST accept a domain name system identifier as a SIP domain identity if and only if no other
 * identity is found that matches the "sip" URI type". */
static void give_alternatives(struct walk *walk, const GENERAL_NAMES *alternatives)
{
    give_type(walk, alternatives, GEN_URI);
    if (!walk->found)
        give_type(walk, alternatives, GEN_DNS);
}

/* "If and only if the subjectAltName does not appear in the certificate, the implementation MAY examine the CN
 * field of the certificate." */
static void give_common_names(struct walk *walk, const X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);

    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
        give(walk, text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i))));
}

void tls_names_each(const X509 *certificate, size_t max, bool (*each)(void *ctx, struct slice name),
                    void *ctx)
{
    struct walk walk = {.each = each, .ctx = ctx, .left = max};
    int why = 0;
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(certificate, NID_subject_alt_name, &why, NULL);

    if (alternatives)
        give_alternatives(&walk, alternatives);
    else if (why == -1) /* not there at all, rather than there and broken */
        give_common_names(&walk, certificate);
    GENERAL_NAMES_free(alternatives);
}

struct wanted {
    struct slice name;
    bool found;
};

/* Section 7.2: "Implementations MUST match the values in their entirety"; "MUST NOT match suffixes";
 * "MUST NOT match any form of wildcard". */
static bool compare(void *ctx, struct slice name)
{
    struct wanted *wanted = ctx;

    wanted->found = slice_eq_nocase(wanted->name, name);
    return !wanted->found;
}

bool tls_names_has(const X509 *certificate, struct slice name)
{
    struct wanted wanted = {.name = name};

    tls_names_each(certificate, NAMES_MAX, compare, &wanted);
    return wanted.found;
}

static bool print(void *ctx, struct slice name)
{
    struct buf *out = ctx;

    if (out->len + name.len + 1 > out->cap)
        return false;
    if (out->len > 0)
        buf_putc(out, ' ');
    buf_put(out, name);
    return true;
}

void tls_names_print(const X509 *certificate, struct buf *out)
{
    tls_names_each(certificate, NAMES_MAX, print, out);
}
