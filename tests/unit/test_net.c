// Connections over lwIP, against peers that keep to the rules and peers that don't.
#include "../../port/demux.h"
#include "../../port/net.h"
#include "../../port/net_private.h"
#include "../../port/pool.h"
#include "peer_support.h"

#include "lwip/priv/tcp_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/// A server that writes down what it is told ///

#define PORT 80

static struct {
    struct net_conn *conn; // the newest
    char heard[65536];
    size_t length;
    size_t appetite; // bytes that it consumes a call
    int opened, ended, room, closed, refused;
    enum net_error why;
    void (*on_data)(struct net_conn *c);
    void (*on_ended)(struct net_conn *c);
    void (*on_closed)(struct net_conn *c);
} server;
static uint32_t per_address;

static void opened(struct net_conn *c)
{
    server.conn = c;
    server.opened++;
}

static size_t data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    size_t n = length < server.appetite ? length : server.appetite;
    assert_true(server.closed < server.opened);
    memcpy(server.heard + server.length, bytes, n);
    server.length += n;
    server.appetite -= n;
    if (server.on_data != NULL)
        server.on_data(c);
    return n;
}

static void ended(struct net_conn *c)
{
    server.ended++;
    if (server.on_ended != NULL)
        server.on_ended(c);
}

static void room(struct net_conn *c)
{
    (void)c;
    server.room++;
}

static void closed(struct net_conn *c, enum net_error why)
{
    server.closed++;
    server.why = why;
    if (server.on_closed != NULL)
        server.on_closed(c);
}

static void refused(struct net_conn *c)
{
    server.refused++;
    net_send(c, "too many", 8);
}

static const struct net_handlers handlers = {
    .opened = opened, .data = data, .ended = ended, .room = room, .closed = closed, .refused = refused};

static struct peer peer, other;

static int set_up(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    server.appetite = SIZE_MAX;
    per_address = 0;
    return 0;
}

// Every test ends with nothing in use: no slot, no PCB but those in TIME_WAIT, which go by themselves.
static int tear_down(void **state)
{
    (void)state;
    peer_link_down = false;
    peer_run(6000);
    peer_forget(&peer);
    peer_forget(&other);
    assert_null(tcp_active_pcbs);
    assert_null(tcp_tw_pcbs);
    assert_int_equal(net_open(), 0);
    assert_int_equal(machine_pools_used(), 0);
    return 0;
}

/// The ordinary life ///

static void test_request_and_answer(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "hello");
    peer_run(5);
    assert_int_equal(server.opened, 1);
    assert_memory_equal(server.heard, "hello", 5);
    assert_int_equal(net_send(server.conn, "world", 5), NET_OK);
    peer_run(5);
    assert_string_equal(peer_text(&peer), "world");
    assert_int_equal(net_acknowledged(server.conn), 5);
    assert_int_equal(server.room, 1);
    net_close(server.conn);
    assert_int_equal(net_send(server.conn, "x", 1), NET_CLOSED);
    peer_run(5);
    assert_true(peer.fin);
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_OK);
}

static void test_peer_closes_first_and_half_closed_sending_works(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "last words");
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.ended, 1);
    assert_int_equal(server.length, 10);
    assert_int_equal(net_send(server.conn, "still here", 10), NET_OK);
    peer_run(5);
    assert_string_equal(peer_text(&peer), "still here");
    net_close(server.conn);
    peer_run(5);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_OK);
}

// Its last words get through, what still comes is thrown away, and the owner hears of nothing any more.
static void test_left_it_ends_by_itself(void **state)
{
    (void)state;
    server.appetite = 0;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "not taken");
    peer_run(5);
    assert_int_equal(net_send(server.conn, "goodbye", 7), NET_OK);
    server.appetite = SIZE_MAX;
    net_leave(server.conn);
    peer_send_text(&peer, "too late");
    peer_run(5);
    assert_string_equal(peer_text(&peer), "goodbye");
    assert_true(peer.fin);
    peer_close(&peer);
    peer_run(5);
    assert_false(peer.reset);
    assert_int_equal(net_open(), 0);
    assert_int_equal(server.length, 0);
    assert_int_equal(server.ended + server.closed, 0);
}

