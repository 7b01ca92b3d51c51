#include "store.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "siphash.h"
#include <string.h>

// Where an account's name and email stand in `text`, one behind the other. Without a name nobody has the slot: the
// account's record was damaged, and its uid is not used again.
struct account {
    struct users_secret secret;
    uint32_t text;
    uint16_t next_by_name; // the next account in the same bucket, as in `struct index`
    uint16_t next_by_email;
    uint8_t name_length;
    uint8_t email_length;
    uint16_t place; // of its record in flash
    uint16_t home;  // a hash of the address of the last login, 0 for none
};

// Heads of chains. An account is number uid here, which is its slot's number plus one; 0 ends a chain.
struct index {
    uint16_t buckets[USERS_MAX];
};

_Static_assert(USERS_MAX < UINT16_MAX, "the indexes number accounts in 16 bits");
_Static_assert(EMAIL_MAX_BYTES <= UINT8_MAX && NAME_MAX_BYTES <= UINT8_MAX, "lengths are kept in 8 bits");
_Static_assert(USERS_TEXT >= NAME_MAX_BYTES + EMAIL_MAX_BYTES, "the longest account fits into an empty store");

POOL(accounts, struct account, USERS_MAX);
static char text[USERS_TEXT];
static uint32_t text_length;
static uint32_t nobodys; // slots that nobody has
static struct index by_name;
static struct index by_email;
static struct siphash_key index_key;

/// Accounts ///

static struct account *slot_of(uint32_t uid)
{
    return uid == 0 || uid > accounts.used ? NULL : pool_slot(&accounts, uid - 1);
}

static struct account *account_of(uint32_t uid)
{
    struct account *a = slot_of(uid);
    return a != NULL && a->name_length > 0 ? a : NULL;
}

static struct span name_of(const struct account *a)
{
    return (struct span){text + a->text, a->name_length};
}

static struct span email_of(const struct account *a)
{
    return (struct span){text + a->text + a->name_length, a->email_length};
}

bool users_by_uid(uint32_t uid, struct users_account *account)
{
    const struct account *a = account_of(uid);
    if (a == NULL)
        return false;
    *account = (struct users_account){uid, name_of(a), email_of(a)};
    return true;
}

// Accounts are never given back, so those in use stand together at the front.
bool users_walk(uint32_t *at, struct users_account *account)
{
    while (++*at <= accounts.used)
        if (users_by_uid(*at, account))
            return true;
    return false;
}

uint32_t users_count(void)
{
    return accounts.used - nobodys;
}

/// Indexes ///

bool users_store_start(void)
{
    pool_list(&accounts);
    // Accounts that are there already were put where the old key says.
    return accounts.used > 0 || port_entropy(&index_key, sizeof index_key);
}

// The bucket of a text whose ASCII case does not count; `s` has at most EMAIL_MAX_BYTES.
static uint16_t *bucket(struct index *index, struct span s)
{
    char folded[EMAIL_MAX_BYTES];
    for (size_t i = 0; i < s.length; i++)
        folded[i] = span_fold(s.at[i]);
    return &index->buckets[siphash(&index_key, (struct span){folded, s.length}) % USERS_MAX];
}

uint32_t users_find_name(struct span name)
{
    if (name.length > NAME_MAX_BYTES)
        return 0;
    uint32_t uid = *bucket(&by_name, name);
    while (uid != 0 && !span_equal_nocase(name_of(account_of(uid)), name))
        uid = account_of(uid)->next_by_name;
    return uid;
}

uint32_t users_find_email(struct span email)
{
    if (email.length > EMAIL_MAX_BYTES)
        return 0;
    uint32_t uid = *bucket(&by_email, email);
    while (uid != 0 && !span_equal_nocase(email_of(account_of(uid)), email))
        uid = account_of(uid)->next_by_email;
    return uid;
}

bool users_by_name(struct span name, struct users_account *account)
{
    return users_by_uid(users_find_name(name), account);
}

