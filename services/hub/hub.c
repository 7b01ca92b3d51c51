#include "../../port/log.h"
#include "../../port/port.h"
#include "../users/users.h"
#include "client.h"
#include <string.h>

#define TICK_MS      1000 // pings, stalls and missed pongs
#define TICK_FAST_MS 100  // while somebody is paused or waits

POOL(chat_clients, struct client, HUB_CLIENTS);
struct pool *const hub_pool = &chat_clients;

_Static_assert(HUB_CLIENTS <= UINT16_MAX, "a roster counts slots in 16 bits");

struct hub_settings hub_settings = {.rate = 10, .ping = 25, .stall = 30};
struct hub_counters hub_counters;

const struct ring_audience hub_everybody = {{RING_EVERYBODY, RING_EVERYBODY}};
static uint32_t chatting;
static uint32_t guests;
static bool news; // the ring has grown in this turn
static uint64_t next_tick;

/// Walking ///

struct client *client_next(const struct client *c)
{
    uint32_t i = c == NULL ? 0 : pool_index(hub_pool, c) + 1;
    for (; i < hub_pool->fresh; i++)
        if (chat_clients_slots[i].state == CLIENT_CHATTING)
            return &chat_clients_slots[i];
    return NULL;
}

struct client *client_by_name(struct span name)
{
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c))
        if (span_equal_nocase(name, client_name(c)))
            return c;
    return NULL;
}

/// Saying ///

// The frames are written where they stay: what is there is let go first, so their lengths have to be known.
uint64_t hub_broadcast(struct event_content *event, struct ring_audience audience)
{
    size_t lengths[RING_FORMATS];
    uint8_t *at[RING_FORMATS];
    event->id = ring_newest() + 1;
    event->at = port_wall_ms();
    for (unsigned f = 0; f < RING_FORMATS; f++) {
        lengths[f] = event_length(f, event);
        if (lengths[f] > HUB_FRAME)
            return 0;
    }
    while (!ring_fits(lengths)) {
        hub_unpin(ring_oldest());
        ring_evict();
    }
    hub_counters.messages++;
    news = true;
    ring_append(lengths, audience, at);
    for (unsigned f = 0; f < RING_FORMATS; f++)
        event_write(f, event, at[f], lengths[f]);
    return event->id;
}

bool hub_say(struct span text)
{
    struct span line = {text.at, text.length < HUB_MESSAGE ? text.length : HUB_MESSAGE};
    struct event_content event = {.kind = EVENT_NOTICE, .text = line};
    return hub_broadcast(&event, hub_everybody) != 0;
}

/// Names ///

static void set_name(struct client *c, struct span name)
{
    c->name_length = (uint8_t)name.length;
    memcpy(c->name, name.at, name.length);
}

void client_rename(struct client *c, struct span name)
{
    char old[NAME_MAX_BYTES];
    struct event_content event = {.kind = EVENT_RENAME, .from = {old, c->name_length}, .to = name};
    memcpy(old, c->name, c->name_length);
    hub_broadcast(&event, hub_everybody);
    set_name(c, name);
}

static struct span guest_name(char buffer[NAME_MAX_BYTES])
{
    struct text t = text_in(buffer, NAME_MAX_BYTES);
    text_format(&t, "guest-%u", ++guests);
    return text_whole(&t);
}

// The account's own name, whoever wears it just now; a guest gets a new one.
static void name_newcomer(struct client *c, const struct hub_join *join)
{
    char buffer[NAME_MAX_BYTES];
    if (join->uid == 0) {
        set_name(c, guest_name(buffer));
        return;
    }
    struct client *wearer = client_by_name(join->name);
    if (wearer != NULL)
        client_rename(wearer, guest_name(buffer));
    set_name(c, join->name);
}

/// Leaving ///

static void leave(struct client *c)
{
    if (c->state != CLIENT_CHATTING)
        return;
    c->state = CLIENT_LEFT;
    chatting--;
    client_release_assembly(c);
    struct event_content event = {.kind = EVENT_LEAVE, .from = client_name(c)};
    hub_broadcast(&event, hub_everybody);
}

void client_close(struct client *c, uint16_t status, const char *reason)
{
    uint8_t frame[WS_CONTROL_MAX + 2];
    if (c->state != CLIENT_CHATTING)
        return;
    size_t n = ws_close_frame(frame, status, span_of(reason));
    net_send(c->conn, frame, n);
    net_close(c->conn);
    leave(c);
}

/// The connection's handlers ///

static size_t on_data(struct net_conn *conn, const uint8_t *bytes, size_t length)
{
    struct client *c = net_owner(conn);
    return client_receive(c, bytes, length);
}

static void on_room(struct net_conn *conn)
{
    struct client *c = net_owner(conn);
    client_acknowledged(c, port_now_ms());
    client_deliver(c);
    if (c->waiting)
        net_resume(conn);
}

