#include "base/mem.h"
#include "base/list.h"
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOM_BYTES (96 * 1024)

/* Each thread counts for itself: the hot path touches no memory that another thread writes. A block freed by
 * another thread than took it makes that thread's figure negative; only the sum means anything. */
struct thread_account {
    struct list node;
    _Atomic int64_t held_bytes;
    int64_t room_until_bytes; /* of held_bytes: until then the allocator has memory for this thread */
    int64_t successes_left;   /* negative: allocations are not made to fail */
    bool registered;
};

static _Thread_local struct thread_account account = {.successes_left = -1};

static pthread_mutex_t accounts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list accounts = {&accounts, &accounts};
static int64_t ended_threads_bytes;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;

static void account_close(void *ptr)
{
    struct thread_account *a = ptr;

    pthread_mutex_lock(&accounts_lock);
    list_remove(&a->node);
    ended_threads_bytes += atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
    atomic_store_explicit(&a->held_bytes, 0, memory_order_relaxed);
    pthread_mutex_unlock(&accounts_lock);
    a->registered = false;
}

static void exit_key_create(void)
{
    if (pthread_key_create(&exit_key, account_close) != 0)
        abort();
}

static void account_open(void)
{
    pthread_once(&exit_key_once, exit_key_create);
    /* Without room for the key's value the account could not be closed when the thread ends, and the list
     * would point into its dead stack. */
    if (pthread_setspecific(exit_key, &account) != 0)
        abort();
    pthread_mutex_lock(&accounts_lock);
    list_append(&accounts, &account.node);
    pthread_mutex_unlock(&accounts_lock);
    account.registered = true;
    if (gettid() == getpid())
        account.room_until_bytes = INT64_MAX;
}

/* glibc asks the kernel for a page when it needs one, in all threads but the first: a system call for each
 * eighth message that is kept. A block taken and given back at once leaves room for many. The heap of the
 * first thread grows by as much anyway, and what lies free at its end goes back to the kernel from 128 KiB
 * on: there each room would cost calls. */
static void make_room(int64_t held_bytes)
{
    void *volatile room = malloc(ROOM_BYTES);

    free(room);
    account.room_until_bytes = held_bytes + ROOM_BYTES;
}

static void account_add(int64_t bytes)
{
    int64_t held_bytes;

    if (__builtin_expect(!account.registered, 0))
        account_open();
    /* The one writer is this thread, so this need not be an atomic addition. */
    held_bytes = atomic_load_explicit(&account.held_bytes, memory_order_relaxed) + bytes;
    atomic_store_explicit(&account.held_bytes, held_bytes, memory_order_relaxed);
    if (__builtin_expect(held_bytes > account.room_until_bytes, 0))
        make_room(held_bytes);
}

static bool made_to_fail(void)
{
    if (__builtin_expect(account.successes_left < 0, 1))
        return false;
    if (account.successes_left == 0)
        return true;
    account.successes_left--;
    return false;
}

static void *counted(void *ptr)
{
    if (ptr)
        account_add((int64_t)malloc_usable_size(ptr));
    return ptr;
}

void *mem_alloc(size_t bytes)
{
    /* malloc(0) may give NULL, which here means failure. */
    return made_to_fail() ? NULL : counted(malloc(bytes > 0 ? bytes : 1));
}

void *mem_zalloc(size_t bytes)
{
    return made_to_fail() ? NULL : counted(calloc(1, bytes > 0 ? bytes : 1));
}

void *mem_realloc_array(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    int64_t before = (int64_t)malloc_usable_size(ptr);
    void *moved;

    if (__builtin_mul_overflow(count, size, &bytes) || made_to_fail())
        return NULL;
    moved = realloc(ptr, bytes > 0 ? bytes : 1);
    if (moved)
        account_add((int64_t)malloc_usable_size(moved) - before);
    return moved;
}

void mem_free(void *ptr)
{
    if (!ptr)
        return;
    account_add(-(int64_t)malloc_usable_size(ptr));
    free(ptr);
}

int64_t mem_held_bytes(void)
{
    int64_t sum;

    pthread_mutex_lock(&accounts_lock);
    sum = ended_threads_bytes;
    list_for_each(node, &accounts) sum += atomic_load_explicit(
        &list_entry(node, struct thread_account, node)->held_bytes, memory_order_relaxed);
    pthread_mutex_unlock(&accounts_lock);
    return sum;
}

void mem_fail_after(int64_t successes)
{
    account.successes_left = successes;
}
