#include "gate_support.h"
#include "../../port/net.h"
#include "../../services/gateway/api.h"
#include "../../services/gateway/http_server.h"
#include "../../services/gateway/rate.h"
#include "../../services/gateway/tries.h"
#include "../../services/hub/hub.h"
#include "../../services/verify/codes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct peer peers[GATE_PEERS];
char request[HTTP_BODY * 3];

/// Calls that wait for their turn ///

struct call {
    bool open;
    uint32_t uid; // of the status service
    struct span token;
    char bytes[TOKEN_MAX_BYTES];
    void (*answer)(struct call *call); // takes it, and frees the slot
    verify_done *verify;
    status_done *status;
    void *context;
};

struct verify_call {
    struct call call;
};

struct status_call {
    struct call call;
};

static struct verify_call verify_calls[VERIFY_CALLS];
static struct status_call status_calls[STATUS_CALLS];

// What is told is valid during the callback only.
static char sentence[300];

static struct span say(const char *text)
{
    snprintf(sentence, sizeof sentence, "%s", text);
    return span_of(sentence);
}

static void unsay(void)
{
    memset(sentence, '!', sizeof sentence - 1);
}

static unsigned open_calls(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < VERIFY_CALLS; i++)
        count += verify_calls[i].call.open;
    for (size_t i = 0; i < STATUS_CALLS; i++)
        count += status_calls[i].call.open;
    return count;
}

/// The verify service ///

struct verify_client_settings verify_client_settings;
struct gate_verify gate_verify;

static void answer_verify(struct call *call)
{
    static unsigned made;
    struct verify_reply reply = {
        .error = gate_verify.error, .message = say(gate_verify.message), .retry_after = gate_verify.retry_after};
    if (reply.error == API_OK) {
        snprintf(gate_verify.code, sizeof gate_verify.code, "c0de-%05u", ++made);
        reply.code = span_of(gate_verify.code);
    }
    call->open = false;
    call->verify(call->context, &reply);
    unsay();
}

struct verify_call *verify_client_get_code(struct span email, verify_done *done, void *context)
{
    assert_true(email.length > 0 && email.length <= EMAIL_MAX_BYTES);
    for (size_t i = 0; i < VERIFY_CALLS && !gate_verify.full; i++) {
        if (verify_calls[i].call.open)
            continue;
        verify_calls[i].call = (struct call){.open = true, .answer = answer_verify, .verify = done, .context = context};
        gate_verify.asked++;
        return &verify_calls[i];
    }
    return NULL;
}

void verify_client_cancel(struct verify_call *call)
{
    assert_true(call->call.open);
    call->call.open = false;
    gate_verify.cancelled++;
}

// Each step answers what was there in the step before.
static uint32_t verify_step(uint64_t now_ms)
{
    static bool ripe[VERIFY_CALLS];
    (void)now_ms;
    for (size_t i = 0; i < VERIFY_CALLS; i++) {
        struct call *call = &verify_calls[i].call;
        bool due = call->open && ripe[i] && !gate_verify.holds;
        ripe[i] = call->open && !due;
        if (due)
            call->answer(call);
    }
    return SERVICE_IDLE;
}

const struct service verify_client_service = {.name = "played verify service", .step = verify_step};

/// The status service ///

struct status_client_settings status_client_settings;
struct gate_status gate_status;

static struct {
    uint32_t uid; // 0: none
    char text[TOKEN_MAX_BYTES];
    size_t length;
} tokens[64];
#define TOKENS (sizeof tokens / sizeof tokens[0])

static bool is_token(size_t i, const struct call *call)
{
    return tokens[i].uid == call->uid && tokens[i].uid != 0 &&
           (call->token.length == 0 || span_equal(call->token, (struct span){tokens[i].text, tokens[i].length}));
}

static void finish_status(struct call *call, const struct status_reply *reply)
{
    call->open = false;
    call->status(call->context, reply);
    unsay();
}

static void give_token(size_t i, uint32_t uid, struct status_reply *reply)
{
    static unsigned made;
    char text[TOKEN_MAX_BYTES + 20];
    snprintf(text, sizeof text, "%06u~A-b_c.d+e/f=%050u", ++made, 0u);
    memcpy(tokens[i].text, text, gate_status.token_length);
    tokens[i].length = gate_status.token_length;
    tokens[i].uid = uid;
    reply->token = (struct span){tokens[i].text, tokens[i].length};
    reply->expires_in = gate_status.expires_in;
}

