// HPACK: the same blocks, cut into different pieces and put together in buffers of different sizes, must tell the same
// story and leave the same table. What was told is encoded by our encoder and read back. The table is kept by a second,
// plain one on the side, which has to agree about every field that refers to it.
//
// The input: a byte each for the table, the acknowledged SETTINGS, the pieces and the buffer; then header blocks, each
// behind two bytes of length.
#include "../../services/proto/hpack.h"
#include <stdlib.h>
#include <string.h>

#define SETUP     4
#define PLAIN_MAX (HPACK_TABLE_MAX / HPACK_ENTRY)

// Of hpack.c: a literal that enters the dynamic table.
#define LITERAL_INDEXED 1

static void check(bool good)
{
    if (!good)
        abort();
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof number);
}

static uint64_t mix_span(uint64_t hash, struct span s)
{
    return mix_number(mix(hash, s.at, s.length), s.length);
}

/// Encoding what was told ///

// A field that the decoder gave has to come back from our encoder, in no more than it takes without any cleverness.
static void encode_and_read_back(const struct hpack_step *field)
{
    size_t size = field->name.length + field->value.length + 3 * (HPACK_INTEGER_BYTES + 1);
    uint8_t *coded = malloc(size);
    char *text = malloc(size + HPACK_ENTRY);
    struct hpack_decoder d;
    struct hpack_block b = hpack_block_in(coded, size);
    hpack_put(&b, field->name, field->value, field->never_indexed ? HPACK_NEVER_INDEXED : HPACK_WITHOUT_INDEXING);
    check(!b.cut && b.length > 0);
    hpack_begin(&d, NULL, 0);
    hpack_begin_block(&d, text, field->name.length + field->value.length, UINT32_MAX);
    struct hpack_step back = hpack_decode(&d, coded, b.length);
    check(back.event == HPACK_FIELD && back.consumed == b.length && hpack_end_block(&d) == HPACK_OK);
    check(span_equal(back.name, field->name) && span_equal(back.value, field->value));
    check(back.never_indexed == field->never_indexed);

    struct hpack_block short_by_one = hpack_block_in(coded, b.length - 1);
    hpack_put(&short_by_one, field->name, field->value,
              field->never_indexed ? HPACK_NEVER_INDEXED : HPACK_WITHOUT_INDEXING);
    check(short_by_one.cut && short_by_one.length == 0);
    free(coded);
    free(text);
}

/// A plain table ///

// Hashes and sizes of fields, newest first.
struct plain {
    struct {
        uint64_t hash;
        size_t size;
    } entries[PLAIN_MAX + 1];
    size_t count, size;
};

static uint64_t hash_field(const struct hpack_step *field)
{
    return mix_span(mix_span(1, field->name), field->value);
}

static void plain_shrink(struct plain *p, size_t max)
{
    while (p->size > max)
        p->size -= p->entries[--p->count].size;
}

static void plain_add(struct plain *p, const struct hpack_step *field, size_t max)
{
    size_t size = field->name.length + field->value.length + HPACK_ENTRY;
    plain_shrink(p, size > max ? 0 : max - size);
    if (size > max)
        return;
    memmove(&p->entries[1], &p->entries[0], p->count * sizeof p->entries[0]);
    p->entries[0].hash = hash_field(field);
    p->entries[0].size = size;
    p->count++;
    p->size += size;
}

// The decoder's table, entry by entry, read as a peer would.
static void check_table(const struct hpack_decoder *d, const struct plain *p)
{
    static char text[HPACK_TABLE_MAX];
    check(d->table.count == p->count && d->table.size == p->size);
    for (size_t i = 0; i <= p->count; i++) {
        size_t index = 62 + i;
        uint8_t bytes[3] = {(uint8_t)(0x80 | index), 0, 0};
        size_t length = 1;
        if (index >= 127) {
            bytes[0] = 0xFF;
            bytes[1] = (uint8_t)((index - 127) | 0x80);
            length = 3;
        }
        struct hpack_decoder reader = *d;
        reader.in_force = 0; // no update is due
        hpack_begin_block(&reader, text, sizeof text, UINT32_MAX);
        struct hpack_step step = hpack_decode(&reader, bytes, length);
        check(step.event == (i < p->count ? HPACK_FIELD : HPACK_FAILED));
        check(i == p->count || hash_field(&step) == p->entries[i].hash);
    }
}

/// A story ///

struct story {
    uint64_t told;
    struct plain *plain; // kept only where every field is told whole and bytes come one by one
    size_t buffer;
    size_t piece;
    uint32_t limit;
};

