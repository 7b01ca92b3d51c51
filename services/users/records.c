#include "records.h"
#include "../../port/port.h"
#include "../../port/scratch.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define MAGIC         0x314a6950u // "PiJ1"
#define MARK          0xc1u       // no byte of UTF-8, so no name or email looks like the beginning of a record
#define HEAD          12u         // bytes of a record's header
#define TITLE         20u         // bytes of a segment's
#define WRITE_BYTES   512u        // programmed at once, a multiple of every program unit
#define ACCOUNT_MAX   (52u + NAME_MAX_BYTES + EMAIL_MAX_BYTES)
#define NAMED_MAX     (1u + JOURNAL_NAME + (JOURNAL_BLOB > JOURNAL_VALUE ? JOURNAL_BLOB : JOURNAL_VALUE))
#define BODY_MAX      (ACCOUNT_MAX > NAMED_MAX ? ACCOUNT_MAX : NAMED_MAX)
#define PLACES        65536u
#define SEQUENCE_MOST 0x7fffffffu // more than any flash can be erased
#define PRICE         4 // bytes of the oldest segment, at the least, that each new one pays for when room is short
#define RESERVE       3 // segments that only records_step() may begin, but for the first of them

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers lie in flash as they lie in memory");
_Static_assert(BODY_MAX <= UINT16_MAX, "a record's length has 16 bits");
_Static_assert(WRITE_BYTES <= SCRATCH_BYTES, "what is programmed at once is put together in the scratch memory");

struct title {
    uint32_t magic;
    uint32_t sequence;
    uint32_t erases;
    uint32_t segment; // bytes of one
    uint32_t check;
};

struct head {
    uint8_t mark;
    uint8_t kind;
    uint16_t length;
    uint16_t segment; // the low half of the segment's sequence number
    uint16_t parity;  // makes the exclusive or of the first eight bytes, as 16-bit numbers, 0xffff
    uint32_t check;
};

_Static_assert(sizeof(struct title) == TITLE && sizeof(struct head) == HEAD, "their layouts are in DESIGN.md");

// Offsets in a segment are counted from its beginning.
static struct {
    struct flash_geometry flash;
    uint32_t grain;    // records begin at multiples of it
    uint32_t segment;  // bytes of one
    uint32_t count;    // of them; 0: there is no journal
    uint32_t head;     // sequence number of the newest
    uint32_t tail;     // and of the oldest
    uint32_t position; // where the newest goes on
    uint32_t clean;    // how far the oldest is cleared
    uint32_t live;
    uint32_t appended;
    uint32_t reclaimed;
    uint32_t failures;
} ring;

/// Sums ///

static uint32_t crc32(uint32_t crc, const void *bytes, size_t length)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (const uint8_t *at = bytes; length > 0; at++, length--) {
        crc = table[(crc ^ *at) & 15] ^ crc >> 4;
        crc = table[(crc ^ *at >> 4) & 15] ^ crc >> 4;
    }
    return crc;
}

static uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/// Sizes ///

uint32_t records_size(size_t length)
{
    return round_up(HEAD + (uint32_t)length, ring.grain);
}

static uint32_t first_offset(void)
{
    return 2 * round_up(TITLE, ring.grain);
}

static uint32_t retire_size(void)
{
    return records_size(sizeof(uint32_t));
}

// What the records in a full segment come to at the least: the next one did not fit.
static uint32_t least_filled(void)
{
    return ring.segment - first_offset() - 2 * retire_size() - records_size(BODY_MAX) + ring.grain;
}

static uint32_t budget(void)
{
    return (ring.count - RESERVE - 2) * least_filled();
}

static uint32_t free_segments(void)
{
    return ring.count - (ring.head - ring.tail + 1);
}

static uint32_t base_of(uint32_t sequence)
{
    return sequence % ring.count * ring.segment;
}

/// Segments ///

static uint32_t title_check(const struct title *t)
{
    uint8_t bytes[TITLE - sizeof t->check];
    memcpy(bytes, t, sizeof bytes);
    return crc32(UINT32_MAX, bytes, sizeof bytes);
}

