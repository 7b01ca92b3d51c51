// The TLS server as a layer of net.c: what comes in is pulled, record by record, when the owner takes it; what goes out
// is copied into records, and into lwIP's buffers. Nothing is allocated for a caller before it has a slot here, and
// only a few shake hands at once.
//
//     WAITING -> HANDSHAKE -> OPEN -> PARTED      any -> (released)
#include "../log.h"
#include "../net_private.h"
#include "../pool.h"
#include "../port.h"
#include "../trail.h"
#include "identity.h"
#include "server.h"
#include "tls_private.h"

#include "lwip/opt.h"
#include <mbedtls/platform_util.h>
#include <string.h>

enum state {
    WAITING,   // for the first bytes, or for one of TLS_HANDSHAKES places
    HANDSHAKE, //
    OPEN,
    PARTED, // the peer has said close_notify: it sends no more
};

static const char *const state_names[] = {"WAITING", "HANDSHAKE", "OPEN", "PARTED"};

struct session {
    uint64_t deadline;    // ms, of the handshake
    struct net_conn *net; // NULL in a slot that is free
    mbedtls_ssl_context ssl;
    uint64_t since;      // ms: the last step of the handshake that got on
    uint32_t generation; // of our certificate, held during the handshake
    uint8_t state;       // enum state
    bool wants;          // waits for a place, with bytes at hand
    bool dry;            // there were no bytes
    bool talked;         // something was sent since that was last looked at
    bool parted;         // the goodbye is said
    bool resumed;        // it has shown a ticket of ours
};

struct layer {
    struct net_layer net; // first: net.c knows this alone
    enum net_alpn alpn;
};

#define PATIENCE_MS   2000 // with a handshake that does not get on, while somebody else waits
#define OVERHEAD_MOST 64   // bytes of a record around those of its owner
#define RECORD_LEAST  512  // bytes of the shortest records that a client may ask for (RFC 6066 section 4)

_Static_assert(TLS_IN == 16384 || TLS_ARENA < 16384,
               "a client that knows of no shorter records may send 16384 bytes in one");
_Static_assert(TLS_FLIGHT >= NET_SEND_MAX + (NET_SEND_MAX / RECORD_LEAST + 1) * OVERHEAD_MOST,
               "one send must fit what may be on the way");
_Static_assert(offsetof(struct session, net) >= sizeof(void *), "a free slot's link would hide that it is free");

POOL(tls_served, struct session, TLS_SERVED);
static struct session *sessions[NET_CONNECTIONS]; // by net_layer_index()
static uint32_t places_used;                      // of TLS_HANDSHAKES
static uint32_t stepped_in;                       // net_turn of the last step of a handshake
struct net_tls_settings net_tls_settings;

static struct session *session_of(const struct net_conn *c)
{
    return sessions[net_layer_index(c)];
}

static void change(struct session *s, enum state state)
{
    trail_change("tls", "server", pool_index(&tls_served, s), state_names[s->state], state_names[state]);
    s->state = (uint8_t)state;
}

/// Slots and places ///

// Whoever has waited longest comes next.
static void wake_waiting(void)
{
    struct session *first = NULL;
    for (uint32_t i = 0; i < tls_served.fresh; i++) {
        struct session *s = pool_slot(&tls_served, i);
        if (s->net != NULL && s->state == WAITING && s->wants && (first == NULL || s->deadline < first->deadline))
            first = s;
    }
    if (first != NULL)
        net_resume(first->net);
}

// The handshake is over, well or not.
static void give_place(uint32_t generation)
{
    tls_identity_release(generation);
    places_used--;
    wake_waiting();
}

static void release(struct session *s)
{
    sessions[net_layer_index(s->net)] = NULL;
    mbedtls_ssl_free(&s->ssl);
    s->net = NULL;
    enum state was = (enum state)s->state;
    uint32_t generation = s->generation;
    pool_give(&tls_served, s);
    if (was == HANDSHAKE)
        give_place(generation);
}