static void tell(struct story *s, struct hpack_decoder *d, const struct hpack_step *step)
{
    size_t length = step->name.length + step->value.length;
    s->told = mix_number(s->told, (uint64_t)step->event);
    if (step->event == HPACK_FIELD) {
        check(length <= s->buffer);
        check(step->value.at == step->name.at + step->name.length);
        s->told = mix_number(mix_number(s->told, hash_field(step)), step->never_indexed);
        if (s->plain != NULL)
            encode_and_read_back(step);
    } else if (step->event == HPACK_FIELD_TOO_LARGE) {
        check(step->value.length == 0);
        s->told = mix_span(s->told, step->name);
    } else {
        check(length == 0);
        s->told = mix_number(s->told, step->error);
    }
    check(s->plain == NULL || step->event == HPACK_FIELD || step->event == HPACK_FAILED);
    if (s->plain != NULL && step->event == HPACK_FIELD && d->representation == LITERAL_INDEXED)
        plain_add(s->plain, step, d->table.max);
}

// Decodes one arrival from memory of exactly its length. False once it failed.
static bool arrive(struct story *s, struct hpack_decoder *d, const uint8_t *bytes, size_t length)
{
    uint8_t *exact = malloc(length);
    bool more = true;
    memcpy(exact, bytes, length);
    for (size_t at = 0; more;) {
        struct hpack_step step = hpack_decode(d, exact + at, length - at);
        check(step.consumed <= length - at);
        at += step.consumed;
        if (step.event == HPACK_NEED_MORE) {
            check(at == length);
            break;
        }
        check(step.consumed > 0);
        tell(s, d, &step);
        if (step.event == HPACK_FAILED) {
            check(step.error != HPACK_OK && hpack_end_block(d) == step.error);
            step = hpack_decode(d, exact, length);
            check(step.event == HPACK_FAILED && step.consumed == 0);
            more = false;
        }
        check(d->table.size <= d->table.max && d->table.max <= d->table.capacity);
    }
    free(exact);
    return more;
}

static bool tell_block(struct story *s, struct hpack_decoder *d, const uint8_t *bytes, size_t length)
{
    char *buffer = malloc(s->buffer);
    bool good = true;
    hpack_begin_block(d, buffer, s->buffer, s->limit);
    for (size_t at = 0, n; good && at < length; at += n) {
        n = s->piece < length - at ? s->piece : length - at;
        good = arrive(s, d, bytes + at, n);
        if (s->plain != NULL)
            plain_shrink(s->plain, d->table.max);
    }
    enum hpack_error error = hpack_end_block(d);
    s->told = mix_number(s->told, error);
    check(good || error != HPACK_OK);
    free(buffer);
    return error == HPACK_OK;
}

// All blocks of the input. The hash is that of the story and of the table that it left.
static uint64_t tell_all(const uint8_t *data, size_t size, size_t buffer, size_t piece, uint32_t limit, bool plainly)
{
    static struct plain plain;
    static const uint32_t acknowledged[] = {4096, 0, 100, 1000, 65536};
    size_t capacity = data[0] * 16u + data[0] % 16u / 4u * 4u;
    uint8_t *memory = malloc(capacity);
    struct story s = {.buffer = buffer, .piece = piece, .limit = limit, .plain = plainly ? &plain : NULL};
    struct hpack_decoder d;
    bool good = true;
    memset(&plain, 0, sizeof plain);
    hpack_begin(&d, memory, capacity);
    for (size_t at = SETUP; good && size - at >= 2;) {
        size_t length = (size_t)(data[at] << 8 | data[at + 1]);
        at += 2;
        length = length < size - at ? length : size - at;
        good = tell_block(&s, &d, data + at, length);
        at += length;
        if (good && plainly)
            check_table(&d, &plain);
        hpack_acknowledged(&d, acknowledged[data[1] % 5]);
    }
    if (good)
        s.told = mix_number(mix_number(s.told, d.table.count), d.table.size);
    free(memory);
    return s.told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETUP)
        return 0;
    size_t piece = 1u + data[2], buffer = data[3];
    size_t ample = HPACK_TABLE_MAX + 2 * size; // for any field: a name out of the table, and text of five bits a letter
    uint64_t whole = tell_all(data, size, ample, 1, UINT32_MAX, true);
    check(tell_all(data, size, ample, SIZE_MAX, UINT32_MAX, false) == whole);
    check(tell_all(data, size, ample, piece, UINT32_MAX, false) == whole);

    uint64_t tight = tell_all(data, size, buffer, SIZE_MAX, 16u * data[3], false);
    check(tell_all(data, size, buffer, 1, 16u * data[3], false) == tight);
    check(tell_all(data, size, buffer, piece, 16u * data[3], false) == tight);
    return 0;
}
