#include "net/tls_session.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "net/tls_names.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#define OFFERED_MAX_BYTES 256
/* RFC 5924 section 4: id-kp-sipDomain. */
#define SIP_DOMAIN_OID "1.3.6.1.5.5.7.3.20"

struct tls_session {
    SSL *ssl;
    struct net_tls *tls;
    struct tls_generation *generation;
    char *name;           /* of a client: whom the server must prove to be */
    char *offered;        /* identities in a certificate that is not believed; or NULL */
    const char *why;      /* the library's words for what broke the session */
    int verify_error;     /* X509_V_OK: nothing against the peer's certificate */
    int stop, stop_errno; /* what the next read gives, when is_stopped */
    uint8_t inside;       /* enum net_tls_inside */
    uint8_t read_wants, write_wants;
    bool is_tolerant; /* a certificate that is not believed counts as none */
    bool is_counted;  /* as a handshake */
    bool is_done;     /* with the handshake */
    bool is_broken;   /* the library takes no more */
    bool is_stopped, has_more;
};

/* ---- names ---- */

/* RFC 6066 section 3. Who asks for no name, or for one that nobody here has, gets the first certificate. */
int tls_session_on_name(SSL *ssl, int *alert, void *ctx)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *found = name ? tls_generation_find(s->generation, name) : NULL;

    (void)alert, (void)ctx;
    if (!found)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 section 3.2: "In the event that the server supports no protocols that the client advertises, then the
 * server SHALL respond with a fatal "no_application_protocol" alert". So no browser can be led to talk HTTP to a
 * port of SIP (RFC 9325 section 3.8). */
