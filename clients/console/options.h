// The command line of chat_cli.
#ifndef CONSOLE_OPTIONS_H
#define CONSOLE_OPTIONS_H

#include <stdbool.h>

struct options {
    const char *host;
    int port;
    const char *path;   // of the WebSocket
    const char *user;   // --user: log in as this name or email; NULL for a guest
    bool registering;   // --register: make an account first
    bool plain;         // --plain: do not offer the JSON subprotocol
    bool tls;           // --tls
    bool insecure;      // --insecure: take any certificate
    const char *cacert; // --cacert: the file with the certificates to trust, NULL for the system's
};

// Reads the command line. True when the program is to run; false when it is to exit with *status at once, because help
// was asked for (0) or something was wrong (1, one sentence is on stderr).
bool options_read(struct options *options, int argc, char **argv, int *status);

#endif
