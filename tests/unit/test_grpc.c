// gRPC's framing and header fields: whole, byte by byte, and flush against a page that may not be touched.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "../../services/proto/grpc.h"
#include "guard_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// Memory that ends where a page begins that may not be touched ///

#define GUARDED 65536

static char *guarded_end[2]; // one for what is read, one for what is written

static int make_guards(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(guarded_end); i++)
        guarded_end[i] = (char *)guard_behind(GUARDED);
    return 0;
}

static struct span guarded(struct span s)
{
    return (struct span){memcpy(guarded_end[0] - s.length, s.at, s.length), s.length};
}

static struct span guarded_text(const char *s)
{
    return guarded(span_of(s));
}

// A text of `size` bytes whose end is guarded.
static struct text guarded_room(size_t size)
{
    memset(guarded_end[1] - size, '#', size);
    return text_in(guarded_end[1] - size, size);
}

static void assert_text(const struct text *t, const char *expected)
{
    assert_int_equal(t->length, strlen(expected));
    assert_memory_equal(t->at, expected, t->length);
}

/// The reader ///

static struct grpc_reader reader;

// Everything that arrives is offered in pieces of `piece` bytes, each flush against the guard; a message is put flush
// against another. False when it had no room.
static enum grpc_reader_error read_in_pieces(const uint8_t *bytes, size_t length, size_t piece, uint32_t room)
{
    grpc_reader_begin(&reader);
    for (size_t at = 0; at < length;) {
        size_t n = length - at < piece ? length - at : piece;
        struct span rest = guarded((struct span){(const char *)bytes + at, n});
        while (rest.length > 0) {
            size_t taken = grpc_reader_take(&reader, rest);
            assert_true(taken > 0 && taken <= rest.length);
            rest = span_behind(rest, taken);
            bool wants = grpc_reader_wants_room(&reader);
            assert_true(wants || rest.length == 0);
            if (wants)
                grpc_reader_room(&reader, reader.length <= room ? (uint8_t *)guarded_end[1] - reader.length : NULL);
            assert_false(grpc_reader_wants_room(&reader));
        }
        at += n;
    }
    return grpc_reader_end(&reader);
}

struct reading {
    const char *bytes;
    size_t length;
    enum grpc_reader_error error;
    const char *message;
};

#define READING(bytes, error, message)                                                                                 \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1, error, message                                                                       \
    }

static const struct reading readings[] = {
    READING("\0\0\0\0\5hello", GRPC_READER_OK, "hello"),
    READING("\0\0\0\0\0", GRPC_READER_OK, ""),
    READING("\0\0\0\0\1x", GRPC_READER_OK, "x"),
    READING("", GRPC_READER_MISSING, NULL),
    READING("\0", GRPC_READER_TRUNCATED, NULL),
    READING("\0\0\0\0", GRPC_READER_TRUNCATED, NULL),
    READING("\0\0\0\0\5", GRPC_READER_TRUNCATED, NULL),
    READING("\0\0\0\0\5hell", GRPC_READER_TRUNCATED, NULL),
    READING("\1\0\0\0\5hello", GRPC_READER_COMPRESSED, NULL),
    READING("\2\0\0\0\5hello", GRPC_READER_BAD_FLAG, NULL),
    READING("\200\0\0\0\5hello", GRPC_READER_BAD_FLAG, NULL),
    READING("\0\0\0\0\5hello\0", GRPC_READER_SECOND, NULL),
    READING("\0\0\0\0\0\0\0\0\0\0", GRPC_READER_SECOND, NULL),
    READING("\0\0\0\0\5hello\0\0\0\0\5again", GRPC_READER_SECOND, NULL),
    READING("\0\0\0\0\21seventeen bytes..", GRPC_READER_TOO_LARGE, NULL), // there is room for 16
    READING("\0\377\377\377\377x", GRPC_READER_TOO_LARGE, NULL),
    READING("\0\0\1\0\0x", GRPC_READER_TOO_LARGE, NULL),
};

static void test_reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(readings); i++) {
        const struct reading *r = &readings[i];
        for (size_t piece = 1; piece <= r->length + 1; piece++) {
            assert_int_equal(read_in_pieces((const uint8_t *)r->bytes, r->length, piece, 16), r->error);
            assert_int_equal(reader.error, r->error);
            assert_int_equal(reader.state, r->error == GRPC_READER_OK ? GRPC_AFTER_MESSAGE : GRPC_BROKEN);
            if (r->message == NULL)
                continue;
            assert_int_equal(reader.length, strlen(r->message));
            if (reader.length > 0)
                assert_memory_equal(reader.message, r->message, reader.length);
        }
    }
}

