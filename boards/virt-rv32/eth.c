// virtio-net behind virtio-mmio (virtio 1.1, sections 4.2 and 5.1): two split virtqueues. Received frames are copied
// out of fixed buffers; frames to be sent are chains of descriptors that point at lwIP's buffers where they lie.
#include "../../port/frame.h"
#include "../../port/port.h"
#include "virt.h"

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include <string.h>

#define FRAMES_A_POLL 16
#define FRAME_MOST    1514
#define HEADER        12 // bytes of struct virtio_net_hdr, version 1
#define QUEUE         64 // entries; a power of two
#define RX_BUFFERS    32
#define WAIT          100000u // looks at the device

/// The device's registers (section 4.2.2) ///

static uintptr_t device; // its base; 0: there is none

#define VIRTIO(OFFSET) REGISTER(device + (OFFSET))

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    CONFIG_MAC = 0x100,
    CONFIG_STATUS = 0x106,
};

#define MAGIC_VALUE       0x74726976u
#define ID_NET            1u
#define ACKNOWLEDGE       1u
#define DRIVER            2u
#define DRIVER_OK         4u
#define FEATURES_OK       8u
#define FEATURE_MAC       (1u << 5)
#define FEATURE_STATUS    (1u << 16)
#define FEATURE_VERSION_1 1u // bit 32
#define LINK_UP           1u

/// Virtqueues (section 2.6) ///

#define DESC_NEXT    1u
#define DESC_WRITE   2u // by the device
#define NO_INTERRUPT 1u

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtqueue {
    _Alignas(16) struct descriptor descriptors[QUEUE];
    struct {
        uint16_t flags;
        volatile uint16_t index;
        uint16_t ring[QUEUE];
    } available;
    _Alignas(4) struct {
        uint16_t flags;
        volatile uint16_t index;
        struct {
            uint32_t id;
            uint32_t length;
        } ring[QUEUE];
    } used;
    uint16_t seen; // of used.index
};

_Static_assert(sizeof(struct descriptor) == 16, "the device and we must see the same descriptor");

enum { RX, TX };
static struct virtqueue queues[2];

static void barrier(void)
{
    __asm__ volatile("fence" ::: "memory");
}

static void offer(unsigned number, uint16_t head)
{
    struct virtqueue *q = &queues[number];
    q->available.ring[q->available.index % QUEUE] = head;
    barrier();
    q->available.index++;
    barrier();
    VIRTIO(QUEUE_NOTIFY) = number;
}

static void queue_start(unsigned number)
{
    struct virtqueue *q = &queues[number];
    memset(q, 0, sizeof *q);
    VIRTIO(QUEUE_SEL) = number;
    VIRTIO(QUEUE_NUM) = QUEUE;
    const uintptr_t parts[] = {(uintptr_t)q->descriptors, (uintptr_t)&q->available, (uintptr_t)&q->used};
    static const uint32_t registers[] = {QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE};
    for (unsigned i = 0; i < 3; i++) {
        VIRTIO(registers[i]) = (uint32_t)parts[i];
        VIRTIO(registers[i] + 4) = 0;
    }
    VIRTIO(QUEUE_READY) = 1;
}

/// Receiving ///

static uint8_t rx_buffers[RX_BUFFERS][(HEADER + FRAME_MOST + 4 + 3) & ~3];
static bool link_changed;

void ethernet_interrupt(void)
{
    uint32_t why = VIRTIO(INTERRUPT_STATUS);
    VIRTIO(INTERRUPT_ACK) = why;
    link_changed = link_changed || (why & 2) != 0;
    queues[RX].available.flags = NO_INTERRUPT; // until the queue has been emptied
}

static bool received(void)
{
    barrier();
    return queues[RX].seen != queues[RX].used.index;
}

