// Records in flash, one behind the other: the lower half of the journal, which knows nothing of what they mean. For
// services/users only; DESIGN.md argues it and has the bytes.
//
// The region is a ring of segments, each some erase units long and each with a sequence number of its own. Records are
// appended to the newest. The oldest is made free by records_step(), which hands its records one by one to
// journal_move() and then writes that the segment is done with.
#ifndef PIPIT_USERS_RECORDS_H
#define PIPIT_USERS_RECORDS_H

#include "../../app/limits.h"
#include "../../port/span.h"
#include <stdint.h>

#define JOURNAL_NAME  32  // bytes of the name of a setting or a blob
#define JOURNAL_VALUE 256 // bytes of a setting's value

enum record_kind {
    RECORD_ACCOUNT = 1,
    RECORD_SETTING = 2,
    RECORD_UNSET = 3, // a setting has its default again
    RECORD_BLOB = 4,
    RECORD_RETIRE = 5, // segments before this number are done with; the records' own
};

// One that was found. records_next() begins with {0}.
struct record {
    uint32_t sequence; // of its segment
    uint32_t end;      // where the next one may begin, from the beginning of the segment
    uint32_t at;       // its header, from the beginning of the region
    uint32_t check;    // CRC-32 of its header and body
    uint16_t length;   // bytes of its body
    uint8_t kind;
    bool damaged; // something that is no record lay between; set by records_next() and cleared by nobody
};

enum records_error {
    RECORDS_OK = 0,
    RECORDS_FULL = -1,   // nothing was written
    RECORDS_FAILED = -2, // the flash did not take it
    RECORDS_NONE = -3,   // there is no flash, or too little
};

// Finds the newest and the oldest segment; makes a first one where there is none. RECORDS_FAILED leaves the machine
// without a journal.
enum records_error records_start(void);

bool records_started(void);

/// Reading ///

// The next record in the order in which they were written, with a sound header. False behind the last one.
bool records_next(struct record *r);

// Header and body are what was written.
bool records_good(const struct record *r);

// Bytes of the body.
void records_read(const struct record *r, uint32_t offset, void *bytes, size_t length);

// Where it lies, in 16 bits; never 0.
uint16_t records_place(const struct record *r);

// The record of that place. False when there is no sound one.
bool records_at(uint16_t place, struct record *r);

// Bytes that a record with a body of `length` takes.
uint32_t records_size(size_t length);

/// Writing ///

// Appends a record whose body is `count` parts, and reads it back. `old` is the size of the one that it takes the place
// of, 0 for none. Frees a bounded piece of the oldest segment on its way when room is getting short.
enum records_error records_append(enum record_kind kind, const struct span *parts, size_t count, uint32_t old,
                                  uint16_t *place);

// The same for journal_move(): room is set aside for it, and nothing is freed on the way.
bool records_write(enum record_kind kind, const struct span *parts, size_t count, uint16_t *place);

// Writes a copy of the record.
bool records_copy(const struct record *r);

// One record of the oldest segment. False when there is nothing to be gained, or the flash failed.
bool records_step(void);

// Forgets all records at once and then erases what is left of them. False when some may be there still.
bool records_format(void);

// From journal.c: writes a record of the oldest segment again when it still counts. False when the flash failed.
bool journal_move(const struct record *r);

/// Figures ///

// Bytes of the records that count, as the journal knows them.
void records_count_live(uint32_t size);
void records_forget_live(uint32_t size);

uint32_t records_free_bytes(void);
uint32_t records_appended(void);
uint32_t records_reclaimed(void); // segments
uint32_t records_failures(void);
uint32_t records_least_erases(void); // of a segment, and the most
uint32_t records_most_erases(void);

#endif
