// The chat hub as its clients see it: written from the contract's "WebSocket chat", frame by frame.
#include "../../port/pool.h"
#include "../../services/hub/events.h"
#include "../../services/hub/hub.h"
#include "../../services/proto/ws.h"
#include "../../services/users/users.h"
#include "peer_support.h"

#include "lwip/mem.h"
#include "lwip/priv/tcp_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PORT 80

/// The door: every connection becomes a client at once, or when the test says so ///

static struct hub_join next_join;
static bool deferred;
static struct net_conn *waiting[HUB_CLIENTS + 1];
static int waiting_count;
static int turned_away;

static void opened(struct net_conn *c)
{
    if (deferred) {
        waiting[waiting_count++] = c;
        return;
    }
    if (hub_attach(c, &next_join))
        return;
    turned_away++;
    net_close(c);
}

static size_t data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    return length;
}

static void closed(struct net_conn *c, enum net_error why)
{
    (void)c;
    (void)why;
}

static const struct net_handlers door = {.opened = opened, .data = data, .closed = closed};
static uint32_t per_address;

static void step_services(void)
{
    hub_service.step(port_now_ms());
}

/// Clients ///

struct chatter {
    struct peer peer;
    size_t at; // received bytes before this were read
    char name[NAME_MAX_BYTES + 1];
    bool json;
    bool closed; // a close frame came
    uint16_t status;
    int pings;
    uint64_t last_id; // JSON: of the newest event

    // A stream of numbered messages, see follow():
    uint32_t number; // the next one to come
    uint64_t skipped;
    uint32_t skips;
    uint32_t others; // frames that were none of it
    uint32_t leeway; // skipped events that may have been none of it
};

#define CHATTERS (HUB_CLIENTS + 1)
static struct chatter chatters[CHATTERS];
static struct chatter *const a = &chatters[0], *const b = &chatters[1], *const c = &chatters[2],
                             *const d = &chatters[3];

// The frame read last, with a NUL behind it.
static struct {
    uint8_t opcode;
    size_t length;
    char payload[HUB_FRAME];
} frame;

static char lines[4][2 * HUB_FRAME];

static const char *format(const char *how, ...)
{
    static unsigned turn;
    char *line = lines[turn++ % 4];
    va_list arguments;
    va_start(arguments, how);
    vsnprintf(line, sizeof lines[0], how, arguments);
    va_end(arguments);
    return line;
}

static void send_bits(struct chatter *w, uint8_t first, const void *bytes, size_t length)
{
    static uint8_t out[16384];
    static uint32_t key = 0x1badcafe;
    size_t n = 0;
    key = key * 1664525u + 1013904223u;
    const uint8_t mask[4] = {(uint8_t)key, (uint8_t)(key >> 8), (uint8_t)(key >> 16), (uint8_t)(key >> 24)};
    out[n++] = first;
    if (length < 126) {
        out[n++] = (uint8_t)(0x80 | length);
    } else {
        out[n++] = 0x80 | 126;
        out[n++] = (uint8_t)(length >> 8);
        out[n++] = (uint8_t)length;
    }
    memcpy(out + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < length; i++)
        out[n++] = ((const uint8_t *)bytes)[i] ^ mask[i % 4];
    for (size_t i = 0; i < n; i += 1000)
        peer_send(&w->peer, out + i, n - i < 1000 ? n - i : 1000);
}

#define FIN 0x80

static void say(struct chatter *w, const char *text)
{
    send_bits(w, FIN | WS_TEXT, text, strlen(text));
    peer_run(5);
}

static void forget_what_was_read(struct chatter *w)
{
    if (w->at == w->peer.length) {
        w->at = 0;
        peer_clear(&w->peer);
    } else if (w->at > sizeof w->peer.received / 2) {
        memmove(w->peer.received, w->peer.received + w->at, w->peer.length - w->at);
        w->peer.length -= w->at;
        w->at = 0;
    }
}

// The next frame, whole and as RFC 6455 wants a server's: final, not masked, its length in the shortest form.
static bool take_frame(struct chatter *w)
{
    const uint8_t *at = w->peer.received + w->at;
    size_t have = w->peer.length - w->at, header = 2;
    if (have < 2)
        return false;
    assert_int_equal(at[0] & 0xf0, FIN);
    assert_false(at[1] & 0x80);
    assert_int_not_equal(at[1], 127);
    size_t length = at[1];
    if (length == 126) {
        if (have < 4)
            return false;
        header = 4;
        length = (size_t)at[2] << 8 | at[3];
        assert_true(length > 125);
    }
    assert_true(length < sizeof frame.payload);
    if (have < header + length)
        return false;
    frame.opcode = at[0] & 0x0f;
    frame.length = length;
    memcpy(frame.payload, at + header, length);
    frame.payload[length] = '\0';
    w->at += header + length;
    forget_what_was_read(w);
    return true;
}

static void note_control(struct chatter *w)
{
    if (frame.opcode == WS_PING) {
        w->pings++;
        return;
    }
    if (frame.opcode == WS_PONG)
        return;
    assert_int_equal(frame.opcode, WS_CLOSE);
    w->closed = true;
    w->status = WS_NO_STATUS;
    if (frame.length >= 2)
        w->status = (uint16_t)((uint8_t)frame.payload[0] << 8 | (uint8_t)frame.payload[1]);
}

/// JSON events ///

static bool is_kept(const char *kind)
{
    static const char *const kinds[] = {"message", "action", "join", "leave", "rename", "private"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

static struct {
    uint64_t id;
    char kind[16];
    char rest[HUB_FRAME]; // behind the kind, as it stands
} event;

static uint64_t first_number(const char *text)
{
    const char *digits = strpbrk(text, "0123456789");
    assert_non_null(digits);
    return strtoull(digits, NULL, 10);
}

// Numbers of kept events only grow; one for a single client repeats the newest. What was skipped counts as told: a
// client that reconnects from there is not told of it twice.
static void check_number(struct chatter *w)
{
    if (strcmp(event.kind, "skipped") == 0) {
        assert_true(event.id >= w->last_id + first_number(event.rest));
        w->last_id = event.id;
    } else if (is_kept(event.kind) || (strcmp(event.kind, "notice") == 0 && event.id > w->last_id)) {
        assert_true(event.id > w->last_id);
        w->last_id = event.id;
    } else {
        assert_true(event.id == w->last_id);
    }
}

static void read_event(struct chatter *w)
{
    unsigned long long id, at;
    int behind = 0;
    assert_int_equal(
        sscanf(frame.payload, "{\"id\":%llu,\"at\":%llu,\"kind\":\"%15[a-z]\"%n", &id, &at, event.kind, &behind), 3);
    assert_true(behind > 0 && frame.payload[frame.length - 1] == '}');
    assert_true(at <= port_wall_ms() && at + 3600000 > port_wall_ms());
    event.id = id;
    snprintf(event.rest, sizeof event.rest, "%s", frame.payload + behind);
    check_number(w);
}

/// Reading ///

// The next text frame; others are noted on the way. Nothing may come behind a close frame.
static bool take(struct chatter *w)
{
    while (take_frame(w)) {
        assert_false(w->closed);
        if (frame.opcode != WS_TEXT) {
            note_control(w);
            continue;
        }
        assert_true(utf8_valid((struct span){frame.payload, frame.length}));
        if (w->json)
            read_event(w);
        return true;
    }
    return false;
}

static void expect(struct chatter *w, const char *text)
{
    if (!take(w))
        fail_msg("%s waits in vain for: %s", w->name, text);
    assert_string_equal(frame.payload, text);
}

static void expect_event(struct chatter *w, const char *kind, const char *rest)
{
    if (!take(w))
        fail_msg("%s waits in vain for: %s %s", w->name, kind, rest);
    assert_string_equal(event.kind, kind);
    assert_string_equal(event.rest, rest);
}

static void expect_notice(struct chatter *w)
{
    assert_true(take(w));
    if (w->json)
        assert_string_equal(event.kind, "notice");
    else
        assert_memory_equal(frame.payload, "[system] ", 9);
}

static void expect_nothing(struct chatter *w)
{
    if (take(w))
        fail_msg("%s did not expect: %s", w->name, frame.payload);
    assert_int_equal(w->at, w->peer.length);
}

static void expect_close(struct chatter *w, uint16_t status)
{
    expect_nothing(w);
    assert_true(w->closed);
    assert_int_equal(w->status, status);
}

// Reads all there is, and counts the frames that are this text.
static int count(struct chatter *w, const char *text)
{
    int n = 0;
    while (take(w))
        n += strcmp(frame.payload, text) == 0;
    return n;
}

static void drain(struct chatter *w)
{
    while (take(w))
        ;
}

/// Coming and going ///

static const struct hub_join guest_text = {0}, guest_json = {.json = true};
static uint32_t alice_uid, bob_uid;

static struct hub_join account(uint32_t uid, const char *name, bool json)
{
    return (struct hub_join){.uid = uid, .name = span_of(name), .json = json};
}

static void enter(struct chatter *w, struct hub_join join)
{
    uint32_t window = w->peer.window;
    peer_forget(&w->peer);
    memset(w, 0, sizeof *w);
    w->peer.window = window;
    w->peer.address = 0x0a010000u + (uint32_t)(w - chatters);
    w->json = join.json;
    if (join.resume)
        w->last_id = join.since;
    next_join = join;
    peer_open(&w->peer, PORT);
    peer_run(3);
}

static void read_own_name(struct chatter *w)
{
    const char *how = w->json ? ",\"from\":\"%32[^\"]\"}" : "[system] %32[^\n]";
    assert_int_equal(sscanf(w->json ? event.rest : frame.payload, how, w->name), 1);
    char *end = strstr(w->name, " joined");
    if (end != NULL)
        *end = '\0';
}

// Reads what a newcomer is told: the join, and then to it alone the welcome.
static void read_welcome(struct chatter *w)
{
    assert_true(take(w));
    read_own_name(w);
    if (w->json) {
        assert_string_equal(event.kind, "join");
        assert_true(take(w));
        assert_string_equal(event.kind, "welcome");
        assert_non_null(strstr(event.rest, format("\"%s\"", w->name)));
        return;
    }
    assert_string_equal(frame.payload, format("[system] %s joined", w->name));
    expect(w, "[system] connected. Use /nick your_name to rename.");
}

static void join(struct chatter *w, struct hub_join how)
{
    enter(w, how);
    read_welcome(w);
    expect_nothing(w);
}

// Everybody's view of a newcomer that a test doesn't care about.
static void join_quietly(struct chatter *w, struct hub_join how, struct chatter *watcher)
{
    join(w, how);
    expect(watcher, format("[system] %s joined", w->name));
}

static void leave(struct chatter *w)
{
    peer_abort(&w->peer);
    peer_run(3);
    peer_forget(&w->peer);
}

// Long times: everybody who isn't gone shows signs of life.
static void pass(uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 5000 ? ms : 5000;
        for (int i = 0; i < CHATTERS; i++)
            if (chatters[i].peer.synchronized && !chatters[i].peer.gone && !chatters[i].peer.silent)
                send_bits(&chatters[i], FIN | WS_PONG, "", 0);
        machine_advance(step, peer_turn);
        ms -= step;
    }
}

static int set_up(void **state)
{
    (void)state;
    hub_settings = (struct hub_settings){.rate = 0, .ping = 25, .stall = 30};
    turned_away = 0;
    return 0;
}

// Every test ends with nothing in use: no client, no slot of any pool, no PCB.
static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < CHATTERS; i++)
        if (chatters[i].peer.synchronized)
            peer_abort(&chatters[i].peer);
    peer_run(10);
    for (int i = 0; i < CHATTERS; i++)
        peer_forget(&chatters[i].peer);
    machine_advance(6000, peer_turn);
    deferred = false;
    waiting_count = 0;
    assert_int_equal(hub_clients(), 0);
    assert_null(tcp_active_pcbs);
    assert_null(tcp_tw_pcbs);
    assert_int_equal(net_open(), 0);
    for (struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p))
        if (strcmp(p->name, "accounts") != 0 && p->used > 0) // an account is for ever
            fail_msg("pool %s: %u slots still used", p->name, (unsigned)p->used);
    return 0;
}

