// The simulator's console: standard input and output as they were given, with no mode of theirs changed.
#ifndef PIPIT_SIM_CONSOLE_H
#define PIPIT_SIM_CONSOLE_H

// What poll() should wait for to learn of typed bytes; -1 when nothing can be typed (now, or ever again).
int console_fd(void);

// After poll(): what happened to it.
void console_ready(short revents);

#endif
