// What goes on in the chat, across connections: who we are, which events were shown, which lines have arrived.
//
// Knows nothing of sockets: link.c tells it what happened and asks it what to send.
#ifndef CONSOLE_SESSION_H
#define CONSOLE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "outbox.h"

// A connection stands; is_json when the server chose pipit.v1.json for it. It is lost again with session_lost().
void session_opened(bool is_json);
void session_lost(void);

// The server closed because it did not like what it was sent: nothing of that is sent again.
void session_refused(void);

// A whole text frame came: shows it, unless it was shown before.
void session_frame(const char *frame, size_t length);

// A line was typed. Blank ones are passed over; what cannot be sent is told. False when there was no room.
bool session_typed(const char *line, size_t length);

// The next line to send, NULL when there is none or when what arrived earlier is not yet known; session_sent() once it
// was handed over.
const struct outbox_line *session_next(void);
void session_sent(void);

// The history that a reconnection asked for is here, or has had its time.
void session_replayed(void);
bool session_is_replaying(void);

// True when there is a last event to continue from.
bool session_since(uint64_t *since);

// True for /quit and /exit; `line` is trimmed.
bool session_is_quit(const char *line, size_t length);

size_t session_waiting(void);  // lines that are still to be sent
bool session_is_settled(void); // none to send, and none without its answer
bool session_has_quit(void);   // /quit or /exit was sent

#endif
