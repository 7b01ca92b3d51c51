// A make-believe TLS for the mail tests: port/tls/tls.h without cryptography, with both ends in the test's hands.
//
// The client says "HELLO" and waits for "HELLO" (good), "EXPIRED" (a bad certificate), "STARVED" (it finds no memory
// for what comes next) or anything else (no TLS), each of 8 bytes. Then come records: a letter (D data, C
// close_notify), the length in three digits, and the bytes, every bit of which is flipped, so that nothing can be taken
// for plain text.
#ifndef PIPIT_MAIL_SUPPORT_H
#define PIPIT_MAIL_SUPPORT_H

#include "../../port/tls/tls.h"

#define FAKE_TLS_HELLO   "HELLO   "
#define FAKE_TLS_EXPIRED "EXPIRED "
#define FAKE_TLS_STARVED "STARVED "
#define FAKE_TLS_PREFIX  4

extern bool fake_tls_exhausted;    // tls_client() finds no room
extern bool fake_tls_distrusts;    // tls_client() finds no certificates
extern bool fake_tls_hears;        // a record that waits to be sent does not keep it from reading
extern size_t fake_tls_most;       // bytes that one tls_write() takes
extern uint32_t fake_tls_sessions; // that are there just now
extern char fake_tls_name[256];    // what the last tls_client() was asked for
extern char fake_tls_trusted[256];
extern bool fake_tls_verify;

// The relay's end: makes a record of at most 999 bytes at `out`, which has 4 more; returns its length.
size_t fake_tls_seal(char type, const void *bytes, size_t length, uint8_t *out);

// Takes a record off the front of `bytes`: its plain bytes go to `out`. Returns what it consumed, 0 when it is not
// whole.
size_t fake_tls_unseal(const uint8_t *bytes, size_t length, char *type, uint8_t *out, size_t *out_length);

#endif
