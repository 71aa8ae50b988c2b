#include "base/mem.h"
#include "config/config.h"
#include "config/document.h"
#include "config/inspect.h"
#include "config/rules.h"
#include "config/schema.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_BUDGET_BYTES (16u * 1024 * 1024)
#define SCRATCH_BUDGET_BYTES  (64u * 1024 * 1024)

/* What config_free must give back besides. */
struct snapshot {
    struct config config;
    struct arena_pool pool;
    struct arena arena; /* every list and text of config */
};

/* ---- from texts to values ---- */

static int fill_section(const struct section *section, const char *raw, struct arena *arena, char *out);

/* A wrong text has been told by the inspection; the default stands in, so that the rules can still look at
 * the rest. Where there is no default, zero does. */
static int fill_value(const struct key *key, const char *text, struct arena *arena, char *out)
{
    int r = text ? value_parse(key->type, slice_from_cstr(text), arena, out) : ERR_SYNTAX;

    if (r == ERR_SYNTAX && key->preset)
        r = value_parse(key->type, slice_from_cstr(key->preset), arena, out);
    return r == ERR_NOMEM ? r : 0;
}

static void set_list(const struct key *key, char *out, const void *elements, size_t count)
{
    memcpy(out + key->at, &elements, sizeof(elements));
    memcpy(out + key->count_at, &count, sizeof(count));
}

static size_t count_words(struct slice text)
{
    size_t count = text.len > 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ' ';
    return count;
}

/* The texts of a list of values: from the file, or the words of the default. */
static int list_texts(const struct key *key, const char *raw, struct arena *arena, struct slice **ret_texts,
                      size_t *ret_count)
{
    char *const *given = raw ? *(char *const *const *)(const void *)(raw + key->raw_at) : NULL;
    struct slice rest = slice_from_cstr(key->preset);
    size_t count = given ? *(const unsigned *)(const void *)(raw + key->raw_count_at) : count_words(rest);
    struct slice *texts = arena_alloc(arena, count * sizeof(*texts));

    if (!texts)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        size_t end = slice_find(rest, ' ');

        texts[i] = given ? slice_from_cstr(given[i]) : slice_sub(rest, 0, end);
        rest = slice_sub(rest, end + 1, rest.len);
    }
    *ret_texts = texts;
    *ret_count = count;
    return 0;
}

static int fill_values(const struct key *key, const char *raw, struct arena *arena, char *out)
{
    struct slice *texts;
    char *elements;
    size_t count;
    int r = list_texts(key, raw, arena, &texts, &count);

    if (r < 0)
        return r;
    elements = arena_zalloc(arena, count * key->type->bytes);
    if (!elements)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (value_parse(key->type, texts[i], arena, elements + i * key->type->bytes) == ERR_NOMEM)
            return ERR_NOMEM;
    set_list(key, out, elements, count);
    return 0;
}

static int fill_list(const struct key *key, const char *raw, struct arena *arena, char *out)
{
    const char *given = raw ? *(const char *const *)(const void *)(raw + key->raw_at) : NULL;
    size_t count = given ? *(const unsigned *)(const void *)(raw + key->raw_count_at) : 0;
    char *elements = arena_zalloc(arena, count * key->inner->bytes);

    if (!elements)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        int r = fill_section(key->inner, given + i * key->inner->raw_bytes, arena,
                             elements + i * key->inner->bytes);

        if (r < 0)
            return r;
    }
    set_list(key, out, elements, count);
    return 0;
}

static int fill_key(const struct key *key, const char *raw, struct arena *arena, char *out)
{
    switch (key->kind) {
    case KEY_VALUE:
        return fill_value(key, raw ? *(const char *const *)(const void *)(raw + key->raw_at) : NULL, arena,
                          out + key->at);
    case KEY_VALUES:
        return fill_values(key, raw, arena, out);
    case KEY_MAPPING:
        return fill_section(key->inner, raw ? raw + key->raw_at : NULL, arena, out + key->at);
    case KEY_LIST:
        return fill_list(key, raw, arena, out);
    }
    return 0;
}

/* raw NULL: nothing of the section was given. Recursion as deep as the table of keys. */
static int fill_section(const struct section *section, const char *raw, struct arena *arena, char *out)
{
    int r = 0;

    for (size_t i = 0; i < section->n_keys && r == 0; i++)
        r = fill_key(&section->keys[i], raw, arena, out);
    return r;
}

