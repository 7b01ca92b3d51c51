#include "config.h"
#include "../port/log.h"
#include "../port/net.h"
#include "../port/scratch.h"
#include "../port/syslog/syslog.h"
#include "../port/tls/identity.h"
#include "../services/echo/echo.h"
#include "../services/gateway/gateway.h"
#include "../services/gateway/status_client.h"
#include "../services/gateway/verify_client.h"
#include "../services/https/https.h"
#include "../services/hub/hub.h"
#include "../services/interop/interop.h"
#include "../services/mail/mail.h"
#include "../services/nodes/nodes.h"
#include "../services/proto/smtp.h"
#include "../services/proto/utf8.h"
#include "../services/rpc/channel.h"
#include "../services/status/status.h"
#include "../services/users/journal.h"
#include "../services/users/users.h"
#include "../services/verify/verify.h"
#include <mbedtls/platform_util.h>
#include <string.h>

enum config_type { CONFIG_NUMBER, CONFIG_BOOL, CONFIG_CHOICE, CONFIG_TEXT, CONFIG_SECRET };

// What a text must look like, beside fitting and having no control characters: NULL when it does, else the end of
// the sentence "KEY must ...".
typedef const char *text_check(struct span value);

static text_check check_address, check_prefix, check_label, check_host, check_server, check_email, check_utf8;

#define UNLIMITED_MOST 1000000 // keys whose 0 means "no limit" reach at least this far

/// The keys ///

// One row a key, in the order in which they are shown:
//
//     name      as it is written: OWNER.WHAT
//     type      an enum config_type; decides which of the next columns there are
//     number, least, most, initial    CONFIG_NUMBER and CONFIG_BOOL
//     number, choices, most, initial  CONFIG_CHOICE: the number is the index of its name
//     text, size, first, check        CONFIG_TEXT and CONFIG_SECRET; `size` counts the NUL, `first` is the default
//     help      what it does, as the rest of a sentence
struct config_key {
    const char *name;
    uint8_t type;
    union {
        uint16_t least;
        uint16_t size;
    };
    union {
        uint32_t *number;
        char *text;
    };
    union {
        uint32_t most;
        const char *first;
    };
    union {
        uint32_t initial;
        text_check *check;
    };
    const char *const *choices;
    HELP(const char *help;)
};

#define FIELD_NUMBER(FIELD, LEAST, MOST, INITIAL)                                                                      \
    .type = CONFIG_NUMBER, .number = &(FIELD), .least = (LEAST), .most = (MOST), .initial = (INITIAL)
#define FIELD_BOOL(FIELD, INITIAL) .type = CONFIG_BOOL, .number = &(FIELD), .most = 1, .initial = (INITIAL)
#define FIELD_CHOICE(FIELD, NAMES, INITIAL)                                                                            \
    .type = CONFIG_CHOICE, .number = &(FIELD), .choices = (NAMES), .most = sizeof(NAMES) / sizeof((NAMES)[0]) - 1,     \
    .initial = (INITIAL)
#define FIELD_TEXT(FIELD, FIRST, CHECKED)                                                                              \
    .type = CONFIG_TEXT, .text = (FIELD), .size = sizeof(FIELD), .first = (FIRST), .check = (CHECKED)
#define FIELD_SECRET(FIELD) .type = CONFIG_SECRET, .text = (FIELD), .size = sizeof(FIELD), .first = ""

static const char *const levels[] = {"error", "warning", "info", "debug"}; // enum log_level
static const char *const scopes[] = {"loopback", "any"};
static const char *const tls_modes[] = {"none", "starttls", "implicit"}; // enum smtp_tls