int tls_session_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *ctx)
{
    static const unsigned char sip[] = "\5sip/2\3sip", websocket[] = "\10http/1.1";
    const struct tls_session *s = SSL_get_app_data(ssl);
    bool is_sip = s->inside == NET_TLS_SIP;
    unsigned char *chosen;

    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, is_sip ? sip : websocket,
                              (is_sip ? sizeof(sip) : sizeof(websocket)) - 1, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- certificates of peers ---- */

/* RFC 5922 section 7.1 demands a look at extendedKeyUsage, and RFC 5924 section 4 says that of sipDomain, and that
 * for any purpose, serve; OpenSSL knows those for clients and servers alone. */
static bool is_for_sip(const X509 *certificate)
{
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
    bool is = false;

    for (int i = 0; i < sk_ASN1_OBJECT_num(usages) && !is; i++) {
        const ASN1_OBJECT *usage = sk_ASN1_OBJECT_value(usages, i);
        char oid[sizeof(SIP_DOMAIN_OID) + 1];

        is = OBJ_obj2nid(usage) == NID_anyExtendedKeyUsage ||
             (OBJ_obj2txt(oid, sizeof(oid), usage, 1) == (int)strlen(SIP_DOMAIN_OID) &&
              strcmp(oid, SIP_DOMAIN_OID) == 0);
    }
    EXTENDED_KEY_USAGE_free(usages);
    return is;
}

static void note_offered(struct tls_session *s, const X509 *certificate)
{
    struct buf out;

    mem_free(s->offered);
    s->offered = mem_alloc(OFFERED_MAX_BYTES);
    if (!s->offered)
        return;
    buf_init(&out, s->offered, OFFERED_MAX_BYTES - 1);
    tls_names_print(certificate, &out);
    s->offered[out.len] = '\0';
}

/* For each certificate of the chain, that of the peer last, with what OpenSSL thinks of it. The error is left in
 * the store, which keeps it with the session: one that is resumed is believed as much as it was. */
static int on_verify(int is_right, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = SSL_get_app_data(ssl);
    const X509 *peer = X509_STORE_CTX_get0_cert(store);
    bool is_peer = X509_STORE_CTX_get_error_depth(store) == 0;
    int error = X509_STORE_CTX_get_error(store);

    if (!is_right && is_peer && error == X509_V_ERR_INVALID_PURPOSE && is_for_sip(peer)) {
        X509_STORE_CTX_set_error(store, s->verify_error);
        return 1;
    }
    if (is_right && is_peer && s->name && !tls_names_has(peer, slice_from_cstr(s->name))) {
        is_right = 0;
        error = X509_V_ERR_HOSTNAME_MISMATCH;
    }
    if (!is_right && s->verify_error == X509_V_OK) {
        s->verify_error = error;
        note_offered(s, peer);
    }
    X509_STORE_CTX_set_error(store, s->verify_error);
    return s->is_tolerant || s->verify_error == X509_V_OK;
}

bool tls_session_is_verified(const struct tls_session *s)
{
    return s->is_done && s->verify_error == X509_V_OK && SSL_get0_peer_certificate(s->ssl) &&
           SSL_get_verify_result(s->ssl) == X509_V_OK;
}

bool tls_session_is_resumed(const struct tls_session *s)
{
    return s->is_done && SSL_session_reused(s->ssl);
}

struct giving {
    void (*each)(void *ctx, struct slice name);
    void *ctx;
};

static bool give(void *ctx, struct slice name)
{
    struct giving *giving = ctx;

    giving->each(giving->ctx, name);
    return true;
}

void tls_session_identities(const struct tls_session *s, void (*each)(void *ctx, struct slice name),
                            void *ctx)
{
    struct giving giving = {each, ctx};

    if (tls_session_is_verified(s))
        tls_names_each(SSL_get0_peer_certificate(s->ssl), NET_TLS_IDENTITIES_MAX, give, &giving);
}

static const char *reason(const struct tls_session *s)
{
    if (s->verify_error == X509_V_ERR_HOSTNAME_MISMATCH)
        return "the certificate is for another name";
    return s->verify_error != X509_V_OK ? X509_verify_cert_error_string(s->verify_error) : s->why;
}

bool tls_session_refusal(const struct tls_session *s, struct net_tls_refusal *ret_refusal)
{
    if (!s->is_broken && s->verify_error == X509_V_OK)
        return false;
    *ret_refusal = (struct net_tls_refusal){
        .why = reason(s), .wanted = slice_from_cstr(s->name), .offered = slice_from_cstr(s->offered)};
    return ret_refusal->why != NULL;
}

/* ---- resumption ---- */

/* RFC 5077 section 4, with the keys that all workers share. 0: the ticket is of nobody here, and the handshake a
 * whole one; 2: give the client a new one, as RFC 8446 appendix C.4 wants of each resumption. */
int tls_session_on_ticket(SSL *ssl, unsigned char key_name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int is_making)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    struct tls_ticket_key key;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac)),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    bool is_old = false, works;

    if (is_making) {
        if (tls_generation_ticket_key(s->generation, &key) < 0 ||
            crypto_random_bytes(iv, EVP_MAX_IV_LENGTH) < 0)
            return -1;
        memcpy(key_name, key.name, sizeof(key.name));
        works = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
    } else {
        if (tls_generation_find_ticket_key(s->generation, key_name, &key, &is_old) < 0)
            return 0;
        works = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
    }
    works = works && EVP_MAC_CTX_set_params(mac, params) == 1;
    crypto_wipe(&key, sizeof(key));
    if (!works)
        return -1;
    return !is_making && (is_old || SSL_version(ssl) >= TLS1_3_VERSION) ? 2 : 1;
}

/* Takes the reference when it says 1. */
int tls_session_on_new(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_session *s = SSL_get_app_data(ssl);

    if (!s->name || s->verify_error != X509_V_OK)
        return 0;
    tls_generation_put_session(s->generation, s->name, session);
    return 1;
}

static void resume(struct tls_session *s)
{
    SSL_SESSION *session = tls_generation_take_session(s->generation, s->name);

    if (!session)
        return;
    (void)SSL_set_session(s->ssl, session); /* without it, a whole handshake */
    SSL_SESSION_free(session);
}

/* TLS 1.2 may go on with the ticket it has. */
static void keep_session(struct tls_session *s)
{
    SSL_SESSION *session;

    if (!s->name || SSL_version(s->ssl) >= TLS1_3_VERSION || !SSL_session_reused(s->ssl))
        return;
    session = SSL_get1_session(s->ssl);
    if (session)
        tls_generation_put_session(s->generation, s->name, session);
}