/// The texts, byte for byte ///

static void test_join_message_leave_in_plain_text(void **state)
{
    (void)state;
    enter(a, guest_text);
    assert_true(take(a));
    read_own_name(a);
    assert_memory_equal(a->name, "guest-", 6);
    assert_string_equal(frame.payload, format("[system] %s joined", a->name));
    expect(a, "[system] connected. Use /nick your_name to rename.");
    expect_nothing(a);
    join_quietly(b, guest_text, a);
    assert_string_not_equal(a->name, b->name);
    say(a, "hello");
    expect(a, format("[%s] hello", a->name));
    expect(b, format("[%s] hello", a->name));
    say(b, " \t\r\n hi there \r\n\t ");
    expect(a, format("[%s] hi there", b->name));
    expect(b, format("[%s] hi there", b->name));
    say(a, "");
    say(a, " \t \r\n");
    expect_nothing(a);
    expect_nothing(b);
    const char *left = format("[system] %s left", b->name);
    leave(b);
    pass(100);
    expect(a, left);
    expect_nothing(a);
}

static void test_join_message_leave_in_json(void **state)
{
    (void)state;
    join(a, guest_json);
    uint64_t newest = hub_newest();
    assert_int_equal(a->last_id, newest);
    enter(b, guest_json);
    read_welcome(b);
    assert_non_null(strstr(event.rest, format("%llu", (unsigned long long)newest + 1)));
    expect_nothing(b);
    expect_event(a, "join", format(",\"from\":\"%s\"}", b->name));
    say(a, " he said \"\\\" \x01 ");
    expect_event(a, "message", format(",\"from\":\"%s\",\"text\":\"he said \\\"\\\\\\\" \\u0001\"}", a->name));
    expect_event(b, "message", format(",\"from\":\"%s\",\"text\":\"he said \\\"\\\\\\\" \\u0001\"}", a->name));
    assert_int_equal(event.id, newest + 2);
    say(a, "/nick Zo\xc3\xab");
    expect_event(b, "rename", format(",\"from\":\"%s\",\"to\":\"Zo\xc3\xab\"}", a->name));
    say(a, "/me waves");
    expect_event(b, "action", ",\"from\":\"Zo\xc3\xab\",\"text\":\"waves\"}");
    leave(a);
    expect_event(b, "leave", ",\"from\":\"Zo\xc3\xab\"}");
    expect_nothing(b);
}

static void test_both_formats_in_one_room(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    say(b, "from json");
    expect(a, format("[%s] from json", b->name));
    expect_event(b, "message", format(",\"from\":\"%s\",\"text\":\"from json\"}", b->name));
    say(a, "from text");
    expect(a, format("[%s] from text", a->name));
    expect_event(b, "message", format(",\"from\":\"%s\",\"text\":\"from text\"}", a->name));
    uint64_t before = b->last_id;
    say(b, "/bogus");
    expect_notice(b); // its number repeats the newest
    assert_int_equal(b->last_id, before);
    expect_nothing(a);
}

/// Names ///

static void refused_nick(const char *line)
{
    say(a, line);
    expect_notice(a);
    expect_nothing(a);
    expect_nothing(b);
}

static void test_nick_rules(void **state)
{
    (void)state;
    char longest[] = "/nick 0123456789abcdef0123456789abcdef";
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    say(b, "/nick   Bobby ");
    expect(b, format("[system] %s is now Bobby", b->name));
    expect(a, format("[system] %s is now Bobby", b->name));
    refused_nick("/nick");
    refused_nick("/nick    ");
    refused_nick("/nick Bobby");
    refused_nick("/nick bOBBY");
    refused_nick("/nick alice"); // registered, not here
    refused_nick("/nick ALICE");
    refused_nick("/nick 0123456789abcdef0123456789abcdefX");
    refused_nick("/nick a\x01z");
    refused_nick("/nick guest-7");
    refused_nick("/nick system"); // could speak as the server
    say(a, longest);
    expect(a, format("[system] %s is now %s", a->name, longest + 6));
    expect(b, format("[system] %s is now %s", a->name, longest + 6));
    say(a, "x");
    expect(b, format("[%s] x", longest + 6));
    const char *left = format("[system] %s left", longest + 6);
    leave(a);
    expect(b, left);
}

static void test_own_registered_name_comes_back(void **state)
{
    (void)state;
    join(b, guest_text);
    join_quietly(a, account(alice_uid, "alice", false), b);
    assert_string_equal(a->name, "alice");
    say(a, "/nick ally");
    expect(b, "[system] alice is now ally");
    say(b, "/nick alice");
    expect_notice(b); // it is still hers
    say(a, "/nick bob");
    expect(a, "[system] alice is now ally");
    expect_notice(a);
    say(a, "/nick alice");
    expect(a, "[system] ally is now alice");
    expect(b, "[system] ally is now alice");
    expect_nothing(b);
}

// A name given up is free for another; a name is never held twice.
static void test_freed_name_can_be_taken(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    say(a, "/nick first");
    say(a, "/nick second");
    drain(b);
    say(b, "/nick FIRST");
    expect(b, format("[system] %s is now FIRST", b->name));
    leave(a);
    drain(b);
    say(b, "/nick second");
    expect(b, "[system] FIRST is now second");
}

/// Leaving, exactly once ///

static void vanish(struct chatter *w)
{
    w->peer.gone = true;
}

static void send_close(struct chatter *w)
{
    send_bits(w, FIN | WS_CLOSE, "\x03\xe8", 2);
    peer_run(5);
    assert_int_equal(count(w, ""), 0);
    assert_true(w->closed);
    assert_int_equal(w->status, WS_NORMAL);
    assert_true(w->peer.fin);
    send_bits(w, FIN | WS_TEXT, "too late", 8);
    peer_close(&w->peer);
}

static void send_empty_close(struct chatter *w)
{
    send_bits(w, FIN | WS_CLOSE, "", 0);
    peer_run(5);
    assert_int_equal(count(w, ""), 0);
    assert_true(w->closed);
    peer_close(&w->peer);
}

static void half_close(struct chatter *w)
{
    peer_close(&w->peer);
}

static void reset(struct chatter *w)
{
    peer_abort(&w->peer);
}

static void close_and_reset(struct chatter *w)
{
    send_bits(w, FIN | WS_CLOSE, "\x03\xe8", 2);
    peer_run(2);
    peer_abort(&w->peer);
}

static void test_leaving_is_told_exactly_once(void **state)
{
    (void)state;
    static void (*const ways[])(struct chatter *) = {send_close, send_empty_close, half_close,
                                                     reset,      close_and_reset,  vanish};
    join(a, guest_text);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        join_quietly(b, i % 2 ? guest_json : guest_text, a);
        const char *left = format("[system] %s left", b->name);
        ways[i](b);
        int told = 0;
        for (int t = 0; t < 24; t++) { // a vanished one is noticed by its pings
            pass(5000);
            told += count(a, left);
        }
        assert_int_equal(told, 1);
        assert_int_equal(hub_clients(), 1);
        peer_forget(&b->peer);
    }
}

/// Commands ///

static void test_help_and_unknown_commands_are_answered_to_the_sender_alone(void **state)
{
    (void)state;
    static const char *const asked[] = {"/help", "/bogus",         "/",     "/nickname x", "/me",
                                        "/msg",  "/msg nobody hi", "/ me x"};
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        say(a, asked[i]);
        expect_notice(a);
        expect_nothing(a);
        say(b, asked[i]);
        expect_notice(b);
        expect_nothing(b);
        expect_nothing(a);
    }
    say(a, "/help");
    expect_notice(a);
    assert_non_null(strstr(frame.payload, "/nick"));
    assert_non_null(strstr(frame.payload, "/who"));
    assert_non_null(strstr(frame.payload, "/msg"));
    say(a, "/me waves");
    expect(a, format("* %s waves", a->name));
    expect_event(b, "action", format(",\"from\":\"%s\",\"text\":\"waves\"}", a->name));
}

