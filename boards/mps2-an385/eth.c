// The LAN9118 (SMSC data sheet LAN9118, revision 1.5): FIFOs of words, with a status word for each frame received and
// two command words in front of each piece that is sent.
#include "../../port/frame.h"
#include "../../port/port.h"
#include "mps2_an385.h"

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include <string.h>

#if ETH_PAD_SIZE != 2 || PBUF_POOL_BUFSIZE % 4 != 0
#error "The receiver puts two bytes before a frame: ETH_PAD_SIZE must be 2, and a buffer a whole number of words."
#endif

#define FRAMES_A_POLL 16
#define FRAME_MOST    1514
#define CHECK         4  // bytes of the check sequence at a received frame's end
#define PIECES_MOST   86 // of a frame that is sent (section 3.12.6)
#define WAIT          100000u
#define LINK_LOOK_MS  250

#define ID                   0x01180000u
#define HW_CFG_SRST          1u
#define HW_CFG_SET           0x00050000u // "must be one", and 5 KB of the memory for sending
#define FIFO_INT_LEVEL       0x48000000u // data, so that statuses alone decide about receiving
#define RX_CFG_OFFSET        (2u << 8)
#define TX_CFG_ON            2u
#define IRQ_CFG_ON           0x111u      // enabled, active high, push-pull: else it stays asserted
#define INT_RSFL             8u          // a received frame's status is there
#define MAC_CR_ON            0x0010000cu // full duplex, transmitter, receiver
#define MAC_CR_ALL_MULTICAST 0x00080000u

#define RX_STATUS_ERROR     (1u << 15)
#define RX_STATUS_LENGTH(S) ((S) >> 16 & 0x3fff)
#define RX_WAITING          (ETH_RX_FIFO_INF >> 16 & 0xff)

/// The MAC's and the PHY's own registers (sections 5.4 and 5.5) ///

enum { MAC_CR = 1, MAC_ADDRH = 2, MAC_ADDRL = 3, MAC_MII_ACC = 6, MAC_MII_DATA = 7 };

#define CSR_BUSY    (1u << 31)
#define CSR_READ    (1u << 30)
#define MII_PHY     (1u << 11)
#define MII_BUSY    1u
#define PHY_STATUS  1 // IEEE 802.3 clause 22
#define STATUS_LINK (1u << 2)

static void csr_wait(void)
{
    for (uint32_t i = 0; i < WAIT && (ETH_MAC_CSR_CMD & CSR_BUSY) != 0; i++)
        ;
}

static uint32_t csr_read(uint32_t number)
{
    ETH_MAC_CSR_CMD = CSR_BUSY | CSR_READ | number;
    csr_wait();
    return ETH_MAC_CSR_DATA;
}

static void csr_write(uint32_t number, uint32_t value)
{
    ETH_MAC_CSR_DATA = value;
    ETH_MAC_CSR_CMD = CSR_BUSY | number;
    csr_wait();
}

static uint32_t phy_read(uint32_t number)
{
    csr_write(MAC_MII_ACC, MII_PHY | number << 6 | MII_BUSY);
    for (uint32_t i = 0; i < WAIT && (csr_read(MAC_MII_ACC) & MII_BUSY) != 0; i++)
        ;
    return csr_read(MAC_MII_DATA);
}

// The status register remembers a lost link until it was read.
static void link_look(struct netif *netif)
{
    static uint64_t looked_ms;
    uint64_t now = port_now_ms();
    if (now - looked_ms < LINK_LOOK_MS)
        return;
    looked_ms = now;
    if (phy_read(PHY_STATUS) & STATUS_LINK)
        netif_set_link_up(netif);
    else
        netif_set_link_down(netif);
}

/// Receiving ///

void ethernet_interrupt(void)
{
    ETH_INT_EN = 0; // until the FIFO has been emptied
}

static void discard(uint32_t words)
{
    for (; words > 0; words--)
        (void)ETH_RX_DATA;
}

static void read_words(struct pbuf *p, uint32_t words)
{
    for (; p != NULL; p = p->next)
        for (uint32_t at = 0; at < p->len && words > 0; at += 4, words--) {
            uint32_t word = ETH_RX_DATA;
            memcpy((uint8_t *)p->payload + at, &word, at + 4 <= p->len ? 4 : p->len - at);
        }
    discard(words);
}

