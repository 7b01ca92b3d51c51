// All services, in the order of their turns, and those that are called through gRPC. A new one is a line here.
#include "../services/echo/echo.h"
#include "../services/gateway/gateway.h"
#include "../services/gateway/status_client.h"
#include "../services/gateway/verify_client.h"
#include "../services/https/https.h"
#include "../services/hub/hub.h"
#include "../services/interop/interop.h"
#include "../services/mail/mail.h"
#include "../services/rpc/channel.h"
#include "../services/rpc/health.h"
#include "../services/rpc/server.h"
#include "../services/service.h"
#include "../services/status/status.h"
#include "../services/users/users.h"
#include "../services/verify/verify.h"
#include "share.h"
#include "tls/identity.h"

// The certificate is there before whoever shows it. The client of gRPC comes last: what the gateway asks for in its
// step is on its way in the same turn.
const struct service *const services[] = {
    &users_service,      &identity_service,      &mail_service,          &verify_service, &status_service,
    &rpc_server_service, &verify_client_service, &status_client_service, &hub_service,    &gateway_service,
    &https_service,      &echo_service,          &rpc_channel_service,
};

const size_t service_count = sizeof services / sizeof services[0];
uint32_t service_longest_us[sizeof services / sizeof services[0]];
struct share share_services[sizeof services / sizeof services[0]];

const struct rpc_service *const rpc_services[] = {&verify_rpc, &status_rpc, &health_rpc, &interop_rpc};
const size_t rpc_service_count = sizeof rpc_services / sizeof rpc_services[0];
