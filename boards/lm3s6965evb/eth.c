// The LM3S6965's Ethernet controller (data sheet section 15): a FIFO of 2 KB each way, read and written in words.
//
// Both FIFOs hold a frame behind two bytes of length, so with ETH_PAD_SIZE 2 the words of a frame are the words of
// lwIP's buffers, pad included.
#include "../../port/frame.h"
#include "../../port/port.h"
#include "lm3s6965.h"

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include <string.h>

#if ETH_PAD_SIZE != 2 || PBUF_POOL_BUFSIZE % 4 != 0
#error "The FIFO's words are those of the buffers: ETH_PAD_SIZE must be 2, and a buffer a whole number of words."
#endif

#define FRAMES_A_POLL 8
#define FRAME_MOST    1514    // bytes, without the check sequence
#define HEADER        14      // bytes; the controller counts what is behind it
#define FIFO_BYTES    2048    // of frames received
#define CHECK         4       // bytes of the check sequence at a received frame's end
#define TRANSMIT_WAIT 200000u // polls; a frame takes 1.2 ms at 10 Mbit/s
#define LINK_LOOK_MS  250

#define INT_RX         1u
#define RCTL_ON        0x9u // receiver, and refuse frames with a bad check sequence
#define RCTL_MULTICAST 0x2u
#define RCTL_RESET     0x10u
#define TCTL_ON        0x17u // transmitter, pad short frames, append the check sequence, full duplex
#define TR_NEWTX       1u

static bool link_watched; // there is a PHY to ask
static uint64_t link_looked_ms;

/// Receiving ///

void ethernet_interrupt(void)
{
    MAC_IM = 0; // until the FIFO has been emptied
}

static void discard(uint32_t words)
{
    for (; words > 0; words--)
        (void)MAC_DATA;
}

// The first word's low half is the length, itself and the check sequence included; it lands in the pad.
static void read_words(struct pbuf *p, uint32_t first, uint32_t words)
{
    uint32_t word = first;
    for (; p != NULL; p = p->next)
        for (uint32_t at = 0; at < p->len && words > 0; at += 4) {
            memcpy((uint8_t *)p->payload + at, &word, at + 4 <= p->len ? 4 : p->len - at);
            words--;
            word = words > 0 ? MAC_DATA : 0;
        }
    discard(words > 0 ? words - 1 : 0);
}