// Exactly the frame's words have to be taken out, wanted or not: the next frame's follow.
static void receive(struct netif *netif)
{
    uint32_t status = ETH_RX_STATUS;
    uint32_t length = RX_STATUS_LENGTH(status);
    uint32_t words = (length + ETH_PAD_SIZE + 3) / 4;
    bool good = (status & RX_STATUS_ERROR) == 0 && length > CHECK && length - CHECK <= FRAME_MOST + 4;
    struct pbuf *p = good ? frame_alloc(length - CHECK + ETH_PAD_SIZE) : NULL;
    if (p == NULL) {
        discard(words);
        return;
    }
    read_words(p, words);
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

/// Transmitting ///

#define TX_FIRST (1u << 13)
#define TX_LAST  (1u << 12)
#define TX_FREE  (ETH_TX_FIFO_INF & 0xffff) // bytes of the data FIFO

// Statuses of frames that have gone out fill a FIFO of their own.
static void drain_statuses(void)
{
    while ((ETH_TX_FIFO_INF >> 16 & 0xff) != 0)
        (void)ETH_TX_STATUS;
}

static bool room_for(uint32_t bytes)
{
    for (uint32_t i = 0; i < WAIT; i++)
        if (TX_FREE >= bytes)
            return true;
    return false;
}

// A piece as it lies in memory, from the word on that holds its first byte: the chip leaves out what is before it.
static void send_piece(const uint8_t *bytes, uint32_t length, uint32_t marks, uint32_t frame_length)
{
    uint32_t offset = (uint32_t)(uintptr_t)bytes & 3;
    const uint32_t *word = (const uint32_t *)(uintptr_t)(bytes - offset);
    ETH_TX_DATA = offset << 16 | marks | length;
    ETH_TX_DATA = frame_length << 16 | frame_length;
    for (uint32_t words = (offset + length + 3) / 4; words > 0; words--)
        ETH_TX_DATA = *word++;
}

// One pair of command words for each piece of the chain; nothing is copied or kept.
static err_t link_output(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    uint32_t length = p->tot_len - ETH_PAD_SIZE;
    drain_statuses();
    if (length > FRAME_MOST || pbuf_clen(p) > PIECES_MOST || !room_for(length + 16 * PIECES_MOST / 4))
        return ERR_IF;
    for (const struct pbuf *q = p; q != NULL; q = q->next) {
        uint32_t pad = q == p ? ETH_PAD_SIZE : 0;
        uint32_t marks = (q == p ? TX_FIRST : 0) | (q->next == NULL ? TX_LAST : 0);
        send_piece((const uint8_t *)q->payload + pad, q->len - pad, marks, length);
    }
    return ERR_OK;
}

/// port.h ///

// The board's controller has put one in at power-on; else a made-up one, locally administered.
static void read_address(uint8_t address[6])
{
    uint32_t low = csr_read(MAC_ADDRL), high = csr_read(MAC_ADDRH) & 0xffff;
    if ((low == 0xffffffff && high == 0xffff) || (low == 0 && high == 0)) {
        low = 0x49504902;
        high = 0x5450;
        csr_write(MAC_ADDRL, low);
        csr_write(MAC_ADDRH, high);
    }
    memcpy(address, &low, 4);
    memcpy(address + 4, &high, 2);
}

bool port_netif_poll(struct netif *netif)
{
    link_look(netif);
    for (int i = 0; i < FRAMES_A_POLL; i++) {
        if (RX_WAITING == 0) {
            ETH_INT_STS = INT_RSFL;
            ETH_INT_EN = INT_RSFL;
            return RX_WAITING != 0;
        }
        receive(netif);
    }
    return true;
}

static bool chip_start(void)
{
    if ((ETH_ID_REV & 0xffff0000u) != ID)
        return false;
    ETH_HW_CFG = HW_CFG_SRST;
    for (uint32_t i = 0; i < WAIT && (ETH_HW_CFG & HW_CFG_SRST) != 0; i++)
        ;
    ETH_HW_CFG = HW_CFG_SET;
    ETH_FIFO_INT = FIFO_INT_LEVEL;
    ETH_RX_CFG = RX_CFG_OFFSET;
    ETH_TX_CFG = TX_CFG_ON;
    ETH_IRQ_CFG = IRQ_CFG_ON;
    return true;
}

int port_netif_init(struct netif *netif)
{
    if (!chip_start()) {
        port_console_write("There is no LAN9118 where the Ethernet controller should be.\n", 61);
        return -1;
    }
    netif->name[0] = 'e';
    netif->name[1] = '0';
    netif->hwaddr_len = 6;
    read_address(netif->hwaddr);
    netif->mtu = 1500;
    netif->output = etharp_output;
    netif->linkoutput = link_output;
    netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    csr_write(MAC_CR, MAC_CR_ON | MAC_CR_ALL_MULTICAST);
    interrupt_enable(INTERRUPT_ETHERNET);
    return 0;
}
