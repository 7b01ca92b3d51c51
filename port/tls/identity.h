// The device's own TLS identity: the certificate that the TLS server shows, and its key.
//
// Either both are made here: an ECDSA P-256 key from the machine's entropy at the first start, and a certificate that
// it signs itself, for the device's names and addresses (RFC 5280). The certificate is made anew, with the same key,
// before it expires, when its dates turn out to be wrong, and when it lacks a name or the address. Or both were loaded:
// then they are used as they are, and an expired certificate is said and not replaced.
//
// Both are kept in a store (the journal) and survive a restart. There are two slots, so that a handshake that began
// with the old certificate ends with it: whoever begins one calls tls_identity_hold() and gives that back at its end.
// Everything that mbedTLS keeps for the two slots comes from its arena: at most TLS_IDENTITY bytes (app/limits.h).
#ifndef PIPIT_TLS_IDENTITY_H
#define PIPIT_TLS_IDENTITY_H

#include "../text.h"

#include <mbedtls/x509_crt.h>

// Where blobs of at most TLS_IDENTITY_BLOB bytes are kept. `keep` with an empty span removes; false when it could not.
// `read` returns the length, 0 when there is none, and never more than `size`.
#define TLS_IDENTITY_BLOB 4096

struct tls_identity_store {
    bool (*keep)(struct span name, struct span bytes);
    size_t (*read)(struct span name, uint8_t *bytes, size_t size);
};

// Set before tls_identity_start(); `names` is looked at in every step.
struct tls_identity_settings {
    uint32_t days;                          // tls.days: how long a certificate made here is good
    const char *names;                      // more names and IPv4 addresses for it, separated by commas; or NULL
    const struct tls_identity_store *store; // or NULL: then the identity ends with the power
};
extern struct tls_identity_settings tls_identity_settings;

/// For the server ///

// Takes what is kept, or makes a key; the certificate follows as soon as the device has an address, at the latest
// after TLS_IDENTITY_PATIENCE_MS of steps. Called after net_start(); a second call changes nothing. False, with a
// sentence, when this device can have no TLS.
#define TLS_IDENTITY_PATIENCE_MS 15000
bool tls_identity_start(struct text *why);

// Makes the certificate anew when that is due. Once a turn; it looks once a second.
void tls_identity_step(uint64_t now_ms);

// The certificate, with those of its chain behind it, and its key. NULL until there are any. They stay as they are
// until tls_identity_generation() has changed, and from then on while somebody holds that generation, or for two
// minutes.
mbedtls_x509_crt *tls_identity_certificate(void);
mbedtls_pk_context *tls_identity_key(void);

// Another number for each certificate that came to use; 0 while there is none.
uint32_t tls_identity_generation(void);

// Keeps the certificate and key in use now as they are, for one handshake: returns their generation, which is to be
// given back. A held generation delays only the certificate after the next.
uint32_t tls_identity_hold(void);
void tls_identity_release(uint32_t generation);

/// Loading ///

// Collects certificates and a key in PEM (RFC 7468), line by line. Text around the blocks is passed over.
enum tls_paste {
    TLS_PASTE_MORE,    // go on
    TLS_PASTE_READY,   // a key has come, and a certificate before it; a line with a single dot says the same
    TLS_PASTE_REFUSED, // with a sentence in `why`; what was collected is wiped
};
void tls_identity_paste(void);
enum tls_paste tls_identity_paste_line(struct span line, struct text *why);

// False inside of a block, whose END line has not come.
bool tls_identity_paste_is_whole(void);

// Wipes what was collected.
void tls_identity_paste_end(void);

// Puts to use what was collected, and wipes it there; with `keep` it is kept in the store. The server's own certificate
// comes first, behind it those that lead to an authority. False, with a sentence, and nothing changes: the key belongs
// to another certificate, it is no EC key (P-256, P-384) or RSA key (2048 to 4096 bits), the dates are past.
// Allowed before tls_identity_start(), which then leaves it in use.
bool tls_identity_load(bool keep, struct text *why);

// Makes a new key and a certificate for it, and forgets what was loaded.
bool tls_identity_make(struct text *why);

/// Showing ///

bool tls_identity_is_loaded(void);

// SHA-256 of the certificate, as others show it: "AB:CD:...". Nothing while there is none.
void tls_identity_fingerprint(struct text *out);

// The names of subject and issuer ("pipit, signed by itself"), the names and addresses it is for, and its dates.
void tls_identity_subject(struct text *out);
void tls_identity_names(struct text *out);
void tls_identity_validity(struct text *out);

// Calls `line` for each line of the certificate and its chain in PEM, without line ends.
void tls_identity_pem(void (*line)(const char *text));

#endif