static bool read_title_at(uint32_t at, struct title *t)
{
    port_flash_read(at, t, TITLE);
    return t->magic == MAGIC && t->sequence - 1 < SEQUENCE_MOST && t->check == title_check(t);
}

// There are two, so that no single damage takes a segment.
static bool read_title(uint32_t index, struct title *t)
{
    uint32_t at = index * ring.segment;
    return (read_title_at(at, t) || read_title_at(at + first_offset() / 2, t)) && t->sequence % ring.count == index;
}

static bool is_open(uint32_t sequence)
{
    struct title t;
    return read_title(sequence % ring.count, &t) && t.sequence == sequence;
}

uint32_t records_most_erases(void)
{
    struct title t;
    uint32_t most = 0;
    for (uint32_t i = 0; i < ring.count; i++)
        if (read_title(i, &t) && t.erases > most)
            most = t.erases;
    return most;
}

uint32_t records_least_erases(void)
{
    struct title t;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < ring.count; i++) {
        uint32_t erases = read_title(i, &t) ? t.erases : 0;
        if (erases < least)
            least = erases;
    }
    return ring.count > 0 ? least : 0;
}

/// Programming ///

struct writer {
    uint8_t *buffer;
    uint32_t at;
    uint32_t used;
    bool good;
};

static void writer_flush(struct writer *w)
{
    uint32_t length = round_up(w->used, ring.flash.program_unit);
    memset(w->buffer + w->used, 0xff, length - w->used);
    w->good = w->good && (length == 0 || port_flash_program(w->at, w->buffer, length));
    w->at += length;
    w->used = 0;
}

static void writer_put(struct writer *w, const void *bytes, size_t length)
{
    for (const uint8_t *at = bytes; length > 0;) {
        size_t n = WRITE_BYTES - w->used < length ? WRITE_BYTES - w->used : length;
        memcpy(w->buffer + w->used, at, n);
        w->used += (uint32_t)n;
        at += n;
        length -= n;
        if (w->used == WRITE_BYTES)
            writer_flush(w);
    }
}

static struct writer writer_begin(uint32_t at)
{
    return (struct writer){.buffer = scratch_take(WRITE_BYTES), .at = at, .good = true};
}

static bool writer_end(struct writer *w)
{
    writer_flush(w);
    mbedtls_platform_zeroize(w->buffer, WRITE_BYTES); // it may have held a password's key
    scratch_give(w->buffer);
    return w->good;
}

static bool write_title(uint32_t sequence, uint32_t erases)
{
    struct title t = {MAGIC, sequence, erases, ring.segment, 0};
    t.check = title_check(&t);
    bool good = true;
    for (uint32_t i = 0; i < 2; i++) {
        struct writer w = writer_begin(base_of(sequence) + i * first_offset() / 2);
        writer_put(&w, &t, sizeof t);
        good &= writer_end(&w);
    }
    return good && is_open(sequence);
}

// It is always erased first: what looks erased may be the work of half an erase.
static bool erase(uint32_t index)
{
    bool good = true;
    for (uint32_t at = 0; at < ring.segment; at += ring.flash.erase_unit)
        good &= port_flash_erase(index * ring.segment + at);
    return good;
}

// Whoever has lost count goes by the neighbour: the ring has come round to this one as often, or once less.
static uint32_t erases_of(uint32_t index)
{
    struct title t;
    if (read_title(index, &t))
        return t.erases;
    return index > 0 && read_title(index - 1, &t) ? t.erases - 1 : records_most_erases();
}

static bool begin_segment(void)
{
    uint32_t next = ring.head + 1;
    uint32_t erases = erases_of(next % ring.count);
    if (!erase(next % ring.count) || !write_title(next, erases + 1))
        return false;
    ring.head = next;
    ring.position = first_offset();
    return true;
}

/// Reading ///

static bool is_sound(const struct head *h, const struct record *r)
{
    uint16_t words[4];
    memcpy(words, h, sizeof words);
    return h->mark == MARK && (words[0] ^ words[1] ^ words[2] ^ words[3]) == 0xffff &&
           h->segment == (uint16_t)r->sequence && r->end + records_size(h->length) <= ring.segment;
}

