#include "console.h"
#include "../port/port.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define PATIENCE_MS 1000 // for a reader of our output that has stopped reading
#define CHUNK       4096 // PIPE_BUF: a pipe that poll() calls writable takes as much at once
#define LOOK_MS     20   // a loop that never sleeps looks at its input this often

/// In ///

static bool input_ended;
static bool input_waits;
static uint64_t input_looked_ms;

// A background job that reads its terminal is stopped by SIGTTIN.
static bool in_background(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground >= 0 && foreground != getpgrp();
}

int console_fd(void)
{
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

size_t port_console_read(char *bytes, size_t size)
{
    if (input_ended || size == 0 || !input_look() || console_fd() < 0)
        return 0;
    input_waits = false;
    ssize_t n = read(STDIN_FILENO, bytes, size);
    if (n > 0)
        return (size_t)n;
    // Ctrl-D on a terminal ends a line, not the input; anything else that reads as 0 would do so for ever.
    if (n == 0)
        input_ended = !isatty(STDIN_FILENO);
    else if (errno != EAGAIN && errno != EINTR)
        input_ended = true;
    return 0;
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
