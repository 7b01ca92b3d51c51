// Reads a chat node's answer to GET /metrics: HTTP/1.1 around Prometheus text format 0.0.4, of which one line counts,
//
//     pipit_connections{kind="ws"} 17
//
// Bytes in, verdict out; a line of a few dozen bytes is all that is kept, wherever the pieces were cut. The body may
// come chunked (our own server's does, RFC 9112 section 7.1), with a Content-Length, or end with the connection.
#ifndef PIPIT_SCRAPE_H
#define PIPIT_SCRAPE_H

#include "../../port/text.h"

#define SCRAPE_LINE  64    // bytes kept of a line; the lines that count are shorter
#define SCRAPE_BYTES 65536 // of an answer, more than a page of ours ever has

enum scrape_verdict {
    SCRAPE_MORE,      // go on
    SCRAPE_FOUND,     // `load` was told
    SCRAPE_REFUSED,   // `status` is not 200
    SCRAPE_MALFORMED, // not HTTP/1, or its framing is broken
    SCRAPE_SILENT,    // a whole answer without the line
    SCRAPE_CUT_OFF,   // the connection ended within the answer
    SCRAPE_TOO_LONG,  // SCRAPE_BYTES without the line
};

struct scrape {
    uint32_t load;   // of SCRAPE_FOUND: clients that chat there
    uint16_t status; // of the answer, 0 before its first line

    // The reader's own.
    uint8_t verdict; // enum scrape_verdict
    uint8_t place;   // what the next byte is
    uint8_t framing; // how the end of the body is told
    uint8_t digits;  // of a chunk's size
    uint8_t length;  // of `line`
    bool cut;        // the line is longer than that
    uint32_t taken;  // bytes so far
    uint32_t left;   // of the body, or of its chunk, to come
    char line[SCRAPE_LINE];
};

void scrape_begin(struct scrape *s);

// Takes a piece. A verdict other than SCRAPE_MORE is final, and bytes behind it are of no interest.
enum scrape_verdict scrape_feed(struct scrape *s, const uint8_t *bytes, size_t length);

// The peer has sent its last byte.
enum scrape_verdict scrape_end(struct scrape *s);

// Appends what is wrong with the answer, as the end of "the node is lost: ...".
void scrape_explain(const struct scrape *s, struct text *out);

#endif
