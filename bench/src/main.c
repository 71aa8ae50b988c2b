/* viaduct-bench: loads a SIP server and says what a call costs it. */
#include "commits.h"
#include "crypto/crypto.h"
#include "forward.h"
#include "load.h"
#include "refuser.h"
#include "tls_server.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Above this share of one core the generator, not the server, may have set the pace ... */
#define BUSY_SHARE 0.92
/* ... unless the server was as busy. */
#define SERVER_BUSY_SHARE 0.92

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static const char usage[] =
    "Usage: viaduct-bench load [OPTION...] SERVER\n"
    "       viaduct-bench forward LISTEN LEFT RIGHT\n"
    "       viaduct-bench refuser LISTEN\n"
    "       viaduct-bench tls-server LISTEN CERTIFICATE KEY\n"
    "       viaduct-bench commits DATABASE ROWS BATCH SECONDS\n"
    "\n"
    "load plays callers and callees against the SIP server at the address SERVER and prints, as JSON, what "
    "was completed,\n"
    "what failed, and what it cost. The others are yardsticks: forward sends each datagram of LEFT to RIGHT "
    "and the other\n"
    "way, and looks into none of them; refuser answers whatever is no ACK with 503, in trains; tls-server "
    "takes TLS connections and does nothing with them; commits "
    "writes BATCH of\n"
    "ROWS bindings anew in each transaction, as a registrar does, into a new SQLite DATABASE.\n"
    "\n"
    "  -w, --workload WHAT     options (through the server), ping (to the server), call, cancel (a call that "
    "is\n"
    "                          cancelled), refused (one to somebody who is busy), register, idle "
    "(connections alone);\n"
    "                          default: options\n"
    "  -t, --transport WHICH   udp, tcp, tls, ws or wss; default: udp. Nobody's certificate is looked at. "
    "But over UDP\n"
    "                          callees register first, so that users must be allowed to without credentials "
    "(or -P)\n"
    "  -C, --connections N     of callers, and as many of callees (16)\n"
    "  -c, --caller ADDRESS    what callers send from (127.0.0.1:0)\n"
    "  -e, --callee ADDRESS    what callees listen on (127.0.0.1:0)\n"
    "  -d, --domain NAME       call u0000000@NAME and so on; without it callees are called by address\n"
    "  -u, --users N           so many of them (1000)\n"
    "  -P, --password TEXT     of every user, for register\n"
    "  -k, --keep-nonce        a user answers a challenge again and again; without it, every REGISTER is "
    "challenged\n"
    "  -n, --in-flight N       calls at one time (64)\n"
    "  -g, --ringing N         besides, calls that ring from before the measurement until after it\n"
    "  -r, --rate N            new calls a second, whatever happens to the others, their time measured from "
    "when they\n"
    "                          should have begun; without it, one for each that ends\n"
    "  -o, --obey              with --rate: ask the server how much less to send, and withhold as many new "
    "calls "
    "(RFC 7339)\n"
    "  -A, --awake             never sleep: to wake who sleeps costs the server that sends to him on one "
    "host\n"
    "  -s, --seconds N         how long to measure (5)\n"
    "  -W, --warm-up N         seconds before that which do not count (1)\n"
    "  -N, --count N           end after so many calls\n"
    "  -a, --answer-after MS   between 180 and what comes then (0)\n"
    "  -H, --hold MS           between ACK and BYE (0)\n"
    "  -p, --pid PID           of the server, to measure its CPU time and memory, with all its threads and "
    "children\n"
    "  -f, --force             report although the generator was the bottleneck\n"
    "  -h, --help              this text\n"
    "\n"
    "Ends with 0; 1 when nothing was completed, or without --rate something failed (it reports all the "
    "same); 64 for a\n"
    "wrong command line; 69 when an address is taken, or the server takes no connection or registration; 75 "
    "when the generator\n"
    "was the bottleneck.\n";

