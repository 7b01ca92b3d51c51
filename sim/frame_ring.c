#include "frame_ring.h"
#include <string.h>

#define RING_BYTES (4u << 20)

// A frame never wraps around: a record that does not fit before the end starts over at 0, and a record of length 0
// says so. Records are aligned, so there is always room for that mark.
struct record {
    uint32_t length;
    uint8_t bytes[];
};

static _Alignas(8) uint8_t ring[RING_BYTES];
static size_t head; // oldest record
static size_t tail; // where the next one goes; head == tail means empty

_Static_assert(RING_BYTES % 8 == 0, "the ring must end on a record's boundary");

static size_t record_size(size_t length)
{
    return (sizeof(struct record) + length + 7) & ~(size_t)7;
}

static struct record *record_at(size_t offset)
{
    return (struct record *)(void *)(ring + offset);
}

// Where a record of `size` bytes fits, or RING_BYTES when it fits nowhere. `tail` must never catch up with `head`.
static size_t place(size_t size)
{
    if (tail < head)
        return size < head - tail ? tail : RING_BYTES;
    if (size < RING_BYTES - tail)
        return tail;
    return size < head ? 0 : RING_BYTES;
}

bool frame_ring_put(const void *bytes, size_t length)
{
    size_t at = length > 0 && length < RING_BYTES / 2 ? place(record_size(length)) : RING_BYTES;
    if (at == RING_BYTES)
        return false;
    if (at != tail)
        record_at(tail)->length = 0;
    record_at(at)->length = (uint32_t)length;
    memcpy(record_at(at)->bytes, bytes, length);
    tail = at + record_size(length);
    return true;
}

bool frame_ring_take(const uint8_t **bytes, size_t *length)
{
    if (head == tail)
        return false;
    if (record_at(head)->length == 0)
        head = 0;
    *bytes = record_at(head)->bytes;
    *length = record_at(head)->length;
    head += record_size(*length);
    return true;
}

bool frame_ring_waits(void)
{
    return head != tail;
}
