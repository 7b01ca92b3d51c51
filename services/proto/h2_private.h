// What the files h2*.c share; nobody else includes it.
#ifndef PIPIT_H2_PRIVATE_H
#define PIPIT_H2_PRIVATE_H

#include "h2.h"

/// Floods ///

// h2_calm() halves the counters once a second, so a peer can keep up about half of a limit a second for ever, and all
// of it once.

// PING, SETTINGS, PRIORITY, empty frames, frames for streams that are over and whatever else brings nothing.
#define H2_NUISANCES_MAX 1000
// Streams that a client opens and resets, or makes us reset (CVE-2023-44487, CVE-2025-8671), at least; a server with
// many slots takes H2_RAPID_PER_SLOT for each. A client that cancels 100 calls a second comes to 200.
#define H2_RAPID_MAX      400
#define H2_RAPID_PER_SLOT 4
// WINDOW_UPDATE frames that a new stream, or a DATA frame of ours, entitles the peer to: one for the stream and one for
// the connection, and as many again for those who give back in small change. The rest are nuisances.
#define H2_UPDATES_PER_FRAME 4
#define H2_UPDATES_SAVED     4096
// A header block (CVE-2024-27316): frames, and octets beyond SETTINGS_MAX_HEADER_LIST_SIZE.
#define H2_BLOCK_FRAMES 64
#define H2_BLOCK_SLACK  16384
// Acknowledgements that are owed at once; with so many nothing more is received.
#define H2_SETTINGS_ACKS 4
#define H2_PINGS         2

#define H2_ID_MAX     0x7fffffffu // of a stream (section 5.1.1)
#define H2_WINDOW_MAX 0x7fffffff  // section 6.9.1
#define H2_DEBUG_MAX  64          // octets of debug data in a GOAWAY, so that it fits into H2_WRITE_LEAST

/// The wire ///

enum h2_type { // section 6
    H2_TYPE_DATA,
    H2_TYPE_HEADERS,
    H2_TYPE_PRIORITY,
    H2_TYPE_RST_STREAM,
    H2_TYPE_SETTINGS,
    H2_TYPE_PUSH_PROMISE,
    H2_TYPE_PING,
    H2_TYPE_GOAWAY,
    H2_TYPE_WINDOW_UPDATE,
    H2_TYPE_CONTINUATION,
};

#define H2_FLAG_END_STREAM  0x01
#define H2_FLAG_ACK         0x01
#define H2_FLAG_END_HEADERS 0x04
#define H2_FLAG_PADDED      0x08
#define H2_FLAG_PRIORITY    0x20

enum h2_setting { // section 6.5.2
    H2_HEADER_TABLE_SIZE = 1,
    H2_ENABLE_PUSH,
    H2_MAX_CONCURRENT_STREAMS,
    H2_INITIAL_WINDOW_SIZE,
    H2_MAX_FRAME_SIZE,
    H2_MAX_HEADER_LIST_SIZE,
};

extern const char h2_preface[H2_PREFACE_BYTES + 1];
extern const uint8_t h2_own_ping[8];

uint32_t h2_read32(const uint8_t *at);

/// h2.c ///

enum h2_goaway_state { H2_GOAWAY_NONE, H2_GOAWAY_OWED, H2_GOAWAY_SENT };

// A connection error (section 5.4.1): all that is owed now is GOAWAY.
void h2_fail(struct h2_connection *c, enum h2_error error, const char *debug);

// True when it has come to that; nothing is told any more but H2_FAILED.
bool h2_failed(const struct h2_connection *c);

// The frame under way brought nothing. False when it was one too many, which ends the connection.
bool h2_nuisance(struct h2_connection *c);

// A stream of the peer's was reset before it was answered, by the peer or for its fault. False likewise.
bool h2_rapid_reset(struct h2_connection *c);

/// h2_receive.c ///

// What is to be told before the next byte is looked at.
enum h2_phase {
    H2_PHASE_NONE,
    H2_PHASE_FIELD,       // the one held back
    H2_PHASE_BLOCK_END,   // END_HEADERS was there
    H2_PHASE_SECTION_END, // and the section is good
    H2_PHASE_MESSAGE_END, // END_STREAM was there
    H2_PHASE_REFUSED,     // the streams that a GOAWAY leaves out
};

void h2_enter(struct h2_connection *c, enum h2_reading reading, uint8_t want);

// Bytes of a DATA frame are consumed: their window can be given back.
void h2_consumed(struct h2_connection *c, uint32_t length);

/// h2_frames.c ///

// A frame header is in `small`; the small part of a payload is; a payload is over.
void h2_frame_begin(struct h2_connection *c, struct h2_step *step);
void h2_frame_take(struct h2_connection *c, struct h2_step *step);
void h2_frame_end(struct h2_connection *c);

// H2_PHASE_REFUSED.
void h2_frame_refused(struct h2_connection *c, struct h2_step *step);

