// Chat events as frames: the contract's texts byte for byte, in both formats.
#define _GNU_SOURCE // memmem
#include "../../services/hub/events.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GUARD 64
static uint8_t buffer[HUB_FRAME + GUARD];

// Encodes, checks the header (RFC 6455 section 5.2: final, text, not masked, the shortest length) and that nothing was
// written past the buffer; returns the payload.
static struct span payload_of(enum ring_format f, const struct event_content *e)
{
    struct event_content now = *e;
    now.at = port_wall_ms();
    memset(buffer, 0xa5, sizeof buffer);
    struct span frame = {(const char *)buffer, event_length(f, &now)};
    assert_true(frame.length <= HUB_FRAME);
    event_write(f, &now, buffer, frame.length);
    for (size_t i = frame.length; i < sizeof buffer; i++)
        assert_int_equal(buffer[i], 0xa5);
    const uint8_t *at = buffer;
    assert_int_equal(at[0], 0x81);
    size_t header = at[1] < 126 ? 2 : 4;
    size_t length = at[1] < 126 ? at[1] : (size_t)at[2] << 8 | at[3];
    assert_in_range(at[1], 0, 126);
    assert_true(header == 2 || length > 125);
    assert_int_equal(header + length, frame.length);
    return (struct span){frame.at + header, length};
}

static void expect(enum ring_format f, const struct event_content *e, const char *wanted)
{
    struct span payload = payload_of(f, e);
    assert_int_equal(payload.length, strlen(wanted));
    assert_memory_equal(payload.at, wanted, payload.length);
}