static void test_left_and_aborted(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    net_leave(server.conn);
    net_abort(server.conn);
    peer_run(5);
    assert_true(peer.reset);
    assert_int_equal(net_open(), 0);
    assert_int_equal(server.closed, 0);
}

static void test_left_while_dialling(void **state)
{
    (void)state;
    struct net_conn *c = net_dial(span_of("10.0.2.99"), 80, 60000, &handlers, NULL);
    assert_non_null(c);
    peer_run(5);
    net_leave(c);
    peer_run(5);
    assert_int_equal(net_open(), 0);
    assert_int_equal(server.opened + server.closed, 0);
}

static void close_it(struct net_conn *c)
{
    net_close(c);
}

static void test_handler_may_close_from_within(void **state)
{
    (void)state;
    server.on_data = close_it;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "bye");
    peer_run(5);
    assert_true(peer.fin);
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.closed, 1);
}

static void abort_it(struct net_conn *c)
{
    net_abort(c);
    net_abort(c);
    net_close(c);
}

static void test_handler_may_abort_from_within(void **state)
{
    (void)state;
    server.on_data = abort_it;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "bye");
    peer_run(5);
    assert_true(peer.reset);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_ABORTED);
}

// Whatever an owner does to a connection whose end it is being told has no effect: its slot is free right after, and
// net.c once went on with it as with a live one.
static const struct net_handlers others = {.data = data, .ended = ended, .closed = closed};

static void hand_over(struct net_conn *c)
{
    net_hand_over(c, &others, &server);
}

static void send_on(struct net_conn *c)
{
    assert_int_equal(net_send(c, "x", 1), NET_CLOSED);
    assert_int_equal(net_send_reference(c, "x", 1), NET_CLOSED);
    assert_int_equal(net_room(c), 0);
    assert_int_equal(net_window(c), 0);
}

static struct net_conn *dialled;

static void dial_anew(struct net_conn *c)
{
    server.on_closed = NULL;
    dialled = net_dial(span_of("localhost"), PORT, 1000, &handlers, NULL);
    assert_ptr_not_equal(dialled, c); // the slot is not free yet
    net_resume(c);
}

static void do_everything(struct net_conn *c)
{
    net_resume(c);
    hand_over(c);
    net_watch_window(c);
    send_on(c);
    net_close(c);
    net_abort(c);
    net_leave(c);
}

static void (*const last_acts[])(struct net_conn *c) = {
    net_resume, net_watch_window, hand_over, net_leave, net_close, net_abort, send_on, do_everything, dial_anew,
};

static void test_nothing_has_an_effect_within_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof last_acts / sizeof last_acts[0]; i++)
        for (int why = 0; why < 3; why++) {
            struct peer *p = &peer;
            memset(&server, 0, sizeof server);
            dialled = NULL;
            server.on_closed = last_acts[i];
            peer_open(p, PORT);
            peer_send_text(p, "unread");
            if (why == 0)
                peer_abort(p);
            else if (why == 1)
                net_abort(server.conn);
            else
                net_close(server.conn);
            peer_run(2);
            peer_close(p);
            peer_run(5);
            assert_int_equal(server.closed, 1);
            assert_int_equal(net_open(), dialled != NULL ? 2 : 0);
            server.appetite = SIZE_MAX;
            struct net_conn *after = net_dial(span_of("localhost"), PORT, 1000, &handlers, NULL); // takes that slot
            peer_run(5);
            assert_int_equal(server.closed, 1);
            net_abort(after);
            if (dialled != NULL)
                net_abort(dialled);
            peer_run(5);
            assert_int_equal(net_open(), 0);
            peer_forget(p);
        }
}

