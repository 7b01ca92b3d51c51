// mDNS (RFC 6762) as a neighbour sees it: the name is probed, told and answered for, and given up to who has it
// already.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/net.h"
#include "../../port/net_private.h"
#include "lan_support.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include <string.h>

#define GROUP     0xe00000fbu
#define NEIGHBOUR 0xc0a80102u
#define DEVICE    0xc0a8011eu
#define MOVED     0xc0a8011fu

#define HEADER 12
#define T_A    1
#define T_PTR  12
#define T_SRV  33
#define T_ANY  255

/// What the device says ///

static struct {
    uint32_t questions; // packets
    uint32_t answers;
    uint8_t bytes[1500]; // the last answer
    size_t length;
    uint32_t to;
} heard;

static bool neighbour_is_there(uint32_t address)
{
    return address == NEIGHBOUR;
}

static void on_packet(const struct lan_packet *p)
{
    if (p->from_port != 5353)
        return;
    assert_true(p->length > HEADER && p->length <= MDNS_OUTPUT_PACKET_SIZE);
    if (!(p->bytes[2] & 0x80)) {
        heard.questions++;
        return;
    }
    heard.answers++;
    heard.to = p->to;
    heard.length = p->length;
    memcpy(heard.bytes, p->bytes, p->length);
}

static bool answer_holds(const void *bytes, size_t length)
{
    for (size_t at = 0; at + length <= heard.length; at++)
        if (memcmp(heard.bytes + at, bytes, length) == 0)
            return true;
    return false;
}

static bool answer_holds_address(uint32_t address)
{
    const uint8_t record[6] = {
        0, 4, (uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8), (uint8_t)address};
    return answer_holds(record, sizeof record);
}

static bool says(const char *sentence)
{
    return strstr(machine_console, sentence) != NULL;
}

/// What the neighbour says ///

static uint8_t packet[1400];
static size_t packet_length;

static void put(const void *bytes, size_t length)
{
    memcpy(packet + packet_length, bytes, length);
    packet_length += length;
}

// "pipit.local" as labels.
static void put_name(const char *name)
{
    struct span rest = span_of(name);
    while (rest.length > 0) {
        struct span label = span_cut(&rest, '.');
        uint8_t length = (uint8_t)label.length;
        put(&length, 1);
        put(label.at, label.length);
    }
    put("", 1);
}

static void begin(uint8_t flags, uint8_t questions, uint8_t answers)
{
    const uint8_t header[HEADER] = {0, 0, flags, 0, 0, questions, 0, answers};
    packet_length = 0;
    put(header, sizeof header);
}

static void send_packet(void)
{
    lan_udp(NEIGHBOUR, 5353, GROUP, 5353, packet, packet_length);
}

static void ask(uint8_t flags, const char *name, uint8_t type, bool unicast)
{
    const uint8_t kind[4] = {0, type, unicast ? 0x80 : 0, 1};
    begin(flags, 1, 0);
    put_name(name);
    put(kind, sizeof kind);
    send_packet();
}

static void question(uint8_t flags, const char *name, uint8_t type)
{
    ask(flags, name, type, false);
}

// "It is I": the answer with an address of the neighbour's.
static void claim(const char *name)
{
    static const uint8_t record[] = {0, T_A, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 168, 1, 2};
    begin(0x84, 0, 1);
    put_name(name);
    put(record, sizeof record);
    send_packet();
}

/// The frame of a test ///

static uint32_t free_buffers(void)
{
    static struct pbuf *all[PBUF_POOL_SIZE + 1];
    uint32_t n = 0;
    while (n < PBUF_POOL_SIZE && (all[n] = pbuf_alloc(PBUF_RAW, 1, PBUF_POOL)) != NULL)
        n++;
    for (uint32_t i = 0; i < n; i++)
        pbuf_free(all[i]);
    return n;
}

static int setup(void **state)
{
    static bool started;
    (void)state;
    lan_heard = on_packet;
    lan_has = neighbour_is_there;
    if (!started) {
        strcpy(net_settings.address, "192.168.1.30/24");
        strcpy(net_settings.name, "pipit");
        net_settings.mdns = 1;
        assert_int_equal(net_start(), 0);
        net_advertise_http(8080);
        started = true;
    }
    lan_run(40000); // until all has been said, and may be said again
    memset(&heard, 0, sizeof heard);
    machine_console_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lan_run(2000);
    assert_int_equal(free_buffers(), PBUF_POOL_SIZE);
    return 0;
}

/// Asking ///

static void test_the_address_of_the_name(void **state)
{
    (void)state;
    question(0, "pipit.local", T_A);
    lan_run(500);
    assert_int_equal(heard.answers, 1);
    assert_int_equal(heard.to, GROUP);
    assert_true(answer_holds_address(DEVICE));
    lan_run(1500); // section 6: a record goes to the group once a second
    question(0, "PIPIT.LOCAL", T_ANY);
    lan_run(1500);
    assert_int_equal(heard.answers, 2);
    question(0, "sparrow.local", T_A);
    lan_run(1500);
    assert_int_equal(heard.answers, 2);
}

static void test_the_web_server(void **state)
{
    (void)state;
    question(0, "_http._tcp.local", T_PTR);
    lan_run(500);
    assert_int_equal(heard.answers, 1);
    assert_true(answer_holds("\5pipit", 6));
    assert_true(answer_holds("\6path=/", 7));
    assert_true(answer_holds("\0\0\0\0\x1f\x90", 6)); // priority, weight, port 8080
    assert_true(answer_holds_address(DEVICE));
}

