// The gate's way to the verify service: asked now, answered in a later turn.
//
// The gate keeps the code that the service hands out (services/verify/codes.h) and checks what people type against it.
#ifndef PIPIT_VERIFY_CLIENT_H
#define PIPIT_VERIFY_CLIENT_H

#include "../verify/verify.h"

struct verify_call;

// `reply->code` is set when `reply->error` is VERIFY_OK. The call is over then.
typedef void verify_done(void *context, const struct verify_reply *reply);

// Asks for a code for `email` (copied). NULL when VERIFY_CALLS of them are under way.
struct verify_call *verify_client_get_code(struct span email, verify_done *done, void *context);

// Forgets a call whose caller is gone: `done` is not called. Within its own `done` it does nothing.
void verify_client_cancel(struct verify_call *call);

#define VERIFY_CALLS HTTP_EXCHANGES

extern const struct service verify_client_service;

#endif
