#include "http_server.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../https/https.h"
#include "gateway.h"
#include "http_lobby.h"
#include "routes.h"
#include <mbedtls/platform_util.h>
#include <string.h>

POOL(http_connections, struct http_connection, HTTP_CONNECTIONS);
POOL(http_exchanges, struct http_exchange, HTTP_EXCHANGES);

static uint32_t waiting;   // connections in HTTP_WAITING
static uint64_t last_scan; // ms

#define SCAN_MS     250
#define RETRY_AFTER 2    // seconds, when all slots are taken
#define PATIENCE_MS 2000 // with a request that is still arriving, while somebody else has no slot

_Static_assert(offsetof(struct http_connection, state) >= sizeof(void *), "a free slot's link would hide its state");
_Static_assert(offsetof(struct http_exchange, used) >= sizeof(void *), "a free slot's link would hide that it is free");

/// States and their deadlines ///

static void late_head(struct http_connection *h)
{
    h->close = true;
    http_refuse(h, &(struct http_refusal){408, 408, 0, "The request took too long to arrive."});
}

static void late_exchange(struct http_connection *h)
{
    h->close = true;
    http_refuse(h, &(struct http_refusal){503, 503, RETRY_AFTER, "Too many requests are being answered just now."});
}

static void late_reply(struct http_connection *h)
{
    net_leave(h->net);
    net_abort(h->net);
    http_release(h);
}

// Seconds that a connection may stay in a state, NULL for any number, and what happens then.
static const struct {
    const char *name;
    const uint32_t *seconds;
    void (*late)(struct http_connection *h);
} rules[] = {
    [HTTP_FREE] = {"FREE", NULL, NULL},
    [HTTP_IDLE] = {"IDLE", &gateway_settings.idle_timeout, http_part},
    [HTTP_HEAD] = {"HEAD", &gateway_settings.header_timeout, late_head},
    [HTTP_WAITING] = {"WAITING", &gateway_settings.body_timeout, late_exchange},
    [HTTP_READING] = {"READING", &gateway_settings.body_timeout, late_head},
    [HTTP_WORKING] = {"WORKING", NULL, NULL},
    [HTTP_REFUSING] = {"REFUSING", &gateway_settings.body_timeout, late_reply},
    [HTTP_ANSWERING] = {"ANSWERING", &gateway_settings.body_timeout, late_reply},
    [HTTP_REPLYING] = {"REPLYING", &gateway_settings.body_timeout, late_reply},
    [HTTP_STREAMING] = {"STREAMING", &gateway_settings.body_timeout, late_reply},
    [HTTP_SHOWING] = {"SHOWING", &gateway_settings.body_timeout, late_reply},
    [HTTP_UPGRADING] = {"UPGRADING", &gateway_settings.body_timeout, late_reply},
};

void http_set_state(struct http_connection *h, enum http_state next)
{
    log_line(LOG_DEBUG, "http", "%u: %s -> %s", pool_index(&http_connections, h), rules[h->state].name,
             rules[next].name);
    waiting += (next == HTTP_WAITING ? 1u : 0u) - (h->state == HTTP_WAITING ? 1u : 0u);
    // The time spent waiting for an exchange is part of the body's.
    bool same_deadline = h->state == HTTP_WAITING && next == HTTP_READING;
    const uint32_t *seconds = rules[next].seconds;
    if (!same_deadline)
        h->deadline = seconds == NULL ? UINT64_MAX : port_now_ms() + (uint64_t)*seconds * 1000;
    h->since = port_now_ms();
    h->state = next;
}

/// Slots ///

static struct http_connection *slot(uint32_t index)
{
    return pool_slot(&http_connections, index);
}

uint32_t http_server_connections(void)
{
    return http_connections.used;
}

// The next turn must come soon: an exchange is free, and somebody waits for it.
static void wake_waiting(void)
{
    for (uint32_t i = 0; waiting > 0 && i < http_connections.fresh; i++) {
        if (slot(i)->state == HTTP_WAITING) {
            net_resume(slot(i)->net);
            return;
        }
    }
}

void http_give_exchange(struct http_exchange *x)
{
    if (x->connection != NULL)
        x->connection->exchange = NULL;
    mbedtls_platform_zeroize(x, sizeof *x); // passwords, codes and tokens went through it
    pool_give(&http_exchanges, x);
    wake_waiting();
}