// SYN, ACK, perhaps bytes, and RST arrive in one turn: nobody hears of it, and no living client is given up for it.
static void test_over_before_anybody_heard_of_it(void **state)
{
    (void)state;
    uint32_t resets = net_counters.resets;
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        peer_knock(&peer, PORT);
        if (with_bytes)
            peer_send_text(&peer, "GET /");
        peer_abort(&peer);
        peer_run(5);
        assert_int_equal(server.opened + server.closed + server.ended + server.refused, 0);
        assert_int_equal(server.length, 0);
        assert_int_equal(net_open(), 0);
        peer_forget(&peer);
    }
    assert_int_equal(net_counters.resets, resets + 2);
    per_address = 1; // nor does one over the limit
    peer_open(&other, PORT);
    peer_knock(&peer, PORT);
    peer_abort(&peer);
    peer_run(5);
    assert_int_equal(server.opened, 1);
    assert_int_equal(server.refused + server.closed, 0);
    peer_abort(&other);
}

// Only its FIN has come: that one was here, and its request is answered.
static void test_half_closed_in_its_first_turn_is_opened(void **state)
{
    (void)state;
    peer_knock(&peer, PORT);
    peer_send_text(&peer, "GET /");
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.opened, 1);
    assert_int_equal(server.ended, 1);
    assert_int_equal(server.length, 5);
    net_close(server.conn);
}

/// Back-pressure ///

static void test_unconsumed_bytes_keep_the_window_shut(void **state)
{
    (void)state;
    char chunk[500];
    memset(chunk, 'a', sizeof chunk);
    server.appetite = 0;
    peer_open(&peer, PORT);
    for (int sent = 0; sent < TCP_WND; sent += 500)
        peer_send(&peer, chunk, TCP_WND - sent < 500 ? (size_t)(TCP_WND - sent) : 500);
    peer_run(5);
    assert_int_equal(server.length, 0);
    assert_int_equal(tcp_active_pcbs->rcv_wnd, 0);
    server.appetite = SIZE_MAX;
    net_resume(server.conn);
    peer_run(5);
    assert_int_equal(server.length, TCP_WND);
    assert_int_equal(tcp_active_pcbs->rcv_wnd, TCP_WND);
    peer_abort(&peer);
}

static void test_partly_consumed_bytes_are_offered_again(void **state)
{
    (void)state;
    server.appetite = 3;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "abc");
    peer_send_text(&peer, "defgh");
    peer_run(5);
    assert_int_equal(server.length, 3);
    server.appetite = 1;
    net_resume(server.conn);
    peer_run(5);
    assert_int_equal(server.length, 4);
    server.appetite = SIZE_MAX;
    peer_send_text(&peer, "i");
    peer_run(5);
    assert_memory_equal(server.heard, "abcdefghi", 9);
    peer_abort(&peer);
}

static void test_end_is_told_only_behind_the_last_byte(void **state)
{
    (void)state;
    server.appetite = 0;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "abc");
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.ended, 0);
    server.appetite = SIZE_MAX;
    net_resume(server.conn);
    peer_run(5);
    assert_int_equal(server.ended, 1);
    net_close(server.conn);
}

// 8,192 segments of one byte would each hold a buffer of the pool.
static void test_tiny_segments_are_gathered(void **state)
{
    (void)state;
    server.appetite = 0;
    peer_open(&peer, PORT);
    for (int i = 0; i < 1000; i++) {
        peer_send_text(&peer, "x");
        peer_turn(); // what goes back and forth takes lwIP's memory too
    }
    assert_int_equal(server.closed, 0);
    server.appetite = SIZE_MAX;
    net_resume(server.conn);
    peer_run(2);
    assert_int_equal(server.length, 1000);
    peer_abort(&peer);
}

/// Sending by reference ///

static void test_reference_is_sent_without_a_copy(void **state)
{
    (void)state;
    static char ring[] = "by reference";
    peer_open(&peer, PORT);
    peer.silent = true;
    assert_int_equal(net_send_reference(server.conn, ring, 12), NET_OK);
    assert_ptr_equal(tcp_active_pcbs->unsent->p->next->payload, ring);
    peer_run(5);
    assert_string_equal(peer_text(&peer), "by reference");
    assert_int_equal(net_acknowledged(server.conn), 0);
    peer_acknowledge(&peer);
    peer_run(2);
    assert_int_equal(net_acknowledged(server.conn), 12);
    peer_abort(&peer);
}

