// What the records mean, and which of them still count.
#include "journal.h"
#include "../../port/log.h"
#include "../../port/scratch.h"
#include "store.h"
#include <mbedtls/platform_util.h>
#include <string.h>

/// Accounts ///

// The beginning of an account's body; name and email follow.
struct account_head {
    uint16_t uid;
    uint8_t name_length;
    uint8_t email_length;
    struct users_secret secret;
};

_Static_assert(sizeof(struct account_head) == 52, "its layout is in DESIGN.md");

struct account_text {
    char bytes[NAME_MAX_BYTES + EMAIL_MAX_BYTES];
};

// Of a record that may be an account's; 0 when it is none's.
static uint16_t uid_of(const struct record *r)
{
    uint16_t uid = 0;
    if (r->kind == RECORD_ACCOUNT && r->length >= sizeof(struct account_head))
        records_read(r, 0, &uid, sizeof uid);
    return uid;
}

static void account_parts(const struct users_account *a, const struct users_secret *secret, struct account_head *head,
                          struct span parts[3])
{
    *head = (struct account_head){(uint16_t)a->uid, (uint8_t)a->name.length, (uint8_t)a->email.length, *secret};
    parts[0] = (struct span){(const char *)head, sizeof *head};
    parts[1] = a->name;
    parts[2] = a->email;
}

enum users_error journal_keep_account(const struct users_account *account, const struct users_secret *secret,
                                      bool again, uint16_t *place)
{
    struct account_head head;
    struct span parts[3];
    if (!records_started())
        return USERS_OK;
    account_parts(account, secret, &head, parts);
    uint32_t old = again && users_place(account->uid) != 0
                       ? records_size(sizeof head + account->name.length + account->email.length)
                       : 0;
    enum records_error error = records_append(RECORD_ACCOUNT, parts, 3, old, place);
    mbedtls_platform_zeroize(&head, sizeof head);
    return error == RECORDS_OK ? USERS_OK : error == RECORDS_FULL ? USERS_FULL : USERS_NOT_KEPT;
}

// From the store and not from flash: what has been damaged there meanwhile is mended.
static bool move_account(const struct record *r)
{
    uint16_t place, uid = uid_of(r);
    struct users_account account;
    struct users_secret secret;
    struct account_head head;
    struct span parts[3];
    if (users_place(uid) != records_place(r) || !users_by_uid(uid, &account))
        return true;
    users_secret_of(uid, &secret);
    account_parts(&account, &secret, &head, parts);
    bool good = records_write(RECORD_ACCOUNT, parts, 3, &place);
    mbedtls_platform_zeroize(&secret, sizeof secret);
    mbedtls_platform_zeroize(&head, sizeof head);
    if (good)
        users_set_place(uid, place);
    return good;
}

static bool read_account(const struct record *r, struct account_head *head, struct account_text *text,
                         struct users_account *account)
{
    if (r->kind != RECORD_ACCOUNT || r->length < sizeof *head)
        return false;
    records_read(r, 0, head, sizeof *head);
    if (r->length != sizeof *head + head->name_length + head->email_length || head->name_length > NAME_MAX_BYTES ||
        head->name_length == 0 || head->email_length > EMAIL_MAX_BYTES)
        return false;
    records_read(r, sizeof *head, text->bytes, (size_t)head->name_length + head->email_length);
    *account = (struct users_account){
        head->uid, {text->bytes, head->name_length}, {text->bytes + head->name_length, head->email_length}};
    return true;
}

static void restore_account(uint32_t uid)
{
    struct record r;
    struct users_account account;
    struct account_text *text = scratch_take(sizeof *text);
    struct account_head head;
    uint16_t place = users_place(uid);
    if (place != 0 && records_at(place, &r) && read_account(&r, &head, text, &account) &&
        users_restore(&account, &head.secret))
        records_count_live(records_size(r.length));
    else
        users_set_place(uid, 0);
    mbedtls_platform_zeroize(&head, sizeof head);
    scratch_give(text);
}

/// Names ///

// The body of a setting or a blob: the name's length in a byte, the name, and the value.
struct named {
    uint8_t length;
    char name[JOURNAL_NAME];
};

static bool read_name(const struct record *r, struct named *n)
{
    if (r->kind < RECORD_SETTING || r->kind > RECORD_BLOB || r->length == 0)
        return false;
    records_read(r, 0, &n->length, 1);
    if (n->length == 0 || n->length > JOURNAL_NAME || 1u + n->length > r->length)
        return false;
    records_read(r, 1, n->name, n->length);
    return true;
}

static bool has_name(const struct record *r, bool blob, struct span name)
{
    struct named n;
    return (r->kind == RECORD_BLOB) == blob && read_name(r, &n) && span_equal((struct span){n.name, n.length}, name) &&
           records_good(r);
}

static size_t value_length(const struct record *r, struct span name)
{
    return r->length - 1 - name.length;
}

static bool says_nothing(const struct record *r, struct span name)
{
    return r->kind == RECORD_UNSET || (r->kind == RECORD_BLOB && value_length(r, name) == 0);
}

