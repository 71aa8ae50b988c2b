/* Names and addresses of /etc/hosts, read once and then constant: any worker may look up. Knows no SIP. */
#ifndef DNS_HOSTS_H
#define DNS_HOSTS_H

#include "base/addr.h"
#include "base/err.h"
#include "base/slice.h"

struct dns_hosts;

/* A file of more octets or lines than this is read up to there (the rest is left out, and logged). */
#define DNS_HOSTS_MAX_BYTES (1024 * 1024)
#define DNS_HOSTS_MAX_NAMES 65536

/* Reads a hosts(5) file. A file that does not exist gives an empty table; lines that make no sense are
 * skipped. ERR_NOMEM, or ERR_IO when it exists and cannot be read. */
MUST_USE int dns_hosts_load(const char *path, struct dns_hosts **ret_hosts);
/* The same from text. */
MUST_USE int dns_hosts_parse(struct slice text, struct dns_hosts **ret_hosts);
void dns_hosts_free(struct dns_hosts *hosts);

/* Addresses of a name (compared without case, a final dot is ignored), in the order of the file, at most max.
 * Ports are 0. Returns how many. */
size_t dns_hosts_find(const struct dns_hosts *hosts, struct slice name, struct addr *ret_addrs, size_t max);

#endif