static const struct option options[] = {{"workload", required_argument, NULL, 'w'},
                                        {"transport", required_argument, NULL, 't'},
                                        {"connections", required_argument, NULL, 'C'},
                                        {"caller", required_argument, NULL, 'c'},
                                        {"callee", required_argument, NULL, 'e'},
                                        {"domain", required_argument, NULL, 'd'},
                                        {"users", required_argument, NULL, 'u'},
                                        {"password", required_argument, NULL, 'P'},
                                        {"keep-nonce", no_argument, NULL, 'k'},
                                        {"ringing", required_argument, NULL, 'g'},
                                        {"in-flight", required_argument, NULL, 'n'},
                                        {"rate", required_argument, NULL, 'r'},
                                        {"obey", no_argument, NULL, 'o'},
                                        {"awake", no_argument, NULL, 'A'},
                                        {"seconds", required_argument, NULL, 's'},
                                        {"warm-up", required_argument, NULL, 'W'},
                                        {"count", required_argument, NULL, 'N'},
                                        {"answer-after", required_argument, NULL, 'a'},
                                        {"hold", required_argument, NULL, 'H'},
                                        {"pid", required_argument, NULL, 'p'},
                                        {"force", no_argument, NULL, 'f'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static _Noreturn void refuse(const char *what, const char *value)
{
    fprintf(stderr, "viaduct-bench: %s: \"%s\"; see viaduct-bench --help\n", what, value);
    exit(EX_USAGE);
}

static double number(const char *text, double min, double max)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= min && value <= max))
        refuse("not a number in its range", text);
    return value;
}

static struct addr address(const char *text)
{
    struct addr addr;
    if (addr_parse(slice_from_cstr(text), &addr) != 0)
        refuse("not an IP address with a port", text);
    return addr;
}

static const char *const workload_names[] = {
    [LOAD_OPTIONS] = "options", [LOAD_CALL] = "call", [LOAD_CANCEL] = "cancel",
    [LOAD_REFUSED] = "refused", [LOAD_PING] = "ping", [LOAD_REGISTER] = "register",
    [LOAD_IDLE] = "idle",
};

static const char *const kind_names[] = {
    [PORT_UDP] = "udp", [PORT_TCP] = "tcp", [PORT_TLS] = "tls", [PORT_WS] = "ws", [PORT_WSS] = "wss"};

static unsigned choice(const char *const *names, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0)
            return (unsigned)i;
    refuse("there is no such", text);
}

static void set_option(struct load_opts *o, bool *force, int option, const char *value)
{
    switch (option) {
    case 'w':
        o->workload =
            (enum load_workload)choice(workload_names, sizeof(workload_names) / sizeof(char *), value);
        break;
    case 't':
        o->kind = (enum port_kind)choice(kind_names, PORT_KINDS, value);
        break;
    case 'C':
        o->connections = (size_t)number(value, 1, 100000);
        break;
    case 'k':
        o->keep_nonce = true;
        break;
    case 'g':
        o->ringing = (size_t)number(value, 0, 4e6);
        break;
    case 'c':
        o->caller = address(value);
        break;
    case 'e':
        o->callee = address(value);
        break;
    case 'd':
        o->domain = slice_from_cstr(value);
        break;
    case 'u':
        o->users = (uint64_t)number(value, 1, 9999999);
        break;
    case 'P':
        o->password = slice_from_cstr(value);
        break;
    case 'n':
        o->in_flight = (size_t)number(value, 1, 4e6);
        break;
    case 'r':
        o->rate = number(value, 0, 1e7);
        break;
    case 'o':
        o->obeys = true;
        break;
    case 'A':
        o->stays_awake = true;
        break;
    case 's':
        o->seconds = number(value, 0.1, 86400);
        break;
    case 'W':
        o->warm_up_seconds = number(value, 0, 86400);
        break;
    case 'N':
        o->count = (uint64_t)number(value, 0, 1e12);
        break;
    case 'a':
        o->answer_ms = (uint32_t)number(value, 0, 3600000);
        break;
    case 'H':
        o->hold_ms = (uint32_t)number(value, 0, 3600000);
        break;
    case 'p':
        o->server_pid = (pid_t)number(value, 1, 1e8);
        break;
    case 'f':
        *force = true;
        break;
    case 'h':
        fputs(usage, stdout);
        exit(EX_OK);
    default:
        exit(EX_USAGE);
    }
}

