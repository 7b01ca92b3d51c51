// HMAC_DRBG against NIST's CAVP answers (drbgvectors_no_reseed, SHA-256): the second of two calls counts there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../boards/common/drbg.h"
#include "../../port/text.h"

static size_t from_hex(const char *digits, uint8_t *bytes)
{
    size_t n = 0;
    for (; digits[2 * n] != '\0'; n++) {
        bytes[n] = 0;
        for (size_t i = 0; i < 2; i++) {
            char c = digits[2 * n + i];
            bytes[n] = (uint8_t)(bytes[n] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
        }
    }
    return n;
}

static const struct {
    const char *entropy, *nonce, *personal, *returned;
} answers[] = {
    {"ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488", "659ba96c601dc69fc902940805ec0ca8", "",
     "e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89d54fbb978a15b5c443c9ec21036d2460"
     "b6f73ebad0dc2aba6e624abf07745bc107694bb7547bb0995f70de25d6b29e2d3011bb19d27676c07162c8b5ccde0668"
     "961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bdaba806f48be9dcb8"},
    {"79737479ba4e7642a221fcfd1b820b134e9e3540a35bb48ffae29c20f5418ea3", "3593259c092bef4129bc2c6c9e19f343", "",
     "cf5ad5984f9e43917aa9087380dac46e410ddc8a7731859c84e9d0f31bd43655b924159413e2293b17610f211e09f770"
     "f172b8fb693a35b85d3b9e5e63b1dc252ac0e115002e9bedfb4b5b6fd43f33b8e0eafb2d072e1a6fee1f159df9b51e6c"
     "8da737e60d5032dd30544ec51558c6f080bdbdab1de8a939e961e06b5f1aca37"},
    {"b340907445b97a8b589264de4a17c0bea11bb53ad72f9f33297f05d2879d898d", "65cb27735d83c0708f72684ea58f7ee5", "",
     "75183aaaf3574bc68003352ad655d0e9ce9dd17552723b47fab0e84ef903694a32987eeddbdc48efd24195dbdac8a46b"
     "a2d972f5808f23a869e71343140361f58b243e62722088fe10a98e43372d252b144e00c89c215a76a121734bdc485486"
     "f65c0b16b8963524a3a70e6f38f169c12f6cbdd169dd48fe4421a235847a23ff"},
    {"5cacc68165a2e2ee20812f35ec73a79dbf30fd475476ac0c44fc6174cdac2b55", "6f885496c1e63af620becd9e71ecb824",
     "e72dd8590d4ed5295515c35ed6199e9d211b8f069b3058caa6670b96ef1208d0",
     "f1012cf543f94533df27fedfbf58e5b79a3dc517a9c402bdbfc9a0c0f721f9d53faf4aafdc4b8f7a1b580fcaa52338d4"
     "bd95f58966a243cdcd3f446ed4bc546d9f607b190dd69954450d16cd0e2d6437067d8b44d19a6af7a7cfa8794e5fbd72"
     "8e8fb2f2e8db5dd4ff1aa275f35886098e80ff844886060da8b1e7137846b23b"},
    {"8df013b4d103523073917ddf6a869793059e9943fc8654549e7ab22f7c29f122", "da2625af2ddd4abcce3cf4fa4659d84e",
     "b571e66d7c338bc07b76ad3757bb2f9452bf7e07437ae8581ce7bc7c3ac651a9",
     "b91cba4cc84fa25df8610b81b641402768a2097234932e37d590b1154cbd23f97452e310e291c45146147f0da2d81761"
     "fe90fba64f94419c0f662b28c1ed94da487bb7e73eec798fbcf981b791d1be4f177a8907aa3c401643a5b62b87b89d66"
     "b3a60e40d4a8e4e9d82af6d2700e6f535cdb51f75c321729103741030ccc3a56"},
};

static void nist_cavp(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        uint8_t seed[96], bytes[128];
        char digits[2 * sizeof bytes + 1];
        struct text t = text_in(digits, sizeof digits);
        struct drbg d;
        size_t length = from_hex(answers[i].entropy, seed);
        length += from_hex(answers[i].nonce, seed + length);
        length += from_hex(answers[i].personal, seed + length);
        drbg_seed(&d, seed, length);
        drbg_generate(&d, bytes, sizeof bytes);
        drbg_generate(&d, bytes, sizeof bytes);
        text_hex(&t, bytes, sizeof bytes);
        assert_string_equal(text_end(&t), answers[i].returned);
    }
}

// A call that ends within a block throws the rest of the block away, and nothing is written behind the end.
static void any_length(void **state)
{
    (void)state;
    for (size_t length = 0; length <= 70; length++) {
        uint8_t all[80], some[80];
        struct drbg a, b;
        memset(some, 0xee, sizeof some);
        drbg_seed(&a, (const uint8_t *)"a seed", 6);
        b = a;
        drbg_generate(&a, all, sizeof all);
        drbg_generate(&b, some, length);
        assert_memory_equal(all, some, length);
        for (size_t i = length; i < sizeof some; i++)
            assert_int_equal(some[i], 0xee);
    }
}

// The state moves on with each call, though nothing was asked for.
static void every_call_changes_the_state(void **state)
{
    (void)state;
    struct drbg d, before;
    drbg_seed(&d, (const uint8_t *)"a seed", 6);
    before = d;
    drbg_generate(&d, NULL, 0);
    assert_memory_not_equal(d.key, before.key, sizeof d.key);
    assert_memory_not_equal(d.value, before.value, sizeof d.value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nist_cavp),
        cmocka_unit_test(any_length),
        cmocka_unit_test(every_call_changes_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
