#include "channel.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "channel_private.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

POOL(rpc_client_calls, struct rpc_request, RPC_REQUESTS);
static struct channel channels[RPC_CHANNELS];
static struct h2_stream channel_streams[RPC_CHANNELS * RPC_REQUESTS];
static struct request_list finished;
static uint64_t next_deadline = UINT64_MAX; // no request runs out of time before, ms
static uint64_t next_calm;                  // ms
static uint32_t uses;
struct channel_counters channel_counters;

_Static_assert(offsetof(struct rpc_request, state) >= sizeof(void *), "a free slot's link would hide that it is free");

/// Lists ///

void request_append(struct request_list *list, struct rpc_request *r)
{
    r->next = NULL;
    if (list->first == NULL)
        list->first = r;
    else
        list->last->next = r;
    list->last = r;
}

void request_remove(struct request_list *list, struct rpc_request *r)
{
    struct rpc_request *before = NULL;
    for (struct rpc_request *at = list->first; at != r; at = at->next)
        before = at;
    if (before == NULL)
        list->first = r->next;
    else
        before->next = r->next;
    if (list->last == r)
        list->last = before;
}

/// States of a request ///

static struct request_list *list_of(struct rpc_request *r)
{
    switch (r->state) {
    case REQUEST_WAITING:
        return &r->channel->waiting;
    case REQUEST_OPENED:
    case REQUEST_SENDING:
        return &r->channel->sending;
    case REQUEST_FINISHED:
        return &finished;
    default:
        return NULL;
    }
}

void request_change(struct rpc_request *r, enum request_state next)
{
    struct request_list *from = list_of(r);
    r->state = (uint8_t)next;
    struct request_list *to = list_of(r);
    if (from == to)
        return;
    if (from != NULL)
        request_remove(from, r);
    if (to != NULL)
        request_append(to, r);
}

void request_leave(struct rpc_request *r, uint32_t error)
{
    if (r->stream == NULL)
        return;
    h2_release(&r->channel->h2, r->stream, error);
    r->stream = NULL;
    r->channel->active--;
}

static void say(struct rpc_request *r, const char *format, va_list arguments)
{
    struct text t = text_in(r->said, sizeof r->said);
    text_vformat(&t, format, arguments);
    r->said_length = (uint8_t)t.length;
}

void request_finish(struct rpc_request *r, uint32_t status, const char *step)
{
    uint32_t last = COUNT(channel_counters.failed) - 1;
    if (status != GRPC_OK)
        channel_counters.failed[status < last ? status : last]++;
    // The answer may come before all of the request was sent (PROTOCOL-HTTP2, "Early Server Closure").
    bool answered = r->stream != NULL && r->stream->state == H2_HALF_CLOSED_REMOTE;
    request_leave(r, answered ? H2_NO_ERROR : H2_CANCEL);
    r->status = status;
    r->step = step;
    request_change(r, REQUEST_FINISHED);
    r->channel = NULL;
}

void request_fail(struct rpc_request *r, uint32_t status, const char *step, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(r, format, arguments);
    va_end(arguments);
    request_finish(r, status, step);
}

void request_again(struct rpc_request *r)
{
    if (r->again || r->reader.message != NULL) { // the request is overwritten by the reply's message
        request_fail(r, GRPC_UNAVAILABLE, NULL, "refused by the peer: REFUSED_STREAM");
        return;
    }
    channel_counters.again++;
    r->again = true;
    r->sent = 0;
    r->has_status = r->is_grpc = false;
    request_leave(r, H2_CANCEL);
    grpc_reader_begin(&r->reader);
    request_change(r, REQUEST_WAITING);
}

static void give(struct rpc_request *r)
{
    mbedtls_platform_zeroize(r, sizeof *r);
    pool_give(&rpc_client_calls, r);
}

/// Channels ///

static bool has_calls(const struct channel *c)
{
    return c->waiting.first != NULL || c->active > 0;
}

static bool is_for(const struct channel *c, struct span target)
{
    return span_equal(span_of(c->target), target);
}

static struct channel *find(struct span target, bool draining)
{
    for (size_t i = 0; i < RPC_CHANNELS; i++)
        if (is_for(&channels[i], target) && (channels[i].state == CHANNEL_DRAINING) == draining)
            return &channels[i];
    return NULL;
}

struct channel *channel_find(struct span target)
{
    return find(target, false);
}

// A free slot, else the one that nobody has asked for for longest.
static struct channel *vacant(void)
{
    struct channel *best = NULL;
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        struct channel *c = &channels[i];
        if (c->target[0] == '\0')
            return c;
        if (!has_calls(c) && (best == NULL || (int32_t)(c->used - best->used) < 0))
            best = c;
    }
    return best;
}

