// HTTPS (RFC 9110 section 4.2.2): the gateway's connections once more, behind TLS, and how plain HTTP leads there.
#ifndef PIPIT_HTTPS_H
#define PIPIT_HTTPS_H

#include "../../port/net.h"
#include "../service.h"
#include <stdbool.h>

#define HTTPS_PORT 443

struct https_settings {
    uint32_t enabled;  // https.enabled
    uint32_t port;     // https.port: the one that people outside reach it by, for redirects
    uint32_t redirect; // http.redirect: plain requests are led to HTTPS (308), all but GET /healthz
    uint32_t hsts;     // http.hsts: seconds that browsers shall insist on HTTPS (RFC 6797), 0 for not at all
};
extern struct https_settings https_settings;

extern const struct service https_service;

// Opens the port, where https.enabled wants that and there is TLS. Without it the rest of the machine is still of use.
void https_listen(const struct net_handlers *handlers);

// True when plain requests are to be led here: somebody wants that, and somebody listens.
bool https_redirects(void);

#endif
