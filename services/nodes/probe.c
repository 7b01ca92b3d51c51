#include "probe.h"
#include "../../port/net.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/trail.h"
#include "../service.h"
#include "scrape.h"

#define REQUEST_MAX 256
#define WHY_MAX     100

enum state {
    STATE_IDLE,
    STATE_DIALLING, // until the request was sent
    STATE_READING,
    STATE_LEAVING, // nobody waits for it any more but the connection's own end
};

static const char *const state_names[] = {"IDLE", "DIALLING", "READING", "LEAVING"};

struct probe {
    struct net_conn *conn;
    struct probe_target target;
    probe_done *done;
    void *context; // NULL once it was called
    uint64_t deadline;
    uint8_t state;
    struct scrape scrape;
};

POOL(node_probes, struct probe, NODES_PROBES);

static void change(struct probe *p, enum state state)
{
    trail_change("status", "probe", pool_index(&node_probes, p), state_names[p->state], state_names[state]);
    p->state = (uint8_t)state;
}

/// The verdict ///

static void tell(struct probe *p, const struct probe_answer *answer)
{
    void *context = p->context;
    p->context = NULL;
    change(p, STATE_LEAVING);
    p->done(context, answer);
}

static void tell_lost(struct probe *p, const struct text *why)
{
    tell(p, &(struct probe_answer){.verdict = PROBE_LOST, .why = text_whole(why)});
}

static void tell_verdict(struct probe *p, enum scrape_verdict verdict)
{
    char buffer[WHY_MAX];
    struct text why = text_in(buffer, sizeof buffer);
    if (verdict == SCRAPE_FOUND) {
        tell(p, &(struct probe_answer){.verdict = PROBE_ALIVE, .load = p->scrape.load});
        return;
    }
    scrape_explain(&p->scrape, &why);
    tell_lost(p, &why);
}

// What is left of a proper answer comes during net_close(), so the node does not see a reset; one without an end is
// cut.
static void judge(struct probe *p, enum scrape_verdict verdict)
{
    if (verdict == SCRAPE_MORE)
        return;
    tell_verdict(p, verdict);
    if (verdict == SCRAPE_TOO_LONG)
        net_abort(p->conn);
    else
        net_close(p->conn);
}

/// Handlers ///

static struct text request(const struct probe_target *target, char buffer[REQUEST_MAX])
{
    struct text out = text_in(buffer, REQUEST_MAX);
    text_string(&out, "GET /metrics HTTP/1.1\r\nHost: ");
    text_span(&out, target->host);
    text_byte(&out, ':');
    text_span(&out, target->port);
    text_string(&out, "\r\nUser-Agent: pipit\r\nAccept: text/plain\r\nConnection: close\r\n\r\n");
    return out;
}

// Without room it is tried again when there is some. A probe that was cancelled while it dialled comes here too.
static void ask(struct net_conn *c)
{
    struct probe *p = net_owner(c);
    char buffer[REQUEST_MAX];
    if (p->state != STATE_DIALLING)
        return;
    struct text out = request(&p->target, buffer);
    if (net_send(c, out.at, out.length) == NET_OK)
        change(p, STATE_READING);
}

static size_t on_data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    struct probe *p = net_owner(c);
    judge(p, scrape_feed(&p->scrape, bytes, length));
    return length;
}

static void on_ended(struct net_conn *c)
{
    struct probe *p = net_owner(c);
    judge(p, scrape_end(&p->scrape));
}

static void tell_closed(struct probe *p, enum net_error why)
{
    char buffer[WHY_MAX];
    struct text reason = text_in(buffer, sizeof buffer);
    if (why == NET_NO_SLOT) {
        tell(p, &(struct probe_answer){.verdict = PROBE_UNTOLD});
        return;
    }
    text_format(&reason, "%s: %s", p->state == STATE_DIALLING ? "cannot be reached" : "broke off", net_error_name(why));
    tell_lost(p, &reason);
}

static void on_closed(struct net_conn *c, enum net_error why)
{
    struct probe *p = net_owner(c);
    if (p->state != STATE_LEAVING)
        tell_closed(p, why);
    change(p, STATE_IDLE);
    pool_give(&node_probes, p);
}

static const struct net_handlers handlers = {
    .opened = ask, .data = on_data, .ended = on_ended, .room = ask, .closed = on_closed};

/// Probes ///

void probe_list(void)
{
    pool_list(&node_probes);
}

bool probe_free(void)
{
    return node_probes.used < node_probes.size;
}

bool probe_start(const struct probe_target *target, probe_done *done, void *context)
{
    struct probe *p = pool_take(&node_probes);
    if (p == NULL)
        return false;
    p->target = *target;
    p->done = done;
    p->context = context;
    p->deadline = port_now_ms() + PROBE_PATIENCE_MS;
    scrape_begin(&p->scrape);
    p->conn = net_dial(target->host, target->number, PROBE_PATIENCE_MS, &handlers, p);
    if (p->conn == NULL) {
        pool_give(&node_probes, p);
        return false;
    }
    change(p, STATE_DIALLING);
    return true;
}

void probe_cancel(const void *context)
{
    for (uint32_t i = 0; i < node_probes.fresh; i++) {
        struct probe *p = pool_slot(&node_probes, i);
        if (p->state == STATE_IDLE || p->context != context)
            continue;
        p->context = NULL;
        change(p, STATE_LEAVING);
        net_abort(p->conn);
    }
}

static void tell_late(struct probe *p)
{
    char buffer[WHY_MAX];
    struct text why = text_in(buffer, sizeof buffer);
    text_format(&why, "%s within %u s", p->state == STATE_DIALLING ? "cannot be reached" : "no answer",
                PROBE_PATIENCE_MS / 1000u);
    tell_lost(p, &why);
}

static void give_up(struct probe *p)
{
    if (p->state != STATE_LEAVING)
        tell_late(p);
    net_abort(p->conn);
}

uint32_t probe_step(uint64_t now_ms)
{
    uint32_t sleep = SERVICE_IDLE;
    for (uint32_t i = 0; i < node_probes.fresh; i++) {
        struct probe *p = pool_slot(&node_probes, i);
        if (p->state == STATE_IDLE)
            continue;
        if (now_ms >= p->deadline)
            give_up(p);
        else if (p->deadline - now_ms < sleep)
            sleep = (uint32_t)(p->deadline - now_ms);
    }
    return sleep;
}
