#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "server_private.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define REQUEST_MS  20000 // for a request to be whole, from its first header field on
#define STALL_MS    30000 // without any progress of an answer
#define REFUSAL_MS  5000  // for the whole of an answer to somebody who was not let in
#define DRAIN_MS    5000  // for a client to see that its call is answered and to end its request
#define DRAIN_BYTES 65536 // likewise

// What callers from elsewhere can have at most: none of them has shown the secret when its headers begin, and the gate
// needs calls too.
#define FOREIGN_CALLS (RPC_CALLS / 2)

POOL(rpc_calls, struct rpc_call, RPC_CALLS);
static uint32_t foreign; // of them, from other than the loopback
struct rpc_server_counters rpc_server_counters;

_Static_assert(offsetof(struct rpc_call, state) >= sizeof(void *), "a free slot's link would hide its state");
_Static_assert(RPC_MESSAGE >= GRPC_MESSAGE_MAX, "a status message is kept where a message is");

/// States and their deadlines ///

static void late_headers(struct rpc_call *call);
static void late_request(struct rpc_call *call);
static void late_work(struct rpc_call *call);
static void late_answer(struct rpc_call *call);
static void late_rest(struct rpc_call *call);

// One row for each state:
//
//     name           for the log
//     patience_ms    that it may take, 0 for any time; with `whole_request` counted from the request's first field
//     caller         the caller's deadline counts too
//     writing        an answer is under way
//     late           what happens then
static const struct {
    const char *name;
    uint32_t patience_ms;
    bool whole_request;
    bool caller;
    bool writing;
    void (*late)(struct rpc_call *call);
} rules[] = {
    [CALL_FREE] = {"FREE", 0, false, false, false, NULL},
    [CALL_HEADERS] = {"HEADERS", REQUEST_MS, true, false, false, late_headers},
    [CALL_REQUEST] = {"REQUEST", REQUEST_MS, true, true, false, late_request},
    [CALL_WORKING] = {"WORKING", 0, false, true, false, late_work},
    [CALL_REFUSING] = {"REFUSING", STALL_MS, false, false, true, late_answer},
    [CALL_REPLYING] = {"REPLYING", STALL_MS, false, true, true, late_answer},
    [CALL_SENDING] = {"SENDING", STALL_MS, false, true, true, late_answer},
    [CALL_ENDING] = {"ENDING", STALL_MS, false, true, true, late_answer},
    [CALL_FAILING] = {"FAILING", STALL_MS, false, false, true, late_answer},
    [CALL_DRAINING] = {"DRAINING", DRAIN_MS, false, false, false, late_rest},
};

static uint64_t next_scan = UINT64_MAX; // ms; no deadline is before

static uint64_t deadline_in(const struct rpc_call *call, enum rpc_call_state state)
{
    uint64_t from = rules[state].whole_request ? call->began : port_now_ms();
    uint64_t deadline = rules[state].patience_ms == 0 ? UINT64_MAX : from + rules[state].patience_ms;
    return rules[state].caller && call->caller_deadline < deadline ? call->caller_deadline : deadline;
}

// A refusal has no more time for being taken byte by byte.
static uint64_t refusal_deadline(const struct rpc_call *call)
{
    return rules[call->state].writing ? call->deadline : port_now_ms() + REFUSAL_MS;
}

void rpc_call_change(struct rpc_call *call, enum rpc_call_state next)
{
    if (call->state != next)
        log_line(LOG_DEBUG, "rpc", "call %u: %s -> %s", (unsigned)pool_index(&rpc_calls, call), rules[call->state].name,
                 rules[next].name);
    call->connection->writing += (rules[next].writing ? 1u : 0u) - (rules[call->state].writing ? 1u : 0u);
    call->deadline = rules[next].writing && !call->admitted ? refusal_deadline(call) : deadline_in(call, next);
    call->state = (uint8_t)next;
    if (call->deadline < next_scan)
        next_scan = call->deadline;
}

/// Slots ///

static struct rpc_call *slot(uint32_t index)
{
    return pool_slot(&rpc_calls, index);
}

void rpc_calls_start(void)
{
    pool_list(&rpc_calls);
}

uint32_t rpc_server_calls(void)
{
    return rpc_calls.used;
}

// From here on the service does not know the call any more.
static void tell_end(struct rpc_call *call)
{
    const struct rpc_service *s = call->service;
    bool told = call->told;
    if (told && s->ended != NULL)
        s->ended(call);
    call->told = false;
    call->service = NULL;
}

static void give(struct rpc_call *call)
{
    struct rpc_connection *c = call->connection;
    tell_end(call);
    c->idle_since = port_now_ms();
    c->served = true;
    foreign -= !c->local;
    rpc_call_change(call, CALL_FREE);
    mbedtls_platform_zeroize(call->buffer, sizeof call->buffer); // codes and tokens went through it
    pool_give(&rpc_calls, call);
}

// RFC 9113 section 8.1: NO_ERROR tells a client that goes on sending its request that nobody wants the rest.
static void release(struct rpc_call *call, uint32_t h2_error)
{
    struct h2_connection *h2 = &call->connection->h2;
    struct h2_stream *stream = call->stream;
    stream->owner = NULL;
    give(call);
    h2_release(h2, stream, h2_error);
}

