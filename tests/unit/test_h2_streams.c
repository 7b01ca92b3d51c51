// HTTP/2 streams: their states and what each frame means in each of them, identifiers, slots, resets, and windows in
// both directions. The names say the section of RFC 9113.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h2_support.h"

static void get(uint32_t stream)
{
    headers(WHOLE | END, stream, GET);
}

static void post(uint32_t stream)
{
    headers(WHOLE, stream, POST);
}

/// Idle ///

static void section_5_1_idle_data(void)
{
    greet(H2_SERVER);
    data(END, 1, 4);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_idle_rst_stream(void)
{
    greet(H2_SERVER);
    reset(1, H2_CANCEL);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_idle_window_update(void)
{
    greet(H2_SERVER);
    window(1, 100);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_idle_continuation(void)
{
    greet(H2_SERVER);
    continuation(WHOLE, 1, GET);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

// Nobody opens even ones here, so they are idle for ever.
static void section_5_1_idle_even(void)
{
    greet(H2_SERVER);
    post(5);
    data(0, 2, 1);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

/// Half-closed (remote) ///

static void half_closed_remote(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    get(1);
    arrive();
    forget();
    assert_int_equal(slot(1)->state, H2_HALF_CLOSED_REMOTE);
}

static void section_5_1_half_closed_remote_data(void)
{
    half_closed_remote();
    data(END, 1, 4);
    arrive();
    assert_told("1 reset STREAM_CLOSED\n");
    assert_reset(1, H2_STREAM_CLOSED);
}

// The reset is written, but the slot is its owner's until that one lets it go.
static void section_5_4_2_slot_stays_with_its_owner(void)
{
    half_closed_remote();
    data(END, 1, 4);
    arrive();
    assert_sent("RST_STREAM 1 STREAM_CLOSED\n");
    assert_int_equal(slot(1)->state, H2_CLOSED);
    assert_non_null(slot(1)->owner);
    let_go(1, H2_CANCEL);
    assert_int_equal(h2_streams(&h2), 0);
    assert_false(h2_owes(&h2));
}

static void section_5_1_half_closed_remote_headers(void)
{
    half_closed_remote();
    get(1);
    arrive();
    assert_told("1 reset STREAM_CLOSED\n");
    assert_reset(1, H2_STREAM_CLOSED);
}

static void section_5_1_half_closed_remote_continuation(void)
{
    half_closed_remote();
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_half_closed_remote_other_frames(void)
{
    half_closed_remote();
    window(1, 1);
    priority(1, 0);
    reset(1, H2_CANCEL);
    arrive();
    assert_told("1 window\n1 reset CANCEL\n");
    assert_lives();
}

/// Closed ///

static void section_5_1_closed_by_rst_stream_data(void)
{
    greet(H2_SERVER);
    post(1);
    reset(1, H2_CANCEL);
    data(END, 1, 4);
    arrive();
    assert_reset(1, H2_STREAM_CLOSED);
}

static void section_5_1_closed_by_rst_stream_headers(void)
{
    greet(H2_SERVER);
    post(1);
    reset(1, H2_CANCEL);
    headers(WHOLE | END, 1, "x: y\n");
    arrive();
    assert_reset(1, H2_STREAM_CLOSED);
}

static void section_5_1_closed_by_rst_stream_continuation(void)
{
    greet(H2_SERVER);
    post(1);
    reset(1, H2_CANCEL);
    continuation(WHOLE, 1, "x: y\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

// It is told once; after that we have sent RST_STREAM too.
static void section_5_1_closed_by_rst_stream_and_still_held(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    reset(1, H2_CANCEL);
    data(0, 1, 4);
    data(0, 1, 4);
    headers(WHOLE | END, 1, "x: y\n");
    arrive();
    assert_told("1 headers\n1 ready\n1 reset CANCEL\n");
    assert_reset(1, H2_STREAM_CLOSED);
}

static void closed_by_both(void)
{
    greet(H2_SERVER);
    get(1);
    arrive();
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
    assert_int_equal(h2_streams(&h2), 0);
    forget();
}

static void section_5_1_closed_by_both_data(void)
{
    closed_by_both();
    data(END, 1, 4);
    arrive();
    assert_failed(H2_STREAM_CLOSED);
}

static void section_5_1_closed_by_both_headers(void)
{
    closed_by_both();
    get(1);
    arrive();
    assert_failed(H2_STREAM_CLOSED);
}

static void section_5_1_closed_by_both_continuation(void)
{
    closed_by_both();
    continuation(WHOLE, 1, "x: y\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_closed_by_both_late_frames(void)
{
    closed_by_both();
    window(1, 10);
    window(1, 0);
    reset(1, H2_NO_ERROR);
    priority(1, 0);
    arrive();
    assert_told("");
    assert_lives();
}

// The peer has not seen our RST_STREAM yet: decoded and counted, and ignored.
static void section_5_1_closed_by_us(void)
{
    greet(H2_SERVER);
    post(1);
    arrive();
    let_go(1, H2_INTERNAL_ERROR);
    data(0, 1, 20000 - H2_FRAME_MAX);
    data(0, 1, H2_FRAME_MAX);
    window(1, 0);
    uint8_t indexed[64] = {0x40, 1, 'x', 1, 'y'};
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, indexed, 5);
    arrive();
    assert_sent("RST_STREAM 1 INTERNAL_ERROR\n");
    data(0, 1, H2_FRAME_MAX);
    arrive();
    assert_sent("WINDOW_UPDATE 0 36384\n");
    forget();
    tell_fields = true;
    post(3);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, "\xbe", 1);
    arrive();
    assert_told("3 headers\n3 :method: POST\n3 :scheme: http\n3 :path: /\n3 :authority: pipit\n3 ready\n"
                "3 trailers\n3 x: y\n3 end\n");
}

/// Identifiers ///

static void section_5_1_1_even(void)
{
    greet(H2_SERVER);
    get(2);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_1_lower_than_before(void)
{
    greet(H2_SERVER);
    get(5);
    get(3);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_5_1_1_data_on_a_lower_one(void)
{
    greet(H2_SERVER);
    get(5);
    data(END, 3, 4);
    arrive();
    assert_reset(3, H2_STREAM_CLOSED);
}

static void section_5_1_1_gaps_are_allowed(void)
{
    greet(H2_SERVER);
    get(1);
    get(0x7fffffff);
    arrive();
    assert_sent("HEADERS 1\nDATA 1 5 end\nHEADERS 2147483647\nDATA 2147483647 5 end\n");
    assert_lives();
}

// A long time ago is not the same as never: what was forgotten is let pass.
static void section_5_1_1_forgotten(void)
{
    greet(H2_SERVER);
    for (uint32_t id = 1; id <= 2 * H2_CLOSED_STREAMS + 3; id += 2) {
        get(id);
        arrive();
    }
    forget();
    data(0, 1, 4);
    headers(WHOLE | END, 1, "x: y\n");
    arrive();
    assert_lives();
    data(0, 2 * H2_CLOSED_STREAMS + 1, 4);
    arrive();
    assert_failed(H2_STREAM_CLOSED);
}

/// Concurrency ///

static void section_5_1_2_more_than_announced(void)
{
    greet(H2_SERVER);
    setting(H2_INITIAL_WINDOW_SIZE, 0);
    for (uint32_t id = 1; id <= 9; id += 2)
        get(id);
    arrive();
    assert_reset(9, H2_REFUSED_STREAM);
    assert_int_equal(h2_streams(&h2), 4);
    data(0, 9, 100); // on its way already
    headers(WHOLE | END, 9, "x: y\n");
    setting(H2_INITIAL_WINDOW_SIZE, 5);
    arrive();
    assert_sent("SETTINGS ack\nDATA 1 5 end\nDATA 3 5 end\nDATA 5 5 end\nDATA 7 5 end\n");
    get(11);
    arrive();
    assert_sent("HEADERS 11\nDATA 11 5 end\n");
}

// The block of a refused request still enters the dynamic table.
static void section_5_1_2_refused_block_is_decoded(void)
{
    uint8_t block[128];
    greet_with(H2_SERVER, 1);
    owner = HOLDS;
    tell_fields = true;
    post(1);
    size_t length = literals(block, sizeof block, GET);
    memcpy(block + length, "\x40\1x\1y", 5);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, block, length + 5);
    arrive();
    assert_told("1 headers\n1 :method: POST\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 ready\n");
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, "\xbe", 1);
    arrive();
    assert_told("1 trailers\n1 x: y\n1 end\n");
    assert_reset(3, H2_REFUSED_STREAM);
}

// More refusals than there is room to owe: each is written before more is received.
static void section_5_1_2_refusals_are_bounded(void)
{
    greet_with(H2_SERVER, 1);
    owner = HOLDS;
    writes = false;
    for (uint32_t id = 1; id <= 81; id += 2)
        get(id);
    arrive();
    write_now();
    unsigned refused = 0;
    for (const char *at = sent_text(); (at = strstr(at, "REFUSED_STREAM")) != NULL; at++)
        refused++;
    assert_int_equal(refused, 40);
}

/// Release ///

// An early answer: the rest of the request is of no interest (section 8.1).
static void section_8_1_early_answer(void)
{
    greet(H2_SERVER);
    post(1);
    arrive();
    struct h2_out out = {.at = (uint8_t[64]){0}, .size = 64};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    hpack_put(&block, span_of(":status"), span_of("415"), HPACK_WITHOUT_INDEXING);
    assert_true(h2_headers_end(&h2, &out, slot(1), &block, true));
    assert_int_equal(slot(1)->state, H2_HALF_CLOSED_LOCAL);
    assert_false(h2_headers_end(&h2, &out, slot(1), &block, true));
    let_go(1, H2_NO_ERROR);
    assert_int_equal(h2_streams(&h2), 1); // until the reset is written
    write_now();
    assert_sent("RST_STREAM 1 NO_ERROR\n");
    assert_int_equal(h2_streams(&h2), 0);
    data(END, 1, 7);
    arrive();
    assert_lives();
}

// The request's end came before the reset was written: nothing is left to reset, and the slot is the peer's again.
static void section_8_1_early_answer_and_the_end_crosses(void)
{
    uint8_t bytes[64];
    for (int with_trailers = 0; with_trailers < 2; with_trailers++) {
        greet_with(H2_SERVER, 1);
        post(1);
        data(0, 1, 3);
        arrive();
        struct h2_out out = {.at = bytes, .size = sizeof bytes};
        struct hpack_block block = h2_headers_begin(&h2, &out);
        hpack_put(&block, span_of(":status"), span_of("200"), HPACK_WITHOUT_INDEXING);
        assert_true(h2_headers_end(&h2, &out, slot(1), &block, true));
        let_go(1, H2_NO_ERROR);
        if (with_trailers)
            headers(WHOLE | END, 1, "x: y\n");
        else
            data(END, 1, 3);
        get(3);
        arrive();
        assert_sent("HEADERS 3\nDATA 3 5 end\n");
        data(0, 1, 1); // what ended by itself has nothing more to say
        arrive();
        assert_failed(H2_STREAM_CLOSED);
    }
}

// A request that turns out wrong with its last frame, when its answer is out already, is still told so. The frame's
// END_STREAM once took the slot away, and the owed reset with it.
static void section_8_1_1_wrong_behind_the_answer(void)
{
    uint8_t bytes[64];
    greet(H2_SERVER);
    headers(WHOLE, 1, POST "content-length: 1\n");
    arrive();
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    hpack_put(&block, span_of(":status"), span_of("415"), HPACK_WITHOUT_INDEXING);
    assert_true(h2_headers_end(&h2, &out, slot(1), &block, true));
    data(END, 1, 4);
    arrive();
    write_now();
    assert_sent("RST_STREAM 1 PROTOCOL_ERROR\n");
    assert_int_equal(h2_streams(&h2), 0);
    assert_lives();
}

static void release_at(enum h2_event event)
{
    uint8_t bytes[256];
    size_t at = 0, length = literals(bytes + H2_FRAME_HEADER, sizeof bytes - H2_FRAME_HEADER, POST "x: y\n");
    bytes[0] = bytes[1] = 0;
    bytes[2] = (uint8_t)length;
    memcpy(bytes + 3, "\1\4\0\0\0\1", 6);
    length += H2_FRAME_HEADER;
    memcpy(bytes + length, "\0\0\5\0\1\0\0\0\1abcde", 14);
    length += 14;
    for (bool released = false;;) {
        struct h2_step step = h2_receive(&h2, bytes + at, length - at);
        at += step.consumed;
        if (step.event == H2_NEED_MORE)
            break;
        assert_false(released);
        if (step.event == event) {
            h2_release(&h2, step.stream, H2_CANCEL);
            released = true;
        }
    }
    assert_int_equal(at, length);
}

// Its owner may give a stream back at any event; nothing of it is told after that.
static void edge_release_at_every_event(void)
{
    static const enum h2_event events[] = {H2_HEADERS, H2_FIELD, H2_HEADERS_END, H2_DATA};
    for (size_t i = 0; i < COUNT(events); i++) {
        greet(H2_SERVER);
        release_at(events[i]);
        write_now();
        assert_reset(1, H2_CANCEL);
        assert_int_equal(h2_streams(&h2), 0);
    }
    greet(H2_SERVER);
    release_at(H2_END);
    write_now();
    assert_reset(1, H2_CANCEL);
}

static void edge_release_after_failure(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    post(3);
    data(0, 99, 1);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    let_go(1, H2_CANCEL);
    let_go(3, H2_CANCEL);
    assert_false(h2_owes(&h2));
    assert_int_equal(h2_streams(&h2), 0);
}

// A block that was cut off by a failure leaves no slot behind that nobody was told of.
static void edge_failure_inside_a_block(void)
{
    greet(H2_SERVER);
    headers(0, 1, "");
    ping(0, "12345678");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    assert_int_equal(h2_streams(&h2), 0);
}

/// Resets in masses ///

static void section_10_5_rapid_reset(void)
{
    greet_with(H2_SERVER, 100);
    uint32_t id = 1;
    for (; !h2_failed(&h2); id += 2) {
        assert_in_range(id, 0, 4 * H2_RAPID_MAX);
        get(id);
        reset(id, H2_CANCEL);
        arrive();
        assert_true(h2.owes_resets <= H2_RESETS_OWED);
    }
    assert_int_equal(id / 2, H2_RAPID_MAX + 1);
    assert_non_null(strstr(sent_text(), "too_many_resets"));
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

static void section_10_5_a_hundred_cancelled_calls_a_second(void)
{
    greet_with(H2_SERVER, 8);
    uint32_t id = 1;
    for (int second = 0; second < 20; second++) {
        for (int i = 0; i < 100; i++, id += 2) {
            post(id);
            reset(id, H2_CANCEL);
        }
        arrive();
        forget();
        h2_calm(&h2);
    }
    assert_lives();
}

// What was answered in full before it was reset has cost nobody anything.
static void section_10_5_resets_behind_the_answer(void)
{
    uint8_t bytes[64];
    greet(H2_SERVER);
    for (uint32_t id = 1; id < 3 * H2_RAPID_MAX; id += 2) {
        post(id);
        arrive();
        struct h2_out out = {.at = bytes, .size = sizeof bytes};
        struct hpack_block block = h2_headers_begin(&h2, &out);
        assert_true(h2_headers_end(&h2, &out, slot(id), &block, true));
        reset(id, H2_CANCEL);
        arrive();
    }
    assert_int_equal(h2.rapid, 0);
}

// A client that makes us do the resetting.
static void section_10_5_made_you_reset(void)
{
    greet(H2_SERVER);
    uint32_t id = 1;
    for (; !h2_failed(&h2); id += 2) {
        assert_in_range(id, 0, 4 * H2_RAPID_MAX);
        post(id);
        window(id, 0);
        arrive();
    }
    assert_non_null(strstr(sent_text(), "too_many_resets"));
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

static void section_10_5_malformed_requests(void)
{
    greet(H2_SERVER);
    uint32_t id = 1;
    for (; !h2_failed(&h2); id += 2) {
        assert_in_range(id, 0, 4 * H2_RAPID_MAX);
        headers(WHOLE | END, id, "A: b\n");
        arrive();
    }
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

// Content for a stream that is over, without an end.
static void section_10_5_unwanted_data(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    arrive();
    let_go(1, H2_CANCEL);
    for (unsigned i = 0; !h2_failed(&h2); i++) {
        assert_in_range(i, 0, 2 * H2_NUISANCES_MAX);
        data(0, 1, 16);
        arrive();
    }
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

/// Our windows ///

static void section_6_9_window_is_given_back_in_halves(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    data(0, 1, H2_FRAME_MAX);
    data(0, 1, H2_FRAME_MAX - 2);
    arrive();
    assert_sent_nothing();
    data(0, 1, 1);
    arrive();
    assert_sent("WINDOW_UPDATE 0 32767\nWINDOW_UPDATE 1 32767\n");
    assert_int_equal(h2.receive_window, H2_WINDOW_BYTES);
    assert_int_equal(slot(1)->receive_window, H2_WINDOW_BYTES);
}

// The last piece of a request needs no window for more.
static void section_6_9_no_update_behind_the_end(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    writes = false;
    post(1);
    for (int i = 0; i < 3; i++)
        data(i == 2 ? END : 0, 1, H2_FRAME_MAX);
    arrive();
    write_now();
    assert_sent("WINDOW_UPDATE 0 49152\n");
}

static void section_6_9_padding_counts(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    for (int i = 0; i < 128; i++)
        padded_data(0, 1, 0, 255);
    arrive();
    assert_told("1 headers\n1 ready\n");
    assert_sent("WINDOW_UPDATE 0 32768\nWINDOW_UPDATE 1 32768\n");
    assert_int_equal(h2.receive_window, H2_WINDOW_BYTES);
}

// Nobody writes, so nothing is given back: the last octet fits, the next one does not.
static void fill_windows(uint32_t first, uint32_t second)
{
    greet(H2_SERVER);
    owner = HOLDS;
    writes = false;
    post(1);
    post(3);
    for (int i = 0; i < 4; i++)
        data(0, i < 2 ? first : second, i < 3 ? H2_FRAME_MAX : H2_FRAME_MAX - 1);
    arrive();
    assert_int_equal(h2.receive_window, 0);
}

static void section_6_9_1_peer_exceeds_the_connection(void)
{
    fill_windows(1, 3);
    data(0, 1, 0);
    arrive();
    assert_false(h2_failed(&h2));
    data(0, 3, 1);
    arrive();
    write_now();
    assert_failed(H2_FLOW_CONTROL_ERROR);
}

// Beyond a stream's window alone: the connection gets its own back, the stream does not.
static void section_6_9_1_peer_exceeds_a_stream(void)
{
    fill_windows(1, 1);
    slot(1)->credit = 0;
    write_now();
    assert_sent("WINDOW_UPDATE 0 65535\n");
    data(0, 1, 5);
    arrive();
    write_now();
    assert_told("1 headers\n1 ready\n3 headers\n3 ready\n1 data 65535\n1 reset FLOW_CONTROL_ERROR\n");
    assert_int_equal(h2.credit, 5);
    writes = true;
    assert_reset(1, H2_FLOW_CONTROL_ERROR);
}

static void section_6_1_invalid_pad_length(void)
{
    for (uint8_t padding = 4; padding < 7; padding++) {
        greet(H2_SERVER);
        post(1);
        frame(H2_TYPE_DATA, END | PADDED, 1, (const uint8_t[]){padding, 'a', 'b', 'c', 'd', 'e'}, 6);
        arrive();
        if (padding > 5)
            assert_failed(H2_PROTOCOL_ERROR);
        else
            assert_lives();
    }
    greet(H2_SERVER);
    post(1);
    frame(H2_TYPE_DATA, END | PADDED, 1, NULL, 0);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

static void section_6_1_padding_is_not_told(void)
{
    greet(H2_SERVER);
    post(1);
    padded_data(0, 1, 3, 5);
    padded_data(0, 1, 3, 0);
    padded_data(END, 1, 0, 255);
    arrive();
    assert_told("1 headers\n1 ready\n1 data 6\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
    assert_int_equal(h2.credit, 9 + 4 + 256);
}

static int32_t sum_of_updates(const char *stream)
{
    long sum = 0;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "WINDOW_UPDATE %s ", stream);
    for (const char *at = sent_text(); (at = strstr(at, prefix)) != NULL; at++)
        sum += strtol(at + strlen(prefix), NULL, 10);
    return (int32_t)sum;
}

// A megabyte in frames of any size and padding, sent by a peer that keeps to its windows and never has to wait for
// ever.
static void play_padded_upload(void)
{
    uint32_t random = 1;
    int32_t all = H2_WINDOW_BYTES, one = H2_WINDOW_BYTES;
    size_t total = 0;
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    arrive();
    forget();
    while (total < 1000000) {
        random = random * 1664525 + 1013904223;
        size_t length = (random >> 8) % 9000;
        uint8_t padding = (uint8_t)(random >> 24);
        int32_t counted = (int32_t)length + padding + 1;
        assert_true(one >= counted && all >= counted);
        padded_data(0, 1, length, padding);
        arrive();
        total += length;
        all += sum_of_updates("0") - counted;
        one += sum_of_updates("1") - counted;
        forget();
    }
    assert_int_equal(all, h2.receive_window);
    data(END, 1, 0);
    arrive();
    assert_told("1 end\n");
}

/// The peer's windows ///

static void section_6_9_increment_of_0(void)
{
    greet(H2_SERVER);
    window(0, 0);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    post(1);
    window(1, 0);
    arrive();
    assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_6_9_1_initial_window_of_1(void)
{
    greet(H2_SERVER);
    setting(H2_INITIAL_WINDOW_SIZE, 1);
    get(1);
    arrive();
    assert_sent("SETTINGS ack\nHEADERS 1\nDATA 1 1\n");
    window(1, 3);
    arrive();
    assert_sent("DATA 1 3\n");
    window(1, 1);
    arrive();
    assert_sent("DATA 1 1 end\n");
}

static void section_6_9_1_above_2_31_1(void)
{
    greet(H2_SERVER);
    window(0, 0x7fffffff - H2_WINDOW_BYTES);
    arrive();
    assert_lives();
    assert_int_equal(h2.send_window, 0x7fffffff);
    window(0, 1);
    arrive();
    assert_failed(H2_FLOW_CONTROL_ERROR);
    greet(H2_SERVER);
    window(0, 0x7fffffff);
    window(0, 0x7fffffff);
    arrive();
    assert_failed(H2_FLOW_CONTROL_ERROR);
}

static void section_6_9_1_above_2_31_1_on_a_stream(void)
{
    greet(H2_SERVER);
    post(1);
    window(1, 0x7fffffff);
    window(1, 0x7fffffff);
    arrive();
    assert_reset(1, H2_FLOW_CONTROL_ERROR);
}

static void section_6_9_1_connection_window_is_shared(void)
{
    greet(H2_SERVER);
    h2.send_window = 7;
    get(1);
    get(3);
    arrive();
    assert_sent("HEADERS 1\nDATA 1 5 end\nHEADERS 3\nDATA 3 2\n");
    window(0, 3);
    arrive();
    assert_sent("DATA 3 3 end\n");
    assert_int_equal(h2.send_window, 0);
}

static void section_6_9_2_initial_window_changes_later(void)
{
    greet(H2_SERVER);
    setting(H2_INITIAL_WINDOW_SIZE, 0);
    get(1);
    arrive();
    assert_sent("SETTINGS ack\nHEADERS 1\n");
    setting(H2_INITIAL_WINDOW_SIZE, 1);
    arrive();
    assert_sent("SETTINGS ack\nDATA 1 1\n");
}

static void section_6_9_2_negative(void)
{
    greet(H2_SERVER);
    setting(H2_INITIAL_WINDOW_SIZE, 3);
    get(1);
    arrive();
    assert_sent("SETTINGS ack\nHEADERS 1\nDATA 1 3\n");
    setting(H2_INITIAL_WINDOW_SIZE, 2);
    arrive();
    assert_sent("SETTINGS ack\n");
    assert_int_equal(slot(1)->send_window, -1);
    window(1, 1);
    arrive();
    assert_sent_nothing();
    window(1, 1);
    arrive();
    assert_sent("DATA 1 1\n");
    window(1, 9);
    arrive();
    assert_sent("DATA 1 1 end\n");
}

static void section_6_9_2_overflow_by_settings(void)
{
    greet(H2_SERVER);
    post(1);
    window(1, 1000);
    setting(H2_INITIAL_WINDOW_SIZE, 0x7fffffff - 1000);
    arrive();
    assert_lives();
    setting(H2_INITIAL_WINDOW_SIZE, 0x7fffffff - 999);
    arrive();
    assert_failed(H2_FLOW_CONTROL_ERROR);
}

// Nor do streams count that are over, though their owner has not let them go.
static void section_6_9_2_closed_streams_do_not_overflow(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    post(1);
    window(1, 1000);
    reset(1, H2_CANCEL);
    setting(H2_INITIAL_WINDOW_SIZE, 0x7fffffff);
    arrive();
    assert_lives();
}

// The connection's window is not what the setting is about.
static void section_6_9_2_connection_is_not_meant(void)
{
    greet(H2_SERVER);
    setting(H2_INITIAL_WINDOW_SIZE, 0);
    arrive();
    assert_int_equal(h2.send_window, H2_WINDOW_BYTES);
}

// One for the stream and one for the connection with each DATA frame, for a long time.
static void section_10_5_updates_for_all_data_are_no_flood(void)
{
    uint8_t bytes[64];
    greet(H2_SERVER);
    post(1);
    arrive();
    struct h2_stream *s = slot(1);
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    assert_true(h2_headers_end(&h2, &out, s, &block, false));
    for (int i = 0; i < 5 * H2_NUISANCES_MAX; i++) {
        out.length = 0;
        assert_true(h2_data(&h2, &out, s, 1, false));
        window(0, 1);
        window(1, 1);
        arrive();
        forget();
    }
    assert_int_equal(h2.nuisance, 1); // the first SETTINGS
}

/// Writing ///

static void edge_data_at_the_edges_of_room(void)
{
    uint8_t bytes[H2_FRAME_MAX + 100];
    greet(H2_SERVER);
    get(1);
    owner = HOLDS;
    arrive();
    struct h2_stream *s = slot(1);
    for (size_t room = 0; room < 12; room++) {
        struct h2_out out = {.at = bytes, .size = room};
        assert_int_equal(h2_data_room(&h2, &out, s), room <= 9 ? 0 : room - 9);
        assert_false(h2_data(&h2, &out, s, room < 9 ? 0 : room - 8, false));
        assert_int_equal(out.length, 0);
        assert_true(room >= H2_FRAME_HEADER || !h2_data(&h2, &out, s, 0, true));
        assert_int_equal(s->state, H2_HALF_CLOSED_REMOTE);
    }
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    assert_int_equal(h2_data_room(&h2, &out, s), H2_FRAME_MAX);
    assert_false(h2_data(&h2, &out, s, 0, false));
    assert_false(h2_data(&h2, &out, s, H2_FRAME_MAX + 1, false));
    assert_ptr_equal(h2_data_at(&out), bytes + 9);
    assert_true(h2_data(&h2, &out, s, H2_FRAME_MAX, false));
    assert_int_equal(out.length, H2_FRAME_MAX + 9);
    assert_int_equal(h2.send_window, H2_WINDOW_BYTES - H2_FRAME_MAX);
    s->send_window = 0;
    out.length = sizeof bytes - 9;
    assert_int_equal(h2_data_room(&h2, &out, s), 0);
    assert_true(h2_data(&h2, &out, s, 0, true)); // the end needs no window
    assert_memory_equal(bytes + sizeof bytes - 9, "\0\0\0\0\1\0\0\0\1", 9);
    assert_int_equal(s->state, H2_CLOSED);
    assert_false(h2_data(&h2, &out, s, 0, true));
}

// Whatever the room is, whole frames are written or nothing, and H2_WRITE_LEAST is always enough to get on.
static void edge_write_with_little_room(void)
{
    uint8_t bytes[H2_WRITE_LEAST];
    for (size_t room = 0; room <= H2_WRITE_LEAST; room++) {
        greet(H2_SERVER);
        writes = false;
        setting(H2_MAX_CONCURRENT_STREAMS, 1);
        ping(0, "12345678");
        post(1);
        arrive();
        let_go(1, H2_CANCEL);
        h2_goaway(&h2, H2_NO_ERROR, NULL);
        size_t total = 0;
        for (int round = 0; round < 10 && h2_owes(&h2); round++) {
            struct h2_out out = {.at = bytes, .size = room};
            bool all = h2_write(&h2, &out);
            assert_true(out.length <= room);
            assert_true(all == !h2_owes(&h2));
            total += out.length;
        }
        assert_int_equal(total, room < 9 ? 0 : room < 17 ? 9 : 9 + 17 + 13 + 17);
    }
}

static void owe_credit(void)
{
    owner = HOLDS;
    post(1);
    data(0, 1, H2_FRAME_MAX);
    data(0, 1, H2_FRAME_MAX);
    arrive();
}

static void owe_stream_credit(void)
{
    owe_credit();
    h2.credit = 0;
}

static void owe_own_ping(void)
{
    assert_true(h2_ping(&h2));
}

static void owe_refusal(void)
{
    headers(WHOLE | END, 1, "X: y\n");
    arrive();
}

static void owe_stream_reset(void)
{
    post(1);
    arrive();
    let_go(1, H2_CANCEL);
}

static void owe_goaway(void)
{
    h2_goaway(&h2, H2_NO_ERROR, NULL);
}

// Each debt alone, with one octet less than it needs.
static void edge_one_octet_short(void)
{
    static const struct {
        void (*owe)(void);
        size_t needs;
    } debts[] = {{owe_credit, 13},  {owe_stream_credit, 13}, {owe_own_ping, 17},
                 {owe_refusal, 13}, {owe_stream_reset, 13},  {owe_goaway, 17}};
    uint8_t bytes[64];
    for (size_t i = 0; i < COUNT(debts); i++) {
        greet(H2_SERVER);
        writes = false;
        debts[i].owe();
        struct h2_out out = {.at = bytes, .size = debts[i].needs - 1};
        assert_false(h2_write(&h2, &out));
        assert_int_equal(out.length, 0);
        out.size++;
        h2_write(&h2, &out);
        assert_int_equal(out.length, debts[i].needs);
    }
    begin(H2_CLIENT, 4);
    struct h2_out out = {.at = bytes, .size = 50};
    assert_false(h2_write(&h2, &out));
    out.size = 51;
    assert_true(h2_write(&h2, &out));
    assert_int_equal(out.length, 51);
}

static void edge_headers_that_do_not_fit(void)
{
    uint8_t bytes[32];
    greet(H2_SERVER);
    owner = HOLDS;
    get(1);
    arrive();
    for (size_t room = 0; room < 16; room++) {
        struct h2_out out = {.at = bytes, .size = room};
        struct hpack_block block = h2_headers_begin(&h2, &out);
        hpack_put(&block, span_of("x"), span_of("\1\2"), HPACK_NEVER_INDEXED); // 6 octets, behind a table size of one
        assert_int_equal(h2_headers_end(&h2, &out, slot(1), &block, false), false);
        assert_int_equal(out.length, 0);
    }
    struct h2_out out = {.at = bytes, .size = 16};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    hpack_put(&block, span_of(":status"), span_of("200"), HPACK_WITHOUT_INDEXING);
    assert_true(h2_headers_end(&h2, &out, slot(1), &block, false));
    assert_memory_equal(bytes, "\0\0\2\1\4\0\0\0\1\x20\x88", 11); // the table goes first, once in a connection
    out.length = 0;
    block = h2_headers_begin(&h2, &out);
    assert_false(block.cut);
    assert_int_equal(block.length, 0);
}

int main(void)
{
    static const struct scenario scenarios[] = {
        {"section 5 1 idle data", section_5_1_idle_data},
        {"section 5 1 idle rst stream", section_5_1_idle_rst_stream},
        {"section 5 1 idle window update", section_5_1_idle_window_update},
        {"section 5 1 idle continuation", section_5_1_idle_continuation},
        {"section 5 1 idle even", section_5_1_idle_even},
        {"section 5 1 half closed remote data", section_5_1_half_closed_remote_data},
        {"section 5 4 2 slot stays with its owner", section_5_4_2_slot_stays_with_its_owner},
        {"section 5 1 half closed remote headers", section_5_1_half_closed_remote_headers},
        {"section 5 1 half closed remote continuation", section_5_1_half_closed_remote_continuation},
        {"section 5 1 half closed remote other frames", section_5_1_half_closed_remote_other_frames},
        {"section 5 1 closed by rst stream data", section_5_1_closed_by_rst_stream_data},
        {"section 5 1 closed by rst stream headers", section_5_1_closed_by_rst_stream_headers},
        {"section 5 1 closed by rst stream continuation", section_5_1_closed_by_rst_stream_continuation},
        {"section 5 1 closed by rst stream and still held", section_5_1_closed_by_rst_stream_and_still_held},
        {"section 5 1 closed by both data", section_5_1_closed_by_both_data},
        {"section 5 1 closed by both headers", section_5_1_closed_by_both_headers},
        {"section 5 1 closed by both continuation", section_5_1_closed_by_both_continuation},
        {"section 5 1 closed by both late frames", section_5_1_closed_by_both_late_frames},
        {"section 5 1 closed by us", section_5_1_closed_by_us},
        {"section 5 1 1 even", section_5_1_1_even},
        {"section 5 1 1 lower than before", section_5_1_1_lower_than_before},
        {"section 5 1 1 data on a lower one", section_5_1_1_data_on_a_lower_one},
        {"section 5 1 1 gaps are allowed", section_5_1_1_gaps_are_allowed},
        {"section 5 1 1 forgotten", section_5_1_1_forgotten},
        {"section 5 1 2 more than announced", section_5_1_2_more_than_announced},
        {"section 5 1 2 refused block is decoded", section_5_1_2_refused_block_is_decoded},
        {"section 5 1 2 refusals are bounded", section_5_1_2_refusals_are_bounded},
        {"section 8 1 early answer", section_8_1_early_answer},
        {"section 8 1 early answer and the end crosses", section_8_1_early_answer_and_the_end_crosses},
        {"section 8 1 1 wrong behind the answer", section_8_1_1_wrong_behind_the_answer},
        {"edge release at every event", edge_release_at_every_event},
        {"edge release after failure", edge_release_after_failure},
        {"edge failure inside a block", edge_failure_inside_a_block},
        {"section 10 5 rapid reset", section_10_5_rapid_reset},
        {"section 10 5 a hundred cancelled calls a second", section_10_5_a_hundred_cancelled_calls_a_second},
        {"section 10 5 resets behind the answer", section_10_5_resets_behind_the_answer},
        {"section 10 5 made you reset", section_10_5_made_you_reset},
        {"section 10 5 malformed requests", section_10_5_malformed_requests},
        {"section 10 5 unwanted data", section_10_5_unwanted_data},
        {"section 6 9 window is given back in halves", section_6_9_window_is_given_back_in_halves},
        {"section 6 9 no update behind the end", section_6_9_no_update_behind_the_end},
        {"section 6 9 padding counts", section_6_9_padding_counts},
        {"section 6 9 1 peer exceeds the connection", section_6_9_1_peer_exceeds_the_connection},
        {"section 6 9 1 peer exceeds a stream", section_6_9_1_peer_exceeds_a_stream},
        {"section 6 1 invalid pad length", section_6_1_invalid_pad_length},
        {"section 6 1 padding is not told", section_6_1_padding_is_not_told},
        {"play padded upload", play_padded_upload},
        {"section 6 9 increment of 0", section_6_9_increment_of_0},
        {"section 6 9 1 initial window of 1", section_6_9_1_initial_window_of_1},
        {"section 6 9 1 above 2 31 1", section_6_9_1_above_2_31_1},
        {"section 6 9 1 above 2 31 1 on a stream", section_6_9_1_above_2_31_1_on_a_stream},
        {"section 6 9 1 connection window is shared", section_6_9_1_connection_window_is_shared},
        {"section 6 9 2 initial window changes later", section_6_9_2_initial_window_changes_later},
        {"section 6 9 2 negative", section_6_9_2_negative},
        {"section 6 9 2 overflow by settings", section_6_9_2_overflow_by_settings},
        {"section 6 9 2 closed streams do not overflow", section_6_9_2_closed_streams_do_not_overflow},
        {"section 6 9 2 connection is not meant", section_6_9_2_connection_is_not_meant},
        {"section 10 5 updates for all data are no flood", section_10_5_updates_for_all_data_are_no_flood},
        {"edge data at the edges of room", edge_data_at_the_edges_of_room},
        {"edge write with little room", edge_write_with_little_room},
        {"edge one octet short", edge_one_octet_short},
        {"edge headers that do not fit", edge_headers_that_do_not_fit},
    };
    return run_scenarios("h2_streams", scenarios, COUNT(scenarios));
}
