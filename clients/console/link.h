// The WebSocket to the server: made, lost, and made again.
#ifndef CONSOLE_LINK_H
#define CONSOLE_LINK_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>

// For the table of protocols given to loop_start(), under the name LINK_PROTOCOL.
#define LINK_PROTOCOL "pipit.v1.json"
int link_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length);

struct link_settings {
    const char *host;
    int port;
    const char *path;
    const char *token; // of an account, NULL for a guest
    int tls;           // http_tls_flags()
    bool is_plain;     // does not offer the JSON subprotocol
};

// Begins to connect. The strings must live as long as the program.
void link_start(const struct link_settings *settings);

// A line was typed: it is sent as soon as there is a connection.
void link_typed(const char *line, size_t length);
bool link_has_room(void); // for another line; ask before reading one from a pipe

bool link_was_open(void); // at least once

// Leaves at once, whatever still waits; told by Ctrl-C.
void link_leave(void);

// Leaves when every line has been sent and answered, or nothing came for a second; told by the end of input.
void link_finish(void);

// True when it is all over; *status is the program's exit status.
bool link_has_ended(int *status);

#endif
