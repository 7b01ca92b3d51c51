#include "lan_support.h"
#include "../../port/net.h"
#include "../../port/net_private.h"

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/prot/ip.h"
#include "lwip/timeouts.h"
#include <stdlib.h>
#include <string.h>

#define ETHERNET 14
#define IP       20
#define UDP      8
#define QUEUE    256

static const uint8_t device_mac[6] = LAN_DEVICE_MAC;
static const uint8_t lan_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
void (*lan_heard)(const struct lan_packet *packet);
bool (*lan_has)(uint32_t address);
uint32_t lan_probes;
uint32_t lan_probed;

static struct {
    uint8_t bytes[1600];
    size_t length;
} queue[QUEUE];
static size_t queue_head, queue_tail;

static uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static void write16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void write32(uint8_t *at, uint32_t value)
{
    write16(at, value >> 16);
    write16(at + 2, value);
}

/// To the device ///

static void deliver(const uint8_t *frame, size_t length)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
    if (p == NULL || !netif_is_link_up(&net_interface)) {
        if (p != NULL)
            pbuf_free(p);
        return;
    }
    pbuf_take(p, frame, (u16_t)length);
    if (net_interface.input(p, &net_interface) != ERR_OK)
        pbuf_free(p);
}

static void write_ethernet(uint8_t *frame, uint32_t to, uint16_t type)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t group[6] = {0x01, 0, 0x5e, (uint8_t)(to >> 16 & 0x7f), (uint8_t)(to >> 8), (uint8_t)to};
    memcpy(frame, to == UINT32_MAX ? all : to >> 28 == 14 ? group : device_mac, 6);
    memcpy(frame + 6, lan_mac, 6);
    write16(frame + 12, type);
}

void lan_ip(uint8_t protocol, uint32_t from, uint32_t to, const void *bytes, size_t length)
{
    uint8_t frame[1600] = {0};
    uint8_t *ip = frame + ETHERNET;
    if (length > 1500 - IP)
        abort();
    write_ethernet(frame, to, 0x0800);
    ip[0] = 0x45;
    write16(ip + 2, (uint32_t)(IP + length));
    ip[8] = protocol == 17 ? 255 : 64;
    ip[9] = protocol;
    write32(ip + 12, from);
    write32(ip + 16, to);
    memcpy(ip + IP, bytes, length);
    deliver(frame, ETHERNET + IP + length);
}

void lan_udp(uint32_t from, uint16_t from_port, uint32_t to, uint16_t to_port, const void *bytes, size_t length)
{
    uint8_t datagram[1500] = {0};
    if (length > sizeof datagram - UDP)
        abort();
    write16(datagram, from_port);
    write16(datagram + 2, to_port);
    write16(datagram + 4, (uint32_t)(UDP + length));
    memcpy(datagram + UDP, bytes, length);
    lan_ip(17, from, to, datagram, UDP + length);
}

static void answer_arp(const uint8_t *request)
{
    uint8_t frame[ETHERNET + 28];
    write_ethernet(frame, net_own_address(), 0x0806);
    memcpy(frame + ETHERNET, request, 28);
    frame[ETHERNET + 7] = 2;
    memcpy(frame + ETHERNET + 8, lan_mac, 6);
    memcpy(frame + ETHERNET + 14, request + 24, 4);
    memcpy(frame + ETHERNET + 18, request + 8, 10);
    deliver(frame, sizeof frame);
}

/// From the device ///

static err_t on_frame(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    if (queue_tail - queue_head == QUEUE || p->tot_len > sizeof queue[0].bytes)
        abort();
    queue[queue_tail % QUEUE].length = pbuf_copy_partial(p, queue[queue_tail % QUEUE].bytes, p->tot_len, 0);
    queue_tail++;
    return ERR_OK;
}

static void hear_arp(const uint8_t *arp)
{
    uint32_t target = read32(arp + 24);
    if (read16(arp + 6) != 1)
        return;
    if (read32(arp + 14) == 0) {
        lan_probes++;
        lan_probed = target;
    }
    if (lan_has != NULL && lan_has(target))
        answer_arp(arp);
}

static void hear_ip(const uint8_t *frame)
{
    const uint8_t *ip = frame + ETHERNET, *payload = ip + (size_t)(ip[0] & 15) * 4;
    size_t length = read16(ip + 2) - (size_t)(payload - ip);
    struct lan_packet packet = {.protocol = ip[9],
                                .from = read32(ip + 12),
                                .to = read32(ip + 16),
                                .bytes = payload,
                                .length = length,
                                .broadcast = (frame[0] & 1) != 0};
    if (packet.protocol == 17 || packet.protocol == 6) {
        packet.from_port = read16(payload);
        packet.to_port = read16(payload + 2);
    }
    if (packet.protocol == 17) {
        packet.bytes += UDP;
        packet.length -= UDP;
    }
    if (lan_heard != NULL)
        lan_heard(&packet);
}

static void hear_all(void)
{
    while (queue_head != queue_tail) {
        const uint8_t *frame = queue[queue_head % QUEUE].bytes;
        if (netif_is_link_up(&net_interface) && read16(frame + 12) == 0x0806)
            hear_arp(frame + ETHERNET);
        else if (netif_is_link_up(&net_interface) && read16(frame + 12) == 0x0800)
            hear_ip(frame);
        queue_head++;
    }
}

/// The interface ///

int port_netif_init(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'l';
    netif->hwaddr_len = sizeof device_mac;
    memcpy(netif->hwaddr, device_mac, sizeof device_mac);
    netif->mtu = 1500;
    netif->output = etharp_output;
    netif->linkoutput = on_frame;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    NETIF_SET_CHECKSUM_CTRL(netif, 0);
    return 0;
}

void lan_link(bool up)
{
    if (up)
        netif_set_link_up(&net_interface);
    else
        netif_set_link_down(&net_interface);
}

void lan_turn(void)
{
    hear_all();
    sys_check_timeouts();
    net_poll();
    net_flush();
}

void lan_run_by(uint64_t ms, uint32_t step)
{
    for (uint64_t gone = 0; gone < ms; gone += step) {
        machine_now_ms += step;
        lan_turn();
    }
}

void lan_run(uint64_t ms)
{
    lan_run_by(ms, 10);
}
