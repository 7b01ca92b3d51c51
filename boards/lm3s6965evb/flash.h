// The chip's flash: pages of 1 KB, programmed by the word.
#ifndef PIPIT_LM3S6965EVB_FLASH_H
#define PIPIT_LM3S6965EVB_FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLASH_PAGE 1024 // bytes

// Addresses of the flash itself. Wait until it is done; the processor stands still then, since its program lies there
// too: 20 us for a word, 20 ms for a page. False when the controller does not finish; whether the bytes are there only
// reading tells.
bool flash_program(uint32_t address, const uint8_t *bytes, size_t length); // both multiples of 4
bool flash_erase(uint32_t address);

#endif
