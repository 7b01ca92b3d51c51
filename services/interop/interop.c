#include "interop.h"
#include "../../app/limits.h"
#include "../../port/pool.h"
#include "../rpc/server.h"
#include <pb_decode.h>
#include <services/interop/testing.pb.h>
#include <string.h>

#define PAYLOAD_MAX  (1u << 20)                 // bytes, both ways
#define REQUEST_MAX  (PAYLOAD_MAX + (1u << 16)) // bytes of a message: the payload and what stands around it
#define REQUESTS     4                          // of the large ones at once
#define METADATA_MAX 512                        // bytes of a field to echo
#define FRONT_MAX    16                         // bytes of a reply in front of its payload

struct interop_request {
    uint8_t bytes[REQUEST_MAX];
};

struct echoed {
    char bytes[METADATA_MAX];
    uint16_t length; // 0: there is none
};

// What a call needs beside the server's own slot. A call that only asks for nothing has none.
struct interop_call {
    struct interop_request *request; // NULL while `small` is enough
    uint8_t small[RPC_MESSAGE];
    struct echoed initial;
    struct echoed trailing;
    uint8_t front[FRONT_MAX]; // of the reply; zeros follow
    uint32_t front_length;
};

POOL(interop_requests, struct interop_request, REQUESTS);
POOL(interop_calls, struct interop_call, RPC_CALLS);
struct interop_settings interop_settings;

// NULL when all are taken, which there are as many of as of calls.
static struct interop_call *context_of(struct rpc_call *call)
{
    if (rpc_context(call) == NULL)
        rpc_set_context(call, pool_take(&interop_calls));
    return rpc_context(call);
}

// So that /metrics shows them before their first use.
static void start(void)
{
    pool_list(&interop_requests);
    pool_list(&interop_calls);
}

/// Metadata ///

static const char initial_name[] = "x-grpc-test-echo-initial";
static const char trailing_name[] = "x-grpc-test-echo-trailing-bin";

static void keep(struct echoed *e, struct span value)
{
    if (value.length > sizeof e->bytes)
        return;
    memcpy(e->bytes, value.at, value.length);
    e->length = (uint16_t)value.length;
}

static void take_metadata(struct rpc_call *call, struct span name, struct span value)
{
    bool initial = span_equal(name, span_of(initial_name));
    if (!initial && !span_equal(name, span_of(trailing_name)))
        return;
    struct interop_call *i = context_of(call);
    if (i != NULL)
        keep(initial ? &i->initial : &i->trailing, value);
}

static void put_metadata(const struct rpc_call *call, struct hpack_block *block, bool trailers)
{
    const struct interop_call *i = rpc_context(call);
    if (i == NULL)
        return;
    const struct echoed *e = trailers ? &i->trailing : &i->initial;
    if (e->length > 0)
        hpack_put(block, span_of(trailers ? trailing_name : initial_name), (struct span){e->bytes, e->length},
                  HPACK_WITHOUT_INDEXING);
}

/// Requests ///

static uint8_t *find_room(struct rpc_call *call, uint32_t length)
{
    struct interop_call *i = context_of(call);
    if (i == NULL || length > REQUEST_MAX)
        return NULL;
    if (length <= sizeof i->small)
        return i->small;
    i->request = pool_take(&interop_requests);
    return i->request == NULL ? NULL : i->request->bytes;
}

static void give_back(struct rpc_call *call)
{
    struct interop_call *i = rpc_context(call);
    if (i == NULL)
        return;
    if (i->request != NULL)
        pool_give(&interop_requests, i->request);
    pool_give(&interop_calls, i);
}

/// Replies ///

static uint32_t put_number(uint8_t *at, uint32_t number)
{
    uint32_t n = 0;
    for (; number >= 0x80; number >>= 7)
        at[n++] = (uint8_t)(number | 0x80);
    at[n++] = (uint8_t)number;
    return n;
}

static uint32_t put_tag(uint8_t *at, uint32_t field)
{
    return put_number(at, field << 3 | PB_WT_STRING);
}

// SimpleResponse{payload{body}} without the body's bytes.
static void put_front(struct interop_call *i, uint32_t size)
{
    uint8_t body[FRONT_MAX / 2];
    uint32_t n = put_tag(body, grpc_testing_Payload_body_tag);
    n += put_number(body + n, size);
    i->front_length = put_tag(i->front, grpc_testing_SimpleResponse_payload_tag);
    i->front_length += put_number(i->front + i->front_length, n + size);
    memcpy(i->front + i->front_length, body, n);
    i->front_length += n;
}

static void produce(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length)
{
    const struct interop_call *i = rpc_context(call);
    size_t front = from < i->front_length ? i->front_length - from : 0;
    if (front > length)
        front = length;
    memcpy(at, i->front + from, front);
    memset(at + front, 0, length - front);
}

static void reply_payload(struct rpc_call *call, uint32_t size)
{
    struct interop_call *i = context_of(call);
    if (i == NULL) {
        rpc_fail(call, GRPC_RESOURCE_EXHAUSTED, span_of("Too many calls are under way."));
        return;
    }
    put_front(i, size);
    rpc_reply_produced(call, i->front_length + size, produce);
}

static void empty_call(struct rpc_call *call, struct span request)
{
    (void)request;
    rpc_reply(call, span_of(""));
}

static void unary_call(struct rpc_call *call, struct span request)
{
    grpc_testing_SimpleRequest wanted = grpc_testing_SimpleRequest_init_zero;
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)request.at, request.length);
    if (!pb_decode(&in, grpc_testing_SimpleRequest_fields, &wanted))
        rpc_fail(call, GRPC_INTERNAL, span_of("This is no SimpleRequest."));
    else if (wanted.expect_compressed.value)
        rpc_fail(call, GRPC_INVALID_ARGUMENT, span_of("The request was not compressed; nothing here can be."));
    else if (wanted.response_status.code != 0)
        rpc_fail(call, (enum grpc_status)wanted.response_status.code, span_of(wanted.response_status.message));
    else if (wanted.response_size < 0 || wanted.response_size > (int32_t)PAYLOAD_MAX)
        rpc_fail(call, GRPC_INVALID_ARGUMENT, span_of("A payload has at most 1048576 bytes."));
    else
        reply_payload(call, (uint32_t)wanted.response_size);
}

static const struct rpc_method methods[] = {
    // name, begin
    {"EmptyCall", empty_call},
    {"UnaryCall", unary_call},
    {"CacheableUnaryCall", unary_call},
};

const struct rpc_service interop_rpc = {
    .name = "grpc.testing.TestService",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
    .enabled = &interop_settings.enabled,
    .start = start,
    .ended = give_back,
    .metadata = take_metadata,
    .put_metadata = put_metadata,
    .room = find_room,
};
