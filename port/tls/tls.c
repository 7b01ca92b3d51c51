#include "tls.h"
#include "../net.h"
#include "../pool.h"
#include "../trail.h"
#include "tls_private.h"

#include <mbedtls/platform_util.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <string.h>

#define NAME_MOST 253 // bytes of a host name (RFC 1035 section 2.3.4, as text)

_Static_assert(TLS_IN >= 4096 && TLS_IN <= 16384, "TLS_IN must hold a certificate, and records are never over 16384");
_Static_assert(TLS_OUT >= 1024 && TLS_OUT <= TLS_IN, "TLS_OUT is a length that peers know, and no more than TLS_IN");
_Static_assert(TLS_ARENA >= TLS_SESSIONS * (TLS_IN + TLS_OUT), "the TLS arena does not even hold the records' buffers");

static const char *const state_names[] = {"HANDSHAKE", "OPEN", "CLOSED", "FAILED"};

POOL(tls_sessions, struct tls, TLS_SESSIONS);

static void change(struct tls *t, enum tls_state state)
{
    trail_change("tls", "session", pool_index(&tls_sessions, t), state_names[t->state], state_names[state]);
    t->state = (uint8_t)state;
}

// A callback of ours may have found the cause before mbedTLS says what came of it.
static void fail(struct tls *t, int error)
{
    if (t->state == TLS_FAILED)
        return;
    if (t->error == 0)
        t->error = tls_starved ? MBEDTLS_ERR_SSL_ALLOC_FAILED : error;
    t->flags = mbedtls_ssl_get_verify_result(&t->ssl);
    if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        t->alert = t->ssl.MBEDTLS_PRIVATE(in_msg)[1]; // 3.6 has no other way to learn which one it was
    change(t, TLS_FAILED);
}

/// The transport, as mbedTLS sees it ///

