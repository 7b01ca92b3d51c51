// The status service: tokens, their time and their table; and its methods, in the bytes that a caller sends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <services/proto/message.pb.h>
#include <stdlib.h>
#include <string.h>

#include "../../port/net.h"
#include "../../services/hub/hub.h"
#include "../../services/nodes/nodes.h"
#include "../../services/rpc/server.h"
#include "../../services/status/status.h"
#include "peer_support.h"

/// The gRPC server and the hub, as far as the status service knows them ///

struct rpc_call {
    int answers;
    enum grpc_status status;
    uint8_t message[RPC_MESSAGE];
    size_t length;
    char why[GRPC_MESSAGE_MAX + 1];
};

static uint32_t here; // people who chat at this machine

uint32_t hub_clients(void)
{
    return here;
}

void rpc_reply(struct rpc_call *call, struct span message)
{
    assert_true(message.length <= sizeof call->message);
    call->answers++;
    call->status = GRPC_OK;
    call->length = message.length;
    if (message.length > 0)
        memcpy(call->message, message.at, message.length);
}

void rpc_fail(struct rpc_call *call, enum grpc_status status, struct span message)
{
    assert_true(message.length > 0 && message.length <= GRPC_MESSAGE_MAX);
    call->answers++;
    call->status = status;
    memcpy(call->why, message.at, message.length);
}

/// Shorthand ///

static struct status_token get(uint32_t uid)
{
    return status_make_token(uid, machine_now_ms);
}

static struct span token_of(const struct status_token *token)
{
    return (struct span){token->text, sizeof token->text};
}

static enum api_error login(uint32_t uid, const struct status_token *token)
{
    return status_login(uid, token_of(token), machine_now_ms);
}

static uint32_t step(void)
{
    return status_service.step(machine_now_ms);
}

