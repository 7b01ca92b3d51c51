// The simulator's mem_malloc(): fixed sizes, constant time. Most of what is asked for are segment headers.
// A pool's size has 16 bits in lwIP, its own header included, and the last pool must be the largest: past 65,535 it
// wraps around, and what fits no pool, or finds the others empty, ends in an assertion instead of in ERR_MEM.
LWIP_MALLOC_MEMPOOL_START
LWIP_MALLOC_MEMPOOL(8192, 256)
LWIP_MALLOC_MEMPOOL(1024, 1800)
LWIP_MALLOC_MEMPOOL(64, 9000)
LWIP_MALLOC_MEMPOOL(64, 65520)
LWIP_MALLOC_MEMPOOL_END