static bool take_exchange(struct http_connection *h)
{
    if (http_exchanges.used == http_exchanges.size)
        return false;
    struct http_exchange *x = pool_take(&http_exchanges);
    x->used = true;
    x->connection = h;
    h->exchange = x;
    return true;
}

struct http_exchange *http_exchange_walk(uint32_t *at)
{
    while (*at < http_exchanges.fresh) {
        struct http_exchange *x = pool_slot(&http_exchanges, (*at)++);
        if (x->used)
            return x;
    }
    return NULL;
}

// A token may have stood in the target or in Authorization.
static void forget_head(struct http_connection *h)
{
    mbedtls_platform_zeroize(h->keep, h->parser.used);
}

void http_release(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    forget_head(h);
    http_set_state(h, HTTP_FREE);
    if (x != NULL && api_abandon(x))
        http_give_exchange(x);
    else if (x != NULL)
        x->connection = NULL;
    pool_give(&http_connections, h);
}

void http_part(struct http_connection *h)
{
    net_leave(h->net);
    http_release(h);
}

// Ready for a request's first byte.
static void begin(struct http_connection *h)
{
    h->close = h->head_only = h->leftover = h->continue_due = h->head_sent = false;
    h->body_length = 0;
    h->route = NULL;
    h->uid = 0;
    h->cursor = (struct http_cursor){0};
    forget_head(h);
    http1_begin(&h->parser, h->keep, sizeof h->keep);
}

void http_finish(struct http_connection *h)
{
    if (h->exchange != NULL)
        http_give_exchange(h->exchange);
    if (h->close) {
        http_part(h);
        return;
    }
    bool more = h->leftover;
    begin(h);
    h->served = true;
    http_set_state(h, HTTP_IDLE);
    if (more)
        net_resume(h->net);
}

/// Reading ///

enum progress {
    READ_MORE,
    READ_WAIT, // for an exchange
    READ_REFUSED,
    READ_DONE,
};

static enum progress read_bad(struct http_connection *h)
{
    http_malformed(h);
    h->close = true;
    return READ_REFUSED;
}

static enum progress read_head(struct http_connection *h)
{
    bool complete = h->parser.state == HTTP1_DONE;
    gateway_counters.requests++;
    h->head_only = h->parser.method == HTTP1_HEAD;
    h->close = !h->parser.keep_alive;
    if (!http_admissible(h)) {
        // A body that is not read would be taken for the next request.
        h->close = h->close || !complete;
        return READ_REFUSED;
    }
    if ((h->route->needs & ROUTE_EXCHANGE) != 0 && !take_exchange(h))
        return READ_WAIT;
    if (complete)
        return READ_DONE;
    http_set_state(h, HTTP_READING);
    return READ_MORE;
}

static enum progress read_body(struct http_connection *h, struct span piece)
{
    struct http_exchange *x = h->exchange;
    h->body_length += piece.length;
    if (h->body_length > HTTP_BODY) {
        h->refusal = (struct http_refusal){413, 413, 0, "The body is too large."};
        h->close = true;
        return READ_REFUSED;
    }
    if (piece.length > 0 && (h->route->needs & ROUTE_JSON) != 0) {
        memcpy(x->buffer + HTTP_HEAD_ROOM + x->length, piece.at, piece.length);
        x->length += piece.length;
    }
    return h->parser.state == HTTP1_DONE ? READ_DONE : READ_MORE;
}

static enum progress read_step(struct http_connection *h, struct span piece)
{
    switch (h->parser.state) {
    case HTTP1_START_LINE:
    case HTTP1_FIELDS:
        return READ_MORE;
    case HTTP1_BAD:
        return read_bad(h);
    default:
        return h->state == HTTP_HEAD ? read_head(h) : read_body(h, piece);
    }
}

static enum progress read_bytes(struct http_connection *h, const uint8_t *bytes, size_t length, size_t *used)
{
    enum progress progress = READ_MORE;
    size_t consumed = 0;
    do {
        struct http1_step step = http1_feed(&h->parser, bytes + *used, length - *used);
        consumed = step.consumed;
        *used += consumed;
        progress = read_step(h, step.body);
    } while (progress == READ_MORE && consumed > 0);
    return progress;
}

// RFC 9110 section 10.1.1: not needed any more once the client has begun to send.
static void invite_body(struct http_connection *h)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    h->continue_due = h->parser.expects_continue && h->body_length == 0 && h->state == HTTP_READING &&
                      net_send(h->net, line, sizeof line - 1) == NET_FULL;
    if (!h->continue_due)
        h->parser.expects_continue = false;
}

