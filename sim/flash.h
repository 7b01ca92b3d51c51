// The simulator's flash: a file, or memory that is gone at the end.
#ifndef PIPIT_SIM_FLASH_H
#define PIPIT_SIM_FLASH_H

#include "../port/text.h"

// Opens `path` and keeps every other process from it; makes it where it is missing. NULL: pipit/flash below
// XDG_STATE_HOME, or below ~/.local/state; "none": memory alone. False with a sentence in `why`.
bool flash_open(const char *path, struct text *why);

#endif
