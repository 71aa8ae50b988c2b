#include "base/log.h"
#include "base/buf.h"
#include "base/num.h"
#include <errno.h>
#include <time.h>
#include <unistd.h>

/* What a pipe takes in one piece (PIPE_BUF), so lines of several threads do not mix. */
#define LINE_MAX_BYTES  4096
#define VALUE_MAX_BYTES 1024

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_TEXT;
static void (*sink_fn)(struct slice line, void *ctx);
static void *sink_ctx;

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn",   [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&current_format, format, memory_order_relaxed);
}

bool log_level_parse(struct slice name, enum log_level *ret_level)
{
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (slice_eq(name, slice_from_cstr(level_names[level]))) {
            *ret_level = (enum log_level)level;
            return true;
        }
    }
    return false;
}

void log_set_sink(void (*sink)(struct slice line, void *ctx), void *ctx)
{
    sink_fn = sink;
    sink_ctx = ctx;
}

/* Length of the well-formed UTF-8 sequence (RFC 3629 section 4) at the start of s, 0 when there is none. */
static size_t utf8_sequence(struct slice s, uint32_t *ret_code)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    uint8_t lead = (uint8_t)s.ptr[0];

    for (size_t more = 0; more < sizeof(forms) / sizeof(forms[0]); more++) {
        uint32_t code = lead & (uint8_t)~forms[more].mask;

        if ((lead & forms[more].mask) != forms[more].lead)
            continue;
        if (s.len <= more)
            return 0;
        for (size_t i = 1; i <= more; i++) {
            if (((uint8_t)s.ptr[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | ((uint8_t)s.ptr[i] & 0x3f);
        }
        if (code < forms[more].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return 0;
        *ret_code = code;
        return more + 1;
    }
    return 0;
}

/* Characters that move the cursor, end a line or turn the direction of writing: with them, text on a terminal
 * is not what it seems. */
static bool is_deceptive(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
}

static void put_hex(struct buf *out, uint32_t value, int digits)
{
    while (digits-- > 0)
        buf_putc(out, "0123456789abcdef"[value >> (4 * digits) & 15]);
}

static void put_escaped_code(struct buf *out, uint32_t code)
{
    buf_lit(out, "\\u");
    if (code > 0xffff) { /* a surrogate pair, as JSON wants it */
        put_hex(out, 0xd800 + ((code - 0x10000) >> 10), 4);
        buf_lit(out, "\\u");
        code = 0xdc00 + ((code - 0x10000) & 0x3ff);
    }
    put_hex(out, code, 4);
}

/* In double quotes. An octet that is no UTF-8 is \xHH in text; JSON has no octets, so there it is U+FFFD. */
static void put_quoted(struct buf *out, struct slice s, enum log_format format)
{
    buf_putc(out, '"');
    while (s.len > 0) {
        uint32_t code = 0;
        size_t len = utf8_sequence(s, &code);

        if (len == 0 && format == LOG_JSON) {
            buf_lit(out, "\\ufffd");
        } else if (len == 0) {
            buf_lit(out, "\\x");
            put_hex(out, (uint8_t)s.ptr[0], 2);
        } else if (code == '"' || code == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)code);
        } else if (code == '\r' || code == '\n' || code == '\t') {
            buf_putc(out, '\\');
            buf_putc(out, code == '\r' ? 'r' : code == '\n' ? 'n' : 't');
        } else if (is_deceptive(code)) {
            put_escaped_code(out, code);
        } else {
            buf_put(out, slice_make(s.ptr, len));
        }
        s = slice_sub(s, len > 0 ? len : 1, s.len);
    }
    buf_putc(out, '"');
}

/* Needs no quotes in a text line: printable ASCII without blanks, quotes, backslash and '='. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '\\' || s.ptr[i] == '=')
            return false;
    return s.len > 0;
}

static void put_string(struct buf *out, struct slice s, enum log_format format)
{
    if (format == LOG_TEXT && is_plain(s))
        buf_put(out, s);
    else
        put_quoted(out, s, format);
}

static void put_value(struct buf *out, const struct log_field *field, enum log_format format)
{
    switch (field->type) {
    case LOG_FIELD_U64:
        buf_u64(out, field->as.u64);
        break;
    case LOG_FIELD_I64:
        buf_printf(out, "%lld", (long long)field->as.i64);
        break;
    default:
        put_string(out, slice_sub(field->as.slice, 0, VALUE_MAX_BYTES), format);
    }
}

static void put_field(struct buf *out, const struct log_field *field, enum log_format format)
{
    if (format == LOG_JSON) {
        buf_lit(out, ",\"");
        buf_cstr(out, field->name);
        buf_lit(out, "\":");
    } else {
        buf_putc(out, ' ');
        buf_cstr(out, field->name);
        buf_putc(out, '=');
    }
    put_value(out, field, format);
}

static bool is_cut(const struct log_field *field)
{
    return field->type == LOG_FIELD_SLICE && field->as.slice.len > VALUE_MAX_BYTES;
}

/* A field that does not fit is left out whole, those after it may fit. Returns whether anything was left out.
 */
static bool put_fields(struct buf *out, const struct log_field *fields, enum log_format format)
{
    bool cut = false;

    for (; fields->type != LOG_FIELD_END; fields++) {
        struct buf before = *out;

        put_field(out, fields, format);
        if (buf_failed(out))
            *out = before;
        cut |= out->len == before.len || is_cut(fields);
    }
    return cut;
}

/* RFC 3339, UTC, milliseconds. */
static void put_time(struct buf *out)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
               tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now.tv_nsec / 1000000));
}

