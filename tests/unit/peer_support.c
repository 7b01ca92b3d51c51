#include "peer_support.h"
#include "../../app/limits.h"
#include "../../port/net.h"
#include "../../port/net_private.h"
#include "../../port/scratch.h"

#include "lwip/inet_chksum.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/tcp.h"
#include "lwip/timeouts.h"
#include <stdlib.h>
#include <string.h>

#define PEERS 2048

static struct peer *peers[PEERS];
static uint16_t next_port = 20000;
bool peer_link_down;
void (*peer_services)(void);

/// Frames to the device ///

static void transmit(uint32_t from, uint16_t from_port, uint16_t to_port, uint32_t sequence, uint32_t acknowledged,
                     uint16_t flags, uint16_t window, const void *bytes, size_t length)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(IP_HLEN + TCP_HLEN + length), PBUF_RAM);
    if (p == NULL || peer_link_down) {
        if (p != NULL)
            pbuf_free(p);
        return;
    }
    struct ip_hdr *ip = p->payload;
    memset(ip, 0, IP_HLEN + TCP_HLEN);
    struct tcp_hdr *tcp = (struct tcp_hdr *)(void *)((char *)p->payload + IP_HLEN);
    IPH_VHL_SET(ip, 4, IP_HLEN / 4);
    IPH_LEN_SET(ip, lwip_htons(p->tot_len));
    IPH_TTL_SET(ip, 64);
    IPH_PROTO_SET(ip, IP_PROTO_TCP);
    ip->src.addr = lwip_htonl(from);
    ip->dest.addr = lwip_htonl(net_own_address());
    tcp->src = lwip_htons(from_port);
    tcp->dest = lwip_htons(to_port);
    tcp->seqno = lwip_htonl(sequence);
    tcp->ackno = lwip_htonl(acknowledged);
    TCPH_HDRLEN_FLAGS_SET(tcp, TCP_HLEN / 4, flags);
    tcp->wnd = lwip_htons(window);
    if (length > 0)
        memcpy((char *)p->payload + IP_HLEN + TCP_HLEN, bytes, length);
    if (net_interface.input(p, &net_interface) != ERR_OK)
        pbuf_free(p);
}

static void segment(struct peer *p, uint16_t flags, const void *bytes, size_t length)
{
    transmit(p->address, p->port, p->device_port, p->sequence, p->expected, flags, (uint16_t)p->window, bytes, length);
    p->sequence += (uint32_t)length + ((flags & (TCP_SYN | TCP_FIN)) != 0);
}

/// Frames from the device: kept until the turn ends, so that lwIP is never entered again from within ///

#define QUEUE 4096
static struct pbuf *queue[QUEUE];
static size_t queue_head, queue_tail;

static err_t on_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)netif;
    (void)to;
    struct pbuf *copy = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
    if (copy == NULL || peer_link_down || queue_tail - queue_head == QUEUE) {
        if (copy != NULL)
            pbuf_free(copy);
        return peer_link_down ? ERR_OK : ERR_MEM;
    }
    queue[queue_tail++ % QUEUE] = copy;
    return ERR_OK;
}

static struct peer *find(uint32_t address, uint16_t port, uint16_t device_port)
{
    for (size_t i = 0; i < PEERS; i++) {
        struct peer *p = peers[i];
        if (p == NULL || p->port != port || p->address != address)
            continue;
        if (p->device_port == device_port || (p->answers && p->device_port == 0))
            return p;
    }
    return NULL;
}

static void take_payload(struct peer *p, uint32_t sequence, const uint8_t *bytes, size_t length)
{
    uint32_t known = p->expected - sequence; // bytes at the front that came before
    if ((int32_t)known < 0 || known >= length)
        return;
    bytes += known;
    length -= known;
    size_t room = sizeof p->received - p->length;
    size_t n = length < room ? length : room;
    if (n > p->window)
        n = p->window;
    memcpy(p->received + p->length, bytes, n);
    p->length += n;
    p->expected += (uint32_t)n;
    p->segments++;
}

static void synchronize(struct peer *p, const struct tcp_hdr *tcp)
{
    p->expected = lwip_ntohl(tcp->seqno) + 1;
    if (p->answers && !p->synchronized) {
        p->device_port = lwip_ntohs(tcp->src);
        p->synchronized = true;
        segment(p, TCP_SYN | TCP_ACK, NULL, 0);
        return;
    }
    p->synchronized = true;
    segment(p, TCP_ACK, NULL, 0);
}