// The ring goes on over bytes that a vanished client has not acknowledged: what is sent again comes from the copy.
static void test_relocated_bytes_are_retransmitted_from_the_copy(void **state)
{
    (void)state;
    static char ring[32] = "0123456789abcdef";
    static char copy[16];
    peer_open(&peer, PORT);
    peer.gone = true;
    assert_int_equal(net_send_reference(server.conn, ring, 8), NET_OK);
    assert_int_equal(net_send(server.conn, "|", 1), NET_OK);
    assert_int_equal(net_send_reference(server.conn, ring + 8, 8), NET_OK);
    peer_run(5);
    memcpy(copy, ring, 16);
    net_relocate(server.conn, ring, 16, copy);
    memset(ring, '#', sizeof ring);
    peer.gone = false;
    peer_run(8000);
    assert_string_equal(peer_text(&peer), "01234567|89abcdef");
    assert_int_equal(net_counters.relocated, 16);
    peer_abort(&peer);
}

/// Peers in trouble ///

static void test_reset_by_peer(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer_abort(&peer);
    peer_run(5);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_RESET);
}

static void test_zero_window_is_probed_and_opens_again(void **state)
{
    (void)state;
    static const char text[] = "waiting for you";
    peer.window = 4;
    peer_open(&peer, PORT);
    peer.silent = true;
    assert_int_equal(net_send(server.conn, "full", 4), NET_OK);
    peer_run(2);
    peer.silent = false;
    peer.window = 0;
    peer_acknowledge(&peer);
    peer_clear(&peer);
    peer_run(2);
    assert_int_equal(net_window(server.conn), 0);
    assert_int_equal(net_send(server.conn, text, 15), NET_OK);
    peer_run(3000);
    assert_int_equal(peer.length, 0);
    peer.window = 65535; // and it says so only when asked: the announcement was lost
    peer_run(10000);
    assert_string_equal(peer_text(&peer), text);
    peer_abort(&peer);
}

static void test_vanished_peer_times_out_while_closing(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer.gone = true;
    net_send(server.conn, "hello?", 6);
    net_close(server.conn);
    peer_run(2500);
    assert_int_equal(server.closed, 0);
    peer_run(1000);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_TIMEOUT);
}

// A peer that takes our FIN and never sends its own must not keep the slot.
static void test_peer_that_never_closes_is_aborted(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    net_close(server.conn);
    peer_run(3500);
    assert_int_equal(server.closed, 1);
    assert_true(peer.reset);
}

// What still arrives while we close is thrown away, and our last words are not destroyed by a reset.
static void test_upload_during_close_does_not_reset_our_answer(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer_send_text(&peer, "begin");
    peer_run(2);
    server.appetite = 0;
    peer_send_text(&peer, "unread");
    peer_run(2);
    net_send(server.conn, "413", 3);
    net_close(server.conn);
    for (int i = 0; i < 20; i++) {
        peer_send_text(&peer, "more and more");
        peer_run(2);
    }
    assert_string_equal(peer_text(&peer), "413");
    assert_true(peer.fin);
    assert_false(peer.reset);
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.why, NET_OK);
}

static void test_slow_reader_of_the_last_words_gets_them_all(void **state)
{
    (void)state;
    static char text[600];
    memset(text, 'z', sizeof text);
    peer.window = 600;
    peer_open(&peer, PORT);
    peer.silent = true;
    for (int i = 0; i < 6; i++)
        assert_int_equal(net_send(server.conn, text, 600), NET_OK);
    net_close(server.conn);
    for (int i = 0; i < 12 && !peer.fin; i++) {
        peer_run(1000);
        peer_acknowledge(&peer);
    }
    peer_run(5);
    assert_int_equal(peer.length, 3600);
    assert_true(peer.fin);
    peer_acknowledge(&peer);
    peer_close(&peer);
    peer_run(5);
    assert_int_equal(server.closed, 1);
}

