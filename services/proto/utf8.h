// UTF-8 (RFC 3629) checked byte by byte: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef PIPIT_UTF8_H
#define PIPIT_UTF8_H

#include "../../port/span.h"

// Zero it to begin. 0 again means that the bytes so far end with a whole character.
struct utf8 {
    uint8_t needed; // continuation bytes to come
    uint8_t low;    // bounds of the next continuation byte
    uint8_t high;
};

// False as soon as no continuation of these bytes could be valid; then `u` has to be zeroed before its next use.
bool utf8_feed(struct utf8 *u, const uint8_t *bytes, size_t length);

bool utf8_complete(const struct utf8 *u);

// A whole text at once.
bool utf8_valid(struct span s);

#endif
