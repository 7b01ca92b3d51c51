// For boards that have no place to keep a seed of their own.
#include "board.h"
#include <string.h>

bool board_seed(uint8_t seed[32])
{
    memset(seed, 0, 32);
    return false;
}
