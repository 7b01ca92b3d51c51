// IPv4 addresses as text, both ways.
#include "../../port/net.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *text;
    uint32_t address;
} pairs[] = {
    {"0.0.0.0", 0},
    {"10.0.2.15", 0x0a00020f},
    {"127.0.0.1", 0x7f000001},
    {"192.168.100.200", 0xc0a864c8},
    {"255.255.255.255", 0xffffffff},
};

#define PAIRS (sizeof pairs / sizeof pairs[0])

static void numbers_become_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAIRS; i++) {
        char buffer[16];
        assert_string_equal(net_address_text(pairs[i].address, buffer), pairs[i].text);
    }
}

static void text_becomes_a_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAIRS; i++) {
        uint32_t address = 1;
        assert_true(net_address_read(span_of(pairs[i].text), &address));
        assert_int_equal(address, pairs[i].address);
    }
}

static void anything_else_is_no_address(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",         ".",         "...",      "1.2.3",    "1.2.3.",    "1.2.3.4.",   "1.2.3.4.5",  ".1.2.3.4",
        "1..3.4",   "1.2.3.256", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4",  "1.2.3.4a",   "0x7f.0.0.1", "127.1",
        "16909060", "1,2,3,4",   "01.2.3.4", "1.2.3.00", "010.0.0.1", "1.2.3.4/24",
    };
    uint32_t address;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(net_address_read(span_of(wrong[i]), &address));
    assert_false(net_address_read((struct span){NULL, 0}, &address));
    assert_false(net_address_read((struct span){"1.2.3\0.4", 8}, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_become_text),
        cmocka_unit_test(text_becomes_a_number),
        cmocka_unit_test(anything_else_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