static struct channel *occupy(struct channel *c, struct span target)
{
    if (c == NULL)
        return NULL;
    if (c->net != NULL)
        channel_close(c);
    memset(c, 0, sizeof *c);
    c->streams = &channel_streams[(c - channels) * RPC_REQUESTS];
    memcpy(c->target, target.at, target.length);
    return c;
}

// One that drains is the last resort: its calls wait until it has ended.
struct channel *channel_for(struct span target)
{
    struct channel *c = channel_find(target);
    if (c == NULL)
        c = occupy(vacant(), target);
    if (c == NULL)
        c = find(target, true);
    if (c != NULL)
        c->used = ++uses;
    return c;
}

uint32_t channel_number(const struct channel *c)
{
    return (uint32_t)(c - channels);
}

uint32_t rpc_channels(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < RPC_CHANNELS; i++)
        count += channels[i].state == CHANNEL_READY || channels[i].state == CHANNEL_DRAINING;
    return count;
}

const char *rpc_check_target(struct span target)
{
    struct span host;
    uint16_t port;
    return channel_split(target, &host, &port) ? NULL : "be HOST:PORT, like 127.0.0.1:50051";
}

/// Calls ///

struct rpc_request *rpc_call(const char *target, const char *path, struct span message, uint32_t deadline_ms,
                             rpc_done *done, void *context)
{
    bool good = rpc_check_target(span_of(target)) == NULL && message.length <= RPC_MESSAGE &&
                strlen(path) <= CHANNEL_PATH && rpc_client_calls.used < rpc_client_calls.size;
    struct channel *c = good ? channel_for(span_of(target)) : NULL;
    if (c == NULL) {
        channel_counters.refused++;
        return NULL;
    }
    struct rpc_request *r = pool_take(&rpc_client_calls);
    r->channel = c;
    r->path = path;
    r->done = done;
    r->context = context;
    r->deadline = port_now_ms() + deadline_ms;
    r->length = (uint32_t)message.length;
    if (message.length > 0)
        memcpy(r->message, message.at, message.length);
    grpc_reader_begin(&r->reader);
    request_change(r, REQUEST_WAITING);
    if (r->deadline < next_deadline)
        next_deadline = r->deadline;
    channel_counters.calls++;
    return r;
}

void rpc_cancel(struct rpc_request *r)
{
    if (r->state == REQUEST_FREE)
        return;
    request_leave(r, H2_CANCEL);
    request_change(r, REQUEST_FREE);
    give(r);
}

uint32_t rpc_requests(void)
{
    return rpc_client_calls.used;
}

/// Answers ///

// The slot is free before `done` runs, so the caller may make its next call from there; what the answer holds is copied
// out of it, because that call may take this very slot.
static void tell(struct rpc_request *r)
{
    uint8_t reply[RPC_MESSAGE];
    char said[GRPC_MESSAGE_MAX];
    struct rpc_outcome outcome = {.status = r->status, .step = r->step};
    if (r->status == GRPC_OK)
        outcome.reply = (struct span){(const char *)reply, r->reader.length};
    outcome.message = (struct span){said, r->said_length};
    memcpy(reply, r->message, outcome.reply.length);
    memcpy(said, r->said, r->said_length);
    rpc_done *done = r->done;
    void *context = r->context;
    request_change(r, REQUEST_FREE);
    give(r);
    done(context, &outcome);
    mbedtls_platform_zeroize(reply, sizeof reply);
    mbedtls_platform_zeroize(said, sizeof said);
}

static void tell_all(void)
{
    while (finished.first != NULL)
        tell(finished.first);
}

/// Deadlines ///

static void expire(struct rpc_request *r)
{
    struct channel *c = r->channel;
    bool unheard = r->sent > 0 && r->heard == c->heard;
    request_fail(r, GRPC_DEADLINE_EXCEEDED, "timeout", r->sent > 0 ? "timeout: no answer" : "timeout: not sent");
    if (unheard)
        channel_suspect(c);
}

static void expire_all(uint64_t now_ms)
{
    if (now_ms < next_deadline)
        return;
    next_deadline = UINT64_MAX;
    for (uint32_t i = 0; i < rpc_client_calls.fresh; i++) {
        struct rpc_request *r = pool_slot(&rpc_client_calls, i);
        if (r->state == REQUEST_FREE || r->state == REQUEST_FINISHED)
            continue;
        if (now_ms >= r->deadline)
            expire(r);
        else if (r->deadline < next_deadline)
            next_deadline = r->deadline;
    }
}

