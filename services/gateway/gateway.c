#include "gateway.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../hub/hub.h"
#include "http_server.h"
#include "json.h"

struct gateway_settings gateway_settings;
struct gateway_counters gateway_counters;

static int gateway_start(void)
{
    api_reset();
    if (http_server_start() == 0)
        return 0;
    log_line(LOG_ERROR, "gateway", "port %u is taken", GATEWAY_PORT);
    return -1;
}

#define REPLIES    "pipit_http_replies_total"
#define ERRORS     "pipit_api_errors_total"
#define BY_CLASS   "Replies by the first digit of their status."
#define BY_ERROR   "Replies of the API by their error number."
#define CONNECTED  "Open connections by what they speak."
#define COUNTS(at) &gateway_counters.at, NULL

static const struct metric metrics[] = {
    // name, labels, value, read, help
    {"pipit_http_requests_total", NULL, COUNTS(requests), HELP("Requests whose head was read.")},
    {REPLIES, "class=\"1xx\"", COUNTS(replies[1]), HELP(BY_CLASS)},
    {REPLIES, "class=\"2xx\"", COUNTS(replies[2]), HELP(BY_CLASS)},
    {REPLIES, "class=\"3xx\"", COUNTS(replies[3]), HELP(BY_CLASS)},
    {REPLIES, "class=\"4xx\"", COUNTS(replies[4]), HELP(BY_CLASS)},
    {REPLIES, "class=\"5xx\"", COUNTS(replies[5]), HELP(BY_CLASS)},
    {"pipit_http_late_total", NULL, COUNTS(late), HELP("Requests that came too slowly (408).")},
    {"pipit_http_limited_total", NULL, COUNTS(limited), HELP("Calls and connections over a rate or limit (429).")},
    {"pipit_tries_slowed_total", NULL, COUNTS(slowed), HELP("Logins and codes told to wait after wrong ones.")},
    {"pipit_http_full_total", NULL, COUNTS(full), HELP("Requests and connections without a free slot (503).")},
    {"pipit_http_evicted_total", NULL, COUNTS(evicted), HELP("Idle connections closed for a newcomer.")},
    {ERRORS, "error=\"1001\"", COUNTS(api_errors[0]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1002\"", COUNTS(api_errors[1]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1003\"", COUNTS(api_errors[2]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1004\"", COUNTS(api_errors[3]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1005\"", COUNTS(api_errors[4]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1006\"", COUNTS(api_errors[5]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1007\"", COUNTS(api_errors[6]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1008\"", COUNTS(api_errors[7]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1009\"", COUNTS(api_errors[8]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1010\"", COUNTS(api_errors[9]), HELP(BY_ERROR)},
    {ERRORS, "error=\"1011\"", COUNTS(api_errors[10]), HELP(BY_ERROR)},
    {"pipit_connections", "kind=\"http\"", NULL, http_server_connections, HELP(CONNECTED)},
    {"pipit_connections", "kind=\"ws\"", NULL, hub_clients, HELP(CONNECTED)},
    {"pipit_json_high_water_bytes", NULL, NULL, json_high_water,
     HELP("Most bytes of the JSON arena that a body has used.")},
    {"pipit_longest_turn_us", NULL, &longest_turn_us, NULL,
     HELP("The longest turn of the loop so far, in microseconds.")},
    {"pipit_net_link_up", NULL, NULL, net_link_up, HELP("1 while the interface has a link.")},
    {"pipit_net_accepted_total", NULL, &net_counters.accepted, NULL, HELP("Connections accepted.")},
    {"pipit_net_dialled_total", NULL, &net_counters.dialled, NULL, HELP("Connections dialled.")},
    {"pipit_net_refused_total", NULL, &net_counters.refused, NULL, HELP("Callers over the per-address limit.")},
    {"pipit_net_no_slot_total", NULL, &net_counters.no_slot, NULL, HELP("Callers reset because no slot was free.")},
    {"pipit_net_resets_total", NULL, &net_counters.resets, NULL, HELP("Connections broken off by the peer.")},
    {"pipit_net_timeouts_total", NULL, &net_counters.timeouts, NULL, HELP("Connections whose peer vanished.")},
    {"pipit_net_relocated_bytes_total", NULL, &net_counters.relocated, NULL,
     HELP("Bytes moved out of the way of a slow or dead peer.")},
};

const struct service gateway_service = {
    .name = "gateway",
    .start = gateway_start,
    .step = http_server_step,
    .stop = http_server_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
