// The address: DHCP (RFC 2131) against a server that the test plays, AutoIP (RFC 3927), a link that comes and goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/net_setup.c"
#include "lan_support.h"
#include "lwip/priv/tcp_priv.h"
#include <stdio.h>
#include <string.h>

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define SERVER              ADDRESS(192, 168, 1, 1)
#define LEASED              ADDRESS(192, 168, 1, 20)
#define OTHER               ADDRESS(192, 168, 1, 21)
#define LINK_LOCAL(a)       ((a) >> 16 == 0xa9fe)

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE };

/// What the device has asked ///

static struct {
    uint32_t count[8];
    int type; // the last one's; 0: nothing since forget()
    uint8_t xid[4];
    uint32_t own;       // ciaddr
    uint32_t requested; // option 50
    uint32_t server;    // option 54
    char name[40];      // option 12
    char list[16];      // option 55
    bool broadcast;
} asked;

static uint32_t number_at(const uint8_t *at)
{
    return ADDRESS(at[0], at[1], at[2], at[3]);
}

static void read_option(uint8_t option, const uint8_t *value, size_t length)
{
    if (option == 53)
        asked.type = value[0];
    if (option == 50)
        asked.requested = number_at(value);
    if (option == 54)
        asked.server = number_at(value);
    if (option == 12)
        snprintf(asked.name, sizeof asked.name, "%.*s", (int)length, (const char *)value);
    if (option == 55)
        memcpy(asked.list, value, length < 15 ? length : 15);
}

static bool hears_tcp(const struct lan_packet *p);

static void on_packet(const struct lan_packet *p)
{
    if (hears_tcp(p) || p->to_port != 67)
        return;
    uint32_t count[8];
    memcpy(count, asked.count, sizeof count);
    memset(&asked, 0, sizeof asked);
    memcpy(asked.count, count, sizeof count);
    assert_true(p->length >= 240);
    memcpy(asked.xid, p->bytes + 4, 4);
    asked.own = number_at(p->bytes + 12);
    asked.broadcast = p->broadcast;
    for (const uint8_t *at = p->bytes + 240; at < p->bytes + p->length && *at != 255;) {
        if (*at == 0) {
            at++;
            continue;
        }
        read_option(at[0], at + 2, at[1]);
        at += 2 + at[1];
    }
    assert_in_range(asked.type, DISCOVER, RELEASE);
    asked.count[asked.type]++;
}

static void forget(void)
{
    memset(&asked, 0, sizeof asked);
    machine_console_clear();
}

/// What the server answers ///

static uint8_t message[400];
static size_t message_length;

static void put_option(uint8_t option, const void *value, uint8_t length)
{
    message[message_length++] = option;
    message[message_length++] = length;
    memcpy(message + message_length, value, length);
    message_length += length;
}

static void put_number(uint8_t option, uint32_t number)
{
    uint32_t swapped = lwip_htonl(number);
    put_option(option, &swapped, 4);
}

static void begin(int type, uint32_t address)
{
    static const uint8_t mac[6] = LAN_DEVICE_MAC, cookie[4] = {99, 130, 83, 99};
    uint32_t swapped = lwip_htonl(address);
    uint8_t kind = (uint8_t)type;
    memset(message, 0, sizeof message);
    message[0] = 2;
    message[1] = 1;
    message[2] = 6;
    memcpy(message + 4, asked.xid, 4);
    memcpy(message + 16, &swapped, 4);
    memcpy(message + 28, mac, 6);
    memcpy(message + 236, cookie, 4);
    message_length = 240;
    put_option(53, &kind, 1);
    put_number(54, SERVER);
}

static void send_message(void)
{
    lan_udp(SERVER, 67, UINT32_MAX, 68, message, message_length);
    lan_turn();
}

static void answer_for(int type, uint32_t address, uint32_t seconds)
{
    begin(type, address);
    if (type != NAK) {
        put_number(51, seconds);
        put_number(1, 0xffffff00);
        put_number(3, SERVER);
        const uint8_t dns[] = {192, 168, 1, 53, 192, 168, 1, 54};
        put_option(6, dns, sizeof dns);
    }
    message[message_length++] = 255;
    send_message();
}