// The newest record of that name, when it says more than that there is none.
static bool find_named(bool blob, struct span name, struct record *found)
{
    bool has = false;
    for (struct record r = {0}; records_next(&r);)
        if (has_name(&r, blob, name)) {
            *found = r;
            has = !says_nothing(&r, name);
        }
    return has;
}

// `name` is filled in when it does.
static bool counts(const struct record *r, struct named *name)
{
    struct record later = *r;
    if (!read_name(r, name) || !records_good(r))
        return false;
    struct span s = {name->name, name->length};
    if (says_nothing(r, s))
        return false;
    while (records_next(&later))
        if (has_name(&later, r->kind == RECORD_BLOB, s))
            return false;
    return true;
}

// What says that there is nothing has done its work when it is the oldest: all that it was about went before it.
bool journal_move(const struct record *r)
{
    struct named name;
    if (r->kind == RECORD_ACCOUNT)
        return move_account(r);
    return !counts(r, &name) || records_copy(r);
}

static enum records_error keep_named(enum record_kind kind, struct span name, struct span value)
{
    uint8_t length = (uint8_t)name.length;
    const struct span parts[3] = {{(const char *)&length, 1}, name, value};
    struct record old;
    uint16_t place;
    if (!records_started())
        return RECORDS_NONE;
    if (name.length == 0 || name.length > JOURNAL_NAME)
        return RECORDS_FULL;
    bool has = find_named(kind == RECORD_BLOB, name, &old);
    bool says = kind == RECORD_SETTING || value.length > 0;
    if (!has && !says)
        return RECORDS_OK;
    enum records_error error = records_append(kind, parts, 3, has ? records_size(old.length) : 0, &place);
    if (error == RECORDS_OK && !says)
        records_forget_live(records_size(1 + name.length));
    return error;
}

/// Settings ///

enum records_error journal_keep_setting(struct span key, struct span value)
{
    return value.length > JOURNAL_VALUE ? RECORDS_FULL : keep_named(RECORD_SETTING, key, value);
}

enum records_error journal_keep_unset(struct span key)
{
    return keep_named(RECORD_UNSET, key, (struct span){NULL, 0});
}

void journal_settings(void (*take)(struct span key, struct span value))
{
    struct named name;
    char *value = scratch_take(JOURNAL_VALUE);
    for (struct record r = {0}; records_next(&r);) {
        if (r.kind != RECORD_SETTING || !counts(&r, &name))
            continue;
        struct span key = {name.name, name.length};
        size_t length = value_length(&r, key);
        if (length > JOURNAL_VALUE)
            continue;
        records_read(&r, 1u + name.length, value, length);
        take(key, (struct span){value, length});
    }
    mbedtls_platform_zeroize(value, JOURNAL_VALUE);
    scratch_give(value);
}

/// Blobs ///

bool journal_keep_blob(struct span name, struct span bytes)
{
    return bytes.length <= JOURNAL_BLOB && keep_named(RECORD_BLOB, name, bytes) == RECORDS_OK;
}

size_t journal_read_blob(struct span name, uint8_t *bytes, size_t size)
{
    struct record r;
    if (!find_named(true, name, &r) || value_length(&r, name) > size)
        return 0;
    records_read(&r, (uint32_t)(1 + name.length), bytes, value_length(&r, name));
    return value_length(&r, name);
}

/// Start ///

// No email ends in this byte: so an account's record that does has never been whole.
static bool is_whole(const struct record *r)
{
    uint8_t last = 0;
    if (r->length > 0)
        records_read(r, r->length - 1u, &last, 1);
    return last != 0xff;
}

// Places of accounts, the newest of each, and how large what counts of the rest is. Returns how many damages came
// behind the account with the largest uid: each may have been an account with a larger one.
static uint32_t find_places(uint32_t *largest)
{
    uint32_t damages = 0;
    struct named name;
    struct record r = {0};
    while (records_next(&r)) {
        bool good = records_good(&r);
        uint16_t uid = good ? uid_of(&r) : 0;
        damages += r.damaged || (!good && is_whole(&r)) ? 1 : 0;
        r.damaged = false;
        if (uid > *largest && uid <= USERS_MAX) {
            *largest = uid;
            damages = 0;
        }
        if (uid != 0)
            users_set_place(uid, records_place(&r));
        else if (good && counts(&r, &name))
            records_count_live(records_size(r.length));
    }
    return damages + (r.damaged ? 1 : 0);
}

static void restore_accounts(void)
{
    uint32_t largest = 0;
    uint32_t damages = find_places(&largest);
    for (uint32_t uid = 1; uid <= largest; uid++)
        restore_account(uid);
    for (; damages > 0 && largest < USERS_MAX; damages--)
        users_set_place(++largest, 0);
}

bool journal_start(void)
{
    enum records_error error = records_start();
    if (error == RECORDS_FAILED)
        log_line(LOG_ERROR, "journal", "the flash memory failed: accounts and settings are in RAM alone");
    if (error != RECORDS_OK)
        return error == RECORDS_NONE;
    users_store_start();
    restore_accounts();
    return true;
}

bool journal_format(void)
{
    return records_format();
}

bool journal_step(void)
{
    return records_step();
}
