// The accounts themselves: static tables and the two indexes over them. For services/users only.
//
// Whatever changes an account goes through one of the two users_commit_* functions.
#ifndef PIPIT_USERS_STORE_H
#define PIPIT_USERS_STORE_H

#include "users.h"

#define USERS_SALT 16 // bytes
#define USERS_KEY  32 // bytes

// What is kept of a password.
struct users_secret {
    uint8_t salt[USERS_SALT];
    uint8_t key[USERS_KEY];
};

// Names and emails of all accounts share one text, because most emails are far shorter than they may be: 286 bytes for
// each account would cost the smallest machine a seventh of its RAM.
#define USERS_TEXT ((uint32_t)USERS_MAX * USERS_TEXT_EACH)

// Seeds the indexes. False without entropy: they work then, but names can be chosen to collide.
bool users_store_start(void);

// No account of these bounds could be inserted now.
bool users_store_full(struct span name, struct span email);

// The uid of the account with this name or this email, 0 when there is none.
uint32_t users_find_name(struct span name);
uint32_t users_find_email(struct span email);

// The address from which an account was last logged in to.
bool users_store_is_home(uint32_t uid, uint32_t address);

// False when there is no such account.
bool users_secret_of(uint32_t uid, struct users_secret *secret);

// A new account: USERS_OK with its uid, USERS_TAKEN, USERS_FULL or USERS_NOT_KEPT. Both texts must be within the
// bounds.
enum users_error users_commit_account(struct span name, struct span email, const struct users_secret *secret,
                                      uint32_t *uid);

// A new password: USERS_OK, USERS_UNKNOWN, USERS_FULL or USERS_NOT_KEPT.
enum users_error users_commit_secret(uint32_t uid, const struct users_secret *secret);

/// Between the accounts and the journal ///

// From journal.c. Writes the account to flash; `again` when it is there already, with another password. USERS_OK with
// the record's place, USERS_FULL or USERS_NOT_KEPT.
enum users_error journal_keep_account(const struct users_account *account, const struct users_secret *secret,
                                      bool again, uint16_t *place);

// Where the newest record of the account is; 0 when there is none, or no such account.
uint16_t users_place(uint32_t uid);

// Sets it. Slots up to this account's are taken, empty ones too. False when there is no room for so many.
bool users_set_place(uint32_t uid, uint16_t place);

// Fills such a slot. False when the texts have no room, or belong to another account.
bool users_restore(const struct users_account *account, const struct users_secret *secret);

#endif
