// What things cost on a board, in instructions: the board's own program, with this in the place of its network and of
// its sleep.
//
// A script plays the peers, one frame a turn, straight into netif->input, so nothing comes from outside and two runs do
// the same to the instruction. Only turns of the loop count; the script does its work where the loop would sleep. The
// Ethernet driver takes no part: virtio's device answers in its own time, and with it no two runs agreed (the LAN9118's
// FIFO added 270 instructions to a GET). The console gets "cost NAME INSTRUCTIONS" for each row of `steps` that has a
// name.
#include "../../boards/common/board.h"
#include "../../port/frame.h"
#include "../../port/net.h"
#include "../../port/text.h"
#include "cost_ticks.h"
#include "cost_tls.h"

#include "lwip/etharp.h"
#include "lwip/inet_chksum.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/etharp.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/iana.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include <string.h>

#define CROWD      12 // chat clients
#define HTTP       CROWD
#define TLS        (CROWD + 1)
#define PEERS      (CROWD + 2)
#define HERE       0x0a00020fu
#define THERE      0x0a000202u
#define FIRST_PORT 20000
#define QUIET      4 // turns without a frame, after which nothing more is expected
#define HEADERS    (SIZEOF_ETH_HDR + IP_HLEN + TCP_HLEN)

void ethernet_interrupt(void); // by the boards' convention
void cost_idle(uint32_t most_ms);

struct peer {
    uint32_t sequence; // of the next byte that it sends
    uint32_t expected; // of the next one that it wants
    uint32_t got;      // bytes since the step began
    bool ack_due;
};

static struct peer peers[PEERS];
static uint16_t tls_port; // of the TLS peer: another one for each connection
static uint8_t frame[ETH_PAD_SIZE + HEADERS + 536];
static size_t frame_length; // 0: none for this turn
static bool arp_due;
static unsigned quiet;
static char reply[600];
static size_t reply_length;
static char code[8];
static struct netif *interface;
static const uint8_t their_address[ETH_HWADDR_LEN] = {2, 0, 0, 0, 0, 1};

/// Counting ///

static uint64_t began, excluded, counted, longest;

static void turn_begins(void)
{
    excluded = 0;
    began = cost_nanoseconds();
}

static void turn_ends(void)
{
    uint64_t cost = (cost_nanoseconds() - began - excluded) >> COST_SHIFT;
    counted += cost;
    if (cost > longest)
        longest = cost;
}

static void say(const char *name, uint64_t instructions)
{
    char line[64];
    struct text t = text_in(line, sizeof line);
    text_format(&t, "cost %s %llu\n", name, (unsigned long long)instructions);
    port_console_write(line, t.length);
}

/// Frames to the device ///

static uint8_t *ethernet(uint16_t type)
{
    struct eth_hdr *header = (struct eth_hdr *)(void *)frame;
    memset(frame, 0, sizeof frame);
    memcpy(header->dest.addr, interface->hwaddr, ETH_HWADDR_LEN);
    memcpy(header->src.addr, their_address, ETH_HWADDR_LEN);
    header->type = lwip_htons(type);
    return (uint8_t *)(header + 1);
}

static void send_arp_reply(void)
{
    struct etharp_hdr *arp = (struct etharp_hdr *)(void *)ethernet(ETHTYPE_ARP);
    uint32_t there = lwip_htonl(THERE), here = lwip_htonl(HERE);
    arp->hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET);
    arp->proto = PP_HTONS(ETHTYPE_IP);
    arp->hwlen = ETH_HWADDR_LEN;
    arp->protolen = sizeof(ip4_addr_t);
    arp->opcode = PP_HTONS(ARP_REPLY);
    memcpy(arp->shwaddr.addr, their_address, ETH_HWADDR_LEN);
    memcpy(&arp->sipaddr, &there, sizeof there);
    memcpy(arp->dhwaddr.addr, interface->hwaddr, ETH_HWADDR_LEN);
    memcpy(&arp->dipaddr, &here, sizeof here);
    frame_length = ETH_PAD_SIZE + SIZEOF_ETH_HDR + SIZEOF_ETHARP_HDR;
}

// TCP's checksum is over a pbuf: one that lies in the frame.
static void sum_up(struct ip_hdr *ip, struct tcp_hdr *tcp, size_t length)
{
    struct pbuf segment = {
        .payload = tcp, .len = (u16_t)(TCP_HLEN + length), .tot_len = (u16_t)(TCP_HLEN + length), .ref = 1};
    ip_addr_t from = IPADDR4_INIT(lwip_htonl(THERE)), to = IPADDR4_INIT(lwip_htonl(HERE));
    IPH_CHKSUM_SET(ip, inet_chksum(ip, IP_HLEN));
    tcp->chksum = inet_chksum_pseudo(&segment, IP_PROTO_TCP, segment.tot_len, &from, &to);
}

