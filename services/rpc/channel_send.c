#include "../../port/port.h"
#include "channel_private.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define USER_AGENT "grpc-c-pipit/0.1"
#define BEARER     "Bearer "

// Every name and value with the two lengths in front, none of them compressed, and a frame header. So the HEADERS of a
// request always fit when nothing else is in the way.
#define HEADERS_MOST (H2_FRAME_HEADER + 9 * 6 + 160 + CHANNEL_PATH + RPC_TARGET_MAX + RPC_SECRET_MAX)
_Static_assert(CHANNEL_OUT >= HEADERS_MOST, "the headers of a request do not fit");
_Static_assert(CHANNEL_OUT >= H2_WRITE_LEAST, "what HTTP/2 owes its peer does not fit");
_Static_assert(CHANNEL_OUT <= 1024, "NET_SEND_MAX may be smaller");

/// Fields ///

static void put(struct hpack_block *block, const char *name, struct span value)
{
    hpack_put(block, span_of(name), value, HPACK_WITHOUT_INDEXING);
}

static void put_timeout(struct hpack_block *block, const struct rpc_request *r)
{
    char buffer[16];
    struct text t = text_in(buffer, sizeof buffer);
    uint64_t now_ms = port_now_ms();
    uint64_t left = r->deadline > now_ms ? r->deadline - now_ms : 1;
    grpc_put_timeout(&t, left < GRPC_TIMEOUT_MAX ? (uint32_t)left : GRPC_TIMEOUT_MAX);
    put(block, "grpc-timeout", text_whole(&t));
}

static void put_secret(struct hpack_block *block)
{
    char buffer[sizeof BEARER + RPC_SECRET_MAX];
    struct text t = text_in(buffer, sizeof buffer);
    text_string(&t, BEARER);
    text_string(&t, rpc_settings.secret);
    hpack_put(block, span_of("authorization"), text_whole(&t), HPACK_NEVER_INDEXED);
    mbedtls_platform_zeroize(buffer, sizeof buffer);
}

// In the order that gRPC's PROTOCOL-HTTP2 asks for.
static void put_fields(struct hpack_block *block, const struct rpc_request *r)
{
    put(block, ":method", span_of("POST"));
    put(block, ":scheme", span_of("http"));
    put(block, ":path", span_of(r->path));
    put(block, ":authority", span_of(r->channel->target));
    put_timeout(block, r);
    put(block, "te", span_of("trailers"));
    put(block, "content-type", span_of("application/grpc"));
    put(block, "user-agent", span_of(USER_AGENT));
    if (rpc_settings.secret[0] != '\0')
        put_secret(block);
}

/// Frames ///

// True when nothing is left in the buffer.
static bool flush(struct channel *c)
{
    if (c->out.length == 0)
        return true;
    if (net_send(c->net, c->out.at, c->out.length) != NET_OK)
        return false;
    mbedtls_platform_zeroize(c->out.at, c->out.length);
    c->out.length = 0;
    return true;
}

static bool write_owed(struct channel *c)
{
    while (!h2_write(&c->h2, &c->out))
        if (!flush(c))
            return false;
    return true;
}

static bool try_headers(struct channel *c, const struct rpc_request *r)
{
    struct hpack_block block = h2_headers_begin(&c->h2, &c->out);
    put_fields(&block, r);
    return h2_headers_end(&c->h2, &c->out, r->stream, &block, false);
}

static bool write_headers(struct channel *c, const struct rpc_request *r)
{
    return try_headers(c, r) || (c->out.length > 0 && flush(c) && try_headers(c, r));
}

// Bytes `from` on of the prefix and the message behind it.
static void copy_piece(const struct rpc_request *r, uint32_t from, uint8_t *at, size_t length)
{
    uint8_t prefix[GRPC_PREFIX];
    grpc_put_prefix(prefix, r->length);
    for (; length > 0 && from < GRPC_PREFIX; length--)
        *at++ = prefix[from++];
    memcpy(at, r->message + (from - GRPC_PREFIX), length);
}

static size_t data_room(struct channel *c, const struct rpc_request *r)
{
    size_t room = h2_data_room(&c->h2, &c->out, r->stream);
    return room == 0 && c->out.length > 0 && flush(c) ? h2_data_room(&c->h2, &c->out, r->stream) : room;
}

static bool write_message(struct channel *c, struct rpc_request *r)
{
    uint32_t whole = r->length + GRPC_PREFIX;
    while (r->sent < whole) {
        size_t room = data_room(c, r);
        if (room == 0)
            return false;
        size_t length = whole - r->sent < room ? whole - r->sent : room;
        copy_piece(r, r->sent, h2_data_at(&c->out), length);
        r->sent += (uint32_t)length;
        h2_data(&c->h2, &c->out, r->stream, length, r->sent == whole);
    }
    return true;
}

/// Requests ///

static void send_on(struct channel *c, struct rpc_request *r)
{
    if (r->state == REQUEST_OPENED && write_headers(c, r)) {
        r->heard = c->heard;
        request_change(r, REQUEST_SENDING);
    }
    if (r->state == REQUEST_SENDING && write_message(c, r))
        request_change(r, REQUEST_SENT);
}

static void open_stream(struct channel *c, struct rpc_request *r, struct h2_stream *stream)
{
    stream->owner = r;
    r->stream = stream;
    c->active++;
    request_change(r, REQUEST_OPENED);
    send_on(c, r);
}

// HTTP/2 itself opens none after GOAWAY, but a peer that is merely suspected to be dead has said none.
static void open_streams(struct channel *c)
{
    while (c->state != CHANNEL_DRAINING && c->waiting.first != NULL) {
        struct h2_stream *stream = h2_open(&c->h2);
        if (stream == NULL)
            return;
        open_stream(c, c->waiting.first, stream);
    }
}

void channel_push(struct channel *c)
{
    struct rpc_request *next;
    if (!write_owed(c))
        return;
    for (struct rpc_request *r = c->sending.first; r != NULL; r = next) {
        next = r->next;
        send_on(c, r);
    }
    open_streams(c);
    flush(c);
    if (c->blocked && !h2_owes(&c->h2)) {
        c->blocked = false;
        net_resume(c->net);
    }
}
