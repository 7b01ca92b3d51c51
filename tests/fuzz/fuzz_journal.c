// Fuzzes the journal's reader with flash that somebody else has written: records whose sums are right and whose bodies
// are anything, sums that are wrong, and bytes that are no records. Whatever there is, a start ends, reads inside of
// the region alone, and leaves a journal that works: what is kept then is there after the next start.
//
// An input is a row of pieces: a byte of flags, a kind, two bytes of length, and so many bytes.
#include "../../services/users/records.c"

#include "../../services/users/journal.c"

#include "../../services/users/store.c"

#include "../unit/machine.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNIT   2048
#define REGION (36 * UNIT)

enum { WRONG_SUM = 1, WRONG_PARITY = 2, GAP = 4, RAW = 8, NEXT_SEGMENT = 16, WRONG_SEGMENT = 32 };

static uint8_t *cells; // a block of its own, so AddressSanitizer sees a byte too far

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void cells_read(uint32_t offset, void *bytes, size_t length)
{
    memcpy(bytes, cells + offset, length);
}

static bool cells_program(uint32_t offset, const void *bytes, size_t length)
{
    require(offset % 4 == 0 && length % 4 == 0);
    for (size_t i = 0; i < length; i++)
        cells[offset + i] &= ((const uint8_t *)bytes)[i];
    return true;
}

static bool cells_erase(uint32_t offset)
{
    require(offset % UNIT == 0);
    memset(cells + offset, 0xff, UNIT);
    return true;
}

static const struct machine_flash chip = {{REGION, UNIT, 4}, cells_read, cells_program, cells_erase};

static void power_off(void)
{
    memset(accounts_slots, 0, sizeof accounts_slots);
    accounts.used = accounts.fresh = 0;
    accounts.free_list = NULL;
    memset(&by_name, 0, sizeof by_name);
    memset(&by_email, 0, sizeof by_email);
    text_length = nobodys = 0;
}

/// What somebody has written ///

static void write_raw(const uint8_t *bytes, uint32_t length)
{
    uint32_t room = ring.segment - ring.position;
    memcpy(cells + base_of(ring.head) + ring.position, bytes, length < room ? length : room);
    ring.position += round_up(length < room ? length : room, ring.grain);
}

static void write_record(uint8_t flags, uint8_t kind, const uint8_t *body, uint16_t length)
{
    struct record r = {.kind = kind, .length = length, .sequence = ring.head + ((flags & WRONG_SEGMENT) != 0)};
    struct head h = {MARK, kind, length, (uint16_t)r.sequence, 0xffff, crc32(check_head(kind, length), body, length)};
    uint16_t words[4];
    memcpy(words, &h, sizeof words);
    h.parity = (uint16_t)(words[0] ^ words[1] ^ words[2] ^ words[3] ^ ((flags & WRONG_PARITY) != 0));
    h.check ^= (flags & WRONG_SUM) != 0;
    write_raw((const uint8_t *)&h, sizeof h);
    write_raw(body, length);
}

static void write_pieces(const uint8_t *data, size_t size)
{
    while (size >= 4) {
        uint16_t length = (uint16_t)(data[2] | data[3] << 8);
        if (length > size - 4)
            length = (uint16_t)(size - 4);
        if ((data[0] & NEXT_SEGMENT) != 0 || ring.position + HEAD > ring.segment)
            require(begin_segment());
        if ((data[0] & GAP) != 0 && ring.position + 8 < ring.segment)
            ring.position += 8;
        if ((data[0] & RAW) != 0)
            write_raw(data + 4, length);
        else
            write_record(data[0], data[1], data + 4, length);
        data += 4 + length;
        size -= 4u + length;
    }
}

/// What is made of it ///

static unsigned settings_seen;

static void take_setting(struct span key, struct span value)
{
    require(key.length > 0 && key.length <= JOURNAL_NAME && value.length <= JOURNAL_VALUE);
    settings_seen++;
}

static void require_consistent(void)
{
    struct users_account account;
    uint32_t at = 0, seen = 0;
    while (users_walk(&at, &account)) {
        require(users_find_name(account.name) == account.uid && users_find_email(account.email) == account.uid);
        seen++;
    }
    require(seen == users_count());
}

static void require_it_works(void)
{
    static const struct users_secret secret = {{1}, {2}};
    uint8_t bytes[JOURNAL_BLOB];
    uint32_t uid = 0;
    enum users_error result =
        users_commit_account(span_of("a fuzzer's own"), span_of("fuzzer@example.org"), &secret, &uid);
    require(result != USERS_NOT_KEPT);
    require(journal_keep_setting(span_of("key"), span_of("value")) != RECORDS_FAILED);
    bool kept = journal_keep_blob(span_of("blob"), span_of("bytes"));
    for (int i = 0; i < 20; i++)
        journal_step();
    power_off();
    require(journal_start());
    require_consistent();
    require(result != USERS_OK || users_find_name(span_of("a fuzzer's own")) == uid);
    require(!kept || (journal_read_blob(span_of("blob"), bytes, sizeof bytes) == 5 && memcmp(bytes, "bytes", 5) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (cells == NULL)
        cells = malloc(REGION);
    require(cells != NULL);
    memset(cells, 0xff, REGION);
    machine_flash = &chip;
    power_off();
    require(journal_start());
    write_pieces(data, size);
    power_off();
    require(journal_start());
    require_consistent();
    settings_seen = 0;
    journal_settings(take_setting);
    require_it_works();
    return 0;
}
