#include "http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "loop.h"
#include "screen.h"

enum call_state { CALL_RUNNING, CALL_DONE, CALL_BROKEN, CALL_LATE };

static struct {
    enum call_state state;
    struct lws *wsi;
    unsigned status;
    unsigned char body[LWS_PRE + 4096];
    size_t length;
    char reply[16384];
    size_t received;
    char detail[160];
    lws_sorted_usec_list_t timer;
} call;

/// Words ///

static const struct {
    unsigned status;
    const char *words;
} statuses[] = {
    {400, "it did not understand the request"},
    {401, "it wants a valid login, see --user and --register"},
    {403, "it does not answer under this host name"},
    {404, "there is nothing at this path"},
    {405, "this path is not for this kind of request"},
    {408, "the request took too long"},
    {413, "the request was too large"},
    {426, "there is no WebSocket at this path"},
    {429, "there were too many requests, try again later"},
    {503, "it is full, try again later"},
};

const char *http_status_words(unsigned status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return statuses[i].words;
    if (status >= 300 && status < 400)
        return "it points to another place, and this client does not follow";
    return status >= 500 ? "it has a fault of its own" : "it does not speak WebSocket at this path";
}

// Parts of libwebsockets' own words, which differ from version to version. It does not tell whether a connection was
// refused or the host was out of reach.
static const struct {
    const char *part;
    const char *words;
} reasons[] = {
    {"nable to connect", "the connection was refused or the host is out of reach"},
    {"connect failed", "the connection was refused or the host is out of reach"},
    {"conn fail", "the connection was refused or the host is out of reach"},
    {"getaddrinfo", "there is no host of this name"},
    {"DNS", "there is no host of this name"},
    {"dns", "there is no host of this name"},
    {"HOSTNAME MISMATCH", "its certificate is for another name"},
    {"SSL",
     "its certificate is not trusted (--cacert names those to trust) or for another name, or this is no TLS port"},
    {"tls",
     "its certificate is not trusted (--cacert names those to trust) or for another name, or this is no TLS port"},
    {"imed out", "the server did not answer in time"},
    {"imeout", "the server did not answer in time"},
    {"HS:", "the server does not speak WebSocket at this path"},
};

const char *http_connect_words(const char *detail, size_t length)
{
    static char copy[160];
    if (detail == NULL || length == 0)
        return "there is no host of this name, or it is out of reach";
    snprintf(copy, sizeof copy, "%.*s", (int)(length < sizeof copy ? length : sizeof copy - 1), detail);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strstr(copy, reasons[i].part) != NULL)
            return reasons[i].words;
    return copy;
}

void http_host(char *out, size_t size, const char *host, int port)
{
    snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, port);
}

int http_tls_flags(bool tls, bool any)
{
    const int any_flags =
        LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK | LCCSCF_ALLOW_EXPIRED | LCCSCF_ALLOW_INSECURE;
    return tls ? LCCSCF_USE_SSL | (any ? any_flags : 0) : 0;
}

/// One call ///

static void finish(enum call_state state)
{
    if (call.state == CALL_RUNNING)
        call.state = state;
    if (state != CALL_LATE)
        call.wsi = NULL; // libwebsockets frees it
    loop_wake();
}

static void expired(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    finish(CALL_LATE);
}

static int add_headers(struct lws *wsi, unsigned char **at, size_t room)
{
    static const unsigned char type[] = "application/json";
    unsigned char *end = *at + room;
    char length[16];
    int digits = snprintf(length, sizeof length, "%zu", call.length);
    if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof type - 1, at, end) != 0 ||
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, (unsigned char *)length, digits, at, end) != 0)
        return -1;
    lws_client_http_body_pending(wsi, 1);
    lws_callback_on_writable(wsi);
    return 0;
}

