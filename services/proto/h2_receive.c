#include "h2_private.h"
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void h2_enter(struct h2_connection *c, enum h2_reading reading, uint8_t want)
{
    c->reading = (uint8_t)reading;
    c->want = want;
    c->have = 0;
}

void h2_consumed(struct h2_connection *c, uint32_t length)
{
    c->credit += length;
    if (c->stream != NULL)
        c->stream->credit += length;
}

/// Preface (section 3.4) ///

// No method is longer than `small`. Each of them leaves the preface at its second byte at the latest.
static const char *const http1_methods[] = {"GET ",     "HEAD ",  "POST ",    "PUT ",  "DELETE ",
                                            "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "};

// What has come so far is the beginning of `text`, as far as `small` holds both.
static bool agrees(const struct h2_connection *c, const char *text)
{
    size_t length = least(least(c->have, sizeof c->small), strlen(text));
    return memcmp(c->small, text, length) == 0;
}

static void guess_language(struct h2_connection *c)
{
    bool undecided = false;
    for (size_t i = 0; i < COUNT(http1_methods); i++) {
        if (!agrees(c, http1_methods[i]))
            continue;
        undecided = true;
        if (c->have == strlen(http1_methods[i]))
            h2_enter(c, H2_READING_HTTP1, 0);
    }
    if (!undecided)
        h2_fail(c, H2_PROTOCOL_ERROR, "connection preface expected");
}

static void read_preface(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    (void)length;
    step->consumed++;
    if (c->have < sizeof c->small)
        c->small[c->have] = bytes[0];
    bool same = bytes[0] == (uint8_t)h2_preface[c->have];
    c->have++;
    if (!agrees(c, h2_preface)) {
        guess_language(c);
    } else if (!same) {
        h2_fail(c, H2_PROTOCOL_ERROR, "connection preface expected");
    } else if (c->have == c->want) {
        c->owes_preface = true;
        h2_enter(c, H2_READING_FRAME_HEADER, H2_FRAME_HEADER);
    }
}

/// Frame headers and small payloads ///

// A frame owes the peer at most one of each, so with room for that it can be taken.
static bool owes_too_much(const struct h2_connection *c)
{
    return c->owes_settings_acks >= H2_SETTINGS_ACKS || c->owes_pings >= H2_PINGS || c->owes_resets >= H2_RESETS_OWED;
}

static void gather(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    size_t n = least(length, (size_t)(c->want - c->have));
    memcpy(c->small + c->have, bytes, n);
    c->have = (uint8_t)(c->have + n);
    step->consumed += n;
}

static void read_frame_header(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    if (c->have == 0 && owes_too_much(c)) {
        step->event = H2_BLOCKED;
        return;
    }
    gather(c, step, bytes, length);
    if (c->have == c->want)
        h2_frame_begin(c, step);
}

static void read_small(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    gather(c, step, bytes, length);
    if (c->have == c->want)
        h2_frame_take(c, step);
}

/// Longer payloads ///

static size_t take(struct h2_connection *c, struct h2_step *step, size_t length)
{
    c->frame_left -= (uint32_t)length;
    step->consumed += length;
    return length;
}

static void read_block(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    struct hpack_step field = hpack_decode(&c->decoder, bytes, least(length, c->frame_left));
    take(c, step, field.consumed);
    switch (field.event) {
    case HPACK_NEED_MORE:
        break;
    case HPACK_FIELD:
    case HPACK_FIELD_TOO_LARGE:
        h2_message_field(c, step, &field);
        break;
    case HPACK_LIST_TOO_LARGE:
        c->too_large = true;
        break;
    case HPACK_FAILED:
        h2_fail(c, H2_COMPRESSION_ERROR, hpack_reason(field.error));
        break;
    }
}

static void read_data(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    size_t n = take(c, step, least(length, c->frame_left));
    h2_consumed(c, (uint32_t)n);
    if (c->stream == NULL)
        return;
    step->event = H2_DATA;
    step->stream = c->stream;
    step->data = (struct span){(const char *)bytes, n};
}

static void skip(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    size_t n = take(c, step, least(length, c->frame_left));
    if (c->type == H2_TYPE_DATA) // padding counts (section 6.9.1)
        h2_consumed(c, (uint32_t)n);
}

/// The machine ///

// What takes the bytes that come. Called with at least one; takes at least one, or tells something, or fails.
static void (*const readers[])(struct h2_connection *, struct h2_step *, const uint8_t *, size_t) = {
    [H2_READING_PREFACE] = read_preface, [H2_READING_FRAME_HEADER] = read_frame_header,
    [H2_READING_SMALL] = read_small,     [H2_READING_BLOCK] = read_block,
    [H2_READING_DATA] = read_data,       [H2_READING_PADDING] = skip,
    [H2_READING_IGNORED] = skip,
};

// What is done without a byte.
static void (*const phases[])(struct h2_connection *, struct h2_step *) = {
    [H2_PHASE_FIELD] = h2_message_held,
    [H2_PHASE_BLOCK_END] = h2_message_end_block,
    [H2_PHASE_SECTION_END] = h2_message_end_section,
    [H2_PHASE_MESSAGE_END] = h2_message_end,
    [H2_PHASE_REFUSED] = h2_frame_refused,
};

static void report_end(const struct h2_connection *c, struct h2_step *step, size_t length)
{
    *step = (struct h2_step){.event = H2_NOT_HTTP2, .consumed = length};
    if (c->reading == H2_READING_NOTHING) {
        step->event = H2_FAILED;
        step->error = c->error;
    }
}

static bool payload_is_over(const struct h2_connection *c)
{
    return c->reading >= H2_READING_BLOCK && c->reading <= H2_READING_IGNORED && c->frame_left == 0;
}

static void end_payload(struct h2_connection *c)
{
    c->frame_left = c->padding;
    c->padding = 0;
    if (c->frame_left > 0)
        h2_enter(c, H2_READING_PADDING, 0);
    else
        h2_frame_end(c);
}

// One step; false when there is nothing to do without more bytes.
static bool go_on(struct h2_connection *c, struct h2_step *step, const uint8_t *bytes, size_t length)
{
    if (h2_failed(c))
        report_end(c, step, length);
    else if (c->phase != H2_PHASE_NONE)
        phases[c->phase](c, step);
    else if (payload_is_over(c))
        end_payload(c);
    else if (step->consumed == length)
        return false;
    else
        readers[c->reading](c, step, bytes + step->consumed, length - step->consumed);
    return true;
}

struct h2_step h2_receive(struct h2_connection *c, const uint8_t *bytes, size_t length)
{
    struct h2_step step = {.event = H2_NEED_MORE};
    while (step.event == H2_NEED_MORE && go_on(c, &step, bytes, length))
        ;
    return step;
}
