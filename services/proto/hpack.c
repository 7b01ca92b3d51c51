#include "hpack_private.h"
#include <string.h>

#define HUFFMAN         0x80 // first octet of a string (section 5.2)
#define STRING_PREFIX   7
#define CONTINUED       0x80 // an octet of an integer that is not its last (section 5.1)
#define PIECE           32   // bytes of Huffman code decoded in one go
#define SPAN_MAX        (1u << 24)
#define INTEGER_PUT_MAX 6 // octets that an integer of 32 bits can take
#define COUNT(A)        (sizeof(A) / sizeof((A)[0]))

_Static_assert(sizeof(struct hpack_decoder) <= 160, "an HPACK decoder outgrew its 160 bytes; every connection has one");

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

const char *hpack_reason(enum hpack_error error)
{
    static const char *const reasons[] = {
        [HPACK_OK] = "no error",
        [HPACK_BAD_INDEX] = "no such table entry",
        [HPACK_BAD_INTEGER] = "integer too long",
        [HPACK_BAD_HUFFMAN] = "bad Huffman code",
        [HPACK_BAD_UPDATE] = "bad table size update",
        [HPACK_MISSING_UPDATE] = "table size update missing",
        [HPACK_BAD_STRING] = "string too long",
        [HPACK_BOMB] = "header list far too large",
        [HPACK_TRUNCATED] = "header block ended inside a field",
    };
    return (size_t)error < COUNT(reasons) ? reasons[error] : "unknown";
}

/// Representations (section 6) ///

enum representation {
    INDEXED,
    LITERAL_INDEXED, // a literal that enters the dynamic table
    TABLE_SIZE,
    LITERAL_NEVER_INDEXED,
    LITERAL,
    REPRESENTATIONS,
};

static void take_indexed(struct hpack_decoder *d, struct hpack_step *step);
static void begin_literal(struct hpack_decoder *d, struct hpack_step *step);
static void update_table_size(struct hpack_decoder *d, struct hpack_step *step);

// pattern: the bits that the first octet begins with, also the least octet of this kind, so the first row that is not
// above an octet is its own; prefix: bits of that octet that belong to the integer; act: called when that is whole.
static const struct {
    uint8_t pattern;
    uint8_t prefix;
    void (*act)(struct hpack_decoder *d, struct hpack_step *step);
} representations[REPRESENTATIONS] = {
    [INDEXED] = {0x80, 7, take_indexed},         [LITERAL_INDEXED] = {0x40, 6, begin_literal},
    [TABLE_SIZE] = {0x20, 5, update_table_size}, [LITERAL_NEVER_INDEXED] = {0x10, 4, begin_literal},
    [LITERAL] = {0x00, 4, begin_literal},
};

static uint8_t representation_of(uint8_t octet)
{
    uint8_t kind = INDEXED;
    while (octet < representations[kind].pattern)
        kind++;
    return kind;
}

/// State ///

static void enter(struct hpack_decoder *d, enum hpack_state state)
{
    d->state = (uint8_t)state;
    d->octets = 0;
    if (state == HPACK_IN_NAME || state == HPACK_IN_VALUE)
        d->huffman = (struct hpack_huffman){0};
}

static void report_failure(const struct hpack_decoder *d, struct hpack_step *step)
{
    *step = (struct hpack_step){.event = HPACK_FAILED, .consumed = step->consumed};
    step->error = (enum hpack_error)d->error;
}

static void fail(struct hpack_decoder *d, struct hpack_step *step, enum hpack_error error)
{
    d->error = (uint8_t)error;
    enter(d, HPACK_BROKEN);
    report_failure(d, step);
}

void hpack_begin(struct hpack_decoder *d, uint8_t *memory, size_t capacity)
{
    memset(d, 0, sizeof *d);
    hpack_table_init(&d->table, memory, capacity);
    d->allowed = d->lowest = d->in_force = HPACK_TABLE_MAX;
    enter(d, HPACK_AT_BLOCK);
}

static bool between_fields(const struct hpack_decoder *d)
{
    return d->state == HPACK_AT_BLOCK || d->state == HPACK_AT_FIELD;
}

void hpack_begin_block(struct hpack_decoder *d, char *buffer, size_t size, uint32_t list_limit)
{
    d->buffer = buffer;
    d->buffer_size = (uint32_t)least(size, HPACK_LIST_MAX);
    d->list_limit = list_limit;
    d->list_size = 0;
    d->updates = 0;
    if (between_fields(d))
        enter(d, HPACK_AT_BLOCK);
}

