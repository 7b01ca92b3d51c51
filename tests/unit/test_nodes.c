// The chat nodes: the key, the answers that are read, the probes over a network in the test's hands, and the choice.
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/pool.h"
#include "../../services/hub/hub.h"
#include "../../services/nodes/nodes.h"
#include "../../services/nodes/probe.h"
#include "../../services/nodes/scrape.h"
#include "../../services/status/status.h"
#include "peer_support.h"

#include "lwip/priv/tcp_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(ARRAY) (sizeof(ARRAY) / sizeof((ARRAY)[0]))

static uint32_t here; // people who chat at this machine

uint32_t hub_clients(void)
{
    return here;
}

/// The key ///

static void test_lists_that_are_good(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "  ",
        "this",
        "10.0.2.2:9001",
        "chat-1.example.org:80",
        "a_b:65535",
        "this,10.0.2.2:1",
        " 10.0.2.2:9001 ,\tthis ",
        "this:80", // a host of that name
        "3com.example:80",
        "a:1,a:2,b:1,b:2,c:1,c:2,d:1,this",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg:80", // 63 bytes
    };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_null(nodes_check(span_of(good[i])));
    assert_null(nodes_check((struct span){NULL, 0}));
}

static void test_lists_that_are_not(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *why; // a part of it
    } bad[] = {
        {"chat", "list chat nodes as HOST:PORT"},
        {"THIS", "list chat nodes as HOST:PORT"},
        {",", "list chat nodes as HOST:PORT"},
        {"a:1,", "list chat nodes as HOST:PORT"},
        {",a:1", "list chat nodes as HOST:PORT"},
        {"a:1,,b:1", "list chat nodes as HOST:PORT"},
        {"a:1 b:1", "port"},
        {"a:1;b:1", "port"},
        {":80", "name hosts"},
        {"a..b:80", "name hosts"},
        {".a:80", "name hosts"},
        {"a.:80", "name hosts"},
        {"-a:80", "name hosts"},
        {"a-:80", "name hosts"},
        {"a b:80", "name hosts"},
        {"a\r\nX: y:80", "name hosts"},
        {"http://a:80", "port"},
        {"[::1]:80", "name hosts"},
        {"b\xc3\xbc.example:80", "name hosts"},
        {"10.0.0.300:80", "name hosts"},
        {"10.0.1:80", "name hosts"},
        {"010.0.0.1:80", "name hosts"},
        {"7:80", "name hosts"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg:80", "name hosts"}, // 64 bytes
        {"a:", "port from 1 to 65535"},
        {"a:0", "port from 1 to 65535"},
        {"a:080", "port from 1 to 65535"},
        {"a:65536", "port from 1 to 65535"},
        {"a:80x", "port from 1 to 65535"},
        {"a:-1", "port from 1 to 65535"},
        {"a:1:2", "port from 1 to 65535"},
        {"this,this", "twice"},
        {"a:1,b:1,A:1", "twice"},
        {"a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9", "eight"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *why = nodes_check(span_of(bad[i].value));
        if (why == NULL || strstr(why, bad[i].why) == NULL)
            fail_msg("'%s': %s", bad[i].value, why == NULL ? "taken" : why);
    }
}

/// Answers ///

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define LINE    "pipit_connections{kind=\"ws\"} 17\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *bytes;
    enum scrape_verdict verdict; // when the connection ends behind them
    uint32_t load;
} answers[] = {
    {OK_HEAD "\r\n" LINE, SCRAPE_FOUND, 17},
    {OK_HEAD "\r\n# HELP a b\n" LINE "more 1\n", SCRAPE_FOUND, 17},
    {OK_HEAD "Content-Length: 32\r\n\r\n" LINE, SCRAPE_FOUND, 17},
    {OK_HEAD "content-length:32\r\n\r\n" LINE, SCRAPE_FOUND, 17},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 0\n", SCRAPE_FOUND, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 4294967295\r\n", SCRAPE_FOUND, UINT32_MAX},
    {OK_HEAD "\r\npipit_connections{kind=\"http\"} 5\n" LINE, SCRAPE_FOUND, 17},
    {"HTTP/1.0 200 OK\n\n" LINE, SCRAPE_FOUND, 17},
    {"HTTP/1.1 200\r\n\r\n" LINE, SCRAPE_FOUND, 17},
    {"HTTP/1.1 200 A reason that is far longer than what is ever kept of a line\r\n\r\n" LINE, SCRAPE_FOUND, 17},
    {"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" OK_HEAD "\r\n" LINE, SCRAPE_FOUND, 17},
    {OK_HEAD "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n" LINE,
     SCRAPE_FOUND, 17},
    {OK_HEAD "\r\n# a line longer than what is kept, of which the end is no line of its own: " LINE LINE, SCRAPE_FOUND,
     17},
    {CHUNKED "20\r\n" LINE "\r\n0\r\n\r\n", SCRAPE_FOUND, 17},
    {CHUNKED "5;a=\"b\"\r\n# x y\r\n1 \r\n\n\r\n20\r\n" LINE "\r\n0\r\n\r\n", SCRAPE_FOUND, 17},
    // A chunk may end anywhere in the line: the head of the next one is no part of it.
    {CHUNKED "1F\r\npipit_connections{kind=\"ws\"} 17\r\n1\r\n\n\r\n0\r\n\r\n", SCRAPE_FOUND, 17},
    {CHUNKED "1e\r\npipit_connections{kind=\"ws\"} 1\r\n2\r\n7\n\r\n0\r\n\r\n", SCRAPE_FOUND, 17},
    {CHUNKED "5\r\npipit\r\n00001c\r\n_connections{kind=\"ws\"} 170\n\r\n0\r\n\r\n", SCRAPE_FOUND, 170},
    {OK_HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" LINE "\r\n0\r\n\r\n", SCRAPE_FOUND, 17},
    {OK_HEAD "Transfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n20\r\n" LINE "\r\n0\r\n\r\n", SCRAPE_FOUND, 17},

    {"HTTP/1.1 403 Forbidden\r\n\r\n" LINE, SCRAPE_REFUSED, 0},
    {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", SCRAPE_REFUSED, 0},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", SCRAPE_REFUSED, 0},
    {"HTTP/1.1 204 No Content\r\n\r\n", SCRAPE_REFUSED, 0},
    {"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", SCRAPE_REFUSED, 0},

    {"SSH-2.0-OpenSSH_9.2\r\n", SCRAPE_MALFORMED, 0},
    {"HTTP/2 200 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"HTTP/1.1 20 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"HTTP/1.1 020 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"HTTP/1.x 200 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"http/1.1 200 OK\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {"\r\n\r\n", SCRAPE_MALFORMED, 0},
    {LINE, SCRAPE_MALFORMED, 0},
    {OK_HEAD "Content-Length: -1\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {OK_HEAD "Content-Length: 4294967296\r\n\r\n" LINE, SCRAPE_MALFORMED, 0},
    {OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", SCRAPE_MALFORMED, 0},
    {OK_HEAD "Transfer-Encoding: chunked                                                          \r\n\r\n",
     SCRAPE_MALFORMED, 0},
    {CHUNKED "\r\n" LINE, SCRAPE_MALFORMED, 0},
    {CHUNKED "x\r\n" LINE, SCRAPE_MALFORMED, 0},
    {CHUNKED ";a\r\n" LINE, SCRAPE_MALFORMED, 0},
    {CHUNKED "00000020\r\n" LINE, SCRAPE_MALFORMED, 0},
    {CHUNKED "5\r\n# x yz\r\n", SCRAPE_MALFORMED, 0},

    {OK_HEAD "\r\n", SCRAPE_SILENT, 0},
    {OK_HEAD "Content-Length: 0\r\n\r\n" LINE, SCRAPE_SILENT, 0},
    {OK_HEAD "Content-Length: 31\r\n\r\n" LINE, SCRAPE_SILENT, 0}, // its end is not in the body
    {OK_HEAD "\r\nok\n", SCRAPE_SILENT, 0},
    {OK_HEAD LINE "\r\n", SCRAPE_SILENT, 0}, // a strange field
    {OK_HEAD "\r\n " LINE, SCRAPE_SILENT, 0},
    {OK_HEAD "\r\n# " LINE, SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"http\"} 17\n", SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} \n", SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 1.5\n", SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} -1\n", SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 4294967296\n", SCRAPE_SILENT, 0},
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 17", SCRAPE_SILENT, 0}, // may go on
    {OK_HEAD "\r\npipit_connections{kind=\"ws\"} 00000000000000000000000000000000000017\n", SCRAPE_SILENT,
     0}, // too long
    {CHUNKED "0\r\n\r\n", SCRAPE_SILENT, 0},
    {CHUNKED "0\r\n" LINE "\r\n", SCRAPE_SILENT, 0}, // a strange trailer
    {CHUNKED "1f\r\npipit_connections{kind=\"ws\"} 17\r\n0\r\n\r\n", SCRAPE_SILENT, 0},

    {"", SCRAPE_CUT_OFF, 0},
    {"HTTP/1.1 200 OK", SCRAPE_CUT_OFF, 0},
    {OK_HEAD, SCRAPE_CUT_OFF, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", SCRAPE_CUT_OFF, 0},
    {OK_HEAD "Content-Length: 33\r\n\r\npipit", SCRAPE_CUT_OFF, 0},
    {CHUNKED "20\r\npipit", SCRAPE_CUT_OFF, 0},
    {CHUNKED "5\r\n# x y\r\n", SCRAPE_CUT_OFF, 0},
};

// Each piece stands in memory of exactly its size, so that a sanitizer sees any byte read behind it.
static void feed(struct scrape *s, const char *bytes, size_t length)
{
    uint8_t *exact = malloc(length);
    if (length > 0)
        memcpy(exact, bytes, length);
    enum scrape_verdict before = s->verdict;
    enum scrape_verdict verdict = scrape_feed(s, exact, length);
    assert_int_equal(verdict, s->verdict);
    if (before != SCRAPE_MORE)
        assert_int_equal(verdict, before);
    free(exact);
}

static void check_answer(const struct scrape *s, size_t number)
{
    if (s->verdict != answers[number].verdict || s->load != answers[number].load)
        fail_msg("answer %zu: verdict %u, load %u:\n%s", number, s->verdict, s->load, answers[number].bytes);
}

static void test_answers_in_two_pieces(void **state)
{
    (void)state;
    struct scrape s;
    for (size_t i = 0; i < COUNT(answers); i++) {
        size_t length = strlen(answers[i].bytes);
        for (size_t cut = 0; cut <= length; cut++) {
            scrape_begin(&s);
            feed(&s, answers[i].bytes, cut);
            feed(&s, answers[i].bytes + cut, length - cut);
            scrape_end(&s);
            check_answer(&s, i);
        }
    }
}

static void test_answers_byte_by_byte(void **state)
{
    (void)state;
    struct scrape s;
    for (size_t i = 0; i < COUNT(answers); i++) {
        scrape_begin(&s);
        for (size_t at = 0; answers[i].bytes[at] != '\0'; at++)
            feed(&s, &answers[i].bytes[at], 1);
        scrape_end(&s);
        check_answer(&s, i);
    }
}

// Every head of a good answer, cut off there, is told as what it is and never as good.
static void test_answers_cut_off(void **state)
{
    (void)state;
    static const char good[] = CHUNKED "9\r\npipit_con\r\n17\r\nnections{kind=\"ws\"} 17\n\r\n0\r\n\r\n";
    struct scrape s;
    size_t end = (size_t)(strchr(strstr(good, " 17"), '\n') - good);
    for (size_t cut = 0; cut < sizeof good; cut++) {
        scrape_begin(&s);
        feed(&s, good, cut);
        assert_int_equal(scrape_end(&s), cut <= end ? SCRAPE_CUT_OFF : SCRAPE_FOUND);
    }
}

static void test_answers_without_end(void **state)
{
    (void)state;
    static const char *const heads[] = {"",          "HTTP/1.1 200 ", OK_HEAD, OK_HEAD "\r\n", CHUNKED "fffffff\r\n",
                                        CHUNKED "1;"};
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct scrape s;
        size_t fed = strlen(heads[i]);
        scrape_begin(&s);
        feed(&s, heads[i], fed);
        for (; s.verdict == SCRAPE_MORE && fed <= SCRAPE_BYTES; fed++)
            feed(&s, "x", 1);
        assert_int_equal(s.verdict, SCRAPE_TOO_LONG);
        assert_int_equal(fed, SCRAPE_BYTES + 1);
    }
}

static void test_explanations(void **state)
{
    (void)state;
    char buffer[100];
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct scrape s;
        struct text why = text_in(buffer, sizeof buffer);
        scrape_begin(&s);
        feed(&s, answers[i].bytes, strlen(answers[i].bytes));
        scrape_end(&s);
        scrape_explain(&s, &why);
        assert_false(why.cut);
        assert_int_equal(why.length == 0, s.verdict == SCRAPE_FOUND);
    }
}

