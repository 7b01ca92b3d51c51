// What the files of the gRPC server share; nobody else includes it.
//
//     server.c        connections: accepting, receiving, writing out, time limits, closing
//     server_call.c   calls: their states, requests coming in, what services call
//     server_admit.c  whether a request is a call of ours, known as soon as its headers are
//     server_reply.c  answers as frames
#ifndef PIPIT_RPC_SERVER_PRIVATE_H
#define PIPIT_RPC_SERVER_PRIVATE_H

#include "../../app/limits.h"
#include "../../port/net.h"
#include "../proto/h2.h"
#include "server.h"

/// Connections ///

// FREE -> PREFACE -> OPEN <-> PINGED      any -> ENDED (the peer sends no more) or BROKEN (to be closed at once) ->
// FREE
enum rpc_connection_state {
    CONNECTION_FREE,
    CONNECTION_PREFACE, // until the client's SETTINGS
    CONNECTION_OPEN,
    CONNECTION_PINGED, // so quiet that it was asked whether anybody is there
    CONNECTION_ENDED,
    CONNECTION_BROKEN,
};

// What the peer's header compression refers back to.
struct rpc_table {
    _Alignas(4) uint8_t bytes[RPC_TABLE];
};

struct rpc_connection {
    struct net_conn *net;
    struct h2_connection h2;
    struct h2_stream *streams; // RPC_STREAMS of them; a stream's owner is its call
    uint64_t since;            // ms; of the state
    uint64_t accepted;         // ms
    uint64_t idle_since;       // ms; when something was heard last, or a call was over
    uint64_t progress;         // ms; when nothing was on the way, or something was acknowledged
    uint32_t acknowledged;     // net_acknowledged() at that time
    uint32_t writing;          // calls whose answer is not written to its end
    uint16_t turn;             // the stream that is written first, so that all get on
    uint8_t state;             // enum rpc_connection_state
    bool receiving;            // what was received is being told: what it brings is written right after
    bool blocked;              // received bytes wait until something was written
    bool served;               // a call is over
    bool local;                // the peer is on the loopback, as the gate is
    bool trusted;              // has shown the secret, or nobody has to
    struct rpc_table *table;   // of a connection from elsewhere; NULL on the loopback
    char fields[RPC_FIELDS];
};

// Has the connection written soon: in the next turn at the latest.
void rpc_connection_wake(struct rpc_connection *c);

// Whether more than the loopback was let in at the start, so that callers must show the secret. What the settings say
// meanwhile counts from the next start.
bool rpc_server_is_open(void);

// Ends it with GOAWAY as soon as nobody is using it any more.
void rpc_connection_break(struct rpc_connection *c, uint32_t h2_error, const char *debug);

/// Calls ///

// FREE -> HEADERS -> REQUEST -> WORKING -> REPLYING -> SENDING -> ENDING -> DRAINING -> FREE
//                \-> REFUSING -> SENDING        \-> FAILING -> DRAINING
// DRAINING is left out when the request is whole.
enum rpc_call_state {
    CALL_FREE,
    CALL_HEADERS,  // header fields are coming
    CALL_REQUEST,  // the message is coming
    CALL_WORKING,  // the service has it
    CALL_REFUSING, // the header fields of an answer in plain HTTP are to be written
    CALL_REPLYING, // those of a reply
    CALL_SENDING,  // content is
    CALL_ENDING,   // trailers are
    CALL_FAILING,  // a status alone is ("Trailers-Only")
    CALL_DRAINING, // answered; what still comes of the request is thrown away
};

enum rpc_http_method { RPC_OTHER_METHOD, RPC_POST, RPC_HEAD };

struct rpc_call {
    void *context; // the service's
    struct rpc_connection *connection;
    struct h2_stream *stream;
    const struct rpc_service *service; // NULL when there is none of that name, and after it was told the end
    const struct rpc_method *method;
    void (*produce)(struct rpc_call *call, uint32_t from, uint8_t *at,
                    size_t length); // NULL: the answer is in `buffer`
    uint64_t began;                 // ms; when its headers came
    uint64_t caller_deadline;       // ms; UINT64_MAX: none
    uint64_t deadline;              // ms; of the state, the caller's counted
    struct grpc_reader reader;
    uint32_t status;      // enum grpc_status, or that of HTTP
    uint32_t length;      // of the answer's content: a message without its prefix, a sentence
    uint32_t sent;        // of prefix and content
    uint32_t unwanted;    // bytes of the request that came after the answer was known
    uint16_t path_length; // of the path, kept in `buffer` until the headers are whole
    uint8_t state;        // enum rpc_call_state
    uint8_t http_method;  // enum rpc_http_method
    uint8_t prefix;       // bytes in front of the content: GRPC_PREFIX, or none in plain HTTP
    bool grpc;            // the content-type is
    bool authorized;      // has shown the secret
    bool admitted;        // its headers were good: the answer is no refusal of the server's
    bool bad_timeout;     // grpc-timeout cannot be read
    bool encoded;         // grpc-encoding is something else than identity
    bool told;            // the service knows the call
    bool whole;           // the peer has ended its request
    bool late;            // the request was given up
    bool names_encodings; // the answer tells which encodings are understood
    uint8_t buffer[RPC_MESSAGE];
};

struct rpc_server_counters {
    uint32_t calls;                  // whose headers were good
    uint32_t replies[GRPC_STATUSES]; // by their status; those that are no status count as UNKNOWN
    uint32_t refused;                // answered in plain HTTP
    uint32_t cancelled;              // by the caller, or its connection was lost
    uint32_t no_slot;                // streams refused because all calls were taken
    uint32_t evicted;                // idle connections closed for a newcomer
    uint32_t turned_away;            // newcomers
};
extern struct rpc_server_counters rpc_server_counters;

void rpc_calls_start(void);

// Changes the state, and with it the deadline.
void rpc_call_change(struct rpc_call *call, enum rpc_call_state next);

// What h2_receive() tells of a stream. `call` is NULL for a stream that nobody wants.
void rpc_call_open(struct rpc_connection *c, struct h2_stream *stream);
void rpc_call_field(struct rpc_call *call, const struct h2_step *step);
void rpc_call_admit(struct rpc_call *call, bool too_large);
void rpc_call_data(struct rpc_call *call, struct span data);
void rpc_call_whole(struct rpc_call *call);
void rpc_call_cancel(struct rpc_call *call, uint32_t h2_error);

// The call's answer was written to its end.
void rpc_call_answered(struct rpc_call *call);

// Ends the calls of a connection that is gone; its streams are not touched.
void rpc_calls_lose(struct rpc_connection *c);

// Answers those that have no answer yet: the server goes down.
void rpc_calls_give_up(struct rpc_connection *c);

// Answers with a status, whatever the state before the first frame of an answer.
void rpc_call_fail(struct rpc_call *call, enum grpc_status status, struct span message);

// Answers in plain HTTP.
void rpc_call_refuse(struct rpc_call *call, uint32_t http_status, const char *sentence);

// Looks after deadlines that have passed. Returns when the next one will, UINT64_MAX for none.
uint64_t rpc_calls_scan(uint64_t now_ms);

/// Answers ///

enum rpc_written {
    RPC_WRITTEN, // something; there may be more
    RPC_STUCK,   // nothing: the peer's window is shut
    RPC_NO_ROOM, // nothing: `out` is too full
    RPC_OVER,    // nothing more: the call has no answer under way
};

// Writes what fits of the call's answer, at most one DATA frame. `most` is the size that `out` can have at best.
enum rpc_written rpc_call_write(struct rpc_call *call, struct h2_out *out, size_t most);

#endif
