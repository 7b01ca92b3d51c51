// What http1.c, http1_start_line.c and http1_text.c share; nobody else includes it.
#ifndef PIPIT_HTTP1_PRIVATE_H
#define PIPIT_HTTP1_PRIVATE_H

#include "http1.h"
#include <string.h>

#define BIT(N)    ((uint16_t)(1u << (N)))
#define COUNT(A)  (sizeof(A) / sizeof((A)[0]))
#define ALL_OF(A) ((uint16_t)(BIT(COUNT(A)) - 1u))

// Why a request is refused. The functions below that return a uint16_t return one of these, or 0 to go on.
enum refusal {
    MALFORMED = 400,
    TARGET_TOO_LONG = 414,
    FIELDS_TOO_LARGE = 431,
    NOT_IMPLEMENTED = 501,
    VERSION_NOT_SUPPORTED = 505,
};

// What the next byte is. This is the parser's one state; `state` is its public summary.
enum position {
    AT_START,
    AT_EMPTY_LF,
    AT_METHOD,
    AT_TARGET,
    AT_ASTERISK_END,
    AT_SCHEME,
    AT_AUTHORITY,
    AT_PATH,
    AT_QUERY,
    AT_VERSION,
    AT_VERSION_LF,
    AT_FIELD,
    AT_NAME,
    AT_BLANK,
    AT_VALUE,
    AT_VALUE_LF,
    AT_FIELDS_LF,
    AT_BODY,
    AT_CHUNK_SIZE,
    AT_CHUNK_BLANK,
    AT_CHUNK_EXTENSION,
    AT_CHUNK_SIZE_LF,
    AT_CHUNK_DATA,
    AT_CHUNK_DATA_CR,
    AT_CHUNK_DATA_LF,
    AT_TRAILER,
    AT_TRAILER_NAME,
    AT_TRAILER_VALUE,
    AT_TRAILER_LF,
    AT_TRAILERS_LF,
    AT_DONE,
    AT_BAD,
};

/// Bytes ///

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool is_one_of(uint8_t c, const char *bytes)
{
    return c != '\0' && strchr(bytes, c) != NULL;
}

// RFC 9110 section 5.6.2
static inline bool is_token(uint8_t c)
{
    return is_letter(c) || is_digit(c) || is_one_of(c, "-_!#$%&'*+.^`|~");
}

// A byte of a field value, RFC 9110 section 5.5: of the control characters the tab alone.
static inline bool is_text(uint8_t c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

// Browsers send some bytes that RFC 3986 wants escaped, such as '|' in a query. They mean nothing to us, so they pass.
static inline bool is_target(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '#';
}

// RFC 3986 section 3.2.2: unreserved, sub-delims, and what a percent escape is made of.
static inline bool is_host(uint8_t c)
{
    return is_letter(c) || is_digit(c) || is_one_of(c, "-._~!$&'()*+,;=%");
}

static inline uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static inline int hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that %XX at the start of `s` stands for, or -1.
static inline int escape_read(struct span s)
{
    if (s.length < 3)
        return -1;
    int high = hex_digit((uint8_t)s.at[1]), low = hex_digit((uint8_t)s.at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// http1.c ///

void http1_go(struct http1 *p, enum position position);
void http1_word_begin(struct http1 *p, uint16_t candidates);
void http1_word_byte(struct http1 *p, const char *const *names, uint8_t c);
unsigned http1_word_found(const struct http1 *p, const char *const *names, unsigned none);
bool http1_keep_byte(struct http1 *p, uint8_t c);
struct span http1_keep_end(const struct http1 *p);

/// http1_start_line.c: one function for each position in the request line ///

uint16_t http1_take_start(struct http1 *p, uint8_t c);
uint16_t http1_take_method(struct http1 *p, uint8_t c);
uint16_t http1_take_target(struct http1 *p, uint8_t c);
uint16_t http1_take_scheme(struct http1 *p, uint8_t c);
uint16_t http1_take_authority(struct http1 *p, uint8_t c);
uint16_t http1_take_path(struct http1 *p, uint8_t c);
uint16_t http1_take_query(struct http1 *p, uint8_t c);
uint16_t http1_take_asterisk_end(struct http1 *p, uint8_t c);
uint16_t http1_take_version(struct http1 *p, uint8_t c);

// RFC 3986 section 3.2.2, with an optional port.
bool http1_host_is_valid(struct span host);

#endif
