#include "net.h"
#include "demux.h"
#include "hooks.h"
#include "net_private.h"
#include "pool.h"
#include "port.h"
#include "trail.h"

#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include <mbedtls/platform_util.h>
#include <string.h>

// RESOLVING -> CONNECTING -> OPEN -> CLOSING -> LINGERING -> BROKEN -> GONE      any -> BROKEN
//              accepted  ----^
// CLOSING waits until lwIP takes our FIN, LINGERING for the peer's FIN and for the acknowledgement of all that we sent.
enum state {
    STATE_RESOLVING,
    STATE_CONNECTING,
    STATE_OPEN,
    STATE_CLOSING,
    STATE_LINGERING,
    STATE_BROKEN, // the PCB is gone or must go; `why` tells
    STATE_GONE,   // `closed` is being called, then the slot is free: nothing can happen to it any more
};

static const char *const state_names[] = {"RESOLVING", "CONNECTING", "OPEN", "CLOSING", "LINGERING", "BROKEN", "GONE"};

// What lwIP's callbacks have recorded and net_poll() has not delivered yet.
enum event {
    EVENT_OPENED = 1,
    EVENT_DATA = 2, // more bytes, or net_resume()
    EVENT_FIN = 4,
    EVENT_ROOM = 8,
    EVENT_TURN = 16, // the state wants a step
};

struct listener {
    struct tcp_pcb *pcb;
    const struct net_layer *layer; // NULL for plain connections
    const struct net_handlers *handlers;
    const uint32_t *per_address;
};

struct net_conn {
    struct tcp_pcb *pcb; // NULL once it is gone
    const struct net_handlers *handlers;
    void *owner;
    const struct listener *listener; // NULL when we dialled
    struct pbuf *received;           // not yet consumed
    struct net_conn *next_ready;
    struct net_conn *next_dirty;
    uint32_t deadline;  // ms, wrapping around; of dialling, or of closing
    uint32_t last_call; // likewise; closing ends here, progress or not
    uint32_t peer;
    uint32_t sent;
    uint32_t acknowledged;
    uint32_t dial_number; // tells a late DNS answer whose it is
    uint16_t remote_port;
    uint8_t state;
    uint8_t events;
    int8_t why;
    bool ready;   // on the ready list
    bool dirty;   // on the dirty list
    bool watched; // net_watch_window()
    bool starved; // lwIP's memory was short: no acknowledgement may ever come to tell of room
    bool fin;     // the peer's FIN has come
    bool ended;   // ... and was told
    bool crowded; // over the per-address limit
};

#define CLOSE_PATIENCE_MS 3000  // without an acknowledgement while closing
#define CLOSE_LIMIT_MS    15000 // in all
#define SEGMENT_BUFFERS   2u    // a segment of referenced bytes: its headers and a reference
#define TCP_LEAST_MSS     536   // of a peer that names none (RFC 9293)
#define TICK_MS           100   // deadlines and starved connections are looked at this often
#define LISTENERS         MEMP_NUM_TCP_PCB_LISTEN

_Static_assert(NET_SEND_MAX <= TCP_SND_BUF, "one send must fit lwIP's send buffer");
_Static_assert(HUB_CLIENTS *HUB_QUEUE / 2 <= MEMP_NUM_TCP_SEG, "clients that vanish together would hold all segments");
_Static_assert(HUB_CLIENTS *HUB_QUEUE / 2 <= MEMP_NUM_PBUF, "clients that vanish together would hold all references");

POOL(connections, struct net_conn, NET_CONNECTIONS);
static struct listener listeners[LISTENERS];
static size_t listener_count;
static struct net_conn *ready_first, **ready_last = &ready_first;
static struct net_conn *dirty_first;
static uint64_t next_tick;
static uint32_t dials;
uint32_t net_turn;
struct net_counters net_counters;

const char *net_error_name(enum net_error error)
{
    static const char *const names[] = {"closed",       "full",         "closed",  "reset by the peer", "timed out",
                                        "no such name", "no free slot", "aborted", "no route"};
    return names[-(int)error];
}

