#include "h2_private.h"

void h2_message_begin_block(struct h2_connection *c)
{
    const struct h2_settings *settings = &c->settings;
    hpack_begin_block(&c->decoder, settings->fields, settings->fields_size, settings->list_max);
    c->in_block = true;
    c->ends_stream = c->flags & H2_FLAG_END_STREAM;
    c->block_stream = c->frame_stream;
    c->block_size = c->block_frames = 0;
    c->told = c->too_large = c->fields_began = false;
    c->pseudo = 0;
    c->status = 0;
}

/// Telling ///

static void tell(struct h2_connection *c, struct h2_step *step, enum h2_event event)
{
    step->event = event;
    step->stream = c->stream;
}

static bool in_trailers(const struct h2_connection *c)
{
    return c->stream->section == H2_BEHIND_HEADERS;
}

static bool is_interim(const struct h2_connection *c)
{
    return c->status >= 100 && c->status < 200;
}

// From here on the stream has an owner, who has to release it.
static void tell_section(struct h2_connection *c, struct h2_step *step)
{
    c->told = true;
    c->stream->flags |= H2_TOLD;
    tell(c, step, in_trailers(c) ? H2_TRAILERS : H2_HEADERS);
}

void h2_message_held(struct h2_connection *c, struct h2_step *step)
{
    c->phase = H2_PHASE_NONE;
    if (c->stream == NULL) // released meanwhile
        return;
    tell(c, step, H2_FIELD);
    step->name = c->held_name;
    step->value = c->held_value;
    step->too_large = c->held_too_large;
    step->never_indexed = c->held_never_indexed;
}

static void hold(struct h2_connection *c, const struct hpack_step *field)
{
    c->held_name = field->name;
    c->held_value = field->value;
    c->held_too_large = field->event == HPACK_FIELD_TOO_LARGE;
    c->held_never_indexed = field->never_indexed;
}

// A section is told with its first field and not before: that shows whether a response is an interim one, and a request
// that begins with nonsense needs no owner.
void h2_message_field(struct h2_connection *c, struct h2_step *step, const struct hpack_step *field)
{
    if (c->stream == NULL)
        return;
    if (field->event == HPACK_FIELD_TOO_LARGE)
        c->too_large = true;
    if (!h2_field_is_good(c, field)) {
        h2_stream_error(c, step, c->stream, H2_PROTOCOL_ERROR);
        return;
    }
    if (is_interim(c))
        return;
    hold(c, field);
    c->phase = H2_PHASE_FIELD;
    if (!c->told)
        tell_section(c, step);
}

/// Ends ///

// Nothing is left of the announced content (section 8.1.1).
static bool length_is_good(const struct h2_connection *c)
{
    return !(c->stream->flags & H2_LENGTH_KNOWN) || c->stream->content_length == 0;
}

// Of a list that was too large nobody knows what is missing: its owner decides.
static bool section_is_good(const struct h2_connection *c)
{
    if (c->ends_stream && (is_interim(c) || !length_is_good(c)))
        return false;
    return in_trailers(c) || c->too_large || h2_fields_are_complete(c);
}

void h2_message_end_block(struct h2_connection *c, struct h2_step *step)
{
    enum hpack_error error = hpack_end_block(&c->decoder);
    c->in_block = false;
    c->phase = H2_PHASE_SECTION_END;
    if (error != HPACK_OK) {
        h2_fail(c, H2_COMPRESSION_ERROR, hpack_reason(error));
    } else if (c->stream == NULL) {
        return;
    } else if (!section_is_good(c)) {
        h2_stream_error(c, step, c->stream, H2_PROTOCOL_ERROR);
    } else if (is_interim(c)) {
        c->stream = NULL;
        h2_nuisance(c);
    } else if (!c->told) { // no field of it is to be told
        tell_section(c, step);
    }
}

void h2_message_end_section(struct h2_connection *c, struct h2_step *step)
{
    c->phase = c->ends_stream ? H2_PHASE_MESSAGE_END : H2_PHASE_NONE;
    if (c->stream == NULL || in_trailers(c))
        return;
    c->stream->section = H2_BEHIND_HEADERS;
    tell(c, step, H2_HEADERS_END);
    step->too_large = c->too_large;
    step->status = c->status;
    c->too_large = false;
}

// Behind DATA there are no trailers that could be too large.
void h2_message_end(struct h2_connection *c, struct h2_step *step)
{
    struct h2_stream *s = c->stream;
    c->phase = H2_PHASE_NONE;
    if (s == NULL) {
        h2_stream_got_unwanted_end(c, c->frame_stream);
    } else if (!length_is_good(c)) {
        h2_stream_error(c, step, s, H2_PROTOCOL_ERROR);
    } else {
        tell(c, step, H2_END);
        step->too_large = c->type != H2_TYPE_DATA && c->too_large;
        c->stream = NULL;
        h2_stream_got_end(c, s);
    }
}