static void work(struct http_connection *h)
{
    http_set_state(h, HTTP_WORKING);
    h->route->handle(h);
}

static void act(struct http_connection *h, enum progress progress)
{
    switch (progress) {
    case READ_MORE:
        if (h->state == HTTP_READING)
            invite_body(h);
        break;
    case READ_WAIT:
        http_set_state(h, HTTP_WAITING);
        break;
    case READ_REFUSED:
        http_refuse(h, &h->refusal);
        break;
    case READ_DONE:
        work(h);
        break;
    }
}

/// Slow clients, when slots are short ///
//
// A few hundred connections that send a byte now and then could hold every slot for as long as the timeouts allow. So
// when a slot is wanted, the request that has been arriving for longest is cut off, after PATIENCE_MS.

static bool is_slow(const struct http_connection *h, bool with_exchange)
{
    bool arriving = h->state == HTTP_READING || (h->state == HTTP_HEAD && !with_exchange);
    return arriving && port_now_ms() - h->since >= PATIENCE_MS;
}

static struct http_connection *slowest(bool with_exchange)
{
    struct http_connection *first = NULL;
    for (uint32_t i = 0; i < http_connections.fresh; i++) {
        struct http_connection *h = slot(i);
        if (is_slow(h, with_exchange) && (first == NULL || h->since < first->since))
            first = h;
    }
    return first;
}

// True when the slot is free now: a client that does not even take the refusal keeps it until its deadline.
static bool cut_off_slowest(bool with_exchange, const struct pool *wanted)
{
    struct http_connection *h = slowest(with_exchange);
    if (h != NULL)
        late_head(h);
    return wanted->used < wanted->size;
}

/// What net.c tells ///

static void on_opened(struct net_conn *net);

static void note_whole(struct http_connection *h, size_t unread)
{
    h->whole = h->parser.state == HTTP1_DONE || (!h->parser.chunked && unread >= h->parser.content_length);
}

static size_t on_data(struct net_conn *net, const uint8_t *bytes, size_t length)
{
    struct http_connection *h = net_owner(net);
    if (h->state == HTTP_IDLE)
        http_set_state(h, HTTP_HEAD);
    if (h->state != HTTP_HEAD && h->state != HTTP_READING) {
        h->leftover = true;
        note_whole(h, length);
        return 0;
    }
    size_t used = 0;
    enum progress progress = read_bytes(h, bytes, length, &used);
    h->leftover = used < length;
    note_whole(h, length - used);
    act(h, progress); // last: `h` may be somebody else's now
    return used;
}

// A request that is not complete never will be; one that is gets its answer before we close too.
static void on_ended(struct net_conn *net)
{
    struct http_connection *h = net_owner(net);
    bool reading = h->state == HTTP_IDLE || h->state == HTTP_HEAD || h->state == HTTP_READING ||
                   (h->state == HTTP_WAITING && h->parser.state != HTTP1_DONE);
    if (reading)
        http_part(h);
    else
        h->close = true;
}

static void on_room(struct net_conn *net)
{
    struct http_connection *h = net_owner(net);
    if (h->continue_due)
        invite_body(h);
    else
        http_push(h);
}

static void on_closed(struct net_conn *net, enum net_error why)
{
    (void)why;
    http_release(net_owner(net));
}

// TLS sessions are fewer than slots here, so a slow request may have to go that slots would suffice for.
static bool on_spared(struct net_conn *net, bool pressing)
{
    struct http_connection *h = net_owner(net);
    if (h->state == HTTP_IDLE && h->served) {
        gateway_counters.evicted++;
        http_part(h);
    } else if (pressing && is_slow(h, false))
        late_head(h);
    return net_owner(net) != h;
}

static void on_refused(struct net_conn *net)
{
    http_turn_away(net, &(struct http_refusal){429, 429, RETRY_AFTER, "Too many connections from this address."});
}

static const struct net_handlers handlers = {
    .opened = on_opened,
    .data = on_data,
    .ended = on_ended,
    .room = on_room,
    .closed = on_closed,
    .spared = on_spared,
    .refused = on_refused,
};

/// Newcomers ///