static void answer_node(struct call *call)
{
    static size_t next;
    size_t i = next++ % TOKENS;
    struct status_reply reply = {.error = gate_status.node_error, .message = say(gate_status.message)};
    if (reply.error == API_OK) {
        give_token(i, call->uid, &reply);
        reply.host = span_of(gate_status.host);
        reply.port = span_of(gate_status.port);
    }
    finish_status(call, &reply);
}

static void answer_login(struct call *call)
{
    struct status_reply reply = {.error = API_BAD_TOKEN, .message = span_of("No such token.")};
    for (size_t i = 0; i < TOKENS; i++)
        if (call->token.length > 0 && is_token(i, call))
            reply = (struct status_reply){.error = API_OK, .expires_in = gate_status.expires_in};
    if (gate_status.login_error != API_OK)
        reply = (struct status_reply){.error = gate_status.login_error, .message = say(gate_status.message)};
    finish_status(call, &reply);
}

static void answer_logout(struct call *call)
{
    struct status_reply reply = {.error = gate_status.logout_error, .message = say(gate_status.message)};
    for (size_t i = 0; i < TOKENS && reply.error == API_OK; i++)
        if (is_token(i, call))
            tokens[i].uid = 0;
    finish_status(call, &reply);
}

static void answer_renew(struct call *call)
{
    struct status_reply reply = {.error = API_BAD_TOKEN, .message = span_of("No such token.")};
    if (gate_status.renew_error != API_OK)
        reply = (struct status_reply){.error = gate_status.renew_error, .message = say(gate_status.message)};
    for (size_t i = 0; i < TOKENS && gate_status.renew_error == API_OK; i++) {
        if (!is_token(i, call))
            continue;
        reply = (struct status_reply){.error = API_OK};
        give_token(i, call->uid, &reply);
        break;
    }
    finish_status(call, &reply);
}

static struct status_call *status_new(uint32_t uid, struct span token, void (*answer)(struct call *call),
                                      status_done *done, void *context)
{
    assert_true(uid > 0 && token.length <= TOKEN_MAX_BYTES);
    for (size_t i = 0; i < STATUS_CALLS && !gate_status.full; i++) {
        struct call *call = &status_calls[i].call;
        if (call->open)
            continue;
        *call = (struct call){.open = true, .uid = uid, .answer = answer, .status = done, .context = context};
        if (token.length > 0)
            memcpy(call->bytes, token.at, token.length);
        call->token = (struct span){call->bytes, token.length};
        return &status_calls[i];
    }
    return NULL;
}

struct status_call *status_client_get_chat_server(uint32_t uid, status_done *done, void *context)
{
    return status_new(uid, (struct span){0}, answer_node, done, context);
}

struct status_call *status_client_login(uint32_t uid, struct span token, status_done *done, void *context)
{
    return status_new(uid, token, answer_login, done, context);
}

struct status_call *status_client_logout(uint32_t uid, struct span token, status_done *done, void *context)
{
    return status_new(uid, token, answer_logout, done, context);
}

struct status_call *status_client_renew(uint32_t uid, struct span old, status_done *done, void *context)
{
    return status_new(uid, old, answer_renew, done, context);
}

void status_client_cancel(struct status_call *call)
{
    assert_true(call->call.open);
    call->call.open = false;
    gate_status.cancelled++;
}

static uint32_t status_step(uint64_t now_ms)
{
    static bool ripe[STATUS_CALLS];
    (void)now_ms;
    for (size_t i = 0; i < STATUS_CALLS; i++) {
        struct call *call = &status_calls[i].call;
        bool due = call->open && ripe[i] && !gate_status.holds;
        ripe[i] = call->open && !due;
        if (due)
            call->answer(call);
    }
    return SERVICE_IDLE;
}

const struct service status_client_service = {.name = "played status service", .step = status_step};

/// The machine ///

static void step_services(void)
{
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->step != NULL)
            services[i]->step(port_now_ms());
}

int gate_start(void **state)
{
    (void)state;
    peer_network_start();
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->start != NULL)
            assert_int_equal(services[i]->start(), 0);
    peer_services = step_services;
    return 0;
}

int gate_setup(void **state)
{
    (void)state;
    gateway_settings =
        (struct gateway_settings){.guests = 1, .header_timeout = 10, .body_timeout = 20, .idle_timeout = 60};
    net_settings.per_address = 0;
    codes_settings.echo = 1;
    gate_verify = (struct gate_verify){.message = ""};
    gate_status = (struct gate_status){.message = "", .host = "", .port = "", .token_length = 36};
    memset(&gateway_counters, 0, sizeof gateway_counters);
    http_admit_reset();
    tries_reset();
    return 0;
}

