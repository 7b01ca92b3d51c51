// The status service: which chat node a user goes to, and with which token (StatusService in message.proto).
//
// A token is 32 hexadecimal digits from the machine's entropy. It is good for `ttl` seconds, for the uid it was made
// for. Before its end it can be exchanged for a new one, once, as often as one likes, until the login that the first
// one came from is `max_age` seconds old. So a client that stays renews its token, and a token that was stolen from it
// is worth nothing after that. A user may have TOKENS_EACH of them (phone and laptop), then the oldest of them goes; a
// full table drops the oldest of all. So one user can never push the others out; it takes TOKENS_MAX / TOKENS_EACH
// accounts, or a peer that knows rpc.secret. Only digests of the tokens are kept.
#ifndef PIPIT_STATUS_H
#define PIPIT_STATUS_H

#include "../../app/limits.h"
#include "../proto/api_error.h"
#include "../rpc/rpc.h"

#define STATUS_TOKEN_BYTES 32

struct status_settings {
    uint32_t ttl;     // status.ttl: seconds that a token is good for, 86400
    uint32_t max_age; // status.max_age: seconds after a login when its renewed tokens end too, 0: never; 2592000
};
extern struct status_settings status_settings;

struct status_token {
    enum api_error error; // API_OK, API_INTERNAL, or of a renewal API_BAD_TOKEN
    char text[STATUS_TOKEN_BYTES];
};

// Makes a token. API_INTERNAL when the machine has no entropy, and for uid 0, which is nobody's.
struct status_token status_make_token(uint32_t uid, uint64_t now_ms);

// API_OK, or API_BAD_TOKEN. Compares in constant time.
enum api_error status_login(uint32_t uid, struct span token, uint64_t now_ms);

// Seconds that the token is good for, rounded up; 0 for one that is not good.
uint32_t status_expires_in(uint32_t uid, struct span token, uint64_t now_ms);

// A new token for an old one, which ends. API_BAD_TOKEN for one that is not good, so of two who renew one token at once
// only one gets a new one. API_INTERNAL leaves the old one as it is.
struct status_token status_renew(uint32_t uid, struct span old, uint64_t now_ms);

// Ends one token, or with an empty `token` all of the user's.
void status_logout(uint32_t uid, struct span token);

// Tokens that are kept; expired ones go in the service's next step, or when those that are older than they go.
uint32_t status_tokens(void);

// What the operator may see of a token.
struct status_session {
    uint32_t uid;
    uint32_t age;        // seconds since the login
    uint32_t expires_in; // seconds
    uint16_t id;         // of the digest
};

// Walks all tokens that are good, the newest first: call with *at = 0 first; false after the last one.
bool status_walk(uint32_t *at, uint64_t now_ms, struct status_session *session);

extern const struct rpc_service status_rpc;
extern const struct service status_service;

#endif