/// The nodes, played by the test ///

static struct peer nodes[3];
static uint32_t most_open;
static uint32_t last_sleep;

// What the main loop does; with it, what holds in every turn.
static void step(void)
{
    uint32_t dialled = net_counters.dialled;
    last_sleep = nodes_step(machine_now_ms);
    assert_true(net_counters.dialled - dialled <= 1);
    if (net_open() > most_open)
        most_open = net_open();
}

static void set_key(const char *text)
{
    memset(nodes_settings.list, 0, sizeof nodes_settings.list);
    strcpy(nodes_settings.list, text);
}

static int set_up(void **state)
{
    (void)state;
    here = 0;
    most_open = 0;
    set_key("");
    nodes_start();
    nodes_probes_failed = 0;
    machine_console_clear();
    return 0;
}

// Every test ends with nothing in use, once the nodes are gone from the key and their connections have lingered.
static int tear_down(void **state)
{
    (void)state;
    set_key("");
    peer_run(6000);
    for (size_t i = 0; i < COUNT(nodes); i++)
        peer_forget(&nodes[i]);
    log_threshold = LOG_INFO;
    assert_null(tcp_active_pcbs);
    assert_null(tcp_tw_pcbs);
    assert_int_equal(net_open(), 0);
    assert_int_equal(machine_pools_used(), 0);
    assert_int_equal(last_sleep, SERVICE_IDLE);
    return 0;
}

