// What hpack.c, hpack_table.c and hpack_huffman.c share; nobody else includes it.
#ifndef PIPIT_HPACK_PRIVATE_H
#define PIPIT_HPACK_PRIVATE_H

#include "hpack.h"

#define HPACK_STATIC_ENTRIES 61

/// hpack_table.c ///

// An entry of either table. In the dynamic one text may go over the end of the ring: then it has a second half.
struct hpack_entry {
    struct span name[2];
    struct span value[2];
};

// The entry with an index of section 2.3.3; false when there is none. The dynamic table's text stays in place until
// another entry grows over it.
bool hpack_table_find(const struct hpack_table *t, uint32_t index, struct hpack_entry *entry);

// The index of a field in the static table, or of a field with its name (then `whole` is false), or 0.
uint32_t hpack_static_find(struct span name, struct span value, bool *whole);

void hpack_table_init(struct hpack_table *t, uint8_t *memory, size_t capacity);

// Section 4.3.
void hpack_table_resize(struct hpack_table *t, uint32_t max);

// A new entry: begin, its text in pieces (name, then value), end. The text goes straight into the ring. Older entries
// leave as the new one grows, which are in the end the same that section 4.4 makes leave at once. `bytes` may be the
// name of an entry that leaves.
void hpack_table_begin(struct hpack_table *t);
void hpack_table_add(struct hpack_table *t, const char *bytes, size_t length);
void hpack_table_end(struct hpack_table *t, size_t name_length);

/// hpack_huffman.c ///

// A byte of Huffman code ends at most that many symbols: the shortest have five bits, and of two in one byte the second
// begins in it.
#define HPACK_HUFFMAN_SYMBOLS 2

// Decodes `length` bytes into `out`, which has room for HPACK_HUFFMAN_SYMBOLS a byte. The number of symbols, or -1 for
// EOS.
long hpack_huffman_decode(struct hpack_huffman *h, const uint8_t *bytes, size_t length, char *out);

// The string ends here: true when what is left over is a padding (section 5.2).
bool hpack_huffman_padded(const struct hpack_huffman *h);

// Bytes of Huffman code for `s`, and that code.
size_t hpack_huffman_length(struct span s);
void hpack_huffman_encode(struct span s, uint8_t *out);

#endif
