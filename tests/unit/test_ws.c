// WebSocket frames. Every vector is decoded whole, byte by byte, split anywhere and into small output buffers, with
// input and output flush against a page that may not be touched; all ways must tell the same story.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mbedtls/build_info.h>
#include <stdio.h>
#include <string.h>

#include "../../services/proto/ws.h"
#include "guard_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/// Guarded memory ///

#define GUARDED (1u << 18)

static uint8_t *input_end; // the first byte that may not be touched
static uint8_t *output_end;

static int set_up(void **state)
{
    (void)state;
    input_end = guard_behind(GUARDED);
    output_end = guard_behind(GUARDED);
    return 0;
}

/// A client, written apart from the code under test ///

static uint8_t control_bytes[WS_CONTROL_MAX];

struct bytes {
    uint8_t at[GUARDED];
    size_t length;
};

static void add(struct bytes *b, const void *bytes, size_t length)
{
    assert_true(b->length + length <= sizeof b->at);
    if (length > 0)
        memcpy(b->at + b->length, bytes, length);
    b->length += length;
}

static void add_frame(struct bytes *b, uint8_t first, const uint8_t key[4], const void *payload, size_t length)
{
    uint8_t header[14] = {first};
    size_t have = 2;
    if (length < 126) {
        header[1] = (uint8_t)(0x80 + length);
    } else if (length < 65536) {
        header[1] = 0xFE;
        header[2] = (uint8_t)(length / 256);
        header[3] = (uint8_t)(length % 256);
        have = 4;
    } else {
        header[1] = 0xFF;
        for (size_t i = 0, rest = length; i < 8; i++, rest /= 256)
            header[9 - i] = (uint8_t)(rest % 256);
        have = 10;
    }
    memcpy(header + have, key, 4);
    add(b, header, have + 4);
    for (size_t i = 0; i < length; i++) {
        uint8_t masked = ((const uint8_t *)payload)[i] ^ key[i % 4];
        add(b, &masked, 1);
    }
}

static const uint8_t rfc_key[4] = {0x37, 0xfa, 0x21, 0x3d};

static struct bytes built;

static struct bytes *build(void)
{
    built.length = 0;
    return &built;
}

/// What was told, as text ///

struct story {
    char text[1u << 16];
    size_t length;
    uint8_t message[GUARDED]; // of the message under way
    size_t message_length;
    bool in_message;
    bool failed;
    size_t consumed;
};

static void tell(struct story *s, const char *words)
{
    size_t length = strlen(words);
    assert_true(s->length + length < sizeof s->text);
    memcpy(s->text + s->length, words, length + 1);
    s->length += length;
}

static void tell_payload(struct story *s, const uint8_t *bytes, size_t length)
{
    char words[32];
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum = sum * 31 + bytes[i];
        snprintf(words, sizeof words, bytes[i] < 0x20 || bytes[i] > 0x7E ? "\\%02x" : "%c", bytes[i]);
        if (length <= 512)
            tell(s, words);
    }
    if (length > 512) {
        snprintf(words, sizeof words, "#%zu,%08x", length, sum);
        tell(s, words);
    }
}

static void tell_piece(struct story *s, const struct ws_piece *p)
{
    assert_true(p->first == !s->in_message);
    if (p->first)
        s->message_length = 0;
    assert_true(s->message_length + p->payload.length <= sizeof s->message);
    memcpy(s->message + s->message_length, p->payload.at, p->payload.length);
    s->message_length += p->payload.length;
    s->in_message = !p->last;
    if (!p->last)
        return;
    assert_true(p->opcode == WS_TEXT || p->opcode == WS_BINARY);
    tell(s, p->opcode == WS_TEXT ? "text " : "binary ");
    tell_payload(s, s->message, s->message_length);
    tell(s, "|");
}

static void tell_control(struct story *s, const struct ws_piece *p)
{
    char words[32];
    size_t skip = p->opcode == WS_CLOSE && p->payload.length > 0 ? 2 : 0;
    assert_true(p->payload.length <= WS_CONTROL_MAX);
    snprintf(words, sizeof words, "close %u ", p->status);
    tell(s, p->opcode == WS_PING ? "ping " : p->opcode == WS_PONG ? "pong " : words);
    tell_payload(s, (const uint8_t *)p->payload.at + skip, p->payload.length - skip);
    tell(s, "|");
}

static void tell_failure(struct story *s, const struct ws_piece *p)
{
    char words[32];
    snprintf(words, sizeof words, "fail %u|", p->status);
    tell(s, words);
    s->failed = true;
}

/// Decoding under guard ///

// Decodes one arrival flush against the guard page, to its end.
static void arrive(struct story *s, struct ws_decoder *d, const uint8_t *bytes, size_t length, size_t size)
{
    uint8_t *in = input_end - length;
    uint8_t *out = output_end - size;
    if (length > 0)
        memcpy(in, bytes, length);
    for (size_t at = 0; !s->failed;) {
        uint64_t before = ws_remaining(d);
        struct ws_piece p = ws_decode(d, in + at, length - at, out, size);
        assert_true(p.consumed <= length - at);
        at += p.consumed;
        s->consumed += p.consumed;
        if (p.event == WS_PIECE) {
            assert_true((const uint8_t *)p.payload.at == out && p.payload.length <= size);
            assert_true(p.consumed > 0 && ws_in_message(d) == !p.last);
            tell_piece(s, &p);
        } else if (p.event == WS_CONTROL) {
            assert_true(p.consumed > 0);
            tell_control(s, &p);
        } else if (p.event == WS_FAILED) {
            tell_failure(s, &p);
        } else {
            assert_int_equal(at, length);
            assert_true(before == 0 || ws_remaining(d) <= before);
            return;
        }
    }
}

