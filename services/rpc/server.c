#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/text.h"
#include "../../port/trail.h"
#include "server_private.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define PREFACE_MS 10000  // for the client's first bytes, its SETTINGS included
#define STALL_MS   30000  // while something is on the way, and nothing of it is acknowledged
#define QUIET_MS   300000 // without a call, before the peer is asked whether it is there
#define PONG_MS    20000  // for its answer
#define TICK_MS    1000   // the above is looked at this often
#define GRACE_MS   1000   // for a newcomer to bring its first call before it may be closed for another, from its accept
#define HELD_MS    10     // before bytes for which lwIP had no memory are tried again

// What is written at once, and what may be on the way to one client: that many small answers (headers, message and
// trailers), or half of that many large ones. lwIP holds a copy, and others need its memory too.
#define LEAST(a, b)    ((a) < (b) ? (a) : (b))
#define GREATEST(a, b) ((a) > (b) ? (a) : (b))
#define RPC_OUT        LEAST(RPC_STREAMS * 256u, 1536u)
#define RPC_FLIGHT     GREATEST(LEAST((RPC_MESSAGE / 2u) * RPC_STREAMS, 16384u), RPC_OUT)

_Static_assert(RPC_OUT >= 2 * H2_WRITE_LEAST, "a block of header fields would not fit what is written at once");
_Static_assert(RPC_TABLE <= HPACK_TABLE_MAX && RPC_TABLE % 4 == 0, "HPACK takes no such table");
_Static_assert(RPC_CONNECTIONS > RPC_CHANNELS, "rpc.listen=any would let nobody in: the gate's connections are all");
_Static_assert(offsetof(struct rpc_connection, state) >= sizeof(void *), "a free slot's link would hide its state");

POOL(rpc_connections, struct rpc_connection, RPC_CONNECTIONS);
POOL(rpc_tables, struct rpc_table, RPC_CONNECTIONS - RPC_CHANNELS);
static struct h2_stream rpc_streams[RPC_CONNECTIONS * RPC_STREAMS];

// Frames being written, for all connections. What is written counts as sent for HTTP/2, so when lwIP has no memory for
// it, it stays here, and nobody else writes until it is gone: memory is short for all of them then.
static uint8_t out_bytes[RPC_OUT];
static size_t held;                   // bytes of it that wait
static struct rpc_connection *holder; // whose they are

static uint64_t last_tick; // ms
static bool open_to_all;   // rpc.listen=any at the start

static const char *const state_names[] = {"FREE", "PREFACE", "OPEN", "PINGED", "ENDED", "BROKEN"};

/// States ///

static void change(struct rpc_connection *c, enum rpc_connection_state next)
{
    trail_change("rpc", "connection", pool_index(&rpc_connections, c), state_names[c->state], state_names[next]);
    c->since = port_now_ms();
    c->state = (uint8_t)next;
}

static struct rpc_connection *slot(uint32_t index)
{
    return pool_slot(&rpc_connections, index);
}

uint32_t rpc_server_connections(void)
{
    return rpc_connections.used;
}

bool rpc_server_is_open(void)
{
    return open_to_all;
}

// All of it, since behind the frames there may be pieces of what did not fit.
static void forget_out(void)
{
    holder = NULL;
    mbedtls_platform_zeroize(out_bytes, sizeof out_bytes);
}

static void release(struct rpc_connection *c)
{
    if (holder == c)
        forget_out();
    rpc_calls_lose(c);
    change(c, CONNECTION_FREE);
    mbedtls_platform_zeroize(c->fields, sizeof c->fields); // the secret may be in both
    if (c->table != NULL) {
        mbedtls_platform_zeroize(c->table, sizeof *c->table);
        pool_give(&rpc_tables, c->table);
    }
    pool_give(&rpc_connections, c);
}

void rpc_connection_wake(struct rpc_connection *c)
{
    if (!c->receiving)
        net_resume(c->net);
}

void rpc_connection_break(struct rpc_connection *c, uint32_t h2_error, const char *debug)
{
    h2_goaway(&c->h2, h2_error, debug);
    change(c, CONNECTION_BROKEN);
}

/// Writing ///

// Room for one send. Less than H2_WRITE_LEAST is none.
static size_t room_of(const struct rpc_connection *c)
{
    uint32_t under_way = net_sent(c->net) - net_acknowledged(c->net);
    size_t room = under_way < RPC_FLIGHT ? RPC_FLIGHT - under_way : 0;
    size_t free = net_room(c->net);
    room = room < free ? room : free;
    room = room < sizeof out_bytes ? room : sizeof out_bytes;
    return room >= H2_WRITE_LEAST ? room : 0;
}

