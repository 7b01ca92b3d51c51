// The gate's way to the status service: StatusService at status.target, through gRPC alone.
#ifndef PIPIT_STATUS_CLIENT_H
#define PIPIT_STATUS_CLIENT_H

#include "../../app/limits.h"
#include "../proto/api_error.h"
#include "../rpc/rpc.h"

struct status_client_settings {
    char target[RPC_TARGET_MAX + 1]; // status.target: HOST:PORT, RPC_OWN_TARGET
};
extern struct status_client_settings status_client_settings;

struct status_call;

// Spans are valid during the callback only.
struct status_reply {
    enum api_error error; // API_OK; API_BAD_TOKEN; API_INTERNAL: the service could not be asked, or could not do it
    struct span message;  // a sentence for people when it is not API_OK; never empty then
    struct span host;     // of status_client_get_chat_server(): where to chat. Empty: at this very machine.
    struct span port;
    struct span token;   // 1 to TOKEN_MAX_BYTES bytes
    uint32_t expires_in; // seconds that the token is good for; 0 from a service that does not say
};

// The call is over then.
typedef void status_done(void *context, const struct status_reply *reply);

// Each copies what it is given and returns the call, or NULL when STATUS_CALLS of them are under way, and for a token
// that can be none: longer than TOKEN_MAX_BYTES, or with a NUL. The answer comes in a later turn, within rpc.timeout.
struct status_call *status_client_get_chat_server(uint32_t uid, status_done *done, void *context);
struct status_call *status_client_login(uint32_t uid, struct span token, status_done *done, void *context);

// Ends one token, or with an empty `token` all of the user's. A foreign status service may not know how.
struct status_call *status_client_logout(uint32_t uid, struct span token, status_done *done, void *context);

// A new token for an old one, which ends. A foreign status service may not know how, and then nothing has changed.
struct status_call *status_client_renew(uint32_t uid, struct span old, status_done *done, void *context);

// Forgets a call whose caller is gone: `done` is not called. Within its own `done` it does nothing.
void status_client_cancel(struct status_call *call);

#define STATUS_CALLS HTTP_EXCHANGES

extern const struct service status_client_service;

#endif
