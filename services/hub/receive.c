// In: frames, messages, and what a peer may not do.
#include "../../port/port.h"
#include "client.h"
#include <string.h>

POOL(hub_assemblies, struct assembly, HUB_ASSEMBLIES);
static uint8_t piece_bytes[HUB_MESSAGE];
bool assembly_was_freed;

void client_release_assembly(struct client *c)
{
    if (c->assembly == NULL)
        return;
    pool_give(&hub_assemblies, c->assembly);
    c->assembly = NULL;
    assembly_was_freed = true;
}

/// The rate limit: so many messages in 5 s, then a notice and a pause ///

static bool may_talk(struct client *c, uint64_t now)
{
    if (now - c->talk_from >= TALK_WINDOW_MS) {
        c->talk_from = now;
        c->talked = 0;
        c->limit_told = false;
    }
    return hub_settings.rate == 0 || c->talked < hub_settings.rate;
}

// Nothing more is read from this client until its five seconds are over.
static void pause(struct client *c)
{
    c->paused = true;
    if (c->limit_told)
        return;
    c->limit_told = true;
    hub_counters.limited++;
    client_notice(c, "you talk faster than %u messages in 5 seconds; what you send now waits a little",
                  hub_settings.rate);
}

/// Messages ///

static void message(struct client *c, struct span text)
{
    struct span line = span_trim(text);
    if (line.length == 0)
        return;
    c->talked++;
    client_said(c, line);
}

static bool hold_piece(struct client *c, const struct ws_piece *p, uint64_t now)
{
    if (c->assembly == NULL) {
        c->assembly = pool_take(&hub_assemblies);
        if (c->assembly == NULL)
            return false;
        c->assembly->since = now;
    }
    memcpy(c->assembly->bytes + c->assembly->length, p->payload.at, p->payload.length);
    c->assembly->length += p->payload.length;
    return true;
}

static bool too_big(const struct client *c, const struct ws_piece *p)
{
    size_t held = c->assembly == NULL ? 0 : c->assembly->length;
    uint64_t remaining = ws_remaining(&c->decoder);
    return held + p->payload.length > HUB_MESSAGE || remaining > HUB_MESSAGE - held - p->payload.length;
}

// False when it has to wait for an assembly: then it counts as not received.
static bool piece(struct client *c, const struct ws_piece *p)
{
    if (p->opcode == WS_BINARY) {
        client_close(c, WS_UNSUPPORTED_DATA, "only text, please");
        return true;
    }
    if (too_big(c, p)) {
        client_close(c, WS_TOO_BIG, "the message is too long");
        return true;
    }
    if (p->last && c->assembly == NULL) {
        message(c, p->payload);
        return true;
    }
    if (p->payload.length > 0 && !hold_piece(c, p, port_now_ms()))
        return false;
    if (p->last && c->assembly != NULL) {
        message(c, (struct span){(const char *)c->assembly->bytes, c->assembly->length});
        client_release_assembly(c);
    }
    return true;
}

/// Control frames ///

static void pong(struct client *c, struct span payload)
{
    uint8_t frame[WS_HEADER_MAX + WS_CONTROL_MAX];
    size_t n = ws_header(frame, WS_PONG, true, payload.length);
    memcpy(frame + n, payload.at, payload.length);
    net_send(c->conn, frame, n + payload.length);
}

static void control(struct client *c, const struct ws_piece *p)
{
    if (p->opcode == WS_PING)
        pong(c, p->payload);
    if (p->opcode == WS_CLOSE)
        client_close(c, p->status, "");
}

/// The stream ///

// Takes one event out of the bytes; returns how many it consumed, 0 to stop.
static size_t receive_one(struct client *c, const uint8_t *bytes, size_t length)
{
    struct ws_decoder before = c->decoder;
    struct ws_piece p = ws_decode(&c->decoder, bytes, length, piece_bytes, sizeof piece_bytes);
    switch (p.event) {
    case WS_PIECE:
        if (!piece(c, &p)) {
            c->decoder = before;
            c->waiting = true;
            return 0;
        }
        break;
    case WS_CONTROL:
        control(c, &p);
        break;
    case WS_FAILED:
        hub_counters.protocol_errors++;
        client_close(c, p.status, "");
        break;
    case WS_NEED_MORE:
        break;
    }
    return p.consumed;
}

static bool ready_to_listen(struct client *c, uint64_t now)
{
    if (!may_talk(c, now)) {
        pause(c);
        return false;
    }
    c->paused = false;
    // A roster that is still due comes before the answer to anything that was said later.
    c->waiting = !client_can_answer(c) || (c->due & DUE_ROSTER) != 0;
    return !c->waiting;
}

size_t client_receive(struct client *c, const uint8_t *bytes, size_t length)
{
    uint64_t now = port_now_ms();
    size_t consumed = 0;
    c->unanswered = 0;
    while (consumed < length && c->state == CLIENT_CHATTING) {
        if (!ready_to_listen(c, now))
            return consumed;
        size_t n = receive_one(c, bytes + consumed, length - consumed);
        if (n == 0 && c->state == CLIENT_CHATTING)
            return consumed;
        consumed += n;
    }
    return c->state == CLIENT_CHATTING ? consumed : length;
}
