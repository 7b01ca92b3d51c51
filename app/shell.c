#include "shell.h"
#include "../port/log.h"
#include "../port/port.h"
#include "../services/gateway/verify_client.h"
#include "../services/mail/mail.h"
#include "../services/verify/codes.h"
#include "config.h"
#include "limits.h"
#include "line.h"
#include "main.h"
#include "shell_private.h"

#define BYTES_A_TURN 64

// What the console does beside taking commands.
static struct {
    shell_next *next; // says the next line of an answer
    uint32_t at;
    shell_take *take; // gets the lines that are typed
    bool secret;
} doing;

/// For the commands ///

void say(const char *format, ...)
{
    char buffer[SAY_MOST + 1];
    struct text t = text_in(buffer, SAY_MOST);
    t.escapes = true;
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    buffer[t.length++] = '\n';
    log_write(buffer, t.length);
}

void shell_go_on(shell_next *next)
{
    doing.next = next;
    doing.at = 0;
}

void shell_ask(shell_take *take, bool secret)
{
    doing.take = take;
    doing.secret = secret;
}

/// Commands ///

static shell_run command_help;

// Name, arguments, what it does, and what it is for. A new command is a line here.
const struct shell_command shell_commands[] = {
    {"help", "", command_help, "this list"},
    {"status", "", shell_status, "address, connections, clients, users, longest turn"},
    {"net", "", shell_net, "address, gateway, name, link, connections by kind, counters"},
    {"pools", "", shell_pools, "slots used, most ever used, size"},
    {"users", "", shell_users, "all accounts"},
    {"who", "", shell_who, "names online"},
    {"sessions", "[NAME]", shell_sessions, "logins, since when and for how long"},
    {"logout", "NAME", shell_logout, "end all of somebody's logins"},
    {"kick", "NAME", shell_kick, "end somebody's connection"},
    {"say", "TEXT", shell_say, "a line from the house to all"},
    {"get", "KEY", shell_get, "one setting"},
    {"set", "KEY VALUE", shell_set, "change a setting"},
    {"unset", "KEY", shell_unset, "back to the default"},
    {"config", "[PREFIX]", shell_config, "all settings, or those that begin so"},
    {"cert", "[new|paste|self]", shell_cert, "the certificate: show it, make another, load one, back to our own"},
    {"mail", "test ADDRESS", shell_mail, "send a mail and show the conversation with the relay"},
    {"log", "[LEVEL [MODULE]]", shell_log, "show or set what is logged"},
    {"top", "", shell_top, "share of time and longest step, part by part"},
    {"reboot", "", shell_reboot, "start again from reset"},
    {"factory-reset", "", shell_factory_reset, "forget all accounts and settings"},
};

const size_t shell_command_count = sizeof shell_commands / sizeof shell_commands[0];

static bool next_help(uint32_t *at)
{
    if (*at == shell_command_count)
        return false;
    const struct shell_command *c = &shell_commands[(*at)++];
    say("  %s%s%s - %s", c->name, c->arguments[0] != '\0' ? " " : "", c->arguments, c->help);
    return true;
}

static void command_help(struct span rest)
{
    (void)rest;
    shell_go_on(next_help);
}

static void run(struct span typed)
{
    struct span rest = span_trim(typed);
    if (rest.length == 0)
        return;
    struct span word = span_cut(&rest, ' ');
    for (size_t i = 0; i < shell_command_count; i++)
        if (span_equal_nocase(word, span_of(shell_commands[i].name))) {
            shell_commands[i].run(span_trim(rest));
            return;
        }
    say("There is no command %.*s; try help.", (int)word.length, word.at);
}

/// Typing ///

static void take(struct span typed)
{
    shell_take *now = doing.take;
    doing.take = NULL;
    if (now(typed) && typed.at != NULL && doing.take == NULL)
        doing.take = now;
}

static bool is_secret(int key)
{
    return key >= 0 && config_is_secret((size_t)key);
}

