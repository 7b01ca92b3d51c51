// The device's own seed, in the last two pages of flash. QEMU does not emulate programming: there nothing can be
// renewed, so there is no seed of its own.
#include "../common/board.h"
#include "../common/seed_pages.h"
#include "flash.h"

#define PAGES_AT (256 * 1024 - SEED_PAGES * FLASH_PAGE)

static bool erase(unsigned page)
{
    return flash_erase(PAGES_AT + page * FLASH_PAGE);
}

static bool program(unsigned page, size_t offset, const uint8_t *bytes, size_t length)
{
    return flash_program(PAGES_AT + page * FLASH_PAGE + offset, bytes, length);
}

bool board_seed(uint8_t seed[32])
{
    static const struct seed_flash flash = {
        .pages = {(const uint8_t *)PAGES_AT, (const uint8_t *)PAGES_AT + FLASH_PAGE},
        .page_size = FLASH_PAGE,
        .erase = erase,
        .program = program,
    };
    return seed_pages_take(&flash, seed);
}
