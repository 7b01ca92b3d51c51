#include "utf8.h"
#include <string.h>

// The rows of RFC 3629 section 4 (UTF8-octets) that are longer than a byte. `low` and `high` bound the second byte:
// that is where overlong forms (E0, F0), surrogates (ED) and what lies above U+10FFFF (F4) are kept out. All later
// bytes are 80..BF.
static const struct {
    uint8_t first, last; // lead bytes of this row
    uint8_t needed;      // continuation bytes behind them
    uint8_t low, high;
} rows[] = {
    {0xC2, 0xDF, 1, 0x80, 0xBF}, {0xE0, 0xE0, 2, 0xA0, 0xBF}, {0xE1, 0xEC, 2, 0x80, 0xBF}, {0xED, 0xED, 2, 0x80, 0x9F},
    {0xEE, 0xEF, 2, 0x80, 0xBF}, {0xF0, 0xF0, 3, 0x90, 0xBF}, {0xF1, 0xF3, 3, 0x80, 0xBF}, {0xF4, 0xF4, 3, 0x80, 0x8F},
};

static bool lead(struct utf8 *u, uint8_t byte)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (byte >= rows[i].first && byte <= rows[i].last) {
            *u = (struct utf8){.needed = rows[i].needed, .low = rows[i].low, .high = rows[i].high};
            return true;
        }
    return byte < 0x80;
}

static bool continuation(struct utf8 *u, uint8_t byte)
{
    if (byte < u->low || byte > u->high)
        return false;
    u->needed--;
    u->low = 0x80;
    u->high = 0xBF;
    return true;
}

// Bytes of ASCII at the start, in whole words only: most chat is nothing else.
static size_t ascii_words(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    for (uint32_t word; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        if (word & 0x80808080u)
            break;
    }
    return at;
}

bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        if (u->needed == 0)
            at += ascii_words(bytes + at, length - at);
        if (at == length)
            break;
        if (!(u->needed > 0 ? continuation(u, bytes[at]) : lead(u, bytes[at])))
            return false;
        at++;
    }
    return true;
}

bool utf8_complete(const struct utf8 *u)
{
    return u->needed == 0;
}

bool utf8_valid(struct span s)
{
    struct utf8 u = {0};
    return utf8_feed(&u, (const uint8_t *)s.at, s.length) && utf8_complete(&u);
}
