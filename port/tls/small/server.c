// TLS 1.2 alone: 1.3 needs PSA beside it, and 30 KB more of flash. One cipher, one curve.
#include "../server.h"
#include "../../port.h"
#include "../identity.h"
#include "../tls_private.h"

#include <mbedtls/platform_util.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>

#define TICKET_KEY_MS   (60 * 60 * 1000) // until the next key; the one before is good for as long again
#define TICKET_LIFETIME (2 * 60 * 60)    // seconds
#define TICKET_NAME     4                // bytes of a key's name on the wire

static mbedtls_ssl_config configs[2]; // by enum net_alpn
static mbedtls_ssl_ticket_context tickets;
static uint64_t next_rotation;
static bool started;
bool tls_ticket_taken;

/// Randomness ///

static int fill_random(void *none, unsigned char *bytes, size_t length)
{
    (void)none;
    return port_entropy(bytes, length) ? 0 : MBEDTLS_ERR_SSL_HW_ACCEL_FAILED;
}

// mbedTLS calls it where a client would show its certificate, which nobody asks for (port/third_party.mk).
int tls_no_client_certificate(mbedtls_ssl_context *ssl);
int tls_no_client_certificate(mbedtls_ssl_context *ssl)
{
    ssl->MBEDTLS_PRIVATE(state)++;
    return 0;
}

/// What we agree to ///

static const int ciphersuites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    0,
};

static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
    MBEDTLS_TLS1_3_SIG_NONE,
};

static int take_ticket(void *context, mbedtls_ssl_session *session, unsigned char *bytes, size_t length)
{
    int error = mbedtls_ssl_ticket_parse(context, session, bytes, length);
    tls_ticket_taken = tls_ticket_taken || error == 0;
    return error;
}

static const char *http1_protocols[] = {"http/1.1", NULL};
static const char *h2_protocols[] = {"h2", NULL};

// The certificate may have been replaced since the last handshake.
static int choose_certificate(mbedtls_ssl_context *ssl)
{
    return mbedtls_ssl_set_hs_own_cert(ssl, tls_identity_certificate(), tls_identity_key());
}

static int configure(mbedtls_ssl_config *config, const char **protocols)
{
    mbedtls_ssl_config_init(config);
    int error = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    if (error != 0)
        return error;
    mbedtls_ssl_conf_rng(config, fill_random, NULL);
    mbedtls_ssl_conf_ciphersuites(config, ciphersuites);
    mbedtls_ssl_conf_groups(config, groups);
    mbedtls_ssl_conf_sig_algs(config, signatures);
    mbedtls_ssl_conf_cert_cb(config, choose_certificate);
    mbedtls_ssl_conf_session_tickets_cb(config, mbedtls_ssl_ticket_write, take_ticket, &tickets);
    return mbedtls_ssl_conf_alpn_protocols(config, protocols);
}

const mbedtls_ssl_config *tls_server_config(enum net_alpn alpn)
{
    return &configs[alpn];
}

/// Tickets (RFC 5077, RFC 8446 section 4.6.1) ///

// mbedTLS would turn the keys by the time of day, which we may not know.
void tls_server_rotate(uint64_t now_ms)
{
    unsigned char bytes[TICKET_NAME + 16];
    if (now_ms < next_rotation || !port_entropy(bytes, sizeof bytes))
        return;
    next_rotation = now_ms + TICKET_KEY_MS;
    mbedtls_ssl_ticket_rotate(&tickets, bytes, TICKET_NAME, bytes + TICKET_NAME, sizeof bytes - TICKET_NAME,
                              TICKET_LIFETIME);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
}

/// Start ///

static int set_up(void)
{
    mbedtls_ssl_ticket_init(&tickets);
    int error = mbedtls_ssl_ticket_setup(&tickets, fill_random, NULL, MBEDTLS_CIPHER_AES_128_GCM, TICKET_LIFETIME);
    if (error == 0)
        error = configure(&configs[NET_ALPN_HTTP1], http1_protocols);
    if (error == 0)
        error = configure(&configs[NET_ALPN_H2], h2_protocols);
    return error;
}

bool tls_server_start(struct text *why)
{
    if (started)
        return true;
    tls_arena_prepare();
    tls_starved = false;
    int error = set_up();
    if (error != 0) {
        tls_explain_error(tls_starved ? MBEDTLS_ERR_SSL_ALLOC_FAILED : error, why);
        return false;
    }
    next_rotation = port_now_ms() + TICKET_KEY_MS;
    started = tls_identity_start(why);
    return started;
}
