#include "config.h"
#include "../port/log.h"
#include "../port/net.h"
#include "../services/echo/echo.h"
#include "../services/gateway/gateway.h"
#include "../services/hub/hub.h"
#include "../services/status/status.h"
#include "../services/verify/verify.h"
#include <string.h>

enum config_type { CONFIG_NUMBER, CONFIG_BOOL, CONFIG_LEVEL, CONFIG_TEXT, CONFIG_SECRET };

// What a text must look like, beside fitting and having no control characters: NULL when it does, else the end of
// the sentence "KEY must ...".
typedef const char *text_check(struct span value);

static text_check check_address, check_prefix;

#define UNLIMITED_MOST 1000000 // keys whose 0 means "no limit" reach at least this far

/// The keys ///

// One row a key, in the order in which they are shown:
//
//     name      as it is written: OWNER.WHAT
//     type      decides which of the next columns count
//     number, least, most, initial    CONFIG_NUMBER and CONFIG_BOOL
//     level, initial                  CONFIG_LEVEL
//     text, size, first, check        CONFIG_TEXT and CONFIG_SECRET; `size` counts the NUL, `first` is the default
//     help      what it does, as the rest of a sentence
struct config_key {
    const char *name;
    enum config_type type;
    uint32_t *number;
    uint32_t least;
    uint32_t most;
    uint32_t initial;
    enum log_level *level;
    char *text;
    size_t size;
    const char *first;
    text_check *check;
    const char *help;
};

#define FIELD_NUMBER(FIELD, LEAST, MOST, INITIAL)                                                                      \
    .type = CONFIG_NUMBER, .number = &(FIELD), .least = (LEAST), .most = (MOST), .initial = (INITIAL)
#define FIELD_BOOL(FIELD, INITIAL)  .type = CONFIG_BOOL, .number = &(FIELD), .most = 1, .initial = (INITIAL)
#define FIELD_LEVEL(FIELD, INITIAL) .type = CONFIG_LEVEL, .level = &(FIELD), .most = LOG_DEBUG, .initial = (INITIAL)
#define FIELD_TEXT(FIELD, FIRST, CHECKED)                                                                              \
    .type = CONFIG_TEXT, .text = (FIELD), .size = sizeof(FIELD), .first = (FIRST), .check = (CHECKED)

static const struct config_key keys[] = {
    {.name = "chat.rate",
     FIELD_NUMBER(hub_settings.rate, 0, UNLIMITED_MOST, 10),
     .help = "messages in 5 s a client, 0 for no limit"},
    {.name = "chat.guests", FIELD_BOOL(gateway_settings.guests, 1), .help = "1 lets people chat without an account"},
    {.name = "chat.echo", FIELD_BOOL(echo_settings.enabled, 0), .help = "1 opens /ws-echo, where it is linked"},
    {.name = "api.rate",
     FIELD_NUMBER(gateway_settings.api_rate, 0, UNLIMITED_MOST, 300),
     .help = "API calls a minute and address, 0 for no limit"},
    {.name = "http.header_timeout",
     FIELD_NUMBER(gateway_settings.header_timeout, 1, 3600, 10),
     .help = "seconds for the head of a request"},
    {.name = "http.body_timeout",
     FIELD_NUMBER(gateway_settings.body_timeout, 1, 3600, 20),
     .help = "seconds for the body of a request, and for taking the reply"},
    {.name = "http.idle_timeout",
     FIELD_NUMBER(gateway_settings.idle_timeout, 1, 86400, 60),
     .help = "seconds that a connection may wait for its next request"},
    {.name = "http.origins",
     FIELD_TEXT(gateway_settings.origins, "", NULL),
     .help = "foreign origins that may call, separated by commas"},
    {.name = "http.names",
     FIELD_TEXT(gateway_settings.names, "", NULL),
     .help = "names beside our own that the Host field may have, separated by commas"},
    {.name = "dev.echo_code",
     FIELD_BOOL(gateway_settings.echo_code, 0),
     .help = "1 shows verification codes in replies and on the console: for development only"},
    {.name = "net.per_address",
     FIELD_NUMBER(gateway_settings.per_address, 0, UNLIMITED_MOST, 32),
     .help = "connections of one address, 0 for no limit"},
    {.name = "net.address",
     FIELD_TEXT(net_settings.address, "10.0.2.15/24", check_prefix),
     .help = "our IPv4 address and the length of its prefix; counts from the next start"},
    {.name = "net.gateway",
     FIELD_TEXT(net_settings.gateway, "10.0.2.2", check_address),
     .help = "the router's IPv4 address, or empty; counts from the next start"},
    {.name = "net.dns",
     FIELD_TEXT(net_settings.dns, "10.0.2.3", check_address),
     .help = "the name server's IPv4 address, or empty; counts from the next start"},
    {.name = "verify.cooldown",
     FIELD_NUMBER(codes_settings.cooldown, 0, 86400, 60),
     .help = "seconds before an email may ask for another code"},
    {.name = "verify.ttl",
     FIELD_NUMBER(codes_settings.ttl, 1, 86400, 180),
     .help = "seconds that a verification code is good for"},
    {.name = "verify.tries",
     FIELD_NUMBER(codes_settings.tries, 1, 1000, 5),
     .help = "wrong tries after which a verification code is void"},
    {.name = "mail.budget",
     FIELD_NUMBER(verify_settings.budget, 0, UNLIMITED_MOST, 120),
     .help = "verification codes an hour in all, 0 for no limit"},
    {.name = "status.ttl",
     FIELD_NUMBER(status_settings.ttl, 60, 31536000, 86400),
     .help = "seconds that a login's token is good for"},
    {.name = "ws.ping", FIELD_NUMBER(hub_settings.ping, 1, 3600, 25), .help = "seconds between pings to a chat client"},
    {.name = "ws.stall",
     FIELD_NUMBER(hub_settings.stall, 1, 3600, 30),
     .help = "seconds that a chat client may accept nothing before it is closed"},
    {.name = "log.level", FIELD_LEVEL(log_threshold, LOG_INFO), .help = "the least important lines that are logged"},
};

