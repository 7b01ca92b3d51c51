// What the files channel*.c share; nobody else includes it.
#ifndef PIPIT_RPC_CHANNEL_PRIVATE_H
#define PIPIT_RPC_CHANNEL_PRIVATE_H

#include "../../app/limits.h"
#include "../../port/net.h"
#include "../proto/h2.h"
#include "channel.h"

#define CHANNEL_FIELDS (RPC_FIELDS < 512 ? RPC_FIELDS : 512) // bytes of one header field of a reply
#define CHANNEL_OUT    448                                   // bytes of frames that go to net_send() at once
#define CHANNEL_PATH   64                                    // bytes of a method's path

/// Requests ///

//     WAITING -> OPENED -> SENDING -> SENT -> FINISHED -> (free)      WAITING, OPENED, SENDING -> FINISHED
//        ^----------\---------\--------/       refused by the peer: once more
enum request_state {
    REQUEST_FREE,
    REQUEST_WAITING,  // for a connection, or for a stream on it: on its channel's list `waiting`
    REQUEST_OPENED,   // has a stream whose HEADERS are not written: on the list `sending`
    REQUEST_SENDING,  // some of its message is not written: likewise
    REQUEST_SENT,     // on no list
    REQUEST_FINISHED, // `done` is to be called: on the list of finished requests
};

// `next` stands first: it is what a slot that was given back loses to the pool.
struct rpc_request {
    struct rpc_request *next;
    uint8_t state; // enum request_state
    bool again;    // it was made once more already
    bool has_status;
    bool is_grpc; // the reply's content-type says so
    uint8_t said_length;
    struct channel *channel;  // until it is finished
    struct h2_stream *stream; // from OPENED to SENT
    const char *path;
    const char *step;
    rpc_done *done;
    void *context;
    uint64_t deadline; // ms
    uint32_t heard;    // the channel's `heard` when it was sent
    uint32_t status;   // what it came to
    uint32_t length;   // of the request
    uint32_t sent;     // bytes of its prefix and of itself
    struct grpc_reader reader;
    char said[GRPC_MESSAGE_MAX];  // grpc-message, or what happened
    uint8_t message[RPC_MESSAGE]; // the request, then the reply
};

struct request_list {
    struct rpc_request *first;
    struct rpc_request *last;
};

/// Channels ///

enum channel_state {
    CHANNEL_IDLE,
    CHANNEL_CONNECTING, // until the peer's SETTINGS are there
    CHANNEL_READY,
    CHANNEL_DRAINING, // takes no calls; ends with the last one that it has
    CHANNEL_BACKOFF,
};

// Why a peer cannot be spoken to: "connect: timed out". All are constants.
struct channel_failure {
    const char *step;
    const char *prefix;
    const char *why;
};

struct channel {
    char target[RPC_TARGET_MAX + 1]; // "": the slot is free
    uint8_t state;                   // enum channel_state
    bool proven;                     // the peer has answered a call, or stayed for long: no backoff after a loss
    bool blocked;                    // bytes wait in net.c until what is owed was written
    bool pinging;                    // a PING is not answered
    bool had;                        // it was connected once
    struct net_conn *net;            // NULL without a connection
    struct request_list waiting;
    struct request_list sending;
    uint32_t active;     // requests that have a stream
    uint32_t heard;      // counts deliveries of bytes
    uint32_t used;       // when it was last asked for, as a running number
    uint32_t backoff_ms; // the last one; 0 after a success
    uint64_t since;      // ms: when the state began
    uint64_t heard_ms;   // when the last byte came
    uint64_t deadline;   // ms: of CONNECTING and BACKOFF, or of the PING's answer
    struct channel_failure failure;
    struct h2_connection h2;
    struct h2_out out;
    struct h2_stream *streams; // RPC_REQUESTS of them
    char fields[CHANNEL_FIELDS];
    uint8_t bytes[CHANNEL_OUT];
};

/// channel.c: requests ///

void request_append(struct request_list *list, struct rpc_request *r);
void request_remove(struct request_list *list, struct rpc_request *r);

// Off its channel's lists and its stream, which is reset with `error` where it is not over.
void request_leave(struct rpc_request *r, uint32_t error);

// The only place where a request's state changes.
void request_change(struct rpc_request *r, enum request_state next);

// It is over: `done` will be told in a later turn. What was said stays as it is; request_fail() says something.
void request_finish(struct rpc_request *r, uint32_t status, const char *step);
void request_fail(struct rpc_request *r, uint32_t status, const char *step, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The peer has certainly not begun with it: back among those that wait, or failed when it comes for the second time.
void request_again(struct rpc_request *r);

// A slot for the target, for calls that are to be made now; NULL when there is none. And the one that has it already
// and is not DRAINING.
uint32_t channel_number(const struct channel *c);
struct channel *channel_for(struct span target);
struct channel *channel_find(struct span target);

/// channel_connection.c: the connection below ///

// Takes HOST:PORT apart. False when it is something else.
bool channel_split(struct span target, struct span *host, uint16_t *port);

// Acts on what has changed: dials, sends, ends. Once per turn.
void channel_go(struct channel *c);

// Deadlines, and PINGs for peers that are silent for too long; and when to come again, in ms.
void channel_watch(struct channel *c, uint64_t now_ms);
uint64_t channel_wake(const struct channel *c, uint64_t now_ms);

// The peer's SETTINGS are there.
void channel_connected(struct channel *c);

// No call is to be made here any more.
void channel_drain(struct channel *c);

// Nothing has come from the peer since a call was sent that has run out of time.
void channel_suspect(struct channel *c);

// Says GOAWAY and closes; what waits goes on waiting.
void channel_close(struct channel *c);

// The connection is of no use any more: its calls fail, what waits may have another one.
void channel_lose(struct channel *c, const char *why);

struct channel_counters {
    uint32_t calls;
    uint32_t failed[GRPC_STATUSES + 1]; // by status; the last for numbers beyond
    uint32_t refused;                   // no slot for them
    uint32_t again;
    uint32_t dials;
    uint32_t reconnects;
};
extern struct channel_counters channel_counters;

/// channel_receive.c: what the peer sends ///

size_t channel_receive(struct channel *c, const uint8_t *bytes, size_t length);

/// channel_send.c: what we send ///

void channel_push(struct channel *c);

#endif
