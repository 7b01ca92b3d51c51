// Chat events as finished WebSocket frames, in both wire formats.
#ifndef PIPIT_EVENTS_H
#define PIPIT_EVENTS_H

#include "../../port/text.h"
#include "../proto/ws.h"
#include "ring.h"

enum event_kind {
    // For everybody, or for two, and kept in the ring:
    EVENT_MESSAGE,
    EVENT_ACTION,
    EVENT_JOIN,
    EVENT_LEAVE,
    EVENT_RENAME,
    EVENT_PRIVATE,
    // For one:
    EVENT_WELCOME,
    EVENT_NOTICE,
    EVENT_SKIPPED,
};

struct event_content {
    enum event_kind kind;
    uint64_t id; // of this event; one for a single client repeats the id of the newest event that it has been sent
    uint64_t at; // ms since 1970
    struct span from;
    struct span to;
    struct span text;
    uint64_t number; // EVENT_SKIPPED: how many; EVENT_WELCOME: the newest id
};

// Bytes of the event's frame, and the frame: exactly that many bytes.
size_t event_length(enum ring_format format, const struct event_content *event);
void event_write(enum ring_format format, const struct event_content *event, uint8_t *at, size_t length);

// The longest frame of anything but somebody's message: two names, with every byte of them escaped once, and 160 bytes
// around them.
#define EVENT_SMALL_MAX (4 * NAME_MAX_BYTES + 160)

// For frames that are written bit by bit: leaves room for a header, and puts it in front in the end.
struct text event_text_begin(uint8_t *buffer, size_t size);
struct span event_text_end(struct text *text, uint8_t *buffer);

// `{"id":…,"at":…,"kind":"…"`, to be continued.
void event_json_begin(struct text *t, uint64_t id, uint64_t at, const char *kind);

#endif