// Commands of the greatest length must not break their own answers.
static void test_longest_unknown_command(void **state)
{
    (void)state;
    static char line[HUB_MESSAGE + 1];
    join(a, guest_json);
    for (int kind = 0; kind < 3; kind++) {
        memset(line, "x\x01\""[kind], HUB_MESSAGE);
        line[0] = '/';
        say(a, line);
        expect_notice(a);
    }
    for (size_t i = 1; i + 1 < HUB_MESSAGE; i += 2) // cut at a character's border, not within
        memcpy(line + i, "\xc3\xa9", 2);
    line[HUB_MESSAGE - 1] = 'x';
    say(a, line);
    expect_notice(a);
    expect_nothing(a);
}

static void test_private_messages_are_seen_by_two(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    join_quietly(c, guest_text, a);
    join_quietly(d, guest_json, a);
    drain(b);
    drain(c);
    say(b, "/nick bobby tables");
    drain(a), drain(b), drain(c), drain(d);
    say(a, "/msg bobby tables  drop it ");
    expect(a, format("[%s -> bobby tables] drop it", a->name));
    expect_event(b, "private", format(",\"from\":\"%s\",\"to\":\"bobby tables\",\"text\":\"drop it\"}", a->name));
    say(b, format("/msg %s no", a->name));
    expect(a, format("[bobby tables -> %s] no", a->name));
    expect_event(b, "private", format(",\"from\":\"bobby tables\",\"to\":\"%s\",\"text\":\"no\"}", a->name));
    say(a, "/msg BOBBY TABLES case");
    expect(a, format("[%s -> bobby tables] case", a->name));
    say(a, "/msg bobby hi"); // nobody of that name
    expect_notice(a);
    say(c, "/nick bobby");
    drain(a), drain(b), drain(c), drain(d);
    say(a, "/msg bobby tables both fit"); // the longer name
    expect(a, format("[%s -> bobby tables] both fit", a->name));
    say(a, "/msg bobby hello");
    expect(c, format("[%s -> bobby] hello", a->name));
    expect_nothing(c);
    expect_nothing(d);
    say(a, "to all");
    expect(c, format("[%s] to all", a->name));
    expect_event(d, "message", format(",\"from\":\"%s\",\"text\":\"to all\"}", a->name));
}

static void test_quit_and_exit_close_with_1000(void **state)
{
    (void)state;
    static const char *const commands[] = {"/quit", "/exit"};
    join(a, guest_text);
    for (int i = 0; i < 2; i++) {
        join_quietly(b, i ? guest_json : guest_text, a);
        const char *left = format("[system] %s left", b->name);
        say(b, commands[i]);
        drain(b);
        expect_close(b, WS_NORMAL);
        assert_true(b->peer.fin);
        expect(a, left);
        peer_close(&b->peer);
        pass(1000);
        expect_nothing(a);
        peer_forget(&b->peer);
    }
}

/// Many clients ///

// A crowd comes in groups: lwIP's memory holds the make-believe network's frames too.
#define GROUP (HUB_CLIENTS < 20 ? 2 : 4)

static void group_enters(int first, int behind, bool mixed)
{
    deferred = true;
    waiting_count = 0;
    for (int i = first; i < behind; i++)
        enter(&chatters[i], mixed && i % 2 ? guest_json : guest_text);
    peer_run(2);
    assert_int_equal(waiting_count, behind - first);
    for (int i = first; i < behind; i++)
        assert_true(hub_attach(waiting[i - first], mixed && i % 2 ? &guest_json : &guest_text));
    deferred = false;
    waiting_count = 0;
}

static void crowd_drains(int behind)
{
    for (int quiet = 0; quiet < 5; quiet++) {
        peer_run(2);
        for (int i = 0; i < behind; i++)
            while (take(&chatters[i]))
                quiet = 0;
    }
}

static void crowd_enters(int first, int behind, bool mixed)
{
    for (int i = first; i < behind; i += GROUP) {
        int end = i + GROUP < behind ? i + GROUP : behind;
        group_enters(i, end, mixed);
        crowd_drains(end);
    }
}

// The union of the pages is complete, and no name comes twice.
static void test_who_lists_a_full_house_in_pages(void **state)
{
    (void)state;
    static bool seen[2][HUB_CLIENTS];
    int total[2] = {0, 0};
    crowd_enters(0, HUB_CLIENTS, true);
    memset(seen, 0, sizeof seen);
    uint32_t at = 0;
    struct span name;
    static char names[HUB_CLIENTS][NAME_MAX_BYTES + 3];
    int online = 0;
    while (hub_walk(&at, &name))
        snprintf(names[online++], sizeof names[0], "%.*s", (int)name.length, name.at);
    assert_int_equal(online, HUB_CLIENTS);
    for (int w = 0; w < 2; w++) {
        say(&chatters[w], "/who");
        for (int quiet = 0; quiet < 10; quiet++) {
            peer_run(5);
            while (take(&chatters[w])) {
                quiet = 0;
                if (w == 1)
                    assert_string_equal(event.kind, "roster");
                for (char *word = strtok(frame.payload, ",:[]{}\" "); word != NULL; word = strtok(NULL, ",:[]{}\" "))
                    for (int i = 0; i < HUB_CLIENTS; i++)
                        if (strcmp(word, names[i]) == 0) {
                            assert_false(seen[w][i]);
                            seen[w][i] = true;
                            total[w]++;
                        }
            }
        }
    }
    assert_int_equal(total[0], HUB_CLIENTS);
    assert_int_equal(total[1], HUB_CLIENTS);
}

static void test_full_house_gets_every_message_once_in_order(void **state)
{
    (void)state;
    enum { MESSAGES = 20 };
    assert_false(hub_full());
    crowd_enters(0, HUB_CLIENTS, true);
    assert_true(hub_full());
    assert_int_equal(hub_clients(), HUB_CLIENTS);
    for (int m = 0; m < MESSAGES; m++)
        say(&chatters[m % 3], format("number %d", m));
    peer_run(500);
    for (int i = 0; i < HUB_CLIENTS; i++) {
        for (int m = 0; m < MESSAGES; m++) {
            assert_true(take(&chatters[i]));
            assert_non_null(strstr(frame.payload, format(i % 2 ? "\"number %d\"" : "] number %d", m)));
        }
        expect_nothing(&chatters[i]);
    }
}

static void test_full_house_takes_nobody_until_one_leaves(void **state)
{
    (void)state;
    crowd_enters(0, HUB_CLIENTS, false);
    enter(&chatters[HUB_CLIENTS], guest_text);
    peer_run(10);
    assert_int_equal(turned_away, 1);
    assert_true(chatters[HUB_CLIENTS].peer.fin);
    expect_nothing(&chatters[HUB_CLIENTS]);
    leave(&chatters[HUB_CLIENTS]);
    expect_nothing(a); // nobody was told of it
    leave(b);
    pass(500);
    assert_false(hub_full());
    drain(a);
    join_quietly(b, guest_text, a);
}

static bool same_house(const char *name)
{
    struct span who;
    for (uint32_t at = 0; hub_walk(&at, &who);)
        if (span_equal(who, span_of(name)))
            return true;
    return false;
}

/// History: ?since= ///

static void test_since_replays_in_order_before_anything_new(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    uint64_t since = b->last_id;
    leave(b);
    say(a, "one");
    say(a, "two");
    say(a, "/me three");
    struct hub_join again = {.json = true, .resume = true, .since = since};
    enter(b, again);
    assert_true(take(b));
    assert_string_equal(event.kind, "leave"); // its own
    expect_event(b, "message", format(",\"from\":\"%s\",\"text\":\"one\"}", a->name));
    expect_event(b, "message", format(",\"from\":\"%s\",\"text\":\"two\"}", a->name));
    expect_event(b, "action", format(",\"from\":\"%s\",\"text\":\"three\"}", a->name));
    assert_int_equal(b->last_id, since + 4);
    read_welcome(b);
    assert_int_equal(b->last_id, since + 5);
    expect_nothing(b);
    say(a, "four");
    assert_true(take(b));
    assert_int_equal(b->last_id, since + 6);
    expect_nothing(b);
}

static void test_since_the_newest_replays_nothing(void **state)
{
    (void)state;
    join(a, guest_text);
    say(a, "old");
    struct hub_join again = {.json = true, .resume = true, .since = hub_newest()};
    join(b, again);
    struct hub_join plain = {.resume = true, .since = hub_newest() - 2};
    enter(c, plain); // plain text can resume too
    expect(c, format("[%s] old", a->name));
    expect(c, format("[system] %s joined", b->name));
    read_welcome(c);
    expect_nothing(c);
}

// Numbers from before a restart mean nothing: everything that is kept comes.
static void test_since_beyond_the_newest(void **state)
{
    (void)state;
    join(a, guest_text);
    say(a, "kept");
    uint64_t newest = hub_newest();
    struct hub_join again = {.json = true, .resume = true, .since = newest + 1000000};
    b->peer.window = 20000;
    enter(b, again);
    b->last_id = 0;
    uint64_t last = 0, events = 0;
    for (int quiet = 0; quiet < 200; quiet++) {
        peer_run(1);
        while (take_frame(b)) {
            quiet = 0;
            assert_int_equal(frame.opcode, WS_TEXT);
            unsigned long long id;
            assert_int_equal(sscanf(frame.payload, "{\"id\":%llu,", &id), 1);
            assert_true(id <= newest + 1); // none of the old numbers, so that the client forgets them
            if (strstr(frame.payload, "\"kind\":\"skipped\"") || strstr(frame.payload, "\"kind\":\"welcome\""))
                continue;
            assert_true(id > last); // not every number: others' private messages have some
            last = id;
            events++;
        }
    }
    assert_int_equal(last, newest + 1);
    assert_true(events >= 3);
}

