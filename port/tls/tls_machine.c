// What mbedTLS asks of the machine (port/mbedtls_config.h).
#include "../port.h"
#include "tls_private.h"

#include <mbedtls/entropy.h>
#include <mbedtls/memory_buffer_alloc.h>
#include <mbedtls/platform_util.h>

/// Memory ///

#define BLOCK_HEADER (8 * sizeof(size_t)) // of each block in the arena, memory_buffer_alloc.c

_Alignas(8) unsigned char tls_arena[TLS_ARENA];
bool tls_starved;
static void *(*arena_calloc)(size_t count, size_t size); // mbedTLS's, once the arena is prepared
static void (*arena_free)(void *bytes);
static uint32_t high_water;

int mbedtls_platform_set_calloc_free(void *(*calloc)(size_t, size_t), void (*free)(void *))
{
    arena_calloc = calloc;
    arena_free = free;
    return 0;
}

void *tls_calloc(size_t count, size_t size)
{
    void *bytes = arena_calloc != NULL ? arena_calloc(count, size) : NULL;
    tls_starved = tls_starved || (bytes == NULL && count > 0 && size > 0);
    uint32_t used = tls_arena_used();
    if (used > high_water)
        high_water = used;
    return bytes;
}

// Nothing has been allocated before the arena was there: then `bytes` is NULL.
void tls_free(void *bytes)
{
    if (arena_free != NULL)
        arena_free(bytes);
}

void tls_arena_prepare(void)
{
    if (arena_calloc == NULL)
        mbedtls_memory_buffer_alloc_init(tls_arena, sizeof tls_arena);
}

uint32_t tls_arena_used(void)
{
    size_t bytes, blocks;
    mbedtls_memory_buffer_alloc_cur_get(&bytes, &blocks);
    return (uint32_t)(bytes + blocks * BLOCK_HEADER);
}

uint32_t tls_arena_high_water(void)
{
    return high_water;
}

_Noreturn void tls_arena_broken(int status)
{
    (void)status;
    port_reboot("the TLS arena is damaged");
}

/// Randomness ///

int tls_random(void *session, unsigned char *bytes, size_t length)
{
    struct tls *t = session;
    if (port_entropy(bytes, length))
        return 0;
    t->error = MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
    return t->error;
}

/// Time ///

#define DAY 86400 // seconds

int64_t tls_wall_seconds(int64_t *copy)
{
    int64_t now = (int64_t)(port_wall_ms() / 1000);
    if (copy != NULL)
        *copy = now;
    return now;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t)port_now_ms();
}

// The Gregorian date of a day counted from 1970-01-01. Years are counted from March here, so that the leap day comes
// last: then the months' lengths follow 153 days in five months.
static void date_of(uint64_t day, struct tm *date)
{
    uint64_t days = day + 719468; // since 0000-03-01
    uint64_t era = days / 146097; // of 400 years
    uint64_t of_era = days % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153; // 0 is March
    date->tm_mday = (int)(of_year - (153 * month + 2) / 5 + 1);
    date->tm_mon = (int)(month < 10 ? month + 2 : month - 10);
    date->tm_year = (int)(year + era * 400 + (date->tm_mon < 2) - 1900);
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *time, struct tm *date)
{
    *date = (struct tm){0};
    date_of((uint64_t)*time / DAY, date);
    int seconds = (int)((uint64_t)*time % DAY);
    date->tm_hour = seconds / 3600;
    date->tm_min = seconds / 60 % 60;
    date->tm_sec = seconds % 60;
    return date;
}