static void test_simultaneous_close(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    peer.silent = true;
    net_close(server.conn);
    peer_turn();
    peer_close(&peer); // without having seen our FIN
    peer.silent = false;
    peer_run(5);
    peer_acknowledge(&peer);
    peer_run(5);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_OK);
}

/// Memory and slots ///

static struct tcp_seg *taken[MEMP_NUM_TCP_SEG + 1];
static size_t taken_count;

static void take_all_segments(void)
{
    while ((taken[taken_count] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        taken_count++;
}

static void give_segments_back(void)
{
    while (taken_count > 0)
        memp_free(MEMP_TCP_SEG, taken[--taken_count]);
}

static void test_out_of_memory_answers_full_and_recovers(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    take_all_segments();
    assert_int_equal(net_send(server.conn, "x", 1), NET_FULL);
    net_close(server.conn); // its FIN needs a segment too
    peer_run(500);
    assert_false(peer.fin);
    assert_int_equal(server.closed, 0);
    give_segments_back();
    peer_run(500);
    assert_true(peer.fin);
    peer_close(&peer);
    peer_run(200);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_OK);
}

static void test_room_is_told_after_memory_was_short(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    take_all_segments();
    assert_int_equal(net_send(server.conn, "x", 1), NET_FULL);
    give_segments_back();
    peer_run(200);
    assert_int_equal(server.room, 1);
    peer_abort(&peer);
}

static void test_per_address_limit_says_so_and_closes(void **state)
{
    (void)state;
    per_address = 1;
    peer_open(&peer, PORT);
    peer_open(&other, PORT);
    peer_run(5);
    assert_int_equal(server.opened, 1);
    assert_int_equal(server.refused, 1);
    assert_string_equal(peer_text(&other), "too many");
    assert_true(other.fin);
    peer_close(&other);
    peer_run(5);
    peer_forget(&other);
    other.address = 0x0a000203; // another address has its own limit
    peer_open(&other, PORT);
    assert_int_equal(server.opened, 2);
    peer_abort(&other);
    peer_abort(&peer);
}

static struct peer crowd[NET_CONNECTIONS + 1];

static void test_one_more_than_all_slots_is_reset_and_all_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < NET_CONNECTIONS; i++) {
        crowd[i].address = 0x0a010000u + (uint32_t)i;
        peer_open(&crowd[i], PORT);
        assert_false(crowd[i].reset);
    }
    assert_int_equal(server.opened, NET_CONNECTIONS);
    peer_open(&crowd[NET_CONNECTIONS], PORT);
    assert_true(crowd[NET_CONNECTIONS].reset);
    for (int i = 0; i < NET_CONNECTIONS; i++)
        peer_abort(&crowd[i]);
    peer_run(10);
    assert_int_equal(server.closed, NET_CONNECTIONS);
    for (int i = 0; i <= NET_CONNECTIONS; i++)
        peer_forget(&crowd[i]);
}

// All of them close properly at once; lwIP recycles PCBs in TIME_WAIT without a word, and nothing may point at them.
static void test_many_closes_and_reopens_through_time_wait(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < NET_CONNECTIONS; i++) {
            crowd[i].address = 0x0a010000u + (uint32_t)(round * NET_CONNECTIONS + i);
            peer_open(&crowd[i], PORT);
            assert_true(crowd[i].synchronized);
            assert_false(crowd[i].reset);
            net_close(server.conn);
        }
        peer_run(3);
        for (int i = 0; i < NET_CONNECTIONS; i++)
            peer_close(&crowd[i]);
        peer_run(5);
        for (int i = 0; i < NET_CONNECTIONS; i++)
            peer_forget(&crowd[i]);
        assert_int_equal(net_open(), 0);
    }
    assert_int_equal(server.closed, 3 * NET_CONNECTIONS);
}

