#include "dns/hosts.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct entry {
    struct slice name; /* into text */
    struct addr addr;
    size_t order; /* line order, so that equal names keep it when sorted */
};

struct dns_hosts {
    char *text;
    struct entry *entries; /* sorted by name without case, then by order */
    size_t count, capacity;
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int cmp_nocase(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < n; i++) {
        int d = (unsigned char)fold(a.ptr[i]) - (unsigned char)fold(b.ptr[i]);
        if (d != 0)
            return d;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static int cmp_entries(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int d = cmp_nocase(a->name, b->name);
    return d != 0 ? d : (a->order > b->order) - (a->order < b->order);
}

static struct slice without_final_dot(struct slice name)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    return name;
}

/* The next run of octets that are neither blank nor a comment; empty at the end of the line. */
static struct slice next_word(struct slice *line)
{
    size_t from = 0;
    while (from < line->len && (line->ptr[from] == ' ' || line->ptr[from] == '\t' || line->ptr[from] == '\r'))
        from++;
    size_t to = from;
    while (to < line->len && line->ptr[to] != ' ' && line->ptr[to] != '\t' && line->ptr[to] != '\r')
        to++;
    struct slice word = slice_sub(*line, from, to);
    *line = slice_sub(*line, to, line->len);
    return word;
}

static int add_entry(struct dns_hosts *hosts, struct slice name, const struct addr *addr)
{
    if (hosts->count == hosts->capacity) {
        size_t capacity = hosts->capacity == 0 ? 16 : hosts->capacity * 2;
        struct entry *grown = mem_realloc_array(hosts->entries, capacity, sizeof(*grown));
        if (grown == NULL)
            return ERR_NOMEM;
        hosts->entries = grown;
        hosts->capacity = capacity;
    }
    hosts->entries[hosts->count] =
        (struct entry){.name = without_final_dot(name), .addr = *addr, .order = hosts->count};
    hosts->count++;
    return 0;
}

static int add_line(struct dns_hosts *hosts, struct slice line)
{
    line = slice_sub(line, 0, slice_find(line, '#'));
    struct addr addr;
    if (addr_parse_ip(next_word(&line), &addr) != 0)
        return 0;
    for (struct slice name = next_word(&line); name.len > 0; name = next_word(&line)) {
        if (hosts->count == DNS_HOSTS_MAX_NAMES)
            return ERR_LIMIT;
        int rc = add_entry(hosts, name, &addr);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int dns_hosts_parse(struct slice text, struct dns_hosts **ret_hosts)
{
    struct dns_hosts *hosts = mem_zalloc(sizeof(*hosts));
    if (hosts == NULL)
        return ERR_NOMEM;
    int rc = 0;
    hosts->text = mem_alloc(text.len + 1);
    if (hosts->text == NULL) {
        rc = ERR_NOMEM;
        goto out;
    }
    if (text.len > 0)
        memcpy(hosts->text, text.ptr, text.len);

    struct slice rest = slice_make(hosts->text, text.len);
    while (rest.len > 0 && rc == 0) {
        size_t end = slice_find(rest, '\n');
        rc = add_line(hosts, slice_sub(rest, 0, end));
        rest = slice_sub(rest, end + 1, rest.len);
    }
    if (rc == ERR_LIMIT) {
        log_event(LOG_WARN, "dns.hosts_truncated", log_u64("names", DNS_HOSTS_MAX_NAMES));
        rc = 0;
    }
    if (rc == 0 && hosts->count > 0)
        qsort(hosts->entries, hosts->count, sizeof(*hosts->entries), cmp_entries);
out:
    if (rc != 0)
        dns_hosts_free(hosts);
    else
        *ret_hosts = hosts;
    return rc;
}

int dns_hosts_load(const char *path, struct dns_hosts **ret_hosts)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? dns_hosts_parse(SLICE(""), ret_hosts) : ERR_IO;
    int rc = 0;
    char *text = mem_alloc(DNS_HOSTS_MAX_BYTES);
    if (text == NULL) {
        rc = ERR_NOMEM;
        goto out;
    }
    size_t len = 0;
    while (len < DNS_HOSTS_MAX_BYTES) {
        ssize_t n = read(fd, text + len, DNS_HOSTS_MAX_BYTES - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = ERR_IO;
            goto out;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len == DNS_HOSTS_MAX_BYTES)
        log_event(LOG_WARN, "dns.hosts_truncated", log_u64("bytes", len));
    rc = dns_hosts_parse(slice_make(text, len), ret_hosts);
out:
    mem_free(text);
    close(fd);
    return rc;
}

void dns_hosts_free(struct dns_hosts *hosts)
{
    if (hosts == NULL)
        return;
    mem_free(hosts->entries);
    mem_free(hosts->text);
    mem_free(hosts);
}

size_t dns_hosts_find(const struct dns_hosts *hosts, struct slice name, struct addr *ret_addrs, size_t max)
{
    name = without_final_dot(name);
    size_t low = 0, high = hosts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cmp_nocase(hosts->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t found = 0;
    for (; low < hosts->count && found < max && slice_eq_nocase(hosts->entries[low].name, name); low++)
        ret_addrs[found++] = hosts->entries[low].addr;
    return found;
}
