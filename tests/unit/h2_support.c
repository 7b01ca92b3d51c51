#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "guard_support.h"
#include "h2_support.h"

#define GUARDED   (1u << 16)
#define TEXT_MAX  (1u << 20)
#define INPUT_MAX (1u << 20)

struct h2_connection h2;
static struct h2_stream slots[SLOTS_MAX];
struct h2_stream *const h2_slots = slots;
enum owner owner;
bool tell_fields;
bool writes;
size_t write_room;
uint32_t release_with;

/// Text ///

struct lines {
    char at[TEXT_MAX];
    size_t length;
};

static struct lines told, sent;
static size_t told_data; // octets of DATA pieces that make one line
static uint32_t told_data_of;
static bool told_end; // of the connection, which is told again and again

static void say(struct lines *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct lines *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->at + t->length, sizeof t->at - t->length, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && t->length + (size_t)n < sizeof t->at);
    t->length += (size_t)n;
}

static void clear(struct lines *t)
{
    t->length = 0;
    t->at[0] = '\0';
}

static void flush_data(void)
{
    if (told_data > 0)
        say(&told, "%u data %zu\n", told_data_of, told_data);
    told_data = 0;
}

/// Guarded memory ///

static uint8_t *input_end, *output_end, *table_end, *fields_end; // the first bytes that may not be touched

static int set_up(void **state)
{
    (void)state;
    input_end = guard_behind(GUARDED);
    output_end = guard_behind(GUARDED);
    table_end = guard_behind(GUARDED);
    fields_end = guard_behind(GUARDED);
    return 0;
}

/// Reading what was sent ///

static uint32_t number(const uint8_t *at, size_t octets_of_it)
{
    uint32_t value = 0;
    for (size_t i = 0; i < octets_of_it; i++)
        value = value << 8 | at[i];
    return value;
}

static void say_settings(unsigned flags, const uint8_t *payload, size_t length)
{
    assert_true(flags <= ACK && length % 6 == 0 && (flags == 0 || length == 0));
    say(&sent, flags == ACK ? "SETTINGS ack" : "SETTINGS");
    for (size_t at = 0; at < length; at += 6)
        say(&sent, " %u=%u", number(payload + at, 2), number(payload + at + 2, 4));
}

static void say_numbered(const char *name, uint32_t stream, const uint8_t *payload, size_t length)
{
    assert_int_equal(length, 4);
    say(&sent, "%s %u %u", name, stream, number(payload, 4));
}

static void say_frame(unsigned type, unsigned flags, uint32_t stream, const uint8_t *payload, size_t length)
{
    switch (type) {
    case H2_TYPE_DATA:
        say(&sent, "DATA %u %zu%s", stream, length, flags & END ? " end" : "");
        break;
    case H2_TYPE_HEADERS:
        assert_true(flags & WHOLE && stream != 0 && length > 0);
        say(&sent, "HEADERS %u%s", stream, flags & END ? " end" : "");
        break;
    case H2_TYPE_RST_STREAM:
        assert_int_equal(length, 4);
        say(&sent, "RST_STREAM %u %s", stream, h2_error_name(number(payload, 4)));
        break;
    case H2_TYPE_SETTINGS:
        say_settings(flags, payload, length);
        break;
    case H2_TYPE_PING:
        assert_int_equal(length, 8);
        say(&sent, "PING%s %.8s", flags & ACK ? " ack" : "", (const char *)payload);
        break;
    case H2_TYPE_GOAWAY:
        assert_true(length >= 8 && stream == 0);
        say(&sent, "GOAWAY %u %s %.*s", number(payload, 4), h2_error_name(number(payload + 4, 4)), (int)length - 8,
            (const char *)payload + 8);
        break;
    case H2_TYPE_WINDOW_UPDATE:
        assert_true(number(payload, 4) > 0);
        say_numbered("WINDOW_UPDATE", stream, payload, length);
        break;
    default:
        fail_msg("frame of type %u", type);
    }
    say(&sent, "\n");
}

