// Log lines as syslog messages: their form, their way to a server that the test plays, and what is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/syslog/syslog.c"
#include "lan_support.h"
#include <string.h>

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define SERVER              ADDRESS(192, 168, 1, 7)
#define DNS                 ADDRESS(192, 168, 1, 53)
#define DEVICE              ADDRESS(192, 168, 1, 30)

/// The server ///

static char heard[32][400];
static uint32_t heard_count;
static uint16_t heard_port;
static uint32_t heard_at;
static bool is_there;
static uint32_t dns_questions;
static uint16_t dns_port;
static uint8_t dns_question[300];
static size_t dns_length;

static void on_packet(const struct lan_packet *p)
{
    if (p->to_port == 53) {
        dns_questions++;
        dns_port = p->from_port;
        dns_length = p->length;
        assert_true(p->length <= sizeof dns_question);
        memcpy(dns_question, p->bytes, p->length);
    }
    if (p->to_port != syslog_settings.port)
        return;
    assert_true(p->length < sizeof heard[0] && heard_count < 32);
    memcpy(heard[heard_count], p->bytes, p->length);
    heard[heard_count++][p->length] = '\0';
    heard_port = p->to_port;
    heard_at = p->to;
}

static bool has(uint32_t address)
{
    return address != DEVICE && (is_there || address != SERVER);
}

// One A record, or with `address` 0 that there is no such name.
static void answer_dns(uint32_t address)
{
    uint8_t reply[350];
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    size_t n = dns_length;
    memcpy(reply, dns_question, n);
    reply[2] = 0x81;
    reply[3] = address == 0 ? 0x83 : 0x80;
    if (address != 0) {
        uint32_t network = lwip_htonl(address);
        reply[7] = 1;
        memcpy(reply + n, record, sizeof record);
        memcpy(reply + n + sizeof record, &network, 4);
        n += sizeof record + 4;
    }
    lan_udp(DNS, 53, DEVICE, dns_port, reply, n);
    lan_turn();
}

/// The frame of a test ///

static void turns(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += 10) {
        lan_run(10);
        syslog_poll();
    }
    lan_turn();
}

static void say(const char *message)
{
    syslog_line(LOG_INFO, "hub", span_of(message));
}

static int setup(void **state)
{
    static bool started;
    (void)state;
    lan_heard = on_packet;
    lan_has = has;
    is_there = true;
    if (!started) {
        strcpy(net_settings.address, "192.168.1.30/24");
        strcpy(net_settings.gateway, "192.168.1.1");
        strcpy(net_settings.name, "lark");
        strcpy(net_settings.dns, "192.168.1.53");
        assert_int_equal(net_start(), 0);
        started = true;
    }
    machine_now_ms += 1000000; // of ARP and DNS nothing is remembered
    lan_run_by(400000, 1000);
    machine_wall_ms = 1763841600000 - machine_now_ms;
    struct udp_pcb *pcb = syslog.pcb;
    memset(&syslog, 0, sizeof syslog);
    memset(&seen, 0, sizeof seen);
    syslog.pcb = pcb;
    queue_length = 0;
    strcpy(syslog_settings.host, "192.168.1.7");
    syslog_settings.port = 514;
    memset(&syslog_counters, 0, sizeof syslog_counters);
    heard_count = dns_questions = 0;
    return 0;
}

/// Form ///

static struct span first(void)
{
    static char copy[MESSAGE_MOST];
    assert_true(queue_length > 0);
    struct span message = queue_first();
    memcpy(copy, message.at, message.length);
    queue_drop(message.length + 2);
    return (struct span){copy, message.length};
}

#define assert_first(WANTED) assert_true(span_equal(first(), span_of(WANTED)))

static void test_a_message(void **state)
{
    (void)state;
    say("alice joined");
    assert_first("<30>1 2025-11-22T20:00:00.000Z lark pipit - hub - alice joined");
    machine_now_ms += 1234;
    syslog_line(LOG_ERROR, "net", span_of("x"));
    assert_first("<27>1 2025-11-22T20:00:01.234Z lark pipit - net - x");
    syslog_line(LOG_WARNING, "net", span_of(""));
    assert_first("<28>1 2025-11-22T20:00:01.234Z lark pipit - net - ");
    syslog_line(LOG_DEBUG, "net", span_of("y"));
    assert_first("<31>1 2025-11-22T20:00:01.234Z lark pipit - net - y");
    machine_wall_ms = 0;
    say("when?");
    assert_first("<30>1 - lark pipit - hub - when?");
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t s;
        const char *date;
    } dates[] = {
        {1704067199, "2023-12-31T23:59:59"}, {1709164800, "2024-02-29T00:00:00"}, {1709251200, "2024-03-01T00:00:00"},
        {1735689599, "2024-12-31T23:59:59"}, {1740787200, "2025-03-01T00:00:00"}, {4107542399, "2100-02-28T23:59:59"},
        {4107542400, "2100-03-01T00:00:00"}, {4294967296, "2106-02-07T06:28:16"},
    };
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        machine_wall_ms = dates[i].s * 1000 - machine_now_ms;
        say("x");
        struct span message = first();
        assert_memory_equal(message.at + 6, dates[i].date, 19);
    }
}