/// h2_stream_frames.c ///

#define H2_PAD_BYTES      1 // of the Pad Length
#define H2_PRIORITY_BYTES 5

// One function for each type of frame: its small part is in `small`.
void h2_take_data(struct h2_connection *c, struct h2_step *step);
void h2_take_headers(struct h2_connection *c, struct h2_step *step);
void h2_take_priority(struct h2_connection *c, struct h2_step *step);
void h2_take_rst_stream(struct h2_connection *c, struct h2_step *step);
void h2_take_window_update(struct h2_connection *c, struct h2_step *step);
void h2_take_continuation(struct h2_connection *c, struct h2_step *step);

// PRIORITY is wrong in itself.
void h2_refuse_priority(struct h2_connection *c, struct h2_step *step, enum h2_error error);

/// h2_settings.c ///

// Likewise: one setting of the peer's, or the acknowledgement of ours.
void h2_take_settings(struct h2_connection *c, struct h2_step *step);

// Our own: their payload, and its length, at most H2_SETTINGS_BYTES.
#define H2_SETTING_BYTES  6
#define H2_SETTINGS_BYTES (3 * H2_SETTING_BYTES)
size_t h2_settings_own(const struct h2_connection *c, uint8_t payload[H2_SETTINGS_BYTES]);

/// h2_streams.c ///

// Flags of a stream.
#define H2_TOLD         0x01 // its owner knows it
#define H2_RELEASED     0x02 // and wants to know no more
#define H2_RESET_DUE    0x04 // RST_STREAM is owed
#define H2_SENT_END     0x08
#define H2_LENGTH_KNOWN 0x10 // content-length was there
#define H2_BLAMED       0x20 // the reset is for a stream error of the peer's

enum h2_section { H2_BEFORE_HEADERS, H2_BEHIND_HEADERS };

// How a stream that is over came to its end.
enum h2_ending {
    H2_NEVER_OPENED, // a higher one was (section 5.1.1)
    H2_FORGOTTEN,
    H2_ENDED_BY_BOTH, // with END_STREAM
    H2_ENDED_BY_PEER, // with RST_STREAM
    H2_ENDED_BY_US,   // likewise
};

struct h2_stream *h2_stream_find(const struct h2_connection *c, uint32_t id);
bool h2_stream_is_idle(const struct h2_connection *c, uint32_t id);

// A free slot, made ready, in H2_OPEN; NULL when there is none.
struct h2_stream *h2_stream_take(struct h2_connection *c, uint32_t id);

// Frees a slot and remembers how its stream ended.
void h2_stream_free(struct h2_connection *c, struct h2_stream *s);
void h2_stream_close(struct h2_connection *c, struct h2_stream *s, enum h2_ending how);

// A stream error (section 5.4.2), told if the owner knows the stream.
void h2_stream_error(struct h2_connection *c, struct h2_step *step, struct h2_stream *s, enum h2_error error);

// The same on a stream without a slot. At most one in a frame: there is room for that (see h2_receive()).
void h2_stream_refuse(struct h2_connection *c, uint32_t id, enum h2_error error);

// DATA or HEADERS came for a stream that is over: what section 5.1 says to that.
void h2_stream_is_over(struct h2_connection *c, uint32_t id);

void h2_stream_sent_end(struct h2_connection *c, struct h2_stream *s);
void h2_stream_got_end(struct h2_connection *c, struct h2_stream *s);

// END_STREAM came for a stream whose message nobody wants any more.
void h2_stream_got_unwanted_end(struct h2_connection *c, uint32_t id);

// The peer may send on it, or the peer takes something on it.
bool h2_stream_receives(const struct h2_stream *s);
bool h2_stream_sends(const struct h2_stream *s);

// Adds to a window that the peer gives us; false when it gets larger than section 6.9.1 allows.
bool h2_window_grow(int32_t *window, int64_t by);

/// h2_message.c ///

// A header block begins, for c->stream or for nobody; a field of it was decoded; H2_PHASE_FIELD, _BLOCK_END,
// _SECTION_END, _MESSAGE_END.
void h2_message_begin_block(struct h2_connection *c);
void h2_message_field(struct h2_connection *c, struct h2_step *step, const struct hpack_step *field);
void h2_message_held(struct h2_connection *c, struct h2_step *step);
void h2_message_end_block(struct h2_connection *c, struct h2_step *step);
void h2_message_end_section(struct h2_connection *c, struct h2_step *step);
void h2_message_end(struct h2_connection *c, struct h2_step *step);

/// h2_fields.c ///

// A field against sections 8.2 and 8.3, noting what the whole section is checked for.
bool h2_field_is_good(struct h2_connection *c, const struct hpack_step *field);

// The pseudo-header fields that section 8.3 asks for were there.
bool h2_fields_are_complete(const struct h2_connection *c);

#endif
