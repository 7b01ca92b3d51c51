// The inside of the identity, shared by port/tls/identity*.c alone.
#ifndef PIPIT_TLS_IDENTITY_PRIVATE_H
#define PIPIT_TLS_IDENTITY_PRIVATE_H

#include "../../app/limits.h"
#include "identity.h"

#define DAY_SECONDS 86400

// A certificate, its chain and its key on the way into a slot. `kind` and `chain` lie as they are kept.
enum tls_kind { TLS_KIND_OWN = 'S', TLS_KIND_LOADED = 'L' };

struct tls_material {
    uint8_t kind;
    uint8_t chain[TLS_CHAIN]; // certificates in DER, one behind the other
    uint8_t key[TLS_KEY];     // in DER: SEC 1, PKCS #1 or PKCS #8
    size_t chain_length;
    size_t key_length;
};

_Static_assert(offsetof(struct tls_material, key) == TLS_CHAIN + 1, "the kind and the chain are kept as one blob");
_Static_assert(TLS_CHAIN + 1 <= TLS_IDENTITY_BLOB && TLS_KEY <= TLS_IDENTITY_BLOB, "the store takes shorter blobs");
// mbedTLS sends no message in pieces. Around four certificates in TLS 1.3 (RFC 8446 section 4.4.2) there are 28 bytes.
_Static_assert(TLS_CHAIN + 28 <= TLS_OUT, "the longest chain would not fit its message");

/// Making (identity_make.c) ///

// The time for certificates, in seconds since 1970: the machine's, or while it knows none when this was built.
int64_t tls_identity_now(void);

// Writes a new P-256 key into `m`.
bool tls_identity_make_key(struct tls_material *m, struct text *why);

// Writes a certificate for the key in `m` that is signed with it.
bool tls_identity_make_certificate(struct tls_material *m, struct text *why);

// False when the certificate lacks a name or address of ours, or has a name that is no longer ours.
bool tls_identity_covers(const mbedtls_x509_crt *certificate);

int tls_identity_random(void *nobody, unsigned char *bytes, size_t length);

/// Collecting (identity_paste.c) ///

struct tls_material *tls_identity_collected(void);

#endif
