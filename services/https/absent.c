// For machines without room for TLS.
#include "https.h"

struct https_settings https_settings;

const struct service https_service = {.name = "https"};

void https_listen(const struct net_handlers *handlers)
{
    (void)handlers;
}

bool https_redirects(void)
{
    return false;
}