bool users_by_email(struct span email, struct users_account *account)
{
    return users_by_uid(users_find_email(email), account);
}

bool users_secret_of(uint32_t uid, struct users_secret *secret)
{
    const struct account *a = account_of(uid);
    if (a != NULL)
        *secret = a->secret;
    return a != NULL;
}

/// Where the owners are ///

uint64_t users_hash(struct span s)
{
    return siphash(&index_key, s);
}

// One stranger in 65,535 passes for the owner, and may then try as often as the owner may.
static uint16_t home_of(uint32_t uid, uint32_t address)
{
    const uint32_t both[] = {uid, address};
    return (uint16_t)(1 + users_hash((struct span){(const char *)both, sizeof both}) % UINT16_MAX);
}

bool users_store_is_home(uint32_t uid, uint32_t address)
{
    const struct account *a = account_of(uid);
    return a != NULL && a->home == home_of(uid, address);
}

void users_set_home(uint32_t uid, uint32_t address)
{
    struct account *a = account_of(uid);
    if (a != NULL)
        a->home = home_of(uid, address);
}

/// Changes ///

bool users_store_full(struct span name, struct span email)
{
    return accounts.used == accounts.size || name.length + email.length > sizeof text - text_length;
}

static void append(struct span s)
{
    memcpy(text + text_length, s.at, s.length);
    text_length += (uint32_t)s.length;
}

static void fill(struct account *a, struct span name, struct span email, const struct users_secret *secret)
{
    a->secret = *secret;
    a->text = text_length;
    a->name_length = (uint8_t)name.length;
    a->email_length = (uint8_t)email.length;
    append(name);
    append(email);
}

static void link_account(uint16_t *head, uint16_t *next, uint32_t uid)
{
    *next = *head;
    *head = (uint16_t)uid;
}

static void put_in(uint32_t uid, struct span name, struct span email, const struct users_secret *secret)
{
    struct account *a = slot_of(uid);
    fill(a, name, email, secret);
    link_account(bucket(&by_name, name), &a->next_by_name, uid);
    link_account(bucket(&by_email, email), &a->next_by_email, uid);
}

enum users_error users_commit_account(struct span name, struct span email, const struct users_secret *secret,
                                      uint32_t *uid)
{
    uint16_t place = 0;
    if (users_find_name(name) != 0 || users_find_email(email) != 0)
        return USERS_TAKEN;
    if (users_store_full(name, email))
        return USERS_FULL;
    struct users_account account = {accounts.used + 1, name, email};
    enum users_error result = journal_keep_account(&account, secret, false, &place);
    if (result != USERS_OK)
        return result;
    struct account *a = pool_take(&accounts);
    a->place = place;
    put_in(account.uid, name, email, secret);
    *uid = account.uid;
    return USERS_OK;
}

enum users_error users_commit_secret(uint32_t uid, const struct users_secret *secret)
{
    struct users_account account;
    uint16_t place = 0;
    if (!users_by_uid(uid, &account))
        return USERS_UNKNOWN;
    enum users_error result = journal_keep_account(&account, secret, true, &place);
    if (result != USERS_OK)
        return result;
    account_of(uid)->secret = *secret;
    account_of(uid)->place = place;
    return USERS_OK;
}

/// What the journal had ///

uint16_t users_place(uint32_t uid)
{
    const struct account *a = slot_of(uid);
    return a == NULL ? 0 : a->place;
}

bool users_set_place(uint32_t uid, uint16_t place)
{
    for (; accounts.used < uid; nobodys++)
        if (pool_take(&accounts) == NULL)
            return false;
    if (uid > 0)
        slot_of(uid)->place = place;
    return uid > 0;
}

bool users_restore(const struct users_account *account, const struct users_secret *secret)
{
    if (account_of(account->uid) != NULL || account->name.length + account->email.length > sizeof text - text_length ||
        users_find_name(account->name) != 0 || users_find_email(account->email) != 0)
        return false;
    put_in(account->uid, account->name, account->email, secret);
    nobodys--;
    return true;
}
