// The machine: all that Pipit asks of the thing it runs on.
//
// A board or a simulator implements every function here; there are no weak defaults, so a forgotten one fails to link.
// All time, randomness and input or output of the system passes through this header, so a test or a simulated world
// can own them. Every function is called from the main loop only.
#ifndef PIPIT_PORT_H
#define PIPIT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Clock ///

// Milliseconds since some moment before the start. Never goes back, never jumps.
uint64_t port_now_ms(void);

// Microseconds on a clock of its own, for measuring turns; wraps around.
uint32_t port_now_us(void);

// Milliseconds since 1970-01-01 UTC, or 0 while nobody has told the machine what time it is.
uint64_t port_wall_ms(void);

// SNTP tells what time it is, in the same count; a machine with a clock of its own ignores it. Never before 2024.
// Called only when port_wall_ms() is outside of what the measurement leaves open; one that was ahead is set back no
// further than to the edge of that.
void port_wall_set(uint64_t ms);

/// Entropy ///

// Fills `bytes` from the machine's entropy source. False when the machine has none: then no secret may be made.
bool port_entropy(void *bytes, size_t length);

/// Trust ///

// The certificates to trust when somebody names them: PEM text, one or many certificates with any text between them,
// valid until the next call. A board has them compiled in under the name; in the simulator `name` is a file, read anew
// at each call. False when there is none of that name, or it cannot be read.
bool port_certificates(const char *name, const char **pem, size_t *length);

/// Console ///

// Takes up to `size` typed bytes without waiting; returns how many.
size_t port_console_read(char *bytes, size_t size);

// True when a person types there, on a screen that knows a VT100's escape sequences and shows nothing by itself.
bool port_console_is_terminal(void);

// Writes all of it, waiting if it must: keep it short.
void port_console_write(const char *bytes, size_t length);

/// Network interface ///

struct netif; // lwIP's

// Sets up lwIP's `netif` (name, hardware address, MTU, output functions): the `init` argument of lwIP's netif_add().
// NETIF_FLAG_LINK_UP only when there is a link already. Frames to multicast addresses (01:00:5e:...) have to arrive, or
// nobody finds us by mDNS. Returns 0, or -1 after saying on the console what is wrong.
int port_netif_init(struct netif *netif);

// Hands the frames that have arrived to `netif->input`, a bounded number a call, and tells of the link with lwIP's
// netif_set_link_up() and netif_set_link_down(). True when more frames are waiting.
bool port_netif_poll(struct netif *netif);

/// Flash ///

// NOR flash for what outlives a power-off: programming clears bits and no more, erasing sets all of a unit's. A machine
// may have the region in RAM that survives a reset, or in a file.
struct flash_geometry {
    uint32_t size;         // bytes of the region, a multiple of erase_unit; 0 on a machine without flash
    uint32_t erase_unit;   // bytes, a multiple of program_unit
    uint32_t program_unit; // bytes, a power of two of at most 256
};
struct flash_geometry port_flash_geometry(void);

// Offsets count from the beginning of the region. An erased byte reads 0xff.
void port_flash_read(uint32_t offset, void *bytes, size_t length);

// Both wait until it is done, and for whatever else a power cut could still lose. `offset` and `length` are multiples
// of the program unit, and no unit is programmed twice between two erases. A power cut may leave any state of the unit
// that was in work. False when the machine knows that it failed; who must know reads it back.
bool port_flash_program(uint32_t offset, const void *bytes, size_t length);
bool port_flash_erase(uint32_t offset);

/// Memory ///

// Bytes of the stack, and how many of them were ever used; both 0 on a machine that does not count them.
size_t port_stack_size(void);
size_t port_stack_used(void);

/// Running ///

// Why the machine was started the last time: "power on", "reboot: asked for at the console".
const char *port_reset_reason(void);

// Sleeps until a frame or a console byte arrives, or `most_ms` have passed, whichever is first. Called once a turn,
// after every service has had its step: here a board feeds its watchdog, and nowhere else.
void port_idle(uint32_t most_ms);

// True once somebody wants the machine to stop (Ctrl-C in the simulator). The loop then says goodbye and ends.
bool port_stopping(void);

// Starts again from reset, after writing `reason` to the console. The simulator ends with status 0 instead.
_Noreturn void port_reboot(const char *reason);

#endif
