#include "status.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/text.h"
#include "../nodes/nodes.h"
#include "../rpc/message.h"
#include "../rpc/server.h"
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <pb_encode.h>
#include <services/proto/message.pb.h>
#include <string.h>

struct status_settings status_settings = {.ttl = 86400, .max_age = 2592000};

#define DIGEST 16 // bytes kept of SHA-256(uid, token): nobody finds another token for one of 2^128

// Tokens are numbered from 1 on in the links, by their slot; 0 is none. Two lists run through them: the chain of a
// bucket, and all by age.
struct token {
    uint8_t digest[DIGEST];
    uint64_t made; // ms
    uint32_t uid;
    uint32_t begun; // s: the login that it comes from
    uint16_t next;  // in the bucket
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

// The token that has to go before another one of this user's is kept: the user's own oldest when there are TOKENS_EACH,
// so that nobody can log the others out by logging in. NULL when there is room.
static struct token *excess_of(uint32_t uid)
{
    struct token *own = NULL;
    uint32_t count = 0;
    for (struct token *token = token_at(newest); token != NULL; token = token_at(token->older)) {
        if (token->uid != uid)
            continue;
        own = token;
        count++;
    }
    if (count >= TOKENS_EACH)
        return own;
    return tokens.used == tokens.size ? token_at(oldest) : NULL;
}

static void keep_token(uint32_t uid, struct span text, uint32_t begun, uint64_t now_ms)
{
    struct token *excess = excess_of(uid);
    if (excess != NULL) {
        counters.dropped++;
        end_token(excess);
    }
    struct token *token = pool_take(&tokens);
    digest_of(uid, text, token->digest);
    token->made = now_ms;
    token->uid = uid;
    token->begun = begun;
    token->next = *bucket_of(token->digest);
    *bucket_of(token->digest) = number_of(token);
    age_append(token);
}

// Counted from when it was made, so that a new status.ttl holds for tokens that are out already. A login's first token
// has its whole time, whatever status.max_age says.
static uint64_t expires_at(const struct token *token)
{
    uint32_t age = status_settings.max_age > status_settings.ttl ? status_settings.max_age : status_settings.ttl;
    uint64_t own = token->made + (uint64_t)status_settings.ttl * 1000;
    uint64_t last = ((uint64_t)token->begun + 1 + age) * 1000;
    return status_settings.max_age == 0 || own < last ? own : last;
}

static uint32_t seconds_left(const struct token *token, uint64_t now_ms)
{
    if (token == NULL || now_ms >= expires_at(token))
        return 0;
    return (uint32_t)((expires_at(token) - now_ms + 999) / 1000);
}

/// Calls ///

// A token that nobody has and that is not kept yet.
static struct status_token draw_token(uint32_t uid)
{
    struct status_token token = {.error = API_OK};
    uint8_t random[STATUS_TOKEN_BYTES / 2];
    if (uid == 0 || !port_entropy(random, sizeof random)) {
        log_line(LOG_ERROR, "status", "no token for uid %u: %s", (unsigned)uid, uid == 0 ? "nobody's" : "no entropy");
        return (struct status_token){.error = API_INTERNAL};
    }
    struct text digits = text_in(token.text, sizeof token.text);
    text_hex(&digits, random, sizeof random);
    mbedtls_platform_zeroize(random, sizeof random);
    counters.made++;
    return token;
}

static struct span text_of(const struct status_token *token)
{
    return (struct span){token->text, sizeof token->text};
}

struct status_token status_make_token(uint32_t uid, uint64_t now_ms)
{
    struct status_token token = draw_token(uid);
    if (token.error == API_OK)
        keep_token(uid, text_of(&token), (uint32_t)(now_ms / 1000), now_ms);
    return token;
}

uint32_t status_expires_in(uint32_t uid, struct span token, uint64_t now_ms)
{
    return seconds_left(find(uid, token), now_ms);
}

// The old one goes first, or the new one might cost another one of the user's its place.
struct status_token status_renew(uint32_t uid, struct span old, uint64_t now_ms)
{
    struct token *found = find(uid, old);
    if (seconds_left(found, now_ms) == 0) {
        counters.refused++;
        return (struct status_token){.error = API_BAD_TOKEN};
    }
    struct status_token token = draw_token(uid);
    if (token.error != API_OK)
        return token;
    uint32_t begun = found->begun;
    end_token(found);
    keep_token(uid, text_of(&token), begun, now_ms);
    return token;
}

enum api_error status_login(uint32_t uid, struct span token, uint64_t now_ms)
{
    if (status_expires_in(uid, token, now_ms) > 0)
        return API_OK;
    counters.refused++;
    return API_BAD_TOKEN;
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

bool status_walk(uint32_t *at, uint64_t now_ms, struct status_session *session)
{
    const struct token *token = token_at(*at == 0 ? newest : token_at((uint16_t)*at)->older);
    while (token != NULL && seconds_left(token, now_ms) == 0)
        token = token_at(token->older);
    if (token == NULL)
        return false;
    *at = number_of(token);
    *session =
        (struct status_session){token->uid, (uint32_t)(now_ms / 1000) - token->begun, seconds_left(token, now_ms),
                                (uint16_t)(token->digest[0] << 8 | token->digest[1])};
    return true;
}

/// Methods: message.StatusService ///

#define REPLY_MAX message_GetChatServerRsp_size // bytes of the longest

_Static_assert(message_GetChatServerRsp_size <= RPC_MESSAGE, "a reply of GetChatServer outgrew a gRPC message");
_Static_assert(message_LoginRsp_size <= REPLY_MAX, "a reply of Login outgrew the buffer");
_Static_assert(message_LogoutRsp_size <= REPLY_MAX, "a reply of Logout outgrew the buffer");
_Static_assert(message_RenewRsp_size <= REPLY_MAX, "a reply of Renew outgrew the buffer");
_Static_assert(sizeof((message_GetChatServerRsp *)0)->host > NODE_HOST_MAX, "a node's host must fit the reply");
_Static_assert(sizeof((message_GetChatServerRsp *)0)->port > NODE_PORT_MAX, "a node's port must fit the reply");
_Static_assert(sizeof((message_GetChatServerRsp *)0)->token > STATUS_TOKEN_BYTES, "a token must fit the reply");

// False when the message cannot be read; then the call has had its answer.
static bool decode(struct rpc_call *call, struct span request, const pb_msgdesc_t *fields, void *message)
{
    char buffer[GRPC_MESSAGE_MAX];
    struct text why = text_in(buffer, sizeof buffer);
    const char *wrong = rpc_decode(request, fields, message);
    if (wrong == NULL)
        return true;
    text_format(&why, "the request cannot be read: %s", wrong);
    rpc_fail(call, GRPC_INVALID_ARGUMENT, text_whole(&why));
    return false;
}

static void reply(struct rpc_call *call, const pb_msgdesc_t *fields, const void *message)
{
    pb_byte_t bytes[REPLY_MAX];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (pb_encode(&stream, fields, message))
        rpc_reply(call, (struct span){(const char *)bytes, stream.bytes_written});
    else
        rpc_fail(call, GRPC_INTERNAL, span_of(PB_GET_ERROR(&stream)));
    mbedtls_platform_zeroize(bytes, sizeof bytes);
}

// Field and reply were zero before, and have room for the NUL.
static void put(char *field, struct span s)
{
    if (s.length > 0)
        memcpy(field, s.at, s.length);
}

// The node first: a user who cannot be sent anywhere gets no token.
static enum api_error send_user(uint32_t uid, message_GetChatServerRsp *rsp)
{
    struct node_choice node;
    uint64_t now_ms = port_now_ms();
    if (!nodes_choose(now_ms, &node)) {
        log_line(LOG_ERROR, "status", "no token for uid %u: no chat node is alive", (unsigned)uid);
        return API_INTERNAL;
    }
    struct status_token token = status_make_token(uid, now_ms);
    if (token.error != API_OK)
        return token.error;
    put(rsp->host, node.host);
    put(rsp->port, node.port);
    put(rsp->token, text_of(&token));
    rsp->expires_in = status_expires_in(uid, text_of(&token), now_ms);
    mbedtls_platform_zeroize(&token, sizeof token);
    return API_OK;
}

// Numbers of accounts begin with 1; the others' int32 allows for more.
static void get_chat_server(struct rpc_call *call, struct span request)
{
    message_GetChatServerReq req = message_GetChatServerReq_init_zero;
    message_GetChatServerRsp rsp = message_GetChatServerRsp_init_zero;
    if (!decode(call, request, message_GetChatServerReq_fields, &req))
        return;
    rsp.error = req.uid > 0 ? (int32_t)send_user((uint32_t)req.uid, &rsp) : (int32_t)API_INTERNAL;
    reply(call, message_GetChatServerRsp_fields, &rsp);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

static void login(struct rpc_call *call, struct span request)
{
    message_LoginReq req = message_LoginReq_init_zero;
    message_LoginRsp rsp = message_LoginRsp_init_zero;
    if (decode(call, request, message_LoginReq_fields, &req)) {
        rsp.error = req.uid > 0 ? (int32_t)status_login((uint32_t)req.uid, span_of(req.token), port_now_ms())
                                : (int32_t)API_BAD_TOKEN;
        rsp.uid = req.uid;
        if (rsp.error == API_OK) {
            put(rsp.token, span_of(req.token));
            rsp.expires_in = status_expires_in((uint32_t)req.uid, span_of(req.token), port_now_ms());
        }
        reply(call, message_LoginRsp_fields, &rsp);
    }
    mbedtls_platform_zeroize(&req, sizeof req);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

// A token that is not there any more is no error: whoever asks for the end of a session twice, has it.
static void logout(struct rpc_call *call, struct span request)
{
    message_LogoutReq req = message_LogoutReq_init_zero;
    message_LogoutRsp rsp = message_LogoutRsp_init_zero;
    if (decode(call, request, message_LogoutReq_fields, &req)) {
        if (req.uid > 0)
            status_logout((uint32_t)req.uid, span_of(req.token));
        else
            rsp.error = API_BAD_TOKEN;
        reply(call, message_LogoutRsp_fields, &rsp);
    }
    mbedtls_platform_zeroize(&req, sizeof req);
}

static void renew(struct rpc_call *call, struct span request)
{
    message_RenewReq req = message_RenewReq_init_zero;
    message_RenewRsp rsp = message_RenewRsp_init_zero;
    if (decode(call, request, message_RenewReq_fields, &req)) {
        uint32_t uid = req.uid > 0 ? (uint32_t)req.uid : 0;
        uint64_t now_ms = port_now_ms();
        struct status_token token = status_renew(uid, span_of(req.token), now_ms);
        rsp.error = (int32_t)token.error;
        if (token.error == API_OK) {
            put(rsp.token, text_of(&token));
            rsp.expires_in = status_expires_in(uid, text_of(&token), now_ms);
        }
        reply(call, message_RenewRsp_fields, &rsp);
        mbedtls_platform_zeroize(&token, sizeof token);
    }
    mbedtls_platform_zeroize(&req, sizeof req);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

static const struct rpc_method methods[] = {
    {"GetChatServer", get_chat_server},
    {"Login", login},
    {"Logout", logout},
    {"Renew", renew},
};

const struct rpc_service status_rpc = {
    .name = "message.StatusService",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};

/// Service ///

static int status_start(void)
{
    pool_list(&tokens);
    nodes_start();
    return 0;
}

// Milliseconds until the token expires.
static uint32_t wait_for(const struct token *token, uint64_t now_ms)
{
    uint64_t wait = expires_at(token) - now_ms;
    return wait < SERVICE_IDLE ? (uint32_t)wait : SERVICE_IDLE - 1;
}

// All tokens live equally long, so the oldest is the next to go, but for those whose login is status.max_age old: they
// are good for nothing any more and keep their place until then. A few a turn.
static uint32_t tokens_step(uint64_t now_ms)
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

static uint32_t status_step(uint64_t now_ms)
{
    uint32_t tokens_sleep = tokens_step(now_ms);
    uint32_t nodes_sleep = nodes_step(now_ms);
    return tokens_sleep < nodes_sleep ? tokens_sleep : nodes_sleep;
}

#define NODES "Chat nodes that users are sent to (alive), and those that do not answer (lost)."

static const struct metric metrics[] = {
    {"pipit_tokens", NULL, NULL, status_tokens, HELP("Login tokens that are kept.")},
    {"pipit_tokens_made_total", NULL, &counters.made, NULL, HELP("Login tokens made.")},
    {"pipit_tokens_refused_total", NULL, &counters.refused, NULL,
     HELP("Tokens shown that are not, or no longer, good.")},
    {"pipit_tokens_dropped_total", NULL, &counters.dropped, NULL,
     HELP("Tokens dropped before their time because the table was full.")},
    {"pipit_tokens_expired_total", NULL, &counters.expired, NULL, HELP("Tokens that reached their end.")},
    {"pipit_nodes", "state=\"alive\"", NULL, nodes_alive, HELP(NODES)},
    {"pipit_nodes", "state=\"lost\"", NULL, nodes_lost, HELP(NODES)},
    {"pipit_node_probes_failed_total", NULL, &nodes_probes_failed, NULL,
     HELP("Probes of a chat node that it did not answer as it should.")},
};

const struct service status_service = {
    .name = "status",
    .start = status_start,
    .step = status_step,
    .stop = nodes_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
