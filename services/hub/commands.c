// What a client can say beyond messages.
#include "../users/users.h"
#include "client.h"

// Says it for the client; an answer when it cannot be said.
static void broadcast(struct client *c, struct event_content *event, struct ring_audience audience)
{
    if (hub_broadcast(event, audience) == 0)
        client_notice(c, "that was not said: with so many quotes, backslashes or control characters it is too long");
}

static void command_nick(struct client *c, struct span name)
{
    struct users_account account;
    const char *wrong = users_check_name(name);
    const struct client *holder = client_by_name(name);
    if (name.length == 0)
        client_notice(c, "say which name you want: /nick your_name");
    else if (wrong != NULL)
        client_notice(c, "that name can't be used: %s", wrong);
    else if (span_equal(name, client_name(c)))
        client_notice(c, "that is your name already");
    else if (holder != NULL && holder != c)
        client_notice(c, "that name is taken");
    else if (users_by_name(name, &account) && account.uid != c->uid)
        client_notice(c, "that name belongs to a registered user");
    else
        client_rename(c, name);
}

static void command_who(struct client *c, struct span rest)
{
    (void)rest;
    c->due |= DUE_ROSTER;
    c->roster = 0;
    client_deliver(c);
}

static void command_me(struct client *c, struct span text)
{
    if (text.length == 0) {
        client_notice(c, "say what you do: /me waves");
        return;
    }
    struct event_content event = {.kind = EVENT_ACTION, .from = client_name(c), .text = text};
    broadcast(c, &event, hub_everybody);
}

// The client whose name the text begins with, and what stands behind. Names may contain spaces: the longest one wins.
static const struct client *addressee(struct span *text)
{
    const struct span space = span_of(" ");
    const struct client *best = NULL;
    for (const struct client *c = client_next(NULL); c != NULL; c = client_next(c)) {
        bool begins =
            span_starts_nocase(*text, client_name(c)) && span_starts(span_behind(*text, c->name_length), space);
        if (begins && (best == NULL || best->name_length < c->name_length))
            best = c;
    }
    if (best != NULL)
        *text = span_trim(span_behind(*text, best->name_length));
    return best;
}

static void command_msg(struct client *c, struct span text)
{
    const struct client *to = addressee(&text);
    if (to == NULL || text.length == 0) {
        client_notice(c, "nobody of that name is here, or there is nothing to say: /msg NAME text");
        return;
    }
    struct event_content event = {.kind = EVENT_PRIVATE, .from = client_name(c), .to = client_name(to), .text = text};
    broadcast(c, &event, (struct ring_audience){{c->who, to->who}});
}

static void command_quit(struct client *c, struct span rest)
{
    (void)rest;
    client_close(c, WS_NORMAL, "goodbye");
}

static void command_help(struct client *c, struct span rest);

// Name, what it does, and the words for /help. A new command is a line here.
static const struct {
    const char *name;
    void (*run)(struct client *c, struct span rest);
    const char *help;
} commands[] = {
    {"/help", command_help, "/help"}, {"/nick", command_nick, "/nick NAME"},   {"/who", command_who, "/who"},
    {"/me", command_me, "/me waves"}, {"/msg", command_msg, "/msg NAME text"}, {"/quit", command_quit, "/quit"},
    {"/exit", command_quit, "/exit"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void command_help(struct client *c, struct span rest)
{
    (void)rest;
    char list[120];
    struct text t = text_in(list, sizeof list - 1);
    for (size_t i = 0; i < COMMANDS; i++)
        text_format(&t, i == 0 ? "%s" : ", %s", commands[i].help);
    client_notice(c, "commands: %s. Anything else is said to all.", text_end(&t));
}

static void command(struct client *c, struct span line)
{
    struct span rest = line;
    struct span word = span_cut(&rest, ' ');
    for (size_t i = 0; i < COMMANDS; i++)
        if (span_equal(word, span_of(commands[i].name))) {
            commands[i].run(c, span_trim(rest));
            return;
        }
    size_t shown = word.length < NAME_MAX_BYTES ? word.length : NAME_MAX_BYTES;
    while (shown < word.length && shown > 0 && ((uint8_t)word.at[shown] & 0xC0) == 0x80)
        shown--; // not in the middle of a character
    client_notice(c, "unknown command %.*s; try /help", (int)shown, word.at);
}

void client_said(struct client *c, struct span line)
{
    if (line.at[0] == '/') {
        command(c, line);
        return;
    }
    struct event_content event = {.kind = EVENT_MESSAGE, .from = client_name(c), .text = line};
    broadcast(c, &event, hub_everybody);
}
