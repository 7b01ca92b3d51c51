#include "gateway.h"
#include "http_server.h"
#include "reply.h"
#include "routes.h"
#include "upgrade.h"
#include <string.h>

/// Counting ///

static void count(unsigned status)
{
    gateway_counters.replies[status / 100]++;
    gateway_counters.late += status == 408;
    gateway_counters.limited += status == 429;
    gateway_counters.full += status == 503;
}

static bool send_text(struct http_connection *h, const struct text *text)
{
    return text->length == 0 || net_send(h->net, text->at, text->length) == NET_OK;
}

/// Refusals and answers that never change: made anew when they have to wait for room ///

static void push_refusal(struct http_connection *h)
{
    char buffer[HTTP_SEND];
    struct text out = text_in(buffer, sizeof buffer);
    const char *allow = NULL;
    if (h->refusal.status == 405)
        route_find(h->parser.path, h->parser.method, &allow);
    if (h->refusal.status == 308)
        reply_redirect(&out, h);
    else
        reply_refusal(&out, &h->refusal, allow, reply_connection(h), h->head_only);
    if (send_text(h, &out))
        http_finish(h);
}

static void push_answer(struct http_connection *h)
{
    char buffer[HTTP_SEND];
    struct text out = text_in(buffer, sizeof buffer);
    reply_head(&out, 200, h->answer->type, strlen(h->answer->body), reply_connection(h));
    if (!h->head_only)
        text_string(&out, h->answer->body);
    if (send_text(h, &out))
        http_finish(h);
}

void http_refuse(struct http_connection *h, const struct http_refusal *refusal)
{
    h->refusal = *refusal;
    count(refusal->status);
    http_set_state(h, HTTP_REFUSING);
    http_push(h);
}

void http_reply_answer(struct http_connection *h, const struct http_text *answer)
{
    h->answer = answer;
    count(200);
    http_set_state(h, HTTP_ANSWERING);
    http_push(h);
}

void http_turn_away(struct net_conn *net, const struct http_refusal *refusal)
{
    char buffer[512];
    struct text out = text_in(buffer, sizeof buffer);
    reply_refusal(&out, refusal, NULL, REPLY_CLOSE, false);
    count(refusal->status);
    net_send(net, out.at, out.length);
}

/// Replies of the API: they stand in the exchange, and go out in as many pieces as it takes ///

struct span http_body(const struct http_exchange *x)
{
    return (struct span){x->buffer + HTTP_HEAD_ROOM, x->length};
}

struct text http_reply_text(struct http_exchange *x)
{
    return text_in(x->buffer + HTTP_HEAD_ROOM, sizeof x->buffer - HTTP_HEAD_ROOM);
}

// The head's length is known only after the body's: it is written so that it ends where the body begins.
static void put_head(struct http_exchange *x, size_t body_length)
{
    char buffer[HTTP_HEAD_ROOM];
    struct text head = text_in(buffer, sizeof buffer);
    reply_head(&head, 200, "application/json", body_length, reply_connection(x->connection));
    x->begin = HTTP_HEAD_ROOM - head.length;
    x->length = head.length + body_length;
    x->sent = 0;
    memcpy(x->buffer + x->begin, head.at, head.length);
}

static void push_reply(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    while (x->sent < x->length) {
        size_t left = x->length - x->sent;
        size_t room = net_room(h->net);
        size_t piece = left < HTTP_SEND ? left : HTTP_SEND;
        if (room < piece)
            piece = room;
        if (piece == 0 || net_send(h->net, x->buffer + x->begin + x->sent, piece) != NET_OK)
            return;
        x->sent += piece;
    }
    http_finish(h);
}

void http_reply_json(struct http_exchange *x, const struct text *body)
{
    struct http_connection *h = x->connection;
    if (h == NULL) {
        http_give_exchange(x);
        return;
    }
    count(200);
    put_head(x, body->length);
    http_set_state(h, HTTP_REPLYING);
    http_push(h);
}

/// Pages ///

#define PAGE_HEAD  300 // bytes: the longest head of a page has 262, with every field
#define CHUNK_HEAD 5   // "3e8\r\n"
#define CHUNK_TAIL 7   // "\r\n0\r\n\r\n"
#define CHUNK_ROWS (HTTP_SEND - CHUNK_HEAD - CHUNK_TAIL)

_Static_assert(CHUNK_ROWS >= 2 * HTTP_ROW_MAX, "a chunk must hold a row beside what was there");

// As many rows as fit; true when there are more.
static bool fill(const struct http_page *page, struct http_cursor *cursor, struct text *rows)
{
    while (rows->size - rows->length >= HTTP_ROW_MAX) {
        if (!page->next(cursor, rows))
            return false;
    }
    return true;
}

