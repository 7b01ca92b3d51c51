#include "h2_private.h"

/// DATA (section 6.1) ///

// The Pad Length is the first octet of a payload; it must leave room for itself and for what stands in front of the
// padding.
static bool take_pad_length(struct h2_connection *c)
{
    if (!(c->flags & H2_FLAG_PADDED))
        return true;
    c->padding = c->small[0];
    if (c->padding > c->frame_left) {
        h2_fail(c, H2_PROTOCOL_ERROR, "padding longer than the payload");
        return false;
    }
    c->frame_left -= c->padding;
    return true;
}

// The stream whose content it is, or NULL: nobody's, but it counts for the connection's window.
static struct h2_stream *stream_of_data(struct h2_connection *c, struct h2_step *step, uint32_t counted)
{
    struct h2_stream *s = h2_stream_find(c, c->frame_stream);
    if (s == NULL || s->state == H2_CLOSED)
        h2_stream_is_over(c, c->frame_stream);
    else if (s->state == H2_HALF_CLOSED_REMOTE)
        h2_stream_error(c, step, s, H2_STREAM_CLOSED);
    else if (s->section == H2_BEFORE_HEADERS)
        h2_stream_error(c, step, s, H2_PROTOCOL_ERROR);
    else if ((int64_t)counted > s->receive_window)
        h2_stream_error(c, step, s, H2_FLOW_CONTROL_ERROR);
    else if (s->flags & H2_LENGTH_KNOWN && c->frame_left > s->content_length)
        h2_stream_error(c, step, s, H2_PROTOCOL_ERROR); // more content than announced (section 8.1.1)
    else
        return s;
    return NULL;
}

void h2_take_data(struct h2_connection *c, struct h2_step *step)
{
    uint32_t small = c->want;
    uint32_t counted = c->frame_left + small;
    if (h2_stream_is_idle(c, c->frame_stream)) {
        h2_fail(c, H2_PROTOCOL_ERROR, "DATA on an idle stream");
        return;
    }
    if (!take_pad_length(c))
        return;
    if ((int64_t)counted > c->receive_window) {
        h2_fail(c, H2_FLOW_CONTROL_ERROR, "DATA beyond the connection's window");
        return;
    }
    c->receive_window -= (int32_t)counted;
    c->stream = stream_of_data(c, step, counted);
    if (h2_failed(c))
        return;
    if (c->stream != NULL) {
        c->stream->receive_window -= (int32_t)counted;
        c->stream->content_length -= c->stream->flags & H2_LENGTH_KNOWN ? c->frame_left : 0;
    }
    h2_consumed(c, small);
    h2_enter(c, H2_READING_DATA, 0);
    if (c->frame_left == 0 && !(c->flags & H2_FLAG_END_STREAM))
        h2_nuisance(c);
}

/// HEADERS and CONTINUATION (sections 6.2 and 6.10) ///

static bool depends_on_itself(const struct h2_connection *c, const uint8_t *priority)
{
    return (h2_read32(priority) & H2_ID_MAX) == c->frame_stream;
}

static bool opens_stream(const struct h2_connection *c)
{
    return c->role == H2_SERVER && c->frame_stream % 2 == 1 && c->frame_stream > c->last_peer_id;
}

// RFC 7540 section 5.3.1 forbids the dependency; RFC 9113 does not look at it any more, but nobody sends it in earnest.
static struct h2_stream *open_stream(struct h2_connection *c, bool itself)
{
    c->last_peer_id = c->frame_stream;
    if (c->goaway != H2_GOAWAY_NONE) { // our GOAWAY has told it that this one is not looked at (section 6.8)
        h2_nuisance(c);
        return NULL;
    }
    struct h2_stream *s = itself ? NULL : h2_stream_take(c, c->frame_stream);
    if (s == NULL)
        h2_stream_refuse(c, c->frame_stream, itself ? H2_PROTOCOL_ERROR : H2_REFUSED_STREAM);
    else if (c->updates < H2_UPDATES_SAVED)
        c->updates += H2_UPDATES_PER_FRAME;
    return s;
}

static struct h2_stream *stream_of_headers(struct h2_connection *c, struct h2_step *step, bool itself)
{
    if (opens_stream(c))
        return open_stream(c, itself);
    struct h2_stream *s = h2_stream_find(c, c->frame_stream);
    if (s == NULL || s->state == H2_CLOSED)
        h2_stream_is_over(c, c->frame_stream);
    else if (s->state == H2_HALF_CLOSED_REMOTE)
        h2_stream_error(c, step, s, H2_STREAM_CLOSED);
    else if (itself || (s->section == H2_BEHIND_HEADERS && !(c->flags & H2_FLAG_END_STREAM)))
        h2_stream_error(c, step, s, H2_PROTOCOL_ERROR); // trailers end the stream (section 8.1)
    else
        return s;
    return NULL;
}

