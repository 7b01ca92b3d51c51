#include "../../port/log.h"
#include "../../port/port.h"
#include "../../port/trail.h"
#include "channel_private.h"
#include <mbedtls/platform_util.h>

#define CONNECT_MS     10000  // from the dial to the peer's SETTINGS
#define BACKOFF_MS     1000   // the first wait after a failure
#define BACKOFF_MOST   20000  // the longest
#define PROVEN_MS      20000  // a connection that lives for so long was a good one
#define SILENCE_MS     360000 // gRPC servers count PINGs that come more often than every 5 minutes against us
#define PING_ANSWER_MS 20000
#define FULL_RETRY_MS  100 // when lwIP's memory is short

static const char *const state_names[] = {"IDLE", "CONNECTING", "READY", "DRAINING", "BACKOFF"};
static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

/// Targets ///

static bool is_name(struct span host)
{
    for (size_t i = 0; i < host.length; i++) {
        bool known = false;
        for (const char *c = name_bytes; *c != '\0'; c++)
            known = known || host.at[i] == *c;
        if (!known)
            return false;
    }
    return host.length > 0;
}

bool channel_split(struct span target, struct span *host, uint16_t *port)
{
    uint64_t number;
    struct span digits = target;
    *host = span_cut(&digits, ':');
    if (target.length > RPC_TARGET_MAX || !is_name(*host) || !span_number(digits, UINT16_MAX, &number) || number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

/// States ///

static void change(struct channel *c, enum channel_state next)
{
    trail_change("rpc", "channel", channel_number(c), state_names[c->state], state_names[next]);
    c->state = (uint8_t)next;
    c->since = port_now_ms();
}

static void fail_waiting(struct channel *c)
{
    while (c->waiting.first != NULL)
        request_fail(c->waiting.first, GRPC_UNAVAILABLE, c->failure.step, "%s: %s", c->failure.prefix, c->failure.why);
}

// What was not written yet waits for another connection.
static void fail_active(struct channel *c, const char *why)
{
    for (size_t i = 0; i < RPC_REQUESTS; i++) {
        struct rpc_request *r = c->streams[i].owner;
        if (r != NULL && r->state == REQUEST_OPENED) {
            request_leave(r, H2_CANCEL);
            request_change(r, REQUEST_WAITING);
        } else if (r != NULL) {
            request_fail(r, GRPC_UNAVAILABLE, "connect", "connection lost: %s", why);
        }
    }
}

// Up to a fifth less, so that many gates do not come back together.
static uint32_t with_jitter(uint32_t ms)
{
    uint32_t random = 0;
    return port_entropy(&random, sizeof random) ? ms - random % (ms / 5) : ms;
}

static void back_off(struct channel *c)
{
    uint32_t next = c->backoff_ms == 0 ? BACKOFF_MS : c->backoff_ms / 10 * 16;
    c->backoff_ms = next < BACKOFF_MOST ? next : BACKOFF_MOST;
    c->deadline = port_now_ms() + with_jitter(c->backoff_ms);
    log_line(LOG_WARNING, "rpc", "%s: %s: %s", c->target, c->failure.prefix, c->failure.why);
    change(c, CHANNEL_BACKOFF);
    fail_waiting(c);
}

/// Letting a connection go ///

static void forget(struct channel *c)
{
    c->net = NULL;
    c->blocked = c->pinging = false;
    mbedtls_platform_zeroize(c->bytes, sizeof c->bytes);
    c->out.length = 0;
}

static void hang_up(struct channel *c)
{
    if (c->net != NULL)
        net_leave(c->net);
    forget(c);
}

static void break_off(struct channel *c)
{
    if (c->net != NULL)
        net_abort(c->net);
    hang_up(c);
}

// A channel that drains has ended its work in the next turn; what waits there goes elsewhere.
static void lose(struct channel *c, struct channel_failure failure)
{
    fail_active(c, failure.why);
    hang_up(c);
    c->failure = failure;
    if (c->state == CHANNEL_DRAINING)
        return;
    if (!c->proven) {
        back_off(c);
        return;
    }
    log_line(LOG_INFO, "rpc", "%s: %s: %s", c->target, failure.prefix, failure.why);
    change(c, CHANNEL_IDLE);
}

void channel_lose(struct channel *c, const char *why)
{
    const char *prefix = c->state == CHANNEL_CONNECTING ? "connect" : "connection lost";
    lose(c, (struct channel_failure){"connect", prefix, why});
}

void channel_connected(struct channel *c)
{
    log_line(LOG_INFO, "rpc", "%s: connected", c->target);
    c->had = true;
    change(c, CHANNEL_READY);
}

void channel_drain(struct channel *c)
{
    change(c, CHANNEL_DRAINING);
}

// Other calls may be on it: they keep the time that they have, but no new one goes there. One that drains already ends
// with this turn like any other that does, for another slot may have its target by now.
void channel_suspect(struct channel *c)
{
    log_line(LOG_WARNING, "rpc", "%s: nothing was heard in the time of a call, dialling anew", c->target);
    if (c->active == 0)
        break_off(c);
    if (c->state != CHANNEL_DRAINING)
        change(c, c->active == 0 ? CHANNEL_IDLE : CHANNEL_DRAINING);
}

void channel_close(struct channel *c)
{
    h2_goaway(&c->h2, H2_NO_ERROR, NULL);
    channel_push(c);
    hang_up(c);
    change(c, CHANNEL_IDLE);
}

/// What net.c tells ///

static void on_opened(struct net_conn *net)
{
    struct channel *c = net_owner(net);
    c->heard_ms = port_now_ms();
}

static size_t on_data(struct net_conn *net, const uint8_t *bytes, size_t length)
{
    return channel_receive(net_owner(net), bytes, length);
}

static void on_ended(struct net_conn *net)
{
    channel_lose(net_owner(net), net_error_name(NET_OK));
}

static void on_closed(struct net_conn *net, enum net_error why)
{
    struct channel *c = net_owner(net);
    forget(c);
    if (why == NET_NO_ADDRESS)
        lose(c, (struct channel_failure){"dns", "dns", net_error_name(why)});
    else
        channel_lose(c, net_error_name(why));
}

static const struct net_handlers handlers = {
    .opened = on_opened,
    .data = on_data,
    .ended = on_ended,
    .closed = on_closed,
};

/// The turn ///

static void begin_http2(struct channel *c)
{
    const struct h2_settings settings = {
        .streams = c->streams,
        .stream_count = RPC_REQUESTS,
        .fields = c->fields,
        .fields_size = sizeof c->fields,
        .list_max = RPC_LIST_MAX,
    };
    h2_begin(&c->h2, H2_CLIENT, &settings);
    c->out = (struct h2_out){.at = c->bytes, .size = sizeof c->bytes};
}

static void connect(struct channel *c)
{
    struct span host;
    uint16_t port = 0;
    channel_split(span_of(c->target), &host, &port);
    channel_counters.dials++;
    channel_counters.reconnects += c->had;
    c->backoff_ms = c->proven ? 0 : c->backoff_ms;
    c->proven = false;
    c->deadline = port_now_ms() + CONNECT_MS;
    begin_http2(c);
    change(c, CHANNEL_CONNECTING);
    c->net = net_dial(host, port, CONNECT_MS, &handlers, c);
    if (c->net == NULL)
        channel_lose(c, net_error_name(NET_NO_SLOT));
}

static void move_waiting(struct channel *c, struct channel *to)
{
    while (c->waiting.first != NULL) {
        struct rpc_request *r = c->waiting.first;
        request_remove(&c->waiting, r);
        r->channel = to;
        request_append(&to->waiting, r);
    }
    channel_go(to);
}

// The slot goes on with what waits, unless another one has the target by now.
static void end_draining(struct channel *c)
{
    struct channel *other = channel_find(span_of(c->target));
    if (c->net != NULL)
        channel_close(c);
    else
        change(c, CHANNEL_IDLE);
    if (c->waiting.first == NULL)
        c->target[0] = '\0';
    else if (other == NULL)
        connect(c);
    else
        move_waiting(c, other);
}

static void go_draining(struct channel *c)
{
    if (c->net != NULL)
        channel_push(c);
    if (c->active == 0) {
        end_draining(c);
        return;
    }
    struct channel *other = c->waiting.first == NULL ? c : channel_for(span_of(c->target));
    if (other != c)
        move_waiting(c, other);
}

static void go_ready(struct channel *c)
{
    channel_push(c);
    if (h2_spent(&c->h2))
        channel_drain(c);
    if (c->state == CHANNEL_DRAINING)
        go_draining(c);
}

void channel_go(struct channel *c)
{
    switch (c->state) {
    case CHANNEL_IDLE:
        if (c->waiting.first != NULL)
            connect(c);
        break;
    case CHANNEL_CONNECTING:
        channel_push(c);
        break;
    case CHANNEL_READY:
        go_ready(c);
        break;
    case CHANNEL_DRAINING:
        go_draining(c);
        break;
    case CHANNEL_BACKOFF:
        fail_waiting(c);
        break;
    }
}

static void watch_connecting(struct channel *c, uint64_t now_ms)
{
    if (now_ms < c->deadline)
        return;
    break_off(c);
    channel_lose(c, net_error_name(NET_TIMEOUT));
}

static void watch_silence(struct channel *c, uint64_t now_ms)
{
    if (c->net == NULL)
        return;
    if (c->pinging && now_ms >= c->deadline) {
        break_off(c);
        channel_lose(c, "no answer to PING");
    } else if (!c->pinging && now_ms - c->heard_ms >= SILENCE_MS) {
        h2_ping(&c->h2);
        c->pinging = true;
        c->deadline = now_ms + PING_ANSWER_MS;
    }
}

void channel_watch(struct channel *c, uint64_t now_ms)
{
    switch (c->state) {
    case CHANNEL_IDLE:
        break;
    case CHANNEL_CONNECTING:
        watch_connecting(c, now_ms);
        break;
    case CHANNEL_READY:
        c->proven = c->proven || now_ms - c->since >= PROVEN_MS;
        watch_silence(c, now_ms);
        break;
    case CHANNEL_DRAINING:
        watch_silence(c, now_ms);
        break;
    case CHANNEL_BACKOFF:
        if (now_ms >= c->deadline)
            change(c, CHANNEL_IDLE);
        break;
    }
}

uint64_t channel_wake(const struct channel *c, uint64_t now_ms)
{
    if (c->out.length > 0 && c->state != CHANNEL_CONNECTING)
        return now_ms + FULL_RETRY_MS;
    switch (c->state) {
    case CHANNEL_CONNECTING:
    case CHANNEL_BACKOFF:
        return c->deadline;
    case CHANNEL_READY:
    case CHANNEL_DRAINING:
        return c->pinging ? c->deadline : c->heard_ms + SILENCE_MS;
    default:
        return UINT64_MAX;
    }
}
