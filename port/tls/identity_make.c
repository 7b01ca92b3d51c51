// Making the device's own key and certificate.
#include "../net.h"
#include "../port.h"
#include "identity_private.h"
#include "tls_private.h"

#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <string.h>

#define NAMES_MOST 16
#define NAME_BYTES 64 // of one DNS name from the settings; RFC 1035 allows more, a device's name needs none
#define COMMON     40 // bytes of "CN=" and the host name

struct name {
    int type; // MBEDTLS_X509_SAN_*
    struct span bytes;
};

struct names {
    struct name list[NAMES_MOST];
    size_t count;
    char local[COMMON + 8];
    uint8_t addresses[NAMES_MOST][4];
};

int tls_identity_random(void *nobody, unsigned char *bytes, size_t length)
{
    (void)nobody;
    return port_entropy(bytes, length) ? 0 : MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
}

/// Time ///

int64_t tls_identity_now(void)
{
    uint64_t ms = port_wall_ms();
    return ms != 0 ? (int64_t)(ms / 1000) : (int64_t)PIPIT_BUILD_TIME;
}

// As x509write_crt.h has it: "20261126210000".
static void stamp_of(int64_t seconds, char stamp[16])
{
    struct tm date;
    struct text t = text_in(stamp, 16);
    mbedtls_platform_gmtime_r(&seconds, &date);
    text_format(&t, "%04u%02u%02u%02u%02u%02u", (unsigned)date.tm_year + 1900, (unsigned)date.tm_mon + 1,
                (unsigned)date.tm_mday, (unsigned)date.tm_hour, (unsigned)date.tm_min, (unsigned)date.tm_sec);
    text_end(&t);
}

/// Names ///

static void add(struct names *n, int type, struct span bytes)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->list[i].type == type && span_equal_nocase(n->list[i].bytes, bytes))
            return;
    if (n->count < NAMES_MOST)
        n->list[n->count++] = (struct name){type, bytes};
}

static void add_address(struct names *n, uint32_t address)
{
    uint8_t *bytes = n->addresses[n->count % NAMES_MOST];
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(address >> (24 - 8 * i));
    add(n, MBEDTLS_X509_SAN_IP_ADDRESS, (struct span){(const char *)bytes, 4});
}

// IA5String of a host name; what would be none is not worth a certificate that others refuse.
static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.length; i++) {
        char c = span_fold(s.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return false;
    }
    return s.length > 0 && s.length <= NAME_BYTES;
}

static void add_setting(struct names *n, struct span entry)
{
    uint32_t address;
    if (net_address_read(entry, &address))
        add_address(n, address);
    else if (is_name(entry))
        add(n, MBEDTLS_X509_SAN_DNS_NAME, entry);
}

static void add_settings(struct names *n)
{
    struct span rest = span_of(tls_identity_settings.names != NULL ? tls_identity_settings.names : "");
    while (rest.length > 0) {
        struct span part = span_cut(&rest, ',');
        while (part.length > 0) // a space parts them too
            add_setting(n, span_trim(span_cut(&part, ' ')));
    }
}

// 127.0.0.1 and localhost are for a port that is forwarded here from the machine before it.
static void collect(struct names *n)
{
    *n = (struct names){.count = 0};
    struct text local = text_in(n->local, sizeof n->local);
    text_format(&local, "%s.local", net_own_name());
    add(n, MBEDTLS_X509_SAN_DNS_NAME, span_of(net_own_name()));
    add(n, MBEDTLS_X509_SAN_DNS_NAME, text_whole(&local));
    add(n, MBEDTLS_X509_SAN_DNS_NAME, span_of("localhost"));
    if (net_own_address() != 0)
        add_address(n, net_own_address());
    add_address(n, 0x7f000001);
    add_settings(n);
}

static bool is_wanted(const struct names *n, int type, struct span bytes)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->list[i].type == type && span_equal_nocase(n->list[i].bytes, bytes))
            return true;
    return false;
}

static bool has(const mbedtls_x509_crt *certificate, const struct name *name)
{
    for (const mbedtls_x509_sequence *s = &certificate->subject_alt_names; s != NULL; s = s->next)
        if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == name->type &&
            span_equal_nocase((struct span){(const char *)s->buf.p, s->buf.len}, name->bytes))
            return true;
    return false;
}

// An address that was ours before does no harm; one may come back. A name may be somebody else's now.
bool tls_identity_covers(const mbedtls_x509_crt *certificate)
{
    struct names n;
    collect(&n);
    for (size_t i = 0; i < n.count; i++)
        if (!has(certificate, &n.list[i]))
            return false;
    for (const mbedtls_x509_sequence *s = &certificate->subject_alt_names; s != NULL; s = s->next)
        if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_DNS_NAME &&
            !is_wanted(&n, MBEDTLS_X509_SAN_DNS_NAME, (struct span){(const char *)s->buf.p, s->buf.len}))
            return false;
    return true;
}

/// The key ///

