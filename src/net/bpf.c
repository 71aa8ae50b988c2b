#include "net/bpf.h"
#include <assert.h>
#include <sys/socket.h>

unsigned net_bpf_put(struct net_bpf *p, unsigned code, uint32_t k)
{
    assert(p->n < NET_BPF_STEPS_MAX);
    p->steps[p->n] = (struct sock_filter){.code = (uint16_t)code, .k = k};
    return p->n++;
}

unsigned net_bpf_put_jump(struct net_bpf *p, unsigned condition, uint32_t k)
{
    return net_bpf_put(p, BPF_JMP | condition | BPF_K, k);
}

unsigned net_bpf_put_always(struct net_bpf *p)
{
    return net_bpf_put(p, BPF_JMP | BPF_JA, 0);
}

static uint8_t distance(const struct net_bpf *p, unsigned jump)
{
    assert(p->n - jump - 1 <= UINT8_MAX);
    return (uint8_t)(p->n - jump - 1);
}

void net_bpf_land_true(struct net_bpf *p, unsigned jump)
{
    p->steps[jump].jt = distance(p, jump);
}

void net_bpf_land_false(struct net_bpf *p, unsigned jump)
{
    p->steps[jump].jf = distance(p, jump);
}

void net_bpf_land_always(struct net_bpf *p, unsigned jump)
{
    p->steps[jump].k = p->n - jump - 1;
}

uint32_t net_bpf_word(const char *octets)
{
    uint32_t word = 0;

    for (unsigned i = 0; i < 4; i++)
        word = word << 8 | (uint8_t)octets[i];
    return word;
}

int net_bpf_attach(int fd, int option, struct net_bpf *p)
{
    const struct sock_fprog filter = {.len = (unsigned short)p->n, .filter = p->steps};

    return setsockopt(fd, SOL_SOCKET, option, &filter, sizeof(filter)) < 0 ? ERR_IO : 0;
}