static void test_private_messages_come_back_to_their_two_alone(void **state)
{
    (void)state;
    join(a, account(alice_uid, "alice", true));
    join(b, account(bob_uid, "bob", true));
    join(c, guest_json);
    drain(a), drain(b);
    uint64_t since = hub_newest();
    say(a, "/msg bob the key is under the mat");
    assert_true(take(b));
    say(a, "hello all");
    leave(a), leave(b), leave(c);
    struct hub_join again = account(bob_uid, "bob", true);
    again.resume = true;
    again.since = since;
    enter(b, again);
    expect_event(b, "private", ",\"from\":\"alice\",\"to\":\"bob\",\"text\":\"the key is under the mat\"}");
    expect_event(b, "message", ",\"from\":\"alice\",\"text\":\"hello all\"}");
    again = account(alice_uid, "alice", true);
    again.resume = true;
    again.since = since;
    enter(a, again);
    expect_event(a, "private", ",\"from\":\"alice\",\"to\":\"bob\",\"text\":\"the key is under the mat\"}");
    struct hub_join stranger = {.json = true, .resume = true, .since = since};
    enter(c, stranger);
    while (take(c))
        assert_null(strstr(frame.payload, "under the mat"));
    assert_true(c->last_id > since);
}

// A guest's slot and number may be used again; its private messages are not for whoever comes next.
static void test_guests_never_inherit_private_messages(void **state)
{
    (void)state;
    join(d, guest_text);
    join(a, guest_json);
    join(b, guest_json);
    uint64_t since = hub_newest();
    say(a, format("/msg %s secret", b->name));
    assert_true(take(b));
    leave(a), leave(b);
    struct hub_join next = {.json = true, .resume = true, .since = since};
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 3; i++) {
            enter(&chatters[i], next);
            while (take(&chatters[i]))
                assert_null(strstr(frame.payload, "secret"));
            if (i == 2)
                leave(a), leave(b), leave(c);
        }
}

/// Streams of numbered messages ///

#define BATCH (HUB_MESSAGE < 1024 ? 4 : 40) // messages in one segment
static char speaker[NAME_MAX_BYTES + 1];

static bool is_speech(const struct chatter *w)
{
    if (w->json)
        return strcmp(event.kind, "message") == 0;
    size_t n = strlen(speaker);
    return frame.payload[0] == '[' && strncmp(frame.payload + 1, speaker, n) == 0 && frame.payload[n + 1] == ']';
}

static bool is_skip(const struct chatter *w)
{
    return w->json ? strcmp(event.kind, "skipped") == 0 : strstr(frame.payload, " missed") != NULL && !is_speech(w);
}

static void follow_number(struct chatter *w, const char *mark)
{
    assert_non_null(mark);
    uint32_t number = (uint32_t)strtoul(mark + 1, NULL, 10);
    uint32_t surplus = w->number - number;
    if (w->skips > 0 && surplus > 0 && surplus <= w->leeway) {
        w->leeway -= surplus;
        w->number = number;
    }
    assert_int_equal(number, w->number);
}

// Reads on: each number comes once and in order, but for those that are told as skipped.
static void follow(struct chatter *w)
{
    while (take(w)) {
        if (is_skip(w)) {
            uint64_t missed = first_number(w->json ? event.rest : frame.payload);
            assert_true(missed > 0);
            w->skipped += missed;
            w->number += (uint32_t)missed;
            w->skips++;
        } else if (is_speech(w)) {
            follow_number(w, strchr(frame.payload, '#'));
            w->number++;
        } else {
            w->others++;
        }
    }
}

static void follow_all(int behind)
{
    for (int i = 0; i < behind; i++)
        follow(&chatters[i]);
}

static size_t client_frame(uint8_t *out, const char *text)
{
    size_t n = strlen(text);
    assert_true(n < 126);
    out[0] = FIN | WS_TEXT;
    out[1] = (uint8_t)(0x80 | n);
    memset(out + 2, 0, 4); // a key of zeros masks nothing
    memcpy(out + 6, text, n);
    return n + 6;
}

static uint32_t next_number;

// `w` says the next n numbers, and the first `behind` chatters read along.
static void send_batch(struct chatter *w, uint32_t n, int behind)
{
    static uint8_t out[8192];
    size_t length = 0;
    for (; n > 0; n--)
        length += client_frame(out + length, format("#%u and some more words of it", next_number++));
    peer_send(&w->peer, out, length);
    peer_run(2);
    follow_all(behind);
}

static void flood(struct chatter *w, uint32_t n, int behind)
{
    for (uint32_t batch; n > 0; n -= batch) {
        batch = n < BATCH ? n : BATCH;
        send_batch(w, batch, behind);
    }
    for (int i = 0; i < 20; i++) {
        peer_run(2);
        follow_all(behind);
    }
}

static void begin_numbers(struct chatter *w)
{
    snprintf(speaker, sizeof speaker, "%s", w->name);
    next_number = 0;
    for (int i = 0; i < CHATTERS; i++) {
        chatters[i].number = 0;
        chatters[i].skipped = 0;
        chatters[i].skips = chatters[i].others = 0;
    }
}

// More than any ring keeps.
static uint32_t ring_round(void)
{
    return HUB_HISTORY + HUB_HISTORY / 4;
}

static void shut_window(struct chatter *w)
{
    w->peer.window = 0;
    send_bits(w, FIN | WS_PONG, "", 0); // RFC 9293 3.10.7.4: without a new byte, a smaller window is an old one
    send_bits(w, FIN | WS_PONG, "", 0);
    peer_run(2);
}

static void open_window(struct chatter *w)
{
    w->peer.window = 65535;
    peer_acknowledge(&w->peer);
    peer_run(5);
}

// A client reads what it lacks, every turn, so that it keeps what its window promised.
static void catch_up(struct chatter *w)
{
    for (int i = 0; i < 20000 && w->number < next_number; i++) {
        peer_run(1);
        follow(w);
    }
}

static void check_complete(struct chatter *w)
{
    assert_int_equal(w->number, next_number);
}

static void slow_client(struct hub_join how)
{
    join(a, guest_text);
    join_quietly(b, how, a);
    join_quietly(c, guest_json, a);
    drain(b);
    begin_numbers(a);
    shut_window(b);
    uint32_t culled = hub_counters.culled;
    flood(a, ring_round(), 3);
    assert_int_equal(a->number, next_number); // it cost the others nothing
    assert_int_equal(c->number, next_number);
    assert_int_equal(a->skips + c->skips, 0);
    assert_int_equal(b->number, 0);
    open_window(b);
    catch_up(b);
    check_complete(b);
    assert_int_equal(b->skips, 1);
    assert_in_range(b->skipped, ring_round() - HUB_HISTORY - 1, ring_round() - 1);
    assert_int_equal(b->others, 0);
    assert_int_equal(hub_counters.culled, culled);
    flood(a, 10, 3);
    check_complete(b);
    assert_int_equal(b->skips, 1);
}

static void test_slow_client_skips_and_costs_nobody(void **state)
{
    (void)state;
    slow_client(guest_text);
}

static void test_slow_json_client_skips_and_costs_nobody(void **state)
{
    (void)state;
    slow_client(guest_json);
}

// It still reads, but less than is said: it is told again and again, and the sum is right.
static void test_client_that_reads_too_slowly(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    drain(b);
    begin_numbers(a);
    b->peer.silent = true;
    b->peer.window = 300;
    for (int round = 0; round < 12; round++) {
        flood(a, ring_round() / 4, 1);
        peer_acknowledge(&b->peer);
        peer_run(5);
        follow(b);
    }
    check_complete(a);
    b->peer.silent = false;
    open_window(b);
    catch_up(b);
    check_complete(b);
    assert_true(b->skips > 0 && b->skipped < next_number);
}

static void test_since_older_than_the_history(void **state)
{
    (void)state;
    join(a, guest_text);
    begin_numbers(a);
    uint64_t since = hub_newest();
    flood(a, ring_round(), 1);
    struct hub_join again = {.json = true, .resume = true, .since = since};
    enter(b, again);
    b->number = 0;
    catch_up(b);
    check_complete(b);
    assert_int_equal(b->skips, 1);
    assert_true(b->skipped >= ring_round() - HUB_HISTORY);
    peer_run(10);
    follow(b);
    assert_int_equal(b->others, 2); // its join and its welcome, behind all that
    assert_int_equal(b->last_id, hub_newest());
    assert_int_equal(b->last_id, since + next_number + 1);
}

static void test_client_that_takes_nothing_is_closed_with_1013(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    const char *left = format("[system] %s left", b->name);
    shut_window(b);
    say(a, "for you");
    expect(a, format("[%s] for you", a->name));
    pass(28000);
    assert_int_equal(count(a, left), 0);
    pass(3500);
    assert_int_equal(count(a, left), 1);
    open_window(b); // in time for the last words
    for (int i = 0; i < 300 && !b->closed; i++) {
        machine_advance(10, peer_turn);
        drain(b);
    }
    assert_true(b->closed);
    assert_int_equal(b->status, WS_TRY_AGAIN_LATER);
    pass(20000);
    assert_int_equal(count(a, left), 0);
}

// A host goes on taking a few bytes for a program that is asleep: they are no sign that somebody reads.
static void test_client_that_takes_only_pings_is_closed(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    const char *left = format("[system] %s left", b->name);
    shut_window(b);
    b->peer.window = 10;
    peer_acknowledge(&b->peer);
    say(a, "more than fits");
    machine_advance(28000, peer_turn);
    assert_int_equal(count(a, left), 0);
    machine_advance(3000, peer_turn);
    assert_int_equal(count(a, left), 1);
}

// The announcement acknowledges nothing, so lwIP tells nobody of it. It was once seen only a second later.
static void test_window_that_opens_is_noticed_at_once(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    shut_window(b);
    say(a, "for you");
    peer_run(20);
    open_window(b);
    expect(b, format("[%s] for you", a->name));
}

// Lacking the news of this very turn is no sign of a shut window: such clients were pinged every second.
static void test_client_that_keeps_up_is_not_asked(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    for (int i = 0; i < 2000; i++) {
        say(a, "on and on");
        machine_advance(2, peer_turn); // 7 ms in all: the hub's tick of 1 s meets a message sooner or later
        assert_int_equal(count(b, format("[%s] on and on", a->name)), 1);
        drain(a);
    }
    assert_int_equal(b->pings, 0);
    assert_int_equal(a->pings, 0);
}

