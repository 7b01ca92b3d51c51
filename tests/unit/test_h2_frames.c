// HTTP/2, frame by frame: prefaces, frame headers, SETTINGS, PING, GOAWAY, PRIORITY, and what floods end with. The
// names say the section of RFC 9113 (PRIORITY: RFC 7540); every case of the conformance suite h2spec is here or in
// test_h2_streams.c or test_h2_messages.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "h2_support.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void text(const char *bytes)
{
    octets(bytes, strlen(bytes));
}

static void empty_settings(unsigned flags)
{
    frame(H2_TYPE_SETTINGS, flags, 0, NULL, 0);
}

/// Prefaces ///

static void section_3_4_server_answers_preface_with_settings(void)
{
    begin(H2_SERVER, 4);
    text(PREFACE);
    empty_settings(0);
    arrive();
    assert_told("window\n");
    assert_sent("SETTINGS 3=4 6=4096\nSETTINGS ack\n");
    assert_lives();
}

static void section_3_4_server_is_silent_before_the_preface(void)
{
    begin(H2_SERVER, 4);
    assert_false(h2_owes(&h2));
    octets(PREFACE, H2_PREFACE_BYTES - 1);
    arrive();
    assert_told("");
    assert_sent_nothing();
    octets("\n", 1);
    arrive();
    assert_sent("SETTINGS 3=4 6=4096\n");
}

static void section_3_4_client_owes_preface_at_once(void)
{
    begin(H2_CLIENT, 4);
    assert_true(h2_owes(&h2));
    write_now();
    assert_sent("preface\nSETTINGS 1=0 2=0 6=4096\n");
}

static void section_3_4_table_size_is_announced(void)
{
    begin(H2_SERVER, 4);
    h2.settings.table_size = 1024;
    text(PREFACE);
    arrive();
    assert_sent("SETTINGS 1=1024 3=4 6=4096\n");
}

static void assert_bad_preface(const char *bytes)
{
    begin(H2_SERVER, 4);
    text(bytes);
    arrive();
    assert_told("failed PROTOCOL_ERROR\n");
    assert_sent("SETTINGS 3=4 6=4096\nGOAWAY 0 PROTOCOL_ERROR connection preface expected\n");
}

static void section_3_4_invalid_preface(void)
{
    assert_bad_preface("INVALID CONNECTION PREFACE\r\n\r\n");
    assert_bad_preface("PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n");
    assert_bad_preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX");
    assert_bad_preface("GETTING / HTTP/1.1\r\n");
    assert_bad_preface("get / HTTP/1.1\r\n");
    assert_bad_preface("POST\t/ HTTP/1.1\r\n");
    assert_bad_preface("PUTS / HTTP/1.1\r\n");
    assert_bad_preface("\x16\x03\x01");
}

// Nothing is owed to it, whatever it says and we do.
static void assert_http1(const char *bytes)
{
    begin(H2_SERVER, 4);
    text(bytes);
    arrive();
    assert_told("not-http2\n");
    h2_goaway(&h2, H2_INTERNAL_ERROR, NULL);
    assert_false(h2_ping(&h2));
    write_now();
    assert_sent_nothing();
    struct h2_step again = h2_receive(&h2, (const uint8_t *)"abc", 3);
    assert_int_equal(again.event, H2_NOT_HTTP2);
    assert_int_equal(again.consumed, 3);
}

static void section_3_4_http1_request(void)
{
    static const char *const methods[] = {"GET ",     "HEAD ",  "POST ",    "PUT ",  "DELETE ",
                                          "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "};
    for (size_t i = 0; i < COUNT(methods); i++) {
        assert_http1(methods[i]);
        begin(H2_SERVER, 4);
        octets(methods[i], strlen(methods[i]) - 1); // not known yet
        arrive();
        assert_told("");
        assert_sent_nothing();
    }
}

