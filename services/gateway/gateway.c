#include "gateway.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../hub/hub.h"
#include "http_server.h"
#include "json.h"

struct gateway_settings gateway_settings = {
    .port = 80,
    .api_rate = 300,
    .code_rate = 20,
    .guests = 1,
    .header_timeout = 10,
    .body_timeout = 20,
    .idle_timeout = 60,
};
struct gateway_counters gateway_counters;

static int gateway_start(void)
{
    api_reset();
    if (http_server_start() == 0)
        return 0;
    log_line(LOG_ERROR, "gateway", "port %u is taken", gateway_settings.port);
    return -1;
}

#define REPLIES    "pipit_http_replies_total"
#define ERRORS     "pipit_api_errors_total"
#define BY_CLASS   "Replies by the first digit of their status."
#define BY_ERROR   "Replies of the API by their error number."
#define CONNECTED  "Open connections by what they speak."
#define COUNTS(at) &gateway_counters.at, NULL

static const struct metric metrics[] = {
    // name, labels, type, help, value, read
    {"pipit_http_requests_total", NULL, "counter", "Requests whose head was read.", COUNTS(requests)},
    {REPLIES, "class=\"1xx\"", "counter", BY_CLASS, COUNTS(replies[1])},
    {REPLIES, "class=\"2xx\"", "counter", BY_CLASS, COUNTS(replies[2])},
    {REPLIES, "class=\"3xx\"", "counter", BY_CLASS, COUNTS(replies[3])},
    {REPLIES, "class=\"4xx\"", "counter", BY_CLASS, COUNTS(replies[4])},
    {REPLIES, "class=\"5xx\"", "counter", BY_CLASS, COUNTS(replies[5])},
    {"pipit_http_late_total", NULL, "counter", "Requests that came too slowly (408).", COUNTS(late)},
    {"pipit_http_limited_total", NULL, "counter", "Calls and connections over a rate or limit (429).", COUNTS(limited)},
    {"pipit_http_full_total", NULL, "counter", "Requests and connections without a free slot (503).", COUNTS(full)},
    {"pipit_http_evicted_total", NULL, "counter", "Idle connections closed for a newcomer.", COUNTS(evicted)},
    {ERRORS, "error=\"1001\"", "counter", BY_ERROR, COUNTS(api_errors[0])},
    {ERRORS, "error=\"1002\"", "counter", BY_ERROR, COUNTS(api_errors[1])},
    {ERRORS, "error=\"1003\"", "counter", BY_ERROR, COUNTS(api_errors[2])},
    {ERRORS, "error=\"1004\"", "counter", BY_ERROR, COUNTS(api_errors[3])},
    {ERRORS, "error=\"1005\"", "counter", BY_ERROR, COUNTS(api_errors[4])},
    {ERRORS, "error=\"1006\"", "counter", BY_ERROR, COUNTS(api_errors[5])},
    {ERRORS, "error=\"1007\"", "counter", BY_ERROR, COUNTS(api_errors[6])},
    {ERRORS, "error=\"1008\"", "counter", BY_ERROR, COUNTS(api_errors[7])},
    {ERRORS, "error=\"1009\"", "counter", BY_ERROR, COUNTS(api_errors[8])},
    {ERRORS, "error=\"1010\"", "counter", BY_ERROR, COUNTS(api_errors[9])},
    {ERRORS, "error=\"1011\"", "counter", BY_ERROR, COUNTS(api_errors[10])},
    {"pipit_connections", "kind=\"http\"", "gauge", CONNECTED, NULL, http_server_connections},
    {"pipit_connections", "kind=\"ws\"", "gauge", CONNECTED, NULL, hub_clients},
    {"pipit_json_high_water_bytes", NULL, "gauge", "Most bytes of the JSON arena that a body has used.", NULL,
     json_high_water},
    {"pipit_longest_turn_us", NULL, "gauge", "The longest turn of the loop so far, in microseconds.", &longest_turn_us,
     NULL},
    {"pipit_net_link_up", NULL, "gauge", "1 while the interface has a link.", NULL, net_link_up},
    {"pipit_net_accepted_total", NULL, "counter", "Connections accepted.", &net_counters.accepted, NULL},
    {"pipit_net_dialled_total", NULL, "counter", "Connections dialled.", &net_counters.dialled, NULL},
    {"pipit_net_refused_total", NULL, "counter", "Callers over the per-address limit.", &net_counters.refused, NULL},
    {"pipit_net_no_slot_total", NULL, "counter", "Callers reset because no slot was free.", &net_counters.no_slot,
     NULL},
    {"pipit_net_resets_total", NULL, "counter", "Connections broken off by the peer.", &net_counters.resets, NULL},
    {"pipit_net_timeouts_total", NULL, "counter", "Connections whose peer vanished.", &net_counters.timeouts, NULL},
    {"pipit_net_relocated_bytes_total", NULL, "counter", "Bytes moved out of the way of a slow or dead peer.",
     &net_counters.relocated, NULL},
};

const struct service gateway_service = {
    .name = "gateway",
    .start = gateway_start,
    .step = http_server_step,
    .stop = http_server_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
