#include "session.h"

#include <stdio.h>
#include <string.h>

#include "event.h"
#include "screen.h"
#include "text.h"

#define NAME_SIZE 132 // our server's 32 bytes, with room for others'

static struct {
    struct outbox outbox;
    struct outbox_line renaming; // goes before the outbox: a guest who was renamed wants the name back
    bool is_renaming;
    bool is_json;
    bool is_again;     // there was a connection before this one
    bool is_replaying; // what was on its way waits until the history has shown whether it arrived
    bool has_last;
    bool has_quit;
    bool is_welcomed; // on this connection
    uint64_t listed;  // names of a roster that were shown already
    uint64_t last;    // the newest event that was shown
    uint64_t newest;  // the server's newest event when it welcomed us
    char name[NAME_SIZE];
    char former[NAME_SIZE]; // our name on the connection before
    char wanted[NAME_SIZE]; // the name that /nick gave us
} session;

static void set_name(char *to, const char *name)
{
    snprintf(to, NAME_SIZE, "%s", name);
}

/// Lines whose fate is not known ///

static bool forget(const struct outbox_line *line)
{
    screen_status("may not have arrived: %s", line->text);
    return false;
}

// A replay shows public lines to everybody: what is missing there never arrived and can be sent again.
static bool resend(const struct outbox_line *line)
{
    return outbox_is_public(line) || forget(line);
}

void session_replayed(void)
{
    if (!session.is_replaying)
        return;
    session.is_replaying = false;
    outbox_return(&session.outbox, resend);
}

bool session_is_replaying(void)
{
    return session.is_replaying;
}

void session_refused(void)
{
    outbox_return(&session.outbox, forget);
}

/// Connections ///

static bool is_on_its_way(void)
{
    return outbox_on_its_way(&session.outbox) != NULL;
}

void session_opened(bool is_json)
{
    if (session.is_again)
        screen_status("connected again");
    session.is_json = is_json;
    if (!is_json)
        outbox_return(&session.outbox, forget); // plain text has no history to look it up in
    session.is_replaying = is_on_its_way();
    session.newest = UINT64_MAX; // until the welcome
    session.is_welcomed = false;
    session.listed = 0;
}

void session_lost(void)
{
    session.is_again = true;
    session.is_replaying = false;
    session.is_renaming = false;
    set_name(session.former, session.name);
}

bool session_since(uint64_t *since)
{
    *since = session.last;
    return session.has_last;
}

/// Answers ///

static bool is_mine(const struct event *event)
{
    bool is_replay = session.is_again && event->id <= session.newest;
    return strcmp(event->from, session.name) == 0 || (is_replay && strcmp(event->from, session.former) == 0);
}

static bool is_answered_by_event(const struct outbox_line *line, const void *what)
{
    const struct event *event = what;
    switch (event->kind) {
    case EVENT_MESSAGE:
        return line->text[0] != '/' && strcmp(line->text, event->text) == 0;
    case EVENT_ACTION:
        return text_has_word(line->text, line->length, "/me");
    case EVENT_PRIVATE:
        return text_has_word(line->text, line->length, "/msg");
    case EVENT_RENAME:
        return text_has_word(line->text, line->length, "/nick");
    default:
        return false;
    }
}

// What is said to us alone answers a command, if one is next in line.
static void answer_command(void)
{
    const struct outbox_line *line = outbox_on_its_way(&session.outbox);
    if (line != NULL && line->text[0] == '/')
        outbox_drop(&session.outbox);
}

static void answer_by_event(const struct event *event)
{
    if (event->kind == EVENT_ROSTER || event->kind == EVENT_NOTICE)
        answer_command();
    else if (event->in_history && is_mine(event))
        outbox_answered(&session.outbox, is_answered_by_event, event);
}

struct plain_frame {
    const char *text;
    size_t length;
};

static bool is_answered_by_frame(const struct outbox_line *line, const void *what)
{
    const struct plain_frame *frame = what;
    size_t tail = line->length + 2; // "] " and the text
    if (line->text[0] == '/' || frame->length <= tail || frame->text[0] != '[')
        return false;
    const char *end = frame->text + frame->length - tail;
    return memcmp(end, "] ", 2) == 0 && memcmp(end + 2, line->text, line->length) == 0;
}

/// JSON events ///

static void ask_for_name(const char *given)
{
    set_name(session.name, given);
    if (!session.is_again || session.wanted[0] == '\0' || strcmp(session.wanted, given) == 0)
        return;
    int length = snprintf(session.renaming.text, sizeof session.renaming.text, "/nick %s", session.wanted);
    session.renaming.length = (size_t)length;
    session.is_renaming = true;
}

