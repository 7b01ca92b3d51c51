// For machines without the echo service.
#include "echo.h"

struct echo_settings echo_settings;

bool echo_enabled(void)
{
    return false;
}

bool echo_attach(struct net_conn *c)
{
    (void)c;
    return false;
}

const struct service echo_service = {.name = "echo"};
