// TLS on mbedTLS 3.6: cipher bytes and plain bytes, no sockets. For client connections now; nothing in it is the
// client's alone but tls_client().
//
// A session pulls the peer's bytes and pushes its own through two functions of its owner's, so nothing is stored twice:
// they may hand over or take as little as they like, and 0 means "not now". All memory comes from one static arena
// (TLS_ARENA bytes, app/limits.h); a session that finds no room in it fails, and nobody else notices.
//
//     tls_client() -> TLS_HANDSHAKE -> TLS_OPEN -> TLS_CLOSED      any -> TLS_FAILED
//
// TLS_HANDSHAKE ends only when the peer's certificate is good: its chain, its dates (where the machine knows the time)
// and the name in it (RFC 6125, RFC 9525: a DNS name, or an iPAddress for an address).
#ifndef PIPIT_TLS_H
#define PIPIT_TLS_H

#include "../text.h"

struct tls;

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSED, // the peer has said close_notify: everything it sent has been read
    TLS_FAILED, // tls_explain() says why; nothing goes in or out any longer
};

// The peer's connection, as its owner sees it. Each returns how many bytes it moved, 0 for none at the moment.
// `receive` returns TLS_ENDED when the connection has ended and no byte will ever come again: without a close_notify
// before it that is a failure, since anybody on the way can cut a connection off (RFC 5246 section 7.2.1).
#define TLS_ENDED SIZE_MAX

struct tls_transport {
    size_t (*receive)(void *owner, uint8_t *bytes, size_t size);
    size_t (*send)(void *owner, const uint8_t *bytes, size_t length);
};

struct tls_client {
    struct span name;    // the peer's host name or IPv4 address: for SNI (RFC 6066, names only) and the certificate
    const char *trusted; // the certificates to trust, as port_certificates() knows them; must stay until TLS_OPEN
    bool verify;         // false: any certificate will do. Whoever lets people set that says so loudly.
};

// Why there is no session.
struct tls_refusal {
    struct text why; // set up by the caller; gets the reason, worded as tls_explain() has it
    bool starved;    // there was no room for it: it may go better when other sessions have ended
};

// Why no session can ever begin on this machine, as tls_explain() words it; NULL where one can.
const char *tls_missing(void);

// Begins a session; `transport` must stay as long as it lasts. Nothing is sent before the first tls_step(). NULL when
// all TLS_SESSIONS are taken or the arena is exhausted (`starved`), the name is none, or the certificates to trust
// cannot be had.
struct tls *tls_client(const struct tls_client *settings, const struct tls_transport *transport, void *owner,
                       struct tls_refusal *refusal);

// Goes on with whatever is to be done: the handshake, bytes that were not sent for want of room. Call it when bytes
// have come and when there is room again. Returns the state.
enum tls_state tls_step(struct tls *t);

enum tls_state tls_state(const struct tls *t);

// Takes up to `size` plain bytes that have come; 0 when there are none, or the session is not open.
size_t tls_read(struct tls *t, uint8_t *bytes, size_t size);

// Sends plain bytes: returns how many were taken, at most one record. 0 when there is no room or the session is not
// open. What was not taken is offered again, as it is.
size_t tls_write(struct tls *t, const uint8_t *bytes, size_t length);

// True while a record that tls_write() or tls_close() has taken is not wholly sent.
bool tls_sending(const struct tls *t);

// Says close_notify, behind what was written; nothing more can be written. What the peer still sends can be read. While
// the handshake is under way it is said at its end.
void tls_close(struct tls *t);

// Wipes the session and gives its memory back. NULL is allowed.
void tls_end(struct tls *t);

// What went wrong, as the rest of a sentence: "the certificate has expired", "the certificate is for another name".
// Empty while nothing has.
void tls_explain(const struct tls *t, struct text *out);

// True when the session failed for want of memory: a new one may go better when others have ended.
bool tls_was_starved(const struct tls *t);

// What was agreed on: "TLSv1.2 TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256". Empty before TLS_OPEN.
const char *tls_agreed(const struct tls *t);

// For /metrics: bytes of the arena in use, and the most ever in use.
uint32_t tls_arena_used(void);
uint32_t tls_arena_high_water(void);

#endif
