// The user store: bounds, indexes, jobs and their turns.
#define _DEFAULT_SOURCE // fork
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include "../../port/pool.h"
#include "../../port/text.h"
#include "../../services/users/pbkdf2.h"
#include "../../services/users/store.h"
#include "../../services/users/users.h"
#include "machine.h"

static struct span span(const char *s)
{
    return span_of(s);
}

/// Bounds ///

struct bound {
    const char *text;
    const char *wrong; // a word of the sentence, NULL when the text is fine
};

static void check(const char *(*checker)(struct span), const struct bound *bounds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *sentence = checker(span(bounds[i].text));
        if ((sentence == NULL) != (bounds[i].wrong == NULL))
            fail_msg("\"%s\": %s", bounds[i].text, sentence == NULL ? "was let through" : sentence);
        if (sentence != NULL && strstr(sentence, bounds[i].wrong) == NULL)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", bounds[i].text, sentence, bounds[i].wrong);
    }
}

#define CHECK(CHECKER, BOUNDS) check(CHECKER, BOUNDS, sizeof(BOUNDS) / sizeof(BOUNDS)[0])

static void names(void **state)
{
    (void)state;
    static const struct bound bounds[] = {
        {"", "1 to 32"},
        {"a", NULL},
        {"abcdefghijklmnopqrstuvwxyz012345", NULL},
        {"abcdefghijklmnopqrstuvwxyz0123456", "1 to 32"},
        {"äöüäöüäöüäöüäöüä", NULL},
        {"äöüäöüäöüäöüäöüää", "1 to 32"},
        {"two words", NULL},
        {"\xF0\x9F\x90\xA6", NULL},
        {"\xC3", "UTF-8"},
        {"a\xFFz", "UTF-8"},
        {"\xC0\x80", "UTF-8"},
        {"\xED\xA0\x80", "UTF-8"},
        {"a\tb", "control"},
        {"a\r\nb", "control"},
        {"\x01", "control"},
        {"a\x1F", "control"},
        {"a\x7F", "control"},
        {"a\xC2\x80z", "control"},
        {"a\xC2\x9Fz", "control"},
        {"\xC2\xA1z", NULL},
        {" a", "white space"},
        {"a ", "white space"},
        {" ", "white space"},
        {"\xC2\xA0z", "white space"},
        {"a\xE2\x80\x83", "white space"},
        {"a\xE2\x80\x8B", "white space"},
        {"\xE3\x80\x80z", "white space"},
        {"a\xEF\xBB\xBF", "white space"},
        {"a\xE3\x80\x80z", NULL},
        {"a\xE3\x80\x81", NULL},
        {"me@home", "@"},
        {"guest-", "guest-"},
        {"guest-1", "guest-"},
        {"GuEsT-me", "guest-"},
        {"guest", NULL},
        {"guest1", NULL},
        {"my-guest-1", NULL},
        {"System", "server"},
        {"systems", NULL},
    };
    CHECK(users_check_name, bounds);
    assert_non_null(users_check_name((struct span){"a\0b", 3}));
    assert_non_null(users_check_name((struct span){NULL, 0}));
}

static void emails(void **state)
{
    (void)state;
    static const struct bound bounds[] = {
        {"", "1 to 254"},
        {"a@b", NULL},
        {"first.last+tag@example.org", NULL},
        {"o'brien@example.org", NULL},
        {"gr\xC3\xBC\xC3\x9F@example.org", NULL},
        {"a", "one @"},
        {"@", "one @"},
        {"@b", "one @"},
        {"a@", "one @"},
        {"a@@b", "one @"},
        {"a@b@c", "one @"},
        {"a@b\r\nRCPT TO:<x@y>", "control"},
        {"a@b\n", "control"},
        {"a\x7F@b", "control"},
        {"a@b\xC2\x85", "control"},
        {"a@\xFF", "UTF-8"},
        {"a @b", "spaces"},
        {"a@b ", "spaces"},
        {"a@\xC2\xA0z", "spaces"},
        {"<a@b>", "< >"},
        {"\"a\"@b", "< >"},
        {"a,c@b", "< >"},
        {"a\\c@b", "< >"},
        {"a;c@b", "< >"},
        {"a(c)@b", "< >"},
    };
    CHECK(users_check_email, bounds);
    assert_non_null(users_check_email((struct span){"a\0@b", 4}));
}

