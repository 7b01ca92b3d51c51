#include "h2_private.h"
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// The table ///

static void take_push_promise(struct h2_connection *c, struct h2_step *step);
static void take_ping(struct h2_connection *c, struct h2_step *step);
static void take_goaway(struct h2_connection *c, struct h2_step *step);

enum stream_rule { ON_STREAM, ON_CONNECTION, ON_EITHER };

// stream: whether the frame names one; min, max: octets of its payload; small: octets of it that are put together
// before `take` is called; flags: those that make more octets small.
static const struct {
    enum stream_rule stream;
    uint16_t min, max;
    uint8_t small;
    uint8_t flags;
    void (*take)(struct h2_connection *c, struct h2_step *step);
} types[] = {
    [H2_TYPE_DATA] = {ON_STREAM, 0, H2_FRAME_MAX, 0, H2_FLAG_PADDED, h2_take_data},
    [H2_TYPE_HEADERS] = {ON_STREAM, 0, H2_FRAME_MAX, 0, H2_FLAG_PADDED | H2_FLAG_PRIORITY, h2_take_headers},
    [H2_TYPE_PRIORITY] = {ON_STREAM, H2_PRIORITY_BYTES, H2_PRIORITY_BYTES, H2_PRIORITY_BYTES, 0, h2_take_priority},
    [H2_TYPE_RST_STREAM] = {ON_STREAM, 4, 4, 4, 0, h2_take_rst_stream},
    [H2_TYPE_SETTINGS] = {ON_CONNECTION, 0, H2_FRAME_MAX, H2_SETTING_BYTES, 0, h2_take_settings},
    [H2_TYPE_PUSH_PROMISE] = {ON_STREAM, 0, H2_FRAME_MAX, 0, 0, take_push_promise},
    [H2_TYPE_PING] = {ON_CONNECTION, 8, 8, 8, 0, take_ping},
    [H2_TYPE_GOAWAY] = {ON_CONNECTION, 8, H2_FRAME_MAX, 8, 0, take_goaway},
    [H2_TYPE_WINDOW_UPDATE] = {ON_EITHER, 4, 4, 4, 0, h2_take_window_update},
    [H2_TYPE_CONTINUATION] = {ON_STREAM, 0, H2_FRAME_MAX, 0, 0, h2_take_continuation},
};

/// Frame headers (section 4.1) ///

static bool order_is_good(const struct h2_connection *c)
{
    if (c->in_block) // nothing may come between, of whatever type and stream (section 4.3)
        return c->type == H2_TYPE_CONTINUATION && c->frame_stream == c->block_stream;
    return c->type != H2_TYPE_CONTINUATION;
}

static bool stream_is_good(const struct h2_connection *c)
{
    enum stream_rule rule = types[c->type].stream;
    return rule == ON_EITHER || (rule == ON_STREAM) == (c->frame_stream != 0);
}

static bool size_is_good(const struct h2_connection *c)
{
    return c->frame_left >= types[c->type].min && c->frame_left <= types[c->type].max;
}

static void refuse_size(struct h2_connection *c, struct h2_step *step)
{
    if (c->type == H2_TYPE_PRIORITY) {
        h2_enter(c, H2_READING_IGNORED, 0);
        h2_refuse_priority(c, step, H2_FRAME_SIZE_ERROR);
    } else {
        h2_fail(c, H2_FRAME_SIZE_ERROR, "payload of a wrong size for its frame");
    }
}

// Octets that have to be there before anything can be done.
static uint8_t small_part(const struct h2_connection *c)
{
    uint8_t flags = c->flags & types[c->type].flags;
    uint8_t small = types[c->type].small;
    if (c->type == H2_TYPE_SETTINGS && c->frame_left == 0)
        return 0;
    if (flags & H2_FLAG_PADDED)
        small += H2_PAD_BYTES;
    if (flags & H2_FLAG_PRIORITY)
        small += H2_PRIORITY_BYTES;
    return small;
}

static void begin_known(struct h2_connection *c, struct h2_step *step)
{
    uint8_t small = small_part(c);
    if (!stream_is_good(c)) {
        h2_fail(c, H2_PROTOCOL_ERROR, "frame on the wrong kind of stream");
    } else if (!size_is_good(c) || small > c->frame_left) {
        refuse_size(c, step);
    } else {
        c->frame_left -= small;
        h2_enter(c, H2_READING_SMALL, small);
        if (small == 0)
            h2_frame_take(c, step);
    }
}