static void test_asked_by_a_simple_resolver(void **state)
{
    (void)state;
    const uint8_t kind[4] = {0, T_A, 0, 1};
    begin(0, 1, 0);
    put_name("pipit.local");
    put(kind, sizeof kind);
    lan_udp(NEIGHBOUR, 4000, GROUP, 5353, packet, packet_length); // RFC 6762 section 6.7
    lan_run(1000);
    assert_int_equal(heard.to, NEIGHBOUR);
    assert_true(answer_holds_address(DEVICE));
}

/// Telling ///

static void test_told_again_after_the_link_was_gone(void **state)
{
    (void)state;
    lan_link(false);
    lan_run(1000);
    lan_link(true);
    lan_run(3000);
    assert_int_equal(heard.questions, 3); // probes
    assert_true(heard.answers >= 2);
    assert_true(answer_holds_address(DEVICE));
}

static void test_told_again_with_another_address(void **state)
{
    (void)state;
    ip4_addr_t moved = {lwip_htonl(MOVED)}, back = {lwip_htonl(DEVICE)};
    netif_set_ipaddr(&net_interface, &moved);
    lan_run(4000);
    assert_true(heard.answers >= 2);
    assert_true(answer_holds_address(MOVED));
    netif_set_ipaddr(&net_interface, &back);
    lan_run(4000);
    assert_true(answer_holds_address(DEVICE));
}

/// Neighbours ///

static void probe_again(void)
{
    net_names_restart();
    lan_run(500);
}

static void test_a_name_that_somebody_has(void **state)
{
    (void)state;
    probe_again();
    claim("pipit.local");
    lan_run(20);
    assert_true(says("net: somebody else is pipit.local; this is http://pipit-2.local/\n"));
    assert_string_equal(net_own_name(), "pipit-2");
    lan_run(500);
    claim("pipit-2.local");
    lan_run(5000);
    assert_string_equal(net_own_name(), "pipit-3");
    assert_true(answer_holds("\7pipit-3\5local", 14));
    question(0, "pipit-3.local", T_A);
    lan_run(1500);
    assert_true(answer_holds_address(DEVICE));
    assert_true(net_is_own_name(span_of("pipit-3.local")));
    assert_true(net_is_own_name(span_of("pipit")));
    assert_false(net_is_own_name(span_of("pipit-2")));
    uint32_t answers = heard.answers;
    question(0, "pipit.local", T_A);
    lan_run(1500);
    assert_int_equal(heard.answers, answers);
}

static void test_a_service_name_that_somebody_has(void **state)
{
    (void)state;
    char name[64];
    struct text t = text_in(name, sizeof name);
    text_format(&t, "%s._http._tcp.local", net_own_name());
    probe_again();
    claim(text_end(&t));
    lan_run(3000);
    assert_true(says("somebody else is "));
}

// Numbers end, and a neighbour that takes them all finds us again at the first.
static void test_a_neighbour_that_takes_all_names(void **state)
{
    (void)state;
    bool first = false;
    for (int i = 0; i < 300 && !first; i++) {
        char name[64];
        struct text t = text_in(name, sizeof name);
        text_format(&t, "%s.local", net_own_name());
        probe_again();
        claim(text_end(&t));
        lan_run(6000);
        first = strcmp(net_own_name(), "pipit") == 0;
    }
    assert_true(first);
}

// Each such question waits for more with a timer of its own, and lwIP stops when there is none left.
static void test_a_flood_of_truncated_questions(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        ask(2, "pipit.local", T_A, i % 2 == 0);
        ask(0, "_http._tcp.local", T_PTR, i % 2 == 0);
        if (i % 3 == 0) {
            begin(0, 0, 1);
            send_packet();
        }
        if (i % 50 == 0)
            lan_run(10);
        if (i % 500 == 0)
            net_names_restart();
    }
    lan_run(5000);
    question(0, "pipit.local", T_A);
    lan_run(1500);
    assert_true(answer_holds_address(DEVICE));
}

static void test_junk(void **state)
{
    (void)state;
    uint8_t junk[200];
    for (int i = 0; i < 30000; i++) {
        size_t length = (size_t)i % sizeof junk;
        port_entropy(junk, sizeof junk);
        if (i % 2 == 0) {
            begin((uint8_t)(junk[0] & 0x82), (uint8_t)(junk[1] & 3), (uint8_t)(junk[2] & 3));
            memcpy(junk, packet, HEADER);
            if (i % 4 == 0)
                for (size_t at = HEADER; at < sizeof junk; at++)
                    junk[at] &= 0xc7; // short labels, and pointers
        }
        lan_udp(NEIGHBOUR, 5353, GROUP, 5353, junk, length);
        if (i % 16 == 0)
            lan_run(10);
    }
    lan_run(10000);
    question(0, "pipit.local", T_A);
    lan_run(1500);
    assert_true(answer_holds_address(DEVICE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_address_of_the_name),          TEST(test_the_web_server),
        TEST(test_asked_by_a_simple_resolver),       TEST(test_told_again_after_the_link_was_gone),
        TEST(test_told_again_with_another_address),  TEST(test_a_name_that_somebody_has),
        TEST(test_a_service_name_that_somebody_has), TEST(test_a_neighbour_that_takes_all_names),
        TEST(test_a_flood_of_truncated_questions),   TEST(test_junk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
