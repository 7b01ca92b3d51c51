// The gateway: the HTTP server in front of everything (README, "The wire").
//
//     http_server.c   connections: reading requests, deadlines, replies, closing
//     http_admit.c    whether a request is let in; http_reply.c: sending what it ends with
//     routes.c        the table of what there is: a new route is one line there
//     api.c           the JSON calls: code, register, login, reset, logout
//     upgrade.c       from HTTP to WebSocket: who is it, and may they come in
//     web.c           the chat's own page, whose sources are in clients/web
//     pages.c         what people and Prometheus look at
//     guard.c, rate.c who may ask: Host and Origin, calls a minute; tries.c: wrong passwords and codes
//     json.c          request bodies
//     reply.c         heads and refusals as text; api_talk.c: the JSON of requests and replies; bearer.c: tokens
#ifndef PIPIT_GATEWAY_H
#define PIPIT_GATEWAY_H

#include "../../app/limits.h"
#include "../service.h"

#define GATEWAY_PORT 80

struct gateway_settings {
    uint32_t api_rate;        // api.rate: calls a minute and address, 0 for no limit
    uint32_t code_rate;       // mail.per_address: codes an hour and caller's address, 0 for no limit
    uint32_t login_tries;     // login.tries: wrong ones that are free (tries.h), 0 for no limit
    uint32_t login_backoff;   // login.backoff: seconds that the first wait takes
    uint32_t guests;          // chat.guests: 0 lets only accounts chat
    uint32_t header_timeout;  // http.header_timeout: seconds for a request's head
    uint32_t body_timeout;    // http.body_timeout: seconds for its body, and for the peer to take a reply
    uint32_t idle_timeout;    // http.idle_timeout: seconds that a connection may wait for its next request
    char origins[GUARD_LIST]; // http.origins: foreign origins that may call, "https://chat.example, http://[::1]:3000"
    char names[GUARD_LIST];   // http.names: names beside our own that Host may have
};
extern struct gateway_settings gateway_settings;

#define GATEWAY_API_ERRORS 11 // 1001 to 1011

struct gateway_counters {
    uint32_t requests;                       // heads read
    uint32_t replies[6];                     // by the first digit of the status; 0 is not used
    uint32_t slowed;                         // logins and codes that had to wait (tries.h)
    uint32_t late;                           // 408
    uint32_t limited;                        // 429
    uint32_t full;                           // 503
    uint32_t evicted;                        // idle connections closed for a newcomer
    uint32_t api_errors[GATEWAY_API_ERRORS]; // [n] counts error 1001 + n
};
extern struct gateway_counters gateway_counters;

extern const struct service gateway_service;

#endif
