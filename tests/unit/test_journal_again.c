// The journal once more, by somebody who had only its manual: random deeds on random chips, with the power cut at
// random places and whatever was in work left in any state, bit by bit. A seed that fails is printed and can be given
// as JOURNAL_SEED.
#include "../../app/limits.h"

#undef USERS_MAX
#undef USERS_TEXT_EACH
#undef JOURNAL_BLOB
#define USERS_MAX       1200
#define USERS_TEXT_EACH 100
#define JOURNAL_BLOB    500

#include "../../services/users/records.c"

#include "../../services/users/journal.c"

#include "../../services/users/store.c"

#include "../../port/text.h"
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/// Chance ///

static uint64_t chance;

static uint32_t any(uint32_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)((chance * 0x2545f4914f6cdd1du) >> 32) % below;
}

/// A flash ///

#define CELLS (512u * 1024)

static struct machine_flash chip;
static uint8_t cells[CELLS];
static bool used[CELLS]; // by program unit
static long left;        // steps until the power goes; negative: never
static uint32_t programs, erasures;
static jmp_buf off;

static void chip_read(uint32_t offset, void *bytes, size_t length)
{
    assert_true(offset + length <= chip.geometry.size);
    memcpy(bytes, cells + offset, length);
}

// Some bits of it: from hardly any to nearly all, which each step decides anew.
static uint8_t some_bits(uint32_t of_16)
{
    uint8_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = (uint8_t)(bits << 1 | (any(16) < of_16));
    return bits;
}

static bool chip_program(uint32_t offset, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    uint32_t unit = chip.geometry.program_unit;
    assert_true(offset % unit == 0 && length % unit == 0 && length > 0 && offset + length <= chip.geometry.size);
    for (uint32_t at = 0; at < length; at += unit, programs++) {
        bool torn = left-- == 0;
        uint32_t kept = torn ? any(17) : 0;
        bool changed = false;
        assert_false(used[(offset + at) / unit]);
        for (uint32_t i = at; i < at + unit; i++) {
            uint8_t now = cells[offset + i] & (uint8_t)(from[i] | some_bits(kept));
            changed |= now != cells[offset + i];
            cells[offset + i] = now;
        }
        used[(offset + at) / unit] = changed || !torn;
        if (torn)
            longjmp(off, 1);
    }
    return true;
}

static bool chip_erase(uint32_t offset)
{
    uint32_t unit = chip.geometry.erase_unit;
    assert_true(offset % unit == 0 && offset < chip.geometry.size);
    bool torn = left-- == 0;
    uint32_t of_16 = torn ? any(17) : 16;
    for (uint32_t i = 0; i < unit; i++)
        cells[offset + i] |= of_16 == 16 ? 0xff : some_bits(of_16);
    erasures++;
    if (torn)
        longjmp(off, 1);
    memset(used + offset / chip.geometry.program_unit, 0, unit / chip.geometry.program_unit);
    return true;
}

/// Starts ///

static void *scratch_bottom;

static void reboot(void)
{
    left = -1;
    memset(&ring, 0, sizeof ring);
    memset(accounts_slots, 0, sizeof accounts_slots);
    memset(text, 0, sizeof text);
    memset(&by_name, 0, sizeof by_name);
    memset(&by_email, 0, sizeof by_email);
    text_length = nobodys = 0;
    accounts = (struct pool){.name = "accounts",
                             .slots = accounts_slots,
                             .slot_size = sizeof(struct account),
                             .size = USERS_MAX,
                             .next = accounts.next,
                             .listed = accounts.listed};
    assert_true(journal_start());
}

// A chip of any kind that the journal may meet. Its first segment's number is a little before one where some counter's
// half runs over.
static void new_chip(uint32_t size, uint32_t erase_unit, uint32_t program_unit, uint32_t sequence)
{
    chip = (struct machine_flash){{size, erase_unit, program_unit}, chip_read, chip_program, chip_erase};
    machine_flash = &chip;
    memset(cells, 0xff, sizeof cells);
    memset(used, 0, sizeof used);
    scratch_bottom = scratch_take(1);
    scratch_give(scratch_bottom);
    reboot();
    if (sequence == 0)
        return;
    memset(cells, 0xff, sizeof cells);
    memset(used, 0, sizeof used);
    assert_true(write_title(sequence, 1));
    reboot();
    assert_int_equal(ring.head, sequence);
}

