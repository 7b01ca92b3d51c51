// Out: a client is a cursor into the ring, and is sent references.
#include "../../port/log.h"
#include "../../port/port.h"
#include "../../port/scratch.h"
#include "client.h"
#include <string.h>

POOL(hub_rescues, struct rescue, HUB_RESCUES);
#define SKIPPED_MAX 128 // bytes of the frame that tells how much was missed
#define NOTICE_MAX  200 // bytes of a notice's text; of somebody's own words there is no more than a name's length in it

_Static_assert(HUB_REPLY >= NOTICE_MAX + 5 * NAME_MAX_BYTES + 100, "a notice with control characters does not fit");
_Static_assert(HUB_REPLY >= EVENT_SMALL_MAX, "a welcome with the longest name does not fit");
_Static_assert(HUB_REPLY <= 1024, "NET_SEND_MAX may be smaller");
_Static_assert(HUB_RESCUE >= HUB_FRAME, "a client with one message on the way would be cut off");

/// What is on the way ///

static bool reached(uint32_t counter, uint32_t mark)
{
    return (int32_t)(counter - mark) >= 0;
}

void client_release_rescue(struct client *c)
{
    if (c->rescue != NULL)
        pool_give(&hub_rescues, c->rescue);
    c->rescue = NULL;
}

static bool ring_is_awaited; // hub_must_wait() has said so

void client_acknowledged(struct client *c, uint64_t now)
{
    uint32_t acknowledged = net_acknowledged(c->conn);
    if (!reached(c->acknowledged, acknowledged)) {
        waiting_may_go_on = waiting_may_go_on || ring_is_awaited;
        ring_is_awaited = false;
        // A peer that takes single bytes is asleep: those are TCP's probes of its window (RFC 9293 section 3.8.6.1),
        // for which Linux finds room.
        if (acknowledged - c->acknowledged > 1)
            c->progress = now;
        c->acknowledged = acknowledged;
    }
    if (c->rescue != NULL && reached(acknowledged, c->rescue->until))
        client_release_rescue(c);
    if (acknowledged == net_sent(c->conn)) {
        c->safe = c->next;
    } else if (c->safe < c->mark && reached(acknowledged, c->mark_sent)) {
        c->safe = c->mark;
        c->mark = c->next;
        c->mark_sent = net_sent(c->conn);
    }
}

/// Making room in the ring ///

// No client has anything on the way from events below this one.
static uint64_t unpinned_below;

static void note_sent(struct client *c)
{
    if (c->safe < unpinned_below)
        unpinned_below = c->safe;
    if (net_copies(c->conn)) {
        c->safe = c->mark = c->next;
        return;
    }
    if (c->mark > c->safe)
        return; // a mark is under way already
    c->mark = c->next;
    c->mark_sent = net_sent(c->conn);
}

// Since it last took something. A host may hold back an acknowledgement for 200 ms, and whether somebody had nothing to
// take is looked at once a second.
#define KEEPS_UP_MS 1500

static size_t pinned_bytes(const struct client *c)
{
    struct span pieces[2];
    ring_memory(c->format, c->safe, c->next, pieces);
    return pieces[0].length + pieces[1].length;
}

static bool keeps_up_behind(const struct client *c, uint64_t id, uint64_t now)
{
    return c->state != CLIENT_FREE && c->rescue == NULL && c->safe < c->next && c->safe < id &&
           now - c->progress < KEEPS_UP_MS;
}

bool hub_must_wait(size_t length, uint64_t now)
{
    size_t said = length < HUB_MESSAGE ? length : HUB_MESSAGE;
    const size_t lengths[RING_FORMATS] = {said + EVENT_SMALL_MAX, said + EVENT_SMALL_MAX};
    if (ring_fits(lengths))
        return false;
    bool wait = false;
    uint32_t rescues = hub_rescues.size - hub_rescues.used;
    uint64_t kept = ring_oldest_beside(lengths);
    for (uint32_t i = 0; i < hub_pool->fresh && kept > unpinned_below && !wait; i++) {
        const struct client *c = pool_slot(hub_pool, i);
        if (keeps_up_behind(c, kept, now))
            wait = pinned_bytes(c) > HUB_RESCUE || rescues-- == 0;
    }
    ring_is_awaited = ring_is_awaited || wait;
    return wait;
}

static void rescue_piece(struct client *c, struct span piece, uint8_t *to)
{
    if (piece.length == 0)
        return;
    memcpy(to, piece.at, piece.length);
    net_relocate(c->conn, piece.at, piece.length, to);
}

static void cut_off(struct client *c)
{
    log_line(LOG_WARNING, "hub", "%.*s acknowledged nothing while the history went round: cut off", (int)c->name_length,
             c->name);
    hub_counters.culled++;
    net_abort(c->conn);
    client_release_rescue(c); // with the abort nothing of it is needed any longer
}