/* ---- libcyaml ---- */

static void *cyaml_memory(void *ctx, void *ptr, size_t bytes)
{
    (void)ctx;
    if (bytes > 0)
        return mem_realloc_array(ptr, bytes, 1);
    mem_free(ptr);
    return NULL;
}

/* The inspection has found the shape right, so nothing but memory can be wanting; were it otherwise, the two
 * would disagree about YAML, and the file is refused in libcyaml's words. */
static int load_raw(struct slice text, struct config_errors *errors, const struct cyaml_config *cyaml,
                    void **ret_raw)
{
    cyaml_err_t err =
        cyaml_load_data((const uint8_t *)text.ptr, text.len, cyaml, schema_cyaml, ret_raw, NULL);

    if (err == CYAML_OK)
        return 0;
    if (err == CYAML_ERR_OOM)
        return ERR_NOMEM;
    config_errors_add(errors, 0, "", "write it in a plainer form", "is not understood: %s",
                      cyaml_strerror(err));
    return ERR_SYNTAX;
}

static int fill_snapshot(struct slice text, bool empty, struct config_errors *errors,
                         struct snapshot *snapshot)
{
    static const struct cyaml_config cyaml = {.mem_fn = cyaml_memory,
                                              .flags = CYAML_CFG_IGNORE_UNKNOWN_KEYS | CYAML_CFG_NO_ALIAS};
    void *raw = NULL;
    int r = empty ? 0 : load_raw(text, errors, &cyaml, &raw);

    if (r == 0)
        r = fill_section(schema_root, raw, &snapshot->arena, (char *)&snapshot->config);
    if (raw)
        cyaml_free(&cyaml, schema_cyaml, raw, 0);
    return r;
}

/* ---- the snapshot ---- */

static struct snapshot *snapshot_new(void)
{
    struct snapshot *snapshot = mem_zalloc(sizeof(*snapshot));

    if (snapshot) {
        arena_pool_init(&snapshot->pool, SNAPSHOT_BUDGET_BYTES);
        arena_init(&snapshot->arena, &snapshot->pool);
    }
    return snapshot;
}

static void snapshot_free(struct snapshot *snapshot)
{
    arena_done(&snapshot->arena);
    arena_pool_done(&snapshot->pool);
    mem_free(snapshot);
}

void config_free(struct config *config)
{
    if (config)
        snapshot_free((struct snapshot *)config); /* its first member */
}

/* Where the port is not written (RFC 3261 section 19.1.2, RFC 6455 section 3). */
static uint16_t default_port(enum config_transport transport)
{
    static const uint16_t ports[] = {
        [CONFIG_UDP] = 5060, [CONFIG_TCP] = 5060, [CONFIG_TLS] = 5061, [CONFIG_WS] = 80, [CONFIG_WSS] = 443};

    return ports[transport];
}

static void fill_tls_lines(struct config_tls *tls, const struct node *root)
{
    char key[64];

    tls->ca_file_line = document_line(root, "tls.ca_file");
    for (size_t i = 0; i < tls->n_certificates; i++) {
        struct config_certificate *certificate =
            (struct config_certificate *)(uintptr_t)&tls->certificates[i];

        snprintf(key, sizeof(key), "tls.certificates[%zu].cert", i);
        certificate->cert_line = document_line(root, key);
        snprintf(key, sizeof(key), "tls.certificates[%zu].key", i);
        certificate->key_line = document_line(root, key);
    }
}

/* Defaults that are another key's value. The lists are const for everyone else. */
static void fill_derived(struct config *config, const struct node *root)
{
    for (size_t i = 0; i < config->n_listeners; i++) {
        struct config_listener *listener = (struct config_listener *)(uintptr_t)&config->listeners[i];

        if (listener->address.port == 0)
            listener->address.port = default_port(listener->transport);
    }
    for (size_t i = 0; i < config->n_domains; i++) {
        struct config_domain *domain = (struct config_domain *)(uintptr_t)&config->domains[i];

        if (domain->realm && domain->realm[0] == '\0')
            domain->realm = domain->name;
    }
    fill_tls_lines(&config->tls, root);
}

/* The text of one configuration, and what was made of it on the way to a snapshot. */
struct loading {
    struct slice text;
    struct config_errors *errors;
    bool look_at_files;
    struct arena_pool pool;
    struct arena scratch; /* the document */
};

