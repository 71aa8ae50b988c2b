/* Programs for the kernel's packet filter (classic BPF), composed step by step. They have no loops, only
 * jumps forward, and reading beyond the end of a packet ends them with 0: each read needs a check of the
 * length before it. */
#ifndef NET_BPF_H
#define NET_BPF_H

#include "base/err.h"
#include <linux/filter.h>
#include <stdint.h>

/* The kernel takes no more steps, and needs memory for what it translates them to, up to some 130 octets
 * for one that reads the packet: no more than net.core.optmem_max (131,072 octets since Linux 6.8, 20,480
 * before). */
#define NET_BPF_STEPS_MAX BPF_MAXINSNS

struct net_bpf {
    struct sock_filter steps[NET_BPF_STEPS_MAX];
    unsigned n;
};

/* Returns the number of the step. */
unsigned net_bpf_put(struct net_bpf *program, unsigned code, uint32_t k);
/* A conditional jump (BPF_JEQ ...) whose targets are set later, or are the next step. */
unsigned net_bpf_put_jump(struct net_bpf *program, unsigned condition, uint32_t k);
/* A jump whose target is set by net_bpf_land_always. */
unsigned net_bpf_put_always(struct net_bpf *program);

/* A jump that was put before goes to the next step that is put; 255 steps at most, but land_always. */
void net_bpf_land_true(struct net_bpf *program, unsigned jump);
void net_bpf_land_false(struct net_bpf *program, unsigned jump);
void net_bpf_land_always(struct net_bpf *program, unsigned jump);

/* Four octets as the program reads them. */
uint32_t net_bpf_word(const char *octets);

/* option: SO_ATTACH_FILTER or SO_ATTACH_REUSEPORT_CBPF. ERR_IO with errno. */
MUST_USE int net_bpf_attach(int fd, int option, struct net_bpf *program);

#endif