// Node number i waits at 10.0.2.2, port 9000 + i, for the next probe.
static struct peer *play(size_t i)
{
    peer_forget(&nodes[i]);
    peer_listen(&nodes[i], (uint16_t)(9000 + i));
    return &nodes[i];
}

static void answer(struct peer *p, unsigned load)
{
    char buffer[300];
    struct text t = text_in(buffer, sizeof buffer);
    text_format(&t,
                "%s# HELP pipit_connections Open connections.\n# TYPE pipit_connections gauge\n"
                "pipit_connections{kind=\"http\"} 1\npipit_connections{kind=\"ws\"} %u\nup 1\n",
                OK_HEAD "\r\n", load);
    peer_send(p, t.at, t.length);
    peer_close(p);
}

// Runs until the node has been asked; fails when that takes longer than it may.
static void await_request(const struct peer *p, uint32_t most_ms)
{
    for (uint32_t ms = 0; p->length == 0 && ms < most_ms; ms++)
        peer_run(1);
    assert_true(p->length > 0);
}

static void be_asked_and_answer(size_t i, unsigned load)
{
    struct peer *p = play(i);
    await_request(p, NODES_PERIOD_MS + 500);
    answer(p, load);
    peer_run(5);
}

static struct node_choice choose(void)
{
    struct node_choice choice = {{NULL, 0}, {NULL, 0}};
    assert_true(nodes_choose(machine_now_ms, &choice));
    return choice;
}

