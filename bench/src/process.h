/* What another process costs, from /proc: with all its threads, and all its children. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#define PROCESS_THREADS_MAX 256

struct process_cost {
    uint64_t cpu_ns; /* of all threads */
    /* Of all processes. PSS is without pages of files: the part of the libraries' that is put down to one process
     * changes with who else uses them. */
    uint64_t pss_bytes, rss_bytes;
    unsigned n_threads; /* in threads[] */
    uint64_t
        thread_cpu_ns[PROCESS_THREADS_MAX]; /* in the order of /proc, which does not change while they live */
};

/* Everything is 0 when there is no such process. PSS needs the right to read smaps; 0 without it. */
void process_measure(pid_t pid, struct process_cost *ret_cost);
/* CPU time of the calling process. */
uint64_t process_own_cpu_ns(void);

#endif
