// The verify service: makes a code for an email, mails it, and tells the gate (VarifyService in message.proto).
//
// The code is six decimal digits from the machine's entropy, evenly spread. An email may ask once per cooldown; a
// budget of codes per hour over all emails stops mail bombing. The call is answered when the relay has taken the mail.
// Without a relay it is answered at once: in development mode (dev.echo_code) with the code, else with 1002.
//
// A failure gives back what the asking cost, and the email may ask again at once, when it says nothing about the
// address and no mail can be out: at the steps dns, connect, tls, auth and sender, or out of time in one of them. When
// a try came as far as recipient or data the cooldown and the budget stay spent, or the relay could be asked without
// limit which addresses it has. A caller that goes away takes its mail with it: the cooldown then goes by the same
// rule, while the place in the budget stays taken.
#ifndef PIPIT_VERIFY_H
#define PIPIT_VERIFY_H

#include "../rpc/rpc.h"
#include "codes.h"

struct verify_settings {
    uint32_t budget;            // mail.budget: codes an hour in all, 0 for no limit; 120
    char subject[MAIL_SUBJECT]; // mail.subject: of the mails, UTF-8
};
extern struct verify_settings verify_settings;

// Turns evenly spread 32-bit numbers into evenly spread codes. False for the few numbers that have to be thrown away,
// because 2^32 is no multiple of 10^6 and they would make some codes likelier than others.
bool verify_code_from(uint32_t random, char code[CODE_DIGITS]);

extern const struct rpc_service verify_rpc;
extern const struct service verify_service;

#endif
