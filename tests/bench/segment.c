// What a received segment costs, in instructions, with many connections: segment.sh counts them under callgrind.
//
//     segment CONNECTIONS SEGMENTS [slow]      "slow" leaves lwIP's linear search alone
#include "../../port/hooks.h"
#include "../../port/net.h"
#include "../unit/peer_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int __real_demux_ip4_input(struct pbuf *p, struct netif *netif);
int __wrap_demux_ip4_input(struct pbuf *p, struct netif *netif);

static struct peer peers[NET_CONNECTIONS];
static uint32_t unlimited;
static uint32_t received;
static bool slow;

// The linker puts this in the look-up's place (--wrap).
int __wrap_demux_ip4_input(struct pbuf *p, struct netif *netif)
{
    return slow ? 0 : __real_demux_ip4_input(p, netif);
}

static void opened(struct net_conn *c)
{
    (void)c;
}

static size_t data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    received += (uint32_t)length;
    return length;
}

static void closed(struct net_conn *c, enum net_error why)
{
    (void)c;
    (void)why;
}

static const struct net_handlers handlers = {.opened = opened, .data = data, .closed = closed};

int main(int argc, char **argv)
{
    uint32_t connections = argc > 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t segments = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    slow = argc > 3 && strcmp(argv[3], "slow") == 0;
    if (connections == 0 || connections > NET_CONNECTIONS) {
        fprintf(stderr, "segment: say how many connections (1 to %d) and segments\n", NET_CONNECTIONS);
        return 2;
    }
    peer_network_start();
    if (net_listen(80, false, &handlers, &unlimited) != 0)
        return 1;
    for (uint32_t i = 0; i < connections; i++)
        peer_open(&peers[i], 80);
    for (uint32_t i = 0; i < segments; i++) {
        peer_send_text(&peers[i % connections], "x");
        peer_turn();
    }
    if (received != segments) {
        fprintf(stderr, "segment: %u of %u segments arrived\n", received, segments);
        return 1;
    }
    return 0;
}
