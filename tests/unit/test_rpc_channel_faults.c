// The gRPC client against servers that are late, refuse, cannot be reached, or die.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "peer_support.h"
#include "rpc_peer_support.h"

/// Deadlines ///

static void test_deadline_while_connecting(void **state)
{
    (void)state;
    struct answer a, b;
    call_at(TARGET, "question", 3000, &a); // nobody there
    call_at(TARGET, "question", 20000, &b);
    peer_run(2990);
    assert_int_equal(a.calls, 0);
    peer_run(20);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: not sent");
    peer_run(6900);
    assert_int_equal(b.calls, 0);
    peer_run(200);
    assert_answer(&b, GRPC_UNAVAILABLE, "connect", "connect: timed out");
}

// TCP accepts, and nothing is said.
static void test_no_settings(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a, b;
    call_at(TARGET, "question", 3000, &a);
    call_at(TARGET, "question", 20000, &b);
    peer_run(3010);
    assert_true(p->synchronized);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: not sent");
    assert_false(p->reset);
    peer_run(7000);
    assert_answer(&b, GRPC_UNAVAILABLE, "connect", "connect: timed out");
    assert_true(p->reset);
}

static void test_deadline_of_a_waiting_call(void **state)
{
    (void)state;
    struct peer *p = listen_at(0, PORT);
    struct answer a;
    call("question", &a);
    peer_run(5);
    put_setting(3, 0);
    flush(p);
    peer_run(5000);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: not sent");
    assert_int_equal(count_frames(p, HEADERS), 0);
    assert_false(p->reset || p->fin);
}

// The server lives: the call is taken back and the connection stays.
static void test_deadline_of_a_slow_answer(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_headers(1, 0, GOOD);
    flush(p);
    peer_run(5000);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_int_equal(reset_of(p, 1), H2_CANCEL);
    put_message(1, 0, "too late");
    put_headers(1, END_STREAM, OK_TAIL);
    flush(p);
    assert_int_equal(a.calls, 1);
    assert_answers(p, 3);
}

// Not a byte since the call was sent: the connection may be dead, and the next call shall not find out the hard way.
static void test_deadline_in_silence(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    call("question", &a);
    peer_run(4990);
    assert_false(p->reset);
    peer_run(20);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_true(p->reset); // no goodbye, which nobody may hear
    struct peer *q = listen_at(1, PORT);
    call("question", &a);
    peer_run(5);
    put_settings();
    flush(q);
    assert_int_equal(count_frames(q, HEADERS), 1);
    put_reply(1, "answer");
    flush(q);
    assert_reply(&a, "answer");
    assert_int_equal(rpc_channels(), 1);
}

// The other calls of a silent connection keep their time; new ones go elsewhere.
static void test_silence_with_other_calls(void **state)
{
    (void)state;
    struct answer a, b, c;
    struct peer *p = sent(&a);
    call_at(TARGET, "long", 9000, &b);
    peer_run(5000);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_int_equal(b.calls, 0);
    struct peer *q = listen_at(1, PORT);
    call("new", &c);
    peer_run(5);
    put_settings();
    flush(q);
    assert_int_equal(count_frames(q, HEADERS), 1);
    put_reply(3, "slow"); // it was alive after all
    flush(p);
    assert_reply(&b, "slow");
    assert_true(p->fin); // and ends with its last call
    put_reply(1, "quick");
    flush(q);
    assert_reply(&c, "quick");
    assert_answers(q, 3);
}

