// The gRPC client: calls, replies, windows and slots.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "peer_support.h"
#include "rpc_peer_support.h"

/// The shape of a request ///

static void test_request(void **state)
{
    (void)state;
    static const uint8_t prefix[] = {0, 0, 0, 0, 8};
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    struct frame f;
    uint8_t content[100];
    bool ended;
    char message[] = "question";
    struct rpc_request *r = call(message, &a);
    assert_non_null(r);
    memset(message, 'x', 8); // it was copied
    peer_run(10);
    assert_memory_equal(p->received, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H2_PREFACE_BYTES);
    assert_true(find_frame(p, SETTINGS, 0, &f));
    assert_int_equal(count_frames(p, HEADERS), 0); // a call waits for the peer's SETTINGS
    put_settings();
    machine_now_ms += 990;
    flush(p);
    assert_string_equal(fields_of(p, 0), ":method: POST\n:scheme: http\n:path: " PATH "\n:authority: " TARGET
                                         "\ngrpc-timeout: 3999m\nte: trailers\ncontent-type: application/grpc\n"
                                         "user-agent: grpc-c-pipit/0.1\n");
    assert_true(find_frame(p, HEADERS, 0, &f));
    assert_int_equal(f.id, 1);
    assert_int_equal(f.payload[0], 0x20); // a table of no size, once
    assert_int_not_equal(f.payload[1] & 0xe0, 0x20);
    assert_int_equal(content_of(p, 1, content, &ended), 13);
    assert_true(ended);
    assert_memory_equal(content, prefix, 5);
    assert_memory_equal(content + 5, "question", 8);
    assert_int_equal(rpc_channels(), 1);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
    assert_int_equal(rpc_requests(), 0);
    call("", &a);
    peer_run(5);
    assert_true(find_frame(p, HEADERS, 1, &f));
    assert_int_equal(f.id, 3);
    assert_int_not_equal(f.payload[0] & 0xe0, 0x20);
    assert_int_equal(content_of(p, 3, content, &ended), 5);
    assert_true(ended);
    put_reply(3, "");
    flush(p);
    assert_reply(&a, "");
    assert_int_equal(count_frames(p, RST_STREAM), 0);
}

static void test_secret(void **state)
{
    (void)state;
    struct answer a;
    strcpy(rpc_settings.secret, "0123456789012345678901234567890123456789012345678901234567890123");
    struct peer *p = sent(&a);
    assert_non_null(strstr(fields_of(p, 0), "\n!authorization: Bearer 01234567890123456789012345678901234567890"
                                            "12345678901234567890123\n"));
}

// The longest names that are taken, and the largest message.
static void test_largest_request(void **state)
{
    (void)state;
    char target[RPC_TARGET_MAX + 1], path[65], message[RPC_MESSAGE + 2];
    struct answer a = {0};
    uint8_t content[RPC_MESSAGE + GRPC_PREFIX];
    bool ended;
    memset(path, 'p', 64);
    path[0] = '/';
    path[64] = '\0';
    memset(message, 'm', sizeof message);
    strcpy(rpc_settings.secret, "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~");
    snprintf(target, sizeof target, "10.0.2.2:%070u", PORT);
    struct peer *p = listen_at(0, PORT);
    assert_null(rpc_call(target, path, (struct span){message, RPC_MESSAGE + 1}, 5000, told, &a));
    assert_non_null(rpc_call(target, path, (struct span){message, RPC_MESSAGE}, 5000, told, &a));
    peer_run(5);
    put_settings();
    flush(p);
    assert_non_null(strstr(fields_of(p, 0), target));
    assert_int_equal(content_of(p, 1, content, &ended), sizeof content);
    assert_true(ended);
    assert_memory_equal(content + GRPC_PREFIX, message, RPC_MESSAGE);
    message[RPC_MESSAGE] = '\0';
    put_reply(1, message);
    flush(p);
    assert_reply(&a, message);
}