enum hpack_error hpack_end_block(struct hpack_decoder *d)
{
    struct hpack_step step = {.event = HPACK_NEED_MORE};
    if (d->state != HPACK_BROKEN && !between_fields(d))
        fail(d, &step, HPACK_TRUNCATED);
    return (enum hpack_error)d->error;
}

/// Table size (sections 4.2 and 6.3) ///

void hpack_acknowledged(struct hpack_decoder *d, uint32_t table_size)
{
    d->allowed = table_size;
    if (table_size < d->lowest)
        d->lowest = table_size;
}

// Settings may have gone down and up again since the last block; then the lowest has to be signalled too.
static bool update_due(const struct hpack_decoder *d)
{
    return d->table.capacity > 0 && d->lowest < d->in_force;
}

static void update_table_size(struct hpack_decoder *d, struct hpack_step *step)
{
    uint32_t size = d->integer;
    d->updates++;
    if (size > d->allowed || d->updates > HPACK_UPDATES_MAX) {
        fail(d, step, HPACK_BAD_UPDATE);
        return;
    }
    if (!update_due(d) || size <= d->lowest)
        d->lowest = d->allowed;
    d->in_force = size;
    hpack_table_resize(&d->table, size);
    enter(d, HPACK_AT_BLOCK);
}

/// Fields ///

static void begin_field(struct hpack_decoder *d)
{
    d->name_length = d->value_length = d->kept = 0;
    hpack_table_begin(&d->table);
}

// What the list comes to with the field under way and `more` bytes of text.
static uint32_t list_size_with(const struct hpack_decoder *d, size_t more)
{
    return d->list_size + d->name_length + d->value_length + HPACK_ENTRY + (uint32_t)more;
}

// Takes text of the field under way; `part` is the length that it counts for. What is not going to be told is not
// copied, what goes into the table is.
static bool take_text(struct hpack_decoder *d, struct hpack_step *step, uint32_t *part, const char *text, size_t length)
{
    uint32_t before = d->name_length + d->value_length;
    uint32_t size = list_size_with(d, length);
    if (size > HPACK_LIST_MAX) {
        fail(d, step, HPACK_BOMB);
        return false;
    }
    if (length == 0)
        return true;
    if (d->kept == before && length <= d->buffer_size - before && size <= d->list_limit) {
        memcpy(d->buffer + before, text, length);
        d->kept += (uint32_t)length;
    }
    if (d->representation == LITERAL_INDEXED)
        hpack_table_add(&d->table, text, length);
    *part += (uint32_t)length;
    return true;
}

static void tell_field(const struct hpack_decoder *d, struct hpack_step *step)
{
    bool whole = d->kept == d->name_length + d->value_length;
    step->event = whole ? HPACK_FIELD : HPACK_FIELD_TOO_LARGE;
    step->never_indexed = d->representation == LITERAL_NEVER_INDEXED;
    if (d->kept >= d->name_length)
        step->name = (struct span){d->buffer, d->name_length};
    if (whole)
        step->value = (struct span){d->buffer + d->name_length, d->value_length};
}

static void end_field(struct hpack_decoder *d, struct hpack_step *step)
{
    bool told_already = d->list_size > d->list_limit;
    d->list_size = list_size_with(d, 0);
    if (d->list_size > HPACK_LIST_MAX) { // a field without any text was not asked about yet
        fail(d, step, HPACK_BOMB);
        return;
    }
    if (d->representation == LITERAL_INDEXED)
        hpack_table_end(&d->table, d->name_length);
    enter(d, HPACK_AT_FIELD);
    if (d->list_size <= d->list_limit)
        tell_field(d, step);
    else if (!told_already)
        step->event = HPACK_LIST_TOO_LARGE;
}

static bool take_halves(struct hpack_decoder *d, struct hpack_step *step, uint32_t *part, const struct span halves[2])
{
    return take_text(d, step, part, halves[0].at, halves[0].length) &&
           take_text(d, step, part, halves[1].at, halves[1].length);
}

static void take_indexed(struct hpack_decoder *d, struct hpack_step *step)
{
    struct hpack_entry entry;
    begin_field(d);
    if (!hpack_table_find(&d->table, d->integer, &entry))
        fail(d, step, HPACK_BAD_INDEX);
    else if (take_halves(d, step, &d->name_length, entry.name) && take_halves(d, step, &d->value_length, entry.value))
        end_field(d, step);
}

