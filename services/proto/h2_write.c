#include "h2_private.h"
#include <string.h>

/// Frames ///

static size_t room(const struct h2_out *out)
{
    return out->size - out->length;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_header(uint8_t *at, size_t length, enum h2_type type, uint8_t flags, uint32_t stream)
{
    put32(at, (uint32_t)length << 8 | (uint32_t)type);
    at[4] = flags;
    put32(at + 5, stream);
}

// Where the payload goes, or NULL when there is no room for the frame.
static uint8_t *put_frame(struct h2_out *out, size_t length, enum h2_type type, uint8_t flags, uint32_t stream)
{
    uint8_t *at = out->at + out->length;
    if (room(out) < H2_FRAME_HEADER + length)
        return NULL;
    put_header(at, length, type, flags, stream);
    out->length += H2_FRAME_HEADER + length;
    return at + H2_FRAME_HEADER;
}

// A frame whose payload is one number.
static bool put_number(struct h2_out *out, enum h2_type type, uint32_t stream, uint32_t number)
{
    uint8_t *at = put_frame(out, sizeof number, type, 0, stream);
    if (at != NULL)
        put32(at, number);
    return at != NULL;
}

/// Preface, acknowledgements, pings ///

static bool owes_preface(const struct h2_connection *c)
{
    return c->owes_preface;
}

static bool write_preface(struct h2_connection *c, struct h2_out *out)
{
    uint8_t settings[H2_SETTINGS_BYTES];
    size_t length = h2_settings_own(c, settings);
    size_t greeting = c->role == H2_CLIENT ? H2_PREFACE_BYTES : 0;
    if (room(out) < greeting + H2_FRAME_HEADER + length)
        return false;
    memcpy(out->at + out->length, h2_preface, greeting);
    out->length += greeting;
    memcpy(put_frame(out, length, H2_TYPE_SETTINGS, 0, 0), settings, length);
    c->owes_preface = false;
    c->settings_out++;
    return true;
}

static bool owes_settings_ack(const struct h2_connection *c)
{
    return c->owes_settings_acks > 0;
}

static bool write_settings_ack(struct h2_connection *c, struct h2_out *out)
{
    if (put_frame(out, 0, H2_TYPE_SETTINGS, H2_FLAG_ACK, 0) == NULL)
        return false;
    c->owes_settings_acks--;
    return true;
}

static bool owes_pong(const struct h2_connection *c)
{
    return c->owes_pings > 0;
}

static bool write_pong(struct h2_connection *c, struct h2_out *out)
{
    uint8_t *at = put_frame(out, sizeof c->ping[0], H2_TYPE_PING, H2_FLAG_ACK, 0);
    if (at == NULL)
        return false;
    memcpy(at, c->ping[0], sizeof c->ping[0]);
    c->owes_pings--;
    memmove(c->ping[0], c->ping[1], c->owes_pings * sizeof c->ping[0]);
    return true;
}

static bool owes_own_ping(const struct h2_connection *c)
{
    return c->owes_own_ping;
}

static bool write_own_ping(struct h2_connection *c, struct h2_out *out)
{
    uint8_t *at = put_frame(out, sizeof h2_own_ping, H2_TYPE_PING, 0, 0);
    if (at == NULL)
        return false;
    memcpy(at, h2_own_ping, sizeof h2_own_ping);
    c->owes_own_ping = false;
    c->pings_out++;
    return true;
}

/// Resets ///

static bool owes_reset(const struct h2_connection *c)
{
    return c->owes_resets > 0;
}

static bool write_reset(struct h2_connection *c, struct h2_out *out)
{
    if (!put_number(out, H2_TYPE_RST_STREAM, c->resets[0].id, c->resets[0].error))
        return false;
    c->owes_resets--;
    memmove(&c->resets[0], &c->resets[1], c->owes_resets * sizeof c->resets[0]);
    return true;
}

static struct h2_stream *to_be_reset(const struct h2_connection *c)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++)
        if (c->settings.streams[i].flags & H2_RESET_DUE)
            return &c->settings.streams[i];
    return NULL;
}

static bool owes_stream_reset(const struct h2_connection *c)
{
    return to_be_reset(c) != NULL;
}

static bool write_stream_reset(struct h2_connection *c, struct h2_out *out)
{
    struct h2_stream *s = to_be_reset(c);
    if (!put_number(out, H2_TYPE_RST_STREAM, s->id, s->error))
        return false;
    s->flags &= (uint8_t)~H2_RESET_DUE;
    if (s->flags & H2_RELEASED)
        h2_stream_free(c, s);
    return true;
}

/// Windows ///

// Given back in halves, so that there is neither a frame for each byte nor a peer that waits.
static bool is_worth_an_update(uint32_t credit)
{
    return credit >= H2_WINDOW_BYTES / 2;
}

static bool owes_credit(const struct h2_connection *c)
{
    return is_worth_an_update(c->credit);
}

static bool write_credit(struct h2_connection *c, struct h2_out *out)
{
    if (!put_number(out, H2_TYPE_WINDOW_UPDATE, 0, c->credit))
        return false;
    c->receive_window += (int32_t)c->credit;
    c->credit = 0;
    return true;
}

static struct h2_stream *to_be_credited(const struct h2_connection *c)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        if (h2_stream_receives(s) && is_worth_an_update(s->credit))
            return s;
    }
    return NULL;
}

static bool owes_stream_credit(const struct h2_connection *c)
{
    return to_be_credited(c) != NULL;
}