/// Lists of what there is to do ///

static void make_ready(struct net_conn *c, unsigned events)
{
    c->events |= (uint8_t)events;
    if (c->ready || c->state == STATE_GONE)
        return;
    c->ready = true;
    c->next_ready = NULL;
    *ready_last = c;
    ready_last = &c->next_ready;
}

static void make_dirty(struct net_conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = dirty_first;
    dirty_first = c;
}

static void change(struct net_conn *c, enum state state)
{
    trail_change("net", "connection", pool_index(&connections, c), state_names[c->state], state_names[state]);
    c->state = (uint8_t)state;
    make_ready(c, EVENT_TURN);
}

static void break_off(struct net_conn *c, enum net_error why)
{
    if (c->state >= STATE_BROKEN)
        return;
    c->why = (int8_t)why;
    change(c, STATE_BROKEN);
}

/// lwIP's callbacks: they only record ///

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct net_conn *c = arg;
    (void)pcb;
    (void)err;
    if (p == NULL) {
        c->fin = true;
        make_ready(c, EVENT_FIN);
        return ERR_OK;
    }
    if (c->received == NULL)
        c->received = p;
    else
        pbuf_cat(c->received, p);
    make_ready(c, EVENT_DATA);
    // Many tiny segments would hold a whole buffer of the pool each: a peer that sends such and makes us keep them,
    // while memory is so short that they can't be gathered, has to go.
    if (pbuf_clen(c->received) > NET_HELD_PBUFS)
        c->received = pbuf_coalesce(c->received, PBUF_RAW);
    if (pbuf_clen(c->received) > 2 * NET_HELD_PBUFS)
        break_off(c, NET_ABORTED);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
    struct net_conn *c = arg;
    (void)pcb;
    c->acknowledged += length;
    make_ready(c, EVENT_ROOM);
    return ERR_OK;
}

static enum net_error error_of(err_t err)
{
    switch (err) {
    case ERR_CLSD:
        return NET_OK;
    case ERR_RST:
        return NET_RESET;
    default:
        return NET_TIMEOUT;
    }
}

static void on_error(void *arg, err_t err)
{
    struct net_conn *c = arg;
    c->pcb = NULL;
    break_off(c, error_of(err));
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct net_conn *c = arg;
    (void)pcb;
    (void)err;
    change(c, STATE_OPEN);
    make_ready(c, EVENT_OPENED);
    return ERR_OK;
}

/// PCBs ///

// Whose it is. A PCB has our callbacks from adopt() to forget_callbacks() and at no other time; before that its
// argument may be another one's, for lwIP gives a new PCB that of its listener.
static struct net_conn *conn_of(const struct tcp_pcb *pcb)
{
    return pcb->recv == on_received ? pcb->callback_arg : NULL;
}

// lwIP frees a PCB in TIME_WAIT without telling anybody (tcp_err() is for those that break), so demux.c does.
void net_pcb_destroyed(const struct tcp_pcb *pcb)
{
    struct net_conn *c = conn_of(pcb);
    if (c != NULL)
        c->pcb = NULL;
}

// LWIP_HOOK_TCP_INPACKET_PCB: for every segment, just before lwIP looks at it. lwIP tells of acknowledged bytes, but
// not of a window that opens.
void net_segment_arrived(const struct tcp_pcb *pcb)
{
    struct net_conn *c = conn_of(pcb);
    if (c == NULL || !c->watched)
        return;
    c->watched = false;
    make_ready(c, EVENT_ROOM);
}

static void adopt(struct net_conn *c, struct tcp_pcb *pcb)
{
    c->pcb = pcb;
    tcp_arg(pcb, c);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb); // one flush a turn already gathers what belongs together
}

static void forget_callbacks(struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
}

// One in TIME_WAIT is lwIP's business, which waits for what may still be on the way.
static void abort_pcb(struct net_conn *c)
{
    struct tcp_pcb *pcb = c->pcb;
    c->pcb = NULL;
    if (pcb == NULL)
        return;
    forget_callbacks(pcb);
    if (pcb->state != TIME_WAIT)
        tcp_abort(pcb);
}