// Its failure stays.
static void assert_stays_failed(struct ws_decoder *d, const struct story *s)
{
    uint8_t out[4];
    struct ws_piece p = ws_decode(d, (const uint8_t *)"\x8a\x80\0\0\0\0", 6, out, sizeof out);
    assert_int_equal(p.event, WS_FAILED);
    assert_int_equal(p.consumed, 0);
    assert_non_null(strstr(s->text, p.status == 1007 ? "fail 1007|" : "fail 1002|"));
    assert_false(ws_in_message(d));
    assert_int_equal(ws_remaining(d), 0);
}

static struct story told;

static const char *decode_in_steps(const struct bytes *b, size_t first, size_t step, size_t size)
{
    struct ws_decoder d;
    memset(&d, 0xA5, sizeof d); // ws_begin() must not rely on zeroed memory
    ws_begin(&d, control_bytes);
    told.length = told.consumed = 0;
    told.text[0] = '\0';
    told.in_message = told.failed = false;
    for (size_t at = 0; at < b->length && !told.failed;) {
        size_t n = at == 0 ? first : step;
        n = n < b->length - at ? n : b->length - at;
        arrive(&told, &d, b->at + at, n, size);
        at += n;
    }
    if (told.failed)
        assert_stays_failed(&d, &told);
    return told.text;
}

static void assert_decodes(const char *name, const struct bytes *b, const char *expected)
{
    static const size_t sizes[] = {1, 2, 3, 5, 8, 127, 4096};
    const size_t all = b->length;
    if (strcmp(decode_in_steps(b, all, all, 4096), expected) != 0)
        fail_msg("%s: %s instead of %s", name, told.text, expected);
    size_t consumed_whole = told.consumed;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_string_equal(decode_in_steps(b, all, all, sizes[i]), expected);
        assert_string_equal(decode_in_steps(b, 1, 1, sizes[i]), expected);
        assert_true(told.consumed <= consumed_whole); // a failure is never found later than with all of it at hand
        assert_string_equal(decode_in_steps(b, 3, 7, sizes[i]), expected);
    }
    for (size_t split = 1; split < all && all < 2048; split++)
        assert_string_equal(decode_in_steps(b, split, all, 4096), expected);
}

/// Tables of frames ///

#define S(literal) literal, sizeof(literal) - 1
#define FRAMES_MAX 10

struct script {
    const char *name;
    struct {
        uint8_t first; // FIN, reserved bits, opcode
        const char *payload;
        size_t length;
    } frames[FRAMES_MAX]; // up to the first without a payload
    const char *expected;
};

static const char long_control[126] = "0123456789";

