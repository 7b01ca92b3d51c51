// The line that is being typed at the console: editing, history and completion on a VT100, in one line of the screen.
//
// Keys: Left, Right, Home, End, Delete, Backspace, Up and Down through the history, Tab to complete, Ctrl-A to the
// beginning, Ctrl-E to the end, Ctrl-K and Ctrl-U delete to the end and to the beginning, Ctrl-W a word, Ctrl-D the
// character under the cursor, Ctrl-L clears the screen, Ctrl-C the line. A line longer than the screen is scrolled.
//
// Where no person sits (port_console_is_terminal()) nothing is echoed: Backspace works, every other control byte is
// skipped.
#ifndef PIPIT_LINE_H
#define PIPIT_LINE_H

#include "../port/span.h"

enum line_event {
    LINE_TYPING,    // there is more to come
    LINE_DONE,      // line_text() is what was typed
    LINE_TOO_LONG,  // likewise, but its end did not fit
    LINE_CANCELLED, // by Ctrl-C, or Ctrl-D with nothing typed; line_text() is empty
};

// Takes one typed byte. After anything but LINE_TYPING the screen's cursor stands in an empty line, and the owner calls
// line_clear() when he is done with the text.
enum line_event line_byte(char byte);

// What was typed so far, valid until the next line_byte() or line_clear().
struct span line_text(void);

// Forgets the text, which may have held a secret, and leaves no trace of it in memory.
void line_clear(void);

// Puts the text into the history: LINE_HISTORY bytes for all of it, the oldest lines make room.
void line_remember(void);

// Takes the line off the screen, so that something else can be written there.
void line_hide(void);

// Brings the screen up to date; call it when all bytes that have arrived are taken in.
void line_show(void);

// True while line_show() has something to do.
bool line_is_stale(void);

/// What the line asks of its owner, who has to implement these ///

// The number of bytes at the beginning of `typed` that may be shown; stars show for the others.
size_t line_shown(struct span typed);

// What may follow behind `before`, which is empty or ends in a space: the candidate number `index`, or NULL behind the
// last.
const char *line_candidate(struct span before, uint32_t index);

#endif
