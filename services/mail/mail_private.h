// What mail.c and session.c share; nobody else includes it.
#ifndef PIPIT_MAIL_PRIVATE_H
#define PIPIT_MAIL_PRIVATE_H

#include "../proto/smtp.h"
#include "mail.h"

enum mail_step {
    MAIL_DNS,
    MAIL_CONNECT,
    MAIL_TLS,
    MAIL_AUTH,
    MAIL_SENDER,
    MAIL_RECIPIENT,
    MAIL_DATA,
    MAIL_TIMEOUT,
    MAIL_STEPS,
};

// WAITING -> HANDING_OVER -> DONE -> TELLING -> FREE     HANDING_OVER -> PAUSED -> WAITING     any -> DONE, FREE
enum letter_state {
    LETTER_FREE,
    LETTER_WAITING,      // for a session
    LETTER_HANDING_OVER, // has one
    LETTER_PAUSED,       // has failed and is tried again when the pause is over
    LETTER_DONE,         // its outcome is known and not yet told
    LETTER_TELLING,      // `done` is running
};

struct session;

// `next` stands first: it is what a slot that was given back loses to the pool.
struct mail {
    struct mail *next;
    struct session *session; // while HANDING_OVER
    mail_done *done;
    void *context;
    struct span subject;
    uint64_t deadline; // ms; with a margin, so that the outcome is told before it
    uint64_t wake;     // ms; the end of the pause
    uint64_t tried;    // ms; when the present or the last try began
    uint32_t turn;     // in which it was sent
    uint32_t tries;
    uint8_t state; // enum letter_state
    uint8_t step;  // enum mail_step; of the last failure
    uint16_t to_length;
    uint16_t body_length;
    uint16_t why_length; // 0 while nothing has failed
    bool accepted;
    bool unsure;    // of the last try
    bool addressed; // in any try
    bool shown;     // on the console
    uint8_t id[SMTP_ID_BYTES];
    char to[EMAIL_MAX_BYTES];
    char body[MAIL_BODY];
    char why[MAIL_WHY];
};

/// mail.c, for sessions ///

// Why TLS with the relay can never be good, although it is asked for: this machine has none, or the relay's certificate
// is to be checked against none at all. NULL when there is no such reason.
const char *mail_cannot_encrypt(const struct mail_settings *settings);

// A try is over, one way or the other: the letter has no session any more.
void mail_accepted(struct mail *m);
void mail_failed(struct mail *m, enum mail_step step, bool temporary, struct span why);

// Letters are looked at in this turn: there may be a session for one that waits.
void mail_stir(void);

/// session.c: one conversation with the relay ///

void sessions_list(void);

// False while all MAIL_SESSIONS are taken.
bool session_available(void);

// Begins a conversation about `m`. Whatever goes wrong is a failed try, told from here on at any moment.
void session_begin(struct mail *m);

// Breaks it off with a reset, so that a mail on its way to the relay is not taken; tells its letter nothing.
void session_break(struct session *s);

// What the relay is slow at: "dns", "connect", "tls", "data".
const char *session_waits_for(const struct session *s);

// What mail.h calls so, of this conversation as it stands.
bool session_is_addressed(const struct session *s);
bool session_is_unsure(const struct session *s);

// Time limits, and what has to wait for the turn's end.
void sessions_step(uint64_t now_ms);

// When sessions_step() wants to be called again, in ms; UINT64_MAX while nothing is under way.
uint64_t sessions_alarm(void);

// Lets conversations end that have no letter any more.
void sessions_stop(void);

#endif
