// One chat client, as the hub's files share it. Nobody else includes this.
#ifndef PIPIT_CLIENT_H
#define PIPIT_CLIENT_H

#include "../../port/net.h"
#include "../../port/pool.h"
#include "../proto/ws.h"
#include "events.h"
#include "hub.h"

enum client_state {
    CLIENT_FREE = 0,
    CLIENT_CHATTING,
    CLIENT_LEFT, // its leaving was told; the connection is still closing, and may still send from the ring
};

// What a client still has to be told, besides the ring.
enum client_due {
    DUE_WELCOME = 1,
    DUE_ROSTER = 2,
};

// What arrives in pieces: a message, a control frame, or both.
struct assembly {
    uint64_t since; // ms
    bool message;   // `bytes` are of one
    size_t length;
    uint8_t bytes[HUB_MESSAGE];
    uint8_t control[WS_CONTROL_MAX];
};

// A copy of what is on the way to a client whose acknowledgements don't come, so that the ring can go on.
struct rescue {
    uint32_t until; // net_sent() when it was made: needed until that much is acknowledged
    uint8_t bytes[HUB_RESCUE];
};

struct client {
    struct net_conn *conn;
    struct assembly *assembly;
    struct rescue *rescue;
    uint32_t expires; // s: when the login ends that it came with, 0 for never

    uint64_t next;      // the event to send next
    uint64_t safe;      // every event below this one is acknowledged, or was moved to `rescue`
    uint64_t mark;      // once `mark_sent` is acknowledged, every event below this one is too
    uint64_t joined;    // the event of its joining: the welcome comes behind it
    uint64_t since;     // the newest id it was sent
    uint64_t pinged;    // ms
    uint64_t progress;  // ms, when it last took something, or had nothing to take
    uint64_t talk_from; // ms, beginning of the 5 s in which `talked` messages came
    uint32_t mark_sent;
    uint32_t acknowledged; // net_acknowledged() when it was last looked at, and pings that it will have to count

    uint32_t uid; // 0 for a guest
    uint32_t who; // identity for private messages: the uid, or GUEST_BIT and a number
    uint32_t talked;
    uint16_t roster; // slot to go on from
    uint16_t login;  // which of the account's (hub.h)
    uint8_t state;
    uint8_t format;
    uint8_t due;
    uint8_t unanswered; // pings without any sign of life
    bool paused;        // for talking too much
    bool waiting;       // for an assembly, or for room for an answer
    bool limit_told;
    uint8_t name_length;
    char name[NAME_MAX_BYTES];
    struct ws_decoder decoder;
};

#define GUEST_BIT      0x80000000u
#define TALK_WINDOW_MS 5000
#define ASSEMBLY_MS    10000 // a message or control frame must be complete by then

static inline struct span client_name(const struct client *c)
{
    return (struct span){c->name, c->name_length};
}

/// hub.c ///

extern struct pool *const hub_pool;
extern const struct ring_audience hub_everybody;

// Walks the clients that are chatting: NULL gives the first; NULL comes after the last.
struct client *client_next(const struct client *c);
struct client *client_by_name(struct span name);

// Keeps an event in the ring, for everybody or for two; it goes out when this turn ends. Returns its id, or 0 when it
// is longer than HUB_FRAME: what nobody's message is in can't be.
uint64_t hub_broadcast(struct event_content *event, struct ring_audience audience);

// Tells all that it left, and closes its connection with a code and a reason.
void client_close(struct client *c, uint16_t status, const char *reason);

void client_rename(struct client *c, struct span name);

/// deliver.c ///

// Sends what the client lacks, as far as it goes. Called once a turn, and when there is room again.
void client_deliver(struct client *c);

// Notes what was acknowledged.
void client_acknowledged(struct client *c, uint64_t now);

// Makes sure that nothing on the way to anybody is still read from event `id` or older ones.
void hub_unpin(uint64_t id);

// True when a message of `length` bytes would push something out of the ring that is still on its way to somebody who
// keeps up, and no rescue is free for it: whoever wants to say it waits for a round trip, since the other one would be
// cut off. A ring of a few kilobytes goes round in a burst of lines.
bool hub_must_wait(size_t length, uint64_t now);

// True when something is on the way to it, or should be.
bool client_owes(const struct client *c);

void client_release_rescue(struct client *c);

// Sends an event to this client alone. Callers make sure of room with client_can_answer(); false when lwIP's memory is
// short all the same.
bool client_tell(struct client *c, struct event_content *event);
void client_notice(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool client_can_answer(const struct client *c);

/// receive.c ///

size_t client_receive(struct client *c, const uint8_t *bytes, size_t length);
void client_release_assembly(struct client *c);
extern bool waiting_may_go_on; // an assembly is free, or the ring has room again

/// commands.c ///

// A line that the client said: trimmed, not empty.
void client_said(struct client *c, struct span line);

#endif