static void answer(int type, uint32_t address)
{
    answer_for(type, address, 3600);
}

static void lease_for(uint32_t address, uint32_t seconds)
{
    answer_for(OFFER, address, seconds);
    lan_turn();
    assert_int_equal(asked.type, REQUEST);
    answer_for(ACK, address, seconds);
    assert_int_equal(net_own_address(), address);
}

static void lease(uint32_t address)
{
    lease_for(address, 3600);
}

/// The frame of a test ///

static bool server_is_there(uint32_t address)
{
    return address == SERVER;
}

static bool says(const char *sentence)
{
    return strstr(machine_console, sentence) != NULL;
}

// As net_start() does it, without starting lwIP again.
static void begin_with(const char *address)
{
    memset(&wanted, 0, sizeof wanted);
    memset(&told, 0, sizeof told);
    strcpy(net_settings.address, address);
    assert_true(net_setup_read());
    net_setup_start();
    lan_turn();
    lan_turn();
}

static int setup(void **state)
{
    static bool started;
    (void)state;
    if (!started) {
        strcpy(net_settings.address, "192.0.2.1");
        strcpy(net_settings.name, "pipit");
        net_settings.mdns = 1;
        assert_int_equal(net_start(), 0);
        net_advertise_http(80);
        started = true;
    }
    netif_set_addr(&net_interface, NULL, NULL, NULL);
    lan_turn();
    net_settings.gateway[0] = net_settings.dns[0] = '\0';
    lan_heard = on_packet;
    lan_has = server_is_there;
    lan_probes = 0;
    forget();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lan_link(true);
    if (netif_dhcp_data(&net_interface) != NULL) {
        stop_autoip();
        dhcp_release_and_stop(&net_interface);
        netif_set_client_data(&net_interface, LWIP_NETIF_CLIENT_DATA_INDEX_DHCP, NULL);
        netif_set_client_data(&net_interface, LWIP_NETIF_CLIENT_DATA_INDEX_AUTOIP, NULL);
        net_interface.acd_list = NULL;
    }
    lan_run(100);
    assert_int_equal(machine_pools_used(), 0);
    return 0;
}

/// A lease ///

static void test_a_lease(void **state)
{
    (void)state;
    begin_with("");
    assert_int_equal(asked.type, DISCOVER);
    assert_true(asked.broadcast);
    assert_string_equal(asked.name, "pipit");
    assert_non_null(strchr(asked.list, 42));
    assert_int_equal(net_own_origin(), NET_ORIGIN_NONE);
    answer(OFFER, LEASED);
    lan_turn();
    assert_int_equal(asked.type, REQUEST);
    assert_int_equal(asked.requested, LEASED);
    assert_int_equal(asked.server, SERVER);
    assert_string_equal(asked.name, "pipit");
    assert_int_equal(net_own_address(), 0);
    answer(ACK, LEASED);
    assert_int_equal(net_own_address(), LEASED);
    assert_int_equal(net_own_origin(), NET_ORIGIN_DHCP);
    assert_int_equal(lwip_ntohl(ip4_addr_get_u32(netif_ip4_gw(&net_interface))), SERVER);
    assert_int_equal(lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(dns_getserver(0)))), ADDRESS(192, 168, 1, 53));
    assert_true(says("net: http://192.168.1.20/ and http://pipit.local/ (DHCP)\n"));
}

static void test_the_longest_name(void **state)
{
    (void)state;
    strcpy(net_settings.name, "abcdefghijklmnopqrstuvwxyz012345");
    begin_with("");
    lease(LEASED);
    assert_string_equal(asked.name, net_settings.name);
    lan_link(false);
    lan_run(20);
    lan_link(true);
    lan_run(20);
    assert_string_equal(asked.name, net_settings.name);
    strcpy(net_settings.name, "pipit");
}