// The last call of the silent connection runs out of time too. Its slot must not keep the target, or the next call
// would find it first and dial once more, past the connection that is there.
static void test_silence_of_all_calls(void **state)
{
    (void)state;
    struct answer a, b, c;
    struct peer *p = sent(&a);
    call_at(TARGET, "long", 9000, &b);
    peer_run(5000);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    struct peer *q = listen_at(1, PORT);
    call("new", &c);
    peer_run(5);
    put_settings();
    flush(q);
    put_reply(1, "quick");
    flush(q);
    assert_reply(&c, "quick");
    peer_run(4000);
    assert_answer(&b, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_true(p->reset);
    assert_int_equal(rpc_channels(), 1);
    struct peer *late = listen_at(2, PORT);
    assert_answers(q, 3);
    assert_false(late->synchronized);
    struct peer *other = listen_at(3, 50052); // and another target has the slot, without a goodbye on q
    call_at("10.0.2.2:50052", "other", 5000, &a);
    peer_run(5);
    assert_true(other->synchronized);
    assert_false(q->fin || q->reset);
}

// What waits for the end of a suspected connection, since all slots are busy, goes on then.
static void test_silence_of_all_calls_while_others_wait(void **state)
{
    (void)state;
    struct answer a, b, c, other;
    struct peer *p = sent(&a);
    struct peer *elsewhere = listen_at(1, 50052);
    call_at(TARGET, "long", 9000, &b);
    assert_non_null(call_at("10.0.2.2:50052", "other", 60000, &other));
    peer_run(5);
    put_settings();
    flush(elsewhere);
    peer_run(5000);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    struct peer *q = listen_at(2, PORT);
    call_at(TARGET, "waits", 20000, &c);
    peer_run(3000);
    assert_int_equal(count_frames(p, HEADERS), 2);
    assert_false(q->synchronized);
    peer_run(1100);
    assert_answer(&b, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_true(p->reset);
    assert_true(q->synchronized);
    put_settings();
    flush(q);
    put_reply(1, "at last");
    flush(q);
    assert_reply(&c, "at last");
    put_reply(1, "other");
    flush(elsewhere);
    assert_reply(&other, "other");
}

// It acknowledges our table of no size and sends no update in front of its blocks, which RFC 7541 section 4.2 asks for:
// many a small server does so, and there is nothing to lose.
static void test_server_without_a_table_size_update(void **state)
{
    (void)state;
    static const uint8_t head[] = "\x88\x0f\x10\x10"
                                  "application/grpc";
    static const uint8_t tail[] = "\x40\x0bgrpc-status\1"
                                  "0";
    struct answer a;
    struct peer *p = sent(&a);
    for (uint32_t id = 1; id <= 5; id += 2) {
        put_frame(HEADERS, END_HEADERS, id, head, sizeof head - 1);
        put_message(id, 0, "answer");
        put_frame(HEADERS, END_HEADERS | END_STREAM, id, tail, sizeof tail - 1);
        flush(p);
        assert_reply(&a, "answer");
        call("next", &a);
        peer_run(5);
    }
    put_frame(HEADERS, END_HEADERS | END_STREAM, 7, "\x88\xbe", 2); // an entry of a table that we never had
    flush(p);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connection lost: COMPRESSION_ERROR");
}

// A server whose clock is ahead cancels at the deadline itself.
static void test_cancelled_at_the_deadline(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    peer_run(2);
    machine_now_ms += 5000;
    put_number(RST_STREAM, 1, H2_CANCEL);
    flush(p);
    assert_answer(&a, GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer");
    assert_answers(p, 3);
}

/// Refused calls and GOAWAY ///

static void test_refused_stream(void **state)
{
    (void)state;
    struct answer a;
    uint8_t content[100];
    bool ended;
    struct peer *p = sent(&a);
    put_number(RST_STREAM, 1, H2_REFUSED_STREAM);
    flush(p);
    assert_int_equal(a.calls, 0);
    assert_int_equal(content_of(p, 3, content, &ended), 13); // once more, whole
    assert_true(ended);
    assert_memory_equal(content + GRPC_PREFIX, "question", 8);
    put_number(RST_STREAM, 3, H2_REFUSED_STREAM);
    flush(p);
    assert_answer(&a, GRPC_UNAVAILABLE, "", "refused by the peer: REFUSED_STREAM");
    assert_int_equal(count_frames(p, HEADERS), 2);
    assert_answers(p, 5);
}

// Refused in the middle of a reply: that is no proof of anything any more.
static void test_refused_after_a_message(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_headers(1, 0, GOOD);
    put_message(1, 0, "message");
    put_number(RST_STREAM, 1, H2_REFUSED_STREAM);
    flush(p);
    assert_answer(&a, GRPC_UNAVAILABLE, "", "refused by the peer: REFUSED_STREAM");
    assert_int_equal(count_frames(p, HEADERS), 1);
}

// Streams up to the last one go on, those beyond and what waits go to a new connection.
static void test_goaway(void **state)
{
    (void)state;
    struct answer a[4];
    struct peer *p = listen_at(0, PORT);
    for (int i = 0; i < 4; i++)
        call("question", &a[i]);
    peer_run(5);
    put_setting(3, 3);
    flush(p);
    struct peer *q = listen_at(1, PORT);
    put_goaway(3, H2_NO_ERROR);
    flush(p);
    put_settings();
    flush(q);
    assert_int_equal(count_frames(q, HEADERS), 2);
    assert_int_equal(rpc_channels(), 2);
    put_reply(3, "b");
    flush(p);
    assert_reply(&a[1], "b");
    assert_false(p->fin);
    put_reply(1, "a");
    flush(p);
    assert_reply(&a[0], "a");
    assert_true(p->fin);
    assert_int_equal(rpc_channels(), 1);
    put_reply(1, "d"); // the one that waited, or the one that was refused
    put_reply(3, "c");
    flush(q);
    assert_int_equal(a[2].calls + a[3].calls, 2);
    assert_int_equal(a[2].status + a[3].status, GRPC_OK);
    assert_answers(q, 5);
}

// A graceful end in two steps: first every stream lives, then it is said which.
static void test_goaway_twice(void **state)
{
    (void)state;
    struct answer a, b;
    struct peer *p = sent(&a);
    put_goaway(0x7fffffff, H2_NO_ERROR);
    flush(p);
    struct peer *q = listen_at(1, PORT);
    call("new", &b);
    peer_run(5);
    put_goaway(1, H2_NO_ERROR);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
    put_settings();
    flush(q);
    put_reply(1, "answer");
    flush(q);
    assert_reply(&b, "answer");
}

// A peer that says nothing but GOAWAY is asked once more, not for ever.
static void test_goaway_always(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = listen_at(0, PORT), *q = listen_at(1, PORT);
    listen_at(2, PORT);
    call("question", &a);
    peer_run(5);
    put_settings();
    put_goaway(0, H2_NO_ERROR);
    flush(p);
    assert_int_equal(a.calls, 0);
    assert_true(p->fin);
    put_settings();
    put_goaway(0, H2_ENHANCE_YOUR_CALM);
    flush(q);
    assert_answer(&a, GRPC_UNAVAILABLE, "", "refused by the peer: GOAWAY");
    peer_run(100);
    assert_false(servers[2].synchronized);
}

// The connection is lost while it drains.
static void test_lost_while_draining(void **state)
{
    (void)state;
    struct answer a, b;
    struct peer *p = sent(&a);
    listen_at(1, PORT);
    put_goaway(1, H2_NO_ERROR);
    flush(p);
    call("new", &b);
    peer_run(5);
    peer_abort(p);
    peer_run(5);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connection lost: reset by the peer");
    assert_int_equal(b.calls, 0);
    put_settings();
    flush(&servers[1]);
    put_reply(1, "answer");
    flush(&servers[1]);
    assert_reply(&b, "answer");
    assert_answers(&servers[1], 3);
}

// All slots are busy: what comes during the drain waits for its end.
static void test_draining_without_another_slot(void **state)
{
    (void)state;
    struct answer a, b, c, d;
    struct peer *p = sent(&a);
    struct peer *other = listen_at(1, 50052);
    assert_non_null(call_at("10.0.2.2:50052", "other", 5000, &b));
    peer_run(5);
    put_settings();
    flush(other);
    assert_null(call_at("10.0.2.2:50053", "no slot", 5000, &d));
    put_goaway(1, H2_NO_ERROR);
    flush(p);
    struct peer *q = listen_at(2, PORT);
    call("new", &c);
    peer_run(100);
    assert_false(q->synchronized);
    put_reply(1, "a");
    flush(p);
    assert_reply(&a, "a");
    assert_true(q->synchronized);
    put_settings();
    flush(q);
    put_reply(1, "c");
    flush(q);
    assert_reply(&c, "c");
    put_reply(1, "b");
    flush(other);
    assert_reply(&b, "b");
}

/// Peers that cannot be reached ///

static void test_refused_connection(void **state)
{
    (void)state;
    struct answer a, b;
    assert_non_null(call_at("127.0.0.1:1", "question", 5000, &a)); // lwIP itself resets it
    peer_run(10);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: reset by the peer");
    assert_non_null(call_at("127.0.0.1:1", "question", 5000, &b)); // within the backoff: at once, but not in this turn
    peer_turn();
    peer_turn();
    assert_answer(&b, GRPC_UNAVAILABLE, "connect", "connect: reset by the peer");
}

static void test_no_such_name(void **state)
{
    (void)state;
    struct answer a;
    assert_non_null(call_at("verify.invalid:50051", "question", 60000, &a));
    peer_run(30000);
    assert_answer(&a, GRPC_UNAVAILABLE, "dns", "dns: no such name");
}

// 1 s, 1.6 s, 2.56 s … 20 s, each up to a fifth less; a success begins anew.
static void test_backoff(void **state)
{
    (void)state;
    uint32_t wait = 1000;
    struct answer a;
    for (int i = 0; i < 9; i++) {
        uint32_t dialled = net_counters.dialled;
        call_at("127.0.0.1:1", "question", 5000, &a);
        peer_run(10);
        assert_int_equal(net_counters.dialled, dialled + 1);
        assert_int_equal(a.calls, 1);
        peer_run(wait * 8 / 10 - 20);
        call_at("127.0.0.1:1", "question", 5000, &a);
        peer_run(3);
        assert_int_equal(net_counters.dialled, dialled + 1);
        assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: reset by the peer");
        peer_run(wait * 2 / 10 + 20);
        assert_int_equal(net_counters.dialled, dialled + 1); // nobody asks, nobody dials
        wait = wait * 16 / 10 < 20000 ? wait * 16 / 10 : 20000;
    }
    assert_int_equal(wait, 20000);
}

static void test_backoff_begins_anew(void **state)
{
    (void)state;
    struct answer a;
    for (int i = 0; i < 3; i++) { // 1 s, 1.6 s, 2.56 s
        struct peer *p = listen_at(0, PORT);
        call("question", &a);
        peer_run(5);
        peer_abort(p);
        peer_run(2600);
        assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: reset by the peer");
        peer_forget(p);
    }
    struct peer *p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
    peer_abort(p); // of a peer that has answered: no backoff
    peer_run(5);
    peer_forget(p);
    p = listen_at(0, PORT);
    call("question", &a);
    peer_run(5);
    assert_true(p->synchronized);
    peer_abort(p);
    peer_run(5);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: reset by the peer");
    peer_forget(p);
    peer_run(1000); // the first wait again
    p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

// A connection that lives for 20 s was a good one, also if nobody called.
static void test_backoff_begins_anew_after_a_long_life(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = listen_at(0, PORT);
    for (int i = 0; i < 2; i++) { // 1 s, 1.6 s
        call("question", &a);
        peer_run(5);
        peer_abort(p);
        peer_run(1600);
        assert_int_equal(a.status, GRPC_UNAVAILABLE);
        peer_forget(p);
        p = listen_at(0, PORT);
    }
    call_at(TARGET, "question", 300, &a);
    peer_run(5);
    put_setting(3, 0);
    flush(p);
    peer_run(20100);
    assert_int_equal(a.status, GRPC_DEADLINE_EXCEEDED);
    peer_abort(p);
    peer_run(5);
    peer_forget(p);
    p = listen_at(0, PORT);
    call("question", &a); // dialled at once
    peer_run(5);
    assert_true(p->synchronized);
    peer_abort(p);
    peer_run(1000); // 1 s again, not 2.56 s
    peer_forget(p);
    p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

static void test_http1_and_rubbish(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "220 mail.example ESMTP ready\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x16\x03\x01\x02\x02\x28\x01\x02\x03\x04", // TLS
        "\1\1\1\1\1\1\1\1\1\1\1\1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct answer a;
        struct peer *p = listen_at(0, PORT);
        call("question", &a);
        peer_run(5);
        peer_send_text(p, texts[i]);
        peer_run(5);
        assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: the peer does not speak HTTP/2");
        assert_int_equal(count_frames(p, GOAWAY), 1);
        peer_run(20000);
        peer_forget(p);
    }
}

// Settings that break the rules, on a connection that is there already.
static void test_connection_error(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_frame(PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2", 4);
    flush(p);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connection lost: PROTOCOL_ERROR");
    assert_int_equal(count_frames(p, GOAWAY), 1);
    assert_true(p->fin);
}

/// Lost connections ///

static void kill_by_reset(struct peer *p)
{
    peer_abort(p);
}

static void kill_by_end(struct peer *p)
{
    peer_close(p);
}

static void (*const deaths[])(struct peer *) = {kill_by_reset, kill_by_end};

// The steps of a call, after each of which the peer may die.
static void say_nothing(void)
{
}

static void say_settings(void)
{
    put_settings();
}

static void say_headers(void)
{
    put_headers(1, 0, GOOD);
}

static void say_half_a_message(void)
{
    put_frame(DATA, 0, 1, "\0\0\0\0\4ab", 7);
}

static void say_the_rest(void)
{
    put_frame(DATA, 0, 1, "cd", 2);
}

static void say_half_of_a_frame(void)
{
    put_headers(1, END_STREAM, OK_TAIL);
    wire_length -= 3;
}

static void (*const stages[])(void) = {say_nothing,        say_settings, say_headers,
                                       say_half_a_message, say_the_rest, say_half_of_a_frame};
#define STAGES (sizeof stages / sizeof stages[0])

static void die_after(size_t stage, void (*kill)(struct peer *), const char *why)
{
    struct peer *p = listen_at(0, PORT);
    struct answer a, b;
    char connecting[80], lost[80];
    snprintf(connecting, sizeof connecting, "connect: %s", why);
    snprintf(lost, sizeof lost, "connection lost: %s", why);
    call("question", &a);
    peer_run(5);
    for (size_t i = 0; i <= stage; i++) {
        stages[i]();
        if (wire_length > 0)
            flush(p);
    }
    assert_int_equal(a.calls, 0);
    kill(p);
    peer_run(5);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", stage == 0 ? connecting : lost);
    assert_int_equal(rpc_requests(), 0);
    assert_int_equal(rpc_channels(), 0);
    call("too soon", &b); // the peer has not answered anything yet
    peer_run(3);
    assert_answer(&b, GRPC_UNAVAILABLE, "connect", stage == 0 ? connecting : lost);
    if (!p->reset)
        peer_abort(p);
    rpc_channel_service.stop();
    peer_run(20000);
    assert_int_equal(net_open(), 0);
    assert_int_equal(machine_pools_used(), 0);
    peer_forget(p);
}

static void test_dies_at_every_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < STAGES; i++) {
        die_after(i, kill_by_reset, "reset by the peer");
        die_after(i, kill_by_end, "closed");
    }
}

// After the SYN: nobody answers it, or the link goes.
static void test_dies_after_the_syn(void **state)
{
    (void)state;
    struct answer a;
    listen_at(0, PORT)->gone = true;
    call_at(TARGET, "question", 60000, &a);
    peer_run(10100);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connect: timed out");
}

// A good connection is lost: what was sent fails, what was not is made on a new one.
static void test_lost_with_waiting_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct answer a, b;
        struct peer *p = sent(&a);
        put_setting(3, 1);
        put_reply(1, "answer");
        flush(p);
        assert_reply(&a, "answer");
        call("sent", &a);
        call("waits", &b);
        peer_run(5);
        assert_int_equal(count_frames(p, HEADERS), 2);
        struct peer *q = listen_at(1, PORT);
        deaths[i](p);
        peer_run(5);
        assert_answer(&a, GRPC_UNAVAILABLE, "connect",
                      i == 0 ? "connection lost: reset by the peer" : "connection lost: closed");
        assert_int_equal(b.calls, 0);
        put_settings();
        flush(q);
        put_reply(1, "answer");
        flush(q);
        assert_reply(&b, "answer");
        rpc_channel_service.stop();
        peer_abort(p);
        peer_abort(q);
        peer_run(20000);
        peer_forget(p);
        peer_forget(q);
    }
}

// While the peer has not answered anything, a loss is a failure to reach it: what waits fails too.
static void test_lost_before_any_answer(void **state)
{
    (void)state;
    struct answer a, b;
    struct peer *p = listen_at(0, PORT);
    call("sent", &a);
    call("waits", &b);
    peer_run(5);
    put_setting(3, 1);
    flush(p);
    peer_abort(p);
    peer_run(5);
    assert_answer(&a, GRPC_UNAVAILABLE, "connect", "connection lost: reset by the peer");
    assert_answer(&b, GRPC_UNAVAILABLE, "connect", "connection lost: reset by the peer");
}

// Lost while nobody calls: the next call dials, without a wait.
static void test_lost_while_idle(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    peer_close(p);
    peer_run(5);
    assert_int_equal(rpc_channels(), 0);
    peer_abort(p);
    peer_run(5);
    peer_forget(p);
    p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

/// Keepalive ///

static void test_keepalive(void **state)
{
    (void)state;
    struct answer a;
    struct peer *p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    peer_run(359000);
    assert_int_equal(count_frames(p, PING), 0);
    peer_run(1100);
    struct frame f;
    assert_true(find_frame(p, PING, 0, &f));
    assert_int_equal(f.flags, 0);
    put_frame(PING, ACK, 0, f.payload, 8);
    flush(p);
    peer_run(30000);
    assert_false(p->fin || p->reset);
    peer_run(331000); // 6 minutes after the answer
    assert_int_equal(count_frames(p, PING), 2);
    peer_run(18000);
    assert_int_equal(rpc_channels(), 1);
    peer_run(3000); // this one is not answered
    assert_int_equal(rpc_channels(), 0);
    assert_true(p->reset);
    peer_forget(p);
    p = sent(&a);
    put_reply(1, "answer");
    flush(p);
    assert_reply(&a, "answer");
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, rpc_peer_setup, rpc_peer_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_deadline_while_connecting),
        TEST(test_no_settings),
        TEST(test_deadline_of_a_waiting_call),
        TEST(test_deadline_of_a_slow_answer),
        TEST(test_deadline_in_silence),
        TEST(test_silence_with_other_calls),
        TEST(test_silence_of_all_calls),
        TEST(test_silence_of_all_calls_while_others_wait),
        TEST(test_server_without_a_table_size_update),
        TEST(test_cancelled_at_the_deadline),
        TEST(test_refused_stream),
        TEST(test_refused_after_a_message),
        TEST(test_goaway),
        TEST(test_goaway_twice),
        TEST(test_goaway_always),
        TEST(test_lost_while_draining),
        TEST(test_draining_without_another_slot),
        TEST(test_refused_connection),
        TEST(test_no_such_name),
        TEST(test_backoff),
        TEST(test_backoff_begins_anew),
        TEST(test_backoff_begins_anew_after_a_long_life),
        TEST(test_http1_and_rubbish),
        TEST(test_connection_error),
        TEST(test_dies_at_every_step),
        TEST(test_dies_after_the_syn),
        TEST(test_lost_with_waiting_calls),
        TEST(test_lost_before_any_answer),
        TEST(test_lost_while_idle),
        TEST(test_keepalive),
    };
    return cmocka_run_group_tests(tests, rpc_peer_start, NULL);
}