static void test_targets_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "host",    ":1",       "host:", "host:0", "host:65536", "host:1x", "host:-1", "host: 1",
        "[::1]:1", "ho st:1", "host:1:2", "hö:1",  "a/b:1",  "http://a:1", "a\n:1",   "a:1 ",
    };
    static const char *const good[] = {"127.0.0.1:50051", "verify.example:1", "a_b-c:65535", "localhost:00080"};
    char longest[RPC_TARGET_MAX + 2];
    struct answer a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_non_null(rpc_check_target(span_of(bad[i])));
        assert_null(call_at(bad[i], "x", 1000, &a));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(rpc_check_target(span_of(good[i])));
    memset(longest, 'a', sizeof longest);
    memcpy(longest + RPC_TARGET_MAX - 2, ":1", 3);
    assert_null(rpc_check_target(span_of(longest)));
    memcpy(longest + RPC_TARGET_MAX - 2, "a:1", 4);
    assert_non_null(rpc_check_target(span_of(longest)));
}

/// Replies ///

static void test_reply_byte_by_byte(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    call("question", &a);
    peer_run(5);
    put_settings();
    flush_byte_by_byte(p);
    put_reply(1, "answer");
    flush_byte_by_byte(p);
    assert_reply(&a, "answer");
}

// Interim responses, padding, priorities, continuations, frames of one byte, empty ones, unknown ones, PINGs.
static void test_reply_in_strange_frames(void **state)
{
    (void)state;
    static const uint8_t padded[] = {3, 0, 0, 0, 0, 4, 'g', 0, 0, 0};
    struct answer a;
    struct peer *p = sent(&a);
    uint8_t block[200];
    put_headers(1, 0, ":status: 103\nlink: </x>\n");
    put_headers(1, 0, ":status: 100\n");
    size_t n = encode(GOOD "x-other: 1\n", block, sizeof block);
    put_frame(HEADERS, 0, 1, block, 1);
    put_frame(CONTINUATION, 0, 1, block + 1, 2);
    put_frame(CONTINUATION, END_HEADERS, 1, block + 3, n - 3);
    put_frame(0x77, 0xff, 1, "unknown", 7);
    put_frame(DATA, PADDED, 1, padded, sizeof padded);
    for (int i = 0; i < 20; i++) {
        put_frame(PING, 0, 0, "01234567", 8);
        put_frame(SETTINGS, 0, 0, NULL, 0);
    }
    put_frame(DATA, 0, 1, NULL, 0);
    put_frame(DATA, 0, 1, "o", 1);
    put_frame(DATA, 0, 1, "od", 2);
    // As @grpc/grpc-js has it: a grpc-message, and behind the status.
    put_headers(1, END_STREAM, "grpc-status: 0\ngrpc-message: OK\n");
    flush(p);
    peer_run(20);
    assert_reply(&a, "good");
    assert_int_equal(count_frames(p, PING), 20);
    assert_answers(p, 3);
}

