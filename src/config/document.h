/* A YAML text as a small tree that remembers its lines. Bounded in size, depth and number of nodes; without
 * anchors, aliases, tags and second documents, which a configuration does not need and which can make a short
 * text a huge one. */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include "config/errors.h"

#define DOCUMENT_DEPTH_MAX 8
#define DOCUMENT_NODES_MAX 50000

enum node_kind { NODE_SCALAR, NODE_MAPPING, NODE_LIST };

struct node {
    enum node_kind kind;
    unsigned line;      /* of the key in a mapping, else of the value; from 1 */
    bool quoted;        /* a scalar in quotes or a block */
    struct slice key;   /* in a mapping */
    struct slice text;  /* of a scalar */
    struct node *first; /* children, in order */
    struct node *next;
    size_t count; /* of children */
};

/* Everything lies in arena. *ret_root is NULL for an empty document. ERR_SYNTAX: errors says why. ERR_NOMEM. */
MUST_USE int document_parse(struct slice text, struct arena *arena, struct config_errors *errors,
                            struct node **ret_root);

/* The child of a mapping with this key, or NULL. */
const struct node *document_child(const struct node *mapping, struct slice key);
/* The line of "a.b[2].c", or of the deepest part of that path which the document has; 0 for nothing of it. */
unsigned document_line(const struct node *root, const char *path);

#endif
