// The user store: who has an account, under which name, email and password.
//
// A static table of USERS_MAX accounts with USERS_TEXT_EACH bytes of name and email each on average, found by name,
// email or uid in constant time; names and emails are compared without ASCII case. Passwords are kept as
// PBKDF2-HMAC-SHA256 (RFC 8018) with a salt of their own. Hashing is slow on purpose, so every operation that needs it
// is asynchronous: it runs in slices of USERS_ROUNDS_SLICE iterations per turn, and its outcome is told in a later
// turn. Callers check the bounds with the users_check_* functions.
#ifndef PIPIT_USERS_H
#define PIPIT_USERS_H

#include "../../app/limits.h"
#include "../../port/span.h"
#include "../service.h"

enum users_error {
    USERS_OK = 0,
    USERS_TAKEN = -1,          // the name or the email belongs to an account already
    USERS_UNKNOWN = -2,        // no account with this name and email
    USERS_WRONG_PASSWORD = -3, // or an unknown name: the same answer after the same work
    USERS_FULL = -4,           // USERS_MAX accounts exist, or their texts are used up; nothing was changed
    USERS_NO_ENTROPY = -5,     // the machine has no randomness for a salt
    USERS_NOT_KEPT = -6,       // the flash memory failed; nothing was changed
};

// An account as others may see it. The spans point into the store and are valid until the caller returns to the loop.
struct users_account {
    uint32_t uid; // from 1 on, never used again
    struct span name;
    struct span email;
};

/// Bounds ///

// NULL when the text may be used, else a sentence that says what is wrong with it. A name has no '@', by which a login
// tells an email, and is not "system", because the plain-text chat marks the server's own lines so. An email has
// nothing that would need quoting in an SMTP command.
const char *users_check_name(struct span name);
const char *users_check_email(struct span email);
const char *users_check_password(struct span password);

/// Looking up ///

bool users_by_uid(uint32_t uid, struct users_account *account);
bool users_by_name(struct span name, struct users_account *account);
bool users_by_email(struct span email, struct users_account *account);
uint32_t users_count(void);

// Walks all accounts by slot: call with *at = 0 first; false after the last one.
bool users_walk(uint32_t *at, struct users_account *account);

/// Where the owners are ///

// A hash that nobody can foresee who does not know the key, which is made at each start.
uint64_t users_hash(struct span text);

// Notes from which address an account was logged in to; whether an address is that of the last time. `user` is a name
// or an email. Only the last one is kept, in 16 bits, and not over a restart.
void users_set_home(uint32_t uid, uint32_t address);
bool users_is_home(struct span user, uint32_t address);

/// Asynchronous operations ///

struct users_job;

// The outcome; `account` is filled in when `result` is USERS_OK. Called from users' own step, never from within the
// call that started the job. The job is over then.
typedef void users_done(void *context, enum users_error result, const struct users_account *account);

// Each copies what it is given, but for the name and the email of users_register(): those stay where they are until
// `done` or users_cancel(). Returns the job, or NULL when USERS_JOBS of them are under way.
// Nothing is done with texts out of bounds: the outcome is USERS_UNKNOWN, or USERS_WRONG_PASSWORD for a login.
struct users_job *users_register(struct span name, struct span email, struct span password, users_done *done,
                                 void *context);

// `user` is a name or an email.
struct users_job *users_login(struct span user, struct span password, users_done *done, void *context);

// Gives the account with this name and this email a new password. USERS_UNKNOWN is answered at the price of a hash.
struct users_job *users_reset_password(struct span name, struct span email, struct span password, users_done *done,
                                       void *context);

// Forgets a job whose caller is gone: `done` is not called and nothing is changed. Within its own `done` it does
// nothing.
void users_cancel(struct users_job *job);

#define USERS_JOBS HTTP_EXCHANGES

extern const struct service users_service;

#endif