static void receive(struct peer *p, const struct tcp_hdr *tcp, const uint8_t *bytes, size_t length)
{
    uint16_t flags = TCPH_FLAGS(tcp);
    uint32_t sequence = lwip_ntohl(tcp->seqno);
    if (flags & TCP_RST) {
        p->reset = true;
        return;
    }
    if (flags & TCP_SYN) {
        synchronize(p, tcp);
        return;
    }
    take_payload(p, sequence, bytes, length);
    if ((flags & TCP_FIN) && sequence + (uint32_t)length == p->expected) {
        p->fin = true;
        p->expected++;
    }
    if (!p->silent && (length > 0 || (flags & TCP_FIN)))
        peer_acknowledge(p);
}

static void dispatch(const struct pbuf *packet)
{
    const struct ip_hdr *ip = packet->payload;
    const uint8_t *bytes = packet->payload;
    size_t header = IPH_HL_BYTES(ip);
    if (IPH_PROTO(ip) != IP_PROTO_TCP)
        return;
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)(const void *)(bytes + header);
    struct peer *p = find(lwip_ntohl(ip->dest.addr), lwip_ntohs(tcp->dest), lwip_ntohs(tcp->src));
    if (p == NULL || p->gone)
        return;
    header += TCPH_HDRLEN_BYTES(tcp);
    receive(p, tcp, bytes + header, packet->tot_len - header);
}

void peer_deliver(void)
{
    for (size_t end = queue_tail; queue_head != end;) {
        struct pbuf *p = queue[queue_head++ % QUEUE];
        dispatch(p);
        pbuf_free(p);
    }
}

/// The network ///

int port_netif_init(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'p';
    netif->mtu = 1500;
    netif->output = on_output;
    netif->input = ip4_input;
    netif->flags = NETIF_FLAG_LINK_UP;
    NETIF_SET_CHECKSUM_CTRL(netif, 0);
    return 0;
}

void peer_network_start(void)
{
    strcpy(net_settings.address, "10.0.2.15/8");
    strcpy(net_settings.name, "pipit");
    if (net_start() != 0)
        abort();
}

void peer_turn(void)
{
    scratch_give(scratch_take(SCRATCH_BYTES)); // nobody keeps any of it from one turn to the next
    peer_deliver();
    sys_check_timeouts();
    net_poll();
    if (peer_services != NULL)
        peer_services();
    net_flush();
}

void peer_run(uint32_t ms)
{
    for (; ms > 0; ms--) {
        machine_now_ms++;
        peer_turn();
    }
}

/// Peers ///

static void attach(struct peer *p)
{
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i] == NULL) {
            peers[i] = p;
            return;
        }
    abort();
}

static void defaults(struct peer *p)
{
    if (p->address == 0)
        p->address = 0x0a000202;
    if (p->window == 0)
        p->window = 65535;
    p->sequence = 1000;
    attach(p);
}

static void begin_open(struct peer *p, uint16_t device_port)
{
    defaults(p);
    p->port = p->port != 0 ? p->port : next_port++;
    p->device_port = device_port;
    segment(p, TCP_SYN, NULL, 0);
}

void peer_knock(struct peer *p, uint16_t device_port)
{
    begin_open(p, device_port);
    peer_deliver();
}

void peer_open(struct peer *p, uint16_t device_port)
{
    begin_open(p, device_port);
    for (int i = 0; i < 10 && !p->synchronized && !p->reset; i++)
        peer_turn();
    peer_turn();
}

void peer_listen(struct peer *p, uint16_t port)
{
    defaults(p);
    p->port = port;
    p->answers = true;
}

void peer_syn(uint32_t address, uint16_t port, uint16_t device_port)
{
    transmit(address, port, device_port, 1, 0, TCP_SYN, 65535, NULL, 0);
}

void peer_send(struct peer *p, const void *bytes, size_t length)
{
    segment(p, TCP_ACK | TCP_PSH, bytes, length);
}

void peer_send_text(struct peer *p, const char *text)
{
    peer_send(p, text, strlen(text));
}

void peer_acknowledge(struct peer *p)
{
    segment(p, TCP_ACK, NULL, 0);
}

void peer_close(struct peer *p)
{
    segment(p, TCP_FIN | TCP_ACK, NULL, 0);
}

void peer_abort(struct peer *p)
{
    segment(p, TCP_RST | TCP_ACK, NULL, 0);
}

void peer_forget(struct peer *p)
{
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i] == p)
            peers[i] = NULL;
    memset(p, 0, sizeof *p);
}

const char *peer_text(struct peer *p)
{
    if (p->length == sizeof p->received)
        abort();
    p->received[p->length] = '\0';
    return (const char *)p->received;
}

void peer_clear(struct peer *p)
{
    p->length = 0;
}