// Whole frames only, whatever the room was.
static void read_output(const uint8_t *at, size_t length)
{
    if (length >= H2_PREFACE_BYTES && memcmp(at, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H2_PREFACE_BYTES) == 0) {
        say(&sent, "preface\n");
        at += H2_PREFACE_BYTES;
        length -= H2_PREFACE_BYTES;
    }
    while (length > 0) {
        assert_true(length >= H2_FRAME_HEADER);
        size_t payload = number(at, 3);
        assert_true(payload <= H2_FRAME_MAX && length >= H2_FRAME_HEADER + payload);
        say_frame(at[3], at[4], number(at + 5, 4), at + H2_FRAME_HEADER, payload);
        at += H2_FRAME_HEADER + payload;
        length -= H2_FRAME_HEADER + payload;
    }
}

/// The owner of the streams ///

struct message {
    bool ended, answered;
    size_t left; // of the answer
};

static struct message messages[SLOTS_MAX];

static struct message *message_of(const struct h2_stream *s)
{
    return &messages[s - slots];
}

struct h2_stream *slot(uint32_t id)
{
    struct h2_stream *s = h2_stream_find(&h2, id);
    assert_non_null(s);
    return s;
}

static void release(struct h2_stream *s, uint32_t error)
{
    assert_ptr_equal(s->owner, message_of(s));
    h2_release(&h2, s, error);
}

void let_go(uint32_t id, uint32_t error)
{
    release(slot(id), error);
}

static struct span span_of_text(const char *text)
{
    return (struct span){text, strlen(text)};
}

static bool answer_begins(struct h2_out *out, struct h2_stream *s)
{
    struct hpack_block block = h2_headers_begin(&h2, out);
    hpack_put(&block, span_of_text(":status"), span_of_text("200"), HPACK_WITHOUT_INDEXING);
    message_of(s)->left = 5;
    message_of(s)->answered = h2_headers_end(&h2, out, s, &block, false);
    return message_of(s)->answered;
}

static void answer(struct h2_out *out, struct h2_stream *s)
{
    struct message *m = message_of(s);
    if (!m->answered && !answer_begins(out, s))
        return;
    size_t n = h2_data_room(&h2, out, s);
    n = n < m->left ? n : m->left;
    if (n == 0)
        return;
    memcpy(h2_data_at(out), "hello", n);
    m->left -= n;
    assert_true(h2_data(&h2, out, s, n, m->left == 0));
    if (m->left == 0)
        release(s, H2_NO_ERROR);
}

static void answer_all(struct h2_out *out)
{
    for (uint32_t i = 0; i < h2.settings.stream_count; i++)
        if (slots[i].owner != NULL && messages[i].ended && slots[i].state != H2_CLOSED && owner == ANSWERS)
            answer(out, &slots[i]);
}

void write_now(void)
{
    struct h2_out out;
    do {
        out = (struct h2_out){.at = output_end - write_room, .size = write_room};
        bool owed = h2_owes(&h2);
        bool all = h2_write(&h2, &out);
        assert_true(owed == (out.length > 0));
        assert_true(all == !h2_owes(&h2) || h2.reading == H2_READING_PREFACE);
        if (all)
            answer_all(&out);
        read_output(out.at, out.length);
    } while (out.length > 0);
    assert_false(h2_owes(&h2));
}

/// Receiving ///

static const char *const event_names[] = {
    [H2_HEADERS] = "headers", [H2_HEADERS_END] = "ready",   [H2_TRAILERS] = "trailers", [H2_END] = "end",
    [H2_RESET] = "reset",     [H2_WINDOW] = "window",       [H2_PONG] = "pong",         [H2_GOAWAY] = "goaway",
    [H2_FAILED] = "failed",   [H2_NOT_HTTP2] = "not-http2",
};

static void say_field(const struct h2_step *step)
{
    if (tell_fields)
        say(&told, "%u%s%s %.*s: %.*s\n", step->stream->id, step->too_large ? " large" : "",
            step->never_indexed ? " secret" : "", (int)step->name.length, step->name.at, (int)step->value.length,
            step->value.at);
}

static void say_event(const struct h2_step *step)
{
    if (step->stream != NULL)
        say(&told, "%u ", step->stream->id);
    say(&told, "%s", event_names[step->event]);
    if (step->status != 0)
        say(&told, " %u", step->status);
    if (step->too_large)
        say(&told, " large");
    if (step->event == H2_RESET || step->event == H2_GOAWAY || step->event == H2_FAILED)
        say(&told, " %s", h2_error_name(step->error));
    say(&told, "\n");
}