static const struct script scripts[] = {
    // Messages in one frame.
    {"empty text", {{0x81, S("")}}, "text |"},
    {"hello", {{0x81, S("Hello")}}, "text Hello|"},
    {"empty binary", {{0x82, S("")}}, "binary |"},
    {"binary may hold anything", {{0x82, S("\xff\x00\xc0")}}, "binary \\ff\\00\\c0|"},
    {"two messages", {{0x81, S("one")}, {0x82, S("two")}}, "text one|binary two|"},
    {"NUL is a character", {{0x81, S("a\0b")}}, "text a\\00b|"},

    // Pings and pongs.
    {"ping without payload", {{0x89, S("")}}, "ping |"},
    {"ping", {{0x89, S("hi")}}, "ping hi|"},
    {"binary ping", {{0x89, S("\x00\xff\xfe\xfd")}}, "ping \\00\\ff\\fe\\fd|"},
    {"unasked pong", {{0x8A, S("")}, {0x8A, S("x")}, {0x89, S("y")}}, "pong |pong x|ping y|"},
    {"pings in a row",
     {{0x89, S("0")},
      {0x89, S("1")},
      {0x89, S("2")},
      {0x89, S("3")},
      {0x89, S("4")},
      {0x89, S("5")},
      {0x89, S("6")},
      {0x89, S("7")},
      {0x89, S("8")}},
     "ping 0|ping 1|ping 2|ping 3|ping 4|ping 5|ping 6|ping 7|ping 8|"},
    {"ping of 126", {{0x89, long_control, 126}}, "fail 1002|"},
    {"pong of 126", {{0x8A, long_control, 126}}, "fail 1002|"},
    {"close of 126", {{0x88, long_control, 126}}, "fail 1002|"},

    // Reserved bits.
    {"RSV1", {{0xC1, S("Hello")}}, "fail 1002|"},
    {"RSV2", {{0xA1, S("Hello")}}, "fail 1002|"},
    {"RSV3", {{0x91, S("Hello")}}, "fail 1002|"},
    {"all RSV", {{0xF1, S("Hello")}}, "fail 1002|"},
    {"RSV2 behind a message", {{0x81, S("first")}, {0xA1, S("Hello")}, {0x89, S("")}}, "text first|fail 1002|"},
    {"RSV1 on a ping", {{0xC9, S("")}}, "fail 1002|"},
    {"RSV3 on a close", {{0x98, S("")}}, "fail 1002|"},
    {"RSV1 on a continuation", {{0x01, S("a")}, {0xC0, S("b")}}, "fail 1002|"},

    // Opcodes that nobody has defined.
    {"opcode 3", {{0x83, S("")}}, "fail 1002|"},
    {"opcode 4", {{0x84, S("x")}}, "fail 1002|"},
    {"opcode 5 behind a message", {{0x81, S("m")}, {0x85, S("")}, {0x89, S("")}}, "text m|fail 1002|"},
    {"opcode 6", {{0x86, S("x")}}, "fail 1002|"},
    {"opcode 7", {{0x87, S("x")}}, "fail 1002|"},
    {"opcode 11", {{0x8B, S("")}}, "fail 1002|"},
    {"opcode 12", {{0x8C, S("x")}}, "fail 1002|"},
    {"opcode 13", {{0x8D, S("x")}}, "fail 1002|"},
    {"opcode 14", {{0x8E, S("x")}}, "fail 1002|"},
    {"opcode 15", {{0x8F, S("x")}}, "fail 1002|"},
    {"opcode 3 inside a message", {{0x01, S("a")}, {0x03, S("b")}}, "fail 1002|"},

    // Fragments.
    {"fragmented ping", {{0x09, S("a")}, {0x80, S("b")}}, "fail 1002|"},
    {"fragmented pong", {{0x0A, S("a")}, {0x80, S("b")}}, "fail 1002|"},
    {"fragmented close", {{0x08, S("")}}, "fail 1002|"},
    {"two fragments", {{0x01, S("Hel")}, {0x80, S("lo")}}, "text Hello|"},
    {"ping between fragments", {{0x01, S("Hel")}, {0x89, S("p")}, {0x80, S("lo")}}, "ping p|text Hello|"},
    {"empty fragments", {{0x01, S("")}, {0x00, S("")}, {0x80, S("")}}, "text |"},
    {"empty ends", {{0x02, S("")}, {0x00, S("middle")}, {0x80, S("")}}, "binary middle|"},
    {"pings and pongs everywhere",
     {{0x89, S("0")},
      {0x01, S("a")},
      {0x89, S("1")},
      {0x8A, S("2")},
      {0x00, S("b")},
      {0x89, S("")},
      {0x00, S("")},
      {0x80, S("c")},
      {0x89, S("3")}},
     "ping 0|ping 1|pong 2|ping |text abc|ping 3|"},
    {"a ping between fragments keeps the mask of its own",
     {{0x02, S("abc")}, {0x89, S("defgh")}, {0x80, S("ijk")}},
     "ping defgh|binary abcijk|"},
    {"final continuation of nothing", {{0x80, S("lost")}, {0x81, S("Hello")}}, "fail 1002|"},
    {"continuation of nothing", {{0x00, S("lost")}}, "fail 1002|"},
    {"continuation of a message that ended", {{0x81, S("a")}, {0x80, S("b")}}, "text a|fail 1002|"},
    {"continuation behind the last fragment", {{0x01, S("a")}, {0x80, S("b")}, {0x00, S("c")}}, "text ab|fail 1002|"},
    {"continuation behind a ping", {{0x89, S("a")}, {0x80, S("b")}}, "ping a|fail 1002|"},
    {"text inside text", {{0x01, S("a")}, {0x81, S("b")}}, "fail 1002|"},
    {"text fragment inside text", {{0x01, S("a")}, {0x01, S("b")}, {0x80, S("c")}}, "fail 1002|"},
    {"binary inside text", {{0x01, S("a")}, {0x82, S("b")}}, "fail 1002|"},
    {"text inside binary", {{0x02, S("a")}, {0x81, S("b")}}, "fail 1002|"},
    {"text behind a first empty fragment", {{0x01, S("")}, {0x81, S("b")}}, "fail 1002|"},

    // Text across fragments.
    {"a character across fragments", {{0x01, S("\xE2\x82")}, {0x80, S("\xAC")}}, "text \\e2\\82\\ac|"},
    {"a character across fragments and a ping",
     {{0x01, S("\xF0\x9F")}, {0x89, S("\xff")}, {0x00, S("")}, {0x00, S("\x98")}, {0x80, S("\x80")}},
     "ping \\ff|text \\f0\\9f\\98\\80|"},
    {"half a character at the end", {{0x81, S("ab\xE2\x82")}}, "fail 1007|"},
    {"half a character at the end of the last fragment", {{0x01, S("a")}, {0x80, S("\xC3")}}, "fail 1007|"},
    {"half a character, then an empty end", {{0x01, S("\xC3")}, {0x80, S("")}}, "fail 1007|"},
    {"nothing of one message reaches the next", {{0x82, S("\xE2\x82")}, {0x81, S("ok")}}, "binary \\e2\\82|text ok|"},
    {"bad in the second fragment, more to come", {{0x01, S("ok")}, {0x00, S("\xFF")}, {0x80, S("x")}}, "fail 1007|"},
    {"a wrong byte behind a good message", {{0x81, S("ok")}, {0x81, S("\xC0\xAF")}}, "text ok|fail 1007|"},

    // Close.
    {"close without a body", {{0x88, S("")}}, "close 1005 |"},
    {"close with half a code", {{0x88, S("\x03")}}, "fail 1002|"},
    {"close with half a code that the header's second byte, left behind, must not complete",
     {{0x88, S("\x0f")}},
     "fail 1002|"},
    {"close 1000", {{0x88, S("\x03\xe8")}}, "close 1000 |"},
    {"close with a reason",
     {{0x88, S("\x03\xe8"
               "bye")}},
     "close 1000 bye|"},
    {"close with a reason in UTF-8", {{0x88, S("\x03\xe9\xE2\x82\xAC")}}, "close 1001 \\e2\\82\\ac|"},
    {"close with a torn reason", {{0x88, S("\x03\xe8\xE2\x82")}}, "fail 1007|"},
    {"close with a bad reason",
     {{0x88, S("\x03\xe8\xCE\xBA\xF4\x90\x80\x80"
               "x")}},
     "fail 1007|"},
    {"a bad code counts before a bad reason", {{0x88, S("\x03\xec\xff")}}, "fail 1002|"},
    {"ping behind close", {{0x88, S("\x03\xe8")}, {0x89, S("late")}}, "close 1000 |"},
    {"two closes", {{0x88, S("\x03\xe8")}, {0x88, S("\x03\xe9")}}, "close 1000 |"},
    {"nonsense behind close", {{0x88, S("")}, {0xFF, S("late")}}, "close 1005 |"},
    {"close inside a message", {{0x01, S("a")}, {0x88, S("\x0f\xa1")}, {0x80, S("b")}}, "close 4001 |"},
};

