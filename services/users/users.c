// Jobs: what needs a password hashed. One slice of one job a turn, the jobs taking turns.
#include "users.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "journal.h"
#include "pbkdf2.h"
#include "store.h"
#include <mbedtls/platform_util.h>
#include <string.h>

_Static_assert(PBKDF2_BLOCK == USERS_KEY, "a password's key is one block of PBKDF2");

enum job_state {
    JOB_FREE = 0, // over: users_cancel() on it does nothing
    JOB_HASHING,
    JOB_DECIDED, // `verdict` was known before any hashing and waits for its turn to be told
};

// `next` stands first: it is what a slot that was given back loses to the pool.
struct users_job {
    struct users_job *next;
    enum job_state state;
    enum users_error verdict;
    enum users_error (*conclude)(struct users_job *job); // what the finished hash means
    uint32_t uid;                                        // the account it is about, 0 while or when there is none
    users_done *done;
    void *context;
    uint8_t salt[USERS_SALT];
    struct pbkdf2 hash;
    struct span name; // of the account to be, the caller's
    struct span email;
};

POOL(password_jobs, struct users_job, USERS_JOBS);
static struct users_job *queue;          // the next one first
static uint8_t nobodys_salt[USERS_SALT]; // for names that nobody has

static struct {
    uint32_t hashes;
    uint32_t registered;
    uint32_t logins;
    uint32_t logins_failed;
    uint32_t resets;
    uint32_t busy;
} counters;

/// Queue ///

static void queue_append(struct users_job *job)
{
    struct users_job **end = &queue;
    while (*end != NULL)
        end = &(*end)->next;
    job->next = NULL;
    *end = job;
}

