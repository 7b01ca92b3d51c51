// The journal on a flash whose power may go at every step: what was acknowledged is there after the next start,
// whatever was under way is there whole or not at all, and it goes on from there.
//
// The sources are included, with small capacities, so that a start with empty RAM is a memset and a state of the whole
// machine is a copy.
#include "../../app/limits.h"

#undef USERS_MAX
#undef USERS_TEXT_EACH
#undef JOURNAL_BLOB
#define USERS_MAX       12
#define USERS_TEXT_EACH 48
#define JOURNAL_BLOB    200

#include "../../services/users/records.c"

#include "../../services/users/journal.c"

#include "../../services/users/store.c"

#include "../../port/text.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct span span(const char *s)
{
    return span_of(s);
}

/// A flash ///

#define CELLS_MOST (512u * 1024)

// What is in work when the power goes. A program unit: untouched, a beginning of it there (two lengths, which change
// from step to step), one half of all bits, the other half. An erase unit: untouched, one half, the other half, half of
// the bits, every second byte.
enum { TORN_NOT, TORN_FRONT, TORN_BITS, TORN_BACK, TORN_COMB, TEARS };

static struct machine_flash chip;
static uint8_t cells[CELLS_MOST];
static uint8_t programmed[CELLS_MOST / 2]; // by program unit: since the last erase
static uint32_t erases[64];
static long steps; // units programmed and erased
static long cut;   // the step at which the power goes; -1: never
static int tear;
static uint32_t tear_front;
static jmp_buf power_off;
static bool dead, failing; // the chip seems to work and does nothing; the chip says that it failed

static void chip_read(uint32_t offset, void *bytes, size_t length)
{
    assert_true(offset + length <= chip.geometry.size);
    memcpy(bytes, cells + offset, length);
}

static void program_bytes(uint32_t offset, const uint8_t *bytes, uint32_t length, uint8_t kept)
{
    uint8_t *used = &programmed[offset / chip.geometry.program_unit];
    bool changed = false;
    assert_int_equal(*used, 0);
    for (uint32_t i = 0; i < length; i++) {
        uint8_t now = (uint8_t)(cells[offset + i] & (bytes[i] | kept));
        changed |= now != cells[offset + i];
        cells[offset + i] = now;
    }
    *used = changed || kept == 0;
}

static void tear_program(uint32_t offset, const uint8_t *bytes)
{
    uint32_t unit = chip.geometry.program_unit;
    if (tear == TORN_FRONT || tear == TORN_BACK)
        program_bytes(offset, bytes, 1 + (tear_front + (uint32_t)tear) % (unit > 1 ? unit - 1 : 1),
                      unit > 1 ? 0 : 0x0f);
    if (tear == TORN_BITS)
        program_bytes(offset, bytes, unit, 0xaa);
    if (tear == TORN_COMB)
        program_bytes(offset, bytes, unit, 0x55);
    longjmp(power_off, 1);
}

static bool chip_program(uint32_t offset, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    uint32_t unit = chip.geometry.program_unit;
    assert_true(offset % unit == 0 && length % unit == 0 && length > 0 && offset + length <= chip.geometry.size);
    for (uint32_t i = 0; i < length && !dead && !failing; i += unit, steps++) {
        if (steps == cut)
            tear_program(offset + i, from + i);
        program_bytes(offset + i, from + i, unit, 0);
    }
    return !failing;
}

static void erase_range(uint32_t offset, uint32_t length)
{
    memset(cells + offset, 0xff, length);
    memset(programmed + offset / chip.geometry.program_unit, 0, length / chip.geometry.program_unit);
}

static void tear_erase(uint32_t offset)
{
    uint32_t unit = chip.geometry.erase_unit;
    if (tear == TORN_FRONT)
        erase_range(offset, unit / 2);
    if (tear == TORN_BACK)
        erase_range(offset + unit / 2, unit / 2);
    for (uint32_t i = 0; i < unit; i++) {
        if (tear == TORN_BITS)
            cells[offset + i] |= (uint8_t)(0x5a ^ i * 29);
        if (tear == TORN_COMB && i % 2 == 0)
            cells[offset + i] = 0xff;
    }
    longjmp(power_off, 1);
}

static bool chip_erase(uint32_t offset)
{
    assert_true(offset % chip.geometry.erase_unit == 0 && offset < chip.geometry.size);
    if (dead || failing)
        return dead;
    if (steps == cut)
        tear_erase(offset);
    steps++;
    erase_range(offset, chip.geometry.erase_unit);
    erases[offset / chip.geometry.erase_unit % 64]++;
    return true;
}