static bool is_erased(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0 && at[length - 1] == 0xff)
        length--;
    return length == 0;
}

// A header that is not sound is no reason to give up: the next one may begin at any grain.
static bool next_in_segment(struct record *r)
{
    struct head h;
    uint32_t limit = r->sequence == ring.head ? ring.position : ring.segment;
    if (r->end == 0)
        r->end = first_offset();
    for (; r->end + HEAD <= limit; r->end += ring.grain) {
        port_flash_read(base_of(r->sequence) + r->end, &h, HEAD);
        if (is_sound(&h, r)) {
            r->at = base_of(r->sequence) + r->end;
            r->check = h.check;
            r->length = h.length;
            r->kind = h.kind;
            r->end += records_size(h.length);
            return true;
        }
        r->damaged |= !is_erased(&h, HEAD);
    }
    return false;
}

bool records_next(struct record *r)
{
    if (r->sequence == 0)
        r->sequence = ring.tail;
    for (; ring.count > 0 && r->sequence <= ring.head; r->sequence++, r->end = 0)
        if ((r->end > 0 || is_open(r->sequence)) && next_in_segment(r))
            return true;
    return false;
}

void records_read(const struct record *r, uint32_t offset, void *bytes, size_t length)
{
    port_flash_read(r->at + HEAD + offset, bytes, length);
}

static uint32_t check_head(uint8_t kind, uint16_t length)
{
    const uint8_t head[4] = {MARK, kind, (uint8_t)length, (uint8_t)(length >> 8)};
    return crc32(UINT32_MAX, head, sizeof head);
}

bool records_good(const struct record *r)
{
    uint8_t bytes[32];
    uint32_t crc = check_head(r->kind, r->length);
    for (uint32_t at = 0; at < r->length; at += sizeof bytes) {
        uint32_t n = r->length - at < sizeof bytes ? r->length - at : sizeof bytes;
        records_read(r, at, bytes, n);
        crc = crc32(crc, bytes, n);
    }
    return crc == r->check;
}

uint16_t records_place(const struct record *r)
{
    return (uint16_t)(r->at / ring.grain);
}

bool records_at(uint16_t place, struct record *r)
{
    uint32_t at = place * ring.grain;
    struct title t;
    if (!read_title(at / ring.segment, &t))
        return false;
    *r = (struct record){.sequence = t.sequence, .end = at % ring.segment};
    return next_in_segment(r) && r->at == at && records_good(r);
}

/// Writing ///

// The last bytes of a segment are kept for the record that retires another one.
static bool fits(uint32_t size, enum record_kind kind)
{
    return ring.position + size + (kind == RECORD_RETIRE ? 0 : retire_size()) <= ring.segment;
}

static void put_head(struct writer *w, const struct record *r)
{
    struct head h = {MARK, r->kind, r->length, (uint16_t)r->sequence, 0xffff, r->check};
    uint16_t words[4];
    memcpy(words, &h, sizeof words);
    h.parity = words[0] ^ words[1] ^ words[2] ^ words[3];
    writer_put(w, &h, sizeof h);
}

static void put_copy(struct writer *w, const struct record *r)
{
    uint8_t bytes[32];
    for (uint32_t at = 0; at < r->length; at += sizeof bytes) {
        uint32_t n = r->length - at < sizeof bytes ? r->length - at : sizeof bytes;
        records_read(r, at, bytes, n);
        writer_put(w, bytes, n);
    }
}

// Without parts the body is that of `r`, which then becomes the new one. Whatever becomes of it, its room is used.
static bool put(struct record *r, const struct span *parts, size_t count)
{
    struct record from = *r, back;
    r->sequence = ring.head;
    r->at = base_of(ring.head) + ring.position;
    struct writer w = writer_begin(r->at);
    put_head(&w, r);
    if (parts == NULL)
        put_copy(&w, &from);
    for (size_t i = 0; i < count; i++)
        writer_put(&w, parts[i].at, parts[i].length);
    bool good = writer_end(&w);
    back = (struct record){.sequence = ring.head, .end = ring.position};
    ring.position += records_size(r->length);
    ring.appended++;
    return good && next_in_segment(&back) && back.at == r->at && back.check == r->check && records_good(&back);
}