static const struct {
    const char *headers; // NULL for none; then the message, NULL for none; then the trailers
    const char *message;
    const char *trailers;
    uint32_t status;
    const char *said;
} replies[] = {
    // Trailers alone
    {NULL, NULL, GOOD "grpc-status: 5\ngrpc-message: no such %22thing%22%0A\n", GRPC_NOT_FOUND, "no such \"thing\" "},
    {NULL, NULL, GOOD "grpc-status: 16\n", GRPC_UNAUTHENTICATED, ""},
    {NULL, NULL, GOOD "grpc-status: 77\ngrpc-message: 100%\n", 77, "100%"},
    {NULL, NULL, GOOD "grpc-status: zero\n", GRPC_UNKNOWN, ""},
    {NULL, NULL, ":status: 200\ngrpc-status: 12\n", GRPC_UNIMPLEMENTED, ""},
    {NULL, NULL, ":status: 503\ncontent-type: text/html\ngrpc-status: 7\ngrpc-message: no\n", GRPC_PERMISSION_DENIED,
     "no"},
    {NULL, NULL, GOOD OK_TAIL, GRPC_INTERNAL, "The stream ended without a message."},
    {GOOD, NULL, OK_TAIL, GRPC_INTERNAL, "The stream ended without a message."},
    // A status that is not OK wins over a message
    {GOOD, "half", "grpc-status: 10\ngrpc-message: changed my mind\n", GRPC_ABORTED, "changed my mind"},
    // No status
    {NULL, NULL, GOOD, GRPC_UNKNOWN, "the reply ended without grpc-status"},
    {GOOD, "whole", "x-other: 1\n", GRPC_UNKNOWN, "the reply ended without grpc-status"},
    // No gRPC
    {NULL, NULL, ":status: 400\n", GRPC_INTERNAL, "HTTP status 400"},
    {NULL, NULL, ":status: 401\n", GRPC_UNAUTHENTICATED, "HTTP status 401"},
    {NULL, NULL, ":status: 403\n", GRPC_PERMISSION_DENIED, "HTTP status 403"},
    {NULL, NULL, ":status: 404\ncontent-type: text/html\n", GRPC_UNIMPLEMENTED, "HTTP status 404"},
    {NULL, NULL, ":status: 429\n", GRPC_UNAVAILABLE, "HTTP status 429"},
    {NULL, NULL, ":status: 502\n", GRPC_UNAVAILABLE, "HTTP status 502"},
    {NULL, NULL, ":status: 503\n", GRPC_UNAVAILABLE, "HTTP status 503"},
    {NULL, NULL, ":status: 504\n", GRPC_UNAVAILABLE, "HTTP status 504"},
    {NULL, NULL, ":status: 500\n", GRPC_UNKNOWN, "HTTP status 500"},
    {NULL, NULL, ":status: 302\n", GRPC_UNKNOWN, "HTTP status 302"},
    {NULL, NULL, ":status: 200\ncontent-type: text/html\n", GRPC_UNKNOWN, "the reply is not gRPC"},
    {NULL, NULL, ":status: 200\n", GRPC_UNKNOWN, "the reply is not gRPC"},
};

static void test_replies(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    uint32_t id = 1;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++, id += 2) {
        if (replies[i].headers != NULL)
            put_headers(id, 0, replies[i].headers);
        if (replies[i].message != NULL)
            put_message(id, 0, replies[i].message);
        put_headers(id, END_STREAM, replies[i].trailers);
        flush(p);
        assert_answer(&a, replies[i].status, "", replies[i].said);
        assert_int_equal(count_frames(p, RST_STREAM), 0); // both sides had ended
        call("next", &a);
        peer_run(5);
    }
    put_reply(id, "good");
    flush(p);
    assert_reply(&a, "good");
}

// An error page is not read to its end.
static void test_http_error_with_content(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_headers(1, 0, ":status: 502\ncontent-type: text/html\n");
    flush(p);
    assert_answer(&a, GRPC_UNAVAILABLE, "", "HTTP status 502");
    assert_int_equal(reset_of(p, 1), H2_CANCEL);
    put_frame(DATA, END_STREAM, 1, "<html>", 6); // it was on the way
    flush(p);
    assert_answers(p, 3);
}

static const struct {
    const char *bytes;
    size_t length;
    bool ends;
    uint32_t status;
    const char *said;
} contents[] = {
    {"\1\0\0\0\1x", 6, false, GRPC_INTERNAL, "The message is compressed; only identity is understood here."},
    {"\2\0\0\0\1x", 6, false, GRPC_INTERNAL, "The compressed flag of the message is neither 0 nor 1."},
    {"\0\0\0\2\x81", 5, false, GRPC_RESOURCE_EXHAUSTED, "The message is larger than what can be taken."},
    {"\0\xff\xff\xff\xff", 5, false, GRPC_RESOURCE_EXHAUSTED, "The message is larger than what can be taken."},
    {"\0\0\0\0\1x\0\0\0\0\1y", 12, false, GRPC_INTERNAL, "There is more than one message in a unary call."},
    {"\0\0\0\0\2x", 6, true, GRPC_INTERNAL, "The stream ended within a message."},
    {"\0\0\0", 3, true, GRPC_INTERNAL, "The stream ended within a message."},
};