static void test_dhcp_may_be_asked_for_by_name(void **state)
{
    (void)state;
    begin_with("DHCP");
    assert_int_equal(asked.type, DISCOVER);
    lease(LEASED);
}

static void test_gateway_and_dns_win_over_the_servers(void **state)
{
    (void)state;
    strcpy(net_settings.gateway, "192.168.1.2");
    strcpy(net_settings.dns, "192.168.1.3");
    begin_with("");
    lease(LEASED);
    lan_turn();
    for (int renewed = 0; renewed < 2; renewed++) {
        assert_int_equal(lwip_ntohl(ip4_addr_get_u32(netif_ip4_gw(&net_interface))), ADDRESS(192, 168, 1, 2));
        assert_int_equal(lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(dns_getserver(0)))), ADDRESS(192, 168, 1, 3));
        assert_true(ip_addr_isany(dns_getserver(1)));
        dhcp_renew(&net_interface);
        lan_run(20);
        answer(ACK, LEASED);
        lan_turn();
    }
}

static void test_nak_begins_anew(void **state)
{
    (void)state;
    begin_with("");
    answer(OFFER, LEASED);
    lan_turn();
    answer(NAK, 0);
    lan_turn();
    assert_int_equal(asked.type, DISCOVER);
    assert_int_equal(net_own_address(), 0);
    lease(OTHER);
}

static void test_silence_is_asked_again(void **state)
{
    (void)state;
    begin_with("");
    lan_run(7000);
    assert_int_equal(asked.count[DISCOVER], 3);
    answer(OFFER, LEASED);
    lan_run(5000);
    assert_in_range(asked.count[REQUEST], 2, 3);
    answer(ACK, LEASED);
    assert_int_equal(net_own_address(), LEASED);
}

/// Its life ///

#define MINUTES(n) ((n)*60000ull)

static void test_renewal_at_t1(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    forget();
    lan_run_by(MINUTES(29), 100);
    assert_int_equal(asked.type, 0);
    lan_run_by(MINUTES(2), 100);
    assert_int_equal(asked.type, REQUEST);
    assert_int_equal(asked.own, LEASED);
    assert_false(asked.broadcast); // to the server alone
    answer(ACK, LEASED);
    forget();
    lan_run_by(MINUTES(29), 100);
    assert_int_equal(asked.type, 0); // the lease began anew
    assert_string_equal(machine_console, "");
    assert_int_equal(net_own_origin(), NET_ORIGIN_DHCP);
}

static void test_another_server_at_t2(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    lan_run_by(MINUTES(51), 100);
    forget();
    lan_run_by(MINUTES(3), 100);
    assert_int_equal(asked.type, REQUEST);
    assert_int_equal(asked.own, LEASED);
    assert_true(asked.broadcast);
    answer(ACK, LEASED);
    lan_run_by(MINUTES(20), 100);
    assert_int_equal(net_own_address(), LEASED);
}

// lwIP holds an AutoIP that had stepped back for a lease still for bound, and would not start it again.
static void test_a_lease_that_ends(void **state)
{
    (void)state;
    begin_with("");
    lan_run(30000);
    assert_true(LINK_LOCAL(net_own_address()));
    lease(LEASED);
    forget();
    lan_run_by(MINUTES(61), 100);
    assert_true(says("the address 192.168.1.20 is gone"));
    assert_true(asked.count[DISCOVER] > 0);
    lan_run_by(MINUTES(1), 100);
    assert_true(LINK_LOCAL(net_own_address()));
    assert_int_equal(net_own_origin(), NET_ORIGIN_AUTOIP);
}

static void test_a_lease_that_is_withdrawn(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    lan_run_by(MINUTES(31), 100);
    assert_int_equal(asked.type, REQUEST);
    answer(NAK, 0);
    assert_true(says("the address 192.168.1.20 is gone"));
    lan_turn();
    lease(OTHER);
    assert_true(says("http://192.168.1.21/"));
}

/// Hostile servers ///