static const struct config_key keys[] = {
    {.name = "chat.rate",
     FIELD_NUMBER(hub_settings.rate, 0, UNLIMITED_MOST, 10),
     HELP(.help = "messages in 5 s a client, 0 for no limit")},
    {.name = "chat.guests",
     FIELD_BOOL(gateway_settings.guests, 1),
     HELP(.help = "1 lets people chat without an account")},
    {.name = "chat.echo", FIELD_BOOL(echo_settings.enabled, 0), HELP(.help = "1 opens /ws-echo, where it is linked")},
    {.name = "api.rate",
     FIELD_NUMBER(gateway_settings.api_rate, 0, UNLIMITED_MOST, 300),
     HELP(.help = "API calls a minute and address, 0 for no limit")},
    {.name = "login.tries",
     FIELD_NUMBER(gateway_settings.login_tries, 0, 100, 5),
     HELP(.help = "wrong passwords or codes of one address for one name that are free, 0 for no limit; ten times as "
                  "many of all addresses")},
    {.name = "login.backoff",
     FIELD_NUMBER(gateway_settings.login_backoff, 1, 900, 2),
     HELP(.help = "seconds to wait after those, doubled by each further one up to 900 s, or 15 s for the sake of other "
                  "addresses")},
    {.name = "http.header_timeout",
     FIELD_NUMBER(gateway_settings.header_timeout, 1, 3600, 10),
     HELP(.help = "seconds for the head of a request")},
    {.name = "http.body_timeout",
     FIELD_NUMBER(gateway_settings.body_timeout, 1, 3600, 20),
     HELP(.help = "seconds for the body of a request, and for taking the reply")},
    {.name = "http.idle_timeout",
     FIELD_NUMBER(gateway_settings.idle_timeout, 1, 86400, 60),
     HELP(.help = "seconds that a connection may wait for its next request")},
    {.name = "http.origins",
     FIELD_TEXT(gateway_settings.origins, "", NULL),
     HELP(.help = "foreign origins that may call, separated by commas")},
    {.name = "http.names",
     FIELD_TEXT(gateway_settings.names, "", NULL),
     HELP(.help = "names beside our own that the Host field may have, separated by commas")},
    {.name = "http.redirect",
     FIELD_BOOL(https_settings.redirect, 0),
     HELP(.help = "1 leads plain requests to HTTPS, all but those for /healthz")},
    {.name = "http.hsts",
     FIELD_NUMBER(https_settings.hsts, 0, 63072000, 0),
     HELP(.help = "seconds that browsers shall insist on HTTPS, 0 for not at all")},
    {.name = "https.enabled",
     FIELD_BOOL(https_settings.enabled, 1),
     HELP(.help = "0 turns HTTPS off; counts from the next start")},
    {.name = "https.port",
     FIELD_NUMBER(https_settings.port, 1, 65535, HTTPS_PORT),
     HELP(.help = "the port by which people reach HTTPS, for redirects")},
    {.name = "tls.handshake_timeout",
     FIELD_NUMBER(net_tls_settings.handshake_timeout, 1, 600, 10),
     HELP(.help = "seconds from a connection to an open TLS session")},
    {.name = "dev.echo_code",
     FIELD_BOOL(codes_settings.echo, 0),
     HELP(.help = "1 shows verification codes in replies and on the console: for development only")},
    {.name = "net.per_address",
     FIELD_NUMBER(net_settings.per_address, 0, UNLIMITED_MOST, 32),
     HELP(.help = "connections of one address, 0 for no limit")},
    {.name = "net.address",
     FIELD_TEXT(net_settings.address, "", check_prefix),
     HELP(.help = "our IPv4 address and the length of its prefix; empty or dhcp asks DHCP for one, and with nobody "
                  "answering "
                  "takes one of 169.254.0.0/16; counts from the next start")},
    {.name = "net.gateway",
     FIELD_TEXT(net_settings.gateway, "", check_address),
     HELP(.help = "the router's IPv4 address, or empty for DHCP's; counts from the next start")},
    {.name = "net.dns",
     FIELD_TEXT(net_settings.dns, "", check_address),
     HELP(.help = "the name server's IPv4 address, or empty for DHCP's; counts from the next start")},
    {.name = "net.name",
     FIELD_TEXT(net_settings.name, "pipit", check_label),
     HELP(.help = "our host name, for DHCP, for NAME.local and in Host; counts from the next start")},
    {.name = "net.mdns",
     FIELD_BOOL(net_settings.mdns, 1),
     HELP(.help = "0 keeps NAME.local and the web server from mDNS; counts from the next start")},
    {.name = "net.sntp",
     FIELD_TEXT(net_settings.sntp, "pool.ntp.org", check_server),
     HELP(.help =
              "a time server's name or address, asked after those that DHCP names; empty asks nobody; counts from the "
              "next start")},
    {.name = "verify.cooldown",
     FIELD_NUMBER(codes_settings.cooldown, 0, 86400, 60),
     HELP(.help = "seconds before an email may ask for another code")},
    {.name = "verify.ttl",
     FIELD_NUMBER(codes_settings.ttl, 1, 86400, 180),
     HELP(.help = "seconds that a verification code is good for")},
    {.name = "verify.tries",
     FIELD_NUMBER(codes_settings.tries, 1, 1000, 5),
     HELP(.help = "wrong tries after which a verification code is void")},
    {.name = "mail.budget",
     FIELD_NUMBER(verify_settings.budget, 0, UNLIMITED_MOST, 120),
     HELP(.help = "verification codes an hour in all, 0 for no limit")},
    {.name = "mail.per_address",
     FIELD_NUMBER(gateway_settings.code_rate, 0, UNLIMITED_MOST, 20),
     HELP(.help = "verification codes an hour for one caller's address, 0 for no limit")},
    {.name = "mail.host",
     FIELD_TEXT(mail_settings.host, "", check_host),
     HELP(.help = "the mail relay's name or address; empty for none")},
    {.name = "mail.port",
     FIELD_NUMBER(mail_settings.port, 0, 65535, 0),
     HELP(.help = "its port; 0 for 25, 587 or 465, as mail.tls has it")},
    {.name = "mail.tls",
     FIELD_CHOICE(mail_settings.tls, tls_modes, SMTP_TLS_STARTTLS),
     HELP(.help = "how the way to the relay is encrypted")},
    {.name = "mail.user",
     FIELD_TEXT(mail_settings.user, "", NULL),
     HELP(.help = "the user name at the relay; empty for none")},
    {.name = "mail.password", FIELD_SECRET(mail_settings.password), HELP(.help = "the password at the relay")},
    {.name = "mail.from",
     FIELD_TEXT(mail_settings.from, "", check_email),
     HELP(.help = "the sender's address; empty for mail.user, when that is one")},
    {.name = "mail.subject",
     FIELD_TEXT(verify_settings.subject, "Your Pipit verification code", check_utf8),
     HELP(.help = "the subject of a mail with a code")},
    {.name = "mail.ca",
     FIELD_TEXT(mail_settings.ca, "", NULL),
     HELP(.help = "the file with the certificates to trust (PEM), such as a distribution's bundle")},
    {.name = "mail.verify",
     FIELD_BOOL(mail_settings.verify, 1),
     HELP(.help = "0 takes any certificate of the relay's: whoever is on the way can read the mails and the password")},
    {.name = "mail.insecure_auth",
     FIELD_BOOL(mail_settings.insecure_auth, 0),
     HELP(.help = "1 shows the password to the relay over an unencrypted connection too")},
    {.name = "mail.timeout",
     FIELD_NUMBER(mail_settings.timeout, 1, 600, 60),
     HELP(.help = "seconds that the relay may take for one step")},
    {.name = "verify.target",
     FIELD_TEXT(verify_client_settings.target, VERIFY_CLIENT_OWN, rpc_check_target),
     HELP(.help = "where the gate finds the verify service, HOST:PORT")},
    {.name = "status.target",
     FIELD_TEXT(status_client_settings.target, RPC_OWN_TARGET, rpc_check_target),
     HELP(.help = "where the gate finds the status service, HOST:PORT")},
    {.name = "status.nodes",
     FIELD_TEXT(nodes_settings.list, "", nodes_check),
     HELP(.help = "chat nodes among which logins are spread, HOST:PORT or \"this\", separated by commas; empty for "
                  "this one")},
    {.name = "status.ttl",
     FIELD_NUMBER(status_settings.ttl, 1, 31536000, 86400),
     HELP(.help = "seconds that a login's token is good for; until then it can be renewed")},
    {.name = "status.max_age",
     FIELD_NUMBER(status_settings.max_age, 0, 31536000, 2592000),
     HELP(.help = "seconds after a login when even a renewed token ends, 0 for no limit")},
    {.name = "rpc.listen",
     FIELD_CHOICE(rpc_settings.listen_any, scopes, 0),
     HELP(.help = "who may call the verify and the status service; any needs rpc.secret; counts from the next start")},
    {.name = "rpc.tls",
     FIELD_BOOL(rpc_settings.tls, 0),
     HELP(.help = "1 takes calls from other machines over TLS alone; counts from the next start")},
    {.name = "rpc.secret",
     FIELD_SECRET(rpc_settings.secret),
     HELP(.help = "what callers must show with rpc.listen=any, and what the gate shows")},
    {.name = "rpc.timeout",
     FIELD_NUMBER(rpc_settings.timeout, 1, 600, 15),
     HELP(.help = "seconds that the gate waits for the verify and the status service")},
    {.name = "rpc.interop",
     FIELD_BOOL(interop_settings.enabled, 0),
     HELP(.help = "1 serves grpc.testing.TestService too, where it is linked")},
    {.name = "tls.days",
     FIELD_NUMBER(tls_identity_settings.days, 1, 3650, 397),
     HELP(.help = "days that a certificate which the device makes itself is good for; renewed before they are over")},
    {.name = "ws.ping",
     FIELD_NUMBER(hub_settings.ping, 1, 3600, 25),
     HELP(.help = "seconds between pings to a chat client")},
    {.name = "ws.stall",
     FIELD_NUMBER(hub_settings.stall, 1, 3600, 30),
     HELP(.help = "seconds that a chat client may accept nothing before it is closed")},
    {.name = "log.level",
     FIELD_CHOICE(log_threshold, levels, LOG_INFO),
     HELP(.help = "the least important lines that are logged")},
    {.name = "log.host",
     FIELD_TEXT(syslog_settings.host, "", syslog_check),
     HELP(.help = "the name or address of a syslog server that gets the log too (RFC 5424 over UDP); empty for none")},
    {.name = "log.port", FIELD_NUMBER(syslog_settings.port, 1, 65535, 514), HELP(.help = "its port")},
};

