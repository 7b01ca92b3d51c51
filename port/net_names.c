// Our name on the local network: lwIP's mDNS responder, which stays with a name only while nobody else has it.
#include "log.h"
#include "net.h"
#include "net_private.h"

#include "lwip/apps/mdns.h"
#include "lwip/netif.h"
#include <string.h>

#define NUMBER_MOST 99

_Static_assert(sizeof net_settings.name - 1 + sizeof "-99" - 1 <= MDNS_LABEL_MAXLEN, "a label has at most 63 bytes");

static char own[sizeof net_settings.name + sizeof "-99"]; // empty while mDNS is off
static unsigned number;                                   // of `own`: pipit is 1, pipit-2 is 2
static uint16_t http_port;                                // 0 until somebody advertises it
static int8_t http_slot;

/// lwIP's callbacks: they only record ///

static bool taken;

static void on_result(struct netif *netif, u8_t result, s8_t slot)
{
    (void)netif;
    (void)slot;
    taken |= result == MDNS_PROBING_CONFLICT;
}

static void on_text_wanted(struct mdns_service *service, void *userdata)
{
    static const char item[] = "path=/";
    (void)userdata;
    (void)mdns_resp_add_service_txtitem(service, item, sizeof item - 1);
}

/// Start ///

static void write_own(void)
{
    struct text t = text_in(own, sizeof own);
    text_string(&t, net_settings.name);
    if (number > 1)
        text_format(&t, "-%u", number);
    text_end(&t);
}

void net_names_start(void)
{
    if (net_settings.mdns == 0 || (net_interface.flags & NETIF_FLAG_IGMP) == 0)
        return;
    number = 1;
    write_own();
    mdns_resp_init();
    mdns_resp_register_name_result_cb(on_result);
    if (mdns_resp_add_netif(&net_interface, own) == ERR_OK)
        return;
    own[0] = '\0';
    log_line(LOG_ERROR, "net", "mDNS can't start: there is no memory");
}

// People see the service under the host's name, so both are renamed together.
void net_advertise_http(uint16_t port)
{
    http_port = port;
    if (own[0] != '\0')
        http_slot = mdns_resp_add_service(&net_interface, own, "_http", DNSSD_PROTO_TCP, port, on_text_wanted, NULL);
}

void net_names_restart(void)
{
    if (own[0] != '\0')
        mdns_resp_restart(&net_interface);
}

/// Another name ///

static void rename_all(void)
{
    mdns_resp_rename_netif(&net_interface, own);
    if (http_port != 0 && http_slot >= 0)
        mdns_resp_rename_service(&net_interface, (u8_t)http_slot, own);
}

// RFC 6762 section 9. Past the last number it begins again: somebody is making fun of us, or has left meanwhile.
void net_names_poll(void)
{
    char old[sizeof own];
    if (!taken)
        return;
    taken = false;
    memcpy(old, own, sizeof old);
    number = number < NUMBER_MOST ? number + 1 : 1;
    write_own();
    rename_all();
    log_line(LOG_WARNING, "net", "somebody else is %s.local; this is http://%s.local/", old, own);
}

/// What others ask ///

const char *net_own_name(void)
{
    return own[0] != '\0' ? own : net_settings.name;
}

static bool is_name(struct span name, const char *label)
{
    struct span first = span_of(label);
    if (!span_starts_nocase(name, first))
        return false;
    struct span rest = span_behind(name, first.length);
    return rest.length == 0 || span_equal_nocase(rest, span_of(".local"));
}

bool net_is_own_name(struct span name)
{
    return is_name(name, net_own_name()) || is_name(name, net_settings.name);
}

static void put_url(struct text *out, const char *host, const char *domain)
{
    text_format(out, "http://%s%s", host, domain);
    if (http_port != 0 && http_port != 80)
        text_format(out, ":%u", (unsigned)http_port);
    text_byte(out, '/');
}

void net_names_url(struct text *out)
{
    char address[16];
    put_url(out, net_address_text(net_own_address(), address), "");
    if (own[0] == '\0')
        return;
    text_string(out, " and ");
    put_url(out, own, ".local");
}
