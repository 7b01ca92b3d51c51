// HPACK, the header compression of HTTP/2 (RFC 7541): bytes in, header fields out, and back. No I/O, no clock, no
// allocation.
//
// The decoder takes a header block in pieces of any size (HEADERS and CONTINUATION cut it anywhere) and tells one field
// after the other. A field is put together in a buffer of the caller's; one that does not fit is told as too large and
// its text thrown away, while the dynamic table takes it as the peer believes it does. The dynamic table lives in
// memory of the caller's, from 0 to HPACK_TABLE_MAX bytes, entries and their text in one ring.
//
// The encoder writes fields from the static table and as literals, Huffman-coded where that is shorter. It never uses
// the peer's dynamic table, so it needs no memory at all.
//
// What names and values may contain is not asked here: RFC 9113 section 8.2 is the business of HTTP/2.
#ifndef PIPIT_HPACK_H
#define PIPIT_HPACK_H

#include "../../port/span.h"

#define HPACK_TABLE_MAX     4096  // bytes of a dynamic table; RFC 9113 section 6.5.2 starts every connection with it
#define HPACK_LIST_MAX      65536 // bytes that the fields of one block may come to before the decoder gives up
#define HPACK_ENTRY         32    // bytes that a field counts beside its name and value (section 4.1)
#define HPACK_UPDATES_MAX   2     // table size updates in front of a block (section 4.2)
#define HPACK_INTEGER_BYTES 5     // octets of an integer: more than 28 bits mean nothing to us (section 5.1)

// Why a block cannot be decoded. All of them are COMPRESSION_ERROR, an end of the connection (RFC 9113 section 4.3).
enum hpack_error {
    HPACK_OK,
    HPACK_BAD_INDEX,      // 0, or in neither table (sections 2.3.3 and 6.1)
    HPACK_BAD_INTEGER,    // longer than HPACK_INTEGER_BYTES octets
    HPACK_BAD_HUFFMAN,    // EOS, or a padding that is too long or not of ones (section 5.2)
    HPACK_BAD_UPDATE,     // a table size update behind a field, a third one, or above what SETTINGS allow (section 6.3)
    HPACK_MISSING_UPDATE, // a smaller table was acknowledged and the block does not begin with it (section 4.2)
    HPACK_BAD_STRING,     // longer than HPACK_LIST_MAX
    HPACK_BOMB,           // the fields of the block came to more than HPACK_LIST_MAX
    HPACK_TRUNCATED,      // the block ended inside a field
};

// A few words on an error, for the log and for GOAWAY.
const char *hpack_reason(enum hpack_error error);

/// Decoder ///

enum hpack_event {
    HPACK_NEED_MORE,       // everything was consumed
    HPACK_FIELD,           // a field, `name` and `value`
    HPACK_FIELD_TOO_LARGE, // a field that the buffer could not hold; `name` is there when at least that did fit
    HPACK_LIST_TOO_LARGE,  // the list passed its limit with this field: it and those behind it are not told
    HPACK_FAILED,          // see `error`
};

enum hpack_state {
    HPACK_AT_BLOCK, // in front of the first field: a table size update may come
    HPACK_AT_FIELD,
    HPACK_IN_INDEX, // of a field or of its name; or the size in a table size update
    HPACK_AT_NAME_LENGTH,
    HPACK_IN_NAME_LENGTH,
    HPACK_IN_NAME,
    HPACK_AT_VALUE_LENGTH,
    HPACK_IN_VALUE_LENGTH,
    HPACK_IN_VALUE,
    HPACK_BROKEN,
};

#define HPACK_MILESTONES 16

// The dynamic table (section 2.3.2); hpack_table.c knows how it is laid out.
struct hpack_table {
    uint8_t *memory;
    uint16_t capacity; // bytes at `memory`
    uint16_t max;      // bytes that the entries may count together, at most `capacity`
    uint16_t size;     // bytes that they do count
    uint16_t count;    // entries
    uint16_t next;     // the running number of the entry to come
    uint16_t oldest;   // where the oldest entry begins
    uint16_t head;     // where the entry to come begins
    uint16_t milestones[HPACK_MILESTONES];
    uint32_t pending; // bytes of text that the entry to come has so far, also those that found no room
};

// Bits of Huffman code that do not make a whole symbol yet.
struct hpack_huffman {
    uint32_t bits;
    uint8_t count;
};

