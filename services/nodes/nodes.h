// The chat nodes that users are sent to, and how each of them is (status.nodes).
//
// The key lists them as HOST:PORT, separated by commas. "this" stands for this very machine, which is always alive; an
// empty list means it alone. Every other node is asked for its /metrics every NODES_PERIOD_MS: one that answers is
// alive, and its load is the number of people who chat there; one that does not is lost until it answers again, and
// nobody is sent to it. Before its first answer a node is neither.
//
// The least loaded node is chosen, and those equally loaded in turn. Who was just sent to a node may not have arrived
// when it is asked, so a choice counts as one more until the node's next answer: a burst of logins spreads.
//
// The smallest machine is such a node itself, and has no room for the others: absent.c knows this machine alone.
#ifndef PIPIT_NODES_H
#define PIPIT_NODES_H

#include "../../app/limits.h"
#include "../../port/span.h"

struct nodes_settings {
    char list[NODES_LIST]; // status.nodes: "HOST:PORT,HOST:PORT", or "this"; empty: this machine alone
};
extern struct nodes_settings nodes_settings;

#define NODES_PERIOD_MS 5000
#define NODES_RETRY_MS  1000 // after a probe that found no connection free here
#define NODE_HOST_MAX   63   // bytes, as much as GetChatServerRsp holds
#define NODE_PORT_MAX   5

// For the key: NULL when `value` is such a list, else the end of a sentence "status.nodes must ...".
const char *nodes_check(struct span value);

struct node_choice {
    struct span host; // as the key has it; both empty for this machine
    struct span port;
};

// Where the next user goes. False when no node is alive. The spans are valid until the next turn.
bool nodes_choose(uint64_t now_ms, struct node_choice *choice);

uint32_t nodes_alive(void);
uint32_t nodes_lost(void);
extern uint32_t nodes_probes_failed;

/// For the status service ///

void nodes_start(void);
uint32_t nodes_step(uint64_t now_ms);
void nodes_stop(void);

#endif