// Closes the connection that has been idle for longest. One that was never served is no candidate: its request may
// be on the way, and a burst of newcomers would push each other out.
static bool evict(void)
{
    struct http_connection *oldest = NULL;
    for (uint32_t i = 0; i < http_connections.fresh; i++) {
        struct http_connection *h = slot(i);
        if (h->state == HTTP_IDLE && h->served && (oldest == NULL || h->deadline < oldest->deadline))
            oldest = h;
    }
    if (oldest == NULL)
        return false;
    gateway_counters.evicted++;
    http_part(oldest);
    return true;
}

static bool has_slot(void)
{
    return http_connections.used < http_connections.size || evict();
}

static void take_in(struct net_conn *net)
{
    struct http_connection *h = pool_take(&http_connections);
    h->net = net;
    begin(h);
    net_hand_over(net, &handlers, h);
    http_set_state(h, HTTP_HEAD);
}

static void turn_away(struct net_conn *net)
{
    http_turn_away(net, &(struct http_refusal){503, 503, RETRY_AFTER, "All connections are taken."});
    net_leave(net);
}

static void on_opened(struct net_conn *net)
{
    if (http_lobby_empty() && (has_slot() || cut_off_slowest(false, &http_connections)))
        take_in(net);
    else if (!http_lobby_enter(net))
        turn_away(net);
}

static void call_in_waiting(void)
{
    while (!http_lobby_empty() && has_slot())
        take_in(http_lobby_next());
}

// One slow request at a time makes room: whoever waits may be done before the next one has to.
static void scan_lobby(void)
{
    if (!http_lobby_empty() && cut_off_slowest(false, &http_connections))
        take_in(http_lobby_next());
    for (struct net_conn *net = http_lobby_late(); net != NULL; net = http_lobby_late())
        turn_away(net);
}

/// The turn ///

// A request that is whole goes before those that are still arriving: it gives its exchange back soon.
static bool goes_before(const struct http_connection *h, const struct http_connection *other)
{
    return h->whole != other->whole ? h->whole : h->deadline < other->deadline;
}

static struct http_connection *next_waiting(void)
{
    struct http_connection *first = NULL;
    for (uint32_t i = 0; i < http_connections.fresh; i++) {
        struct http_connection *h = slot(i);
        if (h->state == HTTP_WAITING && (first == NULL || goes_before(h, first)))
            first = h;
    }
    return first;
}

static void admit_waiting(void)
{
    for (uint32_t n = 0; n < HTTP_EXCHANGES && waiting > 0; n++) {
        struct http_connection *h = next_waiting();
        if (!take_exchange(h))
            return;
        http_set_state(h, HTTP_READING);
        if (h->parser.state == HTTP1_DONE) {
            work(h);
            continue;
        }
        invite_body(h);
        net_resume(h->net);
    }
}

static void scan_deadlines(uint64_t now_ms)
{
    for (uint32_t i = 0; i < http_connections.fresh; i++) {
        struct http_connection *h = slot(i);
        if (h->state != HTTP_FREE && now_ms >= h->deadline)
            rules[h->state].late(h);
    }
}

int http_server_start(void)
{
    pool_list(&http_connections);
    pool_list(&http_exchanges);
    http_lobby_start();
    last_scan = port_now_ms();
    http_admit_reset();
    net_advertise_http(GATEWAY_PORT);
    https_listen(&handlers);
    return net_listen(GATEWAY_PORT, false, &handlers, &net_settings.per_address);
}

uint32_t http_server_step(uint64_t now_ms)
{
    if (waiting > 0 && http_exchanges.used == http_exchanges.size)
        cut_off_slowest(true, &http_exchanges);
    if (waiting > 0)
        admit_waiting();
    if (now_ms - last_scan >= SCAN_MS) {
        last_scan = now_ms;
        scan_deadlines(now_ms);
        scan_lobby();
    }
    call_in_waiting();
    return http_connections.used == 0 ? SERVICE_IDLE : SCAN_MS - (uint32_t)(now_ms - last_scan);
}

void http_server_stop(void)
{
    while (!http_lobby_empty())
        net_leave(http_lobby_next());
    for (uint32_t i = 0; i < http_connections.fresh; i++) {
        if (slot(i)->state != HTTP_FREE)
            http_part(slot(i));
    }
    uint32_t at = 0;
    for (struct http_exchange *x = http_exchange_walk(&at); x != NULL; x = http_exchange_walk(&at)) {
        api_cancel(x);
        http_give_exchange(x);
    }
}