static void add_script(struct bytes *b, const struct script *script, const uint8_t key[4])
{
    for (size_t i = 0; i < FRAMES_MAX && script->frames[i].payload != NULL; i++)
        add_frame(b, script->frames[i].first, key, script->frames[i].payload, script->frames[i].length);
}

static void test_scripts(void **state)
{
    (void)state;
    static const uint8_t keys[][4] = {
        {0x37, 0xfa, 0x21, 0x3d}, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0, 1, 0x80, 0}};
    for (size_t i = 0; i < COUNT(scripts); i++)
        for (size_t k = 0; k < COUNT(keys); k++) {
            struct bytes *b = build();
            add_script(b, &scripts[i], keys[k]);
            assert_decodes(scripts[i].name, b, scripts[i].expected);
        }
}

static void test_longest_control_frames(void **state)
{
    (void)state;
    static const uint8_t firsts[] = {0x89, 0x8A, 0x88};
    static const char *const names[] = {"ping ", "pong ", "close 1000 "};
    for (size_t i = 0; i < COUNT(firsts); i++) {
        char payload[125];
        char expected[256] = "";
        memset(payload, 'p', sizeof payload);
        if (firsts[i] == 0x88)
            memcpy(payload, "\x03\xe8", 2);
        snprintf(expected, sizeof expected, "%s%.*s|", names[i], firsts[i] == 0x88 ? 123 : 125,
                 payload + (firsts[i] == 0x88 ? 2 : 0));
        struct bytes *b = build();
        add_frame(b, firsts[i], rfc_key, payload, sizeof payload);
        assert_decodes(names[i], b, expected);
    }
}

/// Headers that no encoder of ours makes ///

static const struct {
    const char *name;
    const char *bytes;
    size_t length;
    size_t found_at; // how many bytes it takes to know
} bad_headers[] = {
    {"not masked", S("\x81\x05Hello"), 2},
    {"not masked, empty", S("\x81\x00"), 2},
    {"not masked, 16 bits", S("\x82\x7e\x01\x00"), 2},
    {"not masked, 64 bits", S("\x82\x7f\0\0\0\0\0\1\0\0"), 2},
    {"ping not masked", S("\x89\x00"), 2},
    {"close not masked", S("\x88\x02\x03\xe8"), 2},
    {"0 in 16 bits", S("\x81\xfe\x00\x00mask"), 4},
    {"5 in 16 bits", S("\x81\xfe\x00\x05maskHello"), 4},
    {"125 in 16 bits", S("\x81\xfe\x00\x7dmask"), 4},
    {"0 in 64 bits", S("\x82\xff\0\0\0\0\0\0\0\0mask"), 10},
    {"126 in 64 bits", S("\x82\xff\0\0\0\0\0\0\0\x7emask"), 10},
    {"65535 in 64 bits", S("\x82\xff\0\0\0\0\0\0\xff\xffmask"), 10},
    {"top bit set", S("\x82\xff\x80\0\0\0\0\0\0\0mask"), 10},
    {"all bits set", S("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask"), 10},
    {"ping in 16 bits", S("\x89\xfe\x00\x7e"), 2},
    {"ping in 64 bits", S("\x89\xff\0\0\0\0\0\1\0\0"), 2},
    {"reserved bit", S("\xc1"), 1},
    {"opcode 3", S("\x83"), 1},
    {"continuation first", S("\x80"), 1},
    {"ping without FIN", S("\x09"), 1},
    {"HTTP", S("GET / HTTP/1.1\r\n\r\n"), 1},
    {"TLS", S("\x16\x03\x01\x02\x00\x01\x00"), 1},
};

static void test_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_headers); i++) {
        struct bytes *b = build();
        add(b, bad_headers[i].bytes, bad_headers[i].length);
        assert_decodes(bad_headers[i].name, b, "fail 1002|");
        decode_in_steps(b, 1, 1, 16);
        assert_int_equal(told.consumed, bad_headers[i].found_at);
    }
}

// Every first byte, outside of a message and inside, against section 5.2 in other words.
static void test_every_first_byte(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++)
        for (unsigned first = 0; first < 256; first++) {
            unsigned opcode = first & 15;
            bool control = opcode >= 8 && opcode <= 10 && first >= 128;
            bool data = inside ? opcode == 0 : opcode == 1 || opcode == 2;
            bool good = ((first >> 4) % 8 == 0) && (control || data);
            struct bytes *b = build();
            if (inside)
                add_frame(b, 0x01, rfc_key, "x", 1);
            uint8_t byte = (uint8_t)first;
            add(b, &byte, 1);
            assert_string_equal(decode_in_steps(b, b->length, 1, 16), good ? "" : "fail 1002|");
        }
}