static void test_syn_flood_leaves_nothing(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 5000; i++)
        peer_syn(0x0a020000u + i, i, PORT);
    peer_run(5);
    assert_int_equal(server.opened, 0);
    peer_open(&peer, PORT); // the backlog is full of half-open ones: it has to wait like a real client
    peer_run(30000);
    peer_forget(&peer);
    peer_open(&peer, PORT);
    assert_true(peer.synchronized);
    peer_abort(&peer);
}

/// Dialling ///

// The same in the moment between the peer's FIN and our turn: the PCB goes to somebody else, and stays theirs.
static void test_pcb_recycled_before_its_connection_knows(void **state)
{
    (void)state;
    peer_open(&peer, PORT);
    net_close(server.conn);
    peer_run(2);
    assert_true(peer.fin);
    peer_close(&peer);
    const struct tcp_pcb *pcb = tcp_tw_pcbs;
    assert_non_null(pcb);
    tcp_abort(tcp_tw_pcbs);
    peer_knock(&other, PORT);
    assert_ptr_equal(tcp_active_pcbs, pcb);
    peer_run(2);
    assert_int_equal(server.opened, 2);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_OK);
    peer_send_text(&other, "still here");
    peer_run(2);
    assert_int_equal(server.length, 10);
    assert_false(other.fin);
    net_close(server.conn);
    peer_close(&other);
    peer_run(2);
    assert_int_equal(server.closed, 2);
}

static struct peer listener;

static void test_dial_connects_and_talks(void **state)
{
    (void)state;
    listener.address = 0x0a000207;
    peer_listen(&listener, 25);
    struct net_conn *c = net_dial(span_of("10.0.2.7"), 25, 1000, &handlers, NULL);
    assert_non_null(c);
    assert_int_equal(server.opened, 0);
    peer_run(5);
    assert_int_equal(server.opened, 1);
    net_send(c, "EHLO", 4);
    peer_run(5);
    assert_string_equal(peer_text(&listener), "EHLO");
    net_abort(c);
    peer_run(5);
    assert_int_equal(server.closed, 1);
    peer_forget(&listener);
}

static void test_dial_deadline(void **state)
{
    (void)state;
    assert_non_null(net_dial(span_of("10.0.2.99"), 25, 1000, &handlers, NULL));
    peer_run(900);
    assert_int_equal(server.closed, 0);
    peer_run(300);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.opened, 0);
    assert_int_equal(server.why, NET_TIMEOUT);
}

static void test_dial_refused(void **state)
{
    (void)state;
    assert_non_null(net_dial(span_of("127.0.0.1"), 9, 1000, &handlers, NULL));
    peer_run(10);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_RESET);
}

// It takes our SYN and resets at once, in one turn: the owner that dialled hears the end, and no beginning.
static void test_dial_reset_as_it_opens(void **state)
{
    (void)state;
    listener.address = 0x0a000207;
    peer_listen(&listener, 25);
    assert_non_null(net_dial(span_of("10.0.2.7"), 25, 1000, &handlers, NULL));
    peer_deliver(); // SYN
    assert_true(listener.synchronized);
    peer_abort(&listener);
    peer_run(5);
    assert_int_equal(server.opened, 0);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_RESET);
    peer_forget(&listener);
}

// It is closed by its owner between lwIP's word and ours.
static void test_dial_closed_as_it_opens(void **state)
{
    (void)state;
    listener.address = 0x0a000207;
    peer_listen(&listener, 25);
    struct net_conn *c = net_dial(span_of("10.0.2.7"), 25, 1000, &handlers, NULL);
    peer_deliver();
    net_close(c);
    peer_run(5);
    assert_true(listener.fin);
    peer_close(&listener);
    peer_run(5);
    assert_int_equal(server.opened, 0);
    assert_int_equal(server.closed, 1);
    peer_forget(&listener);
}

