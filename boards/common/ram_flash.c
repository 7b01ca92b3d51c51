// Flash for boards that have none: RAM that a reset leaves alone. It is empty again after a power-off.
#include "../../port/port.h"
#include "board.h"
#include <string.h>

#define ERASE_UNIT   16384u
#define PROGRAM_UNIT 4u
#define UNITS        16u

struct label {
    uint32_t mark;
    uint32_t size;
};

static struct {
    struct label label; // RAM that has lost its power hardly holds it
    uint8_t bytes[UNITS * ERASE_UNIT];
} kept RETAINED(flash);

struct flash_geometry port_flash_geometry(void)
{
    static const struct label label = {0x464c4153u, sizeof kept.bytes};
    if (memcmp(&kept.label, &label, sizeof label) != 0)
        memset(kept.bytes, 0xff, sizeof kept.bytes);
    kept.label = label;
    return (struct flash_geometry){sizeof kept.bytes, ERASE_UNIT, PROGRAM_UNIT};
}

void port_flash_read(uint32_t offset, void *bytes, size_t length)
{
    memcpy(bytes, kept.bytes + offset, length);
}

bool port_flash_program(uint32_t offset, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < length; i++)
        kept.bytes[offset + i] &= from[i];
    return true;
}

bool port_flash_erase(uint32_t offset)
{
    memset(kept.bytes + offset, 0xff, ERASE_UNIT);
    return true;
}
