// The certificate in use, for people.
#include "identity_private.h"

#include <mbedtls/base64.h>
#include <mbedtls/oid.h>
#include <mbedtls/sha256.h>

#define LINE_BYTES 48 // that make a line of 64 characters (RFC 7468 section 2)

void tls_identity_fingerprint(struct text *out)
{
    const mbedtls_x509_crt *c = tls_identity_certificate();
    uint8_t hash[32];
    if (c == NULL || mbedtls_sha256(c->raw.p, c->raw.len, hash, 0) != 0)
        return;
    for (size_t i = 0; i < sizeof hash; i++)
        text_format(out, "%s%c%c", i > 0 ? ":" : "", "0123456789ABCDEF"[hash[i] >> 4],
                    "0123456789ABCDEF"[hash[i] & 15]);
}

// Somebody else's bytes on a terminal.
static void quote(struct text *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text_byte(out, bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?');
}

static void common_name(struct text *out, const mbedtls_x509_name *name)
{
    const mbedtls_asn1_named_data *common =
        mbedtls_asn1_find_named_data(name, MBEDTLS_OID_AT_CN, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_CN));
    if (common != NULL)
        quote(out, common->val.p, common->val.len);
    else
        text_string(out, "(no name)");
}

void tls_identity_subject(struct text *out)
{
    const mbedtls_x509_crt *c = tls_identity_certificate();
    if (c == NULL)
        return;
    common_name(out, &c->subject);
    text_string(out, ", signed by ");
    if (tls_identity_is_loaded())
        common_name(out, &c->issuer);
    else
        text_string(out, "itself");
}

static void one_name(struct text *out, const mbedtls_x509_buf *name)
{
    int type = name->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
    if (type == MBEDTLS_X509_SAN_IP_ADDRESS && name->len == 4)
        text_format(out, "%u.%u.%u.%u", name->p[0], name->p[1], name->p[2], name->p[3]);
    else if (type == MBEDTLS_X509_SAN_DNS_NAME)
        quote(out, name->p, name->len);
    else
        text_string(out, "(another kind)");
}

void tls_identity_names(struct text *out)
{
    const mbedtls_x509_crt *c = tls_identity_certificate();
    for (const mbedtls_x509_sequence *s = c != NULL ? &c->subject_alt_names : NULL; s != NULL; s = s->next) {
        if (s->buf.p == NULL)
            continue;
        if (s != &c->subject_alt_names)
            text_string(out, ", ");
        one_name(out, &s->buf);
    }
}

static void date(struct text *out, const mbedtls_x509_time *t)
{
    text_format(out, "%04u-%02u-%02u", (unsigned)t->year, (unsigned)t->mon, (unsigned)t->day);
}

void tls_identity_validity(struct text *out)
{
    const mbedtls_x509_crt *c = tls_identity_certificate();
    if (c == NULL)
        return;
    text_string(out, "valid from ");
    date(out, &c->valid_from);
    text_string(out, " to ");
    date(out, &c->valid_to);
}

static void pem_of(const mbedtls_x509_crt *c, void (*line)(const char *text))
{
    unsigned char buffer[LINE_BYTES / 3 * 4 + 1];
    line("-----BEGIN CERTIFICATE-----");
    for (size_t at = 0; at < c->raw.len; at += LINE_BYTES) {
        size_t n = c->raw.len - at < LINE_BYTES ? c->raw.len - at : LINE_BYTES, written;
        if (mbedtls_base64_encode(buffer, sizeof buffer, &written, c->raw.p + at, n) == 0)
            line((const char *)buffer);
    }
    line("-----END CERTIFICATE-----");
}

void tls_identity_pem(void (*line)(const char *text))
{
    for (const mbedtls_x509_crt *c = tls_identity_certificate(); c != NULL; c = c->next)
        pem_of(c, line);
}
