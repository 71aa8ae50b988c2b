#include "tls_server.h"
#include "net/sockaddr.h"
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define BACKLOG         4096
#define CONNECTIONS_MAX 100000

/* Everything that saves memory: no buffers while idle, no cache of sessions, no tickets kept. */
static SSL_CTX *make_context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static SSL *take(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static int open_listener(const struct addr *addr, int *ret_fd)
{
    int rc = net_socket_bind(SOCK_STREAM, addr, false, ret_fd);
    if (rc != 0)
        return rc;
    struct timeval second = {.tv_sec = 1}; /* so that *stop is looked at */
    (void)fcntl(*ret_fd, F_SETFL, fcntl(*ret_fd, F_GETFL) & ~O_NONBLOCK);
    (void)setsockopt(*ret_fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    return listen(*ret_fd, BACKLOG) == 0 ? 0 : ERR_IO;
}

int tls_server_run(const struct addr *addr, const char *cert, const char *key,
                   const volatile sig_atomic_t *stop)
{
    static SSL *connections[CONNECTIONS_MAX];
    size_t n = 0;
    int fd = -1;
    SSL_CTX *ctx = make_context(cert, key);
    if (ctx == NULL || open_listener(addr, &fd) != 0) {
        fputs(ctx == NULL ? "viaduct-bench: certificate and key\n"
                          : "viaduct-bench: the address to listen on\n",
              stderr);
        SSL_CTX_free(ctx);
        return EX_UNAVAILABLE;
    }
    while (!*stop) {
        int peer = accept(fd, NULL, NULL);
        if (peer < 0 || n == CONNECTIONS_MAX)
            continue;
        connections[n] = take(ctx, peer);
        n += connections[n] != NULL;
    }
    for (size_t i = 0; i < n; i++) {
        close(SSL_get_fd(connections[i]));
        SSL_free(connections[i]);
    }
    close(fd);
    SSL_CTX_free(ctx);
    return EX_OK;
}
