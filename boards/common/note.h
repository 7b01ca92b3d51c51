// The boot note: what somebody who starts the machine hands to it. An emulator or a debugger writes it into the array
// `boot_note` (boards/note.sh finds its address) before the machine runs; nobody does when the machine is simply
// switched on.
//
// It is text that begins with the line "pipit boot note 1" and ends with a NUL:
//
//     seed = 0123...    64 to 128 hexadecimal digits from a good source, never used before
//     chat.rate = 0     settings, as in a file (app/config.h)
//     -----BEGIN...     from here on, certificates to trust, known as "note"
#ifndef PIPIT_NOTE_H
#define PIPIT_NOTE_H

#include "../../port/span.h"

// Looks for a note, wipes the seed out of it, and cuts it into its parts. Without a note all are empty.
void note_read(void);

// The bytes of the seed; false when there is none.
bool note_seed(uint8_t *seed, size_t size, size_t *length);

// Lines of settings, and PEM text.
struct span note_settings(void);
struct span note_certificates(void);

#endif