static bool nobody(void)
{
    struct node_choice choice;
    return !nodes_choose(machine_now_ms, &choice);
}

// The port that was chosen, 0 for this machine.
static uint64_t chosen_port(void)
{
    uint64_t port = 0;
    struct node_choice choice = choose();
    if (choice.host.length == 0) {
        assert_int_equal(choice.port.length, 0);
        return 0;
    }
    assert_true(span_equal(choice.host, span_of("10.0.2.2")));
    assert_true(span_number(choice.port, UINT16_MAX, &port));
    return port;
}

static unsigned occurrences(const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(machine_console, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

/// Probes ///

static void test_this_alone(void **state)
{
    (void)state;
    uint32_t dialled = net_counters.dialled;
    static const char *const keys[] = {"", "this", " this "};
    for (size_t i = 0; i < COUNT(keys); i++) {
        set_key(keys[i]);
        here = 100;
        peer_run(10);
        assert_int_equal(chosen_port(), 0);
        assert_int_equal(nodes_alive(), 1);
        assert_int_equal(nodes_lost(), 0);
        assert_int_equal(last_sleep, SERVICE_IDLE);
    }
    assert_int_equal(net_counters.dialled, dialled);
}

static void test_a_node_is_asked_at_once_and_every_period(void **state)
{
    (void)state;
    struct peer *p = play(0);
    set_key("10.0.2.2:9000");
    uint64_t asked = machine_now_ms;
    peer_run(5);
    assert_string_equal(peer_text(p), "GET /metrics HTTP/1.1\r\nHost: 10.0.2.2:9000\r\nUser-Agent: pipit\r\n"
                                      "Accept: text/plain\r\nConnection: close\r\n\r\n");
    assert_true(nobody());
    assert_int_equal(nodes_alive() + nodes_lost(), 0);
    assert_in_range(last_sleep, PROBE_PATIENCE_MS - 10, PROBE_PATIENCE_MS);
    answer(p, 12);
    peer_run(5);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(chosen_port(), 9000);
    assert_int_equal(occurrences("nodes: 10.0.2.2:9000 is alive, 12 chat there"), 1);
    assert_true(p->fin);
    assert_false(p->reset);
    assert_int_equal(net_open(), 0);
    assert_in_range(last_sleep, NODES_PERIOD_MS - 20, NODES_PERIOD_MS);
    p = play(0);
    peer_run((uint32_t)(asked + NODES_PERIOD_MS - machine_now_ms));
    assert_int_equal(p->length, 0);
    be_asked_and_answer(0, 13);
    assert_in_range(machine_now_ms, asked + NODES_PERIOD_MS, asked + NODES_PERIOD_MS + 20);
    assert_int_equal(occurrences("is alive"), 1);
    assert_int_equal(nodes_probes_failed, 0);
}

static void test_states_are_logged(void **state)
{
    (void)state;
    log_threshold = LOG_DEBUG;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 12);
    const char *const steps[] = {"status: probe 0: IDLE -> DIALLING", "status: probe 0: DIALLING -> READING",
                                 "status: probe 0: READING -> LEAVING", "status: probe 0: LEAVING -> IDLE"};
    for (size_t i = 0; i < COUNT(steps); i++)
        assert_int_equal(occurrences(steps[i]), 1);
    assert_int_equal(occurrences("status: probe 0: "), COUNT(steps));
}

// Our own server's page is longer than one segment, chunked, and goes on behind the line that counts: what is left is
// let through, so that the node sees no reset.
static void test_an_answer_in_many_segments(void **state)
{
    (void)state;
    struct peer *p = play(0);
    set_key("10.0.2.2:9000");
    await_request(p, 20);
    static const char bytes[] = CHUNKED "1f\r\npipit_connections{kind=\"ws\"} 17\r\n1\r\n\n\r\n0\r\n\r\n";
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        peer_send(p, bytes + i, 1);
        peer_run(1);
    }
    assert_int_equal(nodes_alive(), 1);
    for (int i = 0; i < 20; i++) {
        char more[1000];
        memset(more, '#', sizeof more);
        peer_send(p, more, sizeof more);
        peer_run(5);
    }
    peer_close(p);
    peer_run(5);
    assert_false(p->reset);
    assert_int_equal(net_open(), 0);
}

// A name is asked of the name server, and there is none here.
static void test_a_name_that_is_not_known(void **state)
{
    (void)state;
    set_key("chat.example:80");
    peer_run(PROBE_PATIENCE_MS + 100);
    assert_int_equal(nodes_lost(), 1);
    assert_true(occurrences("nodes: chat.example:80 is lost: cannot be reached") == 1);
    peer_run(20000); // lwIP's own look-up gives up later than we do
}

/// Choice ///

static void test_the_least_loaded(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000,10.0.2.2:9001,this");
    here = 3;
    struct peer *first = play(0), *second = play(1);
    await_request(first, 20);
    await_request(second, 20);
    answer(first, 5);
    answer(second, 1);
    peer_run(10);
    assert_int_equal(nodes_alive(), 3);
    assert_int_equal(chosen_port(), 9001); // 5 1 3
    assert_int_equal(chosen_port(), 9001); // 5 2 3
    // Three are at 5 3 3: two of the three are equal, and go in turn.
    uint64_t third = chosen_port(), fourth = chosen_port();
    assert_true((third == 0 && fourth == 9001) || (third == 9001 && fourth == 0));
}