static void test_bad_messages(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    uint32_t id = 1;
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++, id += 2) {
        put_headers(id, 0, GOOD);
        put_frame(DATA, 0, id, contents[i].bytes, contents[i].length);
        if (contents[i].ends)
            put_headers(id, END_STREAM, OK_TAIL);
        flush(p);
        assert_answer(&a, contents[i].status, "", contents[i].said);
        assert_int_equal(reset_of(p, id), contents[i].ends ? -1 : H2_CANCEL);
        call("next", &a);
        peer_run(5);
    }
    put_frame(DATA, END_STREAM, 1, NULL, 0); // late, and nobody's
    put_headers(id, 0, GOOD);
    put_message(id, END_STREAM, "whole"); // no trailers at all
    flush(p);
    assert_answer(&a, GRPC_UNKNOWN, "", "the reply ended without grpc-status");
}

// Too large a grpc-message is left out; a long one is cut. The call has its status all the same.
static void test_long_status_messages(void **state)
{
    (void)state;
    char fields[4096] = GOOD "grpc-status: 9\ngrpc-message: ";
    struct answer a;
    struct peer *p = sent(&a);
    size_t n = strlen(fields);
    memset(fields + n, 'm', 300);
    strcpy(fields + n + 300, "\n");
    put_headers(1, END_STREAM, fields);
    flush(p);
    assert_int_equal(a.status, GRPC_FAILED_PRECONDITION);
    assert_int_equal(strlen(a.message), GRPC_MESSAGE_MAX);
    call("next", &a);
    peer_run(5);
    memset(fields + n, 'm', 3000);
    strcpy(fields + n + 3000, "\n");
    put_headers(3, END_STREAM, fields);
    flush(p);
    assert_answer(&a, GRPC_FAILED_PRECONDITION, "", "");
}

static const struct {
    uint32_t error;
    uint32_t status;
    const char *said;
} resets[] = {
    {H2_NO_ERROR, GRPC_INTERNAL, "reset by the peer: NO_ERROR"},
    {H2_PROTOCOL_ERROR, GRPC_INTERNAL, "reset by the peer: PROTOCOL_ERROR"},
    {H2_INTERNAL_ERROR, GRPC_INTERNAL, "reset by the peer: INTERNAL_ERROR"},
    {H2_CANCEL, GRPC_CANCELLED, "reset by the peer: CANCEL"},
    {H2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED, "reset by the peer: ENHANCE_YOUR_CALM"},
    {H2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED, "reset by the peer: INADEQUATE_SECURITY"},
    {99, GRPC_UNKNOWN, "reset by the peer: unknown error"},
};

static void test_resets(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    uint32_t id = 1;
    for (size_t i = 0; i < sizeof resets / sizeof resets[0]; i++, id += 2) {
        put_number(RST_STREAM, id, resets[i].error);
        flush(p);
        assert_answer(&a, resets[i].status, "", resets[i].said);
        call("next", &a);
        peer_run(5);
    }
    put_headers(id, 0, GOOD); // and in the middle of a reply
    put_message(id, 0, "whole");
    put_number(RST_STREAM, id, H2_INTERNAL_ERROR);
    flush(p);
    assert_answer(&a, GRPC_INTERNAL, "", "reset by the peer: INTERNAL_ERROR");
}

// After a whole reply NO_ERROR means nothing (RFC 9113 section 8.1).
static void test_reset_behind_the_reply(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_reply(1, "answer");
    put_number(RST_STREAM, 1, H2_NO_ERROR);
    flush(p);
    assert_reply(&a, "answer");
    assert_answers(p, 3);
}

// What breaks HTTP/2 on one stream ends the call, and the others go on.
static void test_malformed_reply(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_headers(1, 0, ":status: 200\nUPPER: case\n");
    flush(p);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status, GRPC_INTERNAL);
    assert_int_equal(reset_of(p, 1), H2_PROTOCOL_ERROR);
    assert_answers(p, 3);
}

