// What went wrong, in words.
#include "tls_private.h"

#include <mbedtls/entropy.h>
#include <mbedtls/error.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/// Errors of mbedTLS's ///

#define NO_KEY "the peer does not have its certificate's key"

// An error is a module's, a multiple of -0x80, plus perhaps a lower layer's, above that; a row stands for either part.
static const struct {
    int error;
    const char *words;
} errors[] = {
    {MBEDTLS_ERR_SSL_ALLOC_FAILED, "there is not enough memory for another TLS session just now"},
    {MBEDTLS_ERR_ENTROPY_SOURCE_FAILED, "the machine has no randomness, and without it there are no secrets"},
    {MBEDTLS_ERR_X509_FILE_IO_ERROR, "the certificates to trust can no longer be read"},
    {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, "the peer does not speak TLS 1.2"},
    {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, "the handshake failed: nothing in common, or somebody has tampered with it"},
    {MBEDTLS_ERR_SSL_INVALID_MAC, "a record was damaged on the way, or forged"},
    {MBEDTLS_ERR_SSL_INVALID_RECORD, "what came is not TLS, or a record too long for us"},
    {MBEDTLS_ERR_SSL_BAD_INPUT_DATA,
     "a message of the peer's, such as its certificates, is too long for us or makes no sense"},
    {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, "a message came that does not belong there"},
    {MBEDTLS_ERR_SSL_DECODE_ERROR, "a message could not be read"},
    {MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE, "the peer wants something that we do not have"},
    {MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, "the peer chose something that was not offered"},
    {MBEDTLS_ERR_SSL_UNSUPPORTED_EXTENSION, "the peer answered with an extension that was not asked for"},
    {MBEDTLS_ERR_SSL_BAD_CERTIFICATE, "the certificate cannot be used"},
    {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, "the peer said goodbye in the middle of the handshake"},
    {MBEDTLS_ERR_SSL_COUNTER_WRAPPING, "too many records went through one session"},
    {MBEDTLS_ERR_ECP_VERIFY_FAILED, NO_KEY},
    {MBEDTLS_ERR_RSA_VERIFY_FAILED, NO_KEY},
    {MBEDTLS_ERR_X509_INVALID_FORMAT, "the certificate could not be read"},
    {MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT, "the certificate could not be read"},
    {MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG, "the certificate is signed in a way that we do not know"},
    {MBEDTLS_ERR_X509_FATAL_ERROR, "the chain of certificates is too long"},
};

static bool fits(int error, int row)
{
    int low = -error & 0x7f, high = -error - low;
    return row == error || row == -low || row == -high;
}

void tls_explain_error(int error, struct text *out)
{
    for (size_t i = 0; i < COUNT(errors); i++) {
        if (fits(error, errors[i].error)) {
            text_string(out, errors[i].words);
            return;
        }
    }
    text_format(out, "error -0x%04x", (unsigned)-error);
}

/// Certificates ///

static const struct {
    uint32_t flags;
    const char *words;
} faults[] = {
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, "the certificate is for another name"},
    {MBEDTLS_X509_BADCERT_EXPIRED, "the certificate has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE, "the certificate is not yet valid"},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "the certificate comes from nobody whom we trust"},
    {MBEDTLS_X509_BADCERT_MISSING, "there was no certificate"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "the certificate is signed with a hash that is no longer safe"},
    {MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY, "the certificate has a key that is too weak"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE | MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
     "the certificate is not one for servers"},
};

static void explain_certificate(uint32_t flags, struct text *out)
{
    size_t before = out->length;
    for (size_t i = 0; i < COUNT(faults); i++) {
        if ((flags & faults[i].flags) == 0)
            continue;
        if (out->length > before)
            text_string(out, ", and ");
        text_string(out, faults[i].words);
    }
    if (out->length == before)
        text_format(out, "the certificate is not good (0x%x)", (unsigned)flags);
}

/// Alerts (RFC 5246 section 7.2) ///

static const struct {
    uint8_t alert;
    const char *name;
    const char *meaning;
} alerts[] = {
    {10, "unexpected_message", ""},
    {20, "bad_record_mac", ""},
    {22, "record_overflow", ""},
    {40, "handshake_failure", ": it found no cipher, curve or signature in common"},
    {42, "bad_certificate", ""},
    {43, "unsupported_certificate", ""},
    {44, "certificate_revoked", ""},
    {45, "certificate_expired", ""},
    {46, "certificate_unknown", ""},
    {47, "illegal_parameter", ""},
    {48, "unknown_ca", ""},
    {49, "access_denied", ""},
    {50, "decode_error", ""},
    {51, "decrypt_error", ""},
    {70, "protocol_version", ": it does not speak TLS 1.2"},
    {71, "insufficient_security", ": it wants stronger ciphers"},
    {80, "internal_error", ""},
    {86, "inappropriate_fallback", ""},
    {90, "user_canceled", ""},
    {100, "no_renegotiation", ""},
    {110, "unsupported_extension", ""},
    {112, "unrecognized_name", ": it does not know the name that we asked for"},
    {116, "certificate_required", ": it wants a certificate of ours"},
    {120, "no_application_protocol", ""},
};

static void explain_alert(uint8_t alert, struct text *out)
{
    text_string(out, "the peer broke it off with the alert ");
    for (size_t i = 0; i < COUNT(alerts); i++) {
        if (alerts[i].alert == alert) {
            text_string(out, alerts[i].name);
            text_string(out, alerts[i].meaning);
            return;
        }
    }
    text_format(out, "%u", (unsigned)alert);
}

/// All of it ///

static bool about_certificate(const struct tls *t)
{
    return (t->error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || t->error == MBEDTLS_ERR_SSL_BAD_CERTIFICATE) &&
           t->flags != 0 && t->flags != UINT32_MAX;
}

void tls_explain(const struct tls *t, struct text *out)
{
    if (t->state != TLS_FAILED)
        return;
    if (about_certificate(t))
        explain_certificate(t->flags, out);
    else if (t->error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        explain_alert(t->alert, out);
    else if (t->error == MBEDTLS_ERR_SSL_CONN_EOF && t->agreed[0] != '\0')
        text_string(out, "the connection ended without a close_notify, so what came may not be all");
    else if (t->error == MBEDTLS_ERR_SSL_CONN_EOF)
        text_string(out, "the connection ended in the middle of the handshake");
    else
        tls_explain_error(t->error, out);
}
