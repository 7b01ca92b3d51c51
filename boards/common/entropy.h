// Random numbers of a machine that has no source of them: HMAC_DRBG (drbg.h), seeded once a life.
//
// What counts as a seed are the boot note's, the board's own (board_seed()), and what the last life left behind. Where
// there is none, port_entropy() refuses, and so no code, token or salt can be made.
#ifndef PIPIT_ENTROPY_H
#define PIPIT_ENTROPY_H

#include <stdbool.h>

// Gathers what there is and seeds. After retained_begin() and note_read(). False when there was no seed.
bool entropy_start(void);

#endif