// It takes little, but it takes: that is no reason to close it.
static void test_client_that_takes_something_is_not_closed(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    b->peer.silent = true;
    b->peer.window = 40;
    peer_acknowledge(&b->peer);
    for (int i = 0; i < 20; i++)
        say(a, "a little");
    drain(a);
    for (int i = 0; i < 8; i++) {
        pass(10000);
        peer_acknowledge(&b->peer);
        send_bits(b, FIN | WS_PONG, "", 0);
        drain(b);
    }
    assert_int_equal(count(a, format("[system] %s left", b->name)), 0);
    assert_false(b->closed);
}

/// Clients that vanish with frames on their way ///

// The ring goes round several times over bytes that were never acknowledged. When the client comes back, lwIP sends
// them again: each must be what it was.
static void vanishing(struct hub_join how)
{
    join(a, guest_text);
    join_quietly(b, how, a);
    drain(b);
    begin_numbers(a);
    flood(a, 5, 2);
    b->peer.gone = true;
    flood(a, 3 * HUB_HISTORY, 1);
    check_complete(a);
    uint32_t relocated = net_counters.relocated;
    assert_true(relocated > 0);
    b->peer.gone = false;
    catch_up(b);
    check_complete(b);
    assert_true(b->skips >= 1);
    assert_int_equal(b->others, 0);
    flood(a, 3, 2);
    check_complete(b);
}

static void test_vanished_client_comes_back_unharmed(void **state)
{
    (void)state;
    vanishing(guest_text);
}

static void test_vanished_json_client_comes_back_unharmed(void **state)
{
    (void)state;
    vanishing(guest_json);
}

// What is on the way to a client may lie so far apart, with others' private messages between, that no rescue holds it.
static void test_more_under_way_than_a_rescue_holds(void **state)
{
    (void)state;
    enum { WORDS = 200, FRAME = WORDS + 20 };
    static char words[WORDS + 1];
    memset(words, 'w', WORDS);
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    join_quietly(c, guest_text, a);
    drain(b);
    uint32_t culled = hub_counters.culled;
    uint32_t relocated = net_counters.relocated;
    b->peer.gone = true;
    say(a, "before");
    for (int i = 0; i <= HUB_RESCUE / FRAME; i++) {
        say(a, format("/msg %s %s", c->name, words));
        drain(a), drain(c);
    }
    say(a, "behind");
    assert_int_equal(hub_counters.culled, culled);
    drain(a), drain(c);
    begin_numbers(a);
    flood(a, HUB_HISTORY, 1);
    check_complete(a);
    assert_int_equal(hub_counters.culled, culled + 1);
    assert_int_equal(net_counters.relocated, relocated);
    assert_int_equal(a->others, 1); // its leaving
}

static void test_more_vanished_clients_than_rescues(void **state)
{
    (void)state;
    enum { GONE = HUB_RESCUES + 3 };
    join(a, guest_text);
    for (int i = 1; i <= GONE; i++)
        join_quietly(&chatters[i], i % 2 ? guest_json : guest_text, a);
    peer_run(10);
    for (int i = 1; i <= GONE; i++)
        drain(&chatters[i]);
    begin_numbers(a);
    for (int i = 1; i <= GONE; i++) {
        chatters[i].peer.gone = true;
        chatters[i].leeway = GONE - HUB_RESCUES; // the leavings may be among what it missed
    }
    flood(a, 1, 1);
    machine_advance(2000, peer_turn); // by now nobody takes them for people who keep up
    flood(a, 2 * HUB_HISTORY, 1);
    check_complete(a);
    assert_int_equal(a->others, 3); // the leaving of those for whom there was no copy
    assert_int_equal(hub_clients(), 1 + HUB_RESCUES);
    for (int i = 1; i <= GONE; i++)
        chatters[i].peer.gone = false;
    int back = 0;
    for (int t = 0; t < 2500; t++) {
        machine_advance(10, peer_turn);
        follow_all(GONE + 1);
    }
    for (int i = 1; i <= GONE; i++)
        back += chatters[i].number == next_number;
    assert_int_equal(back, HUB_RESCUES);
    flood(a, 3, GONE + 1);
    check_complete(a);
}

// Acknowledgements that are only a round trip away are waited for: in a ring that goes round within one, each of these
// clients would have been cut off. It was so on the smallest machine, whose twelve clients said ten lines at once.
static void test_burst_waits_for_those_who_keep_up(void **state)
{
    (void)state;
    enum { MEMBERS = HUB_RESCUES + 3 };
    uint32_t culled = hub_counters.culled;
    join(a, guest_text);
    for (int i = 1; i <= MEMBERS; i++)
        join_quietly(&chatters[i], i % 2 ? guest_json : guest_text, a);
    peer_run(10);
    begin_numbers(a);
    for (int i = 1; i <= MEMBERS; i++)
        chatters[i].peer.silent = true;
    uint64_t before = hub_newest();
    uint32_t said = 0;
    for (; said < 2 * HUB_HISTORY && hub_newest() == before + said; said += BATCH)
        send_batch(a, BATCH, 1);
    assert_true(hub_newest() < before + said);
    assert_int_equal(hub_clients(), 1 + MEMBERS);
    for (int i = 1; i <= MEMBERS; i++) {
        chatters[i].peer.silent = false;
        peer_acknowledge(&chatters[i].peer);
    }
    peer_run(100);
    assert_int_equal(hub_newest(), before + said);
    assert_int_equal(hub_clients(), 1 + MEMBERS);
    assert_int_equal(hub_counters.culled, culled);
}

/// Limits on what is said ///

static void send_numbers(struct chatter *w, int n)
{
    for (; n > 0; n--) {
        const char *line = format("#%u", next_number++);
        send_bits(w, FIN | WS_TEXT, line, strlen(line));
    }
    peer_run(5);
}

static void test_rate_limit_pauses_and_loses_nothing(void **state)
{
    (void)state;
    hub_settings.rate = 10;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    drain(b);
    begin_numbers(a);
    send_numbers(a, 25);
    follow_all(2);
    assert_int_equal(b->number, 10);
    assert_int_equal(b->others, 0);
    assert_int_equal(a->others, 1); // the notice
    say(b, "/me is not held up");
    follow_all(2);
    assert_int_equal(a->others, 2);
    pass(4500);
    follow_all(2);
    assert_int_equal(b->number, 10);
    assert_int_equal(a->others, 2);
    pass(700);
    follow_all(2);
    assert_int_equal(b->number, 20);
    pass(5200);
    follow_all(2);
    check_complete(a);
    check_complete(b);
    assert_int_equal(b->others, 1);
    assert_in_range(a->others, 2, 3);
    hub_settings.rate = 10;
    pass(6000);
    send_numbers(a, 10); // ten are within the limit
    follow_all(2);
    check_complete(b);
    assert_in_range(a->others, 2, 3);
}

// Renaming tells all, so it counts: else it would be the way around the limit.
static void test_rate_limit_holds_for_commands_that_tell_all(void **state)
{
    (void)state;
    hub_settings.rate = 10;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    for (int i = 0; i < 30; i++) {
        const char *line = format(i % 2 ? "/nick n%d" : "/me %d", i);
        send_bits(a, FIN | WS_TEXT, line, strlen(line));
    }
    peer_run(20);
    int told = 0;
    while (take(b))
        told++;
    assert_int_equal(told, 10);
}

static void test_rate_zero_is_no_limit(void **state)
{
    (void)state;
    hub_settings.rate = 0;
    join(a, guest_text);
    begin_numbers(a);
    flood(a, 60, 1);
    check_complete(a);
    assert_int_equal(a->others, 0);
}

// One that is paused for talking still answers pings and can go.
static void test_paused_client_can_leave(void **state)
{
    (void)state;
    hub_settings.rate = 1;
    join(b, guest_text);
    join_quietly(a, guest_text, b);
    begin_numbers(a);
    send_numbers(a, 5);
    follow_all(2);
    assert_int_equal(b->number, 1);
    const char *left = format("[system] %s left", a->name);
    leave(a);
    assert_int_equal(count(b, left), 1);
}

static void refused_frame(uint8_t first, const void *bytes, size_t length, uint16_t status)
{
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    const char *left = format("[system] %s left", b->name);
    send_bits(b, first, bytes, length);
    peer_run(10);
    expect_close(b, status);
    assert_true(b->peer.fin);
    expect(a, left);
    expect_nothing(a);
    leave(b);
    leave(a);
}

static char big[2 * HUB_MESSAGE + 1];

static void test_message_of_the_greatest_length(void **state)
{
    (void)state;
    join(a, guest_text);
    memset(big, 'x', HUB_MESSAGE);
    big[HUB_MESSAGE] = '\0';
    say(a, big);
    expect(a, format("[%s] %s", a->name, big));
    send_bits(a, WS_TEXT, big, HUB_MESSAGE - 1);
    send_bits(a, FIN | WS_CONTINUATION, "y", 1);
    peer_run(10);
    big[HUB_MESSAGE - 1] = 'y';
    expect(a, format("[%s] %s", a->name, big));
    memset(big, '\x01', HUB_MESSAGE); // six bytes each in JSON
    join_quietly(b, guest_json, a);
    if (HUB_FRAME < HUB_FRAME_WORST)
        return; // the next test
    say(a, big);
    assert_true(take(b));
    assert_true(frame.length > 6 * HUB_MESSAGE);
    expect_nothing(b);
}

static void refused_for_its_escapes(const char *line)
{
    say(a, line);
    assert_true(take(a));
    assert_non_null(strstr(frame.payload, "[system] that was not said"));
    expect_nothing(a);
    expect_nothing(b);
}

