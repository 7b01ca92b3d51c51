// What people and Prometheus look at. Handlers for the table of routes.
#ifndef PIPIT_PAGES_H
#define PIPIT_PAGES_H

#include "http_server.h"

void pages_health(struct http_connection *h);
void pages_status(struct http_connection *h);
void pages_metrics(struct http_connection *h);

#endif
