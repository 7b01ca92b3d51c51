// The device's names where there is no room for mDNS: the address is what others can reach it by.
#include "../net.h"
#include "../net_private.h"

static uint16_t http_port;

void net_names_start(void)
{
}

void net_names_poll(void)
{
}

void net_names_restart(void)
{
}

void net_advertise_http(uint16_t port)
{
    http_port = port;
}

const char *net_own_name(void)
{
    return net_settings.name;
}

bool net_is_own_name(struct span name)
{
    return span_equal_nocase(name, span_of(net_settings.name));
}

void net_names_url(struct text *out)
{
    char address[16];
    text_format(out, "http://%s", net_address_text(net_own_address(), address));
    if (http_port != 0 && http_port != 80)
        text_format(out, ":%u", (unsigned)http_port);
    text_byte(out, '/');
}
