#include "http_lobby.h"
#include "../../app/limits.h"
#include "../../port/pool.h"
#include "../../port/port.h"

#define WAIT_MS 5000

// What the gate's calls, their answers, a letter and a last word may need while somebody waits.
#define KEPT_FREE (RPC_CHANNELS + RPC_CONNECTIONS + MAIL_SESSIONS + 1)

struct waiter {
    struct net_conn *net;
    uint32_t since; // ms, and 0 in a free place
};

POOL(http_lobby, struct waiter, HTTP_LOBBY);

_Static_assert(offsetof(struct waiter, since) >= sizeof(void *), "a free place's link would hide that it is free");

static void leave(struct waiter *w)
{
    w->since = 0;
    pool_give(&http_lobby, w);
}

static size_t on_data(struct net_conn *net, const uint8_t *bytes, size_t length)
{
    (void)net;
    (void)bytes;
    (void)length;
    return 0;
}

static void on_ended(struct net_conn *net)
{
    leave(net_owner(net));
    net_leave(net);
}

static void on_closed(struct net_conn *net, enum net_error why)
{
    (void)why;
    leave(net_owner(net));
}

static const struct net_handlers handlers = {.data = on_data, .ended = on_ended, .closed = on_closed};

void http_lobby_start(void)
{
    pool_list(&http_lobby);
}

bool http_lobby_enter(struct net_conn *net)
{
    if (http_lobby.used == http_lobby.size || net_open() + KEPT_FREE > NET_CONNECTIONS)
        return false;
    struct waiter *w = pool_take(&http_lobby);
    *w = (struct waiter){net, (uint32_t)port_now_ms() | 1};
    net_hand_over(net, &handlers, w);
    return true;
}

bool http_lobby_empty(void)
{
    return http_lobby.used == 0;
}

static uint32_t waited(const struct waiter *w)
{
    return (uint32_t)port_now_ms() - w->since;
}

static struct waiter *oldest(void)
{
    struct waiter *first = NULL;
    for (uint32_t i = 0; i < http_lobby.fresh; i++) {
        struct waiter *w = pool_slot(&http_lobby, i);
        if (w->since != 0 && (first == NULL || (int32_t)(w->since - first->since) < 0))
            first = w;
    }
    return first;
}

static struct net_conn *call_in(struct waiter *w)
{
    if (w == NULL)
        return NULL;
    struct net_conn *net = w->net;
    leave(w);
    return net;
}

struct net_conn *http_lobby_next(void)
{
    return call_in(oldest());
}

struct net_conn *http_lobby_late(void)
{
    struct waiter *w = oldest();
    return w != NULL && (int32_t)waited(w) >= WAIT_MS ? call_in(w) : NULL;
}
