#include "config/config.h"
#include "config/value.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int config_store_make_folder(const struct config_store *store)
{
    char path[2 * CONFIG_VALUE_MAX_BYTES];
    size_t len = strlen(store->path);

    if (len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return ERR_IO;
    }
    memcpy(path, store->path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return ERR_IO;
        path[i] = '/';
    }
    return 0;
}
