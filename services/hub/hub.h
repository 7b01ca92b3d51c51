// The chat hub: everybody's messages to everybody, over WebSocket.
//
// What was said last is kept in rings (ring.h) as finished frames, one ring per wire format; a client is a cursor into
// one of them and is sent references, never copies. The wire is described in the README under "Chat".
#ifndef PIPIT_HUB_H
#define PIPIT_HUB_H

#include "../../app/limits.h"
#include "../../port/net.h"
#include "../service.h"

struct hub_settings {
    uint32_t rate;  // chat.rate: messages in 5 s a client, 0 for no limit
    uint32_t ping;  // ws.ping: seconds between pings
    uint32_t stall; // ws.stall: seconds without taking anything before a client is closed with 1013
};
extern struct hub_settings hub_settings;

struct hub_join {
    uint32_t uid;     // the account, 0 for a guest
    struct span name; // the account's name (copied); ignored for a guest, who becomes guest-N
    bool json;        // pipit.v1.json, else the original's plain text
    bool resume;      // ?since= was given:
    uint64_t since;   // the last event that the client has
    uint16_t login;   // an account's may be several at a time; any number that tells them apart
    uint32_t expires; // when the login ends, in seconds of port_now_ms(); 0: never
};

// True when no client can be taken in.
bool hub_full(void);

// Takes over a connection on which "101 Switching Protocols" was just sent. False when the hub is full.
bool hub_attach(struct net_conn *c, const struct hub_join *join);

// Closes every connection of an account with 4002, after telling it why.
void hub_close_account(uint32_t uid, const char *reason);

// The same for the one that came with this login.
void hub_close_login(uint32_t uid, uint16_t login, const char *reason);

// A login goes on under another number, until another moment.
void hub_renew_login(uint32_t uid, uint16_t login, uint16_t renewed, uint32_t expires);

// True when somebody chats with this login.
bool hub_has_login(uint32_t uid, uint16_t login);

// Sends a line from the house to all: "[system] text". False when there are so many control characters, quotes and
// backslashes in it that it does not fit HUB_FRAME bytes as JSON.
bool hub_say(struct span text);

// Closes the client of this name with 1008. False when there is none.
bool hub_kick(struct span name);

// Walks the names of all clients: call with *at = 0 first; false after the last one.
bool hub_walk(uint32_t *at, struct span *name);

uint32_t hub_clients(void);
uint64_t hub_newest(void); // the id of the newest event, 0 before the first

struct hub_counters {
    uint32_t joined;
    uint32_t messages;   // events broadcast, all kinds
    uint32_t deliveries; // events handed to clients
    uint32_t skipped;    // events that clients missed
    uint32_t skips;      // times a client fell out of the history
    uint32_t culled;     // clients closed because they took nothing
    uint32_t replaced;   // clients closed by a second login
    uint32_t expired;    // clients closed because their login came to its end
    uint32_t limited;    // pauses for talking too much
    uint32_t protocol_errors;
};
extern struct hub_counters hub_counters;

extern const struct service hub_service;

#endif