static void put_head(struct buf *out, enum log_level level, const char *event, enum log_format format)
{
    if (format == LOG_JSON)
        buf_lit(out, "{\"time\":\"");
    put_time(out);
    buf_cstr(out, format == LOG_JSON ? "\",\"level\":\"" : " ");
    buf_cstr(out, level_names[level]);
    buf_cstr(out, format == LOG_JSON ? "\",\"event\":\"" : " ");
    buf_cstr(out, event);
    if (format == LOG_JSON)
        buf_putc(out, '"');
}

static void emit(struct slice line)
{
    ssize_t written;

    if (sink_fn) {
        sink_fn(line, sink_ctx);
        return;
    }
    /* Where the log cannot be written there is nobody to tell. */
    do
        written = write(STDERR_FILENO, line.ptr, line.len);
    while (written < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    static const struct log_field cut_mark = {.type = LOG_FIELD_U64, .name = "cut", .as.u64 = 1};
    enum log_format format = (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);
    char memory[LINE_MAX_BYTES];
    struct buf line;
    int saved_errno = errno;

    buf_init(&line, memory, sizeof(memory) - sizeof(",\"cut\":1}\n"));
    put_head(&line, level, event, format);
    if (put_fields(&line, fields, format)) {
        line.cap = sizeof(memory);
        put_field(&line, &cut_mark, format);
    }
    line.cap = sizeof(memory);
    buf_cstr(&line, format == LOG_JSON ? "}\n" : "\n");
    emit(buf_slice(&line));
    errno = saved_errno;
}

bool log_limiter_pass(struct log_limiter *limiter, enum log_level level, const char *event)
{
    uint64_t second = clock_monotonic_ms() / 1000 + 1; /* never 0, which is a new limiter's */
    uint64_t seen = atomic_load_explicit(&limiter->second, memory_order_relaxed);

    if (seen != second && atomic_compare_exchange_strong(&limiter->second, &seen, second)) {
        uint32_t left_out = atomic_exchange(&limiter->suppressed, 0);

        atomic_store(&limiter->count, 0);
        if (left_out > 0)
            log_event(level, "log.left_out", log_cstr("of", event), log_u64("lines", left_out));
    }
    if (atomic_fetch_add(&limiter->count, 1) < limiter->per_second)
        return true;
    atomic_fetch_add(&limiter->suppressed, 1);
    return false;
}
