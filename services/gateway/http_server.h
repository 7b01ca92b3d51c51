// HTTP/1.1 connections (RFC 9112): from bytes to a call of a route's handler, and its reply back.
//
//     (accepted) -> HEAD -> [WAITING] -> [READING] -> WORKING --> REPLYING, ANSWERING, STREAMING --> IDLE -> HEAD ...
//                     \---------\-----------\------------\----> REFUSING, SHOWING ---------------/  or parting
//                                                        \----> UPGRADING --> (the hub's, or the echo service's)
//
// A connection's slot is the gateway's until the connection is handed on: to the hub, or to a farewell without an
// owner in which net.c lingers in close. So a slot is free for the next client as soon as the last byte was handed to
// lwIP. One request is answered at a time; what a client has pipelined behind it stays with lwIP. When slots are short,
// a connection that idles between requests is closed, or a request that takes long to arrive is cut off with 408; who
// comes meanwhile waits in the lobby (http_lobby.h), and is told 503 when that is full or it takes too long.
//
// A handler ends its request by exactly one of the http_reply_*(), http_refuse() or http_upgrade() functions, at once
// or in a later turn, and touches neither connection nor exchange after that.
#ifndef PIPIT_HTTP_SERVER_H
#define PIPIT_HTTP_SERVER_H

#include "../../app/limits.h"
#include "../../port/net.h"
#include "../../port/text.h"
#include "../proto/http1.h"
#include "api.h"

#define HTTP_HEAD_ROOM 256  // bytes for the head of an API reply
#define HTTP_SEND      1000 // bytes given to net_send() at most; NET_SEND_MAX is never below 1,024

/// What a request can end with ///

// An answer that says no. `error` stands in its JSON body.
struct http_refusal {
    uint16_t status;
    uint16_t error;
    uint32_t retry_after; // seconds, 0 for none
    const char *message;  // a sentence: a constant, or in the exchange's buffer
};

// An answer that never changes.
struct http_text {
    const char *type;
    const char *body;
};

// A reply that stands in flash as a whole and is sent from there by reference, piece by piece, on however slow a line:
// the fields of its head that never change, the empty line, and the body. A 304 has the fields from `kept` on.
struct http_constant {
    const uint8_t *at;
    uint16_t kept;
    uint16_t body;
    uint16_t length; // of all
};

// How far a constant is sent.
struct http_reach {
    uint16_t status;
    uint16_t next;
    uint16_t end;
};

// Where a page is, row by row. Zero is the beginning; what the numbers mean is the page's own business.
struct http_cursor {
    uint16_t section;
    uint16_t group;
    uint16_t row;
};

// A page that is made while it is sent, so that it never stands in memory as a whole. `next` appends one row of at
// most HTTP_ROW_MAX bytes and moves the cursor on; false, with nothing appended, behind the last row. A row that found
// no room is asked for again later, from the same cursor.
struct http_page {
    const char *type;
    bool (*next)(struct http_cursor *cursor, struct text *out);
};
#define HTTP_ROW_MAX 480

/// Connections ///

enum http_state {
    HTTP_FREE,      // the slot is not in use
    HTTP_IDLE,      // between two requests
    HTTP_HEAD,      // reading a request line and fields
    HTTP_WAITING,   // the head is there, and no exchange is free
    HTTP_READING,   // reading the body
    HTTP_WORKING,   // a handler is on it
    HTTP_REFUSING,  // `refusal` is on its way out
    HTTP_ANSWERING, // `answer` is on its way out
    HTTP_REPLYING,  // the exchange's reply is on its way out
    HTTP_STREAMING, // `page` is on its way out
    HTTP_SHOWING,   // `constant` is on its way out
    HTTP_UPGRADING, // a 101 is on its way out
};

// The part of a request that needs memory beyond its connection: the body, the reply, and the work between them.
struct http_exchange {
    struct http_connection *connection; // NULL when the client has gone and the work goes on
    size_t length;                      // of the body, then of the head and reply
    size_t sent;                        // of the head and reply
    size_t begin;                       // where the head of the reply begins
    bool used;                          // the slot is taken
    struct api_work work;
    char buffer[HTTP_HEAD_ROOM + HTTP_BODY]; // the body, later the reply, begin behind HTTP_HEAD_ROOM
};

struct http_connection {
    struct net_conn *net;
    enum http_state state;
    bool close;        // after this reply
    bool head_only;    // HEAD: the reply has no body
    bool leftover;     // bytes of the next request wait in net.c
    bool continue_due; // "100 Continue" found no room yet
    bool head_sent;    // of a page
    bool served;       // has had a reply: may be evicted while idle
    bool whole;        // in HTTP_WAITING: the rest of the request has arrived
    uint64_t since;    // ms: when it came into its state
    uint64_t deadline; // ms
    uint64_t body_length;
    struct http_exchange *exchange;
    const struct route *route;
    struct http_refusal refusal;
    union {
        const struct http_text *answer;
        const struct http_page *page;
        const struct http_constant *constant;
    };
    union {
        struct http_cursor cursor; // of `page`
        struct http_reach reach;   // of `constant`
    };
    uint32_t uid; // of the account that an upgrade is for, 0 for a guest
    struct http1 parser;
    char keep[HTTP_KEEP]; // the parser's
};

// Starts listening; one bounded step; the end.
int http_server_start(void);
uint32_t http_server_step(uint64_t now_ms);
void http_server_stop(void);

uint32_t http_server_connections(void);

// Visits all exchanges: call with *at = 0 first; NULL after the last one.
struct http_exchange *http_exchange_walk(uint32_t *at);

/// For the parts of the server: http_server.c reads, http_admit.c lets in, http_reply.c sends ///

// Finds the route and checks all that the head tells. False with the answer in h->refusal.
bool http_admissible(struct http_connection *h);

// Forgets how often who has called.
void http_admit_reset(void);

// What the parser has refused, as h->refusal.
void http_malformed(struct http_connection *h);

// The only place where a connection's state changes.
void http_set_state(struct http_connection *h, enum http_state next);

// Hands on what the state has to send; more of it when `room` came.
void http_push(struct http_connection *h);

// The reply was handed to lwIP as a whole: on to the next request, or to the end.
void http_finish(struct http_connection *h);

// Closes it properly and gives the slot back at once.
void http_part(struct http_connection *h);

// Gives the slot back without touching the connection, which is somebody else's by now.
void http_release(struct http_connection *h);

// Sends a refusal to somebody who gets no slot.
void http_turn_away(struct net_conn *net, const struct http_refusal *refusal);

void http_give_exchange(struct http_exchange *x);

/// For handlers ///

// The request's body.
struct span http_body(const struct http_exchange *x);

// Where the reply's JSON is to be written. The request's body is overwritten.
struct text http_reply_text(struct http_exchange *x);

// Sends what was written there, with status 200. When the client has gone, only gives the exchange back.
void http_reply_json(struct http_exchange *x, const struct text *body);

void http_reply_answer(struct http_connection *h, const struct http_text *answer);
void http_reply_page(struct http_connection *h, const struct http_page *page);

// With status 200, or 304 without the body.
void http_reply_constant(struct http_connection *h, const struct http_constant *constant, unsigned status);
void http_refuse(struct http_connection *h, const struct http_refusal *refusal);

// Answers 101 and hands the connection to the hub or the echo service (upgrade.c says what and to whom).
void http_upgrade(struct http_connection *h);

#endif
