// The simulator's console: standard input and output as they were given. A terminal is switched to a mode in which keys
// come one by one and nothing is echoed, and back whenever somebody else may use it.
#ifndef PIPIT_SIM_CONSOLE_H
#define PIPIT_SIM_CONSOLE_H

// Looks whether standard input and output are a terminal, and takes it over then. Before the signals are.
void console_start(void);

// Gives the terminal back as it was. May be called again, and from a signal handler.
void console_stop(void);

// We were stopped as a job and go on: takes the terminal over again when it is ours. From a signal handler.
void console_continue(void);

// What poll() should wait for to learn of typed bytes; -1 when nothing can be typed (now, or ever again).
int console_fd(void);

// After poll(): what happened to it.
void console_ready(short revents);

#endif
