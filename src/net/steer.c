#include "net/steer.h"
#include "base/mem.h"
#include "net/bpf.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* What is looked for is a line feed, the name and a colon. Each sixth word of the datagram is compared with the
 * six words of that pattern: one of them is met wherever the pattern begins. */
#define PATTERN_BYTES (1 + NET_STEER_NAME_BYTES + 1)
#define SHIFTS        (PATTERN_BYTES - 3)

/* Words that are compared before a hit among them is looked at. The field is not found in the last octets of
 * a datagram that do not fill a group. */
#define WORDS_PER_GROUP 5
#define GROUP_BYTES     (WORDS_PER_GROUP * SHIFTS)
#define GROUPS          (NET_STEER_REACH / GROUP_BYTES)
/* No pattern begins in the start line's first octets, and none before the datagram does. */
#define FIRST_WORD 8

/* Its memory. */
enum { M_HASH, M_VALUE };

/* What makes the kernel choose by the addresses: there is no such socket. */
#define NO_SOCKET UINT32_MAX

/* What comes after the last step so far is reached only when the datagram has all octets before `end`: a load
 * from beyond its end would end the program with 0, which is a socket. */
static void put_end_check(struct net_bpf *p, uint32_t end)
{
    net_bpf_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
    p->steps[net_bpf_put_jump(p, BPF_JGE, end)].jt = 1;
    net_bpf_put(p, BPF_RET | BPF_K, NO_SOCKET);
}

static void put_exceptions(struct net_bpf *p, const struct net_steer *steer)
{
    unsigned is_except, is_empty, is_none;

    net_bpf_put(p, BPF_LD | BPF_W | BPF_ABS, 0);
    is_except = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(steer->except));
    net_bpf_put(p, BPF_LD | BPF_B | BPF_ABS, 0);
    is_empty = net_bpf_put_jump(p, BPF_JEQ, '\r');
    is_none = net_bpf_put_jump(p, BPF_JEQ, '\n');
    p->steps[is_none].jf = 1;
    net_bpf_land_true(p, is_except);
    net_bpf_land_true(p, is_empty);
    net_bpf_put(p, BPF_RET | BPF_K, NO_SOCKET);
}

/* X is where the pattern may begin. The jump that is taken when it does; else the next step. */
static unsigned put_check(struct net_bpf *p, const char *pattern)
{
    unsigned differs[3], matches;

    net_bpf_put(p, BPF_LD | BPF_W | BPF_IND, 0);
    differs[0] = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(pattern));
    net_bpf_put(p, BPF_LD | BPF_W | BPF_IND, 4);
    differs[1] = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(pattern + 4));
    net_bpf_put(p, BPF_LD | BPF_B | BPF_IND, PATTERN_BYTES - 1);
    differs[2] = net_bpf_put_jump(p, BPF_JEQ, (uint8_t)pattern[PATTERN_BYTES - 1]);
    matches = net_bpf_put_always(p);
    for (unsigned i = 0; i < 3; i++)
        net_bpf_land_false(p, differs[i]);
    return matches;
}

/* The jump that is taken where the pattern begins at X, or may begin there if that is not checked at once. */
static unsigned put_group(struct net_bpf *p, const char *pattern, unsigned first, bool is_checked)
{
    unsigned hits[SHIFTS][WORDS_PER_GROUP], to_look[SHIFTS], none, found;

    for (unsigned w = 0; w < WORDS_PER_GROUP; w++) {
        net_bpf_put(p, BPF_LDX | BPF_W | BPF_IMM, first + w * SHIFTS);
        net_bpf_put(p, BPF_LD | BPF_W | BPF_ABS, first + w * SHIFTS);
        for (unsigned s = 0; s < SHIFTS; s++)
            hits[s][w] = net_bpf_put_jump(p, BPF_JEQ, net_bpf_word(pattern + s));
    }
    none = net_bpf_put_always(p);
    for (unsigned s = 0; s < SHIFTS; s++) {
        for (unsigned w = 0; w < WORDS_PER_GROUP; w++)
            net_bpf_land_true(p, hits[s][w]);
        net_bpf_put(p, BPF_MISC | BPF_TXA, 0);
        net_bpf_put(p, BPF_ALU | BPF_SUB | BPF_K, s);
        to_look[s] = net_bpf_put_always(p);
    }
    for (unsigned s = 0; s < SHIFTS; s++)
        net_bpf_land_always(p, to_look[s]);
    net_bpf_put(p, BPF_MISC | BPF_TAX, 0);
    found = is_checked ? put_check(p, pattern) : net_bpf_put_always(p);
    net_bpf_land_always(p, none);
    return found;
}

