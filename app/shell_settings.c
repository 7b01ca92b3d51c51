// Commands: settings, and starting anew.
#include "../port/port.h"
#include "../services/mail/mail.h"
#include "../services/users/journal.h"
#include "../services/users/users.h"
#include "../services/verify/codes.h"
#include "config.h"
#include "shell_private.h"

/// One setting ///

// Development mode that nobody has asked for is there because nobody mails codes. Now somebody does.
static void leave_development_mode(void)
{
    if (codes_settings.echo == 0 || config_was_set(span_of("dev.echo_code")) ||
        (config_is_default(span_of("mail.host")) && config_is_default(span_of("verify.target"))))
        return;
    codes_settings.echo = 0;
    say("Development mode is off: codes are mailed and not shown.");
}

void shell_set(struct span rest)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    struct span key = span_cut(&rest, ' ');
    if (!config_keep(key, span_trim(rest), &why))
        say("%s", text_end(&why));
    leave_development_mode();
}

void shell_unset(struct span key)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    if (!config_forget(key, &why))
        say("%s", text_end(&why));
}

// "ws.ping = 40 (1 to 3600; default 25)"
static void show_key(size_t index)
{
    char buffer[SAY_MOST];
    struct text t = text_in(buffer, sizeof buffer);
    (void)config_show(index, &t);
    text_string(&t, " (");
    config_range(index, &t);
    text_byte(&t, ')');
    say("%s", text_end(&t));
}

void shell_get(struct span key)
{
    int index = config_find(key);
    if (index < 0) {
        say("There is no key %.*s; `config` lists them.", (int)key.length, key.at);
        return;
    }
    show_key((size_t)index);
    HELP(say("  %s", config_meaning((size_t)index));)
}

/// All of them ///

// What the names begin with: the first `length` bytes of key number `first`'s.
static struct {
    uint16_t first;
    uint16_t length;
} prefix;

static struct span prefix_text(void)
{
    return (struct span){config_name(prefix.first), prefix.length};
}

// The first key from `index` on that begins so; config_name() of it is NULL when there is none.
static uint32_t key_from(uint32_t index, struct span start)
{
    const char *name;
    while ((name = config_name(index)) != NULL && !span_starts(span_of(name), start))
        index++;
    return index;
}

static bool next_key(uint32_t *at)
{
    *at = key_from(*at, prefix_text());
    if (config_name(*at) == NULL)
        return false;
    show_key((*at)++);
    return true;
}

void shell_config(struct span rest)
{
    uint32_t first = key_from(0, rest);
    if (config_name(first) == NULL) {
        say("No key begins with %.*s.", (int)rest.length, rest.at);
        return;
    }
    prefix.first = (uint16_t)first;
    prefix.length = (uint16_t)rest.length;
    shell_go_on(next_key);
}

/// The mail relay ///

void shell_mail(struct span rest)
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

/// Starting anew ///

void shell_reboot(struct span rest)
{
    (void)rest;
    port_reboot("asked for at the console");
}

static bool confirm_reset(struct span answer)
{
    if (!span_equal_nocase(span_trim(answer), span_of("yes"))) {
        say("Nothing was changed.");
        return false;
    }
    if (!journal_format())
        say("The flash could not be cleared; try again.");
    else
        port_reboot("factory reset");
    return false;
}

void shell_factory_reset(struct span rest)
{
    (void)rest;
    say("All accounts and settings will be gone for good. Type yes to go on:");
    shell_ask(confirm_reset, false);
}
