// The gate's clients of the verify and of the status service, against an rpc_call() that is played: what they ask, what
// they make of every answer, and what they say to people.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <services/proto/message.pb.h>
#include <stdio.h>
#include <string.h>

#include "../../services/gateway/bearer.h"
#include "../../services/gateway/status_client.h"
#include "../../services/gateway/verify_client.h"
#include "../../services/proto/utf8.h"
#include "../../services/rpc/channel.h"
#include "machine.h"

/// gRPC, played ///

struct rpc_request {
    bool open;
    bool cancelled;
    char target[RPC_TARGET_MAX + 1];
    char path[80];
    uint8_t message[RPC_MESSAGE];
    size_t length;
    uint32_t deadline;
    rpc_done *done;
    void *context;
};

static struct rpc_request requests[RPC_REQUESTS + 8];
static size_t request_count;
static bool no_slots;

struct rpc_settings rpc_settings = {.timeout = 15};

struct rpc_request *rpc_call(const char *target, const char *path, struct span message, uint32_t deadline_ms,
                             rpc_done *done, void *context)
{
    if (no_slots)
        return NULL;
    assert_true(request_count < sizeof requests / sizeof requests[0]);
    struct rpc_request *r = &requests[request_count++];
    *r = (struct rpc_request){.open = true, .deadline = deadline_ms, .done = done, .context = context};
    assert_true(strlen(target) < sizeof r->target && strlen(path) < sizeof r->path && message.length <= RPC_MESSAGE);
    strcpy(r->target, target);
    strcpy(r->path, path);
    if (message.length > 0)
        memcpy(r->message, message.at, message.length);
    r->length = message.length;
    return r;
}

void rpc_cancel(struct rpc_request *r)
{
    assert_true(r->open);
    r->open = false;
    r->cancelled = true;
}

static struct rpc_request *newest(void)
{
    assert_true(request_count > 0);
    return &requests[request_count - 1];
}

static void finish(struct rpc_request *r, const struct rpc_outcome *outcome)
{
    assert_true(r->open);
    r->open = false;
    r->done(r->context, outcome);
}

static void answer_bytes(struct rpc_request *r, const void *bytes, size_t length)
{
    finish(r, &(struct rpc_outcome){.status = GRPC_OK, .reply = {bytes, length}, .message = {"", 0}});
}

static void answer(struct rpc_request *r, const pb_msgdesc_t *fields, const void *message)
{
    uint8_t bytes[RPC_MESSAGE];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    assert_true(pb_encode(&stream, fields, message));
    answer_bytes(r, bytes, stream.bytes_written);
    memset(bytes, 0xee, sizeof bytes);
}

/// Callers ///

struct told {
    int calls;
    int error;
    uint32_t retry_after;
    char message[300];
    char code[32];
    char host[80];
    char port[8];
    char token[80];
    struct verify_call *cancel_verify; // in this answer
    struct status_call *cancel_status;
    struct told *then; // called in this answer
};

static void copy(char *at, size_t size, struct span s)
{
    assert_true(s.length < size);
    if (s.length > 0)
        memcpy(at, s.at, s.length);
    at[s.length] = '\0';
}

static void verify_told(void *context, const struct verify_reply *reply)
{
    struct told *t = context;
    t->calls++;
    t->error = (int)reply->error;
    t->retry_after = reply->retry_after;
    copy(t->message, sizeof t->message, reply->message);
    copy(t->code, sizeof t->code, reply->code);
    assert_true(utf8_valid(reply->message));
    if (t->cancel_verify != NULL)
        verify_client_cancel(t->cancel_verify);
    if (t->then != NULL)
        assert_non_null(verify_client_get_code(span_of("then@example.org"), verify_told, t->then));
}

static void status_told(void *context, const struct status_reply *reply)
{
    struct told *t = context;
    t->calls++;
    t->error = (int)reply->error;
    copy(t->message, sizeof t->message, reply->message);
    copy(t->host, sizeof t->host, reply->host);
    copy(t->port, sizeof t->port, reply->port);
    copy(t->token, sizeof t->token, reply->token);
    assert_true(utf8_valid(reply->message));
    if (t->cancel_status != NULL)
        status_client_cancel(t->cancel_status);
    if (t->then != NULL)
        assert_non_null(status_client_get_chat_server(3, status_told, t->then));
}