static void test_every_second_byte(void **state)
{
    (void)state;
    static const uint8_t firsts[] = {0x81, 0x02, 0x88, 0x89, 0x8A};
    for (size_t i = 0; i < COUNT(firsts); i++)
        for (unsigned second = 0; second < 256; second++) {
            bool good = second >= 128 && (firsts[i] < 0x88 || second <= 128 + 125);
            struct bytes *b = build();
            add(b, (uint8_t[]){firsts[i], (uint8_t)second}, 2);
            assert_string_equal(decode_in_steps(b, 2, 1, 16), good ? "" : "fail 1002|");
        }
}

/// Lengths ///

static const size_t lengths[] = {0,   1,   2,   3,   4,   7,    8,     9,     124,   125,   126,
                                 127, 128, 129, 255, 256, 4095, 65534, 65535, 65536, 65537, 131072};

static void fill(uint8_t *bytes, size_t length)
{
    uint32_t random = 12345;
    for (size_t i = 0; i < length; i++) {
        random = random * 1103515245 + 12345;
        bytes[i] = (uint8_t)(random >> 16);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    static uint8_t payload[131072];
    static const size_t steps[] = {1, 2, 13, 64, 997, 1460, 65536};
    fill(payload, sizeof payload);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct bytes *b = build();
        add_frame(b, 0x82, rfc_key, payload, lengths[i]);
        for (size_t s = 0; s < COUNT(steps); s++) {
            decode_in_steps(b, steps[s], steps[s], 1000);
            assert_int_equal(told.consumed, b->length);
            assert_false(told.in_message || told.failed);
            assert_memory_equal(told.message, payload, lengths[i]);
            assert_int_equal(told.message_length, lengths[i]);
        }
    }
}

// A text of 65,536 bytes in frames of 1,300, with a ping in between each.
static void test_long_fragmented_text(void **state)
{
    (void)state;
    static uint8_t payload[65536];
    memset(payload, '*', sizeof payload);
    struct bytes *b = build();
    size_t frames = 0;
    for (size_t at = 0; at < sizeof payload; frames++) {
        size_t n = sizeof payload - at < 1300 ? sizeof payload - at : 1300;
        add_frame(b, (uint8_t)((at == 0 ? 1 : 0) | (at + n == sizeof payload ? 0x80 : 0)), rfc_key, payload + at, n);
        at += n;
        add_frame(b, 0x89, rfc_key, "", 0);
    }
    decode_in_steps(b, 1460, 1460, 1024);
    assert_int_equal(frames, 51);
    assert_int_equal(told.message_length, sizeof payload);
    assert_memory_equal(told.message, payload, sizeof payload);
    assert_int_equal(strncmp(told.text, "ping |ping |", 12), 0);
    assert_non_null(strstr(told.text, "text #65536,"));
    assert_int_equal(told.length, 51 * strlen("ping |") + strlen("text #65536,12345678|"));
}

/// A frame is announced before it arrives ///

static void test_header_alone_is_a_piece(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t length;
        uint64_t remaining;
    } headers[] = {
        {S("\x81\x81mask"), 1},
        {S("\x01\xfdmask"), 125},
        {S("\x81\xfe\x00\x7emask"), 126},
        {S("\x81\xfe\xff\xffmask"), 65535},
        {S("\x82\xff\0\0\0\0\0\1\0\0mask"), 65536},
        {S("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask"), INT64_MAX},
    };
    uint8_t out[8];
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct ws_decoder d;
        ws_begin(&d, control_bytes);
        for (size_t at = 0; at + 1 < headers[i].length; at++) {
            struct ws_piece p = ws_decode(&d, (const uint8_t *)headers[i].header + at, 1, out, sizeof out);
            assert_int_equal(p.event, WS_NEED_MORE);
            assert_int_equal(p.consumed, 1);
            assert_int_equal(ws_remaining(&d), 0);
        }
        struct ws_piece p =
            ws_decode(&d, (const uint8_t *)headers[i].header + headers[i].length - 1, 1, out, sizeof out);
        assert_int_equal(p.event, WS_PIECE);
        assert_int_equal(p.consumed, 1);
        assert_int_equal(p.payload.length, 0);
        assert_true(p.first && !p.last && ws_in_message(&d));
        assert_true(ws_remaining(&d) == headers[i].remaining);
        p = ws_decode(&d, NULL, 0, out, sizeof out);
        assert_int_equal(p.event, WS_NEED_MORE);
    }
}

static void test_header_of_a_continuation_is_a_piece(void **state)
{
    (void)state;
    uint8_t out[8];
    struct ws_decoder d;
    ws_begin(&d, control_bytes);
    struct ws_piece p = ws_decode(&d, (const uint8_t *)"\x01\x81\0\0\0\0a", 7, out, sizeof out);
    assert_true(p.event == WS_PIECE && p.first && !p.last && p.payload.length == 1 && p.opcode == WS_TEXT);
    assert_int_equal(ws_remaining(&d), 0);
    p = ws_decode(&d, (const uint8_t *)"\x80\xfe\x10\x00\0\0\0\0", 8, out, sizeof out);
    assert_true(p.event == WS_PIECE && !p.first && !p.last && p.payload.length == 0 && p.opcode == WS_TEXT);
    assert_int_equal(ws_remaining(&d), 4096);
}

static void test_whole_frame_is_one_piece(void **state)
{
    (void)state;
    uint8_t out[5];
    struct ws_decoder d;
    ws_begin(&d, control_bytes);
    struct ws_piece p =
        ws_decode(&d, (const uint8_t *)"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89", 12, out, sizeof out);
    assert_int_equal(p.event, WS_PIECE);
    assert_int_equal(p.consumed, 11);
    assert_true(p.first && p.last && p.opcode == WS_TEXT && !ws_in_message(&d));
    assert_true(span_equal(p.payload, span_of("Hello")));
}

