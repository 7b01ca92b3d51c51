// An HTTP/2 server that is played frame by frame, for the gRPC client: it may be slow, rude, wrong, or gone. And
// callers.
#ifndef PIPIT_TEST_RPC_PEER_SUPPORT_H
#define PIPIT_TEST_RPC_PEER_SUPPORT_H

#include "../../app/limits.h"
#include "../../port/net.h"
#include "../../services/proto/h2.h"
#include "../../services/rpc/channel.h"
#include "peer_support.h"

#define TARGET "10.0.2.2:50051"
#define PORT   50051
#define PATH   "/message.VarifyService/GetVarifyCode"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
#define END_STREAM  1
#define ACK         1
#define END_HEADERS 4
#define PADDED      8

/// The machine ///

int rpc_peer_start(void **state); // of a group
int rpc_peer_setup(void **state); // of a test
int rpc_peer_teardown(void **state);

extern struct peer servers[4];

// servers[i], waiting for the client at a port.
struct peer *listen_at(size_t i, uint16_t port);

/// What the server sends: frames are put together, then flushed, and a few turns run ///

#define GOOD    ":status: 200\ncontent-type: application/grpc\n"
#define OK_TAIL "grpc-status: 0\n"

extern size_t wire_length; // bytes that are not flushed yet

void put_frame(uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t length);
void put_number(uint8_t type, uint32_t id, uint32_t number); // a frame of four bytes
void put_setting(uint8_t id, uint32_t value);
void put_settings(void); // and the acknowledgement of the client's
void put_goaway(uint32_t last, uint32_t error);

// Fields as "name: value\n…".
size_t encode(const char *text, uint8_t *at, size_t size);
void put_headers(uint32_t id, uint8_t flags, const char *fields);
void put_message(uint32_t id, uint8_t flags, const char *message);
void put_reply(uint32_t id, const char *message); // a whole one

void flush(struct peer *p);
void flush_byte_by_byte(struct peer *p);

/// What the client has sent ///

struct frame {
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    const uint8_t *payload;
    size_t length;
};

// The n-th frame (from 0) of a type.
bool find_frame(const struct peer *p, uint8_t type, unsigned n, struct frame *f);
unsigned count_frames(const struct peer *p, uint8_t type);

// RST_STREAM for the stream: its error, or -1.
int reset_of(const struct peer *p, uint32_t id);

// All of a stream's content.
size_t content_of(const struct peer *p, uint32_t id, uint8_t *at, bool *ended);

// The fields of a request, one a line, as they were written; those that are never indexed behind a !.
const char *fields_of(const struct peer *p, unsigned request);

/// Callers ///

struct answer {
    int calls;
    uint32_t status;
    char step[16];
    char message[GRPC_MESSAGE_MAX + 1];
    char reply[RPC_MESSAGE + 1];
    size_t length;
    struct rpc_request *cancels; // in this answer
    struct answer *then;         // called in this answer
};

rpc_done told; // with a struct answer

struct rpc_request *call_at(const char *target, const char *message, uint32_t deadline, struct answer *a);
struct rpc_request *call(const char *message, struct answer *a); // at TARGET, 5 s

// A call that is sent, on a new connection to servers[0].
struct peer *sent(struct answer *a);

void assert_answer(const struct answer *a, uint32_t status, const char *step_name, const char *message);
void assert_reply(const struct answer *a, const char *reply);

// The connection is good: a call is answered on it, on stream `id`.
void assert_answers(struct peer *p, uint32_t id);

/// Scarce memory ///

// Takes all of lwIP's segments, and gives them back.
void take_all_segments(void);
void give_segments_back(void);

#endif
