// The console: a line typed, a command carried out.
#ifndef PIPIT_SHELL_H
#define PIPIT_SHELL_H

// Says hello: the version, and loudly when the machine is in development mode.
void shell_start(void);

// Reads what was typed and carries out complete lines. Once per turn.
void shell_step(void);

#endif