static uint32_t labelled(const char *name, const char *labels)
{
    for (size_t i = 0; i < status_service.metric_count; i++) {
        const struct metric *m = &status_service.metrics[i];
        if (strcmp(m->name, name) == 0 && (labels == NULL || strcmp(m->labels, labels) == 0))
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static uint32_t metric(const char *name)
{
    return labelled(name, NULL);
}

static int fresh(void **state)
{
    (void)state;
    status_settings.ttl = 86400;
    status_settings.max_age = 2592000;
    nodes_settings.list[0] = '\0';
    here = 0;
    return status_service.start();
}

static int empty(void **state)
{
    (void)state;
    machine_now_ms += (uint64_t)status_settings.ttl * 1000;
    while (step() == 0)
        ;
    return status_tokens() == 0 && machine_pools_used() == 0 && step() == SERVICE_IDLE ? 0 : -1;
}

static void a_token(void **state)
{
    (void)state;
    struct status_token token = get(7);
    assert_int_equal(token.error, API_OK);
    for (size_t i = 0; i < sizeof token.text; i++)
        assert_non_null(memchr("0123456789abcdef", token.text[i], 16));
    assert_int_equal(login(7, &token), API_OK);
    assert_int_equal(login(7, &token), API_OK);
    assert_int_equal(login(8, &token), API_BAD_TOKEN);
    assert_int_equal(login(0, &token), API_BAD_TOKEN);
    assert_int_equal(status_tokens(), 1);
}

static void wrong_tokens(void **state)
{
    (void)state;
    struct status_token token = get(7);
    uint32_t refused = metric("pipit_tokens_refused_total");
    for (size_t i = 0; i < sizeof token.text; i++) {
        struct status_token other = token;
        other.text[i] = (char)(other.text[i] ^ 1);
        assert_int_equal(login(7, &other), API_BAD_TOKEN);
    }
    assert_int_equal(status_login(7, (struct span){token.text, 31}, machine_now_ms), API_BAD_TOKEN);
    assert_int_equal(status_login(7, (struct span){"0", 1}, machine_now_ms), API_BAD_TOKEN);
    assert_int_equal(status_login(7, (struct span){NULL, 0}, machine_now_ms), API_BAD_TOKEN);
    assert_int_equal(metric("pipit_tokens_refused_total") - refused, sizeof token.text + 3);
    assert_int_equal(login(7, &token), API_OK);
}

static void several_of_one_user(void **state)
{
    (void)state;
    struct status_token phone = get(7), laptop = get(7), other = get(8);
    assert_memory_not_equal(phone.text, laptop.text, sizeof phone.text);
    status_logout(7, token_of(&phone));
    assert_int_equal(login(7, &phone), API_BAD_TOKEN);
    assert_int_equal(login(7, &laptop), API_OK);
    status_logout(7, token_of(&phone));
    status_logout(7, token_of(&other));
    assert_int_equal(login(8, &other), API_OK);
    assert_int_equal(status_tokens(), 2);
}

static void all_of_one_user(void **state)
{
    (void)state;
    struct status_token mine[5], other[5];
    for (int i = 0; i < 5; i++) {
        mine[i] = get(7);
        other[i] = get((uint32_t)(100 + i));
    }
    status_logout(7, (struct span){NULL, 0});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(login(7, &mine[i]), API_BAD_TOKEN);
        assert_int_equal(login((uint32_t)(100 + i), &other[i]), API_OK);
    }
    assert_int_equal(status_tokens(), 5);
    status_logout(7, (struct span){NULL, 0});
    assert_int_equal(status_tokens(), 5);
}

static void expiry(void **state)
{
    (void)state;
    struct status_token first = get(7);
    machine_now_ms += 1000;
    struct status_token second = get(7);
    assert_int_equal(step(), 86399000);
    machine_now_ms += 86398999;
    assert_int_equal(login(7, &first), API_OK);
    assert_int_equal(step(), 1);
    machine_now_ms += 1;
    assert_int_equal(login(7, &first), API_BAD_TOKEN);
    assert_int_equal(login(7, &second), API_OK);
    assert_int_equal(step(), 1000);
    assert_int_equal(status_tokens(), 1);
    machine_now_ms += 1000;
    assert_int_equal(step(), SERVICE_IDLE);
    assert_int_equal(status_tokens(), 0);
}

static struct status_token renew(uint32_t uid, const struct status_token *token)
{
    return status_renew(uid, token_of(token), machine_now_ms);
}

// One gets a new token; the other one, who asks with the same, does not.
static void renewing(void **state)
{
    (void)state;
    struct status_token first = get(7);
    machine_now_ms += 86399999;
    assert_int_equal(status_expires_in(7, token_of(&first), machine_now_ms), 1);
    assert_int_equal(renew(8, &first).error, API_BAD_TOKEN);
    struct status_token second = renew(7, &first);
    assert_int_equal(second.error, API_OK);
    assert_int_equal(renew(7, &first).error, API_BAD_TOKEN);
    assert_int_equal(login(7, &first), API_BAD_TOKEN);
    assert_int_equal(login(7, &second), API_OK);
    assert_int_equal(status_expires_in(7, token_of(&second), machine_now_ms), 86400);
    assert_int_equal(status_tokens(), 1);
    machine_now_ms += 86400000;
    assert_int_equal(renew(7, &second).error, API_BAD_TOKEN);
    assert_int_equal(status_expires_in(7, token_of(&second), machine_now_ms), 0);
}

static void renewing_costs_no_other_token_its_place(void **state)
{
    (void)state;
    struct status_token mine[TOKENS_EACH];
    for (int i = 0; i < TOKENS_EACH; i++)
        mine[i] = get(7);
    mine[TOKENS_EACH - 1] = renew(7, &mine[TOKENS_EACH - 1]);
    for (int i = 0; i < TOKENS_EACH; i++)
        assert_int_equal(login(7, &mine[i]), API_OK);
    machine_has_entropy = false;
    assert_int_equal(renew(7, &mine[0]).error, API_INTERNAL);
    machine_has_entropy = true;
    assert_int_equal(login(7, &mine[0]), API_OK); // as good as before
}

// However often it is renewed, a login ends when it is max_age old; a walk does not show it any more.
static void the_age_of_a_login(void **state)
{
    (void)state;
    uint32_t at = 0;
    struct status_session session;
    struct status_token token = get(7);
    status_settings.max_age = 200000;
    machine_now_ms += 80000000;
    token = renew(7, &token);
    machine_now_ms += 80000000;
    token = renew(7, &token);
    uint32_t left = status_expires_in(7, token_of(&token), machine_now_ms);
    assert_in_range(left, 40000, 40001); // the login's age is counted in whole seconds
    assert_true(status_walk(&at, machine_now_ms, &session));
    assert_int_equal(session.uid, 7);
    assert_int_equal(session.age, 160000);
    assert_int_equal(session.expires_in, left);
    assert_false(status_walk(&at, machine_now_ms, &session));
    machine_now_ms += (uint64_t)left * 1000;
    at = 0;
    assert_int_equal(login(7, &token), API_BAD_TOKEN);
    assert_int_equal(renew(7, &token).error, API_BAD_TOKEN);
    assert_false(status_walk(&at, machine_now_ms, &session));
    status_settings.max_age = 0;
    assert_in_range(status_expires_in(7, token_of(&token), machine_now_ms), 46399, 46400);
}

static void sessions_are_walked(void **state)
{
    (void)state;
    uint32_t at = 0, seen = 0;
    struct status_session session;
    assert_false(status_walk(&at, machine_now_ms, &session));
    for (uint32_t uid = 1; uid <= 5; uid++)
        get(uid);
    for (at = 0; status_walk(&at, machine_now_ms, &session); seen++)
        assert_int_equal(session.uid, 5 - seen);
    assert_int_equal(seen, 5);
}

// A new setting holds for tokens that are out, and the longest wait still fits into the step's answer.
static void ttl_setting(void **state)
{
    (void)state;
    struct status_token token = get(7);
    status_settings.ttl = 31536000;
    assert_int_equal(step(), SERVICE_IDLE - 1);
    machine_now_ms += 100000;
    status_settings.ttl = 60;
    assert_int_equal(login(7, &token), API_BAD_TOKEN);
    status_settings.ttl = 101;
    assert_int_equal(login(7, &token), API_OK);
}

// What expires at once goes a few a turn.
static void many_expire(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        get(i + 1);
    machine_now_ms += 86400000;
    assert_int_equal(step(), 0);
    assert_in_range(status_tokens(), 1, 19);
    assert_int_equal(step(), SERVICE_IDLE);
    assert_int_equal(status_tokens(), 0);
}

static void full_drops_the_oldest(void **state)
{
    (void)state;
    static struct status_token tokens[TOKENS_MAX + 2];
    uint32_t dropped = metric("pipit_tokens_dropped_total");
    for (uint32_t i = 0; i < TOKENS_MAX + 2; i++) {
        machine_now_ms++;
        tokens[i] = get(i / 2 + 1);
        assert_int_equal(tokens[i].error, API_OK);
    }
    assert_int_equal(status_tokens(), TOKENS_MAX);
    assert_int_equal(metric("pipit_tokens_dropped_total") - dropped, 2);
    for (uint32_t i = 0; i < TOKENS_MAX + 2; i++)
        assert_int_equal(login(i / 2 + 1, &tokens[i]), i < 2 ? API_BAD_TOKEN : API_OK);
}

// Somebody who logged in again and again once logged everybody else out.
static void one_user_cannot_log_the_others_out(void **state)
{
    (void)state;
    static struct status_token tokens[TOKENS_MAX];
    struct status_token other = get(7);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        tokens[i] = get(8);
    assert_int_equal(login(7, &other), API_OK);
    assert_int_equal(status_tokens(), TOKENS_EACH + 1);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        assert_int_equal(login(8, &tokens[i]), i < TOKENS_MAX - TOKENS_EACH ? API_BAD_TOKEN : API_OK);
}

// Given back out of order, at both ends and in the middle, the lists still hold together.
static void out_of_order(void **state)
{
    (void)state;
    static struct status_token tokens[TOKENS_MAX];
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        tokens[i] = get(i + 1);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        if (i == 0 || i == TOKENS_MAX - 1 || i % 3 == 1)
            status_logout(i + 1, token_of(&tokens[i]));
    uint32_t left = 0;
    for (uint32_t i = 0; i < TOKENS_MAX; i++) {
        bool gone = i == 0 || i == TOKENS_MAX - 1 || i % 3 == 1;
        assert_int_equal(login(i + 1, &tokens[i]), gone ? API_BAD_TOKEN : API_OK);
        left += !gone;
    }
    assert_int_equal(status_tokens(), left);
    struct status_token again = get(1);
    assert_int_equal(login(1, &again), API_OK);
}

static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct status_token token = get(7);
    machine_has_entropy = true;
    assert_int_equal(token.error, API_INTERNAL);
    assert_int_equal(token.text[0], 0);
    assert_int_equal(login(7, &token), API_BAD_TOKEN);
    assert_int_equal(status_tokens(), 0);
}

