// The device's own seed in flash: never given twice, whatever moment the power goes.
#include "../../boards/common/seed_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGE  160 // bytes: four slots
#define LIVES 40

/// A flash of two pages, whose power may go at any step ///

static uint8_t pages[SEED_PAGES][PAGE];
static int steps_left; // words programmed and pages erased until the power goes; -1: never
static jmp_buf power_off;
static bool refuses;

static void step(void)
{
    if (steps_left == 0)
        longjmp(power_off, 1);
    if (steps_left > 0)
        steps_left--;
}

static bool erase(unsigned page)
{
    step();
    if (!refuses)
        memset(pages[page], 0xff, PAGE);
    return true;
}

// Flash clears bits, a word at a time. When the power goes, half of the word's bits have been cleared.
static bool program(unsigned page, size_t offset, const uint8_t *bytes, size_t length)
{
    assert_int_equal(offset % 4, 0);
    assert_int_equal(length % 4, 0);
    for (size_t i = 0; i < length && !refuses; i++) {
        if (i % 4 == 0 && steps_left == 0)
            for (size_t j = i; j < i + 4; j++)
                pages[page][offset + j] &= (uint8_t)(bytes[j] | 0xaa);
        if (i % 4 == 0)
            step();
        pages[page][offset + i] &= bytes[i];
    }
    return true;
}

static const struct seed_flash flash = {{pages[0], pages[1]}, PAGE, erase, program};

static int fresh_device(void **state)
{
    (void)state;
    memset(pages, 0xff, sizeof pages);
    static const uint8_t first[SEED_SLOT] = {1, 2, 3, [32] = 1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff};
    memcpy(pages[0], first, sizeof first);
    steps_left = -1;
    refuses = false;
    return 0;
}

/// What was ever given ///

static uint8_t given[LIVES][32];
static size_t given_count;

static void remember(const uint8_t seed[32])
{
    static const uint8_t zeros[32];
    assert_memory_not_equal(seed, zeros, 32);
    for (size_t i = 0; i < given_count; i++)
        assert_memory_not_equal(given[i], seed, 32);
    memcpy(given[given_count++], seed, 32);
}

static void live(void)
{
    uint8_t seed[32];
    assert_true(seed_pages_take(&flash, seed));
    remember(seed);
}

static void test_each_life_gets_another_seed(void **state)
{
    (void)state;
    given_count = 0;
    for (int i = 0; i < LIVES; i++)
        live();
}

// The seed that is given is not what lies in flash, before or after: who reads the flash later learns nothing of it.
static void test_what_is_given_is_nowhere_in_flash(void **state)
{
    (void)state;
    uint8_t seed[32];
    assert_true(seed_pages_take(&flash, seed));
    const uint8_t *all = pages[0];
    for (size_t i = 0; i + sizeof seed <= sizeof pages; i++)
        assert_memory_not_equal(all + i, seed, sizeof seed);
}

static void test_an_erased_device_has_none(void **state)
{
    (void)state;
    uint8_t seed[32];
    memset(pages, 0xff, sizeof pages);
    assert_false(seed_pages_take(&flash, seed));
    memset(pages, 0, sizeof pages);
    assert_false(seed_pages_take(&flash, seed));
}

// As in QEMU, which does not emulate programming: the seed stays as it is, so it must not be used.
static void test_flash_that_cannot_be_programmed_gives_none(void **state)
{
    (void)state;
    uint8_t seed[32], zeros[32] = {0};
    refuses = true;
    assert_false(seed_pages_take(&flash, seed));
    assert_memory_equal(seed, zeros, sizeof seed);
}

// A life that is cut off gets its seed from another reset later; what counts is that none is ever given twice, and that
// there always is another one. `cuts` counts the moments that were tried.
static void test_power_may_go_at_every_step(void **state)
{
    volatile unsigned cuts = 0;
    for (volatile int life = 0; life < 12; life++)
        for (volatile int cut = 0; cut < 12; cut++) {
            fresh_device(state);
            given_count = 0;
            for (int i = 0; i < life; i++)
                live();
            steps_left = cut;
            if (setjmp(power_off) == 0)
                live();
            else
                cuts++;
            steps_left = -1;
            live();
            live();
        }
    print_message("# %u moments of losing power\n", cuts);
    assert_in_range(cuts, 100, 144);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_life_gets_another_seed, fresh_device),
        cmocka_unit_test_setup(test_what_is_given_is_nowhere_in_flash, fresh_device),
        cmocka_unit_test_setup(test_an_erased_device_has_none, fresh_device),
        cmocka_unit_test_setup(test_flash_that_cannot_be_programmed_gives_none, fresh_device),
        cmocka_unit_test_setup(test_power_may_go_at_every_step, fresh_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