static void begin_literal(struct hpack_decoder *d, struct hpack_step *step)
{
    struct hpack_entry entry;
    begin_field(d);
    if (d->integer == 0)
        enter(d, HPACK_AT_NAME_LENGTH);
    else if (!hpack_table_find(&d->table, d->integer, &entry))
        fail(d, step, HPACK_BAD_INDEX);
    else if (take_halves(d, step, &d->name_length, entry.name))
        enter(d, HPACK_AT_VALUE_LENGTH);
}

/// Integers (section 5.1) ///

// Starts an integer with the low `prefix` bits of its first octet; true when that is all of it.
static bool begin_integer(struct hpack_decoder *d, uint8_t octet, uint8_t prefix)
{
    uint32_t most = (1u << prefix) - 1;
    d->integer = octet & most;
    d->octets = 1;
    return d->integer < most;
}

// Takes one more octet; true when the integer is whole. Four times seven bits and a prefix can't overflow.
static bool more_integer(struct hpack_decoder *d, struct hpack_step *step, uint8_t octet)
{
    d->integer += (uint32_t)(octet & ~CONTINUED) << (7 * (d->octets - 1));
    d->octets++;
    if (!(octet & CONTINUED))
        return true;
    if (d->octets == HPACK_INTEGER_BYTES)
        fail(d, step, HPACK_BAD_INTEGER);
    return false;
}

/// Strings (section 5.2) ///

static bool in_name(const struct hpack_decoder *d)
{
    return d->state < HPACK_AT_VALUE_LENGTH;
}

static void end_string(struct hpack_decoder *d, struct hpack_step *step)
{
    if (d->huffman_coded && !hpack_huffman_padded(&d->huffman))
        fail(d, step, HPACK_BAD_HUFFMAN);
    else if (in_name(d))
        enter(d, HPACK_AT_VALUE_LENGTH);
    else
        end_field(d, step);
}

static void begin_string(struct hpack_decoder *d, struct hpack_step *step)
{
    if (d->integer > HPACK_LIST_MAX) {
        fail(d, step, HPACK_BAD_STRING);
        return;
    }
    d->left = d->integer;
    enter(d, in_name(d) ? HPACK_IN_NAME : HPACK_IN_VALUE);
    if (d->left == 0)
        end_string(d, step);
}

static bool take_huffman(struct hpack_decoder *d, struct hpack_step *step, uint32_t *part, const uint8_t *bytes,
                         size_t length)
{
    char text[PIECE * HPACK_HUFFMAN_SYMBOLS];
    for (size_t at = 0, n; at < length; at += n) {
        n = least(length - at, PIECE);
        long symbols = hpack_huffman_decode(&d->huffman, bytes + at, n, text);
        if (symbols < 0) {
            fail(d, step, HPACK_BAD_HUFFMAN);
            return false;
        }
        if (!take_text(d, step, part, text, (size_t)symbols))
            return false;
    }
    return true;
}

/// Decoder: one function for each state ///

static void take_first(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    (void)length;
    uint8_t kind = representation_of(bytes[0]);
    step->consumed++;
    if (kind == TABLE_SIZE && d->state != HPACK_AT_BLOCK) {
        fail(d, step, HPACK_BAD_UPDATE);
        return;
    }
    if (kind != TABLE_SIZE && update_due(d)) {
        fail(d, step, HPACK_MISSING_UPDATE);
        return;
    }
    d->representation = kind;
    enter(d, HPACK_IN_INDEX);
    if (begin_integer(d, bytes[0], representations[kind].prefix))
        representations[kind].act(d, step);
}

static void take_index(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    (void)length;
    step->consumed++;
    if (more_integer(d, step, bytes[0]))
        representations[d->representation].act(d, step);
}

static void take_string_first(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    (void)length;
    step->consumed++;
    d->huffman_coded = (bytes[0] & HUFFMAN) != 0;
    enter(d, in_name(d) ? HPACK_IN_NAME_LENGTH : HPACK_IN_VALUE_LENGTH);
    if (begin_integer(d, bytes[0], STRING_PREFIX))
        begin_string(d, step);
}

static void take_string_length(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    (void)length;
    step->consumed++;
    if (more_integer(d, step, bytes[0]))
        begin_string(d, step);
}