static void nobodys_uid(void **state)
{
    (void)state;
    assert_int_equal(get(0).error, API_INTERNAL);
    assert_int_equal(get(UINT32_MAX).error, API_OK);
    assert_int_equal(status_tokens(), 1);
}

/// Methods ///

// The request stands in memory of exactly its size, so that a sanitizer sees any byte read behind it.
static struct rpc_call call(const char *method, struct span request)
{
    struct rpc_call c = {.answers = 0};
    char *exact = malloc(request.length);
    if (request.length > 0)
        memcpy(exact, request.at, request.length);
    for (size_t i = 0; i < status_rpc.method_count; i++)
        if (strcmp(status_rpc.methods[i].name, method) == 0)
            status_rpc.methods[i].begin(&c, (struct span){exact, request.length});
    free(exact);
    assert_int_equal(c.answers, 1);
    return c;
}

#define BYTES(LITERAL) ((struct span){LITERAL, sizeof(LITERAL) - 1})

static void assert_reply(const struct rpc_call *c, struct span bytes)
{
    assert_int_equal(c->status, GRPC_OK);
    assert_int_equal(c->length, bytes.length);
    assert_memory_equal(c->message, bytes.at, bytes.length);
}

static void assert_refused(const struct rpc_call *c, const char *reason)
{
    assert_int_equal(c->status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(c->length, 0);
    assert_non_null(strstr(c->why, reason));
}

// Field 1 a uid below 128, field 2 a token.
static struct span request_of(char buffer[128], uint8_t uid, struct span token)
{
    buffer[0] = 0x08;
    buffer[1] = (char)uid;
    buffer[2] = 0x12;
    buffer[3] = (char)token.length;
    memcpy(buffer + 4, token.at, token.length);
    return (struct span){buffer, token.length + 4};
}

static void get_over_rpc(const char *bytes, size_t length, message_GetChatServerRsp *rsp)
{
    struct rpc_call c = call("GetChatServer", (struct span){bytes, length});
    pb_istream_t stream = pb_istream_from_buffer(c.message, c.length);
    *rsp = (message_GetChatServerRsp)message_GetChatServerRsp_init_zero;
    assert_int_equal(c.status, GRPC_OK);
    assert_true(pb_decode(&stream, message_GetChatServerRsp_fields, rsp));
}

static void the_table_of_methods(void **state)
{
    (void)state;
    assert_string_equal(status_rpc.name, "message.StatusService");
    assert_int_equal(status_rpc.method_count, 4);
    assert_false(status_rpc.open);
    assert_null(status_rpc.enabled);
}

// Of this machine: no error, host and port on the wire, and the token in field 4.
static void get_chat_server_bytes(void **state)
{
    (void)state;
    char buffer[128];
    struct rpc_call c = call("GetChatServer", BYTES("\x08\x07"));
    assert_int_equal(c.status, GRPC_OK);
    assert_int_equal(c.length, 2 + STATUS_TOKEN_BYTES + 4);
    assert_memory_equal(c.message, "\x22\x20", 2);
    assert_memory_equal(c.message + 2 + STATUS_TOKEN_BYTES, "\x28\x80\xa3\x05", 4); // ours: 86400 s
    struct span token = {(const char *)c.message + 2, STATUS_TOKEN_BYTES};
    assert_int_equal(status_login(7, token, machine_now_ms), API_OK);
    struct rpc_call again = call("Login", request_of(buffer, 7, token));
    assert_int_equal(again.length, 2 + 2 + STATUS_TOKEN_BYTES + 4);
    assert_memory_equal(again.message, "\x10\x07\x1a\x20", 4);
    assert_memory_equal(again.message + 4, token.at, token.length);
    assert_memory_equal(again.message + 4 + STATUS_TOKEN_BYTES, "\x20\x80\xa3\x05", 4);
}

static void uids_that_nobody_has(void **state)
{
    (void)state;
    struct rpc_call c = call("GetChatServer", BYTES(""));
    assert_reply(&c, BYTES("\x08\xf1\x07")); // 1009
    c = call("GetChatServer", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_reply(&c, BYTES("\x08\xf1\x07"));
    c = call("Login", BYTES(""));
    assert_reply(&c, BYTES("\x08\xf2\x07")); // 1010
    c = call("Login", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_int_equal(status_tokens(), 0);
    get(UINT32_MAX); // what -1 would be
    c = call("Logout", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_reply(&c, BYTES("\x08\xf2\x07"));
    assert_int_equal(status_tokens(), 1);
}

static void the_largest_uid(void **state)
{
    (void)state;
    message_GetChatServerRsp rsp;
    get_over_rpc("\x08\xff\xff\xff\xff\x07", 6, &rsp);
    assert_int_equal(rsp.error, API_OK);
    assert_int_equal(status_login(INT32_MAX, span_of(rsp.token), machine_now_ms), API_OK);
}

// A wrong token is not repeated to whoever showed it.
static void login_with_a_wrong_token(void **state)
{
    (void)state;
    char buffer[128];
    struct status_token token = get(7);
    struct rpc_call c = call("Login", request_of(buffer, 8, token_of(&token)));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\x08"));
    c = call("Login", request_of(buffer, 7, (struct span){token.text, 31}));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\x07"));
    c = call("Login", BYTES("\x08\x07"));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\x07"));
    machine_now_ms += 86400000;
    c = call("Login", request_of(buffer, 7, token_of(&token)));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\x07"));
}

static void logout_bytes(void **state)
{
    (void)state;
    char buffer[128];
    struct status_token first = get(7), second = get(7), third = get(7), other = get(8);
    struct rpc_call c = call("Logout", request_of(buffer, 7, token_of(&first)));
    assert_reply(&c, BYTES(""));
    assert_int_equal(login(7, &first), API_BAD_TOKEN);
    c = call("Logout", request_of(buffer, 7, token_of(&first)));
    assert_reply(&c, BYTES(""));
    assert_int_equal(login(7, &second), API_OK);
    c = call("Logout", BYTES("\x08\x07"));
    assert_reply(&c, BYTES(""));
    assert_int_equal(login(7, &second), API_BAD_TOKEN);
    assert_int_equal(login(7, &third), API_BAD_TOKEN);
    assert_int_equal(login(8, &other), API_OK);
}

static void renew_over_rpc(void **state)
{
    (void)state;
    char buffer[128];
    message_RenewRsp rsp = message_RenewRsp_init_zero;
    struct status_token first = get(7);
    struct rpc_call c = call("Renew", request_of(buffer, 8, token_of(&first)));
    assert_reply(&c, BYTES("\x08\xf2\x07"));
    c = call("Renew", BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_reply(&c, BYTES("\x08\xf2\x07"));
    c = call("Renew", request_of(buffer, 7, token_of(&first)));
    pb_istream_t stream = pb_istream_from_buffer(c.message, c.length);
    assert_true(pb_decode(&stream, message_RenewRsp_fields, &rsp));
    assert_int_equal(rsp.error, 0);
    assert_int_equal(rsp.expires_in, 86400);
    assert_int_equal(status_login(7, span_of(rsp.token), machine_now_ms), API_OK);
    assert_int_equal(login(7, &first), API_BAD_TOKEN);
    c = call("Renew", request_of(buffer, 7, token_of(&first)));
    assert_reply(&c, BYTES("\x08\xf2\x07"));
}

// What a newer caller may send (proto3's rule): fields of every wire type that we don't know, in any order; of a field
// that comes twice the last one counts.
static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    char bytes[160];
    struct text t = text_in(bytes, sizeof bytes);
    struct status_token token = get(7);
    text_span(&t, BYTES("\x78\x96\x01"                         // 15: varint
                        "\x52\x03xyz"                          // 10: bytes
                        "\x08\x09"                             // 1: uid 9
                        "\x59\x01\x02\x03\x04\x05\x06\x07\x08" // 11: 64 bits
                        "\x12\x20"));                          // 2: token
    text_span(&t, token_of(&token));
    text_span(&t, BYTES("\x65\x01\x02\x03\x04" // 12: 32 bits
                        "\x08\x07"));          // 1: uid 7
    struct rpc_call c = call("Login", text_whole(&t));
    assert_int_equal(c.status, GRPC_OK);
    assert_memory_equal(c.message, "\x10\x07\x1a\x20", 4);
}

static void strings_too_long(void **state)
{
    (void)state;
    char buffer[128], letters[65];
    memset(letters, 'a', sizeof letters);
    struct rpc_call c = call("Login", request_of(buffer, 7, (struct span){letters, 64}));
    assert_reply(&c, BYTES("\x08\xf2\x07\x10\x07"));
    static const char *const both[] = {"Login", "Logout"};
    for (int i = 0; i < 2; i++) {
        c = call(both[i], request_of(buffer, 7, (struct span){letters, 65}));
        assert_refused(&c, "string overflow");
    }
}

static void strings_that_are_not_utf8(void **state)
{
    (void)state;
    static const struct span bad[] = {BYTES("\xff"), BYTES("ab\xc3"), BYTES("\xc0\x80"), BYTES("\xed\xa0\x80"),
                                      BYTES("\xf4\x90\x80\x80")};
    char buffer[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rpc_call c = call("Login", request_of(buffer, 7, bad[i]));
        assert_refused(&c, "invalid utf8");
        c = call("Logout", request_of(buffer, 7, bad[i]));
        assert_refused(&c, "invalid utf8");
    }
}

// Cut anywhere but between two fields, a message is a bad one, and a user's tokens stay.
static void truncated_messages(void **state)
{
    (void)state;
    char buffer[128];
    struct status_token token = get(7);
    struct span whole = request_of(buffer, 7, token_of(&token));
    for (size_t n = 0; n < whole.length; n++) {
        struct rpc_call c = call("Login", (struct span){whole.at, n});
        assert_int_equal(c.status, n == 0 || n == 2 ? GRPC_OK : GRPC_INVALID_ARGUMENT);
        if (n == 2)
            continue; // would end all of them
        c = call("Logout", (struct span){whole.at, n});
        assert_int_equal(c.status, n == 0 ? GRPC_OK : GRPC_INVALID_ARGUMENT);
    }
    assert_int_equal(login(7, &token), API_OK);
}

static void messages_of_rubbish(void **state)
{
    (void)state;
    static const struct span bad[] = {
        BYTES("\x0a\x01\x07"),                                         // the uid as bytes
        BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),     // a varint without end
        BYTES("\x08\xff\xff\xff\xff\x0f\x08\x80\x80\x80\x80\x80\x80"), // an end within the second
        BYTES("\x03\x01"),                                             // a group's wire type
        BYTES("\x0f\x01"),                                             // wire type 7
        BYTES("\x52\x7f"
              "ab"),       // an unknown field longer than the message
        BYTES("\x00\x00"), // field number 0
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t m = 0; m < status_rpc.method_count; m++) {
            struct rpc_call c = call(status_rpc.methods[m].name, bad[i]);
            assert_refused(&c, "the request cannot be read: ");
        }
    assert_int_equal(status_tokens(), 0);
}

static void no_entropy_over_rpc(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct rpc_call c = call("GetChatServer", BYTES("\x08\x07"));
    machine_has_entropy = true;
    assert_reply(&c, BYTES("\x08\xf1\x07"));
    assert_int_equal(status_tokens(), 0);
}

/// With other nodes ///

static struct peer node;

static void turn(void)
{
    step();
}

// Before a node is known to be alive nobody gets a token; then its host and port stand in the reply as the key has
// them.
static void another_node(void **state)
{
    (void)state;
    message_GetChatServerRsp rsp;
    peer_services = turn;
    peer_listen(&node, 8090);
    strcpy(nodes_settings.list, "10.0.2.2:8090");
    struct rpc_call c = call("GetChatServer", BYTES("\x08\x07"));
    assert_reply(&c, BYTES("\x08\xf1\x07"));
    assert_int_equal(status_tokens(), 0);
    peer_run(5);
    peer_send_text(&node, "HTTP/1.1 200 OK\r\n\r\npipit_connections{kind=\"ws\"} 3\n");
    peer_close(&node);
    peer_run(5);
    assert_int_equal(labelled("pipit_nodes", "state=\"alive\""), 1);
    assert_int_equal(labelled("pipit_nodes", "state=\"lost\""), 0);
    get_over_rpc("\x08\x07", 2, &rsp);
    assert_int_equal(rsp.error, API_OK);
    assert_string_equal(rsp.host, "10.0.2.2");
    assert_string_equal(rsp.port, "8090");
    assert_int_equal(status_login(7, span_of(rsp.token), machine_now_ms), API_OK);
    assert_in_range(step(), 4000, 5000);
    peer_forget(&node);
    uint32_t failed = metric("pipit_node_probes_failed_total");
    peer_run(8100);
    assert_int_equal(metric("pipit_node_probes_failed_total") - failed, 1);
    assert_int_equal(labelled("pipit_nodes", "state=\"alive\""), 0);
    assert_int_equal(labelled("pipit_nodes", "state=\"lost\""), 1);
    c = call("GetChatServer", BYTES("\x08\x07"));
    assert_reply(&c, BYTES("\x08\xf1\x07"));
    assert_int_equal(status_tokens(), 1);
    nodes_settings.list[0] = '\0';
    peer_run(5000);
}

// The service says goodbye: a probe that is under way ends with it.
static void stop_ends_probes(void **state)
{
    (void)state;
    peer_services = turn;
    peer_listen(&node, 8090);
    strcpy(nodes_settings.list, "10.0.2.2:8090");
    peer_run(5);
    assert_int_equal(net_open(), 1);
    status_service.stop();
    peer_run(5);
    assert_int_equal(net_open(), 0);
    assert_true(node.reset);
    peer_forget(&node);
    nodes_settings.list[0] = '\0';
    step();
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, fresh, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token),
        TEST(wrong_tokens),
        TEST(several_of_one_user),
        TEST(all_of_one_user),
        TEST(expiry),
        TEST(renewing),
        TEST(renewing_costs_no_other_token_its_place),
        TEST(the_age_of_a_login),
        TEST(sessions_are_walked),
        TEST(ttl_setting),
        TEST(many_expire),
        TEST(full_drops_the_oldest),
        TEST(one_user_cannot_log_the_others_out),
        TEST(out_of_order),
        TEST(no_entropy),
        TEST(nobodys_uid),
        TEST(the_table_of_methods),
        TEST(get_chat_server_bytes),
        TEST(uids_that_nobody_has),
        TEST(the_largest_uid),
        TEST(login_with_a_wrong_token),
        TEST(logout_bytes),
        TEST(renew_over_rpc),
        TEST(unknown_fields_are_skipped),
        TEST(strings_too_long),
        TEST(strings_that_are_not_utf8),
        TEST(truncated_messages),
        TEST(messages_of_rubbish),
        TEST(no_entropy_over_rpc),
        TEST(another_node),
        TEST(stop_ends_probes),
    };
    peer_network_start();
    return cmocka_run_group_tests(tests, fresh, NULL);
}
