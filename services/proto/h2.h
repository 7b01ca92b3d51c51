// HTTP/2 (RFC 9113), server and client: one connection's frames, streams, flow control and errors. Bytes in, bytes out;
// no I/O, no clock, no allocation.
//
// Reading: h2_receive() takes bytes and tells one event after the other. Writing: h2_write() writes what the protocol
// itself owes the peer (SETTINGS, acknowledgements, WINDOW_UPDATE, RST_STREAM, GOAWAY); h2_headers() and h2_data()
// write a message, straight into the buffer that goes to the transport, so nothing is stored on the way out.
//
// What the peer does wrong is answered here as section 5.4 asks: a stream error becomes RST_STREAM and H2_RESET, a
// connection error GOAWAY and H2_FAILED. What it does too much of (pings, settings, resets, empty frames, endless
// headers) ends the connection with ENHANCE_YOUR_CALM; what is owed to a peer that does not read is bounded, because
// nothing more is received from it until that is written (H2_BLOCKED).
//
// A message's fields are checked as sections 8.2 and 8.3 ask before H2_HEADERS_END tells them as good; its length is
// checked against content-length before H2_END.
#ifndef PIPIT_H2_H
#define PIPIT_H2_H

#include "hpack.h"

#define H2_PREFACE_BYTES 24    // of the client's connection preface (section 3.4)
#define H2_FRAME_HEADER  9     // bytes (section 4.1)
#define H2_FRAME_MAX     16384 // bytes of a payload that we take and send: the least that everybody must take
#define H2_WINDOW_BYTES  65535 // bytes of every flow-control window at the start (section 6.9.2), and of ours for good
#define H2_WRITE_LEAST   256   // bytes of room with which h2_write() always gets on
#define H2_CONCURRENT    0x7fffffffu // streams that a peer allows which does not say (section 5.1.2)

enum h2_role { H2_SERVER, H2_CLIENT };

// Section 7. The names of the RFC, without their number's spelling; h2_error_name() has it.
enum h2_error {
    H2_NO_ERROR,
    H2_PROTOCOL_ERROR,
    H2_INTERNAL_ERROR,
    H2_FLOW_CONTROL_ERROR,
    H2_SETTINGS_TIMEOUT,
    H2_STREAM_CLOSED,
    H2_FRAME_SIZE_ERROR,
    H2_REFUSED_STREAM,
    H2_CANCEL,
    H2_COMPRESSION_ERROR,
    H2_CONNECT_ERROR,
    H2_ENHANCE_YOUR_CALM,
    H2_INADEQUATE_SECURITY,
    H2_HTTP_1_1_REQUIRED,
};

// "PROTOCOL_ERROR"; "unknown error" for what section 7 does not list.
const char *h2_error_name(uint32_t error);

/// Streams ///

// Section 5.1, without the states of a push, which nobody here makes. A slot in H2_IDLE is free.
enum h2_stream_state {
    H2_IDLE,
    H2_OPEN,
    H2_HALF_CLOSED_LOCAL,  // we have sent END_STREAM
    H2_HALF_CLOSED_REMOTE, // the peer has
    H2_CLOSED,             // told by H2_RESET or known to the owner; the slot waits for h2_release()
};

// A stream's slot. `owner`, `state` and `id` may be read; `owner` is the caller's, everything else is not.
struct h2_stream {
    void *owner;         // NULL for a new one
    uint32_t id;         // section 5.1.1; 0 until the HEADERS of a client's request are written
    int32_t send_window; // bytes that the peer takes; SETTINGS may make it negative (section 6.9.2)
    int32_t receive_window;
    uint32_t credit;         // bytes consumed and not yet given back by WINDOW_UPDATE
    uint32_t error;          // of the RST_STREAM that is owed
    uint64_t content_length; // what is left of the one announced
    uint8_t state;           // enum h2_stream_state
    uint8_t section;         // of the message being received: before its header section, or behind it
    uint8_t ended;           // how it came to H2_CLOSED
    uint8_t flags;
};

/// Connection ///

// What a connection is made of: memory of the caller's, which stays lent until the connection is forgotten.
struct h2_settings {
    struct h2_stream *streams; // zeroed by h2_begin()
    uint32_t stream_count;     // the streams that may be open at once; a server announces it
    uint8_t *table;            // of the HPACK decoder: `table_size` bytes, 4096 for a server, none for a client
    uint32_t table_size;
    char *fields; // where a field is put together; longer ones are told as too large
    uint32_t fields_size;
    uint32_t list_max; // SETTINGS_MAX_HEADER_LIST_SIZE
};

#define H2_RESETS_OWED    8  // RST_STREAM for streams that have no slot
#define H2_CLOSED_STREAMS 16 // of which we remember how they ended

