// For machines without TLS: no certificate either.
#include "../shell_private.h"
#include "identity.h"

const struct service identity_service = {.name = "identity"};

void shell_cert(struct span rest)
{
    (void)rest;
    say("This device has no TLS, and so no certificate.");
}