// The caller gets no session: nobody above has heard of it. What was sent gets through.
static void drop(struct session *s)
{
    struct net_conn *c = s->net;
    release(s);
    net_leave(c);
}

// In the clear, before anything was agreed on (RFC 8446 section 6).
static void send_alert(struct net_conn *c, uint8_t description)
{
    const uint8_t record[] = {0x15, 3, 3, 0, 2, MBEDTLS_SSL_ALERT_LEVEL_FATAL, description};
    net_layer_send(c, record, sizeof record);
}

static void cut_off(struct session *s)
{
    net_tls_counters.failed[NET_TLS_LATE]++;
    if (s->state == WAITING)
        send_alert(s->net, MBEDTLS_SSL_ALERT_MSG_USER_CANCELED);
    else
        mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_USER_CANCELED);
    drop(s);
}

// A caller that does not get on gives way when somebody else needs what it has.
static bool cut_off_slowest(bool with_place)
{
    struct session *slowest = NULL;
    uint64_t now = port_now_ms();
    for (uint32_t i = 0; i < tls_served.fresh; i++) {
        struct session *s = pool_slot(&tls_served, i);
        if (s->net == NULL || (s->state != HANDSHAKE && (with_place || s->state != WAITING || s->wants)))
            continue;
        if (now - s->since >= PATIENCE_MS && (slowest == NULL || s->since < slowest->since))
            slowest = s;
    }
    if (slowest != NULL)
        cut_off(slowest);
    return slowest != NULL;
}

/// The wire, as mbedTLS sees it ///

static int on_send(void *session, const unsigned char *bytes, size_t length)
{
    struct session *s = session;
    s->talked = true;
    size_t room = net_layer_room(s->net);
    size_t n = length < room ? length : room;
    if (n == 0 || net_layer_send(s->net, bytes, n) != NET_OK)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    return (int)n;
}

static int on_receive(void *session, unsigned char *bytes, size_t size)
{
    struct session *s = session;
    size_t n = net_layer_take(s->net, bytes, size);
    if (n > 0)
        return (int)n;
    if (net_layer_ended(s->net))
        return 0;
    s->dry = true;
    return MBEDTLS_ERR_SSL_WANT_READ;
}

static bool is_want(int result)
{
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

// A record, or the rest of one, that waits for room.
static bool waits(const struct session *s)
{
    return s->ssl.MBEDTLS_PRIVATE(out_left) > 0;
}

/// Failures ///

static enum net_tls_failure reason_of(const struct session *s, int error)
{
    if (tls_starved)
        return NET_TLS_MEMORY;
    switch (error) {
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return NET_TLS_CUT;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return NET_TLS_ALERT;
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
        return NET_TLS_PROTOCOL;
    case MBEDTLS_ERR_SSL_INVALID_MAC:
        return NET_TLS_RECORD;
    default:
        return s->state == HANDSHAKE ? NET_TLS_HANDSHAKE : NET_TLS_RECORD;
    }
}

static void note_failure(const struct session *s, int error)
{
    char buffer[80], address[16];
    struct text why = text_in(buffer, sizeof buffer);
    enum net_tls_failure reason = reason_of(s, error);
    net_tls_counters.failed[reason]++;
    if (reason == NET_TLS_MEMORY)
        error = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    tls_explain_error(error, &why);
    text_end(&why);
    log_line(LOG_DEBUG, "tls", "%s: %s", net_address_text(net_peer_address(s->net), address), buffer);
}

// mbedTLS has mostly told the peer already; else we do.
static void last_alert(struct session *s, int error)
{
    if (s->talked || error == MBEDTLS_ERR_SSL_CONN_EOF || error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE || waits(s))
        return;
    mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                   tls_starved ? MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR
                                               : MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
}

static void fail_handshake(struct session *s, int error)
{
    note_failure(s, error);
    last_alert(s, error);
    drop(s);
}

// The owner is told by `closed`.
static void fail_open(struct session *s, int error)
{
    note_failure(s, error);
    last_alert(s, error);
    s->parted = true; // no goodbye behind a fatal alert
    net_layer_close(s->net, NET_RESET);
}

/// The handshake ///

static const struct layer *layer_of(const struct session *s)
{
    return (const struct layer *)(const void *)net_layer(s->net);
}

static void opened(struct session *s)
{
    struct net_conn *c = s->net;
    // RFC 9113 section 3.3: HTTP/2 must be agreed on. To HTTP/1.1 nobody needs to.
    if (layer_of(s)->alpn == NET_ALPN_H2 && mbedtls_ssl_get_alpn_protocol(&s->ssl) == NULL) {
        net_tls_counters.failed[NET_TLS_PROTOCOL]++;
        mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                       MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL);
        drop(s);
        return;
    }
    change(s, OPEN);
    give_place(s->generation);
    net_tls_counters.handshakes++;
    net_tls_counters.resumed += s->resumed;
    net_resume(c);
    net_layer_above(c)->opened(c);
}

