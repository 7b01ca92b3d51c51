#include "span.h"
#include <string.h>

struct span span_of(const char *string)
{
    return (struct span){string, strlen(string)};
}

bool span_equal(struct span a, struct span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

char span_fold(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (span_fold(a.at[i]) != span_fold(b.at[i]))
            return false;
    return true;
}

bool span_starts(struct span whole, struct span prefix)
{
    return whole.length >= prefix.length && span_equal((struct span){whole.at, prefix.length}, prefix);
}

bool span_starts_nocase(struct span whole, struct span prefix)
{
    return whole.length >= prefix.length && span_equal_nocase((struct span){whole.at, prefix.length}, prefix);
}

struct span span_behind(struct span s, size_t n)
{
    return (struct span){s.at + n, s.length - n};
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
    while (s.length > 0 && blank(s.at[0])) {
        s.at++;
        s.length--;
    }
    while (s.length > 0 && blank(s.at[s.length - 1]))
        s.length--;
    return s;
}

struct span span_cut(struct span *rest, char mark)
{
    const char *found = rest->length == 0 ? NULL : memchr(rest->at, mark, rest->length);
    struct span before = *rest;
    if (found == NULL) {
        *rest = (struct span){rest->at == NULL ? NULL : rest->at + rest->length, 0};
        return before;
    }
    before.length = (size_t)(found - rest->at);
    rest->at = found + 1;
    rest->length -= before.length + 1;
    return before;
}

bool span_number(struct span s, uint64_t most, uint64_t *value)
{
    uint64_t n = 0;
    if (s.length == 0)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.at[i] - '0');
        if (n > (most - (digit > most ? most : digit)) / 10 || digit > most)
            return false;
        n = n * 10 + digit;
    }
    *value = n;
    return true;
}

bool span_equal_secret(struct span a, struct span b)
{
    uint8_t difference = (uint8_t)(a.length != b.length);
    for (size_t i = 0; i < a.length && i < b.length; i++)
        difference |= (uint8_t)(a.at[i] ^ b.at[i]);
    return difference == 0;
}
