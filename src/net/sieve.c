#include "net/sieve.h"
#include "base/mem.h"
#include "net/bpf.h"
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

/* The program is shown a datagram with its UDP header. */
#define HEADER_BYTES 8

/* The word at each second octet is compared with the two words of the mark that begin with its first and
 * its second octet: one of them is met wherever the mark begins. The rest of a group after that is not
 * looked at: it ends before the mark does. */
#define STEP_BYTES      2
#define WORDS_PER_GROUP 5
#define GROUP_BYTES     (WORDS_PER_GROUP * STEP_BYTES)
#define GROUPS          ((NET_SIEVE_REACH - NET_SIEVE_HEAD) / GROUP_BYTES)

/* A group is looked at when so many octets are there from its start on: a mark that begins in it is whole
 * then. What is left beyond the last group, less an empty line, is too short for a message. */
#define LOOK_BYTES (GROUP_BYTES + NET_SIEVE_MARK_BYTES)

_Static_assert(1 + GROUP_BYTES <= NET_SIEVE_MARK_BYTES - 1, "no empty line is overlooked");
_Static_assert(NET_SIEVE_MARK_BYTES % 4 == 0, "it is compared by words");
_Static_assert(NET_SIEVE_TAIL >= LOOK_BYTES + 1, "as the header says");

/* Where the first mark begins, if it is one; 0: none. */
enum { M_WHERE };

#define DROP 0
#define PASS UINT32_MAX

/* To be taken when a word is the mark's from its first octet on, from its second one on, or an empty line,
 * or when that begins with the word's second octet. */
struct jumps {
    unsigned first, second, empty, empty_next;
};

static void put_start_check(struct net_bpf *p, const char *start)
{
    net_bpf_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
    p->steps[net_bpf_put_jump(p, BPF_JGE, HEADER_BYTES + NET_SIEVE_HEAD)].jt = 1;
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_ABS, HEADER_BYTES);
    p->steps[net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(start))].jt = 1;
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
}

/* X is where a mark may begin, or one octet after that: it is remembered. Should it be none, or a second one, then what
 * followed it in its group is not known, and the datagram passes. */
static void put_hits(struct net_bpf *p, const struct jumps jumps[WORDS_PER_GROUP])
{
    for (unsigned w = 0; w < WORDS_PER_GROUP; w++)
        net_bpf_land_true(p, jumps[w].second);
    net_bpf_put(p, BPF_MISC | BPF_TXA, 0);
    net_bpf_put(p, BPF_ALU | BPF_SUB | BPF_K, 1);
    net_bpf_put(p, BPF_MISC | BPF_TAX, 0);
    for (unsigned w = 0; w < WORDS_PER_GROUP; w++)
        net_bpf_land_true(p, jumps[w].first);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_MEM, M_WHERE);
    p->steps[net_bpf_put_jump(p, BPF_JEQ, 0)].jt = 1;
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
    net_bpf_put(p, BPF_STX, M_WHERE);
}

/* X is an offset, and its word is looked at. */
static void put_word(struct net_bpf *p, const char *mark, unsigned offset, struct jumps *ret_jumps)
{
    net_bpf_put(p, BPF_LDX | BPF_W | BPF_IMM, offset);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_ABS, offset);
    ret_jumps->first = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(mark));
    ret_jumps->second = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(mark + 1));
    ret_jumps->empty = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word("\r\n\r\n"));
    net_bpf_put(p, BPF_ALU | BPF_AND | BPF_K, 0xffffff);
    ret_jumps->empty_next = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word("\0\r\n\r"));
}

/* Returns the jump to take when the datagram ends before the group does. */
static unsigned put_group(struct net_bpf *p, const char *mark, unsigned start)
{
    struct jumps jumps[WORDS_PER_GROUP];
    unsigned ended, none;

    net_bpf_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
    p->steps[net_bpf_put_jump(p, BPF_JGE, start + LOOK_BYTES)].jt = 1;
    ended = net_bpf_put_always(p);
    for (unsigned w = 0; w < WORDS_PER_GROUP; w++)
        put_word(p, mark, start + w * STEP_BYTES, &jumps[w]);
    none = net_bpf_put_always(p);
    for (unsigned w = 0; w < WORDS_PER_GROUP; w++) {
        net_bpf_land_true(p, jumps[w].empty);
        net_bpf_land_true(p, jumps[w].empty_next);
    }
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
    put_hits(p, jumps);
    net_bpf_land_always(p, none);
    return ended;
}

static void put_verdict(struct net_bpf *p, const char *mark)
{
    unsigned differs[1 + NET_SIEVE_MARK_BYTES / 4], n = 0;

    net_bpf_put(p, BPF_LDX | BPF_W | BPF_MEM, M_WHERE);
    net_bpf_put(p, BPF_MISC | BPF_TXA, 0);
    p->steps[net_bpf_put_jump(p, BPF_JEQ, 0)].jf = 1;
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
    for (unsigned i = 0; i < NET_SIEVE_MARK_BYTES; i += 4) {
        net_bpf_put(p, BPF_LD | BPF_W | BPF_IND, i);
        differs[n++] = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(mark + i));
    }
    net_bpf_put(p, BPF_RET | BPF_K, DROP);
    while (n > 0)
        net_bpf_land_false(p, differs[--n]);
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
}

static void compose(struct net_bpf *p, const struct net_sieve *sieve)
{
    unsigned ended[GROUPS];

    p->n = 0;
    put_start_check(p, sieve->start);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_IMM, 0);
    net_bpf_put(p, BPF_ST, M_WHERE);
    for (unsigned g = 0; g < GROUPS; g++)
        ended[g] = put_group(p, sieve->mark, HEADER_BYTES + NET_SIEVE_HEAD + g * GROUP_BYTES);
    net_bpf_put(p, BPF_RET | BPF_K, PASS);
    for (unsigned g = 0; g < GROUPS; g++)
        net_bpf_land_always(p, ended[g]);
    put_verdict(p, sieve->mark);
}

int net_sieve_attach(int fd, const struct net_sieve *sieve)
{
    struct net_bpf *program;
    int r;

    assert(strlen(sieve->start) == NET_SIEVE_START_BYTES && strlen(sieve->mark) == NET_SIEVE_MARK_BYTES);
    program = mem_alloc(sizeof(*program));
    if (!program)
        return ERR_NOMEM;
    compose(program, sieve);
    r = net_bpf_attach(fd, SO_ATTACH_FILTER, program);
    mem_free(program);
    return r;
}

void net_sieve_detach(int fd)
{
    /* It fails where there is none. */
    (void)!setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int));
}