/// Starts ///

// The whole machine: what a trial begins from, again and again.
struct machine_state {
    uint8_t cells[CELLS_MOST];
    uint8_t programmed[CELLS_MOST / 2];
    uint8_t ring[sizeof ring];
    struct pool accounts;
    struct account slots[USERS_MAX];
    char text[sizeof text];
    uint32_t text_length, nobodys;
    struct index by_name, by_email;
    struct siphash_key index_key;
    long steps;
};

static struct machine_state saved;

static void save(struct machine_state *s)
{
    memcpy(s->cells, cells, chip.geometry.size);
    memcpy(s->programmed, programmed, chip.geometry.size / chip.geometry.program_unit);
    memcpy(s->ring, &ring, sizeof ring);
    s->accounts = accounts;
    memcpy(s->slots, accounts_slots, sizeof accounts_slots);
    memcpy(s->text, text, sizeof text);
    s->text_length = text_length;
    s->nobodys = nobodys;
    s->by_name = by_name;
    s->by_email = by_email;
    s->index_key = index_key;
    s->steps = steps;
}

static void load(const struct machine_state *s)
{
    memcpy(cells, s->cells, chip.geometry.size);
    memcpy(programmed, s->programmed, chip.geometry.size / chip.geometry.program_unit);
    memcpy(&ring, s->ring, sizeof ring);
    accounts = s->accounts;
    memcpy(accounts_slots, s->slots, sizeof accounts_slots);
    memcpy(text, s->text, sizeof text);
    text_length = s->text_length;
    nobodys = s->nobodys;
    by_name = s->by_name;
    by_email = s->by_email;
    index_key = s->index_key;
    steps = s->steps;
}

static void forget_ram(void)
{
    struct pool fresh = {.name = "accounts",
                         .slots = accounts_slots,
                         .slot_size = sizeof(struct account),
                         .size = USERS_MAX,
                         .next = accounts.next,
                         .listed = accounts.listed};
    memset(&ring, 0, sizeof ring);
    memset(accounts_slots, 0, sizeof accounts_slots);
    memset(text, 0, sizeof text);
    memset(&by_name, 0, sizeof by_name);
    memset(&by_email, 0, sizeof by_email);
    accounts = fresh;
    text_length = nobodys = 0;
}

// As after a jump out of the middle: the scratch memory is empty again.
static void reboot(void)
{
    cut = -1;
    void *first = scratch_take(1);
    scratch_give(first);
    forget_ram();
    assert_true(journal_start());
}

static void *scratch_bottom;

static void power_was_cut(void)
{
    scratch_give(scratch_bottom);
    reboot();
}

static void fresh_chip(uint32_t size, uint32_t erase_unit, uint32_t program_unit)
{
    chip = (struct machine_flash){{size, erase_unit, program_unit}, chip_read, chip_program, chip_erase};
    machine_flash = &chip;
    assert_true(size <= CELLS_MOST && size / program_unit <= sizeof programmed);
    memset(cells, 0x5a, sizeof cells); // a new chip may hold anything
    memset(programmed, 1, sizeof programmed);
    memset(erases, 0, sizeof erases);
    dead = failing = false;
    steps = 0;
    scratch_bottom = scratch_take(1);
    scratch_give(scratch_bottom);
    reboot();
}

/// What should be there ///

#define KEYS  5
#define BLOBS 3

struct model {
    uint8_t passwords[USERS_MAX + 1]; // by uid; 0: no account
    uint32_t users;
    int settings[KEYS]; // -1: unset
    int blobs[BLOBS];   // their lengths
    int blob_seeds[BLOBS];
};

static struct model model;

static const struct model no_model = {.settings = {-1, -1, -1, -1, -1}};

static void name_of_uid(uint32_t uid, char name[48], char email[64])
{
    struct text n = text_in(name, 48), e = text_in(email, 64);
    text_format(&n, "user %u", (unsigned)uid);
    text_format(&e, "somebody.%u@example.org", (unsigned)uid);
    text_end(&n);
    text_end(&e);
}

static struct users_secret secret_of(uint32_t uid, uint8_t password)
{
    struct users_secret s;
    memset(s.salt, (int)(uid * 16 + password), sizeof s.salt);
    memset(s.key, (int)(password * 7 + uid), sizeof s.key);
    return s;
}

