/* replay_main DIR...: runs a harness over every file of the folders, in builds without libFuzzer. A folder
 * that is empty or not there is an error, for a test that replays nothing proves nothing. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

static bool replay_file(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t len = fread(buffer, 1, sizeof(buffer), f);
    fclose(f);
    /* In memory of its own size, so that a sanitizer sees every octet read behind the end. */
    uint8_t *data = malloc(len > 0 ? len : 1);
    if (!data)
        return false;
    memcpy(data, buffer, len);
    (void)LLVMFuzzerTestOneInput(data, len);
    free(data);
    return true;
}

static unsigned replay_folder(const char *folder)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    if (!d)
        return 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        n += replay_file(path);
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        unsigned n = replay_folder(argv[i]);
        printf("%s: %u inputs\n", argv[i], n);
        if (n == 0)
            return 1;
    }
    return 0;
}
