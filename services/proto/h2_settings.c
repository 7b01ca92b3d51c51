#include "h2_private.h"

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// The peer's (section 6.5) ///

// One function for each setting that means something to us: NULL, or why its value is wrong.
static enum h2_error set_enable_push(struct h2_connection *c, uint32_t value)
{
    return value > (c->role == H2_SERVER ? 1u : 0u) ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
}

static enum h2_error set_concurrent(struct h2_connection *c, uint32_t value)
{
    c->peer_concurrent = value;
    return H2_NO_ERROR;
}

// What was sent stays sent, so a smaller window may leave less than nothing (section 6.9.2).
static enum h2_error set_window(struct h2_connection *c, uint32_t value)
{
    if (value > H2_WINDOW_MAX)
        return H2_FLOW_CONTROL_ERROR;
    int64_t by = (int64_t)value - c->peer_window;
    c->peer_window = value;
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        if (s->state != H2_IDLE && s->state != H2_CLOSED && !h2_window_grow(&s->send_window, by))
            return H2_FLOW_CONTROL_ERROR;
    }
    return H2_NO_ERROR;
}

// We never send a larger frame than H2_FRAME_MAX, which everybody takes.
static enum h2_error set_frame_size(struct h2_connection *c, uint32_t value)
{
    (void)c;
    return value < H2_FRAME_MAX || value > 0xffffff ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
}

// The others are not looked at: our encoder has no table, and what a peer refuses for its size it will say.
static enum h2_error (*const setters[])(struct h2_connection *, uint32_t) = {
    [H2_ENABLE_PUSH] = set_enable_push,
    [H2_MAX_CONCURRENT_STREAMS] = set_concurrent,
    [H2_INITIAL_WINDOW_SIZE] = set_window,
    [H2_MAX_FRAME_SIZE] = set_frame_size,
};

static bool take_setting(struct h2_connection *c)
{
    uint32_t id = h2_read32(c->small) >> 16;
    uint32_t value = h2_read32(c->small + 2);
    if (id >= COUNT(setters) || setters[id] == NULL)
        return true;
    enum h2_error error = setters[id](c, value);
    if (error != H2_NO_ERROR)
        h2_fail(c, error, "bad value in SETTINGS");
    return error == H2_NO_ERROR;
}

static void take_ack(struct h2_connection *c)
{
    if (c->settings_out == 0) {
        h2_nuisance(c);
        return;
    }
    c->settings_out--;
    hpack_acknowledged(&c->decoder, c->settings.table_size);
}

static void take_values(struct h2_connection *c, struct h2_step *step)
{
    if (c->want > 0 && !take_setting(c))
        return;
    if (c->frame_left > 0) {
        c->frame_left -= H2_SETTING_BYTES;
        h2_enter(c, H2_READING_SMALL, H2_SETTING_BYTES);
        return;
    }
    c->settings_received = true;
    c->owes_settings_acks++;
    step->event = H2_WINDOW;
}

// Each setting counts, because one of a window goes through all streams.
void h2_take_settings(struct h2_connection *c, struct h2_step *step)
{
    bool ack = c->flags & H2_FLAG_ACK;
    if (c->frame_left % H2_SETTING_BYTES != 0 || (ack && c->want > 0))
        h2_fail(c, H2_FRAME_SIZE_ERROR, "SETTINGS of a wrong size");
    else if (ack)
        take_ack(c);
    else if (h2_nuisance(c))
        take_values(c, step);
}

/// Our own (section 6.5.2) ///

static uint8_t *put_setting(uint8_t *at, enum h2_setting id, uint32_t value)
{
    at[0] = 0;
    at[1] = (uint8_t)id;
    for (int i = 0; i < 4; i++)
        at[2 + i] = (uint8_t)(value >> (24 - 8 * i));
    return at + H2_SETTING_BYTES;
}

size_t h2_settings_own(const struct h2_connection *c, uint8_t payload[H2_SETTINGS_BYTES])
{
    uint8_t *at = payload;
    if (c->settings.table_size != HPACK_TABLE_MAX)
        at = put_setting(at, H2_HEADER_TABLE_SIZE, c->settings.table_size);
    if (c->role == H2_SERVER)
        at = put_setting(at, H2_MAX_CONCURRENT_STREAMS, c->settings.stream_count);
    else
        at = put_setting(at, H2_ENABLE_PUSH, 0);
    at = put_setting(at, H2_MAX_HEADER_LIST_SIZE, c->settings.list_max);
    return (size_t)(at - payload);
}
