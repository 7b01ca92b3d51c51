// mbedTLS, cut down to what the services use: SHA-256 (passwords, tokens), SHA-1 and base64 (the WebSocket handshake)
// and constant-time comparison. No entropy, no file system, no self tests, no allocator.
#ifndef PIPIT_MBEDTLS_CONFIG_H
#define PIPIT_MBEDTLS_CONFIG_H

// Inline assembly keeps the compiler from turning constant-time code into branches.
#define MBEDTLS_HAVE_ASM

#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA1_C
#define MBEDTLS_BASE64_C

// Without these two, platform_util.c's mbedtls_zeroize_and_free() names the C library's free(). Nothing here calls it,
// and nothing can have been allocated; so the allocator's names lead to functions that hold nothing.
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO mbedtls_config_no_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO   mbedtls_config_no_free

#include <stddef.h>

static inline void *mbedtls_config_no_calloc(size_t count, size_t size)
{
    (void)count;
    (void)size;
    return NULL;
}

static inline void mbedtls_config_no_free(void *bytes)
{
    (void)bytes;
}

#endif
