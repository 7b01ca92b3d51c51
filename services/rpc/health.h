// The gRPC project's health checking protocol (grpc.health.v1, health.proto): Check alone. Every service that is there
// is SERVING, and so is the empty name, which stands for the whole server. Whoever asks for Watch is told
// UNIMPLEMENTED, which its document lets a client take for "healthy".
#ifndef PIPIT_RPC_HEALTH_H
#define PIPIT_RPC_HEALTH_H

#include "rpc.h"

extern const struct rpc_service health_rpc;

#endif
