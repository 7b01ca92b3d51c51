// The history ring against a model that remembers every event ever appended.
#include "../../services/hub/events.h"
#include "../../services/hub/ring.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/// The model ///

#define STEPS  100000
#define EVENTS (STEPS + 4 * HUB_HISTORY + 1000)

struct kept {
    const char *at[RING_FORMATS];
    uint16_t length[RING_FORMATS];
    uint8_t who[2];
};

static struct kept model[EVENTS]; // by id
static uint64_t newest;
static const size_t capacity[RING_FORMATS] = {[RING_TEXT] = HUB_RING_TEXT, [RING_JSON] = HUB_RING_JSON};
static uint32_t seed = 20;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * sides) >> 32);
}

// Every byte tells which event and format it belongs to, and where in the frame it stands.
static uint8_t pattern(uint64_t id, unsigned format, size_t i)
{
    return (uint8_t)(id * 31 + format * 101 + i * 7 + (id >> 8) + (i >> 8));
}

static bool visible(uint64_t id, uint32_t who)
{
    const struct kept *k = &model[id];
    return k->who[0] == RING_EVERYBODY || k->who[0] == who || k->who[1] == who;
}

// True when the bytes at `at` are this event's frame.
static bool holds(uint64_t id, unsigned format, const char *at)
{
    for (size_t i = 0; i < model[id].length[format]; i++)
        if ((uint8_t)at[i] != pattern(id, format, i))
            return false;
    return true;
}

static size_t bytes_kept(unsigned format)
{
    size_t sum = 0;
    for (uint64_t id = ring_oldest(); id <= newest; id++)
        sum += model[id].length[format];
    return sum;
}

// The ring may say no only when its places or, but for what is left over at its end, its bytes are used up.
static void check_refusal(const size_t lengths[RING_FORMATS])
{
    bool reason = newest + 1 - ring_oldest() >= HUB_HISTORY;
    for (unsigned f = 0; f < RING_FORMATS && !reason; f++)
        reason = bytes_kept(f) + lengths[f] + HUB_FRAME >= capacity[f];
    assert_true(reason);
}

static void make_room(const size_t lengths[RING_FORMATS])
{
    if (!ring_fits(lengths) && dice(64) == 0)
        check_refusal(lengths);
    while (!ring_fits(lengths)) {
        uint64_t oldest = ring_oldest();
        assert_true(oldest <= newest); // an empty ring takes any frame
        ring_evict();
        assert_int_equal(ring_oldest(), oldest + 1);
        assert_int_equal(ring_newest(), newest);
    }
}

static void locate(uint64_t id, uint32_t who)
{
    for (unsigned f = 0; f < RING_FORMATS; f++) {
        uint64_t next = id;
        size_t wanted = 99;
        uint32_t events = 99;
        struct span run = ring_run((enum ring_format)f, who, &next, SIZE_MAX, &wanted, &events);
        assert_int_equal(run.length, model[id].length[f]);
        assert_int_equal(events, 1);
        assert_int_equal(wanted, 0);
        assert_int_equal(next, id + 1);
        assert_true(holds(id, f, run.at));
        model[id].at[f] = run.at;
    }
}

static void append(const size_t lengths[RING_FORMATS], struct ring_audience audience)
{
    uint8_t *at[RING_FORMATS];
    make_room(lengths);
    uint64_t id = ++newest;
    assert_true(id < EVENTS);
    for (unsigned f = 0; f < RING_FORMATS; f++)
        model[id].length[f] = (uint16_t)lengths[f];
    model[id].who[0] = (uint8_t)audience.who[0];
    model[id].who[1] = (uint8_t)audience.who[1];
    assert_int_equal(ring_append(lengths, audience, at), id);
    assert_int_equal(ring_newest(), id);
    for (unsigned f = 0; f < RING_FORMATS; f++)
        for (size_t i = 0; i < lengths[f]; i++)
            at[f][i] = pattern(id, f, i);
    locate(id, audience.who[0]);
}

static struct ring_audience random_audience(void)
{
    if (dice(4) != 0)
        return (struct ring_audience){{RING_EVERYBODY, 0}};
    uint32_t first = 1 + dice(3);
    return (struct ring_audience){{first, 1 + dice(3)}};
}

static size_t random_length(void)
{
    switch (dice(16)) {
    case 0:
        return 1 + dice(HUB_FRAME);
    case 1:
        return 2 + dice(2);
    default:
        return 10 + dice(120);
    }
}