static void test_ties_go_round(void **state)
{
    (void)state;
    unsigned seen[3] = {0};
    set_key("10.0.2.2:9000,10.0.2.2:9001,10.0.2.2:9002");
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            play(i);
        for (size_t i = 0; i < 3; i++) {
            await_request(&nodes[i], NODES_PERIOD_MS + 500);
            answer(&nodes[i], 7);
        }
        peer_run(10);
        seen[chosen_port() - 9000]++; // one choice between two answers: only the turn decides
    }
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[2], 1);
}

static void test_a_burst_spreads(void **state)
{
    (void)state;
    unsigned seen[3] = {0};
    set_key("10.0.2.2:9000,10.0.2.2:9001,this");
    struct peer *first = play(0), *second = play(1);
    await_request(first, 20);
    await_request(second, 20);
    answer(first, 20);
    answer(second, 0);
    peer_run(10);
    for (int i = 0; i < 100; i++) {
        uint64_t port = chosen_port();
        seen[port == 0 ? 2 : port - 9000]++;
    }
    // 20 + 20, 40 and 40.
    assert_int_equal(seen[0], 20);
    assert_int_equal(seen[1], 40);
    assert_int_equal(seen[2], 40);
}

// A choice counts until the next answer, no longer.
static void test_an_answer_takes_the_place_of_guesses(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000,10.0.2.2:9001");
    play(0), play(1);
    await_request(&nodes[0], 20);
    await_request(&nodes[1], 20);
    answer(&nodes[0], 0);
    answer(&nodes[1], 10);
    peer_run(10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(chosen_port(), 9000);
    play(0), play(1);
    await_request(&nodes[0], NODES_PERIOD_MS + 500);
    await_request(&nodes[1], 20);
    answer(&nodes[0], 4); // the others have not come
    answer(&nodes[1], 10);
    peer_run(10);
    for (int i = 0; i < 6; i++)
        assert_int_equal(chosen_port(), 9000);
}

// Who is sent to a node while it is being asked may not be in its answer.
static void test_choices_during_a_probe_still_count(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000,10.0.2.2:9001");
    play(0), play(1);
    await_request(&nodes[0], 20);
    await_request(&nodes[1], 20);
    answer(&nodes[0], 0);
    answer(&nodes[1], 5);
    peer_run(10);
    play(0), play(1);
    await_request(&nodes[0], NODES_PERIOD_MS + 500);
    await_request(&nodes[1], 20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(chosen_port(), 9000);
    answer(&nodes[0], 0); // 3 to come
    answer(&nodes[1], 5);
    peer_run(10);
    assert_int_equal(chosen_port(), 9000);
    assert_int_equal(chosen_port(), 9000);
    uint64_t sixth = chosen_port(), seventh = chosen_port(); // 5 5
    assert_int_equal(sixth + seventh, 9000 + 9001);
}

// This machine's own load is known at any time, and who was sent here counts for a period until he comes.
static void test_this_machine_counts_itself(void **state)
{
    (void)state;
    set_key("this,10.0.2.2:9000");
    be_asked_and_answer(0, 10);
    here = 4;
    for (int i = 0; i < 6; i++) // 4 + 6
        assert_int_equal(chosen_port(), 0);
    uint64_t seventh = chosen_port(), eighth = chosen_port(); // 10 10
    assert_int_equal(seventh + eighth, 9000);
    be_asked_and_answer(0, 13);
    here = 8; // of them four have come
    for (int i = 0; i < 3; i++)
        assert_int_equal(chosen_port(), 0);
    here = 20; // whoever they are
    assert_int_equal(chosen_port(), 9000);
}

// Loads at the end of their range don't wrap around when somebody is sent there.
static void test_a_boundless_load(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000,10.0.2.2:9001");
    play(0), play(1);
    await_request(&nodes[0], 20);
    await_request(&nodes[1], 20);
    answer(&nodes[0], UINT32_MAX);
    answer(&nodes[1], UINT32_MAX - 1);
    peer_run(10);
    assert_int_equal(chosen_port(), 9001);
    assert_int_equal(chosen_port() + chosen_port(), 9000 + 9001);
    assert_int_equal(chosen_port() + chosen_port(), 9000 + 9001);
}

/// Nodes that fail ///

static void vanish(struct peer *p)
{
    p->gone = true;
}

static void say_nothing(struct peer *p)
{
    (void)p;
}

static void say_403(struct peer *p)
{
    peer_send_text(p, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno.\n");
    peer_close(p);
}

static void say_503(struct peer *p)
{
    peer_send_text(p, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n");
    peer_close(p);
}

static void say_rubbish(struct peer *p)
{
    peer_send(p, "\x00\x01\xff\xfe\n\n\n", 7);
}

static void say_ok(struct peer *p)
{
    peer_send_text(p, OK_HEAD "Content-Length: 3\r\n\r\nok\n");
}

static void hang_up(struct peer *p)
{
    peer_close(p);
}

static void hang_up_in_the_line(struct peer *p)
{
    peer_send_text(p, CHUNKED "20\r\npipit_connections{kind=\"ws\"} 1");
    peer_close(p);
}

static void reset(struct peer *p)
{
    peer_send_text(p, OK_HEAD);
    peer_abort(p);
}

static void stall(struct peer *p)
{
    peer_send_text(p, OK_HEAD "\r\npipit_connections{kind=\"ws\"} 1");
}

static const struct {
    void (*play)(struct peer *p);
    const char *why;
} failures[] = {
    {vanish, "cannot be reached"},
    {say_nothing, "no answer within 3 s"},
    {say_403, "answered 403: add the name to http.names there"},
    {say_503, "answered 503\n"},
    {say_rubbish, "answered with something that is not HTTP/1.1"},
    {say_ok, "its /metrics has no line pipit_connections{kind=\"ws\"}"},
    {hang_up, "closed before the end of its answer"},
    {hang_up_in_the_line, "closed before the end of its answer"},
    {reset, "broke off: reset by the peer"},
    {stall, "no answer within 3 s"},
};

// One probe that the node fails; `before` is how long ago it was last asked at most.
static void fail_once(size_t number)
{
    struct peer *p = play(0);
    uint32_t failed = nodes_probes_failed;
    void (*act)(struct peer *) = failures[number].play;
    if (act == vanish) {
        vanish(p);
        peer_run(NODES_PERIOD_MS);
    } else {
        await_request(p, NODES_PERIOD_MS + 500);
        act(p);
    }
    peer_run(PROBE_PATIENCE_MS + 50);
    assert_int_equal(nodes_probes_failed, failed + 1);
}

static void come_back(void)
{
    be_asked_and_answer(0, 6);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(nodes_lost(), 0);
    assert_int_equal(occurrences("nodes: 10.0.2.2:9000 is alive, 6 chat there"), 1);
    assert_int_equal(chosen_port(), 9000);
}

// One failed probe is enough; it is told once, and nobody is sent there until one has been answered again.
static void test_failures_and_recovery(void **state)
{
    (void)state;
    char line[120];
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct text t = text_in(line, sizeof line);
        text_format(&t, "warn  nodes: 10.0.2.2:9000 is lost: %s", failures[i].why);
        set_key("10.0.2.2:9000");
        be_asked_and_answer(0, 5);
        machine_console_clear();
        fail_once(i);
        assert_int_equal(nodes_alive(), 0);
        assert_int_equal(nodes_lost(), 1);
        assert_true(nobody());
        if (occurrences(strstr(text_end(&t), "nodes: ")) != 1)
            fail_msg("'%s' is not in:\n%s", line, machine_console);
        fail_once(i);
        assert_int_equal(occurrences("is lost"), 1);
        come_back();
        tear_down(NULL);
        set_up(NULL);
    }
}

// A node that was never alive is told to be lost too.
static void test_lost_from_the_start(void **state)
{
    (void)state;
    set_key("127.0.0.1:9,this");
    peer_run(10);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(nodes_lost(), 1);
    assert_int_equal(occurrences("nodes: 127.0.0.1:9 is lost: cannot be reached: reset by the peer"), 1);
    assert_int_equal(chosen_port(), 0);
    peer_run(10500);
    assert_int_equal(nodes_probes_failed, 3);
    assert_int_equal(occurrences("is lost"), 1);
}

// Slow, but within its time.
static void test_slow_is_not_dead(void **state)
{
    (void)state;
    struct peer *p = play(0);
    set_key("10.0.2.2:9000");
    await_request(p, 20);
    peer_send_text(p, OK_HEAD "\r\n");
    peer_run(PROBE_PATIENCE_MS - 200);
    peer_send_text(p, LINE);
    peer_run(10);
    assert_int_equal(nodes_alive(), 1);
    // Its last bytes never come: the connection is not kept for them.
    peer_run(200);
    assert_int_equal(net_open(), 0);
    assert_int_equal(nodes_probes_failed, 0);
}

// The line that comes too late changes nothing.
static void test_too_slow_is_dead(void **state)
{
    (void)state;
    struct peer *p = play(0);
    set_key("10.0.2.2:9000");
    await_request(p, 20);
    peer_send_text(p, OK_HEAD "\r\n");
    peer_run(PROBE_PATIENCE_MS + 10);
    peer_send_text(p, LINE);
    peer_run(10);
    assert_true(p->reset);
    assert_int_equal(nodes_alive(), 0);
    assert_int_equal(nodes_lost(), 1);
}

// However fast it comes, an answer without end is cut off at the bound and not at the end of the time.
static void test_an_endless_answer(void **state)
{
    (void)state;
    static const char *const bodies[] = {"# a comment\n", "#"};
    for (size_t b = 0; b < COUNT(bodies); b++) {
        struct peer *p = play(0);
        char block[1400];
        size_t sent = 0;
        uint64_t before = machine_now_ms;
        set_key("10.0.2.2:9000");
        await_request(p, 20);
        peer_send_text(p, OK_HEAD "\r\n");
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = bodies[b][i % strlen(bodies[b])];
        for (; !p->reset && sent < 4u * SCRAPE_BYTES; sent += sizeof block) {
            peer_send(p, block, sizeof block);
            peer_run(1);
        }
        assert_true(p->reset);
        assert_in_range(sent, SCRAPE_BYTES, SCRAPE_BYTES + 5 * sizeof block);
        assert_true(machine_now_ms - before < 1000);
        assert_int_equal(occurrences("is lost: its answer has no end"), 1);
        tear_down(NULL);
        set_up(NULL);
    }
}

// Behind the line that counts nobody reads on, but an answer without end does not hold the connection.
static void test_endless_behind_the_line(void **state)
{
    (void)state;
    struct peer *p = play(0);
    set_key("10.0.2.2:9000");
    await_request(p, 20);
    peer_send_text(p, OK_HEAD "\r\n" LINE);
    for (uint32_t ms = 0; ms < PROBE_PATIENCE_MS + 100 && !p->reset; ms += 5) {
        peer_send_text(p, "# and on and on and on and on\n");
        peer_run(5);
    }
    assert_true(p->reset);
    peer_run(5);
    assert_int_equal(net_open(), 0);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(nodes_probes_failed, 0);
}

/// The key changes ///

static void test_a_node_is_taken_away_while_it_is_asked(void **state)
{
    (void)state;
    struct peer *first = play(0), *second = play(1), *third = play(2);
    set_key("10.0.2.2:9000,10.0.2.2:9001");
    await_request(first, 20);
    await_request(second, 20);
    set_key("10.0.2.2:9001,10.0.2.2:9002");
    peer_run(5);
    assert_true(first->reset);
    assert_false(second->reset); // whoever stays is not asked again
    await_request(third, 20);
    answer(second, 4);
    answer(third, 6);
    peer_run(10);
    assert_int_equal(nodes_alive(), 2);
    assert_int_equal(nodes_lost(), 0);
    assert_int_equal(nodes_probes_failed, 0);
    assert_int_equal(chosen_port(), 9001);
    peer_send_text(first, OK_HEAD "\r\n" LINE); // too late, and to nobody
    peer_run(5);
    assert_int_equal(nodes_alive(), 2);
}

// In every moment of a probe, while it is being dialled too.
static void test_a_node_is_taken_away_at_any_moment(void **state)
{
    (void)state;
    for (uint32_t turns = 0; turns < 8; turns++) {
        struct peer *p = play(0);
        set_key("10.0.2.2:9000");
        peer_run(turns);
        if (turns > 5)
            peer_send_text(p, OK_HEAD);
        set_key("this");
        peer_run(3);
        assert_int_equal(net_open(), 0);
        assert_int_equal(nodes_alive(), 1);
        assert_int_equal(chosen_port(), 0);
    }
    assert_int_equal(nodes_probes_failed, 0);
}

static void test_those_that_stay_keep_what_is_known(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 12);
    uint32_t dialled = net_counters.dialled;
    set_key("10.0.2.2:9000 , this");
    here = 12;
    peer_run(100);
    assert_int_equal(nodes_alive(), 2);
    assert_int_equal(net_counters.dialled, dialled);
    set_key("this");
    peer_run(10);
    assert_int_equal(nodes_alive(), 1);
    set_key("10.0.2.2:9000,this"); // it is a stranger now
    peer_run(1);
    assert_int_equal(nodes_alive(), 1);
    be_asked_and_answer(0, 1);
    assert_int_equal(nodes_alive(), 2);
}

// The choice follows the key at once, without waiting for the service's step.
static void test_choice_follows_the_key(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 0);
    set_key("this");
    assert_int_equal(chosen_port(), 0);
    set_key("10.0.2.2:9001");
    assert_true(nobody());
}

// All slots of the table are used again: eight others for eight.
static void test_a_whole_table_is_exchanged(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        set_key(i % 2 == 0 ? "a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1" : "a:2,b:2,c:2,d:2,e:2,f:2,this,h:1");
        peer_run(200);
        assert_int_equal(nodes_alive(), i % 2);
    }
}