static int load_into(struct loading *l, struct snapshot *snapshot)
{
    struct node *root;
    bool shape_is_right;
    int r = document_parse(l->text, &l->scratch, l->errors, &root);

    if (r == 0)
        r = inspect_document(root, &l->scratch, l->errors, &shape_is_right);
    if (r < 0)
        return r;
    if (!shape_is_right)
        return ERR_SYNTAX;
    r = fill_snapshot(l->text, !root, l->errors, snapshot);
    if (r < 0)
        return r;
    fill_derived(&snapshot->config, root);
    rules_check(&snapshot->config, root, l->errors);
    if (l->look_at_files)
        rules_check_store(&snapshot->config, root, l->errors);
    return config_errors_any(l->errors) ? ERR_SYNTAX : 0;
}

static int load_text(struct slice text, bool look_at_files, struct config **ret_config,
                     struct config_errors *errors)
{
    struct loading l = {.text = text, .errors = errors, .look_at_files = look_at_files};
    struct snapshot *snapshot = snapshot_new();
    int r;

    if (!snapshot)
        return ERR_NOMEM;
    arena_pool_init(&l.pool, SCRATCH_BUDGET_BYTES);
    arena_init(&l.scratch, &l.pool);
    r = load_into(&l, snapshot);
    arena_done(&l.scratch);
    arena_pool_done(&l.pool);
    if (r < 0)
        snapshot_free(snapshot);
    else
        *ret_config = &snapshot->config;
    return r;
}

int config_parse(struct slice text, struct config **ret_config, struct config_errors *errors)
{
    return load_text(text, false, ret_config, errors);
}

/* ---- the file ---- */

/* Up to one octet more than the limit, so that a file which grows while it is read is found out too. */
static ssize_t read_whole(int fd, char *memory, size_t cap)
{
    size_t len = 0;
    ssize_t got = 1;

    while (got > 0 && len < cap) {
        got = read(fd, memory + len, cap - len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            len += (size_t)got;
    }
    return got < 0 ? got : (ssize_t)len;
}

static int load_fd(int fd, struct config **ret_config, struct config_errors *errors)
{
    char *memory = mem_alloc(CONFIG_FILE_MAX_BYTES + 1);
    ssize_t len;
    int r;

    if (!memory)
        return ERR_NOMEM;
    len = read_whole(fd, memory, CONFIG_FILE_MAX_BYTES + 1);
    if (len < 0) {
        config_errors_add(errors, 0, "", "check the disk", "cannot be read: %s", strerror(errno));
        r = ERR_IO;
    } else if (len > CONFIG_FILE_MAX_BYTES) {
        config_errors_add(errors, 0, "", "make it smaller", "is larger than %d octets",
                          CONFIG_FILE_MAX_BYTES);
        r = ERR_SYNTAX;
    } else {
        r = load_text(slice_make(memory, (size_t)len), true, ret_config, errors);
    }
    mem_free(memory);
    return r;
}

static int load_file(const char *path, struct config **ret_config, struct config_errors *errors)
{
    /* Without O_NONBLOCK, opening a pipe would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int r = ERR_IO;

    if (fd < 0 || fstat(fd, &st) < 0)
        config_errors_add(errors, 0, "",
                          errno == EACCES ? "give this user the right to read it" : "check the name",
                          "cannot be read: %s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        config_errors_add(errors, 0, "", "name the configuration file itself", "is not a regular file");
    else
        r = load_fd(fd, ret_config, errors);
    if (fd >= 0)
        close(fd);
    return r;
}

static int load_default(struct config **ret_config, struct config_errors *errors)
{
    char memory[CONFIG_DEFAULT_TEXT_MAX_BYTES];
    struct buf text;

    buf_init(&text, memory, sizeof(memory));
    if (config_default_text(&text) < 0) {
        config_errors_add(errors, 0, "store.path",
                          "set HOME or XDG_STATE_HOME to an absolute path, or use a file",
                          "there is no folder to keep the store in");
        return ERR_SYNTAX;
    }
    return load_text(buf_slice(&text), true, ret_config, errors);
}

int config_load(const char *path, struct config **ret_config, struct config_errors *errors)
{
    errors->file = path ? path : "(built-in default)";
    return path ? load_file(path, ret_config, errors) : load_default(ret_config, errors);
}