// Section 10.5.1, and what has been made of it.
static void take_fragment(struct h2_connection *c)
{
    c->block_frames++;
    c->block_size += c->frame_left;
    h2_enter(c, H2_READING_BLOCK, 0);
    if (c->block_frames > H2_BLOCK_FRAMES || c->block_size > (uint64_t)c->settings.list_max + H2_BLOCK_SLACK)
        h2_fail(c, H2_ENHANCE_YOUR_CALM, "header_block_too_large");
    else if (c->frame_left == 0 && !(c->flags & H2_FLAG_END_HEADERS))
        h2_nuisance(c);
}

void h2_take_headers(struct h2_connection *c, struct h2_step *step)
{
    const uint8_t *priority = c->small + (c->flags & H2_FLAG_PADDED ? H2_PAD_BYTES : 0);
    bool itself = c->flags & H2_FLAG_PRIORITY && depends_on_itself(c, priority);
    if (!opens_stream(c) && h2_stream_is_idle(c, c->frame_stream)) {
        h2_fail(c, H2_PROTOCOL_ERROR, "HEADERS on a stream that nobody opened");
        return;
    }
    if (!take_pad_length(c))
        return;
    c->stream = stream_of_headers(c, step, itself);
    if (h2_failed(c))
        return;
    h2_message_begin_block(c);
    take_fragment(c);
}

void h2_take_continuation(struct h2_connection *c, struct h2_step *step)
{
    (void)step;
    take_fragment(c);
}

/// Frames about a stream ///

// Section 6.3 makes it a stream error, but RST_STREAM must not go to a stream that is idle, and does nothing to one
// that is closed (section 5.1); any stream error may be a connection error (section 5.4.2).
void h2_refuse_priority(struct h2_connection *c, struct h2_step *step, enum h2_error error)
{
    struct h2_stream *s = h2_stream_find(c, c->frame_stream);
    if (s == NULL || s->state == H2_CLOSED)
        h2_fail(c, error, "bad PRIORITY");
    else
        h2_stream_error(c, step, s, error);
}

void h2_take_priority(struct h2_connection *c, struct h2_step *step)
{
    if (h2_nuisance(c) && depends_on_itself(c, c->small))
        h2_refuse_priority(c, step, H2_PROTOCOL_ERROR);
}

static void reset_by_peer(struct h2_connection *c, struct h2_step *step, struct h2_stream *s)
{
    if (!(s->flags & H2_SENT_END) && !h2_rapid_reset(c))
        return;
    h2_stream_close(c, s, H2_ENDED_BY_PEER);
    step->event = H2_RESET;
    step->stream = s;
    step->error = h2_read32(c->small);
}

void h2_take_rst_stream(struct h2_connection *c, struct h2_step *step)
{
    struct h2_stream *s = h2_stream_find(c, c->frame_stream);
    if (h2_stream_is_idle(c, c->frame_stream))
        h2_fail(c, H2_PROTOCOL_ERROR, "RST_STREAM on an idle stream");
    else if (s == NULL || s->state == H2_CLOSED)
        h2_nuisance(c);
    else
        reset_by_peer(c, step, s);
}

/// WINDOW_UPDATE (section 6.9) ///

static void grow_connection(struct h2_connection *c, struct h2_step *step, uint32_t increment)
{
    if (increment == 0)
        h2_fail(c, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    else if (!h2_window_grow(&c->send_window, increment))
        h2_fail(c, H2_FLOW_CONTROL_ERROR, "the connection's window grew above 2^31-1");
    else
        step->event = H2_WINDOW;
}

static void grow_stream(struct h2_connection *c, struct h2_step *step, struct h2_stream *s, uint32_t increment)
{
    if (increment == 0) {
        h2_stream_error(c, step, s, H2_PROTOCOL_ERROR);
    } else if (!h2_window_grow(&s->send_window, increment)) {
        h2_stream_error(c, step, s, H2_FLOW_CONTROL_ERROR);
    } else {
        step->event = H2_WINDOW;
        step->stream = s;
    }
}

static bool update_is_earned(struct h2_connection *c)
{
    if (c->updates == 0)
        return h2_nuisance(c);
    c->updates--;
    return true;
}

void h2_take_window_update(struct h2_connection *c, struct h2_step *step)
{
    uint32_t increment = h2_read32(c->small) & H2_ID_MAX;
    struct h2_stream *s = h2_stream_find(c, c->frame_stream);
    if (!update_is_earned(c))
        return;
    if (c->frame_stream == 0)
        grow_connection(c, step, increment);
    else if (h2_stream_is_idle(c, c->frame_stream))
        h2_fail(c, H2_PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
    else if (s != NULL && s->state != H2_CLOSED) // it may come late (section 5.1)
        grow_stream(c, step, s, increment);
}
