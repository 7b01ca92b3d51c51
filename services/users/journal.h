// The journal: what outlives a power cut. Accounts, the settings that config_keep() was given, and blobs such as a
// certificate lie in flash, and are there before whoever asked for it is told so.
//
// On a machine without flash, or whose flash fails at the start, everything goes on in RAM: accounts and settings are
// taken and gone after a reset, and blobs are refused. services/users/DESIGN.md argues the format and has the bytes.
#ifndef PIPIT_USERS_JOURNAL_H
#define PIPIT_USERS_JOURNAL_H

#include "../../port/span.h"
#include "records.h"

// Reads the journal and puts the accounts into the store. Once, before the services start, and when the machine has its
// entropy. False after saying on the console that the flash failed.
bool journal_start(void);

/// Settings: for app/config.c ///

// Keeps a setting, or that it has its default again. RECORDS_NONE without flash.
enum records_error journal_keep_setting(struct span key, struct span value);
enum records_error journal_keep_unset(struct span key);

// Calls `take` for each setting that is kept, in no order. The spans are valid until it returns.
void journal_settings(void (*take)(struct span key, struct span value));

/// Blobs ///

// Keeps `bytes`, at most JOURNAL_BLOB of them (app/limits.h), under a name of 1 to JOURNAL_NAME bytes, all or nothing;
// no bytes at all take the blob away. False when they are too long, when the journal is full or the flash failed; what
// was there before is still there then.
bool journal_keep_blob(struct span name, struct span bytes);

// Returns how many bytes it has; 0 when there is none, or when it is larger than `size`.
size_t journal_read_blob(struct span name, uint8_t *bytes, size_t size);

/// The whole ///

// Forgets everything, at once even if the power is cut then, and erases it. The accounts are still in RAM: reboot.
// False when the flash failed; a machine without flash has nothing to forget.
bool journal_format(void);

// One bounded step of making room while nobody waits. True when there is more to do.
bool journal_step(void);

#endif
