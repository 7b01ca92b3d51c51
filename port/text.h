// Text written into a buffer of the caller's: our snprintf, because newlib's drags in malloc.
//
// Everything is appended. What does not fit is cut off and remembered in `cut`; nothing is ever written past the
// buffer, and no NUL is added (text_end() does that).
#ifndef PIPIT_TEXT_H
#define PIPIT_TEXT_H

#include "span.h"
#include <stdarg.h>

struct text {
    char *at;
    size_t size;
    size_t length;
    bool cut;
    bool escapes; // what %s stands for comes from outside: its control characters are written as \x1b
};

struct text text_in(char *buffer, size_t size);

// Counts in `length` what would be written, and writes nothing.
struct text text_count(void);

void text_byte(struct text *t, char byte);
void text_span(struct text *t, struct span s);
void text_string(struct text *t, const char *s);

// Understands %s %.*s %c %d %u %x with the modifiers l, ll and z, a zero-padded width as in %02x, and %%.
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vformat(struct text *t, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

// Lower-case hexadecimal digits, two a byte.
void text_hex(struct text *t, const uint8_t *bytes, size_t length);

// The inside of a JSON string (RFC 8259 section 7): quotes, backslashes and control characters escaped.
// `s` must be valid UTF-8.
void text_json(struct text *t, struct span s);

// What a terminal or a log may be given: control characters (C0, DEL and, in UTF-8 or bare, C1) as \x1b, and the
// backslash as it is.
void text_escaped(struct text *t, struct span s);

// What was written so far.
struct span text_whole(const struct text *t);

// Ends the text with a NUL (over its last byte when full) and returns it as a string.
const char *text_end(struct text *t);

#endif
