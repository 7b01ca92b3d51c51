#include "echo.h"
#include "../../port/pool.h"
#include "../proto/ws.h"
#include <string.h>

#define ECHO_CLIENTS     32
#define ECHO_MESSAGE_MAX (16u << 20) // bytes of one message
#define ECHO_PIECE       8192        // bytes echoed at once
#define ECHO_FLIGHT      16384 // bytes on the way to one client: lwIP holds a copy, and others need its memory too

struct echo {
    struct ws_decoder decoder;
    uint8_t control[WS_CONTROL_MAX];
    uint32_t length; // of the message under way
    bool begun;      // a first fragment of it was sent
    bool closing;
    struct net_conn *conn;
};

POOL(echo_clients, struct echo, ECHO_CLIENTS);
struct echo_settings echo_settings;
static uint8_t piece_bytes[WS_HEADER_MAX + ECHO_PIECE];

bool echo_enabled(void)
{
    return echo_settings.enabled != 0;
}

// All of these answer false when lwIP's memory is short.
static bool echo_send(struct echo *e, const uint8_t *bytes, size_t length)
{
    return net_send(e->conn, bytes, length) != NET_FULL;
}

static bool echo_close(struct echo *e, uint16_t status)
{
    uint8_t frame[WS_CONTROL_MAX + 2];
    if (!echo_send(e, frame, ws_close_frame(frame, status, span_of(""))))
        return false;
    e->closing = true;
    net_close(e->conn);
    return true;
}

// Each piece goes out as a fragment of its own. Empty ones need no frame, unless they end the message.
static bool echo_piece(struct echo *e, const struct ws_piece *p)
{
    e->length = p->first ? 0 : e->length;
    e->length += (uint32_t)p->payload.length;
    if (e->length > ECHO_MESSAGE_MAX || ws_remaining(&e->decoder) > ECHO_MESSAGE_MAX - e->length)
        return echo_close(e, WS_TOO_BIG);
    if (p->payload.length == 0 && !p->last)
        return true;
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header(header, e->begun ? WS_CONTINUATION : p->opcode, p->last, p->payload.length);
    uint8_t *start = piece_bytes + WS_HEADER_MAX - n;
    memcpy(start, header, n);
    e->begun = !p->last;
    return echo_send(e, start, n + p->payload.length);
}

static bool echo_control(struct echo *e, const struct ws_piece *p)
{
    uint8_t frame[WS_HEADER_MAX + WS_CONTROL_MAX];
    if (p->opcode == WS_CLOSE)
        return echo_close(e, p->status);
    if (p->opcode != WS_PING)
        return true;
    size_t n = ws_header(frame, WS_PONG, true, p->payload.length);
    memcpy(frame + n, p->payload.at, p->payload.length);
    return echo_send(e, frame, n + p->payload.length);
}

static bool echo_event(struct echo *e, const struct ws_piece *p)
{
    switch (p->event) {
    case WS_PIECE:
        return echo_piece(e, p);
    case WS_CONTROL:
        return echo_control(e, p);
    case WS_FAILED:
        return echo_close(e, p->status);
    case WS_NEED_MORE:
        break;
    }
    return true;
}

// Returns how many bytes it took. What could not be answered counts as not received: 0, and it is decoded anew when
// there is room.
static size_t echo_one(struct echo *e, const uint8_t *bytes, size_t length)
{
    struct echo before = *e;
    struct ws_piece p = ws_decode(&e->decoder, bytes, length, piece_bytes + WS_HEADER_MAX, ECHO_PIECE);
    if (echo_event(e, &p))
        return p.consumed;
    *e = before;
    return 0;
}

static bool may_answer(const struct echo *e)
{
    uint32_t under_way = net_sent(e->conn) - net_acknowledged(e->conn);
    return under_way + sizeof piece_bytes <= ECHO_FLIGHT && net_room(e->conn) >= sizeof piece_bytes;
}

// Takes only what it has room to answer: the rest keeps the peer's window shut.
static size_t on_data(struct net_conn *conn, const uint8_t *bytes, size_t length)
{
    struct echo *e = net_owner(conn);
    size_t consumed = 0;
    while (consumed < length && !e->closing && may_answer(e)) {
        size_t n = echo_one(e, bytes + consumed, length - consumed);
        if (n == 0)
            break;
        consumed += n;
    }
    return e->closing ? length : consumed;
}

static void on_room(struct net_conn *conn)
{
    net_resume(conn);
}

static void on_closed(struct net_conn *conn, enum net_error why)
{
    (void)why;
    pool_give(&echo_clients, net_owner(conn));
}

static const struct net_handlers handlers = {.data = on_data, .room = on_room, .closed = on_closed};

bool echo_attach(struct net_conn *c)
{
    struct echo *e = pool_take(&echo_clients);
    if (e == NULL)
        return false;
    e->conn = c;
    ws_begin(&e->decoder, e->control);
    net_hand_over(c, &handlers, e);
    return true;
}

const struct service echo_service = {.name = "echo"};