// Everything was sent and acknowledged, and both ends have closed: what is left is lwIP's business. Fails when there is
// no memory for a FIN.
static bool let_go(struct net_conn *c)
{
    struct tcp_pcb *pcb = c->pcb;
    if (pcb == NULL)
        return true;
    forget_callbacks(pcb);
    if (tcp_close(pcb) != ERR_OK) {
        adopt(c, pcb);
        return false;
    }
    c->pcb = NULL;
    return true;
}

// Passwords and tokens came in it, and lwIP's memory keeps what was in it until somebody needs it.
static void wipe(struct pbuf *p)
{
    for (; p != NULL; p = p->next)
        mbedtls_platform_zeroize(p->payload, p->len);
}

// What lies between the owner and TCP, or NULL. What this machine says to itself never leaves it, and stays plain.
static const struct net_layer *layer_of(const struct net_conn *c)
{
    bool own = c->peer >> 24 == IP_LOOPBACKNET;
    return c->listener == NULL || own ? NULL : c->listener->layer;
}

static void discard_received(struct net_conn *c)
{
    struct pbuf *p = c->received;
    c->received = NULL;
    if (p == NULL)
        return;
    wipe(p);
    if (c->pcb != NULL)
        tcp_recved(c->pcb, p->tot_len);
    pbuf_free(p);
}

/// Accepting ///

static uint32_t connections_of(const struct listener *l, uint32_t peer)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < connections.fresh; i++) {
        const struct net_conn *c = &connections_slots[i];
        n += c->handlers != NULL && c->listener == l && c->peer == peer;
    }
    return n;
}

static struct net_conn *take_slot(const struct net_handlers *handlers, void *owner)
{
    struct net_conn *c = pool_take(&connections);
    if (c == NULL) {
        net_counters.no_slot++;
        return NULL;
    }
    c->handlers = handlers;
    c->owner = owner;
    return c;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    const struct listener *l = arg;
    if (err != ERR_OK || pcb == NULL)
        return ERR_VAL;
    struct net_conn *c = take_slot(l->handlers, NULL);
    if (c == NULL) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    c->peer = lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip)));
    c->crowded = *l->per_address > 0 && connections_of(l, c->peer) >= *l->per_address;
    c->listener = l;
    tcp_setprio(pcb, TCP_PRIO_NORMAL);
    adopt(c, pcb);
    net_counters.accepted++;
    change(c, STATE_OPEN);
    make_ready(c, EVENT_OPENED);
    return ERR_OK;
}

int net_layer_listen(uint16_t port, bool loopback_only, const struct net_handlers *handlers,
                     const uint32_t *per_address, const struct net_layer *layer)
{
    if (listener_count == LISTENERS)
        return -1;
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
    ip_addr_t loopback = IPADDR4_INIT(PP_HTONL(IPADDR_LOOPBACK));
    if (pcb == NULL)
        return -1;
    struct tcp_pcb *listening = tcp_bind(pcb, loopback_only ? &loopback : IP4_ADDR_ANY, port) == ERR_OK
                                    ? tcp_listen_with_backlog(pcb, TCP_DEFAULT_LISTEN_BACKLOG)
                                    : NULL;
    if (listening == NULL) {
        tcp_close(pcb);
        return -1;
    }
    struct listener *l = &listeners[listener_count++];
    *l = (struct listener){listening, layer, handlers, per_address};
    demux_listen(listening);
    tcp_arg(listening, l);
    tcp_accept(listening, on_accept);
    return 0;
}

int net_listen(uint16_t port, bool loopback_only, const struct net_handlers *handlers, const uint32_t *per_address)
{
    return net_layer_listen(port, loopback_only, handlers, per_address, NULL);
}

void net_stop_listening(void)
{
    while (listener_count > 0)
        tcp_close(listeners[--listener_count].pcb);
}

/// Dialling ///