/// Flow control and concurrency ///

static void test_window_of_single_bytes(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    uint8_t content[100];
    bool ended;
    call("question", &a);
    peer_run(5);
    put_setting(4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
    flush(p);
    assert_int_equal(count_frames(p, HEADERS), 1);
    for (size_t i = 0; i < 13; i++) {
        assert_int_equal(content_of(p, 1, content, &ended), i);
        assert_false(ended);
        put_number(WINDOW_UPDATE, 1, 1);
        flush(p);
    }
    assert_int_equal(content_of(p, 1, content, &ended), 13);
    assert_true(ended);
    assert_memory_equal(content + GRPC_PREFIX, "question", 8);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

// One call without a window does not hold up another one that has some.
static void test_windows_are_per_stream(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a, b;
    uint8_t content[100];
    bool ended;
    call("first", &a);
    call("second", &b);
    peer_run(5);
    put_setting(4, 3);
    flush(p);
    put_number(WINDOW_UPDATE, 3, 100);
    flush(p);
    assert_int_equal(content_of(p, 1, content, &ended), 3);
    assert_int_equal(content_of(p, 3, content, &ended), 11);
    assert_true(ended);
    put_reply(3, "b");
    flush(p);
    assert_reply(&b, "b");
    put_setting(4, 50);
    flush(p);
    assert_int_equal(content_of(p, 1, content, &ended), 10);
    put_reply(1, "a");
    flush(p);
    assert_reply(&a, "a");
}

// The answer comes before the question was asked to its end: taken, and the rest is called off with NO_ERROR.
static void test_early_reply(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    call("question", &a);
    peer_run(5);
    put_setting(4, 6);
    flush(p);
    put_reply(1, "I know already");
    flush(p);
    assert_reply(&a, "I know already");
    assert_int_equal(reset_of(p, 1), H2_NO_ERROR);
    assert_answers(p, 3);
}

static void test_concurrency(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a[4];
    for (int i = 0; i < 4; i++)
        call("question", &a[i]);
    peer_run(5);
    put_setting(3, 1); // SETTINGS_MAX_CONCURRENT_STREAMS
    flush(p);
    assert_int_equal(count_frames(p, HEADERS), 1);
    put_reply(1, "a");
    flush(p);
    assert_reply(&a[0], "a");
    assert_int_equal(count_frames(p, HEADERS), 2);
    put_setting(3, 0); // lowered while calls are there
    put_reply(3, "b");
    flush(p);
    assert_reply(&a[1], "b");
    assert_int_equal(count_frames(p, HEADERS), 2);
    put_setting(3, 2);
    flush(p);
    assert_int_equal(count_frames(p, HEADERS), 4);
    put_reply(7, "d");
    put_reply(5, "c");
    flush(p);
    assert_reply(&a[2], "c");
    assert_reply(&a[3], "d");
}

static void test_all_requests(void **state)
{
    (void)state;
    static struct answer a[RPC_REQUESTS];
    struct peer *p = listen_at(0, PORT);
    struct answer more = {0}, then = {0};
    for (int i = 0; i < RPC_REQUESTS; i++)
        call("question", &a[i]);
    assert_null(call_at(TARGET, "one more", 1000, &more));
    peer_run(5);
    put_settings();
    flush(p);
    peer_run(100);
    assert_int_equal(count_frames(p, HEADERS), RPC_REQUESTS);
    a[0].then = &then; // an answer has room for a call of its own
    for (uint32_t i = 0; i < RPC_REQUESTS; i++) {
        char text[16];
        snprintf(text, sizeof text, "answer %u", i);
        put_reply(2 * i + 1, text);
        if (i % 8 == 7)
            flush(p);
    }
    flush(p);
    for (uint32_t i = 0; i < RPC_REQUESTS; i++) {
        char text[16];
        snprintf(text, sizeof text, "answer %u", i);
        assert_reply(&a[i], text);
    }
    put_reply(2 * RPC_REQUESTS + 1, "then");
    flush(p);
    assert_reply(&then, "then");
}

// The rest of a question that was answered already is not sent: where it was the answer is.
static void test_early_reply_in_pieces(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    uint8_t content[100];
    bool ended;
    call("question", &a);
    peer_run(5);
    put_setting(4, 6);
    flush(p);
    put_headers(1, 0, GOOD);
    put_message(1, 0, "I know already");
    flush(p);
    put_number(WINDOW_UPDATE, 1, 100);
    flush(p);
    assert_int_equal(content_of(p, 1, content, &ended), 6);
    put_headers(1, END_STREAM, OK_TAIL);
    flush(p);
    assert_reply(&a, "I know already");
    assert_int_equal(reset_of(p, 1), H2_NO_ERROR);
}

// lwIP has no segment for the frames: they wait, and nothing is lost or sent twice.
static void test_memory_is_short(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    uint8_t content[100];
    bool ended;
    put_reply(1, "answer");
    flush(p);
    take_all_segments();
    call("question", &a);
    peer_run(300);
    assert_int_equal(count_frames(p, HEADERS), 1);
    give_segments_back();
    peer_run(300);
    assert_int_equal(count_frames(p, HEADERS), 2);
    assert_int_equal(content_of(p, 3, content, &ended), 13);
    put_reply(3, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

// What cannot be acknowledged is not read on: the peer's window shuts, and opens again.
static void test_blocked_by_pings(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    take_all_segments();
    for (int i = 0; i < 200; i++)
        put_frame(PING, 0, 0, "01234567", 8);
    put_reply(1, "answer");
    flush(p);
    peer_run(300);
    assert_int_equal(a.calls, 0);
    give_segments_back();
    peer_run(300);
    assert_int_equal(count_frames(p, PING), 200);
    assert_reply(&a, "answer");
}

// Calls whose frames had no room yet were not begun: they are made on the next connection.
static void test_lost_before_a_frame_was_written(void **state)
{
    (void)state;
    struct answer a[6];
    struct peer *p = sent(&a[0]);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a[0], "answer");
    take_all_segments();
    for (int i = 0; i < 6; i++)
        call("question", &a[i]);
    peer_run(50);
    assert_int_equal(count_frames(p, HEADERS), 1);
    give_segments_back();
    struct peer *q = listen_at(1, PORT);
    peer_abort(p);
    peer_run(5);
    put_settings();
    flush(q);
    unsigned lost = 0;
    while (a[lost].calls > 0)
        assert_answer(&a[lost++], GRPC_UNAVAILABLE, "connect", "connection lost: reset by the peer");
    assert_in_range(lost, 1, 5);
    assert_int_equal(count_frames(q, HEADERS), 6 - lost);
    for (uint32_t i = lost; i < 6; i++)
        put_reply(2 * (i - lost) + 1, "answer");
    flush(q);
    for (uint32_t i = lost; i < 6; i++)
        assert_reply(&a[i], "answer");
}

/// Cancelling ///

static void test_cancel(void **state)
{
    (void)state;
    struct answer a, b, c;
    struct peer *p = listen_at(0, PORT);
    struct rpc_request *r = call("waiting", &a);
    rpc_cancel(r); // before anything was dialled
    assert_int_equal(rpc_requests(), 0);
    peer_run(5);
    assert_false(p->synchronized);
    r = call("connecting", &a);
    call("kept", &b);
    peer_run(5);
    rpc_cancel(r);
    put_settings();
    flush(p);
    assert_int_equal(count_frames(p, HEADERS), 1);
    r = call("sent", &c);
    peer_run(5);
    rpc_cancel(r);
    rpc_cancel(r); // it is over
    peer_run(5);
    assert_int_equal(reset_of(p, 3), H2_CANCEL);
    put_reply(3, "too late");
    put_reply(1, "answer");
    flush(p);
    assert_reply(&b, "answer");
    assert_int_equal(a.calls, 0);
    assert_int_equal(c.calls, 0);
    assert_answers(p, 5);
}

// Both answers arrive in one turn: the first one's caller calls the second off, and a third cancels itself.
static void test_cancel_in_an_answer(void **state)
{
    (void)state;
    struct answer a, b, c, d;
    struct peer *p = sent(&a);
    a.cancels = call("second", &b);
    c.calls = 0;
    struct rpc_request *r = call("third", &c);
    c.cancels = r;
    peer_run(5);
    put_reply(1, "a");
    put_reply(3, "b");
    put_reply(5, "c");
    flush(p);
    assert_reply(&a, "a");
    assert_int_equal(b.calls, 0);
    assert_reply(&c, "c");
    call("in flight", &d); // and one that is in flight still
    peer_run(5);
    r = call("other", &a);
    peer_run(5);
    d.cancels = r;
    put_reply(7, "d");
    flush(p);
    assert_reply(&d, "d");
    assert_int_equal(reset_of(p, 9), H2_CANCEL);
    assert_int_equal(rpc_requests(), 0);
}

// The reply stays readable in the callback although the slot is another call's by then.
static void test_call_in_an_answer(void **state)
{
    (void)state;
    struct answer a, then = {0};
    struct peer *p = sent(&a);
    a.then = &then;
    put_reply(1, "first");
    flush(p);
    assert_reply(&a, "first");
    assert_int_equal(then.calls, 0);
    put_reply(3, "second");
    flush(p);
    assert_reply(&then, "second");
}

/// Slots ///

// A third target: the one that was not asked for for longest goes, unless it has calls.
static void test_slots(void **state)
{
    (void)state;
    struct answer a, b, c;
    struct peer *p = sent(&a);
    struct peer *q = listen_at(1, 50052);
    put_reply(1, "a");
    flush(p);
    call_at("10.0.2.2:50052", "question", 5000, &b);
    peer_run(5);
    put_settings();
    flush(q);
    put_reply(1, "b");
    flush(q);
    assert_reply(&b, "b");
    assert_int_equal(rpc_channels(), 2);
    call("question", &a);
    peer_run(5);
    struct peer *s = listen_at(2, 50053);
    call_at("10.0.2.2:50053", "question", 5000, &c);
    peer_run(5);
    assert_true(q->fin);
    assert_int_equal(count_frames(q, GOAWAY), 1);
    put_settings();
    flush(s);
    put_reply(1, "c");
    flush(s);
    assert_reply(&c, "c");
    put_reply(3, "a");
    flush(p);
    assert_reply(&a, "a");
    assert_int_equal(rpc_channels(), 2);
}

// However few slots there are: targets without a call make way for others, those with one do not.
static void test_more_targets_than_slots(void **state)
{
    (void)state;
    struct answer a[RPC_CHANNELS + 1];
    char target[32];
    for (unsigned i = 0; i <= RPC_CHANNELS; i++) {
        struct peer *p = listen_at(i, (uint16_t)(50061 + i));
        snprintf(target, sizeof target, "10.0.2.2:%u", 50061 + i);
        call_at(target, "question", 5000, &a[i]);
        peer_run(5);
        put_settings();
        flush(p);
        put_reply(1, "answer");
        flush(p);
        assert_reply(&a[i], "answer");
        assert_int_equal(rpc_channels(), i < RPC_CHANNELS ? i + 1 : RPC_CHANNELS);
    }
    assert_true(servers[0].fin);
    for (unsigned i = 1; i <= RPC_CHANNELS; i++) {
        snprintf(target, sizeof target, "10.0.2.2:%u", 50061 + i);
        assert_non_null(call_at(target, "long", 9000, &a[i]));
    }
    assert_null(call_at("10.0.2.2:50061", "other", 5000, &a[0]));
    peer_run(10000);
}

static void test_oldest_slot_goes(void **state)
{
    (void)state;
    static const char *const targets[] = {"10.0.2.2:50061", "10.0.2.2:50062", "10.0.2.2:50061", "10.0.2.2:50063"};
    struct answer a;
    for (size_t i = 0; i < 4; i++) {
        size_t at = i == 2 ? 0 : i;
        struct peer *p = i == 2 ? &servers[0] : listen_at(at, (uint16_t)(50061 + (i == 3 ? 2 : i)));
        call_at(targets[i], "question", 5000, &a);
        peer_run(5);
        if (i != 2)
            put_settings();
        if (i != 2)
            flush(p);
        put_reply(i == 2 ? 3 : 1, "answer");
        flush(p);
        assert_reply(&a, "answer");
    }
    assert_false(servers[0].fin);
    assert_true(servers[1].fin); // it was not asked for since the first one was
}

static void test_stop(void **state)
{
    (void)state;
    struct answer a, b;
    struct peer *p = sent(&a);
    put_setting(3, 1);
    flush(p);
    call("waits", &b);
    rpc_channel_service.stop();
    assert_int_equal(rpc_requests(), 0);
    peer_run(10);
    assert_int_equal(reset_of(p, 1), H2_CANCEL);
    assert_int_equal(count_frames(p, GOAWAY), 1);
    assert_true(p->fin);
    assert_int_equal(a.calls + b.calls, 0);
}

/// Metrics ///

static uint32_t metric(const char *name, const char *labels)
{
    for (size_t i = 0; i < rpc_channel_service.metric_count; i++) {
        const struct metric *m = &rpc_channel_service.metrics[i];
        if (strcmp(m->name, name) == 0 && (labels == NULL || strcmp(m->labels, labels) == 0))
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static void test_metrics(void **state)
{
    (void)state;
    uint32_t calls = metric("pipit_rpc_client_calls_total", NULL);
    uint32_t unavailable = metric("pipit_rpc_client_failed_total", "status=\"UNAVAILABLE\"");
    uint32_t other = metric("pipit_rpc_client_failed_total", "status=\"other\"");
    uint32_t reconnects = metric("pipit_rpc_client_reconnects_total", NULL);
    struct answer a;
    struct peer *p = sent(&a);
    assert_int_equal(metric("pipit_rpc_client_channels", NULL), 1);
    assert_int_equal(metric("pipit_rpc_client_requests", NULL), 1);
    put_headers(1, END_STREAM, GOOD "grpc-status: 77\n");
    flush(p);
    call("question", &a);
    peer_run(5);
    peer_abort(p);
    peer_run(5);
    peer_forget(p);
    sent(&a);
    assert_int_equal(metric("pipit_rpc_client_calls_total", NULL), calls + 3);
    assert_int_equal(metric("pipit_rpc_client_failed_total", "status=\"UNAVAILABLE\""), unavailable + 1);
    assert_int_equal(metric("pipit_rpc_client_failed_total", "status=\"other\""), other + 1);
    assert_int_equal(metric("pipit_rpc_client_reconnects_total", NULL), reconnects + 1);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, rpc_peer_setup, rpc_peer_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_request),
        TEST(test_secret),
        TEST(test_largest_request),
        TEST(test_targets_that_are_none),
        TEST(test_reply_byte_by_byte),
        TEST(test_reply_in_strange_frames),
        TEST(test_replies),
        TEST(test_http_error_with_content),
        TEST(test_bad_messages),
        TEST(test_long_status_messages),
        TEST(test_resets),
        TEST(test_reset_behind_the_reply),
        TEST(test_malformed_reply),
        TEST(test_window_of_single_bytes),
        TEST(test_windows_are_per_stream),
        TEST(test_early_reply),
        TEST(test_concurrency),
        TEST(test_all_requests),
        TEST(test_early_reply_in_pieces),
        TEST(test_memory_is_short),
        TEST(test_blocked_by_pings),
        TEST(test_lost_before_a_frame_was_written),
        TEST(test_cancel),
        TEST(test_cancel_in_an_answer),
        TEST(test_call_in_an_answer),
        TEST(test_slots),
        TEST(test_more_targets_than_slots),
        TEST(test_oldest_slot_goes),
        TEST(test_stop),
        TEST(test_metrics),
    };
    return cmocka_run_group_tests(tests, rpc_peer_start, NULL);
}
