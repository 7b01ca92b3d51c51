#include "event.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Names on the wire, and whether a reconnecting client gets the event again from the history.
static const struct {
    const char *name;
    enum event_kind kind;
    bool in_history;
} kinds[] = {
    {"welcome", EVENT_WELCOME, false}, {"message", EVENT_MESSAGE, true}, {"action", EVENT_ACTION, true},
    {"join", EVENT_JOIN, true},        {"leave", EVENT_LEAVE, true},     {"rename", EVENT_RENAME, true},
    {"private", EVENT_PRIVATE, true},  {"roster", EVENT_ROSTER, false},  {"notice", EVENT_NOTICE, false},
    {"skipped", EVENT_SKIPPED, false},
};

static const char *get_text(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text != NULL ? text : "";
}

static bool get_number(const cJSON *json, const char *name, uint64_t *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    *value = 0;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 9007199254740992.0)
        return false;
    *value = (uint64_t)item->valuedouble;
    return true;
}

static void set_kind(struct event *event, const char *name)
{
    event->kind = EVENT_UNKNOWN;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        event->kind = kinds[i].kind;
        event->in_history = kinds[i].in_history;
    }
}

bool event_parse(struct event *event, const char *frame, size_t length)
{
    *event = (struct event){.json = cJSON_ParseWithLength(frame, length)};
    const char *kind = get_text(event->json, "kind");
    if (!cJSON_IsObject(event->json) || !get_number(event->json, "id", &event->id) || kind[0] == '\0') {
        event_free(event);
        return false;
    }
    set_kind(event, kind);
    get_number(event->json, "newest", &event->newest);
    get_number(event->json, "count", &event->count);
    get_number(event->json, "total", &event->total);
    event->name = get_text(event->json, "name");
    event->from = get_text(event->json, "from");
    event->to = get_text(event->json, "to");
    event->text = get_text(event->json, "text");
    event->names = cJSON_GetObjectItemCaseSensitive(event->json, "names");
    return true;
}

void event_free(struct event *event)
{
    cJSON_Delete(event->json);
    event->json = NULL;
}

// Appends and cuts at the end of out.
__attribute__((format(printf, 4, 5))) static size_t append(char *out, size_t size, size_t at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out + at, size - at, format, arguments);
    va_end(arguments);
    size_t wanted = length < 0 ? 0 : (size_t)length;
    return wanted < size - at ? at + wanted : size - 1;
}

static size_t roster_words(const struct event *event, char *out, size_t size)
{
    const char *format =
        event->is_continued ? "[system] online, of %" PRIu64 " also: " : "[system] online (%" PRIu64 "): ";
    size_t at = append(out, size, 0, format, event->total);
    const char *separator = "";
    const cJSON *name;
    cJSON_ArrayForEach(name, event->names)
    {
        if (!cJSON_IsString(name))
            continue;
        at = append(out, size, at, "%s%s", separator, name->valuestring);
        separator = ", ";
    }
    return at;
}

static size_t skipped_words(const struct event *event, char *out, size_t size)
{
    if (event->count == 1)
        return append(out, size, 0, "[system] 1 message was missed");
    return append(out, size, 0, "[system] %" PRIu64 " messages were missed", event->count);
}

size_t event_words(const struct event *event, char *out, size_t size)
{
    switch (event->kind) {
    case EVENT_WELCOME:
        return append(out, size, 0, "[system] connected. Use /nick your_name to rename.");
    case EVENT_MESSAGE:
        return append(out, size, 0, "[%s] %s", event->from, event->text);
    case EVENT_ACTION:
        return append(out, size, 0, "* %s %s", event->from, event->text);
    case EVENT_JOIN:
        return append(out, size, 0, "[system] %s joined", event->from);
    case EVENT_LEAVE:
        return append(out, size, 0, "[system] %s left", event->from);
    case EVENT_RENAME:
        return append(out, size, 0, "[system] %s is now %s", event->from, event->to);
    case EVENT_PRIVATE:
        return append(out, size, 0, "[%s -> %s] %s", event->from, event->to, event->text);
    case EVENT_ROSTER:
        return roster_words(event, out, size);
    case EVENT_NOTICE:
        return append(out, size, 0, "[system] %s", event->text);
    case EVENT_SKIPPED:
        return skipped_words(event, out, size);
    case EVENT_UNKNOWN:
        break;
    }
    return 0;
}