// What fails before a SYN is out is our own shortage, and nobody's reset.
static void test_dial_without_memory_or_route(void **state)
{
    (void)state;
    take_all_segments();
    assert_non_null(net_dial(span_of("localhost"), PORT, 1000, &handlers, NULL));
    peer_run(5);
    give_segments_back();
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.why, NET_NO_SLOT);
    netif_set_down(&net_interface);
    assert_non_null(net_dial(span_of("10.0.2.7"), 25, 1000, &handlers, NULL));
    peer_run(5);
    netif_set_up(&net_interface);
    assert_int_equal(server.closed, 2);
    assert_int_equal(server.why, NET_NO_ROUTE);
    assert_string_equal(net_error_name(NET_NO_ROUTE), "no route");
    assert_int_equal(server.opened, 0);
}

static void test_dial_without_dns_answer(void **state)
{
    (void)state;
    assert_non_null(net_dial(span_of("mail.example"), 25, 500, &handlers, NULL));
    peer_run(1000);
    assert_int_equal(server.closed, 1);
    peer_run(20000); // the late failure of the look-up finds nobody
    assert_int_equal(server.closed, 1);
}

static void test_dial_bad_names(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'a', sizeof name);
    assert_null(net_dial((struct span){name, sizeof name}, 25, 500, &handlers, NULL));
    assert_null(net_dial(span_of(""), 25, 500, &handlers, NULL));
}

static void test_both_ends_over_loopback(void **state)
{
    (void)state;
    struct net_conn *c = net_dial(span_of("localhost"), PORT, 1000, &handlers, NULL);
    peer_run(5);
    assert_int_equal(server.opened, 2);
    net_send(c, "to myself", 9);
    peer_run(5);
    assert_memory_equal(server.heard, "to myself", 9);
    server.on_ended = close_it;
    net_close(c);
    peer_run(5);
    assert_int_equal(server.closed, 2);
    assert_int_equal(server.why, NET_OK);
}

// lwIP's own numbers for the near ends of what we dial, all of them and more, past the ports that listen among them.
// Half of the connections are closed by the side that dialled, half by the other, so both kinds wait in TIME_WAIT.
#define DIALS 20000

static bool listens_on_loopback;
static int loop_opened, loop_answered, loop_closed;

static void loop_open(struct net_conn *c)
{
    loop_opened++;
    net_send(c, "ping", 4);
}

static size_t loop_data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    loop_answered++;
    if (loop_answered % 2 == 0)
        net_close(c);
    else
        net_send(c, "bye", 3); // the other end closes upon it
    return length;
}

static void loop_over(struct net_conn *c, enum net_error why)
{
    (void)c;
    assert_int_equal(why, NET_OK);
    loop_closed++;
}

static const struct net_handlers loop_client = {.opened = loop_open, .data = loop_data, .closed = loop_over};

static size_t answer(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    if (memcmp(bytes, "ping", 4) == 0)
        net_send(c, "pong", 4);
    else
        net_close(c);
    return length;
}

static void nothing(struct net_conn *c)
{
    (void)c;
}

static void loop_end(struct net_conn *c, enum net_error why)
{
    (void)c;
    assert_int_equal(why, NET_OK);
}

static const struct net_handlers loop_server = {.opened = nothing, .data = answer, .closed = loop_end};

static void test_every_port_of_ours_reaches_ourselves(void **state)
{
    (void)state;
    static const uint16_t ports[] = {50051, 50052};
    if (!listens_on_loopback)
        assert_int_equal(net_listen(50051, true, &loop_server, &per_address) |
                             net_listen(50052, true, &loop_server, &per_address),
                         0);
    listens_on_loopback = true;
    loop_opened = loop_answered = loop_closed = 0;
    for (int i = 0; i < DIALS; i++) {
        assert_non_null(net_dial(span_of("127.0.0.1"), ports[i / 3 % 2], 1000, &loop_client, NULL));
        peer_run(i % 7 == 0 ? 8 : 1);
    }
    peer_run(20);
    assert_int_equal(loop_opened, DIALS);
    assert_int_equal(loop_closed, DIALS);
}

// lwIP begins at a random port of its range; tcp_init() draws it, here as often as many machines start. Drawn as the
// very last one it was followed by port 0, which is none: the first dial of that machine failed.
static void test_the_first_port_of_ours_is_never_none(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        tcp_init();
        struct tcp_pcb *pcb = tcp_new();
        assert_int_equal(tcp_bind(pcb, IP4_ADDR_ANY, 0), ERR_OK);
        assert_in_range(pcb->local_port, 49152, 65534);
        tcp_close(pcb);
    }
}

