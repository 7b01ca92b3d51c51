// Lines from stdin when it is a pipe or a file, and answers to questions before the chat starts.
#ifndef CONSOLE_INPUT_H
#define CONSOLE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

enum input {
    INPUT_LINE,     // *line has *length bytes, terminated by NUL, valid until the next call
    INPUT_TOO_LONG, // a line that no message can be: it was passed over
    INPUT_NONE,     // nothing has arrived
    INPUT_END,      // no more will come
};

// Never waits. The last line counts also when no line feed ends it.
enum input input_next(const char **line, size_t *length);

// Asks on stderr when stdin is a terminal, and waits for a line of less than size bytes; a secret is not shown while
// it is typed. False when stdin has ended, a line was too long, or a signal said to leave (see loop_was_told()).
bool input_ask(const char *question, bool is_secret, char *answer, size_t size);

// Overwrites bytes that held a secret, also where a compiler thinks that nobody looks any more.
void input_wipe(void *secret, size_t size);

#endif