// A place that did not take it gets a second try in the next segment.
static bool write(struct record *r, const struct span *parts, size_t count, uint32_t least_free)
{
    struct record from = *r;
    for (int tries = 0; tries < 2; tries++) {
        if (tries > 0 || !fits(records_size(from.length), from.kind))
            if (free_segments() < least_free || !begin_segment())
                break;
        *r = from;
        if (put(r, parts, count))
            return true;
    }
    ring.failures++;
    return false;
}

static struct record record_of(enum record_kind kind, const struct span *parts, size_t count)
{
    struct record r = {.kind = (uint8_t)kind};
    for (size_t i = 0; i < count; i++)
        r.length = (uint16_t)(r.length + parts[i].length);
    r.check = check_head(r.kind, r.length);
    for (size_t i = 0; i < count; i++)
        r.check = crc32(r.check, parts[i].at, parts[i].length);
    return r;
}

bool records_write(enum record_kind kind, const struct span *parts, size_t count, uint16_t *place)
{
    struct record r = record_of(kind, parts, count);
    bool good = write(&r, parts, count, 1);
    if (good)
        *place = records_place(&r);
    return good;
}

bool records_copy(const struct record *r)
{
    struct record copy = *r;
    return write(&copy, NULL, 0, 1);
}

/// Room ///

// Written as densely as may be, the live records would take fewer segments.
static bool can_gain(void)
{
    uint32_t used = ring.head - ring.tail + 1;
    return used > 2 && (used - 2) * least_filled() > ring.live;
}

static bool is_short(void)
{
    uint32_t wanted = ring.count / 4 > RESERVE ? ring.count / 4 : RESERVE + 1;
    return ring.count > 0 && free_segments() < wanted && can_gain();
}

// `before` is the number of the oldest segment that counts from now on.
static bool retire(uint32_t before)
{
    uint16_t place;
    struct span part = {(const char *)&before, sizeof before};
    if (!records_write(RECORD_RETIRE, &part, 1, &place))
        return false;
    ring.tail = before;
    ring.clean = 0;
    return true;
}

static bool clear_one(void)
{
    struct record r = {.sequence = ring.tail, .end = ring.clean};
    if (is_open(ring.tail) && next_in_segment(&r)) {
        bool good = journal_move(&r);
        if (good)
            ring.clean = r.end;
        return good;
    }
    ring.reclaimed++;
    return retire(ring.tail + 1);
}

bool records_step(void)
{
    return is_short() && clear_one();
}

// All that counts may lie before the first byte that does not. It has to be moved before new records have filled the
// segments that they may still begin.
static uint32_t price(void)
{
    uint32_t full = ring.live / least_filled() + 1;
    uint32_t free = free_segments() >= RESERVE ? free_segments() - RESERVE + 1 : 1;
    uint32_t least = (full + free - 1) / free;
    return least > PRICE ? least : PRICE;
}

static void pay(uint32_t size)
{
    uint32_t due = size * price();
    for (uint32_t paid = 0; paid < due;) {
        uint32_t before = ring.clean;
        if (!records_step())
            return;
        paid += ring.clean > before ? ring.clean - before : 0;
    }
}

// Nothing of the reserve goes to a new record. The loop is for the worst case alone: what was paid has emptied a
// segment long before it is needed.
static bool make_room(uint32_t size)
{
    uint32_t last = ring.tail + 2 * ring.count;
    pay(size);
    while (!fits(size, 0) && free_segments() < RESERVE && ring.tail != last)
        if (!clear_one())
            return false;
    return fits(size, 0) || free_segments() >= RESERVE;
}

enum records_error records_append(enum record_kind kind, const struct span *parts, size_t count, uint32_t old,
                                  uint16_t *place)
{
    struct record r = record_of(kind, parts, count);
    uint32_t size = records_size(r.length);
    uint32_t others = ring.live - (old < ring.live ? old : ring.live);
    if (others + size > budget())
        return RECORDS_FULL;
    if (!make_room(size) || !write(&r, parts, count, RESERVE))
        return RECORDS_FAILED;
    records_forget_live(old);
    records_count_live(size);
    *place = records_place(&r);
    return RECORDS_OK;
}