static void connect_to(struct net_conn *c, const ip_addr_t *address)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
    if (pcb == NULL) {
        break_off(c, NET_NO_SLOT);
        return;
    }
    adopt(c, pcb);
    c->peer = lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(address)));
    change(c, STATE_CONNECTING);
    err_t err = tcp_connect(pcb, address, c->remote_port, on_connected);
    if (err == ERR_OK)
        demux_connect(pcb);
    else
        break_off(c, err == ERR_RTE ? NET_NO_ROUTE : NET_NO_SLOT); // no port or no memory for a SYN: our own shortage
}

static struct net_conn *dial_with_number(uint32_t number)
{
    for (uint32_t i = 0; i < connections.fresh; i++)
        if (connections_slots[i].state == STATE_RESOLVING && connections_slots[i].dial_number == number)
            return &connections_slots[i];
    return NULL;
}

static void on_resolved(const char *name, const ip_addr_t *address, void *arg)
{
    (void)name;
    struct net_conn *c = dial_with_number((uint32_t)(uintptr_t)arg);
    if (c == NULL)
        return; // its deadline has passed meanwhile
    if (address == NULL)
        break_off(c, NET_NO_ADDRESS);
    else
        connect_to(c, address);
}

static void resolve(struct net_conn *c, const char *name)
{
    ip_addr_t address = IPADDR4_INIT(PP_HTONL(IPADDR_LOOPBACK));
    c->dial_number = ++dials;
    err_t err = strcmp(name, "localhost") == 0
                    ? ERR_OK
                    : dns_gethostbyname(name, &address, on_resolved, (void *)(uintptr_t)c->dial_number);
    if (err == ERR_OK)
        connect_to(c, &address);
    else if (err != ERR_INPROGRESS)
        break_off(c, NET_NO_ADDRESS);
}

struct net_conn *net_dial(struct span host, uint16_t port, uint32_t deadline_ms, const struct net_handlers *handlers,
                          void *owner)
{
    char name[DNS_MAX_NAME_LENGTH];
    if (host.length == 0 || host.length >= sizeof name)
        return NULL;
    struct net_conn *c = take_slot(handlers, owner);
    if (c == NULL)
        return NULL;
    memcpy(name, host.at, host.length);
    name[host.length] = '\0';
    c->remote_port = port;
    c->deadline = (uint32_t)port_now_ms() + deadline_ms;
    net_counters.dialled++;
    resolve(c, name);
    return c;
}

/// Nobody's connections: on their way out ///

static size_t nobody_data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    return length;
}

static void nobody_closed(struct net_conn *c, enum net_error why)
{
    (void)c;
    (void)why;
}

static const struct net_handlers nobody = {.data = nobody_data, .closed = nobody_closed};

void net_leave(struct net_conn *c)
{
    net_hand_over(c, &nobody, NULL);
    net_close(c);
}

/// Delivering ///

static void refuse(struct net_conn *c)
{
    const struct net_layer *layer = layer_of(c);
    net_counters.refused++;
    if (layer == NULL && c->handlers->refused == NULL) {
        net_abort(c);
        return;
    }
    if (layer != NULL)
        layer->refused(c);
    else
        c->handlers->refused(c);
    net_close(c);
}

// A peer that connects and resets in one turn was never here: no owner gives up a living client for it.
static void deliver_opened(struct net_conn *c)
{
    if (c->state != STATE_OPEN) {
        if (c->listener != NULL)
            c->handlers = &nobody;
    } else if (c->crowded) {
        refuse(c);
    } else if (layer_of(c) != NULL) {
        layer_of(c)->opened(c);
    } else {
        c->handlers->opened(c);
    }
}

static void deliver_data(struct net_conn *c)
{
    while (c->received != NULL && c->state == STATE_OPEN) {
        struct pbuf *p = c->received;
        size_t offered = p->len;
        size_t consumed = c->handlers->data(c, p->payload, offered);
        if (c->pcb != NULL && consumed > 0)
            tcp_recved(c->pcb, (u16_t)consumed);
        mbedtls_platform_zeroize(p->payload, consumed); // see wipe()
        c->received = pbuf_free_header(p, (u16_t)consumed);
        if (consumed < offered)
            return;
    }
}