static void test_every_byte_of_the_length_counts(void **state)
{
    (void)state;
    grpc_reader_begin(&reader);
    assert_int_equal(grpc_reader_take(&reader, guarded((struct span){"\0\1\2\3\4more", 9})), 5);
    assert_true(grpc_reader_wants_room(&reader));
    assert_int_equal(reader.length, 0x01020304);
    // Without room nothing goes on, and nothing is lost.
    assert_int_equal(grpc_reader_take(&reader, guarded_text("more")), 0);
    grpc_reader_room(&reader, (uint8_t *)guarded_end[1] - 4);
    assert_int_equal(grpc_reader_take(&reader, guarded_text("more")), 4);
    assert_memory_equal(reader.message, "more", 4);
    assert_int_equal(grpc_reader_end(&reader), GRPC_READER_TRUNCATED);
}

static void test_after_an_error_everything_is_thrown_away(void **state)
{
    (void)state;
    grpc_reader_begin(&reader);
    assert_int_equal(grpc_reader_take(&reader, guarded((struct span){"\7\0\0\0\1", 5})), 5);
    assert_int_equal(reader.state, GRPC_BROKEN);
    assert_int_equal(grpc_reader_take(&reader, guarded((struct span){"\0\0\0\0\1x", 6})), 6);
    assert_int_equal(reader.error, GRPC_READER_BAD_FLAG);
    assert_int_equal(grpc_reader_end(&reader), GRPC_READER_BAD_FLAG);
    assert_int_equal(grpc_reader_end(&reader), GRPC_READER_BAD_FLAG);
}

static void test_a_large_message(void **state)
{
    (void)state;
    static uint8_t bytes[GRPC_PREFIX + GUARDED];
    grpc_put_prefix(bytes, GUARDED);
    for (size_t i = 0; i < GUARDED; i++)
        bytes[GRPC_PREFIX + i] = (uint8_t)(i * 7 + i / 256);
    static const size_t pieces[] = {GUARDED, 16384, 1000, 7};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        assert_int_equal(read_in_pieces(bytes, sizeof bytes, pieces[i], GUARDED), GRPC_READER_OK);
        assert_memory_equal(reader.message, bytes + GRPC_PREFIX, GUARDED);
    }
}

static void test_reader_errors_have_a_status_and_a_sentence(void **state)
{
    (void)state;
    static const enum grpc_status expected[] = {
        [GRPC_READER_OK] = GRPC_OK,
        [GRPC_READER_COMPRESSED] = GRPC_UNIMPLEMENTED,
        [GRPC_READER_BAD_FLAG] = GRPC_INTERNAL,
        [GRPC_READER_TOO_LARGE] = GRPC_RESOURCE_EXHAUSTED,
        [GRPC_READER_SECOND] = GRPC_UNIMPLEMENTED,
        [GRPC_READER_TRUNCATED] = GRPC_INTERNAL,
        [GRPC_READER_MISSING] = GRPC_UNIMPLEMENTED,
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        const char *sentence = grpc_reader_explain((enum grpc_reader_error)i);
        assert_int_equal(grpc_reader_status((enum grpc_reader_error)i), expected[i]);
        assert_in_range(strlen(sentence), 20, GRPC_MESSAGE_MAX);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(sentence, grpc_reader_explain((enum grpc_reader_error)j));
    }
}

static void test_prefix(void **state)
{
    (void)state;
    static const struct {
        uint32_t length;
        uint8_t bytes[GRPC_PREFIX];
    } rows[] = {
        {0, {0, 0, 0, 0, 0}},
        {1, {0, 0, 0, 0, 1}},
        {0x01020304, {0, 1, 2, 3, 4}},
        {UINT32_MAX, {0, 255, 255, 255, 255}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t *at = (uint8_t *)guarded_room(GRPC_PREFIX).at;
        grpc_put_prefix(at, rows[i].length);
        assert_memory_equal(at, rows[i].bytes, GRPC_PREFIX);
    }
}

/// Statuses ///

static void test_status_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    assert_int_equal(COUNT(names), GRPC_STATUSES);
    for (uint32_t i = 0; i < GRPC_STATUSES; i++)
        assert_string_equal(grpc_status_name(i), names[i]);
    assert_string_equal(grpc_status_name(GRPC_STATUSES), "UNKNOWN");
    assert_string_equal(grpc_status_name(UINT32_MAX), "UNKNOWN");
}