/// Start ///

static bool is_usable(uint32_t segment)
{
    uint32_t least = first_offset() + 2 * retire_size() + records_size(BODY_MAX);
    return segment > least && segment % ring.flash.erase_unit == 0 && ring.flash.size / segment >= RESERVE + 3;
}

// Another version of the program, with a longest record of another length, has chosen another size.
static uint32_t find_segment_size(uint32_t ours)
{
    struct title t;
    for (uint32_t at = 0; at + TITLE <= ring.flash.size; at += ring.flash.erase_unit)
        if (read_title_at(at, &t) && is_usable(t.segment))
            return t.segment;
    return ours;
}

static bool measure(void)
{
    memset(&ring, 0, sizeof ring);
    ring.flash = port_flash_geometry();
    if (ring.flash.size == 0)
        return false;
    ring.grain = ring.flash.program_unit;
    while (ring.flash.size / ring.grain > PLACES || ring.grain < 4)
        ring.grain *= 2;
    ring.segment = find_segment_size(
        round_up(2 * records_size(BODY_MAX) + first_offset() + 2 * retire_size(), ring.flash.erase_unit));
    ring.count = ring.flash.size / ring.segment;
    if (ring.count < RESERVE + 3)
        ring.count = 0;
    return ring.count > 0;
}

static bool find_newest(void)
{
    struct title t;
    for (uint32_t i = 0; i < ring.count; i++)
        if (read_title(i, &t) && t.sequence > ring.head)
            ring.head = t.sequence;
    return ring.head > 0;
}

static void find_oldest(void)
{
    uint32_t oldest = ring.head > ring.count ? ring.head - ring.count + 1 : 1;
    ring.tail = oldest;
    for (struct record r = {0}; records_next(&r);) {
        uint32_t before;
        if (r.kind != RECORD_RETIRE || r.length != sizeof before || !records_good(&r))
            continue;
        records_read(&r, 0, &before, sizeof before);
        if (before > oldest && before <= ring.head)
            oldest = before;
    }
    ring.tail = oldest;
}

// Behind the last record, whole or torn, and behind whatever else is not erased.
static void find_end(void)
{
    uint8_t bytes[32];
    uint32_t end = first_offset();
    for (struct record r = {.sequence = ring.head}; next_in_segment(&r);)
        end = r.end;
    ring.position = end;
    for (uint32_t at = end; at < ring.segment; at += sizeof bytes) {
        uint32_t n = ring.segment - at < sizeof bytes ? ring.segment - at : sizeof bytes;
        port_flash_read(base_of(ring.head) + at, bytes, n);
        if (!is_erased(bytes, n))
            ring.position = round_up(at + n, ring.grain);
    }
}

enum records_error records_start(void)
{
    if (!measure())
        return RECORDS_NONE;
    if (find_newest()) {
        ring.position = ring.segment;
        find_oldest();
        find_end();
        return RECORDS_OK;
    }
    ring.tail = 1;
    if (begin_segment())
        return RECORDS_OK;
    ring.count = 0;
    return RECORDS_FAILED;
}

bool records_started(void)
{
    return ring.count > 0;
}

bool records_format(void)
{
    if (ring.count == 0)
        return ring.flash.size == 0;
    bool good = begin_segment() && retire(ring.head);
    for (uint32_t i = 0; i < ring.count; i++)
        if (i != ring.head % ring.count)
            good &= erase(i);
    ring.live = 0;
    return good;
}

/// Figures ///

void records_count_live(uint32_t size)
{
    ring.live += size;
}

void records_forget_live(uint32_t size)
{
    ring.live -= size < ring.live ? size : ring.live;
}

uint32_t records_free_bytes(void)
{
    return ring.count == 0 || ring.live > budget() ? 0 : budget() - ring.live;
}

uint32_t records_appended(void)
{
    return ring.appended;
}

uint32_t records_reclaimed(void)
{
    return ring.reclaimed;
}

uint32_t records_failures(void)
{
    return ring.failures;
}