static void on_closed(struct net_conn *conn, enum net_error why)
{
    struct client *c = net_owner(conn);
    log_line(LOG_DEBUG, "hub", "%.*s: %s", (int)c->name_length, c->name, net_error_name(why));
    leave(c);
    client_release_rescue(c);
    c->state = CLIENT_FREE;
    pool_give(hub_pool, c);
}

static const struct net_handlers handlers = {.data = on_data, .room = on_room, .closed = on_closed};

/// Joining ///

bool hub_full(void)
{
    return hub_pool->used == hub_pool->size;
}

// A second login of an account takes the place of the first.
static void replace_older(uint32_t uid)
{
    for (struct client *c = client_next(NULL); c != NULL && uid != 0; c = client_next(c))
        if (c->uid == uid) {
            client_notice(c, "you have connected from somewhere else; this connection ends");
            client_close(c, WS_REPLACED, "connected elsewhere");
            hub_counters.replaced++;
        }
}

// Where the newcomer's cursor begins. An id that was never given away comes from before a restart: then everything
// that is kept is new to it.
static uint64_t first_event(const struct hub_join *join)
{
    if (!join->resume)
        return ring_newest() + 1;
    return join->since > ring_newest() ? ring_oldest() : join->since + 1;
}

static void announce(struct client *c)
{
    struct event_content event = {.kind = EVENT_JOIN, .from = client_name(c)};
    c->joined = hub_broadcast(&event, hub_everybody);
    c->due = DUE_WELCOME;
    hub_counters.joined++;
}

bool hub_attach(struct net_conn *conn, const struct hub_join *join)
{
    if (hub_full())
        return false; // and the account keeps the connection that it has
    replace_older(join->uid);
    struct client *c = pool_take(hub_pool);
    uint64_t now = port_now_ms();
    name_newcomer(c, join);
    c->conn = conn;
    c->uid = join->uid;
    c->login = join->login;
    c->expires = join->expires;
    c->who = join->uid != 0 ? join->uid : GUEST_BIT | guests;
    c->format = join->json ? RING_JSON : RING_TEXT;
    c->next = c->safe = c->mark = first_event(join);
    c->since = c->next - 1;
    c->pinged = c->progress = c->talk_from = now;
    c->acknowledged = net_acknowledged(conn);
    ws_begin(&c->decoder, NULL); // receive.c lends it memory for each call
    c->state = CLIENT_CHATTING;
    chatting++;
    announce(c);
    net_hand_over(conn, &handlers, c);
    client_deliver(c); // its greeting follows its joining, also when others join in the same turn
    return true;
}

/// Ending others ///

static void end_login(struct client *c, const char *reason)
{
    client_notice(c, "%s", reason);
    client_close(c, WS_LOGIN_ENDED, reason);
}

void hub_close_account(uint32_t uid, const char *reason)
{
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c))
        if (c->uid == uid && uid != 0)
            end_login(c, reason);
}

// An account chats once at a time.
static struct client *client_by_login(uint32_t uid, uint16_t login)
{
    struct client *c = client_next(NULL);
    while (c != NULL && (c->uid != uid || c->login != login))
        c = client_next(c);
    return uid == 0 ? NULL : c;
}

void hub_close_login(uint32_t uid, uint16_t login, const char *reason)
{
    struct client *c = client_by_login(uid, login);
    if (c != NULL)
        end_login(c, reason);
}

void hub_renew_login(uint32_t uid, uint16_t login, uint16_t renewed, uint32_t expires)
{
    struct client *c = client_by_login(uid, login);
    if (c == NULL)
        return;
    c->login = renewed;
    c->expires = expires;
}

bool hub_has_login(uint32_t uid, uint16_t login)
{
    return client_by_login(uid, login) != NULL;
}

bool hub_kick(struct span name)
{
    struct client *c = client_by_name(name);
    if (c != NULL)
        client_close(c, WS_POLICY_VIOLATION, "the operator has ended this connection");
    return c != NULL;
}

bool hub_walk(uint32_t *at, struct span *name)
{
    const struct client *c = client_next(*at == 0 ? NULL : pool_slot(hub_pool, *at - 1));
    if (c == NULL)
        return false;
    *at = pool_index(hub_pool, c) + 1;
    *name = client_name(c);
    return true;
}

uint32_t hub_clients(void)
{
    return chatting;
}

uint64_t hub_newest(void)
{
    return ring_newest();
}

/// Time ///

// Taking it is no progress: a host takes the few bytes of a ping for a program that is asleep.
static void send_ping(struct client *c)
{
    uint8_t frame[WS_HEADER_MAX];
    size_t n = ws_header(frame, WS_PING, true, 0);
    if (net_send(c->conn, frame, n) == NET_OK)
        c->acknowledged += (uint32_t)n;
}

