// Heads and refusals as text.
#ifndef PIPIT_REPLY_H
#define PIPIT_REPLY_H

#include "http_server.h"

#define REPLY_CHUNKED SIZE_MAX       // Transfer-Encoding: chunked
#define REPLY_CLOSES  (SIZE_MAX - 1) // HTTP/1.0: the end of the connection is the end of the body

// How the connection goes on after the reply, as the head has to say it.
enum reply_connection {
    REPLY_KEEP,    // HTTP/1.1's default
    REPLY_KEEP_10, // said to an HTTP/1.0 client, who would expect a close (RFC 9112 section C.2.2)
    REPLY_CLOSE,
    REPLY_SECURE = 4, // added to one of them: it goes over TLS
};
enum reply_connection reply_connection(const struct http_connection *h);

// The head of a reply up to and with the empty line. `length` is that of the body, or one of the two above.
void reply_head(struct text *out, unsigned status, const char *type, size_t length, enum reply_connection connection);

// The beginning of a head: the status line, Date and Connection.
void reply_head_begin(struct text *out, unsigned status, enum reply_connection connection);

// A whole refusal. `allow` is the list for a 405, else NULL. `head_only` leaves the body out, as for HEAD.
void reply_refusal(struct text *out, const struct http_refusal *refusal, const char *allow,
                   enum reply_connection connection, bool head_only);

// To the same place over HTTPS.
void reply_redirect(struct text *out, const struct http_connection *h);

#endif
