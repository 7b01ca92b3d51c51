// PBKDF2 against RFC 7914, Python's hashlib and itself in other slices; SipHash against OpenSSL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../port/text.h"
#include "../../services/users/pbkdf2.h"
#include "../../services/users/siphash.h"

static void assert_key(const struct pbkdf2 *p, const char *expected)
{
    char digits[2 * PBKDF2_BLOCK + 1];
    struct text t = text_in(digits, sizeof digits);
    text_hex(&t, p->key, sizeof p->key);
    assert_string_equal(text_end(&t), expected);
}

static void assert_derived(struct span password, struct span salt, uint32_t block, uint32_t rounds,
                           const char *expected)
{
    struct pbkdf2 p;
    pbkdf2_begin(&p, password, salt, block, rounds);
    assert_true(pbkdf2_step(&p, rounds));
    assert_key(&p, expected);
}

// RFC 7914 section 11: keys of 64 bytes, so two blocks each.
static void rfc_7914(void **state)
{
    (void)state;
    struct span password = span_of("passwd"), salt = span_of("salt");
    assert_derived(password, salt, 1, 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    assert_derived(password, salt, 2, 1, "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    password = span_of("Password"), salt = span_of("NaCl");
    assert_derived(password, salt, 1, 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
    assert_derived(password, salt, 2, 80000, "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
}

/// Against hashlib ///

// Byte i of a password is 7 i + 1, of a salt 7 i + 101. The lengths stand around SHA-256's block and padding.
static const struct {
    size_t password;
    size_t salt;
    uint32_t rounds;
    const char *first; // pbkdf2_hmac("sha256", password, salt, rounds, 96)[0:32]
    const char *third; // [64:96]
} known[] = {
    {0, 0, 1, "f7ce0b653d2d72a4108cf5abe912ffdd777616dbbb27a70e8204f3ae2d0f6fad",
     "894991447213bb226c25b54da86370fbcd984380374666bb8ffcb5bf40c254b0"},
    {0, 16, 2, "5b9d2c2ccc14d6b94ce6199dddf549d3c0737a9602fbd066efd94f9b912a661c",
     "e2c3bf3a6e2e69d6ec8497d1af2fff31642b5a60ae8ea121a34d5d908873b4e0"},
    {1, 0, 3, "f45dcd9bb6398c2f5158a09ca6a8c6eeeae3c538fa7b30ccecbac64654ef3077",
     "99b2fb0c6f40b2f72bcac276eb4d9d9c70457ff1bb8916382f078e60608b0bd6"},
    {6, 16, 1000, "c6ebd704078c6dfcb0e43da4f3201998bfb65cd65986e90926a671fcfe65f0cb",
     "5a19656a189f81186d613e09c2438cade76cf8cdcd853e628f8af2920d597f86"},
    {31, 8, 257, "31e08758cd4dd7299eb4651f843a98138aecd90ad1c3e7fdf1f4e3d096635b23",
     "17aa9e60562997163ca9638806bc104c751b2afa405f5de582edee82ac046c13"},
    {32, 55, 5, "d2367b1e15b0e9301e69a9ffd99cde4f695b180ca1ecd30c2d87743cb1cbe0e8",
     "9b3a0cec4554a34c4566868a3209b99cfea055b10de037b8192c1cb25870943f"},
    {63, 56, 4, "0e8fac8cdf43dea8dd19294f8a54235a847f8e2ade472cee9ca18798d79bcbff",
     "6a05440e1badd6de1f8f5432bb5b8754b47a87c273d042fc07acf23c347a60a6"},
    {64, 16, 1000, "fb623b8d0aa95e3f7d088cfdb9490a8e3ff2fa6ecb2165f6c7e82ef164bcdbe7",
     "519a55b70e3e05655da8cd3a2ec5c308acecc97386492f01193a26488af5b4ca"},
    {65, 63, 9, "9e3dad3e7b1abeb23d65bfd04e999188ed00737ea3d863d95c5a9ad9c58f6df2",
     "75d708963486e5f9303b08c1f9a02254c5daeffec2587a1036b12ab9571a60eb"},
    {64, 64, 2, "ec90ec20c97725791b516be4fbfced462231b680e2028d049c8746785c5f2cfc",
     "ff441189fa9270823086a71d654aebf6a31a5d7628fa68831ce4ad94aa5d3c8c"},
    {127, 65, 7, "501fcc72da2792af04d7a6223d8586eb8c339c7b22d2e34f9a1aa248119eb225",
     "9139103178645cd347640232bebc437924fbd9e32274630fb3366155dc2d7030"},
    {128, 119, 3, "68af1914104919dec25e4e7cce8ec0ceede2aee2c6ea1bcdb95cb6064c501151",
     "51b344454649dab0af1fd75a2e5cbed02b45928424cc71a06b4cc988f2a28d13"},
    {200, 120, 11, "96c800efd4baa77151842497d68a13d82e81e82e8b2a6b2d0fca340e51ee05e3",
     "f9203cb6769657a609850be08bc3eedd4a235fc84eaa77dada3dc886fe2d7c16"},
    {255, 300, 2, "ef7ede2d9f32591779eed1de1b1e28bc69fb29e26d72e68bab57cfdcba7f7517",
     "8d5e5a39b04505bf3d15afa4e4fe5031d0116f9b13b56fc838122120021ae2c5"},
};

static struct span pattern(char *buffer, size_t length, size_t first)
{
    for (size_t i = 0; i < length; i++)
        buffer[i] = (char)(i * 7 + first);
    return (struct span){buffer, length};
}

static void other_implementation(void **state)
{
    (void)state;
    char password[300], salt[300];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct span p = pattern(password, known[i].password, 1), s = pattern(salt, known[i].salt, 101);
        assert_derived(p, s, 1, known[i].rounds, known[i].first);
        assert_derived(p, s, 3, known[i].rounds, known[i].third);
    }
}

/// Slices ///

static uint32_t steps_in_slices(struct pbkdf2 *p, uint32_t slice)
{
    uint32_t steps = 1;
    pbkdf2_begin(p, span_of("a password"), span_of("some salt"), 1, 100);
    while (!pbkdf2_step(p, slice))
        steps++;
    return steps;
}

static void slices_do_not_matter(void **state)
{
    (void)state;
    struct pbkdf2 whole, cut;
    assert_int_equal(steps_in_slices(&whole, 100), 1);
    for (uint32_t slice = 1; slice < 105; slice++) {
        uint32_t steps = steps_in_slices(&cut, slice);
        assert_int_equal(steps, (99 + slice - 1) / slice);
        assert_memory_equal(cut.key, whole.key, sizeof whole.key);
    }
}

static void uneven_slices(void **state)
{
    (void)state;
    struct pbkdf2 whole, cut;
    steps_in_slices(&whole, 100);
    pbkdf2_begin(&cut, span_of("a password"), span_of("some salt"), 1, 100);
    assert_false(pbkdf2_step(&cut, 0));
    assert_false(pbkdf2_step(&cut, 1));
    assert_false(pbkdf2_step(&cut, 0));
    assert_false(pbkdf2_step(&cut, 97));
    assert_true(pbkdf2_step(&cut, 1));
    assert_true(pbkdf2_step(&cut, 50));
    assert_memory_equal(cut.key, whole.key, sizeof whole.key);
}

static void two_at_once(void **state)
{
    (void)state;
    struct pbkdf2 a, b;
    pbkdf2_begin(&a, span_of("passwd"), span_of("salt"), 1, 1);
    pbkdf2_begin(&b, span_of("a password"), span_of("some salt"), 1, 100);
    assert_false(pbkdf2_step(&b, 7));
    assert_true(pbkdf2_step(&a, 7));
    assert_key(&a, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

static void wiped(void **state)
{
    (void)state;
    static const struct pbkdf2 nothing;
    struct pbkdf2 p;
    steps_in_slices(&p, 100);
    pbkdf2_wipe(&p);
    assert_memory_equal(&p, &nothing, sizeof p);
}

/// SipHash ///

// The paper's key 00 01 … 0f and texts 00 01 02 …, as `openssl mac SIPHASH` has them.
static void siphash_known(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        uint64_t hash;
    } hashes[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},  {3, 0x85676696d7fb7e2d},
        {4, 0xcf2794e0277187b7},  {5, 0x18765564cd99a68d},  {6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137},
        {8, 0x93f5f5799a932462},  {9, 0x9e0082df0ba9e4b0},  {15, 0xa129ca6149be45e5}, {16, 0x3f2acc7f57c29bdb},
        {17, 0x699ae9f52cbe4794}, {63, 0x958a324ceb064572},
    };
    static const struct siphash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    char text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        assert_true(siphash(&key, (struct span){text, hashes[i].length}) == hashes[i].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_7914),      cmocka_unit_test(other_implementation), cmocka_unit_test(slices_do_not_matter),
        cmocka_unit_test(uneven_slices), cmocka_unit_test(two_at_once),          cmocka_unit_test(wiped),
        cmocka_unit_test(siphash_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
