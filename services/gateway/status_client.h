// The gate's way to the status service: asked now, answered in a later turn.
#ifndef PIPIT_STATUS_CLIENT_H
#define PIPIT_STATUS_CLIENT_H

#include "../status/status.h"

struct status_call;

// `node` is set for status_client_get_chat_server() only. The call is over then.
typedef void status_done(void *context, enum status_error error, const struct status_node *node);

// Each copies what it is given and returns the call, or NULL when STATUS_CALLS of them are under way.
struct status_call *status_client_get_chat_server(uint32_t uid, status_done *done, void *context);
struct status_call *status_client_login(uint32_t uid, struct span token, status_done *done, void *context);

// Ends one token, or with an empty `token` all of the user's.
struct status_call *status_client_logout(uint32_t uid, struct span token, status_done *done, void *context);

// Forgets a call whose caller is gone: `done` is not called. Within its own `done` it does nothing.
void status_client_cancel(struct status_call *call);

#define STATUS_CALLS HTTP_EXCHANGES

extern const struct service status_client_service;

#endif
