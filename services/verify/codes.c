#include "codes.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

struct codes_settings codes_settings = {.ttl = 180, .tries = 5, .cooldown = 60};

/// Digests ///

#define DIGEST (sizeof((struct codes_entry *)NULL)->email)

static void digest_of(struct span email, uint8_t digest[DIGEST])
{
    uint8_t whole[32];
    mbedtls_sha256_context context;
    mbedtls_sha256_init(&context);
    (void)mbedtls_sha256_starts(&context, 0);
    for (size_t i = 0; i < email.length; i++) {
        uint8_t folded = (uint8_t)span_fold(email.at[i]);
        (void)mbedtls_sha256_update(&context, &folded, 1);
    }
    (void)mbedtls_sha256_finish(&context, whole);
    mbedtls_sha256_free(&context);
    memcpy(digest, whole, DIGEST);
}

/// Entries ///

static uint64_t cool_at(const struct codes_entry *entry)
{
    return entry->asked + (uint64_t)codes_settings.cooldown * 1000;
}

static void end_code(struct codes_entry *entry)
{
    entry->live = false;
    entry->code_length = 0;
    mbedtls_platform_zeroize(entry->code, sizeof entry->code);
}

// Lets time pass for an entry. True when it is still in use.
static bool in_use(struct codes_entry *entry, uint64_t now_ms)
{
    if (entry->live && now_ms >= entry->expires)
        end_code(entry);
    if (entry->cooling && now_ms >= cool_at(entry))
        entry->cooling = false;
    return entry->live || entry->cooling;
}

// The entry of an email, or NULL; then `*vacant` (unless NULL itself) is one that is free, or NULL when all are used.
static struct codes_entry *find(struct codes *codes, const uint8_t digest[DIGEST], uint64_t now_ms,
                                struct codes_entry **vacant)
{
    struct codes_entry *unused = NULL;
    struct codes_entry *found = NULL;
    for (size_t i = 0; i < CODES_MAX && found == NULL; i++) {
        struct codes_entry *entry = &codes->entries[i];
        if (!in_use(entry, now_ms))
            unused = entry;
        else if (memcmp(entry->email, digest, DIGEST) == 0)
            found = entry;
    }
    if (vacant != NULL)
        *vacant = unused;
    return found;
}

static struct codes_entry *find_email(struct codes *codes, struct span email, uint64_t now_ms)
{
    uint8_t digest[DIGEST];
    digest_of(email, digest);
    return find(codes, digest, now_ms, NULL);
}

static struct codes_entry *find_or_make(struct codes *codes, struct span email, uint64_t now_ms)
{
    uint8_t digest[DIGEST];
    struct codes_entry *vacant;
    digest_of(email, digest);
    struct codes_entry *entry = find(codes, digest, now_ms, &vacant);
    if (entry != NULL || vacant == NULL)
        return entry;
    *vacant = (struct codes_entry){.live = false};
    memcpy(vacant->email, digest, DIGEST);
    return vacant;
}

/// Asking ///

enum codes_error codes_ask(struct codes *codes, struct span email, uint64_t now_ms, uint32_t *retry_after)
{
    struct codes_entry *entry = find_or_make(codes, email, now_ms);
    if (entry == NULL)
        return CODES_FULL;
    if (entry->cooling) {
        *retry_after = (uint32_t)((cool_at(entry) - now_ms + 999) / 1000);
        return CODES_TOO_SOON;
    }
    entry->cooling = true;
    entry->asked = now_ms;
    return CODES_OK;
}

enum codes_error codes_put(struct codes *codes, struct span email, struct span code, uint64_t now_ms)
{
    if (code.length == 0 || code.length > CODE_MAX_BYTES)
        return CODES_WRONG;
    struct codes_entry *entry = find_or_make(codes, email, now_ms);
    if (entry == NULL)
        return CODES_FULL;
    end_code(entry); // a shorter code leaves nothing of a longer one
    memcpy(entry->code, code.at, code.length);
    entry->code_length = (uint8_t)code.length;
    entry->live = true;
    entry->tries = 0;
    entry->expires = now_ms + (uint64_t)codes_settings.ttl * 1000;
    return CODES_OK;
}

void codes_withdraw(struct codes *codes, struct span email, uint64_t now_ms)
{
    struct codes_entry *entry = find_email(codes, email, now_ms);
    if (entry != NULL)
        entry->cooling = false;
}

/// Checking ///

static void count_wrong_try(struct codes_entry *entry)
{
    entry->tries++;
    if (entry->tries >= codes_settings.tries)
        end_code(entry);
}

enum codes_error codes_check(struct codes *codes, struct span email, struct span code, uint64_t now_ms)
{
    struct codes_entry *entry = find_email(codes, email, now_ms);
    if (entry == NULL || !entry->live)
        return CODES_GONE;
    if (span_equal_secret((struct span){entry->code, entry->code_length}, code))
        return CODES_OK;
    count_wrong_try(entry);
    return CODES_WRONG;
}

void codes_use(struct codes *codes, struct span email, uint64_t now_ms)
{
    struct codes_entry *entry = find_email(codes, email, now_ms);
    if (entry != NULL)
        end_code(entry);
}

uint32_t codes_count(struct codes *codes, uint64_t now_ms)
{
    uint32_t count = 0;
    for (size_t i = 0; i < CODES_MAX; i++)
        count += in_use(&codes->entries[i], now_ms);
    return count;
}
