// A table of verification codes: who was sent which code, until when, and how often it was guessed wrong.
//
// Both ends of a verification keep one: the verify service to space its mails, the gate to check what people type
// (the original's VerifyService has no call to check a code, it hands it out). An email is kept as the first 16 bytes
// of its SHA-256 over the ASCII-lower-cased text, so an entry is small and no address is stored. Entries free
// themselves when neither their code nor their cooldown counts any longer; a full table refuses new emails.
#ifndef PIPIT_CODES_H
#define PIPIT_CODES_H

#include "../../app/limits.h"
#include "../../port/span.h"

struct codes_settings {
    uint32_t ttl;      // seconds that a code is good for
    uint32_t tries;    // wrong tries that it survives, less one: the fifth wrong one ends it
    uint32_t cooldown; // seconds before the same email may ask again
    uint32_t echo;     // development mode: codes are told without a mail, and shown
};
extern struct codes_settings codes_settings; // verify.ttl 180, verify.tries 5, verify.cooldown 60, dev.echo_code 0

enum codes_error {
    CODES_OK = 0,
    CODES_TOO_SOON = -1, // asked again within the cooldown
    CODES_FULL = -2,
    CODES_GONE = -3,  // expired, used up, or never asked for
    CODES_WRONG = -4, // does not match; the try counts
};

struct codes_entry {
    uint8_t email[16]; // the digest
    char code[CODE_MAX_BYTES];
    uint8_t code_length;
    bool live;        // `code` may be used
    bool cooling;     // `asked` counts; an entry that is neither is free
    uint32_t tries;   // wrong ones so far
    uint64_t asked;   // when the code was asked for, ms
    uint64_t expires; // ms
};

struct codes {
    struct codes_entry entries[CODES_MAX];
};

// Notes that `email` asks for a code now. CODES_TOO_SOON fills in `retry_after` (seconds, at least 1).
// A code that the email has already stays good until codes_put() replaces it.
enum codes_error codes_ask(struct codes *codes, struct span email, uint64_t now_ms, uint32_t *retry_after);

// The code arrived: from now on it is the only one that is good for `email`. Works without codes_ask() as well.
// It may come from a foreign verify service, so it has any form: CODES_WRONG when it does not have 1 to CODE_MAX_BYTES
// bytes, CODES_FULL when there is no entry for it.
enum codes_error codes_put(struct codes *codes, struct span email, struct span code, uint64_t now_ms);

// The code could not be had: the email may ask again at once. A code from before stays good.
void codes_withdraw(struct codes *codes, struct span email, uint64_t now_ms);

// Compares in constant time. A wrong try is counted; the one that reaches `tries` is still CODES_WRONG, and from then
// on the code is CODES_GONE, also when it is right. CODES_OK does not use the code up.
enum codes_error codes_check(struct codes *codes, struct span email, struct span code, uint64_t now_ms);

// The code has done its work. The cooldown goes on.
void codes_use(struct codes *codes, struct span email, uint64_t now_ms);

// Entries in use just now.
uint32_t codes_count(struct codes *codes, uint64_t now_ms);

#endif