/* ---- life ---- */

static int session_new(struct net_tls *tls, int fd, bool is_server, struct tls_session **ret_session)
{
    struct tls_session *s = mem_zalloc(sizeof(*s));
    SSL_CTX *ctx;

    if (!s)
        return ERR_NOMEM;
    s->tls = tls;
    s->generation = tls_generation_get(tls);
    s->read_wants = TLS_WANT_READ;
    ctx = is_server ? tls_generation_server(s->generation) : tls_generation_client(s->generation);
    assert(ctx);
    s->ssl = SSL_new(ctx);
    if (!s->ssl || SSL_set_app_data(s->ssl, s) != 1 || SSL_set_fd(s->ssl, fd) != 1) {
        tls_session_free(s);
        return ERR_NOMEM;
    }
    *ret_session = s;
    return 0;
}

static int verify_mode(enum net_tls_clients clients)
{
    switch (clients) {
    case NET_TLS_CLIENTS_OPTIONAL:
        return SSL_VERIFY_PEER;
    case NET_TLS_CLIENTS_REQUIRED:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case NET_TLS_CLIENTS_NONE:
        break;
    }
    return SSL_VERIFY_NONE;
}

int tls_session_accept(struct net_tls *tls, int fd, enum net_tls_clients clients, enum net_tls_inside inside,
                       struct tls_session **ret_session)
{
    /* A session that was made where no certificate is asked for must not be resumed where one is. */
    const unsigned char context[] = {'v', 'i', 'a', (unsigned char)clients, (unsigned char)inside};
    struct tls_session *s;
    int r;

    if (!tls_enter_handshake(tls))
        return ERR_LIMIT;
    r = session_new(tls, fd, true, &s);
    if (r < 0) {
        tls_leave_handshake(tls);
        return r;
    }
    s->is_counted = true;
    s->inside = (uint8_t)inside;
    s->is_tolerant = clients == NET_TLS_CLIENTS_OPTIONAL;
    SSL_set_verify(s->ssl, verify_mode(clients), on_verify);
    SSL_set_session_id_context(s->ssl, context, sizeof(context));
    SSL_set_accept_state(s->ssl);
    *ret_session = s;
    return 0;
}

/* RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"." */
static bool may_ask_for(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);

    ASN1_OCTET_STRING_free(address);
    return !address && name[0] != '[';
}

int tls_session_connect(struct net_tls *tls, int fd, const char *name, struct tls_session **ret_session)
{
    size_t bytes = strlen(name) + 1;
    struct tls_session *s;
    int r = session_new(tls, fd, false, &s);

    if (r < 0)
        return r;
    s->name = mem_alloc(bytes);
    if (s->name)
        memcpy(s->name, name, bytes);
    /* The macro casts away const, which clang does not let it do with `name`. */
    if (!s->name || (may_ask_for(name) && SSL_set_tlsext_host_name(s->ssl, s->name) != 1)) {
        tls_session_free(s);
        return ERR_NOMEM;
    }
    SSL_set_verify(s->ssl, SSL_VERIFY_PEER, on_verify);
    SSL_set_connect_state(s->ssl);
    resume(s);
    *ret_session = s;
    return 0;
}

static void leave_handshake(struct tls_session *s)
{
    if (s->is_counted)
        tls_leave_handshake(s->tls);
    s->is_counted = false;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    leave_handshake(s);
    SSL_free(s->ssl);
    ERR_clear_error();
    tls_generation_unref(s->generation);
    mem_free(s->name);
    mem_free(s->offered);
    mem_free(s);
}

/* ---- octets ---- */

/* What a call that returned r <= 0 means: -1 with errno, or 0 for the peer's goodbye. */
static int explain(struct tls_session *s, int r, uint8_t *wants)
{
    int error = errno;
    unsigned long library;

    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *wants = TLS_WANT_READ;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *wants = TLS_WANT_WRITE;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        s->is_broken = true;
        errno = error != 0 ? error : ECONNRESET;
        return -1;
    default:
        s->is_broken = true;
        library = ERR_peek_error();
        s->why = ERR_reason_error_string(library);
        ERR_clear_error();
        errno = EPROTO;
        return -1;
    }
}

