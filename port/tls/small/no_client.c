// Where there is room for a server of TLS and not for a client: tls_client() refuses in a sentence, so no session of
// its kind ever exists. What went wrong is a number, which mbedTLS's headers explain.
#include "../tls_private.h"

void tls_explain_error(int error, struct text *out)
{
    text_format(out, "error -0x%04x", (unsigned)-error);
}

const char *tls_missing(void)
{
    return "this device speaks no TLS to relays: use one on your own network with mail.tls=none";
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