/* From X on; the hash so far is in M_HASH. To where `end` lands at white space. */
static unsigned put_octet(struct net_bpf *p, unsigned i, uint32_t factor)
{
    unsigned end;

    net_bpf_put(p, BPF_LDX | BPF_W | BPF_MEM, M_VALUE);
    net_bpf_put(p, BPF_LD | BPF_B | BPF_IND, i);
    p->steps[net_bpf_put_jump(p, BPF_JGT, ' ')].jt = 1;
    end = net_bpf_put_always(p);
    net_bpf_put(p, BPF_LDX | BPF_W | BPF_MEM, M_HASH);
    net_bpf_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
    net_bpf_put(p, BPF_ALU | BPF_MUL | BPF_K, factor);
    net_bpf_put(p, BPF_ST, M_HASH);
    return end;
}

/* hash_head32, beginning at the pattern at X. */
static void put_hash(struct net_bpf *p, const struct net_steer *steer)
{
    const struct hash_head_key key = hash_head_key(&steer->key);
    unsigned ends[HASH_HEAD_BYTES], no_space;

    net_bpf_put(p, BPF_LD | BPF_B | BPF_IND, PATTERN_BYTES);
    no_space = net_bpf_put_jump(p, BPF_JEQ, ' ');
    net_bpf_put(p, BPF_MISC | BPF_TXA, 0);
    net_bpf_put(p, BPF_ALU | BPF_ADD | BPF_K, 1);
    net_bpf_put(p, BPF_MISC | BPF_TAX, 0);
    net_bpf_land_false(p, no_space);
    net_bpf_put(p, BPF_MISC | BPF_TXA, 0);
    net_bpf_put(p, BPF_ALU | BPF_ADD | BPF_K, PATTERN_BYTES);
    net_bpf_put(p, BPF_ST, M_VALUE);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_IMM, key.start);
    net_bpf_put(p, BPF_ST, M_HASH);
    for (unsigned i = 0; i < HASH_HEAD_BYTES; i++)
        ends[i] = put_octet(p, i, key.factor);
    for (unsigned i = 0; i < HASH_HEAD_BYTES; i++)
        net_bpf_land_always(p, ends[i]);
    net_bpf_put(p, BPF_LD | BPF_W | BPF_MEM, M_HASH);
    net_bpf_put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    net_bpf_put(p, BPF_LDX | BPF_W | BPF_MEM, M_HASH);
    net_bpf_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
    net_bpf_put(p, BPF_ALU | BPF_MUL | BPF_K, key.last_factor);
    net_bpf_put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    net_bpf_put(p, BPF_ALU | BPF_MOD | BPF_K, steer->sockets);
    net_bpf_put(p, BPF_RET | BPF_A, 0);
}

static void compose(struct net_bpf *p, const struct net_steer *steer, unsigned groups, bool is_checked)
{
    char pattern[PATTERN_BYTES];
    unsigned found[GROUPS], matches;

    p->n = 0;
    pattern[0] = '\n';
    memcpy(pattern + 1, steer->name, NET_STEER_NAME_BYTES);
    pattern[PATTERN_BYTES - 1] = ':';
    put_end_check(p, NET_STEER_EXCEPT_BYTES);
    put_exceptions(p, steer);
    for (unsigned g = 0; g < groups; g++) {
        unsigned first = FIRST_WORD + g * GROUP_BYTES;

        put_end_check(p, first + GROUP_BYTES + PATTERN_BYTES);
        found[g] = put_group(p, pattern, first, is_checked);
    }
    net_bpf_put(p, BPF_RET | BPF_K, NO_SOCKET);
    for (unsigned g = 0; g < groups; g++)
        net_bpf_land_always(p, found[g]);
    if (!is_checked) {
        matches = put_check(p, pattern);
        net_bpf_put(p, BPF_RET | BPF_K, NO_SOCKET);
        net_bpf_land_always(p, matches);
    }
    put_hash(p, steer);
}

/* A kernel that has no memory for the whole program has some for one that looks at the first place only where the
 * field may begin, since it has no way back from there, and does not reach so far. */
static int attach(int fd, const struct net_steer *steer, struct net_bpf *program)
{
    int r;

    compose(program, steer, GROUPS, true);
    r = net_bpf_attach(fd, SO_ATTACH_REUSEPORT_CBPF, program);
    for (unsigned groups = GROUPS; r < 0 && errno == ENOMEM && groups > 0; groups--) {
        compose(program, steer, groups, false);
        r = net_bpf_attach(fd, SO_ATTACH_REUSEPORT_CBPF, program);
    }
    return r;
}

int net_steer_attach(int fd, const struct net_steer *steer)
{
    struct net_bpf *program;
    int r;

    assert(steer->sockets > 0 && strlen(steer->name) == NET_STEER_NAME_BYTES &&
           strlen(steer->except) == NET_STEER_EXCEPT_BYTES);
    program = mem_alloc(sizeof(*program));
    if (!program)
        return ERR_NOMEM;
    r = attach(fd, steer, program);
    mem_free(program);
    return r;
}