// Ids start again when the server does, and its history with them.
static void start_over(void)
{
    session.last = 0;
    session.is_replaying = false;
    outbox_return(&session.outbox, forget);
}

// A reconnection asked for what came after `last`: an older event comes only from a server that did not know that id.
static bool is_of_new_server(const struct event *event)
{
    return session.is_again && !session.is_welcomed && event->in_history && event->id < session.last;
}

static void welcome(const struct event *event)
{
    if (session.has_last && event->newest < session.last)
        start_over();
    session.is_welcomed = true;
    session.newest = event->newest;
    ask_for_name(event->name);
}

static void rename_us(const struct event *event)
{
    if (strcmp(event->from, session.name) != 0)
        return;
    set_name(session.name, event->to);
    set_name(session.wanted, event->to);
}

static void react(const struct event *event)
{
    if (event->kind == EVENT_SKIPPED && session.is_replaying)
        outbox_return(&session.outbox, forget); // they may have been among what was missed
    answer_by_event(event);
    if (event->kind == EVENT_RENAME)
        rename_us(event);
    if (session.last >= session.newest)
        session_replayed();
}

static enum style style_of(const struct event *event)
{
    switch (event->kind) {
    case EVENT_MESSAGE:
        return STYLE_MESSAGE;
    case EVENT_ACTION:
        return STYLE_ACTION;
    case EVENT_PRIVATE:
        return STYLE_PRIVATE;
    default:
        return STYLE_SYSTEM;
    }
}

static void count_names(struct event *event)
{
    event->is_continued = session.listed > 0;
    session.listed += (uint64_t)cJSON_GetArraySize(event->names);
    if (session.listed >= event->total)
        session.listed = 0;
}

static void show(const struct event *event)
{
    static char words[65536];
    bool is_repeated = event->kind == EVENT_WELCOME && session.is_again;
    size_t length = is_repeated ? 0 : event_words(event, words, sizeof words);
    if (length > 0)
        screen_line(style_of(event), words, length);
}

static void take_event(struct event *event)
{
    if (event->kind == EVENT_WELCOME)
        welcome(event);
    if (event->kind == EVENT_ROSTER)
        count_names(event);
    if (is_of_new_server(event))
        start_over();
    if (event->in_history && session.has_last && event->id <= session.last)
        return;
    show(event);
    session.last = event->id > session.last ? event->id : session.last;
    session.has_last = true;
    react(event);
}

/// Plain text ///

static bool starts_with(const char *text, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

static enum style style_of_frame(const char *text, size_t length)
{
    if (starts_with(text, length, "[system] "))
        return STYLE_SYSTEM;
    return starts_with(text, length, "* ") ? STYLE_ACTION : STYLE_MESSAGE;
}

static void take_plain(const char *text, size_t length)
{
    struct plain_frame frame = {text, length};
    screen_line(style_of_frame(text, length), text, length);
    if (!outbox_answered(&session.outbox, is_answered_by_frame, &frame))
        answer_command();
}

void session_frame(const char *frame, size_t length)
{
    struct event event;
    if (session.is_json && event_parse(&event, frame, length)) {
        take_event(&event);
        event_free(&event);
        return;
    }
    take_plain(frame, length);
}

/// Lines to send ///

static const char *find_fault(const char *line, size_t length)
{
    if (length > OUTBOX_LINE)
        return "not sent: a message has at most 1,024 bytes";
    if (memchr(line, '\0', length) != NULL || !text_is_utf8(line, length))
        return "not sent: this line is not UTF-8 text";
    return NULL;
}

bool session_typed(const char *line, size_t length)
{
    text_trim(&line, &length);
    if (length == 0)
        return true;
    const char *fault = find_fault(line, length);
    if (fault != NULL) {
        screen_status("%s", fault);
        return true;
    }
    return outbox_add(&session.outbox, line, length);
}

const struct outbox_line *session_next(void)
{
    if (session.is_renaming)
        return &session.renaming;
    return session.is_replaying || session.has_quit ? NULL : outbox_next(&session.outbox);
}

void session_sent(void)
{
    if (session.is_renaming) {
        session.is_renaming = false;
        return;
    }
    const struct outbox_line *line = outbox_next(&session.outbox);
    session.has_quit = session_is_quit(line->text, line->length);
    outbox_sent(&session.outbox);
}

bool session_is_quit(const char *line, size_t length)
{
    return text_has_word(line, length, "/quit") || text_has_word(line, length, "/exit");
}

size_t session_waiting(void)
{
    return outbox_waiting(&session.outbox);
}

bool session_is_settled(void)
{
    return session_waiting() == 0 && !is_on_its_way();
}

bool session_has_quit(void)
{
    return session.has_quit;
}
