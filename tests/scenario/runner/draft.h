/* A message under construction by a peer of the script: a start line, headers in order, a body. */
#ifndef SCENARIO_DRAFT_H
#define SCENARIO_DRAFT_H

#include "plain.h"
#include "script.h"

struct draft {
    struct heap *heap;
    struct slice start;
    struct plain_hdr *hdrs;
    size_t n_hdrs;
    struct text body;
    bool no_length; /* no Content-Length is added */
};

void draft_init(struct draft *d, struct heap *heap, struct slice start);
void draft_add(struct draft *d, const char *name, struct slice value);
/* Replaces the first of this name, or adds. */
void draft_set(struct draft *d, struct slice name, struct slice value);
/* Behind the last of this name, or at the end. */
void draft_add_after(struct draft *d, struct slice name, struct slice value);
void draft_remove(struct draft *d, struct slice name);
/* Copies every header of this name from a message. */
void draft_copy(struct draft *d, const struct plain *from, const char *name);
/* All headers and the body. */
void draft_copy_all(struct draft *d, const struct plain *from);
/* The indented lines of a statement: "Name: value" replaces (a second one adds), "+Name: value" adds, "-Name"
 * removes,
 * "| text" is a line of the body. False when a line is none of these. */
bool draft_edit(struct draft *d, const struct stmt *stmt, struct slice *ret_bad);
struct slice draft_bytes(struct draft *d);
/* The lines "| text" as octets: \r \n \t \\ \0 \xHH; each line ends with CRLF unless its last character is a
 * backslash. */
struct slice draft_raw(struct heap *heap, const struct stmt *stmt);
struct slice draft_unescape(struct heap *heap, struct slice text);

#endif