static bool begin(struct session *s)
{
    tls_starved = false;
    int error = mbedtls_ssl_setup(&s->ssl, tls_server_config(layer_of(s)->alpn));
    if (error != 0) {
        net_tls_counters.refused++;
        send_alert(s->net, MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR);
        drop(s);
        return false;
    }
    mbedtls_ssl_set_bio(&s->ssl, s, on_send, on_receive, NULL);
    places_used++;
    s->generation = tls_identity_hold();
    s->since = port_now_ms();
    change(s, HANDSHAKE);
    return true;
}

// One step, the longest of which is a key agreement with a signature. Others have their turn before the next one.
static void step(struct session *s)
{
    tls_starved = tls_ticket_taken = s->dry = s->talked = false;
    stepped_in = net_turn;
    int result = mbedtls_ssl_handshake_step(&s->ssl);
    s->resumed |= tls_ticket_taken;
    if (!is_want(result) && result != 0) {
        fail_handshake(s, result);
        return;
    }
    if (!s->dry)
        s->since = port_now_ms();
    if (result == 0 && mbedtls_ssl_is_handshake_over(&s->ssl))
        opened(s);
    else if (result == 0 || (result == MBEDTLS_ERR_SSL_WANT_READ && !s->dry))
        net_resume(s->net);
}

static void go_on(struct session *s)
{
    if (s->state == WAITING) {
        s->wants = net_layer_waits(s->net);
        if (net_layer_ended(s->net)) {
            net_tls_counters.failed[NET_TLS_CUT]++;
            drop(s);
            return;
        }
        if (!s->wants || (places_used == TLS_HANDSHAKES && !cut_off_slowest(true)) || !begin(s))
            return;
    }
    if (stepped_in == net_turn)
        net_resume(s->net);
    else
        step(s);
}

/// Open: in ///

// Makes sure that there is a record with bytes for the owner. False when there is none now.
static bool next_record(struct session *s)
{
    int result;
    if (mbedtls_ssl_get_bytes_avail(&s->ssl) > 0)
        return true;
    tls_starved = s->talked = false;
    do {
        s->dry = false;
        result = mbedtls_ssl_read(&s->ssl, NULL, 0);
    } while ((result == MBEDTLS_ERR_SSL_WANT_READ && !s->dry) ||
             (result == 0 && mbedtls_ssl_get_bytes_avail(&s->ssl) == 0 && net_layer_waits(s->net)));
    if (mbedtls_ssl_get_bytes_avail(&s->ssl) > 0)
        return true;
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        change(s, PARTED);
    } else if (!is_want(result) && (result != 0 || net_layer_ended(s->net))) {
        fail_open(s, result == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : result);
    }
    return false;
}

// Only moves mbedTLS's own mark behind what the owner has taken.
static void taken(struct session *s, size_t length)
{
    unsigned char none[256];
    while (length > 0) {
        int n = mbedtls_ssl_read(&s->ssl, none, length < sizeof none ? length : sizeof none);
        if (n <= 0)
            return;
        length -= (size_t)n;
    }
    mbedtls_platform_zeroize(none, sizeof none);
}

