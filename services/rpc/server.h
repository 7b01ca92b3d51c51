// The gRPC server: HTTP/2 connections on the ports of the verify and of the status service, every service of
// rpc_services[] on both, unary calls.
//
// Any well-formed request gets a proper answer: what is not gRPC is told so with 415 (405 for a wrong method) and a
// sentence, HTTP/1 with a sentence in HTTP/1. One that does not take its replies, or does not finish its requests, is
// closed after a while; a refusal waits for less.
//
// With rpc.listen=any strangers come too, and they cannot take everything. Half of the calls, and RPC_CHANNELS of the
// connections, are for callers on the loopback: the gate finds its services whoever else is there. A connection without
// a call is closed for a newcomer once it is a second old or has had one: first those that never showed the secret,
// those of the loopback only for another of the loopback. Whether it is open to all is decided once, at the start.
#ifndef PIPIT_RPC_SERVER_H
#define PIPIT_RPC_SERVER_H

#include "rpc.h"

// Answers with one message; it is copied. At most RPC_MESSAGE bytes. A call that is over already is left alone, so a
// late answer does no harm only between begin() and ended().
void rpc_reply(struct rpc_call *call, struct span message);

// Answers with a message that is made while it is sent: `produce` fills `at` with exactly the next `length` bytes,
// starting with byte `from` of the message.
void rpc_reply_produced(struct rpc_call *call, uint32_t length,
                        void (*produce)(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length));

// Answers with a status other than OK; `message` (UTF-8) is copied, GRPC_MESSAGE_MAX bytes of it at most.
void rpc_fail(struct rpc_call *call, enum grpc_status status, struct span message);

// The caller's deadline on port_now_ms()'s clock; UINT64_MAX when it named none.
uint64_t rpc_deadline(const struct rpc_call *call);

// What a service keeps with a call; NULL at first.
void rpc_set_context(struct rpc_call *call, void *context);
void *rpc_context(const struct rpc_call *call);

// Calls and connections that are there just now.
uint32_t rpc_server_calls(void);
uint32_t rpc_server_connections(void);

extern const struct service rpc_server_service;

#endif
