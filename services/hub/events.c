#include "events.h"
#include <string.h>

_Static_assert(HUB_FRAME <= UINT16_MAX, "a frame's length must fit the ring's 16 bits");
_Static_assert(HUB_FRAME >= HUB_MESSAGE + EVENT_SMALL_MAX, "the longest message without an escape must fit its frame");
_Static_assert(HUB_RING_TEXT > 2 * (HUB_MESSAGE + 128), "the text ring must hold a few of the longest messages");
_Static_assert(HUB_RING_JSON > 2 * HUB_FRAME, "the JSON ring must hold a few of the longest messages");

/// Plain text, as the original has it ///

static void text_message(struct text *t, const struct event_content *e)
{
    text_format(t, "[%.*s] ", (int)e->from.length, e->from.at);
    text_span(t, e->text);
}

static void text_action(struct text *t, const struct event_content *e)
{
    text_format(t, "* %.*s ", (int)e->from.length, e->from.at);
    text_span(t, e->text);
}

static void text_join(struct text *t, const struct event_content *e)
{
    text_format(t, "[system] %.*s joined", (int)e->from.length, e->from.at);
}

static void text_leave(struct text *t, const struct event_content *e)
{
    text_format(t, "[system] %.*s left", (int)e->from.length, e->from.at);
}

static void text_rename(struct text *t, const struct event_content *e)
{
    text_format(t, "[system] %.*s is now %.*s", (int)e->from.length, e->from.at, (int)e->to.length, e->to.at);
}

static void text_private(struct text *t, const struct event_content *e)
{
    text_format(t, "[%.*s -> %.*s] ", (int)e->from.length, e->from.at, (int)e->to.length, e->to.at);
    text_span(t, e->text);
}

static void text_welcome(struct text *t, const struct event_content *e)
{
    (void)e;
    text_string(t, "[system] connected. Use /nick your_name to rename.");
}

static void text_notice(struct text *t, const struct event_content *e)
{
    text_string(t, "[system] ");
    text_span(t, e->text);
}

static void text_skipped(struct text *t, const struct event_content *e)
{
    text_format(t, e->number == 1 ? "[system] %llu message was missed" : "[system] %llu messages were missed",
                (unsigned long long)e->number);
}

/// JSON: what stands behind "kind" ///

static void json_member(struct text *t, const char *name, struct span value)
{
    text_format(t, ",\"%s\":\"", name);
    text_json(t, value);
    text_byte(t, '"');
}

static void json_from(struct text *t, const struct event_content *e)
{
    json_member(t, "from", e->from);
}

static void json_from_text(struct text *t, const struct event_content *e)
{
    json_member(t, "from", e->from);
    json_member(t, "text", e->text);
}

static void json_from_to(struct text *t, const struct event_content *e)
{
    json_member(t, "from", e->from);
    json_member(t, "to", e->to);
}

static void json_private(struct text *t, const struct event_content *e)
{
    json_from_to(t, e);
    json_member(t, "text", e->text);
}

static void json_welcome(struct text *t, const struct event_content *e)
{
    json_member(t, "name", e->to);
    json_member(t, "server", span_of("pipit"));
    text_format(t, ",\"newest\":%llu", (unsigned long long)e->number);
}

static void json_notice(struct text *t, const struct event_content *e)
{
    json_member(t, "text", e->text);
}

static void json_skipped(struct text *t, const struct event_content *e)
{
    text_format(t, ",\"count\":%llu", (unsigned long long)e->number);
}

// How each kind looks: its name in JSON, its members there, its line of text.
static const struct {
    const char *name;
    void (*json)(struct text *t, const struct event_content *e);
    void (*text)(struct text *t, const struct event_content *e);
} kinds[] = {
    [EVENT_MESSAGE] = {"message", json_from_text, text_message},
    [EVENT_ACTION] = {"action", json_from_text, text_action},
    [EVENT_JOIN] = {"join", json_from, text_join},
    [EVENT_LEAVE] = {"leave", json_from, text_leave},
    [EVENT_RENAME] = {"rename", json_from_to, text_rename},
    [EVENT_PRIVATE] = {"private", json_private, text_private},
    [EVENT_WELCOME] = {"welcome", json_welcome, text_welcome},
    [EVENT_NOTICE] = {"notice", json_notice, text_notice},
    [EVENT_SKIPPED] = {"skipped", json_skipped, text_skipped},
};

/// Frames ///

void event_json_begin(struct text *t, uint64_t id, uint64_t at, const char *kind)
{
    text_format(t, "{\"id\":%llu,\"at\":%llu,\"kind\":\"%s\"", (unsigned long long)id, (unsigned long long)at, kind);
}

struct text event_text_begin(uint8_t *buffer, size_t size)
{
    return text_in((char *)buffer + WS_HEADER_MAX, size - WS_HEADER_MAX);
}

struct span event_text_end(struct text *text, uint8_t *buffer)
{
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header(header, WS_TEXT, true, text->length);
    uint8_t *start = buffer + WS_HEADER_MAX - n;
    memcpy(start, header, n);
    return (struct span){(const char *)start, n + text->length};
}

static void put_payload(struct text *t, enum ring_format format, const struct event_content *e)
{
    if (format == RING_TEXT) {
        kinds[e->kind].text(t, e);
        return;
    }
    event_json_begin(t, e->id, e->at, kinds[e->kind].name);
    kinds[e->kind].json(t, e);
    text_byte(t, '}');
}

static size_t header_length(size_t payload)
{
    uint8_t header[WS_HEADER_MAX];
    return ws_header(header, WS_TEXT, true, payload);
}

size_t event_length(enum ring_format format, const struct event_content *e)
{
    struct text t = text_count();
    put_payload(&t, format, e);
    return header_length(t.length) + t.length;
}

// The shortest frame with a header of four bytes is 130 bytes long, the longest with one of two 127.
void event_write(enum ring_format format, const struct event_content *e, uint8_t *at, size_t length)
{
    size_t header = length < 130 ? 2 : 4;
    struct text t = text_in((char *)at + header, length - header);
    put_payload(&t, format, e);
    ws_header(at, WS_TEXT, true, t.length);
}
