// In: frames, messages, and what a peer may not do.
#include "../../port/port.h"
#include "../../port/scratch.h"
#include "client.h"
#include <string.h>

POOL(hub_assemblies, struct assembly, HUB_ASSEMBLIES);
bool waiting_may_go_on;

_Static_assert(HUB_MESSAGE % SCRATCH_ALIGNMENT == 0 && HUB_MESSAGE + HUB_REPLY <= SCRATCH_BYTES,
               "a message and the answer to it do not fit the scratch memory");

static bool take_assembly(struct client *c)
{
    if (c->assembly != NULL)
        return true;
    c->assembly = pool_take(&hub_assemblies);
    if (c->assembly != NULL)
        c->assembly->since = port_now_ms();
    return c->assembly != NULL;
}

void client_release_assembly(struct client *c)
{
    if (c->assembly == NULL)
        return;
    pool_give(&hub_assemblies, c->assembly);
    c->assembly = NULL;
    waiting_may_go_on = true;
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

static bool hold_piece(struct client *c, const struct ws_piece *p)
{
    if (!take_assembly(c))
        return false;
    c->assembly->message = true;
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
    if (p->last && (c->assembly == NULL || !c->assembly->message)) {
        message(c, p->payload);
        return true;
    }
    if (p->payload.length > 0 && !hold_piece(c, p))
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

// A control frame that is here in part stays, in an assembly. False when none is free.
static bool hold_control(struct client *c, const uint8_t *passing)
{
    if (!ws_in_control(&c->decoder) || c->decoder.control != passing)
        return true;
    if (!take_assembly(c))
        return false;
    memcpy(c->assembly->control, passing, WS_CONTROL_MAX);
    return true;
}

static void take_event(struct client *c, const struct ws_piece *p)
{
    if (p->event == WS_CONTROL)
        control(c, p);
    if (p->event == WS_FAILED) {
        hub_counters.protocol_errors++;
        client_close(c, p->status, "");
    }
    if (c->assembly != NULL && !c->assembly->message && !ws_in_control(&c->decoder))
        client_release_assembly(c);
}

// Takes one event out of the bytes; returns how many it consumed, 0 to stop.
static size_t receive_one(struct client *c, const uint8_t *bytes, size_t length, uint8_t *out)
{
    uint8_t passing[WS_CONTROL_MAX];
    struct ws_decoder before = c->decoder;
    c->decoder.control = c->assembly != NULL ? c->assembly->control : passing;
    struct ws_piece p = ws_decode(&c->decoder, bytes, length, out, HUB_MESSAGE);
    bool taken = p.event == WS_PIECE ? piece(c, &p) : hold_control(c, passing);
    if (!taken) {
        c->decoder = before;
        c->waiting = true;
        return 0;
    }
    take_event(c, &p);
    return p.consumed;
}

static bool ready_to_listen(struct client *c, size_t length, uint64_t now)
{
    if (!may_talk(c, now)) {
        pause(c);
        return false;
    }
    c->paused = false;
    // A roster that is still due comes before the answer to anything that was said later.
    c->waiting = !client_can_answer(c) || (c->due & DUE_ROSTER) != 0 || hub_must_wait(length, now);
    return !c->waiting;
}

static size_t receive(struct client *c, const uint8_t *bytes, size_t length, uint8_t *out)
{
    uint64_t now = port_now_ms();
    size_t consumed = 0;
    while (consumed < length && c->state == CLIENT_CHATTING) {
        if (!ready_to_listen(c, length - consumed, now))
            return consumed;
        size_t n = receive_one(c, bytes + consumed, length - consumed, out);
        if (n == 0 && c->state == CLIENT_CHATTING)
            return consumed;
        consumed += n;
    }
    return c->state == CLIENT_CHATTING ? consumed : length;
}

size_t client_receive(struct client *c, const uint8_t *bytes, size_t length)
{
    uint8_t *out = scratch_take(HUB_MESSAGE);
    c->unanswered = 0;
    size_t consumed = receive(c, bytes, length, out);
    scratch_give(out);
    return consumed;
}