// The configuration does not let such a text through; if it did, people could still log in.
static void test_a_key_that_cannot_be_read(void **state)
{
    (void)state;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 0);
    machine_console_clear();
    set_key("10.0.2.2");
    peer_run(100);
    assert_int_equal(occurrences("only this machine is used: status.nodes must list chat nodes as HOST:PORT"), 1);
    assert_int_equal(chosen_port(), 0);
    assert_int_equal(nodes_alive(), 1);
}

/// Bounds ///

static void test_eight_silent_nodes_need_two_connections(void **state)
{
    (void)state;
    set_key("10.0.2.2:1,10.0.2.2:2,10.0.2.2:3,10.0.2.2:4,10.0.2.2:5,10.0.2.2:6,10.0.2.2:7,10.0.2.2:8");
    uint32_t dialled = net_counters.dialled;
    peer_run(10);
    assert_int_equal(net_counters.dialled - dialled, NODES_PROBES);
    peer_run(4 * (PROBE_PATIENCE_MS + 200));
    assert_int_equal(nodes_lost(), 8);
    assert_int_equal(most_open, NODES_PROBES);
    // All of them are asked again and again, none more often than others.
    uint32_t failed = nodes_probes_failed;
    peer_run(3 * 4 * (PROBE_PATIENCE_MS + 200));
    assert_in_range(nodes_probes_failed - failed, 22, 26);
}

