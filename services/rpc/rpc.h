// What both ends of our gRPC share: settings, ports, and the shape of a service's table of methods.
#ifndef PIPIT_RPC_H
#define PIPIT_RPC_H

#include "../proto/grpc.h"
#include "../proto/hpack.h"
#include "../service.h"

#define RPC_VERIFY_PORT 50051
#define RPC_STATUS_PORT 50052
#define RPC_SECRET_MAX  64
#define RPC_OWN_TARGET  "127.0.0.1:50051" // all services of this very machine: one connection does for all of them
#define RPC_TARGET_MAX  80

struct rpc_settings {
    uint32_t tls;                    // rpc.tls: 1 takes calls from other machines over TLS alone (ALPN "h2")
    uint32_t listen_any;             // rpc.listen: 0 lwIP's loopback alone, 1 every interface (needs a secret); counts
                                     // from the next start
    uint32_t timeout;                // rpc.timeout: seconds that the gate gives a call, 15
    char secret[RPC_SECRET_MAX + 1]; // rpc.secret: what callers must show with rpc.listen=any, and what our gate shows
};
extern struct rpc_settings rpc_settings;

/// Services, as the server knows them ///

struct rpc_call;

// One row of a service's table.
struct rpc_method {
    const char *name; // "GetVarifyCode"

    // The call's request is whole (`request` stays until the call is answered). Answer it now or in a later turn, once,
    // with rpc_reply() or rpc_fail().
    void (*begin)(struct rpc_call *call, struct span request);
};

struct rpc_service {
    const char *name; // "message.VarifyService"
    const struct rpc_method *methods;
    size_t method_count;
    bool open;               // answers without the secret
    const uint32_t *enabled; // the service is there while this is not 0; NULL: always

    // All of these may be NULL.

    // The server starts: once, before any call.
    void (*start)(void);

    // The call is over: answered and sent, cancelled, or past its deadline. Comes exactly once, last, for every call of
    // the service whose headers were good, or whose metadata was told. A call that was not answered need not be any
    // more.
    void (*ended)(struct rpc_call *call);

    // A field of the request that is neither HTTP/2's nor gRPC's, before it is known whether the headers are good.
    void (*metadata)(struct rpc_call *call, struct span name, struct span value);

    // Adds metadata to the reply's headers, or to its trailers. Called as often as the frame is tried.
    void (*put_metadata)(const struct rpc_call *call, struct hpack_block *block, bool trailers);

    // Memory for a request message of `length` bytes, RPC_MESSAGE or less or more; NULL refuses it with
    // RESOURCE_EXHAUSTED. Without this function the server has RPC_MESSAGE bytes for it.
    uint8_t *(*room)(struct rpc_call *call, uint32_t length);
};

// All services (app/services.c). A new one is a line there.
extern const struct rpc_service *const rpc_services[];
extern const size_t rpc_service_count;

// The one of that name, when it is there.
const struct rpc_service *rpc_find_service(struct span name);

#endif
