// Commands: who is logged in, and ending that.
#include "../port/port.h"
#include "../services/gateway/status_client.h"
#include "../services/hub/hub.h"
#include "../services/status/status.h"
#include "../services/users/users.h"
#include "shell_private.h"

// 0, said, when there is none of this name.
static uint32_t uid_of(struct span name)
{
    struct users_account account;
    if (users_by_name(name, &account))
        return account.uid;
    say("There is no account called %.*s; `users` lists them.", (int)name.length, name.at);
    return 0;
}

// A peer's token may be for somebody who has no account here.
static void say_session(const struct status_session *session)
{
    struct users_account account = {.name = span_of("(no account here)")};
    users_by_uid(session->uid, &account);
    say("%04x %.*s, uid %u: logged in %u s ago, expires in %u s%s", session->id, (int)account.name.length,
        account.name.at, session->uid, session->age, session->expires_in,
        hub_has_login(session->uid, session->id) ? ", chatting" : "");
}

static struct {
    uint32_t uid;   // whose sessions are shown, 0 for everybody's
    uint32_t shown; // so far
} showing;

static bool next_session(uint32_t *at)
{
    struct status_session session;
    if (!status_walk(at, port_now_ms(), &session)) {
        say("%u sessions", showing.shown);
        return false;
    }
    if (showing.uid == 0 || session.uid == showing.uid) {
        say_session(&session);
        showing.shown++;
    }
    return true;
}

void shell_sessions(struct span name)
{
    showing.shown = 0;
    showing.uid = name.length > 0 ? uid_of(name) : 0;
    if (name.length == 0 || showing.uid != 0)
        shell_go_on(next_session);
}

static void on_logged_out(void *context, const struct status_reply *reply)
{
    (void)context;
    if (reply->error != API_OK)
        say("Their tokens at the status service could not be ended: %.*s", (int)reply->message.length,
            reply->message.at);
}

// The tokens are in our own status service's table, or at status.target; it may have pointed elsewhere a minute ago.
void shell_logout(struct span name)
{
    uint32_t uid = uid_of(name);
    if (uid == 0)
        return;
    status_logout(uid, (struct span){NULL, 0});
    hub_close_account(uid, "the operator has ended this login");
    bool own = span_equal(span_of(status_client_settings.target), span_of(RPC_OWN_TARGET));
    if (!own && status_client_logout(uid, (struct span){NULL, 0}, on_logged_out, NULL) == NULL)
        say("The status service could not be asked; try again in a moment.");
}
