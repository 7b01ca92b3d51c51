// What the server tells with pipit.v1.json: one JSON object a frame.
#ifndef CONSOLE_EVENT_H
#define CONSOLE_EVENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_WELCOME, // name, server, newest
    EVENT_MESSAGE, // from, text
    EVENT_ACTION,  // from, text
    EVENT_JOIN,    // from
    EVENT_LEAVE,   // from
    EVENT_RENAME,  // from, to
    EVENT_PRIVATE, // from, to, text
    EVENT_ROSTER,  // names, total (of all of them); a long one comes in several
    EVENT_NOTICE,  // text
    EVENT_SKIPPED, // count
    EVENT_UNKNOWN, // from a later server: not shown
};

struct event {
    enum event_kind kind;
    bool in_history; // its id is its own; others repeat the newest id that was delivered
    uint64_t id;
    uint64_t newest;
    uint64_t count;
    uint64_t total;
    bool is_continued; // a roster after the first; set by whoever has seen the first
    const char *name;
    const char *from;
    const char *to;
    const char *text;
    const cJSON *names;
    cJSON *json; // owns all of the above; strings that were not there are ""
};

// False when the frame is no event: not JSON, no object, no id or kind. When true, event_free() it afterwards.
bool event_parse(struct event *event, const char *frame, size_t length);
void event_free(struct event *event);

// Writes the event in the words of the plain-text protocol, not yet safe for a terminal. Returns the length, which is
// less than size; 0 when there is nothing to show.
size_t event_words(const struct event *event, char *out, size_t size);

#endif