static void receive(struct netif *netif)
{
    uint32_t first = MAC_DATA;
    uint32_t length = first & 0xffff;
    uint32_t words = (length + 3) / 4;
    if (length < 2 + CHECK || length > FIFO_BYTES) {
        MAC_RCTL = RCTL_RESET; // out of step with the FIFO: start it anew
        MAC_RCTL = RCTL_ON | RCTL_MULTICAST;
        return;
    }
    bool good = length >= 2 + HEADER + CHECK && length <= 2 + FRAME_MOST + 4 + CHECK;
    struct pbuf *p = good ? frame_alloc(length - CHECK) : NULL;
    if (p == NULL) {
        discard(words - 1);
        return;
    }
    read_words(p, first, words);
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

/// Transmitting ///

// Bytes of several pieces become words.
struct packer {
    uint32_t word;
    unsigned bytes; // of it
};

static void pack(struct packer *packer, const uint8_t *at, size_t length)
{
    while (length > 0) {
        if (packer->bytes == 0 && length >= 4) {
            uint32_t word;
            memcpy(&word, at, 4);
            MAC_DATA = word;
            at += 4;
            length -= 4;
            continue;
        }
        packer->word |= (uint32_t)*at++ << 8 * packer->bytes++;
        length--;
        if (packer->bytes == 4) {
            MAC_DATA = packer->word;
            *packer = (struct packer){0, 0};
        }
    }
}

static bool transmitter_ready(void)
{
    for (uint32_t i = 0; i < TRANSMIT_WAIT; i++)
        if ((MAC_TR & TR_NEWTX) == 0)
            return true;
    return false;
}

// The chain is written piece by piece as it lies; nothing is copied or kept.
static err_t link_output(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    uint32_t length = p->tot_len - ETH_PAD_SIZE;
    if (length < HEADER || length > FRAME_MOST || !transmitter_ready())
        return ERR_IF;
    uint32_t counted = length - HEADER;
    struct packer packer = {counted, 2};
    const uint8_t *first = p->payload;
    pack(&packer, first + ETH_PAD_SIZE, (size_t)p->len - ETH_PAD_SIZE);
    for (const struct pbuf *q = p->next; q != NULL; q = q->next)
        pack(&packer, q->payload, q->len);
    if (packer.bytes > 0)
        MAC_DATA = packer.word;
    MAC_TR = TR_NEWTX;
    return ERR_OK;
}

/// The PHY's link ///

#define MCTL_START       1u
#define MCTL_REGISTER(N) ((uint32_t)(N) << 3)
#define PHY_STATUS       1 // IEEE 802.3 clause 22
#define PHY_ID           2
#define STATUS_LINK      (1u << 2)
#define MDIO_WAIT        1000u

// False when nobody answers: QEMU has no PHY, and a start bit that stays set.
static bool phy_read(unsigned number, uint32_t *value)
{
    MAC_MCTL = MCTL_REGISTER(number) | MCTL_START;
    for (uint32_t i = 0; i < MDIO_WAIT; i++)
        if ((MAC_MCTL & MCTL_START) == 0) {
            *value = MAC_MRXD & 0xffff;
            return true;
        }
    return false;
}

static void link_start(void)
{
    uint32_t id;
    MAC_MDV = 9; // 50 MHz / (2 * (9 + 1)) = 2.5 MHz, the most that a PHY takes
    link_watched = phy_read(PHY_ID, &id) && id != 0 && id != 0xffff;
}

// The status register remembers a lost link until it was read.
static void link_look(struct netif *netif)
{
    uint64_t now = port_now_ms();
    uint32_t status;
    if (!link_watched || now - link_looked_ms < LINK_LOOK_MS)
        return;
    link_looked_ms = now;
    if (!phy_read(PHY_STATUS, &status))
        return;
    if (status & STATUS_LINK)
        netif_set_link_up(netif);
    else
        netif_set_link_down(netif);
}

/// port.h ///

// Three bytes of it in each user register, as Luminary's own tools leave them; erased ones are all ones.
static void read_address(uint8_t address[6])
{
    uint32_t halves[2] = {SYSCTL_USER0, SYSCTL_USER1};
    if (((halves[0] & halves[1]) & 0xffffff) == 0xffffff)
        halves[0] = halves[1] = 0x495002; // 02:50:49:02:50:49, locally administered
    for (int i = 0; i < 6; i++)
        address[i] = (uint8_t)(halves[i / 3] >> 8 * (i % 3));
}

bool port_netif_poll(struct netif *netif)
{
    link_look(netif);
    for (int i = 0; i < FRAMES_A_POLL; i++) {
        if ((MAC_NP & 0x3f) == 0) {
            MAC_RIS_IACK = INT_RX;
            MAC_IM = INT_RX;
            return (MAC_NP & 0x3f) != 0;
        }
        receive(netif);
    }
    return true;
}

int port_netif_init(struct netif *netif)
{
    uint8_t *address = netif->hwaddr;
    netif->name[0] = 'e';
    netif->name[1] = '0';
    netif->hwaddr_len = 6;
    read_address(address);
    netif->mtu = 1500;
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    MAC_IA0 = (uint32_t)address[3] << 24 | (uint32_t)address[2] << 16 | (uint32_t)address[1] << 8 | address[0];
    MAC_IA1 = (uint32_t)address[5] << 8 | address[4];
    MAC_RCTL = RCTL_RESET;
    MAC_RCTL = RCTL_ON | RCTL_MULTICAST;
    MAC_TCTL = TCTL_ON;
    GPIOF_AFSEL |= 0xc; // the lamps of link and traffic
    GPIOF_DEN |= 0xc;
    link_start();
    interrupt_enable(INTERRUPT_ETHERNET);
    return 0;
}
