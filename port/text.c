#include "text.h"
#include <string.h>

struct text text_in(char *buffer, size_t size)
{
    return (struct text){.at = buffer, .size = size};
}

struct text text_count(void)
{
    return (struct text){.size = SIZE_MAX};
}

void text_byte(struct text *t, char byte)
{
    if (t->length == t->size) {
        t->cut = true;
        return;
    }
    if (t->at != NULL)
        t->at[t->length] = byte;
    t->length++;
}

void text_span(struct text *t, struct span s)
{
    size_t fits = t->size - t->length;
    size_t n = s.length < fits ? s.length : fits;
    if (n > 0 && t->at != NULL)
        memcpy(t->at + t->length, s.at, n);
    t->length += n;
    t->cut = t->cut || n < s.length;
}

void text_string(struct text *t, const char *s)
{
    text_span(t, span_of(s));
}

static void text_number(struct text *t, uint64_t value, unsigned base, unsigned width)
{
    char digits[20];
    unsigned n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    for (; width > n; width--)
        text_byte(t, '0');
    while (n > 0)
        text_byte(t, digits[--n]);
}

/// Formatting ///

// One conversion of a format: what stands between '%' and its letter.
struct conversion {
    unsigned width;     // of a number, zero-padded
    bool precise;       // ".*": a string's length comes as an argument
    unsigned long_size; // 0 int, 1 long, 2 long long, 3 size_t
};

static const char *conversion_read(const char *f, struct conversion *c)
{
    *c = (struct conversion){0};
    for (; *f >= '0' && *f <= '9'; f++)
        c->width = c->width * 10 + (unsigned)(*f - '0');
    if (f[0] == '.' && f[1] == '*') {
        c->precise = true;
        f += 2;
    }
    for (; *f == 'l'; f++)
        c->long_size++;
    if (*f == 'z') {
        c->long_size = 3;
        f++;
    }
    return f;
}

static uint64_t unsigned_argument(const struct conversion *c, va_list *arguments)
{
    switch (c->long_size) {
    case 0:
        return va_arg(*arguments, unsigned);
    case 1:
        return va_arg(*arguments, unsigned long);
    case 2:
        return va_arg(*arguments, unsigned long long);
    default:
        return va_arg(*arguments, size_t);
    }
}

static int64_t signed_argument(const struct conversion *c, va_list *arguments)
{
    switch (c->long_size) {
    case 0:
        return va_arg(*arguments, int);
    case 1:
        return va_arg(*arguments, long);
    default:
        return va_arg(*arguments, long long);
    }
}

static void text_signed(struct text *t, int64_t value, unsigned width)
{
    if (value < 0)
        text_byte(t, '-');
    text_number(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, width);
}

static void text_string_argument(struct text *t, const struct conversion *c, va_list *arguments)
{
    int length = c->precise ? va_arg(*arguments, int) : -1;
    const char *s = va_arg(*arguments, const char *);
    struct span argument = length < 0 ? span_of(s) : (struct span){s, (size_t)length};
    if (t->escapes)
        text_escaped(t, argument);
    else
        text_span(t, argument);
}

void text_vformat(struct text *t, const char *format, va_list arguments)
{
    va_list left;
    va_copy(left, arguments);
    for (const char *f = format; *f != '\0'; f++) {
        if (*f != '%') {
            text_byte(t, *f);
            continue;
        }
        struct conversion c;
        f = conversion_read(f + 1, &c);
        switch (*f) {
        case 's':
            text_string_argument(t, &c, &left);
            break;
        case 'c':
            text_byte(t, (char)va_arg(left, int));
            break;
        case 'd':
            text_signed(t, signed_argument(&c, &left), c.width);
            break;
        case 'u':
            text_number(t, unsigned_argument(&c, &left), 10, c.width);
            break;
        case 'x':
            text_number(t, unsigned_argument(&c, &left), 16, c.width);
            break;
        default:
            text_byte(t, *f);
        }
    }
    va_end(left);
}

void text_format(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vformat(t, format, arguments);
    va_end(arguments);
}

/// Encodings ///

void text_hex(struct text *t, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text_number(t, bytes[i], 16, 2);
}

// The letter behind the backslash for the bytes that have a short escape, else 0.
static char short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    default:
        return 0;
    }
}

void text_json(struct text *t, struct span s)
{
    for (size_t i = 0; i < s.length; i++) {
        char escape = short_escape(s.at[i]);
        if (escape != 0) {
            text_byte(t, '\\');
            text_byte(t, escape);
        } else if ((uint8_t)s.at[i] < 0x20) {
            text_format(t, "\\u%04x", (unsigned)s.at[i]);
        } else {
            text_byte(t, s.at[i]);
        }
    }
}

// U+0080 to U+009F are control characters too, and to some terminals so are the bytes 0x80 to 0x9f that belong to no
// character.
void text_escaped(struct text *t, struct span s)
{
    unsigned following = 0; // bytes that the character still has
    for (size_t i = 0; i < s.length; i++) {
        uint8_t c = (uint8_t)s.at[i];
        bool inside = following > 0 && (c & 0xc0) == 0x80;
        following = inside ? following - 1 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        bool control = c < 0x20 || c == 0x7f || (!inside && c >= 0x80 && c < 0xc0);
        if (c == 0xc2 && i + 1 < s.length && (uint8_t)s.at[i + 1] < 0xa0) {
            control = true;
            following = 0;
        }
        if (control) {
            text_string(t, "\\x");
            text_hex(t, &c, 1);
        } else {
            text_byte(t, s.at[i]);
        }
    }
}

struct span text_whole(const struct text *t)
{
    return (struct span){t->at, t->length};
}

const char *text_end(struct text *t)
{
    if (t->length == t->size)
        t->length--;
    t->at[t->length] = '\0';
    return t->at;
}