static void queue_remove(struct users_job *job)
{
    struct users_job **at = &queue;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

/// One job ///

static struct users_job *job_new(enum users_error (*conclude)(struct users_job *job), users_done *done, void *context)
{
    struct users_job *job = pool_take(&password_jobs);
    if (job == NULL) {
        counters.busy++;
        return NULL;
    }
    job->conclude = conclude;
    job->done = done;
    job->context = context;
    queue_append(job);
    return job;
}

static void job_hash(struct users_job *job, struct span password)
{
    job->state = JOB_HASHING;
    pbkdf2_begin(&job->hash, password, (struct span){(const char *)job->salt, sizeof job->salt}, 1, USERS_ROUNDS);
}

static void job_decide(struct users_job *job, enum users_error verdict)
{
    job->state = JOB_DECIDED;
    job->verdict = verdict;
}

static void job_hash_with_new_salt(struct users_job *job, struct span password)
{
    if (port_entropy(job->salt, sizeof job->salt))
        job_hash(job, password);
    else
        job_decide(job, USERS_NO_ENTROPY);
}

// Wipes all that it knew; what is left says JOB_FREE.
static void job_free(struct users_job *job)
{
    queue_remove(job);
    mbedtls_platform_zeroize(job, sizeof *job);
    pool_give(&password_jobs, job);
}

static struct users_secret job_secret(const struct users_job *job)
{
    struct users_secret secret;
    memcpy(secret.salt, job->salt, sizeof secret.salt);
    memcpy(secret.key, job->hash.key, sizeof secret.key);
    return secret;
}

/// Registering ///

static enum users_error conclude_register(struct users_job *job)
{
    struct users_secret secret = job_secret(job);
    enum users_error result = users_commit_account(job->name, job->email, &secret, &job->uid);
    mbedtls_platform_zeroize(&secret, sizeof secret);
    if (result == USERS_OK) {
        counters.registered++;
        log_line(LOG_INFO, "users", "%.*s registered, uid %u", (int)job->name.length, job->name.at, (unsigned)job->uid);
    }
    return result;
}

// USERS_OK while nothing speaks against the account.
static enum users_error may_register(struct span name, struct span email, struct span password)
{
    if (users_check_name(name) != NULL || users_check_email(email) != NULL || users_check_password(password) != NULL)
        return USERS_UNKNOWN;
    if (users_find_name(name) != 0 || users_find_email(email) != 0)
        return USERS_TAKEN;
    return users_store_full(name, email) ? USERS_FULL : USERS_OK;
}

struct users_job *users_register(struct span name, struct span email, struct span password, users_done *done,
                                 void *context)
{
    struct users_job *job = job_new(conclude_register, done, context);
    if (job == NULL)
        return NULL;
    enum users_error result = may_register(name, email, password);
    if (result != USERS_OK) {
        job_decide(job, result);
        return job;
    }
    job->name = name;
    job->email = email;
    job_hash_with_new_salt(job, password);
    return job;
}

/// Logging in ///

// For an unknown name the same steps are taken, against a key that no password has.
static enum users_error conclude_login(struct users_job *job)
{
    struct users_secret secret = {{0}, {0}};
    bool known = users_secret_of(job->uid, &secret);
    bool right = span_equal_secret((struct span){(const char *)secret.key, sizeof secret.key},
                                   (struct span){(const char *)job->hash.key, sizeof job->hash.key});
    mbedtls_platform_zeroize(&secret, sizeof secret);
    if (known && right) {
        counters.logins++;
        return USERS_OK;
    }
    counters.logins_failed++;
    return USERS_WRONG_PASSWORD;
}

// No name contains an @ (users_check_name), so it is clear what is meant.
static uint32_t find_user(struct span user)
{
    return user.length > 0 && memchr(user.at, '@', user.length) != NULL ? users_find_email(user)
                                                                        : users_find_name(user);
}

bool users_is_home(struct span user, uint32_t address)
{
    return users_store_is_home(find_user(user), address);
}

struct users_job *users_login(struct span user, struct span password, users_done *done, void *context)
{
    struct users_job *job = job_new(conclude_login, done, context);
    if (job == NULL)
        return NULL;
    struct users_secret secret = {{0}, {0}};
    memcpy(secret.salt, nobodys_salt, sizeof secret.salt);
    job->uid = find_user(user);
    users_secret_of(job->uid, &secret);
    memcpy(job->salt, secret.salt, sizeof job->salt);
    mbedtls_platform_zeroize(&secret, sizeof secret);
    job_hash(job, password);
    return job;
}

/// Resetting a password ///

static enum users_error conclude_reset(struct users_job *job)
{
    struct users_secret secret = job_secret(job);
    enum users_error result = users_commit_secret(job->uid, &secret);
    mbedtls_platform_zeroize(&secret, sizeof secret);
    if (result == USERS_OK) {
        counters.resets++;
        log_line(LOG_INFO, "users", "uid %u has a new password", (unsigned)job->uid);
    }
    return result;
}

struct users_job *users_reset_password(struct span name, struct span email, struct span password, users_done *done,
                                       void *context)
{
    struct users_job *job = job_new(conclude_reset, done, context);
    if (job == NULL)
        return NULL;
    uint32_t uid = users_find_name(name);
    bool usable = uid == users_find_email(email) && users_check_password(password) == NULL;
    job->uid = usable ? uid : 0;
    job_hash_with_new_salt(job, password);
    return job;
}

void users_cancel(struct users_job *job)
{
    if (job->state != JOB_FREE)
        job_free(job);
}

/// Turns ///

// One bounded step of a job. True when its verdict is there.
static bool job_turn(struct users_job *job)
{
    if (job->state == JOB_DECIDED)
        return true;
    if (!pbkdf2_step(&job->hash, USERS_ROUNDS_SLICE))
        return false;
    counters.hashes++;
    job->verdict = job->conclude(job);
    return true;
}

// The slot is free again before `done` runs, so the caller may start its next job from there.
static void job_tell(struct users_job *job)
{
    users_done *done = job->done;
    void *context = job->context;
    enum users_error verdict = job->verdict;
    struct users_account account = {0, {NULL, 0}, {NULL, 0}};
    if (verdict == USERS_OK)
        users_by_uid(job->uid, &account);
    job_free(job);
    done(context, verdict, &account);
}

static uint32_t users_step(uint64_t now_ms)
{
    (void)now_ms;
    struct users_job *job = queue;
    if (job == NULL)
        return journal_step() ? 0 : SERVICE_IDLE;
    queue_remove(job);
    queue_append(job);
    if (job_turn(job))
        job_tell(job);
    return queue == NULL ? SERVICE_IDLE : 0;
}

static int users_start(void)
{
    pool_list(&password_jobs);
    if (!users_store_start() || !port_entropy(nobodys_salt, sizeof nobodys_salt))
        log_line(LOG_WARNING, "users", "no entropy: nobody can register or change a password");
    return 0;
}

static const struct metric metrics[] = {
    {"pipit_users", NULL, NULL, users_count, HELP("Accounts in the store.")},
    {"pipit_users_registered_total", NULL, &counters.registered, NULL, HELP("Accounts made since the start.")},
    {"pipit_password_hashes_total", NULL, &counters.hashes, NULL, HELP("Passwords hashed to the end.")},
    {"pipit_password_resets_total", NULL, &counters.resets, NULL,
     HELP("Passwords replaced after a verification code.")},
    {"pipit_password_busy_total", NULL, &counters.busy, NULL, HELP("Jobs refused because too many were under way.")},
    {"pipit_logins_total", NULL, &counters.logins, NULL, HELP("Logins with the right password.")},
    {"pipit_logins_failed_total", NULL, &counters.logins_failed, NULL,
     HELP("Logins with a wrong password or an unknown name.")},
    {"pipit_journal_free_bytes", NULL, NULL, records_free_bytes, HELP("Room for records in flash.")},
    {"pipit_journal_records_total", NULL, NULL, records_appended, HELP("Records written to flash since the start.")},
    {"pipit_journal_reclaimed_total", NULL, NULL, records_reclaimed, HELP("Segments of flash that were made free.")},
    {"pipit_journal_failures_total", NULL, NULL, records_failures, HELP("Records that the flash did not take.")},
    {"pipit_journal_erases", "of=\"least worn\"", NULL, records_least_erases,
     HELP("Times that a segment of flash was erased.")},
    {"pipit_journal_erases", "of=\"most worn\"", NULL, records_most_erases,
     HELP("Times that a segment of flash was erased.")},
};

const struct service users_service = {
    .name = "users",
    .start = users_start,
    .step = users_step,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