// A stream is told to its owner before anything else of it is, and nothing after it was released.
static void own(const struct h2_step *step)
{
    struct h2_stream *s = step->stream;
    if (s == NULL)
        return;
    if (s->owner == NULL) {
        assert_int_equal(step->event, H2_HEADERS);
        *message_of(s) = (struct message){0};
        s->owner = message_of(s);
    }
    assert_ptr_equal(s->owner, message_of(s));
}

static void take_step(const struct h2_step *step)
{
    if (told_end)
        return;
    told_end = step->event == H2_FAILED || step->event == H2_NOT_HTTP2;
    own(step);
    if (step->event == H2_DATA) {
        assert_true(step->data.length > 0);
        told_data += step->data.length;
        told_data_of = step->stream->id;
        return;
    }
    flush_data();
    if (step->event == H2_FIELD)
        say_field(step);
    else
        say_event(step);
    if (step->event == H2_END)
        message_of(step->stream)->ended = true;
    if (step->event == H2_RESET && owner == ANSWERS)
        release(step->stream, H2_CANCEL);
}

// Bytes that were not consumed are offered again at the same place. Blocked means: write, and it goes on.
static void receive(const uint8_t *bytes, size_t length)
{
    uint8_t *in = input_end - length;
    memcpy(in, bytes, length);
    for (size_t at = 0;;) {
        struct h2_step step = h2_receive(&h2, in + at, length - at);
        assert_true(step.consumed <= length - at);
        at += step.consumed;
        if (step.event == H2_BLOCKED) {
            assert_int_equal(h2_receive(&h2, in + at, length - at).event, H2_BLOCKED);
            assert_true(h2_owes(&h2));
            write_now();
        } else if (step.event != H2_NEED_MORE) {
            take_step(&step);
        }
        if (step.event == H2_NEED_MORE || h2_failed(&h2)) {
            assert_int_equal(at, length);
            return;
        }
    }
}

/// The peer ///

static uint8_t input[INPUT_MAX];
static size_t input_length;
static size_t cut; // bytes of an arrival
static bool table_updated;

void octets(const void *bytes, size_t length)
{
    assert_true(input_length + length <= sizeof input);
    if (length > 0)
        memcpy(input + input_length, bytes, length);
    input_length += length;
}

