// Lines that were typed: those on their way to the server first, then those that still wait.
//
// A line leaves when the server has answered it, so that after a lost connection the replayed history can tell which
// ones had arrived. The server works through a connection's lines in order: an answer to one is an answer to all
// before it.
#ifndef CONSOLE_OUTBOX_H
#define CONSOLE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#define OUTBOX_LINES 100
#define OUTBOX_LINE  1024 // bytes: the longest message that our server takes

struct outbox_line {
    size_t length;
    char text[OUTBOX_LINE + 1];
};

struct outbox {
    struct outbox_line lines[OUTBOX_LINES];
    size_t first;
    size_t count; // in all
    size_t sent;  // of them on their way, the first ones
};

// Appends a line of at most OUTBOX_LINE bytes. False when all places are taken by lines that still wait.
bool outbox_add(struct outbox *outbox, const char *text, size_t length);

// The next line to send, NULL when none waits; outbox_sent() once it was handed over.
const struct outbox_line *outbox_next(const struct outbox *outbox);
void outbox_sent(struct outbox *outbox);

size_t outbox_waiting(const struct outbox *outbox);

// Finds the first line on its way for which match() holds; drops it and all before it. False when there is none.
bool outbox_answered(struct outbox *outbox, bool (*match)(const struct outbox_line *, const void *), const void *what);

// The first line, NULL when there is none on its way; outbox_drop() forgets it.
const struct outbox_line *outbox_on_its_way(const struct outbox *outbox);
void outbox_drop(struct outbox *outbox);

// After a lost connection: the lines that were on their way wait again, in order, where keep() holds; the others are
// forgotten.
void outbox_return(struct outbox *outbox, bool (*keep)(const struct outbox_line *));

// True for what a replay shows to everybody: messages and /me. Other commands are answered to one client only.
bool outbox_is_public(const struct outbox_line *line);

#endif