static void test_status_of_http(void **state)
{
    (void)state;
    static const struct {
        uint32_t http;
        enum grpc_status status;
    } rows[] = {
        {400, GRPC_INTERNAL},    {401, GRPC_UNAUTHENTICATED}, {403, GRPC_PERMISSION_DENIED}, {404, GRPC_UNIMPLEMENTED},
        {429, GRPC_UNAVAILABLE}, {502, GRPC_UNAVAILABLE},     {503, GRPC_UNAVAILABLE},       {504, GRPC_UNAVAILABLE},
        {500, GRPC_UNKNOWN},     {415, GRPC_UNKNOWN},         {301, GRPC_UNKNOWN},           {0, GRPC_UNKNOWN},
        {200, GRPC_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(grpc_status_of_http(rows[i].http), rows[i].status);
}

static void test_status_of_h2(void **state)
{
    (void)state;
    static const enum grpc_status expected[] = {
        GRPC_INTERNAL, GRPC_INTERNAL,           GRPC_INTERNAL,          GRPC_INTERNAL,  GRPC_INTERNAL,
        GRPC_UNKNOWN,  GRPC_INTERNAL,           GRPC_UNAVAILABLE,       GRPC_CANCELLED, GRPC_INTERNAL,
        GRPC_INTERNAL, GRPC_RESOURCE_EXHAUSTED, GRPC_PERMISSION_DENIED, GRPC_UNKNOWN,   GRPC_UNKNOWN,
    };
    for (uint32_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(grpc_status_of_h2(i), expected[i]);
    assert_int_equal(grpc_status_of_h2(UINT32_MAX), GRPC_UNKNOWN);
}

static void test_reading_a_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t status;
    } rows[] = {
        {"0", 0},          {"1", 1},  {"16", 16}, {"17", 17}, {"4294967295", UINT32_MAX},
        {"4294967296", 2}, {"", 2},   {"-1", 2},  {"+1", 2},  {" 1", 2},
        {"1 ", 2},         {"OK", 2}, {"1x", 2},  {"00", 0},  {"99999999999999999999999", 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(grpc_read_status(guarded_text(rows[i].text)), rows[i].status);
}

/// Content types ///

static void test_content_types(void **state)
{
    (void)state;
    static const char *const good[] = {
        "application/grpc",           "application/grpc+proto",           "application/grpc;charset=utf-8",
        "application/grpc+proto;a=b", "application/grpc ; charset=utf-8", "Application/gRPC",
        "application/grpc;",
    };
    static const char *const bad[] = {
        "",
        "application/grp",
        "application/grpc+json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpcx",
        "application/grpc+",
        "application/grpc+proto2",
        "application/json",
        "text/plain;application/grpc",
        ";application/grpc",
    };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(grpc_is_content_type(guarded_text(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(grpc_is_content_type(guarded_text(bad[i])));
}

/// Timeouts ///

static void test_reading_timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } rows[] = {
        {"1H", 3600000},
        {"2M", 120000},
        {"15S", 15000},
        {"1500m", 1500},
        {"0m", 0},
        {"0n", 0},
        {"1u", 1},
        {"1000u", 1},
        {"1001u", 2},
        {"999u", 1},
        {"1n", 1},
        {"1000000n", 1},
        {"1000001n", 2},
        {"99999999n", 100},
        {"99999999u", 100000},
        {"99999999m", 99999999},
        {"2147483S", 2147483000},
        {"2147484S", GRPC_TIMEOUT_MAX},
        {"99999999S", GRPC_TIMEOUT_MAX},
        {"99999999M", GRPC_TIMEOUT_MAX},
        {"99999999H", GRPC_TIMEOUT_MAX},
        {"00000001S", 1000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t ms = 12345;
        assert_true(grpc_read_timeout(guarded_text(rows[i].text), &ms));
        assert_int_equal(ms, rows[i].ms);
    }
}

static void test_bad_timeouts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "S",
        "1",
        "10",
        "1s",
        "1h",
        "1N",
        "-1S",
        "+1S",
        " 1S",
        "1 S",
        "1S ",
        "1.5S",
        "123456789m",
        "000000001S",
        "xS",
        "1SS",
        "1m1",
        "99999999999999999999999S",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint32_t ms = 12345;
        assert_false(grpc_read_timeout(guarded_text(bad[i]), &ms));
        assert_int_equal(ms, 12345);
    }
}

static void assert_timeout_text(uint32_t ms, const char *expected)
{
    struct text t = guarded_room(GRPC_TIMEOUT_DIGITS + 1);
    grpc_put_timeout(&t, ms);
    assert_false(t.cut);
    assert_text(&t, expected);
}

static void test_writing_timeouts(void **state)
{
    (void)state;
    assert_timeout_text(0, "1n");
    assert_timeout_text(1, "1m");
    assert_timeout_text(15000, "15000m");
    assert_timeout_text(99999999, "99999999m");
    assert_timeout_text(100000000, "100000S");
    assert_timeout_text(100000001, "100001S");
    assert_timeout_text(UINT32_MAX, "4294968S");
}

// What is written is read as no less, and as no more than a second longer.
static void test_timeouts_both_ways(void **state)
{
    (void)state;
    for (uint64_t ms = 1; ms < GRPC_TIMEOUT_MAX; ms += ms / 7 + 1) {
        uint32_t back = 0;
        struct text t = guarded_room(GRPC_TIMEOUT_DIGITS + 1);
        grpc_put_timeout(&t, (uint32_t)ms);
        assert_true(grpc_read_timeout(text_whole(&t), &back));
        assert_in_range(back, ms, ms + 1000);
    }
}

/// Status messages ///

static const struct {
    const char *message;
    const char *coded;
} messages[] = {
    {"", ""},
    {"plain text, even \"this\" & that!", "plain text, even \"this\" & that!"},
    {"100 %", "100 %25"},
    {"%41", "%2541"},
    {"a\nb\tc\r", "a%0Ab%09c%0D"},
    {"caf\xc3\xa9", "caf%C3%A9"},
    {"\xe2\x98\xba and \xf0\x9f\x98\x88", "%E2%98%BA and %F0%9F%98%88"},
    {"\x7f\x80\xff", "%7F%80%FF"},
    {" at both ends ", "%20at both ends%20"},
    {" ", "%20"},
    {"~", "~"},
};

static void test_writing_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        struct text t = guarded_room(strlen(messages[i].coded));
        grpc_put_message(&t, guarded_text(messages[i].message));
        assert_false(t.cut);
        assert_text(&t, messages[i].coded);
    }
}

// Whatever the room, what is there is the beginning of the whole, and no %XX is cut.
static void test_writing_messages_into_little_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        size_t whole = strlen(messages[i].coded);
        for (size_t size = 0; size < whole; size++) {
            struct text t = guarded_room(size);
            grpc_put_message(&t, guarded_text(messages[i].message));
            assert_true(t.cut);
            assert_true(t.length <= size && t.length + 3 > size);
            assert_memory_equal(t.at, messages[i].coded, t.length);
            for (size_t back = 1; back <= 2 && back <= t.length; back++)
                assert_true(t.at[t.length - back] != '%');
        }
    }
}

