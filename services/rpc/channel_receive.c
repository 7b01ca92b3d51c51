#include "../../port/log.h"
#include "../../port/port.h"
#include "channel_private.h"

/// A request's reply ///

// Header fields and trailers alike: a reply without a message has its trailers in the place of the header fields.
static void take_status(struct rpc_request *r, const struct h2_step *step)
{
    r->has_status = !step->too_large;
    r->status = grpc_read_status(step->value);
}

static void take_message(struct rpc_request *r, const struct h2_step *step)
{
    struct text t = text_in(r->said, sizeof r->said);
    grpc_read_message(&t, step->value);
    r->said_length = (uint8_t)t.length;
}

static void take_content_type(struct rpc_request *r, const struct h2_step *step)
{
    r->is_grpc = grpc_is_content_type(step->value);
}

static const struct {
    const char *name;
    void (*take)(struct rpc_request *r, const struct h2_step *step);
} fields[] = {
    {"grpc-status", take_status},
    {"grpc-message", take_message},
    {"content-type", take_content_type},
};

static void on_field(struct rpc_request *r, const struct h2_step *step)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (span_equal(step->name, span_of(fields[i].name)))
            fields[i].take(r, step);
}

// A grpc-status counts, whatever else is odd (grpc's http-grpc-status-mapping). Without one the rest of such a reply is
// not worth waiting for.
static void on_headers_end(struct rpc_request *r, const struct h2_step *step)
{
    if (r->has_status)
        return;
    if (step->status != 200)
        request_fail(r, grpc_status_of_http(step->status), NULL, "HTTP status %u", (unsigned)step->status);
    else if (step->too_large)
        request_fail(r, GRPC_RESOURCE_EXHAUSTED, NULL, "the reply's header fields are too large");
    else if (!r->is_grpc)
        request_fail(r, GRPC_UNKNOWN, NULL, "the reply is not gRPC");
}

// What a client makes of a reply that is not one message (grpc's statuscodes). Of a server each of them is INTERNAL,
// but for the one that is our own limit: UNIMPLEMENTED would sound as if the method were not there.
static void fail_reader(struct rpc_request *r, enum grpc_reader_error error)
{
    enum grpc_status status = error == GRPC_READER_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL;
    request_fail(r, status, NULL, "%s", grpc_reader_explain(error));
}

static void on_content(struct rpc_request *r, struct span data)
{
    while (data.length > 0 && r->reader.state != GRPC_BROKEN) {
        data = span_behind(data, grpc_reader_take(&r->reader, data));
        if (grpc_reader_wants_room(&r->reader)) {
            r->sent = r->length + GRPC_PREFIX; // the rest of the request is not wanted any more
            grpc_reader_room(&r->reader, r->reader.length <= sizeof r->message ? r->message : NULL);
        }
    }
    if (r->reader.state == GRPC_BROKEN)
        fail_reader(r, r->reader.error);
}

static void on_end(struct rpc_request *r)
{
    if (!r->has_status) {
        request_fail(r, GRPC_UNKNOWN, NULL, "the reply ended without grpc-status");
        return;
    }
    r->channel->proven = true;
    enum grpc_reader_error error = r->status == GRPC_OK ? grpc_reader_end(&r->reader) : GRPC_READER_OK;
    if (error != GRPC_READER_OK)
        fail_reader(r, error);
    else
        request_finish(r, r->status, NULL);
}

// A server whose clock runs a little ahead of ours cancels at the deadline too.
static void on_reset(struct rpc_request *r, uint32_t error)
{
    if (error == H2_REFUSED_STREAM)
        request_again(r);
    else if (error == H2_CANCEL && port_now_ms() >= r->deadline)
        request_fail(r, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    else
        request_fail(r, grpc_status_of_h2(error), NULL, "reset by the peer: %s", h2_error_name(error));
}

static void on_stream(struct rpc_request *r, const struct h2_step *step)
{
    switch (step->event) {
    case H2_FIELD:
        on_field(r, step);
        break;
    case H2_HEADERS_END:
        on_headers_end(r, step);
        break;
    case H2_DATA:
        on_content(r, step->data);
        break;
    case H2_END:
        on_end(r);
        break;
    case H2_RESET:
        on_reset(r, step->error);
        break;
    default:
        break;
    }
}

/// The connection ///

// What waits gets another connection, once: a peer that says nothing but GOAWAY is not dialled for ever.
static void on_goaway(struct channel *c, uint32_t error)
{
    log_line(error == H2_NO_ERROR ? LOG_INFO : LOG_WARNING, "rpc", "%s: GOAWAY: %s", c->target, h2_error_name(error));
    struct rpc_request *next;
    for (struct rpc_request *r = c->waiting.first; r != NULL; r = next) {
        next = r->next;
        if (r->again)
            request_fail(r, GRPC_UNAVAILABLE, NULL, "refused by the peer: GOAWAY");
        r->again = true;
    }
    if (c->state != CHANNEL_DRAINING)
        channel_drain(c);
}

static void on_failed(struct channel *c, uint32_t error)
{
    channel_push(c);
    channel_lose(c, c->h2.settings_received ? h2_error_name(error) : "the peer does not speak HTTP/2");
}

static void on_connection(struct channel *c, const struct h2_step *step)
{
    switch (step->event) {
    case H2_GOAWAY:
        on_goaway(c, step->error);
        break;
    case H2_FAILED:
        on_failed(c, step->error);
        break;
    case H2_BLOCKED:
        channel_push(c);
        c->blocked = h2_owes(&c->h2);
        break;
    default:
        break;
    }
}

static void on_step(struct channel *c, const struct h2_step *step)
{
    if (c->state == CHANNEL_CONNECTING && c->h2.settings_received)
        channel_connected(c);
    if (step->stream == NULL)
        on_connection(c, step);
    else if (step->stream->owner != NULL)
        on_stream(step->stream->owner, step);
}

size_t channel_receive(struct channel *c, const uint8_t *bytes, size_t length)
{
    const struct net_conn *net = c->net;
    struct h2_step step;
    size_t used = 0;
    c->heard++;
    c->heard_ms = port_now_ms();
    c->pinging = false;
    do {
        step = h2_receive(&c->h2, bytes + used, length - used);
        used += step.consumed;
        on_step(c, &step);
    } while (c->net == net && !c->blocked && step.event != H2_NEED_MORE);
    return c->net == net ? used : length;
}