static void append_random(void)
{
    size_t lengths[RING_FORMATS];
    for (unsigned f = 0; f < RING_FORMATS; f++)
        lengths[f] = random_length();
    append(lengths, random_audience());
}

/// Checks of one call against the model ///

// The run's frames in order, whole, and only those meant for `who`. Returns the id behind the last of them.
static uint64_t check_run(enum ring_format f, uint32_t who, uint64_t from, struct span run, uint32_t events)
{
    uint64_t id = from;
    size_t at = 0;
    for (; events > 0; events--) {
        while (!visible(id, who))
            id++;
        assert_true(id <= newest);
        assert_true(run.length - at >= model[id].length[f]);
        assert_ptr_equal(run.at + at, model[id].at[f]);
        if (dice(8) == 0)
            assert_true(holds(id, f, run.at + at));
        at += model[id].length[f];
        id++;
    }
    assert_int_equal(at, run.length);
    return id;
}

static uint64_t skip_hidden(uint64_t id, uint32_t who)
{
    while (id <= newest && !visible(id, who))
        id++;
    return id;
}

// A run ends only where the next frame is elsewhere in memory, or would be too much.
static void check_longest(enum ring_format f, uint32_t who, struct span run, uint64_t behind, size_t most)
{
    uint64_t id = skip_hidden(behind, who);
    if (id > newest || run.length == 0)
        return;
    if (model[id].at[f] == run.at + run.length)
        assert_true(run.length + model[id].length[f] > most);
}

static void check_one_run(enum ring_format f, uint32_t who, uint64_t from, size_t most)
{
    uint64_t next = from;
    size_t wanted = 99;
    uint32_t events = 99;
    struct span run = ring_run(f, who, &next, most, &wanted, &events);
    assert_true(run.length <= most);
    uint64_t behind = check_run(f, who, from, run, events);
    uint64_t first = skip_hidden(from, who);
    if (run.length > 0) {
        assert_int_equal(wanted, 0);
        assert_true(next >= behind && next <= skip_hidden(behind, who));
        check_longest(f, who, run, behind, most);
    } else if (first > newest) {
        assert_int_equal(wanted, 0);
        assert_int_equal(next, newest + 1);
    } else {
        assert_int_equal(wanted, model[first].length[f]);
        assert_true(wanted > most);
        assert_true(next <= first);
    }
}

// Frames in order, each whole inside one piece. Behind the first piece's last frame there may be the end of the ring,
// which was too short for the frame that came next.
static void check_memory(enum ring_format f, uint64_t from, uint64_t to)
{
    struct span pieces[2];
    ring_memory(f, from, to, pieces);
    size_t piece = 0, at = 0;
    for (uint64_t id = from; id < to; id++) {
        if (piece == 0 && model[id].at[f] != pieces[0].at + at) {
            assert_true(pieces[0].length - at < HUB_FRAME);
            piece = 1;
            at = 0;
        }
        assert_ptr_equal(pieces[piece].at + at, model[id].at[f]);
        at += model[id].length[f];
        assert_true(at <= pieces[piece].length);
    }
    assert_int_equal(at, pieces[piece].length);
    if (piece == 0)
        assert_int_equal(pieces[1].length, 0);
}

static uint64_t random_kept(void)
{
    uint64_t oldest = ring_oldest();
    return oldest + dice((uint32_t)(newest + 2 - oldest));
}

static void check_somewhere(void)
{
    enum ring_format f = (enum ring_format)dice(RING_FORMATS);
    uint64_t from = random_kept();
    size_t most = dice(4) == 0 ? SIZE_MAX : dice(3) == 0 ? dice(40) : dice(4000);
    check_one_run(f, 1 + dice(4), from, most); // 4 is in nobody's audience
}

/// Tests ///

static void test_empty_ring(void **state)
{
    (void)state;
    assert_int_equal(ring_newest(), 0);
    assert_int_equal(ring_oldest(), 1);
    check_one_run(RING_TEXT, 1, 1, SIZE_MAX);
    check_memory(RING_JSON, 1, 1);
}

static void test_one_event_of_the_greatest_length(void **state)
{
    (void)state;
    append((size_t[]){HUB_FRAME, HUB_FRAME}, (struct ring_audience){{RING_EVERYBODY, 0}});
    check_one_run(RING_TEXT, 1, newest, HUB_FRAME);
    check_one_run(RING_TEXT, 1, newest, HUB_FRAME - 1);
    check_memory(RING_TEXT, newest, newest + 1);
    ring_evict();
    assert_int_equal(ring_oldest(), ring_newest() + 1);
    check_one_run(RING_JSON, 1, newest + 1, SIZE_MAX);
}