static void random_chip(void)
{
    static const uint32_t erase_units[] = {512, 1024, 2048, 4096};
    static const uint32_t program_units[] = {1, 2, 4, 8, 16, 32, 256};
    static const uint32_t sequences[] = {0, 1, 65530, 131070, 0x7ffffff0u - 4096};
    uint32_t erase_unit = erase_units[any(4)], program_unit = program_units[any(7)];
    uint32_t segment = erase_unit;
    while (segment < 2400 + 8 * program_unit)
        segment += erase_unit;
    uint32_t size = segment * (6 + any(any(4) == 0 ? 10 : 2));
    new_chip(size < CELLS ? size : CELLS, erase_unit, program_unit, sequences[any(5)]);
}

/// What should be there ///

#define KEYS  8
#define BLOBS 4

struct bytes {
    bool there;
    uint16_t length;
    uint8_t seed;
};

struct person {
    uint32_t uid; // 0: nobody
    uint8_t name_length, email_length, password;
};

static struct model {
    struct person people[USERS_MAX];
    struct bytes settings[KEYS], blobs[BLOBS];
    uint32_t newest_uid;
} model;

static uint8_t byte_of(uint8_t seed, size_t i)
{
    // Among them what looks like the beginning of a record, and erased bytes.
    static const uint8_t odd[] = {0xc1, 0xff, 0x00, 0x01};
    return seed % 3 == 0 ? odd[(i / 3 + seed) % 4] : (uint8_t)(seed * 37 + i * 11);
}

static struct span filled(uint8_t *at, struct bytes b)
{
    for (size_t i = 0; i < b.length; i++)
        at[i] = byte_of(b.seed, i);
    return (struct span){(const char *)at, b.length};
}

// Names of all lengths, which begin alike.
static struct span name_of_thing(int i, char out[JOURNAL_NAME])
{
    static const uint8_t lengths[] = {1, 2, 3, 31, 32, 32, 16, 7};
    memset(out, 'n', JOURNAL_NAME);
    out[lengths[i] - 1] = (char)('a' + i);
    return (struct span){out, lengths[i]};
}

static void texts_of_person(uint32_t i, const struct person *p, char *at, struct users_account *a)
{
    memset(at, 'x', 300);
    at[0] = (char)('A' + i % 26);
    at[1] = (char)('0' + i / 26 % 64);
    at[2] = (char)('0' + i / 26 / 64);
    memcpy(at + p->name_length, at, 3);
    *a = (struct users_account){p->uid, {at, p->name_length}, {at + p->name_length, p->email_length}};
}

static struct users_secret secret_of(uint32_t i, uint8_t password)
{
    struct users_secret s;
    memset(s.salt, (int)(password ^ i), sizeof s.salt);
    memset(s.key, (int)(password + i), sizeof s.key);
    return s;
}

static const struct model *looked_at;
static uint32_t settings_right, settings_seen;

static void look(struct span key, struct span value)
{
    char name[JOURNAL_NAME];
    uint8_t bytes[JOURNAL_VALUE];
    settings_seen++;
    for (int i = 0; i < KEYS; i++)
        if (span_equal(key, name_of_thing(i, name)) && looked_at->settings[i].there)
            settings_right += span_equal(value, filled(bytes, looked_at->settings[i]));
}

static bool settings_are(const struct model *m)
{
    uint32_t wanted = 0;
    looked_at = m;
    settings_right = settings_seen = 0;
    journal_settings(look);
    for (int i = 0; i < KEYS; i++)
        wanted += m->settings[i].there;
    return settings_seen == wanted && settings_right == wanted;
}

static bool blobs_are(const struct model *m)
{
    char name[JOURNAL_NAME];
    uint8_t expected[JOURNAL_BLOB], found[JOURNAL_BLOB];
    bool good = true;
    for (int i = 0; i < BLOBS; i++) {
        struct span e = filled(expected, m->blobs[i]);
        size_t n = journal_read_blob(name_of_thing(i, name), found, sizeof found);
        good = good && span_equal(e, (struct span){(const char *)found, n});
    }
    return good;
}

// The uid of a person of whom it was not said yet is taken as it is, when it is a new one.
static bool people_are(struct model *m)
{
    char at[320];
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < USERS_MAX; i++) {
        struct person *p = &m->people[i];
        struct users_account a, found;
        struct users_secret s, expected = secret_of(i, p->password);
        if (p->name_length == 0)
            continue;
        texts_of_person(i, p, at, &a);
        if (!users_by_name(a.name, &found) || !users_secret_of(found.uid, &s) || memcmp(&s, &expected, sizeof s) != 0 ||
            !span_equal(found.email, a.email) || users_find_email(a.email) != found.uid)
            return false;
        if (p->uid == 0 && found.uid > m->newest_uid)
            p->uid = m->newest_uid = found.uid;
        if (p->uid != found.uid)
            return false;
        wanted++;
    }
    return wanted == users_count();
}

