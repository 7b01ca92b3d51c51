// The second stack.
#include "../../app/limits.h"
#include "../../port/scratch.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_what_was_taken_last_goes_first(void **state)
{
    (void)state;
    uint8_t *first = scratch_take(1);
    uint8_t *second = scratch_take(SCRATCH_ALIGNMENT + 1);
    assert_ptr_equal(second, first + SCRATCH_ALIGNMENT);
    scratch_give(second);
    assert_ptr_equal(scratch_take(5), second);
    scratch_give(second);
    scratch_give(first);
    assert_ptr_equal(scratch_take(SCRATCH_BYTES), first); // all of it
    memset(first, 0xa5, SCRATCH_BYTES);
    scratch_give(first);
}

static void test_everything_is_aligned(void **state)
{
    (void)state;
    uint8_t *taken[SCRATCH_BYTES / SCRATCH_ALIGNMENT];
    for (size_t i = 0; i < SCRATCH_BYTES / SCRATCH_ALIGNMENT; i++) {
        taken[i] = scratch_take(1 + i % SCRATCH_ALIGNMENT);
        assert_int_equal((uintptr_t)taken[i] % SCRATCH_ALIGNMENT, 0);
    }
    for (size_t i = SCRATCH_BYTES / SCRATCH_ALIGNMENT; i > 0; i--)
        scratch_give(taken[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_taken_last_goes_first),
        cmocka_unit_test(test_everything_is_aligned),
    };
    return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
