// For machines without room for TLS. tls_client() refuses in a sentence, so no session ever exists.
#include "../net.h"
#include "identity.h"
#include "tls.h"

struct tls_identity_settings tls_identity_settings;

const char *tls_missing(void)
{
    return "this device has no TLS: use a relay on your own network with mail.tls=none";
}

struct tls *tls_client(const struct tls_client *settings, const struct tls_transport *transport, void *owner,
                       struct tls_refusal *refusal)
{
    (void)settings;
    (void)transport;
    (void)owner;
    refusal->starved = false;
    text_string(&refusal->why, tls_missing());
    return NULL;
}

enum tls_state tls_step(struct tls *t)
{
    (void)t;
    return TLS_FAILED;
}

enum tls_state tls_state(const struct tls *t)
{
    (void)t;
    return TLS_FAILED;
}

size_t tls_read(struct tls *t, uint8_t *bytes, size_t size)
{
    (void)t;
    (void)bytes;
    (void)size;
    return 0;
}

size_t tls_write(struct tls *t, const uint8_t *bytes, size_t length)
{
    (void)t;
    (void)bytes;
    (void)length;
    return 0;
}

bool tls_sending(const struct tls *t)
{
    (void)t;
    return false;
}

void tls_close(struct tls *t)
{
    (void)t;
}

void tls_end(struct tls *t)
{
    (void)t;
}

void tls_explain(const struct tls *t, struct text *out)
{
    (void)t;
    (void)out;
}

bool tls_was_starved(const struct tls *t)
{
    (void)t;
    return false;
}

const char *tls_agreed(const struct tls *t)
{
    (void)t;
    return "";
}

uint32_t tls_arena_used(void)
{
    return 0;
}

uint32_t tls_arena_high_water(void)
{
    return 0;
}

bool tls_identity_load(bool keep, struct text *why)
{
    (void)keep;
    text_string(why, "This device has no TLS, and so no certificate; leave --cert and --key out.");
    return false;
}

bool tls_identity_paste_is_whole(void)
{
    return true;
}

void tls_identity_paste(void)
{
}

enum tls_paste tls_identity_paste_line(struct span line, struct text *why)
{
    (void)line;
    tls_identity_load(false, why);
    return TLS_PASTE_REFUSED;
}

struct net_tls_settings net_tls_settings;

bool net_has_tls(void)
{
    return false;
}

int net_listen_tls(uint16_t port, bool loopback_only, enum net_alpn alpn, const struct net_handlers *handlers,
                   const uint32_t *per_address)
{
    (void)port;
    (void)loopback_only;
    (void)alpn;
    (void)handlers;
    (void)per_address;
    return -1;
}
