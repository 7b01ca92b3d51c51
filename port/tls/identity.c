// The identity in use: two slots, what is kept, and when a certificate is made anew.
#include "identity.h"
#include "../log.h"
#include "../net.h"
#include "../port.h"
#include "identity_private.h"
#include "tls_private.h"

#include <mbedtls/ecp.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/rsa.h>
#include <string.h>

#define LOOK_MS      1000
#define RETRY_MS     60000  // after a certificate was made, or could not be
#define RETIRED_MS   120000 // that one which is no longer shown stays, though nobody holds it
#define RENEW_DAYS   30     // before the end; no more than a third of the whole
#define RSA_LEAST    2048   // bits
#define CHAIN_MOST   4      // certificates
#define NAME_OF_CERT "tls.cert"
#define NAME_OF_KEY  "tls.key"

struct tls_identity_settings tls_identity_settings = {.days = 397};

struct slot {
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    uint8_t chain[TLS_CHAIN]; // what `certificate` points into
    size_t length;
    uint32_t generation; // 0: empty
    uint32_t holds;
    uint8_t kind; // enum tls_kind
};

// What the console was told of a loaded certificate's end.
enum told { TOLD_NOTHING, TOLD_SOON, TOLD_EXPIRED };

static struct slot slots[2];
static struct slot *shown; // one of them, or NULL
static struct tls_material material;
static uint32_t generations;
static bool started, clock_known;
static bool keeps;   // what is made here goes to the store
static uint8_t told; // enum told
static uint64_t next_look_ms, next_make_ms, retired_ms, first_ms;

mbedtls_x509_crt *tls_identity_certificate(void)
{
    return shown != NULL ? &shown->certificate : NULL;
}

mbedtls_pk_context *tls_identity_key(void)
{
    return shown != NULL ? &shown->key : NULL;
}

uint32_t tls_identity_generation(void)
{
    return shown != NULL ? shown->generation : 0;
}

bool tls_identity_is_loaded(void)
{
    return shown != NULL && shown->kind == TLS_KIND_LOADED;
}

uint32_t tls_identity_hold(void)
{
    if (shown == NULL)
        return 0;
    shown->holds++;
    return shown->generation;
}

void tls_identity_release(uint32_t generation)
{
    for (size_t i = 0; i < 2; i++)
        if (generation != 0 && slots[i].generation == generation && slots[i].holds > 0)
            slots[i].holds--;
}

/// Slots ///

static struct slot *other_slot(void)
{
    return shown == &slots[0] ? &slots[1] : &slots[0];
}

static void empty(struct slot *s)
{
    if (s->generation != 0) {
        mbedtls_x509_crt_free(&s->certificate);
        mbedtls_pk_free(&s->key);
    }
    mbedtls_platform_zeroize(s, sizeof *s);
}

static bool refuse(struct text *why, const char *sentence)
{
    text_string(why, tls_starved ? "There is not enough memory for the certificate just now; try it again when fewer "
                                   "TLS sessions are open."
                                 : sentence);
    return false;
}

// How long the certificate at `der` is, with its head; 0 when it is none.
static size_t certificate_length(const uint8_t *der, size_t most)
{
    unsigned char *at = (unsigned char *)(uintptr_t)der;
    size_t length;
    if (mbedtls_asn1_get_tag(&at, der + most, &length, MBEDTLS_ASN1_SEQUENCE | MBEDTLS_ASN1_CONSTRUCTED) != 0)
        return 0;
    return (size_t)(at - der) + length;
}

static bool read_chain(struct slot *s, struct text *why)
{
    size_t at = 0;
    for (unsigned number = 1; at < s->length; number++) {
        size_t length = certificate_length(s->chain + at, s->length - at);
        if (number > CHAIN_MOST)
            return refuse(why, "There are more than four certificates; leave out the last of the chain.");
        if (length == 0 || mbedtls_x509_crt_parse_der_nocopy(&s->certificate, s->chain + at, length) != 0) {
            if (!tls_starved)
                text_format(
                    why,
                    "Certificate number %u cannot be read; give it as PEM, whole, for an EC (P-256, P-384) or RSA key.",
                    number);
            return tls_starved ? refuse(why, "") : false;
        }
        at += length;
    }
    return true;
}

