#include "ring.h"

struct event {
    HUB_OFFSET at[RING_FORMATS];
    uint16_t length[RING_FORMATS];
    struct ring_audience audience;
};

_Static_assert(HUB_RING_TEXT - 1 <= (HUB_OFFSET)-1 && HUB_RING_JSON - 1 <= (HUB_OFFSET)-1,
               "HUB_OFFSET must reach every byte of the rings");

static uint8_t text_bytes[HUB_RING_TEXT];
static uint8_t json_bytes[HUB_RING_JSON];

static struct {
    uint8_t *const bytes;
    const uint32_t size;
    uint32_t head; // where the next frame goes
} formats[RING_FORMATS] = {
    [RING_TEXT] = {text_bytes, HUB_RING_TEXT, 0},
    [RING_JSON] = {json_bytes, HUB_RING_JSON, 0},
};

static struct event events[HUB_HISTORY];
static uint64_t oldest = 1, newest = 0;

static struct event *event_of(uint64_t id)
{
    return &events[id % HUB_HISTORY];
}

uint64_t ring_oldest(void)
{
    return oldest;
}

uint64_t ring_newest(void)
{
    return newest;
}

static bool is_empty(void)
{
    return oldest > newest;
}

// Where a frame of this length would go, or UINT32_MAX when an event has to be lost first. The head never catches up
// with the tail from behind, so equal offsets mean an empty ring.
static uint32_t place(enum ring_format f, size_t length)
{
    uint32_t head = formats[f].head, size = formats[f].size;
    if (is_empty())
        return length <= size ? 0 : UINT32_MAX;
    uint32_t tail = event_of(oldest)->at[f];
    if (head > tail) {
        if (length <= size - head)
            return head;
        return length < tail ? 0 : UINT32_MAX;
    }
    return length < tail - head ? head : UINT32_MAX;
}

bool ring_fits(const size_t lengths[RING_FORMATS])
{
    return newest + 1 - oldest < HUB_HISTORY && place(RING_TEXT, lengths[RING_TEXT]) != UINT32_MAX &&
           place(RING_JSON, lengths[RING_JSON]) != UINT32_MAX;
}

uint64_t ring_oldest_beside(const size_t lengths[RING_FORMATS])
{
    uint64_t now = oldest;
    while (!ring_fits(lengths))
        oldest++;
    uint64_t then = oldest;
    oldest = now;
    return then;
}

void ring_evict(void)
{
    oldest++;
}

uint64_t ring_append(const size_t lengths[RING_FORMATS], struct ring_audience audience, uint8_t *at[RING_FORMATS])
{
    struct event e = {.audience = audience};
    for (unsigned f = 0; f < RING_FORMATS; f++) {
        e.at[f] = (HUB_OFFSET)place(f, lengths[f]);
        e.length[f] = (uint16_t)lengths[f];
        at[f] = formats[f].bytes + e.at[f];
    }
    for (unsigned f = 0; f < RING_FORMATS; f++)
        formats[f].head = (uint32_t)e.at[f] + e.length[f];
    newest++;
    *event_of(newest) = e;
    return newest;
}

static bool is_for(const struct event *e, uint32_t who)
{
    return e->audience.who[0] == RING_EVERYBODY || e->audience.who[0] == who || e->audience.who[1] == who;
}

struct span ring_run(enum ring_format f, uint32_t who, uint64_t *next, size_t most, size_t *wanted, uint32_t *count)
{
    struct span run = {NULL, 0};
    *wanted = 0;
    *count = 0;
    for (; *next <= newest; (*next)++) {
        const struct event *e = event_of(*next);
        const char *at = (const char *)formats[f].bytes + e->at[f];
        if (!is_for(e, who))
            continue;
        if (run.length + e->length[f] > most) {
            *wanted = run.length == 0 ? e->length[f] : 0;
            break;
        }
        if (run.length > 0 && run.at + run.length != at)
            break;
        run.at = run.length == 0 ? at : run.at;
        run.length += e->length[f];
        (*count)++;
    }
    return run;
}

void ring_memory(enum ring_format f, uint64_t from, uint64_t to, struct span pieces[2])
{
    pieces[0] = pieces[1] = (struct span){NULL, 0};
    if (from >= to)
        return;
    const struct event *first = event_of(from), *last = event_of(to - 1);
    const char *bytes = (const char *)formats[f].bytes;
    uint32_t end = (uint32_t)last->at[f] + last->length[f];
    if (first->at[f] < end) {
        pieces[0] = (struct span){bytes + first->at[f], end - first->at[f]};
        return;
    }
    pieces[0] = (struct span){bytes + first->at[f], formats[f].size - first->at[f]};
    pieces[1] = (struct span){bytes, end};
}