struct h2_closed {
    uint32_t id;
    uint8_t how;
};

enum h2_reading {
    H2_READING_PREFACE,
    H2_READING_FRAME_HEADER,
    H2_READING_SMALL,   // a payload of a few bytes, or the next few of it: put together in `small`
    H2_READING_BLOCK,   // a piece of a header block
    H2_READING_DATA,    // content, wanted or not
    H2_READING_PADDING, // behind either
    H2_READING_IGNORED, // the rest of a payload that means nothing
    H2_READING_NOTHING, // after a connection error
    H2_READING_HTTP1,   // the peer speaks another language
};

struct h2_connection {
    struct h2_settings settings;
    struct hpack_decoder decoder;
    uint8_t role;    // enum h2_role
    uint8_t reading; // enum h2_reading
    uint8_t phase;   // what is to be told before the next byte is looked at
    uint8_t have;    // bytes in `small`, or of the preface
    uint8_t want;    // of them needed
    uint8_t small[H2_FRAME_HEADER];
    // The frame under way.
    uint8_t type;
    uint8_t flags;
    uint8_t padding;
    uint32_t frame_left;   // payload bytes still to come, without padding
    uint32_t frame_stream; // the id that the frame names
    // The message under way.
    struct h2_stream *stream; // whose it is, NULL when nobody wants it
    struct span held_name;    // a field that waits until the section that it opens was told
    struct span held_value;
    bool held_too_large;
    bool held_never_indexed;
    bool in_block;    // between HEADERS and END_HEADERS: only CONTINUATION may come
    bool ends_stream; // with this block
    bool told;        // that a section begins
    bool too_large;
    bool fields_began;     // a regular field has been seen
    uint8_t pseudo;        // pseudo-header fields seen
    uint16_t status;       // of a response
    uint32_t block_stream; // the id whose block it is
    uint32_t block_size;   // octets of the header block so far
    uint32_t block_frames;
    // Streams and windows.
    uint32_t last_peer_id; // the highest stream that the peer opened
    uint32_t next_id;      // of the stream that we open next
    uint32_t goaway_id;    // the last stream that the peer's GOAWAY lets live
    bool goaway_received;
    bool settings_received; // the peer's first frame was one
    bool block_sent;        // the first of ours, which tells the size of our table
    int32_t send_window;
    int32_t receive_window;
    uint32_t credit;
    uint32_t peer_window;     // SETTINGS_INITIAL_WINDOW_SIZE of the peer's
    uint32_t peer_concurrent; // SETTINGS_MAX_CONCURRENT_STREAMS of the peer's
    struct h2_closed closed[H2_CLOSED_STREAMS];
    uint8_t closed_next;
    uint32_t forgotten; // the highest stream that is remembered no more
    // What is owed to the peer.
    bool owes_preface;
    bool owes_own_ping;
    uint8_t owes_settings_acks;
    uint8_t owes_pings;
    uint8_t owes_resets;
    uint8_t settings_out; // own SETTINGS not yet acknowledged
    uint8_t pings_out;    // own PINGs not yet answered
    uint8_t goaway;       // none, owed or sent
    uint8_t ping[2][8];
    struct {
        uint32_t id;
        uint32_t error;
    } resets[H2_RESETS_OWED];
    uint32_t own_goaway_id; // the last stream of the peer's that our GOAWAY lets live
    uint32_t error;         // of the GOAWAY
    const char *debug;      // its additional debug data
    // Floods: what counts against the peer, h2_calm() takes away.
    uint32_t nuisance; // frames that brought nothing
    uint32_t rapid;    // streams that were reset by the peer or for its fault
    uint32_t updates;  // WINDOW_UPDATE frames that the peer has earned by what it got
};

// A new connection. A client owes its preface at once. A server owes nothing until it has seen the client's, so that
// somebody who speaks HTTP/1 is not answered in binary (H2_NOT_HTTP2).
void h2_begin(struct h2_connection *c, enum h2_role role, const struct h2_settings *settings);

/// Receiving ///