static void test_remaining_of_a_control_frame(void **state)
{
    (void)state;
    uint8_t out[8];
    struct ws_decoder d;
    ws_begin(&d, control_bytes);
    assert_int_equal(ws_decode(&d, (const uint8_t *)"\x89\x83\0\0\0\0a", 7, out, sizeof out).event, WS_NEED_MORE);
    assert_int_equal(ws_remaining(&d), 2);
    assert_int_equal(ws_decode(&d, NULL, 0, out, sizeof out).event, WS_NEED_MORE);
    struct ws_piece p = ws_decode(&d, (const uint8_t *)"bc\x81", 3, out, sizeof out);
    assert_true(p.event == WS_CONTROL && p.consumed == 2 && span_equal(p.payload, span_of("abc")));
    assert_int_equal(p.status, 0);
    assert_int_equal(ws_remaining(&d), 0);
}

/// UTF-8 ///

#define VALID SIZE_MAX

static const struct {
    const char *bytes;
    size_t length;
    size_t bad_at; // index of the first impossible byte; the length when the end comes too soon; VALID
} utf8_texts[] = {
    {S("Hello-\xC2\xB5@\xC3\x9F\xC3\xB6\xC3\xA4\xC3\xBC\xC3\xA0\xC3\xA1-UTF-8!!"), VALID},
    {S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"), VALID},
    {S("\x00"), VALID},
    {S("\xC2\x80"), VALID},
    {S("\xE0\xA0\x80"), VALID},
    {S("\xF0\x90\x80\x80"), VALID},
    {S("\x7F"), VALID},
    {S("\xDF\xBF"), VALID},
    {S("\xEF\xBF\xBF"), VALID},
    {S("\xEF\xBF\xBE"), VALID},
    {S("\xF4\x8F\xBF\xBF"), VALID},
    {S("\xED\x9F\xBF"), VALID},
    {S("\xEE\x80\x80"), VALID},
    {S("\xEF\xBF\xBD"), VALID},
    {S("\xF0\x9F\xBF\xBE"), VALID},
    {S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80"
       "edited"),
     12},
    {S("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80"
       "edited"),
     12},
    {S("\xF4\x90\x80\x80"), 1},
    {S("\xF5\x80\x80\x80"), 0},
    {S("\xF8\x88\x80\x80\x80"), 0},
    {S("\xFC\x84\x80\x80\x80\x80"), 0},
    {S("\x80"), 0},
    {S("\xBF\x80"), 0},
    {S("\xC0\xAF"), 0},
    {S("\xC1\xBF"), 0},
    {S("\xE0\x80\xAF"), 1},
    {S("\xE0\x9F\xBF"), 1},
    {S("\xF0\x80\x80\xAF"), 1},
    {S("\xF0\x8F\xBF\xBF"), 1},
    {S("\xED\xA0\x80\xED\xB0\x80"), 1},
    {S("\xED\xBF\xBF"), 1},
    {S("\xC2 "), 1},
    {S("\xE2\x82 "), 2},
    {S("\xF0\x9F\x98 "), 3},
    {S("abcdefgh\xFE"), 8},
    {S("\xFF"), 0},
    {S("\xCE"), 1},
    {S("\xCE\xBA\xE1\xBD"), 4},
    {S("\xF0\x9F\x98"), 3},
};

static bool is_valid(size_t i)
{
    return utf8_texts[i].bad_at == VALID;
}

static void test_text_in_one_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(utf8_texts); i++) {
        struct bytes *b = build();
        add_frame(b, 0x81, rfc_key, utf8_texts[i].bytes, utf8_texts[i].length);
        const char *whole = decode_in_steps(b, b->length, 1, 64);
        assert_int_equal(strncmp(whole, is_valid(i) ? "text " : "fail 1007|", 5), 0);
        if (!is_valid(i))
            assert_decodes("text", b, "fail 1007|");
        else
            assert_memory_equal(told.message, utf8_texts[i].bytes, utf8_texts[i].length);
    }
}

static void test_text_in_frames_of_a_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(utf8_texts); i++) {
        struct bytes *b = build();
        for (size_t at = 0; at < utf8_texts[i].length; at++)
            add_frame(b, at == 0 ? 0x01 : 0x00, rfc_key, utf8_texts[i].bytes + at, 1);
        add_frame(b, 0x80, rfc_key, "", 0);
        const char *text = decode_in_steps(b, b->length, 1, 64);
        assert_int_equal(strncmp(text, is_valid(i) ? "text " : "fail 1007|", 5), 0);
        assert_int_equal(told.consumed, is_valid(i) ? b->length
                                        : utf8_texts[i].bad_at == utf8_texts[i].length
                                            ? 7 * utf8_texts[i].length + 6
                                            : 7 * (utf8_texts[i].bad_at + 1));
    }
}

// Byte by byte, it fails when the first impossible byte is there, though the frame has not ended.
static void test_text_fails_fast(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(utf8_texts); i++) {
        struct bytes *b = build();
        add_frame(b, 0x81, rfc_key, utf8_texts[i].bytes, utf8_texts[i].length);
        decode_in_steps(b, 1, 1, 64);
        size_t last = utf8_texts[i].length - 1;
        size_t fails_at = utf8_texts[i].bad_at < last ? utf8_texts[i].bad_at : last;
        assert_int_equal(told.consumed, 6 + fails_at + 1);
        assert_int_equal(told.failed, !is_valid(i));
    }
}