static bool is(struct model *m)
{
    return people_are(m) && settings_are(m) && blobs_are(m);
}

/// What is done ///

enum { REGISTER, RESET, SET, UNSET, BLOB, NO_BLOB, DEEDS };

// One deed, and the model after it. 1 done, 0 refused as full.
static int act(int what, uint32_t i, struct bytes value, struct model *after)
{
    char at[320], name[JOURNAL_NAME];
    uint8_t bytes[JOURNAL_BLOB];
    struct users_account a;
    enum users_error error;
    enum records_error result;
    struct span s = filled(bytes, value);
    struct person *p = &after->people[i % USERS_MAX];
    struct users_secret secret;
    uint32_t uid = 0;
    switch (what) {
    case REGISTER:
        *p = (struct person){0, (uint8_t)(3 + value.length % (NAME_MAX_BYTES - 2)), (uint8_t)(3 + value.length % 60),
                             value.seed};
        texts_of_person(i, p, at, &a);
        secret = secret_of(i, value.seed);
        error = users_commit_account(a.name, a.email, &secret, &uid);
        assert_true(error == USERS_OK || error == USERS_FULL);
        return error == USERS_OK;
    case RESET:
        p->password = value.seed;
        secret = secret_of(i, value.seed);
        error = users_commit_secret(p->uid, &secret);
        assert_true(error == USERS_OK || error == USERS_FULL);
        return error == USERS_OK;
    case SET:
        after->settings[i] = value;
        result = journal_keep_setting(name_of_thing((int)i, name), s);
        assert_true(result == RECORDS_OK || result == RECORDS_FULL);
        return result == RECORDS_OK;
    case UNSET:
        after->settings[i].there = false;
        assert_int_equal(journal_keep_unset(name_of_thing((int)i, name)), RECORDS_OK);
        return 1;
    case BLOB:
        after->blobs[i] = value;
        return journal_keep_blob(name_of_thing((int)i, name), s);
    default:
        after->blobs[i] = (struct bytes){0};
        assert_true(journal_keep_blob(name_of_thing((int)i, name), (struct span){NULL, 0}));
        return 1;
    }
}

static struct bytes random_value(uint32_t most)
{
    uint32_t length = any(4) == 0 ? most - any(3) : any(1 + any(most));
    return (struct bytes){true, (uint16_t)length, (uint8_t)any(256)};
}

static unsigned cuts, refusals, deeds;

// False when the power went.
static bool one_deed(uint32_t people)
{
    static struct model before;
    static int what;
    static uint32_t i;
    static struct bytes value;
    struct model *after = &model;
    what = (int)any(DEEDS);
    i = any(what == SET || what == UNSET ? KEYS : what >= BLOB ? BLOBS : people);
    if (what == REGISTER || what == RESET)
        what = model.people[i].name_length == 0 ? REGISTER : RESET;
    value = random_value(what == BLOB ? JOURNAL_BLOB : what == SET ? JOURNAL_VALUE : 200);
    before = model;
    left = any(2) == 0 ? (long)any(2u << any(9)) : -1;
    deeds++;
    if (setjmp(off) == 0) {
        int done = act(what, i, value, after);
        left = -1;
        if (!done) {
            refusals++;
            model = before;
        }
        return true;
    }
    cuts++;
    scratch_give(scratch_bottom); // as after a jump out of the middle
    reboot();
    if (!is(&model)) { // not done, then
        model = before;
        assert_true(is(&model));
    }
    return false;
}

static void test_random_deeds_on_random_chips(void **state)
{
    (void)state;
    const char *given = getenv("JOURNAL_SEED");
    for (uint32_t chip_number = 0; chip_number < (given != NULL ? 1 : 60); chip_number++) {
        uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20260101u + chip_number;
        chance = seed * 0x9e3779b97f4a7c15u | 1;
        any(2);
        memset(&model, 0, sizeof model);
        random_chip();
        uint32_t people = any(2) == 0 ? 100 : 1 + any(6);
        for (int n = 0; n < 250; n++) {
            one_deed(people);
            if (any(8) == 0)
                reboot();
            for (uint32_t idle = any(4) == 0 ? any(20) : 0; idle > 0; idle--)
                journal_step();
            if (!is(&model))
                fail_msg("seed %llu, deed %d", (unsigned long long)seed, n);
        }
    }
    print_message("%u deeds, %u cuts, %u refused as full\n", deeds, cuts, refusals);
    assert_true(cuts > 500 && refusals > 100);
}

/// Room ///

