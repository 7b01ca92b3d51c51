// The machine of the unit tests: port.h with everything in the test's hands.
#ifndef PIPIT_TEST_MACHINE_H
#define PIPIT_TEST_MACHINE_H

#include "../../port/port.h"

// The clock stands still unless a test moves it.
extern uint64_t machine_now_ms;
extern uint64_t machine_wall_ms;

// How often port_wall_set() was called.
extern uint32_t machine_wall_sets;

// Entropy is a fixed pseudo-random sequence, or absent.
extern bool machine_has_entropy;

// What answers port_certificates(); NULL: there are none.
extern bool (*machine_certificates)(const char *name, const char **pem, size_t *length);

// What port_flash_*() are to answer; NULL: there is no flash.
struct machine_flash {
    struct flash_geometry geometry;
    void (*read)(uint32_t offset, void *bytes, size_t length);
    bool (*program)(uint32_t offset, const void *bytes, size_t length);
    bool (*erase)(uint32_t offset);
};
extern const struct machine_flash *machine_flash;

// What was written to the console since machine_console_clear(), NUL-terminated; old text is dropped when it is full.
extern char machine_console[16384];
void machine_console_clear(void);

// What port_console_is_terminal() says: false from the start.
extern bool machine_console_is_terminal;

// What port_console_read() will give.
void machine_type(const char *text);

// Called by port_reboot(); must not return (longjmp). NULL: the program is aborted.
extern void (*machine_reboot)(const char *reason);

// Moves the clock on in steps of at most 10 ms and calls `turn` after each.
void machine_advance(uint64_t ms, void (*turn)(void));

// The sum of slots in use over all listed pools: 0 when everything was given back. Prints the names of those that were
// not.
uint32_t machine_pools_used(void);

#endif