static void test_truncated_offers(void **state)
{
    (void)state;
    begin_with("");
    begin(OFFER, LEASED);
    put_number(51, 3600);
    put_number(1, 0xffffff00);
    put_option(6, "12345678", 8);
    put_option(42, "12345678", 8);
    message[message_length++] = 255;
    size_t whole = message_length;
    for (message_length = 0; message_length < whole; message_length++) {
        send_message();
        assert_int_equal(asked.count[REQUEST], 0);
    }
    send_message();
    lan_turn();
    assert_int_equal(asked.count[REQUEST], 1);
}

// Any option whose length lies, and any byte that is another one: whatever is made of it, a good server is heard after.
static void test_mangled_offers(void **state)
{
    (void)state;
    begin_with("");
    for (unsigned at = 236; at < 290; at++)
        for (unsigned byte = 0; byte < 256; byte += 5) {
            begin(OFFER, LEASED);
            put_number(51, 3600);
            put_option(52, "\3", 1); // file and sname hold options too
            put_option(42, "1234567890123456", 16);
            message[message_length++] = 255;
            memset(message + 44, (int)byte, 192);
            message[at] = (uint8_t)byte;
            send_message();
        }
    lan_link(false);
    lan_run(100);
    lan_link(true);
    lan_run(20);
    answer(NAK, 0);
    lan_turn();
    lease(LEASED);
}

static void test_offers_to_others(void **state)
{
    (void)state;
    static const size_t wrong[] = {0, 4, 28, 237}; // op, xid, chaddr, cookie
    begin_with("");
    for (size_t i = 0; i < 3; i++) {
        begin(OFFER, LEASED);
        message[message_length++] = 255;
        message[wrong[i]] ^= 1;
        send_message();
        assert_int_equal(asked.count[REQUEST], 0);
    }
    answer(ACK, LEASED); // nobody has requested it
    assert_int_equal(net_own_address(), 0);
}

/// AutoIP ///

static void test_nobody_answers(void **state)
{
    (void)state;
    begin_with("");
    lan_run(14000);
    assert_int_equal(net_own_address(), 0);
    lan_run(12000);
    assert_int_equal(lan_probes, 3);
    assert_true(LINK_LOCAL(net_own_address()));
    assert_int_equal(net_own_address(), lan_probed);
    assert_int_equal(net_own_origin(), NET_ORIGIN_AUTOIP);
    assert_true(says("no DHCP server answered: took 169.254."));
    assert_true(says(" and http://pipit.local/ (AutoIP)"));
    forget();
    lan_run(61000);
    assert_true(asked.count[DISCOVER] > 0); // it is asked on
    lease(LEASED);
    assert_true(says("http://192.168.1.20/ and http://pipit.local/ (DHCP)"));
    lan_run(30000);
    assert_int_equal(net_own_address(), LEASED);
}

static uint32_t first_choice;

static bool first_choice_is_taken(uint32_t address)
{
    if (first_choice == 0)
        first_choice = address;
    return address == first_choice;
}

static void test_a_choice_that_somebody_has(void **state)
{
    (void)state;
    lan_has = first_choice_is_taken;
    begin_with("");
    lan_run(36000);
    assert_true(LINK_LOCAL(first_choice));
    assert_true(LINK_LOCAL(net_own_address()));
    assert_int_not_equal(net_own_address(), first_choice);
}

// lwIP lets the probing go on, and at its end puts the choice in the lease's place.
static void test_a_lease_while_autoip_probes(void **state)
{
    (void)state;
    begin_with("");
    lan_run(16000);
    assert_in_range(lan_probes, 1, 3);
    assert_int_equal(net_own_address(), 0);
    lease(LEASED);
    lan_run(30000);
    assert_int_equal(net_own_address(), LEASED);
    assert_false(says("169.254."));
}

/// The link ///