// Where memory is short, what quotes and control characters make longer in JSON than HUB_FRAME is told back.
static void test_message_that_escapes_make_too_long(void **state)
{
    (void)state;
    static char line[HUB_MESSAGE + 1];
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    if (HUB_FRAME == HUB_FRAME_WORST)
        return;
    memset(line, '\x01', HUB_MESSAGE);
    refused_for_its_escapes(line);
    memcpy(line, "/me ", 4);
    refused_for_its_escapes(line);
    size_t n = (size_t)snprintf(line, sizeof line, "/msg %s ", b->name);
    memset(line + n, '\x01', HUB_MESSAGE - n);
    refused_for_its_escapes(line);
    assert_false(hub_say(span_of(line)));
    expect_nothing(a);
    memset(line, '\x01', HUB_MESSAGE);
    line[(HUB_FRAME - EVENT_SMALL_MAX) / 6] = '\0';
    say(a, line);
    expect(a, format("[%s] %s", a->name, line));
    assert_true(take(b));
    assert_true(frame.length > 6 * strlen(line));
}

static void test_message_too_long_is_1009(void **state)
{
    (void)state;
    memset(big, 'x', sizeof big);
    refused_frame(FIN | WS_TEXT, big, HUB_MESSAGE + 1, WS_TOO_BIG);
    refused_frame(WS_TEXT, big, HUB_MESSAGE + 1, WS_TOO_BIG);
    memset(big, ' ', sizeof big); // counted before it is trimmed
    refused_frame(FIN | WS_TEXT, big, HUB_MESSAGE + 1, WS_TOO_BIG);
}

static void test_fragments_too_long_together_are_1009(void **state)
{
    (void)state;
    memset(big, 'x', sizeof big);
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    send_bits(b, WS_TEXT, big, HUB_MESSAGE - 10);
    send_bits(b, WS_CONTINUATION, big, 10);
    peer_run(5);
    assert_false(b->peer.fin);
    send_bits(b, FIN | WS_CONTINUATION, "!", 1);
    peer_run(5);
    expect_close(b, WS_TOO_BIG);
}

