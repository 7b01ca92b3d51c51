// The gate's way to the verify service: VarifyService.GetVarifyCode at verify.target, through gRPC alone.
//
// The gate keeps the code that the service hands out (services/verify/codes.h) and checks what people type against it.
#ifndef PIPIT_VERIFY_CLIENT_H
#define PIPIT_VERIFY_CLIENT_H

#include "../../app/limits.h"
#include "../proto/api_error.h"
#include "../rpc/rpc.h"

#define VERIFY_CLIENT_OWN RPC_OWN_TARGET // the verify service of this very machine

struct verify_client_settings {
    char target[RPC_TARGET_MAX + 1]; // verify.target: HOST:PORT, VERIFY_CLIENT_OWN
};
extern struct verify_client_settings verify_client_settings;

struct verify_call;

// Spans are valid during the callback only.
struct verify_reply {
    enum api_error error; // API_OK, API_NOT_DELIVERED, API_BAD_FIELD, API_INTERNAL or API_TOO_MANY
    struct span code;     // API_OK: 1 to CODE_MAX_BYTES printable ASCII bytes without spaces
    struct span message;  // else: a sentence for people, which names the step that failed; never empty
    uint32_t retry_after; // seconds, with API_TOO_MANY
};

// The call is over then.
typedef void verify_done(void *context, const struct verify_reply *reply);

// Asks for a code for `email` (copied). The answer comes in a later turn, within rpc.timeout. NULL when VERIFY_CALLS of
// them are under way, and for what can be no email: longer than EMAIL_MAX_BYTES, or with a NUL.
struct verify_call *verify_client_get_code(struct span email, verify_done *done, void *context);

// Forgets a call whose caller is gone: `done` is not called. Within its own `done` it does nothing.
void verify_client_cancel(struct verify_call *call);

#define VERIFY_CALLS HTTP_EXCHANGES

extern const struct service verify_client_service;

#endif
