// Who has the time: for each part of the loop and each service, the time since the interval began and before it.
//
// An interval begins when somebody has looked at the last one (`top`), or when one of them has had SHARE_MOST_US in it.
#ifndef PIPIT_SHARE_H
#define PIPIT_SHARE_H

#include <stdint.h>

#define SHARE_MOST_US (UINT32_MAX / 2) // 36 minutes

struct share {
    uint32_t us; // in this interval
    uint32_t ms; // in all those before
};

// The parts of a turn that are no service's.
enum share_phase { SHARE_FRAMES, SHARE_TIMERS, SHARE_CONNECTIONS, SHARE_CONSOLE, SHARE_OUTPUT };
#define SHARE_PHASES 5

extern struct share share_phases[SHARE_PHASES];
extern uint32_t share_phase_longest_us[SHARE_PHASES];
extern const char *const share_phase_names[SHARE_PHASES];

// By service, as in services[].
extern struct share share_services[];

// Milliseconds of the interval and since the start: what the shares are shares of.
uint32_t share_interval_ms(void);
uint64_t share_all_ms(void);

// One share of these in tenths of a percent.
uint32_t share_now(const struct share *share);
uint32_t share_in_all(const struct share *share);

// A new interval begins.
void share_begin(void);

#endif