static void test_plain_text_byte_for_byte(void **state)
{
    (void)state;
    struct span alice = span_of("alice"), bob = span_of("bob");
    const struct {
        struct event_content event;
        const char *wanted;
    } rows[] = {
        {{.kind = EVENT_JOIN, .from = span_of("guest-1")}, "[system] guest-1 joined"},
        {{.kind = EVENT_WELCOME, .to = alice}, "[system] connected. Use /nick your_name to rename."},
        {{.kind = EVENT_MESSAGE, .from = alice, .text = span_of("hello")}, "[alice] hello"},
        {{.kind = EVENT_RENAME, .from = alice, .to = bob}, "[system] alice is now bob"},
        {{.kind = EVENT_LEAVE, .from = bob}, "[system] bob left"},
        {{.kind = EVENT_ACTION, .from = alice, .text = span_of("waves")}, "* alice waves"},
        {{.kind = EVENT_PRIVATE, .from = alice, .to = bob, .text = span_of("text")}, "[alice -> bob] text"},
        {{.kind = EVENT_NOTICE, .text = span_of("no %s \"here\"")}, "[system] no %s \"here\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(RING_TEXT, &rows[i].event, rows[i].wanted);
}

static void test_skipped_in_plain_text_tells_how_many(void **state)
{
    (void)state;
    struct span payload = payload_of(RING_TEXT, &(struct event_content){.kind = EVENT_SKIPPED, .number = 123456789012});
    assert_memory_equal(payload.at, "[system] ", 9);
    assert_non_null(memmem(payload.at, payload.length, "123456789012", 12));
}

static void expect_json(const struct event_content *e, const char *rest)
{
    static char wanted[HUB_FRAME + 100];
    snprintf(wanted, sizeof wanted, "{\"id\":%llu,\"at\":%llu,%s", (unsigned long long)e->id,
             (unsigned long long)port_wall_ms(), rest);
    expect(RING_JSON, e, wanted);
}

static void test_json_byte_for_byte(void **state)
{
    (void)state;
    struct span alice = span_of("alice"), bob = span_of("bob");
    expect_json(&(struct event_content){.kind = EVENT_MESSAGE, .id = 17, .from = alice, .text = span_of("hello")},
                "\"kind\":\"message\",\"from\":\"alice\",\"text\":\"hello\"}");
    expect_json(&(struct event_content){.kind = EVENT_ACTION, .id = 18, .from = alice, .text = span_of("waves")},
                "\"kind\":\"action\",\"from\":\"alice\",\"text\":\"waves\"}");
    expect_json(&(struct event_content){.kind = EVENT_JOIN, .id = 19, .from = bob},
                "\"kind\":\"join\",\"from\":\"bob\"}");
    expect_json(&(struct event_content){.kind = EVENT_LEAVE, .id = 20, .from = bob},
                "\"kind\":\"leave\",\"from\":\"bob\"}");
    expect_json(&(struct event_content){.kind = EVENT_RENAME, .id = 21, .from = alice, .to = bob},
                "\"kind\":\"rename\",\"from\":\"alice\",\"to\":\"bob\"}");
    expect_json(
        &(struct event_content){.kind = EVENT_PRIVATE, .id = 22, .from = alice, .to = bob, .text = span_of("psst")},
        "\"kind\":\"private\",\"from\":\"alice\",\"to\":\"bob\",\"text\":\"psst\"}");
    expect_json(&(struct event_content){.kind = EVENT_NOTICE, .id = 23, .text = span_of("no")},
                "\"kind\":\"notice\",\"text\":\"no\"}");
    expect_json(&(struct event_content){.kind = EVENT_SKIPPED, .id = 24, .number = 5},
                "\"kind\":\"skipped\",\"count\":5}");
}

static void test_welcome_in_json_tells_name_server_and_newest(void **state)
{
    (void)state;
    struct span payload = payload_of(
        RING_JSON, &(struct event_content){.kind = EVENT_WELCOME, .id = 9, .to = span_of("zoe"), .number = 31});
    static char text[HUB_FRAME + 1];
    memcpy(text, payload.at, payload.length);
    text[payload.length] = '\0';
    assert_non_null(strstr(text, "\"kind\":\"welcome\""));
    assert_non_null(strstr(text, ":\"zoe\""));
    assert_non_null(strstr(text, ":\"pipit\""));
    assert_non_null(strstr(text, ":31"));
    assert_int_equal(text[payload.length - 1], '}');
}

static void test_every_character_survives_json(void **state)
{
    (void)state;
    char wanted[32];
    for (int byte = 1; byte < 0x80; byte++) {
        char text[2] = {(char)byte, '\0'};
        struct span payload =
            payload_of(RING_JSON, &(struct event_content){.kind = EVENT_NOTICE, .text = (struct span){text, 1}});
        const char *at = memmem(payload.at, payload.length, "\"text\":\"", 8);
        assert_non_null(at);
        size_t rest = payload.length - (size_t)(at + 8 - payload.at);
        if (byte == '"' || byte == '\\')
            snprintf(wanted, sizeof wanted, "\\%c\"}", byte);
        else if (byte >= 0x20)
            snprintf(wanted, sizeof wanted, "%c\"}", byte);
        else
            snprintf(wanted, sizeof wanted, "\\u%04x\"}", (unsigned)byte);
        bool is_short = byte < 0x20 && rest == 4 && at[8] == '\\' && strchr("bfnrt", at[9]) != NULL; // \n for \u000a
        if (!is_short) {
            assert_int_equal(rest, strlen(wanted));
            assert_memory_equal(at + 8, wanted, rest);
        }
    }
    expect_json(&(struct event_content){.kind = EVENT_NOTICE, .text = span_of("\xe2\x80\xa8 \xf0\x9f\x90\xa6")},
                "\"kind\":\"notice\",\"text\":\"\xe2\x80\xa8 \xf0\x9f\x90\xa6\"}");
}

// The longest of everything: all bytes of the text control characters, names at their longest, numbers too.
static void test_longest_event_fits_whole(void **state)
{
    (void)state;
    static char text[HUB_MESSAGE];
    static const char ends[] = "\\u0001\"}";
    char name[NAME_MAX_BYTES];
    memset(text, 1, sizeof text);
    memset(name, '"', sizeof name);
    uint64_t wall = machine_wall_ms;
    machine_wall_ms = 9999999999999 - machine_now_ms;
    struct span longest = {name, sizeof name};
    struct event_content e = {
        .kind = EVENT_PRIVATE, .id = UINT64_MAX, .from = longest, .to = longest, .text = {text, sizeof text}};
    if (HUB_FRAME < HUB_FRAME_WORST)
        e.text.length = (HUB_FRAME - EVENT_SMALL_MAX) / 6; // more is refused
    size_t text_length = e.text.length;
    struct span payload = payload_of(RING_JSON, &e);
    assert_true(payload.length > 6 * text_length + 4 * NAME_MAX_BYTES);
    assert_memory_equal(payload.at + payload.length - 8, ends, 8);
    payload = payload_of(RING_TEXT, &e);
    assert_int_equal(payload.length, text_length + 2 * NAME_MAX_BYTES + 7);
    assert_int_equal(payload.at[payload.length - 1], 1);
    machine_wall_ms = wall;
}

// Each length around the places where the header grows.
static void test_every_length_of_message(void **state)
{
    (void)state;
    static char text[HUB_MESSAGE];
    for (size_t n = 1; n <= HUB_MESSAGE; n++) {
        text[n - 1] = (char)('a' + n % 26);
        struct event_content e = {.kind = EVENT_MESSAGE, .from = span_of("me"), .text = {text, n}};
        struct span payload = payload_of(RING_TEXT, &e);
        assert_int_equal(payload.length, n + 5);
        assert_memory_equal(payload.at, "[me] ", 5);
        assert_memory_equal(payload.at + 5, text, n);
        payload = payload_of(RING_JSON, &e);
        assert_memory_equal(payload.at + payload.length - n - 2, text, n);
    }
}

static void test_frames_written_bit_by_bit(void **state)
{
    (void)state;
    for (size_t n = 0; n < 900; n += 25) {
        memset(buffer, 0xa5, sizeof buffer);
        struct text t = event_text_begin(buffer, 1024);
        for (size_t i = 0; i < n; i++)
            text_byte(&t, 'r');
        struct span frame = event_text_end(&t, buffer);
        const uint8_t *at = (const uint8_t *)frame.at;
        assert_int_equal(at[0], 0x81);
        assert_int_equal(frame.length, n + (n < 126 ? 2 : 4));
        assert_true(at >= buffer && at + frame.length <= buffer + 1024);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(at[frame.length - n + i], 'r');
    }
    struct text t = event_text_begin(buffer, 200);
    event_json_begin(&t, 5, port_wall_ms(), "roster");
    text_string(&t, "}");
    struct span frame = event_text_end(&t, buffer);
    assert_non_null(memmem(frame.at, frame.length, "\"kind\":\"roster\"}", 16));
}

// Before anybody has told the machine what time it is, a frame is still whole.
static void test_without_a_wall_clock(void **state)
{
    (void)state;
    uint64_t wall = machine_wall_ms;
    machine_wall_ms = 0;
    expect_json(&(struct event_content){.kind = EVENT_JOIN, .id = 3, .from = span_of("a")},
                "\"kind\":\"join\",\"from\":\"a\"}");
    machine_wall_ms = wall;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_byte_for_byte),
        cmocka_unit_test(test_skipped_in_plain_text_tells_how_many),
        cmocka_unit_test(test_json_byte_for_byte),
        cmocka_unit_test(test_welcome_in_json_tells_name_server_and_newest),
        cmocka_unit_test(test_every_character_survives_json),
        cmocka_unit_test(test_longest_event_fits_whole),
        cmocka_unit_test(test_every_length_of_message),
        cmocka_unit_test(test_frames_written_bit_by_bit),
        cmocka_unit_test(test_without_a_wall_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
