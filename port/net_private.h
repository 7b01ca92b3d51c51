// What net_start.c, net.c and the main loop share; nobody else includes it.
#ifndef PIPIT_NET_PRIVATE_H
#define PIPIT_NET_PRIVATE_H

#include "net.h"
#include "text.h"

struct netif;
struct tcp_pcb;

// The machine's interface, for port_netif_poll().
extern struct netif net_interface;

// lwIP's own, for 127.0.0.1.
extern struct netif *net_loopback;

// Readies the slots; after lwip_init().
void net_connections_start(void);

/// A layer between a connection's owner and TCP: port/tls/layer.c ///

// The connections of a listener may have a layer in between. It is told what happens on the wire, and tells the owner
// what that means; what the owner sends goes through it. Sends copy then, so net_acknowledged() counts what goes out in
// the owner's stead. Every member is set.
struct net_layer {
    void (*opened)(struct net_conn *c);
    void (*arrived)(struct net_conn *c); // bytes, or the peer's end; also after net_resume()
    void (*room)(struct net_conn *c);
    void (*tick)(struct net_conn *c);    // every 100 ms while it is open
    bool (*goodbye)(struct net_conn *c); // it is closing: last words. False while they wait for room.
    void (*refused)(struct net_conn *c); // over the per-address limit; it is closed right after
    void (*closed)(struct net_conn *c, enum net_error why);
    enum net_error (*send)(struct net_conn *c, const void *bytes, size_t length);
    size_t (*room_of)(const struct net_conn *c, size_t room); // bytes of the owner's that fit in `room` on the wire
};

int net_layer_listen(uint16_t port, bool loopback_only, const struct net_handlers *handlers,
                     const uint32_t *per_address, const struct net_layer *layer);

const struct net_layer *net_layer(const struct net_conn *c);

// The owner's.
const struct net_handlers *net_layer_above(const struct net_conn *c);

// From 0 to NET_CONNECTIONS - 1.
uint32_t net_layer_index(const struct net_conn *c);

// False once it is closing or broken off.
bool net_layer_open(const struct net_conn *c);

// Takes bytes that have come, and opens the peer's window by as many.
size_t net_layer_take(struct net_conn *c, uint8_t *bytes, size_t size);
bool net_layer_waits(const struct net_conn *c); // there are some
bool net_layer_ended(const struct net_conn *c); // there will never be any

// Sends on the wire, also while closing.
size_t net_layer_room(const struct net_conn *c);
enum net_error net_layer_send(struct net_conn *c, const void *bytes, size_t length);

// net_close(), and `closed` will get `why`.
void net_layer_close(struct net_conn *c, enum net_error why);

// Counts net_poll().
extern uint32_t net_turn;

/// net_setup.c: the address ///

// Reads the settings; false after saying on the console what is wrong.
bool net_setup_read(void);

// The interface is up: begins to get an address.
void net_setup_start(void);
void net_setup_poll(void);

/// net_names.c: the name ///

void net_names_start(void);
void net_names_poll(void);

// The link came up, or the address is another one: claims the name anew.
void net_names_restart(void);

// Writes "http://192.168.1.20/ and http://pipit.local/".
void net_names_url(struct text *out);

/// net_time.c: the time ///

void net_time_start(void);
void net_time_poll(void);

// There may be a better way to a server than before: asks soon.
void net_time_soon(void);

// demux.c, to net.c: lwIP frees this PCB.
void net_pcb_destroyed(const struct tcp_pcb *pcb);

#endif
