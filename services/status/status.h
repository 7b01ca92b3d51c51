// The status service: which chat node a user goes to, and with which token (StatusService in message.proto).
//
// A token is 32 hexadecimal digits from the machine's entropy. It is good for `ttl` seconds, for the uid it was made
// for. A user may have TOKENS_EACH of them (phone and laptop), then the oldest of them goes; a full table drops the
// oldest of all. Only digests of the tokens are kept.
#ifndef PIPIT_STATUS_H
#define PIPIT_STATUS_H

#include "../../app/limits.h"
#include "../proto/api_error.h"
#include "../rpc/rpc.h"

#define STATUS_TOKEN_BYTES 32

struct status_settings {
    uint32_t ttl; // status.ttl: seconds that a token is good for, 86400
};
extern struct status_settings status_settings;

struct status_token {
    enum api_error error; // API_OK, or API_INTERNAL
    char text[STATUS_TOKEN_BYTES];
};

// Makes a token. API_INTERNAL when the machine has no entropy, and for uid 0, which is nobody's.
struct status_token status_make_token(uint32_t uid, uint64_t now_ms);

// API_OK, or API_BAD_TOKEN. Compares in constant time.
enum api_error status_login(uint32_t uid, struct span token, uint64_t now_ms);

// Ends one token, or with an empty `token` all of the user's.
void status_logout(uint32_t uid, struct span token);

// Tokens that are kept; expired ones go in the service's next step.
uint32_t status_tokens(void);

extern const struct rpc_service status_rpc;
extern const struct service status_service;

#endif
