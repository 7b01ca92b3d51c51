// Calls of the server's HTTP interface: one small JSON object there, one back.
#ifndef CONSOLE_HTTP_H
#define CONSOLE_HTTP_H

#include <cjson/cJSON.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>

// For the table of protocols given to loop_start(), under the name HTTP_PROTOCOL.
#define HTTP_PROTOCOL "http"
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length);

struct http_server {
    const char *host;
    int port;
    int tls; // http_tls_flags()
};

// How libwebsockets is to connect: plainly, or over TLS, where with `any` every certificate will do.
int http_tls_flags(bool tls, bool any);

// Sends `request` (which it deletes) and waits for the reply, at most `seconds`. Returns the reply's object, to be
// deleted by the caller, or NULL after one sentence on stderr. A signal that says to leave returns NULL in silence.
cJSON *http_post(const struct http_server *server, const char *path, cJSON *request, unsigned seconds);

// The value of a Host header: an IPv6 address stands in brackets.
void http_host(char *out, size_t size, const char *host, int port);

// What a status other than 200 means to the person at the keyboard.
const char *http_status_words(unsigned status);

// The same for libwebsockets' reason why no connection came about.
const char *http_connect_words(const char *detail, size_t length);

#endif
