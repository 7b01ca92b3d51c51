#include "h2_private.h"
#include <string.h>

/// States (section 5.1) ///

static void enter(struct h2_stream *s, enum h2_stream_state state)
{
    s->state = (uint8_t)state;
}

bool h2_stream_receives(const struct h2_stream *s)
{
    return s->state == H2_OPEN || s->state == H2_HALF_CLOSED_LOCAL;
}

bool h2_stream_sends(const struct h2_stream *s)
{
    return s->state == H2_OPEN || s->state == H2_HALF_CLOSED_REMOTE;
}

void h2_stream_close(struct h2_connection *c, struct h2_stream *s, enum h2_ending how)
{
    if (s->state != H2_CLOSED)
        s->ended = (uint8_t)how;
    if (c->stream == s)
        c->stream = NULL;
    enter(s, H2_CLOSED);
}

void h2_stream_sent_end(struct h2_connection *c, struct h2_stream *s)
{
    s->flags |= H2_SENT_END;
    if (s->state == H2_HALF_CLOSED_REMOTE)
        h2_stream_close(c, s, H2_ENDED_BY_BOTH);
    else
        enter(s, H2_HALF_CLOSED_LOCAL);
}

void h2_stream_got_end(struct h2_connection *c, struct h2_stream *s)
{
    if (s->state == H2_HALF_CLOSED_LOCAL)
        h2_stream_close(c, s, H2_ENDED_BY_BOTH);
    else
        enter(s, H2_HALF_CLOSED_REMOTE);
}

// A server that has answered early owes RST_STREAM until the rest of the request has come. With END_STREAM it has, and
// for the peer the stream is over: it may count on the slot for its next one. A stream error is owed all the same.
void h2_stream_got_unwanted_end(struct h2_connection *c, uint32_t id)
{
    struct h2_stream *s = h2_stream_find(c, id);
    if (s == NULL || !(s->flags & H2_RELEASED) || !(s->flags & H2_SENT_END) || (s->flags & H2_BLAMED))
        return;
    s->ended = H2_ENDED_BY_BOTH;
    h2_stream_free(c, s);
}

/// Slots ///

struct h2_stream *h2_stream_find(const struct h2_connection *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        if (s->state != H2_IDLE && s->id == id)
            return s;
    }
    return NULL;
}

struct h2_stream *h2_stream_take(struct h2_connection *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->settings.stream_count; i++) {
        struct h2_stream *s = &c->settings.streams[i];
        if (s->state != H2_IDLE)
            continue;
        s->id = id;
        s->send_window = (int32_t)c->peer_window;
        s->receive_window = H2_WINDOW_BYTES;
        enter(s, H2_OPEN);
        return s;
    }
    return NULL;
}

// A stream that is remembered already is not written twice.
static void remember(struct h2_connection *c, uint32_t id, enum h2_ending how)
{
    struct h2_closed *place = NULL;
    for (size_t i = 0; i < H2_CLOSED_STREAMS && place == NULL; i++)
        if (c->closed[i].id == id)
            place = &c->closed[i];
    if (place == NULL) {
        place = &c->closed[c->closed_next];
        c->closed_next = (uint8_t)((c->closed_next + 1) % H2_CLOSED_STREAMS);
        if (place->id > c->forgotten)
            c->forgotten = place->id;
    }
    *place = (struct h2_closed){.id = id, .how = (uint8_t)how};
}

void h2_stream_free(struct h2_connection *c, struct h2_stream *s)
{
    if (s->id != 0)
        remember(c, s->id, (enum h2_ending)s->ended);
    memset(s, 0, sizeof *s);
    enter(s, H2_IDLE);
}

/// Streams without a slot ///

// The peer may not open one of its own at a client (that would be a push), nor an even one at a server.
bool h2_stream_is_idle(const struct h2_connection *c, uint32_t id)
{
    uint32_t first = c->role == H2_SERVER ? c->last_peer_id + 1 : c->next_id;
    return id % 2 == 0 || id >= first;
}

static enum h2_ending ending_of(const struct h2_connection *c, uint32_t id)
{
    const struct h2_stream *s = h2_stream_find(c, id);
    if (s != NULL)
        return (enum h2_ending)s->ended;
    for (size_t i = 0; i < H2_CLOSED_STREAMS; i++)
        if (c->closed[i].id == id)
            return (enum h2_ending)c->closed[i].how;
    if (c->role == H2_SERVER && c->goaway != H2_GOAWAY_NONE && id > c->own_goaway_id)
        return H2_ENDED_BY_US;
    return id <= c->forgotten ? H2_FORGOTTEN : H2_NEVER_OPENED;
}

void h2_stream_is_over(struct h2_connection *c, uint32_t id)
{
    switch (ending_of(c, id)) {
    case H2_NEVER_OPENED:
        if (c->type == H2_TYPE_HEADERS)
            h2_fail(c, H2_PROTOCOL_ERROR, "stream identifier lower than one before"); // section 5.1.1
        else
            h2_stream_refuse(c, id, H2_STREAM_CLOSED);
        break;
    case H2_ENDED_BY_BOTH:
        h2_fail(c, H2_STREAM_CLOSED, "frame behind END_STREAM");
        break;
    case H2_ENDED_BY_PEER:
        h2_stream_refuse(c, id, H2_STREAM_CLOSED);
        break;
    case H2_FORGOTTEN:
    case H2_ENDED_BY_US: // sent before our RST_STREAM arrived
        h2_nuisance(c);
        break;
    }
}

/// Stream errors (section 5.4.2) ///

// What comes after it for this stream is ignored.
void h2_stream_refuse(struct h2_connection *c, uint32_t id, enum h2_error error)
{
    struct h2_stream *s = h2_stream_find(c, id);
    if (!h2_rapid_reset(c))
        return;
    if (c->owes_resets < H2_RESETS_OWED) {
        c->resets[c->owes_resets].id = id;
        c->resets[c->owes_resets].error = (uint32_t)error;
        c->owes_resets++;
    }
    if (s != NULL)
        s->ended = H2_ENDED_BY_US;
    else
        remember(c, id, H2_ENDED_BY_US);
}

static void reset_untold(struct h2_connection *c, struct h2_stream *s, enum h2_error error)
{
    uint32_t id = s->id;
    h2_stream_close(c, s, H2_ENDED_BY_US);
    h2_stream_free(c, s);
    h2_stream_refuse(c, id, error);
}

static void reset_told(struct h2_connection *c, struct h2_step *step, struct h2_stream *s, enum h2_error error)
{
    if (!h2_rapid_reset(c))
        return;
    h2_stream_close(c, s, H2_ENDED_BY_US);
    s->flags |= H2_RESET_DUE | H2_BLAMED;
    s->error = (uint32_t)error;
    step->event = H2_RESET;
    step->stream = s;
    step->error = (uint32_t)error;
}

void h2_stream_error(struct h2_connection *c, struct h2_step *step, struct h2_stream *s, enum h2_error error)
{
    if (s->flags & H2_TOLD)
        reset_told(c, step, s, error);
    else
        reset_untold(c, s, error);
}

/// Windows (section 6.9) ///

bool h2_window_grow(int32_t *window, int64_t by)
{
    int64_t grown = *window + by;
    if (grown > H2_WINDOW_MAX)
        return false;
    *window = (int32_t)grown;
    return true;
}
