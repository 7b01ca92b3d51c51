#include "status_client.h"
#include "../../port/pool.h"
#include <mbedtls/platform_util.h>
#include <string.h>

// `next` stands first: it is what a slot that was given back loses to the pool.
struct status_call {
    struct status_call *next;
    // What the service is asked; NULL once the call is over.
    void (*method)(struct status_call *call, uint64_t now_ms, struct status_node *node);
    bool wants_node;
    uint32_t turn; // in which it was made
    uint32_t uid;
    status_done *done;
    void *context;
    size_t token_length;
    char token[STATUS_TOKEN_BYTES + 1]; // one more, so that what is too long stays too long when it is cut off
};

POOL(status_calls, struct status_call, STATUS_CALLS);
static struct status_call *queue; // the oldest first
static uint32_t turn;
static struct {
    uint32_t calls;
    uint32_t failed;
    uint32_t refused;
} counters;

/// Queue ///

static void queue_append(struct status_call *call)
{
    struct status_call **end = &queue;
    while (*end != NULL)
        end = &(*end)->next;
    *end = call;
}

// Takes it out, wipes the token and gives the slot back.
static void end_call(struct status_call *call)
{
    struct status_call **at = &queue;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    mbedtls_platform_zeroize(call, sizeof *call);
    pool_give(&status_calls, call);
}

/// Methods ///

static struct span token_of(const struct status_call *call)
{
    return (struct span){call->token, call->token_length};
}

static void method_get_chat_server(struct status_call *call, uint64_t now_ms, struct status_node *node)
{
    *node = status_get_chat_server(call->uid, now_ms);
}

static void method_login(struct status_call *call, uint64_t now_ms, struct status_node *node)
{
    node->error = status_login(call->uid, token_of(call), now_ms);
}

static void method_logout(struct status_call *call, uint64_t now_ms, struct status_node *node)
{
    (void)now_ms;
    status_logout(call->uid, token_of(call));
    node->error = STATUS_OK;
}

/// Calls ///

static struct status_call *call_new(uint32_t uid, struct span token, status_done *done, void *context)
{
    struct status_call *call = pool_take(&status_calls);
    if (call == NULL) {
        counters.refused++;
        return NULL;
    }
    call->turn = turn;
    call->uid = uid;
    call->done = done;
    call->context = context;
    call->token_length = token.length < sizeof call->token ? token.length : sizeof call->token;
    if (call->token_length > 0)
        memcpy(call->token, token.at, call->token_length);
    queue_append(call);
    counters.calls++;
    return call;
}

struct status_call *status_client_get_chat_server(uint32_t uid, status_done *done, void *context)
{
    struct status_call *call = call_new(uid, (struct span){NULL, 0}, done, context);
    if (call != NULL) {
        call->method = method_get_chat_server;
        call->wants_node = true;
    }
    return call;
}

struct status_call *status_client_login(uint32_t uid, struct span token, status_done *done, void *context)
{
    struct status_call *call = call_new(uid, token, done, context);
    if (call != NULL)
        call->method = method_login;
    return call;
}

struct status_call *status_client_logout(uint32_t uid, struct span token, status_done *done, void *context)
{
    struct status_call *call = call_new(uid, token, done, context);
    if (call != NULL)
        call->method = method_logout;
    return call;
}

void status_client_cancel(struct status_call *call)
{
    if (call->method != NULL)
        end_call(call);
}

/// Turns ///

// The slot is free again before `done` runs, so the caller may make its next call from there.
static void carry_out(struct status_call *call, uint64_t now_ms)
{
    struct status_node node = {.error = STATUS_INTERNAL};
    call->method(call, now_ms, &node);
    status_done *done = call->done;
    void *context = call->context;
    bool wants_node = call->wants_node;
    if (node.error != STATUS_OK)
        counters.failed++;
    end_call(call);
    done(context, node.error, wants_node ? &node : NULL);
    mbedtls_platform_zeroize(&node, sizeof node);
}

// A call made since the last step may be of this very turn; it waits for the next one.
static uint32_t status_client_step(uint64_t now_ms)
{
    turn++;
    while (queue != NULL && turn - queue->turn >= 2)
        carry_out(queue, now_ms);
    return queue == NULL ? SERVICE_IDLE : 0;
}

static int status_client_start(void)
{
    pool_list(&status_calls);
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_status_calls_total", NULL, "counter", "Calls of the gate to the status service.", &counters.calls, NULL},
    {"pipit_status_calls_failed_total", NULL, "counter", "Those answered with an error.", &counters.failed, NULL},
    {"pipit_status_calls_refused_total", NULL, "counter", "Calls not made because too many were under way.",
     &counters.refused, NULL},
};

const struct service status_client_service = {
    .name = "status client",
    .start = status_client_start,
    .step = status_client_step,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