static void deliver_ended(struct net_conn *c)
{
    if (!c->fin || c->ended || c->received != NULL || c->state != STATE_OPEN)
        return;
    c->ended = true;
    if (c->handlers->ended == NULL)
        net_close(c);
    else
        c->handlers->ended(c);
}

static void deliver_room(struct net_conn *c)
{
    if (c->handlers->room != NULL && !c->crowded)
        c->handlers->room(c);
}

static void deliver_to_layer(struct net_conn *c, const struct net_layer *layer, unsigned events)
{
    if ((events & EVENT_ROOM) && c->state == STATE_OPEN && !c->crowded)
        layer->room(c);
    if ((events & (EVENT_DATA | EVENT_FIN)) && c->state == STATE_OPEN && !c->crowded)
        layer->arrived(c);
}

static void deliver(struct net_conn *c, unsigned events)
{
    if (events & EVENT_OPENED)
        deliver_opened(c);
    const struct net_layer *layer = layer_of(c);
    if (layer != NULL) {
        deliver_to_layer(c, layer, events);
        return;
    }
    if ((events & EVENT_ROOM) && c->state == STATE_OPEN)
        deliver_room(c);
    if ((events & EVENT_DATA) && c->state == STATE_OPEN)
        deliver_data(c);
    deliver_ended(c);
}

/// Closing ///

static bool reached(uint32_t ms, uint32_t moment)
{
    return (int32_t)(ms - moment) >= 0;
}

static void extend_deadline(struct net_conn *c)
{
    c->deadline = (uint32_t)port_now_ms() + CLOSE_PATIENCE_MS;
    if (reached(c->deadline, c->last_call))
        c->deadline = c->last_call;
}

static void step_closing(struct net_conn *c)
{
    const struct net_layer *layer = layer_of(c);
    if (layer != NULL && c->pcb != NULL && !layer->goodbye(c))
        return;
    discard_received(c);
    if (tcp_shutdown(c->pcb, 0, 1) == ERR_OK)
        change(c, STATE_LINGERING);
}

static void finish(struct net_conn *c)
{
    abort_pcb(c);
    discard_received(c);
    if (c->why == NET_RESET)
        net_counters.resets++;
    if (c->why == NET_TIMEOUT)
        net_counters.timeouts++;
    change(c, STATE_GONE);
    if (layer_of(c) != NULL)
        layer_of(c)->closed(c, c->why);
    else if (!c->crowded)
        c->handlers->closed(c, c->why);
    c->handlers = NULL; // tells a free slot from one in use
    pool_give(&connections, c);
}

static void step_lingering(struct net_conn *c)
{
    discard_received(c);
    if (c->acknowledged == c->sent && (c->fin || c->pcb == NULL) && let_go(c))
        break_off(c, c->why);
}

static bool closing(const struct net_conn *c)
{
    return c->state == STATE_CLOSING || c->state == STATE_LINGERING;
}

static void step(struct net_conn *c)
{
    unsigned events = c->events;
    c->events = 0;
    c->ready = false;
    deliver(c, events);
    if ((events & EVENT_ROOM) && closing(c))
        extend_deadline(c);
    if (c->state == STATE_CLOSING)
        step_closing(c);
    if (c->state == STATE_LINGERING)
        step_lingering(c);
    // Once it is off every list, nothing points at it any longer.
    if (c->state == STATE_BROKEN && !c->ready && !c->dirty)
        finish(c);
}

void net_close(struct net_conn *c)
{
    if (c->state == STATE_RESOLVING || c->state == STATE_CONNECTING)
        break_off(c, NET_ABORTED);
    if (c->state != STATE_OPEN)
        return;
    c->last_call = (uint32_t)port_now_ms() + CLOSE_LIMIT_MS;
    extend_deadline(c);
    change(c, STATE_CLOSING);
}

