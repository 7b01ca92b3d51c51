// The static table (RFC 7541, appendix A) and the dynamic one.
//
// The dynamic table is a ring of bytes. An entry is a header of two lengths, the name, the value, and up to three bytes
// that keep the next header from being torn at the ring's end. With that it takes less than the 32 bytes beside its
// text that section 4.1 makes it count, so what counts as fitting does fit.
//
// Entries have running numbers. Where every sixteenth begins is remembered, so that finding one, which a peer can ask
// for with every single byte, takes at most fifteen steps and not up to 127.
#include "hpack_private.h"
#include <string.h>

#define HEADER         4 // bytes in front of an entry's text
#define ALIGNMENT      4
#define MILESTONE_STEP 16

_Static_assert(HEADER + ALIGNMENT - 1 <= HPACK_ENTRY, "an entry takes more of the ring than it counts");
_Static_assert((HPACK_MILESTONES - 1) * MILESTONE_STEP >= HPACK_TABLE_MAX / HPACK_ENTRY,
               "a milestone would be overwritten while its entries are still in the table");

/// Static table ///

// Index 1 is the first. Names and values stand apart: few entries have a value, and all of them are at the front.
static const char *const static_names[HPACK_STATIC_ENTRIES] = {
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
};
static const char *const static_values[] = {"",    "GET",          "POST", "/",   "/index.html", "http", "https",
                                            "200", "204",          "206",  "304", "400",         "404",  "500",
                                            "",    "gzip, deflate"};

static struct span static_value(uint32_t index)
{
    return span_of(index <= sizeof static_values / sizeof static_values[0] ? static_values[index - 1] : "");
}

uint32_t hpack_static_find(struct span name, struct span value, bool *whole)
{
    uint32_t found = 0;
    *whole = false;
    for (uint32_t i = 1; i <= HPACK_STATIC_ENTRIES && !*whole; i++) {
        if (!span_equal(name, span_of(static_names[i - 1])))
            continue;
        *whole = span_equal(static_value(i), value);
        if (found == 0 || *whole)
            found = i;
    }
    return found;
}

static void static_entry(uint32_t index, struct hpack_entry *entry)
{
    *entry = (struct hpack_entry){
        .name = {span_of(static_names[index - 1])},
        .value = {static_value(index)},
    };
}

/// Ring ///

struct lengths {
    uint16_t name, value;
};

_Static_assert(sizeof(struct lengths) == HEADER, "an entry's header has no gaps");

// `by` is at most `capacity`.
static uint16_t advance(const struct hpack_table *t, uint32_t at, uint32_t by)
{
    at += by;
    return (uint16_t)(at >= t->capacity ? at - t->capacity : at);
}

static struct lengths lengths_at(const struct hpack_table *t, uint16_t at)
{
    struct lengths l;
    memcpy(&l, t->memory + at, sizeof l);
    return l;
}

// Bytes that an entry with so much text takes in the ring.
static uint32_t stored(uint32_t text)
{
    return (HEADER + text + ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1);
}

static uint16_t behind(const struct hpack_table *t, uint16_t at)
{
    struct lengths l = lengths_at(t, at);
    return advance(t, at, stored((uint32_t)l.name + l.value));
}

static void text_at(const struct hpack_table *t, uint16_t at, uint16_t length, struct span halves[2])
{
    uint16_t to_end = (uint16_t)(t->capacity - at);
    uint16_t first = length < to_end ? length : to_end;
    halves[0] = (struct span){(const char *)t->memory + at, first};
    halves[1] = (struct span){(const char *)t->memory, (size_t)(length - first)};
}

/// Finding ///

// Where the entry begins that `age` younger ones have followed.
static uint16_t position_of(const struct hpack_table *t, uint32_t age)
{
    uint16_t number = (uint16_t)(t->next - 1u - age);
    uint32_t steps = number % MILESTONE_STEP;
    uint32_t from_oldest = t->count - 1u - age;
    uint16_t at = t->milestones[number / MILESTONE_STEP % HPACK_MILESTONES];
    if (from_oldest < steps) { // the milestone's own entry has left
        at = t->oldest;
        steps = from_oldest;
    }
    for (; steps > 0; steps--)
        at = behind(t, at);
    return at;
}

bool hpack_table_find(const struct hpack_table *t, uint32_t index, struct hpack_entry *entry)
{
    if (index == 0)
        return false;
    if (index <= HPACK_STATIC_ENTRIES) {
        static_entry(index, entry);
        return true;
    }
    uint32_t age = index - HPACK_STATIC_ENTRIES - 1;
    if (age >= t->count)
        return false;
    uint16_t at = position_of(t, age);
    struct lengths l = lengths_at(t, at);
    text_at(t, advance(t, at, HEADER), l.name, entry->name);
    text_at(t, advance(t, at, HEADER + (uint32_t)l.name), l.value, entry->value);
    return true;
}

/// Eviction ///

static void evict_oldest(struct hpack_table *t)
{
    struct lengths l = lengths_at(t, t->oldest);
    t->oldest = behind(t, t->oldest);
    t->size = (uint16_t)(t->size - l.name - l.value - HPACK_ENTRY);
    t->count--;
}

// Section 4.4: also for an entry that does not even fit into the empty table.
static bool make_room(struct hpack_table *t, uint32_t text)
{
    while (t->count > 0 && t->size + text + HPACK_ENTRY > t->max)
        evict_oldest(t);
    return text + HPACK_ENTRY <= t->max;
}

void hpack_table_init(struct hpack_table *t, uint8_t *memory, size_t capacity)
{
    if (capacity > HPACK_TABLE_MAX)
        capacity = HPACK_TABLE_MAX;
    capacity -= capacity % ALIGNMENT;
    memset(t, 0, sizeof *t);
    t->memory = memory;
    t->capacity = t->max = (uint16_t)capacity;
}

void hpack_table_resize(struct hpack_table *t, uint32_t max)
{
    t->max = (uint16_t)(max < t->capacity ? max : t->capacity);
    while (t->size > t->max)
        evict_oldest(t);
}

/// A new entry ///

void hpack_table_begin(struct hpack_table *t)
{
    t->pending = 0;
}

// Where its text goes no entry lives any more. The name that is being copied may have lived there: it began at this
// place or behind it, so that no byte is overwritten before it was copied.
void hpack_table_add(struct hpack_table *t, const char *bytes, size_t length)
{
    uint32_t text = t->pending + (uint32_t)length;
    if (make_room(t, text) && length > 0) {
        uint16_t at = advance(t, advance(t, t->head, HEADER), t->pending);
        size_t to_end = (size_t)(t->capacity - at);
        size_t first = length < to_end ? length : to_end;
        memmove(t->memory + at, bytes, first);
        memmove(t->memory, bytes + first, length - first);
    }
    t->pending = text;
}

// The header comes last: as long as entries had to leave, an older one's name may have stood in its place.
void hpack_table_end(struct hpack_table *t, size_t name_length)
{
    if (!make_room(t, t->pending))
        return;
    struct lengths l = {(uint16_t)name_length, (uint16_t)(t->pending - name_length)};
    memcpy(t->memory + t->head, &l, sizeof l);
    if (t->next % MILESTONE_STEP == 0)
        t->milestones[t->next / MILESTONE_STEP % HPACK_MILESTONES] = t->head;
    t->head = advance(t, t->head, stored(t->pending));
    t->size = (uint16_t)(t->size + t->pending + HPACK_ENTRY);
    t->count++;
    t->next++;
}
