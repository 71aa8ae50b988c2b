/* Compares a document with the schema: unknown and doubled keys, keys that are missing, a list where a
 * mapping belongs, values that are not of their type or out of range. */
#ifndef CONFIG_INSPECT_H
#define CONFIG_INSPECT_H

#include "config/document.h"
#include "config/schema.h"

/* Adds to errors whatever is wrong. root NULL: an empty document. *ret_shape_is_right: libcyaml can load the
 * text and no list is too long, although there may be unknown keys and wrong values. ERR_NOMEM: nothing can
 * be said. */
MUST_USE int inspect_document(const struct node *root, struct arena *scratch, struct config_errors *errors,
                              bool *ret_shape_is_right);

#endif
