#include "mail.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/tls/tls.h"
#include "../../port/trail.h"
#include "mail_private.h"
#include "transcript.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define PAUSE_MS      1000 // before the second try; doubled before each one after it
#define DOUBLINGS     6
#define SHORTEST_MS   1000 // a further try needs as long as the last one took, and never less than this
#define MARGIN_MS     100  // the outcome is told that long before the deadline
#define WAITED_TO_END "timeout: other mails were in front of this one for too long"

struct mail_settings mail_settings;

POOL(mail_letters, struct mail, MAIL_QUEUE);
static struct mail *queue; // the oldest first
static uint32_t turn;
static bool stirred;   // something has changed: the letters are to be looked at
static uint64_t alarm; // ms; when they are anyway
static uint32_t done_count;
static bool warned; // that certificates are not checked

static struct {
    uint32_t sent;
    uint32_t retries;
    uint32_t failed[MAIL_STEPS];
} counters;

static const char *const step_names[] = {
    [MAIL_DNS] = "dns",       [MAIL_CONNECT] = "connect",     [MAIL_TLS] = "tls",   [MAIL_AUTH] = "auth",
    [MAIL_SENDER] = "sender", [MAIL_RECIPIENT] = "recipient", [MAIL_DATA] = "data", [MAIL_TIMEOUT] = "timeout",
};

bool mail_configured(void)
{
    return mail_settings.host[0] != '\0';
}

uint32_t mail_queued(void)
{
    return mail_letters.used;
}

void mail_stir(void)
{
    stirred = true;
}

/// States ///

static const char *const state_names[] = {"FREE", "WAITING", "HANDING_OVER", "PAUSED", "DONE", "TELLING"};

static void change(struct mail *m, enum letter_state state)
{
    trail_change("mail", "letter", pool_index(&mail_letters, m), state_names[m->state], state_names[state]);
    done_count += (state == LETTER_DONE ? 1u : 0u) - (m->state == LETTER_DONE ? 1u : 0u);
    m->state = (uint8_t)state;
    mail_stir();
}

/// Queue ///

static void append(struct mail *m)
{
    struct mail **end = &queue;
    while (*end != NULL)
        end = &(*end)->next;
    *end = m;
}

// The body may hold a code.
static void discard(struct mail *m)
{
    struct mail **at = &queue;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    change(m, LETTER_FREE);
    mbedtls_platform_zeroize(m, sizeof *m);
    pool_give(&mail_letters, m);
}

/// Outcomes ///

// Returns the session that it had, or NULL.
static struct session *take_session(struct mail *m)
{
    struct session *s = m->session;
    m->session = NULL;
    if (s == NULL)
        return NULL;
    m->addressed = m->addressed || session_is_addressed(s);
    m->unsure = session_is_unsure(s);
    return s;
}

void mail_accepted(struct mail *m)
{
    log_line(LOG_INFO, "mail", "the relay took a mail after %u ms", (unsigned)(port_now_ms() - m->tried));
    counters.sent++;
    m->session = NULL;
    m->accepted = true;
    m->addressed = true;
    change(m, LETTER_DONE);
}

static void note_failure(struct mail *m, enum mail_step step, struct span why)
{
    struct text t = text_in(m->why, sizeof m->why);
    text_span(&t, why);
    m->why_length = (uint16_t)t.length;
    m->step = (uint8_t)step;
}

static void give_up(struct mail *m)
{
    struct text t = text_in(m->why, sizeof m->why);
    t.length = m->why_length;
    if (m->tries > 1)
        text_format(&t, "; tried %u times", (unsigned)m->tries);
    m->why_length = (uint16_t)t.length;
    log_line(LOG_WARNING, "mail", "%.*s", (int)t.length, m->why);
    counters.failed[m->step]++;
    change(m, LETTER_DONE);
}

static uint32_t pause_ms(const struct mail *m)
{
    uint32_t doublings = m->tries - 1 < DOUBLINGS ? m->tries - 1 : DOUBLINGS;
    return (uint32_t)PAUSE_MS << doublings;
}

static bool another_try_fits(const struct mail *m, uint64_t now_ms)
{
    uint64_t took = now_ms - m->tried;
    uint64_t needed = took < SHORTEST_MS ? SHORTEST_MS : took;
    return now_ms + pause_ms(m) + needed <= m->deadline;
}

static void pause(struct mail *m, uint64_t now_ms)
{
    m->wake = now_ms + pause_ms(m);
    log_line(LOG_INFO, "mail", "%.*s; trying again in %u s", (int)m->why_length, m->why,
             (unsigned)(pause_ms(m) / 1000));
    if (m->shown)
        transcript_note("%.*s; trying again in %u s", (int)m->why_length, m->why, (unsigned)(pause_ms(m) / 1000));
    change(m, LETTER_PAUSED);
}