static void take_string(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    uint32_t *part = in_name(d) ? &d->name_length : &d->value_length;
    size_t here = least(length, d->left);
    step->consumed += here;
    d->left -= (uint32_t)here;
    bool good = d->huffman_coded ? take_huffman(d, step, part, bytes, here)
                                 : take_text(d, step, part, (const char *)bytes, here);
    if (good && d->left == 0)
        end_string(d, step);
}

static void stay_broken(struct hpack_decoder *d, struct hpack_step *step, const uint8_t *bytes, size_t length)
{
    (void)bytes, (void)length;
    report_failure(d, step);
}

// state: what takes the bytes that come in it. Called with at least one; takes at least one, or fails.
static void (*const takers[])(struct hpack_decoder *, struct hpack_step *, const uint8_t *, size_t) = {
    [HPACK_AT_BLOCK] = take_first,
    [HPACK_AT_FIELD] = take_first,
    [HPACK_IN_INDEX] = take_index,
    [HPACK_AT_NAME_LENGTH] = take_string_first,
    [HPACK_IN_NAME_LENGTH] = take_string_length,
    [HPACK_IN_NAME] = take_string,
    [HPACK_AT_VALUE_LENGTH] = take_string_first,
    [HPACK_IN_VALUE_LENGTH] = take_string_length,
    [HPACK_IN_VALUE] = take_string,
    [HPACK_BROKEN] = stay_broken,
};

struct hpack_step hpack_decode(struct hpack_decoder *d, const uint8_t *bytes, size_t length)
{
    struct hpack_step step = {.event = HPACK_NEED_MORE};
    if (d->state == HPACK_BROKEN)
        report_failure(d, &step);
    while (step.event == HPACK_NEED_MORE && step.consumed < length)
        takers[d->state](d, &step, bytes + step.consumed, length - step.consumed);
    return step;
}

/// Encoder ///

struct hpack_block hpack_block_in(uint8_t *buffer, size_t size)
{
    return (struct hpack_block){.at = buffer, .size = size};
}

// Room for so many more bytes, or NULL.
static uint8_t *extend(struct hpack_block *b, size_t length)
{
    if (b->cut || length > b->size - b->length) {
        b->cut = true;
        return NULL;
    }
    uint8_t *at = b->at + b->length;
    b->length += length;
    return at;
}

static void put_integer(struct hpack_block *b, uint8_t pattern, uint8_t prefix, uint32_t value)
{
    uint8_t octets[INTEGER_PUT_MAX];
    uint32_t most = (1u << prefix) - 1;
    size_t length = 1;
    octets[0] = (uint8_t)(pattern | least(value, most));
    if (value >= most) {
        value -= most;
        for (; value >= CONTINUED; value >>= 7)
            octets[length++] = (uint8_t)(value | CONTINUED);
        octets[length++] = (uint8_t)value;
    }
    uint8_t *at = extend(b, length);
    if (at != NULL)
        memcpy(at, octets, length);
}

static void put_string(struct hpack_block *b, struct span s)
{
    if (s.length > SPAN_MAX) {
        b->cut = true;
        return;
    }
    size_t coded = hpack_huffman_length(s);
    bool shorter = coded < s.length;
    size_t length = shorter ? coded : s.length;
    put_integer(b, shorter ? HUFFMAN : 0, STRING_PREFIX, (uint32_t)length);
    uint8_t *at = extend(b, length);
    if (at == NULL)
        return;
    if (shorter)
        hpack_huffman_encode(s, at);
    else if (length > 0)
        memcpy(at, s.at, length);
}

static void put_index(struct hpack_block *b, enum representation kind, uint32_t index)
{
    put_integer(b, representations[kind].pattern, representations[kind].prefix, index);
}

void hpack_put_table_size(struct hpack_block *b, uint32_t size)
{
    put_index(b, TABLE_SIZE, size);
}

static void put_literal(struct hpack_block *b, enum representation kind, uint32_t index, struct span name,
                        struct span value)
{
    put_index(b, kind, index);
    if (index == 0)
        put_string(b, name);
    put_string(b, value);
}

void hpack_put(struct hpack_block *b, struct span name, struct span value, enum hpack_indexing indexing)
{
    bool whole;
    size_t before = b->length;
    uint32_t index = hpack_static_find(name, value, &whole);
    if (indexing == HPACK_NEVER_INDEXED)
        put_literal(b, LITERAL_NEVER_INDEXED, index, name, value);
    else if (whole)
        put_index(b, INDEXED, index);
    else
        put_literal(b, LITERAL, index, name, value);
    if (b->cut)
        b->length = before;
}
