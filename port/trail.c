#include "trail.h"
#include "log.h"
#include "port.h"

static struct trail_entry entries[TRAIL_LENGTH];
static size_t count; // of all that were ever noted

const char *trail_turn = "start";

void trail_change(const char *module, const char *object, uint32_t number, const char *from, const char *to)
{
    entries[count % TRAIL_LENGTH] = (struct trail_entry){(uint32_t)port_now_ms(), module, object, number, from, to};
    count++;
    log_line(LOG_DEBUG, module, "%s %u: %s -> %s", object, (unsigned)number, from, to);
}

const struct trail_entry *trail_entry(size_t index)
{
    size_t oldest = count > TRAIL_LENGTH ? count - TRAIL_LENGTH : 0;
    return oldest + index < count ? &entries[(oldest + index) % TRAIL_LENGTH] : NULL;
}
