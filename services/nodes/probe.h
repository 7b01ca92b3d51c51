// Asks a chat node how many people chat there: GET /metrics, over a connection of its own.
//
//     IDLE -> DIALLING -> READING -> LEAVING (the verdict is told) -> IDLE
//
// Few are under way at once, so that the smallest board has the connections for it.
#ifndef PIPIT_PROBE_H
#define PIPIT_PROBE_H

#include "../../app/limits.h"
#include "../../port/span.h"

#define PROBE_PATIENCE_MS 3000 // from dialling to the line that counts

enum probe_verdict {
    PROBE_ALIVE,  // `load` people chat there
    PROBE_LOST,   // `why` not
    PROBE_UNTOLD, // we had no connection to ask with, which says nothing about the node
};

struct probe_answer {
    enum probe_verdict verdict;
    uint32_t load;
    struct span why; // the end of "the node is lost: ...", during the callback only
};

// Called once, in a later turn than probe_start(), within PROBE_PATIENCE_MS.
typedef void probe_done(void *context, const struct probe_answer *answer);

struct probe_target {
    struct span host; // both stay until `done` was called, or the probe was cancelled
    struct span port; // as text, for the Host field
    uint16_t number;  // of the port
};

void probe_list(void);

// True when one more can be under way.
bool probe_free(void);

// False when there is no connection for it just now.
bool probe_start(const struct probe_target *target, probe_done *done, void *context);

// Breaks off the probe with this context, if there is one: `done` is not called.
void probe_cancel(const void *context);

// One bounded step: ends what has taken too long. Returns in how many milliseconds it wants the next one.
uint32_t probe_step(uint64_t now_ms);

#endif
