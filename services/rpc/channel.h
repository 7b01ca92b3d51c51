// The gRPC client: one kept HTTP/2 connection (a channel) to each target, several unary calls in flight on it.
//
//     IDLE -> CONNECTING -> READY -> DRAINING (the peer said GOAWAY, or is suspected) -> IDLE
//                             |----> IDLE (lost after it had proven good, or suspected without a call)
//     CONNECTING, READY -> BACKOFF -> IDLE
//
// A channel dials when a call needs it and stays connected. While its peer cannot be reached, calls fail at once with
// UNAVAILABLE and the reason, and the next dial waits (1 s, then 1.6 times longer each time, 20 s at most, with jitter:
// gRPC's connection backoff). A connection that is lost before it has answered a call or lived for 20 s counts as one
// that could not be made. A call that the peer certainly did not begin (REFUSED_STREAM, beyond GOAWAY's last stream) is
// made once more; any other is never repeated, because it may have sent a mail. When a call runs out of time and its
// peer has not given a byte since it was sent, the peer is suspected to be dead: nothing new goes to that connection,
// and it is broken off as soon as no other call is on it.
//
// There are RPC_CHANNELS slots. The one that was not asked for for longest, and has no call, goes for a new target;
// where there is one slot, two targets take turns, and none is called while a call to the other is under way.
#ifndef PIPIT_RPC_CHANNEL_H
#define PIPIT_RPC_CHANNEL_H

#include "rpc.h"

struct rpc_request;

// How a call ended. All spans are valid during the callback only.
struct rpc_outcome {
    uint32_t status; // enum grpc_status; GRPC_OK: `reply` is the message
    struct span reply;
    struct span message; // what the server said (grpc-message, at most GRPC_MESSAGE_MAX bytes), or what happened:
                         // "connect: timed out"
    const char *step; // where it failed, when the peer could not be spoken to: "dns", "connect" or "timeout"; else NULL
};

typedef void rpc_done(void *context, const struct rpc_outcome *outcome);

// Calls `path` ("/message.VarifyService/GetVarifyCode", a constant) at `target` ("HOST:PORT"). `message` is copied, at
// most RPC_MESSAGE bytes. The answer comes in a later turn, within `deadline_ms`. Shows rpc.secret where one is set.
// NULL when all RPC_REQUESTS are taken, all channels are busy with calls to other targets, or the target is none.
struct rpc_request *rpc_call(const char *target, const char *path, struct span message, uint32_t deadline_ms,
                             rpc_done *done, void *context);

// Forgets a call whose caller is gone: `done` is not called, the server is told RST_STREAM CANCEL. Within its own
// `done` it does nothing, unless `done` has made another call before: that one may have the same handle.
void rpc_cancel(struct rpc_request *r);

// NULL when `target` reads HOST:PORT, else the end of a sentence "... must ...".
const char *rpc_check_target(struct span target);

// Calls under way, and channels that are connected.
uint32_t rpc_requests(void);
uint32_t rpc_channels(void);

// Its turn comes behind those of the services that call: what they ask goes out in the same turn.
extern const struct service rpc_channel_service;

#endif
