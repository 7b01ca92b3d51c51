// Certificates and a key as somebody pastes them, line by line: whatever comes, each refusal is one sentence and leaves
// nothing of a key behind, and mbedTLS gets only what fits.
//
// Bytes 1 to 4 stand for the lines around a certificate and a key. What is unpacked is compared with mbedTLS's base64.
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/syslog/syslog.h"
#include "../../port/tls/identity_private.h"
#include <mbedtls/base64.h>
#include <stdlib.h>
#include <string.h>

// No network is linked.
// The log would go out over the network that is not here.
void syslog_line(enum log_level level, const char *module, struct span message)
{
    (void)level;
    (void)module;
    (void)message;
}

void syslog_poll(void)
{
}

uint32_t net_own_address(void)
{
    return 0x0a00020f;
}

const char *net_own_name(void)
{
    return "pipit";
}

static const char *const marks[] = {"-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----",
                                    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"};

static struct {
    char text[4096];
    size_t length;
} block; // the base64 of the certificate under way, as it came

static void check(bool good)
{
    if (!good)
        abort();
}

static bool is_wiped(void)
{
    const uint8_t *at = (const uint8_t *)tls_identity_collected();
    for (size_t i = 0; i < sizeof(struct tls_material); i++)
        if (at[i] != 0)
            return false;
    return true;
}

static void check_sentence(struct text *why)
{
    check(why->length > 0 && !why->cut && why->at[why->length - 1] == '.');
    check(is_wiped());
}

// mbedTLS is stricter: what it cannot read is not compared.
static void check_certificate(size_t before)
{
    uint8_t other[sizeof block.text];
    const struct tls_material *m = tls_identity_collected();
    size_t length;
    if (mbedtls_base64_decode(other, sizeof other, &length, (const unsigned char *)block.text, block.length) != 0)
        return;
    check(length == m->chain_length - before && memcmp(other, m->chain + before, length) == 0);
}

static void note_line(struct span line)
{
    static size_t before;
    line = span_trim(line);
    if (span_equal(line, span_of(marks[0]))) {
        before = tls_identity_collected()->chain_length;
        block.length = 0;
    } else if (span_equal(line, span_of(marks[1])) && block.length > 0 && block.length < sizeof block.text) {
        check_certificate(before);
        block.length = sizeof block.text; // compared; what follows is another one's
    } else if (block.length + line.length < sizeof block.text) {
        memcpy(block.text + block.length, line.at, line.length);
        block.length += line.length;
    } else {
        block.length = sizeof block.text;
    }
}

static enum tls_paste give(struct span line, struct text *why)
{
    if (line.length == 1 && line.at[0] >= 1 && line.at[0] <= 4)
        line = span_of(marks[line.at[0] - 1]);
    enum tls_paste result = tls_identity_paste_line(line, why);
    const struct tls_material *m = tls_identity_collected();
    check(m->chain_length <= TLS_CHAIN && m->key_length <= TLS_KEY);
    if (result == TLS_PASTE_REFUSED)
        check_sentence(why);
    else
        note_line(line);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buffer[300];
    struct text why = text_in(buffer, sizeof buffer);
    struct span rest = {(const char *)data, size};
    enum tls_paste result = TLS_PASTE_MORE;
    log_threshold = LOG_ERROR;
    block.length = sizeof block.text;
    tls_identity_paste();
    while (rest.length > 0 && result != TLS_PASTE_REFUSED)
        result = give(span_cut(&rest, '\n'), &why);
    if (result == TLS_PASTE_REFUSED)
        return 0;
    why.length = 0;
    if (tls_identity_paste_line(span_of("."), &why) != TLS_PASTE_READY || !tls_identity_load(false, &why))
        check_sentence(&why);
    check(is_wiped());
    return 0;
}
