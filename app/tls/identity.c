#include "identity.h"
#include "../../port/log.h"
#include "../../port/tls/identity.h"
#include "../../services/gateway/gateway.h"
#include "../../services/users/journal.h"

static const struct tls_identity_store store = {journal_keep_blob, journal_read_blob};

// A device without TLS still does everything else.
static int start(void)
{
    char buffer[160];
    struct text why = text_in(buffer, sizeof buffer);
    tls_identity_settings.names = gateway_settings.names;
    tls_identity_settings.store = &store;
    if (!tls_identity_start(&why))
        log_line(LOG_ERROR, "tls", "%s", text_end(&why));
    return 0;
}

static uint32_t step(uint64_t now_ms)
{
    tls_identity_step(now_ms);
    return 1000;
}

const struct service identity_service = {.name = "identity", .start = start, .step = step};
