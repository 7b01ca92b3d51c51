#include "mail_support.h"
#include "../../app/limits.h"
#include <stdlib.h>
#include <string.h>

#define RECORD_MOST 999

struct tls {
    const struct tls_transport *transport;
    void *owner;
    enum tls_state state;
    const char *why;
    bool used;
    bool starved;
    uint8_t in[FAKE_TLS_PREFIX + RECORD_MOST];
    size_t in_length;
    uint8_t plain[RECORD_MOST];
    size_t plain_length, plain_given;
    uint8_t out[2 * (FAKE_TLS_PREFIX + RECORD_MOST)];
    size_t out_length, out_given;
};

bool fake_tls_exhausted;
bool fake_tls_distrusts;
bool fake_tls_hears;
size_t fake_tls_most = 300;
uint32_t fake_tls_sessions;
char fake_tls_name[256];
char fake_tls_trusted[256];
bool fake_tls_verify;
static struct tls slots[TLS_SESSIONS];

/// Records ///

size_t fake_tls_seal(char type, const void *bytes, size_t length, uint8_t *out)
{
    if (length > RECORD_MOST)
        abort();
    out[0] = (uint8_t)type;
    out[1] = (uint8_t)('0' + length / 100);
    out[2] = (uint8_t)('0' + length / 10 % 10);
    out[3] = (uint8_t)('0' + length % 10);
    for (size_t i = 0; i < length; i++)
        out[FAKE_TLS_PREFIX + i] = (uint8_t) ~((const uint8_t *)bytes)[i];
    return FAKE_TLS_PREFIX + length;
}

static size_t length_of(const uint8_t *record)
{
    return (size_t)(record[1] - '0') * 100 + (size_t)(record[2] - '0') * 10 + (size_t)(record[3] - '0');
}

size_t fake_tls_unseal(const uint8_t *bytes, size_t length, char *type, uint8_t *out, size_t *out_length)
{
    if (length < FAKE_TLS_PREFIX || length < FAKE_TLS_PREFIX + length_of(bytes))
        return 0;
    *type = (char)bytes[0];
    *out_length = length_of(bytes);
    for (size_t i = 0; i < *out_length; i++)
        out[i] = (uint8_t)~bytes[FAKE_TLS_PREFIX + i];
    return FAKE_TLS_PREFIX + *out_length;
}

/// The client ///

struct tls *tls_client(const struct tls_client *settings, const struct tls_transport *transport, void *owner,
                       struct tls_refusal *refusal)
{
    struct text name = text_in(fake_tls_name, sizeof fake_tls_name);
    struct text trusted = text_in(fake_tls_trusted, sizeof fake_tls_trusted);
    text_span(&name, settings->name);
    text_end(&name);
    text_string(&trusted, settings->trusted);
    text_end(&trusted);
    fake_tls_verify = settings->verify;
    for (size_t i = 0; i < TLS_SESSIONS && !fake_tls_exhausted && !fake_tls_distrusts; i++) {
        struct tls *t = &slots[i];
        if (t->used)
            continue;
        *t = (struct tls){.transport = transport, .owner = owner, .used = true, .why = ""};
        memcpy(t->out, FAKE_TLS_HELLO, 8);
        t->out_length = 8;
        fake_tls_sessions++;
        return t;
    }
    refusal->starved = !fake_tls_distrusts;
    text_string(&refusal->why, fake_tls_distrusts ? "the certificates cannot be read" : "there is no memory for it");
    return NULL;
}

static void push(struct tls *t)
{
    while (t->out_given < t->out_length) {
        size_t n = t->transport->send(t->owner, t->out + t->out_given, t->out_length - t->out_given);
        if (n == 0)
            return;
        t->out_given += n;
    }
    t->out_given = t->out_length = 0;
}

static bool fill(struct tls *t, size_t wanted)
{
    while (t->in_length < wanted) {
        size_t n = t->transport->receive(t->owner, t->in + t->in_length, wanted - t->in_length);
        if (n == 0)
            return false;
        t->in_length += n;
    }
    return true;
}

static void fail(struct tls *t, const char *why)
{
    t->state = TLS_FAILED;
    t->why = why;
}

static void starve(struct tls *t)
{
    t->starved = true;
    fail(t, "there is no memory for it");
}

static void shake_hands(struct tls *t)
{
    if (!fill(t, 8))
        return;
    t->in_length = 0;
    if (memcmp(t->in, FAKE_TLS_HELLO, 8) == 0)
        t->state = TLS_OPEN;
    else if (memcmp(t->in, FAKE_TLS_EXPIRED, 8) == 0)
        fail(t, "the certificate has expired");
    else if (memcmp(t->in, FAKE_TLS_STARVED, 8) == 0)
        starve(t);
    else
        fail(t, "the peer does not speak TLS");
}

// While a record waits to be sent nothing is read, as mbedTLS may do it: what came stays with the transport.
static void pull(struct tls *t)
{
    char type;
    bool waits = t->out_length > 0 && !fake_tls_hears;
    if (t->state != TLS_OPEN || t->plain_given < t->plain_length || waits)
        return;
    if (!fill(t, FAKE_TLS_PREFIX))
        return;
    if (t->in[0] != 'D' && t->in[0] != 'C') {
        fail(t, "a record was damaged on the way");
        return;
    }
    if (!fill(t, FAKE_TLS_PREFIX + length_of(t->in)))
        return;
    fake_tls_unseal(t->in, t->in_length, &type, t->plain, &t->plain_length);
    t->in_length = t->plain_given = 0;
    if (type == 'C')
        t->state = TLS_CLOSED;
}

enum tls_state tls_step(struct tls *t)
{
    push(t);
    if (t->state == TLS_HANDSHAKE)
        shake_hands(t);
    return t->state;
}

enum tls_state tls_state(const struct tls *t)
{
    return t->state;
}

size_t tls_read(struct tls *t, uint8_t *bytes, size_t size)
{
    pull(t);
    size_t n = t->plain_length - t->plain_given;
    n = n < size ? n : size;
    if (t->state != TLS_OPEN)
        return 0;
    memcpy(bytes, t->plain + t->plain_given, n);
    t->plain_given += n;
    return n;
}

size_t tls_write(struct tls *t, const uint8_t *bytes, size_t length)
{
    push(t);
    if (t->state != TLS_OPEN || t->out_length > 0)
        return 0;
    size_t n = length < fake_tls_most ? length : fake_tls_most;
    t->out_length = fake_tls_seal('D', bytes, n, t->out);
    push(t);
    return n;
}

bool tls_sending(const struct tls *t)
{
    return t->state != TLS_FAILED && t->out_length > 0;
}

void tls_close(struct tls *t)
{
    if (t->state == TLS_FAILED)
        return;
    t->out_length += fake_tls_seal('C', "", 0, t->out + t->out_length);
    push(t);
}

void tls_end(struct tls *t)
{
    if (t == NULL)
        return;
    if (!t->used)
        abort();
    memset(t, 0, sizeof *t);
    fake_tls_sessions--;
}

void tls_explain(const struct tls *t, struct text *out)
{
    text_string(out, t->why);
}

bool tls_was_starved(const struct tls *t)
{
    return t->starved;
}

const char *tls_missing(void)
{
    return NULL;
}

const char *tls_agreed(const struct tls *t)
{
    return t->state == TLS_OPEN ? "TLSv0 TEST-WITH-FLIPPED-BITS" : "";
}