static double share(uint64_t cpu_ns, double seconds)
{
    return seconds > 0 ? (double)cpu_ns / 1e9 / seconds : 0;
}

static void print_threads(const struct load_result *r)
{
    printf("  \"server_thread_shares\": [");
    for (unsigned i = 0; i < r->server_after.n_threads && i < r->server_before.n_threads; i++)
        printf("%s%.3f", i > 0 ? ", " : "",
               share(r->server_after.thread_cpu_ns[i] - r->server_before.thread_cpu_ns[i], r->seconds));
    printf("],\n");
}

static void print_server(const struct load_result *r)
{
    uint64_t cpu_ns = r->server_after.cpu_ns - r->server_before.cpu_ns;
    printf("  \"server_cpu_share\": %.4f,\n", share(cpu_ns, r->seconds));
    if (r->completed > 0)
        printf("  \"server_us_per_unit\": %.3f,\n", (double)cpu_ns / 1000.0 / (double)r->completed);
    printf("  \"server_pss_bytes\": %llu,\n  \"server_pss_before_bytes\": %llu,\n",
           (unsigned long long)r->server_after.pss_bytes, (unsigned long long)r->server_before.pss_bytes);
    printf("  \"server_pss_first_bytes\": %llu,\n  \"server_pss_ringing_bytes\": %llu,\n",
           (unsigned long long)r->server_pss_first_bytes, (unsigned long long)r->server_pss_ringing_bytes);
    print_threads(r);
}

static bool was_bottleneck(const struct load_result *r)
{
    uint64_t server_ns = r->server_after.cpu_ns - r->server_before.cpu_ns;
    return share(r->own_cpu_ns, r->seconds) > BUSY_SHARE && share(server_ns, r->seconds) < SERVER_BUSY_SHARE;
}

static void print_result(const struct load_opts *o, const struct load_result *r)
{
    static const struct {
        const char *name;
        unsigned per_mille;
    } points[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}};
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"completed", r->completed},
                  {"failed", r->failed},
                  {"refused", r->refused},
                  {"withheld", r->withheld},
                  {"timeouts", r->timeouts},
                  {"not_started", r->not_started},
                  {"retransmissions", r->retransmissions},
                  {"strays", r->strays},
                  {"unexpected", r->unexpected},
                  {"dropped", r->dropped},
                  {"in_progress_max", r->in_progress_max},
                  {"messages", r->messages},
                  {"request_bytes", r->request_bytes},
                  {"final_bytes", r->finals > 0 ? r->final_bytes / r->finals : 0}};
    printf("{\n  \"workload\": \"%s\",\n  \"transport\": \"%s\",\n", workload_names[o->workload],
           kind_names[o->kind]);
    if (o->kind != PORT_UDP)
        printf("  \"connections\": %zu,\n", 2 * o->connections);
    printf("  \"seconds\": %.3f,\n  \"rate\": %.1f,\n", r->seconds, (double)r->completed / r->seconds);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        printf("  \"%s\": %llu,\n", counts[i].name, (unsigned long long)counts[i].value);
    if (o->server_pid != 0)
        print_server(r);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        printf("  \"%s_us\": %llu,\n", points[i].name,
               (unsigned long long)latency_at(&r->latency, points[i].per_mille));
    printf("  \"max_us\": %llu,\n", (unsigned long long)r->latency.max_us);
    printf("  \"generator_was_bottleneck\": %s,\n", was_bottleneck(r) ? "true" : "false");
    printf("  \"own_cpu_share\": %.4f\n}\n", share(r->own_cpu_ns, r->seconds));
}