/// Close codes ///

static bool code_may_come(unsigned code)
{
    if (code >= 3000)
        return code < 5000;
    if (code < 1000 || code > 1014)
        return false;
    return code != 1004 && code != 1005 && code != 1006;
}

static void test_every_close_code(void **state)
{
    (void)state;
    unsigned valid = 0;
    for (unsigned code = 0; code <= 65535; code += code < 5002 ? 1 : 97) {
        char expected[64] = "fail 1002|";
        if (code_may_come(code))
            snprintf(expected, sizeof expected, "close %u why|", code);
        valid += code_may_come(code);
        uint8_t body[] = {(uint8_t)(code >> 8), (uint8_t)code, 'w', 'h', 'y'};
        struct bytes *b = build();
        add_frame(b, 0x88, rfc_key, body, sizeof body);
        assert_string_equal(decode_in_steps(b, b->length, 1, 16), expected);
        assert_string_equal(decode_in_steps(b, 1, 1, 16), expected);
    }
    assert_int_equal(valid, 12 + 2000);
}

static void test_close_reason_is_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(utf8_texts); i++) {
        uint8_t body[64] = {0x03, 0xe8};
        memcpy(body + 2, utf8_texts[i].bytes, utf8_texts[i].length);
        struct bytes *b = build();
        add_frame(b, 0x88, rfc_key, body, 2 + utf8_texts[i].length);
        const char *text = decode_in_steps(b, b->length, 1, 16);
        assert_int_equal(strncmp(text, is_valid(i) ? "close 1000 " : "fail 1007|", 10), 0);
    }
}

/// Starting again ///

static void test_begin_again(void **state)
{
    (void)state;
    uint8_t out[16];
    struct ws_decoder d;
    ws_begin(&d, control_bytes);
    assert_int_equal(ws_decode(&d, (const uint8_t *)"\x01\x82\0\0\0\0\xE2\x82", 8, out, sizeof out).event, WS_PIECE);
    assert_true(ws_in_message(&d));
    assert_int_equal(ws_decode(&d, (const uint8_t *)"\xFF", 1, out, sizeof out).event, WS_FAILED);
    ws_begin(&d, control_bytes);
    assert_false(ws_in_message(&d));
    struct ws_piece p = ws_decode(&d, (const uint8_t *)"\x81\x81\0\0\0\0a", 7, out, sizeof out);
    assert_true(p.event == WS_PIECE && p.first && p.last);
}

static void test_after_close_everything_is_swallowed(void **state)
{
    (void)state;
    uint8_t out[16];
    struct ws_decoder d;
    ws_begin(&d, control_bytes);
    assert_int_equal(ws_decode(&d, (const uint8_t *)"\x01\x81\0\0\0\0a", 7, out, sizeof out).event, WS_PIECE);
    assert_int_equal(ws_decode(&d, (const uint8_t *)"\x88\x80\0\0\0\0", 6, out, sizeof out).event, WS_CONTROL);
    assert_false(ws_in_message(&d));
    struct ws_piece p = ws_decode(&d, (const uint8_t *)"anything", 8, out, sizeof out);
    assert_true(p.event == WS_NEED_MORE && p.consumed == 8);
}

/// The RFC's own examples ///

static void test_examples_for_the_decoder(void **state)
{
    (void)state;
    struct bytes *b = build();
    add(b, S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")); // section 5.7: masked text "Hello"
    assert_decodes("masked Hello", b, "text Hello|");
    b = build();
    add(b, S("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")); // section 5.7: masked pong "Hello"
    assert_decodes("masked pong", b, "pong Hello|");
}

static void assert_header(enum ws_opcode opcode, bool final, uint64_t length, const char *expected, size_t size)
{
    uint8_t header[WS_HEADER_MAX + 1];
    memset(header, 0x55, sizeof header);
    assert_int_equal(ws_header(header, opcode, final, length), size);
    assert_memory_equal(header, expected, size);
    assert_int_equal(header[size], 0x55);
}

static void test_headers(void **state)
{
    (void)state;
    // Section 5.7.
    assert_header(WS_TEXT, true, 5, S("\x81\x05"));
    assert_header(WS_TEXT, false, 3, S("\x01\x03"));
    assert_header(WS_CONTINUATION, true, 2, S("\x80\x02"));
    assert_header(WS_PING, true, 5, S("\x89\x05"));
    assert_header(WS_BINARY, true, 256, S("\x82\x7e\x01\x00"));
    assert_header(WS_BINARY, true, 65536, S("\x82\x7f\0\0\0\0\0\1\0\0"));
    // Where the forms of a length meet.
    assert_header(WS_TEXT, true, 0, S("\x81\x00"));
    assert_header(WS_TEXT, true, 125, S("\x81\x7d"));
    assert_header(WS_TEXT, true, 126, S("\x81\x7e\x00\x7e"));
    assert_header(WS_TEXT, true, 65535, S("\x81\x7e\xff\xff"));
    assert_header(WS_CONTINUATION, false, INT64_MAX, S("\x00\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"));
    assert_header(WS_CLOSE, true, 2, S("\x88\x02"));
    assert_header(WS_PONG, true, 0, S("\x8a\x00"));
}

/// Close frames of ours ///

static void assert_close_frame(uint16_t status, struct span reason, const char *expected, size_t size)
{
    uint8_t *frame = output_end - (WS_CONTROL_MAX + 2);
    memset(frame, 0x55, WS_CONTROL_MAX + 2);
    assert_int_equal(ws_close_frame(frame, status, reason), size);
    assert_memory_equal(frame, expected, size);
}

static void test_close_frames(void **state)
{
    (void)state;
    assert_close_frame(WS_NORMAL, span_of("bye"),
                       S("\x88\x05\x03\xe8"
                         "bye"));
    assert_close_frame(WS_REPLACED, span_of(""), S("\x88\x02\x0f\xa1"));
    assert_close_frame(WS_TOO_BIG, (struct span){NULL, 0}, S("\x88\x02\x03\xf1"));
    assert_close_frame(WS_NO_STATUS, span_of("unheard"), S("\x88\x00"));
}

// A reason of 118 to 130 bytes of ASCII with a character of one to four bytes at its end, and 40 more: what is sent is
// the longest run of whole characters of at most 123 bytes.
static void test_close_reason_is_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < COUNT(characters); c++)
        for (size_t before = 118; before <= 130; before++) {
            char reason[200];
            size_t width = strlen(characters[c]);
            size_t length = before;
            memset(reason, 'r', before);
            for (int i = 0; i < 10; i++, length += width)
                memcpy(reason + length, characters[c], width);
            size_t kept = before >= 123 ? 123 : before + (123 - before) / width * width;
            uint8_t expected[WS_CONTROL_MAX + 2] = {0x88, (uint8_t)(2 + kept), 0x03, 0xe8};
            memcpy(expected + 4, reason, kept);
            assert_close_frame(WS_NORMAL, (struct span){reason, length}, (const char *)expected, 4 + kept);
            assert_true(utf8_valid((struct span){reason, kept}));
        }
}

