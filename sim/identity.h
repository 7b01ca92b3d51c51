// --cert and --key.
#ifndef PIPIT_SIM_IDENTITY_H
#define PIPIT_SIM_IDENTITY_H

#include "../port/text.h"

// Reads both files and puts them to use for this run. False with a sentence.
bool identity_load(const char *certificate, const char *key, struct text *why);

#endif
