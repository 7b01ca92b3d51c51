#include "shell.h"
#include "../port/log.h"
#include "../port/net.h"
#include "../port/pool.h"
#include "../port/port.h"
#include "../services/gateway/gateway.h"
#include "../services/gateway/verify_client.h"
#include "../services/hub/hub.h"
#include "../services/mail/mail.h"
#include "../services/service.h"
#include "../services/users/users.h"
#include "../services/verify/codes.h"
#include "config.h"
#include "limits.h"
#include "main.h"
#include <mbedtls/platform_util.h>

#define LINE_MAX_BYTES SHELL_LINE // the longest key and value fit

static char line[LINE_MAX_BYTES];
static size_t line_length;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char buffer[300];
    struct text t = text_in(buffer, sizeof buffer - 1);
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    buffer[t.length++] = '\n';
    port_console_write(buffer, t.length);
}

/// Commands ///

static void command_status(struct span rest)
{
    (void)rest;
    char address[16];
    say("address %s (%s), name %s, link %s", net_address_text(net_own_address(), address),
        net_origin_name(net_own_origin()), net_own_name(), net_link_up() != 0 ? "up" : "down");
    say("%u connections, %u chat clients, %u users, newest event %llu", net_open(), hub_clients(), users_count(),
        (unsigned long long)hub_newest());
    say("longest turn %u us", longest_turn_us);
    if (port_stack_size() > 0)
        say("started after: %s; %zu of %zu bytes of stack used", port_reset_reason(), port_stack_used(),
            port_stack_size());
}

static void command_top(struct span rest)
{
    (void)rest;
    for (size_t i = 0; i < service_count; i++)
        say("%s: longest step %u us", services[i]->name, service_longest_us[i]);
}

static void command_pools(struct span rest)
{
    (void)rest;
    for (const struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p))
        say("%s: %u of %u used, %u at most, %u refused, %zu bytes a slot", p->name, p->used, p->size, p->high_water,
            p->refused, p->slot_size);
}

static void command_users(struct span rest)
{
    (void)rest;
    struct users_account account;
    uint32_t at = 0;
    while (users_walk(&at, &account))
        say("%u %.*s <%.*s>", account.uid, (int)account.name.length, account.name.at, (int)account.email.length,
            account.email.at);
    say("%u users", users_count());
}

static void command_who(struct span rest)
{
    (void)rest;
    struct span name;
    uint32_t at = 0;
    while (hub_walk(&at, &name))
        say("%.*s", (int)name.length, name.at);
    say("%u online", hub_clients());
}

static void command_kick(struct span name)
{
    if (!hub_kick(name))
        say("Nobody called %.*s is online.", (int)name.length, name.at);
}

static void command_say(struct span text)
{
    if (text.length > 0 && !hub_say(text))
        say("That is too long with so many quotes, backslashes or control characters.");
}

static void command_mail(struct span rest)
{
    struct span word = span_cut(&rest, ' ');
    struct span address = span_trim(rest);
    const char *wrong = users_check_email(address);
    if (!span_equal_nocase(word, span_of("test")) || address.length == 0)
        say("Say it as: mail test ADDRESS");
    else if (wrong != NULL)
        say("%s", wrong);
    else if (!mail_configured())
        say("No mail relay is configured; set mail.host first.");
    else if (!mail_test(address))
        say("A test is under way, or too many mails wait; try again in a moment.");
}

// Development mode that nobody has asked for is there because nobody mails codes. Now somebody does.
static void leave_development_mode(void)
{
    if (codes_settings.echo == 0 || config_was_set(span_of("dev.echo_code")) ||
        (config_is_default(span_of("mail.host")) && config_is_default(span_of("verify.target"))))
        return;
    codes_settings.echo = 0;
    say("Development mode is off: codes are mailed and not shown.");
}

static void command_set(struct span rest)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    struct span key = span_cut(&rest, ' ');
    if (!config_set(key, span_trim(rest), &why))
        say("%s", text_end(&why));
    leave_development_mode();
}

