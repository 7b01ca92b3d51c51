// What the gate's two clients share: a call's way through gRPC, and what is told people when it fails.
//
// A client has a table of methods, and a pool of calls, each of which begins with a struct service_call:
//
//     service_call() -> (in a later turn) method->answer(): service_end(), service_decode(), the client's `done`
#ifndef PIPIT_SERVICE_CALL_H
#define PIPIT_SERVICE_CALL_H

#include "../../port/pool.h"
#include "../rpc/channel.h"
#include <pb.h>

#define SERVICE_SENTENCE 256 // bytes of a sentence for people

struct service_call;

struct service_client {
    const char *name;   // "verify", as in "The verify service did not answer"
    const char *target; // where it is
    const char *key;    // the configuration key that says so
    struct pool *pool;  // of its calls
    uint32_t calls;
    uint32_t failed;  // those that did not bring what they were for
    uint32_t refused; // those that were not made
};

struct service_method {
    struct service_client *client;
    const char *name; // "GetVarifyCode"
    const char *path; // "/message.VarifyService/GetVarifyCode"
    const pb_msgdesc_t *request;
    const pb_msgdesc_t *reply;
    void (*answer)(struct service_call *call, const struct rpc_outcome *outcome);
};

// `method` stands first: it is what a slot that was given back loses to the pool.
struct service_call {
    const struct service_method *method;
    struct rpc_request *request; // NULL once the call is over
    void *context;
};

// Copies a text into a message's field. False when it does not fit or has a NUL: cut off, it might mean something.
bool service_put(char *field, size_t size, struct span text);

// Calls `method` with `request`, the struct that its message is made of, which is wiped. `made` is what service_put()
// said. NULL when that is false, or no slot is free.
struct service_call *service_call(const struct service_method *method, bool made, void *request, size_t size,
                                  void *context);

// The slot is free again; returns the context.
void *service_end(struct service_call *call);

// Forgets a call whose caller is gone. NULL and a call that is over are left alone.
void service_cancel(struct service_call *call);

// Reads the reply's message into `reply`. False when there is none, or it cannot be read; then `why` says so.
bool service_decode(const struct service_method *method, const struct rpc_outcome *outcome, void *reply,
                    struct text *why);

// Somebody else's text as part of a sentence of ours: without control characters and spaces at its ends, in valid
// UTF-8.
void service_quote(struct text *t, struct span text);

#endif
