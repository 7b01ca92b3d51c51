// Pools: a fixed number of slots, none lost, none given out twice.
#include "../../port/pool.h"
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct thing {
    void *pointer;
    uint8_t bytes[21]; // an odd size, rounded up by the compiler
};

// The smallest slot that a free list fits in.
struct link {
    void *next;
};

#define THINGS 5
POOL(things, struct thing, THINGS);
POOL(links, struct link, 1);

static int nothing_is_left(void **state)
{
    (void)state;
    return machine_pools_used() == 0 ? 0 : -1;
}

static void take_all(struct thing *taken[THINGS])
{
    for (int i = 0; i < THINGS; i++) {
        taken[i] = pool_take(&things);
        assert_non_null(taken[i]);
        memset(taken[i], 0xa5, sizeof *taken[i]);
    }
}

static void give_all(struct thing *taken[THINGS])
{
    for (int i = 0; i < THINGS; i++)
        pool_give(&things, taken[i]);
}

static void slots_are_apart_and_inside(void **state)
{
    (void)state;
    struct thing *taken[THINGS];
    take_all(taken);
    for (int i = 0; i < THINGS; i++) {
        assert_in_range((uintptr_t)taken[i], (uintptr_t)things_slots, (uintptr_t)(things_slots + THINGS - 1));
        assert_int_equal(((uintptr_t)taken[i] - (uintptr_t)things_slots) % sizeof(struct thing), 0);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(taken[i], taken[j]);
    }
    give_all(taken);
}

static void a_slot_is_zeroed_also_when_it_was_used_before(void **state)
{
    (void)state;
    static const struct thing zero;
    struct thing *taken[THINGS];
    take_all(taken);
    give_all(taken);
    for (int i = 0; i < THINGS; i++) {
        taken[i] = pool_take(&things);
        assert_memory_equal(taken[i], &zero, sizeof zero);
    }
    give_all(taken);
}

static void an_exhausted_pool_refuses_and_counts_it(void **state)
{
    (void)state;
    struct thing *taken[THINGS];
    take_all(taken);
    uint32_t refused = things.refused;
    assert_null(pool_take(&things));
    assert_null(pool_take(&things));
    assert_int_equal(things.refused, refused + 2);
    assert_int_equal(things.used, THINGS);
    pool_give(&things, taken[2]);
    struct thing *again = pool_take(&things);
    assert_ptr_equal(again, taken[2]);
    assert_null(pool_take(&things));
    give_all(taken);
}

static void use_and_high_water_are_counted(void **state)
{
    (void)state;
    static struct pool fresh;
    static struct link slots[3];
    fresh = (struct pool){.name = "fresh", .slots = slots, .slot_size = sizeof slots[0], .size = 3};
    void *a = pool_take(&fresh);
    void *b = pool_take(&fresh);
    assert_int_equal(fresh.used, 2);
    assert_int_equal(fresh.high_water, 2);
    pool_give(&fresh, a);
    assert_int_equal(fresh.used, 1);
    assert_int_equal(fresh.high_water, 2);
    a = pool_take(&fresh);
    assert_int_equal(fresh.high_water, 2);
    pool_give(&fresh, a);
    pool_give(&fresh, b);
    assert_int_equal(fresh.used, 0);
    assert_int_equal(fresh.refused, 0);
}

static void index_and_slot_are_each_others_inverse(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < THINGS; i++) {
        void *slot = pool_slot(&things, i);
        assert_ptr_equal(slot, &things_slots[i]);
        assert_int_equal(pool_index(&things, slot), i);
    }
}

// A long random history of takes and gives against a model of one flag a slot.
static void a_random_history_loses_nothing(void **state)
{
    (void)state;
    bool taken[THINGS] = {false};
    uint32_t count = 0, random = 12345;
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t pick = (random >> 16) % THINGS;
        if ((random & 0x8000u) != 0) {
            struct thing *slot = pool_take(&things);
            assert_int_equal(slot != NULL, count < THINGS);
            if (slot != NULL) {
                uint32_t index = pool_index(&things, slot);
                assert_false(taken[index]);
                taken[index] = true;
                count++;
            }
        } else if (taken[pick]) {
            memset(pool_slot(&things, pick), 0xff, sizeof(struct thing));
            pool_give(&things, pool_slot(&things, pick));
            taken[pick] = false;
            count--;
        }
        assert_int_equal(things.used, count);
    }
    for (uint32_t i = 0; i < THINGS; i++)
        if (taken[i])
            pool_give(&things, pool_slot(&things, i));
}

static uint32_t times_listed(const struct pool *wanted)
{
    uint32_t times = 0;
    for (struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p))
        times += p == wanted;
    return times;
}

static void a_pool_is_listed_once(void **state)
{
    (void)state;
    pool_list(&links);
    pool_list(&links);
    void *link = pool_take(&links);
    assert_null(pool_take(&links));
    assert_int_equal(times_listed(&links), 1);
    assert_int_equal(machine_pools_used(), 1);
    pool_give(&links, link);
    assert_int_equal(times_listed(&things), 1);
    assert_string_equal(links.name, "links");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(slots_are_apart_and_inside, nothing_is_left),
        cmocka_unit_test_teardown(a_slot_is_zeroed_also_when_it_was_used_before, nothing_is_left),
        cmocka_unit_test_teardown(an_exhausted_pool_refuses_and_counts_it, nothing_is_left),
        cmocka_unit_test_teardown(use_and_high_water_are_counted, nothing_is_left),
        cmocka_unit_test_teardown(index_and_slot_are_each_others_inverse, nothing_is_left),
        cmocka_unit_test_teardown(a_random_history_loses_nothing, nothing_is_left),
        cmocka_unit_test_teardown(a_pool_is_listed_once, nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