static void test_close_reason_that_just_fits(void **state)
{
    (void)state;
    char reason[123];
    uint8_t expected[127] = {0x88, 125, 0x03, 0xe8};
    memset(reason, 'r', sizeof reason);
    memcpy(reason + 120, "\xE2\x82\xAC", 3);
    memcpy(expected + 4, reason, sizeof reason);
    assert_close_frame(WS_NORMAL, (struct span){reason, sizeof reason}, (const char *)expected, sizeof expected);
}

/// Handshake ///

static void test_accept(void **state)
{
    (void)state;
    char accept[WS_ACCEPT_LENGTH + 1];
    accept[WS_ACCEPT_LENGTH] = '!';
    assert_true(ws_accept(span_of("dGhlIHNhbXBsZSBub25jZQ=="), accept)); // section 1.3
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=!", WS_ACCEPT_LENGTH + 1);
    assert_true(ws_accept(span_of("x3JJHMbDL1EzLkh9GBhXDw=="), accept)); // checked with openssl
    assert_memory_equal(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=!", WS_ACCEPT_LENGTH + 1);
}

static void test_bad_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "==",
        "dGhlIHNhbXBsZSBub25jZQ",        // no padding
        "dGhlIHNhbXBsZSBub25jZQ=",       //
        "dGhlIHNhbXBsZSBub25jZQ===",     // too much
        "dGhlIHNhbXBsZSBub25jZQ== ",     //
        "dGhlIHNhbXBsZSBub25jZ===",      // 15 bytes
        "dGhlIHNhbXBsZSBub25jZWU=",      // 17 bytes
        "dGhlIHNhbXBsZSBub25jZWVl",      // 18 bytes
        "dGhlIHNhbXBsZSBub25jZWVlZQ==",  // 19 bytes
        "dGhlIHNhbXBsZSBub2 jZQ==",      // not in the alphabet
        "dGhlIHNhbXBsZSBub2-_ZQ==",      // another alphabet
        "dGhlIHNhbXBsZSBub\r\njZQ==",    // mbedTLS would skip these
        "dGhlIHNhbXBsZSBub25jZ\n==",     //
        "=GhlIHNhbXBsZSBub25jZQ==",      //
        "dGhlIHNhbXBs\xC3\xA4Ub25jZQ==", //
    };
    char accept[WS_ACCEPT_LENGTH];
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_false(ws_accept(span_of(keys[i]), accept));
    assert_false(ws_accept((struct span){NULL, 0}, accept));
    assert_false(ws_accept((struct span){"dGhlIHNhbXBsZSBub2\0jZQ==", 24}, accept));
}

// mbedTLS has a header of the same name as our configuration, and finds its own first when it is asked for with quotes.
static void test_mbedtls_is_configured_by_us(void **state)
{
    (void)state;
#ifdef PIPIT_MBEDTLS_CONFIG_H
    const bool ours = true;
#else
    const bool ours = false;
#endif
    assert_true(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_longest_control_frames),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_every_first_byte),
        cmocka_unit_test(test_every_second_byte),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_long_fragmented_text),
        cmocka_unit_test(test_header_alone_is_a_piece),
        cmocka_unit_test(test_header_of_a_continuation_is_a_piece),
        cmocka_unit_test(test_whole_frame_is_one_piece),
        cmocka_unit_test(test_remaining_of_a_control_frame),
        cmocka_unit_test(test_text_in_one_frame),
        cmocka_unit_test(test_text_in_frames_of_a_byte),
        cmocka_unit_test(test_text_fails_fast),
        cmocka_unit_test(test_every_close_code),
        cmocka_unit_test(test_close_reason_is_text),
        cmocka_unit_test(test_begin_again),
        cmocka_unit_test(test_after_close_everything_is_swallowed),
        cmocka_unit_test(test_examples_for_the_decoder),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_close_frames),
        cmocka_unit_test(test_close_reason_is_cut_at_a_character),
        cmocka_unit_test(test_close_reason_that_just_fits),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_mbedtls_is_configured_by_us),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
