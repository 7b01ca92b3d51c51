// The history ring: the last events, each kept once per wire format as a finished, unmasked WebSocket frame.
//
// Events are numbered from 1 on without gaps. Frames of one format lie behind one another, so that many of them can be
// sent as one piece of memory; none is split at the ring's end. An event is kept until room is needed for a new one.
#ifndef PIPIT_RING_H
#define PIPIT_RING_H

#include "../../app/limits.h"
#include "../../port/span.h"

enum ring_format { RING_TEXT, RING_JSON, RING_FORMATS };

// Who an event is for: two members (see client.h's `who`), or everybody when the first is RING_EVERYBODY.
#define RING_EVERYBODY 0
struct ring_audience {
    uint32_t who[2];
};

// Ids of the oldest event kept and of the newest; oldest is newest + 1 when nothing is kept, newest 0 at the start.
uint64_t ring_oldest(void);
uint64_t ring_newest(void);

// True when frames of these lengths fit without losing an event.
bool ring_fits(const size_t lengths[RING_FORMATS]);

// The oldest event that would be left once frames of these lengths have got their place.
uint64_t ring_oldest_beside(const size_t lengths[RING_FORMATS]);

// Loses the oldest event. Its bytes may be overwritten by the next ring_append().
void ring_evict(void);

// Keeps an event whose frames, of these lengths, must fit, and returns its id. The caller writes each frame to where
// `at` says, before anything else asks the ring.
uint64_t ring_append(const size_t lengths[RING_FORMATS], struct ring_audience audience, uint8_t *at[RING_FORMATS]);

// The longest piece of memory that holds frames for `who`, from event `*next` on, whole ones and at most `most` bytes
// of them; moves `*next` behind it, and past events that are for others. Empty when there is nothing, or when the
// first frame alone is longer than `most`; then `*wanted` is its length, else 0. `*events` counts the frames.
struct span ring_run(enum ring_format format, uint32_t who, uint64_t *next, size_t most, size_t *wanted,
                     uint32_t *events);

// The memory of events `from` up to and without `to`, which are all kept, in at most two pieces.
void ring_memory(enum ring_format format, uint64_t from, uint64_t to, struct span pieces[2]);

#endif