static void test_nothing_is_made_without_a_server(void **state)
{
    (void)state;
    syslog_settings.host[0] = '\0';
    say("x");
    assert_int_equal(queue_length, 0);
    turns(1000);
    assert_int_equal(heard_count + syslog_counters.dropped, 0);
}

/// The way ///

static void test_messages_arrive_in_order(void **state)
{
    (void)state;
    say("one");
    say("two");
    say("three");
    assert_int_equal(heard_count, 0); // not from where it is logged
    turns(100);
    assert_int_equal(heard_count, 3); // the first one though ARP had to ask
    assert_non_null(strstr(heard[0], " - one"));
    assert_non_null(strstr(heard[2], " - three"));
    assert_int_equal(heard_at, SERVER);
    assert_int_equal(syslog_counters.sent, 3);
    syslog_settings.port = 5514;
    say("four");
    turns(20);
    assert_int_equal(heard_port, 5514);
}

static void test_a_few_in_a_turn(void **state)
{
    (void)state;
    say("first");
    turns(100);
    for (int i = 0; i < 10; i++)
        say("x");
    syslog_poll();
    lan_turn();
    assert_int_equal(heard_count, 1 + SENDS_A_TURN);
    turns(100);
    assert_int_equal(heard_count, 11);
}

static void test_a_server_that_is_not_there_costs_lines_only(void **state)
{
    (void)state;
    is_there = false;
    unsigned fit = 0;
    while (syslog_counters.dropped == 0 && fit < 10000) {
        say("a line that nobody reads");
        fit += syslog_counters.dropped == 0;
    }
    turns(5000);
    assert_int_equal(heard_count, 0);
    say("another");
    assert_int_equal(syslog_counters.dropped, 2);
    assert_true(fit >= SYSLOG_QUEUE / 100);
    is_there = true;
    heard_count = 0;
    for (unsigned i = 0; i < 3000 && queue_length > 0; i++) {
        turns(10);
        heard_count = heard_count > 16 ? 0 : heard_count;
    }
    assert_int_equal(queue_length, 0);
    assert_int_equal(syslog_counters.sent, fit);
}

static void test_the_link_is_waited_for(void **state)
{
    (void)state;
    lan_link(false);
    say("one");
    turns(1000);
    assert_int_equal(heard_count, 0);
    lan_link(true);
    turns(3000);
    uint32_t found = 0, link = 0;
    for (uint32_t i = 0; i < heard_count; i++) {
        found += strstr(heard[i], " hub - one") != NULL;
        link += strstr(heard[i], " net - the link is ") != NULL; // what was logged meanwhile comes too
    }
    assert_int_equal(found, 1);
    assert_int_equal(link, 2);
}

/// A name ///

static void test_a_name_is_resolved(void **state)
{
    (void)state;
    strcpy(syslog_settings.host, "logs.example");
    say("one");
    turns(50);
    assert_int_equal(dns_questions, 1);
    answer_dns(SERVER);
    turns(100);
    assert_int_equal(heard_count, 1);
    say("two");
    turns(50);
    assert_int_equal(heard_count, 2);
    strcpy(syslog_settings.host, "192.168.1.8");
    say("three");
    turns(100);
    assert_int_equal(heard_at, ADDRESS(192, 168, 1, 8));
    syslog_settings.host[0] = '\0';
}

static void test_a_name_that_nobody_knows(void **state)
{
    (void)state;
    strcpy(syslog_settings.host, "nowhere.example");
    say("one");
    turns(50);
    answer_dns(0);
    turns(1000);
    assert_int_equal(heard_count, 0);
    assert_int_equal(syslog.state, STATE_WAITING);
    uint32_t asked = dns_questions;
    turns(RETRY_MS);
    assert_true(dns_questions > asked);
    answer_dns(SERVER);
    turns(100);
    assert_int_equal(heard_count, 1);
}

static void test_a_turned_off_server_loses_what_waits(void **state)
{
    (void)state;
    is_there = false;
    say("one");
    turns(50);
    syslog_settings.host[0] = '\0';
    turns(50);
    assert_int_equal(queue_length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_message, setup),
        cmocka_unit_test_setup(test_dates, setup),
        cmocka_unit_test_setup(test_nothing_is_made_without_a_server, setup),
        cmocka_unit_test_setup(test_messages_arrive_in_order, setup),
        cmocka_unit_test_setup(test_a_few_in_a_turn, setup),
        cmocka_unit_test_setup(test_a_server_that_is_not_there_costs_lines_only, setup),
        cmocka_unit_test_setup(test_the_link_is_waited_for, setup),
        cmocka_unit_test_setup(test_a_name_is_resolved, setup),
        cmocka_unit_test_setup(test_a_name_that_nobody_knows, setup),
        cmocka_unit_test_setup(test_a_turned_off_server_loses_what_waits, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
