// Runtime settings: one table of keys, each with a type, a range, a default and a line of help.
//
// A key sets a field of the settings that its owner declares (hub_settings, ...). A new key is one line in config.c.
#ifndef PIPIT_CONFIG_H
#define PIPIT_CONFIG_H

#include "../port/text.h"
#include "limits.h"

// Sets every key to its default.
void config_defaults(void);

// Sets one key. On failure returns a sentence in `why` (which names the key and the range) and changes nothing.
bool config_set(struct span key, struct span value, struct text *why);

// Sets one key back to its default. False when there is no such key.
bool config_unset(struct span key);

// config_set() that outlives a reset: the value is in the journal before this returns true. On a machine without flash
// it is set and no more. On failure `why` says so, and the old value stays.
bool config_keep(struct span key, struct span value, struct text *why);

// Back to the default, in the journal too.
bool config_forget(struct span key, struct text *why);

// Sets what config_keep() has kept. Once, after journal_start(), and before whatever is to win over it. A value that
// the table does not take any more is left out, with a line on the console.
void config_recall(void);

// config_set() for a machine's own defaults: config_was_set() does not see it.
bool config_preset(struct span key, struct span value, struct text *why);

// True when config_set() or config_read() has set the key since config_defaults(), to whatever value.
bool config_was_set(struct span key);

// True when the key has its default value.
bool config_is_default(struct span key);

// Reads "key = value" lines; empty lines and those that begin with '#' are skipped. On failure `why` says what is wrong
// in which line, and lines before it stay set.
bool config_read(struct span file, struct text *why);

// Writes "key = value" for key number `index`; false behind the last one. Secrets show as "(set)" or "(unset)", which
// config_set() takes for "as it is" and for an empty one.
bool config_show(size_t index, struct text *out);

// Writes the line of help for key number `index`: name, range, default, meaning.
bool config_help(size_t index, struct text *out);

// Writes what key number `index` may be set to, and whether it is: "1 to 3600; default 25", "0 or 1; the default".
void config_range(size_t index, struct text *out);

// The line of help for key number `index` (HELP() of limits.h).
HELP(const char *config_meaning(size_t index);)

// The number of a key, or -1.
int config_find(struct span key);

// The name of key number `index`, at most CONFIG_NAME bytes; NULL behind the last one.
const char *config_name(size_t index);

#define CONFIG_NAME 24

// True when its value must never be shown.
bool config_is_secret(size_t index);

#endif