static void show_key(size_t index)
{
    char buffer[300];
    struct text t = text_in(buffer, sizeof buffer);
    if (config_show(index, &t))
        say("%s", text_end(&t));
}

static void command_get(struct span key)
{
    int index = config_find(key);
    if (index < 0)
        say("There is no key %.*s; `config` lists them.", (int)key.length, key.at);
    else
        show_key((size_t)index);
}

static void command_unset(struct span key)
{
    if (!config_unset(key))
        say("There is no key %.*s; `config` lists them.", (int)key.length, key.at);
}

static void command_config(struct span rest)
{
    (void)rest;
    char buffer[1];
    for (size_t i = 0;; i++) {
        struct text probe = text_in(buffer, sizeof buffer);
        if (!config_show(i, &probe))
            return;
        show_key(i);
    }
}

static void command_reboot(struct span rest)
{
    (void)rest;
    port_reboot("asked for at the console");
}

static void command_help(struct span rest);

// Name, what it does, and what it is for. A new command is a line here.
static const struct {
    const char *name;
    void (*run)(struct span rest);
    const char *help;
} commands[] = {
    {"help", command_help, "this list"},
    {"status", command_status, "address, name, link, connections, clients, users, longest turn"},
    {"top", command_top, "longest step of each service"},
    {"pools", command_pools, "slots used, most ever used, size"},
    {"users", command_users, "all accounts"},
    {"who", command_who, "names online"},
    {"kick", command_kick, "kick NAME: end somebody's connection"},
    {"say", command_say, "say TEXT: a line from the house to all"},
    {"mail", command_mail, "mail test ADDRESS: send a mail and show the conversation with the relay"},
    {"get", command_get, "get KEY: one setting"},
    {"set", command_set, "set KEY VALUE: change a setting"},
    {"unset", command_unset, "unset KEY: back to the default"},
    {"config", command_config, "all settings"},
    {"reboot", command_reboot, "start again from reset"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void command_help(struct span rest)
{
    (void)rest;
    for (size_t i = 0; i < COMMANDS; i++)
        say("  %s - %s", commands[i].name, commands[i].help);
}

static void run(struct span typed)
{
    struct span rest = span_trim(typed);
    if (rest.length == 0)
        return;
    struct span word = span_cut(&rest, ' ');
    for (size_t i = 0; i < COMMANDS; i++)
        if (span_equal_nocase(word, span_of(commands[i].name))) {
            commands[i].run(span_trim(rest));
            return;
        }
    say("There is no command %.*s; try help.", (int)word.length, word.at);
}

/// Typing ///

static void typed_byte(char byte)
{
    if (byte == '\n' || byte == '\r') {
        if (line_length == sizeof line)
            say("That line is too long; nothing was done.");
        else
            run((struct span){line, line_length});
        mbedtls_platform_zeroize(line, sizeof line); // it may have set a password
        line_length = 0;
    } else if ((byte == '\b' || byte == 127) && line_length > 0) {
        line_length--;
    } else if ((uint8_t)byte >= 0x20 && byte != 127 && line_length < sizeof line) {
        line[line_length++] = byte;
    }
}

// Who can be sent no code can't register.
static bool nobody_can_register(void)
{
    bool own = span_equal(span_of(verify_client_settings.target), span_of(VERIFY_CLIENT_OWN));
    return own && !mail_configured() && codes_settings.echo == 0;
}

void shell_start(void)
{
    say("Pipit %s. Type help for the console's commands.", PIPIT_VERSION);
    if (codes_settings.echo != 0)
        say("DEVELOPMENT MODE: verification codes are shown here and in replies. Never put such a device on a "
            "network.");
    else if (nobody_can_register())
        say("No mail relay is configured, so nobody can register; set mail.host, or dev.echo_code for development.");
}

void shell_step(void)
{
    char bytes[64];
    size_t n = port_console_read(bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        typed_byte(bytes[i]);
}
