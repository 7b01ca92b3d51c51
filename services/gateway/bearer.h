// The token that clients carry: "UID.TOKEN", a decimal uid and the status service's 32 hexadecimal digits, because
// StatusService.Login asks for both.
#ifndef PIPIT_BEARER_H
#define PIPIT_BEARER_H

#include "../../port/span.h"

// Takes "UID.TOKEN" apart; `token` points into `text`. False when it can be no token of ours.
bool bearer_parse(struct span text, uint32_t *uid, struct span *token);

// What stands behind "Bearer " in an Authorization field (RFC 6750 section 2.1); false for any other scheme.
bool bearer_field(struct span authorization, struct span *text);

#endif
