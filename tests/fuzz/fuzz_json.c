// Fuzzes the way of a request's body: json_parse() and the fields that are looked up. The body lies in a block of its
// own, so AddressSanitizer sees a byte too far. What was accepted must stay so with white space around it, and must not
// with its last brace gone or with anything behind it.
#include "../../services/gateway/json.h"
#include "../../services/proto/utf8.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"user", "email", "password", "code", "", "a"};
#define NAMES (sizeof names / sizeof names[0])

static void require(bool holds)
{
    if (!holds)
        abort();
}

static enum json_error parse_copy(const char *before, struct span body, const char *behind)
{
    size_t front = strlen(before), back = strlen(behind), length = front + body.length + back;
    char *copy = malloc(length + (length == 0));
    require(copy != NULL);
    memcpy(copy, before, front);
    if (body.length > 0)
        memcpy(copy + front, body.at, body.length);
    memcpy(copy + front + body.length, behind, back);
    enum json_error error = json_parse((struct span){copy, length});
    free(copy); // what is looked up later lies in the arena
    return error;
}

static void require_fields(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        struct span value = {NULL, 0};
        if (json_string(names[i], &value) != JSON_OK)
            continue;
        require(utf8_valid(value));
        require(value.length == 0 || memchr(value.at, '\0', value.length) == NULL);
    }
}

static void require_nothing(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        struct span value;
        require(json_string(names[i], &value) == JSON_MISSING);
    }
}

static void require_strict(struct span body)
{
    struct span trimmed = span_trim(body);
    require(trimmed.at[0] == '{' && trimmed.at[trimmed.length - 1] == '}');
    require(parse_copy(" \t", trimmed, "\r\n ") == JSON_OK);
    require(parse_copy("", trimmed, "x") == JSON_MALFORMED);
    require(parse_copy("", trimmed, "{}") == JSON_MALFORMED);
    require(parse_copy("[", trimmed, "]") != JSON_OK); // one value more may be too many
    trimmed.length--;
    require(parse_copy("", trimmed, "") != JSON_OK);
    require_nothing();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size > HTTP_BODY)
        return 0;
    if (parse_copy("", body, "") == JSON_OK) {
        require_fields();
        require_strict(body);
    }
    require_fields();
    json_forget();
    require_nothing();
    require(json_high_water() <= JSON_ARENA);
    return 0;
}
