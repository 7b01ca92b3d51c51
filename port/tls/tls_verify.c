// Whom to trust. The certificates come as PEM text that may hold hundreds of them, so they are never parsed as a whole:
// for each link of a chain the text is walked, and only certificates with the wanted name are unpacked.
#include "../log.h"
#include "../port.h"
#include "tls_private.h"

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <mbedtls/error.h>
#include <mbedtls/platform.h>
#include <string.h>

#define CERTIFICATE_MOST 4096 // bytes of DER; a longer one is skipped
#define ISSUERS_MOST     8    // of one name: old and new keys, cross-signed ones
#define BEGIN            "-----BEGIN CERTIFICATE-----"
#define END              "-----END CERTIFICATE-----"
#define DASHES           "-----"

/// PEM (RFC 7468) ///

// Where `mark`, which begins with a dash, begins in `s`; its length when it is not there.
static size_t find(struct span s, struct span mark)
{
    size_t at = 0;
    while (at < s.length) {
        const char *dash = memchr(s.at + at, '-', s.length - at);
        if (dash == NULL)
            return s.length;
        at = (size_t)(dash - s.at);
        if (span_starts(span_behind(s, at), mark))
            return at;
        at++;
    }
    return s.length;
}

// The base64 text of the next block that has both its ends. What follows a block without an end still counts.
static bool next_block(struct span *rest, struct span *body)
{
    const struct span begin = span_of(BEGIN);
    size_t at;
    while ((at = find(*rest, begin)) < rest->length) {
        *rest = span_behind(*rest, at + begin.length);
        body->at = rest->at;
        body->length = find(*rest, span_of(DASHES));
        *rest = span_behind(*rest, body->length);
        if (span_starts(*rest, span_of(END)))
            return true;
    }
    return false;
}

/// DER (RFC 5280 section 4.1) ///

#define SEQUENCE (MBEDTLS_ASN1_SEQUENCE | MBEDTLS_ASN1_CONSTRUCTED)
#define VERSION  (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED)

struct certificate {
    unsigned char *der; // room for CERTIFICATE_MOST bytes
    size_t length;
    mbedtls_x509_buf subject; // within: a Name with its tag and length
};

static bool enter(unsigned char **at, const unsigned char *end)
{
    size_t length;
    return mbedtls_asn1_get_tag(at, end, &length, SEQUENCE) == 0;
}

// Steps over a field, when it has the tag.
static bool skip(unsigned char **at, const unsigned char *end, int tag)
{
    size_t length;
    if (mbedtls_asn1_get_tag(at, end, &length, tag) != 0)
        return false;
    *at += length;
    return true;
}

static bool find_subject(struct certificate *c)
{
    unsigned char *at = c->der;
    const unsigned char *end = c->der + c->length;
    if (!enter(&at, end)) // Certificate
        return false;
    if (!enter(&at, end)) // TBSCertificate
        return false;
    skip(&at, end, VERSION); // version 1 leaves it out
    // serialNumber, signature, issuer, validity
    if (!skip(&at, end, MBEDTLS_ASN1_INTEGER) || !skip(&at, end, SEQUENCE) || !skip(&at, end, SEQUENCE) ||
        !skip(&at, end, SEQUENCE))
        return false;
    c->subject.p = at;
    if (!skip(&at, end, SEQUENCE))
        return false;
    c->subject.len = (size_t)(at - c->subject.p);
    return true;
}

// The next certificate of `rest` that can be read; blocks that can't are passed over.
static bool next_certificate(struct span *rest, struct certificate *c)
{
    struct span body;
    while (next_block(rest, &body)) {
        if (mbedtls_base64_decode(c->der, CERTIFICATE_MOST, &c->length, (const unsigned char *)body.at, body.length) ==
                0 &&
            find_subject(c))
            return true;
    }
    return false;
}

/// Names ///

static bool is_text(int tag)
{
    return tag == MBEDTLS_ASN1_UTF8_STRING || tag == MBEDTLS_ASN1_PRINTABLE_STRING;
}

// One field of two names that are walked in step: a value equal, or a box whose inside comes next. As in mbedTLS, the
// two kinds of text count as one, and in them the case of letters does not count (RFC 5280 section 7.1).
static bool fields_equal(unsigned char **a, const unsigned char *a_end, unsigned char **b, const unsigned char *b_end)
{
    size_t length, other;
    int tag = *(*a)++, other_tag = *(*b)++;
    bool text = is_text(tag) && is_text(other_tag);
    if ((tag != other_tag && !text) || mbedtls_asn1_get_len(a, a_end, &length) != 0 ||
        mbedtls_asn1_get_len(b, b_end, &other) != 0 || length != other)
        return false;
    if (tag & MBEDTLS_ASN1_CONSTRUCTED)
        return true;
    struct span left = {(const char *)*a, length}, right = {(const char *)*b, length};
    *a += length;
    *b += length;
    return text ? span_equal_nocase(left, right) : span_equal(left, right);
}