static void deliver(struct net_conn *c)
{
    struct session *s;
    while (net_layer_open(c) && (s = session_of(c)) != NULL && s->state == OPEN && next_record(s)) {
        size_t length = mbedtls_ssl_get_bytes_avail(&s->ssl);
        size_t n = net_layer_above(c)->data(c, s->ssl.MBEDTLS_PRIVATE(in_offt), length);
        s = session_of(c);
        if (s != NULL)
            taken(s, n);
        if (n < length)
            return;
    }
}

static void tell_ended(struct net_conn *c)
{
    const struct net_handlers *above = net_layer_above(c);
    if (above->ended != NULL)
        above->ended(c);
    else
        net_close(c);
}

static void on_arrived(struct net_conn *c)
{
    struct session *s = session_of(c);
    if (s == NULL)
        return;
    if (s->state < OPEN) {
        go_on(s);
        return;
    }
    if (s->state != OPEN)
        return;
    deliver(c);
    s = session_of(c);
    if (s != NULL && s->state == PARTED && net_layer_open(c))
        tell_ended(c);
}

/// Open: out ///

// Sends what waits for room. False when it still waits.
static bool push(struct session *s)
{
    if (waits(s))
        mbedtls_ssl_write(&s->ssl, NULL, 0); // while something waits it sends that and nothing else
    return !waits(s);
}

static void on_room(struct net_conn *c)
{
    struct session *s = session_of(c);
    if (s == NULL)
        return;
    if (s->state < OPEN) {
        if (s->state == HANDSHAKE)
            net_resume(c);
        return;
    }
    if (push(s) && net_layer_above(c)->room != NULL)
        net_layer_above(c)->room(c);
}

static size_t room_of(const struct net_conn *c, size_t room)
{
    const struct session *s = session_of(c);
    if (s == NULL || s->state < OPEN || waits(s))
        return 0;
    size_t under_way = net_sent(c) - net_acknowledged(c);
    size_t flight = under_way < TLS_FLIGHT ? TLS_FLIGHT - under_way : 0;
    int most = mbedtls_ssl_get_max_out_record_payload(&s->ssl);
    int around = mbedtls_ssl_get_record_expansion(&s->ssl);
    if (most <= 0 || around <= 0)
        return 0;
    room = room < flight ? room : flight;
    size_t whole = room / (size_t)(most + around);
    size_t rest = room % (size_t)(most + around);
    return whole * (size_t)most + (rest > (size_t)around ? rest - (size_t)around : 0);
}

static enum net_error send(struct net_conn *c, const void *bytes, size_t length)
{
    struct session *s = session_of(c);
    const uint8_t *at = bytes;
    if (s == NULL || s->state < OPEN || s->parted)
        return NET_CLOSED;
    if (length > room_of(c, net_layer_room(c)))
        return NET_FULL;
    tls_starved = false;
    while (length > 0) {
        size_t most = (size_t)mbedtls_ssl_get_max_out_record_payload(&s->ssl);
        size_t n = length < most ? length : most;
        int result = mbedtls_ssl_write(&s->ssl, at, n);
        // What waits for room is taken, but nothing can follow it: lwIP's memory is short in the middle of a send.
        if ((result < 0 && result != MBEDTLS_ERR_SSL_WANT_WRITE) || (waits(s) && n < length)) {
            net_tls_counters.failed[NET_TLS_MEMORY]++;
            net_abort(c);
            return NET_CLOSED;
        }
        at += n;
        length -= n;
    }
    return NET_OK;
}

/// Beginning and end ///

static void refuse(struct net_conn *c)
{
    net_tls_counters.refused++;
    send_alert(c, MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR);
    net_leave(c);
}

