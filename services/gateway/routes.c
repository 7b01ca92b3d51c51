#include "routes.h"
#include "../echo/echo.h"
#include "pages.h"
#include "upgrade.h"
#include "web.h"

#define API (ROUTE_JSON | ROUTE_EXCHANGE | ROUTE_RATED)

static const struct route routes[] = {
    // path             method      handler             needs
    {"/get_varifycode", HTTP1_POST, api_get_code, API}, // the original's spelling
    {"/get_verifycode", HTTP1_POST, api_get_code, API},
    {"/register", HTTP1_POST, api_register, API},
    {"/login", HTTP1_POST, api_login, API},
    {"/reset_pwd", HTTP1_POST, api_reset_password, API},
    {"/renew", HTTP1_POST, api_renew, ROUTE_EXCHANGE | ROUTE_RATED},
    {"/logout", HTTP1_POST, api_logout, ROUTE_EXCHANGE | ROUTE_RATED},
    {"/ws", HTTP1_GET, upgrade_chat, ROUTE_EXCHANGE},
    {"/ws-echo", HTTP1_GET, upgrade_echo, 0},
    {"/", HTTP1_GET, web_home, 0},
    {"/healthz", HTTP1_GET, pages_health, 0},
    {"/status", HTTP1_GET, pages_status, 0},
    {"/metrics", HTTP1_GET, pages_metrics, 0},
};

static const struct route *find_path(struct span path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (span_equal(path, span_of(routes[i].path)))
            return &routes[i];
    }
    return NULL;
}

const struct route *route_find(struct span path, enum http1_method method, const char **allow)
{
    const struct route *route = find_path(path);
    *allow = NULL;
    if (route == NULL || (route->handle == upgrade_echo && !echo_enabled()))
        return NULL;
    if (route->method == method || (route->method == HTTP1_GET && method == HTTP1_HEAD))
        return route;
    *allow = route->method == HTTP1_GET ? "GET, HEAD" : "POST";
    return NULL;
}
