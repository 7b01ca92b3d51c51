// The unary part of grpc.testing.TestService, which the gRPC project's interoperability clients call. It is linked into
// the simulator only (interop.c); a board links absent.c, where it is never there.
//
//     EmptyCall, UnaryCall, CacheableUnaryCall (the same as UnaryCall)
//
// UnaryCall takes and gives payloads of up to 1 MB and answers with the status that it is asked for. All calls echo the
// metadata x-grpc-test-echo-initial in their headers and x-grpc-test-echo-trailing-bin in their trailers. There is no
// compression: expect_compressed is INVALID_ARGUMENT, as the description asks, and response_compressed changes nothing.
#ifndef PIPIT_INTEROP_H
#define PIPIT_INTEROP_H

#include "../rpc/rpc.h"

struct interop_settings {
    uint32_t enabled; // rpc.interop
};
extern struct interop_settings interop_settings;

extern const struct rpc_service interop_rpc;

#endif
