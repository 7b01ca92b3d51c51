// SNTP against servers that the test plays, honest and other ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/net_time.c"
#include "lan_support.h"
#include <string.h>

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define SERVER              ADDRESS(192, 168, 1, 1)
#define SECOND              ADDRESS(192, 168, 1, 2)
#define DEVICE              ADDRESS(192, 168, 1, 30)

/// What the device asks ///

static struct {
    uint32_t count;
    uint32_t of;
    uint16_t from_port;
    struct message message;
} asked;
static uint32_t dns_questions;

static void on_packet(const struct lan_packet *p)
{
    dns_questions += p->to_port == 53;
    if (p->to_port != 123)
        return;
    assert_int_equal(p->length, 48);
    asked.count++;
    asked.of = p->to;
    asked.from_port = p->from_port;
    memcpy(&asked.message, p->bytes, 48);
}

/// What the server answers ///

static struct message reply;

static void write_time(uint32_t timestamp[2], uint64_t ms)
{
    timestamp[0] = lwip_htonl((uint32_t)(ms / 1000 + NTP_TO_UNIX)); // wraps around in 2036
    timestamp[1] = lwip_htonl((uint32_t)((((ms % 1000) << 32) + 999) / 1000));
}

static void prepare(uint64_t ms)
{
    memset(&reply, 0, sizeof reply);
    reply.leap_version_mode = VERSION_4 | MODE_SERVER;
    reply.stratum = 2;
    memcpy(reply.originate, asked.message.transmit, sizeof reply.originate);
    write_time(reply.receive, ms);
    write_time(reply.transmit, ms);
}

static void send_reply(void)
{
    lan_udp(asked.of, 123, DEVICE, asked.from_port, &reply, sizeof reply);
    lan_turn();
}

static void answer(uint64_t ms)
{
    prepare(ms);
    send_reply();
}

/// The frame of a test ///

static bool everybody_is_there(uint32_t address)
{
    return address != DEVICE;
}

static bool says(const char *sentence)
{
    return strstr(machine_console, sentence) != NULL;
}

static void wait_until_asked(void)
{
    uint32_t before = asked.count;
    for (int i = 0; i < 200000 && asked.count == before; i++)
        lan_run(10);
    lan_turn();
    assert_int_equal(asked.count, before + 1);
}

static int setup(void **state)
{
    static bool started;
    (void)state;
    lan_heard = on_packet;
    lan_has = everybody_is_there;
    if (!started) {
        strcpy(net_settings.address, "192.168.1.30/24");
        strcpy(net_settings.name, "pipit");
        strcpy(net_settings.sntp, "192.168.1.1");
        strcpy(net_settings.dns, "192.168.1.53");
        assert_int_equal(net_start(), 0);
        started = true;
    }
    strcpy(net_settings.sntp, "192.168.1.1");
    dhcp_set_ntp_servers(0, NULL);
    struct udp_pcb *pcb = sntp.pcb;
    memset(&sntp, 0, sizeof sntp);
    memset(&seen, 0, sizeof seen);
    memset(&asked, 0, sizeof asked);
    sntp.pcb = pcb;
    machine_wall_ms = 0;
    machine_wall_sets = 0;
    dns_questions = 0;
    machine_console_clear();
    net_time_soon();
    return 0;
}

#define NOON 1800000000123u // 2027-01-15 08:00:00.123

/// Good answers ///

static void test_the_time(void **state)
{
    (void)state;
    wait_until_asked();
    assert_int_equal(asked.of, SERVER);
    assert_int_equal(asked.message.leap_version_mode, 0x23);
    lan_run(40);
    answer(NOON);
    assert_in_range(port_wall_ms(), NOON + 20, NOON + 40); // half of the way there and back
    assert_int_equal(machine_wall_sets, 1);
    assert_true(says("net: it is 2027-01-15 08:00:00 UTC, says 192.168.1.1\n"));
    uint32_t count = asked.count;
    lan_run_by(3590000, 100);
    assert_int_equal(asked.count, count);
    lan_run_by(30000, 100);
    assert_int_equal(asked.count, count + 1);
}

static void test_eras(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *says;
    } rows[] = {
        {2085978495000u, "2036-02-07 06:28:15"}, // the last second of the first era
        {2085978496500u,
         "2036-02-07 06:28:16"}, // nothing but zeros would be no time {2085978497000u, "2036-02-07 06:28:17"},
        {3000000000000u, "2065-01-24 05:20:00"},
        {4107542400000u, "2100-03-01 00:00:00"}, // no leap year
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setup(state);
        wait_until_asked();
        answer(rows[i].ms);
        assert_in_range(port_wall_ms(), rows[i].ms, rows[i].ms + 100);
        assert_true(says(rows[i].says));
    }
}

