#include "service_call.h"
#include "../proto/utf8.h"
#include "../rpc/message.h"
#include <mbedtls/platform_util.h>
#include <pb_encode.h>
#include <string.h>

// Room for the largest request, which is GetVarifyReq.
#define REQUEST_MOST 300

bool service_put(char *field, size_t size, struct span text)
{
    if (text.length >= size || (text.length > 0 && memchr(text.at, '\0', text.length) != NULL))
        return false;
    if (text.length > 0)
        memcpy(field, text.at, text.length);
    field[text.length] = '\0';
    return true;
}

/// Calls ///

static void on_done(void *context, const struct rpc_outcome *outcome)
{
    struct service_call *call = context;
    call->method->answer(call, outcome);
}

static struct rpc_request *send(const struct service_method *method, const void *request, void *context)
{
    uint8_t bytes[REQUEST_MOST];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    struct rpc_request *sent = NULL;
    if (pb_encode(&stream, method->request, request))
        sent = rpc_call(method->client->target, method->path, (struct span){(const char *)bytes, stream.bytes_written},
                        rpc_settings.timeout * 1000, on_done, context);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return sent;
}

struct service_call *service_call(const struct service_method *method, bool made, void *request, size_t size,
                                  void *context)
{
    struct service_client *client = method->client;
    struct service_call *call = made ? pool_take(client->pool) : NULL;
    if (call != NULL) {
        call->method = method;
        call->context = context;
        call->request = send(method, request, call);
        if (call->request == NULL) {
            pool_give(client->pool, call);
            call = NULL;
        }
    }
    *(call != NULL ? &client->calls : &client->refused) += 1;
    mbedtls_platform_zeroize(request, size);
    return call;
}

void *service_end(struct service_call *call)
{
    void *context = call->context;
    call->request = NULL;
    pool_give(call->method->client->pool, call);
    return context;
}

void service_cancel(struct service_call *call)
{
    if (call == NULL || call->request == NULL)
        return;
    rpc_cancel(call->request);
    service_end(call);
}

/// Quoting ///

// A text that was cut off may end within a character.
static struct span whole_characters(struct span s)
{
    struct span whole = s;
    for (int i = 0; i < 4 && whole.length > 0; i++) {
        if (utf8_valid(whole))
            return whole;
        whole.length--;
    }
    return s;
}

static bool is_control(struct span s, size_t i)
{
    uint8_t byte = (uint8_t)s.at[i];
    uint8_t next = i + 1 < s.length ? (uint8_t)s.at[i + 1] : 0;
    return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0);
}

void service_quote(struct text *t, struct span text)
{
    struct span s = span_trim(whole_characters(text));
    bool valid = utf8_valid(s);
    for (size_t i = 0; i < s.length; i++) {
        if (!valid && (uint8_t)s.at[i] >= 0x80) {
            text_byte(t, '?');
        } else if (is_control(s, i)) {
            text_byte(t, ' ');
            i += (uint8_t)s.at[i] >= 0x80; // U+0080 to U+009F have two bytes
        } else {
            text_byte(t, s.at[i]);
        }
    }
}

/// What happened ///

static void explain_status(struct text *t, const struct service_method *method, const struct rpc_outcome *outcome)
{
    text_format(t, "The %s service failed (%s", method->client->name, grpc_status_name(outcome->status));
    if (outcome->message.length > 0)
        text_string(t, ": ");
    service_quote(t, outcome->message);
    text_string(t, ").");
}

static void explain(struct text *t, const struct service_method *method, const struct rpc_outcome *outcome)
{
    const struct service_client *client = method->client;
    if (outcome->status == GRPC_DEADLINE_EXCEEDED) {
        text_format(t, "The %s service did not answer in time (step: timeout).", client->name);
    } else if (outcome->step != NULL) {
        text_format(t, "The %s service could not be reached (", client->name);
        service_quote(t, outcome->message);
        text_string(t, ").");
    } else if (outcome->status == GRPC_UNAUTHENTICATED) {
        text_format(t, "The %s service refused the gate's secret; set rpc.secret.", client->name);
    } else if (outcome->status == GRPC_UNIMPLEMENTED) {
        text_format(t, "The %s service does not know %s; look at %s.", client->name, method->name, client->key);
    } else {
        explain_status(t, method, outcome);
    }
}

bool service_decode(const struct service_method *method, const struct rpc_outcome *outcome, void *reply,
                    struct text *why)
{
    if (outcome->status != GRPC_OK) {
        explain(why, method, outcome);
        return false;
    }
    if (rpc_decode(outcome->reply, method->reply, reply) == NULL)
        return true;
    text_format(why, "The reply of the %s service could not be understood.", method->client->name);
    return false;
}