static void put(uint32_t value, unsigned octets_of_it)
{
    for (unsigned i = octets_of_it; i-- > 0;)
        octets(&(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void frame_header(unsigned type, unsigned flags, uint32_t stream, size_t length)
{
    put((uint32_t)length, 3);
    put(type, 1);
    put(flags, 1);
    put(stream, 4);
}

void frame(unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t length)
{
    frame_header(type, flags, stream, length);
    octets(payload, length);
}

static size_t literal(uint8_t *out, size_t size, const char *text, size_t length)
{
    size_t n = 0;
    assert_true(length < 16384 && size >= length + 3);
    out[n++] = (uint8_t)(length < 127 ? length : 127);
    if (length >= 127) {
        out[n++] = (uint8_t)((length - 127) % 128 | (length - 127 >= 128 ? 128 : 0));
        if (length - 127 >= 128)
            out[n++] = (uint8_t)((length - 127) / 128);
    }
    memcpy(out + n, text, length);
    return n + length;
}

// The first ": " behind the first byte parts name and value, so that ":path: /" works.
size_t literals(uint8_t *out, size_t size, const char *fields)
{
    size_t length = 0;
    while (fields[0] != '\0') {
        const char *end = strchr(fields, '\n');
        const char *value = strstr(fields + 1, ": ");
        assert_true(end != NULL && value != NULL && value < end);
        assert_true(length < size);
        out[length++] = 0;
        length += literal(out + length, size - length, fields, (size_t)(value - fields));
        length += literal(out + length, size - length, value + 2, (size_t)(end - value) - 2);
        fields = end + 1;
    }
    return length;
}

// A client of ours announces a table of 0, so a server's first block has to begin with an update to that (RFC 7541
// section 4.2).
static void put_block(unsigned type, unsigned flags, uint32_t stream, const char *fields)
{
    static uint8_t block[32768];
    size_t update = h2.role == H2_CLIENT && !table_updated ? 1 : 0;
    block[0] = 0x20;
    table_updated = true;
    frame(type, flags, stream, block, update + literals(block + update, sizeof block - update, fields));
}

void headers(unsigned flags, uint32_t stream, const char *fields)
{
    put_block(H2_TYPE_HEADERS, flags, stream, fields);
}

void continuation(unsigned flags, uint32_t stream, const char *fields)
{
    put_block(H2_TYPE_CONTINUATION, flags, stream, fields);
}

void data(unsigned flags, uint32_t stream, size_t length)
{
    static const uint8_t content[2 * H2_FRAME_MAX];
    frame(H2_TYPE_DATA, flags, stream, content, length);
}

void padded_data(unsigned flags, uint32_t stream, size_t length, uint8_t padding)
{
    static uint8_t payload[2 * H2_FRAME_MAX];
    payload[0] = padding;
    frame(H2_TYPE_DATA, flags | PADDED, stream, payload, 1 + length + padding);
}

void priority(uint32_t stream, uint32_t depends_on)
{
    frame_header(H2_TYPE_PRIORITY, 0, stream, 5);
    put(depends_on, 4);
    put(16, 1);
}

void reset(uint32_t stream, uint32_t error)
{
    frame_header(H2_TYPE_RST_STREAM, 0, stream, 4);
    put(error, 4);
}

void setting(unsigned id, uint32_t value)
{
    frame_header(H2_TYPE_SETTINGS, 0, 0, 6);
    put(id, 2);
    put(value, 4);
}

void ping(unsigned flags, const char payload[8])
{
    frame(H2_TYPE_PING, flags, 0, payload, 8);
}

void goaway(uint32_t last, uint32_t error)
{
    frame_header(H2_TYPE_GOAWAY, 0, 0, 8);
    put(last, 4);
    put(error, 4);
}

void window(uint32_t stream, uint32_t increment)
{
    frame_header(H2_TYPE_WINDOW_UPDATE, 0, stream, 4);
    put(increment, 4);
}

void arrive(void)
{
    for (size_t at = 0, n; at < input_length; at += n) {
        n = input_length - at < cut ? input_length - at : cut;
        receive(input + at, n);
    }
    input_length = 0;
    flush_data();
    if (writes)
        write_now();
}

/// Beginnings and ends ///

void begin(enum h2_role role, uint32_t slot_count)
{
    struct h2_settings settings = {
        .streams = slots,
        .stream_count = slot_count,
        .table = role == H2_SERVER ? table_end - HPACK_TABLE_MAX : NULL,
        .table_size = role == H2_SERVER ? HPACK_TABLE_MAX : 0,
        .fields = (char *)fields_end - 1024,
        .fields_size = 1024,
        .list_max = LIST_MAX,
    };
    memset(&h2, 0xA5, sizeof h2); // h2_begin() must not rely on zeroed memory
    memset(slots, 0xA5, sizeof slots);
    input_length = 0;
    told_end = table_updated = false;
    owner = role == H2_SERVER ? ANSWERS : HOLDS;
    tell_fields = false;
    writes = true;
    write_room = 4096;
    release_with = H2_CANCEL;
    h2_begin(&h2, role, &settings);
    forget();
}

void greet_with(enum h2_role role, uint32_t slot_count)
{
    begin(role, slot_count);
    write_now();
    if (role == H2_SERVER)
        octets("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H2_PREFACE_BYTES);
    frame(H2_TYPE_SETTINGS, 0, 0, NULL, 0);
    arrive();
    frame(H2_TYPE_SETTINGS, ACK, 0, NULL, 0);
    arrive();
    assert_true(h2.settings_received);
    assert_int_equal(h2.settings_out, 0);
    forget();
}

void greet(enum h2_role role)
{
    greet_with(role, 4);
}

uint32_t request(bool end_stream)
{
    struct h2_out out = {.at = output_end - write_room, .size = write_room};
    struct h2_stream *s = h2_open(&h2);
    assert_non_null(s);
    assert_true(h2_write(&h2, &out));
    s->owner = message_of(s);
    *message_of(s) = (struct message){0};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    hpack_put(&block, span_of_text(":method"), span_of_text("POST"), HPACK_WITHOUT_INDEXING);
    hpack_put(&block, span_of_text(":scheme"), span_of_text("http"), HPACK_WITHOUT_INDEXING);
    hpack_put(&block, span_of_text(":path"), span_of_text("/"), HPACK_WITHOUT_INDEXING);
    assert_true(h2_headers_end(&h2, &out, s, &block, end_stream));
    read_output(out.at, out.length);
    return s->id;
}

// Every stream that was told is given back once more, and then all slots are free.
static void finish(void)
{
    for (uint32_t i = 0; i < h2.settings.stream_count; i++)
        if (slots[i].owner != NULL)
            release(&slots[i], release_with);
    write_now();
    assert_int_equal(h2_streams(&h2), 0);
    for (uint32_t i = 0; i < h2.settings.stream_count; i++)
        assert_null(slots[i].owner);
}

/// What is asserted ///

void forget(void)
{
    flush_data();
    clear(&told);
    clear(&sent);
}

void assert_told(const char *expected)
{
    flush_data();
    assert_string_equal(told.at, expected);
    clear(&told);
}

void assert_sent(const char *expected)
{
    assert_string_equal(sent.at, expected);
    clear(&sent);
}

void assert_sent_nothing(void)
{
    assert_sent("");
}

const char *sent_text(void)
{
    return sent.at;
}

static void assert_last_line(const char *text, const char *expected, bool whole)
{
    const char *line = text;
    for (const char *at = strchr(text, '\n'); at != NULL && at[1] != '\0'; at = strchr(at + 1, '\n'))
        line = at + 1;
    if (strncmp(line, expected, strlen(expected)) != 0 || (whole && line[strlen(expected)] != '\n'))
        fail_msg("expected \"%s\" as the last line of:\n%s", expected, text);
}

void assert_failed(enum h2_error error)
{
    char line[64];
    flush_data();
    snprintf(line, sizeof line, "failed %s", h2_error_name(error));
    assert_last_line(told.at, line, true);
    const char *at = strstr(sent.at, "GOAWAY");
    assert_non_null(at);
    at = strchr(at + strlen("GOAWAY "), ' ');
    snprintf(line, sizeof line, " %s ", h2_error_name(error));
    assert_memory_equal(at, line, strlen(line));
    assert_null(strstr(at, "GOAWAY"));
    assert_last_line(sent.at, "GOAWAY", false);
    struct h2_step again = h2_receive(&h2, (const uint8_t *)"anything", 8); // it stays so
    assert_int_equal(again.event, H2_FAILED);
    assert_int_equal(again.consumed, 8);
    assert_int_equal(again.error, error);
    assert_false(h2_owes(&h2));
    forget();
}

static void assert_answers_ping(void)
{
    ping(0, "liveness");
    arrive();
    assert_last_line(sent.at, "PING ack liveness", true);
}

void assert_reset(uint32_t id, enum h2_error error)
{
    char line[64];
    snprintf(line, sizeof line, "RST_STREAM %u %s\n", id, h2_error_name(error));
    assert_non_null(strstr(sent.at, line));
    assert_answers_ping();
    const char *first = strstr(sent.at, "RST_STREAM");
    assert_null(strstr(first + 1, "RST_STREAM"));
    assert_null(strstr(sent.at, "GOAWAY"));
    forget();
}

void assert_lives(void)
{
    assert_answers_ping();
    assert_null(strstr(sent.at, "RST_STREAM"));
    assert_null(strstr(sent.at, "GOAWAY"));
    forget();
}

/// Scenarios ///

static const size_t cuts[] = {GUARDED, 1, 2, 3, 7, 10, 100, 1000};

static void run_in_all_cuts(void **state)
{
    const struct scenario *s = *state;
    for (size_t i = 0; i < COUNT(cuts); i++) {
        cut = cuts[i];
        s->run();
        finish();
    }
}

int run_scenarios(const char *name, const struct scenario *scenarios, size_t count)
{
    static struct CMUnitTest tests[256];
    assert_true(count <= COUNT(tests));
    for (size_t i = 0; i < count; i++)
        tests[i] =
            (struct CMUnitTest){scenarios[i].name, run_in_all_cuts, NULL, NULL, (void *)(uintptr_t)&scenarios[i]};
    return _cmocka_run_group_tests(name, tests, count, set_up, NULL);
}