static struct verify_call *get_code(struct told *t)
{
    memset(t, 0, sizeof *t);
    struct verify_call *call = verify_client_get_code(span_of("a@example.org"), verify_told, t);
    assert_non_null(call);
    assert_int_equal(t->calls, 0);
    return call;
}

static void assert_told(const struct told *t, int error, const char *message)
{
    assert_int_equal(t->calls, 1);
    if (t->error != error || strcmp(t->message, message) != 0)
        fail_msg("%d '%s' instead of %d '%s'", t->error, t->message, error, message);
}

static uint32_t metric(const struct service *service, const char *name)
{
    for (size_t i = 0; i < service->metric_count; i++)
        if (strcmp(service->metrics[i].name, name) == 0)
            return *service->metrics[i].value;
    fail_msg("no metric %s", name);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    request_count = 0;
    no_slots = false;
    strcpy(verify_client_settings.target, "127.0.0.1:50051");
    strcpy(status_client_settings.target, "127.0.0.1:50052");
    return verify_client_service.start() + status_client_service.start();
}

static int empty(void **state)
{
    (void)state;
    for (size_t i = 0; i < request_count; i++)
        assert_false(requests[i].open);
    return machine_pools_used() == 0 ? 0 : -1;
}

/// What goes wrong on the way: the same for every method ///

static const struct {
    uint32_t status;
    const char *step;
    const char *said;
    const char *sentence; // %s is the service
} failures[] = {
    {GRPC_UNAVAILABLE, "connect", "connect: timed out", "The %s service could not be reached (connect: timed out)."},
    {GRPC_UNAVAILABLE, "dns", "dns: no such name", "The %s service could not be reached (dns: no such name)."},
    {GRPC_UNAVAILABLE, "connect", "connection lost: reset by the peer",
     "The %s service could not be reached (connection lost: reset by the peer)."},
    {GRPC_DEADLINE_EXCEEDED, "timeout", "timeout: no answer", "The %s service did not answer in time (step: timeout)."},
    {GRPC_DEADLINE_EXCEEDED, NULL, "Deadline Exceeded", "The %s service did not answer in time (step: timeout)."},
    {GRPC_UNAUTHENTICATED, NULL, "who are you?", "The %s service refused the gate's secret; set rpc.secret."},
    {GRPC_UNAVAILABLE, NULL, "", "The %s service failed (UNAVAILABLE)."},
    {GRPC_INTERNAL, NULL, "Server method handler threw error x", // of @grpc/grpc-js
     "The %s service failed (INTERNAL: Server method handler threw error x)."},
    {77, NULL, "odd", "The %s service failed (UNKNOWN: odd)."},
    {GRPC_ABORTED, NULL, " two\nlines\x7f ", "The %s service failed (ABORTED: two lines )."},
    {GRPC_ABORTED, NULL,
     "caf\xc3\xa9 \xc2\x9b"
     "31m",
     "The %s service failed (ABORTED: caf\xc3\xa9  31m)."},
    {GRPC_ABORTED, NULL, "\xff\xfe caf\xc3\xa9", "The %s service failed (ABORTED: \?\? caf\?\?)."},
    {GRPC_ABORTED, NULL, "cut off: \xe2\x82", "The %s service failed (ABORTED: cut off:)."},
};

static void fail_newest(size_t i)
{
    struct rpc_outcome outcome = {
        .status = failures[i].status, .step = failures[i].step, .message = span_of(failures[i].said)};
    finish(newest(), &outcome);
}

static void test_failures(void **state)
{
    (void)state;
    char expected[200];
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct told t;
        get_code(&t);
        fail_newest(i);
        snprintf(expected, sizeof expected, failures[i].sentence, "verify");
        assert_told(&t, API_NOT_DELIVERED, expected);
        assert_string_equal(t.code, "");
        snprintf(expected, sizeof expected, failures[i].sentence, "status");
        t.calls = 0;
        status_client_get_chat_server(1, status_told, &t);
        fail_newest(i);
        assert_told(&t, API_INTERNAL, expected);
        t.calls = 0;
        status_client_login(1, span_of("t"), status_told, &t);
        fail_newest(i);
        assert_told(&t, API_INTERNAL, expected);
        t.calls = 0;
        status_client_logout(1, span_of("t"), status_told, &t);
        fail_newest(i);
        assert_told(&t, API_INTERNAL, expected);
        request_count = 0;
    }
}