void mail_failed(struct mail *m, enum mail_step step, bool temporary, struct span why)
{
    uint64_t now = port_now_ms();
    take_session(m);
    note_failure(m, step, why);
    if (temporary && another_try_fits(m, now))
        pause(m, now);
    else
        give_up(m);
}

// What failed before the last try says more than that this one took too long, unless the mail may be out.
static void run_out_of_time(struct mail *m)
{
    char buffer[MAIL_WHY];
    struct text why = text_in(buffer, sizeof buffer);
    struct session *s = take_session(m);
    if (s != NULL)
        text_format(&why, "timeout: the relay did not answer in time (%s)", session_waits_for(s));
    else
        text_string(&why, WAITED_TO_END);
    if (m->why_length == 0 || m->unsure)
        note_failure(m, MAIL_TIMEOUT, text_whole(&why));
    give_up(m);
    if (s != NULL)
        session_break(s);
}

/// Tries ///

static void try_letter(struct mail *m, uint64_t now_ms)
{
    counters.retries += m->tries > 0;
    m->tries++;
    m->tried = now_ms;
    change(m, LETTER_HANDING_OVER);
    if (mail_configured())
        session_begin(m);
    else
        mail_failed(m, MAIL_CONNECT, false, span_of("connect: no mail relay is configured; set mail.host"));
}

static void look_at(struct mail *m, uint64_t now_ms)
{
    if (m->state == LETTER_DONE || m->state == LETTER_TELLING)
        return;
    if (now_ms >= m->deadline) {
        run_out_of_time(m);
        return;
    }
    if (m->state == LETTER_PAUSED && now_ms >= m->wake)
        change(m, LETTER_WAITING);
    if (m->state == LETTER_WAITING && session_available())
        try_letter(m, now_ms);
}

static uint64_t wish_of(const struct mail *m)
{
    if (m->state == LETTER_DONE)
        return UINT64_MAX;
    return m->state == LETTER_PAUSED && m->wake < m->deadline ? m->wake : m->deadline;
}

static void look_at_all(uint64_t now_ms)
{
    if (!stirred && now_ms < alarm)
        return;
    stirred = false;
    for (struct mail *m = queue; m != NULL; m = m->next)
        look_at(m, now_ms);
    alarm = UINT64_MAX;
    for (const struct mail *m = queue; m != NULL; m = m->next)
        alarm = wish_of(m) < alarm ? wish_of(m) : alarm;
}

/// Telling ///

// The slot is taken until `done` has returned, so that no letter that it sends can be mistaken for this one.
static void tell(struct mail *m)
{
    struct mail_outcome outcome = {.accepted = m->accepted, .unsure = m->unsure, .addressed = m->addressed};
    if (!m->accepted) {
        outcome.step = step_names[m->step];
        outcome.why = (struct span){m->why, m->why_length};
    }
    change(m, LETTER_TELLING);
    m->done(m->context, &outcome);
    discard(m);
}

// A letter sent since the last step may be of this very turn; it waits for the next one.
static struct mail *next_done(void)
{
    struct mail *m = done_count > 0 ? queue : NULL;
    while (m != NULL && (m->state != LETTER_DONE || turn - m->turn < 2))
        m = m->next;
    return m;
}

static void tell_all(void)
{
    for (struct mail *m = next_done(); m != NULL; m = next_done())
        tell(m);
}

/// Letters ///

static void copy(char *to, uint16_t *length, struct span from)
{
    if (from.length > 0)
        memcpy(to, from.at, from.length);
    *length = (uint16_t)from.length;
}

// It has to be unlike any other, not secret: without entropy the clocks will do.
static void make_id(uint8_t id[SMTP_ID_BYTES])
{
    uint64_t clocks[2] = {port_wall_ms(), port_now_ms()};
    _Static_assert(sizeof clocks == SMTP_ID_BYTES, "two clocks make an id");
    if (!port_entropy(id, SMTP_ID_BYTES))
        memcpy(id, clocks, sizeof clocks);
}

struct mail *mail_send(const struct mail_letter *letter, mail_done *done, void *context)
{
    if (letter->to.length > EMAIL_MAX_BYTES || letter->body.length > MAIL_BODY)
        return NULL;
    struct mail *m = pool_take(&mail_letters);
    if (m == NULL)
        return NULL;
    m->done = done;
    m->context = context;
    m->subject = letter->subject;
    m->deadline = letter->deadline > MARGIN_MS ? letter->deadline - MARGIN_MS : 0;
    m->turn = turn;
    copy(m->to, &m->to_length, letter->to);
    copy(m->body, &m->body_length, letter->body);
    make_id(m->id);
    append(m);
    change(m, LETTER_WAITING);
    return m;
}

struct span mail_recipient(const struct mail *m)
{
    return (struct span){m->to, m->to_length};
}

bool mail_cancel(struct mail *m)
{
    if (m->state == LETTER_TELLING || m->state == LETTER_FREE)
        return m->addressed;
    struct session *s = take_session(m);
    bool addressed = m->addressed;
    discard(m);
    if (s != NULL)
        session_break(s);
    return addressed;
}