// What one call can write in a row: headers, a DATA frame, trailers. A long content goes on in its next turn.
static enum rpc_written write_call(struct rpc_call *call, struct h2_out *out)
{
    enum rpc_written written = RPC_WRITTEN;
    enum rpc_call_state before = CALL_FREE;
    struct h2_stream *stream = call->stream;
    while (written == RPC_WRITTEN && stream->owner == call && call->state != before) {
        before = (enum rpc_call_state)call->state;
        written = rpc_call_write(call, out, sizeof out_bytes);
    }
    return written;
}

// Each stream gets a turn, beginning with the one that found no room last time. False when there is no room left.
static bool write_round(struct rpc_connection *c, struct h2_out *out)
{
    for (uint16_t i = 0; i < RPC_STREAMS; i++) {
        struct h2_stream *stream = &c->streams[c->turn];
        if (stream->owner != NULL && write_call(stream->owner, out) == RPC_NO_ROOM)
            return false;
        c->turn = (uint16_t)((c->turn + 1u) % RPC_STREAMS);
    }
    return true;
}

static void write_calls(struct rpc_connection *c, struct h2_out *out)
{
    size_t before = 0;
    do {
        before = out->length;
    } while (c->writing > 0 && write_round(c, out) && out->length > before);
}

static bool send_held(void)
{
    if (holder == NULL)
        return true;
    if (net_send(holder->net, out_bytes, held) == NET_FULL)
        return false;
    forget_out();
    return true;
}

// One send. False when there was nothing to write, or no room for it.
static bool push_once(struct rpc_connection *c)
{
    struct h2_out out = {.at = out_bytes, .size = room_of(c)};
    if (out.size == 0)
        return false;
    if (h2_write(&c->h2, &out) && c->state != CONNECTION_BROKEN)
        write_calls(c, &out);
    if (out.length == 0)
        return false;
    holder = c;
    held = out.length;
    return send_held();
}

static void push(struct rpc_connection *c)
{
    while (send_held() && push_once(c)) {
    }
}

/// Closing ///

static void leave(struct rpc_connection *c)
{
    net_leave(c->net);
    release(c);
}

static void vanish(struct rpc_connection *c)
{
    net_abort(c->net);
    leave(c);
}

// The connection is over when this is written, so what does not fit is lost.
static void write_last(struct rpc_connection *c)
{
    uint8_t bytes[2 * H2_WRITE_LEAST];
    bool all = false;
    do {
        struct h2_out out = {.at = bytes, .size = sizeof bytes};
        all = h2_write(&c->h2, &out);
        if (out.length == 0 || net_send(c->net, bytes, out.length) != NET_OK)
            return;
    } while (!all);
}

static void part(struct rpc_connection *c)
{
    bool in_order = holder != c || send_held();
    if (in_order)
        write_last(c);
    leave(c);
}

static void part_with(struct rpc_connection *c, uint32_t h2_error, const char *debug)
{
    h2_goaway(&c->h2, h2_error, debug);
    part(c);
}

static uint32_t calls_of(const struct rpc_connection *c)
{
    uint32_t n = 0;
    for (size_t i = 0; i < RPC_STREAMS; i++)
        n += c->streams[i].owner != NULL;
    return n;
}

// The peer sends no more, and has what it asked for.
static bool is_done(const struct rpc_connection *c)
{
    return c->state == CONNECTION_ENDED && calls_of(c) == 0 && holder != c;
}

// Writes what there is to write, and closes what is to be closed: `c` may be somebody else's afterwards.
static void settle(struct rpc_connection *c)
{
    push(c);
    if (c->blocked && !h2_owes(&c->h2)) {
        c->blocked = false;
        net_resume(c->net);
    }
    if (c->state == CONNECTION_BROKEN || is_done(c))
        part(c);
}

/// Receiving ///

// For somebody who came to the wrong door.
static void answer_http1(struct rpc_connection *c)
{
    static const char sentence[] = "This port speaks gRPC over HTTP/2, without TLS and without an upgrade from HTTP/1. "
                                   "The HTTP API is on port 80 (8080 where the simulator forwards it).\n";
    char buffer[512];
    struct text reply = text_in(buffer, sizeof buffer);
    text_format(&reply,
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                "Connection: close\r\n\r\n%s",
                sizeof sentence - 1, sentence);
    rpc_server_counters.refused++;
    net_send(c->net, reply.at, reply.length);
    change(c, CONNECTION_BROKEN);
}