static void section_3_4_first_frame_is_settings(void)
{
    begin(H2_SERVER, 4);
    text(PREFACE);
    ping(0, "12345678");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    begin(H2_SERVER, 4);
    text(PREFACE);
    empty_settings(ACK);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    begin(H2_CLIENT, 4);
    write_now();
    text("HTTP/1.1 400 Bad Request\r\n\r\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

/// Frame headers ///

static void section_4_1_unknown_type(void)
{
    greet(H2_SERVER);
    frame(0x16, 0xff, 0, "anything", 8);
    frame(0xff, 0xff, 77, "anything", 8);
    frame(0x0a, 0, 1, NULL, 0);
    arrive();
    assert_told("");
    assert_lives();
}

static void section_4_1_undefined_flags(void)
{
    greet(H2_SERVER);
    ping(0xfe, "12345678");
    arrive();
    assert_sent("PING ack 12345678\n");
    headers(WHOLE | END | 0xd2, 1, GET);
    arrive();
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
}

static void section_4_1_reserved_bit(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_PING, 0, 0x80000000u, "12345678", 8);
    arrive();
    assert_sent("PING ack 12345678\n");
    headers(WHOLE | END, 0x80000001u, GET);
    window(1 | 0x80000000u, 5 | 0x80000000u);
    arrive();
    assert_told("1 headers\n1 ready\n1 end\n1 window\n");
    assert_lives();
}

static void section_4_2_data_of_2_14_octets(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    data(END, 1, H2_FRAME_MAX);
    arrive();
    assert_told("1 headers\n1 ready\n1 data 16384\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
}

static void section_4_2_data_too_large(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    data(END, 1, H2_FRAME_MAX + 1);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

static void section_4_2_any_frame_too_large(void)
{
    for (unsigned type = 0; type < 12; type++) {
        uint8_t header[H2_FRAME_HEADER] = {0, 0x40, 1, (uint8_t)type, 0, 0, 0, 0, 1};
        greet(H2_SERVER);
        headers(type == H2_TYPE_CONTINUATION ? 0 : WHOLE, 1, POST);
        octets(header, sizeof header);
        arrive();
        assert_failed(H2_FRAME_SIZE_ERROR);
    }
}

// At their largest, and one octet below what they need.
static void section_4_2_sizes_of_each_type(void)
{
    static const struct {
        unsigned type;
        uint32_t stream;
        size_t least, most;
    } sizes[] = {{H2_TYPE_RST_STREAM, 1, 4, 4},
                 {H2_TYPE_PING, 0, 8, 8},
                 {H2_TYPE_GOAWAY, 0, 8, H2_FRAME_MAX},
                 {H2_TYPE_WINDOW_UPDATE, 0, 4, 4},
                 {H2_TYPE_WINDOW_UPDATE, 1, 4, 4}};
    static uint8_t payload[H2_FRAME_MAX + 1];
    payload[3] = 1;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t n = 0; n <= H2_FRAME_MAX; n = n < 12 ? n + 1 : n * 2) {
            bool good = n >= sizes[i].least && n <= sizes[i].most;
            greet(H2_SERVER);
            headers(WHOLE, 1, POST);
            frame(sizes[i].type, 0, sizes[i].stream, payload, n);
            arrive();
            if (good)
                assert_lives();
            else
                assert_failed(H2_FRAME_SIZE_ERROR);
        }
    }
}

static void section_5_5_unknown_type_inside_a_block(void)
{
    greet(H2_SERVER);
    headers(0, 1, GET);
    frame(0x16, 0, 0, "12345678", 8);
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

// Which frames must, and which must not name a stream.
static void section_6_streams_of_each_type(void)
{
    static const struct {
        unsigned type;
        uint32_t wrong;
        size_t size;
    } types[] = {{H2_TYPE_DATA, 0, 4},       {H2_TYPE_HEADERS, 0, 4},  {H2_TYPE_PRIORITY, 0, 5},
                 {H2_TYPE_RST_STREAM, 0, 4}, {H2_TYPE_SETTINGS, 1, 6}, {H2_TYPE_PUSH_PROMISE, 0, 4},
                 {H2_TYPE_PING, 1, 8},       {H2_TYPE_GOAWAY, 1, 8},   {H2_TYPE_CONTINUATION, 0, 4}};
    for (size_t i = 0; i < COUNT(types); i++) {
        greet(H2_SERVER);
        headers(WHOLE, 1, POST);
        frame(types[i].type, 0, types[i].wrong, "\0\0\0\0\0\0\0", types[i].size);
        arrive();
        assert_failed(H2_PROTOCOL_ERROR);
    }
}

/// PRIORITY ///

static void section_6_3_any_state(void)
{
    greet(H2_SERVER);
    priority(1, 0);
    priority(3, 1);
    arrive();
    owner = HOLDS;
    headers(WHOLE | END, 1, GET);
    priority(1, 0);
    arrive();
    owner = ANSWERS;
    write_now();
    priority(1, 0);
    headers(WHOLE | END, 3, GET);
    arrive();
    assert_told("1 headers\n1 ready\n1 end\n3 headers\n3 ready\n3 end\n");
    assert_lives();
}

static void section_6_3_wrong_length_is_a_stream_error(void)
{
    greet(H2_SERVER);
    owner = HOLDS;
    headers(WHOLE | END, 1, GET);
    frame(H2_TYPE_PRIORITY, 0, 1, "\x80\0\0\1", 4);
    arrive();
    assert_told("1 headers\n1 ready\n1 end\n1 reset FRAME_SIZE_ERROR\n");
    assert_reset(1, H2_FRAME_SIZE_ERROR);
}

// RST_STREAM is not allowed on an idle stream, so it has to be a connection error.
static void section_6_3_wrong_length_on_an_idle_stream(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_PRIORITY, 0, 1, "\x80\0\0\1\1\1", 6);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

static void section_7540_5_3_1_headers_depend_on_themselves(void)
{
    uint8_t payload[64] = {0, 0, 0, 1, 255};
    greet(H2_SERVER);
    size_t length = 5 + literals(payload + 5, sizeof payload - 5, GET);
    frame(H2_TYPE_HEADERS, WHOLE | END | DEPENDS, 1, payload, length);
    arrive();
    assert_told("");
    assert_reset(1, H2_PROTOCOL_ERROR);
    payload[0] = 0x80; // the exclusive bit is not part of the stream
    frame(H2_TYPE_HEADERS, WHOLE | END | DEPENDS, 3, payload, length);
    arrive();
    assert_told("3 headers\n3 ready\n3 end\n");
}

static void section_7540_5_3_1_priority_depends_on_itself(void)
{
    greet(H2_SERVER);
    priority(1, 1);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    priority(1, 1);
    arrive();
    assert_reset(1, H2_PROTOCOL_ERROR);
}

/// SETTINGS ///

static void section_6_5_ack_with_payload(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_SETTINGS, ACK, 0, "\0\0", 2);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
    greet(H2_SERVER);
    frame(H2_TYPE_SETTINGS, ACK, 0, "\0\3\0\0\0\1", 6);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

static void section_6_5_length_not_of_sixes(void)
{
    for (size_t n = 1; n < 18; n++) {
        static const uint8_t payload[18];
        greet(H2_SERVER);
        frame(H2_TYPE_SETTINGS, 0, 0, payload, n);
        arrive();
        if (n % 6 == 0)
            assert_lives();
        else
            assert_failed(H2_FRAME_SIZE_ERROR);
    }
}

static void assert_setting(enum h2_role role, unsigned id, uint32_t value, enum h2_error error)
{
    greet(role);
    setting(id, value);
    arrive();
    if (error == H2_NO_ERROR)
        assert_lives();
    else
        assert_failed(error);
}

static void section_6_5_2_values(void)
{
    assert_setting(H2_SERVER, H2_ENABLE_PUSH, 0, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_ENABLE_PUSH, 1, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_ENABLE_PUSH, 2, H2_PROTOCOL_ERROR);
    assert_setting(H2_CLIENT, H2_ENABLE_PUSH, 0, H2_NO_ERROR);
    assert_setting(H2_CLIENT, H2_ENABLE_PUSH, 1, H2_PROTOCOL_ERROR);
    assert_setting(H2_SERVER, H2_INITIAL_WINDOW_SIZE, 0, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_INITIAL_WINDOW_SIZE, 0x7fffffff, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_INITIAL_WINDOW_SIZE, 0x80000000u, H2_FLOW_CONTROL_ERROR);
    assert_setting(H2_SERVER, H2_INITIAL_WINDOW_SIZE, 0xffffffffu, H2_FLOW_CONTROL_ERROR);
    assert_setting(H2_SERVER, H2_MAX_FRAME_SIZE, 16383, H2_PROTOCOL_ERROR);
    assert_setting(H2_SERVER, H2_MAX_FRAME_SIZE, 16384, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_MAX_FRAME_SIZE, 0xffffff, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_MAX_FRAME_SIZE, 0x1000000, H2_PROTOCOL_ERROR);
    assert_setting(H2_SERVER, H2_HEADER_TABLE_SIZE, 0xffffffffu, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_MAX_HEADER_LIST_SIZE, 0, H2_NO_ERROR);
    assert_setting(H2_SERVER, H2_MAX_CONCURRENT_STREAMS, 0, H2_NO_ERROR);
    assert_setting(H2_SERVER, 0, 1, H2_NO_ERROR);
    assert_setting(H2_SERVER, 0xff, 1, H2_NO_ERROR);
    assert_setting(H2_SERVER, 0x102, 7, H2_NO_ERROR); // not ENABLE_PUSH
}

static void section_6_5_3_values_in_their_order(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_SETTINGS, 0, 0, "\0\4\0\0\0\144\0\4\0\0\0\1", 12);
    headers(WHOLE | END, 1, GET);
    arrive();
    assert_told("window\n1 headers\n1 ready\n1 end\n");
    assert_sent("SETTINGS ack\nHEADERS 1\nDATA 1 1\n");
}

static void section_6_5_3_each_is_acknowledged(void)
{
    greet(H2_SERVER);
    for (unsigned i = 0; i < 3; i++)
        setting(H2_MAX_CONCURRENT_STREAMS, i);
    arrive();
    assert_sent("SETTINGS ack\nSETTINGS ack\nSETTINGS ack\n");
    assert_int_equal(h2.peer_concurrent, 2);
}

static void section_6_5_3_ack_that_nobody_waits_for(void)
{
    greet(H2_SERVER);
    empty_settings(ACK);
    arrive();
    assert_told("");
    assert_lives();
}

// With four acknowledgements owed nothing more is received until they are written.
static void section_6_5_3_acks_are_bounded(void)
{
    greet(H2_SERVER);
    writes = false;
    for (unsigned i = 0; i < 9; i++)
        empty_settings(0);
    arrive();
    assert_sent("SETTINGS ack\nSETTINGS ack\nSETTINGS ack\nSETTINGS ack\n"
                "SETTINGS ack\nSETTINGS ack\nSETTINGS ack\nSETTINGS ack\n");
    assert_int_equal(h2.owes_settings_acks, 1);
    writes = true;
}

/// PING ///

static void section_6_7_ping(void)
{
    greet(H2_SERVER);
    ping(0, "abcdefgh");
    ping(0, "ijklmnop");
    ping(0, "qrstuvwx");
    arrive();
    assert_sent("PING ack abcdefgh\nPING ack ijklmnop\nPING ack qrstuvwx\n");
}

static void section_6_7_answers_are_bounded(void)
{
    greet(H2_SERVER);
    writes = false;
    for (int i = 0; i < 5; i++)
        ping(0, "abcdefgh");
    arrive();
    assert_sent("PING ack abcdefgh\nPING ack abcdefgh\nPING ack abcdefgh\nPING ack abcdefgh\n");
    assert_int_equal(h2.owes_pings, 1);
}

static void section_6_7_ack_is_not_answered(void)
{
    greet(H2_SERVER);
    ping(ACK, "abcdefgh");
    ping(0, "ijklmnop");
    arrive();
    assert_told("");
    assert_sent("PING ack ijklmnop\n");
}

static void section_6_7_our_own(void)
{
    greet(H2_SERVER);
    assert_true(h2_ping(&h2));
    assert_false(h2_ping(&h2));
    ping(ACK, "pipit-up"); // before it was sent: somebody guessed
    arrive();
    assert_told("");
    assert_sent("PING pipit-up\n");
    assert_false(h2_ping(&h2));
    ping(ACK, "pipit-xx");
    arrive();
    assert_told("");
    ping(ACK, "pipit-up");
    ping(ACK, "pipit-up");
    arrive();
    assert_told("pong\n");
    assert_true(h2_ping(&h2));
}

static void section_5_4_1_invalid_ping_ends_the_connection(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    headers(WHOLE, 3, POST);
    ping(0, "abcdefgh");
    frame(H2_TYPE_PING, 0, 0, "abcdef", 6);
    ping(0, "ijklmnop");
    arrive();
    assert_told("1 headers\n1 ready\n3 headers\n3 ready\nfailed FRAME_SIZE_ERROR\n");
    assert_sent("GOAWAY 3 FRAME_SIZE_ERROR payload of a wrong size for its frame\n");
    assert_int_equal(slot(1)->state, H2_CLOSED);
}

/// GOAWAY ///

static void section_6_8_from_the_peer(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    frame(H2_TYPE_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\2because", 15);
    data(END, 1, 3);
    arrive();
    assert_told("1 headers\n1 ready\ngoaway INTERNAL_ERROR\n1 data 3\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
    assert_lives();
}

static void section_7_unknown_error_codes(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    reset(1, 0xff);
    goaway(0, 0xfffffff1u);
    arrive();
    assert_told("1 headers\n1 ready\n1 reset unknown error\ngoaway unknown error\n");
    assert_lives();
}

// Streams that are open go on, those above the last one are ignored, though their blocks are decoded.
static void section_6_8_our_own_is_graceful(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    arrive();
    h2_goaway(&h2, H2_NO_ERROR, NULL);
    h2_goaway(&h2, H2_NO_ERROR, "again"); // once is enough
    write_now();
    assert_sent("GOAWAY 1 NO_ERROR \n");
    uint8_t block[128] = {0x40};
    size_t length = 1 + literals(block + 1, sizeof block - 1, "x: y\n") - 1;
    memmove(block + 1, block + 2, length - 1); // x: y, which enters the dynamic table
    frame(H2_TYPE_HEADERS, WHOLE, 3, block, length);
    data(0, 3, 100);
    window(3, 5);
    headers(WHOLE | END, 3, "trailer: x\n");
    reset(3, H2_CANCEL);
    arrive();
    assert_sent_nothing();
    tell_fields = true;
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, "\xbe", 1);
    arrive();
    assert_told("1 headers\n1 ready\n1 trailers\n1 x: y\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
    assert_int_equal(h2_streams(&h2), 0);
    assert_true(h2_spent(&h2));
    data(0, 5, 1); // not even opened
    arrive();
    assert_told("failed PROTOCOL_ERROR\n");
    assert_sent("GOAWAY 1 PROTOCOL_ERROR DATA on an idle stream\n"); // not a higher one than before
}

static void section_6_8_our_own_with_an_error(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    ping(0, "12345678");
    writes = false;
    arrive();
    h2_goaway(&h2, H2_SETTINGS_TIMEOUT, "too_slow");
    h2_goaway(&h2, H2_INTERNAL_ERROR, "later");
    write_now();
    assert_sent("GOAWAY 1 SETTINGS_TIMEOUT too_slow\n");
    assert_int_equal(slot(1)->state, H2_CLOSED);
    let_go(1, H2_CANCEL);
    assert_false(h2_owes(&h2));
    assert_int_equal(h2_streams(&h2), 0);
}

static void section_6_8_graceful_before_the_preface(void)
{
    begin(H2_SERVER, 4);
    h2_goaway(&h2, H2_NO_ERROR, NULL);
    write_now();
    assert_sent_nothing();
    text(PREFACE);
    empty_settings(0);
    arrive();
    assert_sent("SETTINGS 3=4 6=4096\nSETTINGS ack\nGOAWAY 0 NO_ERROR \n");
}

static void section_6_8_long_debug_data_is_cut(void)
{
    greet(H2_SERVER);
    h2_goaway(&h2, H2_INTERNAL_ERROR, "0123456789012345678901234567890123456789012345678901234567890123 and more");
    write_room = H2_WRITE_LEAST;
    write_now();
    assert_sent("GOAWAY 0 INTERNAL_ERROR 0123456789012345678901234567890123456789012345678901234567890123\n");
}

static void section_7_names(void)
{
    assert_string_equal(h2_error_name(H2_NO_ERROR), "NO_ERROR");
    assert_string_equal(h2_error_name(H2_HTTP_1_1_REQUIRED), "HTTP_1_1_REQUIRED");
    assert_string_equal(h2_error_name(14), "unknown error");
    greet(H2_SERVER);
}

static void section_8_4_push_promise(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    frame(H2_TYPE_PUSH_PROMISE, WHOLE, 1, "\0\0\0\2\x82\x87\x84", 7);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_CLIENT);
    request(false);
    frame(H2_TYPE_PUSH_PROMISE, WHOLE, 1, "\0\0\0\2\x82\x87\x84", 7);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

/// Floods ///

// Adds frames until the connection ends; how many it took.
static uint32_t flood(void (*add)(uint32_t n))
{
    for (uint32_t n = 1; n < 100000; n++) {
        add(n);
        arrive();
        if (h2_failed(&h2))
            return n;
    }
    fail_msg("the flood never ended");
    return 0;
}

static void add_ping(uint32_t n)
{
    (void)n;
    ping(0, "12345678");
}

static void add_settings(uint32_t n)
{
    (void)n;
    setting(H2_INITIAL_WINDOW_SIZE, 1);
}

static void add_ack(uint32_t n)
{
    (void)n;
    empty_settings(ACK);
}

static void add_priority(uint32_t n)
{
    priority(2 * n + 1, 0);
}

static void add_unknown(uint32_t n)
{
    (void)n;
    frame(0x77, 0, 0, NULL, 0);
}

static void add_empty_data(uint32_t n)
{
    (void)n;
    data(0, 1, 0);
}

static void add_padded_nothing(uint32_t n)
{
    (void)n;
    padded_data(0, 1, 0, 9);
}

static void add_window(uint32_t n)
{
    (void)n;
    window(0, 1);
}

static void add_stale_window(uint32_t n)
{
    (void)n;
    window(3, 1);
}

static void add_goaway(uint32_t n)
{
    (void)n;
    goaway(1, 0);
}

static void section_10_5_floods_end(void)
{
    static const struct {
        void (*add)(uint32_t n);
        const char *goaway;
    } floods[] = {
        {add_ping, "too_many_pings"},
        {add_settings, "too_many_settings"},
        {add_ack, "too_many_settings"},
        {add_priority, "too_many_priorities"},
        {add_unknown, "too_many_unknown_frames"},
        {add_empty_data, "too_many_empty_frames"},
        {add_padded_nothing, "too_many_empty_frames"},
        {add_window, "too_many_window_updates"},
        {add_stale_window, "too_many_window_updates"},
        {add_goaway, "too_many_goaways"},
    };
    for (size_t i = 0; i < COUNT(floods); i++) {
        greet(H2_SERVER);
        owner = HOLDS;
        headers(WHOLE, 1, POST);
        headers(WHOLE, 3, POST);
        reset(3, H2_CANCEL);
        arrive();
        assert_in_range(flood(floods[i].add), H2_NUISANCES_MAX / 2, H2_NUISANCES_MAX + 3 * H2_UPDATES_PER_FRAME);
        assert_non_null(strstr(sent_text(), floods[i].goaway));
        assert_failed(H2_ENHANCE_YOUR_CALM);
    }
}

// A rate below half of the limit goes on for ever.
static void section_10_5_calm_is_forgiven(void)
{
    greet(H2_SERVER);
    for (uint32_t second = 0; second < 20; second++) {
        for (uint32_t n = 0; n < H2_NUISANCES_MAX / 2 - 10; n++)
            ping(0, "12345678");
        arrive();
        forget();
        h2_calm(&h2);
    }
    assert_lives();
}

static void section_10_5_each_value_of_settings_counts(void)
{
    static uint8_t payload[2730 * 6];
    for (size_t i = 0; i < sizeof payload; i += 6)
        memcpy(payload + i, i % 12 == 0 ? "\0\4\0\0\0\1" : "\0\4\0\0\0\2", 6);
    greet(H2_SERVER);
    frame(H2_TYPE_SETTINGS, 0, 0, payload, sizeof payload);
    arrive();
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

int main(void)
{
    static const struct scenario scenarios[] = {
        {"section 3 4 server answers preface with settings", section_3_4_server_answers_preface_with_settings},
        {"section 3 4 server is silent before the preface", section_3_4_server_is_silent_before_the_preface},
        {"section 3 4 client owes preface at once", section_3_4_client_owes_preface_at_once},
        {"section 3 4 table size is announced", section_3_4_table_size_is_announced},
        {"section 3 4 invalid preface", section_3_4_invalid_preface},
        {"section 3 4 http1 request", section_3_4_http1_request},
        {"section 3 4 first frame is settings", section_3_4_first_frame_is_settings},
        {"section 4 1 unknown type", section_4_1_unknown_type},
        {"section 4 1 undefined flags", section_4_1_undefined_flags},
        {"section 4 1 reserved bit", section_4_1_reserved_bit},
        {"section 4 2 data of 2 14 octets", section_4_2_data_of_2_14_octets},
        {"section 4 2 data too large", section_4_2_data_too_large},
        {"section 4 2 any frame too large", section_4_2_any_frame_too_large},
        {"section 4 2 sizes of each type", section_4_2_sizes_of_each_type},
        {"section 5 5 unknown type inside a block", section_5_5_unknown_type_inside_a_block},
        {"section 6 streams of each type", section_6_streams_of_each_type},
        {"section 6 3 any state", section_6_3_any_state},
        {"section 6 3 wrong length is a stream error", section_6_3_wrong_length_is_a_stream_error},
        {"section 6 3 wrong length on an idle stream", section_6_3_wrong_length_on_an_idle_stream},
        {"section 7540 5 3 1 headers depend on themselves", section_7540_5_3_1_headers_depend_on_themselves},
        {"section 7540 5 3 1 priority depends on itself", section_7540_5_3_1_priority_depends_on_itself},
        {"section 6 5 ack with payload", section_6_5_ack_with_payload},
        {"section 6 5 length not of sixes", section_6_5_length_not_of_sixes},
        {"section 6 5 2 values", section_6_5_2_values},
        {"section 6 5 3 values in their order", section_6_5_3_values_in_their_order},
        {"section 6 5 3 each is acknowledged", section_6_5_3_each_is_acknowledged},
        {"section 6 5 3 ack that nobody waits for", section_6_5_3_ack_that_nobody_waits_for},
        {"section 6 5 3 acks are bounded", section_6_5_3_acks_are_bounded},
        {"section 6 7 ping", section_6_7_ping},
        {"section 6 7 answers are bounded", section_6_7_answers_are_bounded},
        {"section 6 7 ack is not answered", section_6_7_ack_is_not_answered},
        {"section 6 7 our own", section_6_7_our_own},
        {"section 5 4 1 invalid ping ends the connection", section_5_4_1_invalid_ping_ends_the_connection},
        {"section 6 8 from the peer", section_6_8_from_the_peer},
        {"section 7 unknown error codes", section_7_unknown_error_codes},
        {"section 6 8 our own is graceful", section_6_8_our_own_is_graceful},
        {"section 6 8 our own with an error", section_6_8_our_own_with_an_error},
        {"section 6 8 graceful before the preface", section_6_8_graceful_before_the_preface},
        {"section 6 8 long debug data is cut", section_6_8_long_debug_data_is_cut},
        {"section 7 names", section_7_names},
        {"section 8 4 push promise", section_8_4_push_promise},
        {"section 10 5 floods end", section_10_5_floods_end},
        {"section 10 5 calm is forgiven", section_10_5_calm_is_forgiven},
        {"section 10 5 each value of settings counts", section_10_5_each_value_of_settings_counts},
    };
    return run_scenarios("h2_frames", scenarios, COUNT(scenarios));
}