static void begin(void)
{
    ERR_clear_error();
    errno = 0;
}

int tls_session_handshake(struct tls_session *s)
{
    int r;

    begin();
    r = SSL_do_handshake(s->ssl);
    if (r != 1) {
        r = explain(s, r, &s->read_wants);
        if (r == 0) { /* goodbye before it began */
            s->is_broken = true;
            errno = ECONNRESET;
        }
        return -1;
    }
    leave_handshake(s);
    s->is_done = true;
    s->read_wants = TLS_WANT_READ;
    /* "If the server is not authenticated, the client MUST close the connection immediately" (RFC 5922
     * section 7.3), whichever way the handshake was done without a look at its certificate. */
    if (s->name && !tls_session_is_verified(s)) {
        s->is_broken = true;
        s->why = "no verified certificate";
        errno = EPROTO;
        return -1;
    }
    keep_session(s);
    return 0;
}

ssize_t tls_session_read(struct tls_session *s, char *memory, size_t cap)
{
    size_t total = 0;
    bool goes_on = true;

    if (s->is_stopped) {
        errno = s->stop_errno;
        return s->stop;
    }
    s->read_wants = TLS_WANT_READ;
    s->has_more = false;
    while (goes_on && total < cap) {
        int got;

        begin();
        got = SSL_read(s->ssl, memory + total, cap - total > INT_MAX ? INT_MAX : (int)(cap - total));
        if (got <= 0) {
            got = explain(s, got, &s->read_wants);
            if (total == 0)
                return got;
            s->is_stopped = s->has_more = got == 0 || errno != EAGAIN;
            s->stop = got;
            s->stop_errno = errno;
            return (ssize_t)total;
        }
        total += (size_t)got;
        goes_on = SSL_has_pending(s->ssl) == 1;
    }
    s->has_more = goes_on;
    return (ssize_t)total;
}

bool tls_session_has_more(const struct tls_session *s)
{
    return s->has_more;
}

/* A record holds so many octets: small messages go together, a large one goes as it lies. What is given again
 * after a wait begins with the same octets and is at least as long, as the queue grows at its end alone. */
static struct slice gather(const struct iovec *pieces, int n, char memory[TLS_RECORD_BYTES])
{
    size_t len = 0;

    if (n == 1 || pieces[0].iov_len >= TLS_RECORD_BYTES)
        return slice_make(pieces[0].iov_base, pieces[0].iov_len);
    for (int i = 0; i < n && len < TLS_RECORD_BYTES; i++) {
        size_t room = TLS_RECORD_BYTES - len;
        size_t take = pieces[i].iov_len < room ? pieces[i].iov_len : room;

        memcpy(memory + len, pieces[i].iov_base, take);
        len += take;
    }
    return slice_make(memory, len);
}

ssize_t tls_session_write(struct tls_session *s, const struct iovec *pieces, int n,
                          char memory[TLS_RECORD_BYTES])
{
    struct slice data = gather(pieces, n, memory);
    int put;

    s->write_wants = 0;
    begin();
    put = SSL_write(s->ssl, data.ptr, data.len > INT_MAX ? INT_MAX : (int)data.len);
    if (put > 0)
        return put;
    if (explain(s, put, &s->write_wants) == 0)
        errno = EPIPE;
    return -1;
}

int tls_session_end(struct tls_session *s)
{
    int r;

    if (!s->is_done || s->is_broken || SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN)
        return 0;
    begin();
    r = SSL_shutdown(s->ssl);
    return r >= 0 || explain(s, r, &s->write_wants) == 0 ? 0 : -1;
}

unsigned tls_session_read_wants(const struct tls_session *s)
{
    return s->read_wants;
}

unsigned tls_session_write_wants(const struct tls_session *s)
{
    return s->write_wants;
}
