#include "upgrade.h"
#include "../echo/echo.h"
#include "../hub/hub.h"
#include "../proto/ws.h"
#include "../users/users.h"
#include "bearer.h"
#include "gateway.h"
#include "routes.h"
#include <string.h>

#define JSON_PROTOCOL "pipit.v1.json"

static const struct http_refusal not_websocket = {
    426, 426, 0, "Only WebSocket version 13 is spoken here (RFC 6455): send Connection, Upgrade and Sec-WebSocket-*."};
static const struct http_refusal bad_key = {400, 400, 0, "Sec-WebSocket-Key must be 16 bytes in base64."};
static const struct http_refusal with_body = {400, 400, 0, "A WebSocket handshake has no body."};
static const struct http_refusal bad_since = {400, 400, 0, "since must be the number of an event."};
static const struct http_refusal no_guests = {401, API_BAD_TOKEN, 0, "Guests are not let in; log in first."};
static const struct http_refusal bad_token = {401, API_BAD_TOKEN, 0, "The token is invalid or has expired; log in."};
const struct http_refusal upgrade_house_full = {503, 503, 5, "The chat is full; try again in a moment."};
static const struct http_refusal no_status = {503, 503, 2, "The status service could not be asked about the token."};

/// The handshake ///

static bool is_websocket(const struct http1 *p)
{
    struct span version = p->fields[HTTP1_WEBSOCKET_VERSION];
    struct span upgrade = p->fields[HTTP1_UPGRADE];
    return p->method == HTTP1_GET && p->minor_version >= 1 && p->upgrade && upgrade.at != NULL &&
           http1_list_has(upgrade, "websocket") && version.at != NULL && span_equal(version, span_of("13"));
}

static const struct http_refusal *handshake_trouble(const struct http1 *p)
{
    char accept[WS_ACCEPT_LENGTH];
    struct span key = p->fields[HTTP1_WEBSOCKET_KEY];
    if (key.at == NULL || !ws_accept(key, accept))
        return &bad_key;
    return p->has_body ? &with_body : NULL;
}

// Whether the client offers a subprotocol that begins with `prefix`; `rest` is what stands behind that.
static bool offers(const struct http1 *p, const char *prefix, struct span *rest)
{
    struct span list = p->fields[HTTP1_WEBSOCKET_PROTOCOL];
    struct span start = span_of(prefix);
    while (list.length > 0) {
        struct span item = span_trim(span_cut(&list, ','));
        if (span_starts(item, start)) {
            *rest = span_behind(item, start.length);
            return true;
        }
    }
    return false;
}

static bool speaks_json(const struct http1 *p)
{
    struct span list = p->fields[HTTP1_WEBSOCKET_PROTOCOL];
    while (list.length > 0) {
        if (span_equal(span_trim(span_cut(&list, ',')), span_of(JSON_PROTOCOL)))
            return true;
    }
    return false;
}

/// The query ///

// A value that is there but malformed or too long must not pass for one that was not sent.
static bool query_names(struct span query, const char *name)
{
    while (query.length > 0) {
        struct span pair = span_cut(&query, '&');
        if (span_equal(span_cut(&pair, '='), span_of(name)))
            return true;
    }
    return false;
}

// False when since= is there and no number.
static bool read_since(const struct http1 *p, bool *resume, uint64_t *since)
{
    char buffer[24];
    struct span value;
    *resume = query_names(p->query, "since");
    if (!*resume)
        return true;
    return http1_query(p->query, "since", buffer, sizeof buffer, &value) && span_number(value, UINT64_MAX, since);
}

enum token {
    TOKEN_NONE,
    TOKEN_OFFERED,
    TOKEN_BAD,
};

static enum token find_token(const struct http1 *p, char buffer[BEARER_TEXT], struct span *text)
{
    struct span authorization = p->fields[HTTP1_AUTHORIZATION];
    if (query_names(p->query, "token"))
        return http1_query(p->query, "token", buffer, BEARER_TEXT, text) ? TOKEN_OFFERED : TOKEN_BAD;
    if (authorization.at != NULL)
        return bearer_field(authorization, text) ? TOKEN_OFFERED : TOKEN_BAD;
    return offers(p, "pipit.token.", text) ? TOKEN_OFFERED : TOKEN_NONE;
}

