#include "syslog.h"
#include "net.h"
#include "net_private.h"
#include "port.h"
#include "text.h"

#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/udp.h"
#include <string.h>

#define FACILITY_DAEMON 3
#define MESSAGE_MOST    (LOG_LINE + 120) // with the longest name of ours
#define SENDS_A_TURN    4
#define RESOLVE_MS      20000
#define RETRY_MS        30000
#define ARP_MS          1000   // between two questions
#define AGAIN_MS        600000 // a name may come to mean another address

struct syslog_settings syslog_settings;
struct syslog_counters syslog_counters;

// IDLE -> RESOLVING -> READY, or WAITING when the name means nothing just now
enum state {
    STATE_IDLE, // nothing was ever sent
    STATE_RESOLVING,
    STATE_READY,
    STATE_WAITING,
};

static struct {
    enum state state;
    uint64_t until; // ms; the state ends then
    uint32_t question;
    uint32_t host_sum; // of the name that was asked for: another one is asked for at once
    uint64_t asked;    // ms; the server's hardware address was asked for
    struct udp_pcb *pcb;
    ip_addr_t server;
} syslog;

// What lwIP's callback has recorded.
static struct {
    uint32_t resolved; // the number of the question
    ip_addr_t address; // zero when there is no such name
} seen;

const char *syslog_check(struct span value)
{
    bool good = true;
    for (size_t i = 0; i < value.length; i++)
        good = good && value.at[i] > ' ' && value.at[i] <= '~' && strchr(":/@[]", value.at[i]) == NULL;
    return good ? NULL : "be a name or an IPv4 address, or empty; the port is log.port";
}

/// The queue: messages, each behind its length in two bytes ///

static char queue[SYSLOG_QUEUE];
static size_t queue_length;

_Static_assert(SYSLOG_QUEUE >= 2 * (MESSAGE_MOST + 2), "SYSLOG_QUEUE must hold two messages at least");

static void queue_put(struct span message)
{
    if (message.length + 2 > sizeof queue - queue_length) {
        syslog_counters.dropped++;
        return;
    }
    queue[queue_length++] = (char)(message.length >> 8);
    queue[queue_length++] = (char)message.length;
    memcpy(queue + queue_length, message.at, message.length);
    queue_length += message.length;
}

static struct span queue_first(void)
{
    size_t length = (size_t)(uint8_t)queue[0] << 8 | (uint8_t)queue[1];
    return (struct span){queue + 2, length};
}

static void queue_drop(size_t bytes)
{
    queue_length -= bytes;
    memmove(queue, queue + bytes, queue_length);
}

/// A message (RFC 5424 section 6) ///

static const uint8_t severities[] = {[LOG_ERROR] = 3, [LOG_WARNING] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7};

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in(unsigned month, unsigned year)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

static void timestamp(struct text *t, uint64_t wall_ms)
{
    uint32_t days = (uint32_t)(wall_ms / 86400000), second = (uint32_t)(wall_ms / 1000 % 86400);
    unsigned year = 1970, month = 0;
    for (; days >= 365u + is_leap(year); year++)
        days -= 365u + is_leap(year);
    for (; days >= days_in(month, year); month++)
        days -= days_in(month, year);
    text_format(t, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month + 1, (unsigned)days + 1, second / 3600,
                second / 60 % 60, second % 60, (unsigned)(wall_ms % 1000));
}

void syslog_line(enum log_level level, const char *module, struct span message)
{
    char bytes[MESSAGE_MOST];
    struct text t = text_in(bytes, sizeof bytes);
    uint64_t wall_ms = port_wall_ms();
    const char *name = net_own_name();
    if (syslog_settings.host[0] == '\0')
        return;
    text_format(&t, "<%u>1 ", FACILITY_DAEMON * 8u + severities[level]);
    if (wall_ms != 0)
        timestamp(&t, wall_ms);
    else
        text_byte(&t, '-');
    text_format(&t, " %s pipit - %s - ", name[0] != '\0' ? name : "-", module);
    text_span(&t, message);
    queue_put(text_whole(&t));
}

