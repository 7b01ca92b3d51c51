#include "demux.h"
#include "hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/tcp.h"
#include "net_private.h"
#include "pool.h"

struct node {
    struct tcp_pcb *pcb;
    struct tcp_pcb *before; // probably its predecessor in tcp_active_pcbs
    struct node *next;      // in its bucket
    struct node **bucket;   // lwIP has cleared the PCB's ports by the time it dies
};

POOL(demux_nodes, struct node, MEMP_NUM_TCP_PCB);
static struct node *buckets[DEMUX_BUCKETS];
static uint8_t arg_id;
unsigned demux_walks;

_Static_assert((DEMUX_BUCKETS & (DEMUX_BUCKETS - 1)) == 0, "DEMUX_BUCKETS must be a power of two");

/// The hash ///

// The remote end differs between connections; of ours only the port can.
static struct node **bucket(uint32_t remote, uint16_t remote_port, uint16_t local_port)
{
    uint32_t h = remote ^ ((uint32_t)remote_port << 16) ^ local_port;
    h *= 0x9e3779b1u;
    h ^= h >> 15;
    return &buckets[h & (DEMUX_BUCKETS - 1)];
}

static struct node **bucket_of(const struct tcp_pcb *pcb)
{
    return bucket(ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip)), pcb->remote_port, pcb->local_port);
}

static struct node *node_of(const struct tcp_pcb *pcb)
{
    return pcb == NULL ? NULL : tcp_ext_arg_get(pcb, arg_id);
}

static void guess_before(const struct tcp_pcb *pcb, struct tcp_pcb *before)
{
    struct node *n = node_of(pcb);
    if (n != NULL)
        n->before = before;
}

/// Births and deaths ///

static void on_destroyed(u8_t id, void *data)
{
    (void)id;
    struct node *n = data;
    if (n == NULL)
        return;
    struct node **link = n->bucket;
    while (*link != n)
        link = &(*link)->next;
    *link = n->next;
    net_pcb_destroyed(n->pcb);
    // tcp_slowtmr() frees a PCB whose `next` still points into the list; a guess that names it must not look right.
    n->pcb->next = NULL;
    pool_give(&demux_nodes, n);
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb);

static const struct tcp_ext_arg_callbacks callbacks = {.destroy = on_destroyed, .passive_open = on_passive_open};

static err_t insert(struct tcp_pcb *pcb)
{
    struct node *n = pool_take(&demux_nodes);
    if (n == NULL)
        return ERR_MEM;
    n->pcb = pcb;
    n->bucket = bucket_of(pcb);
    n->next = *n->bucket;
    *n->bucket = n;
    tcp_ext_arg_set_callbacks(pcb, arg_id, &callbacks);
    tcp_ext_arg_set(pcb, arg_id, n);
    guess_before(pcb->next, pcb); // it was just put at the head of the list
    return ERR_OK;
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
    (void)id;
    (void)listener;
    tcp_setprio(pcb, TCP_PRIO_MIN); // until it is accepted: see demux_listen()
    return insert(pcb);
}

void demux_start(void)
{
    pool_list(&demux_nodes);
    arg_id = tcp_ext_arg_alloc_id();
}

void demux_listen(struct tcp_pcb *listener)
{
    tcp_ext_arg_set_callbacks(listener, arg_id, &callbacks);
}

void demux_connect(struct tcp_pcb *pcb)
{
    insert(pcb); // without a node it is merely found the slow way
}

/// Looking up ///

static struct tcp_pcb *walk_before(const struct tcp_pcb *pcb)
{
    demux_walks++;
    struct tcp_pcb *before = tcp_active_pcbs;
    while (before != NULL && before->next != pcb)
        before = before->next;
    return before;
}

static void move_to_head(struct node *n)
{
    struct tcp_pcb *pcb = n->pcb;
    if (tcp_active_pcbs == pcb)
        return;
    struct tcp_pcb *before = n->before != NULL && n->before->next == pcb ? n->before : walk_before(pcb);
    if (before == NULL)
        return; // it is in no active list
    before->next = pcb->next;
    guess_before(pcb->next, before);
    pcb->next = tcp_active_pcbs;
    guess_before(pcb->next, pcb);
    tcp_active_pcbs = pcb;
}

static bool active(const struct tcp_pcb *pcb)
{
    return pcb->state != TIME_WAIT && pcb->state != CLOSED;
}

static struct node *find(uint32_t remote, uint16_t remote_port, uint32_t local, uint16_t local_port)
{
    struct node *n = *bucket(remote, remote_port, local_port);
    for (; n != NULL; n = n->next)
        if (n->pcb->remote_port == remote_port && n->pcb->local_port == local_port && active(n->pcb) &&
            ip4_addr_get_u32(ip_2_ip4(&n->pcb->remote_ip)) == remote &&
            ip4_addr_get_u32(ip_2_ip4(&n->pcb->local_ip)) == local)
            return n;
    return NULL;
}

int demux_ip4_input(struct pbuf *p, struct netif *netif)
{
    (void)netif;
    const struct ip_hdr *ip = p->payload;
    if (p->len < IP_HLEN || IPH_PROTO(ip) != IP_PROTO_TCP || p->len < IPH_HL_BYTES(ip) + TCP_HLEN)
        return 0;
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)(const void *)((const uint8_t *)ip + IPH_HL_BYTES(ip));
    struct node *n = find(ip->src.addr, lwip_ntohs(tcp->src), ip->dest.addr, lwip_ntohs(tcp->dest));
    if (n != NULL)
        move_to_head(n);
    return 0; // lwIP goes on with it
}