static void key_name(int key, char name[32])
{
    struct text t = text_in(name, 32);
    text_format(&t, "some.key_%d", key);
    text_end(&t);
}

static void key_value(int value, char out[64])
{
    struct text t = text_in(out, 64);
    for (int i = 0; i < value % 7; i++)
        text_string(&t, "longer ");
    text_format(&t, "%d", value);
    text_end(&t);
}

static void blob_bytes(int blob, int seed, uint8_t bytes[JOURNAL_BLOB])
{
    for (int i = 0; i < JOURNAL_BLOB; i++)
        bytes[i] = (uint8_t)(i * 31 + seed * 7 + blob);
}

/// Looking ///

static struct {
    const struct model *m;
    int seen;
    int wrong; // with another value than the model's
    bool known[KEYS];
} settings_look;

static void look_at_setting(struct span key, struct span value)
{
    char name[32], expected[64];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, name);
        if (!span_equal(key, span(name)))
            continue;
        assert_false(settings_look.known[i]);
        settings_look.known[i] = true;
        settings_look.seen++;
        key_value(settings_look.m->settings[i], expected);
        settings_look.wrong += settings_look.m->settings[i] < 0 || !span_equal(value, span(expected));
        return;
    }
    fail_msg("an unknown setting");
}

// How many things are not as the model has them. What is half there, or somebody else's, fails at once.
static int settings_differ(const struct model *m)
{
    int wanted = 0, missing = 0;
    memset(&settings_look, 0, sizeof settings_look);
    settings_look.m = m;
    journal_settings(look_at_setting);
    for (int i = 0; i < KEYS; i++) {
        wanted += m->settings[i] >= 0;
        missing += m->settings[i] >= 0 && !settings_look.known[i];
    }
    return missing + settings_look.wrong;
}

static int blobs_differ(const struct model *m)
{
    uint8_t bytes[JOURNAL_BLOB], expected[JOURNAL_BLOB];
    int differ = 0;
    for (int i = 0; i < BLOBS; i++) {
        char name[32];
        key_name(i, name); // the same as a setting's: they are apart
        size_t length = journal_read_blob(span(name), bytes, sizeof bytes);
        blob_bytes(i, m->blob_seeds[i], expected);
        differ += length != (size_t)m->blobs[i] || memcmp(bytes, expected, length) != 0;
    }
    return differ;
}

static bool account_is(uint32_t uid, uint8_t password)
{
    char name[48], email[64];
    struct users_account account;
    struct users_secret s, expected = secret_of(uid, password);
    name_of_uid(uid, name, email);
    if (!users_by_name(span(name), &account))
        return false;
    assert_int_equal(account.uid, uid);
    assert_true(span_equal(account.email, span(email)));
    assert_int_equal(users_find_email(span(email)), uid);
    assert_true(users_secret_of(uid, &s));
    return memcmp(&s, &expected, sizeof s) == 0;
}

static int accounts_differ(const struct model *m)
{
    uint32_t seen = 0, at = 0, wanted = 0;
    int differ = 0;
    struct users_account account;
    while (users_walk(&at, &account))
        seen++;
    assert_int_equal(seen, users_count());
    for (uint32_t uid = 1; uid <= USERS_MAX; uid++) {
        wanted += m->passwords[uid] != 0;
        differ += m->passwords[uid] != 0 && !account_is(uid, m->passwords[uid]);
    }
    return differ + (seen > wanted ? (int)(seen - wanted) : 0);
}

static int differ(const struct model *m)
{
    return accounts_differ(m) + settings_differ(m) + blobs_differ(m);
}

/// What is done ///

enum { DO_REGISTER, DO_RESET, DO_SET, DO_UNSET, DO_BLOB, DO_NO_BLOB, DO_IDLE };

