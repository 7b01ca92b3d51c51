// HTTP/1.1 request parser (RFC 9110, RFC 9112): bytes in, one request out, streaming.
//
// Feed it whatever has arrived. It consumes byte by byte, keeps only what somebody needs (the target and a handful of
// fields, in a buffer of the caller's) and lets every other header field pass without storing it, so a request
// with 8 KB of cookies costs no more memory than one without. No I/O, no clock, no allocation.
//
//     START_LINE --> FIELDS --> BODY_* --> DONE         any --> BAD (why: `status`)
//
// Strict where leniency smuggles requests (RFC 9112 section 11): bare LF, obs-fold, space before the colon, control
// characters in values, two Content-Length fields (equal or not), Content-Length beside Transfer-Encoding, a transfer
// coding other than exactly one "chunked", a missing or second Host: all are refused. Empty lines (CRLF) before the
// request line are skipped, a few of them.
#ifndef PIPIT_HTTP1_H
#define PIPIT_HTTP1_H

#include "../../port/span.h"

#define HTTP1_FIELDS_MAX 16384 // bytes of header section (all fields and their line ends) before 431

enum http1_state {
    HTTP1_START_LINE,
    HTTP1_FIELDS,
    HTTP1_BODY_LENGTH,  // counting down Content-Length
    HTTP1_BODY_CHUNKED, // sizes, extensions, data, trailers
    HTTP1_DONE,
    HTTP1_BAD,
};

enum http1_method {
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_DELETE,
    HTTP1_OPTIONS,
    HTTP1_OTHER_METHOD, // a valid token that none of our routes knows
};

// The fields that are kept. A kept field that comes twice is refused (400), but for the lists (RFC 9110 section 5.3)
// Connection, Upgrade and Sec-WebSocket-Protocol, whose lines are joined with a comma.
enum http1_field {
    HTTP1_HOST,
    HTTP1_ORIGIN,
    HTTP1_AUTHORIZATION,
    HTTP1_CONTENT_TYPE,
    HTTP1_ACCEPT_ENCODING,
    HTTP1_IF_NONE_MATCH,
    HTTP1_UPGRADE,
    HTTP1_WEBSOCKET_KEY,
    HTTP1_WEBSOCKET_VERSION,
    HTTP1_WEBSOCKET_PROTOCOL,
    HTTP1_KEPT_FIELDS,
};

struct http1 {
    enum http1_state state;
    uint16_t status; // in HTTP1_BAD: the status to answer, 400, 414, 431, 501 or 505

    // Valid once the state is past HTTP1_FIELDS; spans point into `keep`.
    enum http1_method method;
    uint8_t minor_version;                 // HTTP/1.x
    struct span path;                      // percent-decoded once; "/" for "http://host"; "*" for OPTIONS *
    struct span query;                     // behind the '?', as it came; empty when there is none
    struct span fields[HTTP1_KEPT_FIELDS]; // trimmed; `at` is NULL when it was not sent
    bool has_body;                         // Content-Length above 0, or chunked
    uint64_t content_length;
    bool chunked;
    bool keep_alive;       // by version and Connection (RFC 9112 section 9.3)
    bool upgrade;          // Connection lists "upgrade" and HTTP/1.1 (RFC 9110 section 7.8)
    bool expects_continue; // Expect: 100-continue and HTTP/1.1; other expectations are ignored

    char *keep; // the caller's memory, of `keep_size` bytes
    uint16_t keep_size;

    // The parser's own.
    uint8_t position;    // what the next byte is
    uint8_t field;       // whose line is being read
    uint8_t empty_lines; // before the request line
    uint8_t word_length; // bytes of the method, name or list member so far
    uint8_t digits;      // of the number being read
    bool blank;          // the value being read had a blank behind its first byte
    uint16_t candidates; // the words that the bytes so far may still become, a bit each
    uint16_t seen;       // the fields that were sent, a bit each
    uint16_t tokens;     // the list members that were sent, a bit each
    uint16_t used;       // of `keep`
    uint16_t held;       // blanks behind `used`, kept if the value goes on
    uint16_t section;    // bytes of the header or trailer section so far
    uint16_t extensions; // bytes of chunk extensions so far
    uint64_t left;       // bytes of the body, or of its chunk, to come
    struct span value;   // of the kept field being read
};

// Ready for the first request, or for the next one on the same connection. The target and all kept fields together may
// need the `keep_size` bytes at `keep`, which stay lent.
void http1_begin(struct http1 *p, char *keep, uint16_t keep_size);

// What one call of http1_feed() found.
struct http1_step {
    size_t consumed;  // bytes taken from `bytes`
    struct span body; // a piece of the body, inside `bytes`; empty when there was none
};

// Takes bytes up to the next thing worth telling: the end of the header section (state left HTTP1_FIELDS), a piece of
// the body, or the end of the request (HTTP1_DONE). Call again with what is left until it consumes nothing. After
// HTTP1_DONE or HTTP1_BAD it consumes nothing; bytes behind the end belong to the next request.
struct http1_step http1_feed(struct http1 *p, const uint8_t *bytes, size_t length);

// The reason phrase of a status code, "Not Found".
const char *http1_reason(unsigned status);

// Undoes %XX once, in place; returns the new length, or -1 for a malformed escape or a NUL.
long http1_percent_decode(char *bytes, size_t length);

// Finds `name` in a query string "a=1&b=2" and percent-decodes its value ('+' stays as it is) into `buffer`.
// False when it is not there, malformed or too long.
bool http1_query(struct span query, const char *name, char *buffer, size_t size, struct span *value);

// True when the comma-separated list contains `token`, without ASCII case.
bool http1_list_has(struct span list, const char *token);

// Whether an Accept-Encoding that was sent asks for `coding`: by its name, or else by `*`, and not with q=0
// (RFC 9110 section 12.5.3).
bool http1_accepts(struct span field, const char *coding);

// Whether an If-None-Match has the entity tag (given without its quotes), by weak comparison, or is `*`
// (RFC 9110 section 13.1.2).
bool http1_has_tag(struct span list, struct span tag);

#endif
