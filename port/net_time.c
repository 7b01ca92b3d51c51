// SNTP, RFC 4330: asks what time it is and tells the machine.
//
// Not lwIP's: that one takes the word of a server which says itself that its clock is not set (a router that has just
// been switched on, like us), and asks from within callbacks. This one is a state that net_poll() looks at.
#include "log.h"
#include "net.h"
#include "net_private.h"
#include "port.h"

#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/udp.h"
#include <string.h>

// OFF -> WAITING -> RESOLVING -> ASKED -> WAITING
enum state {
    STATE_OFF, // there is no server to ask
    STATE_WAITING,
    STATE_RESOLVING, // the server's name
    STATE_ASKED,
};

#define PORT           123
#define RESOLVE_MS     20000
#define ANSWER_MS      5000
#define FIRST_MS       2000   // at most; chance, so that a hundred devices after a power cut do not ask together
#define PAUSE_LEAST_MS 15000  // RFC 4330 section 10: nobody is asked more often
#define PAUSE_MOST_MS  960000 // after failures, which double it
#define PAUSE_GOOD_MS  3600000
#define NTP_TO_UNIX    2208988800u         // seconds from 1900 to 1970
#define EARLIEST_MS    1704067200000u      // 2024: a server that says less has no clock
#define ERA_SECONDS    ((uint64_t)1 << 32) // 136 years
#define TELL_JUMP_MS   1000

// Section 4; every field in network order.
struct message {
    uint8_t leap_version_mode;
    uint8_t stratum;
    uint8_t poll, precision;
    uint32_t root_delay, root_dispersion, reference;
    uint32_t updated[2];
    uint32_t originate[2];
    uint32_t receive[2];
    uint32_t transmit[2];
};

_Static_assert(sizeof(struct message) == 48, "an SNTP message has 48 bytes");

#define VERSION_4     (4u << 3)
#define MODE_CLIENT   3u
#define MODE_SERVER   4u
#define LEAP_NO_CLOCK 3u
#define STRATUM_MOST  15

static struct {
    enum state state;
    uint64_t until;    // ms; the state ends then
    uint64_t asked;    // ms
    uint32_t question; // tells a late answer of DNS
    uint32_t nonce[2]; // in the request's transmit timestamp: nobody off the path can know it
    uint32_t turn;     // counts on to the next server
    uint32_t pause;    // ms, after the next failure
    bool told;         // the time has been on the console
    struct udp_pcb *pcb;
    ip_addr_t server;
} sntp;

// What lwIP's callbacks have recorded.
static struct {
    uint32_t resolved; // the number of the question; `address` is zero when there is no such name
    ip_addr_t address;
    bool arrived;
    uint64_t arrived_ms;
    struct message message;
} seen;

static uint8_t dhcp_count;
static ip4_addr_t dhcp_servers[LWIP_DHCP_MAX_NTP_SERVERS];

/// lwIP's callbacks ///

// For every ACK, with or without servers.
void dhcp_set_ntp_servers(u8_t count, const ip4_addr_t *servers)
{
    dhcp_count = count;
    if (count > 0)
        memcpy(dhcp_servers, servers, count * sizeof servers[0]);
}

static void on_resolved(const char *name, const ip_addr_t *address, void *arg)
{
    (void)name;
    seen.resolved = (uint32_t)(uintptr_t)arg;
    ip_addr_set(&seen.address, address); // NULL: zero
}

static void on_message(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
    (void)arg;
    (void)pcb;
    struct message m;
    bool whole = pbuf_copy_partial(p, &m, sizeof m, 0) == sizeof m;
    pbuf_free(p);
    if (!whole || sntp.state != STATE_ASKED || seen.arrived || port != PORT || !ip_addr_eq(from, &sntp.server) ||
        memcmp(m.originate, sntp.nonce, sizeof sntp.nonce) != 0)
        return;
    seen.message = m;
    seen.arrived_ms = port_now_ms();
    seen.arrived = true;
}

/// Timing ///

static void wait_for(uint64_t ms)
{
    sntp.state = STATE_WAITING;
    sntp.until = port_now_ms() + ms;
}

static void failed(const char *why)
{
    char address[16];
    log_line(LOG_DEBUG, "net", "no time from %s: %s",
             net_address_text(lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(&sntp.server))), address), why);
    sntp.turn++;
    wait_for(sntp.pause);
    sntp.pause = sntp.pause < PAUSE_MOST_MS / 2 ? sntp.pause * 2 : PAUSE_MOST_MS;
}

static uint32_t server_count(void)
{
    return dhcp_count + (net_settings.sntp[0] != '\0' ? 1u : 0u);
}

void net_time_soon(void)
{
    if (sntp.pcb == NULL)
        return;
    uint64_t now = port_now_ms();
    uint64_t least = sntp.asked == 0 ? now : sntp.asked + PAUSE_LEAST_MS;
    sntp.pause = PAUSE_LEAST_MS;
    sntp.turn = 0;
    wait_for(net_random() % FIRST_MS + (least > now ? least - now : 0));
}

/// Asking ///

static void ask(void)
{
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, sizeof(struct message), PBUF_RAM);
    struct message m = {.leap_version_mode = VERSION_4 | MODE_CLIENT};
    seen.arrived = false;
    sntp.state = STATE_ASKED;
    sntp.asked = port_now_ms();
    sntp.until = sntp.asked + ANSWER_MS;
    for (size_t i = 0; i < 2; i++)
        m.transmit[i] = sntp.nonce[i] = net_random();
    if (p == NULL)
        return;
    (void)pbuf_take(p, &m, sizeof m);
    (void)udp_sendto(sntp.pcb, p, &sntp.server, PORT);
    pbuf_free(p);
}

