// One end of an HTTP/2 connection under test, and a peer that is written frame by frame.
//
// A test is a scenario: it runs once for every way of cutting what arrives (whole, byte by byte, and between), with
// all memory flush against pages that may not be touched, and has to see the same every time. What the codec told and
// what it sent is kept as text, one line an event or a frame; the sent frames are read by a reader of our own here.
#ifndef PIPIT_H2_SUPPORT_H
#define PIPIT_H2_SUPPORT_H

#include "../../services/proto/h2_private.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SLOTS_MAX 128
#define LIST_MAX  4096

struct scenario {
    const char *name;
    void (*run)(void);
};

// Runs them as a group of cmocka tests; the result is that of main().
int run_scenarios(const char *name, const struct scenario *scenarios, size_t count);

/// The end under test ///

extern struct h2_connection h2;
extern struct h2_stream *const h2_slots;

// The owner of the streams. It answers a request that has come to its end with 200 and "hello", or holds it.
enum owner { ANSWERS, HOLDS };
extern enum owner owner;

extern bool tell_fields;  // tell the fields too
extern bool writes;       // write what is owed when everything has arrived; always when blocked
extern size_t write_room; // bytes of the buffer in which it is written
extern uint32_t release_with;

void begin(enum h2_role role, uint32_t slots);

// A server with four slots (or a client that has seen SETTINGS), whose greetings are over and forgotten.
void greet(enum h2_role role);
void greet_with(enum h2_role role, uint32_t slots);

// The stream's slot, which must be there.
struct h2_stream *slot(uint32_t id);

// Gives a stream back, as its owner.
void let_go(uint32_t id, uint32_t error);

// Writes what is owed, and answers.
void write_now(void);

// A client's request: opened and written, with END_STREAM or without.
uint32_t request(bool end_stream);

// What was told and sent since the last time one asked.
void assert_told(const char *expected);
void assert_sent(const char *expected);
void assert_sent_nothing(void);
const char *sent_text(void);
void forget(void);

// The connection has ended with this error: it was told, and GOAWAY was the last frame.
void assert_failed(enum h2_error error);

// Only this stream has ended: RST_STREAM was sent, and a ping is still answered.
void assert_reset(uint32_t id, enum h2_error error);

// Nothing is wrong: a ping is answered and nothing was reset.
void assert_lives(void);

/// The peer ///

#define GET  ":method: GET\n:scheme: http\n:path: /\n:authority: pipit\n"
#define POST ":method: POST\n:scheme: http\n:path: /\n:authority: pipit\n"
#define OK   ":status: 200\n"

#define END     H2_FLAG_END_STREAM
#define ACK     H2_FLAG_ACK
#define WHOLE   H2_FLAG_END_HEADERS
#define PADDED  H2_FLAG_PADDED
#define DEPENDS H2_FLAG_PRIORITY

// Each of them adds to what is to arrive next; arrive() lets it.
void octets(const void *bytes, size_t length);
void frame(unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t length);
void headers(unsigned flags, uint32_t stream, const char *fields);
void continuation(unsigned flags, uint32_t stream, const char *fields);
void data(unsigned flags, uint32_t stream, size_t length);
void padded_data(unsigned flags, uint32_t stream, size_t length, uint8_t padding);
void priority(uint32_t stream, uint32_t depends_on);
void reset(uint32_t stream, uint32_t error);
void setting(unsigned id, uint32_t value); // a SETTINGS frame with one
void ping(unsigned flags, const char payload[8]);
void goaway(uint32_t last, uint32_t error);
void window(uint32_t stream, uint32_t increment);
void arrive(void);

// Fields as literals, written without the encoder under test. Its length.
size_t literals(uint8_t *out, size_t size, const char *fields);

#endif
