// The echo service at /ws-echo: what comes in goes out again, for conformance suites such as Autobahn's.
//
// Messages of up to 16 MB are echoed as a stream, piece by piece, without being held. It is linked into the simulator
// only (echo.c); a board links absent.c, which has no echo.
#ifndef PIPIT_ECHO_H
#define PIPIT_ECHO_H

#include "../../port/net.h"
#include "../service.h"

struct echo_settings {
    uint32_t enabled; // chat.echo
};
extern struct echo_settings echo_settings;

// True when /ws-echo exists: it is linked and switched on.
bool echo_enabled(void);

// Takes over a connection on which "101 Switching Protocols" was just sent. False when all slots are taken.
bool echo_attach(struct net_conn *c);

extern const struct service echo_service;

#endif
