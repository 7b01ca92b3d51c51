#include "text.h"

#include <string.h>

static size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

static bool is_in_bounds(uint32_t character, size_t length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool is_surrogate = character >= 0xd800 && character < 0xe000;
    return character >= smallest[length] && character <= 0x10ffff && !is_surrogate;
}

size_t text_character(const char *text, size_t length, uint32_t *character)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t wanted = sequence_length(bytes[0]);
    if (wanted == 0 || wanted > length)
        return 0;
    uint32_t value = wanted == 1 ? bytes[0] : bytes[0] & (0x7fu >> wanted);
    for (size_t i = 1; i < wanted; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3f);
    }
    *character = value;
    return is_in_bounds(value, wanted) ? wanted : 0;
}

bool text_is_utf8(const char *text, size_t length)
{
    uint32_t character;
    for (size_t at = 0, step; at < length; at += step) {
        step = text_character(text + at, length - at, &character);
        if (step == 0)
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void text_trim(const char **text, size_t *length)
{
    while (*length > 0 && is_blank((*text)[*length - 1]))
        --*length;
    while (*length > 0 && is_blank(**text)) {
        ++*text;
        --*length;
    }
}

bool text_has_word(const char *line, size_t length, const char *word)
{
    size_t wanted = strlen(word);
    return length >= wanted && memcmp(line, word, wanted) == 0 && (length == wanted || is_blank(line[wanted]));
}

// U+202E and its like let a message show other words than it has, or reorder what stands after it on the line.
static bool turns_direction(uint32_t c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static size_t show(char *out, const char *text, size_t step, uint32_t c)
{
    if (c < 0x20 || c == 0x7f) {
        out[0] = '^';
        out[1] = (char)(c ^ 0x40);
        return 2;
    }
    if (c == 0x2028 || c == 0x2029) {
        out[0] = ' ';
        return 1;
    }
    if ((c >= 0x80 && c < 0xa0) || turns_direction(c)) {
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    memcpy(out, text, step);
    return step;
}

size_t text_printable(char *out, size_t size, const char *text, size_t length)
{
    size_t written = 0;
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t character = 0;
        char shown[4];
        step = text_character(text + at, length - at, &character);
        size_t width = step > 0 ? show(shown, text + at, step, character) : show(shown, NULL, 0, 0x80);
        step = step > 0 ? step : 1;
        if (written + width >= size)
            break;
        memcpy(out + written, shown, width);
        written += width;
    }
    out[written] = '\0';
    return written;
}