/// The look-up ///

static void test_demux_survives_shuffling(void **state)
{
    (void)state;
    enum { N = NET_CONNECTIONS < 300 ? NET_CONNECTIONS : 300 };
    uint32_t random = 7;
    for (int i = 0; i < N; i++) {
        crowd[i].address = 0x0a010000u + (uint32_t)i % 3;
        peer_open(&crowd[i], PORT);
    }
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        struct peer *p = &crowd[(random >> 8) % N];
        if ((random >> 24) % 16 != 0) {
            peer_send_text(p, "x");
            assert_int_equal(tcp_active_pcbs->remote_port, p->port); // at the head, as looked up
        } else {
            uint32_t address = p->address;
            peer_abort(p);
            peer_turn();
            peer_forget(p);
            p->address = address;
            peer_open(p, PORT);
        }
        server.length = 0;
        peer_turn();
    }
    unsigned before = demux_walks;
    for (int i = 0; i < 10 * N; i++) {
        peer_send_text(&crowd[(i * 7) % N], "y");
        peer_turn();
    }
    assert_in_range(demux_walks - before, 0, N); // each guess is put right once at most
    server.length = 0;
    peer_turn();
    for (int i = 0; i < N; i++) {
        peer_abort(&crowd[i]);
        peer_turn();
        peer_forget(&crowd[i]);
    }
}

static void test_listen_on_a_taken_port(void **state)
{
    (void)state;
    assert_int_equal(net_listen(PORT, false, &handlers, &per_address), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_request_and_answer),
        T(test_peer_closes_first_and_half_closed_sending_works),
        T(test_handler_may_close_from_within),
        T(test_handler_may_abort_from_within),
        T(test_unconsumed_bytes_keep_the_window_shut),
        T(test_partly_consumed_bytes_are_offered_again),
        T(test_end_is_told_only_behind_the_last_byte),
        T(test_tiny_segments_are_gathered),
        T(test_reference_is_sent_without_a_copy),
        T(test_relocated_bytes_are_retransmitted_from_the_copy),
        T(test_reset_by_peer),
        T(test_zero_window_is_probed_and_opens_again),
        T(test_vanished_peer_times_out_while_closing),
        T(test_peer_that_never_closes_is_aborted),
        T(test_upload_during_close_does_not_reset_our_answer),
        T(test_slow_reader_of_the_last_words_gets_them_all),
        T(test_simultaneous_close),
        T(test_out_of_memory_answers_full_and_recovers),
        T(test_room_is_told_after_memory_was_short),
        T(test_nothing_has_an_effect_within_closed),
        T(test_over_before_anybody_heard_of_it),
        T(test_half_closed_in_its_first_turn_is_opened),
        T(test_left_it_ends_by_itself),
        T(test_left_and_aborted),
        T(test_left_while_dialling),
        T(test_per_address_limit_says_so_and_closes),
        T(test_one_more_than_all_slots_is_reset_and_all_come_back),
        T(test_many_closes_and_reopens_through_time_wait),
        T(test_pcb_recycled_before_its_connection_knows),
        T(test_syn_flood_leaves_nothing),
        T(test_dial_connects_and_talks),
        T(test_dial_deadline),
        T(test_dial_refused),
        T(test_dial_reset_as_it_opens),
        T(test_dial_closed_as_it_opens),
        T(test_dial_without_memory_or_route),
        T(test_dial_without_dns_answer),
        T(test_dial_bad_names),
        T(test_both_ends_over_loopback),
        T(test_every_port_of_ours_reaches_ourselves),
        T(test_the_first_port_of_ours_is_never_none),
        T(test_demux_survives_shuffling),
        T(test_listen_on_a_taken_port),
    };
    peer_network_start();
    if (net_listen(PORT, false, &handlers, &per_address) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
