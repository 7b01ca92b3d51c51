#include "json.h"
#include "../../port/scratch.h"
#include "../proto/utf8.h"
#include <cJSON.h>
#include <mbedtls/platform_util.h>
#include <string.h>

/// Arena ///

static struct {
    unsigned char *bytes; // JSON_ARENA of them, while something is parsed
    size_t used;
    size_t last; // where the newest block begins
    bool exhausted;
    size_t high_water;
} arena;

_Static_assert(JSON_ARENA <= SCRATCH_BYTES, "a parsed body does not fit the scratch memory");

static void arena_reset(void)
{
    arena.used = 0;
    arena.last = 0;
    arena.exhausted = false;
}

// Takes `size` bytes from offset `at` on, the first with the arena itself, or refuses and remembers that.
static void *arena_take(size_t at, size_t size)
{
    size_t rounded = (size + 7) & ~(size_t)7;
    if (rounded < size || rounded > JSON_ARENA - at) {
        arena.exhausted = true;
        return NULL;
    }
    if (arena.bytes == NULL)
        arena.bytes = scratch_take(JSON_ARENA);
    arena.last = at;
    arena.used = at + rounded;
    if (arena.used > arena.high_water)
        arena.high_water = arena.used;
    return arena.bytes + at;
}

void *json_arena_malloc(size_t size)
{
    return arena_take(arena.used, size);
}

// Only the newest block can grow: no other one's size is known. cJSON asks for this while printing, never while
// parsing.
void *json_arena_realloc(void *old, size_t size)
{
    if (old == NULL)
        return json_arena_malloc(size);
    if (arena.bytes == NULL || old != arena.bytes + arena.last)
        return NULL;
    return arena_take(arena.last, size);
}

// What is not the newest block stays until the next reset.
void json_arena_free(void *old)
{
    if (old != NULL && arena.bytes != NULL && old == arena.bytes + arena.last)
        arena.used = arena.last;
}

uint32_t json_high_water(void)
{
    return (uint32_t)arena.high_water;
}

/// What cJSON lets pass ///

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t digits(struct span s, size_t at)
{
    size_t n = 0;
    while (at + n < s.length && is_digit(s.at[at + n]))
        n++;
    return n;
}

// Length of the number at `at` (RFC 8259 section 6), 0 when it is none: cJSON leaves the grammar to strtod().
static size_t number_length(struct span s, size_t begin)
{
    size_t at = begin + (s.at[begin] == '-' ? 1 : 0);
    size_t whole = digits(s, at);
    if (whole == 0 || (whole > 1 && s.at[at] == '0'))
        return 0;
    at += whole;
    if (at < s.length && s.at[at] == '.') {
        size_t fraction = digits(s, at + 1);
        if (fraction == 0)
            return 0;
        at += 1 + fraction;
    }
    if (at < s.length && (s.at[at] | 0x20) == 'e') {
        at++;
        if (at < s.length && (s.at[at] == '+' || s.at[at] == '-'))
            at++;
        size_t exponent = digits(s, at);
        if (exponent == 0)
            return 0;
        at += exponent;
    }
    return at - begin;
}

double json_skip_number(const char *number, char **end)
{
    struct span s = span_of(number);
    *end = (char *)(uintptr_t)number + (s.length > 0 ? number_length(s, 0) : 0);
    return 0;
}

// Length of the escape whose backslash is at `at`, 0 when it is refused: cJSON takes \uZZZZ for a NUL.
static size_t escape_length(struct span s, size_t at)
{
    if (at + 1 >= s.length)
        return 0;
    if (s.at[at + 1] != 'u')
        return 2;
    if (s.length - at < 6)
        return 0;
    for (size_t i = 2; i < 6; i++) {
        if (!is_hex(s.at[at + i]))
            return 0;
    }
    return memcmp(s.at + at + 2, "0000", 4) == 0 ? 0 : 6;
}

// Length of the string whose opening quote is at `begin`, with both quotes; 0 when it is refused.
static size_t string_length(struct span s, size_t begin)
{
    size_t at = begin + 1;
    while (at < s.length && s.at[at] != '"') {
        if ((unsigned char)s.at[at] < 0x20)
            return 0;
        size_t n = s.at[at] == '\\' ? escape_length(s, at) : 1;
        if (n == 0)
            return 0;
        at += n;
    }
    return at < s.length ? at + 1 - begin : 0;
}

static size_t token_length(struct span s, size_t at)
{
    char c = s.at[at];
    if (c == '"')
        return string_length(s, at);
    if (c == '-' || is_digit(c))
        return number_length(s, at);
    // cJSON skips every byte up to 0x20 as white space; RFC 8259 section 2 knows four.
    bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    bool printable = c > ' ' && c < 0x7f;
    return space || printable ? 1 : 0;
}

static bool tokens_valid(struct span s)
{
    for (size_t at = 0; at < s.length;) {
        size_t n = token_length(s, at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/// Parsing ///

static cJSON *parsed;

static bool name_repeats(const cJSON *item)
{
    for (const cJSON *other = item->next; other != NULL; other = other->next) {
        if (strcmp(item->string, other->string) == 0)
            return true;
    }
    return false;
}

// Recursion is bounded by CJSON_NESTING_LIMIT.
static bool names_unique(const cJSON *whole)
{
    for (const cJSON *item = whole->child; item != NULL; item = item->next) {
        if (cJSON_IsObject(whole) && name_repeats(item))
            return false;
        if (!names_unique(item))
            return false;
    }
    return true;
}

static bool only_space(const char *from, const char *end)
{
    return span_trim((struct span){from, (size_t)(end - from)}).length == 0;
}

enum json_error json_parse(struct span body)
{
    parsed = NULL;
    arena_reset();
    if (body.length == 0 || !utf8_valid(body) || !tokens_valid(body))
        return JSON_MALFORMED;
    const char *end = NULL;
    cJSON *whole = cJSON_ParseWithLengthOpts(body.at, body.length, &end, 0);
    if (whole == NULL)
        return arena.exhausted ? JSON_TOO_MANY : JSON_MALFORMED;
    if (!cJSON_IsObject(whole) || !only_space(end, body.at + body.length) || !names_unique(whole))
        return JSON_MALFORMED;
    parsed = whole;
    return JSON_OK;
}

enum json_error json_string(const char *name, struct span *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parsed, name);
    if (item == NULL)
        return JSON_MISSING;
    if (!cJSON_IsString(item))
        return JSON_WRONG_TYPE;
    *value = span_of(item->valuestring);
    return JSON_OK;
}

void json_forget(void)
{
    parsed = NULL;
    if (arena.bytes == NULL)
        return;
    mbedtls_platform_zeroize(arena.bytes, JSON_ARENA); // also what a body that was refused has left above `used`
    arena_reset();
    scratch_give(arena.bytes);
    arena.bytes = NULL;
}
