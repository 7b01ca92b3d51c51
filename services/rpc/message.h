// Reading the messages of calls (Protocol Buffers) with nanopb.
#ifndef PIPIT_RPC_MESSAGE_H
#define PIPIT_RPC_MESSAGE_H

#include "../../port/span.h"
#include <pb.h>

// Reads `message` into the structure that `fields` describes. NULL when it is good, else a few words on what is wrong.
// A string with a NUL in it is: nanopb's strings end there, and what others read behind it would go unseen.
const char *rpc_decode(struct span message, const pb_msgdesc_t *fields, void *into);

#endif
