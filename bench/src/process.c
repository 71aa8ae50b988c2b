#include "process.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROCESSES_MAX 64

/* schedstat counts nanoseconds where stat counts hundredths of a second. */
static uint64_t thread_cpu(pid_t pid, const char *tid)
{
    char path[320];
    unsigned long long ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, tid);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return 0;
    if (fscanf(in, "%llu", &ns) != 1)
        ns = 0;
    fclose(in);
    return ns;
}

static void add_threads(pid_t pid, struct process_cost *cost)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        uint64_t ns = thread_cpu(pid, e->d_name);
        cost->cpu_ns += ns;
        if (cost->n_threads < PROCESS_THREADS_MAX)
            cost->thread_cpu_ns[cost->n_threads++] = ns;
    }
    closedir(dir);
}

static void add_memory(pid_t pid, struct process_cost *cost)
{
    char path[64], line[256];
    unsigned long long kb;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return;
    while (fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "Pss: %llu", &kb) == 1)
            cost->pss_bytes += kb * 1024;
        else if (sscanf(line, "Pss_File: %llu", &kb) == 1)
            cost->pss_bytes -= kb * 1024;
        else if (sscanf(line, "Rss: %llu", &kb) == 1)
            cost->rss_bytes += kb * 1024;
    }
    fclose(in);
}

/* /proc/<pid>/task/<tid>/children lists the processes that this thread has started. */
static size_t add_children(pid_t pid, pid_t *pids, size_t n)
{
    char path[96];
    int child;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return n;
    while (n < PROCESSES_MAX && fscanf(in, "%d", &child) == 1)
        pids[n++] = child;
    fclose(in);
    return n;
}

void process_measure(pid_t pid, struct process_cost *ret_cost)
{
    pid_t pids[PROCESSES_MAX] = {pid};
    size_t n = 1;
    memset(ret_cost, 0, sizeof(*ret_cost));
    for (size_t i = 0; i < n; i++) {
        add_threads(pids[i], ret_cost);
        add_memory(pids[i], ret_cost);
        n = add_children(pids[i], pids, n);
    }
}

uint64_t process_own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
