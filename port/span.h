// A span: bytes that belong to somebody else.
//
// A span points into its owner's buffer and is valid only as long as the owner says. It need not end in NUL.
#ifndef PIPIT_SPAN_H
#define PIPIT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *at;
    size_t length;
};

// The bytes of a NUL-terminated string, without the NUL.
struct span span_of(const char *string);

bool span_equal(struct span a, struct span b);

// Equal when the case of A to Z is ignored; every other byte counts as it is.
bool span_equal_nocase(struct span a, struct span b);

// The byte as span_equal_nocase() sees it: A to Z become a to z.
char span_fold(char byte);

bool span_starts(struct span whole, struct span prefix);
bool span_starts_nocase(struct span whole, struct span prefix);

// Without its first `n` bytes; it has at least as many.
struct span span_behind(struct span s, size_t n);

// Without the space, tab, CR and LF bytes at both ends.
struct span span_trim(struct span s);

// Cuts `rest` at the first `mark`: returns what stood before it and leaves what stood behind it in `rest`.
// Without a mark the whole is returned and `rest` becomes empty.
struct span span_cut(struct span *rest, char mark);

// Reads a decimal number that fills the whole span, without sign or space. False when it is none, or above `most`.
bool span_number(struct span s, uint64_t most, uint64_t *value);

// Equal contents, in a time that depends on the lengths alone: for secrets.
bool span_equal_secret(struct span a, struct span b);

#endif
