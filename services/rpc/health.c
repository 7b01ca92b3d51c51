#include "health.h"
#include "server.h"
#include <pb_decode.h>
#include <pb_encode.h>
#include <services/proto/health.pb.h>

static void reply_serving(struct rpc_call *call)
{
    uint8_t bytes[grpc_health_v1_HealthCheckResponse_size];
    grpc_health_v1_HealthCheckResponse response = {
        .status = grpc_health_v1_HealthCheckResponse_ServingStatus_SERVING,
    };
    pb_ostream_t out = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (pb_encode(&out, grpc_health_v1_HealthCheckResponse_fields, &response))
        rpc_reply(call, (struct span){(const char *)bytes, out.bytes_written});
    else
        rpc_fail(call, GRPC_INTERNAL, span_of("The reply could not be encoded."));
}

static void check(struct rpc_call *call, struct span request)
{
    grpc_health_v1_HealthCheckRequest wanted = grpc_health_v1_HealthCheckRequest_init_zero;
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)request.at, request.length);
    if (!pb_decode(&in, grpc_health_v1_HealthCheckRequest_fields, &wanted))
        rpc_fail(call, GRPC_INVALID_ARGUMENT, span_of("This is no HealthCheckRequest, or its name is too long."));
    else if (wanted.service[0] == '\0' || rpc_find_service(span_of(wanted.service)) != NULL)
        reply_serving(call);
    else
        rpc_fail(call, GRPC_NOT_FOUND, span_of("unknown service"));
}

static const struct rpc_method methods[] = {
    // name, begin
    {"Check", check},
};

const struct rpc_service health_rpc = {
    .name = "grpc.health.v1.Health",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
    .open = true,
};