static void email_length(void **state)
{
    (void)state;
    char email[EMAIL_MAX_BYTES + 1];
    memset(email, 'a', sizeof email);
    email[10] = '@';
    assert_null(users_check_email((struct span){email, EMAIL_MAX_BYTES}));
    assert_string_equal(users_check_email((struct span){email, EMAIL_MAX_BYTES + 1}),
                        "The email must have 1 to 254 bytes.");
}

static void passwords(void **state)
{
    (void)state;
    static const struct bound bounds[] = {
        {"", "6 to 64"},
        {"12345", "6 to 64"},
        {"123456", NULL},
        {"äöü", NULL},
        {"0123456789012345678901234567890123456789012345678901234567890123", NULL},
        {"01234567890123456789012345678901234567890123456789012345678901234", "6 to 64"},
        {"a\xFF"
         "bcdef",
         "UTF-8"},
    };
    CHECK(users_check_password, bounds);
}

/// Jobs ///

struct outcome {
    int calls;
    enum users_error result;
    uint32_t uid;
    char name[NAME_MAX_BYTES + 1];
    char email[EMAIL_MAX_BYTES + 1];
    uint32_t turn; // in which it was told
};

static uint32_t turns;
static struct users_job *victim; // cancelled by the next outcome

static void copy(char *to, struct span from)
{
    memcpy(to, from.at, from.length);
    to[from.length] = '\0';
}

static void told(void *context, enum users_error result, const struct users_account *account)
{
    struct outcome *o = context;
    o->calls++;
    o->result = result;
    o->turn = turns;
    if (result == USERS_OK) {
        o->uid = account->uid;
        copy(o->name, account->name);
        copy(o->email, account->email);
    }
    if (victim != NULL)
        users_cancel(victim);
    victim = NULL;
}

// Turns until nothing is left to do; returns how many.
static uint32_t run(void)
{
    uint32_t before = turns;
    for (;;) {
        turns++;
        if (users_service.step(machine_now_ms) == SERVICE_IDLE)
            return turns - before;
    }
}

