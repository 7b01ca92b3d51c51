// What there is to ask for.
#ifndef PIPIT_ROUTES_H
#define PIPIT_ROUTES_H

#include "http_server.h"

enum route_needs {
    ROUTE_JSON = 1,     // the body must be application/json; else the body is read and thrown away
    ROUTE_EXCHANGE = 2, // memory for a body, a reply or work that goes over several turns
    ROUTE_RATED = 4,    // counts against api.rate
};

struct route {
    const char *path;
    enum http1_method method; // HTTP1_GET answers HEAD as well
    void (*handle)(struct http_connection *h);
    unsigned needs;
};

// The route for a path and method. NULL when there is none; then `*allow` is the list of methods that the path has, or
// NULL for an unknown path.
const struct route *route_find(struct span path, enum http1_method method, const char **allow);

#endif
