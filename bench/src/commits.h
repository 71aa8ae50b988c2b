/* The yardstick of the storage: what SQLite alone takes for the rows that a registrar commits, in a table of
 * the same columns, with the same settings and as many rows in a transaction, and nothing else around it. */
#ifndef BENCH_COMMITS_H
#define BENCH_COMMITS_H

#include <signal.h>
#include <stddef.h>

struct commits_opts {
    const char *path; /* of a database that is made anew */
    size_t rows;      /* in the table */
    size_t batch;     /* of them written anew in each transaction, drawn by lot */
    double seconds;
    const volatile sig_atomic_t *stop;
};

/* Prints what it took, as JSON. Returns a code of sysexits.h. */
int commits_run(const struct commits_opts *opts);

#endif