static uint32_t metric(const char *name)
{
    for (size_t i = 0; i < users_service.metric_count; i++) {
        const struct metric *m = &users_service.metrics[i];
        if (strcmp(m->name, name) == 0)
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static struct outcome register_now(const char *name, const char *email, const char *password)
{
    struct outcome o = {0};
    assert_non_null(users_register(span(name), span(email), span(password), told, &o));
    assert_int_equal(o.calls, 0);
    run();
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome login_now(const char *user, const char *password)
{
    struct outcome o = {0};
    assert_non_null(users_login(span(user), span(password), told, &o));
    run();
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome reset_now(const char *name, const char *email, const char *password)
{
    struct outcome o = {0};
    assert_non_null(users_reset_password(span(name), span(email), span(password), told, &o));
    run();
    assert_int_equal(o.calls, 1);
    return o;
}

// A board without entropy still has its chat for guests, and says what is missing.
static void starts_without_entropy(void **state)
{
    (void)state;
    machine_console_clear();
    machine_has_entropy = false;
    assert_int_equal(users_service.start(), 0);
    machine_has_entropy = true;
    assert_non_null(strstr(machine_console, "no entropy"));
    machine_console_clear();
    assert_int_equal(users_service.start(), 0);
    assert_string_equal(machine_console, "");
}

static void register_and_log_in(void **state)
{
    (void)state;
    struct outcome o = register_now("Alice", "Alice@Example.org", "secret 1");
    assert_int_equal(o.result, USERS_OK);
    assert_int_equal(o.uid, 1);
    assert_string_equal(o.name, "Alice");
    assert_string_equal(o.email, "Alice@Example.org");
    o = login_now("aLICE", "secret 1");
    assert_int_equal(o.result, USERS_OK);
    assert_int_equal(o.uid, 1);
    assert_string_equal(o.name, "Alice");
    o = login_now("alice@example.ORG", "secret 1");
    assert_int_equal(o.result, USERS_OK);
    assert_int_equal(o.uid, 1);
    assert_null(strstr(machine_console, "secret"));
}

static void lookups(void **state)
{
    (void)state;
    struct users_account a;
    uint32_t at = 0;
    assert_true(users_by_name(span("ALICE"), &a));
    assert_int_equal(a.uid, 1);
    assert_true(users_by_email(span("ALICE@example.org"), &a));
    assert_int_equal(a.uid, 1);
    assert_true(span_equal(a.name, span("Alice")));
    assert_true(users_by_uid(1, &a));
    assert_true(span_equal(a.email, span("Alice@Example.org")));
    assert_false(users_by_uid(0, &a));
    assert_false(users_by_uid(2, &a));
    assert_false(users_by_uid(UINT32_MAX, &a));
    assert_false(users_by_name(span("Alice@Example.org"), &a));
    assert_false(users_by_name(span("Alic"), &a));
    assert_false(users_by_name((struct span){NULL, 0}, &a));
    assert_false(users_by_email(span("alice"), &a));
    assert_true(users_walk(&at, &a));
    assert_int_equal(a.uid, 1);
    assert_false(users_walk(&at, &a));
    assert_int_equal(users_count(), 1);
}

// A stranger must not learn from the answer or from its price whether the name exists.
static void unknown_name_costs_the_same(void **state)
{
    (void)state;
    struct outcome known = {0}, unknown = {0}, long_one = {0};
    uint32_t hashes = metric("pipit_password_hashes_total"), failed = metric("pipit_logins_failed_total");
    char name[1000];
    memset(name, 'x', sizeof name);
    users_login(span("alice"), span("wrong password"), told, &known);
    uint32_t price = run();
    users_login(span("nobody"), span("wrong password"), told, &unknown);
    assert_int_equal(run(), price);
    users_login((struct span){name, sizeof name}, span("wrong password"), told, &long_one);
    assert_int_equal(run(), price);
    assert_int_equal(price, (USERS_ROUNDS - 1 + USERS_ROUNDS_SLICE - 1) / USERS_ROUNDS_SLICE);
    assert_int_equal(known.result, USERS_WRONG_PASSWORD);
    assert_int_equal(unknown.result, USERS_WRONG_PASSWORD);
    assert_int_equal(long_one.result, USERS_WRONG_PASSWORD);
    assert_int_equal(metric("pipit_password_hashes_total") - hashes, 3);
    assert_int_equal(metric("pipit_logins_failed_total") - failed, 3);
}

static void taken_is_told_at_once(void **state)
{
    (void)state;
    uint32_t hashes = metric("pipit_password_hashes_total");
    assert_int_equal(register_now("ALICE", "other@example.org", "secret 2").result, USERS_TAKEN);
    assert_int_equal(register_now("other", "alice@EXAMPLE.org", "secret 2").result, USERS_TAKEN);
    assert_int_equal(metric("pipit_password_hashes_total"), hashes);
    assert_int_equal(users_count(), 1);
}

static void out_of_bounds_is_refused(void **state)
{
    (void)state;
    char longest[400];
    memset(longest, 'x', sizeof longest);
    struct outcome o[4] = {{0}};
    users_register((struct span){longest, 33}, span("x@y"), span("secret 2"), told, &o[0]);
    users_register(span("x"), (struct span){longest, 400}, span("secret 2"), told, &o[1]);
    run();
    users_register(span("x"), span("x@y"), span("12345"), told, &o[2]);
    users_register((struct span){NULL, 0}, (struct span){NULL, 0}, (struct span){NULL, 0}, told, &o[3]);
    run();
    for (int i = 0; i < 4; i++)
        assert_int_equal(o[i].result, USERS_UNKNOWN);
    assert_int_equal(users_count(), 1);
}

// Both were free when the two began: the one that is hashed first gets the name.
static void two_want_one_name(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0}, third = {0};
    users_register(span("bob"), span("bob@example.org"), span("secret 3"), told, &first);
    users_register(span("BOB"), span("bob2@example.org"), span("secret 4"), told, &second);
    run();
    users_register(span("bob3"), span("Bob@example.org"), span("secret 4"), told, &third);
    run();
    assert_int_equal(first.result, USERS_OK);
    assert_int_equal(first.uid, 2);
    assert_int_equal(second.result, USERS_TAKEN);
    assert_int_equal(third.result, USERS_TAKEN);
    assert_int_equal(users_count(), 2);
    assert_int_equal(login_now("bob", "secret 4").result, USERS_WRONG_PASSWORD);
    assert_int_equal(login_now("bob", "secret 3").result, USERS_OK);
}

// The jobs take turns: two that began together end in neighbouring turns, after twice the work.
static void round_robin(void **state)
{
    (void)state;
    struct outcome o[2] = {{0}};
    uint32_t start = turns, each = (USERS_ROUNDS - 1 + USERS_ROUNDS_SLICE - 1) / USERS_ROUNDS_SLICE;
    for (int i = 0; i < 2; i++)
        users_login(span("bob"), span("secret 3"), told, &o[i]);
    run();
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(o[i].result, USERS_OK);
        assert_int_equal(o[i].turn - start, 2 * each - 1 + i);
    }
}

static void reset(void **state)
{
    (void)state;
    struct users_secret before, after;
    users_secret_of(1, &before);
    struct outcome o = reset_now("ALICE", "alice@example.org", "secret 5");
    users_secret_of(1, &after);
    assert_int_equal(o.result, USERS_OK);
    assert_int_equal(o.uid, 1);
    assert_string_equal(o.name, "Alice");
    assert_memory_not_equal(before.salt, after.salt, sizeof before.salt);
    assert_int_equal(login_now("alice", "secret 1").result, USERS_WRONG_PASSWORD);
    assert_int_equal(login_now("alice", "secret 5").result, USERS_OK);
}

// One account's name with another's email is nobody, at the price of a hash.
static void reset_needs_both(void **state)
{
    (void)state;
    uint32_t hashes = metric("pipit_password_hashes_total");
    assert_int_equal(reset_now("alice", "bob@example.org", "secret 6").result, USERS_UNKNOWN);
    assert_int_equal(reset_now("nobody", "nobody@example.org", "secret 6").result, USERS_UNKNOWN);
    assert_int_equal(metric("pipit_password_hashes_total") - hashes, 2);
    assert_int_equal(reset_now("alice", "alice@example.org", "short").result, USERS_UNKNOWN);
    assert_int_equal(login_now("alice", "secret 5").result, USERS_OK);
}

// A login that began before the reset ended was begun with the old salt: its key matches nothing any more.
static void reset_overtakes_login(void **state)
{
    (void)state;
    struct outcome changed = {0}, login = {0};
    users_reset_password(span("alice"), span("alice@example.org"), span("secret 7"), told, &changed);
    users_login(span("alice"), span("secret 5"), told, &login);
    run();
    assert_int_equal(changed.result, USERS_OK);
    assert_int_equal(login.result, USERS_WRONG_PASSWORD);
}

static void cancelled(void **state)
{
    (void)state;
    struct outcome o = {0}, other = {0};
    struct users_job *job = users_register(span("carol"), span("carol@example.org"), span("secret 8"), told, &o);
    users_login(span("bob"), span("secret 3"), told, &other);
    for (int i = 0; i < 5; i++)
        users_service.step(machine_now_ms);
    users_cancel(job);
    users_cancel(job);
    run();
    assert_int_equal(o.calls, 0);
    assert_int_equal(other.result, USERS_OK);
    assert_int_equal(users_count(), 2);
    job = users_register(span("carol"), span("alice@example.org"), span("secret 8"), told, &o);
    users_cancel(job);
    assert_int_equal(users_service.step(machine_now_ms), SERVICE_IDLE);
    assert_int_equal(o.calls, 0);
}

// The outcome of one job ends another one, and (without effect) its own.
static void cancelled_from_an_outcome(void **state)
{
    (void)state;
    struct outcome o[3] = {{0}};
    users_register(span("alice"), span("x@example.org"), span("secret 8"), told, &o[0]);
    victim = users_login(span("bob"), span("secret 3"), told, &o[1]);
    run();
    assert_int_equal(o[0].calls, 1);
    assert_int_equal(o[1].calls, 0);
    victim = users_register(span("alice"), span("x@example.org"), span("secret 8"), told, &o[2]);
    run();
    assert_int_equal(o[2].calls, 1);
    assert_int_equal(machine_pools_used(), users_count());
}

static struct outcome follower;

static void goes_on(void *context, enum users_error result, const struct users_account *account)
{
    told(context, result, account);
    assert_non_null(users_register(span("bob"), span("x@example.org"), span("secret 8"), told, &follower));
}

// With every slot taken the next one is refused, but an outcome may start a job in the slot that it frees.
static void all_slots(void **state)
{
    (void)state;
    struct users_job *jobs[USERS_JOBS];
    struct outcome o[USERS_JOBS] = {{0}};
    uint32_t busy = metric("pipit_password_busy_total");
    jobs[0] = users_register(span("alice"), span("x@example.org"), span("secret 8"), goes_on, &o[0]);
    for (int i = 1; i < USERS_JOBS; i++)
        assert_non_null(jobs[i] = users_login(span("bob"), span("secret 3"), told, &o[i]));
    assert_null(users_login(span("bob"), span("secret 3"), told, NULL));
    assert_null(users_register(span("x"), span("x@y"), span("secret 3"), told, NULL));
    assert_null(users_reset_password(span("x"), span("x@y"), span("secret 3"), told, NULL));
    assert_int_equal(metric("pipit_password_busy_total") - busy, 3);
    assert_int_equal(users_service.step(machine_now_ms), 0);
    assert_int_equal(o[0].result, USERS_TAKEN);
    for (int i = 1; i < USERS_JOBS; i++)
        users_cancel(jobs[i]);
    run();
    assert_int_equal(follower.result, USERS_TAKEN);
}

// A slot keeps nothing of a password: neither the states that the password made nor the salt and key.
static void jobs_are_wiped(void **state)
{
    (void)state;
    static const uint8_t nothing[sizeof(struct pbkdf2)];
    struct outcome o = {0};
    struct users_job *job = users_login(span("bob"), span("secret 3"), told, &o);
    users_service.step(machine_now_ms);
    uint8_t *bytes = (uint8_t *)job;
    assert_memory_not_equal(bytes + 128, nothing, sizeof nothing);
    run();
    assert_int_equal(o.result, USERS_OK);
    for (const struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p))
        if (strcmp(p->name, "password_jobs") == 0)
            for (size_t i = sizeof(void *); i < p->slot_size; i++)
                assert_int_equal(bytes[i], 0);
}

static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    assert_int_equal(register_now("dave", "dave@example.org", "secret 9").result, USERS_NO_ENTROPY);
    assert_int_equal(reset_now("alice", "alice@example.org", "secret 9").result, USERS_NO_ENTROPY);
    assert_int_equal(reset_now("nobody", "alice@example.org", "secret 9").result, USERS_NO_ENTROPY);
    assert_int_equal(login_now("bob", "secret 3").result, USERS_OK);
    machine_has_entropy = true;
    assert_int_equal(users_count(), 2);
    assert_int_equal(login_now("alice", "secret 7").result, USERS_OK);
}

