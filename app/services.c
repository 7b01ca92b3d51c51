// All services, in the order of their turns. A new one is a line here.
#include "../services/echo/echo.h"
#include "../services/gateway/gateway.h"
#include "../services/gateway/status_client.h"
#include "../services/gateway/verify_client.h"
#include "../services/hub/hub.h"
#include "../services/service.h"
#include "../services/status/status.h"
#include "../services/users/users.h"
#include "../services/verify/verify.h"

const struct service *const services[] = {
    &users_service,         &verify_service, &status_service,  &verify_client_service,
    &status_client_service, &hub_service,    &gateway_service, &echo_service,
};

const size_t service_count = sizeof services / sizeof services[0];
uint32_t service_longest_us[sizeof services / sizeof services[0]];