static void take_event(struct rpc_connection *c, const struct h2_step *step)
{
    struct rpc_call *call = step->stream == NULL ? NULL : step->stream->owner;
    switch (step->event) {
    case H2_HEADERS:
        rpc_call_open(c, step->stream);
        break;
    case H2_FIELD:
        rpc_call_field(call, step);
        break;
    case H2_HEADERS_END:
        rpc_call_admit(call, step->too_large);
        break;
    case H2_DATA:
        rpc_call_data(call, step->data);
        break;
    case H2_END:
        rpc_call_whole(call);
        break;
    case H2_RESET:
        rpc_call_cancel(call, step->error);
        break;
    case H2_PONG:
        if (c->state == CONNECTION_PINGED)
            change(c, CONNECTION_OPEN);
        break;
    case H2_NOT_HTTP2:
        answer_http1(c);
        break;
    case H2_FAILED:
        change(c, CONNECTION_BROKEN);
        break;
    case H2_NEED_MORE:
    case H2_BLOCKED:
    case H2_TRAILERS: // metadata behind a request means nothing
    case H2_WINDOW:   // what waits for it is written right after
    case H2_GOAWAY:   // the peer closes when it has its answers
        break;
    }
}

// True when receiving goes on.
static bool go_on(struct rpc_connection *c, enum h2_event event)
{
    if (event == H2_BLOCKED) {
        push(c);
        c->blocked = h2_owes(&c->h2);
        return !c->blocked;
    }
    return event != H2_NEED_MORE && c->state != CONNECTION_BROKEN;
}

static size_t receive(struct rpc_connection *c, const uint8_t *bytes, size_t length)
{
    size_t used = 0;
    bool more = true;
    while (more) {
        struct h2_step step = h2_receive(&c->h2, bytes + used, length - used);
        used += step.consumed;
        take_event(c, &step);
        more = go_on(c, step.event);
    }
    return c->state == CONNECTION_BROKEN ? length : used;
}

static size_t on_data(struct net_conn *net, const uint8_t *bytes, size_t length)
{
    struct rpc_connection *c = net_owner(net);
    c->idle_since = port_now_ms();
    c->receiving = true;
    size_t used = receive(c, bytes, length);
    c->receiving = false;
    if (c->state == CONNECTION_PREFACE && c->h2.settings_received)
        change(c, CONNECTION_OPEN);
    settle(c);
    return used;
}

// Requests that are whole are answered; the others never will be whole.
static void on_ended(struct net_conn *net)
{
    struct rpc_connection *c = net_owner(net);
    for (size_t i = 0; i < RPC_STREAMS; i++) {
        struct rpc_call *call = c->streams[i].owner;
        if (call != NULL && !call->whole)
            rpc_call_cancel(call, H2_CANCEL);
    }
    change(c, CONNECTION_ENDED);
    settle(c);
}

static void on_room(struct net_conn *net)
{
    settle(net_owner(net));
}

static void on_closed(struct net_conn *net, enum net_error why)
{
    (void)why;
    release(net_owner(net));
}

/// Newcomers ///

// What a client needs to see that it is not for it: SETTINGS, then GOAWAY with ENHANCE_YOUR_CALM.
static void turn_away(struct net_conn *net)
{
    static const uint8_t frames[] = {
        0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, H2_ENHANCE_YOUR_CALM,
    };
    rpc_server_counters.turned_away++;
    net_send(net, frames, sizeof frames);
}

static void on_opened(struct net_conn *net);

static const struct net_handlers handlers = {
    .opened = on_opened,
    .data = on_data,
    .ended = on_ended,
    .room = on_room,
    .closed = on_closed,
    .refused = turn_away,
};

static bool is_local(const struct net_conn *net)
{
    return net_peer_address(net) >> 24 == 127;
}

// Slots that are no stranger's, because as many connections of the loopback are missing.
static uint32_t slots_kept(void)
{
    uint32_t kept = RPC_CHANNELS;
    for (uint32_t i = 0; i < rpc_connections.fresh && kept > 0; i++)
        kept -= slot(i)->state != CONNECTION_FREE && slot(i)->local;
    return kept;
}

static bool is_room_for(bool local)
{
    return rpc_connections.used + (local ? 0 : slots_kept()) < rpc_connections.size;
}

// Without a call, and not so new that its first one may still be on the way.
static bool is_idle(const struct rpc_connection *c)
{
    return c->state != CONNECTION_FREE && h2_streams(&c->h2) == 0 && holder != c &&
           (c->served || port_now_ms() - c->accepted >= GRACE_MS);
}