enum h2_event {
    H2_NEED_MORE,   // everything was consumed
    H2_BLOCKED,     // the peer is owed too much: write, then offer the rest again
    H2_HEADERS,     // the header section of a message begins; at a server the stream may be new (its owner is NULL)
    H2_FIELD,       // a field of it, pseudo-header fields first: `name` and `value`. Not yet known to be good.
    H2_HEADERS_END, // it was well-formed; `too_large` when fields are missing from it (a server answers 431)
    H2_DATA,        // a piece of the content: `data`. Its window is given back to the peer.
    H2_TRAILERS,    // the trailer section begins; its fields follow, and H2_END
    H2_END,         // the peer has sent its whole message; `too_large` when fields are missing from its trailers
    H2_RESET,       // the stream is over before its time, by the peer or for its fault: `error`. Release it.
    H2_WINDOW,      // the peer takes more data, on `stream`, or on all with NULL; or its limits have changed
    H2_PONG,        // the answer to h2_ping()
    H2_GOAWAY,      // the peer will take no new streams: `error`. Those that it will not answer are told by H2_RESET.
    H2_NOT_HTTP2,   // a server alone: the first bytes are an HTTP/1 request. The connection is of no use for HTTP/2;
                    // nothing is owed, answer in HTTP/1 and close.
    H2_FAILED,      // a connection error, `error`: write what is owed (GOAWAY) and close. All streams are over, without
                    // being told one by one.
};

struct h2_step {
    enum h2_event event;
    size_t consumed; // bytes taken from the input
    struct h2_stream *stream;
    struct span name;  // until the next call
    struct span value; //
    struct span data;  // in the input
    bool too_large; // H2_FIELD: the value (or all of it) did not fit and is not told; H2_HEADERS_END, H2_END: see there
    bool never_indexed;
    uint16_t status; // H2_HEADERS_END at a client: 200 and the like, 0 when it is among what was too large. An interim
                     // response (1xx) is not told at all.
    uint32_t error;
};

// Takes bytes up to the next event. Call it with what is left until it says H2_NEED_MORE or H2_BLOCKED; then write.
// After H2_FAILED or H2_NOT_HTTP2 it answers the same and consumes everything.
struct h2_step h2_receive(struct h2_connection *c, const uint8_t *bytes, size_t length);

// The owner is done with the stream, in whatever state: if it is not closed on both sides it is reset with `error`
// (H2_NO_ERROR is a server's for a request whose content it does not want any more, section 8.1; H2_CANCEL a client's).
// The slot is free for another stream when the reset was written.
void h2_release(struct h2_connection *c, struct h2_stream *s, uint32_t error);

// Time passes: once a second, so that what counts as a flood is a rate.
void h2_calm(struct h2_connection *c);

/// Sending ///

// Bytes on their way out, in the caller's buffer. Whole frames only, so it can be sent at any moment.
struct h2_out {
    uint8_t *at;
    size_t size;
    size_t length;
};

// Writes what is owed. First of all in every round of sending. True when all of it was written.
bool h2_write(struct h2_connection *c, struct h2_out *out);

// True when h2_write() has something to write.
bool h2_owes(const struct h2_connection *c);

// A client's next request. NULL when no slot is free, the peer allows no more streams just now, has said GOAWAY or not
// yet sent its SETTINGS, or when the identifiers are used up (section 5.1.1; then dial again: h2_spent()). It gets its
// identifier when its HEADERS are written, so requests may be written in another order than they were opened.
struct h2_stream *h2_open(struct h2_connection *c);

// True when no stream will ever be opened here again.
bool h2_spent(const struct h2_connection *c);

// Begins a HEADERS frame in `out`: put fields into the block, pseudo-header fields first, then h2_headers_end().
struct hpack_block h2_headers_begin(const struct h2_connection *c, const struct h2_out *out);

// Ends it. False, and nothing was written, when the block did not fit: try again with more room, or, if `out` was
// empty, give the message up. Also false for a stream on which nothing may be sent any more, and before h2_write() has
// written the preface. A server's headers, trailers (with `end_stream`), or both in one; a client's headers.
bool h2_headers_end(struct h2_connection *c, struct h2_out *out, struct h2_stream *s, const struct hpack_block *block,
                    bool end_stream);

// Bytes of content that h2_data() would take now: as much as both windows, the largest frame and the room allow.
size_t h2_data_room(const struct h2_connection *c, const struct h2_out *out, const struct h2_stream *s);

// Writes `length` bytes, at most h2_data_room(), as one DATA frame whose payload the caller has put at
// h2_data_at(out) already. With `end_stream` it is the last; 0 bytes are allowed then only, and need room for a frame
// header but no window. False, and nothing was written, when it could not be.
bool h2_data(struct h2_connection *c, struct h2_out *out, struct h2_stream *s, size_t length, bool end_stream);
uint8_t *h2_data_at(const struct h2_out *out);

// A PING of our own, answered by H2_PONG. False while one is under way.
bool h2_ping(struct h2_connection *c);

// The connection is to end: with H2_NO_ERROR, streams that are open go on to their end and no new ones are taken; with
// any other error everything is over. `debug` (a constant) is for people reading the peer's log, or NULL.
void h2_goaway(struct h2_connection *c, uint32_t error, const char *debug);

// Streams that are not idle.
uint32_t h2_streams(const struct h2_connection *c);

#endif