// The longest that a server can say still makes a whole sentence.
static void test_longest_failure(void **state)
{
    (void)state;
    char said[GRPC_MESSAGE_MAX + 1];
    struct told t;
    memset(said, 'm', sizeof said);
    said[GRPC_MESSAGE_MAX] = '\0';
    get_code(&t);
    finish(newest(), &(struct rpc_outcome){.status = GRPC_FAILED_PRECONDITION, .message = span_of(said)});
    assert_int_equal(t.error, API_NOT_DELIVERED);
    assert_string_equal(t.message + strlen(t.message) - 4, "mm).");
}

static void test_unknown_methods(void **state)
{
    (void)state;
    const struct rpc_outcome outcome = {.status = GRPC_UNIMPLEMENTED, .message = span_of("unknown method")};
    struct told t;
    get_code(&t);
    finish(newest(), &outcome);
    assert_told(&t, API_NOT_DELIVERED, "The verify service does not know GetVarifyCode; look at verify.target.");
    t.calls = 0;
    status_client_get_chat_server(1, status_told, &t);
    finish(newest(), &outcome);
    assert_told(&t, API_INTERNAL, "The status service does not know GetChatServer; look at status.target.");
    t.calls = 0;
    status_client_login(1, span_of("t"), status_told, &t);
    finish(newest(), &outcome);
    assert_told(&t, API_INTERNAL, "The status service does not know Login; look at status.target.");
    t.calls = 0; // as the original's is
    status_client_logout(1, span_of("t"), status_told, &t);
    finish(newest(), &outcome);
    assert_told(&t, API_INTERNAL, "The status service does not know Logout; look at status.target.");
}

static void test_replies_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {
        {"\x08", 1},                                          // a field without its value
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, // a tag that is too long
        {"\x12\x02\xff\xfe", 4},                              // a string that is not UTF-8
        {"\x1a\x7fshort", 7},                                 // a string that is cut off
        {"\x0d\1\2\3\4", 5},                                  // the number as a fixed32
        {"garbage", 7},
    };
    struct told t;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        get_code(&t);
        answer_bytes(newest(), bad[i].bytes, bad[i].length);
        assert_told(&t, API_NOT_DELIVERED, "The reply of the verify service could not be understood.");
        t.calls = 0;
        status_client_get_chat_server(1, status_told, &t);
        answer_bytes(newest(), bad[i].bytes, bad[i].length);
        assert_told(&t, API_INTERNAL, "The reply of the status service could not be understood.");
    }
}

/// Verify ///

static void test_verify_request(void **state)
{
    (void)state;
    struct told t = {0};
    char email[] = "a@example.org";
    message_GetVarifyReq request;
    rpc_settings.timeout = 7;
    strcpy(verify_client_settings.target, "192.0.2.9:50059");
    assert_non_null(verify_client_get_code(span_of(email), verify_told, &t));
    memset(email, 'x', sizeof email - 1);
    rpc_settings.timeout = 15;
    assert_string_equal(newest()->target, "192.0.2.9:50059");
    assert_string_equal(newest()->path, "/message.VarifyService/GetVarifyCode");
    assert_int_equal(newest()->deadline, 7000);
    pb_istream_t stream = pb_istream_from_buffer(newest()->message, newest()->length);
    assert_true(pb_decode(&stream, message_GetVarifyReq_fields, &request));
    assert_string_equal(request.email, "a@example.org");
    message_GetVarifyRsp rsp = {.code = "042137", .email = "somebody@else"};
    answer(newest(), message_GetVarifyRsp_fields, &rsp);
    assert_told(&t, API_OK, "");
    assert_string_equal(t.code, "042137");
}

static const struct {
    const char *code;
    bool good;
} codes[] = {
    {"1", true},     {"0123456789abcdef", true}, {"a-b_c.d~", true}, {"AB CD", false}, {"", false}, {"123\n", false},
    {"\x7f", false}, {"\xc3\xa9", false},        {"\x01", false},
};

