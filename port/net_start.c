// Starting lwIP: the interface, its addresses, and the randomness that TCP needs.
#include "hooks.h"
#include "log.h"
#include "net.h"
#include "net_private.h"
#include "port.h"

#include "lwip/dns.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/sys.h"
#include "netif/ethernet.h"
#include <mbedtls/sha256.h>
#include <string.h>

struct net_settings net_settings;
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

uint32_t net_random(void)
{
    uint32_t n = 0;
    port_entropy(&n, sizeof n);
    return n;
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

/// Addresses ///

static bool read_address(struct span text, ip4_addr_t *address)
{
    uint32_t number;
    if (!net_address_read(text, &number))
        return false;
    ip4_addr_set_u32(address, lwip_htonl(number));
    return true;
}

// Reads "10.0.2.15/24"; without a prefix length it is 24.
static bool read_prefix(const char *text, ip4_addr_t *address, ip4_addr_t *mask)
{
    struct span rest = span_of(text);
    struct span host = span_cut(&rest, '/');
    uint64_t bits = 24;
    if (rest.length > 0 && !span_number(rest, 32, &bits))
        return false;
    ip4_addr_set_u32(mask, bits == 0 ? 0 : lwip_htonl(0xffffffffu << (32 - bits)));
    return read_address(host, address);
}

static bool read_optional(const char *text, ip4_addr_t *address)
{
    ip4_addr_set_zero(address);
    return text[0] == '\0' || read_address(span_of(text), address);
}

static bool complain(const char *what, const char *value)
{
    log_line(LOG_ERROR, "net", "%s %s is not an IPv4 address.", what, value);
    return false;
}

static bool read_settings(ip4_addr_t *address, ip4_addr_t *mask, ip4_addr_t *gateway, ip4_addr_t *dns)
{
    ip4_addr_set_zero(address);
    ip4_addr_set_zero(mask);
    if (net_settings.address[0] != '\0' && !read_prefix(net_settings.address, address, mask))
        return complain("net.address", net_settings.address);
    if (!read_optional(net_settings.gateway, gateway))
        return complain("net.gateway", net_settings.gateway);
    if (!read_optional(net_settings.dns, dns))
        return complain("net.dns", net_settings.dns);
    return true;
}

static err_t start_interface(struct netif *netif)
{
    return port_netif_init(netif) == 0 ? ERR_OK : ERR_IF;
}

// lwIP gives its loopback interface no MTU, and then segments of any size, which no buffer holds. It is the first and
// so far the only one; netif_find() would bring in atoi() and with it errno, which is thread-local.
static void bound_loopback(void)
{
    net_loopback = netif_list;
    net_loopback->mtu = 1500;
}

int net_start(void)
{
    ip4_addr_t address, mask, gateway, dns;
    if (!port_entropy(isn_secret, sizeof isn_secret))
        log_line(LOG_WARNING, "net", "there is no entropy: sequence numbers can be guessed");
    lwip_init();
    bound_loopback();
    net_connections_start();
    if (!read_settings(&address, &mask, &gateway, &dns))
        return -1;
    if (netif_add(&net_interface, &address, &mask, &gateway, NULL, start_interface, ethernet_input) == NULL)
        return -1;
    netif_set_default(&net_interface);
    netif_set_up(&net_interface);
    ip_addr_t server;
    ip_addr_copy_from_ip4(server, dns);
    dns_setserver(0, &server);
    return 0;
}

uint32_t net_own_address(void)
{
    return lwip_ntohl(ip4_addr_get_u32(netif_ip4_addr(&net_interface)));
}
