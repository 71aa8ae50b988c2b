/* Whether octets are UTF-8 (RFC 3629 section 4): no overlong form, no surrogate, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

bool utf8_is_valid(struct slice s);

#endif