// Once the last words are with lwIP nothing of the session is needed.
static bool on_goodbye(struct net_conn *c)
{
    struct session *s = session_of(c);
    if (s == NULL)
        return true;
    if (s->state >= OPEN) {
        if (!push(s))
            return false;
        if (!s->parted) {
            s->parted = true;
            mbedtls_ssl_close_notify(&s->ssl);
            if (!push(s))
                return false;
        }
    } else {
        net_leave(c); // nobody has heard of it
    }
    release(s);
    return true;
}

static bool is_younger(const struct session *s, const struct session *other)
{
    return s->since != other->since ? s->since > other->since : s > other;
}

// The oldest open session, or the one that follows `s` in age; NULL behind the last.
static struct session *next_open(const struct session *s)
{
    struct session *next = NULL;
    for (uint32_t i = 0; i < tls_served.fresh; i++) {
        struct session *other = pool_slot(&tls_served, i);
        if (other->net != NULL && other->state == OPEN && (s == NULL || is_younger(other, s)) &&
            (next == NULL || is_younger(next, other)))
            next = other;
    }
    return next;
}

// A browser keeps connections for a minute that it may never use again: one of them goes for a newcomer.
static bool close_idle(bool pressing)
{
    for (struct session *s = next_open(NULL); s != NULL; s = next_open(s)) {
        struct net_conn *c = s->net;
        if (net_layer_open(c) && net_layer_above(c)->spared != NULL && net_layer_above(c)->spared(c, pressing))
            return on_goodbye(c);
    }
    return false;
}

static bool has_slot(void)
{
    return tls_served.used < tls_served.size || cut_off_slowest(false) || close_idle(false) || close_idle(true);
}

static void on_opened(struct net_conn *c)
{
    if (tls_identity_certificate() == NULL || !has_slot()) {
        refuse(c);
        return;
    }
    struct session *s = pool_take(&tls_served);
    s->net = c;
    s->since = port_now_ms();
    s->deadline = s->since + (uint64_t)net_tls_settings.handshake_timeout * 1000;
    mbedtls_ssl_init(&s->ssl);
    sessions[net_layer_index(c)] = s;
}

static void on_tick(struct net_conn *c)
{
    struct session *s = session_of(c);
    tls_server_rotate(port_now_ms());
    if (s == NULL || s->state >= OPEN)
        return;
    if (port_now_ms() >= s->deadline)
        cut_off(s);
    else if (s->state == WAITING && s->wants && port_now_ms() - s->since >= PATIENCE_MS)
        net_resume(c); // one that has a place may have lost its claim to it
}

static void on_closed(struct net_conn *c, enum net_error why)
{
    struct session *s = session_of(c);
    bool heard = s == NULL || s->state >= OPEN;
    if (s != NULL && !heard)
        net_tls_counters.failed[NET_TLS_CUT]++;
    if (s != NULL)
        release(s);
    if (heard)
        net_layer_above(c)->closed(c, why);
}

#define FUNCTIONS                                                                                                      \
    {                                                                                                                  \
        .opened = on_opened, .arrived = on_arrived, .room = on_room, .tick = on_tick, .goodbye = on_goodbye,           \
        .refused = refuse, .closed = on_closed, .send = send, .room_of = room_of,                                      \
    }

static const struct layer layers[] = {
    [NET_ALPN_HTTP1] = {FUNCTIONS, NET_ALPN_HTTP1},
    [NET_ALPN_H2] = {FUNCTIONS, NET_ALPN_H2},
};

bool net_has_tls(void)
{
    return true;
}

int net_listen_tls(uint16_t port, bool loopback_only, enum net_alpn alpn, const struct net_handlers *handlers,
                   const uint32_t *per_address)
{
    char buffer[120];
    struct text why = text_in(buffer, sizeof buffer);
    pool_list(&tls_served);
    if (!tls_server_start(&why)) {
        text_end(&why);
        log_line(LOG_ERROR, "tls", "there is no TLS server: %s", buffer);
        return -1;
    }
    return net_layer_listen(port, loopback_only, handlers, per_address, &layers[alpn].net);
}

/// For /metrics ///

struct net_tls_counters net_tls_counters;

uint32_t net_tls_sessions(void)
{
    return tls_served.used;
}
