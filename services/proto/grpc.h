// gRPC over HTTP/2, what is the same at both ends (grpc's PROTOCOL-HTTP2 and its status codes): message framing,
// timeouts, percent-encoded status messages, the mapping of HTTP and of RST_STREAM to a status. Bytes in, bytes out; no
// I/O, no clock.
#ifndef PIPIT_GRPC_H
#define PIPIT_GRPC_H

#include "../../port/text.h"

#define GRPC_PREFIX      5   // bytes in front of a message: compressed flag and length
#define GRPC_MESSAGE_MAX 120 // bytes kept of a status message

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};
#define GRPC_STATUSES 17

// "DEADLINE_EXCEEDED"; "UNKNOWN" for numbers that are none.
const char *grpc_status_name(uint32_t status);

// What a client makes of a reply whose HTTP status is not 200 and that has no grpc-status.
enum grpc_status grpc_status_of_http(uint32_t http_status);

// What a client makes of RST_STREAM or of a connection error (RFC 9113 section 7).
enum grpc_status grpc_status_of_h2(uint32_t h2_error);

// Reads a grpc-status: a number without sign; GRPC_UNKNOWN for what is none. Numbers above 16 stay what they are.
uint32_t grpc_read_status(struct span value);

/// Messages ///

enum grpc_reader_state {
    GRPC_AT_PREFIX,
    GRPC_IN_MESSAGE,
    GRPC_AFTER_MESSAGE, // a unary call has one
    GRPC_BROKEN,
};

enum grpc_reader_error {
    GRPC_READER_OK,
    GRPC_READER_COMPRESSED, // its flag is set: UNIMPLEMENTED
    GRPC_READER_BAD_FLAG,   // neither 0 nor 1: INTERNAL
    GRPC_READER_TOO_LARGE,  // RESOURCE_EXHAUSTED
    GRPC_READER_SECOND,     // a second message in a unary call: UNIMPLEMENTED
    GRPC_READER_TRUNCATED,  // the stream ended within a message: INTERNAL
    GRPC_READER_MISSING,    // the stream ended without one: UNIMPLEMENTED
};

// One message arriving in pieces of any size. The message is put into memory that is asked for when its length is
// known.
struct grpc_reader {
    uint8_t *message;
    uint32_t length; // of the message, once its prefix was read
    uint32_t have;   // of the prefix, then of the message
    uint8_t prefix[GRPC_PREFIX];
    uint8_t state; // enum grpc_reader_state
    uint8_t error; // enum grpc_reader_error
};

void grpc_reader_begin(struct grpc_reader *r);

// Takes a piece. Returns how many bytes were consumed: all of them, or those up to the end of the prefix, when
// `r->state` has become GRPC_IN_MESSAGE and the message needs room: set it with grpc_reader_room() and go on with the
// rest. After an error everything is consumed.
size_t grpc_reader_take(struct grpc_reader *r, struct span data);

// True when the prefix was read and nobody has given the message room yet. A message of no bytes needs none.
bool grpc_reader_wants_room(const struct grpc_reader *r);

// Where the message of r->length bytes goes; NULL when there is no room for it: GRPC_READER_TOO_LARGE.
void grpc_reader_room(struct grpc_reader *r, uint8_t *at);

// The stream has ended. GRPC_READER_OK when exactly one message is there.
enum grpc_reader_error grpc_reader_end(struct grpc_reader *r);

// The status that each error becomes, and a sentence for its grpc-message.
enum grpc_status grpc_reader_status(enum grpc_reader_error error);
const char *grpc_reader_explain(enum grpc_reader_error error);

// The prefix of an uncompressed message.
void grpc_put_prefix(uint8_t prefix[GRPC_PREFIX], uint32_t length);

/// Header fields ///

// application/grpc, application/grpc+proto, application/grpc;…; not +json or another codec.
bool grpc_is_content_type(struct span value);

// Reads a grpc-timeout: at most 8 digits and a unit of H M S m u n. Milliseconds, rounded up, at most GRPC_TIMEOUT_MAX.
// False when it is none.
#define GRPC_TIMEOUT_DIGITS     8
#define GRPC_TIMEOUT_NUMBER_MAX 99999999u
#define GRPC_TIMEOUT_MAX        0x7fffffffu
bool grpc_read_timeout(struct span value, uint32_t *ms);

// Writes one, as at most 8 digits and a unit: never less than `ms`, and more only where milliseconds would take too
// many digits; no time at all is the shortest there is.
void grpc_put_timeout(struct text *t, uint32_t ms);

// grpc-message: everything beyond printable ASCII, and %, becomes %XX. What does not fit is cut off, not within a %XX.
void grpc_put_message(struct text *t, struct span message);

// Reads one into `t`; a % that is not followed by two hexadecimal digits stays as it is. Control characters become
// spaces, so that nobody's message breaks a line of ours.
void grpc_read_message(struct text *t, struct span value);

#endif
