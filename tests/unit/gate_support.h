// The gateway with everything behind it but the verify and the status service, which are played here; and its clients.
#ifndef PIPIT_TEST_GATE_SUPPORT_H
#define PIPIT_TEST_GATE_SUPPORT_H

#include "../../app/limits.h"
#include "../../services/gateway/gateway.h"
#include "../../services/gateway/status_client.h"
#include "../../services/gateway/verify_client.h"
#include "peer_support.h"

/// The services, played ///

// The verify service answers in the turn after the one that asked. Its codes have a form of their own.
struct gate_verify {
    enum api_error error; // of every answer
    const char *message;  // beside it
    uint32_t retry_after; // likewise
    bool holds;           // it does not answer before this is false again
    bool full;            // no call can be made
    unsigned asked;       // calls made
    unsigned cancelled;
    char code[CODE_MAX_BYTES + 1]; // the last one given out
};
extern struct gate_verify gate_verify;

// So does the status service. It gives out tokens of `token_length` bytes, and knows them until their logout.
struct gate_status {
    enum api_error node_error; // of GetChatServer
    enum api_error login_error;
    enum api_error logout_error;
    enum api_error renew_error;
    const char *message; // beside any of them
    const char *host;    // "" for this machine
    const char *port;
    size_t token_length;
    uint32_t expires_in; // said of every token
    bool holds;
    bool full;
    unsigned cancelled;
};
extern struct gate_status gate_status;

/// The machine ///

int gate_start(void **state); // of a group
int gate_setup(void **state); // of a test

// After each test all slots, exchanges and connections are free again.
int gate_teardown(void **state);

/// Clients ///

#define HOST      "Host: 10.0.2.15\r\n"
#define JSON_TYPE "Content-Type: application/json\r\n"
#define KEY       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HANDSHAKE "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY

#define GATE_PEERS (HUB_CLIENTS + HTTP_CONNECTIONS + 4)
extern struct peer peers[GATE_PEERS];
extern char request[HTTP_BODY * 3]; // where a test may write one

// Runs turns until the peer's reply is whole, or it will never be.
const char *wait_reply(struct peer *p);
const char *send_to(struct peer *p, const char *text); // opens it when it is not

// On a connection of its own, which ends afterwards.
const char *ask(const char *text);
const char *post(const char *path, const char *body);
const char *post_request(const char *path, const char *body); // the request's text, in `request`

// A WebSocket handshake, with more fields.
const char *upgrade(struct peer *p, const char *target, const char *fields);
void hang_up(struct peer *p);

/// Replies ///

const char *find_body(const char *reply);
void assert_status(const char *reply, unsigned status);
void assert_has(const char *reply, const char *part);
void assert_lacks(const char *reply, const char *part);

// The declared length is the true one, and the reply says what every reply has to.
void assert_whole(const char *reply);

// 200, with this error in its JSON, and a message if it is one.
void assert_error(const char *reply, unsigned error);

// The value of a string field in a reply.
const char *value_of(const char *reply, const char *name, char *buffer, size_t size);

#endif