static void deliver(struct netif *netif, const uint8_t *frame, size_t length)
{
    struct pbuf *p = length > FRAME_MOST + 4 ? NULL : frame_alloc(length + ETH_PAD_SIZE);
    if (p == NULL)
        return;
    pbuf_take_at(p, frame, (u16_t)length, ETH_PAD_SIZE);
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

static void receive(struct netif *netif)
{
    struct virtqueue *q = &queues[RX];
    uint32_t id = q->used.ring[q->seen % QUEUE].id;
    uint32_t length = q->used.ring[q->seen % QUEUE].length;
    q->seen++;
    if (id >= RX_BUFFERS)
        return;
    if (length > HEADER && length <= sizeof rx_buffers[id])
        deliver(netif, rx_buffers[id] + HEADER, length - HEADER);
    offer(RX, (uint16_t)id);
}

static void receiver_start(void)
{
    for (uint16_t i = 0; i < RX_BUFFERS; i++) {
        queues[RX].descriptors[i] = (struct descriptor){(uintptr_t)rx_buffers[i], sizeof rx_buffers[i], DESC_WRITE, 0};
        offer(RX, i);
    }
}

/// Transmitting ///

// Of the header in front of every frame, all fields are 0: no checksum to complete, nothing to be segmented.
static const uint8_t tx_header[HEADER];
static struct pbuf *sending[QUEUE]; // by the chain's first descriptor: held until the device is done with it
static uint16_t tx_free[QUEUE];
static unsigned tx_free_count;

static void free_chain(uint16_t head)
{
    struct descriptor *d = queues[TX].descriptors;
    pbuf_free(sending[head]);
    sending[head] = NULL;
    for (uint16_t at = head;; at = d[at].next) {
        tx_free[tx_free_count++] = at;
        if ((d[at].flags & DESC_NEXT) == 0)
            return;
    }
}

static void reclaim(void)
{
    struct virtqueue *q = &queues[TX];
    barrier();
    while (q->seen != q->used.index) {
        uint32_t head = q->used.ring[q->seen % QUEUE].id;
        q->seen++;
        if (head < QUEUE && sending[head] != NULL)
            free_chain((uint16_t)head);
    }
}

// Puts a piece in front of the chain that begins at `next`; returns the new beginning.
static uint16_t chain(const void *bytes, uint32_t length, uint16_t next, bool last)
{
    uint16_t at = tx_free[--tx_free_count];
    queues[TX].descriptors[at] = (struct descriptor){(uintptr_t)bytes, length, last ? 0 : DESC_NEXT, next};
    return at;
}

// From the last piece to the first, so that each knows its follower.
static uint16_t chain_of(const struct pbuf *p, bool first)
{
    bool last = p->next == NULL;
    uint16_t next = last ? 0 : chain_of(p->next, false);
    uint32_t pad = first ? ETH_PAD_SIZE : 0;
    return chain((const uint8_t *)p->payload + pad, p->len - pad, next, last);
}

// A message to everybody is more frames in one turn than the queue takes, and a frame that is dropped costs its client
// a second or more: so there is some waiting for the device here.
static bool room_for(unsigned descriptors)
{
    for (uint32_t i = 0; i < WAIT; i++) {
        reclaim();
        if (descriptors <= tx_free_count)
            return true;
    }
    return false;
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    if (p->tot_len - ETH_PAD_SIZE > FRAME_MOST || !room_for(pbuf_clen(p) + 1u))
        return ERR_IF;
    uint16_t head = chain(tx_header, sizeof tx_header, chain_of(p, true), false);
    pbuf_ref(p);
    sending[head] = p;
    offer(TX, head);
    return ERR_OK;
}

static void transmitter_start(void)
{
    tx_free_count = 0;
    for (uint16_t i = 0; i < QUEUE; i++)
        tx_free[tx_free_count++] = i;
    queues[TX].available.flags = NO_INTERRUPT;
}

/// port.h ///

static void link_look(struct netif *netif)
{
    if (!link_changed)
        return;
    link_changed = false;
    if (*(volatile uint16_t *)(device + CONFIG_STATUS) & LINK_UP)
        netif_set_link_up(netif);
    else
        netif_set_link_down(netif);
}

bool port_netif_poll(struct netif *netif)
{
    link_look(netif);
    reclaim();
    for (int i = 0; i < FRAMES_A_POLL; i++) {
        if (!received()) {
            queues[RX].available.flags = 0;
            return received();
        }
        receive(netif);
    }
    return true;
}

static unsigned find_device(void)
{
    for (unsigned i = 0; i < VIRTIO_SLOTS; i++) {
        device = VIRTIO_BASE + i * VIRTIO_STEP;
        if (VIRTIO(MAGIC) == MAGIC_VALUE && VIRTIO(VERSION) == 2 && VIRTIO(DEVICE_ID) == ID_NET)
            return INTERRUPT_VIRTIO_0 + i;
    }
    device = 0;
    return 0;
}

// Section 3.1.1.
static bool negotiate(void)
{
    VIRTIO(STATUS) = 0;
    VIRTIO(STATUS) = ACKNOWLEDGE;
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER;
    VIRTIO(DEVICE_FEATURES_SEL) = 0;
    uint32_t features = VIRTIO(DEVICE_FEATURES) & (FEATURE_MAC | FEATURE_STATUS);
    VIRTIO(DRIVER_FEATURES_SEL) = 0;
    VIRTIO(DRIVER_FEATURES) = features;
    VIRTIO(DRIVER_FEATURES_SEL) = 1;
    VIRTIO(DRIVER_FEATURES) = FEATURE_VERSION_1;
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    link_changed = (features & FEATURE_STATUS) != 0; // to be looked at once
    return (VIRTIO(STATUS) & FEATURES_OK) != 0 && (features & FEATURE_MAC) != 0;
}

int port_netif_init(struct netif *netif)
{
    unsigned interrupt = find_device();
    if (interrupt == 0 || !negotiate()) {
        static const char sentence[] =
            "There is no virtio network card; give the machine one: -device virtio-net-device.\n";
        port_console_write(sentence, sizeof sentence - 1);
        return -1;
    }
    netif->name[0] = 'e';
    netif->name[1] = '0';
    netif->hwaddr_len = 6;
    for (unsigned i = 0; i < 6; i++)
        netif->hwaddr[i] = REGISTER8(device + CONFIG_MAC + i);
    netif->mtu = 1500;
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    queue_start(RX);
    queue_start(TX);
    VIRTIO(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
    transmitter_start();
    receiver_start();
    interrupt_enable(interrupt);
    return 0;
}