static void send_segment(struct peer *p, uint16_t flags, const void *bytes, size_t length)
{
    struct ip_hdr *ip = (struct ip_hdr *)(void *)ethernet(ETHTYPE_IP);
    struct tcp_hdr *tcp = (struct tcp_hdr *)(void *)((uint8_t *)ip + IP_HLEN);
    IPH_VHL_SET(ip, 4, IP_HLEN / 4);
    IPH_LEN_SET(ip, lwip_htons((u16_t)(IP_HLEN + TCP_HLEN + length)));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = lwip_htonl(THERE);
    ip->dest.addr = lwip_htonl(HERE);
    tcp->src = lwip_htons(p == &peers[TLS] ? tls_port : (u16_t)(FIRST_PORT + (p - peers)));
    tcp->dest = p == &peers[TLS] ? PP_HTONS(443) : PP_HTONS(80);
    tcp->seqno = lwip_htonl(p->sequence);
    tcp->ackno = lwip_htonl(p->expected);
    TCPH_HDRLEN_FLAGS_SET(tcp, TCP_HLEN / 4, flags);
    tcp->wnd = PP_HTONS(8192);
    memcpy((uint8_t *)tcp + TCP_HLEN, bytes, length);
    sum_up(ip, tcp, length);
    p->sequence += (uint32_t)length + ((flags & TCP_SYN) != 0);
    p->ack_due = false;
    frame_length = ETH_PAD_SIZE + HEADERS + length;
}

static void send_text(struct peer *p, const char *text)
{
    send_segment(p, TCP_ACK | TCP_PSH, text, strlen(text));
}

/// Frames from the device ///

// What the HTTP peer is told is kept, as a string.
static void keep_reply(const struct pbuf *p, size_t at, size_t length)
{
    if (reply_length + length >= sizeof reply)
        return;
    pbuf_copy_partial(p, reply + reply_length, (u16_t)length, (u16_t)at);
    reply_length += length;
    reply[reply_length] = '\0';
}

static void take_record(const struct pbuf *p, size_t at, size_t length)
{
    uint8_t *bytes = cost_tls_take(length);
    if (bytes != NULL)
        pbuf_copy_partial(p, bytes, (u16_t)length, (u16_t)at);
}

static void take_segment(const struct pbuf *whole, const uint8_t *packet)
{
    const struct ip_hdr *ip = (const struct ip_hdr *)(const void *)packet;
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)(const void *)(packet + IPH_HL_BYTES(ip));
    unsigned number = lwip_ntohs(tcp->dest) == tls_port ? TLS : lwip_ntohs(tcp->dest) - FIRST_PORT;
    if (IPH_PROTO(ip) != IP_PROTO_TCP || number >= PEERS)
        return;
    struct peer *p = &peers[number];
    if (TCPH_FLAGS(tcp) & TCP_SYN) {
        p->expected = lwip_ntohl(tcp->seqno) + 1;
        p->ack_due = true;
        return;
    }
    size_t headers = (size_t)IPH_HL_BYTES(ip) + TCPH_HDRLEN_BYTES(tcp);
    size_t length = lwip_ntohs(IPH_LEN(ip)) - headers;
    if (lwip_ntohl(tcp->seqno) != p->expected || length == 0)
        return;
    p->expected += (uint32_t)length;
    p->got += (uint32_t)length;
    p->ack_due = true;
    if (number == HTTP)
        keep_reply(whole, ETH_PAD_SIZE + SIZEOF_ETH_HDR + headers, length);
    if (number == TLS)
        take_record(whole, SIZEOF_ETH_HDR + headers, length);
}

static err_t on_output(struct netif *netif, struct pbuf *p)
{
    _Alignas(4) uint8_t headers[ETH_PAD_SIZE + HEADERS + 20];
    (void)netif;
    uint64_t paused = cost_nanoseconds();
    pbuf_copy_partial(p, headers, sizeof headers, 0);
    const struct eth_hdr *header = (const struct eth_hdr *)(const void *)headers;
    quiet = 0;
    if (header->type == PP_HTONS(ETHTYPE_ARP))
        arp_due = true;
    else
        take_segment(p, (const uint8_t *)(header + 1));
    excluded += cost_nanoseconds() - paused;
    return ERR_OK;
}

/// The script ///

static void open_peer(struct peer *p)
{
    p->sequence = 1000;
    p->expected = 0;
    send_segment(p, TCP_SYN, NULL, 0);
}