static bool write_stream_credit(struct h2_connection *c, struct h2_out *out)
{
    struct h2_stream *s = to_be_credited(c);
    if (!put_number(out, H2_TYPE_WINDOW_UPDATE, s->id, s->credit))
        return false;
    s->receive_window += (int32_t)s->credit;
    s->credit = 0;
    return true;
}

/// GOAWAY ///

static bool owes_goaway(const struct h2_connection *c)
{
    return c->goaway == H2_GOAWAY_OWED;
}

static bool write_goaway(struct h2_connection *c, struct h2_out *out)
{
    size_t debug = c->debug == NULL ? 0 : strlen(c->debug);
    if (debug > H2_DEBUG_MAX)
        debug = H2_DEBUG_MAX;
    uint8_t *at = put_frame(out, 8 + debug, H2_TYPE_GOAWAY, 0, 0);
    if (at == NULL)
        return false;
    put32(at, c->own_goaway_id);
    put32(at + 4, c->error);
    if (debug > 0)
        memcpy(at + 8, c->debug, debug);
    c->goaway = H2_GOAWAY_SENT;
    return true;
}

/// What is owed ///

// In the order in which it is written. owes: there is one more; write: writes one, or returns false for want of room.
static const struct {
    bool (*owes)(const struct h2_connection *c);
    bool (*write)(struct h2_connection *c, struct h2_out *out);
} debts[] = {
    {owes_preface, write_preface},
    {owes_settings_ack, write_settings_ack},
    {owes_pong, write_pong},
    {owes_reset, write_reset},
    {owes_stream_reset, write_stream_reset},
    {owes_credit, write_credit},
    {owes_stream_credit, write_stream_credit},
    {owes_own_ping, write_own_ping},
    {owes_goaway, write_goaway},
};

#define DEBTS (sizeof debts / sizeof debts[0])

// A server keeps still until it knows that the peer speaks HTTP/2.
static bool is_holding_back(const struct h2_connection *c)
{
    return c->reading == H2_READING_PREFACE || c->reading == H2_READING_HTTP1;
}

bool h2_owes(const struct h2_connection *c)
{
    for (size_t i = 0; i < DEBTS; i++)
        if (debts[i].owes(c))
            return !is_holding_back(c);
    return false;
}

bool h2_write(struct h2_connection *c, struct h2_out *out)
{
    if (is_holding_back(c))
        return true;
    for (size_t i = 0; i < DEBTS; i++)
        while (debts[i].owes(c))
            if (!debts[i].write(c, out))
                return false;
    return true;
}

/// Messages ///

static bool may_send(const struct h2_connection *c, const struct h2_stream *s)
{
    return h2_stream_sends(s) && !c->owes_preface;
}

struct hpack_block h2_headers_begin(const struct h2_connection *c, const struct h2_out *out)
{
    size_t size = room(out);
    if (size <= H2_FRAME_HEADER)
        return (struct hpack_block){.cut = true};
    size -= H2_FRAME_HEADER;
    struct hpack_block block =
        hpack_block_in(out->at + out->length + H2_FRAME_HEADER, size < H2_FRAME_MAX ? size : H2_FRAME_MAX);
    if (!c->block_sent) // our encoder needs no table, whatever the peer offers
        hpack_put_table_size(&block, 0);
    return block;
}

static void number(struct h2_connection *c, struct h2_stream *s)
{
    if (s->id != 0)
        return;
    s->id = c->next_id;
    c->next_id += 2;
}

bool h2_headers_end(struct h2_connection *c, struct h2_out *out, struct h2_stream *s, const struct hpack_block *block,
                    bool end_stream)
{
    uint8_t flags = H2_FLAG_END_HEADERS | (end_stream ? H2_FLAG_END_STREAM : 0);
    if (block->cut || !may_send(c, s))
        return false;
    number(c, s);
    put_frame(out, block->length, H2_TYPE_HEADERS, flags, s->id);
    c->block_sent = true;
    if (end_stream)
        h2_stream_sent_end(c, s);
    return true;
}

size_t h2_data_room(const struct h2_connection *c, const struct h2_out *out, const struct h2_stream *s)
{
    int32_t window = c->send_window < s->send_window ? c->send_window : s->send_window;
    size_t size = room(out);
    if (!may_send(c, s) || s->id == 0 || window <= 0 || size <= H2_FRAME_HEADER)
        return 0;
    size -= H2_FRAME_HEADER;
    size = size < (size_t)window ? size : (size_t)window;
    return size < H2_FRAME_MAX ? size : H2_FRAME_MAX;
}

uint8_t *h2_data_at(const struct h2_out *out)
{
    return out->at + out->length + H2_FRAME_HEADER;
}

bool h2_data(struct h2_connection *c, struct h2_out *out, struct h2_stream *s, size_t length, bool end_stream)
{
    bool nothing = length == 0 && !end_stream;
    if (nothing || length > h2_data_room(c, out, s) || !may_send(c, s) || s->id == 0 || room(out) < H2_FRAME_HEADER)
        return false;
    put_frame(out, length, H2_TYPE_DATA, end_stream ? H2_FLAG_END_STREAM : 0, s->id);
    c->send_window -= (int32_t)length;
    s->send_window -= (int32_t)length;
    if (c->updates < H2_UPDATES_SAVED)
        c->updates += H2_UPDATES_PER_FRAME;
    if (end_stream)
        h2_stream_sent_end(c, s);
    return true;
}