// The header alone announces it; nobody waits for a gigabyte.
static void test_announced_length_is_refused_at_once(void **state)
{
    (void)state;
    static const uint8_t gigabyte[] = {FIN | WS_TEXT, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4};
    static const uint8_t most[] = {FIN | WS_TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    static const uint8_t slightly[] = {
        FIN | WS_TEXT, 0xfe, (HUB_MESSAGE + 1) >> 8, (HUB_MESSAGE + 1) & 255, 1, 2, 3, 4};
    static const struct {
        const uint8_t *bytes;
        size_t length;
    } headers[] = {{gigabyte, sizeof gigabyte}, {most, sizeof most}, {slightly, sizeof slightly}};
    for (size_t i = 0; i < 3; i++) {
        join(a, guest_text);
        peer_send(&a->peer, headers[i].bytes, headers[i].length);
        peer_run(5);
        expect_close(a, WS_TOO_BIG);
        leave(a);
    }
}

static void test_fragments_announced_too_long_together(void **state)
{
    (void)state;
    static const uint8_t most[] = {WS_CONTINUATION, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    join(a, guest_text);
    send_bits(a, WS_TEXT, "ab", 2);
    peer_send(&a->peer, most, sizeof most); // the sum must not wrap around
    peer_run(5);
    expect_close(a, WS_TOO_BIG);
}

static void test_what_a_client_must_not_send(void **state)
{
    (void)state;
    static const struct {
        uint8_t first;
        const char *bytes;
        size_t length;
        uint16_t status;
    } rows[] = {
        {FIN | WS_BINARY, "x", 1, WS_UNSUPPORTED_DATA},
        {WS_BINARY, "", 0, WS_UNSUPPORTED_DATA},
        {FIN | WS_TEXT, "\xff", 1, WS_INVALID_DATA},
        {FIN | WS_TEXT, "ab\xc3", 3, WS_INVALID_DATA},
        {FIN | WS_TEXT, "\xed\xa0\x80", 3, WS_INVALID_DATA},
        {FIN | WS_CONTINUATION, "x", 1, WS_PROTOCOL_ERROR},
        {FIN | 0x40 | WS_TEXT, "x", 1, WS_PROTOCOL_ERROR}, // a reserved bit
        {FIN | 0x3, "x", 1, WS_PROTOCOL_ERROR},            // a reserved opcode
        {FIN | 0xb, "x", 1, WS_PROTOCOL_ERROR},
        {WS_PING, "x", 1, WS_PROTOCOL_ERROR}, // a fragmented control frame
        {FIN | WS_CLOSE, "x", 1, WS_PROTOCOL_ERROR},
        {FIN | WS_CLOSE, "\x03\xed", 2, WS_PROTOCOL_ERROR}, // 1005 is never on the wire
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refused_frame(rows[i].first, rows[i].bytes, rows[i].length, rows[i].status);
}

static void test_unmasked_frame_is_1002(void **state)
{
    (void)state;
    join(a, guest_text);
    peer_send(&a->peer, "\x81\x02hi", 4);
    peer_run(5);
    expect_close(a, WS_PROTOCOL_ERROR);
}

// What was said whole before the mistake still counts, and nothing behind it does.
static void test_mistake_behind_a_good_message(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    send_bits(b, FIN | WS_TEXT, "good", 4);
    send_bits(b, FIN | WS_TEXT, "\xc0", 1);
    send_bits(b, FIN | WS_TEXT, "behind", 6);
    peer_run(10);
    expect(a, format("[%s] good", b->name));
    expect(a, format("[system] %s left", b->name));
    expect_nothing(a);
    drain(b); // its own words may come too late for it
    expect_close(b, WS_INVALID_DATA);
}

/// Pieces ///

static void test_fragments_with_a_ping_between(void **state)
{
    (void)state;
    join(a, guest_text);
    send_bits(a, WS_TEXT, "h\xc3", 2);
    peer_run(3);
    send_bits(a, FIN | WS_PING, "still there?", 12);
    peer_run(3);
    assert_true(take_frame(a));
    assert_int_equal(frame.opcode, WS_PONG);
    assert_string_equal(frame.payload, "still there?");
    send_bits(a, WS_CONTINUATION, "", 0);
    send_bits(a, FIN | WS_CONTINUATION, "\xa9!", 2);
    peer_run(5);
    expect(a, format("[%s] h\xc3\xa9!", a->name));
    expect_nothing(a);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x01, 0x83, 0, 0,       0,    0,    'o', 'n', 'e', 0x89, 0x81,   1,
                                    1,    1,    1, 'q' ^ 1, 0x80, 0x81, 9,   9,   9,   9,    '!' ^ 9};
    join(a, guest_text);
    for (size_t i = 0; i < sizeof bytes; i++) {
        peer_send(&a->peer, bytes + i, 1);
        peer_run(2);
    }
    assert_true(take_frame(a));
    assert_int_equal(frame.opcode, WS_PONG);
    assert_string_equal(frame.payload, "q");
    expect(a, format("[%s] one!", a->name));
    memset(big, 'z', 300);
    static uint8_t out[400];
    memcpy(out, "\x81\xfe\x01\x2c\0\0\0\0", 8);
    memcpy(out + 8, big, 300);
    for (size_t i = 0; i < 308; i++) {
        peer_send(&a->peer, out + i, 1);
        peer_turn();
    }
    peer_run(5);
    expect(a, format("[%s] %.*s", a->name, 300, big));
}

// Everything in one segment: several messages, a ping, a message in fragments, a close.
static void test_many_frames_in_one_segment(void **state)
{
    (void)state;
    uint8_t out[200];
    size_t n = client_frame(out, "first");
    n += client_frame(out + n, "second");
    memcpy(out + n, "\x89\x80\0\0\0\0", 6);
    n += 6;
    n += client_frame(out + n, "third");
    memcpy(out + n, "\x88\x82\0\0\0\0\x03\xe9", 8);
    n += 8;
    n += client_frame(out + n, "behind the close");
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    peer_send(&b->peer, out, n);
    peer_run(5);
    expect(a, format("[%s] first", b->name));
    expect(a, format("[%s] second", b->name));
    expect(a, format("[%s] third", b->name));
    expect(a, format("[system] %s left", b->name));
    expect_nothing(a);
    drain(b);
    assert_true(b->closed);
    assert_int_equal(b->status, WS_GOING_AWAY); // its own code, echoed
}

// Whoever keeps an assembly gets ten seconds; whole messages never wait for one.
static void test_assemblies_are_shared(void **state)
{
    (void)state;
    int hogs = HUB_ASSEMBLIES;
    join(a, guest_text);
    for (int i = 3; i < 3 + hogs; i++) {
        join_quietly(&chatters[i], guest_text, a);
        send_bits(&chatters[i], WS_TEXT, "I begin", 7);
    }
    join_quietly(b, guest_text, a);
    peer_run(5);
    send_bits(b, WS_TEXT, "in ", 3);
    send_bits(b, WS_CONTINUATION, "three ", 6);
    send_bits(b, FIN | WS_CONTINUATION, "pieces", 6);
    peer_run(50);
    expect_nothing(a); // all are taken
    join_quietly(c, guest_text, a);
    say(c, "whole");
    expect(a, format("[%s] whole", c->name));
    send_bits(&chatters[3], FIN | WS_CONTINUATION, " and end", 8);
    peer_run(10);
    expect(a, format("[%s] I begin and end", chatters[3].name));
    expect(a, format("[%s] in three pieces", b->name));
    expect_nothing(a);
    pass(9000);
    assert_int_equal(hub_clients(), (uint32_t)(3 + hogs));
    pass(2500);
    assert_int_equal(hub_clients(), 4); // those who never ended are gone
    for (int i = 4; i < 3 + hogs; i++) {
        drain(&chatters[i]);
        assert_true(chatters[i].closed);
    }
    say(b, "still here");
    int told = count(a, format("[%s] still here", b->name));
    assert_int_equal(told, 1);
}

// The same with frames that arrive in part, and everybody who waits gets a turn.
// A ping in two pieces waits for an assembly like a message does; whole ones, and those within a message in pieces,
// need none.
static void test_pings_in_pieces(void **state)
{
    (void)state;
    static const uint8_t ping[] = {FIN | WS_PING, 0x82, 1, 1, 1, 1, 'h' ^ 1, 'i' ^ 1};
    int hogs = HUB_ASSEMBLIES;
    join(a, guest_text);
    for (int i = 3; i < 3 + hogs; i++) {
        join_quietly(&chatters[i], guest_text, a);
        send_bits(&chatters[i], WS_TEXT, "I begin", 7);
    }
    join_quietly(b, guest_text, a);
    peer_run(5);
    drain(b);
    peer_send(&b->peer, ping, sizeof ping);
    peer_run(5);
    assert_true(take_frame(b));
    assert_string_equal(frame.payload, "hi");
    peer_send(&b->peer, ping, 7);
    peer_run(5);
    peer_send(&b->peer, ping + 7, 1);
    peer_run(5);
    expect_nothing(b);
    drain(&chatters[3]);
    for (size_t i = 0; i < sizeof ping; i++) {
        peer_send(&chatters[3].peer, ping + i, 1);
        peer_run(2);
    }
    assert_true(take_frame(&chatters[3]));
    assert_int_equal(frame.opcode, WS_PONG);
    assert_string_equal(frame.payload, "hi");
    send_bits(&chatters[3], FIN | WS_CONTINUATION, " and end", 8);
    peer_run(10);
    expect(a, format("[%s] I begin and end", chatters[3].name));
    expect(b, format("[%s] I begin and end", chatters[3].name));
    assert_true(take_frame(b));
    assert_int_equal(frame.opcode, WS_PONG);
    assert_string_equal(frame.payload, "hi");
}

static void test_hoggers_are_closed_and_the_waiting_served(void **state)
{
    (void)state;
    static const uint8_t part[] = {FIN | WS_TEXT, 0x8a, 0, 0, 0, 0, 'x'};
    int hogs = HUB_ASSEMBLIES;
    join(a, guest_text);
    for (int i = 3; i < 3 + hogs; i++) {
        join_quietly(&chatters[i], guest_text, a);
        peer_send(&chatters[i].peer, part, sizeof part);
    }
    join_quietly(b, guest_text, a);
    join_quietly(c, guest_text, a);
    peer_run(5);
    for (struct chatter *w = b; w <= c; w++) {
        send_bits(w, WS_TEXT, "fragment", 8);
        send_bits(w, FIN | WS_CONTINUATION, "ed", 2);
    }
    peer_run(50);
    pass(11500);
    int left = 0, served = 0;
    while (take(a)) {
        left += strstr(frame.payload, " left") != NULL;
        served += strstr(frame.payload, "] fragmented") != NULL;
    }
    assert_int_equal(served, 2);
    assert_int_equal(left, hogs);
}

/// Liveness ///

static void test_two_missed_pongs(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    uint64_t start = machine_now_ms;
    uint64_t pinged[2] = {0, 0};
    while (!b->peer.fin && machine_now_ms < start + 120000) {
        if (machine_now_ms % 10000 < 10)
            send_bits(a, FIN | WS_PONG, "", 0);
        machine_advance(10, peer_turn);
        int before = b->pings;
        drain(b);
        if (b->pings != before && before < 2)
            pinged[before] = machine_now_ms - start;
    }
    assert_in_range(pinged[0], 24000, 26500);
    assert_in_range(pinged[1], 49000, 52000);
    assert_int_equal(b->pings, 2);
    assert_in_range(machine_now_ms - start, 74000, 78000);
    assert_int_equal(count(a, format("[system] %s left", b->name)), 1);
}

static void test_any_traffic_counts_as_life(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    join_quietly(c, guest_text, a);
    for (int i = 0; i < 20; i++) {
        machine_advance(12000, peer_turn);
        send_bits(a, FIN | WS_PONG, "", 0);
        if (i % 4 == 3) // after 48 s, in the second ping's time
            send_bits(b, FIN | WS_TEXT, "x", 1);
        peer_turn();
        int before = c->pings;
        drain(c);
        if (c->pings != before)
            send_bits(c, FIN | WS_PONG, "", 0);
    }
    peer_run(10);
    drain(b);
    assert_false(b->closed);
    assert_false(c->closed);
    assert_true(c->pings >= 5);
    assert_int_equal(hub_clients(), 3);
}

/// Accounts ///

static void expect_replaced(struct chatter *w)
{
    struct span reason;
    bool told = false;
    while (take(w))
        told = told || strncmp(frame.payload, "[system] ", 9) == 0;
    assert_true(told);
    assert_true(w->closed);
    assert_int_equal(w->status, WS_REPLACED);
    reason = (struct span){frame.payload + 2, frame.length - 2};
    assert_true(utf8_valid(reason));
    assert_true(w->peer.fin);
}

static void test_second_login_replaces_the_first(void **state)
{
    (void)state;
    join(c, guest_text);
    join_quietly(a, account(alice_uid, "alice", false), c);
    join_quietly(d, account(bob_uid, "bob", false), c);
    uint32_t replaced = hub_counters.replaced;
    enter(b, account(alice_uid, "alice", false));
    drain(a);
    assert_true(a->closed);
    assert_int_equal(a->status, WS_REPLACED);
    expect(c, "[system] alice left");
    expect(c, "[system] alice joined");
    expect_nothing(c);
    read_welcome(b);
    assert_string_equal(b->name, "alice");
    assert_int_equal(hub_counters.replaced, replaced + 1);
    assert_int_equal(hub_clients(), 3);
    say(b, "/nick ally");
    drain(c);
    enter(a, account(alice_uid, "alice", false));
    expect_replaced(b);
    expect(c, "[system] ally left");
    expect(c, "[system] alice joined");
    pass(10000);
    expect_nothing(c);
    drain(d);
    assert_false(d->closed);
}

static void test_second_login_while_the_first_has_vanished(void **state)
{
    (void)state;
    join(c, guest_text);
    join_quietly(a, account(alice_uid, "alice", false), c);
    a->peer.gone = true;
    say(c, "one");
    drain(c);
    enter(b, account(alice_uid, "alice", true));
    expect(c, "[system] alice left");
    expect(c, "[system] alice joined");
    pass(90000);
    expect_nothing(c);
    assert_int_equal(hub_clients(), 2);
}

// 149 guests that had vanished once held all of lwIP's buffers: each message was a segment of its own for each of them,
// and the next client got no reply at all.
static void test_vanished_majority_leaves_the_others_their_memory(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    crowd_enters(2, HUB_CLIENTS - 1, false);
    for (int i = 2; i < HUB_CLIENTS - 1; i++)
        chatters[i].peer.gone = true;
    begin_numbers(a);
    for (int i = 0; i < 30; i++)
        flood(a, 1, 2);
    check_complete(a);
    check_complete(b);
    struct chatter *late = &chatters[HUB_CLIENTS - 1];
    join_quietly(late, guest_json, a);
    flood(a, 3, 2);
    check_complete(b);
}

static void test_full_house_still_lets_the_same_account_come_back(void **state)
{
    (void)state;
    join(a, account(alice_uid, "alice", false));
    crowd_enters(1, HUB_CLIENTS, false);
    assert_true(hub_full());
    struct chatter *again = &chatters[HUB_CLIENTS];
    enter(again, account(alice_uid, "alice", false));
    peer_run(50);
    assert_int_equal(turned_away, 1); // full is full: its own slot is freed by closing alone
    drain(b);
    assert_false(b->closed);
    assert_int_equal(hub_clients(), HUB_CLIENTS);
}

static int outcome;
static uint32_t new_uid;

static void registered(void *context, enum users_error result, const struct users_account *it)
{
    (void)context;
    outcome = 1 + (result == USERS_OK);
    if (result == USERS_OK)
        new_uid = it->uid;
}

static uint32_t register_account(const char *name, const char *email)
{
    outcome = 0;
    if (users_register(span_of(name), span_of(email), span_of("pa55word"), registered, NULL) == NULL)
        return 0;
    for (int i = 0; i < 100000 && outcome == 0; i++)
        users_service.step(port_now_ms());
    return outcome == 2 ? new_uid : 0;
}

// The account comes by its own name, whoever has borrowed it; no name is there twice.
static void test_guest_wearing_an_accounts_name_gives_way(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_text, a);
    say(b, "/nick Carol");
    expect(a, format("[system] %s is now Carol", b->name));
    drain(b);
    uint32_t carol = register_account("carol", "carol@example.org");
    assert_int_not_equal(carol, 0);
    enter(c, account(carol, "carol", false));
    assert_true(take(a));
    assert_memory_equal(frame.payload, "[system] Carol is now ", 22);
    char other[NAME_MAX_BYTES + 1];
    snprintf(other, sizeof other, "%.32s", frame.payload + 22);
    assert_string_not_equal(other, a->name);
    expect(a, "[system] carol joined");
    expect_nothing(a);
    assert_true(same_house("carol"));
    assert_false(same_house("Carol"));
    assert_true(same_house(other));
    assert_false(b->closed);
    say(b, "who am I");
    expect(a, format("[%s] who am I", other));
}

static void test_account_closed_from_outside(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, account(bob_uid, "bob", false), a);
    hub_close_account(bob_uid, "your password was changed");
    peer_run(10);
    bool told = false;
    while (take(b))
        told = told || strstr(frame.payload, "your password was changed") != NULL;
    assert_true(told);
    assert_true(b->closed);
    assert_int_equal(b->status, WS_LOGIN_ENDED);
    expect(a, "[system] bob left");
    hub_close_account(bob_uid, "again");
    pass(5000);
    expect_nothing(a);
}

/// The house ///

static void test_house_speaks_and_kicks(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    hub_say(span_of("back at noon"));
    peer_run(5);
    expect(a, "[system] back at noon");
    assert_true(take(b));
    assert_non_null(strstr(frame.payload, "back at noon"));
    assert_false(hub_kick(span_of("nobody")));
    assert_true(hub_kick(span_of(b->name)));
    peer_run(5);
    drain(b);
    assert_true(b->closed);
    assert_int_equal(b->status, WS_POLICY_VIOLATION);
    expect(a, format("[system] %s left", b->name));
    assert_int_equal(hub_clients(), 1);
    uint32_t at = 0;
    struct span name;
    assert_true(hub_walk(&at, &name));
    assert_true(span_equal(name, span_of(a->name)));
    assert_false(hub_walk(&at, &name));
}

