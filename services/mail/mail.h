// The mail relay client: hands letters to one SMTP relay, plain, with STARTTLS or with implicit TLS, and says what
// became of each. Letters wait in a queue of MAIL_QUEUE, MAIL_SESSIONS of them are being handed over at once, each in a
// conversation of its own (services/proto/smtp.h).
//
// A failure that may pass (4yz, a connection that could not be made or was lost before the message was complete, no
// memory for TLS while others use it) is tried again after 1, 2, 4, ... seconds, as long as the letter's deadline
// allows a whole further try; everything else is told at once. Nothing is kept on disk: a letter is handed over while
// somebody waits for the outcome, or given up.
#ifndef PIPIT_MAIL_H
#define PIPIT_MAIL_H

#include "../../app/limits.h"
#include "../../port/text.h"
#include "../service.h"

struct mail_settings {
    char host[MAIL_NAME];     // mail.host; empty: no relay
    uint32_t port;            // mail.port; 0: 25, 465 or 587, as `tls` has it
    uint32_t tls;             // mail.tls: enum smtp_tls
    char user[MAIL_NAME];     // mail.user; empty: no AUTH
    char password[MAIL_NAME]; // mail.password
    char from[MAIL_FROM];     // mail.from; empty: mail.user, when that is an address
    char ca[MAIL_CA];         // mail.ca: the certificates to trust, as port_certificates() knows them
    uint32_t verify;          // mail.verify: 0 takes any certificate, and says so loudly
    uint32_t insecure_auth;   // mail.insecure_auth: 1 allows AUTH over a plain connection
    uint32_t timeout;         // mail.timeout: seconds that one step of a conversation may take, 60
};
extern struct mail_settings mail_settings;

// True when a relay is set.
bool mail_configured(void);

struct mail_letter {
    struct span to;
    struct span subject; // UTF-8; a constant that stays
    struct span body;    // UTF-8, at most MAIL_BODY bytes (app/limits.h), copied
    uint64_t deadline;   // ms on port_now_ms()'s clock: the outcome is told by then
};

struct mail_outcome {
    bool accepted;    // the relay has taken it
    bool unsure;      // the relay may have taken it all the same: its last byte went out, and no answer came
    bool addressed;   // a try came as far as the recipient; without it nothing is out, and the address is not to blame
    const char *step; // what failed: "dns", "connect", "tls", "auth", "sender", "recipient", "data", "timeout"
    struct span why;  // a sentence for people, beginning with the step: "recipient: the relay refused (550 ...)"
};

// Called once, in a later turn than mail_send().
typedef void mail_done(void *context, const struct mail_outcome *outcome);

struct mail;

// Queues a letter. NULL when MAIL_QUEUE of them wait or are under way, or it does not fit.
struct mail *mail_send(const struct mail_letter *letter, mail_done *done, void *context);

// Nobody wants the outcome any more: the conversation is broken off, `done` is not called. Within `done` it does
// nothing. Returns what the outcome would have in `addressed`: false when certainly nothing is out.
bool mail_cancel(struct mail *m);

// Console: sends a letter of its own to `address` and prints the conversation, without its secrets, line by line as it
// happens, and then the outcome. False when one is under way or the queue is full.
bool mail_test(struct span address);

// The recipient of a letter, until it has come to its end: within `done` still.
struct span mail_recipient(const struct mail *m);

// Letters waiting or under way.
uint32_t mail_queued(void);

extern const struct service mail_service;

#endif