static void begin_unknown(struct h2_connection *c)
{
    h2_enter(c, H2_READING_IGNORED, 0);
    h2_nuisance(c);
}

static bool is_first_settings(const struct h2_connection *c)
{
    return c->type == H2_TYPE_SETTINGS && !(c->flags & H2_FLAG_ACK);
}

void h2_frame_begin(struct h2_connection *c, struct h2_step *step)
{
    c->frame_left = h2_read32(c->small) >> 8;
    c->type = c->small[3];
    c->flags = c->small[4];
    c->frame_stream = h2_read32(c->small + 5) & H2_ID_MAX;
    c->padding = 0;
    if (!c->settings_received && !is_first_settings(c))
        h2_fail(c, H2_PROTOCOL_ERROR, "SETTINGS expected");
    else if (!order_is_good(c))
        h2_fail(c, H2_PROTOCOL_ERROR, "CONTINUATION expected, or not expected");
    else if (c->frame_left > H2_FRAME_MAX)
        h2_fail(c, H2_FRAME_SIZE_ERROR, "frame larger than SETTINGS_MAX_FRAME_SIZE");
    else if (c->type < COUNT(types))
        begin_known(c, step);
    else
        begin_unknown(c);
}

// Whatever follows the small part is ignored, unless `take` says something else.
void h2_frame_take(struct h2_connection *c, struct h2_step *step)
{
    uint8_t small = c->want;
    h2_enter(c, H2_READING_IGNORED, small);
    types[c->type].take(c, step);
}

void h2_frame_end(struct h2_connection *c)
{
    bool has_block = c->type == H2_TYPE_HEADERS || c->type == H2_TYPE_CONTINUATION;
    h2_enter(c, H2_READING_FRAME_HEADER, H2_FRAME_HEADER);
    if (c->type == H2_TYPE_DATA && c->flags & H2_FLAG_END_STREAM)
        c->phase = H2_PHASE_MESSAGE_END;
    else if (has_block && c->flags & H2_FLAG_END_HEADERS)
        c->phase = H2_PHASE_BLOCK_END;
}

/// Frames about the connection ///

static void take_push_promise(struct h2_connection *c, struct h2_step *step)
{
    (void)step;
    h2_fail(c, H2_PROTOCOL_ERROR, "PUSH_PROMISE is not allowed here");
}

static void take_pong(struct h2_connection *c, struct h2_step *step)
{
    if (c->pings_out > 0 && memcmp(c->small, h2_own_ping, sizeof h2_own_ping) == 0) {
        c->pings_out = 0;
        step->event = H2_PONG;
    } else {
        h2_nuisance(c);
    }
}

static void take_ping(struct h2_connection *c, struct h2_step *step)
{
    if (c->flags & H2_FLAG_ACK)
        take_pong(c, step);
    else if (h2_nuisance(c))
        memcpy(c->ping[c->owes_pings++], c->small, sizeof c->ping[0]);
}

static void take_goaway(struct h2_connection *c, struct h2_step *step)
{
    uint32_t last = h2_read32(c->small) & H2_ID_MAX;
    if (!h2_nuisance(c))
        return;
    c->goaway_received = true;
    if (last < c->goaway_id) // it must not grow (section 6.8)
        c->goaway_id = last;
    step->event = H2_GOAWAY;
    step->error = h2_read32(c->small + 4);
    if (c->role == H2_CLIENT)
        c->phase = H2_PHASE_REFUSED;
}

// Never looked at by the server, so it is safe to ask another one (section 8.7).
void h2_frame_refused(struct h2_connection *c, struct h2_step *step)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        bool left_out = s->id == 0 || s->id > c->goaway_id;
        if (s->state == H2_IDLE || s->state == H2_CLOSED || !left_out)
            continue;
        h2_stream_close(c, s, H2_ENDED_BY_PEER);
        step->event = H2_RESET;
        step->stream = s;
        step->error = H2_REFUSED_STREAM;
        return;
    }
    c->phase = H2_PHASE_NONE;
}
