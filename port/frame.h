// Buffers for frames that have arrived, for the drivers of Ethernet controllers.
#ifndef PIPIT_FRAME_H
#define PIPIT_FRAME_H

#include <stddef.h>

struct pbuf;

// A chain of buffers for a frame of `length` bytes, ETH_PAD_SIZE included; NULL when memory is short: then the frame is
// dropped. Where memory is tightest (NET_SMALL_FRAME, lwipopts.h) short ones come from lwIP's heap: whole buffers of
// the pool may all be held by people whose messages have to wait, and the acknowledgements that they wait for must get
// in.
struct pbuf *frame_alloc(size_t length);

#endif