// The key in the store is what RFC 8018 says, so that a later version can move the accounts elsewhere.
static void kept_as_pbkdf2(void **state)
{
    (void)state;
    struct users_secret secret;
    struct pbkdf2 p;
    assert_true(users_secret_of(2, &secret));
    pbkdf2_begin(&p, span("secret 3"), (struct span){(const char *)secret.salt, sizeof secret.salt}, 1, USERS_ROUNDS);
    assert_true(pbkdf2_step(&p, USERS_ROUNDS));
    assert_memory_equal(p.key, secret.key, sizeof secret.key);
    assert_false(users_secret_of(0, &secret));
    assert_false(users_secret_of(3, &secret));
    assert_int_equal(users_commit_secret(3, &secret), USERS_UNKNOWN);
}

/// The full store ///

static void numbered(char *buffer, const char *format, uint32_t number)
{
    struct text t = text_in(buffer, 64);
    text_format(&t, format, (unsigned)number);
    text_end(&t);
}

static enum users_error commit(const char *name, const char *email)
{
    static const struct users_secret secret;
    uint32_t uid = 0;
    return users_commit_account(span(name), span(email), &secret, &uid);
}

static bool fill_with_longest(void)
{
    char name[NAME_MAX_BYTES + 1], email[EMAIL_MAX_BYTES + 1];
    memset(name, 'n', sizeof name);
    memset(email, 'e', sizeof email);
    email[100] = '@';
    name[NAME_MAX_BYTES] = email[EMAIL_MAX_BYTES] = '\0';
    for (;;) {
        for (int i = 0; i < 4; i++)
            name[i] = email[i] = (char)('a' + (users_count() >> (4 * i)) % 16);
        enum users_error result = commit(name, email);
        if (result != USERS_OK)
            return result == USERS_FULL && commit("tiny", "t@t") != USERS_TAKEN && users_find_name(span("alice")) == 1;
    }
}