static bool is_quiet(void)
{
    return quiet >= QUIET;
}

static void open_http(void)
{
    open_peer(&peers[HTTP]);
}

static void get_healthz(void)
{
    send_text(&peers[HTTP], "GET /healthz HTTP/1.1\r\nHost: 10.0.2.15\r\n\r\n");
}

static void post(const char *route, const char *body)
{
    char request[400];
    struct text t = text_in(request, sizeof request);
    text_format(
        &t, "POST %s HTTP/1.1\r\nHost: 10.0.2.15\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        route, strlen(body), body);
    send_text(&peers[HTTP], text_end(&t));
}

static void ask_code(void)
{
    post("/get_varifycode", "{\"email\":\"a@example.com\"}");
}

static void read_code(void)
{
    const char *at = strstr(reply, "\"code\":\"");
    if (at != NULL)
        memcpy(code, at + 8, 6);
}

static void register_account(void)
{
    char body[120];
    struct text t = text_in(body, sizeof body);
    read_code();
    text_format(&t, "{\"user\":\"alice\",\"email\":\"a@example.com\",\"password\":\"secret123\",\"code\":\"%s\"}",
                code);
    post("/register", text_end(&t));
}

static void log_in(void)
{
    post("/login", "{\"user\":\"alice\",\"password\":\"secret123\"}");
}

static void do_nothing(void)
{
}

static bool is_over_at_once(void)
{
    return true;
}

// A whole reply, with error 0 where it is the API's.
static bool is_answered(void)
{
    const char *body = strstr(reply, "\r\n\r\n");
    if (body == NULL)
        return false;
    return strcmp(body + 4, "ok") == 0 || strcmp(body + 4, "ok\n") == 0 || strstr(body, "\"error\":0") != NULL;
}

/// TLS ///

static uint64_t longest_plain; // turn, before a handshake

static void open_tls(void)
{
    tls_port = (uint16_t)(tls_port < 30000 ? 30000 : tls_port + 1);
    open_peer(&peers[TLS]);
}

static void shake(int minor, bool again)
{
    cost_tls_begin(minor, again);
    longest_plain = longest;
    longest = 0;
}

static void shake_full_12(void)
{
    shake(2, false);
}

static void shake_full_13(void)
{
    shake(3, false);
}

static void shake_again_12(void)
{
    shake(2, true);
}

static void shake_again_13(void)
{
    shake(3, true);
}

// And the server has come to rest behind it.
static bool is_shaken(void)
{
    return cost_tls_shake() && is_quiet();
}

static bool is_shaken_again(void)
{
    return is_shaken() && cost_tls_was_resumed();
}

static void get_secure(void)
{
    cost_tls_write("GET /healthz HTTP/1.1\r\nHost: 10.0.2.15\r\n\r\n");
}

static bool is_answered_securely(void)
{
    cost_tls_read(reply, sizeof reply);
    reply_length = strlen(reply);
    return is_answered();
}

/// Chat ///

static unsigned joined;

static void open_chatter(void)
{
    open_peer(&peers[joined]);
}

static void upgrade(void)
{
    send_text(&peers[joined++], "GET /ws HTTP/1.1\r\nHost: 10.0.2.15\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
}

// A masked text frame (RFC 6455 section 5.2) whose key is 0.
static void say_hello(void)
{
    static const char text[] = "how do you do, everybody in here";
    uint8_t bytes[6 + sizeof text - 1] = {0x81, 0x80 | (sizeof text - 1)};
    memcpy(bytes + 6, text, sizeof text - 1);
    send_segment(&peers[0], TCP_ACK | TCP_PSH, bytes, sizeof bytes);
}

static bool is_heard(void)
{
    for (unsigned i = 0; i < joined; i++)
        if (peers[i].got == 0 || peers[i].ack_due)
            return false;
    return quiet >= 1; // the last acknowledgement has had its turn
}

// What is done, when it is over, how many times; and under which name its mean is told.
static const struct step {
    const char *name;
    void (*begin)(void);
    bool (*over)(void);
    unsigned times;
    const char *longest; // under which name its longest turn is told: for TLS, which a board may not have
} steps[] = {
    {NULL, open_http, is_quiet, 1, NULL},
    {NULL, do_nothing, is_quiet, 1, NULL},
    {"quiet_turn", do_nothing, is_over_at_once, 50, NULL},
    {NULL, get_healthz, is_answered, 10, NULL},
    {"get_healthz", get_healthz, is_answered, 100, NULL},
    {NULL, ask_code, is_answered, 1, NULL},
    {NULL, register_account, is_answered, 1, NULL},
    {"login", log_in, is_answered, 2, NULL},
#define SECURE(NAME, SHAKE, SHAKEN)                                                                                    \
    {NULL, open_tls, is_quiet, 1, ""}, {NAME, SHAKE, SHAKEN, 1, NAME "_longest"},                                      \
        {NULL, get_secure, is_answered_securely, 5, ""},                                                               \
    {                                                                                                                  \
        NAME "_get_healthz", get_secure, is_answered_securely, 50, ""                                                  \
    }
    SECURE("tls12", shake_full_12, is_shaken),
    SECURE("tls12_resumed", shake_again_12, is_shaken_again),
    SECURE("tls13", shake_full_13, is_shaken),
    SECURE("tls13_resumed", shake_again_13, is_shaken_again),
    {NULL, open_chatter, is_quiet, 1, NULL},
    {NULL, upgrade, is_quiet, 1, NULL},
    {NULL, say_hello, is_heard, 5, NULL},
    {"message_to_1", say_hello, is_heard, 50, NULL},
#define JOIN                                                                                                           \
    {NULL, open_chatter, is_quiet, 1, NULL},                                                                           \
    {                                                                                                                  \
        NULL, upgrade, is_quiet, 1, NULL                                                                               \
    }
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    JOIN,
    {NULL, say_hello, is_heard, 5, NULL},
    {"message_to_12", say_hello, is_heard, 50, NULL},
};

#define STEPS    (sizeof steps / sizeof steps[0])
#define PATIENCE 2000000 // turns; a login takes some hundred

static size_t step;
static unsigned done, turns;
static bool running;

static void begin_step(void)
{
    for (unsigned i = 0; i < PEERS; i++)
        peers[i].got = 0;
    reply_length = 0;
    turns = 0;
    quiet = 0;
    steps[step].begin();
    if (reply_length == 0)
        reply[0] = '\0';
    running = true;
}

static void end_step(void)
{
    running = false;
    if (++done < steps[step].times)
        return;
    if (steps[step].name != NULL)
        say(steps[step].name, counted / done);
    if (steps[step].longest != NULL && steps[step].longest[0] != '\0') {
        say(steps[step].longest, longest);
        longest = longest_plain;
    }
    counted = 0;
    done = 0;
    do
        step++;
    while (step < STEPS && steps[step].longest != NULL && !cost_tls_exists());
    if (step == STEPS) {
        say("longest_turn", longest);
        say("end", 0);
    }
}

static void give_up(void)
{
    static const char sentence[] = "\ncost failed: a step was never over\n";
    port_console_write(reply, strlen(reply));
    port_console_write(sentence, sizeof sentence - 1);
    step = STEPS;
}

static bool send_what_is_due(void)
{
    if (arp_due) {
        arp_due = false;
        send_arp_reply();
        return true;
    }
    const uint8_t *bytes;
    size_t length = cost_tls_give(&bytes, 536);
    if (length > 0) {
        quiet = 0;
        send_segment(&peers[TLS], TCP_ACK | TCP_PSH, bytes, length);
        return true;
    }
    for (unsigned i = 0; i < PEERS; i++)
        if (peers[i].ack_due) {
            send_segment(&peers[i], TCP_ACK, NULL, 0);
            return true;
        }
    return false;
}

// A reply is acknowledged together with the next request, as a busy client does.
static void play(void)
{
    if (step == STEPS)
        return;
    if (running && steps[step].over())
        end_step();
    if (step == STEPS)
        return;
    if (!running)
        begin_step();
    else if (!send_what_is_due() && ++turns == PATIENCE)
        give_up();
}

/// In the board's place ///

void ethernet_interrupt(void)
{
}

int port_netif_init(struct netif *netif)
{
    static const uint8_t address[ETH_HWADDR_LEN] = {2, 0, 0, 0, 0, 2};
    interface = netif;
    netif->hwaddr_len = sizeof address;
    memcpy(netif->hwaddr, address, sizeof address);
    netif->mtu = 1500;
    netif->output = etharp_output;
    netif->linkoutput = on_output;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    turn_begins();
    return 0;
}

bool port_netif_poll(struct netif *netif)
{
    if (frame_length == 0)
        return false;
    struct pbuf *p = frame_alloc(frame_length);
    if (p != NULL) {
        pbuf_take(p, frame, (u16_t)frame_length);
        if (netif->input(p, netif) != ERR_OK)
            pbuf_free(p);
    }
    frame_length = 0;
    return false;
}

// app/main.c is compiled with this name for port_idle().
void cost_idle(uint32_t most_ms)
{
    (void)most_ms;
    turn_ends();
    if (step == 0 && !running)
        counted = longest = 0; // the start is no turn
    board_feed();
    quiet++;
    play();
    turn_begins();
}
