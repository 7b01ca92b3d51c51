// For machines without the interoperability service.
#include "interop.h"

static const uint32_t never = 0;

struct interop_settings interop_settings;
const struct rpc_service interop_rpc = {.name = "grpc.testing.TestService", .enabled = &never};
