#include "app/cli.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

/* A terminal that does not show what is typed; put back in every way out, a signal's included. */
static struct termios terminal_before;
static volatile sig_atomic_t terminal_is_changed;

static void terminal_restore(void)
{
    if (terminal_is_changed)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
    terminal_is_changed = 0;
}

static void on_signal(int sig)
{
    terminal_restore();
    /* SA_RESETHAND has put the default back. */
    raise(sig);
}

static int terminal_hide(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    struct termios hidden;

    if (tcgetattr(STDIN_FILENO, &terminal_before) < 0)
        return ERR_IO;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    hidden = terminal_before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    terminal_is_changed = 1;
    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) < 0 ? ERR_IO : 0;
}

/* Reads octet by octet, so that what follows the line stays for whoever reads next. */
static int read_line(char *out, size_t max)
{
    size_t len = 0;
    char c = '\0';
    ssize_t got;

    while ((got = read(STDIN_FILENO, &c, 1)) != 0 && c != '\n') {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR_IO;
        if (len == max)
            return ERR_LIMIT;
        out[len++] = c;
    }
    if (len > 0 && out[len - 1] == '\r')
        len--;
    out[len] = '\0';
    return strlen(out) < len ? ERR_SYNTAX : 0;
}

static bool has_control_character(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* What a phone can be told, and what a digest is made of without dispute about encodings. */
static int check_password(int r, const char *password)
{
    if (r == ERR_IO) {
        cli_complain("the password cannot be read: %s", strerror(errno));
        return EX_IOERR;
    }
    if (r == ERR_LIMIT) {
        cli_complain("the password has more than %d octets", CLI_PASSWORD_MAX_BYTES);
        return EX_DATAERR;
    }
    if (r == ERR_SYNTAX || has_control_character(password)) {
        cli_complain("the password has control characters in it");
        return EX_DATAERR;
    }
    if (password[0] == '\0') {
        cli_complain("the password is empty");
        return EX_DATAERR;
    }
    return EX_OK;
}

static int ask(const char *prompt, const char *user, char password[CLI_PASSWORD_MAX_BYTES + 1])
{
    int r;

    fprintf(stderr, "%s for %s: ", prompt, user);
    fflush(stderr);
    r = read_line(password, CLI_PASSWORD_MAX_BYTES);
    fputc('\n', stderr);
    return check_password(r, password);
}

static int ask_twice(const char *user, char password[CLI_PASSWORD_MAX_BYTES + 1])
{
    char again[CLI_PASSWORD_MAX_BYTES + 1];
    int code;

    if (terminal_hide() < 0) {
        terminal_restore();
        cli_complain("the terminal cannot be kept from showing the password: %s", strerror(errno));
        return EX_IOERR;
    }
    code = ask("Password", user, password);
    if (code == EX_OK)
        code = ask("Again", user, again);
    terminal_restore();
    if (code == EX_OK && strcmp(password, again) != 0) {
        cli_complain("the two passwords differ; nothing was changed");
        code = EX_DATAERR;
    }
    explicit_bzero(again, sizeof(again));
    return code;
}

int cli_password_read(const struct cli_args *args, const char *user,
                      char ret_password[CLI_PASSWORD_MAX_BYTES + 1])
{
    if (!(args->given & CLI_PASSWORD_STDIN) && isatty(STDIN_FILENO))
        return ask_twice(user, ret_password);
    return check_password(read_line(ret_password, CLI_PASSWORD_MAX_BYTES), ret_password);
}