static void test_the_link_comes_back(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    lan_link(false);
    lan_turn();
    assert_true(says("the link is down"));
    assert_int_equal(net_link_up(), 0);
    lan_run(5000);
    forget();
    lan_link(true);
    lan_run(20);
    assert_true(says("the link is up"));
    assert_int_equal(asked.type, REQUEST); // INIT-REBOOT
    assert_int_equal(asked.requested, LEASED);
    assert_false(says("http://")); // not before it is confirmed
    answer(ACK, LEASED);
    assert_true(says("http://192.168.1.20/"));
}

static void test_the_link_comes_back_elsewhere(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    lan_link(false);
    lan_run(100);
    lan_link(true);
    lan_run(20);
    answer(NAK, 0);
    lan_turn();
    assert_int_equal(asked.type, DISCOVER);
    lease(OTHER);
    assert_true(says("http://192.168.1.21/"));
}

static void test_the_link_comes_back_to_nobody(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    lan_link(false);
    lan_run(100);
    lan_link(true);
    lan_run(40000);
    assert_true(LINK_LOCAL(net_own_address()));
    assert_int_equal(net_own_origin(), NET_ORIGIN_AUTOIP);
}

static void test_autoip_and_the_link(void **state)
{
    (void)state;
    begin_with("");
    lan_run(30000);
    uint32_t before = net_own_address();
    lan_link(false);
    lan_run(1000);
    assert_int_equal(net_own_address(), 0);
    forget();
    lan_link(true);
    lan_run(30000);
    assert_int_equal(net_own_address(), before); // RFC 3927 section 2.1: the same again
    assert_true(says("(AutoIP)"));
}

static void test_no_link_from_the_start(void **state)
{
    (void)state;
    lan_link(false);
    begin_with("");
    assert_true(says("the link is down"));
    lan_run(60000);
    assert_int_equal(net_own_address(), 0);
    lan_link(true);
    lan_run(20);
    assert_int_equal(asked.type, DISCOVER);
    lease(LEASED);
}

/// Connections ///

static int opened, closed;
static enum net_error reason;

static void on_opened(struct net_conn *c)
{
    (void)c;
    opened++;
}

static size_t on_data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    return length;
}

static void on_closed(struct net_conn *c, enum net_error why)
{
    (void)c;
    closed++;
    reason = why;
}

static const struct net_handlers handlers = {.opened = on_opened, .data = on_data, .closed = on_closed};

// The server's end of a connection: takes a SYN, and nothing after it.
static bool hears_tcp(const struct lan_packet *p)
{
    if (p->protocol != 6 || !(p->bytes[13] & 2))
        return p->protocol == 6;
    uint8_t reply[20] = {0};
    memcpy(reply, p->bytes + 2, 2);
    memcpy(reply + 2, p->bytes, 2);
    uint32_t expected = lwip_htonl(number_at(p->bytes + 4) + 1);
    memcpy(reply + 8, &expected, 4);
    reply[12] = 0x50;
    reply[13] = 0x12; // SYN, ACK
    reply[14] = 0xff;
    lan_ip(6, p->to, p->from, reply, sizeof reply);
    return true;
}

static struct net_conn *connection(void)
{
    opened = closed = 0;
    struct net_conn *c = net_dial(span_of("192.168.1.1"), 7, 3000, &handlers, NULL);
    assert_non_null(c);
    lan_run(50);
    assert_int_equal(opened, 1);
    return c;
}

// What was on its way to the peer counts as vanished, and every slot comes back.
static void test_connections_end_with_their_address(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    struct net_conn *c = connection();
    connection();
    assert_int_equal(net_send(c, "unheard", 7), NET_OK);
    net_close(connection()); // it lingers: the server never closes
    lan_run(50);
    assert_int_equal(net_open(), 3);
    opened = closed = 0;
    dhcp_renew(&net_interface);
    lan_run(20);
    answer(NAK, 0);
    lan_run(1000);
    assert_int_equal(closed, 3);
    assert_int_equal(reason, NET_TIMEOUT);
    assert_int_equal(net_open(), 0);
    assert_null(tcp_active_pcbs);
}

