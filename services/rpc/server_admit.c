// Whether a request is a call of ours, known as soon as its headers are.
#include "../../port/text.h"
#include "server_private.h"
#include <string.h>

/// Fields ///

static void take_method(struct rpc_call *call, struct span value)
{
    if (span_equal(value, span_of("POST")))
        call->http_method = RPC_POST;
    else if (span_equal(value, span_of("HEAD")))
        call->http_method = RPC_HEAD;
}

static const struct rpc_method *find_method(const struct rpc_service *s, struct span name)
{
    for (size_t i = 0; i < s->method_count; i++)
        if (span_equal(span_of(s->methods[i].name), name))
            return &s->methods[i];
    return NULL;
}

// "/message.VarifyService/GetVarifyCode"
static bool split_path(struct span path, struct span *service, struct span *method)
{
    if (path.length == 0 || path.at[0] != '/')
        return false;
    *method = span_behind(path, 1);
    *service = span_cut(method, '/');
    return service->length > 0 && method->length > 0 && memchr(method->at, '/', method->length) == NULL;
}

static void take_path(struct rpc_call *call, struct span value)
{
    struct span service = {0};
    struct span method = {0};
    call->path_length = (uint16_t)(value.length < RPC_MESSAGE ? value.length : RPC_MESSAGE);
    memcpy(call->buffer, value.at, call->path_length);
    if (!split_path(value, &service, &method))
        return;
    call->service = rpc_find_service(service);
    if (call->service != NULL)
        call->method = find_method(call->service, method);
}

static void take_content_type(struct rpc_call *call, struct span value)
{
    call->grpc = grpc_is_content_type(value);
}

// RFC 6750. Without a secret nobody has shown it.
static void take_authorization(struct rpc_call *call, struct span value)
{
    struct span secret = span_of(rpc_settings.secret);
    struct span scheme = span_of("Bearer ");
    if (secret.length > 0 && span_starts_nocase(value, scheme) &&
        span_equal_secret(span_behind(value, scheme.length), secret))
        call->authorized = true;
}

static void take_timeout(struct rpc_call *call, struct span value)
{
    uint32_t ms = 0;
    call->bad_timeout = !grpc_read_timeout(value, &ms);
    if (!call->bad_timeout)
        call->caller_deadline = call->began + ms;
}

static void take_encoding(struct rpc_call *call, struct span value)
{
    call->encoded = !span_equal_nocase(value, span_of("identity"));
}

static void take_nothing(struct rpc_call *call, struct span value)
{
    (void)call;
    (void)value;
}

// The fields of HTTP and of gRPC: all others, but for those that begin with ":" or "grpc-", are a service's metadata.
static const struct {
    const char *name;
    void (*take)(struct rpc_call *call, struct span value);
} known[] = {
    {":method", take_method},
    {":path", take_path},
    {"content-type", take_content_type},
    {"authorization", take_authorization},
    {"grpc-timeout", take_timeout},
    {"grpc-encoding", take_encoding},
    {"te", take_nothing},
    {"user-agent", take_nothing},
    {"content-length", take_nothing},
};

static bool take_known(struct rpc_call *call, const struct h2_step *step)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (span_equal(step->name, span_of(known[i].name))) {
            known[i].take(call, step->value);
            return true;
        }
    return span_starts(step->name, span_of(":")) || span_starts(step->name, span_of("grpc-"));
}

void rpc_call_field(struct rpc_call *call, const struct h2_step *step)
{
    if (call == NULL || call->state != CALL_HEADERS || step->too_large || take_known(call, step))
        return;
    if (call->service == NULL || call->service->metadata == NULL)
        return;
    call->told = true;
    call->service->metadata(call, step->name, step->value);
}

/// Checks, in this order: each answers what it does not let in ///

static bool refuse_with(struct rpc_call *call, uint32_t http_status, const char *sentence)
{
    rpc_call_refuse(call, http_status, sentence);
    return false;
}

static bool fail_with(struct rpc_call *call, enum grpc_status status, const char *sentence)
{
    rpc_call_fail(call, status, span_of(sentence));
    return false;
}

// PROTOCOL-HTTP2: 415, because another HTTP/2 client would take gRPC's status 200 for success.
static bool check_type(struct rpc_call *call)
{
    return call->grpc || refuse_with(call, 415, "This port speaks gRPC: send content-type: application/grpc.\n");
}

static bool check_method(struct rpc_call *call)
{
    return call->http_method == RPC_POST || refuse_with(call, 405, "A gRPC call is a POST request.\n");
}

static bool check_secret(struct rpc_call *call)
{
    bool is_open = call->service != NULL && call->service->open;
    bool trusted = call->authorized || !rpc_server_is_open();
    call->connection->trusted = call->connection->trusted || trusted;
    return trusted || is_open ||
           fail_with(call, GRPC_UNAUTHENTICATED, "Show the server's rpc.secret: authorization: Bearer SECRET.");
}

// "unknown service message.Foo", with as much of the name as a status message holds.
static bool unknown(struct rpc_call *call, const char *what, struct span name)
{
    char sentence[GRPC_MESSAGE_MAX];
    struct text t = text_in(sentence, sizeof sentence);
    text_format(&t, "unknown %s %.*s", what, (int)name.length, name.at);
    rpc_call_fail(call, GRPC_UNIMPLEMENTED, text_whole(&t));
    return false;
}

static bool check_path(struct rpc_call *call)
{
    struct span path = {(const char *)call->buffer, call->path_length};
    struct span service = {0};
    struct span method = {0};
    if (!split_path(path, &service, &method))
        return unknown(call, "path (not /SERVICE/METHOD):", path);
    if (call->service == NULL)
        return unknown(call, "service", service);
    return call->method != NULL || unknown(call, "method", method);
}

static bool check_timeout(struct rpc_call *call)
{
    return !call->bad_timeout || fail_with(call, GRPC_INTERNAL, "bad grpc-timeout");
}

void rpc_call_admit(struct rpc_call *call, bool too_large)
{
    static bool (*const checks[])(struct rpc_call * call) = {check_type, check_method, check_secret, check_path,
                                                             check_timeout};
    if (call == NULL || call->state != CALL_HEADERS)
        return;
    if (too_large) {
        rpc_call_refuse(call, 431, "The header fields of the request are too large.\n");
        return;
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i](call))
            return;
    rpc_server_counters.calls++;
    call->admitted = true;
    call->told = true;
    rpc_call_change(call, CALL_REQUEST);
}