static bool explain(int error, struct text *why)
{
    if (error == MBEDTLS_ERR_ENTROPY_SOURCE_FAILED)
        text_string(why, "This machine has no randomness, so it can make no key; give it a seed.");
    else if (tls_starved)
        text_string(why,
                    "There is not enough memory to make a certificate just now; try it again when fewer TLS sessions "
                    "are open.");
    else
        text_format(why, "The certificate could not be made (error -0x%04x); try again.", (unsigned)-error);
    return false;
}

// mbedTLS writes to the end of what it is given.
static void to_front(uint8_t *bytes, size_t size, size_t length)
{
    memmove(bytes, bytes + size - length, length);
    mbedtls_platform_zeroize(bytes + length, size - length);
}

bool tls_identity_make_key(struct tls_material *m, struct text *why)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int result = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (result == 0)
        result = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), tls_identity_random, NULL);
    if (result == 0)
        result = mbedtls_pk_write_key_der(&key, m->key, sizeof m->key);
    mbedtls_pk_free(&key);
    if (result <= 0)
        return explain(result, why);
    m->key_length = (size_t)result;
    to_front(m->key, sizeof m->key, m->key_length);
    return true;
}

/// The certificate ///

static int set_names(mbedtls_x509write_cert *c)
{
    struct names n;
    mbedtls_x509_san_list list[NAMES_MOST];
    collect(&n);
    for (size_t i = 0; i < n.count; i++) {
        const struct name *name = &n.list[n.count - 1 - i]; // mbedTLS turns them round
        list[i] = (mbedtls_x509_san_list){.next = i + 1 < n.count ? &list[i + 1] : NULL};
        list[i].node.type = name->type;
        list[i].node.san.unstructured_name.p = (unsigned char *)(uintptr_t)name->bytes.at;
        list[i].node.san.unstructured_name.len = name->bytes.length;
    }
    return mbedtls_x509write_crt_set_subject_alternative_name(c, list);
}

static int set_subject(mbedtls_x509write_cert *c)
{
    char common[COMMON];
    struct text t = text_in(common, sizeof common);
    text_format(&t, "CN=%s", net_own_name());
    int error = mbedtls_x509write_crt_set_subject_name(c, text_end(&t));
    return error != 0 ? error : mbedtls_x509write_crt_set_issuer_name(c, common);
}

// Serial numbers are positive and not zero (RFC 5280 section 4.1.2.2).
static int set_serial(mbedtls_x509write_cert *c)
{
    uint8_t serial[16];
    int error = tls_identity_random(NULL, serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
    return error != 0 ? error : mbedtls_x509write_crt_set_serial_raw(c, serial, sizeof serial);
}

// From yesterday, because others' clocks are not ours.
static int set_dates(mbedtls_x509write_cert *c)
{
    char from[16], to[16];
    int64_t now = tls_identity_now();
    stamp_of(now - DAY_SECONDS, from);
    stamp_of(now + (int64_t)tls_identity_settings.days * DAY_SECONDS, to);
    return mbedtls_x509write_crt_set_validity(c, from, to);
}

// A server's certificate and no authority's: whoever trusts it trusts this device and nothing that it may sign.
static int set_use(mbedtls_x509write_cert *c)
{
    static const char server[] = MBEDTLS_OID_SERVER_AUTH;
    const mbedtls_asn1_sequence use = {
        .buf = {.tag = MBEDTLS_ASN1_OID, .len = sizeof server - 1, .p = (unsigned char *)(uintptr_t)server}};
    int error = mbedtls_x509write_crt_set_basic_constraints(c, 0, -1);
    if (error == 0)
        error = mbedtls_x509write_crt_set_key_usage(c, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    return error != 0 ? error : mbedtls_x509write_crt_set_ext_key_usage(c, &use);
}

static int fill_in(mbedtls_x509write_cert *c)
{
    int (*const parts[])(mbedtls_x509write_cert *) = {set_serial, set_subject, set_dates, set_names, set_use};
    mbedtls_x509write_crt_set_md_alg(c, MBEDTLS_MD_SHA256);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int error = parts[i](c);
        if (error != 0)
            return error;
    }
    return 0;
}

static int write_certificate(struct tls_material *m, mbedtls_pk_context *key)
{
    mbedtls_x509write_cert c;
    mbedtls_x509write_crt_init(&c);
    mbedtls_x509write_crt_set_subject_key(&c, key);
    mbedtls_x509write_crt_set_issuer_key(&c, key);
    int result = fill_in(&c);
    if (result == 0)
        result = mbedtls_x509write_crt_der(&c, m->chain, sizeof m->chain, tls_identity_random, NULL);
    mbedtls_x509write_crt_free(&c);
    return result;
}

bool tls_identity_make_certificate(struct tls_material *m, struct text *why)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int result = mbedtls_pk_parse_key(&key, m->key, m->key_length, NULL, 0, tls_identity_random, NULL);
    if (result == 0)
        result = write_certificate(m, &key);
    mbedtls_pk_free(&key);
    if (result <= 0)
        return explain(result, why);
    m->kind = TLS_KIND_OWN;
    m->chain_length = (size_t)result;
    to_front(m->chain, sizeof m->chain, m->chain_length);
    return true;
}