static void ping(struct client *c, uint64_t now)
{
    if (now - c->pinged < hub_settings.ping * 1000u)
        return;
    if (c->unanswered == 2) {
        client_close(c, WS_GOING_AWAY, "no answer to pings");
        return;
    }
    c->pinged = now;
    c->unanswered++;
    send_ping(c);
}

// Its window is shut and the announcement that it opens again may get lost: two bytes make TCP ask.
static void probe(struct client *c, uint64_t now)
{
    bool stuck = now - c->progress >= 2 * TICK_MS; // else it is merely this turn's news that it lacks
    if (stuck && c->next <= ring_newest() && net_sent(c->conn) == net_acknowledged(c->conn))
        send_ping(c);
}

static void cull(struct client *c, uint64_t now)
{
    client_acknowledged(c, now);
    if (!client_owes(c))
        c->progress = now;
    if (now - c->progress < hub_settings.stall * 1000u)
        return;
    hub_counters.culled++;
    client_close(c, WS_TRY_AGAIN_LATER, "you took nothing for too long");
}

static void expire(struct client *c, uint64_t now)
{
    if (c->expires == 0 || now / 1000 < c->expires)
        return;
    hub_counters.expired++;
    end_login(c, "your login has expired; log in again");
}

static void limit_assembly(struct client *c, uint64_t now)
{
    if (c->assembly != NULL && now - c->assembly->since >= ASSEMBLY_MS)
        client_close(c, WS_POLICY_VIOLATION, "the message took too long");
}

// A pause is over, or what it waits for may be there.
static bool wake(struct client *c, uint64_t now)
{
    if (c->paused && now - c->talk_from < TALK_WINDOW_MS)
        return true;
    if (c->paused || c->waiting)
        net_resume(c->conn);
    c->paused = false;
    return c->waiting;
}

static uint32_t tick(uint64_t now)
{
    bool hurry = false;
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c)) {
        hurry |= wake(c, now);
        limit_assembly(c, now);
        if (c->state == CLIENT_CHATTING)
            expire(c, now);
        if (c->state == CLIENT_CHATTING)
            cull(c, now);
        if (c->state == CLIENT_CHATTING)
            probe(c, now);
        if (c->state == CLIENT_CHATTING)
            ping(c, now);
    }
    return hurry ? TICK_FAST_MS : TICK_MS;
}

static void wake_waiting(void)
{
    waiting_may_go_on = false;
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c))
        if (c->waiting)
            net_resume(c->conn);
}

// Everything that was said in this turn goes out together, once per client.
static void deliver_all(void)
{
    news = false;
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c))
        client_deliver(c);
}

static uint32_t hub_step(uint64_t now)
{
    if (waiting_may_go_on)
        wake_waiting();
    if (now >= next_tick)
        next_tick = now + tick(now);
    if (news)
        deliver_all();
    return chatting == 0 ? SERVICE_IDLE : (uint32_t)(next_tick > now ? next_tick - now : 0);
}

static int hub_start(void)
{
    pool_list(hub_pool);
    return 0;
}

static void hub_stop(void)
{
    for (struct client *c = client_next(NULL); c != NULL; c = client_next(c))
        client_close(c, WS_GOING_AWAY, "the server stops");
}

static const struct metric metrics[] = {
    {"pipit_chat_clients", NULL, NULL, hub_clients, HELP("Chat clients connected.")},
    {"pipit_chat_joined_total", NULL, &hub_counters.joined, NULL, HELP("Clients that ever joined.")},
    {"pipit_chat_events_total", NULL, &hub_counters.messages, NULL, HELP("Events put into the history.")},
    {"pipit_chat_deliveries_total", NULL, &hub_counters.deliveries, NULL, HELP("Events sent to clients.")},
    {"pipit_chat_skips_total", NULL, &hub_counters.skips, NULL, HELP("Times a client fell out of the history.")},
    {"pipit_chat_skipped_total", NULL, &hub_counters.skipped, NULL, HELP("Events that clients missed so.")},
    {"pipit_chat_culled_total", NULL, &hub_counters.culled, NULL, HELP("Clients closed because they took nothing.")},
    {"pipit_chat_replaced_total", NULL, &hub_counters.replaced, NULL, HELP("Clients closed by a second login.")},
    {"pipit_chat_expired_total", NULL, &hub_counters.expired, NULL,
     HELP("Clients closed because their login expired.")},
    {"pipit_chat_paused_total", NULL, &hub_counters.limited, NULL, HELP("Pauses for talking too much.")},
    {"pipit_chat_protocol_errors_total", NULL, &hub_counters.protocol_errors, NULL,
     HELP("Clients that broke RFC 6455.")},
};

const struct service hub_service = {
    .name = "hub",
    .start = hub_start,
    .step = hub_step,
    .stop = hub_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
