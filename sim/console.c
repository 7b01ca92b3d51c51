#include "console.h"
#include "../port/port.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PATIENCE_MS 1000 // for a reader of our output that has stopped reading
#define CHUNK       4096 // PIPE_BUF: a pipe that poll() calls writable takes as much at once
#define LOOK_MS     20   // a loop that never sleeps looks at its input this often

/// The terminal's mode ///

static bool is_terminal;
static struct termios mode_before, mode_ours;
static volatile sig_atomic_t mode_is_ours, mode_wanted;

static bool in_background(void);

bool port_console_is_terminal(void)
{
    return is_terminal;
}

// Ctrl-C and Ctrl-Z still make signals, and a line feed still goes to the first column.
void console_start(void)
{
    const char *kind = getenv("TERM");
    if (kind == NULL || strcmp(kind, "dumb") == 0 || !isatty(STDOUT_FILENO) ||
        tcgetattr(STDIN_FILENO, &mode_before) != 0)
        return;
    mode_ours = mode_before;
    mode_ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    mode_ours.c_cc[VMIN] = 1;
    mode_ours.c_cc[VTIME] = 0;
    is_terminal = true;
    mode_wanted = 1;
}

void console_stop(void)
{
    if (mode_is_ours && !in_background())
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &mode_before);
    mode_is_ours = 0;
}

void console_continue(void)
{
    mode_is_ours = 0;
    mode_wanted = is_terminal;
}

// A background job that changes its terminal's mode is stopped by SIGTTOU.
static void take_terminal(void)
{
    if (!mode_wanted || in_background())
        return;
    mode_wanted = 0;
    mode_is_ours = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode_ours) == 0;
}

/// In ///

static bool input_ended;
static bool input_waits;
static uint64_t input_looked_ms;
static char input[256]; // read, and not yet asked for
static size_t input_at, input_length;

// A background job that reads its terminal is stopped by SIGTTIN.
static bool in_background(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground >= 0 && foreground != getpgrp();
}

int console_fd(void)
{
    take_terminal();
    return input_ended || in_background() ? -1 : STDIN_FILENO;
}

void console_ready(short revents)
{
    if (revents & POLLNVAL)
        input_ended = true;
    else
        input_waits = input_waits || revents != 0;
}

static bool input_look(void)
{
    uint64_t now_ms = port_now_ms();
    if (input_waits || input_ended || now_ms - input_looked_ms < LOOK_MS)
        return input_waits;
    input_looked_ms = now_ms;
    struct pollfd p = {.fd = console_fd(), .events = POLLIN};
    if (p.fd >= 0 && poll(&p, 1, 0) == 1)
        console_ready(p.revents);
    return input_waits;
}

static size_t input_fill(void)
{
    if (input_ended || !input_look() || console_fd() < 0)
        return 0;
    input_waits = false;
    ssize_t n = read(STDIN_FILENO, input, sizeof input);
    if (n > 0)
        return (size_t)n;
    // Ctrl-D on a terminal ends a line, not the input; anything else that reads as 0 would do so for ever.
    if (n == 0)
        input_ended = !isatty(STDIN_FILENO);
    else if (errno != EAGAIN && errno != EINTR)
        input_ended = true;
    return 0;
}

size_t port_console_read(char *bytes, size_t size)
{
    if (input_at == input_length) {
        input_at = 0;
        input_length = input_fill();
    }
    size_t n = input_length - input_at < size ? input_length - input_at : size;
    memcpy(bytes, input + input_at, n);
    explicit_bzero(input + input_at, n); // it may be a password
    input_at += n;
    return n;
}

/// Out ///

// Output that nobody takes is thrown away after a while: a paused terminal must not stop the service.
static enum { OUTPUT_FLOWS, OUTPUT_STUCK, OUTPUT_GONE } output;

static bool output_wait(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int n;
    do
        n = poll(&p, 1, output == OUTPUT_STUCK ? 0 : PATIENCE_MS);
    while (n < 0 && errno == EINTR);
    output = n == 1 ? OUTPUT_FLOWS : OUTPUT_STUCK;
    return n == 1;
}

void port_console_write(const char *bytes, size_t length)
{
    while (length > 0 && output != OUTPUT_GONE && output_wait()) {
        ssize_t n = write(STDOUT_FILENO, bytes, length < CHUNK ? length : CHUNK);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            output = OUTPUT_GONE;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
}
