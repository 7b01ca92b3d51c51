// The device's own seed, in the last two pages of flash (data sheet section 7.2). QEMU does not emulate programming:
// there nothing can be renewed, so there is no seed of its own.
#include "../common/seed_pages.h"
#include "lm3s6965.h"

#define PAGE      1024
#define PAGES_AT  (256 * 1024 - SEED_PAGES * PAGE)
#define FMC_KEY   0xa4420000u
#define FMC_WRITE 1u
#define FMC_ERASE 2u
#define FMC_WAIT  10000000u // polls; an erase takes 20 ms
#define CLOCK_MHZ 50

static bool command(uint32_t bit)
{
    SYSCTL_USECRL = CLOCK_MHZ - 1;
    FLASH_FMC = FMC_KEY | bit;
    for (uint32_t i = 0; i < FMC_WAIT; i++)
        if ((FLASH_FMC & bit) == 0)
            return true;
    return false;
}

static bool erase(unsigned page)
{
    FLASH_FMA = PAGES_AT + page * PAGE;
    return command(FMC_ERASE);
}

static bool program(unsigned page, size_t offset, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 4) {
        FLASH_FMA = PAGES_AT + page * PAGE + offset + i;
        FLASH_FMD = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 |
                    (uint32_t)bytes[i + 3] << 24;
        if (!command(FMC_WRITE))
            return false;
    }
    return true;
}

bool board_seed(uint8_t seed[32])
{
    static const struct seed_flash flash = {
        .pages = {(const uint8_t *)PAGES_AT, (const uint8_t *)PAGES_AT + PAGE},
        .page_size = PAGE,
        .erase = erase,
        .program = program,
    };
    return seed_pages_take(&flash, seed);
}
