#include "rpc.h"

struct rpc_settings rpc_settings;

const struct rpc_service *rpc_find_service(struct span name)
{
    for (size_t i = 0; i < rpc_service_count; i++) {
        const struct rpc_service *s = rpc_services[i];
        if ((s->enabled == NULL || *s->enabled != 0) && span_equal(span_of(s->name), name))
            return s;
    }
    return NULL;
}