static int send_body(struct lws *wsi)
{
    lws_client_http_body_pending(wsi, 0);
    return lws_write(wsi, call.body + LWS_PRE, call.length, LWS_WRITE_HTTP_FINAL) < 0 ? -1 : 0;
}

static int take_readable(struct lws *wsi)
{
    char piece[LWS_PRE + 1024];
    char *at = piece + LWS_PRE;
    int room = (int)(sizeof piece - LWS_PRE);
    return lws_http_client_read(wsi, &at, &room) < 0 ? -1 : 0;
}

static int take_piece(const char *piece, size_t length)
{
    if (call.received + length >= sizeof call.reply)
        return -1;
    memcpy(call.reply + call.received, piece, length);
    call.received += length;
    return 0;
}

static void broken(const char *detail)
{
    snprintf(call.detail, sizeof call.detail, "%s", detail);
    finish(CALL_BROKEN);
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    if (wsi != call.wsi) // a call given up already, or loop.c's descriptor
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_headers(wsi, in, length);
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
        return send_body(wsi);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        call.status = lws_http_client_http_response(wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return take_readable(wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        return take_piece(in, length);
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        finish(CALL_DONE);
        return -1; // closes
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
        broken("the server closed the connection or did not answer in time");
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        broken(http_connect_words(in, length));
        return 0;
    default:
        return 0;
    }
}

static bool write_body(cJSON *request)
{
    char *body = (char *)call.body + LWS_PRE;
    bool fits = cJSON_PrintPreallocated(request, body, (int)(sizeof call.body - LWS_PRE), 0) != 0;
    cJSON_Delete(request);
    if (!fits)
        screen_sorry("this is too long for a request.");
    else
        call.length = strlen(body);
    return fits;
}

static bool start(const struct http_server *server, const char *path, cJSON *request, unsigned seconds)
{
    char host[300];
    memset(&call, 0, sizeof call);
    if (!write_body(request))
        return false;
    http_host(host, sizeof host, server->host, server->port);
    lws_sul_schedule(loop_context(), 0, &call.timer, expired, (lws_usec_t)seconds * LWS_US_PER_SEC);
    struct lws_client_connect_info info = {
        .context = loop_context(),
        .address = server->host,
        .port = server->port,
        .path = path,
        .host = host,
        .method = "POST",
        .protocol = HTTP_PROTOCOL,
        .local_protocol_name = HTTP_PROTOCOL,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | server->tls,
        .alpn = "http/1.1",
        .pwsi = &call.wsi,
    };
    if (lws_client_connect_via_info(&info) == NULL) // most failures come through the callback, some at once
        broken(http_connect_words(NULL, 0));
    return true;
}

static cJSON *read_reply(const struct http_server *server)
{
    cJSON *reply = cJSON_ParseWithLength(call.reply, call.received);
    if (call.state == CALL_LATE)
        screen_sorry("%s port %d did not answer in time.", server->host, server->port);
    else if (call.state == CALL_BROKEN)
        screen_sorry("cannot reach %s port %d: %s.", server->host, server->port, call.detail);
    else if (call.status != 200)
        screen_sorry("%s port %d refused the request: %s (HTTP status %u).", server->host, server->port,
                     http_status_words(call.status), call.status);
    else if (!cJSON_IsObject(reply))
        screen_sorry("%s port %d did not answer with JSON; is it a chat server?", server->host, server->port);
    else
        return reply;
    cJSON_Delete(reply);
    return NULL;
}

cJSON *http_post(const struct http_server *server, const char *path, cJSON *request, unsigned seconds)
{
    if (!start(server, path, request, seconds))
        return NULL;
    while (call.state == CALL_RUNNING && !loop_was_told())
        loop_turn();
    lws_sul_cancel(&call.timer);
    if (call.wsi != NULL)
        lws_set_timeout(call.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    call.wsi = NULL;
    input_wipe(call.body, sizeof call.body);
    return call.state != CALL_RUNNING ? read_reply(server) : NULL;
}