#define KEY_COUNT    (sizeof keys / sizeof keys[0])
#define KEY_NAME_MAX CONFIG_NAME

static uint32_t was_set[(KEY_COUNT + 31) / 32]; // a bit for each
static const char secret_set[] = "(set)", secret_unset[] = "(unset)";

int config_find(struct span key)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (span_equal(key, span_of(keys[i].name)))
            return (int)i;
    return -1;
}

const char *config_name(size_t index)
{
    return index < KEY_COUNT ? keys[index].name : NULL;
}

bool config_is_secret(size_t index)
{
    return keys[index].type == CONFIG_SECRET;
}

/// Did you mean ///

// Edits (insert, delete, replace a byte) that turn `a` into `name`: Levenshtein's distance, row by row.
static uint32_t edits(struct span a, const char *name)
{
    uint32_t row[KEY_NAME_MAX + 1];
    size_t width = strlen(name);
    for (uint32_t j = 0; j <= width; j++)
        row[j] = j;
    for (uint32_t i = 0; i < a.length; i++) {
        uint32_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            uint32_t replaced = diagonal + (a.at[i] != name[j]);
            diagonal = row[j + 1];
            uint32_t shifted = (row[j] < diagonal ? row[j] : diagonal) + 1;
            row[j + 1] = replaced < shifted ? replaced : shifted;
        }
    }
    return row[width];
}

