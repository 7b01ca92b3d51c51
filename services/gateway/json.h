// JSON request bodies (RFC 8259), parsed by cJSON into a static arena.
//
// cJSON needs a node per value and a copy of each string. JSON_ARENA bytes hold a full body of strings in a dozen
// fields (in half a dozen, where memory is short); a body made of many small values runs out and is refused.
//
// There is one arena and one parsed body at a time: json_parse() drops the one before. What is looked up points into
// the arena and is valid until json_forget(), which has to come before anybody returns to the loop, whatever
// json_parse() has said: the arena is scratch memory (port/scratch.h). Callers copy what they need for longer.
//
// Stricter than cJSON: the whole body must be valid UTF-8 (RFC 8259 section 8.1) and one object; no name may come twice
// in an object (section 4 leaves open which one counts, so two readers could disagree); no NUL in any string, written
// \u0000 or plain, because C strings would end there; no control characters in strings, no numbers such as 01 or 1.;
// nothing behind the end; nesting of at most CJSON_NESTING_LIMIT.
#ifndef PIPIT_JSON_H
#define PIPIT_JSON_H

#include "../../app/limits.h"
#include "../../port/span.h"

enum json_error {
    JSON_OK = 0,
    JSON_MALFORMED = -1,  // not an object as described above
    JSON_TOO_MANY = -2,   // more values than the arena holds
    JSON_MISSING = -3,    // json_string(): no such field
    JSON_WRONG_TYPE = -4, // json_string(): there, but not a string
};

// Parses a body. On failure nothing can be looked up.
enum json_error json_parse(struct span body);

// A string field of the parsed object, by its exact name.
enum json_error json_string(const char *name, struct span *value);

// Wipes what was parsed: it held a password.
void json_forget(void);

// The most bytes of the arena that one body has used so far.
uint32_t json_high_water(void);

// cJSON is compiled with malloc, realloc and free renamed to these,
void *json_arena_malloc(size_t size);
void *json_arena_realloc(void *old, size_t size);
void json_arena_free(void *old);

// and strtod to this. No field is a number, so a number's length is all that counts; a C library's strtod
// may have a heap or thread-local storage behind it.
double json_skip_number(const char *number, char **end);

#endif
