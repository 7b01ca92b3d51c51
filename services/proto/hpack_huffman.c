// The Huffman code of RFC 7541, appendix B.
//
// It is canonical: codes of one length follow each other in the order of their symbols, and a longer code is always the
// greater one. So the order of the symbols and the lengths are the whole code, and 700 bytes hold what a decoder that
// looks up half bytes would want 16 KB for.
#include "hpack_private.h"

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))
#define EOS      256 // the last of all codes

// All codes of one length. length: bits; rank: of the first, counted over all codes in their order; code: the first,
// moved up to bit 31.
struct row {
    uint8_t length;
    uint8_t rank;
    uint32_t code;
};

static const struct row rows[] = {
    {5, 0, 0x00000000},    {6, 10, 0x50000000},   {7, 36, 0xb8000000},   {8, 68, 0xf8000000},   {10, 74, 0xfe000000},
    {11, 79, 0xff400000},  {12, 82, 0xffa00000},  {13, 84, 0xffc00000},  {14, 90, 0xfff00000},  {15, 92, 0xfff80000},
    {19, 95, 0xfffe0000},  {20, 98, 0xfffe6000},  {21, 106, 0xfffee000}, {22, 119, 0xffff4800}, {23, 145, 0xffffb000},
    {24, 174, 0xffffea00}, {25, 186, 0xfffff600}, {26, 190, 0xfffff800}, {27, 205, 0xfffffbc0}, {28, 224, 0xfffffe20},
    {30, 253, 0xfffffff0},
};

// In the order of their codes. EOS would follow.
static const uint8_t symbols[256] = {
    48,  49,  50,  97,  99,  101, 105, 111, 115, 116, 32,  37,  45,  46,  47,  51,  52,  53,  54,  55,  56,  57,
    61,  65,  95,  98,  100, 102, 103, 104, 108, 109, 110, 112, 114, 117, 58,  66,  67,  68,  69,  70,  71,  72,
    73,  74,  75,  76,  77,  78,  79,  80,  81,  82,  83,  84,  85,  86,  87,  89,  106, 107, 113, 118, 119, 120,
    121, 122, 38,  42,  44,  59,  88,  90,  33,  34,  40,  41,  63,  39,  43,  124, 35,  62,  0,   36,  64,  91,
    93,  126, 94,  125, 60,  96,  123, 92,  195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172,
    176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170,
    173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1,   135, 137, 138, 139, 140, 141, 143, 147,
    149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9,   142,
    144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205, 210, 213,
    218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250,
    251, 252, 253, 254, 2,   3,   4,   5,   6,   7,   8,   11,  12,  14,  15,  16,  17,  18,  19,  20,  21,  23,
    24,  25,  26,  27,  28,  29,  30,  31,  127, 220, 249, 10,  13,  22,
};

// Where each symbol stands in that order.
static const uint8_t ranks[256] = {
    84,  145, 224, 225, 226, 227, 228, 229, 230, 174, 253, 231, 232, 254, 233, 234, 235, 236, 237, 238, 239, 240,
    255, 241, 242, 243, 244, 245, 246, 247, 248, 249, 10,  74,  75,  82,  85,  11,  68,  79,  76,  77,  69,  80,
    70,  12,  13,  14,  0,   1,   2,   15,  16,  17,  18,  19,  20,  21,  36,  71,  92,  22,  83,  78,  86,  23,
    37,  38,  39,  40,  41,  42,  43,  44,  45,  46,  47,  48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  58,
    72,  59,  73,  87,  95,  88,  90,  24,  93,  3,   25,  4,   26,  5,   27,  28,  29,  6,   60,  61,  30,  31,
    32,  7,   33,  62,  34,  8,   9,   35,  63,  64,  65,  66,  67,  94,  81,  91,  89,  250, 98,  119, 99,  100,
    120, 121, 122, 146, 123, 147, 148, 149, 150, 151, 175, 152, 176, 177, 124, 153, 178, 154, 155, 156, 157, 106,
    125, 158, 126, 159, 160, 179, 127, 107, 101, 128, 129, 161, 162, 108, 163, 130, 131, 180, 109, 132, 164, 165,
    110, 111, 133, 112, 166, 134, 167, 168, 102, 135, 136, 137, 169, 138, 139, 170, 190, 191, 103, 96,  140, 171,
    141, 186, 192, 193, 194, 205, 206, 195, 181, 187, 97,  113, 196, 207, 208, 197, 209, 182, 114, 115, 198, 199,
    251, 210, 211, 212, 104, 183, 105, 116, 142, 117, 118, 172, 143, 144, 188, 189, 184, 185, 200, 173, 201, 213,
    202, 203, 214, 215, 216, 217, 218, 252, 219, 220, 221, 222, 223, 204,
};

/// Decoding ///

// The row of the code that `window` begins with.
static const struct row *row_of_code(uint32_t window)
{
    size_t r = 0;
    while (r + 1 < COUNT(rows) && window >= rows[r + 1].code)
        r++;
    return &rows[r];
}

// Takes one symbol off the front of the lowest `count` bits: 0 to EOS, or -1 when they don't make one. Behind the bits
// the window is filled with zeros; that can't make a code of bits that are none, for no code begins another.
static int take_symbol(uint64_t bits, uint8_t *count)
{
    uint32_t window = (uint32_t)(*count <= 32 ? bits << (32 - *count) : bits >> (*count - 32));
    const struct row *row = row_of_code(window);
    if (row->length > *count)
        return -1;
    *count = (uint8_t)(*count - row->length);
    uint32_t rank = row->rank + ((window - row->code) >> (32 - row->length));
    return rank == EOS ? EOS : symbols[rank];
}

// At most 29 bits are left over between two bytes: with 30 every code is whole.
long hpack_huffman_decode(struct hpack_huffman *h, const uint8_t *bytes, size_t length, char *out)
{
    long symbols_out = 0;
    for (size_t i = 0; i < length; i++) {
        uint64_t bits = (uint64_t)h->bits << 8 | bytes[i];
        uint8_t count = (uint8_t)(h->count + 8);
        for (int symbol; (symbol = take_symbol(bits, &count)) >= 0; bits &= (UINT64_C(1) << count) - 1) {
            if (symbol == EOS)
                return -1;
            out[symbols_out++] = (char)symbol;
        }
        *h = (struct hpack_huffman){(uint32_t)bits, count};
    }
    return symbols_out;
}

bool hpack_huffman_padded(const struct hpack_huffman *h)
{
    return h->count < 8 && h->bits == (1u << h->count) - 1;
}

/// Encoding ///

static const struct row *row_of_rank(uint8_t rank)
{
    size_t r = 0;
    while (r + 1 < COUNT(rows) && rank >= rows[r + 1].rank)
        r++;
    return &rows[r];
}

size_t hpack_huffman_length(struct span s)
{
    size_t bits = 0;
    for (size_t i = 0; i < s.length; i++)
        bits += row_of_rank(ranks[(uint8_t)s.at[i]])->length;
    return (bits + 7) / 8;
}

void hpack_huffman_encode(struct span s, uint8_t *out)
{
    uint64_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < s.length; i++) {
        uint8_t rank = ranks[(uint8_t)s.at[i]];
        const struct row *row = row_of_rank(rank);
        bits = bits << row->length | ((row->code >> (32 - row->length)) + rank - row->rank);
        for (count += row->length; count >= 8; count -= 8)
            *out++ = (uint8_t)(bits >> (count - 8));
    }
    if (count > 0) // the first bits of EOS (section 5.2)
        *out = (uint8_t)(bits << (8 - count) | 0xFFu >> count);
}
