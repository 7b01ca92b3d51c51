#include "verify_client.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include <mbedtls/platform_util.h>
#include <string.h>

// `next` stands first: it is what a slot that was given back loses to the pool.
struct verify_call {
    struct verify_call *next;
    bool under_way;
    uint32_t turn; // in which it was made
    uint64_t asked_ms;
    verify_done *done;
    void *context;
    size_t email_length;
    char email[EMAIL_MAX_BYTES + 1]; // one more, so that what is too long stays too long when it is cut off
};

POOL(verify_calls, struct verify_call, VERIFY_CALLS);
static struct verify_call *queue; // the oldest first
static uint32_t turn;
static struct {
    uint32_t calls;
    uint32_t failed;
    uint32_t refused;
} counters;

/// Queue ///

static void queue_append(struct verify_call *call)
{
    struct verify_call **end = &queue;
    while (*end != NULL)
        end = &(*end)->next;
    *end = call;
}

// Takes it out and gives its slot back.
static void end_call(struct verify_call *call)
{
    struct verify_call **at = &queue;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->under_way = false;
    pool_give(&verify_calls, call);
}

/// Calls ///

struct verify_call *verify_client_get_code(struct span email, verify_done *done, void *context)
{
    struct verify_call *call = pool_take(&verify_calls);
    if (call == NULL) {
        counters.refused++;
        return NULL;
    }
    call->under_way = true;
    call->turn = turn;
    call->asked_ms = port_now_ms();
    call->done = done;
    call->context = context;
    call->email_length = email.length < sizeof call->email ? email.length : sizeof call->email;
    if (call->email_length > 0)
        memcpy(call->email, email.at, call->email_length);
    queue_append(call);
    counters.calls++;
    return call;
}

void verify_client_cancel(struct verify_call *call)
{
    if (call->under_way)
        end_call(call);
}

/// Turns ///

// The slot is free again before `done` runs, so the caller may make its next call from there.
static void carry_out(struct verify_call *call)
{
    struct verify_reply reply = verify_get_code((struct span){call->email, call->email_length}, call->asked_ms);
    verify_done *done = call->done;
    void *context = call->context;
    if (reply.error != VERIFY_OK)
        counters.failed++;
    end_call(call);
    done(context, &reply);
    mbedtls_platform_zeroize(&reply, sizeof reply);
}

// A call made since the last step may be of this very turn; it waits for the next one.
static uint32_t verify_client_step(uint64_t now_ms)
{
    (void)now_ms;
    turn++;
    while (queue != NULL && turn - queue->turn >= 2)
        carry_out(queue);
    return queue == NULL ? SERVICE_IDLE : 0;
}

static int verify_client_start(void)
{
    pool_list(&verify_calls);
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_verify_calls_total", NULL, "counter", "Calls of the gate to the verify service.", &counters.calls, NULL},
    {"pipit_verify_calls_failed_total", NULL, "counter", "Those that brought no code.", &counters.failed, NULL},
    {"pipit_verify_calls_refused_total", NULL, "counter", "Calls not made because too many were under way.",
     &counters.refused, NULL},
};

const struct service verify_client_service = {
    .name = "verify client",
    .start = verify_client_start,
    .step = verify_client_step,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
