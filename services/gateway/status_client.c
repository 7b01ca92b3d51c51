#include "status_client.h"
#include "bearer.h"
#include "service_call.h"
#include <mbedtls/platform_util.h>
#include <services/proto/message.pb.h>
#include <string.h>

struct status_client_settings status_client_settings;

struct status_call {
    struct service_call call;
    status_done *done;
};

POOL(status_calls, struct status_call, STATUS_CALLS);

static struct service_client client = {
    .name = "status",
    .target = status_client_settings.target,
    .key = "status.target",
    .pool = &status_calls,
};

/// Answers ///

// The service's verdict on a token. Whatever it says but that it is ill means that the token is not good.
static void judge_token(int32_t error, struct status_reply *reply, struct text *why)
{
    if (error == API_OK) {
        reply->error = API_OK;
    } else if (error == API_INTERNAL) {
        text_string(why, "The status service could not look at the token (error 1009).");
    } else {
        reply->error = API_BAD_TOKEN;
        text_string(why, "The token is invalid or has expired; log in again.");
    }
}

// Where the page and the console client would go to: a name or an address, and a port.
static bool is_place(struct span host, struct span port)
{
    uint64_t number;
    for (size_t i = 0; i < host.length; i++)
        if (host.at[i] <= ' ' || host.at[i] > '~')
            return false;
    return host.length == 0 || (span_number(port, UINT16_MAX, &number) && number > 0);
}

static void judge_node(const message_GetChatServerRsp *rsp, struct status_reply *reply, struct text *why)
{
    struct span host = span_of(rsp->host), port = span_of(rsp->port), token = span_of(rsp->token);
    if (rsp->error != API_OK) {
        text_format(why, "The status service could not give out a token (error %d).", (int)rsp->error);
    } else if (!bearer_is_token(token)) {
        text_string(why, "The status service gave a token that cannot be used.");
    } else if (!is_place(host, port)) {
        text_string(why, "The status service named no place to chat.");
    } else {
        *reply = (struct status_reply){
            .error = API_OK, .host = host, .port = port, .token = token, .expires_in = rsp->expires_in};
    }
}

static void answer(struct service_call *call, struct status_reply *reply, const struct text *why)
{
    status_done *done = ((struct status_call *)(void *)call)->done;
    void *context = service_end(call);
    reply->message = text_whole(why);
    client.failed += reply->error != API_OK;
    done(context, reply);
}

static void on_chat_server(struct service_call *call, const struct rpc_outcome *outcome)
{
    char sentence[SERVICE_SENTENCE];
    struct text why = text_in(sentence, sizeof sentence);
    message_GetChatServerRsp rsp = message_GetChatServerRsp_init_zero;
    struct status_reply reply = {.error = API_INTERNAL};
    if (service_decode(call->method, outcome, &rsp, &why))
        judge_node(&rsp, &reply, &why);
    answer(call, &reply, &why);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

static void on_login(struct service_call *call, const struct rpc_outcome *outcome)
{
    char sentence[SERVICE_SENTENCE];
    struct text why = text_in(sentence, sizeof sentence);
    message_LoginRsp rsp = message_LoginRsp_init_zero;
    struct status_reply reply = {.error = API_INTERNAL};
    if (service_decode(call->method, outcome, &rsp, &why))
        judge_token(rsp.error, &reply, &why);
    reply.expires_in = rsp.expires_in;
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
    answer(call, &reply, &why);
}

static void on_logout(struct service_call *call, const struct rpc_outcome *outcome)
{
    char sentence[SERVICE_SENTENCE];
    struct text why = text_in(sentence, sizeof sentence);
    message_LogoutRsp rsp = message_LogoutRsp_init_zero;
    struct status_reply reply = {.error = API_INTERNAL};
    if (service_decode(call->method, outcome, &rsp, &why))
        judge_token(rsp.error, &reply, &why);
    answer(call, &reply, &why);
}

static void judge_renewed(const message_RenewRsp *rsp, struct status_reply *reply, struct text *why)
{
    judge_token(rsp->error, reply, why);
    reply->token = span_of(rsp->token);
    reply->expires_in = rsp->expires_in;
    if (reply->error != API_OK || bearer_is_token(reply->token))
        return;
    reply->error = API_INTERNAL;
    text_string(why, "The status service gave a token that cannot be used.");
}

static void on_renewed(struct service_call *call, const struct rpc_outcome *outcome)
{
    char sentence[SERVICE_SENTENCE];
    struct text why = text_in(sentence, sizeof sentence);
    message_RenewRsp rsp = message_RenewRsp_init_zero;
    struct status_reply reply = {.error = API_INTERNAL};
    if (service_decode(call->method, outcome, &rsp, &why))
        judge_renewed(&rsp, &reply, &why);
    answer(call, &reply, &why);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

/// Calls ///

enum method { GET_CHAT_SERVER, LOGIN, LOGOUT, RENEW };

// name and path; the messages; who reads the reply
static const struct service_method methods[] = {
    [GET_CHAT_SERVER] = {&client, "GetChatServer", "/message.StatusService/GetChatServer",
                         message_GetChatServerReq_fields, message_GetChatServerRsp_fields, on_chat_server},
    [LOGIN] = {&client, "Login", "/message.StatusService/Login", message_LoginReq_fields, message_LoginRsp_fields,
               on_login},
    [LOGOUT] = {&client, "Logout", "/message.StatusService/Logout", message_LogoutReq_fields, message_LogoutRsp_fields,
                on_logout},
    [RENEW] = {&client, "Renew", "/message.StatusService/Renew", message_RenewReq_fields, message_RenewRsp_fields,
               on_renewed},
};

static struct status_call *call_new(enum method method, bool made, void *request, size_t size, status_done *done,
                                    void *context)
{
    struct status_call *call = (void *)service_call(&methods[method], made, request, size, context);
    if (call != NULL)
        call->done = done;
    return call;
}

struct status_call *status_client_get_chat_server(uint32_t uid, status_done *done, void *context)
{
    message_GetChatServerReq request = {.uid = (int32_t)uid};
    return call_new(GET_CHAT_SERVER, true, &request, sizeof request, done, context);
}

struct status_call *status_client_login(uint32_t uid, struct span token, status_done *done, void *context)
{
    message_LoginReq request = {.uid = (int32_t)uid};
    bool made = service_put(request.token, sizeof request.token, token);
    return call_new(LOGIN, made, &request, sizeof request, done, context);
}

struct status_call *status_client_logout(uint32_t uid, struct span token, status_done *done, void *context)
{
    message_LogoutReq request = {.uid = (int32_t)uid};
    bool made = service_put(request.token, sizeof request.token, token);
    return call_new(LOGOUT, made, &request, sizeof request, done, context);
}

struct status_call *status_client_renew(uint32_t uid, struct span old, status_done *done, void *context)
{
    message_RenewReq request = {.uid = (int32_t)uid};
    bool made = service_put(request.token, sizeof request.token, old);
    return call_new(RENEW, made, &request, sizeof request, done, context);
}

void status_client_cancel(struct status_call *call)
{
    service_cancel(&call->call);
}

/// Service ///

static int status_client_start(void)
{
    pool_list(&status_calls);
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_status_calls_total", NULL, &client.calls, NULL, HELP("Calls of the gate to the status service.")},
    {"pipit_status_calls_failed_total", NULL, &client.failed, NULL, HELP("Those answered with an error.")},
    {"pipit_status_calls_refused_total", NULL, &client.refused, NULL,
     HELP("Calls not made because too many were under way.")},
};

const struct service status_client_service = {
    .name = "status client",
    .start = status_client_start,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
