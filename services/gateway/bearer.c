#include "bearer.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

static bool is_token_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-._~+/=", c) != NULL);
}

bool bearer_is_token(struct span token)
{
    for (size_t i = 0; i < token.length; i++)
        if (!is_token_byte(token.at[i]))
            return false;
    return token.length > 0 && token.length <= TOKEN_MAX_BYTES;
}

bool bearer_parse(struct span text, uint32_t *uid, struct span *token)
{
    uint64_t number = 0;
    struct span rest = text;
    struct span first = span_cut(&rest, '.');
    // The uid is an int32 in message.proto. It counts from 1, and a token has one spelling: no zero leads it.
    if (!span_number(first, INT32_MAX, &number) || first.at[0] == '0' || !bearer_is_token(rest))
        return false;
    *uid = (uint32_t)number;
    *token = rest;
    return true;
}

uint16_t bearer_login(uint32_t uid, struct span token)
{
    uint8_t bytes[sizeof uid + TOKEN_MAX_BYTES];
    uint8_t digest[32];
    memcpy(bytes, &uid, sizeof uid);
    memcpy(bytes + sizeof uid, token.at, token.length);
    (void)mbedtls_sha256(bytes, sizeof uid + token.length, digest, 0);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return (uint16_t)(digest[0] << 8 | digest[1]);
}

bool bearer_field(struct span authorization, struct span *text)
{
    struct span scheme = span_of("Bearer ");
    if (authorization.length <= scheme.length || !span_starts_nocase(authorization, scheme))
        return false;
    *text = span_trim(span_behind(authorization, scheme.length));
    return true;
}
