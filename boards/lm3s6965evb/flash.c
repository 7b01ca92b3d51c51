// The flash controller (data sheet section 7.2) and the region that the journal has. QEMU emulates neither programming
// nor erasing: there both seem to succeed and change nothing.
#include "flash.h"
#include "../../port/port.h"
#include "lm3s6965.h"
#include <string.h>

#define FMC_KEY   0xa4420000u
#define FMC_WRITE 1u
#define FMC_ERASE 2u
#define FMC_WAIT  10000000u // polls; an erase takes 20 ms
#define CLOCK_MHZ 50

// The linker script's: behind whatever the program may take, and before the seed's pages.
extern const uint8_t journal_begin[], journal_end[];

/// The controller ///

static bool command(uint32_t bit)
{
    SYSCTL_USECRL = CLOCK_MHZ - 1;
    FLASH_FMC = FMC_KEY | bit;
    for (uint32_t i = 0; i < FMC_WAIT; i++)
        if ((FLASH_FMC & bit) == 0)
            return true;
    return false;
}

bool flash_erase(uint32_t address)
{
    FLASH_FMA = address;
    return command(FMC_ERASE);
}

bool flash_program(uint32_t address, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, sizeof word);
        FLASH_FMA = address + i;
        FLASH_FMD = word;
        if (!command(FMC_WRITE))
            return false;
    }
    return true;
}

/// port.h ///

struct flash_geometry port_flash_geometry(void)
{
    return (struct flash_geometry){(uint32_t)((uintptr_t)journal_end - (uintptr_t)journal_begin), FLASH_PAGE, 4};
}

void port_flash_read(uint32_t offset, void *bytes, size_t length)
{
    memcpy(bytes, journal_begin + offset, length);
}

bool port_flash_program(uint32_t offset, const void *bytes, size_t length)
{
    return flash_program((uint32_t)(uintptr_t)journal_begin + offset, bytes, length);
}

bool port_flash_erase(uint32_t offset)
{
    return flash_erase((uint32_t)(uintptr_t)journal_begin + offset);
}