static void test_reading_messages(void **state)
{
    (void)state;
    static const struct {
        const char *coded;
        const char *message;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"caf%C3%A9", "caf\xc3\xa9"},
        {"caf%c3%a9", "caf\xc3\xa9"},
        {"100 %25", "100 %"},
        {"%2541", "%41"},
        {"%", "%"},
        {"%4", "%4"},
        {"%4g", "%4g"},
        {"%%41", "%A"},
        {"%%%", "%%%"},
        {"a%0d%0Ab", "a  b"},
        {"a%00b%7Fc%1B[2J", "a b c [2J"},
        {"tab\there", "tab here"},
        {"%E2%98%BA", "\xe2\x98\xba"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text t = guarded_room(strlen(rows[i].message));
        grpc_read_message(&t, guarded_text(rows[i].coded));
        assert_false(t.cut);
        assert_text(&t, rows[i].message);
    }
}

static void test_reading_messages_into_little_room(void **state)
{
    (void)state;
    struct text t = guarded_room(4);
    grpc_read_message(&t, guarded_text("caf%C3%A9"));
    assert_true(t.cut);
    assert_text(&t, "caf\xc3");
}

static void test_messages_both_ways(void **state)
{
    (void)state;
    char all[255], coded[3 * sizeof all], back[sizeof all];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i + 1);
    struct text t = text_in(coded, sizeof coded);
    grpc_put_message(&t, guarded((struct span){all, sizeof all}));
    assert_false(t.cut);
    for (size_t i = 0; i < t.length; i++)
        assert_in_range(t.at[i], ' ', '~');
    struct text read = text_in(back, sizeof back);
    grpc_read_message(&read, text_whole(&t));
    assert_int_equal(read.length, sizeof all);
    for (size_t i = 0; i < sizeof all; i++) {
        bool control = (uint8_t)all[i] < ' ' || all[i] == 0x7f;
        assert_int_equal(back[i], control ? ' ' : all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_every_byte_of_the_length_counts),
        cmocka_unit_test(test_after_an_error_everything_is_thrown_away),
        cmocka_unit_test(test_a_large_message),
        cmocka_unit_test(test_reader_errors_have_a_status_and_a_sentence),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_status_of_http),
        cmocka_unit_test(test_status_of_h2),
        cmocka_unit_test(test_reading_a_status),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_reading_timeouts),
        cmocka_unit_test(test_bad_timeouts),
        cmocka_unit_test(test_writing_timeouts),
        cmocka_unit_test(test_timeouts_both_ways),
        cmocka_unit_test(test_writing_messages),
        cmocka_unit_test(test_writing_messages_into_little_room),
        cmocka_unit_test(test_reading_messages),
        cmocka_unit_test(test_reading_messages_into_little_room),
        cmocka_unit_test(test_messages_both_ways),
    };
    return cmocka_run_group_tests_name("grpc", tests, make_guards, NULL);
}
