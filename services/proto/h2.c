#include "h2_private.h"
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

_Static_assert(sizeof(struct h2_connection) <= 712, "an HTTP/2 connection outgrew its 712 bytes");
_Static_assert(sizeof(struct h2_stream) <= 48, "an HTTP/2 stream outgrew its 48 bytes");

const char h2_preface[H2_PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const uint8_t h2_own_ping[8] = {'p', 'i', 'p', 'i', 't', '-', 'u', 'p'};

const char *h2_error_name(uint32_t error)
{
    static const char *const names[] = {
        [H2_NO_ERROR] = "NO_ERROR",
        [H2_PROTOCOL_ERROR] = "PROTOCOL_ERROR",
        [H2_INTERNAL_ERROR] = "INTERNAL_ERROR",
        [H2_FLOW_CONTROL_ERROR] = "FLOW_CONTROL_ERROR",
        [H2_SETTINGS_TIMEOUT] = "SETTINGS_TIMEOUT",
        [H2_STREAM_CLOSED] = "STREAM_CLOSED",
        [H2_FRAME_SIZE_ERROR] = "FRAME_SIZE_ERROR",
        [H2_REFUSED_STREAM] = "REFUSED_STREAM",
        [H2_CANCEL] = "CANCEL",
        [H2_COMPRESSION_ERROR] = "COMPRESSION_ERROR",
        [H2_CONNECT_ERROR] = "CONNECT_ERROR",
        [H2_ENHANCE_YOUR_CALM] = "ENHANCE_YOUR_CALM",
        [H2_INADEQUATE_SECURITY] = "INADEQUATE_SECURITY",
        [H2_HTTP_1_1_REQUIRED] = "HTTP_1_1_REQUIRED",
    };
    return error < COUNT(names) ? names[error] : "unknown error";
}

uint32_t h2_read32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void h2_begin(struct h2_connection *c, enum h2_role role, const struct h2_settings *settings)
{
    memset(c, 0, sizeof *c);
    c->settings = *settings;
    c->role = (uint8_t)role;
    memset(settings->streams, 0, settings->stream_count * sizeof settings->streams[0]);
    hpack_begin(&c->decoder, settings->table, settings->table_size);
    c->next_id = 1;
    c->goaway_id = H2_ID_MAX;
    c->send_window = c->receive_window = H2_WINDOW_BYTES;
    c->peer_window = H2_WINDOW_BYTES;
    c->peer_concurrent = H2_CONCURRENT;
    c->owes_preface = role == H2_CLIENT;
    if (role == H2_SERVER)
        h2_enter(c, H2_READING_PREFACE, H2_PREFACE_BYTES);
    else
        h2_enter(c, H2_READING_FRAME_HEADER, H2_FRAME_HEADER);
}

/// The end of a connection ///

bool h2_failed(const struct h2_connection *c)
{
    return c->reading == H2_READING_NOTHING || c->reading == H2_READING_HTTP1;
}

static void end_all_streams(struct h2_connection *c)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        if (s->state == H2_IDLE)
            continue;
        s->flags &= (uint8_t)~H2_RESET_DUE;
        h2_stream_close(c, s, H2_ENDED_BY_US);
        if (s->flags & H2_RELEASED || !(s->flags & H2_TOLD))
            h2_stream_free(c, s);
    }
}

static void owe_nothing(struct h2_connection *c)
{
    c->owes_settings_acks = c->owes_pings = c->owes_resets = 0;
    c->owes_own_ping = false;
    c->credit = 0;
}

// A GOAWAY must not name a higher stream than one before it did (section 6.8).
static void owe_goaway(struct h2_connection *c, uint32_t error, const char *debug)
{
    if (c->goaway == H2_GOAWAY_NONE)
        c->own_goaway_id = c->last_peer_id;
    c->goaway = H2_GOAWAY_OWED;
    c->error = error;
    c->debug = debug;
}

static void end(struct h2_connection *c, uint32_t error, const char *debug)
{
    if (h2_failed(c))
        return;
    if (c->reading == H2_READING_PREFACE) // SETTINGS come first, also when all that follows is GOAWAY (section 3.4)
        c->owes_preface = true;
    owe_nothing(c);
    owe_goaway(c, error, debug);
    end_all_streams(c);
    c->stream = NULL;
    c->phase = H2_PHASE_NONE;
    h2_enter(c, H2_READING_NOTHING, 0);
}