static void resolve(void)
{
    sntp.state = STATE_RESOLVING;
    sntp.until = port_now_ms() + RESOLVE_MS;
    sntp.question++;
    err_t err = dns_gethostbyname(net_settings.sntp, &sntp.server, on_resolved, (void *)(uintptr_t)sntp.question);
    if (err == ERR_OK)
        ask();
    else if (err != ERR_INPROGRESS)
        failed("the name can't be asked for");
}

static void next_server(void)
{
    uint32_t i = sntp.turn % server_count();
    ip_addr_set_zero(&sntp.server);
    if (i >= dhcp_count) {
        resolve();
        return;
    }
    ip_addr_copy_from_ip4(sntp.server, dhcp_servers[i]);
    ask();
}

/// The answer ///

// Section 3: with the highest bit set the seconds count from 1900, else from 2036. So this is right until 2104.
static uint64_t unix_ms(const uint32_t timestamp[2])
{
    uint64_t seconds = lwip_ntohl(timestamp[0]);
    if (seconds < ERA_SECONDS / 2)
        seconds += ERA_SECONDS;
    return (seconds - NTP_TO_UNIX) * 1000 + ((uint64_t)lwip_ntohl(timestamp[1]) * 1000 >> 32);
}

// Section 5, beside what on_message() has compared. NULL when it can be believed.
static const char *doubt(const struct message *m)
{
    if (m->stratum == 0)
        return "it asks to be left alone"; // a kiss of death
    if ((m->leap_version_mode & 7u) != MODE_SERVER || m->stratum > STRATUM_MOST)
        return "that is no answer";
    if (m->leap_version_mode >> 6 == LEAP_NO_CLOCK || (m->transmit[0] | m->transmit[1]) == 0)
        return "its own clock is not set";
    return unix_ms(m->transmit) < EARLIEST_MS ? "it lives before 2024" : NULL;
}

static void tell_time(uint64_t ms)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char address[16];
    unsigned second = (unsigned)(ms / 1000 % 86400), day = (unsigned)(ms / 86400000), year = 1970, month = 0;
    for (; day >= (year % 4 == 0 && year != 2100 ? 366u : 365u); year++)
        day -= year % 4 == 0 && year != 2100 ? 366u : 365u;
    unsigned leap = year % 4 == 0 && year != 2100 ? 1 : 0;
    for (; day >= days[month] + (month == 1 ? leap : 0); month++)
        day -= days[month] + (month == 1 ? leap : 0);
    log_line(LOG_INFO, "net", "it is %04u-%02u-%02u %02u:%02u:%02u UTC, says %s", year, month + 1, day + 1,
             second / 3600, second / 60 % 60, second % 60,
             net_address_text(lwip_ntohl(ip4_addr_get_u32(ip_2_ip4(&sntp.server))), address));
}

// The server's time was `sent` when its answer left, and that took from nothing to the whole round trip. A clock within
// those bounds is as good as the answer and stays; one ahead of them goes back to the later bound and no further.
static void adjust(uint64_t sent)
{
    uint64_t round_trip = seen.arrived_ms - sntp.asked;
    uint64_t earliest = sent + (port_now_ms() - seen.arrived_ms);
    uint64_t latest = earliest + round_trip;
    uint64_t ours = port_wall_ms();
    uint64_t off = ours > latest ? ours - latest : ours < earliest ? earliest - ours : 0;
    if (!sntp.told || off >= TELL_JUMP_MS)
        tell_time(earliest + round_trip / 2);
    sntp.told = true;
    if (off > 0)
        port_wall_set(ours > latest ? latest : earliest + round_trip / 2);
}

static void take_answer(void)
{
    const char *why = doubt(&seen.message);
    seen.arrived = false;
    if (why != NULL) {
        if (seen.message.stratum == 0)
            sntp.pause = PAUSE_MOST_MS;
        failed(why);
        return;
    }
    adjust(unix_ms(seen.message.transmit));
    sntp.pause = PAUSE_LEAST_MS;
    wait_for(PAUSE_GOOD_MS + net_random() % PAUSE_LEAST_MS);
}

/// The turn ///

void net_time_start(void)
{
    if (net_settings.sntp[0] == '\0')
        return;
    sntp.pcb = udp_new();
    if (sntp.pcb == NULL) {
        log_line(LOG_ERROR, "net", "SNTP can't start: there is no PCB");
        return;
    }
    udp_recv(sntp.pcb, on_message, NULL);
    net_time_soon();
}

static void step_resolving(uint64_t now)
{
    if (seen.resolved != sntp.question) {
        if (now >= sntp.until)
            failed("DNS is silent");
        return;
    }
    seen.resolved = 0;
    sntp.server = seen.address;
    if (ip_addr_isany_val(sntp.server))
        failed("there is no such name");
    else
        ask();
}

static void step_asked(uint64_t now)
{
    if (seen.arrived)
        take_answer();
    else if (now >= sntp.until)
        failed("it is silent");
}

void net_time_poll(void)
{
    uint64_t now = port_now_ms();
    switch (sntp.state) {
    case STATE_OFF:
        return;
    case STATE_WAITING:
        if (now >= sntp.until && server_count() > 0 && net_link_up() != 0 && net_own_address() != 0)
            next_server();
        return;
    case STATE_RESOLVING:
        step_resolving(now);
        return;
    case STATE_ASKED:
        step_asked(now);
        return;
    }
}
