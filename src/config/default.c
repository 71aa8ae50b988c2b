#include "config/config.h"
#include "config/value.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char ipv4_listeners[] = "listeners:\n"
                                     "  - { transport: udp, address: \"127.0.0.1:5060\" }\n"
                                     "  - { transport: tcp, address: \"127.0.0.1:5060\" }\n";
static const char ipv6_listeners[] = "  - { transport: udp, address: \"[::1]:5060\" }\n"
                                     "  - { transport: tcp, address: \"[::1]:5060\" }\n";
static const char domains[] = "domains:\n"
                              "  - name: localhost\n";

/* Many containers and some hosts have no IPv6 loopback address. */
static bool has_ipv6_loopback(void)
{
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

/* XDG Base Directory specification: $XDG_STATE_HOME, else $HOME/.local/state; what is not absolute counts as
 * not set. */
static int put_state_folder(struct buf *out)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (state && state[0] == '/') {
        buf_cstr(out, state);
        return 0;
    }
    if (!home || home[0] != '/')
        return ERR_NOTFOUND;
    buf_cstr(out, home);
    buf_lit(out, "/.local/state");
    return 0;
}

int config_default_text(struct buf *out)
{
    char memory[CONFIG_VALUE_MAX_BYTES];
    struct buf path;

    buf_init(&path, memory, sizeof(memory));
    if (put_state_folder(&path) < 0)
        return ERR_NOTFOUND;
    buf_lit(&path, "/viaduct/viaduct.db");
    if (buf_failed(&path))
        return ERR_NOTFOUND;
    buf_cstr(out, ipv4_listeners);
    if (has_ipv6_loopback())
        buf_cstr(out, ipv6_listeners);
    buf_cstr(out, domains);
    buf_lit(out, "store:\n  path: ");
    value_print_quoted(buf_slice(&path), out);
    buf_putc(out, '\n');
    return 0;
}