static bool read_key(struct slot *s, const struct tls_material *m, struct text *why)
{
    if (mbedtls_pk_parse_key(&s->key, m->key, m->key_length, NULL, 0, tls_identity_random, NULL) != 0)
        return refuse(why, "The private key cannot be read; give an EC key (P-256) or an RSA key as PEM, whole.");
    mbedtls_pk_type_t type = mbedtls_pk_get_type(&s->key);
    size_t bits = mbedtls_pk_get_bitlen(&s->key);
    if (type == MBEDTLS_PK_RSA && bits >= RSA_LEAST && bits <= TLS_RSA_MOST)
        return true;
    if (type == MBEDTLS_PK_RSA && bits > TLS_RSA_MOST)
        return refuse(why, "This device is too slow for an RSA key of that length; give an EC key (P-256).");
    mbedtls_ecp_group_id curve = type == MBEDTLS_PK_ECKEY ? mbedtls_pk_ec(s->key)->MBEDTLS_PRIVATE(grp).id : 0;
    if (curve == MBEDTLS_ECP_DP_SECP256R1 || curve == MBEDTLS_ECP_DP_SECP384R1)
        return true;
    return refuse(why,
                  "The key must be an EC key on P-256 or P-384, or an RSA key of 2048 to 4096 bits; make one that is.");
}

// Our own keys are kept with their public half: comparing it finds a pair that power loss has torn, and takes none of
// the 6 million instructions of working it out once more.
static bool own_pair_fits(const struct slot *s)
{
    const mbedtls_pk_context *certified = &s->certificate.pk;
    return mbedtls_pk_get_type(certified) == MBEDTLS_PK_ECKEY && mbedtls_pk_get_type(&s->key) == MBEDTLS_PK_ECKEY &&
           mbedtls_ecp_point_cmp(&mbedtls_pk_ec(*certified)->MBEDTLS_PRIVATE(Q),
                                 &mbedtls_pk_ec(s->key)->MBEDTLS_PRIVATE(Q)) == 0;
}

static bool check_pair(struct slot *s, struct text *why)
{
    if (s->kind == TLS_KIND_OWN && own_pair_fits(s))
        return true;
    if (mbedtls_pk_check_pair(&s->certificate.pk, &s->key, tls_identity_random, NULL) == 0)
        return true;
    return refuse(why, "The key does not belong to the first certificate; give the server's own certificate first, "
                       "and its key.");
}

