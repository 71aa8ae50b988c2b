/* Tells AddressSanitizer which parts of a pool or arena nobody may touch now, so that use after release and
 * overruns are found although the memory itself is never given back. Nothing in other builds. */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define POISON_ENABLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ENABLED 1
#endif
#endif

#ifdef POISON_ENABLED
#include <sanitizer/asan_interface.h>
#define poison(ptr, bytes)   ASAN_POISON_MEMORY_REGION((ptr), (bytes))
#define unpoison(ptr, bytes) ASAN_UNPOISON_MEMORY_REGION((ptr), (bytes))
#define POISON_REDZONE_BYTES 16
#else
#define poison(ptr, bytes)   ((void)(ptr), (void)(bytes))
#define unpoison(ptr, bytes) ((void)(ptr), (void)(bytes))
#define POISON_REDZONE_BYTES 0
#endif

#endif