static bool unanswered(const struct rpc_call *call)
{
    return call->state != CALL_FREE && call->state != CALL_DRAINING;
}

void rpc_call_cancel(struct rpc_call *call, uint32_t h2_error)
{
    if (call == NULL)
        return;
    rpc_server_counters.cancelled += unanswered(call);
    release(call, h2_error);
}

void rpc_calls_lose(struct rpc_connection *c)
{
    for (uint32_t i = 0; i < rpc_calls.fresh; i++) {
        struct rpc_call *call = slot(i);
        if (call->state == CALL_FREE || call->connection != c)
            continue;
        rpc_server_counters.cancelled += unanswered(call);
        give(call);
    }
}

/// Answering ///

void rpc_call_fail(struct rpc_call *call, enum grpc_status status, struct span message)
{
    size_t length = message.length < GRPC_MESSAGE_MAX ? message.length : GRPC_MESSAGE_MAX;
    // Not within a character of UTF-8.
    while (length < message.length && length > 0 && ((uint8_t)message.at[length] & 0xC0) == 0x80)
        length--;
    if (length > 0)
        memmove(call->buffer, message.at, length);
    call->status = status;
    call->length = (uint32_t)length;
    rpc_call_change(call, CALL_FAILING);
}

void rpc_call_refuse(struct rpc_call *call, uint32_t http_status, const char *sentence)
{
    call->status = http_status;
    call->prefix = 0;
    call->length = (uint32_t)strlen(sentence);
    memcpy(call->buffer, sentence, call->length);
    rpc_call_change(call, CALL_REFUSING);
}

static void start_reply(struct rpc_call *call, uint32_t length)
{
    call->status = GRPC_OK;
    call->prefix = GRPC_PREFIX;
    call->length = length;
    call->sent = 0;
    rpc_call_change(call, CALL_REPLYING);
    rpc_connection_wake(call->connection);
}

void rpc_reply(struct rpc_call *call, struct span message)
{
    if (call->state != CALL_WORKING)
        return;
    if (message.length > RPC_MESSAGE) {
        rpc_fail(call, GRPC_INTERNAL, span_of("The reply is larger than a message can be."));
        return;
    }
    if (message.length > 0)
        memmove(call->buffer, message.at, message.length);
    call->produce = NULL;
    start_reply(call, (uint32_t)message.length);
}

void rpc_reply_produced(struct rpc_call *call, uint32_t length,
                        void (*produce)(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length))
{
    if (call->state != CALL_WORKING)
        return;
    call->produce = produce;
    start_reply(call, length);
}

void rpc_fail(struct rpc_call *call, enum grpc_status status, struct span message)
{
    if (call->state != CALL_WORKING)
        return;
    rpc_call_fail(call, status, message);
    rpc_connection_wake(call->connection);
}

static void count_answer(const struct rpc_call *call)
{
    if (call->state != CALL_FAILING && call->prefix == 0)
        rpc_server_counters.refused++;
    else
        rpc_server_counters.replies[call->status < GRPC_STATUSES ? call->status : GRPC_UNKNOWN]++;
}

void rpc_call_answered(struct rpc_call *call)
{
    count_answer(call);
    rpc_call_change(call, CALL_DRAINING);
    if (call->whole || call->late || call->unwanted > DRAIN_BYTES)
        release(call, H2_NO_ERROR);
    else
        tell_end(call);
}

/// What the service may ask ///

uint64_t rpc_deadline(const struct rpc_call *call)
{
    return call->caller_deadline;
}

void rpc_set_context(struct rpc_call *call, void *context)
{
    call->context = context;
}

void *rpc_context(const struct rpc_call *call)
{
    return call->context;
}

/// A request coming in ///

static bool is_share_taken(const struct rpc_connection *c)
{
    return !c->local && foreign == FOREIGN_CALLS;
}

static bool is_full_for(const struct rpc_connection *c)
{
    return rpc_calls.used == rpc_calls.size || is_share_taken(c);
}

// Calls that are answered already make room for a new one.
static struct rpc_call *take_slot(const struct rpc_connection *c)
{
    for (uint32_t i = 0; i < rpc_calls.fresh && is_full_for(c); i++)
        if (slot(i)->state == CALL_DRAINING)
            release(slot(i), H2_NO_ERROR);
    struct rpc_call *call = is_share_taken(c) ? NULL : pool_take(&rpc_calls);
    if (call != NULL)
        foreign += !c->local;
    return call;
}

// REFUSED_STREAM tells the caller that nothing was begun: it may try again at once, and will see UNAVAILABLE.
void rpc_call_open(struct rpc_connection *c, struct h2_stream *stream)
{
    struct rpc_call *call = take_slot(c);
    if (call == NULL) {
        rpc_server_counters.no_slot++;
        h2_release(&c->h2, stream, H2_REFUSED_STREAM);
        return;
    }
    call->connection = c;
    call->stream = stream;
    call->began = port_now_ms();
    call->caller_deadline = UINT64_MAX;
    stream->owner = call;
    grpc_reader_begin(&call->reader);
    rpc_call_change(call, CALL_HEADERS);
}