/// The console's letter ///

static bool testing;

static void test_done(void *context, const struct mail_outcome *outcome)
{
    (void)context;
    testing = false;
    if (outcome->accepted)
        transcript_note("the relay has taken the mail");
    else
        transcript_note("failed: %.*s", (int)outcome->why.length, outcome->why.at);
}

bool mail_test(struct span address)
{
    static const char body[] = "This is a test. Somebody asked for it at the console of a Pipit.\n";
    struct mail_letter letter = {
        .to = address,
        .subject = span_of("A test from Pipit"),
        .body = span_of(body),
        .deadline = port_now_ms() + (uint64_t)mail_settings.timeout * 1000,
    };
    struct mail *m = testing ? NULL : mail_send(&letter, test_done, NULL);
    if (m == NULL)
        return false;
    m->shown = true;
    testing = true;
    return true;
}

/// Service ///

const char *mail_cannot_encrypt(const struct mail_settings *settings)
{
    if (settings->tls == SMTP_TLS_NONE || tls_missing() != NULL)
        return settings->tls == SMTP_TLS_NONE ? NULL : tls_missing();
    if (settings->verify != 0 && settings->ca[0] == '\0')
        return "no certificates to trust are named; set mail.ca, or mail.verify=0 (not safe)";
    return NULL;
}

// At the start only: on the console one key is set after the other.
static void warn_untrusting(void)
{
    const char *why = mail_cannot_encrypt(&mail_settings);
    if (mail_configured() && why != NULL)
        log_line(LOG_WARNING, "mail", "%s: no mail can go out", why);
}

static void warn_unverified(void)
{
    bool unverified = mail_settings.verify == 0 && mail_settings.tls != SMTP_TLS_NONE;
    if (unverified && !warned)
        log_line(LOG_WARNING, "mail", "mail.verify=0: anybody on the way to the relay can read the mails");
    warned = unverified;
}

static int mail_start(void)
{
    pool_list(&mail_letters);
    sessions_list();
    warn_untrusting();
    warn_unverified();
    return 0;
}

static uint32_t sleep_ms(uint64_t now_ms)
{
    uint64_t next = sessions_alarm();
    if (stirred || done_count > 0)
        return 0;
    next = alarm < next ? alarm : next;
    if (next == UINT64_MAX)
        return SERVICE_IDLE;
    return next <= now_ms ? 0 : (uint32_t)(next - now_ms);
}

static uint32_t mail_step(uint64_t now_ms)
{
    turn++;
    warn_unverified();
    sessions_step(now_ms);
    look_at_all(now_ms);
    tell_all();
    return sleep_ms(now_ms);
}

static void break_off(struct mail *m)
{
    struct session *s = take_session(m);
    if (m->why_length == 0)
        note_failure(m, MAIL_CONNECT, span_of("connect: this machine is stopping"));
    give_up(m);
    if (s != NULL)
        session_break(s);
}

static void mail_stop(void)
{
    for (struct mail *m = queue; m != NULL; m = m->next)
        if (m->state != LETTER_DONE)
            break_off(m);
    turn += 2; // there is no later turn to wait for
    tell_all();
    sessions_stop();
}

#define FAILED      "pipit_mail_failed_total"
#define FAILED_HELP "Mails that could not be handed over, by the step that failed."

static const struct metric metrics[] = {
    {"pipit_mail_sent_total", NULL, &counters.sent, NULL, HELP("Mails that the relay has taken.")},
    {FAILED, "step=\"dns\"", &counters.failed[MAIL_DNS], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"connect\"", &counters.failed[MAIL_CONNECT], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"tls\"", &counters.failed[MAIL_TLS], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"auth\"", &counters.failed[MAIL_AUTH], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"sender\"", &counters.failed[MAIL_SENDER], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"recipient\"", &counters.failed[MAIL_RECIPIENT], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"data\"", &counters.failed[MAIL_DATA], NULL, HELP(FAILED_HELP)},
    {FAILED, "step=\"timeout\"", &counters.failed[MAIL_TIMEOUT], NULL, HELP(FAILED_HELP)},
    {"pipit_mail_retries_total", NULL, &counters.retries, NULL,
     HELP("Further tries of mails that had failed for now.")},
    {"pipit_mail_queued", NULL, NULL, mail_queued, HELP("Mails waiting for the relay or on their way to it.")},
    {"pipit_tls_arena_bytes", "kind=\"used\"", NULL, tls_arena_used, HELP("Memory of TLS.")},
    {"pipit_tls_arena_bytes", "kind=\"high_water\"", NULL, tls_arena_high_water, HELP("Memory of TLS.")},
};

const struct service mail_service = {
    .name = "mail",
    .start = mail_start,
    .step = mail_step,
    .stop = mail_stop,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
