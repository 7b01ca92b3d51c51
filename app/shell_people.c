// Commands: who is there.
#include "../services/hub/hub.h"
#include "../services/proto/utf8.h"
#include "../services/users/users.h"
#include "shell_private.h"

static bool next_user(uint32_t *at)
{
    struct users_account account;
    if (!users_walk(at, &account)) {
        say("%u users", (unsigned)users_count());
        return false;
    }
    say("%u %.*s <%.*s>", (unsigned)account.uid, (int)account.name.length, account.name.at, (int)account.email.length,
        account.email.at);
    return true;
}

void shell_users(struct span rest)
{
    (void)rest;
    shell_go_on(next_user);
}

static bool next_client(uint32_t *at)
{
    struct span name;
    if (!hub_walk(at, &name)) {
        say("%u online", (unsigned)hub_clients());
        return false;
    }
    say("%.*s", (int)name.length, name.at);
    return true;
}

void shell_who(struct span rest)
{
    (void)rest;
    shell_go_on(next_client);
}

void shell_kick(struct span name)
{
    if (!hub_kick(name))
        say("Nobody called %.*s is online.", (int)name.length, name.at);
}

void shell_say(struct span text)
{
    if (!utf8_valid(text))
        say("That is not UTF-8; nobody could read it.");
    else if (text.length > 0 && !hub_say(text))
        say("That is too long with so many quotes, backslashes or control characters.");
}