/// Shortage ///

static void test_shortage_of_segments_delays_and_loses_nothing(void **state)
{
    (void)state;
    static struct tcp_seg *taken[MEMP_NUM_TCP_SEG + 1];
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    drain(b);
    begin_numbers(a);
    size_t n = 0;
    while ((taken[n] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        n++;
    send_numbers(a, 20);
    send_bits(b, FIN | WS_TEXT, "/who", 4);
    send_bits(b, FIN | WS_PING, "p", 1);
    pass(3000);
    follow_all(2);
    assert_int_equal(a->number + b->number, 0);
    while (n > 0)
        memp_free(MEMP_TCP_SEG, taken[--n]);
    pass(3000);
    follow_all(2);
    check_complete(a);
    check_complete(b);
    assert_int_equal(a->others, 0);
    assert_int_equal(b->others, 1); // the roster it asked for
}

// The largest pool of buffers was declared with 66,000 bytes; lwIP counts them in 16 bits, so it was the smallest, and
// whoever came when the others were empty met an assertion and a restart instead of an answer.
static void test_shortage_of_buffers_is_no_assertion(void **state)
{
    (void)state;
    static void *taken[20000];
    static const uint16_t sizes[] = {1400, 100};
    size_t n = 0;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    for (size_t i = 0; i < 2; i++)
        while (n < 20000 && (taken[n] = mem_malloc(sizes[i])) != NULL)
            n++;
    assert_in_range(n, 2, 19999);
    machine_advance(500, peer_turn);
    hub_say(span_of("no room for this"));
    machine_advance(500, peer_turn);
    while (n > 0)
        mem_free(taken[--n]);
    machine_advance(5000, peer_turn);
    expect(a, "[system] no room for this");
    assert_true(take(b));
    void *largest = mem_malloc(TCP_MSS + 80);
    assert_non_null(largest);
    mem_free(largest);
}

static void test_link_down_for_a_while(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    drain(b);
    begin_numbers(a);
    send_numbers(a, 3);
    hub_say(span_of("before"));
    peer_link_down = true;
    hub_say(span_of("while it is down"));
    machine_advance(4000, peer_turn);
    peer_link_down = false;
    machine_advance(9000, peer_turn);
    follow_all(2);
    check_complete(b);
    assert_int_equal(a->others, 2);
    assert_int_equal(b->others, 2);
}

// Clients come, talk and go in every way, for long: nothing leaks and everybody who stays has every number.
static void test_random_life(void **state)
{
    (void)state;
    enum { N = HUB_CLIENTS < 20 ? 6 : 12 };
    uint32_t random = 11;
    join(a, guest_text);
    begin_numbers(a);
    for (int step = 0; step < 3000; step++) {
        random = random * 1664525u + 1013904223u;
        struct chatter *w = &chatters[1 + (random >> 8) % (N - 1)];
        switch (w->peer.synchronized ? 1 + (random >> 20) % 9 : 0) {
        case 0:
            enter(w, (random >> 16) % 2 ? guest_json : guest_text);
            w->number = next_number;
            break;
        case 1:
            peer_abort(&w->peer);
            peer_turn();
            peer_forget(&w->peer);
            break;
        case 2:
            send_bits(w, WS_TEXT, "/me begins", 10);
            peer_turn();
            peer_close(&w->peer);
            peer_run(2);
            peer_forget(&w->peer);
            break;
        default:
            if (!w->closed)
                send_bits(w, FIN | WS_TEXT, "/me talks", 9);
            break;
        }
        flood(a, 1, N);
    }
    check_complete(a);
    for (int i = 1; i < N; i++)
        if (chatters[i].peer.synchronized && !chatters[i].closed)
            check_complete(&chatters[i]);
}

// A client whose window closes and opens at random, whose acknowledgements stop and come back, while the ring goes
// round under it: whatever it gets are whole frames with the right numbers.
static void test_unsteady_clients_while_the_ring_goes_round(void **state)
{
    (void)state;
    uint32_t random = 5;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    join_quietly(c, guest_text, a);
    drain(b);
    begin_numbers(a);
    b->leeway = c->leeway = 1; // the other's leaving, when it was cut off for being away a second time
    for (int step = 0; step < 400; step++) {
        random = random * 1664525u + 1013904223u;
        struct chatter *w = random >> 31 && HUB_RESCUES > 1 ? c : b; // without a rescue it may be cut off
        w->peer.silent = (random >> 20) % 3 == 0;
        w->peer.gone = (random >> 22) % 4 == 0;
        w->peer.window = (random >> 24) % 3 == 0 ? 0 : (random >> 8) % 3000;
        if (!w->peer.gone && !w->peer.silent)
            send_bits(w, FIN | WS_PONG, "", 0);
        flood(a, ring_round() / 16 + random % 7, 3);
    }
    b->peer.gone = c->peer.gone = b->peer.silent = c->peer.silent = false;
    b->peer.window = c->peer.window = 30000;
    for (int i = 0; i < 1500; i++) {
        machine_advance(10, peer_turn);
        follow_all(3);
    }
    check_complete(a);
    assert_int_equal(a->skips, 0);
    for (struct chatter *w = b; w <= c; w++)
        if (!w->closed && !w->peer.reset) {
            check_complete(w);
            assert_true(w->skipped < next_number);
        }
}

// Comes last.
static void test_stop_says_goodbye(void **state)
{
    (void)state;
    join(a, guest_text);
    join_quietly(b, guest_json, a);
    hub_service.stop();
    peer_run(10);
    drain(a), drain(b);
    assert_true(a->closed && b->closed);
    assert_int_equal(a->status, WS_GOING_AWAY);
    assert_int_equal(b->status, WS_GOING_AWAY);
}

static int start(void **state)
{
    (void)state;
    alice_uid = register_account("alice", "alice@example.org");
    bob_uid = register_account("bob", "bob@example.org");
    return alice_uid != 0 && bob_uid != 0 ? 0 : -1;
}

int main(int count_of_words, char **words)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_join_message_leave_in_plain_text),
        T(test_join_message_leave_in_json),
        T(test_both_formats_in_one_room),
        T(test_nick_rules),
        T(test_own_registered_name_comes_back),
        T(test_freed_name_can_be_taken),
        T(test_leaving_is_told_exactly_once),
        T(test_help_and_unknown_commands_are_answered_to_the_sender_alone),
        T(test_longest_unknown_command),
        T(test_private_messages_are_seen_by_two),
        T(test_quit_and_exit_close_with_1000),
        T(test_who_lists_a_full_house_in_pages),
        T(test_full_house_gets_every_message_once_in_order),
        T(test_full_house_takes_nobody_until_one_leaves),
        T(test_since_replays_in_order_before_anything_new),
        T(test_since_the_newest_replays_nothing),
        T(test_since_beyond_the_newest),
        T(test_private_messages_come_back_to_their_two_alone),
        T(test_guests_never_inherit_private_messages),
        T(test_slow_client_skips_and_costs_nobody),
        T(test_slow_json_client_skips_and_costs_nobody),
        T(test_client_that_reads_too_slowly),
        T(test_since_older_than_the_history),
        T(test_client_that_takes_nothing_is_closed_with_1013),
        T(test_client_that_takes_only_pings_is_closed),
        T(test_window_that_opens_is_noticed_at_once),
        T(test_client_that_keeps_up_is_not_asked),
        T(test_client_that_takes_something_is_not_closed),
        T(test_vanished_client_comes_back_unharmed),
        T(test_vanished_json_client_comes_back_unharmed),
        T(test_more_under_way_than_a_rescue_holds),
        T(test_more_vanished_clients_than_rescues),
        T(test_burst_waits_for_those_who_keep_up),
        T(test_rate_limit_pauses_and_loses_nothing),
        T(test_rate_limit_holds_for_commands_that_tell_all),
        T(test_rate_zero_is_no_limit),
        T(test_paused_client_can_leave),
        T(test_message_of_the_greatest_length),
        T(test_message_that_escapes_make_too_long),
        T(test_message_too_long_is_1009),
        T(test_fragments_too_long_together_are_1009),
        T(test_announced_length_is_refused_at_once),
        T(test_fragments_announced_too_long_together),
        T(test_what_a_client_must_not_send),
        T(test_unmasked_frame_is_1002),
        T(test_mistake_behind_a_good_message),
        T(test_fragments_with_a_ping_between),
        T(test_byte_by_byte),
        T(test_many_frames_in_one_segment),
        T(test_assemblies_are_shared),
        T(test_pings_in_pieces),
        T(test_hoggers_are_closed_and_the_waiting_served),
        T(test_two_missed_pongs),
        T(test_any_traffic_counts_as_life),
        T(test_second_login_replaces_the_first),
        T(test_second_login_while_the_first_has_vanished),
        T(test_vanished_majority_leaves_the_others_their_memory),
        T(test_full_house_still_lets_the_same_account_come_back),
        T(test_guest_wearing_an_accounts_name_gives_way),
        T(test_account_closed_from_outside),
        T(test_house_speaks_and_kicks),
        T(test_shortage_of_segments_delays_and_loses_nothing),
        T(test_shortage_of_buffers_is_no_assertion),
        T(test_link_down_for_a_while),
        T(test_random_life),
        T(test_unsteady_clients_while_the_ring_goes_round),
        T(test_stop_says_goodbye),
    };
    if (count_of_words > 1)
        cmocka_set_test_filter(words[1]);
    peer_network_start();
    peer_services = step_services;
    if (users_service.start != NULL && users_service.start() != 0)
        return 1;
    if (hub_service.start != NULL && hub_service.start() != 0)
        return 1;
    if (net_listen(PORT, false, &door, &per_address) != 0)
        return 1;
    return cmocka_run_group_tests(tests, start, NULL);
}