static void test_private_frames_reach_their_two_alone(void **state)
{
    (void)state;
    uint64_t first = newest + 1;
    append((size_t[]){20, 40}, (struct ring_audience){{RING_EVERYBODY, 0}});
    append((size_t[]){21, 41}, (struct ring_audience){{1, 2}});
    append((size_t[]){22, 42}, (struct ring_audience){{RING_EVERYBODY, 0}});
    static const struct {
        uint32_t who;
        uint32_t events; // in all
        size_t bytes;
    } rows[] = {{1, 3, 63}, {2, 3, 63}, {3, 2, 42}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t next = first;
        uint32_t events = 0, n = 0;
        size_t wanted, bytes = 0;
        while (next <= newest) {
            struct span run = ring_run(RING_TEXT, rows[i].who, &next, SIZE_MAX, &wanted, &n);
            events += n;
            bytes += run.length;
        }
        assert_int_equal(events, rows[i].events);
        assert_int_equal(bytes, rows[i].bytes);
    }
}

// Events that are all for others leave nothing to send and nothing to wait for.
static void test_run_of_nothing_but_others_private_frames(void **state)
{
    (void)state;
    uint64_t first = newest + 1;
    for (int i = 0; i < 10; i++)
        append((size_t[]){30, 60}, (struct ring_audience){{1, 2}});
    uint64_t next = first;
    size_t wanted = 99;
    uint32_t events = 99;
    struct span run = ring_run(RING_JSON, 3, &next, 5, &wanted, &events);
    assert_int_equal(run.length, 0);
    assert_int_equal(wanted, 0);
    assert_int_equal(events, 0);
    assert_int_equal(next, newest + 1);
}

static void test_no_more_than_history_places(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * HUB_HISTORY + 3; i++)
        append((size_t[]){5, 6}, (struct ring_audience){{RING_EVERYBODY, 0}});
    assert_int_equal(newest + 1 - ring_oldest(), HUB_HISTORY);
    assert_false(ring_fits((size_t[]){1, 1}));
    check_one_run(RING_TEXT, 1, ring_oldest(), SIZE_MAX);
}

// Frames as long as they get, where one format's ring is full long before the other's.
static void test_longest_frames_in_one_format(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        append((size_t[]){HUB_FRAME, 2}, (struct ring_audience){{RING_EVERYBODY, 0}});
        check_memory(RING_TEXT, ring_oldest(), newest + 1);
        append((size_t[]){2, HUB_FRAME - (size_t)i}, (struct ring_audience){{RING_EVERYBODY, 0}});
        check_memory(RING_JSON, ring_oldest(), newest + 1);
    }
}

static void test_random_walk(void **state)
{
    (void)state;
    for (int step = 0; step < STEPS - 3000; step++) {
        append_random();
        check_somewhere();
        if (step % 64 == 0) {
            uint64_t from = random_kept();
            uint64_t to = from + dice((uint32_t)(newest + 2 - from));
            check_memory((enum ring_format)dice(RING_FORMATS), from, to);
        }
        if (dice(5000) == 0)
            while (ring_oldest() <= newest)
                ring_evict();
    }
}

// A reader that walks the ring from its oldest event on gets each visible frame once and in order.
static void test_whole_walks(void **state)
{
    (void)state;
    for (uint32_t who = 1; who <= 4; who++)
        for (unsigned f = 0; f < RING_FORMATS; f++) {
            uint64_t next = ring_oldest(), id = next;
            while (next <= newest) {
                uint64_t from = next;
                uint32_t events;
                size_t wanted;
                struct span run = ring_run((enum ring_format)f, who, &next, HUB_FRAME, &wanted, &events);
                id = check_run((enum ring_format)f, who, from, run, events);
                assert_true(next > from);
            }
            assert_int_equal(skip_hidden(id, who), newest + 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_ring),
        cmocka_unit_test(test_one_event_of_the_greatest_length),
        cmocka_unit_test(test_private_frames_reach_their_two_alone),
        cmocka_unit_test(test_run_of_nothing_but_others_private_frames),
        cmocka_unit_test(test_no_more_than_history_places),
        cmocka_unit_test(test_longest_frames_in_one_format),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_whole_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