struct deed {
    int what;
    uint32_t which;
    int value;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

static struct deed next_deed(void)
{
    static const uint8_t often[] = {DO_RESET, DO_RESET, DO_RESET, DO_SET,     DO_SET,  DO_SET,     DO_UNSET,
                                    DO_BLOB,  DO_RESET, DO_IDLE,  DO_NO_BLOB, DO_IDLE, DO_REGISTER};
    struct deed d = {often[random_below(sizeof often)], 0, (int)random_below(200) + 1};
    if (model.users < 3)
        d.what = DO_REGISTER;
    if (d.what == DO_REGISTER && model.users >= 6)
        d.what = DO_RESET;
    d.which = d.what == DO_RESET      ? 1 + random_below(model.users)
              : d.what == DO_REGISTER ? model.users + 1
              : d.what >= DO_BLOB     ? random_below(BLOBS)
                                      : random_below(KEYS);
    return d;
}

static void expect(struct model *m, const struct deed *d)
{
    switch (d->what) {
    case DO_REGISTER:
        m->users = d->which;
        m->passwords[d->which] = (uint8_t)d->value;
        break;
    case DO_RESET:
        m->passwords[d->which] = (uint8_t)d->value;
        break;
    case DO_SET:
        m->settings[d->which] = d->value;
        break;
    case DO_UNSET:
        m->settings[d->which] = -1;
        break;
    case DO_BLOB:
        m->blobs[d->which] = d->value;
        m->blob_seeds[d->which] = d->value;
        break;
    case DO_NO_BLOB:
        m->blobs[d->which] = 0;
        break;
    default:
        break;
    }
}

static bool do_account(const struct deed *d)
{
    char name[48], email[64];
    uint32_t uid = 0;
    struct users_secret s = secret_of(d->which, (uint8_t)d->value);
    if (d->what == DO_RESET)
        return users_commit_secret(d->which, &s) == USERS_OK;
    name_of_uid(d->which, name, email);
    enum users_error result = users_commit_account(span(name), span(email), &s, &uid);
    return result == USERS_OK ? uid == d->which
                              : result == USERS_TAKEN && users_commit_secret(d->which, &s) == USERS_OK;
}

static bool do_named(const struct deed *d)
{
    char name[32], value[64];
    uint8_t bytes[JOURNAL_BLOB];
    key_name((int)d->which, name);
    key_value(d->value, value);
    blob_bytes((int)d->which, d->value, bytes);
    switch (d->what) {
    case DO_SET:
        return journal_keep_setting(span(name), span(value)) == RECORDS_OK;
    case DO_UNSET:
        return journal_keep_unset(span(name)) == RECORDS_OK;
    case DO_BLOB:
        return journal_keep_blob(span(name), (struct span){(const char *)bytes, (size_t)d->value});
    default:
        return journal_keep_blob(span(name), (struct span){NULL, 0});
    }
}

static bool do_it(const struct deed *d)
{
    if (d->what <= DO_RESET)
        return do_account(d);
    if (d->what != DO_IDLE)
        return do_named(d);
    for (int i = 0; i < 8; i++)
        journal_step();
    return true;
}

static void do_and_expect(struct model *m, const struct deed *d)
{
    assert_true(do_it(d));
    expect(m, d);
}

/// The power goes ///

static unsigned long cuts_tried, second_cuts;

// True when the power went at step `at`, counted from now.
static bool is_cut(const struct deed *d, long at, int how)
{
    cut = steps + at;
    tear = how;
    tear_front = (uint32_t)at;
    if (setjmp(power_off) == 0) {
        do_it(d);
        cut = -1;
        return false;
    }
    return true;
}

// It is as before, or as afterwards. Returns whether it was done.
static bool either(const struct deed *d)
{
    struct model after = model;
    expect(&after, d);
    if (differ(&after) == 0)
        return true;
    assert_int_equal(differ(&model), 0);
    return false;
}

// Long enough for every segment of a small chip to be made free.
static void go_on(const struct model *from)
{
    struct model before = model;
    uint32_t random_before = random_state;
    model = *from;
    for (unsigned i = 0; i < 120; i++) {
        struct deed d = next_deed();
        if (d.what == DO_REGISTER)
            d = (struct deed){DO_RESET, 1, 9};
        if (model.users > 0 || d.what > DO_RESET)
            do_and_expect(&model, &d);
    }
    reboot();
    assert_int_equal(differ(&model), 0);
    model = before;
    random_state = random_before;
}

static void one_cut(const struct deed *d, long at, int how)
{
    struct model after = model;
    expect(&after, d);
    load(&saved);
    assert_true(is_cut(d, at, how));
    cuts_tried++;
    power_was_cut();
    bool done = either(d);
    if (!done && cuts_tried % 3 == 0 && is_cut(d, (long)random_below(12), (int)random_below(TEARS))) {
        second_cuts++;
        power_was_cut();
        done = either(d);
    }
    if (d->what == DO_REGISTER && !done && nobodys > 0)
        return; // what was torn may have been an account, as far as the machine can tell: the next uid is another one
    assert_true(do_it(d));
    assert_int_equal(differ(&after), 0);
    reboot();
    assert_int_equal(differ(&after), 0);
    if (cuts_tried % 64 == 0)
        go_on(&after);
}

// Every `stride`th step of what `deeds` deeds take.
static void cut_everywhere(unsigned deeds, long stride)
{
    static struct machine_state then;
    long at = 0;
    random_state = 1;
    model = no_model;
    for (unsigned i = 0; i < deeds; i++) {
        struct deed d = next_deed();
        save(&saved);
        long before = steps;
        assert_true(do_it(&d));
        long taken = steps - before;
        save(&then);
        for (; at < taken; at += stride)
            for (int how = 0; how < TEARS; how++)
                one_cut(&d, at, how);
        at -= taken;
        load(&then);
        expect(&model, &d);
        assert_int_equal(differ(&model), 0);
    }
}

static void cut_on(uint32_t size, uint32_t erase_unit, uint32_t program_unit, unsigned deeds, long stride)
{
    cuts_tried = second_cuts = 0;
    fresh_chip(size, erase_unit, program_unit);
    cut_everywhere(deeds, stride);
    print_message(
        "# %u units of %u bytes, programmed by %u: %lu cuts, %lu times another one after it, %u segments made "
        "free\n",
        (unsigned)(size / erase_unit), (unsigned)erase_unit, (unsigned)program_unit, cuts_tried, second_cuts,
        (unsigned)records_reclaimed());
    assert_true(records_reclaimed() >= 6);
}

static void test_power_may_go_at_every_step(void **state)
{
    (void)state;
    cut_on(8 * 1024, 1024, 4, 260, 1);
}

static void test_pages_of_256_bytes(void **state)
{
    (void)state;
    cut_on(32 * 256, 256, 4, 230, 7);
}

static void test_sectors_of_4_kb_by_the_byte(void **state)
{
    (void)state;
    cut_on(6 * 4096, 4096, 1, 700, 97);
}

static void test_blocks_of_64_kb_by_256_bytes(void **state)
{
    (void)state;
    cut_on(6 * 65536, 65536, 256, 3400, 23);
}

/// Damage ///

static void live(unsigned deeds)
{
    random_state = 7;
    model = no_model;
    for (unsigned i = 0; i < deeds; i++) {
        struct deed d = next_deed();
        do_and_expect(&model, &d);
    }
}

// One thing at most is gone, or older than it was; and no uid is given a second time.
static void test_one_flipped_bit_loses_one_record(void **state)
{
    (void)state;
    unsigned flips = 0, lost = 0;
    fresh_chip(8 * 1024, 1024, 4);
    live(120);
    save(&saved);
    for (uint32_t at = 0; at < chip.geometry.size; at++)
        for (unsigned bit = at % 8; bit < 8; bit += at % 16 == 0 ? 1 : 8, flips++) {
            load(&saved);
            cells[at] ^= (uint8_t)(1u << bit);
            reboot();
            int gone = differ(&model);
            assert_in_range(gone, 0, 1);
            lost += gone > 0;
            if (at % 8 != 0)
                continue;
            struct users_secret s = secret_of(1, 1);
            uint32_t uid = 0;
            assert_int_equal(users_commit_account(span("a new one"), span("new@example.org"), &s, &uid), USERS_OK);
            assert_true(uid > model.users);
            assert_in_range(differ(&model), 1, 2);
        }
    print_message("# %u flips, of which %u cost a record\n", flips, lost);
    assert_true(lost > 100);
}

// Whatever byte of the newest account's record is damaged, nobody else gets its uid; nor does a start that finds
// nothing wrong leave a uid out.
static void test_no_uid_is_given_twice(void **state)
{
    (void)state;
    fresh_chip(8 * 1024, 1024, 4);
    model = no_model;
    for (uint32_t i = 1; i <= 3; i++) {
        struct deed d = {DO_REGISTER, i, 3};
        do_and_expect(&model, &d);
    }
    struct deed next = {DO_REGISTER, 4, 3};
    save(&saved);
    reboot();
    assert_true(do_it(&next));
    uint32_t from = users_place(3) * ring.grain, to = users_place(4) * ring.grain;
    for (uint32_t at = from; at < to; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct users_secret s = secret_of(1, 1);
            uint32_t uid = 0;
            load(&saved);
            cells[at] ^= (uint8_t)(1u << bit);
            reboot();
            assert_int_equal(users_count(), 2);
            assert_int_equal(users_commit_account(span("a new one"), span("new@example.org"), &s, &uid), USERS_OK);
            assert_int_equal(uid, 4);
            reboot();
            assert_int_equal(users_find_name(span("a new one")), 4);
        }
}

/// Full ///

static void nothing_changed(void)
{
    assert_memory_equal(cells, saved.cells, chip.geometry.size);
    assert_memory_equal(accounts_slots, saved.slots, sizeof accounts_slots);
    assert_memory_equal(text, saved.text, sizeof text);
    assert_int_equal(users_count(), saved.accounts.used);
}

static void test_a_full_store_changes_nothing(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    model = no_model;
    for (uint32_t uid = 1; uid <= USERS_MAX; uid++) {
        struct deed d = {DO_REGISTER, uid, 3};
        do_and_expect(&model, &d);
    }
    save(&saved);
    struct users_secret s = secret_of(1, 1);
    uint32_t uid = 0;
    assert_int_equal(users_commit_account(span("one more"), span("more@example.org"), &s, &uid), USERS_FULL);
    nothing_changed();
    reboot();
    assert_int_equal(differ(&model), 0);
}

static enum records_error keep_numbered(unsigned number, const char *value)
{
    char name[32];
    struct text t = text_in(name, sizeof name);
    text_format(&t, "number_%u", number);
    return journal_keep_setting(text_whole(&t), span(value));
}

static void test_a_full_journal_changes_nothing(void **state)
{
    (void)state;
    unsigned kept = 0;
    char value[JOURNAL_VALUE];
    memset(value, 'v', sizeof value);
    value[60] = '\0';
    fresh_chip(8 * 1024, 1024, 4);
    model = no_model;
    struct deed d = {DO_REGISTER, 1, 3};
    do_and_expect(&model, &d);
    while (keep_numbered(kept, value) == RECORDS_OK)
        kept++;
    save(&saved);
    struct users_secret s = secret_of(1, 1);
    uint32_t uid = 0;
    assert_int_equal(keep_numbered(kept, value), RECORDS_FULL);
    assert_int_equal(users_commit_account(span("one more"), span("more@example.org"), &s, &uid), USERS_FULL);
    assert_false(journal_keep_blob(span("blob"), span(value)));
    nothing_changed();
    // What is there can still be changed, as often as anybody likes, and taken away.
    for (int i = 0; i < 300; i++) {
        d = (struct deed){DO_RESET, 1, 1 + i % 200};
        do_and_expect(&model, &d);
        assert_int_equal(keep_numbered((unsigned)i % kept, value), RECORDS_OK);
    }
    reboot();
    assert_int_equal(accounts_differ(&model), 0);
    assert_int_equal(keep_numbered(kept, value), RECORDS_FULL);
    char name[] = "number_0";
    assert_int_equal(journal_keep_unset(span(name)), RECORDS_OK);
    assert_int_equal(keep_numbered(kept, value), RECORDS_OK);
    print_message("# %u settings of %u bytes were kept\n", kept, (unsigned)strlen(value));
}

// That something is not there takes no room for ever.
static void test_what_was_taken_away_leaves_nothing(void **state)
{
    (void)state;
    fresh_chip(8 * 1024, 1024, 4);
    uint32_t free_bytes = records_free_bytes();
    for (unsigned i = 0; i < 300; i++) {
        char name[32];
        struct text t = text_in(name, sizeof name);
        text_format(&t, "number_%u", i);
        assert_int_equal(keep_numbered(i, "a value"), RECORDS_OK);
        assert_int_equal(journal_keep_unset(text_whole(&t)), RECORDS_OK);
        assert_true(journal_keep_blob(text_whole(&t), span("a blob")));
        assert_true(journal_keep_blob(text_whole(&t), span("")));
        assert_int_equal(records_free_bytes(), free_bytes);
    }
    uint32_t appended = records_appended();
    assert_int_equal(journal_keep_unset(span("number_7")), RECORDS_OK);
    assert_int_equal(records_appended(), appended);
    assert_in_range(appended, 1200, 1500); // each was written once, and RETIRE for each segment
    reboot();
    assert_int_equal(records_free_bytes(), free_bytes);
}

static void test_what_is_too_long_is_refused(void **state)
{
    (void)state;
    static char much[5000];
    memset(much, 'm', sizeof much);
    fresh_chip(16 * 1024, 1024, 4);
    save(&saved);
    assert_false(journal_keep_blob(span("blob"), (struct span){much, JOURNAL_BLOB + 1}));
    assert_false(journal_keep_blob((struct span){much, JOURNAL_NAME + 1}, span("x")));
    assert_false(journal_keep_blob(span(""), span("x")));
    assert_int_equal(journal_keep_setting(span("key"), (struct span){much, JOURNAL_VALUE + 1}), RECORDS_FULL);
    assert_int_equal(journal_keep_setting((struct span){much, JOURNAL_NAME + 1}, span("x")), RECORDS_FULL);
    nothing_changed();
    assert_true(journal_keep_blob((struct span){much, JOURNAL_NAME}, (struct span){much, JOURNAL_BLOB}));
    uint8_t bytes[JOURNAL_BLOB];
    assert_int_equal(journal_read_blob((struct span){much, JOURNAL_NAME}, bytes, JOURNAL_BLOB - 1), 0);
    assert_int_equal(journal_read_blob((struct span){much, JOURNAL_NAME}, bytes, JOURNAL_BLOB), JOURNAL_BLOB);
    assert_memory_equal(bytes, much, JOURNAL_BLOB);
}

/// Flash that fails ///

static void test_a_machine_without_flash(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    chip.geometry.size = 0;
    reboot();
    model = no_model;
    struct deed d = {DO_REGISTER, 1, 3};
    do_and_expect(&model, &d);
    assert_int_equal(keep_numbered(1, "x"), RECORDS_NONE);
    assert_false(journal_keep_blob(span("blob"), span("x")));
    assert_true(journal_format());
    assert_false(journal_step());
    assert_int_equal(differ(&model), 0);
}

// As the smallest board in QEMU: programming seems to work and changes nothing.
static void test_flash_that_takes_nothing(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    memset(cells, 0, sizeof cells);
    dead = true;
    machine_console_clear();
    forget_ram();
    assert_false(journal_start());
    assert_false(journal_format());
    assert_non_null(strstr(machine_console, "the flash memory failed: accounts and settings are in RAM alone\n"));
    model = no_model;
    struct deed d = {DO_REGISTER, 1, 3};
    do_and_expect(&model, &d);
    assert_int_equal(differ(&model), 0);
}

static void test_flash_that_fails_later(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    live(40);
    failing = true;
    save(&saved);
    struct users_secret s = secret_of(1, 250);
    uint32_t uid = 0;
    assert_int_equal(users_commit_account(span("one more"), span("more@example.org"), &s, &uid), USERS_NOT_KEPT);
    assert_int_equal(users_commit_secret(1, &s), USERS_NOT_KEPT);
    assert_int_equal(keep_numbered(1, "x"), RECORDS_FAILED);
    assert_false(journal_keep_blob(span("blob"), span("x")));
    nothing_changed();
    assert_true(records_failures() >= 4);
    assert_int_equal(differ(&model), 0);
    failing = false;
    struct deed d = {DO_RESET, 1, 9};
    do_and_expect(&model, &d);
    reboot();
    assert_int_equal(differ(&model), 0);
}

// What cannot be moved just now stays where it is, and is moved when it can be.
static void test_flash_that_fails_now_and_then(void **state)
{
    (void)state;
    fresh_chip(8 * 1024, 1024, 4);
    live(60);
    unsigned refused = 0, round_ends = 0;
    for (unsigned i = 0; i < 400; i++) {
        uint32_t before = records_failures();
        failing = true;
        for (int j = 0; j < 4; j++)
            journal_step();
        failing = false;
        refused += records_failures() - before;
        struct deed d = next_deed();
        do_and_expect(&model, &d);
        if (i % 8 == 0) {
            round_ends += records_reclaimed();
            reboot();
        }
        assert_int_equal(differ(&model), 0);
    }
    print_message("# %u records were refused, and %u segments made free\n", refused, round_ends);
    assert_true(refused > 20 && round_ends > 8);
}

// A place that does not take it is left, and the next segment takes it.
static void test_a_bad_place_is_left(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    live(40);
    memset(cells + base_of(ring.head) + ring.position, 0, 40);
    struct deed d = {DO_RESET, 1, 9};
    memset(programmed, 0, sizeof programmed);
    do_and_expect(&model, &d);
    reboot();
    assert_int_equal(differ(&model), 0);
}

/// Another version ///

static void test_segments_of_another_size_are_taken_over(void **state)
{
    (void)state;
    fresh_chip(16 * 1024, 1024, 4);
    assert_int_equal(ring.segment, 1024);
    memset(cells, 0xff, sizeof cells);
    memset(programmed, 0, sizeof programmed);
    ring.segment *= 2;
    ring.count /= 2;
    ring.head = 0;
    ring.tail = 1;
    assert_true(begin_segment());
    live(100);
    reboot();
    assert_int_equal(ring.segment, 2048);
    assert_int_equal(differ(&model), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct deed d = next_deed();
        do_and_expect(&model, &d);
    }
    reboot();
    assert_int_equal(differ(&model), 0);
}

/// Forgetting everything ///

static void test_format_is_all_or_nothing(void **state)
{
    (void)state;
    volatile unsigned cuts = 0;
    fresh_chip(8 * 1024, 1024, 4);
    live(120);
    save(&saved);
    for (volatile long at = 0;; at++) {
        load(&saved);
        cut = steps + at;
        tear = (int)(at % TEARS);
        if (setjmp(power_off) == 0) {
            assert_true(journal_format());
            break;
        }
        cuts++;
        power_was_cut();
        if (differ(&no_model) != 0)
            assert_int_equal(differ(&model), 0);
        assert_true(do_it(&(struct deed){DO_SET, 1, 1}));
    }
    reboot();
    assert_int_equal(differ(&no_model), 0);
    assert_int_equal(users_count(), 0);
    for (uint32_t i = 0; i + 8 < chip.geometry.size; i++)
        assert_memory_not_equal(cells + i, "somebody", 8);
    print_message("# %u moments of losing power\n", cuts);
    assert_true(cuts > 10);
}

/// Wear ///

static void test_wear_is_spread(void **state)
{
    (void)state;
    uint32_t least = UINT32_MAX, most = 0;
    fresh_chip(16 * 1024, 1024, 4);
    memset(erases, 0, sizeof erases);
    model = no_model;
    for (uint32_t uid = 1; uid <= USERS_MAX; uid++) {
        struct deed d = {DO_REGISTER, uid, 3};
        do_and_expect(&model, &d);
    }
    random_state = 3;
    for (long i = 0; i < 100000; i++) {
        struct deed d = {DO_RESET, 1 + random_below(i % 4 == 0 ? USERS_MAX : 2), 1 + (int)(i % 200)};
        do_and_expect(&model, &d);
    }
    for (uint32_t i = 0; i < 16; i++) {
        least = erases[i] < least ? erases[i] : least;
        most = erases[i] > most ? erases[i] : most;
    }
    print_message("# 100000 new passwords of %u accounts: each unit was erased %u to %u times\n", USERS_MAX,
                  (unsigned)least, (unsigned)most);
    assert_in_range(most - least, 0, 1);
    assert_in_range(records_most_erases(), most, most + 1);
    reboot();
    assert_int_equal(differ(&model), 0);
    assert_in_range(records_most_erases(), most, most + 1);
}

static void test_idle_steps_end(void **state)
{
    (void)state;
    fresh_chip(8 * 1024, 1024, 4);
    live(200);
    int taken = 0;
    while (journal_step())
        assert_in_range(++taken, 0, 1000);
    assert_true(free_segments() > RESERVE);
    uint32_t appended = records_appended();
    assert_false(journal_step());
    assert_int_equal(records_appended(), appended);
    assert_int_equal(differ(&model), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_may_go_at_every_step),
        cmocka_unit_test(test_pages_of_256_bytes),
        cmocka_unit_test(test_sectors_of_4_kb_by_the_byte),
        cmocka_unit_test(test_blocks_of_64_kb_by_256_bytes),
        cmocka_unit_test(test_one_flipped_bit_loses_one_record),
        cmocka_unit_test(test_no_uid_is_given_twice),
        cmocka_unit_test(test_a_full_store_changes_nothing),
        cmocka_unit_test(test_a_full_journal_changes_nothing),
        cmocka_unit_test(test_what_was_taken_away_leaves_nothing),
        cmocka_unit_test(test_what_is_too_long_is_refused),
        cmocka_unit_test(test_a_machine_without_flash),
        cmocka_unit_test(test_flash_that_takes_nothing),
        cmocka_unit_test(test_flash_that_fails_later),
        cmocka_unit_test(test_flash_that_fails_now_and_then),
        cmocka_unit_test(test_a_bad_place_is_left),
        cmocka_unit_test(test_segments_of_another_size_are_taken_over),
        cmocka_unit_test(test_format_is_all_or_nothing),
        cmocka_unit_test(test_wear_is_spread),
        cmocka_unit_test(test_idle_steps_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
