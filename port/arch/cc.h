// What lwIP asks of a compiler and a machine. Everything that a board could do differently is in port.h.
#ifndef PIPIT_ARCH_CC_H
#define PIPIT_ARCH_CC_H

#include <stdint.h>

// lwIP prints only when it is about to stop: a broken invariant of the stack.
_Noreturn void net_assertion_failed(const char *what);
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x) net_assertion_failed(x)

uint32_t net_random(void);
#define LWIP_RAND() net_random()

#endif