// A clock within what the measurement can tell stays; one ahead goes back to that bound, one behind comes to its
// middle.
static void test_no_further_than_needed(void **state)
{
    (void)state;
    static const struct {
        int64_t ahead;
        uint32_t sets;
        int64_t after;
    } rows[] = {{0, 0, 0}, {90, 0, 90}, {-1, 1, 50}, {500, 1, 100}, {-5000, 1, 50}, {100000, 1, 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setup(state);
        wait_until_asked();
        machine_now_ms = sntp.asked + 100;
        machine_wall_ms = NOON + (uint64_t)rows[i].ahead - machine_now_ms;
        answer(NOON);
        assert_int_equal(machine_wall_sets, rows[i].sets);
        assert_int_equal((int64_t)(port_wall_ms() - NOON), rows[i].after);
    }
}

/// Doubtful ones ///

static void doubtful_leap(void)
{
    reply.leap_version_mode |= 3 << 6;
}

static void doubtful_client(void)
{
    reply.leap_version_mode = VERSION_4 | MODE_CLIENT;
}

static void doubtful_stratum(void)
{
    reply.stratum = 16;
}

static void doubtful_kiss(void)
{
    reply.stratum = 0;
}

static void doubtful_zero(void)
{
    memset(reply.transmit, 0, sizeof reply.transmit);
}

static void doubtful_1970(void)
{
    write_time(reply.transmit, 1000);
}

static void doubtful_2023(void)
{
    write_time(reply.transmit, EARLIEST_MS - 1000);
}

static void test_servers_without_a_clock(void **state)
{
    static void (*const rows[])(void) = {doubtful_leap, doubtful_client, doubtful_stratum, doubtful_kiss,
                                         doubtful_zero, doubtful_1970,   doubtful_2023};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        setup(state);
        wait_until_asked();
        prepare(NOON);
        rows[i]();
        send_reply();
        assert_int_equal(machine_wall_sets, 0);
        assert_int_equal(sntp.state, STATE_WAITING); // and asks again
        wait_until_asked();
        answer(NOON);
        assert_int_equal(machine_wall_sets, 1);
    }
}

static void test_a_kiss_of_death_is_heeded(void **state)
{
    (void)state;
    wait_until_asked();
    prepare(NOON);
    doubtful_kiss();
    send_reply();
    lan_run_by(900000, 100);
    assert_int_equal(asked.count, 1);
}

static void test_answers_of_others(void **state)
{
    (void)state;
    wait_until_asked();
    prepare(NOON);
    reply.originate[1] ^= 1;
    send_reply();
    prepare(NOON);
    lan_udp(SECOND, 123, DEVICE, asked.from_port, &reply, sizeof reply);
    lan_udp(SERVER, 124, DEVICE, asked.from_port, &reply, sizeof reply);
    for (size_t length = 0; length < sizeof reply; length++)
        lan_udp(SERVER, 123, DEVICE, asked.from_port, &reply, length);
    lan_turn();
    assert_int_equal(machine_wall_sets, 0);
    assert_int_equal(sntp.state, STATE_ASKED);
    send_reply();
    assert_int_equal(machine_wall_sets, 1);
    machine_wall_ms = 1;
    send_reply(); // once more
    assert_int_equal(machine_wall_sets, 1);
}

/// Which server, and when ///

static void test_silence(void **state)
{
    (void)state;
    uint64_t gap[4], last = 0;
    for (size_t i = 0; i < 4; i++) {
        wait_until_asked();
        gap[i] = machine_now_ms - last;
        last = machine_now_ms;
    }
    assert_in_range(gap[1], 20000, 20100);
    assert_in_range(gap[2], 35000, 35100);
    assert_in_range(gap[3], 65000, 65100);
    lan_run_by(20000000, 100);
    uint32_t count = asked.count;
    lan_run_by(9650000, 100);
    assert_int_equal(asked.count - count, 10); // the longest pause
}

static void test_servers_of_dhcp_come_first(void **state)
{
    (void)state;
    ip4_addr_t two[2] = {{lwip_htonl(ADDRESS(192, 168, 1, 7))}, {lwip_htonl(ADDRESS(192, 168, 1, 8))}};
    dhcp_set_ntp_servers(2, two);
    static const uint32_t order[] = {ADDRESS(192, 168, 1, 7), ADDRESS(192, 168, 1, 8), SERVER, ADDRESS(192, 168, 1, 7)};
    for (size_t i = 0; i < 4; i++) {
        wait_until_asked();
        assert_int_equal(asked.of, order[i]);
    }
}

static void test_a_name_that_nobody_knows(void **state)
{
    (void)state;
    strcpy(net_settings.sntp, "time.example");
    lan_run(60000);
    assert_true(dns_questions > 1);
    assert_int_equal(asked.count, 0);
    assert_true(sntp.state == STATE_WAITING || sntp.state == STATE_RESOLVING);
    strcpy(net_settings.sntp, "192.168.1.1");
    wait_until_asked();
    answer(NOON);
    assert_int_equal(machine_wall_sets, 1);
}

static void test_nobody_is_asked_without_a_link(void **state)
{
    (void)state;
    lan_link(false);
    lan_run(100000);
    assert_int_equal(asked.count, 0);
    lan_link(true);
    lan_run(2100);
    assert_int_equal(asked.count, 1);
    for (int i = 0; i < 20; i++) { // a link that flaps is no flood
        lan_link(false);
        lan_run(100);
        lan_link(true);
        lan_run(100);
    }
    assert_int_equal(asked.count, 1);
}

static void test_an_empty_setting_asks_nobody(void **state)
{
    (void)state;
    net_settings.sntp[0] = '\0';
    lan_run(100000);
    assert_int_equal(asked.count, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_time),
        TEST(test_eras),
        TEST(test_no_further_than_needed),
        TEST(test_servers_without_a_clock),
        TEST(test_a_kiss_of_death_is_heeded),
        TEST(test_answers_of_others),
        TEST(test_silence),
        TEST(test_servers_of_dhcp_come_first),
        TEST(test_a_name_that_nobody_knows),
        TEST(test_nobody_is_asked_without_a_link),
        TEST(test_an_empty_setting_asks_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