void h2_fail(struct h2_connection *c, enum h2_error error, const char *debug)
{
    end(c, error, debug);
}

void h2_goaway(struct h2_connection *c, uint32_t error, const char *debug)
{
    if (error != H2_NO_ERROR)
        end(c, error, debug);
    else if (!h2_failed(c) && c->goaway == H2_GOAWAY_NONE)
        owe_goaway(c, error, debug);
}

/// Streams, as their owners see them ///

void h2_release(struct h2_connection *c, struct h2_stream *s, uint32_t error)
{
    bool begun = s->id != 0; // a request that was never written is nobody's business
    if (c->stream == s)
        c->stream = NULL;
    s->owner = NULL;
    s->flags |= H2_RELEASED;
    if (s->state != H2_CLOSED && begun) {
        s->flags |= H2_RESET_DUE;
        s->error = error;
        h2_stream_close(c, s, H2_ENDED_BY_US);
    }
    if (!(s->flags & H2_RESET_DUE))
        h2_stream_free(c, s);
}

uint32_t h2_streams(const struct h2_connection *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->settings.stream_count; i++)
        count += c->settings.streams[i].state != H2_IDLE;
    return count;
}

// Streams that the peer counts as open (section 5.1.2), and how many of them it doesn't know yet.
static uint32_t open_streams(const struct h2_connection *c, uint32_t *unwritten)
{
    uint32_t count = 0;
    *unwritten = 0;
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        const struct h2_stream *s = &c->settings.streams[i];
        count += s->state != H2_IDLE && (s->state != H2_CLOSED || s->flags & H2_RESET_DUE);
        *unwritten += s->state == H2_OPEN && s->id == 0;
    }
    return count;
}

bool h2_spent(const struct h2_connection *c)
{
    return h2_failed(c) || c->goaway_received || c->goaway != H2_GOAWAY_NONE || c->next_id > H2_ID_MAX;
}

struct h2_stream *h2_open(struct h2_connection *c)
{
    uint32_t unwritten;
    uint32_t open = open_streams(c, &unwritten);
    if (c->role != H2_CLIENT || h2_spent(c) || !c->settings_received || open >= c->peer_concurrent ||
        unwritten > (H2_ID_MAX - c->next_id) / 2)
        return NULL;
    struct h2_stream *s = h2_stream_take(c, 0);
    if (s != NULL)
        s->flags = H2_TOLD;
    return s;
}

/// Floods ///

bool h2_nuisance(struct h2_connection *c)
{
    static const char *const names[] = {
        [H2_TYPE_DATA] = "too_many_empty_frames",
        [H2_TYPE_HEADERS] = "too_many_headers",
        [H2_TYPE_PRIORITY] = "too_many_priorities",
        [H2_TYPE_RST_STREAM] = "too_many_resets",
        [H2_TYPE_SETTINGS] = "too_many_settings",
        [H2_TYPE_PUSH_PROMISE] = "too_many_promises",
        [H2_TYPE_PING] = "too_many_pings",
        [H2_TYPE_GOAWAY] = "too_many_goaways",
        [H2_TYPE_WINDOW_UPDATE] = "too_many_window_updates",
        [H2_TYPE_CONTINUATION] = "too_many_continuations",
    };
    c->nuisance++;
    if (c->nuisance <= H2_NUISANCES_MAX)
        return true;
    h2_fail(c, H2_ENHANCE_YOUR_CALM, c->type < COUNT(names) ? names[c->type] : "too_many_unknown_frames");
    return false;
}

bool h2_rapid_reset(struct h2_connection *c)
{
    uint64_t most = (uint64_t)c->settings.stream_count * H2_RAPID_PER_SLOT;
    if (c->role == H2_CLIENT) // what it opens is its own choice
        return true;
    c->rapid++;
    if (c->rapid <= H2_RAPID_MAX || c->rapid <= most)
        return true;
    h2_fail(c, H2_ENHANCE_YOUR_CALM, "too_many_resets");
    return false;
}

void h2_calm(struct h2_connection *c)
{
    c->nuisance /= 2;
    c->rapid /= 2;
}

bool h2_ping(struct h2_connection *c)
{
    if (c->owes_own_ping || c->pings_out > 0 || h2_failed(c))
        return false;
    c->owes_own_ping = true;
    return true;
}