// RFC 3927 section 1.9: the address of our own choice is still answered for while somebody uses it.
static void test_connections_outlive_autoip(void **state)
{
    (void)state;
    begin_with("");
    lan_run(30000);
    assert_int_equal(net_own_origin(), NET_ORIGIN_AUTOIP);
    struct net_conn *c = connection();
    lease(LEASED);
    assert_int_equal(net_send(c, "hello", 5), NET_OK);
    lan_run(1000);
    assert_int_equal(closed, 0);
    net_abort(c);
    lan_run(20);
    assert_int_equal(closed, 1);
}

static void test_connections_live_through_a_renewal_and_a_short_outage(void **state)
{
    (void)state;
    begin_with("");
    lease(LEASED);
    struct net_conn *c = connection();
    dhcp_renew(&net_interface);
    lan_run(20);
    answer(ACK, LEASED);
    lan_link(false);
    lan_run(1000);
    lan_link(true);
    lan_run(20);
    answer(ACK, LEASED);
    lan_run(100);
    assert_int_equal(closed, 0);
    net_abort(c);
    lan_run(20);
    assert_int_equal(closed, 1);
}

/// Static ///

static void test_static(void **state)
{
    (void)state;
    strcpy(net_settings.gateway, "192.168.1.1");
    strcpy(net_settings.dns, "192.168.1.4");
    begin_with("192.168.1.30/25");
    assert_int_equal(net_own_origin(), NET_ORIGIN_STATIC);
    assert_int_equal(net_own_address(), ADDRESS(192, 168, 1, 30));
    assert_int_equal(lwip_ntohl(ip4_addr_get_u32(netif_ip4_netmask(&net_interface))), 0xffffff80);
    assert_int_equal(lwip_ntohl(ip4_addr_get_u32(netif_ip4_gw(&net_interface))), SERVER);
    assert_int_equal(lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(dns_getserver(0)))), ADDRESS(192, 168, 1, 4));
    assert_true(says("http://192.168.1.30/ and http://pipit.local/ (static)"));
    lan_link(false);
    lan_run(20000);
    forget();
    lan_link(true);
    lan_run(20000);
    assert_true(says("http://192.168.1.30/"));
    assert_int_equal(asked.type, 0); // nobody was asked
}

static void test_settings_that_are_no_addresses(void **state)
{
    (void)state;
    strcpy(net_settings.address, "192.168.1");
    assert_false(net_setup_read());
    strcpy(net_settings.address, "");
    strcpy(net_settings.gateway, "x");
    assert_false(net_setup_read());
    net_settings.gateway[0] = '\0';
    strcpy(net_settings.dns, "1.2.3.4.5");
    assert_false(net_setup_read());
    assert_true(says("net.dns 1.2.3.4.5 is not an IPv4 address."));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_lease),
        TEST(test_the_longest_name),
        TEST(test_dhcp_may_be_asked_for_by_name),
        TEST(test_gateway_and_dns_win_over_the_servers),
        TEST(test_nak_begins_anew),
        TEST(test_silence_is_asked_again),
        TEST(test_renewal_at_t1),
        TEST(test_another_server_at_t2),
        TEST(test_a_lease_that_ends),
        TEST(test_a_lease_that_is_withdrawn),
        TEST(test_truncated_offers),
        TEST(test_mangled_offers),
        TEST(test_offers_to_others),
        TEST(test_nobody_answers),
        TEST(test_a_choice_that_somebody_has),
        TEST(test_a_lease_while_autoip_probes),
        TEST(test_the_link_comes_back),
        TEST(test_the_link_comes_back_elsewhere),
        TEST(test_the_link_comes_back_to_nobody),
        TEST(test_autoip_and_the_link),
        TEST(test_no_link_from_the_start),
        TEST(test_connections_end_with_their_address),
        TEST(test_connections_outlive_autoip),
        TEST(test_connections_live_through_a_renewal_and_a_short_outage),
        TEST(test_static),
        TEST(test_settings_that_are_no_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