static void on_nothing(struct net_conn *c)
{
    (void)c;
}

static size_t on_bytes(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    return length;
}

static void on_end(struct net_conn *c, enum net_error why)
{
    (void)c;
    (void)why;
}

static const struct net_handlers idle = {.opened = on_nothing, .data = on_bytes, .closed = on_end};

// When every connection is taken here, that says nothing about the node.
static void test_no_connection_free(void **state)
{
    (void)state;
    static struct net_conn *taken[NET_CONNECTIONS];
    size_t count = 0;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 2);
    while ((taken[count] = net_dial(span_of("10.0.2.99"), 25, 60000, &idle, NULL)) != NULL && count + 1 < COUNT(taken))
        count++;
    count += taken[count] != NULL;
    assert_int_equal(net_open(), NET_CONNECTIONS);
    peer_run(NODES_PERIOD_MS + 100);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(nodes_probes_failed, 0);
    assert_in_range(last_sleep, NODES_RETRY_MS / 2, NODES_RETRY_MS);
    while (count > 0)
        net_abort(taken[--count]);
    struct peer *p = play(0);
    await_request(p, NODES_RETRY_MS + 100);
    answer(p, 3);
    peer_run(10);
    assert_int_equal(nodes_alive(), 1);
}

// The same with lwIP's own connections.
static void test_no_pcb_free(void **state)
{
    (void)state;
    static struct tcp_pcb *taken[MEMP_NUM_TCP_PCB];
    size_t count = 0;
    set_key("10.0.2.2:9000");
    be_asked_and_answer(0, 2);
    peer_run(4000); // TIME_WAIT is over, so that lwIP has no PCB to take from anybody
    while (count < COUNT(taken) && (taken[count] = tcp_new()) != NULL)
        count++;
    peer_run(1500);
    assert_int_equal(nodes_alive(), 1);
    assert_int_equal(nodes_probes_failed, 0);
    while (count > 0)
        tcp_close(taken[--count]);
    be_asked_and_answer(0, 2);
    assert_int_equal(nodes_probes_failed, 0);
}

