/* Just enough of SIP for the bench to be faster than what it measures: its own messages come back with their
 * header names as it wrote them, so a search for "\r\nCall-ID: " finds them. Not for strangers' messages. */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include "base/buf.h"
#include "base/slice.h"

/* The value of the first header that begins so, name with colon; absent when there is none. */
struct slice text_header(struct slice message, struct slice name);
/* 100 to 699 of a response; 0 of a request. */
unsigned text_status(struct slice message);
struct slice text_method(struct slice message);
/* The method in CSeq. */
struct slice text_cseq_method(struct slice message);
/* Calls out->put for each whole line "Name: value\r\n" of this name, in order. */
void text_copy_headers(struct slice message, struct slice name, struct buf *out);
/* The Route headers that a caller needs from the Record-Route headers of a response: in reverse order (RFC 3261
 * section 12.1.2). One value in each header. */
void text_routes_reversed(struct slice message, struct buf *out);
/* What stands between < and > of a value. */
struct slice text_uri(struct slice value);

#endif
