// What lwIP asks of a compiler and a machine. Everything that a board could do differently is in port.h.
#ifndef PIPIT_ARCH_CC_H
#define PIPIT_ARCH_CC_H

#include <stdint.h>

// lwIP prints only when it is about to stop: a broken invariant of the stack. Its sentences are 6 KB. Where flash is
// short, an instruction that the processor refuses has two bytes; the fault's report shows where it stands, and
// addr2line the line.
_Noreturn void net_assertion_failed(const char *what);
#define LWIP_PLATFORM_DIAG(x)
#if defined(PIPIT_PROFILE_SMALL) || defined(PIPIT_PROFILE_TLS)
#define LWIP_PLATFORM_ASSERT(x) __builtin_trap()
#else
#define LWIP_PLATFORM_ASSERT(x) net_assertion_failed(x)
#endif

uint32_t net_random(void);
#define LWIP_RAND() net_random()

#endif