#define KEY_COUNT    (sizeof keys / sizeof keys[0])
#define KEY_NAME_MAX 24 // bytes of the longest name

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int config_find(struct span key)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (span_equal(key, span_of(keys[i].name)))
            return (int)i;
    return -1;
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
    if (value.length == 0 || (net_address_read(host, &address) && (!has_prefix || span_number(prefix, 32, &length))))
        return NULL;
    return "be an IPv4 address with the length of its prefix, like 10.0.2.15/24";
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

static bool set_level(const struct config_key *key, struct span value, struct text *why)
{
    uint64_t number;
    bool known = span_number(value, key->most, &number);
    for (uint32_t i = 0; !known && i <= key->most; i++) {
        number = i;
        known = span_equal_nocase(value, span_of(level_names[i]));
    }
    if (!known) {
        text_format(why, "%s must be error, warning, info or debug (or their numbers, 0 to 3).", key->name);
        return false;
    }
    *key->level = (enum log_level)number;
    return true;
}

static bool set_text(const struct config_key *key, struct span value, struct text *why)
{
    const char *wrong = NULL;
    if (value.length >= key->size || has_control_bytes(value)) {
        text_format(why, "%s must be a text of at most %zu bytes without control characters.", key->name,
                    key->size - 1);
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

bool config_set(struct span name, struct span value, struct text *why)
{
    int index = config_find(name);
    if (index < 0)
        return refuse_key(name, why);
    const struct config_key *key = &keys[index];
    switch (key->type) {
    case CONFIG_NUMBER:
        return set_number(key, value, why);
    case CONFIG_BOOL:
        return set_bool(key, value, why);
    case CONFIG_LEVEL:
        return set_level(key, value, why);
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        break;
    }
    return set_text(key, value, why);
}

/// Defaults ///

static void set_default(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
        *key->number = key->initial;
        break;
    case CONFIG_LEVEL:
        *key->level = (enum log_level)key->initial;
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        memset(key->text, 0, key->size);
        memcpy(key->text, key->first, strlen(key->first));
        break;
    }
}

void config_defaults(void)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        set_default(&keys[i]);
}

bool config_unset(struct span key)
{
    int index = config_find(key);
    if (index >= 0)
        set_default(&keys[index]);
    return index >= 0;
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
    switch (key->type) {
    case CONFIG_NUMBER:
    case CONFIG_BOOL:
        text_format(out, "%u", (unsigned)*key->number);
        break;
    case CONFIG_LEVEL:
        text_string(out, level_names[*key->level]);
        break;
    case CONFIG_TEXT:
        text_string(out, key->text);
        break;
    case CONFIG_SECRET:
        text_string(out, key->text[0] != '\0' ? "(set)" : "(unset)");
        break;
    }
    return true;
}

bool config_help(size_t index, struct text *out)
{
    if (index >= KEY_COUNT)
        return false;
    const struct config_key *key = &keys[index];
    text_format(out, "%s (", key->name);
    switch (key->type) {
    case CONFIG_NUMBER:
        text_format(out, "%u to %u, default %u", (unsigned)key->least, (unsigned)key->most, (unsigned)key->initial);
        break;
    case CONFIG_BOOL:
        text_format(out, "0 or 1, default %u", (unsigned)key->initial);
        break;
    case CONFIG_LEVEL:
        text_format(out, "error, warning, info or debug, default %s", level_names[key->initial]);
        break;
    case CONFIG_TEXT:
        text_format(out, "text, default %s", key->first[0] != '\0' ? key->first : "empty");
        break;
    case CONFIG_SECRET:
        text_string(out, "secret text");
        break;
    }
    text_format(out, "): %s", key->help);
    return true;
}