// Of those that hold a rescue, the one that has taken nothing for longest.
static struct client *longest_asleep(void)
{
    struct client *found = NULL;
    for (uint32_t i = 0; i < hub_pool->fresh; i++) {
        struct client *c = pool_slot(hub_pool, i);
        if (c->rescue != NULL && (found == NULL || c->progress < found->progress))
            found = c;
    }
    return found;
}

// Peers that vanished must not use up what the living need: who has been silent for longer makes way.
static bool take_rescue(struct client *c)
{
    c->rescue = pool_take(&hub_rescues);
    if (c->rescue != NULL)
        return true;
    struct client *other = longest_asleep();
    if (other == NULL || other->progress >= c->progress)
        return false;
    cut_off(other);
    c->rescue = pool_take(&hub_rescues);
    return c->rescue != NULL;
}

// The bytes that this client has not acknowledged move out of the ring, and lwIP sends them from there.
static bool rescue(struct client *c)
{
    struct span pieces[2];
    if (c->rescue != NULL || pinned_bytes(c) > HUB_RESCUE)
        return false;
    ring_memory(c->format, c->safe, c->next, pieces);
    if (!take_rescue(c))
        return false;
    c->rescue->until = net_sent(c->conn);
    rescue_piece(c, pieces[0], c->rescue->bytes);
    rescue_piece(c, pieces[1], c->rescue->bytes + pieces[0].length);
    return true;
}

static void unpin(struct client *c)
{
    client_acknowledged(c, port_now_ms());
    if (c->safe >= c->next)
        return;
    if (!rescue(c))
        cut_off(c);
    c->safe = c->next;
    c->mark = c->next;
}

void hub_unpin(uint64_t id)
{
    if (id < unpinned_below)
        return;
    uint64_t lowest = ring_newest() + 1;
    for (uint32_t i = 0; i < hub_pool->fresh; i++) {
        struct client *c = pool_slot(hub_pool, i);
        if (c->state == CLIENT_FREE)
            continue;
        if (c->safe <= id && c->safe < c->next)
            unpin(c);
        if (c->safe < c->next && c->safe < lowest)
            lowest = c->safe;
    }
    unpinned_below = lowest;
}

/// To one client ///

bool client_can_answer(const struct client *c)
{
    return net_room(c->conn) >= HUB_REPLY && net_room_within(c->conn, HUB_QUEUE) > 0;
}

bool client_tell(struct client *c, struct event_content *event)
{
    event->id = c->since;
    event->at = port_wall_ms();
    size_t length = event_length(c->format, event);
    if (length > HUB_REPLY)
        return false;
    uint8_t *frame = scratch_take(length);
    event_write(c->format, event, frame, length);
    bool sent = net_send(c->conn, frame, length) == NET_OK;
    scratch_give(frame);
    return sent;
}

void client_notice(struct client *c, const char *format, ...)
{
    char line[NOTICE_MAX];
    struct text t = text_in(line, sizeof line);
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    struct event_content event = {.kind = EVENT_NOTICE, .text = text_whole(&t)};
    client_tell(c, &event);
}

static void tell_welcome(struct client *c)
{
    struct event_content event = {.kind = EVENT_WELCOME, .to = client_name(c), .number = ring_newest()};
    if (client_tell(c, &event))
        c->due &= (uint8_t)~DUE_WELCOME;
}

// It fell out of the history, or was away for longer than the history reaches. False when memory is short: then it has
// to be told later.
static bool tell_skipped(struct client *c)
{
    struct event_content event = {.kind = EVENT_SKIPPED, .number = ring_oldest() - c->next};
    uint64_t since = c->since;
    c->since = ring_oldest() - 1;
    if (!client_tell(c, &event)) {
        c->since = since;
        return false;
    }
    hub_counters.skips++;
    hub_counters.skipped += (uint32_t)event.number;
    if (c->safe == c->next)
        c->safe = c->mark = ring_oldest();
    c->next = ring_oldest();
    return true;
}

/// The roster, page by page ///

static const struct client *client_from(uint32_t slot)
{
    for (; slot < hub_pool->fresh; slot++) {
        const struct client *c = pool_slot(hub_pool, slot);
        if (c->state == CLIENT_CHATTING)
            return c;
    }
    return NULL;
}

static void roster_begin(const struct client *c, struct text *t)
{
    bool first = c->roster == 0;
    if (c->format == RING_TEXT) {
        text_format(t, first ? "[system] online (%u): " : "[system] online, of %u also: ", hub_clients());
        return;
    }
    event_json_begin(t, c->since, port_wall_ms(), "roster");
    text_format(t, ",\"total\":%u,\"names\":[", hub_clients());
}

