// Answers as frames: written straight into the buffer that goes to the connection, as its room and the windows of
// HTTP/2 allow.
#include "../../port/port.h"
#include "../../port/text.h"
#include "server_private.h"
#include <string.h>

#define LEAST_DATA 64 // bytes of room in a buffer that is not empty: with less the rest waits for an empty one

/// Header fields ///

static void put(struct hpack_block *block, const char *name, const char *value)
{
    hpack_put(block, span_of(name), span_of(value), HPACK_WITHOUT_INDEXING);
}

static void put_number(struct hpack_block *block, const char *name, uint32_t value)
{
    char digits[10];
    struct text t = text_in(digits, sizeof digits);
    text_format(&t, "%u", value);
    hpack_put(block, span_of(name), text_whole(&t), HPACK_WITHOUT_INDEXING);
}

static void put_service_metadata(const struct rpc_call *call, struct hpack_block *block, bool trailers)
{
    if (call->told && call->service->put_metadata != NULL)
        call->service->put_metadata(call, block, trailers);
}

static void put_reply_headers(const struct rpc_call *call, struct hpack_block *block)
{
    put(block, ":status", "200");
    put(block, "content-type", "application/grpc");
    put(block, "grpc-accept-encoding", "identity");
    put_service_metadata(call, block, false);
}

static void put_reply_trailers(const struct rpc_call *call, struct hpack_block *block)
{
    put(block, "grpc-status", "0");
    put_service_metadata(call, block, true);
}

static void put_status(const struct rpc_call *call, struct hpack_block *block)
{
    char message[3 * GRPC_MESSAGE_MAX];
    struct text t = text_in(message, sizeof message);
    grpc_put_message(&t, (struct span){(const char *)call->buffer, call->length});
    put(block, ":status", "200");
    put(block, "content-type", "application/grpc");
    if (call->names_encodings)
        put(block, "grpc-accept-encoding", "identity");
    put_number(block, "grpc-status", call->status);
    if (t.length > 0)
        hpack_put(block, span_of("grpc-message"), text_whole(&t), HPACK_WITHOUT_INDEXING);
    put_service_metadata(call, block, true);
}

static void put_refusal(const struct rpc_call *call, struct hpack_block *block)
{
    put_number(block, ":status", call->status);
    put(block, "content-type", "text/plain; charset=utf-8");
    put_number(block, "content-length", call->length);
    if (call->status == 405)
        put(block, "allow", "POST");
}

/// Frames ///

// A block that fits no buffer at all, because of a service's metadata, never will.
static enum rpc_written write_block(struct rpc_call *call, struct h2_out *out, size_t most,
                                    void (*put_fields)(const struct rpc_call *call, struct hpack_block *block),
                                    bool end_stream)
{
    struct h2_connection *h2 = &call->connection->h2;
    struct hpack_block block = h2_headers_begin(h2, out);
    put_fields(call, &block);
    if (h2_headers_end(h2, out, call->stream, &block, end_stream))
        return RPC_WRITTEN;
    if (out->length > 0 || out->size < most)
        return RPC_NO_ROOM;
    rpc_call_cancel(call, H2_INTERNAL_ERROR);
    return RPC_OVER;
}

static enum rpc_written write_refusal(struct rpc_call *call, struct h2_out *out, size_t most)
{
    bool head_only = call->http_method == RPC_HEAD;
    enum rpc_written written = write_block(call, out, most, put_refusal, head_only);
    if (written == RPC_WRITTEN && head_only)
        rpc_call_answered(call);
    else if (written == RPC_WRITTEN)
        rpc_call_change(call, CALL_SENDING);
    return written;
}

static enum rpc_written write_headers(struct rpc_call *call, struct h2_out *out, size_t most)
{
    enum rpc_written written = write_block(call, out, most, put_reply_headers, false);
    if (written == RPC_WRITTEN)
        rpc_call_change(call, CALL_SENDING);
    return written;
}

static enum rpc_written write_trailers(struct rpc_call *call, struct h2_out *out, size_t most)
{
    enum rpc_written written = write_block(call, out, most, put_reply_trailers, true);
    if (written == RPC_WRITTEN)
        rpc_call_answered(call);
    return written;
}

static enum rpc_written write_status(struct rpc_call *call, struct h2_out *out, size_t most)
{
    enum rpc_written written = write_block(call, out, most, put_status, true);
    if (written == RPC_WRITTEN)
        rpc_call_answered(call);
    return written;
}

// The next bytes of prefix and content.
static void copy_content(struct rpc_call *call, uint8_t *at, size_t length)
{
    uint8_t prefix[GRPC_PREFIX];
    grpc_put_prefix(prefix, call->length);
    for (; length > 0 && call->sent < call->prefix; length--)
        *at++ = prefix[call->sent++];
    if (length == 0)
        return;
    uint32_t from = call->sent - call->prefix;
    if (call->produce != NULL)
        call->produce(call, from, at, length);
    else
        memcpy(at, call->buffer + from, length);
    call->sent += (uint32_t)length;
}

static bool nearly_full(const struct h2_out *out, size_t left)
{
    size_t room = out->size - out->length;
    return out->length > 0 && room < LEAST_DATA + H2_FRAME_HEADER && room < left + H2_FRAME_HEADER;
}

static enum rpc_written write_data(struct rpc_call *call, struct h2_out *out, size_t most)
{
    struct h2_connection *h2 = &call->connection->h2;
    size_t left = (size_t)call->prefix + call->length - call->sent;
    size_t room = h2_data_room(h2, out, call->stream);
    (void)most;
    if (nearly_full(out, left))
        return RPC_NO_ROOM;
    if (room == 0)
        return RPC_STUCK;
    size_t n = left < room ? left : room;
    bool end_stream = n == left && call->prefix == 0;
    copy_content(call, h2_data_at(out), n);
    if (!h2_data(h2, out, call->stream, n, end_stream)) {
        rpc_call_cancel(call, H2_INTERNAL_ERROR);
        return RPC_OVER;
    }
    if (end_stream)
        rpc_call_answered(call);
    else
        rpc_call_change(call, n == left ? CALL_ENDING : CALL_SENDING);
    return RPC_WRITTEN;
}

enum rpc_written rpc_call_write(struct rpc_call *call, struct h2_out *out, size_t most)
{
    switch (call->state) {
    case CALL_REFUSING:
        return write_refusal(call, out, most);
    case CALL_REPLYING:
        return write_headers(call, out, most);
    case CALL_SENDING:
        return write_data(call, out, most);
    case CALL_ENDING:
        return write_trailers(call, out, most);
    case CALL_FAILING:
        return write_status(call, out, most);
    default:
        return RPC_OVER;
    }
}