static struct tcp_seg *segments[MEMP_NUM_TCP_SEG + 1];
static size_t segment_count;

static void take_all_segments(struct net_conn *c, enum net_error why)
{
    (void)c;
    (void)why;
    while ((segments[segment_count] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        segment_count++;
}

static const struct net_handlers taker = {.opened = on_nothing, .data = on_bytes, .closed = take_all_segments};

static struct net_conn *other;

static void abort_other_and_step(void)
{
    net_abort(other);
    peer_services = step;
    step();
}

// The connection is there, but there is no memory for the request: it is sent as soon as there is some. The SYN's
// segment is free again just before the request would take it, so the memory has to be taken between the two: by the
// end of another connection, which is told first because it was broken off just before the dial.
static void test_no_memory_for_the_request(void **state)
{
    (void)state;
    struct peer *p = play(0);
    other = net_dial(span_of("10.0.2.99"), 25, 60000, &taker, NULL);
    peer_run(5);
    set_key("10.0.2.2:9000");
    peer_services = abort_other_and_step;
    peer_run(50);
    assert_true(p->synchronized);
    assert_int_equal(p->length, 0);
    while (segment_count > 0)
        memp_free(MEMP_TCP_SEG, segments[--segment_count]);
    await_request(p, 300);
    answer(p, 1);
    peer_run(10);
    assert_int_equal(nodes_alive(), 1);
}

static void test_stop(void **state)
{
    (void)state;
    struct peer *first = play(0), *second = play(1);
    set_key("10.0.2.2:9000,10.0.2.2:9001");
    await_request(first, 20);
    await_request(second, 20);
    uint32_t dialled = net_counters.dialled;
    nodes_stop();
    peer_run(2);
    assert_int_equal(net_open(), 0);
    assert_true(first->reset && second->reset);
    peer_run(2 * NODES_PERIOD_MS);
    assert_int_equal(net_counters.dialled, dialled);
    assert_int_equal(nodes_probes_failed, 0);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_that_are_good),
        cmocka_unit_test(test_lists_that_are_not),
        cmocka_unit_test(test_answers_in_two_pieces),
        cmocka_unit_test(test_answers_byte_by_byte),
        cmocka_unit_test(test_answers_cut_off),
        cmocka_unit_test(test_answers_without_end),
        cmocka_unit_test(test_explanations),
        TEST(test_this_alone),
        TEST(test_a_node_is_asked_at_once_and_every_period),
        TEST(test_states_are_logged),
        TEST(test_an_answer_in_many_segments),
        TEST(test_a_name_that_is_not_known),
        TEST(test_the_least_loaded),
        TEST(test_ties_go_round),
        TEST(test_a_burst_spreads),
        TEST(test_an_answer_takes_the_place_of_guesses),
        TEST(test_choices_during_a_probe_still_count),
        TEST(test_this_machine_counts_itself),
        TEST(test_a_boundless_load),
        TEST(test_failures_and_recovery),
        TEST(test_lost_from_the_start),
        TEST(test_slow_is_not_dead),
        TEST(test_too_slow_is_dead),
        TEST(test_an_endless_answer),
        TEST(test_endless_behind_the_line),
        TEST(test_a_node_is_taken_away_while_it_is_asked),
        TEST(test_a_node_is_taken_away_at_any_moment),
        TEST(test_those_that_stay_keep_what_is_known),
        TEST(test_choice_follows_the_key),
        TEST(test_a_whole_table_is_exchanged),
        TEST(test_a_key_that_cannot_be_read),
        TEST(test_eight_silent_nodes_need_two_connections),
        TEST(test_no_connection_free),
        TEST(test_no_pcb_free),
        TEST(test_no_memory_for_the_request),
        TEST(test_stop),
    };
    peer_network_start();
    peer_services = step;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