/// The server's address ///

static void enter(enum state state, uint64_t ms)
{
    syslog.state = state;
    syslog.until = port_now_ms() + ms;
}

static void on_resolved(const char *name, const ip_addr_t *address, void *arg)
{
    (void)name;
    seen.resolved = (uint32_t)(uintptr_t)arg;
    ip_addr_set(&seen.address, address); // NULL: zero
}

static void resolve(void)
{
    enter(STATE_RESOLVING, RESOLVE_MS);
    syslog.asked = 0;
    syslog.question++;
    err_t err =
        dns_gethostbyname(syslog_settings.host, &syslog.server, on_resolved, (void *)(uintptr_t)syslog.question);
    if (err == ERR_OK)
        enter(STATE_READY, AGAIN_MS);
    else if (err != ERR_INPROGRESS)
        enter(STATE_WAITING, RETRY_MS);
}

static void take_answer(void)
{
    if (seen.resolved != syslog.question)
        return;
    syslog.server = seen.address;
    if (ip_addr_isany(&syslog.server))
        enter(STATE_WAITING, RETRY_MS);
    else
        enter(STATE_READY, AGAIN_MS);
}

static uint32_t sum_of(const char *s)
{
    uint32_t sum = 2166136261u; // FNV-1a
    for (; *s != '\0'; s++)
        sum = (sum ^ (uint8_t)*s) * 16777619u;
    return sum;
}

/// Sending ///

static void send_first(void)
{
    struct span message = queue_first();
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)message.length, PBUF_RAM);
    if (syslog.pcb == NULL)
        syslog.pcb = udp_new();
    if (p != NULL)
        (void)pbuf_take(p, message.at, (u16_t)message.length);
    if (p != NULL && syslog.pcb != NULL &&
        udp_sendto(syslog.pcb, p, &syslog.server, (u16_t)syslog_settings.port) == ERR_OK)
        syslog_counters.sent++;
    else
        syslog_counters.dropped++;
    if (p != NULL)
        pbuf_free(p);
    queue_drop(message.length + 2);
}

// lwIP keeps one packet for a neighbour that ARP is still looking for, and throws those before it away. So the
// neighbour is looked for first.
static bool neighbour_is_known(void)
{
    const ip4_addr_t *server = ip_2_ip4(&syslog.server);
    bool local = ip4_addr_net_eq(server, netif_ip4_addr(&net_interface), netif_ip4_netmask(&net_interface));
    const ip4_addr_t *hop = local ? server : netif_ip4_gw(&net_interface), *found;
    struct eth_addr *address;
    if (ip4_addr_isloopback(server) || etharp_find_addr(&net_interface, hop, &address, &found) >= 0)
        return true;
    if (port_now_ms() - syslog.asked >= ARP_MS) {
        syslog.asked = port_now_ms();
        (void)etharp_query(&net_interface, hop, NULL);
    }
    return false;
}

static void next_state(void)
{
    bool over = port_now_ms() >= syslog.until;
    switch (syslog.state) {
    case STATE_IDLE:
        resolve();
        break;
    case STATE_RESOLVING:
        take_answer();
        if (syslog.state == STATE_RESOLVING && over)
            enter(STATE_WAITING, RETRY_MS);
        break;
    case STATE_READY:
    case STATE_WAITING:
        if (over)
            resolve();
        break;
    }
}

static bool can_send(void)
{
    return queue_length > 0 && syslog.state == STATE_READY && neighbour_is_known();
}

void syslog_poll(void)
{
    if (queue_length == 0)
        return;
    if (syslog_settings.host[0] == '\0') {
        queue_length = 0;
        return;
    }
    if (net_own_address() == 0 || net_link_up() == 0)
        return;
    uint32_t sum = sum_of(syslog_settings.host);
    if (sum != syslog.host_sum)
        syslog.state = STATE_IDLE;
    syslog.host_sum = sum;
    next_state();
    for (unsigned i = 0; i < SENDS_A_TURN && can_send(); i++)
        send_first();
}