// True for what somebody may type who forgets one half: "chat" or "rate" for "chat.rate".
static bool half_of(struct span a, const char *name)
{
    struct span what = span_of(name);
    struct span owner = span_cut(&what, '.');
    return a.length > 0 && (span_equal(a, what) || span_equal(a, owner));
}

// The key that was most likely meant, or NULL when none is near.
static const char *nearest(struct span key)
{
    const char *best = NULL;
    uint32_t least = 4; // three edits away is still a guess
    if (key.length < 3 || key.length > KEY_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        uint32_t n = edits(key, keys[i].name);
        if (half_of(key, keys[i].name))
            n = 1;
        if (n < least) {
            least = n;
            best = keys[i].name;
        }
    }
    return best;
}

// Somebody else's bytes in a sentence on a terminal: no control bytes, and not too many.
static void quote(struct text *out, struct span s)
{
    for (size_t i = 0; i < s.length && i < KEY_NAME_MAX; i++)
        text_byte(out, s.at[i] > 0x20 && s.at[i] < 0x7f ? s.at[i] : '?');
    if (s.length > KEY_NAME_MAX)
        text_string(out, "...");
}

static bool refuse_key(struct span key, struct text *why)
{
    text_string(why, "There is no key ");
    quote(why, key);
    const char *meant = nearest(key);
    if (meant != NULL)
        text_format(why, "; did you mean %s?", meant);
    else
        text_byte(why, '.');
    return false;
}