void net_abort(struct net_conn *c)
{
    break_off(c, NET_ABORTED);
    abort_pcb(c); // handlers are called from the loop alone, never from within lwIP
}

/// The turn ///

static bool has_deadline(const struct net_conn *c)
{
    return closing(c) || c->state == STATE_RESOLVING || c->state == STATE_CONNECTING;
}

static void tick_one(struct net_conn *c, uint64_t now)
{
    if (c->starved) {
        c->starved = false;
        make_ready(c, EVENT_ROOM);
    }
    if (layer_of(c) != NULL && c->state == STATE_OPEN)
        layer_of(c)->tick(c);
    if (!has_deadline(c))
        return;
    if (reached((uint32_t)now, c->deadline))
        break_off(c, NET_TIMEOUT);
    else if (closing(c))
        make_ready(c, EVENT_TURN);
}

static void tick(void)
{
    uint64_t now = port_now_ms();
    if (now < next_tick)
        return;
    next_tick = now + TICK_MS;
    for (uint32_t i = 0; i < connections.fresh; i++)
        if (connections_slots[i].handlers != NULL)
            tick_one(&connections_slots[i], now);
}

void net_poll(void)
{
    net_turn++;
    netif_poll_all();
    net_setup_poll();
    net_names_poll();
    net_time_poll();
    tick();
    struct net_conn *c = ready_first;
    ready_first = NULL;
    ready_last = &ready_first;
    while (c != NULL) {
        struct net_conn *next = c->next_ready;
        step(c);
        c = next;
    }
}

void net_flush(void)
{
    while (dirty_first != NULL) {
        struct net_conn *c = dirty_first;
        dirty_first = c->next_dirty;
        c->dirty = false;
        if (c->pcb != NULL)
            tcp_output(c->pcb);
        if (c->state == STATE_BROKEN)
            make_ready(c, EVENT_TURN);
    }
}

uint32_t net_open(void)
{
    return connections.used;
}

bool net_pending(void)
{
    return ready_first != NULL || net_loopback->loop_first != NULL;
}

void net_connections_start(void)
{
    pool_list(&connections);
    demux_start();
}

/// One connection ///

void *net_owner(const struct net_conn *c)
{
    return c->owner;
}

void net_hand_over(struct net_conn *c, const struct net_handlers *handlers, void *owner)
{
    c->handlers = handlers;
    c->owner = owner;
    net_resume(c);
}

// Of lwIP, for bytes as they go out.
static size_t raw_room(const struct net_conn *c, size_t buffers)
{
    const struct tcp_pcb *pcb = c->pcb;
    if (pcb == NULL || pcb->snd_queuelen + SEGMENT_BUFFERS > buffers)
        return 0;
    size_t segments = (buffers - pcb->snd_queuelen) / SEGMENT_BUFFERS;
    size_t room = LWIP_MIN(segments * pcb->mss, pcb->snd_buf);
    return LWIP_MIN(room, UINT16_MAX); // lwIP's lengths have 16 bits
}

static enum net_error write(struct net_conn *c, const void *bytes, size_t length, u8_t flags)
{
    if (c->pcb == NULL)
        return NET_CLOSED;
    if (length > raw_room(c, TCP_SND_QUEUELEN) || tcp_write(c->pcb, bytes, (u16_t)length, flags) != ERR_OK) {
        c->starved = c->sent == c->acknowledged;
        return NET_FULL;
    }
    c->sent += (uint32_t)length;
    make_dirty(c);
    return NET_OK;
}

static enum net_error send(struct net_conn *c, const void *bytes, size_t length, u8_t flags)
{
    const struct net_layer *layer = layer_of(c);
    if (c->state != STATE_OPEN)
        return NET_CLOSED;
    return layer != NULL ? layer->send(c, bytes, length) : write(c, bytes, length, flags);
}

enum net_error net_send(struct net_conn *c, const void *bytes, size_t length)
{
    return send(c, bytes, length, TCP_WRITE_FLAG_COPY);
}

