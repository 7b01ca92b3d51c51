// WebSocket frames (RFC 6455), server side: bytes in, events out, streaming; no I/O, no clock, no allocation.
//
// The decoder takes masked client frames of any length in pieces of any size. Data arrives as pieces in place: the
// payload is unmasked inside a buffer of the caller's. Control frames (section 5.5) may stand between the fragments of
// a message and are delivered whole. Text is checked as UTF-8 across fragments and refused at the first wrong byte.
#ifndef PIPIT_WS_H
#define PIPIT_WS_H

#include "utf8.h"

enum ws_opcode { // section 11.8
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

enum ws_status { // section 7.4.1 and the IANA registry
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED_DATA = 1003,
    WS_NO_STATUS = 1005, // never on the wire
    WS_INVALID_DATA = 1007,
    WS_POLICY_VIOLATION = 1008,
    WS_TOO_BIG = 1009,
    WS_INTERNAL_ERROR = 1011,
    WS_TRY_AGAIN_LATER = 1013,
    WS_REPLACED = 4001,    // ours: the account logged in elsewhere
    WS_LOGIN_ENDED = 4002, // ours: the token that the connection was made with has expired or was ended
};

enum ws_event {
    WS_NEED_MORE, // everything was consumed
    WS_PIECE,     // a piece of a text or binary message (also an empty one: see ws_decode)
    WS_CONTROL,   // a whole ping, pong or close
    WS_FAILED,    // the peer broke the protocol: close with `status`
};

#define WS_CONTROL_MAX       125 // bytes of payload in a control frame (section 5.5)
#define WS_HEADER_MAX        10  // bytes of header in front of a server's frame
#define WS_CLIENT_HEADER_MAX 14  // and of a client's

enum ws_state {
    WS_AT_HEADER,
    WS_AT_DATA,         // in the payload of a text or binary frame
    WS_AT_CONTROL,      // in the payload of a ping, pong or close
    WS_AFTER_CLOSE,     // a close frame was delivered: all that follows is thrown away
    WS_BROKEN_PROTOCOL, // failed with 1002
    WS_BROKEN_TEXT,     // failed with 1007
};

// One for every client, so it is kept small: what comes of a control frame's payload is gathered in memory of the
// caller's.
struct ws_decoder {
    uint64_t remaining; // payload bytes of the frame under way still to come
    uint8_t mask[4];    // the masking key, turned so that mask[0] belongs to the next byte
    struct utf8 utf8;   // of the text message under way; each ends with a whole character
    uint8_t state;      // enum ws_state
    uint8_t frame;      // the first byte of the frame under way: FIN and its opcode
    uint8_t message;    // opcode of the message under way, 0 when there is none
    uint8_t have;       // how many of the header, or of the control frame's payload, are there
    uint8_t header[WS_CLIENT_HEADER_MAX];
    uint8_t *control; // WS_CONTROL_MAX bytes
};

struct ws_piece {
    enum ws_event event;
    size_t consumed;     // bytes taken from the input
    uint8_t opcode;      // WS_PIECE: WS_TEXT or WS_BINARY, of the message; WS_CONTROL: which
    bool first;          // WS_PIECE: the message begins here
    bool last;           // WS_PIECE: the message ends here
    struct span payload; // WS_PIECE: in `out`; WS_CONTROL: at `control`
    uint16_t status;     // WS_FAILED: the close code to send; a close frame: its code, WS_NO_STATUS when it had none
};

// `control` (WS_CONTROL_MAX bytes) is needed during the calls of ws_decode() and, while ws_in_control() says so,
// between them; the caller may move what is there and set d->control.
void ws_begin(struct ws_decoder *d, uint8_t *control);

// Decodes up to the next event. Payload is written unmasked to `out`, at most `size` bytes a piece (size > 0); `out`
// must not overlap `bytes`.
//
// As soon as the header of a text or binary frame is complete there is a WS_PIECE, with what has come of the payload,
// if only nothing. So the first piece of every frame lets ws_remaining() tell how much the peer has announced, and a
// frame that is too big can be refused before it arrives. A frame that is there whole and fits `out` is one piece.
//
// A close frame's reason is in `payload` behind the two bytes of its code, checked as UTF-8, its code checked as
// section 7.4 asks. What comes behind a close frame is consumed and thrown away (section 1.4). After WS_FAILED every
// call answers the same WS_FAILED and consumes nothing.
struct ws_piece ws_decode(struct ws_decoder *d, const uint8_t *bytes, size_t length, uint8_t *out, size_t size);

// True while a message has begun and not ended: its fragments may still come.
bool ws_in_message(const struct ws_decoder *d);

// True while a part of a control frame's payload has come.
bool ws_in_control(const struct ws_decoder *d);

// Bytes of payload that the frame under way still lacks; up to 2^63 - 1, so add with care. 0 between frames.
uint64_t ws_remaining(const struct ws_decoder *d);

// Writes an unmasked frame header into `out` (WS_HEADER_MAX bytes); returns its length.
size_t ws_header(uint8_t *out, enum ws_opcode opcode, bool final, uint64_t length);

// Writes a whole close frame with code and reason (cut to what fits, at a character's border) into `out`, which has
// room for WS_CONTROL_MAX + 2 bytes; returns its length. WS_NO_STATUS gives one without a body. `reason` is valid
// UTF-8.
size_t ws_close_frame(uint8_t *out, uint16_t status, struct span reason);

#define WS_ACCEPT_LENGTH 28

// Sec-WebSocket-Accept for a client's key (section 4.2.2), without a NUL. False when the key is not 16 bytes in base64.
bool ws_accept(struct span key, char out[WS_ACCEPT_LENGTH]);

#endif