// Of two idle ones, the one to close: one that never showed the secret, or was not heard of for longer.
static bool goes_before(const struct rpc_connection *c, const struct rpc_connection *other)
{
    return c->trusted != other->trusted ? other->trusted : c->idle_since < other->idle_since;
}

static bool evict_for(bool local)
{
    struct rpc_connection *found = NULL;
    for (uint32_t i = 0; i < rpc_connections.fresh; i++) {
        struct rpc_connection *c = slot(i);
        if (is_idle(c) && (local || !c->local) && (found == NULL || goes_before(c, found)))
            found = c;
    }
    if (found == NULL)
        return false;
    rpc_server_counters.evicted++;
    part_with(found, H2_NO_ERROR, "closed for a newcomer");
    return true;
}

// The loopback's far end is always our own gate, whose encoder has no use for a table, and slots_kept() leaves
// strangers no more connections than there are tables.
static void begin(struct rpc_connection *c, struct net_conn *net)
{
    c->net = net;
    c->local = is_local(net);
    c->table = c->local ? NULL : pool_take(&rpc_tables);
    c->streams = &rpc_streams[pool_index(&rpc_connections, c) * RPC_STREAMS];
    c->accepted = c->idle_since = c->progress = port_now_ms();
    h2_begin(&c->h2, H2_SERVER,
             &(struct h2_settings){
                 .streams = c->streams,
                 .stream_count = RPC_STREAMS,
                 .table = c->table == NULL ? NULL : c->table->bytes,
                 .table_size = c->table == NULL ? 0 : sizeof c->table->bytes,
                 .fields = c->fields,
                 .fields_size = sizeof c->fields,
                 .list_max = RPC_LIST_MAX,
             });
    change(c, CONNECTION_PREFACE);
}

static void on_opened(struct net_conn *net)
{
    bool local = is_local(net);
    if (!is_room_for(local) && !evict_for(local)) {
        turn_away(net);
        net_leave(net);
        return;
    }
    struct rpc_connection *c = pool_take(&rpc_connections);
    begin(c, net);
    net_hand_over(net, &handlers, c);
}

/// The turn ///

// For the peer's TCP.
static bool is_waiting(const struct rpc_connection *c)
{
    return net_sent(c->net) != net_acknowledged(c->net) || holder == c || h2_owes(&c->h2);
}

// The peer has shut its windows and closed: it will never open them again.
static bool is_stuck(const struct rpc_connection *c)
{
    return c->state == CONNECTION_ENDED && c->writing > 0 && !is_waiting(c);
}

static bool is_stalled(struct rpc_connection *c, uint64_t now_ms)
{
    uint32_t acknowledged = net_acknowledged(c->net);
    if (!is_waiting(c) || acknowledged != c->acknowledged)
        c->progress = now_ms;
    c->acknowledged = acknowledged;
    return now_ms - c->progress >= STALL_MS;
}

static void ask_whether_there(struct rpc_connection *c)
{
    h2_ping(&c->h2);
    change(c, CONNECTION_PINGED);
    settle(c);
}

static void tick(struct rpc_connection *c, uint64_t now_ms)
{
    uint64_t age = now_ms - c->since;
    bool quiet = h2_streams(&c->h2) == 0 && now_ms - c->idle_since >= QUIET_MS;
    h2_calm(&c->h2);
    if (is_stalled(c, now_ms) || (c->state == CONNECTION_PINGED && age >= PONG_MS))
        vanish(c);
    else if (is_stuck(c))
        part(c);
    else if (c->state == CONNECTION_PREFACE && age >= PREFACE_MS)
        part_with(c, H2_SETTINGS_TIMEOUT, "no SETTINGS came");
    else if (c->state == CONNECTION_OPEN && quiet)
        ask_whether_there(c);
}

static bool has_work(const struct rpc_connection *c)
{
    return c->writing > 0 || h2_owes(&c->h2) || holder == c || c->state >= CONNECTION_ENDED;
}

static void step_connections(uint64_t now_ms)
{
    bool due = now_ms - last_tick >= TICK_MS;
    if (due)
        last_tick = now_ms;
    for (uint32_t i = 0; i < rpc_connections.fresh; i++) {
        struct rpc_connection *c = slot(i);
        if (c->state != CONNECTION_FREE && has_work(c))
            settle(c);
        if (c->state != CONNECTION_FREE && due)
            tick(c, now_ms);
    }
}