enum net_error net_send_reference(struct net_conn *c, const void *bytes, size_t length)
{
    return send(c, bytes, length, 0);
}

size_t net_room_within(const struct net_conn *c, size_t buffers)
{
    const struct net_layer *layer = layer_of(c);
    if (c->state != STATE_OPEN)
        return 0;
    return layer != NULL ? layer->room_of(c, raw_room(c, buffers)) : raw_room(c, buffers);
}

size_t net_room(const struct net_conn *c)
{
    return net_room_within(c, TCP_SND_QUEUELEN);
}

size_t net_window(const struct net_conn *c)
{
    const struct tcp_pcb *pcb = c->pcb;
    if (pcb == NULL)
        return 0;
    uint32_t under_way = pcb->snd_lbb - pcb->lastack;
    return pcb->snd_wnd > under_way ? pcb->snd_wnd - under_way : 0;
}

void net_watch_window(struct net_conn *c)
{
    c->watched = true;
}

size_t net_window_most(const struct net_conn *c)
{
    const struct tcp_pcb *pcb = c->pcb;
    return pcb == NULL ? 0 : pcb->snd_wnd_max;
}

uint32_t net_sent(const struct net_conn *c)
{
    return c->sent;
}

uint32_t net_acknowledged(const struct net_conn *c)
{
    return c->acknowledged;
}

static void relocate(const struct tcp_seg *segment, const uint8_t *from, size_t length, const uint8_t *to)
{
    for (; segment != NULL; segment = segment->next)
        for (struct pbuf *p = segment->p; p != NULL; p = p->next) {
            const uint8_t *at = p->payload;
            if (p->type_internal != PBUF_ROM || at < from || at >= from + length)
                continue;
            p->payload = (void *)(uintptr_t)(to + (at - from));
            net_counters.relocated += p->len;
        }
}

void net_relocate(struct net_conn *c, const void *from, size_t length, const void *to)
{
    const struct tcp_pcb *pcb = c->pcb;
    if (pcb == NULL)
        return;
    relocate(pcb->unsent, from, length, to);
    relocate(pcb->unacked, from, length, to);
}

void net_resume(struct net_conn *c)
{
    make_ready(c, EVENT_DATA);
}

uint32_t net_peer_address(const struct net_conn *c)
{
    return c->peer;
}

bool net_copies(const struct net_conn *c)
{
    return layer_of(c) != NULL;
}

bool net_secure(const struct net_conn *c)
{
    return layer_of(c) != NULL;
}

/// For a layer ///

const struct net_layer *net_layer(const struct net_conn *c)
{
    return layer_of(c);
}

const struct net_handlers *net_layer_above(const struct net_conn *c)
{
    return c->handlers;
}

uint32_t net_layer_index(const struct net_conn *c)
{
    return pool_index(&connections, c);
}

bool net_layer_open(const struct net_conn *c)
{
    return c->state == STATE_OPEN;
}

size_t net_layer_take(struct net_conn *c, uint8_t *bytes, size_t size)
{
    size_t n = 0;
    while (c->received != NULL && n < size) {
        struct pbuf *p = c->received;
        size_t piece = LWIP_MIN((size_t)p->len, size - n);
        memcpy(bytes + n, p->payload, piece);
        n += piece;
        c->received = pbuf_free_header(p, (u16_t)piece);
    }
    if (c->pcb != NULL && n > 0)
        tcp_recved(c->pcb, (u16_t)n);
    return n;
}

bool net_layer_waits(const struct net_conn *c)
{
    return c->received != NULL;
}

bool net_layer_ended(const struct net_conn *c)
{
    return c->fin && c->received == NULL;
}

size_t net_layer_room(const struct net_conn *c)
{
    return raw_room(c, TCP_SND_QUEUELEN);
}

enum net_error net_layer_send(struct net_conn *c, const void *bytes, size_t length)
{
    return write(c, bytes, length, TCP_WRITE_FLAG_COPY);
}

void net_layer_close(struct net_conn *c, enum net_error why)
{
    c->why = (int8_t)why;
    net_close(c);
}