static bool names_equal(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    unsigned char *p = a->p, *q = b->p;
    const unsigned char *p_end = p + a->len, *q_end = q + b->len;
    while (p < p_end && q < q_end) {
        if (!fields_equal(&p, p_end, &q, q_end))
            return false;
    }
    return p == p_end && q == q_end;
}

/// The walk ///

// Begins a walk over what the session trusts. 0, or an error of mbedTLS's; `c->der` is to be given back.
static int begin_walk(const char *trusted, struct span *rest, struct certificate *c)
{
    *c = (struct certificate){0};
    if (!port_certificates(trusted, &rest->at, &rest->length))
        return MBEDTLS_ERR_X509_FILE_IO_ERROR;
    c->der = mbedtls_calloc(1, CERTIFICATE_MOST);
    return c->der == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static bool begin_checked(const char *trusted, struct span *rest, struct certificate *c, struct text *why)
{
    int error = begin_walk(trusted, rest, c);
    if (error == MBEDTLS_ERR_X509_FILE_IO_ERROR)
        text_format(why, "the certificates to trust, %s, cannot be read", trusted);
    else if (error != 0)
        tls_explain_error(error, why);
    return error == 0;
}

bool tls_trust_exists(const char *trusted, struct text *why)
{
    struct span rest;
    struct certificate c;
    if (trusted == NULL || trusted[0] == '\0') {
        text_string(why, "nobody has said which certificates to trust: name them, or turn the check off");
        return false;
    }
    if (!begin_checked(trusted, &rest, &c, why))
        return false;
    bool empty = rest.length == 0;
    bool found = next_certificate(&rest, &c);
    mbedtls_free(c.der);
    if (!found)
        text_format(why, "the certificates to trust, %s, are %s", trusted,
                    empty ? "an empty file" : "no certificates in PEM");
    return found;
}

/// mbedTLS's questions ///

// Adds a certificate to the list, unless it is broken: 0, or the error when memory ran out.
static int add_issuer(mbedtls_x509_crt **list, const struct certificate *c)
{
    if (*list == NULL) {
        *list = mbedtls_calloc(1, sizeof **list);
        if (*list == NULL)
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        mbedtls_x509_crt_init(*list);
    }
    mbedtls_x509_crt_parse_der(*list, c->der, c->length); // what is broken is left out
    return tls_starved ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int collect(const struct tls *t, const mbedtls_x509_crt *child, mbedtls_x509_crt **list)
{
    struct span rest;
    struct certificate c;
    int error = begin_walk(t->trusted, &rest, &c);
    int count = 0;
    while (error == 0 && count < ISSUERS_MOST && next_certificate(&rest, &c)) {
        if (!names_equal(&c.subject, &child->issuer_raw))
            continue;
        error = add_issuer(list, &c);
        count++;
    }
    mbedtls_free(c.der);
    return error;
}

int tls_find_issuers(void *session, const mbedtls_x509_crt *child, mbedtls_x509_crt **found)
{
    struct tls *t = session;
    mbedtls_x509_crt *list = NULL;
    int error = collect(t, child, &list);
    if (error != 0)
        t->error = error;
    if (list != NULL && (error != 0 || list->raw.p == NULL)) { // all of them were broken
        mbedtls_x509_crt_free(list);
        mbedtls_free(list);
        list = NULL;
    }
    *found = list;
    return error;
}

// A server's own certificate may be in the bundle itself: trusted as it is, though it is no CA's.
static bool is_listed(struct tls *t, const mbedtls_x509_crt *certificate)
{
    struct span rest;
    struct certificate c;
    bool listed = false;
    int error = begin_walk(t->trusted, &rest, &c);
    while (error == 0 && !listed && next_certificate(&rest, &c))
        listed = c.length == certificate->raw.len && memcmp(c.der, certificate->raw.p, c.length) == 0;
    mbedtls_free(c.der);
    if (error != 0)
        t->error = error;
    return listed;
}

static bool has_address(const mbedtls_x509_crt *certificate, uint32_t address)
{
    const uint8_t bytes[4] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8),
                              (uint8_t)address};
    for (const mbedtls_x509_sequence *name = &certificate->subject_alt_names; name != NULL; name = name->next) {
        if ((name->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            name->buf.len == sizeof bytes && memcmp(name->buf.p, bytes, sizeof bytes) == 0)
            return true;
    }
    return false;
}

// Without the time of day every date would be wrong: better no dates than no mail.
static void forgive_dates(struct tls *t, uint32_t *flags)
{
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    if (!t->dates_warned)
        log_line(LOG_WARNING, "tls", "the time is not known: the dates of certificates are not checked");
    t->dates_warned = true;
}

int tls_check_certificate(void *session, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct tls *t = session;
    if (port_wall_ms() == 0)
        forgive_dates(t, flags);
    if (depth > 0)
        return 0;
    if (t->by_address && !has_address(certificate, t->address))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    if ((*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) && is_listed(t, certificate))
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    return 0;
}