static void roster_name(const struct client *c, struct text *t, struct span name, bool first)
{
    if (c->format == RING_TEXT) {
        text_string(t, first ? "" : ", ");
        text_span(t, name);
        return;
    }
    text_string(t, first ? "\"" : ",\"");
    text_json(t, name);
    text_byte(t, '"');
}

// One page of names, from slot `c->roster` on; the roster is no longer due after the last one. When memory is short,
// the page is told later.
static void tell_roster_page(struct client *c, uint8_t *buffer)
{
    const size_t name_most = 2 * NAME_MAX_BYTES + 4;
    struct text t = event_text_begin(buffer, HUB_REPLY);
    roster_begin(c, &t);
    uint32_t from = c->roster;
    const struct client *other = client_from(from);
    for (bool first = true; other != NULL && t.length + name_most + 2 <= t.size; first = false) {
        roster_name(c, &t, client_name(other), first);
        from = pool_index(hub_pool, other) + 1;
        other = client_from(from);
    }
    if (c->format == RING_JSON)
        text_string(&t, "]}");
    struct span frame = event_text_end(&t, buffer);
    if (net_send(c->conn, frame.at, frame.length) != NET_OK)
        return;
    c->roster = (uint16_t)from;
    if (other == NULL)
        c->due &= (uint8_t)~DUE_ROSTER;
}

static void tell_roster(struct client *c)
{
    uint8_t *buffer = scratch_take(HUB_REPLY);
    tell_roster_page(c, buffer);
    scratch_give(buffer);
}

/// The ring ///

static bool all_acknowledged(const struct client *c)
{
    return net_sent(c->conn) == net_acknowledged(c->conn);
}

// How much may be on the way to a client: what its window takes, and no more than the ring and lwIP's pools can spare.
// Nothing while a rescue is needed: when the ring came round once more, there would be no place for what was added.
static size_t allowance(const struct client *c)
{
    if (c->rescue != NULL)
        return 0;
    size_t under_way = net_sent(c->conn) - net_acknowledged(c->conn);
    size_t flight = under_way < HUB_FLIGHT ? HUB_FLIGHT - under_way : 0;
    size_t window = net_window(c->conn);
    size_t room = net_room_within(c->conn, HUB_QUEUE);
    size_t least = flight < window ? flight : window;
    return least < room ? least : room;
}

// A frame that is longer than the peer's window is sent all the same when this is about as wide as the window ever
// gets. Into one that is merely closing nothing is sent by reference: it would be held there for as long as the peer
// sleeps.
static bool takes_longer_than_window(const struct client *c)
{
    return all_acknowledged(c) && 2 * net_window(c->conn) >= net_window_most(c->conn);
}

// Sends one piece of the ring. False when there is nothing to send, or no room.
static bool send_run(struct client *c)
{
    uint64_t next = c->next;
    uint32_t events;
    size_t wanted;
    struct span run = ring_run(c->format, c->who, &next, allowance(c), &wanted, &events);
    if (wanted > 0 && wanted <= net_room(c->conn) && takes_longer_than_window(c))
        run = ring_run(c->format, c->who, &next, wanted, &wanted, &events);
    if (wanted > 0)
        net_watch_window(c->conn);
    if (run.length > 0 && net_send_reference(c->conn, run.at, run.length) != NET_OK)
        return false;
    bool safe = c->safe == c->next && run.length == 0;
    c->next = next;
    c->since = next - 1;
    if (safe)
        c->safe = c->mark = next;
    if (run.length == 0)
        return false;
    hub_counters.deliveries += events;
    note_sent(c);
    return true;
}

static void deliver_due(struct client *c)
{
    if ((c->due & DUE_WELCOME) && c->next > c->joined && client_can_answer(c))
        tell_welcome(c);
    if ((c->due & DUE_ROSTER) && client_can_answer(c) && all_acknowledged(c))
        tell_roster(c);
}

// Only once it takes something again: a closed window would else gather a notice, and its memory, for every turn in
// which the ring goes on.
static bool may_hear_what_it_missed(const struct client *c)
{
    bool takes = allowance(c) >= SKIPPED_MAX || takes_longer_than_window(c);
    return takes && client_can_answer(c);
}

void client_deliver(struct client *c)
{
    if (c->state != CLIENT_CHATTING)
        return;
    if (c->next < ring_oldest()) {
        net_watch_window(c->conn);
        if (!may_hear_what_it_missed(c) || !tell_skipped(c))
            return;
    }
    while (send_run(c))
        ;
    if (c->due != 0)
        deliver_due(c);
}

bool client_owes(const struct client *c)
{
    return net_sent(c->conn) != net_acknowledged(c->conn) || (c->state == CLIENT_CHATTING && c->next <= ring_newest());
}
