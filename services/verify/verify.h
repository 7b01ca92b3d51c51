// The verify service: makes a code for an email and hands it over (VarifyService.GetVarifyCode in message.proto).
//
// The code is six decimal digits from the machine's entropy, evenly spread. An email may ask once per cooldown; a
// budget of codes per hour over all emails stops mail bombing.
#ifndef PIPIT_VERIFY_H
#define PIPIT_VERIFY_H

#include "../service.h"
#include "codes.h"

struct verify_settings {
    uint32_t budget; // mail.budget: codes an hour in all, 0 for no limit; 120
};
extern struct verify_settings verify_settings;

// The numbers of the reply's `error` field.
enum verify_error {
    VERIFY_OK = 0,
    VERIFY_NOT_DELIVERED = 1002,
    VERIFY_BAD_EMAIL = 1003,
    VERIFY_INTERNAL = 1009,
    VERIFY_TOO_MANY = 1011,
};

struct verify_reply {
    enum verify_error error;
    char code[CODE_DIGITS]; // when `error` is VERIFY_OK
    uint32_t retry_after;   // seconds, when it is VERIFY_TOO_MANY
};

// `now_ms` is when the code was asked for. VERIFY_INTERNAL when the machine has no entropy; VERIFY_TOO_MANY within the
// cooldown, past the budget, and while codes for CODES_MAX emails are cooling down.
struct verify_reply verify_get_code(struct span email, uint64_t now_ms);

// Turns evenly spread 32-bit numbers into evenly spread codes. False for the few numbers that have to be thrown away,
// because 2^32 is no multiple of 10^6 and they would make some codes likelier than others.
bool verify_code_from(uint32_t random, char code[CODE_DIGITS]);

extern const struct service verify_service;

#endif
