#include "net/steer.h"
#include "base/mem.h"
#include <assert.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

/* What is looked for is a line feed, the name and a colon. Each fourth word of the datagram is compared with the four words of that
 * pattern which begin FIRST_SHIFT and more octets after its start: one of them is met wherever the pattern begins.
 * They are those with which few other header fields are spelled. */
#define PATTERN_BYTES (1 + NET_STEER_NAME_BYTES + 1)
#define FIRST_SHIFT   2
#define SHIFTS        4

/* Words that are compared before a hit among them is looked at. The field is not found in the last octets of a datagram that do
 * not fill a group. */
#define WORDS_PER_GROUP 8
#define GROUP_BYTES     (WORDS_PER_GROUP * 4)
#define GROUPS          (NET_STEER_REACH / GROUP_BYTES)
/* No pattern begins in the start line's first octets, and none before the datagram does. */
#define FIRST_WORD 8

/* The kernel takes BPF_MAXINSNS, but no more memory than net.core.optmem_max, which may be 20,480 octets. */
#define STEPS_MAX 2540

/* Its memory. */
enum { M_HASH, M_VALUE };

/* What makes the kernel choose by the addresses: there is no such socket. */
#define NO_SOCKET UINT32_MAX

struct program {
    struct sock_filter steps[STEPS_MAX];
    unsigned n;
    char pattern[PATTERN_BYTES];
};

static unsigned put(struct program *p, unsigned code, uint32_t k)
{
    assert(p->n < STEPS_MAX);
    p->steps[p->n] = (struct sock_filter){.code = (uint16_t)code, .k = k};
    return p->n++;
}

/* A jump whose targets are set later, or are the next step. */
static unsigned put_jump(struct program *p, unsigned condition, uint32_t k)
{
    return put(p, BPF_JMP | condition | BPF_K, k);
}

static uint8_t distance(const struct program *p, unsigned jump)
{
    assert(p->n - jump - 1 <= UINT8_MAX);
    return (uint8_t)(p->n - jump - 1);
}

static void land_true(struct program *p, unsigned jump)
{
    p->steps[jump].jt = distance(p, jump);
}

static void land_false(struct program *p, unsigned jump)
{
    p->steps[jump].jf = distance(p, jump);
}

static void land_always(struct program *p, unsigned jump)
{
    p->steps[jump].k = p->n - jump - 1;
}

static uint32_t word_of(const char *octets)
{
    uint32_t word = 0;

    for (unsigned i = 0; i < 4; i++)
        word = word << 8 | (uint8_t)octets[i];
    return word;
}

/* What comes after the last step so far is reached only when the datagram has all octets before `end`: a load from beyond its
 * end would end the program with 0, which is a socket. */
static void put_end_check(struct program *p, uint32_t end)
{
    put(p, BPF_LD | BPF_W | BPF_LEN, 0);
    p->steps[put_jump(p, BPF_JGE, end)].jt = 1;
    put(p, BPF_RET | BPF_K, NO_SOCKET);
}

static void put_exceptions(struct program *p, const struct net_steer *steer)
{
    unsigned is_except, is_empty, is_none;

    put(p, BPF_LD | BPF_W | BPF_ABS, 0);
    is_except = put_jump(p, BPF_JEQ, word_of(steer->except));
    put(p, BPF_LD | BPF_B | BPF_ABS, 0);
    is_empty = put_jump(p, BPF_JEQ, '\r');
    is_none = put_jump(p, BPF_JEQ, '\n');
    p->steps[is_none].jf = 1;
    land_true(p, is_except);
    land_true(p, is_empty);
    put(p, BPF_RET | BPF_K, NO_SOCKET);
}

/* X is where the pattern may begin. The jump that is taken when it does; else the next step. */
static unsigned put_check(struct program *p)
{
    unsigned differs[3], matches;

    put(p, BPF_LD | BPF_W | BPF_IND, 0);
    differs[0] = put_jump(p, BPF_JEQ, word_of(p->pattern));
    put(p, BPF_LD | BPF_W | BPF_IND, 4);
    differs[1] = put_jump(p, BPF_JEQ, word_of(p->pattern + 4));
    put(p, BPF_LD | BPF_B | BPF_IND, PATTERN_BYTES - 1);
    differs[2] = put_jump(p, BPF_JEQ, (uint8_t)p->pattern[PATTERN_BYTES - 1]);
    matches = put_jump(p, BPF_JA, 0);
    for (unsigned i = 0; i < 3; i++)
        land_false(p, differs[i]);
    return matches;
}