// As many accounts as there is room for, of which none is written again, and then the same few things over and over
// while nobody has a turn to spare, as when passwords are being hashed all the time. A record paid for four others of
// the oldest segment, however many there were: from 20 segments on the reserve was used up before what did not count
// was reached, and after that nothing could be written or made free any more.
static uint32_t worst_of_one_record(uint32_t segments, bool large)
{
    uint32_t worst = 0, people = 0;
    memset(&model, 0, sizeof model);
    new_chip(segments * 8192, 8192, 4, 0);
    assert_int_equal(act(BLOB, 0, (struct bytes){true, JOURNAL_BLOB, 1}, &model), 1);
    while (act(REGISTER, people, (struct bytes){true, 59, 1}, &model) == 1)
        people++;
    model.people[people] = (struct person){0};
    assert_true(people < USERS_MAX);
    assert_true(is(&model));
    for (uint32_t n = 0; n < 2000; n++) {
        uint32_t before = erasures;
        if (large)
            assert_int_equal(act(BLOB, 0, (struct bytes){true, JOURNAL_BLOB, (uint8_t)n}, &model), 1);
        else
            assert_int_equal(act(RESET, 0, (struct bytes){.seed = (uint8_t)n}, &model), 1);
        worst = erasures - before > worst ? erasures - before : worst;
    }
    reboot();
    assert_true(is(&model));
    return worst;
}

static void test_what_lies_still_is_moved_in_time(void **state)
{
    (void)state;
    for (uint32_t segments = 6; segments <= 26; segments += 10) {
        assert_in_range(worst_of_one_record(segments, false), 1, 2);
        assert_in_range(worst_of_one_record(segments, true), 1, 3);
    }
}

// One new password, which the power may cut off; and what little is done when nobody waits. False when it was refused.
static bool reset_or_cut(uint32_t people, uint8_t password)
{
    static struct users_secret secret;
    static uint32_t i;
    i = any(people);
    secret = secret_of(i, password);
    left = (long)any(2u << any(7));
    if (setjmp(off) == 0) {
        bool done = users_commit_secret(model.people[i].uid, &secret) == USERS_OK;
        if (done)
            model.people[i].password = password;
        for (int idle = 0; done && idle < 10; idle++)
            journal_step();
        left = -1;
        return done;
    }
    scratch_give(scratch_bottom);
    reboot();
    if (!is(&model))
        model.people[i].password = password;
    assert_true(is(&model));
    return true;
}

static uint32_t full_of_people(uint32_t segments, uint32_t erase_unit, uint32_t program_unit)
{
    uint32_t people = 0;
    memset(&model, 0, sizeof model);
    new_chip(segments * erase_unit, erase_unit, program_unit, 0);
    while (act(REGISTER, people, (struct bytes){true, 59, 1}, &model) == 1)
        people++;
    model.people[people] = (struct person){0};
    assert_true(is(&model));
    return people;
}

// The power goes again and again before anything is done, on a journal that is full. Afterwards it still takes a
// change.
static void cuts_in_a_row(uint32_t segments, uint32_t erase_unit, uint32_t program_unit)
{
    uint32_t people = full_of_people(segments, erase_unit, program_unit);
    for (int n = 0; n < 20; n++) {
        for (uint8_t i = 0; i < 20; i++)
            assert_true(reset_or_cut(people, i));
        while (journal_step())
            ;
        assert_int_equal(act(RESET, any(people), (struct bytes){.seed = (uint8_t)n}, &model), 1);
        assert_true(is(&model));
    }
}

static void test_twenty_cuts_in_a_row(void **state)
{
    (void)state;
    chance = 99;
    cuts_in_a_row(6, 2048, 4);
    cuts_in_a_row(9, 2048, 4);
    cuts_in_a_row(6, 4096, 256);
    cuts_in_a_row(16, 2048, 16);
}

// Hundreds of them, each within a few records of the last, may use up the reserve (DESIGN.md). What is there is still
// read, and forgetting everything makes it good again.
static void test_cuts_without_end(void **state)
{
    (void)state;
    chance = 99;
    uint32_t people = full_of_people(6, 2048, 4);
    for (int n = 0; n < 3000 && reset_or_cut(people, (uint8_t)n); n++)
        ;
    reboot();
    assert_true(is(&model));
    assert_true(journal_format());
    memset(&model, 0, sizeof model);
    reboot();
    assert_true(is(&model));
    for (uint32_t i = 0; i < people; i++)
        assert_int_equal(act(REGISTER, i, (struct bytes){true, 59, 1}, &model), 1);
    reboot();
    assert_true(is(&model));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_deeds_on_random_chips),
        cmocka_unit_test(test_what_lies_still_is_moved_in_time),
        cmocka_unit_test(test_twenty_cuts_in_a_row),
        cmocka_unit_test(test_cuts_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