static void test_verify_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct told t;
        message_GetVarifyRsp rsp = message_GetVarifyRsp_init_zero;
        strcpy(rsp.code, codes[i].code);
        get_code(&t);
        answer(newest(), message_GetVarifyRsp_fields, &rsp);
        if (codes[i].good)
            assert_told(&t, API_OK, "");
        else
            assert_told(&t, API_NOT_DELIVERED, "The verify service gave a code that cannot be used.");
        assert_string_equal(t.code, codes[i].good ? codes[i].code : "");
    }
    struct told t; // 17 bytes: the message itself does not fit
    get_code(&t);
    answer_bytes(newest(),
                 "\x1a\x11"
                 "0123456789abcdefg",
                 19);
    assert_told(&t, API_NOT_DELIVERED, "The reply of the verify service could not be understood.");
    get_code(&t); // nothing at all: error 0, no code
    answer_bytes(newest(), "", 0);
    assert_told(&t, API_NOT_DELIVERED, "The verify service gave a code that cannot be used.");
}

static const struct {
    int32_t error;
    const char *message;
    uint32_t retry_after;
    int told;
    const char *sentence;
    uint32_t told_retry_after;
} refusals[] = {
    {1002, "", 0, API_NOT_DELIVERED, "The verify service could not send the mail.", 0},
    {1002, "The relay refused (step: auth).", 5, API_NOT_DELIVERED, "The relay refused (step: auth).", 0},
    {1003, "", 0, API_BAD_FIELD, "The email was refused by the verify service.", 0},
    {1003, "No such mailbox.", 0, API_BAD_FIELD, "No such mailbox.", 0},
    {1009, "", 0, API_INTERNAL, "The verify service could not make a code.", 0},
    {1011, "", 42, API_TOO_MANY, "Too many codes were asked for; ask again after retry_after seconds.", 42},
    {1011, "Slow down.", 0, API_TOO_MANY, "Slow down.", 1},
    {1011, " \n\t ", 9, API_TOO_MANY, "Too many codes were asked for; ask again after retry_after seconds.", 9},
    {1002, "two\r\nlines \xc2\x85 caf\xc3\xa9", 0, API_NOT_DELIVERED, "two  lines   caf\xc3\xa9", 0},
    {1, "Redis is down", 0, API_NOT_DELIVERED, "The verify service refused (error 1).", 0}, // the original's numbers
    {2, "", 0, API_NOT_DELIVERED, "The verify service refused (error 2).", 0},
    {-1, "", 3, API_NOT_DELIVERED, "The verify service refused (error -1).", 0},
    {1008, "", 0, API_NOT_DELIVERED, "The verify service refused (error 1008).", 0},
};

static void test_verify_refusals(void **state)
{
    (void)state;
    uint32_t failed = metric(&verify_client_service, "pipit_verify_calls_failed_total");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct told t;
        message_GetVarifyRsp rsp = {
            .error = refusals[i].error, .code = "123456", .retry_after = refusals[i].retry_after};
        strcpy(rsp.message, refusals[i].message);
        get_code(&t);
        answer(newest(), message_GetVarifyRsp_fields, &rsp);
        assert_told(&t, refusals[i].told, refusals[i].sentence);
        assert_int_equal(t.retry_after, refusals[i].told_retry_after);
        assert_string_equal(t.code, ""); // whatever the service says beside its error
        failed++;
    }
    assert_int_equal(metric(&verify_client_service, "pipit_verify_calls_failed_total"), failed);
}

// Cut off, an email would be somebody else's.
static void test_verify_emails_that_are_none(void **state)
{
    (void)state;
    char email[EMAIL_MAX_BYTES + 1];
    struct told t = {0};
    memset(email, 'a', sizeof email);
    email[1] = '@';
    uint32_t refused = metric(&verify_client_service, "pipit_verify_calls_refused_total");
    assert_null(verify_client_get_code((struct span){email, sizeof email}, verify_told, &t));
    assert_null(verify_client_get_code((struct span){"a@b\0c", 5}, verify_told, &t));
    assert_int_equal(request_count, 0);
    assert_int_equal(metric(&verify_client_service, "pipit_verify_calls_refused_total"), refused + 2);
    struct verify_call *call = verify_client_get_code((struct span){email, EMAIL_MAX_BYTES}, verify_told, &t);
    assert_non_null(call);
    assert_int_equal(newest()->length, EMAIL_MAX_BYTES + 3);
    verify_client_cancel(call);
}

static void test_verify_cancelled(void **state)
{
    (void)state;
    struct told first, second;
    struct verify_call *call = get_code(&first);
    get_code(&second);
    verify_client_cancel(call);
    verify_client_cancel(call); // it is over
    assert_true(requests[0].cancelled);
    assert_false(requests[1].cancelled);
    message_GetVarifyRsp rsp = {.code = "123456"};
    second.cancel_verify = call;
    answer(&requests[1], message_GetVarifyRsp_fields, &rsp);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
}

