// The terminal: lines scroll by above the line that is being typed, which is never torn.
//
// On a pipe the same calls print bare lines: chat on stdout, the client's own words on stderr.
#ifndef CONSOLE_SCREEN_H
#define CONSOLE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

enum style { STYLE_MESSAGE, STYLE_ACTION, STYLE_PRIVATE, STYLE_SYSTEM, STYLE_CLIENT };

// Finds out whether stdin and stdout are a terminal and prepares either case. The prompt shows up with screen_prompt().
void screen_start(void);
bool screen_is_terminal(void);

// Shows the prompt and takes over the keyboard; screen_stop() gives it back. Both may be called at any time; there is
// no prompt any more after Ctrl-D.
void screen_prompt(void);
void screen_stop(void);
bool screen_is_prompting(void);

// Reads keys that have arrived; each finished line goes to take(), the end of input (Ctrl-D) as NULL.
void screen_keys(void (*take)(const char *line, size_t length));

void screen_resized(void); // SIGWINCH
void screen_suspend(void); // SIGTSTP: stops the process and returns when it goes on

// Prints a line that came from the wire. Whatever it holds, nothing but printable characters reach the terminal.
void screen_line(enum style style, const char *text, size_t length);

// Prints something that the client itself has to say, without a full stop: "-- connection lost".
__attribute__((format(printf, 1, 2))) void screen_status(const char *format, ...);

// Gives the keyboard back and prints one sentence on stderr.
__attribute__((format(printf, 1, 2))) void screen_sorry(const char *format, ...);

// True when stdout takes nothing any more: whoever read it has gone.
bool screen_is_gone(void);

#endif
