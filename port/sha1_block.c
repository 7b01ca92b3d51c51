// SHA-1's compression of one block (FIPS 180-4, section 6.1.2), in the place that mbedTLS leaves for it: its own has
// all 80 rounds written out, 3.7 KB for a hash that only the WebSocket handshake needs. A loop takes a tenth of that.
#include <mbedtls/platform_util.h>
#include <mbedtls/sha1.h>

static uint32_t rotate(uint32_t word, uint32_t bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t word_of(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t choose(uint32_t round, uint32_t b, uint32_t c, uint32_t d)
{
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t quarter = round / 20;
    uint32_t mixed = quarter == 0 ? (b & c) | (~b & d) : quarter == 2 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    return mixed + constants[quarter];
}

// The schedule is made as it goes: w[t mod 16] of round t.
static uint32_t next_word(uint32_t w[16], const unsigned char data[64], uint32_t t)
{
    uint32_t *word = &w[t % 16];
    *word = t < 16 ? word_of(&data[4 * t]) : rotate(w[(t - 3) % 16] ^ w[(t - 8) % 16] ^ w[(t - 14) % 16] ^ *word, 1);
    return *word;
}

int mbedtls_internal_sha1_process(mbedtls_sha1_context *context, const unsigned char data[64])
{
    uint32_t w[16], s[5];
    for (uint32_t i = 0; i < 5; i++)
        s[i] = context->MBEDTLS_PRIVATE(state)[i];
    for (uint32_t t = 0; t < 80; t++) {
        uint32_t first = rotate(s[0], 5) + choose(t, s[1], s[2], s[3]) + s[4] + next_word(w, data, t);
        s[4] = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 30);
        s[1] = s[0];
        s[0] = first;
    }
    for (uint32_t i = 0; i < 5; i++)
        context->MBEDTLS_PRIVATE(state)[i] += s[i];
    mbedtls_platform_zeroize(w, sizeof w);
    mbedtls_platform_zeroize(s, sizeof s);
    return 0;
}