// An answer cancels another call; one cancels itself, which does nothing.
static void test_verify_cancelled_from_an_answer(void **state)
{
    (void)state;
    struct told first, second, third;
    message_GetVarifyRsp rsp = {.code = "123456"};
    get_code(&first);
    first.cancel_verify = get_code(&second);
    answer(&requests[0], message_GetVarifyRsp_fields, &rsp);
    assert_true(requests[1].cancelled);
    third.calls = 0;
    struct verify_call *call = get_code(&third);
    third.cancel_verify = call;
    answer(&requests[2], message_GetVarifyRsp_fields, &rsp);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_told(&third, API_OK, "");
}

// All slots taken: refused. An answer frees its slot for a call of its own.
static void test_verify_slots(void **state)
{
    (void)state;
    static struct told t[VERIFY_CALLS];
    struct told then = {0};
    message_GetVarifyRsp rsp = {.code = "123456"};
    for (int i = 0; i < VERIFY_CALLS; i++)
        get_code(&t[i]);
    assert_null(verify_client_get_code(span_of("one@more"), verify_told, &then));
    t[0].then = &then;
    for (int i = 0; i < VERIFY_CALLS; i++)
        answer(&requests[i], message_GetVarifyRsp_fields, &rsp);
    assert_int_equal(then.calls, 0);
    answer(newest(), message_GetVarifyRsp_fields, &rsp);
    assert_told(&then, API_OK, "");
    no_slots = true; // the channel has none left
    assert_null(verify_client_get_code(span_of("one@more"), verify_told, &then));
}

/// Status ///

static void test_status_requests(void **state)
{
    (void)state;
    struct told t = {0};
    message_GetChatServerReq node;
    message_LoginReq login;
    message_LogoutReq logout;
    char token[] = "secret-token";
    strcpy(status_client_settings.target, "192.0.2.9:50052");
    struct status_call *call = status_client_get_chat_server(INT32_MAX, status_told, &t);
    assert_string_equal(newest()->path, "/message.StatusService/GetChatServer");
    assert_string_equal(newest()->target, "192.0.2.9:50052");
    assert_int_equal(newest()->deadline, 15000);
    pb_istream_t stream = pb_istream_from_buffer(newest()->message, newest()->length);
    assert_true(pb_decode(&stream, message_GetChatServerReq_fields, &node));
    assert_int_equal(node.uid, INT32_MAX);
    status_client_cancel(call);

    call = status_client_login(12, span_of(token), status_told, &t);
    assert_string_equal(newest()->path, "/message.StatusService/Login");
    stream = pb_istream_from_buffer(newest()->message, newest()->length);
    assert_true(pb_decode(&stream, message_LoginReq_fields, &login));
    assert_int_equal(login.uid, 12);
    assert_string_equal(login.token, token);
    status_client_cancel(call);

    call = status_client_logout(13, span_of(token), status_told, &t);
    assert_string_equal(newest()->path, "/message.StatusService/Logout");
    stream = pb_istream_from_buffer(newest()->message, newest()->length);
    assert_true(pb_decode(&stream, message_LogoutReq_fields, &logout));
    assert_int_equal(logout.uid, 13);
    assert_string_equal(logout.token, token);
    status_client_cancel(call);

    call = status_client_logout(14, (struct span){0}, status_told, &t); // all of them
    stream = pb_istream_from_buffer(newest()->message, newest()->length);
    assert_true(pb_decode(&stream, message_LogoutReq_fields, &logout));
    assert_int_equal(logout.uid, 14);
    assert_string_equal(logout.token, "");
    status_client_cancel(call);
    assert_int_equal(t.calls, 0);
}

// A token that is cut off must not become a good one, and none at all, at a logout, not all of them.
static void test_status_tokens_that_are_none(void **state)
{
    (void)state;
    char token[TOKEN_MAX_BYTES + 1];
    struct told t = {0};
    memset(token, 'a', sizeof token);
    assert_null(status_client_login(1, (struct span){token, sizeof token}, status_told, &t));
    assert_null(status_client_logout(1, (struct span){token, sizeof token}, status_told, &t));
    assert_null(status_client_login(1, (struct span){"a\0b", 3}, status_told, &t));
    assert_null(status_client_logout(1, (struct span){"\0b", 2}, status_told, &t));
    assert_int_equal(request_count, 0);
    struct status_call *call = status_client_login(1, (struct span){token, TOKEN_MAX_BYTES}, status_told, &t);
    assert_non_null(call);
    status_client_cancel(call);
}

