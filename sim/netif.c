// The simulator's Ethernet interface: joins the backend to lwIP.
#include "../port/frame.h"
#include "../port/port.h"
#include "backend.h"
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

#define FRAMES_A_POLL 64
#define HEADERS       (14 + 20 + 20) // Ethernet, IP and TCP; lwIP sends them with no IP options
#define PARTS         1000

#if !LWIP_CHECKSUM_CTRL_PER_NETIF
#error "The simulator leaves checksums out where the host does them: LWIP_CHECKSUM_CTRL_PER_NETIF must be 1."
#endif

const struct backend *backend;
struct backend_link backend_link;
uint32_t backend_dropped;

/// Out ///

// A frame that its backend can't take in pieces: in one piece, here.
static uint8_t flat[65536];

static int flatten(const struct pbuf *p, struct part *part)
{
    *part = (struct part){flat, pbuf_copy_partial(p, flat, (u16_t)(p->tot_len - ETH_PAD_SIZE), ETH_PAD_SIZE)};
    return 1;
}

// The frame's pieces as they lie in the chain, or one copy when they are too many or the headers are split.
static int parts_of(const struct pbuf *p, struct part *parts, int most)
{
    int count = 0;
    if (p->next != NULL && p->len < ETH_PAD_SIZE + HEADERS)
        return flatten(p, parts);
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        if (q->len == 0)
            continue;
        if (count == most)
            return flatten(p, parts);
        parts[count++] = (struct part){q->payload, q->len};
    }
    if (count == 0)
        return flatten(p, parts);
    parts[0].bytes += ETH_PAD_SIZE;
    parts[0].length -= ETH_PAD_SIZE;
    return count;
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    struct part parts[PARTS];
    int most = backend->most_parts < PARTS ? backend->most_parts : PARTS;
    int count = parts_of(p, parts, most);
    if (backend->send(parts, count))
        return ERR_OK;
    backend_dropped++;
    return ERR_IF;
}

/// In ///

#define CHECK_TRANSPORT (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

// lwIP looks at the flags while it takes a frame in, so they may differ from frame to frame.
static void set_checksums(struct netif *netif, bool verified)
{
    unsigned flags = NETIF_CHECKSUM_ENABLE_ALL;
    if (backend_link.completes_tcp)
        flags &= ~(unsigned)NETIF_CHECKSUM_GEN_TCP;
    if (verified)
        flags &= ~(unsigned)CHECK_TRANSPORT;
    NETIF_SET_CHECKSUM_CTRL(netif, (u16_t)flags);
}

static void deliver(struct netif *netif, const struct frame *frame)
{
    size_t length = frame->length + ETH_PAD_SIZE;
    struct pbuf *p = frame_alloc(length);
    if (p == NULL) {
        backend_dropped++;
        return;
    }
    pbuf_take_at(p, frame->bytes, (u16_t)frame->length, ETH_PAD_SIZE);
    set_checksums(netif, frame->verified);
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

static bool has_link(void)
{
    return backend->has_link == NULL || backend->has_link();
}

static void follow_link(struct netif *netif)
{
    bool up = has_link();
    if (up && !netif_is_link_up(netif))
        netif_set_link_up(netif);
    if (!up && netif_is_link_up(netif))
        netif_set_link_down(netif);
}

bool port_netif_poll(struct netif *netif)
{
    struct frame frame;
    follow_link(netif);
    for (int i = 0; i < FRAMES_A_POLL; i++) {
        if (!backend->receive(&frame))
            return false;
        deliver(netif, &frame);
    }
    return true;
}

/// Start ///

int port_netif_init(struct netif *netif)
{
    netif->name[0] = 'p';
    netif->name[1] = '0';
    netif->hwaddr_len = sizeof backend_link.address;
    memcpy(netif->hwaddr, backend_link.address, sizeof backend_link.address);
    netif->mtu = backend_link.mtu;
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    if (has_link())
        netif->flags |= NETIF_FLAG_LINK_UP;
    set_checksums(netif, true);
    return 0;
}
