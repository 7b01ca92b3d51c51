// The loop. The machine's own main() prepares itself and the settings, then calls this:
//
//     config_defaults()  -->  pipit_recall()  -->  what its command line or boot note sets  -->  pipit_main()
#ifndef PIPIT_MAIN_H
#define PIPIT_MAIN_H

#define PIPIT_VERSION "0.1.0"

// Reads the journal: accounts and settings are again what they were before the last reset. The machine has its flash
// and its entropy by now.
void pipit_recall(void);

// Starts everything and runs until port_stopping(). Returns the exit status: 0, or 1 when something could not start.
int pipit_main(void);

#endif