static void check_options(const struct load_opts *o)
{
    bool calls_callees = o->workload != LOAD_PING && o->workload != LOAD_IDLE;
    if (slice_is_null(o->domain) && (o->workload == LOAD_REGISTER || (calls_callees && o->kind != PORT_UDP)))
        refuse("that needs a --domain", workload_names[o->workload]);
    if (o->workload == LOAD_IDLE && o->kind == PORT_UDP)
        refuse("UDP has no connections", workload_names[o->workload]);
}

/* Overload is measured on purpose, with --rate; everything else should have no failure at all. */
static bool is_bad(const struct load_opts *o, const struct load_result *r)
{
    if (o->workload == LOAD_IDLE)
        return r->dropped > 0;
    return r->completed == 0 || (o->rate == 0 && r->failed > 0);
}

static int load_main(int argc, char **argv)
{
    static struct load_result result;
    struct load_opts o = {.caller = address("127.0.0.1:0"),
                          .callee = address("127.0.0.1:0"),
                          .users = 1000,
                          .connections = 16,
                          .in_flight = 64,
                          .seconds = 5,
                          .warm_up_seconds = 1,
                          .stop = &stop};
    bool force = false;
    for (int option;
         (option = getopt_long(argc, argv, "w:t:C:c:e:d:u:P:kn:g:r:oAs:W:N:a:H:p:fh", options, NULL)) != -1;)
        set_option(&o, &force, option, optarg);
    if (optind + 1 != argc)
        refuse("SERVER is missing, or there is too much", optind < argc ? argv[argc - 1] : "");
    o.server = address(argv[optind]);
    check_options(&o);
    int code = load_run(&o, &result);
    if (code != EX_OK)
        return code;
    if (!force && was_bottleneck(&result)) {
        fprintf(
            stderr,
            "viaduct-bench: no report: the generator used %.0f %% of a core and the server less; give the "
            "generator a core of its own, or --force\n",
            100 * share(result.own_cpu_ns, result.seconds));
        return EX_TEMPFAIL;
    }
    print_result(&o, &result);
    return is_bad(&o, &result) ? EXIT_FAILURE : EX_OK;
}

static int tls_server_main(int argc, char **argv)
{
    if (argc != 4)
        refuse("tls-server needs LISTEN CERTIFICATE KEY", argc > 1 ? argv[argc - 1] : "");
    struct addr listen = address(argv[1]);
    return tls_server_run(&listen, argv[2], argv[3], &stop);
}

static int commits_main(int argc, char **argv)
{
    if (argc != 5)
        refuse("commits needs DATABASE ROWS BATCH SECONDS", argc > 1 ? argv[argc - 1] : "");
    const struct commits_opts o = {.path = argv[1],
                                   .rows = (size_t)number(argv[2], 1, 1e8),
                                   .batch = (size_t)number(argv[3], 1, 1e6),
                                   .seconds = number(argv[4], 0.1, 86400),
                                   .stop = &stop};
    return commits_run(&o);
}

static int forward_main(int argc, char **argv)
{
    if (argc != 4)
        refuse("forward needs LISTEN LEFT RIGHT", argc > 1 ? argv[argc - 1] : "");
    struct addr listen = address(argv[1]), left = address(argv[2]), right = address(argv[3]);
    return forward_run(&listen, &left, &right, &stop);
}

static int refuser_main(int argc, char **argv)
{
    if (argc != 2)
        refuse("refuser needs LISTEN", argc > 1 ? argv[argc - 1] : "");
    struct addr listen = address(argv[1]);
    return refuser_run(&listen, &stop);
}

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} commands[] = {{"load", load_main},
                {"forward", forward_main},
                {"refuser", refuser_main},
                {"tls-server", tls_server_main},
                {"commits", commits_main}};

int main(int argc, char **argv)
{
    /* Without SA_RESTART, so that a call that waits ends. */
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (crypto_init() != 0) {
        fputs("viaduct-bench: OpenSSL cannot be started\n", stderr);
        return EX_SOFTWARE;
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return EX_OK;
    }
    refuse("no such command", argc > 1 ? argv[1] : "");
}
