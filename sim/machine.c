#include "machine.h"
#include "../app/main.h"
#include "../port/log.h"
#include "../port/port.h"
#include "backend.h"
#include "console.h"
#include "flash.h"
#include "identity.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE     2
#define EXIT_INTERRUPT 130 // 128 + SIGINT, as a shell reports it

/// Clock ///

static struct timespec clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now;
}

uint64_t port_now_ms(void)
{
    static time_t origin;
    struct timespec now = clock_now(CLOCK_MONOTONIC);
    if (origin == 0)
        origin = now.tv_sec;
    return (uint64_t)(now.tv_sec - origin) * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint32_t port_now_us(void)
{
    struct timespec now = clock_now(CLOCK_MONOTONIC);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

uint64_t port_wall_ms(void)
{
    struct timespec now = clock_now(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// The host has a clock of its own.
void port_wall_set(uint64_t ms)
{
    (void)ms;
}

/// Entropy ///

bool port_entropy(void *bytes, size_t length)
{
    uint8_t *at = bytes;
    while (length > 0) {
        ssize_t n = getrandom(at, length, 0);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        }
    }
    return true;
}

/// Signals ///

static volatile sig_atomic_t stopping;
static int wake = -1; // an eventfd: a signal between the look at `stopping` and poll() must not be slept through

static void on_stop(int signal_number)
{
    int error = errno;
    uint64_t one = 1;
    if (stopping && signal_number == SIGINT) {
        console_stop();
        _exit(EXIT_INTERRUPT);
    }
    stopping = 1;
    ssize_t written = write(wake, &one, sizeof one);
    (void)written;
    errno = error;
}

// The loop still turns for a while to say goodbye; it must be able to sleep then.
static void wake_clear(void)
{
    uint64_t count;
    ssize_t taken = read(wake, &count, sizeof count);
    (void)taken;
}

// Ctrl-Z: the shell that gets the terminal then wants it as it was.
static void on_suspend(int signal_number)
{
    (void)signal_number;
    int error = errno;
    console_stop();
    (void)raise(SIGSTOP);
    errno = error;
}

static void on_continue(int signal_number)
{
    (void)signal_number;
    console_continue();
}

// Ctrl-\ and abort(): the end comes as it would have, with the terminal as it was.
static void on_death(int signal_number)
{
    console_stop();
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static bool console_signals_take(void)
{
    static const int deaths[] = {SIGQUIT, SIGABRT};
    struct sigaction suspend = {.sa_handler = on_suspend, .sa_flags = SA_RESTART};
    struct sigaction go_on = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    struct sigaction death = {.sa_handler = on_death};
    if (!port_console_is_terminal())
        return true;
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++)
        if (sigaction(deaths[i], &death, NULL) != 0)
            return false;
    return sigaction(SIGTSTP, &suspend, NULL) == 0 && sigaction(SIGCONT, &go_on, NULL) == 0;
}

static bool hangup_matters(void)
{
    struct sigaction was;
    return sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN; // ignored: started under nohup
}

static bool signals_take(void)
{
    wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (wake < 0 || sigaction(SIGINT, &stop, NULL) != 0 || sigaction(SIGTERM, &stop, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0)
        return false;
    return !hangup_matters() || sigaction(SIGHUP, &stop, NULL) == 0;
}

size_t port_stack_size(void)
{
    return 0;
}

size_t port_stack_used(void)
{
    return 0;
}

const char *port_reset_reason(void)
{
    return "started";
}

bool port_stopping(void)
{
    return stopping != 0;
}

/// Sleep ///

enum { SLOT_WAKE, SLOT_CONSOLE, SLOT_BACKEND };

void port_idle(uint32_t most_ms)
{
    static struct pollfd fds[SLOT_BACKEND + BACKEND_DESCRIPTORS];
    fds[SLOT_WAKE] = (struct pollfd){.fd = wake, .events = POLLIN};
    fds[SLOT_CONSOLE] = (struct pollfd){.fd = console_fd(), .events = POLLIN};
    size_t count = backend->watch(fds + SLOT_BACKEND, BACKEND_DESCRIPTORS, &most_ms);
    int timeout = most_ms < INT_MAX ? (int)most_ms : INT_MAX;
    if (poll(fds, SLOT_BACKEND + count, timeout) < 0)
        return;
    if (fds[SLOT_WAKE].revents != 0)
        wake_clear();
    console_ready(fds[SLOT_CONSOLE].revents);
    backend->ready(fds + SLOT_BACKEND, count);
}

_Noreturn void port_reboot(const char *reason)
{
    log_line(LOG_WARNING, "sim", "restart asked for: %s", reason);
    machine_stop();
    exit(EXIT_SUCCESS);
}

/// Start ///

static void write_fully(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
}

static void write_output(const char *bytes, size_t length)
{
    write_fully(STDOUT_FILENO, bytes, length);
}

static int refuse(struct text *why)
{
    char buffer[1100];
    struct text line = text_in(buffer, sizeof buffer);
    text_format(&line, "pipit: %.*s\n", (int)why->length, why->at);
    write_fully(STDERR_FILENO, line.at, line.length);
    return EXIT_USAGE;
}

// Somebody may have closed them; then the next open() would get their numbers, and our console with them.
static bool standard_files_exist(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    }
    return true;
}

// Behind libslirp each connection is a socket of the host.
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_line(LOG_WARNING, "sim", "no more than the usual number of connections: %s", strerror(errno));
}

static int show(enum options_action action)
{
    static const char version[] = "pipit " PIPIT_VERSION ", simulator\n";
    if (action == OPTIONS_HELP)
        options_help(write_output);
    else
        write_output(version, sizeof version - 1);
    return EXIT_SUCCESS;
}

int machine_start(int argc, char **argv)
{
    static char sentence[1024];
    struct text why = text_in(sentence, sizeof sentence);
    struct options options;
    if (!standard_files_exist() || !signals_take()) {
        text_format(&why, "The machine does not give what a program needs: %s.", strerror(errno));
        return refuse(&why);
    }
    if (!options_read(argc, argv, &options, &why))
        return refuse(&why);
    if (options.action != OPTIONS_RUN)
        return options_settings(argc, argv, &options, &why) ? show(options.action) : refuse(&why);
    if (!flash_open(options.flash, &why))
        return refuse(&why);
    pipit_recall();
    if (!options_settings(argc, argv, &options, &why))
        return refuse(&why);
    if (options.certificate != NULL && !identity_load(options.certificate, options.key, &why))
        return refuse(&why);
    console_start();
    if (!console_signals_take() || atexit(console_stop) != 0)
        return refuse(&why);
    raise_descriptor_limit();
    backend = options.tap != NULL ? &tap_backend : &slirp_backend;
    return backend->open(&options, &backend_link, &why) ? MACHINE_READY : refuse(&why);
}

void machine_stop(void)
{
    if (backend == NULL)
        return;
    if (backend_dropped > 0)
        log_line(LOG_INFO, "sim", "%u frames found no room", backend_dropped);
    backend->close();
    backend = NULL;
}
