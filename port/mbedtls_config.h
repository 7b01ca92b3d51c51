// mbedTLS, cut down to what is used: a TLS 1.2 client and a TLS 1.2 and 1.3 server, with forward secrecy and
// authenticated encryption alone (port/tls/), SHA-256 (passwords, tokens, the random numbers of boards), SHA-1 and
// base64 (the WebSocket handshake) and constant-time comparison.
// No entropy of its own, no file system, no self tests; memory comes from port/tls/'s arena, and before that there is
// none.
//
// Left out on purpose: CBC, static RSA, renegotiation, early data (it can be replayed), resumption without a fresh key
// and SHA-1 in certificates, because they are weak or unused.
#ifndef PIPIT_MBEDTLS_CONFIG_H
#define PIPIT_MBEDTLS_CONFIG_H

#include "../app/limits.h"
#include <stddef.h>
#include <stdint.h>

/// The machine: nothing of the C library's but memory and string functions ///

// Inline assembly keeps the compiler from turning constant-time code into branches.
#define MBEDTLS_HAVE_ASM

#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO tls_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO   tls_free
void *tls_calloc(size_t count, size_t size);
void tls_free(void *bytes);
#define MBEDTLS_MEMORY_BUFFER_ALLOC_C // behind those two; it names itself to this function, which mbedTLS leaves out
                                      // then
int mbedtls_platform_set_calloc_free(void *(*calloc)(size_t, size_t), void (*free)(void *));
#define MBEDTLS_MEMORY_ALIGN_MULTIPLE 8
// Counts what is in use. What it would print is a macro that leaves nothing behind, `stderr` neither; a broken arena
// ends in a reset.
#define MBEDTLS_MEMORY_DEBUG
#define MBEDTLS_PLATFORM_FPRINTF_MACRO(...) ((void)0)
#define MBEDTLS_PLATFORM_EXIT_MACRO         tls_arena_broken
_Noreturn void tls_arena_broken(int status);

// A pointer to nothing: only the printing of certificates would call it.
#define MBEDTLS_PLATFORM_SNPRINTF_ALT

// Seconds since 1970-01-01 UTC, 64 bits wide on every machine; 0 while the machine does not know.
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_PLATFORM_TIME_TYPE_MACRO int64_t
#define MBEDTLS_PLATFORM_TIME_MACRO      tls_wall_seconds
int64_t tls_wall_seconds(int64_t *copy);
#define MBEDTLS_PLATFORM_MS_TIME_ALT
#define MBEDTLS_PLATFORM_GMTIME_R_ALT // the C library's brings time zones, locales and an allocator

/// Numbers and keys ///

#define MBEDTLS_BIGNUM_C
#define MBEDTLS_MPI_MAX_SIZE 512 // bytes: RSA keys of up to 4096 bits
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_PKCS1_V21
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C

/// Hashes and ciphers ///

#define MBEDTLS_MD_C
#define MBEDTLS_SHA1_C           // not for signatures: the WebSocket handshake, and to read old roots, whose own is not checked
#define MBEDTLS_SHA1_PROCESS_ALT // sha1_block.c
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA384_C
#define MBEDTLS_SHA512_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES // else 8 KB of RAM
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT // GCM only ever encrypts blocks
#define MBEDTLS_AESNI_C                 // empty on machines without
#define MBEDTLS_GCM_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C

#define MBEDTLS_HKDF_C

/// PSA, for TLS 1.3 alone: keys live in static slots, their bytes in the arena ///

#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG // server.c
#define MBEDTLS_PSA_KEY_SLOT_COUNT      (4 * TLS_HANDSHAKES + 8)

/// Certificates ///

#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_RSASSA_PSS_SUPPORT
#define MBEDTLS_X509_REMOVE_INFO
#define MBEDTLS_X509_TRUSTED_CERTIFICATE_CALLBACK
#define MBEDTLS_TEST_SW_INET_PTON // its own reader of addresses, though the simulator's C library has one

// The device's own (port/tls/identity_make.c).
#define MBEDTLS_PK_WRITE_C
#define MBEDTLS_X509_CREATE_C
#define MBEDTLS_X509_CRT_WRITE_C

/// TLS ///

#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_SSL_SESSION_TICKETS
#define MBEDTLS_SSL_TICKET_C
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_SSL_RECORD_SIZE_LIMIT
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES
#define MBEDTLS_SSL_IN_CONTENT_LEN  TLS_IN
#define MBEDTLS_SSL_OUT_CONTENT_LEN TLS_OUT

/// The profile tls: a server of TLS 1.2 with one cipher on one curve, and no client ///

#if defined(PIPIT_PROFILE_TLS)
#define MBEDTLS_ECP_WINDOW_SIZE  3 // half the memory of 4
#define MBEDTLS_NO_UDBL_DIVISION   // the compiler's is 700 bytes
#undef MBEDTLS_MPI_MAX_SIZE
#define MBEDTLS_MPI_MAX_SIZE 64 // bytes: products on P-256
#undef MBEDTLS_ECP_DP_SECP384R1_ENABLED
#undef MBEDTLS_ECP_DP_CURVE25519_ENABLED
#undef MBEDTLS_RSA_C
#undef MBEDTLS_PKCS1_V15
#undef MBEDTLS_PKCS1_V21
#undef MBEDTLS_SHA384_C
#undef MBEDTLS_SHA512_C
#undef MBEDTLS_CHACHA20_C
#undef MBEDTLS_POLY1305_C
#undef MBEDTLS_CHACHAPOLY_C
#undef MBEDTLS_HKDF_C
#undef MBEDTLS_PSA_CRYPTO_C
#undef MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#undef MBEDTLS_PSA_KEY_SLOT_COUNT
#undef MBEDTLS_X509_RSASSA_PSS_SUPPORT
#undef MBEDTLS_X509_TRUSTED_CERTIFICATE_CALLBACK
#undef MBEDTLS_SSL_CLI_C
#undef MBEDTLS_SSL_PROTO_TLS1_3
#undef MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#undef MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED
#undef MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#undef MBEDTLS_SSL_RECORD_SIZE_LIMIT
#undef MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#endif

#endif