static bool equal(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static bool check_order(const struct slot *s, struct text *why)
{
    unsigned number = 2;
    for (const mbedtls_x509_crt *c = &s->certificate; c->next != NULL; c = c->next, number++)
        if (!equal(&c->issuer_raw, &c->next->subject_raw)) {
            text_format(why, "Certificate number %u did not sign the one before it; give the chain in its order.",
                        number);
            return false;
        }
    return true;
}

static bool is_before(const mbedtls_x509_time *a, int64_t seconds)
{
    mbedtls_x509_time b;
    return mbedtls_x509_time_gmtime(seconds, &b) == 0 && mbedtls_x509_time_cmp(a, &b) < 0;
}

static bool fill(struct slot *s, const struct tls_material *m, struct text *why)
{
    mbedtls_x509_crt_init(&s->certificate);
    mbedtls_pk_init(&s->key);
    s->generation = ++generations;
    s->kind = m->kind;
    s->length = m->chain_length;
    memcpy(s->chain, m->chain, m->chain_length);
    return read_chain(s, why) && read_key(s, m, why) && check_pair(s, why) && check_order(s, why);
}

static void announce(void)
{
    char first[LOG_LINE], second[64];
    struct text print = text_in(first, sizeof first), dates = text_in(second, sizeof second);
    tls_identity_fingerprint(&print);
    tls_identity_validity(&dates);
    log_line(LOG_INFO, "tls", "certificate %.*s..., %s, %s", 23, text_end(&print),
             shown->kind == TLS_KIND_LOADED ? "loaded" : "self-signed", text_end(&dates));
}

static void show(struct slot *s)
{
    shown = s;
    retired_ms = port_now_ms();
    told = TOLD_NOTHING;
    next_look_ms = 0;
    announce();
}

// Puts `m` into the free slot, to be looked at before it is shown. NULL with a sentence.
static struct slot *prepare(const struct tls_material *m, struct text *why)
{
    struct slot *s = other_slot();
    tls_arena_prepare();
    tls_starved = false;
    if (s->holds > 0) {
        text_string(why, "Handshakes with the certificate before this one are still under way; try again in a moment.");
        return NULL;
    }
    empty(s);
    if (fill(s, m, why))
        return s;
    empty(s);
    return NULL;
}

/// What is kept ///

static bool keep_both(const struct tls_material *m)
{
    const struct tls_identity_store *store = tls_identity_settings.store;
    return store != NULL && store->keep(span_of(NAME_OF_KEY), (struct span){(const char *)m->key, m->key_length}) &&
           store->keep(span_of(NAME_OF_CERT), (struct span){(const char *)&m->kind, m->chain_length + 1});
}

static void keep(const struct tls_material *m)
{
    if (!keep_both(m))
        log_line(LOG_WARNING, "tls", "the certificate could not be kept: after the next start it will be another one");
}

static bool read_kept(struct tls_material *m)
{
    const struct tls_identity_store *store = tls_identity_settings.store;
    if (store == NULL)
        return false;
    size_t length = store->read(span_of(NAME_OF_CERT), &m->kind, TLS_CHAIN + 1);
    m->key_length = store->read(span_of(NAME_OF_KEY), m->key, sizeof m->key);
    m->chain_length = length > 0 ? length - 1 : 0;
    return m->key_length > 0;
}

/// Own certificates ///

static bool make_certificate(struct text *why)
{
    tls_starved = false;
    if (!tls_identity_make_certificate(&material, why))
        return false;
    struct slot *s = prepare(&material, why);
    if (s == NULL)
        return false;
    show(s);
    if (keeps)
        keep(&material);
    return true;
}

static void wipe(void)
{
    mbedtls_platform_zeroize(&material, sizeof material);
}

static void make_or_log(uint64_t now_ms)
{
    char buffer[160];
    struct text why = text_in(buffer, sizeof buffer);
    next_make_ms = now_ms + RETRY_MS;
    if (!make_certificate(&why))
        log_line(LOG_ERROR, "tls", "%s", text_end(&why));
    else
        wipe();
}

// The key in use, for another certificate.
static bool take_key(void)
{
    int length = mbedtls_pk_write_key_der(&shown->key, material.key, sizeof material.key);
    if (length <= 0)
        return false;
    material.key_length = (size_t)length;
    memmove(material.key, material.key + sizeof material.key - material.key_length, material.key_length);
    return true;
}

static int64_t renewal_margin(void)
{
    int64_t third = (int64_t)tls_identity_settings.days * DAY_SECONDS / 3;
    return third < RENEW_DAYS * DAY_SECONDS ? third : RENEW_DAYS * DAY_SECONDS;
}

// In the future: the clock was ahead when they were made.
static bool dates_are_wrong(void)
{
    int64_t now = tls_identity_now();
    const mbedtls_x509_crt *c = &shown->certificate;
    return is_before(&c->valid_to, now + renewal_margin()) || (port_wall_ms() != 0 && !is_before(&c->valid_from, now));
}

static void look_at_own(uint64_t now_ms)
{
    if (now_ms < next_make_ms || (!dates_are_wrong() && tls_identity_covers(&shown->certificate)))
        return;
    if (take_key())
        make_or_log(now_ms);
    wipe();
}

// The first one waits for an address, so that it need not be made twice.
static void look_at_none(uint64_t now_ms)
{
    bool patient = net_own_address() == 0 && now_ms < first_ms + TLS_IDENTITY_PATIENCE_MS;
    if (!patient && now_ms >= next_make_ms && material.key_length > 0)
        make_or_log(now_ms);
}

/// Loaded certificates ///

static void tell(enum told what, enum log_level level, const char *sentence)
{
    if (told != what)
        log_line(level, "tls", "%s", sentence);
    told = (uint8_t)what;
}

static void look_at_loaded(void)
{
    const mbedtls_x509_time *end = &shown->certificate.valid_to;
    if (is_before(end, tls_identity_now()))
        tell(TOLD_EXPIRED, LOG_ERROR, "the loaded certificate has expired: load another one, or type cert self");
    else if (is_before(end, tls_identity_now() + RENEW_DAYS * DAY_SECONDS))
        tell(TOLD_SOON, LOG_WARNING, "the loaded certificate expires within 30 days: load the one that follows it");
    else
        told = TOLD_NOTHING;
}

static bool check_dates(const struct slot *s, struct text *why)
{
    int64_t now = tls_identity_now();
    if (is_before(&s->certificate.valid_to, now))
        return refuse(why, "The certificate has expired; give one that is still good.");
    if (port_wall_ms() != 0 && !is_before(&s->certificate.valid_from, now + 1))
        return refuse(why, "The certificate is not valid yet; set the clock right, or give one that is good now.");
    return true;
}

static bool load(const struct tls_material *m, bool keep_it, struct text *why)
{
    struct slot *s = prepare(m, why);
    if (s == NULL)
        return false;
    if (!check_dates(s, why)) {
        empty(s);
        return false;
    }
    show(s);
    wipe(); // a key that waited for its first certificate
    if (keep_it)
        keep(m);
    return true;
}

bool tls_identity_load(bool keep_it, struct text *why)
{
    struct tls_material *m = tls_identity_collected();
    m->kind = TLS_KIND_LOADED;
    bool good = load(m, keep_it, why);
    tls_identity_paste_end();
    return good;
}

/// Start ///

static bool has_entropy(struct text *why)
{
    uint8_t byte;
    if (port_entropy(&byte, sizeof byte))
        return true;
    text_string(why, "This device has no TLS, because it has no randomness to make keys of; give it a seed.");
    return false;
}

// A loaded pair that can no longer be used stays in the store: only people throw it away.
static void complain(const struct text *why)
{
    keeps = material.kind != TLS_KIND_LOADED;
    log_line(keeps ? LOG_WARNING : LOG_ERROR, "tls", "the certificate that was kept is not used: %.*s",
             (int)why->length, why->at);
    if (!keeps)
        material.key_length = 0;
}

// Shows what is kept. If only the key is any good, it stays for another certificate.
static void use_kept(void)
{
    char buffer[160];
    struct text why = text_in(buffer, sizeof buffer);
    struct slot *s = prepare(&material, &why);
    if (s != NULL)
        show(s);
    else
        complain(&why);
    if (s != NULL)
        wipe();
}

static bool key_is_good(void)
{
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    bool good = mbedtls_pk_parse_key(&key, material.key, material.key_length, NULL, 0, tls_identity_random, NULL) == 0;
    mbedtls_pk_free(&key);
    return good;
}

static bool find_key(struct text *why)
{
    keeps = true;
    if (read_kept(&material) && material.chain_length > 0)
        use_kept();
    if (shown != NULL || (material.key_length > 0 && key_is_good()))
        return true;
    return tls_identity_make_key(&material, why);
}

bool tls_identity_start(struct text *why)
{
    if (!has_entropy(why))
        return false;
    tls_arena_prepare();
    if (started)
        return true;
    if (shown == NULL && !find_key(why))
        return false;
    started = true;
    first_ms = port_now_ms();
    next_look_ms = next_make_ms = 0;
    tls_identity_step(first_ms);
    return true;
}

// Dates that were a guess are put right at once.
static void note_clock(void)
{
    bool known = port_wall_ms() != 0;
    if (known && !clock_known)
        next_make_ms = 0;
    clock_known = known;
}

void tls_identity_step(uint64_t now_ms)
{
    if (!started || now_ms < next_look_ms)
        return;
    next_look_ms = now_ms + LOOK_MS;
    note_clock();
    if (shown == NULL)
        look_at_none(now_ms);
    else if (shown->kind == TLS_KIND_LOADED)
        look_at_loaded();
    else
        look_at_own(now_ms);
    if (other_slot()->holds == 0 && now_ms >= retired_ms + RETIRED_MS)
        empty(other_slot());
}

bool tls_identity_make(struct text *why)
{
    wipe();
    tls_starved = false;
    if (!has_entropy(why) || !tls_identity_make_key(&material, why))
        return false;
    keeps = true;
    bool good = make_certificate(why);
    wipe();
    return good;
}