#define LONGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

static const struct {
    message_GetChatServerRsp rsp;
    int error;
    const char *sentence;
} nodes[] = {
    {{0, "", "", "token", 60}, API_OK, ""},
    {{0, "", "none", "token", 60}, API_OK, ""},
    {{0, "chat.example", "8090", LONGEST, 60}, API_OK, ""},
    {{0, "10.0.0.1", "65535", "a-b.c_d~e+f/g==", 60}, API_OK, ""},
    {{0, "10.0.0.1", "8090", "5aa3b2a2-6f0e-4c39-9d4b-3c3ad7cf3c15", 60}, API_OK, ""}, // a UUID, the original's
    {{1009, "h", "1", "token", 60}, API_INTERNAL, "The status service could not give out a token (error 1009)."},
    {{1001, "h", "1", "token", 60}, API_INTERNAL, "The status service could not give out a token (error 1001)."},
    {{-7, "", "", "", 60}, API_INTERNAL, "The status service could not give out a token (error -7)."},
    {{0, "h", "1", "", 60}, API_INTERNAL, "The status service gave a token that cannot be used."},
    {{0, "h", "1", "to ken", 60}, API_INTERNAL, "The status service gave a token that cannot be used."},
    {{0, "h", "1", "\"}{\"", 60}, API_INTERNAL, "The status service gave a token that cannot be used."},
    {{0, "h", "1", "t\xc3\xb6ken", 60}, API_INTERNAL, "The status service gave a token that cannot be used."},
    {{0, "h", "", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
    {{0, "h", "0", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
    {{0, "h", "65536", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
    {{0, "h", "80x", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
    {{0, "two words", "80", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
    {{0, "h\n", "80", "token", 60}, API_INTERNAL, "The status service named no place to chat."},
};

static void test_status_nodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        struct told t = {0};
        bool good = nodes[i].error == API_OK;
        status_client_get_chat_server(1, status_told, &t);
        answer(newest(), message_GetChatServerRsp_fields, &nodes[i].rsp);
        assert_told(&t, nodes[i].error, nodes[i].sentence);
        assert_string_equal(t.host, good ? nodes[i].rsp.host : "");
        assert_string_equal(t.port, good ? nodes[i].rsp.port : "");
        assert_string_equal(t.token, good ? nodes[i].rsp.token : "");
    }
}

static const struct {
    int32_t error;
    int told;
    const char *sentence;
} verdicts[] = {
    {0, API_OK, ""},
    {1009, API_INTERNAL, "The status service could not look at the token (error 1009)."},
    {1010, API_BAD_TOKEN, "The token is invalid or has expired; log in again."},
    {1011, API_BAD_TOKEN, "The token is invalid or has expired; log in again."}, // the original's for a bad uid
    {1, API_BAD_TOKEN, "The token is invalid or has expired; log in again."},
    {-1, API_BAD_TOKEN, "The token is invalid or has expired; log in again."},
};

static void test_status_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct told t = {0};
        message_LoginRsp login = {.error = verdicts[i].error, .uid = 1, .token = "token"};
        message_LogoutRsp logout = {.error = verdicts[i].error};
        status_client_login(1, span_of("token"), status_told, &t);
        answer(newest(), message_LoginRsp_fields, &login);
        assert_told(&t, verdicts[i].told, verdicts[i].sentence);
        assert_string_equal(t.token, "");
        t.calls = 0;
        status_client_logout(1, span_of("token"), status_told, &t);
        answer(newest(), message_LogoutRsp_fields, &logout);
        assert_told(&t, verdicts[i].told, verdicts[i].sentence);
    }
}

static void test_status_cancelled(void **state)
{
    (void)state;
    struct told first = {0}, second = {0}, third = {0};
    message_LogoutRsp rsp = message_LogoutRsp_init_zero;
    struct status_call *call = status_client_logout(1, span_of("t"), status_told, &first);
    second.cancel_status = status_client_login(1, span_of("t"), status_told, &third);
    status_client_logout(2, span_of("t"), status_told, &second);
    status_client_cancel(call);
    status_client_cancel(call);
    assert_true(requests[0].cancelled);
    answer(&requests[2], message_LogoutRsp_fields, &rsp);
    assert_true(requests[1].cancelled);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
    assert_int_equal(third.calls, 0);
    call = status_client_logout(1, span_of("t"), status_told, &first);
    first.cancel_status = call; // its own: nothing
    answer(newest(), message_LogoutRsp_fields, &rsp);
    assert_told(&first, API_OK, "");
}

static void test_status_slots(void **state)
{
    (void)state;
    static struct told t[STATUS_CALLS];
    struct told then = {0};
    message_GetChatServerRsp rsp = {.token = "token"};
    memset(t, 0, sizeof t);
    for (int i = 0; i < STATUS_CALLS; i++)
        assert_non_null(status_client_get_chat_server(1, status_told, &t[i]));
    assert_null(status_client_get_chat_server(1, status_told, &then));
    assert_null(status_client_login(1, span_of("x"), status_told, &then));
    assert_null(status_client_logout(1, span_of("x"), status_told, &then));
    t[0].then = &then;
    for (int i = 0; i < STATUS_CALLS; i++)
        answer(&requests[i], message_GetChatServerRsp_fields, &rsp);
    assert_int_equal(then.calls, 0);
    answer(newest(), message_GetChatServerRsp_fields, &rsp);
    assert_told(&then, API_OK, "");
}

/// Tokens as clients carry them ///

static const struct {
    const char *text;
    uint32_t uid;
    const char *token;
} bearers[] = {
    {"1.t", 1, "t"},
    {"2147483647." LONGEST, INT32_MAX, LONGEST},
    {"12.a.b.c", 12, "a.b.c"},
    {"7.-._~+/=", 7, "-._~+/="},
    {"7.5aa3b2a2-6f0e-4c39-9d4b-3c3ad7cf3c15", 7, "5aa3b2a2-6f0e-4c39-9d4b-3c3ad7cf3c15"},
    {"", 0, NULL},
    {".", 0, NULL},
    {"1.", 0, NULL},
    {"1", 0, NULL},
    {".t", 0, NULL},
    {"0.t", 0, NULL},
    {"01.t", 0, NULL},
    {"-1.t", 0, NULL},
    {"+1.t", 0, NULL},
    {"1x.t", 0, NULL},
    {"2147483648.t", 0, NULL},
    {"1.t t", 0, NULL},
    {"1.t\"", 0, NULL},
    {"1.t,", 0, NULL},
    {"1.t%", 0, NULL},
    {"1.\xc3\xa9", 0, NULL},
    {"1." LONGEST "0", 0, NULL},
};

static void test_bearers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bearers / sizeof bearers[0]; i++) {
        uint32_t uid = 0;
        struct span token = {0};
        bool good = bearer_parse(span_of(bearers[i].text), &uid, &token);
        if (good != (bearers[i].token != NULL))
            fail_msg("%s", bearers[i].text);
        assert_int_equal(uid, bearers[i].uid);
        if (good)
            assert_true(span_equal(token, span_of(bearers[i].token)));
        assert_true(!good || strlen(bearers[i].text) <= BEARER_TEXT);
    }
    assert_false(bearer_is_token((struct span){"a\0b", 3}));
}

static void test_authorization_fields(void **state)
{
    (void)state;
    struct span text;
    assert_true(bearer_field(span_of("bEARER  1.t "), &text));
    assert_true(span_equal(text, span_of("1.t")));
    assert_false(bearer_field(span_of("Bearer "), &text));
    assert_false(bearer_field(span_of("Basic YTpi"), &text));
    assert_false(bearer_field(span_of(""), &text));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, fresh, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_failures),
        TEST(test_longest_failure),
        TEST(test_unknown_methods),
        TEST(test_replies_that_cannot_be_read),
        TEST(test_verify_request),
        TEST(test_verify_codes),
        TEST(test_verify_refusals),
        TEST(test_verify_emails_that_are_none),
        TEST(test_verify_cancelled),
        TEST(test_verify_cancelled_from_an_answer),
        TEST(test_verify_slots),
        TEST(test_status_requests),
        TEST(test_status_tokens_that_are_none),
        TEST(test_status_nodes),
        TEST(test_status_verdicts),
        TEST(test_status_cancelled),
        TEST(test_status_slots),
        TEST(test_bearers),
        TEST(test_authorization_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