static uint32_t server_step(uint64_t now_ms)
{
    uint64_t next_call = rpc_calls_scan(now_ms);
    step_connections(now_ms);
    if (rpc_connections.used == 0)
        return SERVICE_IDLE;
    uint64_t next = last_tick + TICK_MS < next_call ? last_tick + TICK_MS : next_call;
    if (holder != NULL && now_ms + HELD_MS < next)
        next = now_ms + HELD_MS;
    return next > now_ms ? (uint32_t)(next - now_ms) : 0;
}

static int listen_on(uint16_t port)
{
    const uint32_t *most = &net_settings.per_address;
    int result = rpc_settings.tls != 0 ? net_listen_tls(port, !open_to_all, NET_ALPN_H2, &handlers, most)
                                       : net_listen(port, !open_to_all, &handlers, most);
    if (result == 0)
        return 0;
    log_line(LOG_ERROR, "rpc", "port %u is taken", port);
    return -1;
}

static void start_services(void)
{
    for (size_t i = 0; i < rpc_service_count; i++)
        if (rpc_services[i]->start != NULL)
            rpc_services[i]->start();
}

static int server_start(void)
{
    if (rpc_settings.listen_any != 0 && rpc_settings.secret[0] == '\0') {
        log_line(LOG_ERROR, "rpc", "rpc.listen=any lets everybody call: set rpc.secret to what callers must show");
        return -1;
    }
    if (rpc_settings.tls != 0 && !net_has_tls()) {
        log_line(LOG_ERROR, "rpc", "this device has no TLS: set rpc.tls to 0");
        return -1;
    }
    open_to_all = rpc_settings.listen_any != 0;
    pool_list(&rpc_connections);
    pool_list(&rpc_tables);
    rpc_calls_start();
    start_services();
    last_tick = port_now_ms();
    return listen_on(RPC_VERIFY_PORT) == 0 && listen_on(RPC_STATUS_PORT) == 0 ? 0 : -1;
}

static void server_stop(void)
{
    for (uint32_t i = 0; i < rpc_connections.fresh; i++) {
        struct rpc_connection *c = slot(i);
        if (c->state == CONNECTION_FREE)
            continue;
        rpc_calls_give_up(c);
        push(c);
        part_with(c, H2_NO_ERROR, "the server is going down");
    }
}

/// For GET /metrics ///

#define REPLIES    "pipit_rpc_replies_total"
#define BY_STATUS  "Answers to calls by their gRPC status."
#define CONNECTED  "Open connections by what they speak."
#define COUNTS(at) &rpc_server_counters.at, NULL
#define STATUS(n)  COUNTS(replies[GRPC_##n])
#define ROW(n)                                                                                                         \
    {                                                                                                                  \
        REPLIES, "status=\"" #n "\"", STATUS(n), HELP(BY_STATUS)                                                       \
    }

static const struct metric metrics[] = {
    // name, labels, value, read, help
    {"pipit_connections", "kind=\"grpc\"", NULL, rpc_server_connections, HELP(CONNECTED)},
    {"pipit_rpc_calls_total", NULL, COUNTS(calls), HELP("Calls of a method that there is.")},
    ROW(OK),
    ROW(CANCELLED),
    ROW(UNKNOWN),
    ROW(INVALID_ARGUMENT),
    ROW(DEADLINE_EXCEEDED),
    ROW(NOT_FOUND),
    ROW(ALREADY_EXISTS),
    ROW(PERMISSION_DENIED),
    ROW(RESOURCE_EXHAUSTED),
    ROW(FAILED_PRECONDITION),
    ROW(ABORTED),
    ROW(OUT_OF_RANGE),
    ROW(UNIMPLEMENTED),
    ROW(INTERNAL),
    ROW(UNAVAILABLE),
    ROW(DATA_LOSS),
    ROW(UNAUTHENTICATED),
    {"pipit_rpc_refused_total", NULL, COUNTS(refused), HELP("Requests that were no gRPC, answered in plain HTTP.")},
    {"pipit_rpc_cancelled_total", NULL, COUNTS(cancelled), HELP("Calls that ended before their answer did.")},
    {"pipit_rpc_no_slot_total", NULL, COUNTS(no_slot), HELP("Calls refused because too many were under way.")},
    {"pipit_rpc_evicted_total", NULL, COUNTS(evicted), HELP("Idle connections closed for a newcomer.")},
    {"pipit_rpc_turned_away_total", NULL, COUNTS(turned_away), HELP("Newcomers without a free connection.")},
};

const struct service rpc_server_service = {
    .name = "rpc",
    .start = server_start,
    .step = server_step,
    .stop = server_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