int gate_teardown(void **state)
{
    (void)state;
    gate_verify.holds = gate_status.holds = false;
    for (size_t i = 0; i < GATE_PEERS; i++)
        if (peers[i].synchronized && !peers[i].reset)
            peer_abort(&peers[i]);
    peer_turn();
    for (size_t i = 0; i < GATE_PEERS; i++)
        if (peers[i].port != 0)
            peer_forget(&peers[i]);
    peer_run(20000); // calls end, and everything lingering is let go
    uint32_t at = 0;
    assert_int_equal(http_server_connections(), 0);
    assert_null(http_exchange_walk(&at));
    assert_int_equal(hub_clients(), 0);
    assert_int_equal(net_open(), 0);
    assert_int_equal(open_calls(), 0);
    return 0;
}

/// Clients ///

const char *find_body(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end == NULL ? NULL : end + 4;
}

static bool complete(struct peer *p)
{
    const char *reply = peer_text(p);
    const char *body = find_body(reply);
    const char *length = strstr(reply, "Content-Length: ");
    if (body == NULL)
        return false;
    if (length != NULL && length < body)
        return strlen(body) >= strtoul(length + 16, NULL, 10);
    if (strstr(reply, "Transfer-Encoding: chunked") != NULL)
        return strlen(body) >= 5 && strcmp(body + strlen(body) - 5, "0\r\n\r\n") == 0;
    return strncmp(reply, "HTTP/1.1 101", 12) == 0 || p->fin;
}

const char *wait_reply(struct peer *p)
{
    for (int i = 0; i < 20000 && !complete(p) && !p->fin && !p->reset; i++)
        peer_run(1);
    return peer_text(p);
}

const char *send_to(struct peer *p, const char *text)
{
    if (!p->synchronized)
        peer_open(p, 80);
    peer_clear(p);
    peer_send_text(p, text);
    return wait_reply(p);
}

const char *ask(const char *text)
{
    static char reply[sizeof peers[0].received];
    struct peer *p = &peers[0];
    strcpy(reply, send_to(p, text));
    peer_abort(p);
    peer_turn();
    peer_forget(p);
    return reply;
}

const char *post_request(const char *path, const char *body)
{
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
             strlen(body), body);
    return request;
}

const char *post(const char *path, const char *body)
{
    return ask(post_request(path, body));
}

void assert_status(const char *reply, unsigned status)
{
    char expected[32];
    snprintf(expected, sizeof expected, "HTTP/1.1 %u ", status);
    if (strncmp(reply, expected, strlen(expected)) != 0)
        fail_msg("expected %u, got: %s", status, reply);
}

void assert_has(const char *reply, const char *part)
{
    if (strstr(reply, part) == NULL)
        fail_msg("no '%s' in: %s", part, reply);
}

void assert_lacks(const char *reply, const char *part)
{
    if (strstr(reply, part) != NULL)
        fail_msg("there is '%s' in: %s", part, reply);
}

void assert_whole(const char *reply)
{
    const char *length = strstr(reply, "Content-Length: ");
    assert_non_null(length);
    assert_int_equal(strlen(find_body(reply)), strtoul(length + 16, NULL, 10));
    assert_has(reply, "\r\nContent-Type: ");
    assert_has(reply, "\r\nX-Content-Type-Options: nosniff\r\n");
    assert_has(reply, "\r\nCache-Control: no-store\r\n");
    assert_has(reply, "\r\nDate: ");
}

void assert_error(const char *reply, unsigned error)
{
    char expected[32];
    snprintf(expected, sizeof expected, "{\"error\":%u%s", error, error == 0 ? "" : ",\"message\":\"");
    assert_status(reply, 200);
    assert_whole(reply);
    if (strncmp(find_body(reply), expected, strlen(expected)) != 0)
        fail_msg("expected error %u, got: %s", error, reply);
}

const char *value_of(const char *reply, const char *name, char *buffer, size_t size)
{
    char key[40];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(reply, key);
    if (at == NULL)
        fail_msg("no %s in: %s", name, reply);
    at += strlen(key);
    size_t n = strcspn(at, "\"");
    assert_true(n < size);
    memcpy(buffer, at, n);
    buffer[n] = '\0';
    return buffer;
}

const char *upgrade(struct peer *p, const char *target, const char *fields)
{
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST HANDSHAKE "%s\r\n", target, fields);
    return send_to(p, request);
}

void hang_up(struct peer *p)
{
    peer_abort(p);
    peer_run(5);
    peer_forget(p);
}
