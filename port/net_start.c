// Starting lwIP: the interfaces, and the randomness that TCP needs.
#include "hooks.h"
#include "log.h"
#include "net.h"
#include "net_private.h"
#include "port.h"

#include "lwip/init.h"
#include "lwip/mem.h"
#include "lwip/netif.h"
#include "lwip/sys.h"
#include "netif/ethernet.h"
#include <mbedtls/sha256.h>
#include <string.h>

struct netif net_interface;
struct netif *net_loopback;
static uint8_t isn_secret[16];

u32_t sys_now(void)
{
    return (u32_t)port_now_ms();
}

void net_assertion_failed(const char *what)
{
    log_line(LOG_ERROR, "net", "lwIP: %s", what);
    port_reboot("lwIP found itself in an impossible state");
}

// A machine without entropy has said so (net_start()). What it gets here can be guessed, but it must not stay the same:
// lwIP asks for another port of DNS until it likes one, and of zeros it would like none.
static uint32_t guessable(void)
{
    static uint32_t state;
    state = state * 1664525 + 1013904223 + port_now_us();
    return state ^ state >> 16;
}

uint32_t net_random(void)
{
    uint32_t n;
    return port_entropy(&n, sizeof n) ? n : guessable();
}

// RFC 6528: the clock of RFC 9293 (4 us a step) plus a keyed hash of the connection, so that no peer can guess another
// one's sequence numbers.
uint32_t net_initial_sequence(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                              uint16_t remote_port)
{
    struct {
        uint8_t secret[16];
        uint32_t local, remote;
        uint16_t local_port, remote_port;
    } input = {.local = ip4_addr_get_u32(ip_2_ip4(local)),
               .remote = ip4_addr_get_u32(ip_2_ip4(remote)),
               .local_port = local_port,
               .remote_port = remote_port};
    uint8_t digest[32];
    uint32_t hash;
    memcpy(input.secret, isn_secret, sizeof isn_secret);
    mbedtls_sha256((const uint8_t *)&input, sizeof input, digest, 0);
    memcpy(&hash, digest, sizeof hash);
    return hash + (uint32_t)port_now_ms() * 250;
}

/// The interfaces ///

// lwIP looks at NETIF_FLAG_IGMP right after this; a machine need not know about multicast.
static err_t start_interface(struct netif *netif)
{
    if (port_netif_init(netif) != 0)
        return ERR_IF;
    if (netif->flags & NETIF_FLAG_ETHARP)
        netif->flags |= NETIF_FLAG_IGMP;
    return ERR_OK;
}

// lwIP gives its loopback interface no MTU, and then segments of any size, which no buffer holds. It is the first and
// so far the only one; netif_find() would bring in atoi() and with it errno, which is thread-local.
static void bound_loopback(void)
{
    net_loopback = netif_list;
    net_loopback->mtu = 1500;
}

// lwIP 2.2.1 takes the block at the very end of its heap for a damaged one when it is to be trimmed (mem_trim(),
// "invalid next ptr"; known upstream), which happens to every short frame that lies there. So nobody may ever have it.
static void occupy_heap_end(void)
{
#if !MEM_USE_POOLS
    enum { END = 32 }; // bytes: a block's header, and some
    mem_size_t most = MEM_SIZE;
    void *rest;
    while ((rest = mem_malloc(most)) == NULL)
        most--;
    mem_free(rest);
    rest = mem_malloc((mem_size_t)(most - END));
    mem_malloc(END / 2);
    mem_free(rest);
#endif
}

int net_start(void)
{
    if (!port_entropy(isn_secret, sizeof isn_secret))
        log_line(LOG_WARNING, "net", "there is no entropy: sequence numbers can be guessed");
    lwip_init();
    occupy_heap_end();
    bound_loopback();
    net_connections_start();
    if (!net_setup_read())
        return -1;
    if (netif_add(&net_interface, NULL, NULL, NULL, NULL, start_interface, ethernet_input) == NULL)
        return -1;
    netif_set_default(&net_interface);
    netif_set_up(&net_interface);
    net_names_start();
    net_setup_start();
    net_time_start();
    return 0;
}
