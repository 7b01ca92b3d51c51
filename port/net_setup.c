// How the interface comes by its address, and what people read of that on the console. The protocols are lwIP's;
// net_setup_poll() looks once a turn at what has changed.
#include "log.h"
#include "net.h"
#include "net_private.h"

#include "lwip/acd.h"
#include "lwip/autoip.h"
#include "lwip/dhcp.h"
#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/prot/autoip.h"
#include "lwip/prot/dhcp.h"

struct net_settings net_settings;

static struct {
    bool is_static;
    ip4_addr_t address, mask, gateway, dns; // zero: not set
} wanted;

// The largest message has 26 bytes of other options, then ours, then the end; past the field lwIP stops.
_Static_assert(26 + 2 + sizeof net_settings.name - 1 + 1 <= DHCP_OPTIONS_LEN, "the host name must fit a DHCP message");

static struct dhcp dhcp;
static struct autoip autoip;

// What the console was last told.
static struct {
    bool link;
    uint32_t address; // 0 unless there is an origin
    enum net_origin origin;
} told;

/// Settings ///

static bool read_address(struct span text, ip4_addr_t *address)
{
    uint32_t number;
    if (!net_address_read(text, &number))
        return false;
    ip4_addr_set_u32(address, lwip_htonl(number));
    return true;
}

// Reads "10.0.2.15/24"; without a prefix length it is 24.
static bool read_prefix(struct span text, ip4_addr_t *address, ip4_addr_t *mask)
{
    struct span host = span_cut(&text, '/');
    uint64_t bits = 24;
    if (text.length > 0 && !span_number(text, 32, &bits))
        return false;
    ip4_addr_set_u32(mask, bits == 0 ? 0 : lwip_htonl(0xffffffffu << (32 - bits)));
    return read_address(host, address);
}

static bool read_optional(const char *text, ip4_addr_t *address)
{
    return text[0] == '\0' || read_address(span_of(text), address);
}

static bool complain(const char *what, const char *value)
{
    log_line(LOG_ERROR, "net", "%s %s is not an IPv4 address.", what, value);
    return false;
}

bool net_setup_read(void)
{
    struct span address = span_of(net_settings.address);
    wanted.is_static = address.length > 0 && !span_equal_nocase(address, span_of("dhcp"));
    if (wanted.is_static && !read_prefix(address, &wanted.address, &wanted.mask))
        return complain("net.address", net_settings.address);
    if (!read_optional(net_settings.gateway, &wanted.gateway))
        return complain("net.gateway", net_settings.gateway);
    if (!read_optional(net_settings.dns, &wanted.dns))
        return complain("net.dns", net_settings.dns);
    return true;
}

/// Start ///

static void set_dns(void)
{
    ip_addr_t dns;
    ip_addr_copy_from_ip4(dns, wanted.dns);
    if (ip4_addr_isany_val(wanted.dns))
        return;
    dns_setserver(0, &dns);
    for (u8_t i = 1; i < DNS_MAX_SERVERS; i++)
        dns_setserver(i, NULL);
}

static void start_dhcp(struct netif *netif)
{
    dhcp_set_struct(netif, &dhcp);
    autoip_set_struct(netif, &autoip);
    netif_set_hostname(netif, net_settings.name);
    if (dhcp_start(netif) != ERR_OK)
        log_line(LOG_ERROR, "net", "DHCP can't start: it needs an MTU of 576");
}

void net_setup_start(void)
{
    told.link = true;
    set_dns();
    if (wanted.is_static)
        netif_set_addr(&net_interface, &wanted.address, &wanted.mask, &wanted.gateway);
    else
        start_dhcp(&net_interface);
}

/// Where lwIP's DHCP and AutoIP meet ///

static void stop_autoip(void)
{
    acd_stop(&autoip.acd); // autoip_stop() leaves it running, and its end would bind the address
    autoip_stop(&net_interface);
}

// Two things that lwIP 2.2.1 overlooks. A lease that comes while AutoIP still probes its own choice would be replaced
// by that when the probing ends. And an AutoIP that had stepped back for a lease is, to lwIP, still bound when that
// lease is lost, so it would never start again.
static void keep_autoip_in_step(void)
{
    bool leased = dhcp_supplied_address(&net_interface);
    if (leased && autoip.state == AUTOIP_STATE_CHECKING)
        stop_autoip();
    if (net_own_address() == 0 && autoip.state == AUTOIP_STATE_BOUND)
        stop_autoip();
}

// A renewed lease brings its own again.
static void keep_overrides(void)
{
    set_dns();
    if (!ip4_addr_isany_val(wanted.gateway) && net_own_origin() == NET_ORIGIN_DHCP &&
        !ip4_addr_eq(netif_ip4_gw(&net_interface), &wanted.gateway))
        netif_set_gw(&net_interface, &wanted.gateway);
}

/// Telling people ///

static void tell_where(enum net_origin origin)
{
    static const char *const names[] = {"", "static", "DHCP", "AutoIP"};
    char buffer[160];
    struct text urls = text_in(buffer, sizeof buffer);
    net_names_url(&urls);
    log_line(LOG_INFO, "net", "%s (%s)", text_end(&urls), names[origin]);
}

static void tell_address(uint32_t address, enum net_origin origin)
{
    char text[16];
    if (origin == NET_ORIGIN_AUTOIP)
        log_line(LOG_WARNING, "net", "no DHCP server answered: took %s by itself; DHCP is asked on",
                 net_address_text(address, text));
    if (address != 0)
        tell_where(origin);
    else
        log_line(LOG_WARNING, "net", "the address %s is gone", net_address_text(told.address, text));
}

// What was said before the link went is said again when it is back.
static void note_link(void)
{
    bool up = net_link_up() != 0;
    if (up == told.link)
        return;
    told.link = up;
    told.address = 0;
    told.origin = NET_ORIGIN_NONE;
    log_line(up ? LOG_INFO : LOG_WARNING, "net", "the link is %s", up ? "up" : "down");
    if (up) {
        net_names_restart();
        net_time_soon();
    }
}

static void note_address(void)
{
    enum net_origin origin = net_own_origin();
    uint32_t address = origin == NET_ORIGIN_NONE ? 0 : net_own_address();
    if (!told.link || (address == told.address && origin == told.origin))
        return;
    tell_address(address, origin);
    told.address = address;
    told.origin = origin;
    if (address == 0)
        return;
    net_names_restart();
    net_time_soon();
}

void net_setup_poll(void)
{
    if (!wanted.is_static) {
        keep_autoip_in_step();
        keep_overrides();
    }
    note_link();
    note_address();
}

/// What others ask ///

uint32_t net_own_address(void)
{
    return lwip_ntohl(ip4_addr_get_u32(netif_ip4_addr(&net_interface)));
}

uint32_t net_own_gateway(void)
{
    return lwip_ntohl(ip4_addr_get_u32(netif_ip4_gw(&net_interface)));
}

enum net_origin net_own_origin(void)
{
    if (net_own_address() == 0)
        return NET_ORIGIN_NONE;
    if (wanted.is_static)
        return NET_ORIGIN_STATIC;
    if (dhcp_supplied_address(&net_interface))
        return NET_ORIGIN_DHCP;
    return autoip_supplied_address(&net_interface) ? NET_ORIGIN_AUTOIP : NET_ORIGIN_NONE;
}

const char *net_origin_name(enum net_origin origin)
{
    static const char *const names[] = {"none", "static", "dhcp", "autoip"};
    return names[origin];
}

uint32_t net_link_up(void)
{
    return netif_is_link_up(&net_interface) ? 1 : 0;
}
