// The simulator's command line.
#ifndef PIPIT_SIM_OPTIONS_H
#define PIPIT_SIM_OPTIONS_H

#include "../port/text.h"

// A TCP port of the host that leads to one of the device. Host port 0 takes any free one.
struct forward {
    uint32_t host_address; // IPv4, host order
    uint16_t host_port;
    uint16_t device_port;
};

#define OPTIONS_FORWARDS 16

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
    enum options_action action;
    struct forward forwards[OPTIONS_FORWARDS];
    size_t forward_count;
    const char *flash; // a file, or "none"; NULL means the usual file
    const char *tap;   // name of the TAP device; NULL means libslirp
    const char *address;
    const char *gateway;
    const char *dns;
    uint32_t mtu;            // 0: what the device has
    const char *certificate; // a file with the certificate and its chain, with ...
    const char *key;         // ... that of its key; or both NULL
};

// Reads the command line into `options`, and sets the simulator's own defaults; the settings of the network go to
// net_settings. config_defaults() comes before. False with one sentence in `why`, which has no line end.
bool options_read(int argc, char **argv, struct options *options, struct text *why);

// After options_read(): every --config file, then every --set, so that a --set wins wherever it stands.
bool options_settings(int argc, char **argv, struct options *options, struct text *why);

// Writes the list of options, then the keys of --set.
void options_help(void (*write)(const char *bytes, size_t length));

// Reads "10.0.2.15", or with `prefix` "10.0.2.15/24", as host-order numbers.
bool options_address(const char *text, uint32_t *address, uint32_t *prefix);

#endif
