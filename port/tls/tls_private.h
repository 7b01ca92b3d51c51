// The inside of a TLS session, shared by port/tls/*.c alone.
#ifndef PIPIT_TLS_PRIVATE_H
#define PIPIT_TLS_PRIVATE_H

#include "../../app/limits.h"
#include "tls.h"

#include <mbedtls/ssl.h>

enum tls_close {
    CLOSE_NOT,
    CLOSE_WANTED, // tls_close() was called, something else is still on its way out
    CLOSE_SAID,
};

struct tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    const struct tls_transport *transport;
    void *owner;
    const char *trusted;
    uint32_t address; // of the peer, in host order, when it is named by one
    bool by_address;
    bool dry;          // the transport had no bytes
    bool ended;        // ... and never will
    bool dates_warned; // that certificates' dates are not checked
    uint8_t state;     // enum tls_state
    uint8_t close;     // enum tls_close
    uint8_t alert;     // the peer's, when that was the end
    int error;         // mbedTLS's, the first
    uint32_t flags;    // MBEDTLS_X509_BADCERT_*
    char agreed[64];
};

/// Machine: memory, time, randomness (tls_machine.c) ///

// All memory of mbedTLS. Outside its file for the tests alone, which look for what was left in it.
extern unsigned char tls_arena[TLS_ARENA];

// Somebody who asked for memory got none since this was last set to false. mbedTLS's errors do not always tell: a
// signature that could not be checked for want of memory counts as a bad one.
extern bool tls_starved;

// Hands the arena to mbedTLS, the first time.
void tls_arena_prepare(void);

// mbedTLS's source of randomness; `session` remembers why it failed.
int tls_random(void *session, unsigned char *bytes, size_t length);

/// Trust (tls_verify.c) ///

// False with the reason, when there is no certificate to trust in what `trusted` names.
bool tls_trust_exists(const char *trusted, struct text *why);

// mbedTLS's questions while it walks a chain: who may have signed `child`, and is `certificate` good?
int tls_find_issuers(void *session, const mbedtls_x509_crt *child, mbedtls_x509_crt **found);
int tls_check_certificate(void *session, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

/// Words (tls_explain.c) ///

// An error of mbedTLS's in words.
void tls_explain_error(int error, struct text *out);

#endif
