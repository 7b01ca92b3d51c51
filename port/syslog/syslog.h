// The log over the network: RFC 5424 messages in UDP datagrams (RFC 5426) to log.host.
//
// A line is made into a message and queued where it is logged, which may be within a callback of lwIP's, and sent by
// syslog_poll(). Nothing waits for anything: what finds no room in SYSLOG_QUEUE bytes is lost and counted, and so is
// what the network does not take. UDP tells nobody whether the server has got it.
//
//     <30>1 2026-11-26T20:57:44.123Z pipit pipit - hub - alice joined
//
// Facility daemon, severities error, warning, informational and debug, MSGID the module; the time is "-" while nobody
// knows it.
#ifndef PIPIT_SYSLOG_H
#define PIPIT_SYSLOG_H

#include "app/limits.h"
#include "log.h"

struct syslog_settings {
    char host[SYSLOG_HOST]; // log.host: a name or an address; "" for none
    uint32_t port;          // log.port
};
extern struct syslog_settings syslog_settings;

struct syslog_counters {
    uint32_t sent;
    uint32_t dropped;
};
extern struct syslog_counters syslog_counters;

// What log.host must be: NULL when `value` is right, else the end of the sentence "log.host must ...".
const char *syslog_check(struct span value);

// Queues a line, when there is a log.host.
void syslog_line(enum log_level level, const char *module, struct span message);

// Sends some of what is queued. Once per turn, never within a callback.
void syslog_poll(void);

#endif
