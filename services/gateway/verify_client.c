#include "verify_client.h"
#include "service_call.h"
#include <mbedtls/platform_util.h>
#include <services/proto/message.pb.h>
#include <string.h>

struct verify_client_settings verify_client_settings;

struct verify_call {
    struct service_call call;
    verify_done *done;
};

POOL(verify_calls, struct verify_call, VERIFY_CALLS);

static struct service_client client = {
    .name = "verify",
    .target = verify_client_settings.target,
    .key = "verify.target",
    .pool = &verify_calls,
};

/// Answers ///

// Errors that mean here what they mean there, with a sentence for services that give none.
static const struct {
    enum api_error error;
    const char *sentence;
} shared[] = {
    {API_NOT_DELIVERED, "The verify service could not send the mail."},
    {API_BAD_FIELD, "The email was refused by the verify service."},
    {API_INTERNAL, "The verify service could not make a code."},
    {API_TOO_MANY, "Too many codes were asked for; ask again after retry_after seconds."},
};

static bool is_usable(struct span code)
{
    for (size_t i = 0; i < code.length; i++)
        if (code.at[i] <= ' ' || code.at[i] > '~')
            return false;
    return code.length > 0 && code.length <= CODE_MAX_BYTES;
}

static void judge_refusal(const message_GetVarifyRsp *rsp, struct verify_reply *reply, struct text *why)
{
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        if (rsp->error != (int32_t)shared[i].error)
            continue;
        reply->error = shared[i].error;
        service_quote(why, span_of(rsp->message));
        if (why->length == 0)
            text_string(why, shared[i].sentence);
    }
    if (why->length == 0)
        text_format(why, "The verify service refused (error %d).", (int)rsp->error);
    if (reply->error == API_TOO_MANY)
        reply->retry_after = rsp->retry_after > 0 ? rsp->retry_after : 1;
}

// The email in the reply is not looked at: the gate knows whose code it asked for.
static void judge(const message_GetVarifyRsp *rsp, struct verify_reply *reply, struct text *why)
{
    reply->code = span_of(rsp->code);
    if (rsp->error != API_OK) {
        judge_refusal(rsp, reply, why);
    } else if (is_usable(reply->code)) {
        reply->error = API_OK;
    } else {
        text_string(why, "The verify service gave a code that cannot be used.");
    }
}

static void on_code(struct service_call *call, const struct rpc_outcome *outcome)
{
    char sentence[SERVICE_SENTENCE];
    struct text why = text_in(sentence, sizeof sentence);
    message_GetVarifyRsp rsp = message_GetVarifyRsp_init_zero;
    const struct service_method *method = call->method;
    verify_done *done = ((struct verify_call *)(void *)call)->done;
    void *context = service_end(call);
    struct verify_reply reply = {.error = API_NOT_DELIVERED};
    if (service_decode(method, outcome, &rsp, &why))
        judge(&rsp, &reply, &why);
    reply.message = text_whole(&why);
    if (reply.error != API_OK) {
        reply.code = (struct span){0};
        client.failed++;
    }
    done(context, &reply);
    mbedtls_platform_zeroize(&rsp, sizeof rsp);
}

/// Calls ///

static const struct service_method get_code = {
    .client = &client,
    .name = "GetVarifyCode",
    .path = "/message.VarifyService/GetVarifyCode",
    .request = message_GetVarifyReq_fields,
    .reply = message_GetVarifyRsp_fields,
    .answer = on_code,
};

struct verify_call *verify_client_get_code(struct span email, verify_done *done, void *context)
{
    message_GetVarifyReq request;
    bool made = service_put(request.email, EMAIL_MAX_BYTES + 1, email);
    struct verify_call *call = (void *)service_call(&get_code, made, &request, sizeof request, context);
    if (call != NULL)
        call->done = done;
    return call;
}

void verify_client_cancel(struct verify_call *call)
{
    service_cancel(&call->call);
}

/// Service ///

static int verify_client_start(void)
{
    pool_list(&verify_calls);
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_verify_calls_total", NULL, &client.calls, NULL, HELP("Calls of the gate to the verify service.")},
    {"pipit_verify_calls_failed_total", NULL, &client.failed, NULL, HELP("Those that brought no code.")},
    {"pipit_verify_calls_refused_total", NULL, &client.refused, NULL,
     HELP("Calls not made because too many were under way.")},
};

const struct service verify_client_service = {
    .name = "verify client",
    .start = verify_client_start,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
