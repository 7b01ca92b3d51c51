#include "cost_tls.h"
#include "../../port/net.h"
#include "../../port/port.h"
#include "../../port/tls/tls_private.h"
#include <string.h>

static mbedtls_ssl_context client;
static mbedtls_ssl_config config;
static mbedtls_ssl_session session;
static bool begun, has_session, shaken;
static uint8_t in[8192], out[4096];
static size_t in_length, out_length, out_sent;

bool cost_tls_exists(void)
{
    return true;
}

static int fill(void *none, unsigned char *bytes, size_t length)
{
    (void)none;
    return port_entropy(bytes, length) ? 0 : -1;
}

static int on_send(void *none, const unsigned char *bytes, size_t length)
{
    (void)none;
    size_t room = sizeof out - out_length;
    size_t n = length < room ? length : room;
    memcpy(out + out_length, bytes, n);
    out_length += n;
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int on_receive(void *none, unsigned char *bytes, size_t size)
{
    (void)none;
    size_t n = size < in_length ? size : in_length;
    memcpy(bytes, in, n);
    memmove(in, in + n, in_length - n);
    in_length -= n;
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

static void forget(void)
{
    if (!begun)
        return;
    mbedtls_ssl_free(&client);
    mbedtls_ssl_config_free(&config);
    begun = false;
}

void cost_tls_begin(int minor, bool resume)
{
    mbedtls_ssl_protocol_version version = minor == 3 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
    forget();
    in_length = out_length = out_sent = 0;
    shaken = false;
    mbedtls_ssl_init(&client);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&config, fill, NULL);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_min_tls_version(&config, version);
    mbedtls_ssl_conf_max_tls_version(&config, version);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&config,
                                                             MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_setup(&client, &config);
    mbedtls_ssl_set_hostname(&client, NULL);
    mbedtls_ssl_set_bio(&client, NULL, on_send, on_receive, NULL);
    if (resume && has_session)
        mbedtls_ssl_set_session(&client, &session);
    begun = true;
}

static void keep_session(void)
{
    if (has_session)
        mbedtls_ssl_session_free(&session);
    mbedtls_ssl_session_init(&session);
    has_session = mbedtls_ssl_get_session(&client, &session) == 0;
}

// Ends the measurement (cost.sh).
static void say_failure(int error)
{
    char line[64];
    struct text t = text_in(line, sizeof line);
    text_format(&t, "\ncost failed: TLS -0x%04x\n", (unsigned)-error);
    port_console_write(line, t.length);
}

bool cost_tls_shake(void)
{
    if (shaken)
        return true;
    int result = 0;
    while (result == 0 && !mbedtls_ssl_is_handshake_over(&client)) {
        result = mbedtls_ssl_handshake_step(&client);
    }
    if (mbedtls_ssl_is_handshake_over(&client)) {
        shaken = true;
        if (client.MBEDTLS_PRIVATE(tls_version) == MBEDTLS_SSL_VERSION_TLS1_2)
            keep_session();
    } else if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) {
        say_failure(result);
    }
    return shaken;
}

void cost_tls_read(char *text, size_t size)
{
    size_t at = strlen(text);
    int n;
    while (at + 1 < size && shaken) {
        n = mbedtls_ssl_read(&client, (unsigned char *)text + at, size - 1 - at);
        if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            keep_session();
            continue;
        }
        if (n <= 0)
            break;
        at += (size_t)n;
        text[at] = '\0';
    }
}

void cost_tls_write(const char *text)
{
    mbedtls_ssl_write(&client, (const unsigned char *)text, strlen(text));
}

uint8_t *cost_tls_take(size_t length)
{
    if (length > sizeof in - in_length)
        return NULL;
    in_length += length;
    return in + in_length - length;
}

size_t cost_tls_give(const uint8_t **bytes, size_t most)
{
    size_t n = out_length - out_sent;
    if (n > most)
        n = most;
    *bytes = out + out_sent;
    out_sent += n;
    if (out_sent == out_length && n == 0)
        out_sent = out_length = 0;
    return n;
}

bool cost_tls_was_resumed(void)
{
    static uint32_t before;
    bool more = net_tls_counters.resumed != before;
    before = net_tls_counters.resumed;
    return more;
}
