// For machines that are a chat node themselves, and have no room to look after others.
#include "nodes.h"

struct nodes_settings nodes_settings;
uint32_t nodes_probes_failed;

const char *nodes_check(struct span value)
{
    return value.length == 0 || span_equal(value, span_of("this"))
               ? NULL
               : "be empty or this: this device has no room for other chat nodes";
}

bool nodes_choose(uint64_t now_ms, struct node_choice *choice)
{
    (void)now_ms;
    *choice = (struct node_choice){{NULL, 0}, {NULL, 0}};
    return true;
}

uint32_t nodes_alive(void)
{
    return 1;
}

uint32_t nodes_lost(void)
{
    return 0;
}

void nodes_start(void)
{
}

uint32_t nodes_step(uint64_t now_ms)
{
    (void)now_ms;
    return UINT32_MAX;
}

void nodes_stop(void)
{
}
