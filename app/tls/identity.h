// The TLS identity's turn in the loop, and its command on the console.
#ifndef PIPIT_APP_TLS_IDENTITY_H
#define PIPIT_APP_TLS_IDENTITY_H

#include "../../port/span.h"
#include "../../services/service.h"

extern const struct service identity_service;

#endif
