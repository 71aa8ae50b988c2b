/* Reading the files of this folder into memory that ends at a forbidden page. */
#ifndef TESTS_TORTURE_FILE_H
#define TESTS_TORTURE_FILE_H

#include "../unit/sip/support.h"

#define TORTURE_FILE_MAX 65535

struct torture_file {
    struct guarded guarded;
    struct slice bytes;
};

static inline struct torture_file torture_file_read(const char *dir, const char *name)
{
    static char text[TORTURE_FILE_MAX];
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    size_t len = fread(text, 1, sizeof(text), f);
    fclose(f);
    struct torture_file file = {.guarded = guarded_copy(slice_make(text, len))};
    file.bytes = file.guarded.copy;
    return file;
}

static inline void torture_file_done(struct torture_file *file)
{
    guarded_free(&file->guarded);
}

#endif
