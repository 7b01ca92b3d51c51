// Reading certificates and a key in PEM, line by line: bytes are unpacked as they come, so no text is stored.
#include "identity_private.h"

#include <mbedtls/platform_util.h>
#include <string.h>

#define DASHES "-----"
#define PAD    0xff // what sextet_of() has for '='

enum block { BLOCK_NONE, BLOCK_CERTIFICATE, BLOCK_KEY, BLOCK_OTHER };

static struct tls_material collected;
static struct {
    uint8_t block; // enum block
    uint8_t bits;  // in `sextets` that make no byte yet
    bool padded;
    uint32_t sextets;
    size_t begin; // where the block's first byte is
} reading;

void tls_identity_paste_end(void)
{
    mbedtls_platform_zeroize(&collected, sizeof collected);
    mbedtls_platform_zeroize(&reading, sizeof reading);
}

void tls_identity_paste(void)
{
    tls_identity_paste_end();
}

struct tls_material *tls_identity_collected(void)
{
    return &collected;
}

bool tls_identity_paste_is_whole(void)
{
    return reading.block == BLOCK_NONE;
}

static enum tls_paste refuse(struct text *why, const char *sentence)
{
    tls_identity_paste_end();
    text_string(why, sentence);
    return TLS_PASTE_REFUSED;
}

/// Base64 (RFC 4648 section 4) ///

static int sextet_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/')
        return c == '+' ? 62 : 63;
    return c == '=' ? PAD : -1;
}

// Where the block's bytes go. False when they have no room.
static bool store(uint8_t byte)
{
    bool certificate = reading.block == BLOCK_CERTIFICATE;
    size_t *length = certificate ? &collected.chain_length : &collected.key_length;
    if (*length == (certificate ? sizeof collected.chain : sizeof collected.key))
        return false;
    (certificate ? collected.chain : collected.key)[(*length)++] = byte;
    return true;
}

static bool take_sextet(uint32_t sextet)
{
    reading.sextets = (reading.sextets << 6 | sextet) & 0xffff;
    reading.bits = (uint8_t)(reading.bits + 6);
    if (reading.bits < 8)
        return true;
    reading.bits = (uint8_t)(reading.bits - 8);
    return store((uint8_t)(reading.sextets >> reading.bits));
}

static enum tls_paste too_long(struct text *why)
{
    bool certificate = reading.block == BLOCK_CERTIFICATE;
    tls_identity_paste_end();
    text_format(why, "%s longer than the %u bytes that there is room for; %s.",
                certificate ? "The certificates are" : "The key is", (unsigned)(certificate ? TLS_CHAIN : TLS_KEY),
                certificate ? "leave out the last of the chain, which others have anyway" : "take an EC key (P-256)");
    return TLS_PASTE_REFUSED;
}

static enum tls_paste take_line(struct span line, struct text *why)
{
    for (size_t i = 0; i < line.length; i++) {
        int sextet = sextet_of(line.at[i]);
        if (sextet < 0 || (reading.padded && sextet != PAD))
            return refuse(why, "A line inside the PEM block is no base64; paste it again as it is in the file.");
        if (sextet == PAD)
            reading.padded = true;
        else if (!take_sextet((uint32_t)sextet))
            return too_long(why);
    }
    return TLS_PASTE_MORE;
}

/// Blocks (RFC 7468) ///

// What stands between "-----BEGIN " or "-----END " and the dashes behind it; false when the line is no such line.
static bool label_of(struct span line, const char *mark, struct span *label)
{
    const struct span dashes = span_of(DASHES);
    struct span begin = span_of(mark);
    if (!span_starts(line, begin) || line.length < begin.length + dashes.length)
        return false;
    *label = span_behind(line, begin.length);
    label->length -= dashes.length;
    return memcmp(label->at + label->length, DASHES, dashes.length) == 0;
}

static bool is_key(struct span label)
{
    return span_equal(label, span_of("PRIVATE KEY")) || span_equal(label, span_of("EC PRIVATE KEY")) ||
           span_equal(label, span_of("RSA PRIVATE KEY"));
}

static enum tls_paste open_block(struct span label, struct text *why)
{
    if (span_equal(label, span_of("ENCRYPTED PRIVATE KEY")))
        return refuse(why, "The key is encrypted; paste what `openssl pkey -in FILE` makes of it.");
    reading.block = BLOCK_OTHER; // such as EC PARAMETERS
    if (span_equal(label, span_of("CERTIFICATE")))
        reading.block = BLOCK_CERTIFICATE;
    else if (is_key(label))
        reading.block = BLOCK_KEY;
    if (reading.block == BLOCK_KEY && collected.key_length > 0)
        return refuse(why, "There are two keys; give the one that belongs to the first certificate.");
    reading.bits = 0;
    reading.padded = false;
    reading.begin = collected.chain_length;
    return TLS_PASTE_MORE;
}

static enum tls_paste close_block(struct text *why)
{
    enum block block = (enum block)reading.block;
    reading.block = BLOCK_NONE;
    if ((block == BLOCK_CERTIFICATE && collected.chain_length == reading.begin) ||
        (block == BLOCK_KEY && collected.key_length == 0))
        return refuse(why, "A PEM block is empty; paste it again as it is in the file.");
    return block == BLOCK_KEY && collected.chain_length > 0 ? TLS_PASTE_READY : TLS_PASTE_MORE;
}

static enum tls_paste end_of_all(struct text *why)
{
    if (!tls_identity_paste_is_whole())
        return refuse(why, "The last PEM block has no END line; paste it again, whole.");
    if (collected.chain_length == 0 || collected.key_length == 0)
        return refuse(why, collected.chain_length == 0
                               ? "There is no certificate in it; give one, and its key."
                               : "There is no private key in it; give it with the certificate.");
    return TLS_PASTE_READY;
}

static enum tls_paste inside(struct span line, struct text *why)
{
    struct span label;
    if (label_of(line, "-----END ", &label))
        return close_block(why);
    if (label_of(line, "-----BEGIN ", &label))
        return refuse(why, "A PEM block has no END line; paste it again, whole.");
    if (reading.block == BLOCK_OTHER)
        return TLS_PASTE_MORE;
    if (span_starts(line, span_of("Proc-Type: 4,ENCRYPTED")))
        return refuse(why, "The key is encrypted; paste what `openssl pkey -in FILE` makes of it.");
    return take_line(line, why);
}

enum tls_paste tls_identity_paste_line(struct span line, struct text *why)
{
    struct span label;
    line = span_trim(line);
    if (span_equal(line, span_of(".")))
        return end_of_all(why);
    if (reading.block != BLOCK_NONE)
        return inside(line, why);
    return label_of(line, "-----BEGIN ", &label) ? open_block(label, why) : TLS_PASTE_MORE;
}
