// The simulated machine: port.h on a POSIX system.
//
//     machine_start()  -->  pipit_main()  -->  machine_stop()
#ifndef PIPIT_SIM_MACHINE_H
#define PIPIT_SIM_MACHINE_H

// machine_start() says with this that the machine is ready to run.
#define MACHINE_READY (-1)

// Reads the command line, opens the network and takes over the signals. Returns MACHINE_READY, or the status to exit
// with: 0 after --help and the like, 2 after one sentence on stderr that says what is wrong and what to do.
// config_defaults() comes before.
int machine_start(int argc, char **argv);

// Closes what machine_start() opened. May be called again.
void machine_stop(void);

#endif
