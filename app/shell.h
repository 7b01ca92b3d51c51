// The console: a line typed, a command carried out.
#ifndef PIPIT_SHELL_H
#define PIPIT_SHELL_H

#include <stdbool.h>

// Says hello: the version, and loudly when the machine is in development mode.
void shell_start(void);

// Reads what was typed, carries out complete lines, and says the next line of a long answer. Once per turn. True when
// it wants the next turn at once.
bool shell_step(void);

// True when something was logged over the line that is being typed, and the next shell_step() will bring it back.
bool shell_is_stale(void);

#endif
