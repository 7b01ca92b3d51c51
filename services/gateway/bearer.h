// The token that clients carry: "UID.TOKEN", a decimal uid and the status service's token (ours gives 32 hexadecimal
// digits, others what they like), because StatusService.Login asks for both.
#ifndef PIPIT_BEARER_H
#define PIPIT_BEARER_H

#include "../../app/limits.h"
#include "../../port/span.h"

#define BEARER_TEXT (10 + 1 + TOKEN_MAX_BYTES) // bytes of the longest

// Takes "UID.TOKEN" apart; `token` points into `text`. False when it can be no token that we have given out.
bool bearer_parse(struct span text, uint32_t *uid, struct span *token);

// 1 to TOKEN_MAX_BYTES letters, digits and -._~+/= (RFC 6750 section 2.1, with = anywhere).
bool bearer_is_token(struct span token);

// Which of an account's logins a token is: the number under which the hub knows it, and `sessions` of the console shows
// it. The first two bytes of SHA-256(uid, token), as in the digest that our own status service keeps; it tells nothing
// about the token.
uint16_t bearer_login(uint32_t uid, struct span token);

// What stands behind "Bearer " in an Authorization field (RFC 6750 section 2.1); false for any other scheme.
bool bearer_field(struct span authorization, struct span *text);

#endif