static bool send_page_head(struct http_connection *h)
{
    char buffer[PAGE_HEAD];
    struct text head = text_in(buffer, sizeof buffer);
    bool chunked = h->parser.minor_version > 0;
    reply_head(&head, 200, h->page->type, chunked ? REPLY_CHUNKED : REPLY_CLOSES, reply_connection(h));
    h->head_sent = send_text(h, &head);
    return h->head_sent;
}

// One chunk (RFC 9112 section 7.1), together with the last one when it is the last. Only what was sent counts: without
// room the cursor stays where it was.
static bool send_rows(struct http_connection *h, bool *more)
{
    char buffer[HTTP_SEND];
    struct http_cursor cursor = h->cursor;
    struct text rows = text_in(buffer + CHUNK_HEAD, CHUNK_ROWS);
    *more = fill(h->page, &cursor, &rows);
    struct text out = text_in(buffer, sizeof buffer);
    if (h->parser.minor_version > 0 && rows.length > 0) {
        text_format(&out, "%03x\r\n", (unsigned)rows.length);
        out.length += rows.length;
        text_string(&out, "\r\n");
    }
    if (h->parser.minor_version > 0 && !*more)
        text_string(&out, "0\r\n\r\n");
    if (!send_text(h, h->parser.minor_version > 0 ? &out : &rows))
        return false;
    h->cursor = cursor;
    return true;
}

static void push_page(struct http_connection *h)
{
    bool more = !h->head_only;
    if (!h->head_sent && !send_page_head(h))
        return;
    while (more) {
        if (!send_rows(h, &more))
            return;
    }
    http_finish(h);
}

void http_reply_page(struct http_connection *h, const struct http_page *page)
{
    h->page = page;
    h->close = h->close || h->parser.minor_version == 0;
    count(200);
    http_set_state(h, HTTP_STREAMING);
    http_push(h);
}

/// Constants ///

#define STATUS_HEAD 160 // bytes: the longest beginning of a head has 133

static bool send_constant_head(struct http_connection *h)
{
    char buffer[STATUS_HEAD];
    struct text head = text_in(buffer, sizeof buffer);
    reply_head_begin(&head, h->reach.status, reply_connection(h));
    h->head_sent = send_text(h, &head);
    return h->head_sent;
}

// No more of it is on the way than HTTP_QUEUE of lwIP's buffers hold: the chat needs them too.
static void push_constant(struct http_connection *h)
{
    if (!h->head_sent && !send_constant_head(h))
        return;
    while (h->reach.next < h->reach.end) {
        size_t left = (size_t)h->reach.end - h->reach.next;
        size_t room = net_room_within(h->net, HTTP_QUEUE);
        size_t piece = left < room ? left : room;
        if (piece == 0 || net_send_reference(h->net, h->constant->at + h->reach.next, piece) != NET_OK)
            return;
        h->reach.next = (uint16_t)(h->reach.next + piece);
    }
    http_finish(h);
}

void http_reply_constant(struct http_connection *h, const struct http_constant *constant, unsigned status)
{
    bool with_body = status == 200 && !h->head_only;
    h->constant = constant;
    h->reach.status = (uint16_t)status;
    h->reach.next = status == 200 ? 0 : constant->kept;
    h->reach.end = with_body ? constant->length : constant->body;
    count(status);
    http_set_state(h, HTTP_SHOWING);
    http_push(h);
}

/// Upgrades ///

static void push_upgrade(struct http_connection *h)
{
    char buffer[512];
    struct text out = text_in(buffer, sizeof buffer);
    if (!upgrade_answer(h, &out)) {
        http_refuse(h, &upgrade_house_full);
        return;
    }
    if (!send_text(h, &out))
        return;
    count(101);
    if (!upgrade_attach(h)) {
        http_part(h);
        return;
    }
    net_resume(h->net); // frames may have come right behind the request
    http_release(h);
}

void http_upgrade(struct http_connection *h)
{
    http_set_state(h, HTTP_UPGRADING);
    http_push(h);
}

/// By state ///

void http_push(struct http_connection *h)
{
    switch (h->state) {
    case HTTP_REFUSING:
        push_refusal(h);
        break;
    case HTTP_ANSWERING:
        push_answer(h);
        break;
    case HTTP_REPLYING:
        push_reply(h);
        break;
    case HTTP_STREAMING:
        push_page(h);
        break;
    case HTTP_SHOWING:
        push_constant(h);
        break;
    case HTTP_UPGRADING:
        push_upgrade(h);
        break;
    default:
        break;
    }
}
