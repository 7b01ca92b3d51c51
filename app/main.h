// The loop. The machine's own main() prepares itself and the settings, then calls this.
#ifndef PIPIT_MAIN_H
#define PIPIT_MAIN_H

#define PIPIT_VERSION "0.1.0"

// Starts everything and runs until port_stopping(). Returns the exit status: 0, or 1 when something could not start.
int pipit_main(void);

#endif