// Very long emails use up the texts before the accounts. In a process of its own, because accounts stay.
static void texts_used_up(void **state)
{
    (void)state;
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(fill_with_longest() && users_count() < USERS_MAX && users_count() >= USERS_TEXT / 286 - 1 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void fill_to_the_last(void **state)
{
    (void)state;
    char name[64], email[64];
    for (uint32_t i = users_count(); i < USERS_MAX - 1; i++) {
        numbered(name, "user %u", i + 1);
        numbered(email, "u%u@example.org", i + 1);
        assert_int_equal(commit(name, email), USERS_OK);
    }
    assert_int_equal(users_count(), USERS_MAX - 1);
    assert_int_equal(commit("user 7", "fresh@example.org"), USERS_TAKEN);
    assert_int_equal(commit("fresh", "u7@example.org"), USERS_TAKEN);
}

// Two start while one place is left: the second learns of it when it is hashed, the third at once.
static void last_place(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0};
    users_register(span("last"), span("last@example.org"), span("secret 3"), told, &first);
    users_register(span("late"), span("late@example.org"), span("secret 3"), told, &second);
    run();
    assert_int_equal(first.result, USERS_OK);
    assert_int_equal(first.uid, USERS_MAX);
    assert_int_equal(second.result, USERS_FULL);
    struct outcome third = {0};
    users_register(span("later"), span("later@example.org"), span("secret 3"), told, &third);
    assert_int_equal(third.calls, 0);
    assert_int_equal(run(), 1);
    assert_int_equal(third.result, USERS_FULL);
    assert_int_equal(users_count(), USERS_MAX);
    assert_int_equal(metric("pipit_users"), USERS_MAX);
}

static void all_are_found(void **state)
{
    (void)state;
    struct users_account account, found;
    uint32_t at = 0, seen = 0;
    while (users_walk(&at, &account)) {
        assert_int_equal(account.uid, ++seen);
        assert_true(users_by_name(account.name, &found));
        assert_int_equal(found.uid, account.uid);
        assert_true(users_by_email(account.email, &found));
        assert_int_equal(found.uid, account.uid);
    }
    assert_int_equal(seen, USERS_MAX);
}

static int start(void **state)
{
    (void)state;
    return users_service.start();
}

// Accounts are never given back; everything else is.
static int pools_are_empty(void **state)
{
    (void)state;
    return users_service.step(machine_now_ms) == SERVICE_IDLE && machine_pools_used() == users_count() ? 0 : -1;
}

#define TEST(NAME) cmocka_unit_test_teardown(NAME, pools_are_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(emails),
        TEST(email_length),
        TEST(passwords),
        TEST(starts_without_entropy),
        TEST(register_and_log_in),
        TEST(lookups),
        TEST(unknown_name_costs_the_same),
        TEST(taken_is_told_at_once),
        TEST(out_of_bounds_is_refused),
        TEST(two_want_one_name),
        TEST(round_robin),
        TEST(reset),
        TEST(reset_needs_both),
        TEST(reset_overtakes_login),
        TEST(cancelled),
        TEST(cancelled_from_an_outcome),
        TEST(all_slots),
        TEST(jobs_are_wiped),
        TEST(no_entropy),
        TEST(kept_as_pbkdf2),
        TEST(texts_used_up),
        TEST(fill_to_the_last),
        TEST(last_place),
        TEST(all_are_found),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
