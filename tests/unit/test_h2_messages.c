// HTTP/2 messages: header blocks in their frames, what sections 8.1 to 8.3 of RFC 9113 make of the fields,
// content-length, trailers, and what is too large. The names say the section; HPACK's are of RFC 7541.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "h2_support.h"

// A request with these fields is well-formed, or the stream is reset; never more than that.
static void assert_request(const char *fields, bool good)
{
    greet(H2_SERVER);
    headers(WHOLE | END, 1, fields);
    arrive();
    if (good) {
        assert_told("1 headers\n1 ready\n1 end\n");
        assert_sent("HEADERS 1\nDATA 1 5 end\n");
    } else {
        assert_null(strstr(sent_text(), "HEADERS"));
        assert_reset(1, H2_PROTOCOL_ERROR);
    }
    assert_int_equal(h2_streams(&h2), 0);
}

/// Header blocks ///

static void section_4_3_bad_block(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, "\x40", 1);
    arrive();
    assert_failed(H2_COMPRESSION_ERROR);
}

static void section_4_3_priority_inside_a_block(void)
{
    greet(H2_SERVER);
    headers(END, 1, GET);
    priority(1, 0);
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_4_3_another_stream_inside_a_block(void)
{
    greet(H2_SERVER);
    headers(END, 1, GET);
    headers(END | WHOLE, 3, GET);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    headers(END, 1, GET);
    continuation(WHOLE, 3, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_6_2_padding_and_priority(void)
{
    uint8_t payload[128] = {3, 0, 0, 0, 7, 200}; // depends on 7
    greet(H2_SERVER);
    tell_fields = true;
    size_t length = 6 + literals(payload + 6, sizeof payload - 6, GET);
    memset(payload + length, 0xee, 3);
    frame(H2_TYPE_HEADERS, WHOLE | END | PADDED | DEPENDS, 1, payload, length + 3);
    arrive();
    assert_told("1 headers\n1 :method: GET\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 ready\n1 end\n");
    assert_lives();
}

static void section_6_2_invalid_pad_length(void)
{
    uint8_t payload[128] = {0};
    size_t length = 1 + literals(payload + 1, sizeof payload - 1, GET);
    greet(H2_SERVER);
    payload[0] = (uint8_t)(length + 1);
    frame(H2_TYPE_HEADERS, WHOLE | END | PADDED, 1, payload, length);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    payload[0] = (uint8_t)length; // what is left is one less
    frame(H2_TYPE_HEADERS, WHOLE | END | PADDED, 1, payload, length);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    frame(H2_TYPE_HEADERS, WHOLE | END | PADDED | DEPENDS, 1, payload, 5);
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

// Nothing but padding is an empty block, which is no request.
static void section_6_2_only_padding(void)
{
    greet(H2_SERVER);
    frame(H2_TYPE_HEADERS, WHOLE | END | PADDED, 1, "\3\0\0\0", 4);
    arrive();
    assert_told("");
    assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_6_10_many_continuations(void)
{
    greet(H2_SERVER);
    tell_fields = true;
    headers(END, 1, GET);
    continuation(0, 1, "a: b\n");
    frame(H2_TYPE_CONTINUATION, 0, 1, "\0\1", 2); // in the middle of a field
    frame(H2_TYPE_CONTINUATION, 0, 1, NULL, 0);
    frame(H2_TYPE_CONTINUATION, 0, 1, "c\1", 2);
    frame(H2_TYPE_CONTINUATION, WHOLE, 1, "d", 1);
    arrive();
    assert_told("1 headers\n1 :method: GET\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 a: b\n1 c: d\n"
                "1 ready\n1 end\n");
    assert_lives();
}

static void section_6_10_another_frame_between(void)
{
    greet(H2_SERVER);
    headers(0, 1, GET);
    continuation(0, 1, "a: b\n");
    data(END, 1, 4);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_6_10_without_headers(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    headers(0, 1, POST);
    continuation(WHOLE, 1, "a: b\n");
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    data(0, 1, 4);
    continuation(WHOLE, 1, "a: b\n");
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void section_10_5_1_continuation_flood(void)
{
    greet(H2_SERVER);
    headers(0, 1, GET);
    for (int i = 1; i < H2_BLOCK_FRAMES; i++)
        continuation(0, 1, "");
    arrive();
    assert_false(h2_failed(&h2));
    continuation(0, 1, "");
    arrive();
    assert_non_null(strstr(sent_text(), "header_block_too_large"));
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

static void section_10_5_1_endless_block(void)
{
    static const uint8_t zeros[H2_FRAME_MAX];
    uint8_t begins[] = {0, 0x7f, 0x80 | 0x7f, 0x7f}; // a name of 16 KB and more
    greet(H2_SERVER);
    frame(H2_TYPE_HEADERS, 0, 1, begins, sizeof begins);
    frame(H2_TYPE_CONTINUATION, 0, 1, zeros, 16000);
    arrive();
    assert_false(h2_failed(&h2));
    frame(H2_TYPE_CONTINUATION, 0, 1, zeros, H2_FRAME_MAX);
    arrive();
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

// Empty ones that end are not malformed by themselves, but there is no work in them.
static void section_10_5_empty_trailers(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, NULL, 0);
    arrive();
    assert_told("1 headers\n1 ready\n1 trailers\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
}

/// HPACK's own errors ///

static void section_7541_errors(void)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t length;
    } blocks[] = {
        {"2.3.3 index beyond the tables", "\xc6", 1},
        {"4.2 update behind a field", "\x82\x3f\xe1\x1f", 4},
        {"5.2 padding longer than 7 bits", "\x82\0\1x\x82\x1f\xff", 7},
        {"5.2 padding of zeros", "\x82\0\1x\x81\x18", 6},
        {"5.2 EOS", "\x82\0\1x\x84\xff\xff\xff\xff", 9},
        {"6.1 index 0", "\x80", 1},
        {"6.3 update above SETTINGS", "\x3f\xe2\x1f", 3},
        {"5.1 integer without end", "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
    };
    for (size_t i = 0; i < COUNT(blocks); i++) {
        greet(H2_SERVER);
        frame(H2_TYPE_HEADERS, WHOLE | END, 1, blocks[i].bytes, blocks[i].length);
        arrive();
        if (!h2_failed(&h2))
            fail_msg("%s", blocks[i].what);
        assert_failed(H2_COMPRESSION_ERROR);
    }
}

// One entry of 2 KB, named again and again: octets of input that become kilobytes.
static void section_7541_bomb(void)
{
    static uint8_t block[4096];
    size_t length = literals(block, sizeof block, GET);
    block[length] = 0x40;
    memcpy(block + length + 1, "\1x\x7f\x81\x0f", 5); // a value of 127 + 1 + 15 * 128 octets
    memset(block + length + 6, 'b', 2048);
    length += 6 + 2048;
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, block, length);
    arrive();
    assert_told("1 headers\n1 ready\n3 headers\n3 ready large\n3 end\n"); // more than the buffer for a field
    memset(block, 0xbe, 100);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, block, 100);
    arrive();
    assert_non_null(strstr(sent_text(), "header list far too large"));
    assert_failed(H2_COMPRESSION_ERROR);
}

/// Requests ///

static void section_8_1_second_headers_without_end(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    data(0, 1, 4);
    headers(WHOLE, 1, "x: y\n");
    arrive();
    assert_told("1 headers\n1 ready\n1 data 4\n1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_1_trailers(void)
{
    greet(H2_SERVER);
    tell_fields = true;
    headers(WHOLE, 1, POST "trailer: x\n");
    data(0, 1, 4);
    headers(WHOLE | END, 1, "x: ok\ngrpc-status: 0\n");
    arrive();
    assert_told("1 headers\n1 :method: POST\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 trailer: x\n1 ready\n"
                "1 data 4\n1 trailers\n1 x: ok\n1 grpc-status: 0\n1 end\n");
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
}

static void assert_trailers(const char *fields, bool good)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST);
    headers(WHOLE | END, 1, fields);
    arrive();
    if (good)
        assert_lives();
    else
        assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_1_fields_of_trailers(void)
{
    assert_trailers("x: y\n", true);
    assert_trailers("content-length: 17\n", true); // says nothing there
    assert_trailers(":method: POST\n", false);
    assert_trailers("x: y\n:path: /\n", false);
    assert_trailers("X: y\n", false);
    assert_trailers("connection: close\n", false);
}

static void section_8_2_1_names(void)
{
    char fields[128];
    for (unsigned c = 1; c < 256; c++) {
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("!#$%&'*+-.^_`|~", (int)c) != NULL;
        if (c == '\n' || c == ':') // the notation of these tests has no such names
            continue;
        snprintf(fields, sizeof fields, GET "x%c: y\n", (int)c);
        assert_request(fields, good);
        snprintf(fields, sizeof fields, GET "%c: y\n", (int)c);
        assert_request(fields, good);
    }
    assert_request(GET "accept-Encoding: gzip\n", false);
}

static void assert_literal_request(const char *name, size_t name_length, const char *value, size_t value_length,
                                   bool good)
{
    uint8_t block[128];
    size_t length = literals(block, sizeof block, GET);
    block[length++] = 0;
    block[length++] = (uint8_t)name_length;
    memcpy(block + length, name, name_length);
    length += name_length;
    block[length++] = (uint8_t)value_length;
    memcpy(block + length, value, value_length);
    length += value_length;
    greet(H2_SERVER);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, block, length);
    arrive();
    if (good)
        assert_lives();
    else
        assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_2_1_octets(void)
{
    assert_literal_request("", 0, "y", 1, false);
    assert_literal_request("a:b", 3, "y", 1, false);
    assert_literal_request("a\0b", 3, "y", 1, false);
    assert_literal_request("a\n", 2, "y", 1, false);
    assert_literal_request(":", 1, "y", 1, false);
    assert_literal_request("x", 1, "a\0b", 3, false);
    assert_literal_request("x", 1, "a\rb", 3, false);
    assert_literal_request("x", 1, "a\nb", 3, false);
    assert_literal_request("x", 1, " a", 2, false);
    assert_literal_request("x", 1, "a ", 2, false);
    assert_literal_request("x", 1, "\ta", 2, false);
    assert_literal_request("x", 1, "a\t", 2, false);
    assert_literal_request("x", 1, " ", 1, false);
    assert_literal_request("x", 1, "", 0, true);
    assert_literal_request("x", 1, "a \t\x80\xff\x01 b", 8, true);
}

static void section_8_2_2_connection_specific(void)
{
    assert_request(GET "connection: keep-alive\n", false);
    assert_request(GET "proxy-connection: keep-alive\n", false);
    assert_request(GET "keep-alive: 5\n", false);
    assert_request(GET "transfer-encoding: chunked\n", false);
    assert_request(GET "upgrade: h2c\n", false);
    assert_request(GET "te: trailers\n", true);
    assert_request(GET "te: Trailers\n", true);
    assert_request(GET "te: gzip\n", false);
    assert_request(GET "te: trailers, deflate;q=0.5\n", false);
}

static void section_8_3_pseudo_header_fields(void)
{
    assert_request(GET ":test: test\n", false);
    assert_request(GET ":status: 200\n", false);
    assert_request(GET ":protocol: websocket\n", false);
    assert_request(":method: GET\n:scheme: http\nx: y\n:path: /\n", false);
    assert_request("x: y\n" GET, false);
}

static void section_8_3_1_requests(void)
{
    assert_request(":path: /\n:method: GET\n:scheme: http\n", true);
    assert_request(":method: GET\n:scheme: http\n:path: \n", false);
    assert_request(":method: \n:scheme: http\n:path: /\n", false);
    assert_request(":method: GET\n:scheme: \n:path: /\n", false);
    assert_request(":scheme: http\n:path: /\n", false);
    assert_request(":method: GET\n:path: /\n", false);
    assert_request(":method: GET\n:scheme: http\n", false);
    assert_request(GET ":method: GET\n", false);
    assert_request(GET ":scheme: http\n", false);
    assert_request(GET ":path: /\n", false);
    assert_request(GET ":authority: pipit\n", false);
    assert_request(":method: OPTIONS\n:scheme: http\n:path: *\n", true);
    assert_request("x: y\n", false);
}

static void section_8_5_connect(void)
{
    assert_request(":method: CONNECT\n:authority: pipit:1\n", true);
    assert_request(":method: CONNECT\n", false);
    assert_request(":method: CONNECT\n:authority: pipit:1\n:path: /\n", false);
    assert_request(":method: CONNECT\n:authority: pipit:1\n:scheme: http\n", false);
    assert_request(":method: connect\n:authority: pipit:1\n", false);
}

// What comes behind a malformed field still enters the dynamic table.
static void section_8_1_1_malformed_block_is_decoded(void)
{
    uint8_t block[64];
    greet(H2_SERVER);
    size_t length = literals(block, sizeof block, "A: b\n");
    memcpy(block + length, "\x40\1x\1y", 5);
    frame(H2_TYPE_HEADERS, 0, 1, block, length);
    frame(H2_TYPE_CONTINUATION, WHOLE | END, 1, block + length, 5);
    arrive();
    assert_told("");
    assert_reset(1, H2_PROTOCOL_ERROR);
    tell_fields = true;
    headers(WHOLE, 3, POST);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, "\xbe", 1);
    arrive();
    assert_told("3 headers\n3 :method: POST\n3 :scheme: http\n3 :path: /\n3 :authority: pipit\n3 ready\n3 trailers\n"
                "3 x: y\n3 end\n");
}

// Told already when it turned out: then its owner hears of it.
static void section_8_1_1_malformed_late(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, GET "upgrade: x\n");
    data(END, 1, 4);
    arrive();
    assert_told("1 headers\n1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
    headers(WHOLE | END, 3, ":method: GET\n:scheme: http\n"); // only the end of the section shows it
    arrive();
    assert_told("3 headers\n3 reset PROTOCOL_ERROR\n");
    assert_reset(3, H2_PROTOCOL_ERROR);
}

static void section_8_2_never_indexed_is_told(void)
{
    uint8_t block[64];
    greet(H2_SERVER);
    tell_fields = true;
    size_t length = literals(block, sizeof block, GET);
    memcpy(block + length, "\x10\1x\1y", 5);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, block, length + 5);
    arrive();
    assert_told("1 headers\n1 :method: GET\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 secret x: y\n1 ready\n"
                "1 end\n");
}

/// Content-Length ///

static void assert_content(const char *announced, size_t first, size_t second, bool good)
{
    char fields[256];
    snprintf(fields, sizeof fields, POST "%s", announced);
    greet(H2_SERVER);
    headers(WHOLE, 1, fields);
    data(second > 0 ? 0 : END, 1, first);
    if (second > 0)
        data(END, 1, second);
    arrive();
    if (good)
        assert_sent("HEADERS 1\nDATA 1 5 end\n");
    else
        assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_1_1_content_length(void)
{
    assert_content("content-length: 4\n", 4, 0, true);
    assert_content("content-length: 1\n", 4, 0, false);
    assert_content("content-length: 5\n", 4, 0, false);
    assert_content("content-length: 8\n", 4, 4, true);
    assert_content("content-length: 1\n", 4, 4, false);
    assert_content("content-length: 7\n", 4, 4, false);
    assert_content("content-length: 9\n", 4, 4, false);
    assert_content("content-length: 0\n", 0, 0, true);
    assert_content("content-length: 0\n", 1, 0, false);
    assert_content("content-length: 00004\n", 4, 0, true);
    assert_content("content-length: \n", 4, 0, false);
    assert_content("content-length: +4\n", 4, 0, false);
    assert_content("content-length: -4\n", 4, 0, false);
    assert_content("content-length: 4,4\n", 4, 0, false);
    assert_content("content-length: 0x4\n", 4, 0, false);
    assert_content("content-length: 18446744073709551620\n", 4, 0, false);
    assert_content("content-length: 9223372036854775808\n", 4, 0, false);
    assert_content("content-length: 4\ncontent-length: 4\n", 4, 0, false);
    assert_content("content-length: 4\ncontent-length: 5\n", 4, 0, false);
}

// What comes too much is not told first.
static void section_8_1_1_too_much_content_is_not_told(void)
{
    greet(H2_SERVER);
    headers(WHOLE, 1, POST "content-length: 6\n");
    data(0, 1, 4);
    data(0, 1, 3);
    arrive();
    assert_told("1 headers\n1 ready\n1 data 4\n1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_1_1_content_length_without_content(void)
{
    assert_request(GET "content-length: 0\n", true);
    greet(H2_SERVER);
    headers(WHOLE | END, 1, GET "content-length: 1\n");
    arrive();
    assert_told("1 headers\n1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
    greet(H2_SERVER);
    headers(WHOLE, 1, POST "content-length: 5\n");
    padded_data(0, 1, 5, 77); // padding is not content
    headers(WHOLE | END, 1, "x: y\n");
    arrive();
    assert_sent("HEADERS 1\nDATA 1 5 end\n");
    greet(H2_SERVER);
    headers(WHOLE, 1, POST "content-length: 5\n");
    data(0, 1, 4);
    headers(WHOLE | END, 1, "x: y\n");
    arrive();
    assert_told("1 headers\n1 ready\n1 data 4\n1 trailers\n1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
}

/// Too large ///

// A text of `length` letters as the value of a field.
static const char *long_fields(const char *before, const char *name, size_t length, const char *after)
{
    static char text[16384];
    int n = snprintf(text, sizeof text, "%s%s: ", before, name);
    memset(text + n, 'v', length);
    snprintf(text + n + length, sizeof text - (size_t)n - length, "\n%s", after);
    return text;
}

// Longer than the buffer for a field, which has 1,024 bytes here.
static void section_10_5_1_field_too_large(void)
{
    greet(H2_SERVER);
    tell_fields = true;
    headers(WHOLE | END, 1, long_fields(GET, "long", 1024 - 4, "x: y\n"));
    arrive();
    assert_null(strstr(sent_text(), "RST_STREAM"));
    forget();
    headers(WHOLE | END, 3, long_fields(GET, "long", 1024 - 3, "x: y\n"));
    arrive();
    assert_told("3 headers\n3 :method: GET\n3 :scheme: http\n3 :path: /\n3 :authority: pipit\n3 large long: \n"
                "3 x: y\n3 ready large\n3 end\n");
    assert_lives();
}

static void section_10_5_1_path_too_large(void)
{
    greet(H2_SERVER);
    tell_fields = true;
    headers(WHOLE | END, 1, long_fields(":method: GET\n:scheme: http\n", ":path", 2000, "x: y\n"));
    arrive();
    assert_told("1 headers\n1 :method: GET\n1 :scheme: http\n1 large :path: \n1 x: y\n1 ready large\n1 end\n");
    forget();
    headers(WHOLE | END, 3, long_fields("", ":path", 2000, ":method: GET\n:scheme: http\n")); // the very first
    arrive();
    assert_told("3 headers\n3 large :path: \n3 :method: GET\n3 :scheme: http\n3 ready large\n3 end\n");
    assert_lives();
}

static void section_10_5_1_name_too_large(void)
{
    char name[2000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    greet(H2_SERVER);
    tell_fields = true;
    headers(WHOLE | END, 1, long_fields(GET, name, 1, "x: y\n"));
    arrive();
    assert_told("1 headers\n1 :method: GET\n1 :scheme: http\n1 :path: /\n1 :authority: pipit\n1 large : \n1 x: y\n"
                "1 ready large\n1 end\n");
    assert_lives();
}

static void section_10_5_1_malformed_though_too_large(void)
{
    greet(H2_SERVER);
    headers(WHOLE | END, 1, long_fields(GET, "transfer-encoding", 2000, ""));
    headers(WHOLE | END, 3, long_fields(GET, "content-length", 2000, ""));
    headers(WHOLE | END, 5, long_fields(GET, "Capital", 1010, ""));
    headers(WHOLE | END, 7, long_fields(GET, ":path", 2000, ""));
    arrive();
    assert_sent("RST_STREAM 1 PROTOCOL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR\nRST_STREAM 5 PROTOCOL_ERROR\n"
                "RST_STREAM 7 PROTOCOL_ERROR\n");
    assert_lives();
}

// The list passes SETTINGS_MAX_HEADER_LIST_SIZE: what is missing can't be told from what was never there.
static void section_10_5_1_list_too_large(void)
{
    char fields[8192];
    for (int i = 0; i < 100; i++)
        memcpy(fields + 14 * i, "x: 0123456789\n", 14);
    memcpy(fields + 14 * 100, GET, sizeof GET);
    greet(H2_SERVER);
    headers(WHOLE | END, 1, GET);
    arrive();
    forget();
    h2.settings.list_max = 20;
    headers(WHOLE | END, 3, GET);
    arrive();
    assert_told("3 headers\n3 ready large\n3 end\n");
    h2.settings.list_max = LIST_MAX;
    headers(WHOLE | END, 5, fields + 14 * 60); // within the limit, so all of it is looked at
    arrive();
    assert_told("5 headers\n5 reset PROTOCOL_ERROR\n");
    assert_reset(5, H2_PROTOCOL_ERROR);
    headers(WHOLE, 7, POST);
    headers(WHOLE | END, 7, fields); // trailers, with pseudo-header fields beyond what is looked at
    arrive();
    assert_told("7 headers\n7 ready\n7 trailers\n7 end large\n");
    assert_lives();
}

int main(void)
{
    static const struct scenario scenarios[] = {
        {"section 4 3 bad block", section_4_3_bad_block},
        {"section 4 3 priority inside a block", section_4_3_priority_inside_a_block},
        {"section 4 3 another stream inside a block", section_4_3_another_stream_inside_a_block},
        {"section 6 2 padding and priority", section_6_2_padding_and_priority},
        {"section 6 2 invalid pad length", section_6_2_invalid_pad_length},
        {"section 6 2 only padding", section_6_2_only_padding},
        {"section 6 10 many continuations", section_6_10_many_continuations},
        {"section 6 10 another frame between", section_6_10_another_frame_between},
        {"section 6 10 without headers", section_6_10_without_headers},
        {"section 10 5 1 continuation flood", section_10_5_1_continuation_flood},
        {"section 10 5 1 endless block", section_10_5_1_endless_block},
        {"section 10 5 empty trailers", section_10_5_empty_trailers},
        {"section 7541 errors", section_7541_errors},
        {"section 7541 bomb", section_7541_bomb},
        {"section 8 1 second headers without end", section_8_1_second_headers_without_end},
        {"section 8 1 trailers", section_8_1_trailers},
        {"section 8 1 fields of trailers", section_8_1_fields_of_trailers},
        {"section 8 2 1 names", section_8_2_1_names},
        {"section 8 2 1 octets", section_8_2_1_octets},
        {"section 8 2 2 connection specific", section_8_2_2_connection_specific},
        {"section 8 3 pseudo header fields", section_8_3_pseudo_header_fields},
        {"section 8 3 1 requests", section_8_3_1_requests},
        {"section 8 5 connect", section_8_5_connect},
        {"section 8 1 1 malformed block is decoded", section_8_1_1_malformed_block_is_decoded},
        {"section 8 1 1 malformed late", section_8_1_1_malformed_late},
        {"section 8 2 never indexed is told", section_8_2_never_indexed_is_told},
        {"section 8 1 1 content length", section_8_1_1_content_length},
        {"section 8 1 1 too much content is not told", section_8_1_1_too_much_content_is_not_told},
        {"section 8 1 1 content length without content", section_8_1_1_content_length_without_content},
        {"section 10 5 1 field too large", section_10_5_1_field_too_large},
        {"section 10 5 1 path too large", section_10_5_1_path_too_large},
        {"section 10 5 1 name too large", section_10_5_1_name_too_large},
        {"section 10 5 1 malformed though too large", section_10_5_1_malformed_though_too_large},
        {"section 10 5 1 list too large", section_10_5_1_list_too_large},
    };
    return run_scenarios("h2_messages", scenarios, COUNT(scenarios));
}
