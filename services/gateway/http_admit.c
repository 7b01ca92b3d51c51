// Whether a request is let in, known as soon as its head is.
#include "../../port/port.h"
#include "../https/https.h"
#include "gateway.h"
#include "guard.h"
#include "http_server.h"
#include "pages.h"
#include "rate.h"
#include "routes.h"

static bool refuse_with(struct http_connection *h, unsigned status, const char *message)
{
    h->refusal = (struct http_refusal){(uint16_t)status, (uint16_t)status, 0, message};
    return false;
}

static bool check_guard(struct http_connection *h)
{
    switch (guard_check(h->parser.fields[HTTP1_HOST], h->parser.fields[HTTP1_ORIGIN], net_secure(h->net),
                        span_of(gateway_settings.names), span_of(gateway_settings.origins))) {
    case GUARD_FOREIGN_HOST:
        return refuse_with(h, 403, "Host names another machine; http.names lists the names that are taken for ours.");
    case GUARD_FOREIGN_ORIGIN:
        return refuse_with(h, 403, "Origin is another site; http.origins lists the sites that may call.");
    default:
        return true;
    }
}

static bool check_route(struct http_connection *h)
{
    const char *allow = NULL;
    h->route = route_find(h->parser.path, h->parser.method, &allow);
    if (h->route != NULL)
        return true;
    return allow == NULL ? refuse_with(h, 404, "url not found")
                         : refuse_with(h, 405, "This method is not allowed here; see Allow.");
}

// Not from GET /healthz: whoever watches over machines asks from nearby, and wants an answer.
static bool check_redirect(struct http_connection *h)
{
    if (net_secure(h->net) || !https_redirects() || h->route->handle == pages_health ||
        h->parser.fields[HTTP1_HOST].at == NULL)
        return true;
    return refuse_with(h, 308, "Use HTTPS; see Location.");
}

static bool check_type(struct http_connection *h)
{
    struct span rest = h->parser.fields[HTTP1_CONTENT_TYPE];
    if ((h->route->needs & ROUTE_JSON) == 0)
        return true;
    struct span type = span_trim(span_cut(&rest, ';'));
    if (type.at != NULL && span_equal_nocase(type, span_of("application/json")))
        return true;
    return refuse_with(h, 415, "The body must be JSON; send Content-Type: application/json.");
}

static bool check_length(struct http_connection *h)
{
    if (h->parser.chunked || h->parser.content_length <= HTTP_BODY)
        return true;
    return refuse_with(h, 413, "The body is too large.");
}

static struct rate calls;

void http_admit_reset(void)
{
    rate_reset(&calls, 60000);
}

static bool check_rate(struct http_connection *h)
{
    uint32_t retry_after = 0;
    if ((h->route->needs & ROUTE_RATED) == 0 ||
        rate_allow(&calls, net_peer_address(h->net), gateway_settings.api_rate, port_now_ms(), &retry_after))
        return true;
    h->refusal = (struct http_refusal){429, API_TOO_MANY, retry_after, "Too many calls; wait a moment."};
    return false;
}

bool http_admissible(struct http_connection *h)
{
    static bool (*const checks[])(struct http_connection * h) = {
        check_guard, check_route, check_redirect, check_type, check_length, check_rate,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (!checks[i](h))
            return false;
    }
    return true;
}

void http_malformed(struct http_connection *h)
{
    static const struct {
        unsigned status;
        const char *message;
    } reasons[] = {
        {414, "The request target is too long."},
        {431, "The header fields are too large."},
        {501, "This transfer coding is not supported; use chunked."},
        {505, "This version is not supported; use HTTP/1.1."},
    };
    refuse_with(h, 400, "This is not a well-formed HTTP request.");
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == h->parser.status)
            refuse_with(h, reasons[i].status, reasons[i].message);
    }
}
