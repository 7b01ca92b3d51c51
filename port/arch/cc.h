// What lwIP asks of a compiler and a machine. Everything that a board could do differently is in port.h.
#ifndef PIPIT_ARCH_CC_H
#define PIPIT_ARCH_CC_H

#include <stdint.h>

// lwIP prints only when it is about to stop: a broken invariant of the stack. Its sentences are 6 KB; where flash is
// short, "tcp_out.c:1234" says which it is.
_Noreturn void net_assertion_failed(const char *what);
#define LWIP_PLATFORM_DIAG(x)
#if defined(PIPIT_PROFILE_SMALL)
#define CC_TEXT(x)              #x
#define CC_TEXT_OF(x)           CC_TEXT(x)
#define LWIP_PLATFORM_ASSERT(x) net_assertion_failed(__FILE_NAME__ ":" CC_TEXT_OF(__LINE__))
#else
#define LWIP_PLATFORM_ASSERT(x) net_assertion_failed(x)
#endif

uint32_t net_random(void);
#define LWIP_RAND() net_random()

#endif
