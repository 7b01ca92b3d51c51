// The status service: which chat node a user goes to, and with which token (StatusService in message.proto).
//
// A token is 32 hexadecimal digits from the machine's entropy. It is good for `ttl` seconds, for the uid it was made
// for. A user may have several (phone and laptop); a full table drops the oldest token of all. Only digests of the
// tokens are kept.
#ifndef PIPIT_STATUS_H
#define PIPIT_STATUS_H

#include "../../app/limits.h"
#include "../../port/span.h"
#include "../service.h"

#define STATUS_TOKEN_BYTES 32

struct status_settings {
    uint32_t ttl; // status.ttl: seconds that a token is good for, 86400
};
extern struct status_settings status_settings;

// The numbers of the reply's `error` field.
enum status_error {
    STATUS_OK = 0,
    STATUS_INTERNAL = 1009,
    STATUS_BAD_TOKEN = 1010,
};

struct status_node {
    enum status_error error;
    char host[64]; // NUL-terminated; "" means: this very machine, under the name the client reached it by
    char port[6];  // NUL-terminated; "" with an empty host
    char token[STATUS_TOKEN_BYTES];
};

// STATUS_INTERNAL when the machine has no entropy, and for uid 0, which is nobody's.
struct status_node status_get_chat_server(uint32_t uid, uint64_t now_ms);

// Compares in constant time.
enum status_error status_login(uint32_t uid, struct span token, uint64_t now_ms);

// Ends one token, or with an empty `token` all of the user's.
void status_logout(uint32_t uid, struct span token);

// Tokens that are kept; expired ones go in the service's next step.
uint32_t status_tokens(void);

extern const struct service status_service;

#endif