struct hpack_decoder {
    struct hpack_table table;
    struct hpack_huffman huffman;
    char *buffer;
    uint32_t buffer_size;
    uint32_t list_limit;
    uint32_t list_size;    // of the block's fields so far, told or not
    uint32_t allowed;      // the table size that SETTINGS allow the peer
    uint32_t lowest;       // the lowest one since the peer's last update
    uint32_t in_force;     // the table size that the peer works with
    uint32_t integer;      // the one being read
    uint32_t left;         // octets of the string that are still to come
    uint32_t name_length;  // of the field under way, also what was thrown away
    uint32_t value_length; // likewise
    uint32_t kept;         // bytes of the field under way in the buffer
    uint8_t state;         // enum hpack_state
    uint8_t error;         // enum hpack_error
    uint8_t octets;        // of the integer being read
    uint8_t updates;       // table size updates in front of this block
    uint8_t representation;
    bool huffman_coded; // the string under way
};

struct hpack_step {
    enum hpack_event event;
    size_t consumed;        // bytes taken from the input
    struct span name;       // in the buffer of hpack_begin_block(), until the next call
    struct span value;      // likewise, right behind the name
    bool never_indexed;     // a secret: who passes it on does not index it either (section 6.2.3)
    enum hpack_error error; // HPACK_FAILED
};

// A new connection's decoder. `memory` has `capacity` bytes: a multiple of 4, at most HPACK_TABLE_MAX, and it may be
// none at all (NULL, 0).
//
// Announce `capacity` as SETTINGS_HEADER_TABLE_SIZE. Until the peer has acknowledged that, it works with 4,096 bytes. A
// decoder that has less then keeps the newest of the peer's entries, as many as fit; a reference to one that it had to
// drop is HPACK_BAD_INDEX. A client knows no such time: a server sees its SETTINGS before its first request.
void hpack_begin(struct hpack_decoder *d, uint8_t *memory, size_t capacity);

// The peer has acknowledged SETTINGS with this SETTINGS_HEADER_TABLE_SIZE. When that is less than it works with, its
// next block has to begin with an update to that or less, also when another SETTINGS has raised it again meanwhile
// (section 4.2). A decoder without memory does not insist on it: many small encoders, which never index, send none, and
// where nothing is kept nothing can get out of step; a reference to an entry is HPACK_BAD_INDEX there in any case.
// Never inside a block.
void hpack_acknowledged(struct hpack_decoder *d, uint32_t table_size);

// A header block begins. Its fields are put together in `buffer`, one over the other, which stays lent until
// hpack_end_block(). `list_limit` is our SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 for each field (RFC 9113
// section 6.5.2).
void hpack_begin_block(struct hpack_decoder *d, char *buffer, size_t size, uint32_t list_limit);

// Decodes up to the next event. Call it with what is left until it says HPACK_NEED_MORE. After HPACK_FAILED every call
// answers the same and consumes nothing.
//
// A list above its limit is not an error of HPACK: answer 431 and go on decoding, or the table is lost (RFC 9113
// section 10.5.1). The decoder tells HPACK_LIST_TOO_LARGE once and copies nothing more, but into its table. Work in a
// block is bounded: by its length, and by HPACK_LIST_MAX bytes of fields, which is where a bomb ends as an error.
struct hpack_step hpack_decode(struct hpack_decoder *d, const uint8_t *bytes, size_t length);

// The block is over (END_HEADERS). HPACK_OK, or why the connection has to end: what failed before, or HPACK_TRUNCATED.
enum hpack_error hpack_end_block(struct hpack_decoder *d);

/// Encoder ///

// A header block being written into a buffer of the caller's.
struct hpack_block {
    uint8_t *at;
    size_t size;
    size_t length;
    bool cut; // something did not fit; from then on nothing is written, and what is there must not be sent
};

enum hpack_indexing {
    HPACK_WITHOUT_INDEXING,
    HPACK_NEVER_INDEXED, // a secret: authorization, a token, a cookie (section 7.1.3). No proxy on the way compresses
                         // it.
};

struct hpack_block hpack_block_in(uint8_t *buffer, size_t size);

// A dynamic table size update (section 6.3), in front of all fields. Write one of 0 into the first block of a
// connection: it lets the peer give its table's memory back, it answers whatever size the peer's SETTINGS ask for, and
// no later one has to be answered.
void hpack_put_table_size(struct hpack_block *b, uint32_t size);

// A field: whole, or `cut`. A field of the static table becomes its index, if it is not HPACK_NEVER_INDEXED. Names are
// in lower case already (RFC 9113 section 8.2). Spans are at most 2^24 bytes long.
void hpack_put(struct hpack_block *b, struct span name, struct span value, enum hpack_indexing indexing);

#endif
