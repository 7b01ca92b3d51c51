#include "note.h"
#include "../../app/limits.h"
#include "board.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define SEED_MOST 64 // bytes

// Not static: its address is looked up in the symbol table.
extern char boot_note[BOOT_NOTE];
char boot_note[BOOT_NOTE] RETAINED(boot_note);

static const char title[] = "pipit boot note 1\n";
static struct span settings, certificates;
static uint8_t seed[SEED_MOST];
static size_t seed_length;

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t read_hex(struct span digits, uint8_t *bytes, size_t size)
{
    size_t n = 0;
    for (; n < size && digits.length >= 2; n++, digits = span_behind(digits, 2)) {
        int high = digit_of(digits.at[0]), low = digit_of(digits.at[1]);
        if (high < 0 || low < 0)
            return 0;
        bytes[n] = (uint8_t)(high * 16 + low);
    }
    return n;
}

static void take_seed(struct span line)
{
    struct span digits = line;
    if (!span_equal(span_trim(span_cut(&digits, '=')), span_of("seed")))
        return;
    digits = span_trim(digits);
    seed_length = read_hex(digits, seed, sizeof seed);
    mbedtls_platform_zeroize((char *)(uintptr_t)digits.at, digits.length);
}

// Past the title; the first line may be the seed.
static void read_parts(struct span rest)
{
    struct span behind = rest;
    struct span line = span_cut(&behind, '\n');
    take_seed(line);
    settings = seed_length > 0 ? behind : rest;
    for (rest = settings; rest.length > 0; span_cut(&rest, '\n'))
        if (rest.at[0] == '-') {
            settings.length -= rest.length;
            certificates = rest;
            return;
        }
}

void note_read(void)
{
    size_t head = sizeof title - 1;
    settings = certificates = (struct span){NULL, 0};
    const char *end = memchr(boot_note, '\0', sizeof boot_note);
    if (memcmp(boot_note, title, head) == 0 && end != NULL)
        read_parts((struct span){boot_note + head, (size_t)(end - boot_note) - head});
}

bool note_seed(uint8_t *bytes, size_t size, size_t *length)
{
    *length = seed_length < size ? seed_length : size;
    memcpy(bytes, seed, *length);
    mbedtls_platform_zeroize(seed, sizeof seed);
    seed_length = 0;
    return *length >= 32;
}

struct span note_settings(void)
{
    return settings;
}

struct span note_certificates(void)
{
    return certificates;
}