static bool makes_no_sense(const struct rpc_call *call, enum grpc_reader_error error)
{
    return error == GRPC_READER_COMPRESSED && !call->encoded;
}

// gRPC's compression.md: a flag without an encoding is INTERNAL; an encoding that is not understood is UNIMPLEMENTED,
// and the answer tells those that are.
static void fail_reading(struct rpc_call *call, enum grpc_reader_error error)
{
    call->names_encodings = error == GRPC_READER_COMPRESSED;
    if (makes_no_sense(call, error))
        rpc_call_fail(call, GRPC_INTERNAL, span_of("The compressed flag is set, and no grpc-encoding is."));
    else
        rpc_call_fail(call, grpc_reader_status(error), span_of(grpc_reader_explain(error)));
}

static uint8_t *find_room(struct rpc_call *call)
{
    uint32_t length = call->reader.length;
    if (call->service->room != NULL)
        return call->service->room(call, length);
    return length <= sizeof call->buffer ? call->buffer : NULL;
}

static void read_message(struct rpc_call *call, struct span data)
{
    while (data.length > 0) {
        data = span_behind(data, grpc_reader_take(&call->reader, data));
        if (grpc_reader_wants_room(&call->reader))
            grpc_reader_room(&call->reader, find_room(call));
    }
    if (call->reader.state == GRPC_BROKEN)
        fail_reading(call, (enum grpc_reader_error)call->reader.error);
}

static void skip(struct rpc_call *call, struct span data)
{
    call->unwanted += (uint32_t)data.length;
    if (call->state == CALL_DRAINING && call->unwanted > DRAIN_BYTES)
        release(call, H2_NO_ERROR);
}

void rpc_call_data(struct rpc_call *call, struct span data)
{
    if (call == NULL)
        return;
    if (call->state == CALL_REQUEST)
        read_message(call, data);
    else
        skip(call, data);
}

static void begin(struct rpc_call *call)
{
    struct span request = {(const char *)call->reader.message, call->reader.length};
    if (request.at == NULL)
        request = span_of("");
    rpc_call_change(call, CALL_WORKING);
    if (port_now_ms() >= call->caller_deadline)
        late_work(call);
    else
        call->method->begin(call, request);
}

void rpc_call_whole(struct rpc_call *call)
{
    if (call == NULL)
        return;
    call->whole = true;
    if (call->state == CALL_DRAINING) {
        release(call, H2_NO_ERROR);
        return;
    }
    if (call->state != CALL_REQUEST)
        return;
    enum grpc_reader_error error = grpc_reader_end(&call->reader);
    if (error == GRPC_READER_OK)
        begin(call);
    else
        fail_reading(call, error);
}

/// Deadlines ///

// Nothing else can come on the connection before the block has ended.
static void late_headers(struct rpc_call *call)
{
    rpc_connection_break(call->connection, H2_PROTOCOL_ERROR, "the header block did not end");
    rpc_connection_wake(call->connection);
}

static void late(struct rpc_call *call, const char *sentence)
{
    tell_end(call);
    rpc_call_fail(call, GRPC_DEADLINE_EXCEEDED, span_of(sentence));
    rpc_connection_wake(call->connection);
}

static void late_request(struct rpc_call *call)
{
    bool caller = port_now_ms() >= call->caller_deadline;
    call->late = true;
    late(call, caller ? "The deadline has passed before the request was whole." : "The request took too long to come.");
}

static void late_work(struct rpc_call *call)
{
    late(call, "The deadline has passed.");
}

// PROTOCOL-HTTP2, "Client Cancellation".
static void late_answer(struct rpc_call *call)
{
    struct rpc_connection *c = call->connection;
    rpc_call_cancel(call, H2_CANCEL);
    rpc_connection_wake(c);
}

static void late_rest(struct rpc_call *call)
{
    struct rpc_connection *c = call->connection;
    release(call, H2_NO_ERROR);
    rpc_connection_wake(c);
}

uint64_t rpc_calls_scan(uint64_t now_ms)
{
    if (now_ms < next_scan)
        return next_scan;
    next_scan = UINT64_MAX;
    for (uint32_t i = 0; i < rpc_calls.fresh; i++) {
        struct rpc_call *call = slot(i);
        if (call->state != CALL_FREE && now_ms >= call->deadline)
            rules[call->state].late(call);
        else if (call->state != CALL_FREE && call->deadline < next_scan)
            next_scan = call->deadline;
    }
    return next_scan;
}

void rpc_calls_give_up(struct rpc_connection *c)
{
    for (uint32_t i = 0; i < rpc_calls.fresh; i++) {
        struct rpc_call *call = slot(i);
        if (call->state == CALL_FREE || call->connection != c || rules[call->state].writing)
            continue;
        if (call->state == CALL_DRAINING)
            continue;
        tell_end(call);
        rpc_call_fail(call, GRPC_UNAVAILABLE, span_of("The server is going down."));
    }
}
