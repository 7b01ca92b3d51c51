// The one place where the program waits: libwebsockets' loop, with stdin and signals beside its sockets.
#ifndef CONSOLE_LOOP_H
#define CONSOLE_LOOP_H

#include <libwebsockets.h>
#include <stdbool.h>

// protocols is the table for libwebsockets, as for lws_create_context(). False when it could not be set up.
bool loop_start(const struct lws_protocols *protocols, bool tls, const char *cacert);
void loop_stop(void);

struct lws_context *loop_context(void);

// Whether a line or key on stdin ends loop_turn()'s wait.
void loop_watch_input(bool on);

// Waits until something has happened and lets libwebsockets deal with its part of it.
void loop_turn(void);

// Ends the wait that is under way. libwebsockets runs its timers before it waits, in the same call: one that changes
// what the program wants to do next has to say so, or it is noticed only with the next byte from the network.
void loop_wake(void);

// Waits for stdin or a signal alone; for questions before there is a connection.
void loop_wait_input(void);

// True once SIGINT, SIGTERM or SIGHUP has come.
bool loop_was_told(void);

// True once for each change of the window's size, and for each Ctrl-Z.
bool loop_was_resized(void);
bool loop_was_suspended(void);

#endif