/// Values ///

static const char *check_address(struct span value)
{
    uint32_t address;
    return value.length == 0 || net_address_read(value, &address) ? NULL : "be an IPv4 address like 10.0.2.2, or empty";
}

// Without a prefix length it is 24; without an address there is none.
static const char *check_prefix(struct span value)
{
    uint64_t length = 24;
    uint32_t address;
    struct span prefix = value;
    struct span host = span_cut(&prefix, '/');
    bool has_prefix = host.length < value.length;
    if (value.length == 0 || span_equal_nocase(value, span_of("dhcp")) ||
        (net_address_read(host, &address) && (!has_prefix || span_number(prefix, 32, &length))))
        return NULL;
    return "be an IPv4 address with the length of its prefix, like 10.0.2.15/24, or dhcp";
}

// RFC 952 with RFC 1123 section 2.1: letters, digits and hyphens, none of these at an end.
static const char *check_label(struct span value)
{
    bool good = value.length > 0 && value.at[0] != '-' && value.at[value.length - 1] != '-';
    for (size_t i = 0; i < value.length; i++) {
        char c = span_fold(value.at[i]);
        good &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return good ? NULL : "be letters, digits and hyphens, with no hyphen at an end";
}

// A colon would be the beginning of a port.
static bool is_host(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~' || strchr(":/@[]<>\"\\", value.at[i]) != NULL)
            return false;
    return true;
}

static const char *check_host(struct span value)
{
    return is_host(value) ? NULL : "be a name or an IPv4 address; the port is mail.port";
}

static const char *check_server(struct span value)
{
    return is_host(value) ? NULL : "be a name or an IPv4 address, or empty";
}

static const char *check_email(struct span value)
{
    return value.length == 0 || users_check_email(value) == NULL ? NULL : "be an email address, or empty";
}

static const char *check_utf8(struct span value)
{
    return utf8_valid(value) ? NULL : "be UTF-8";
}

static bool has_control_bytes(struct span s)
{
    for (size_t i = 0; i < s.length; i++)
        if ((uint8_t)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return true;
    return false;
}

static bool set_number(const struct config_key *key, struct span value, struct text *why)
{
    uint64_t number;
    if (!span_number(value, key->most, &number) || number < key->least) {
        text_format(why, "%s must be a number from %u to %u.", key->name, (unsigned)key->least, (unsigned)key->most);
        return false;
    }
    *key->number = (uint32_t)number;
    return true;
}

static bool set_bool(const struct config_key *key, struct span value, struct text *why)
{
    uint64_t number;
    if (!span_number(value, 1, &number)) {
        text_format(why, "%s must be 0 or 1.", key->name);
        return false;
    }
    *key->number = (uint32_t)number;
    return true;
}

// "error, warning, info or debug"
static void list_choices(const struct config_key *key, struct text *out)
{
    for (uint32_t i = 0; i <= key->most; i++) {
        if (i > 0)
            text_string(out, i == key->most ? " or " : ", ");
        text_string(out, key->choices[i]);
    }
}

static bool set_choice(const struct config_key *key, struct span value, struct text *why)
{
    uint64_t number;
    bool known = span_number(value, key->most, &number);
    for (uint32_t i = 0; !known && i <= key->most; i++) {
        number = i;
        known = span_equal_nocase(value, span_of(key->choices[i]));
    }
    if (!known) {
        text_format(why, "%s must be ", key->name);
        list_choices(key, why);
        text_format(why, " (or their numbers, 0 to %u).", (unsigned)key->most);
        return false;
    }
    *key->number = (uint32_t)number;
    return true;
}

static bool set_text(const struct config_key *key, struct span value, struct text *why)
{
    const char *wrong = NULL;
    if (value.length >= key->size || has_control_bytes(value)) {
        text_format(why, "%s must be a text of at most %u bytes without control characters.", key->name,
                    key->size - 1u);
        return false;
    }
    if (key->check != NULL)
        wrong = key->check(value);
    if (wrong != NULL) {
        text_format(why, "%s must %s.", key->name, wrong);
        return false;
    }
    // The whole field: a shorter secret leaves nothing of the longer one.
    memset(key->text, 0, key->size);
    if (value.length > 0)
        memcpy(key->text, value.at, value.length);
    return true;
}

// What config_show() writes in a secret's place can be read again: it leaves the secret as it is, or takes it away.
static bool set_secret(const struct config_key *key, struct span value, struct text *why)
{
    if (span_equal(value, span_of(secret_set)))
        return true;
    return set_text(key, span_equal(value, span_of(secret_unset)) ? (struct span){NULL, 0} : value, why);
}

static bool set_value(const struct config_key *key, struct span value, struct text *why)
{
    switch ((enum config_type)key->type) {
    case CONFIG_NUMBER:
        return set_number(key, value, why);
    case CONFIG_BOOL:
        return set_bool(key, value, why);
    case CONFIG_CHOICE:
        return set_choice(key, value, why);
    case CONFIG_SECRET:
        return set_secret(key, value, why);
    case CONFIG_TEXT:
        break;
    }
    return set_text(key, value, why);
}

bool config_set(struct span name, struct span value, struct text *why)
{
    int index = config_find(name);
    if (index < 0)
        return refuse_key(name, why);
    bool good = set_value(&keys[index], value, why);
    if (good)
        was_set[index / 32] |= 1u << index % 32;
    return good;
}

bool config_preset(struct span name, struct span value, struct text *why)
{
    int index = config_find(name);
    return index < 0 ? refuse_key(name, why) : set_value(&keys[index], value, why);
}

bool config_was_set(struct span name)
{
    int index = config_find(name);
    return index >= 0 && (was_set[index / 32] >> index % 32 & 1) != 0;
}

/// Defaults ///

static void set_default(const struct config_key *key)
{
    switch ((enum config_type)key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
    case CONFIG_CHOICE:
        *key->number = key->initial;
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        memset(key->text, 0, key->size);
        memcpy(key->text, key->first, strlen(key->first));
        break;
    }
}

static bool has_default(const struct config_key *key)
{
    bool is_text = key->type == CONFIG_TEXT || key->type == CONFIG_SECRET;
    return is_text ? strcmp(key->text, key->first) == 0 : *key->number == key->initial;
}

bool config_is_default(struct span name)
{
    int index = config_find(name);
    return index >= 0 && has_default(&keys[index]);
}

void config_defaults(void)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        set_default(&keys[i]);
    memset(was_set, 0, sizeof was_set);
}

bool config_unset(struct span key)
{
    int index = config_find(key);
    if (index >= 0)
        set_default(&keys[index]);
    return index >= 0;
}

/// What is kept ///

static bool is_text(const struct config_key *key)
{
    return key->type == CONFIG_TEXT || key->type == CONFIG_SECRET;
}

static size_t field_size(const struct config_key *key)
{
    return is_text(key) ? key->size : sizeof *key->number;
}

static void *field_of(const struct config_key *key)
{
    return is_text(key) ? (void *)key->text : (void *)key->number;
}

static bool explain_flash(enum records_error error, struct text *why)
{
    if (error == RECORDS_OK || error == RECORDS_NONE)
        return true;
    text_string(why, error == RECORDS_FULL
                         ? "There is no more room for settings in the flash memory; nothing was changed."
                         : "The flash memory failed; nothing was changed.");
    return false;
}

// As it is now: a choice by its number, and a secret itself.
static bool keep_field(const struct config_key *key, struct text *why)
{
    char number[12];
    struct text t = text_in(number, sizeof number);
    if (is_text(key))
        return explain_flash(journal_keep_setting(span_of(key->name), span_of(key->text)), why);
    text_format(&t, "%u", (unsigned)*key->number);
    return explain_flash(journal_keep_setting(span_of(key->name), text_whole(&t)), why);
}

bool config_keep(struct span name, struct span value, struct text *why)
{
    int index = config_find(name);
    if (index < 0)
        return refuse_key(name, why);
    const struct config_key *key = &keys[index];
    uint32_t was = was_set[index / 32];
    void *old = scratch_take(field_size(key));
    memcpy(old, field_of(key), field_size(key));
    bool good = config_set(name, value, why) && keep_field(key, why);
    if (!good) {
        memcpy(field_of(key), old, field_size(key));
        was_set[index / 32] = was;
    }
    mbedtls_platform_zeroize(old, field_size(key)); // it may have been a secret
    scratch_give(old);
    return good;
}

bool config_forget(struct span name, struct text *why)
{
    int index = config_find(name);
    if (index < 0)
        return refuse_key(name, why);
    if (!explain_flash(journal_keep_unset(span_of(keys[index].name)), why))
        return false;
    set_default(&keys[index]);
    return true;
}

static void recall(struct span name, struct span value)
{
    char buffer[160];
    struct text why = text_in(buffer, sizeof buffer);
    if (!config_set(name, value, &why))
        log_line(LOG_WARNING, "config", "a kept setting is left out: %s", text_end(&why));
}

void config_recall(void)
{
    if (records_started())
        journal_settings(recall);
}

/// A file ///

// Empty lines and comments say nothing and are right.
static bool read_line(struct span line, struct text *why)
{
    line = span_trim(line);
    if (line.length == 0 || line.at[0] == '#')
        return true;
    if (memchr(line.at, '=', line.length) == NULL) {
        text_string(why, "It must read \"key = value\".");
        return false;
    }
    struct span key = span_cut(&line, '=');
    return config_set(span_trim(key), span_trim(line), why);
}

bool config_read(struct span file, struct text *why)
{
    for (unsigned number = 1; file.length > 0; number++) {
        char buffer[192];
        struct text reason = text_in(buffer, sizeof buffer);
        if (read_line(span_cut(&file, '\n'), &reason))
            continue;
        text_format(why, "Line %u: ", number);
        text_span(why, text_whole(&reason));
        return false;
    }
    return true;
}

/// Showing ///

bool config_show(size_t index, struct text *out)
{
    if (index >= KEY_COUNT)
        return false;
    const struct config_key *key = &keys[index];
    text_format(out, "%s = ", key->name);
    switch ((enum config_type)key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
        text_format(out, "%u", (unsigned)*key->number);
        break;
    case CONFIG_CHOICE:
        text_string(out, key->choices[*key->number]);
        break;
    case CONFIG_TEXT:
        text_string(out, key->text);
        break;
    case CONFIG_SECRET:
        text_string(out, key->text[0] != '\0' ? secret_set : secret_unset);
        break;
    }
    return true;
}

// "1 to 3600", "error, warning, info or debug"
static void show_range(const struct config_key *key, struct text *out)
{
    switch ((enum config_type)key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
        text_format(out, key->type == CONFIG_BOOL ? "%u or %u" : "%u to %u", (unsigned)key->least, (unsigned)key->most);
        break;
    case CONFIG_CHOICE:
        list_choices(key, out);
        break;
    case CONFIG_TEXT:
        text_string(out, "text");
        break;
    case CONFIG_SECRET:
        text_string(out, "secret text");
        break;
    }
}

static void show_default(const struct config_key *key, struct text *out)
{
    text_string(out, "default ");
    switch ((enum config_type)key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
        text_format(out, "%u", (unsigned)key->initial);
        break;
    case CONFIG_CHOICE:
        text_string(out, key->choices[key->initial]);
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        text_string(out, key->first[0] != '\0' ? key->first : "empty");
        break;
    }
}

void config_range(size_t index, struct text *out)
{
    const struct config_key *key = &keys[index];
    show_range(key, out);
    text_string(out, "; ");
    if (has_default(key))
        text_string(out, "the default");
    else
        show_default(key, out);
}

HELP(const char *config_meaning(size_t index) { return keys[index].help; })

bool config_help(size_t index, struct text *out)
{
    if (index >= KEY_COUNT)
        return false;
    const struct config_key *key = &keys[index];
    text_format(out, "%s (", key->name);
    show_range(key, out);
    if (key->type != CONFIG_SECRET) {
        text_string(out, ", ");
        show_default(key, out);
    }
    text_string(out, "): ");
    HELP(text_string(out, key->help);)
    return true;
}
