#include "https.h"
#include "../../port/log.h"

struct https_settings https_settings;
static bool listening;

void https_listen(const struct net_handlers *handlers)
{
    listening = https_settings.enabled != 0 &&
                net_listen_tls(HTTPS_PORT, false, NET_ALPN_HTTP1, handlers, &net_settings.per_address) == 0;
    if (https_settings.enabled != 0 && !listening)
        log_line(LOG_ERROR, "https", "there is no HTTPS");
}

bool https_redirects(void)
{
    return listening && https_settings.redirect != 0;
}

#define FAILED        "pipit_tls_failed_total"
#define FAILED_HELP   "TLS sessions with clients that failed, by the reason."
#define COUNTS(WHERE) &net_tls_counters.WHERE, NULL

static const struct metric metrics[] = {
    // name, labels, value, read, help
    {"pipit_tls_handshakes_total", NULL, COUNTS(handshakes), HELP("TLS sessions with clients that began.")},
    {"pipit_tls_resumed_total", NULL, COUNTS(resumed), HELP("Those of them that began with a ticket.")},
    {"pipit_tls_refused_total", NULL, COUNTS(refused), HELP("Callers for whom no TLS session was left.")},
    {"pipit_tls_sessions", NULL, NULL, net_tls_sessions, HELP("TLS sessions with clients, or with callers.")},
    {FAILED, "reason=\"handshake\"", COUNTS(failed[NET_TLS_HANDSHAKE]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"record\"", COUNTS(failed[NET_TLS_RECORD]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"alert\"", COUNTS(failed[NET_TLS_ALERT]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"protocol\"", COUNTS(failed[NET_TLS_PROTOCOL]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"memory\"", COUNTS(failed[NET_TLS_MEMORY]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"late\"", COUNTS(failed[NET_TLS_LATE]), HELP(FAILED_HELP)},
    {FAILED, "reason=\"cut\"", COUNTS(failed[NET_TLS_CUT]), HELP(FAILED_HELP)},
};

const struct service https_service = {
    .name = "https",
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
