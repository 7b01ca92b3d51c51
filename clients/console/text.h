// Text from the wire and text for the wire.
#ifndef CONSOLE_TEXT_H
#define CONSOLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads one character (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF). Returns its length in bytes,
// or 0 when the bytes are not UTF-8. length must not be 0.
size_t text_character(const char *text, size_t length, uint32_t *character);

bool text_is_utf8(const char *text, size_t length);

// Cuts space, tab, CR and LF at both ends, as the server does.
void text_trim(const char **text, size_t *length);

// True when the line's first word is this one.
bool text_has_word(const char *line, size_t length, const char *word);

// Writes text so that a terminal can only print it: C0 controls and DEL as ^X, C1 controls, characters that turn the
// direction of writing around and bytes that are no UTF-8 as U+FFFD, line and paragraph separators as a space. out has
// size bytes and is always terminated; what does not fit is cut at a character. Returns the length.
size_t text_printable(char *out, size_t size, const char *text, size_t length);

#endif