/// Letting in ///

// Last of all checks: who asks without an upgrade is told what a handshake would be, 401 and 503 before 426. A
// browser's script sees no status of a WebSocket that was refused.
static void let_in(struct http_connection *h)
{
    if (is_websocket(&h->parser))
        http_upgrade(h);
    else
        http_refuse(h, &not_websocket);
}

// The exchange keeps the sentence until it is sent.
static void refuse_saying(struct http_exchange *x, struct http_refusal refusal, struct span message)
{
    struct text t = http_reply_text(x);
    text_span(&t, message);
    refusal.message = text_end(&t);
    http_refuse(x->connection, &refusal);
}

static void on_checked(struct http_exchange *x, const struct status_reply *reply)
{
    struct http_connection *h = x->connection;
    struct users_account account;
    h->uid = x->work.uid;
    if (reply->error == API_OK && users_by_uid(h->uid, &account))
        let_in(h);
    else if (reply->error == API_INTERNAL)
        refuse_saying(x, no_status, reply->message);
    else
        http_refuse(h, &bad_token);
}

static void check_token(struct http_connection *h, struct span text)
{
    switch (api_check_token(h->exchange, text, on_checked)) {
    case API_OK:
        break;
    case API_TOO_MANY:
        http_refuse(h, &no_status);
        break;
    default:
        http_refuse(h, &bad_token);
        break;
    }
}

static void identify(struct http_connection *h)
{
    char buffer[BEARER_TEXT];
    struct span text;
    switch (find_token(&h->parser, buffer, &text)) {
    case TOKEN_OFFERED:
        check_token(h, text);
        break;
    case TOKEN_BAD:
        http_refuse(h, &bad_token);
        break;
    case TOKEN_NONE:
        if (gateway_settings.guests != 0)
            let_in(h);
        else
            http_refuse(h, &no_guests);
        break;
    }
}

void upgrade_chat(struct http_connection *h)
{
    bool resume = false;
    uint64_t since = 0;
    const struct http_refusal *trouble = is_websocket(&h->parser) ? handshake_trouble(&h->parser) : NULL;
    if (trouble == NULL && !read_since(&h->parser, &resume, &since))
        trouble = &bad_since;
    if (trouble == NULL && hub_full())
        trouble = &upgrade_house_full;
    if (trouble == NULL)
        identify(h);
    else
        http_refuse(h, trouble);
}

void upgrade_echo(struct http_connection *h)
{
    const struct http_refusal *trouble = is_websocket(&h->parser) ? handshake_trouble(&h->parser) : &not_websocket;
    if (trouble == NULL)
        http_upgrade(h);
    else
        http_refuse(h, trouble);
}

/// Handing over ///

static bool is_echo(const struct http_connection *h)
{
    return h->route->handle == upgrade_echo;
}

bool upgrade_answer(struct http_connection *h, struct text *out)
{
    char accept[WS_ACCEPT_LENGTH];
    if (!is_echo(h) && hub_full())
        return false;
    if (!ws_accept(h->parser.fields[HTTP1_WEBSOCKET_KEY], accept))
        return false;
    text_format(out, "HTTP/1.1 101 %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n",
                http1_reason(101), WS_ACCEPT_LENGTH, accept);
    if (!is_echo(h) && speaks_json(&h->parser))
        text_string(out, "Sec-WebSocket-Protocol: " JSON_PROTOCOL "\r\n");
    text_string(out, "\r\n");
    return true;
}

static void put_login(struct hub_join *join, const struct api_work *work)
{
    if (join->uid == 0)
        return;
    join->login = bearer_login(work->uid, (struct span){work->token, work->token_length});
    join->expires = work->expires;
}

bool upgrade_attach(struct http_connection *h)
{
    if (is_echo(h))
        return echo_attach(h->net);
    struct users_account account = {0};
    if (h->uid != 0 && !users_by_uid(h->uid, &account))
        return false;
    struct hub_join join = {.uid = h->uid, .name = account.name, .json = speaks_json(&h->parser)};
    put_login(&join, &h->exchange->work);
    read_since(&h->parser, &join.resume, &join.since);
    return hub_attach(h->net, &join);
}
