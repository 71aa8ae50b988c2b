/* One TLS connection as its stream sees it, and what it needs from the shared certificates. Private to the folder.
 *
 * The functions that read and write are like recv and sendmsg: -1 with errno EAGAIN says to wait, for what
 * tls_session_wants says. */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include "net/tls.h"
#include <openssl/ssl.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_session;

/* fd stays its owner's. ERR_NOMEM; ERR_LIMIT: too many handshakes. */
MUST_USE int tls_session_accept(struct net_tls *tls, int fd, enum net_tls_clients clients,
                                enum net_tls_inside inside, struct tls_session **ret_session);
/* name: whom the server must prove to be. */
MUST_USE int tls_session_connect(struct net_tls *tls, int fd, const char *name,
                                 struct tls_session **ret_session);
/* Touches fd no more. NULL is fine. */
void tls_session_free(struct tls_session *session);

/* 0: done. -1 with errno: EAGAIN, EPROTO (see net_stream_refusal) or that of the socket. */
MUST_USE int tls_session_handshake(struct tls_session *session);
/* As much as there is, up to cap. */
ssize_t tls_session_read(struct tls_session *session, char *memory, size_t cap);
/* True when the last read left something that no event of the socket will tell about. */
bool tls_session_has_more(const struct tls_session *session);
/* Again with the same octets first, until they are taken. memory: room to gather pieces in. */
#define TLS_RECORD_BYTES 16384
ssize_t tls_session_write(struct tls_session *session, const struct iovec *pieces, int n,
                          char memory[TLS_RECORD_BYTES]);
/* Tells the peer that nothing more will come, once and only if there is somebody to tell: 0, or -1 with errno. */
int tls_session_end(struct tls_session *session);

/* What the session waits for: to go on with the handshake or with reading, and with writing. */
enum tls_want { TLS_WANT_READ = 1, TLS_WANT_WRITE = 2 };
unsigned tls_session_read_wants(const struct tls_session *session);
unsigned tls_session_write_wants(const struct tls_session *session);

bool tls_session_is_verified(const struct tls_session *session);
bool tls_session_is_resumed(const struct tls_session *session);
void tls_session_identities(const struct tls_session *session, void (*each)(void *ctx, struct slice name),
                            void *ctx);
bool tls_session_refusal(const struct tls_session *session, struct net_tls_refusal *ret_refusal);

/* ---- of the shared certificates (tls.c) ---- */

struct tls_generation;

/* The one for new connections, with a reference. */
struct tls_generation *tls_generation_get(struct net_tls *tls);
void tls_generation_unref(struct tls_generation *generation);
SSL_CTX *tls_generation_server(const struct tls_generation *generation); /* NULL: no certificates */
SSL_CTX *tls_generation_client(const struct tls_generation *generation);
/* The context whose certificate has this name, or NULL. */
SSL_CTX *tls_generation_find(const struct tls_generation *generation, const char *name);
/* A session to resume with this server, taken out of the cache; or NULL. */
SSL_SESSION *tls_generation_take_session(struct tls_generation *generation, const char *name);
/* Takes the reference to session. */
void tls_generation_put_session(struct tls_generation *generation, const char *name, SSL_SESSION *session);

/* Keys that tickets are sealed with. */
struct tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    int64_t made_s;
};
/* The key to make new ones with. ERR_IO: no random octets. */
MUST_USE int tls_generation_ticket_key(struct tls_generation *generation, struct tls_ticket_key *ret_key);
/* The key of this name; *ret_is_old: the ticket should be replaced by one of the newest key. ERR_NOTFOUND. */
MUST_USE int tls_generation_find_ticket_key(struct tls_generation *generation, const unsigned char name[16],
                                            struct tls_ticket_key *ret_key, bool *ret_is_old);

/* May one more handshake begin? Counts it when it may. */
bool tls_enter_handshake(struct net_tls *tls);
void tls_leave_handshake(struct net_tls *tls);

/* What tls.c puts into the contexts. */
int tls_session_on_name(SSL *ssl, int *alert, void *ctx);
int tls_session_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *ctx);
int tls_session_on_ticket(SSL *ssl, unsigned char key_name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int is_making);
int tls_session_on_new(SSL *ssl, SSL_SESSION *session);

#endif