static int on_send(void *session, const unsigned char *bytes, size_t length)
{
    struct tls *t = session;
    size_t n = t->transport->send(t->owner, bytes, length);
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int on_receive(void *session, unsigned char *bytes, size_t size)
{
    struct tls *t = session;
    size_t n = t->transport->receive(t->owner, bytes, size);
    t->ended = n == TLS_ENDED;
    t->dry = n == 0;
    if (t->ended)
        return 0; // the end, to mbedTLS
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

// A record that waits for room.
static bool waits(const struct tls *t)
{
    return t->ssl.MBEDTLS_PRIVATE(out_left) > 0;
}

/// What we offer ///

static const int ciphersuites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

// With less than the usual room we ask for shorter records (RFC 6066 section 4). They are as short in both directions.
static unsigned char fragment_length(void)
{
    if (TLS_IN == 16384)
        return MBEDTLS_SSL_MAX_FRAG_LEN_NONE;
    if (TLS_OUT < 2048)
        return MBEDTLS_SSL_MAX_FRAG_LEN_1024;
    return TLS_OUT < 4096 ? MBEDTLS_SSL_MAX_FRAG_LEN_2048 : MBEDTLS_SSL_MAX_FRAG_LEN_4096;
}

static int configure(struct tls *t, bool verify)
{
    mbedtls_ssl_config *config = &t->config;
    int error = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    if (error != 0)
        return error;
    mbedtls_ssl_conf_rng(config, tls_random, t);
    mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_ciphersuites(config, ciphersuites);
    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_authmode(config, verify ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_ca_cb(config, tls_find_issuers, t);
    mbedtls_ssl_conf_verify(config, tls_check_certificate, t);
    return mbedtls_ssl_conf_max_frag_len(config, fragment_length());
}

/// Begin ///

// "mail.example.org." is the same host, but neither SNI (RFC 6066 section 3) nor certificates have the last dot.
static struct span without_dot(struct span name)
{
    if (name.length > 0 && name.at[name.length - 1] == '.')
        name.length--;
    return name;
}

// A NUL in the middle would end the name for mbedTLS, and another one would be checked.
static bool name_fits(struct span name, struct text *why)
{
    if (name.length > 0 && name.length <= NAME_MOST && memchr(name.at, '\0', name.length) == NULL)
        return true;
    text_string(why, name.length == 0 ? "the peer has no name" : "the peer's name is no host name");
    return false;
}

// An address is not sent as SNI (RFC 6066 section 3), and compared by us.
static int name_peer(struct tls *t, struct span name)
{
    char string[NAME_MOST + 1];
    t->by_address = net_address_read(name, &t->address);
    memcpy(string, name.at, name.length);
    string[name.length] = '\0';
    return mbedtls_ssl_set_hostname(&t->ssl, t->by_address ? NULL : string);
}

static int set_up(struct tls *t, const struct tls_client *settings, struct span name)
{
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_config_init(&t->config);
    int error = configure(t, settings->verify);
    if (error == 0)
        error = mbedtls_ssl_setup(&t->ssl, &t->config);
    if (error == 0)
        error = name_peer(t, name);
    mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_receive, NULL);
    return error;
}

static struct tls *take_session(struct tls_refusal *refusal)
{
    struct tls *t = pool_take(&tls_sessions);
    if (t != NULL)
        return t;
    text_format(&refusal->why, "all TLS sessions (%u) are taken", (unsigned)TLS_SESSIONS);
    refusal->starved = true;
    return NULL;
}

static struct tls *begin(const struct tls_client *settings, struct span name, const struct tls_transport *transport,
                         void *owner, struct tls_refusal *refusal)
{
    struct tls *t = take_session(refusal);
    if (t == NULL)
        return NULL;
    t->transport = transport;
    t->owner = owner;
    t->trusted = settings->trusted;
    t->state = TLS_HANDSHAKE;
    int error = set_up(t, settings, name);
    if (error == 0)
        return t;
    refusal->starved = tls_starved;
    tls_explain_error(tls_starved ? MBEDTLS_ERR_SSL_ALLOC_FAILED : error, &refusal->why);
    tls_end(t);
    return NULL;
}

const char *tls_missing(void)
{
    return NULL;
}

struct tls *tls_client(const struct tls_client *settings, const struct tls_transport *transport, void *owner,
                       struct tls_refusal *refusal)
{
    struct span name = without_dot(settings->name);
    tls_arena_prepare();
    tls_starved = false;
    refusal->starved = false;
    if (!name_fits(name, &refusal->why))
        return NULL;
    if (!settings->verify || tls_trust_exists(settings->trusted, &refusal->why))
        return begin(settings, name, transport, owner, refusal);
    refusal->starved = tls_starved;
    return NULL;
}

void tls_end(struct tls *t)
{
    if (t == NULL)
        return;
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_platform_zeroize(t, sizeof *t);
    pool_give(&tls_sessions, t);
}

/// Out ///

// Both wants mean: later.
static bool is_want(int result)
{
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

// Sends what waits, and then the goodbye.
static void push(struct tls *t)
{
    int result = 0;
    if (waits(t))
        result = mbedtls_ssl_write(&t->ssl, NULL, 0); // while something waits it sends that and nothing else
    if (result >= 0 && t->close == CLOSE_WANTED) {
        t->close = CLOSE_SAID;
        result = mbedtls_ssl_close_notify(&t->ssl);
    }
    if (result < 0 && !is_want(result))
        fail(t, result);
}

size_t tls_write(struct tls *t, const uint8_t *bytes, size_t length)
{
    if (t->state != TLS_OPEN || t->close != CLOSE_NOT || length == 0)
        return 0;
    push(t);
    int most = mbedtls_ssl_get_max_out_record_payload(&t->ssl);
    if (t->state != TLS_OPEN || waits(t) || most <= 0)
        return 0;
    size_t n = length < (size_t)most ? length : (size_t)most;
    int result = mbedtls_ssl_write(&t->ssl, bytes, n);
    // The record is made and waits for room: to mbedTLS not yet done, to our caller taken.
    if (result >= 0 || result == MBEDTLS_ERR_SSL_WANT_WRITE)
        return n;
    fail(t, result);
    return 0;
}

bool tls_sending(const struct tls *t)
{
    return t->state != TLS_HANDSHAKE && t->state != TLS_FAILED && (waits(t) || t->close == CLOSE_WANTED);
}

void tls_close(struct tls *t)
{
    if (t->close != CLOSE_NOT || t->state == TLS_FAILED)
        return;
    t->close = CLOSE_WANTED;
    if (t->state != TLS_HANDSHAKE)
        push(t);
}

/// In ///

// Takes from the next record into `bytes`, or with size 0 only makes sure that there is one. False when there is none.
static bool pull(struct tls *t, uint8_t *bytes, size_t size, size_t *taken)
{
    int result;
    *taken = 0;
    t->ended = false;
    do {
        t->dry = false;
        result = mbedtls_ssl_read(&t->ssl, bytes, size);
    } while (result == MBEDTLS_ERR_SSL_WANT_READ && !t->dry);
    if (is_want(result))
        return false;
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        change(t, TLS_CLOSED);
    else if (result < 0)
        fail(t, result);
    else if (result == 0 && t->ended)
        fail(t, MBEDTLS_ERR_SSL_CONN_EOF);
    else
        *taken = (size_t)result;
    return t->state == TLS_OPEN;
}

size_t tls_read(struct tls *t, uint8_t *bytes, size_t size)
{
    size_t n = 0, taken;
    while (t->state == TLS_OPEN && n < size && pull(t, bytes + n, size - n, &taken))
        n += taken;
    return n;
}

/// Steps ///

static void opened(struct tls *t)
{
    struct text agreed = text_in(t->agreed, sizeof t->agreed);
    text_format(&agreed, "%s %s", mbedtls_ssl_get_version(&t->ssl), mbedtls_ssl_get_ciphersuite(&t->ssl));
    text_end(&agreed);
    change(t, TLS_OPEN);
}

static void shake_hands(struct tls *t)
{
    int result;
    tls_starved = false;
    do {
        t->dry = false;
        result = mbedtls_ssl_handshake(&t->ssl);
    } while (result == MBEDTLS_ERR_SSL_WANT_READ && !t->dry);
    if (result == 0)
        opened(t);
    else if (!is_want(result))
        fail(t, result);
}

enum tls_state tls_step(struct tls *t)
{
    size_t none;
    if (t->state == TLS_HANDSHAKE)
        shake_hands(t);
    if (t->state == TLS_OPEN || t->state == TLS_CLOSED)
        push(t);
    if (t->state == TLS_OPEN)
        pull(t, NULL, 0, &none);
    return tls_state(t);
}

enum tls_state tls_state(const struct tls *t)
{
    return (enum tls_state)t->state;
}

const char *tls_agreed(const struct tls *t)
{
    return t->agreed;
}

bool tls_was_starved(const struct tls *t)
{
    return t->state == TLS_FAILED && t->error == MBEDTLS_ERR_SSL_ALLOC_FAILED;
}