// The number of the key that a line sets: -1 when there is no such key, -2 when the line sets none. Without "set", or
// with another word for it, a secret's name is enough: what stands behind it may be the secret.
static int key_that_is_set(struct span typed)
{
    struct span rest = span_trim(typed);
    struct span word = span_cut(&rest, ' ');
    bool sets = span_equal_nocase(word, span_of("set"));
    int key = config_find(word);
    rest = span_trim(rest);
    if (!is_secret(key))
        key = config_find(span_cut(&rest, ' '));
    return sets || (is_secret(key) && span_trim(rest).length > 0) ? key : -2;
}

// A password stays in no history, nor does what may be one behind the misspelt name of its key.
static bool may_be_remembered(struct span typed)
{
    int key = key_that_is_set(typed);
    return key == -2 || (key >= 0 && !is_secret(key));
}

size_t line_shown(struct span typed)
{
    if (doing.take != NULL)
        return doing.secret ? 0 : typed.length;
    int key = key_that_is_set(typed);
    if (!is_secret(key))
        return typed.length;
    struct span name = span_of(config_name((size_t)key));
    struct span rest = typed;
    while (!span_starts(rest, name))
        rest = span_behind(rest, 1);
    return typed.length - rest.length + name.length + (rest.length > name.length); // the space too
}

static void line_typed(void)
{
    struct span typed = line_text();
    if (doing.take != NULL) {
        take(typed);
    } else {
        if (may_be_remembered(typed))
            line_remember();
        run(typed);
    }
}

static void typed_byte(char byte)
{
    switch (line_byte(byte)) {
    case LINE_TYPING:
        return;
    case LINE_DONE:
        line_typed();
        break;
    case LINE_TOO_LONG:
        say("That line is too long; nothing was done.");
        break;
    case LINE_CANCELLED:
        if (doing.take != NULL)
            take((struct span){NULL, 0});
        break;
    }
    line_clear();
}

/// Completion ///

static const char *candidate_key(uint32_t index)
{
    return config_name(index);
}

static const char *candidate_command(uint32_t index)
{
    return index < shell_command_count ? shell_commands[index].name : NULL;
}

// What the first word may be followed by.
static const struct {
    const char *command;
    const char *(*candidate)(uint32_t index);
} second_words[] = {
    {"get", candidate_key},    {"set", candidate_key},  {"unset", candidate_key},
    {"config", candidate_key}, {"log", log_level_name},
};

const char *line_candidate(struct span typed, uint32_t index)
{
    struct span rest = span_trim(typed);
    if (doing.take != NULL)
        return NULL;
    if (rest.length == 0)
        return candidate_command(index);
    struct span word = span_cut(&rest, ' ');
    for (size_t i = 0; rest.length == 0 && i < sizeof second_words / sizeof second_words[0]; i++)
        if (span_equal_nocase(word, span_of(second_words[i].command)))
            return second_words[i].candidate(index);
    return span_equal_nocase(word, span_of("log")) ? log_module_name(index) : NULL;
}

/// The loop ///

// Who can be sent no code can't register.
static bool nobody_can_register(void)
{
    bool own = span_equal(span_of(verify_client_settings.target), span_of(VERIFY_CLIENT_OWN));
    return own && !mail_configured() && codes_settings.echo == 0;
}

void shell_start(void)
{
    log_before_write = line_hide;
    say("Pipit %s. Type help for the console's commands.", PIPIT_VERSION);
    if (codes_settings.echo != 0)
        say("DEVELOPMENT MODE: verification codes are shown here and in replies. Never put such a device on a "
            "network.");
    else if (nobody_can_register())
        say("No mail relay is configured, so nobody can register; set mail.host, or dev.echo_code for development.");
}

bool shell_step(void)
{
    unsigned count = 0;
    char byte;
    if (doing.next != NULL && !doing.next(&doing.at))
        doing.next = NULL;
    for (; doing.next == NULL && count < BYTES_A_TURN && port_console_read(&byte, 1) == 1; count++)
        typed_byte(byte);
    line_show();
    return doing.next != NULL || count == BYTES_A_TURN;
}

bool shell_is_stale(void)
{
    return line_is_stale();
}