/* The jump to where the value is read. X is where the pattern begins then. */
static unsigned put_group(struct program *p, unsigned first)
{
    unsigned hits[SHIFTS][WORDS_PER_GROUP], to_check[SHIFTS], none, matches;

    for (unsigned w = 0; w < WORDS_PER_GROUP; w++) {
        put(p, BPF_LDX | BPF_W | BPF_IMM, first + w * 4);
        put(p, BPF_LD | BPF_W | BPF_ABS, first + w * 4);
        for (unsigned s = 0; s < SHIFTS; s++)
            hits[s][w] = put_jump(p, BPF_JEQ, word_of(p->pattern + FIRST_SHIFT + s));
    }
    none = put_jump(p, BPF_JA, 0);
    for (unsigned s = 0; s < SHIFTS; s++) {
        for (unsigned w = 0; w < WORDS_PER_GROUP; w++)
            land_true(p, hits[s][w]);
        put(p, BPF_MISC | BPF_TXA, 0);
        put(p, BPF_ALU | BPF_SUB | BPF_K, FIRST_SHIFT + s);
        to_check[s] = put_jump(p, BPF_JA, 0);
    }
    for (unsigned s = 0; s < SHIFTS; s++)
        land_always(p, to_check[s]);
    put(p, BPF_MISC | BPF_TAX, 0);
    matches = put_check(p);
    land_always(p, none);
    return matches;
}

/* From X on; the hash so far is in M_HASH. To where `end` lands at white space. */
static unsigned put_octet(struct program *p, unsigned i, uint32_t factor)
{
    unsigned end;

    put(p, BPF_LDX | BPF_W | BPF_MEM, M_VALUE);
    put(p, BPF_LD | BPF_B | BPF_IND, i);
    p->steps[put_jump(p, BPF_JGT, ' ')].jt = 1;
    end = put_jump(p, BPF_JA, 0);
    put(p, BPF_LDX | BPF_W | BPF_MEM, M_HASH);
    put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
    put(p, BPF_ALU | BPF_MUL | BPF_K, factor);
    put(p, BPF_ST, M_HASH);
    return end;
}

/* hash_head32, beginning at the pattern at X. */
static void put_hash(struct program *p, const struct net_steer *steer)
{
    const struct hash_head_key key = hash_head_key(&steer->key);
    unsigned ends[HASH_HEAD_BYTES], no_space;

    put(p, BPF_LD | BPF_B | BPF_IND, PATTERN_BYTES);
    no_space = put_jump(p, BPF_JEQ, ' ');
    put(p, BPF_MISC | BPF_TXA, 0);
    put(p, BPF_ALU | BPF_ADD | BPF_K, 1);
    put(p, BPF_MISC | BPF_TAX, 0);
    land_false(p, no_space);
    put(p, BPF_MISC | BPF_TXA, 0);
    put(p, BPF_ALU | BPF_ADD | BPF_K, PATTERN_BYTES);
    put(p, BPF_ST, M_VALUE);
    put(p, BPF_LD | BPF_W | BPF_IMM, key.start);
    put(p, BPF_ST, M_HASH);
    for (unsigned i = 0; i < HASH_HEAD_BYTES; i++)
        ends[i] = put_octet(p, i, key.factor);
    for (unsigned i = 0; i < HASH_HEAD_BYTES; i++)
        land_always(p, ends[i]);
    put(p, BPF_LD | BPF_W | BPF_MEM, M_HASH);
    put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    put(p, BPF_LDX | BPF_W | BPF_MEM, M_HASH);
    put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
    put(p, BPF_ALU | BPF_MUL | BPF_K, key.last_factor);
    put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    put(p, BPF_ALU | BPF_MOD | BPF_K, steer->sockets);
    put(p, BPF_RET | BPF_A, 0);
}

static void compose(struct program *p, const struct net_steer *steer)
{
    unsigned found[GROUPS];

    p->n = 0;
    p->pattern[0] = '\n';
    memcpy(p->pattern + 1, steer->name, NET_STEER_NAME_BYTES);
    p->pattern[PATTERN_BYTES - 1] = ':';
    put_end_check(p, NET_STEER_EXCEPT_BYTES);
    put_exceptions(p, steer);
    for (unsigned g = 0; g < GROUPS; g++) {
        unsigned first = FIRST_WORD + g * GROUP_BYTES;

        put_end_check(p, first + GROUP_BYTES + PATTERN_BYTES);
        found[g] = put_group(p, first);
    }
    put(p, BPF_RET | BPF_K, NO_SOCKET);
    for (unsigned g = 0; g < GROUPS; g++)
        land_always(p, found[g]);
    put_hash(p, steer);
}

int net_steer_attach(int fd, const struct net_steer *steer)
{
    struct program *program;
    struct sock_fprog filter;
    int r = 0;

    assert(steer->sockets > 0 && strlen(steer->name) == NET_STEER_NAME_BYTES &&
           strlen(steer->except) == NET_STEER_EXCEPT_BYTES);
    program = mem_alloc(sizeof(*program));
    if (!program)
        return ERR_NOMEM;
    compose(program, steer);
    filter = (struct sock_fprog){.len = (unsigned short)program->n, .filter = program->steps};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) < 0)
        r = ERR_IO;
    mem_free(program);
    return r;
}