/// The turn ///

static void calm_all(uint64_t now_ms)
{
    if (now_ms < next_calm)
        return;
    next_calm = now_ms + 1000;
    for (size_t i = 0; i < RPC_CHANNELS; i++)
        if (channels[i].net != NULL)
            h2_calm(&channels[i].h2);
}

static uint32_t until(uint64_t moment, uint64_t now_ms)
{
    if (moment <= now_ms)
        return 0;
    return moment - now_ms < SERVICE_IDLE ? (uint32_t)(moment - now_ms) : SERVICE_IDLE;
}

static uint64_t wake(uint64_t now_ms)
{
    uint64_t soonest = next_deadline;
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        uint64_t moment = channel_wake(&channels[i], now_ms);
        if (moment < soonest)
            soonest = moment;
    }
    return soonest;
}

// Answers come first: what fails from here on, and what is called in an answer, is told in a later turn.
static uint32_t channel_step(uint64_t now_ms)
{
    tell_all();
    calm_all(now_ms);
    expire_all(now_ms);
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        channel_watch(&channels[i], now_ms);
        channel_go(&channels[i]);
    }
    return finished.first != NULL ? 0 : until(wake(now_ms), now_ms);
}

static int channel_start(void)
{
    pool_list(&rpc_client_calls);
    return 0;
}

// Nobody is called any more: the machine stops.
static void channel_stop(void)
{
    for (uint32_t i = 0; i < rpc_client_calls.fresh; i++)
        rpc_cancel(pool_slot(&rpc_client_calls, i));
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        if (channels[i].net != NULL)
            channel_close(&channels[i]);
        channels[i].target[0] = '\0';
    }
}

static uint32_t failed_otherwise(void)
{
    uint32_t count = 0;
    for (size_t i = 1; i < COUNT(channel_counters.failed); i++)
        count += channel_counters.failed[i];
    return count - channel_counters.failed[GRPC_DEADLINE_EXCEEDED] - channel_counters.failed[GRPC_UNIMPLEMENTED] -
           channel_counters.failed[GRPC_INTERNAL] - channel_counters.failed[GRPC_UNAVAILABLE] -
           channel_counters.failed[GRPC_UNAUTHENTICATED];
}

#define FAILED      "pipit_rpc_client_failed_total"
#define FAILED_HELP "Calls of ours that failed, by gRPC status."
#define COUNTS(at)  &channel_counters.at, NULL

static const struct metric metrics[] = {
    // name, labels, value, read, help
    {"pipit_rpc_client_calls_total", NULL, COUNTS(calls), HELP("Calls of ours to gRPC services.")},
    {FAILED, "status=\"DEADLINE_EXCEEDED\"", COUNTS(failed[GRPC_DEADLINE_EXCEEDED]), HELP(FAILED_HELP)},
    {FAILED, "status=\"UNIMPLEMENTED\"", COUNTS(failed[GRPC_UNIMPLEMENTED]), HELP(FAILED_HELP)},
    {FAILED, "status=\"INTERNAL\"", COUNTS(failed[GRPC_INTERNAL]), HELP(FAILED_HELP)},
    {FAILED, "status=\"UNAVAILABLE\"", COUNTS(failed[GRPC_UNAVAILABLE]), HELP(FAILED_HELP)},
    {FAILED, "status=\"UNAUTHENTICATED\"", COUNTS(failed[GRPC_UNAUTHENTICATED]), HELP(FAILED_HELP)},
    {FAILED, "status=\"other\"", NULL, failed_otherwise, HELP(FAILED_HELP)},
    {"pipit_rpc_client_refused_total", NULL, COUNTS(refused), HELP("Calls not made because no slot was free.")},
    {"pipit_rpc_client_repeated_total", NULL, COUNTS(again),
     HELP("Calls that a peer refused and that were made once more.")},
    {"pipit_rpc_client_dials_total", NULL, COUNTS(dials), HELP("Connections dialled for calls.")},
    {"pipit_rpc_client_reconnects_total", NULL, COUNTS(reconnects),
     HELP("Those of them to a peer that was connected before.")},
    {"pipit_rpc_client_channels", NULL, NULL, rpc_channels, HELP("Channels that are connected.")},
    {"pipit_rpc_client_requests", NULL, NULL, rpc_requests, HELP("Calls of ours under way.")},
};

const struct service rpc_channel_service = {
    .name = "rpc channel",
    .start = channel_start,
    .step = channel_step,
    .stop = channel_stop,
    .metrics = metrics,
    .metric_count = COUNT(metrics),
};
