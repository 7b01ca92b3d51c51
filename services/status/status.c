#include "status.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/text.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <string.h>

struct status_settings status_settings = {.ttl = 86400};

#define DIGEST 16 // bytes kept of SHA-256(uid, token): nobody finds another token for one of 2^128

// Tokens are numbered from 1 on in the links, by their slot; 0 is none. Two lists run through them: the chain of a
// bucket, and all by age.
struct token {
    uint8_t digest[DIGEST];
    uint64_t made; // ms
    uint32_t uid;
    uint16_t next; // in the bucket
    uint16_t older;
    uint16_t newer;
};

_Static_assert(TOKENS_MAX < UINT16_MAX, "the links number tokens in 16 bits");

POOL(tokens, struct token, TOKENS_MAX);
static uint16_t buckets[TOKENS_MAX];
static uint16_t oldest;
static uint16_t newest;

static struct {
    uint32_t made;
    uint32_t refused;
    uint32_t dropped;
    uint32_t expired;
} counters;

/// Links ///

static struct token *token_at(uint16_t number)
{
    return number == 0 ? NULL : pool_slot(&tokens, number - 1u);
}

static uint16_t number_of(const struct token *token)
{
    return (uint16_t)(pool_index(&tokens, token) + 1);
}

// A digest is evenly spread, and nobody can choose it without choosing the token.
static uint16_t *bucket_of(const uint8_t digest[DIGEST])
{
    uint32_t head;
    memcpy(&head, digest, sizeof head);
    return &buckets[head % TOKENS_MAX];
}

static void bucket_remove(const struct token *token)
{
    uint16_t *link = bucket_of(token->digest);
    while (*link != number_of(token))
        link = &token_at(*link)->next;
    *link = token->next;
}

static void age_append(struct token *token)
{
    token->older = newest;
    *(newest != 0 ? &token_at(newest)->newer : &oldest) = number_of(token);
    newest = number_of(token);
}

static void age_remove(const struct token *token)
{
    *(token->older != 0 ? &token_at(token->older)->newer : &oldest) = token->newer;
    *(token->newer != 0 ? &token_at(token->newer)->older : &newest) = token->older;
}

/// Tokens ///

static void digest_of(uint32_t uid, struct span text, uint8_t digest[DIGEST])
{
    uint8_t whole[32];
    mbedtls_sha256_context context;
    mbedtls_sha256_init(&context);
    (void)mbedtls_sha256_starts(&context, 0);
    (void)mbedtls_sha256_update(&context, (const uint8_t *)&uid, sizeof uid);
    (void)mbedtls_sha256_update(&context, (const uint8_t *)text.at, text.length);
    (void)mbedtls_sha256_finish(&context, whole);
    mbedtls_sha256_free(&context);
    memcpy(digest, whole, DIGEST);
}

static bool is_of(const struct token *token, uint32_t uid, const uint8_t digest[DIGEST])
{
    bool same = span_equal_secret((struct span){(const char *)token->digest, DIGEST},
                                  (struct span){(const char *)digest, DIGEST});
    return same && token->uid == uid;
}

static struct token *find(uint32_t uid, struct span text)
{
    uint8_t digest[DIGEST];
    if (text.length != STATUS_TOKEN_BYTES)
        return NULL;
    digest_of(uid, text, digest);
    struct token *token = token_at(*bucket_of(digest));
    while (token != NULL && !is_of(token, uid, digest))
        token = token_at(token->next);
    return token;
}

static void end_token(struct token *token)
{
    bucket_remove(token);
    age_remove(token);
    pool_give(&tokens, token);
}

static void keep_token(uint32_t uid, struct span text, uint64_t now_ms)
{
    if (tokens.used == tokens.size) {
        counters.dropped++;
        end_token(token_at(oldest));
    }
    struct token *token = pool_take(&tokens);
    digest_of(uid, text, token->digest);
    token->made = now_ms;
    token->uid = uid;
    token->next = *bucket_of(token->digest);
    *bucket_of(token->digest) = number_of(token);
    age_append(token);
}

// Counted from when it was made, so that a new status.ttl holds for tokens that are out already.
static uint64_t expires_at(const struct token *token)
{
    return token->made + (uint64_t)status_settings.ttl * 1000;
}

/// Calls ///

struct status_node status_get_chat_server(uint32_t uid, uint64_t now_ms)
{
    struct status_node node = {.error = STATUS_OK};
    uint8_t random[STATUS_TOKEN_BYTES / 2];
    if (uid == 0 || !port_entropy(random, sizeof random)) {
        log_line(LOG_ERROR, "status", "no token for uid %u: %s", (unsigned)uid, uid == 0 ? "nobody's" : "no entropy");
        return (struct status_node){.error = STATUS_INTERNAL};
    }
    struct text digits = text_in(node.token, sizeof node.token);
    text_hex(&digits, random, sizeof random);
    mbedtls_platform_zeroize(random, sizeof random);
    keep_token(uid, text_whole(&digits), now_ms);
    counters.made++;
    return node;
}

enum status_error status_login(uint32_t uid, struct span token, uint64_t now_ms)
{
    const struct token *found = find(uid, token);
    if (found != NULL && now_ms < expires_at(found))
        return STATUS_OK;
    counters.refused++;
    return STATUS_BAD_TOKEN;
}

static void end_all_of(uint32_t uid)
{
    struct token *token = token_at(oldest);
    while (token != NULL) {
        struct token *newer = token_at(token->newer);
        if (token->uid == uid)
            end_token(token);
        token = newer;
    }
}

void status_logout(uint32_t uid, struct span token)
{
    if (token.length == 0) {
        end_all_of(uid);
        return;
    }
    struct token *found = find(uid, token);
    if (found != NULL)
        end_token(found);
}

uint32_t status_tokens(void)
{
    return tokens.used;
}

/// Service ///

static int status_start(void)
{
    pool_list(&tokens);
    return 0;
}

// Milliseconds until the token expires.
static uint32_t wait_for(const struct token *token, uint64_t now_ms)
{
    uint64_t wait = expires_at(token) - now_ms;
    return wait < SERVICE_IDLE ? (uint32_t)wait : SERVICE_IDLE - 1;
}

// All tokens live equally long, so the oldest is always the next to go. A few a turn.
static uint32_t status_step(uint64_t now_ms)
{
    for (int i = 0; i < 16; i++) {
        struct token *token = token_at(oldest);
        if (token == NULL)
            return SERVICE_IDLE;
        if (now_ms < expires_at(token))
            return wait_for(token, now_ms);
        counters.expired++;
        end_token(token);
    }
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_tokens", NULL, "gauge", "Login tokens that are kept.", NULL, status_tokens},
    {"pipit_tokens_made_total", NULL, "counter", "Login tokens made.", &counters.made, NULL},
    {"pipit_tokens_refused_total", NULL, "counter", "Tokens shown that are not, or no longer, good.", &counters.refused,
     NULL},
    {"pipit_tokens_dropped_total", NULL, "counter", "Tokens dropped before their time because the table was full.",
     &counters.dropped, NULL},
    {"pipit_tokens_expired_total", NULL, "counter", "Tokens that reached their end.", &counters.expired, NULL},
};

const struct service status_service = {
    .name = "status",
    .start = status_start,
    .step = status_step,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
