#include "input.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "loop.h"

static struct {
    char bytes[4096];
    size_t start;
    size_t end;
    bool has_ended;
    bool is_passing_over; // until the end of a line that is too long
} input;

static bool has_more(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return !input.has_ended && poll(&in, 1, 0) == 1;
}

// One read. The last byte of the buffer stays free for the NUL behind a line without a line feed.
static bool fill(void)
{
    memmove(input.bytes, input.bytes + input.start, input.end - input.start);
    input.end -= input.start;
    input.start = 0;
    ssize_t got = read(STDIN_FILENO, input.bytes + input.end, sizeof input.bytes - 1 - input.end);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    input.has_ended = got <= 0;
    input.end += got > 0 ? (size_t)got : 0;
    return true;
}

static enum input cut(const char **line, size_t *length, size_t end, size_t next)
{
    *line = input.bytes + input.start;
    *length = end - input.start;
    input.bytes[end] = '\0';
    input.start = next;
    if (!input.is_passing_over)
        return INPUT_LINE;
    input.is_passing_over = false;
    return INPUT_TOO_LONG;
}

static bool buffered(const char **line, size_t *length, enum input *result)
{
    const char *feed = memchr(input.bytes + input.start, '\n', input.end - input.start);
    if (feed != NULL) {
        size_t end = (size_t)(feed - input.bytes);
        *result = cut(line, length, end, end + 1);
        return true;
    }
    if (!input.has_ended)
        return false;
    *result = input.end > input.start || input.is_passing_over ? cut(line, length, input.end, input.end) : INPUT_END;
    return true;
}

enum input input_next(const char **line, size_t *length)
{
    enum input result;
    while (!buffered(line, length, &result)) {
        if (input.end - input.start == sizeof input.bytes - 1) {
            input.is_passing_over = true;
            input.start = input.end = 0;
        }
        if (!has_more() || !fill())
            return INPUT_NONE;
    }
    return result;
}

static bool set_echo(bool on)
{
    struct termios settings;
    if (tcgetattr(STDIN_FILENO, &settings) != 0)
        return false;
    settings.c_lflag = on ? settings.c_lflag | ECHO : settings.c_lflag & ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0;
}

static bool wait_line(char *answer, size_t size)
{
    const char *line;
    size_t length;
    for (;;) {
        enum input result = input_next(&line, &length);
        if (result == INPUT_NONE) {
            loop_wait_input();
            if (loop_was_told())
                return false;
            continue;
        }
        if (result != INPUT_LINE || length >= size)
            return false;
        length -= length > 0 && line[length - 1] == '\r';
        memcpy(answer, line, length);
        answer[length] = '\0';
        input_wipe(input.bytes, (size_t)(line - input.bytes) + length);
        return true;
    }
}

bool input_ask(const char *question, bool is_secret, char *answer, size_t size)
{
    bool is_terminal = isatty(STDIN_FILENO);
    if (is_terminal)
        fputs(question, stderr);
    bool is_hidden = is_terminal && is_secret && set_echo(false);
    bool answered = wait_line(answer, size);
    if (is_hidden)
        set_echo(true);
    if (is_hidden || (is_terminal && !answered))
        fputc('\n', stderr);
    return answered;
}

void input_wipe(void *secret, size_t size)
{
    explicit_bzero(secret, size);
}
