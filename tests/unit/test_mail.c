// The mail client against relays played frame by frame: what is said, what fails under which name, when it is tried
// again, and that no relay holds anything for longer than it may.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/pool.h"
#include "../../services/mail/mail.h"
#include "../../services/proto/smtp.h"
#include "mail_support.h"
#include "peer_support.h"

#include "lwip/dns.h"

#define COUNT(A)   (sizeof(A) / sizeof((A)[0]))
#define RELAY_PORT 2525
#define PASSWORD   "s3cret-Passw0rd"
#define CREDENTIAL "AHVzZXIAczNjcmV0LVBhc3N3MHJk" // of AUTH PLAIN: NUL user NUL password
#define FROM       "pipit@example.org"
#define TO         "alice@example.org"
#define BODY       "Your code is\n\n123456\n"

/// The relay ///

static struct relay {
    struct peer peer;
    bool secure;
    bool closed; // TLS's goodbye has come
    uint8_t plain[8192];
    size_t length;
} relay;

static void services_turn(void)
{
    mail_service.step(machine_now_ms);
}

static void relay_listen(void)
{
    peer_forget(&relay.peer);
    memset(&relay, 0, sizeof relay);
    peer_listen(&relay.peer, RELAY_PORT);
}

static void relay_send(const void *bytes, size_t length)
{
    uint8_t record[FAKE_TLS_PREFIX + 999];
    if (relay.secure)
        peer_send(&relay.peer, record, fake_tls_seal('D', bytes, length, record));
    else
        peer_send(&relay.peer, bytes, length);
}

static void relay_say(const char *text)
{
    relay_send(text, strlen(text));
    peer_run(3);
}

static void relay_take_records(void)
{
    struct peer *p = &relay.peer;
    size_t n, length;
    char type;
    while ((n = fake_tls_unseal(p->received, p->length, &type, relay.plain + relay.length, &length)) > 0) {
        relay.closed = relay.closed || type == 'C';
        relay.length += length;
        memmove(p->received, p->received + n, p->length - n);
        p->length -= n;
    }
}

// What it has received, in the plain.
static const char *relay_text(void)
{
    if (!relay.secure)
        return peer_text(&relay.peer);
    relay_take_records();
    relay.plain[relay.length] = '\0';
    return (const char *)relay.plain;
}

static void relay_clear(void)
{
    peer_clear(&relay.peer);
    relay.length = 0;
}

static bool relay_hears(const char *text)
{
    for (int i = 0; i < 50; i++) {
        peer_run(1);
        if (strstr(relay_text(), text) != NULL)
            return true;
    }
    return false;
}

static void relay_expects(const char *text)
{
    if (!relay_hears(text))
        fail_msg("the relay wanted '%s' and has '%s'", text, relay_text());
    relay_clear();
}

static void relay_opens_tls(void)
{
    relay_send(FAKE_TLS_HELLO, 8);
    relay.secure = true;
    peer_run(3);
}

static bool relay_is_dialled(uint32_t within_ms)
{
    for (uint32_t i = 0; i < within_ms && !relay.peer.synchronized; i++)
        peer_run(1);
    return relay.peer.synchronized;
}

/// The script of a conversation ///

// What the relay waits for, what it says then, what failing there is called, and what is waited for at a time limit.
struct row {
    const char *expects;
    const char *says;
    const char *step;
    const char *waits;
};

#define TLS_BEGINS "(TLS)"

static const struct row plain[] = {
    {NULL, "220 relay.example ESMTP\r\n", "connect", "connect"},
    {"EHLO [10.0.2.15]\r\n", "250-relay.example\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n", "connect", "connect"},
    {"AUTH PLAIN " CREDENTIAL "\r\n", "235 2.7.0 welcome\r\n", "auth", "auth"},
    {"MAIL FROM:<" FROM ">", "250 2.1.0 ok\r\n", "sender", "sender"},
    {"RCPT TO:<" TO ">\r\n", "250 2.1.5 ok\r\n", "recipient", "recipient"},
    {"DATA\r\n", "354 go on\r\n", "data", "data"},
    {"\r\n.\r\n", "250 2.0.0 taken\r\n", "data", "data"},
};

static const struct row starttls[] = {
    {NULL, "220 relay.example ESMTP\r\n", "connect", "connect"},
    {"EHLO [10.0.2.15]\r\n", "250-relay.example\r\n250 STARTTLS\r\n", "connect", "connect"},
    {"STARTTLS\r\n", "220 go\r\n", "tls", "tls"},
    {FAKE_TLS_HELLO, TLS_BEGINS, "tls", "tls"},
    {"EHLO [10.0.2.15]\r\n", "250-relay.example\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n", "connect", "connect"},
    {"AUTH PLAIN " CREDENTIAL "\r\n", "235 2.7.0 welcome\r\n", "auth", "auth"},
    {"DATA\r\n", "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n", "sender", "sender"},
    {"\r\n.\r\n", "250 2.0.0 taken\r\n", "data", "data"},
};

static const struct row implicit[] = {
    {FAKE_TLS_HELLO, TLS_BEGINS, "tls", "tls"},
    {NULL, "220 relay.example ESMTP\r\n", "connect", "connect"},
    {"EHLO [10.0.2.15]\r\n", "250-relay.example\r\n250 AUTH PLAIN\r\n", "connect", "connect"},
    {"AUTH PLAIN " CREDENTIAL "\r\n", "235 2.7.0 welcome\r\n", "auth", "auth"},
    {"MAIL FROM:<" FROM ">", "250 2.1.0 ok\r\n", "sender", "sender"},
    {"RCPT TO:<" TO ">\r\n", "250 2.1.5 ok\r\n", "recipient", "recipient"},
    {"DATA\r\n", "354 go on\r\n", "data", "data"},
    {"\r\n.\r\n", "250 2.0.0 taken\r\n", "data", "data"},
};

static const struct script {
    uint32_t tls;
    const struct row *rows;
    size_t count;
} scripts[] = {
    {SMTP_TLS_NONE, plain, COUNT(plain)},
    {SMTP_TLS_STARTTLS, starttls, COUNT(starttls)},
    {SMTP_TLS_IMPLICIT, implicit, COUNT(implicit)},
};

static const struct script *script = &scripts[0];

static void use(const struct script *s)
{
    script = s;
    mail_settings.tls = s->tls;
}

// The relay's part of a row but for its answer.
static void play_until(size_t row)
{
    assert_true(relay_is_dialled(20));
    for (size_t i = 0; i <= row && i < script->count; i++) {
        const struct row *r = &script->rows[i];
        if (r->expects != NULL)
            relay_expects(r->expects);
        if (i == row)
            return;
        if (strcmp(r->says, TLS_BEGINS) == 0)
            relay_opens_tls();
        else
            relay_say(r->says);
    }
}

static void play_whole(void)
{
    play_until(script->count - 1);
    relay_say(script->rows[script->count - 1].says);
}

/// Letters ///

static struct outcome {
    int calls;
    bool accepted;
    bool unsure;
    bool addressed;
    char step[16];
    char why[MAIL_WHY + 1];
    uint64_t at;
    struct mail *cancel;  // by this outcome
    struct outcome *then; // this outcome sends another letter
} outcome;

static void on_done(void *context, const struct mail_outcome *told);

static struct mail *send_to(const char *to, uint64_t within_ms, struct outcome *o)
{
    struct mail_letter letter = {
        .to = span_of(to),
        .subject = span_of("A code"),
        .body = span_of(BODY),
        .deadline = machine_now_ms + within_ms,
    };
    return mail_send(&letter, on_done, o);
}

static struct mail *send(uint64_t within_ms)
{
    struct mail *m = send_to(TO, within_ms, &outcome);
    assert_non_null(m);
    return m;
}

static void on_done(void *context, const struct mail_outcome *told)
{
    struct outcome *o = context;
    o->calls++;
    o->accepted = told->accepted;
    o->unsure = told->unsure;
    o->addressed = told->addressed;
    o->at = machine_now_ms;
    struct text step = text_in(o->step, sizeof o->step), why = text_in(o->why, sizeof o->why);
    if (!told->accepted) {
        text_string(&step, told->step);
        text_span(&why, told->why);
    }
    text_end(&step);
    text_end(&why);
    if (o->cancel != NULL)
        mail_cancel(o->cancel);
    if (o->then != NULL)
        assert_non_null(send_to(TO, 5000, o->then));
}

static void expect_accepted(void)
{
    assert_int_equal(outcome.calls, 1);
    assert_string_equal(outcome.why, "");
    assert_true(outcome.accepted);
    assert_true(outcome.addressed);
    assert_false(outcome.unsure);
}

static void expect_failure(const char *step, const char *why)
{
    assert_int_equal(outcome.calls, 1);
    assert_false(outcome.accepted);
    assert_string_equal(outcome.why, why);
    assert_string_equal(outcome.step, step);
    assert_true(outcome.addressed || !outcome.unsure);
}

// Whether what goes wrong at a step may be about the address.
static bool is_addressed(const char *step)
{
    return strcmp(step, "recipient") == 0 || strcmp(step, "data") == 0;
}

static uint32_t metric(const char *name, const char *labels)
{
    for (size_t i = 0; i < mail_service.metric_count; i++) {
        const struct metric *m = &mail_service.metrics[i];
        if (strcmp(m->name, name) == 0 && (labels == NULL || strcmp(m->labels, labels) == 0))
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    mail_settings = (struct mail_settings){
        .host = "10.0.2.2",
        .port = RELAY_PORT,
        .tls = SMTP_TLS_NONE,
        .user = "user",
        .password = PASSWORD,
        .from = FROM,
        .ca = "roots",
        .verify = 1,
        .insecure_auth = 1,
        .timeout = 60,
    };
    outcome = (struct outcome){0};
    script = &scripts[0];
    fake_tls_exhausted = fake_tls_distrusts = fake_tls_hears = false;
    fake_tls_most = 300;
    relay_listen();
    machine_console_clear();
    return 0;
}

static bool is_empty(void)
{
    return machine_pools_used() == 0 && net_open() == 0 && fake_tls_sessions == 0 && mail_queued() == 0;
}

// Nothing is left, whatever the test did: the longest goodbye of net.c is over after 15 s. What a failed test leaves
// must not fail the next one.
static int nothing_left(void **state)
{
    (void)state;
    peer_run(16000);
    bool empty = is_empty();
    mail_service.stop();
    peer_run(16000);
    log_threshold = LOG_INFO;
    return empty && is_empty() ? 0 : -1;
}

/// Good conversations ///

static void a_mail(void **state)
{
    (void)state;
    uint32_t sent = metric("pipit_mail_sent_total", NULL);
    send(5000);
    assert_int_equal(metric("pipit_mail_queued", NULL), 1);
    play_until(6 - 1);
    relay_say("354 go on\r\n");
    assert_true(relay_hears("\r\n.\r\n"));
    const char *text = relay_text();
    assert_non_null(strstr(text, "From: " FROM "\r\n"));
    assert_non_null(strstr(text, "To: " TO "\r\n"));
    assert_non_null(strstr(text, "Subject: A code\r\n"));
    assert_non_null(strstr(text, "Date: "));
    assert_non_null(strstr(text, "Message-ID: <"));
    assert_non_null(strstr(text, "\r\n\r\nYour code is\r\n\r\n123456\r\n.\r\n"));
    relay_clear();
    assert_int_equal(outcome.calls, 0);
    relay_say("250 taken\r\n");
    expect_accepted();
    relay_expects("QUIT\r\n");
    relay_say("221 bye\r\n");
    peer_run(5);
    assert_true(relay.peer.fin);
    assert_int_equal(metric("pipit_mail_sent_total", NULL) - sent, 1);
    assert_int_equal(metric("pipit_mail_queued", NULL), 0);
}

static void every_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(scripts); i++) {
        fresh(NULL);
        use(&scripts[i]);
        send(5000);
        play_whole();
        expect_accepted();
        relay_expects("QUIT\r\n");
        relay_say("221 bye\r\n");
        peer_run(5);
        relay_text();
        assert_int_equal(relay.closed, script->tls != SMTP_TLS_NONE);
        assert_true(relay.peer.fin);
        assert_int_equal(fake_tls_sessions, 0);
    }
    assert_string_equal(fake_tls_name, "10.0.2.2");
    assert_string_equal(fake_tls_trusted, "roots");
    assert_true(fake_tls_verify);
}

// With no port set the usual one is dialled.
static void usual_ports(void **state)
{
    (void)state;
    static const uint16_t ports[] = {[SMTP_TLS_NONE] = 25, [SMTP_TLS_STARTTLS] = 587, [SMTP_TLS_IMPLICIT] = 465};
    for (uint32_t tls = 0; tls < COUNT(ports); tls++) {
        fresh(NULL);
        mail_settings.tls = tls;
        mail_settings.port = 0;
        peer_forget(&relay.peer);
        peer_listen(&relay.peer, ports[tls]);
        struct mail *m = send(5000);
        assert_true(relay_is_dialled(20));
        mail_cancel(m);
    }
}

// A relay that says everything byte by byte, fast enough, is a relay.
static void byte_by_byte(void **state)
{
    (void)state;
    mail_settings.timeout = 2;
    for (size_t s = 0; s < COUNT(scripts); s++) {
        fresh(NULL);
        use(&scripts[s]);
        send(60000);
        for (size_t row = 0; row < script->count; row++) {
            const struct row *r = &script->rows[row];
            uint8_t bytes[1200];
            size_t length = strlen(r->says);
            assert_true(relay_is_dialled(20));
            if (r->expects != NULL)
                relay_expects(r->expects);
            memcpy(bytes, r->says, length);
            bool tls = strcmp(r->says, TLS_BEGINS) == 0;
            if (tls)
                memcpy(bytes, FAKE_TLS_HELLO, length = 8);
            else if (relay.secure)
                length = fake_tls_seal('D', r->says, length, bytes);
            for (size_t i = 0; i < length; i++) {
                peer_send(&relay.peer, bytes + i, 1);
                peer_run(2);
            }
            relay.secure = relay.secure || tls;
        }
        expect_accepted();
        relay_expects("QUIT\r\n");
        peer_close(&relay.peer);
        peer_run(3);
    }
}

// A relay that takes a few bytes at a time, and a TLS that takes a few at a time.
static void narrow(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(scripts); s++) {
        fresh(NULL);
        use(&scripts[s]);
        fake_tls_most = 7;
        relay.peer.window = 11;
        send(60000);
        play_whole();
        expect_accepted();
        relay_expects("QUIT\r\n");
        peer_close(&relay.peer);
        peer_run(3);
    }
}

// Without entropy two mails still have different ids; without a clock there is no Date.
static void ids_and_dates(void **state)
{
    (void)state;
    char ids[2][64];
    uint64_t wall = machine_wall_ms;
    machine_has_entropy = false;
    machine_wall_ms = 0;
    for (int i = 0; i < 2; i++) {
        fresh(NULL);
        send(5000);
        play_until(5);
        relay_say("354 go on\r\n");
        assert_true(relay_hears("\r\n.\r\n"));
        assert_null(strstr(relay_text(), "Date:"));
        const char *id = strstr(relay_text(), "Message-ID: <");
        assert_non_null(id);
        memcpy(ids[i], id, sizeof ids[i]);
        relay_clear();
        relay_say("250 taken\r\n");
        expect_accepted();
        peer_close(&relay.peer);
        peer_run(3);
    }
    machine_has_entropy = true;
    machine_wall_ms = wall;
    assert_memory_not_equal(ids[0], ids[1], 45);
}

/// Who it is from ///

static void sender_is_the_user(void **state)
{
    (void)state;
    mail_settings.from[0] = '\0';
    strcpy(mail_settings.user, "user@example.org");
    struct mail *m = send(5000);
    assert_true(relay_is_dialled(20));
    relay_say("220 ready\r\n");
    relay_say("250-relay\r\n250 AUTH PLAIN\r\n");
    relay_say("235 ok\r\n");
    relay_expects("MAIL FROM:<user@example.org>");
    mail_cancel(m);
}

static void no_sender(void **state)
{
    (void)state;
    uint32_t dialled = net_counters.dialled;
    mail_settings.from[0] = '\0';
    send(5000);
    peer_run(5);
    expect_failure("sender", "sender: mail.from is not set");
    assert_int_equal(net_counters.dialled, dialled);
}

// What the codec refuses beforehand needs no connection, and nothing of it goes out.
static void refused_beforehand(void **state)
{
    (void)state;
    uint32_t dialled = net_counters.dialled;
    assert_non_null(send_to("a@b>\r\nRCPT TO:<c@d", 5000, &outcome));
    peer_run(5);
    expect_failure("recipient", "recipient: the address is no plain local@domain");
    fresh(NULL);
    strcpy(mail_settings.from, "no address");
    send(5000);
    peer_run(5);
    expect_failure("sender", "sender: the address is no plain local@domain");
    assert_int_equal(net_counters.dialled, dialled);
}

static void no_relay(void **state)
{
    (void)state;
    assert_true(mail_configured());
    mail_settings.host[0] = '\0';
    assert_false(mail_configured());
    send(5000);
    peer_run(5);
    expect_failure("connect", "connect: no mail relay is configured; set mail.host");
}

/// Failures for good ///

static const char *waits_at(size_t row)
{
    return script->rows[row].waits;
}

// A relay that says 5yz is believed at once, and the failure has the step's name.
static void refusals(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t row = 0; row < scripts[s].count; row++) {
            char why[MAIL_WHY], label[32];
            fresh(NULL);
            use(&scripts[s]);
            const struct row *r = &script->rows[row];
            if (strcmp(r->says, TLS_BEGINS) == 0)
                continue;
            struct text l = text_in(label, sizeof label), t = text_in(why, sizeof why);
            text_format(&l, "step=\"%s\"", r->step);
            uint32_t before = metric("pipit_mail_failed_total", text_end(&l));
            send(60000);
            play_until(row);
            bool hello = r->expects != NULL && strncmp(r->expects, "EHLO", 4) == 0;
            bool batch = strstr(r->says, "250 2.1.0 ok\r\n250") != NULL;
            relay_say("550 5.7.1 not you\r\n");
            if (hello) {
                relay_expects("HELO"); // a relay without EHLO has a second chance
                relay_say("550 5.7.1 not you\r\n");
            }
            bool secret = strcmp(r->step, "auth") == 0;
            text_format(&t, "%s: the relay refused (550 5.7.1%s)", r->step, secret ? "" : " not you");
            expect_failure(r->step, text_end(&t));
            assert_int_equal(outcome.addressed, is_addressed(r->step));
            assert_false(outcome.unsure);
            assert_int_equal(metric("pipit_mail_failed_total", label) - before, 1);
            if (batch)
                relay_say("550 no\r\n550 no\r\n");
            relay_expects("QUIT\r\n");
            relay_say("221 bye\r\n");
            peer_run(5);
            assert_true(relay.peer.fin);
        }
}

static void bad_certificate(void **state)
{
    (void)state;
    for (size_t s = 1; s < COUNT(scripts); s++) {
        fresh(NULL);
        use(&scripts[s]);
        send(60000);
        play_until(s == 1 ? 3 : 0);
        relay_send(FAKE_TLS_EXPIRED, 8);
        peer_run(5);
        expect_failure("tls", "tls: the certificate has expired");
        peer_run(5);
        assert_true(relay.peer.fin || relay.peer.reset);
        assert_int_equal(relay.peer.length, 0);
    }
}

// Other conversations end, and then there is memory again.
static void no_tls_memory(void **state)
{
    (void)state;
    for (int shaking = 0; shaking < 2; shaking++) {
        fresh(NULL);
        use(&scripts[1]);
        fake_tls_exhausted = shaking == 0;
        send(60000);
        play_until(2);
        relay_say("220 go\r\n");
        if (shaking)
            relay_send(FAKE_TLS_STARVED, 8);
        peer_run(5);
        assert_int_equal(outcome.calls, 0);
        fake_tls_exhausted = false;
        relay_listen();
        assert_true(relay_is_dialled(1010));
        play_whole();
        expect_accepted();
        peer_close(&relay.peer);
        peer_run(5);
    }
}

static void no_tls_memory_for_too_long(void **state)
{
    (void)state;
    use(&scripts[1]);
    fake_tls_exhausted = true;
    send(1900);
    play_until(2);
    relay_say("220 go\r\n");
    expect_failure("tls", "tls: there is no memory for it");
    assert_false(outcome.addressed);
}

// That does not pass.
static void bad_trust(void **state)
{
    (void)state;
    use(&scripts[1]);
    fake_tls_distrusts = true;
    send(60000);
    play_until(2);
    relay_say("220 go\r\n");
    expect_failure("tls", "tls: the certificates cannot be read");
}

// Without certificates to trust there is nothing to be said to a relay, unless everybody is trusted or nothing is
// encrypted.
static void trust_is_not_set(void **state)
{
    (void)state;
    uint32_t dialled = net_counters.dialled;
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (uint32_t verify = 0; verify < 2; verify++) {
            fresh(NULL);
            use(&scripts[s]);
            mail_settings.ca[0] = '\0';
            mail_settings.verify = verify;
            struct mail *m = send(60000);
            peer_run(5);
            bool fails = verify != 0 && s != 0;
            assert_int_equal(net_counters.dialled - dialled, !fails);
            dialled = net_counters.dialled;
            if (fails)
                expect_failure("tls",
                               "tls: no certificates to trust are named; set mail.ca, or mail.verify=0 (not safe)");
            else
                mail_cancel(m);
        }
}

static bool warns_at_the_start(void)
{
    machine_console_clear();
    assert_int_equal(mail_service.start(), 0);
    return strstr(machine_console,
                  "no certificates to trust are named; set mail.ca, or mail.verify=0 (not safe): no mail can go out") !=
           NULL;
}

static void trust_is_missed_at_the_start(void **state)
{
    (void)state;
    assert_false(warns_at_the_start()); // plain
    mail_settings.tls = SMTP_TLS_STARTTLS;
    assert_false(warns_at_the_start());
    mail_settings.ca[0] = '\0';
    assert_true(warns_at_the_start());
    machine_console_clear();
    peer_run(3);
    assert_string_equal(machine_console, "");
    mail_settings.tls = SMTP_TLS_IMPLICIT;
    assert_true(warns_at_the_start());
    mail_settings.verify = 0;
    assert_false(warns_at_the_start());
    mail_settings.verify = 1;
    mail_settings.host[0] = '\0';
    assert_false(warns_at_the_start());
}

static void no_starttls_offered(void **state)
{
    (void)state;
    use(&scripts[1]);
    send(60000);
    play_until(1);
    relay_say("250 relay.example\r\n");
    expect_failure("tls", "tls: the relay does not offer STARTTLS");
    relay_expects("QUIT\r\n");
    assert_null(strstr(relay_text(), "AUTH"));
    peer_close(&relay.peer);
    peer_run(5);
}

// CVE-2011-0411: what somebody on the way puts behind the 220, in its segment or in one that comes with it, is neither
// TLS's nor an answer in TLS.
static void plain_bytes_behind_the_220(void **state)
{
    (void)state;
    for (int segments = 1; segments <= 2; segments++) {
        fresh(NULL);
        use(&scripts[1]);
        send(60000);
        play_until(2);
        peer_send_text(&relay.peer, segments == 1 ? "220 go\r\n250 injected\r\n" : "220 go\r\n");
        if (segments == 2)
            peer_send_text(&relay.peer, FAKE_TLS_HELLO);
        peer_run(5);
        expect_failure("tls", "tls: the relay sent plain text where TLS had to begin");
        assert_null(strstr(relay_text(), FAKE_TLS_HELLO));
        peer_run(5);
    }
}

// A relay that greets in the plain where TLS comes first.
static void plain_greeting(void **state)
{
    (void)state;
    use(&scripts[2]);
    send(60000);
    assert_true(relay_is_dialled(20));
    relay_say("220 relay.example ESMTP\r\n");
    expect_failure("tls", "tls: the peer does not speak TLS");
}

static void tls_breaks(void **state)
{
    (void)state;
    use(&scripts[2]);
    send(60000);
    play_until(4);
    peer_send_text(&relay.peer, "XXXXXXXX");
    peer_run(5);
    expect_failure("tls", "tls: a record was damaged on the way");
    fresh(NULL);
    use(&scripts[2]);
    send(60000);
    play_until(7);
    peer_send_text(&relay.peer, "XXXXXXXX");
    peer_run(5);
    expect_failure("data", "data: the relay closed before it said whether it took the mail");
    assert_true(outcome.unsure);
}

static void not_smtp(void **state)
{
    (void)state;
    send(60000);
    assert_true(relay_is_dialled(20));
    relay_say("SSH-2.0-OpenSSH\r\n");
    expect_failure("connect", "connect: the relay sent something that is no SMTP reply");
}

/// Failures that may pass ///

// 1, 2, 4 seconds of pause, and no try that the deadline would cut off.
static void pauses(void **state)
{
    (void)state;
    static const uint32_t pause[] = {1000, 2000, 4000};
    uint32_t retries = metric("pipit_mail_retries_total", NULL);
    uint64_t begin = machine_now_ms;
    send(12000);
    for (size_t i = 0; i <= COUNT(pause); i++) {
        uint64_t before = machine_now_ms;
        assert_int_equal(outcome.calls, 0);
        assert_true(relay_is_dialled(i == 0 ? 20 : pause[i - 1] + 20));
        if (i > 0)
            assert_in_range(machine_now_ms - before, pause[i - 1] - 20, pause[i - 1] + 5);
        play_until(4);
        relay_say("451 4.7.1 come back\r\n");
        relay_expects("QUIT\r\n");
        relay_say("221 bye\r\n");
        peer_run(3);
        relay_listen();
    }
    expect_failure("recipient", "recipient: the relay refused for now (451 4.7.1 come back); tried 4 times");
    assert_in_range(outcome.at - begin, 7000, 8000);
    assert_int_equal(metric("pipit_mail_retries_total", NULL) - retries, 3);
}

static void second_try_works(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT(plain); row++) {
        fresh(NULL);
        send(60000);
        play_until(row);
        relay_say("421 4.3.2 not now\r\n");
        assert_int_equal(outcome.calls, 0);
        relay_listen();
        assert_true(relay_is_dialled(1010));
        play_whole();
        expect_accepted();
        peer_close(&relay.peer);
        peer_run(5);
    }
}

// A failure for good is told at once, also behind one that might have passed.
static void then_for_good(void **state)
{
    (void)state;
    send(60000);
    play_until(4);
    relay_say("450 4.2.0 greylisted\r\n");
    relay_listen();
    assert_true(relay_is_dialled(1010));
    play_until(4);
    relay_say("550 5.1.1 No such user\r\n");
    expect_failure("recipient", "recipient: the relay refused (550 5.1.1 No such user); tried 2 times");
}

// When time is too short for a whole further try, waiting for the deadline would help nobody.
static void no_time_for_another(void **state)
{
    (void)state;
    send(1900);
    play_until(4);
    relay_say("451 4.7.1 come back\r\n");
    expect_failure("recipient", "recipient: the relay refused for now (451 4.7.1 come back)");
}

static void name_without_server(void **state)
{
    (void)state;
    uint32_t dialled = net_counters.dialled;
    uint64_t begin = machine_now_ms;
    strcpy(mail_settings.host, "relay.example");
    mail_settings.timeout = 2;
    send(12000);
    peer_run(12000);
    expect_failure("dns", "dns: no name server answered in time; tried 3 times");
    assert_int_equal(net_counters.dialled - dialled, 3);
    assert_true(outcome.at - begin < 12000);
}

static void no_name_server(void **state)
{
    (void)state;
    ip_addr_t server = *dns_getserver(0);
    dns_setserver(0, NULL);
    strcpy(mail_settings.host, "relay.example");
    send(1500);
    peer_run(5);
    dns_setserver(0, &server);
    expect_failure("dns", "dns: the relay's name could not be resolved");
}

// The name server is asked, and the letter's deadline comes first.
static void slow_name_server(void **state)
{
    (void)state;
    strcpy(mail_settings.host, "relay.example");
    send(1500);
    peer_run(1500);
    expect_failure("timeout", "timeout: the relay did not answer in time (dns)");
}

static void refused_connection(void **state)
{
    (void)state;
    strcpy(mail_settings.host, "127.0.0.1");
    mail_settings.port = 9;
    send(1500);
    peer_run(20);
    expect_failure("connect", "connect: the relay refused the connection");
    fresh(NULL);
    strcpy(mail_settings.host, "localhost");
    mail_settings.port = 9;
    send(5000);
    peer_run(5000);
    expect_failure("connect", "connect: the relay refused the connection; tried 3 times");
}

// Ten seconds are enough for a connection, whatever the settings say.
static void no_answer(void **state)
{
    (void)state;
    uint64_t begin = machine_now_ms;
    peer_forget(&relay.peer);
    send(15000);
    peer_run(11000);
    expect_failure("connect", "connect: the relay did not answer in time");
    assert_in_range(outcome.at - begin, 10000, 10200);
}

/// Lost connections ///

static void lost(bool by_reset)
{
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t row = 0; row < scripts[s].count; row++) {
            char why[MAIL_WHY];
            struct text t = text_in(why, sizeof why);
            fresh(NULL);
            use(&scripts[s]);
            send(1900);
            play_until(row);
            if (by_reset)
                peer_abort(&relay.peer);
            else
                peer_close(&relay.peer);
            peer_run(5);
            bool last = row == script->count - 1;
            text_format(&t, "%s: %s", script->rows[row].step,
                        last ? "the relay closed before it said whether it took the mail" : "the connection ended");
            expect_failure(script->rows[row].step, text_end(&t));
            assert_int_equal(outcome.addressed, is_addressed(script->rows[row].step));
            assert_int_equal(outcome.unsure, last);
            peer_run(10);
        }
}

static void relay_closes(void **state)
{
    (void)state;
    lost(false);
}

static void relay_resets(void **state)
{
    (void)state;
    lost(true);
}

// Before the message is complete it is tried again, afterwards not: it would come twice.
static void lost_and_tried_again(void **state)
{
    (void)state;
    send(60000);
    play_until(5);
    peer_close(&relay.peer);
    peer_run(5);
    assert_int_equal(outcome.calls, 0);
    relay_listen();
    assert_true(relay_is_dialled(1010));
    uint32_t dialled = net_counters.dialled;
    play_until(6);
    peer_close(&relay.peer);
    peer_run(5);
    expect_failure("data", "data: the relay closed before it said whether it took the mail; tried 2 times");
    peer_run(5000);
    assert_int_equal(net_counters.dialled, dialled);
}

// What is no answer, or half of one, leaves open whether the mail is taken; a relay that gives up has not taken it.
static void odd_ends(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        const char *why;
        bool unsure;
    } rows[] = {
        {"250 tak", "data: the relay closed before it said whether it took the mail", true},
        {"2", "data: the relay closed before it said whether it took the mail", true},
        {"HTTP/1.1 200 OK\r\n", "data: the relay sent something that is no SMTP reply", true},
        {"354 more?\r\n", "data: the relay sent a reply that does not fit (354 more?)", true},
        {"421 bye\r\n", "data: the relay refused for now (421 bye)", false},
        {"552 full\r\n", "data: the relay refused (552 full)", false},
    };
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            fresh(NULL);
            use(&scripts[s]);
            send(1900);
            play_until(script->count - 1);
            relay_say(rows[i].says);
            peer_close(&relay.peer);
            peer_run(5);
            expect_failure("data", rows[i].why);
            assert_int_equal(outcome.unsure, rows[i].unsure);
            assert_true(outcome.addressed);
            peer_run(10);
        }
}

// The address was tried out, whatever fails later on.
static void addressed_by_an_earlier_try(void **state)
{
    (void)state;
    send(4500);
    play_until(4);
    relay_say("450 4.2.0 greylisted\r\n");
    relay_listen();
    assert_true(relay_is_dialled(1010));
    relay_say("554 go away\r\n");
    expect_failure("connect", "connect: the relay refused (554 go away); tried 2 times");
    assert_true(outcome.addressed);
    assert_false(outcome.unsure);
}

// Closed in the middle of the message, whose end was never sent: certainly not taken, so there is another try.
static void lost_within_the_message(void **state)
{
    (void)state;
    char body[MAIL_BODY];
    struct mail_letter letter = {.to = span_of(TO), .body = {body, sizeof body}, .deadline = machine_now_ms + 60000};
    memset(body, 'a', sizeof body);
    relay.peer.window = 400;
    use(&scripts[2]);
    fake_tls_most = 7; // lwIP has room for some of the records, not for all
    assert_non_null(mail_send(&letter, on_done, &outcome));
    play_until(6);
    relay.peer.window = 0;
    relay_say("354 go on\r\n");
    peer_abort(&relay.peer);
    peer_run(5);
    assert_int_equal(outcome.calls, 0);
    relay_listen();
    assert_true(relay_is_dialled(1010));
    play_whole();
    expect_accepted();
}

// The same with the end written but not sent.
static void lost_before_the_end_was_sent(void **state)
{
    (void)state;
    use(&scripts[2]);
    fake_tls_most = 4;
    relay.peer.window = 400;
    send(60000);
    play_until(6);
    relay.peer.window = 0;
    relay_say("354 go on\r\n");
    peer_abort(&relay.peer);
    peer_run(5);
    assert_int_equal(outcome.calls, 0);
    relay_listen();
    assert_true(relay_is_dialled(1010));
    play_whole();
    expect_accepted();
}

// A relay may say no before it has the whole message. TLS may leave that where it is until it can send again; then it
// has to be offered anew.
static void early_no(void **state)
{
    (void)state;
    use(&scripts[2]);
    fake_tls_most = 4;
    relay.peer.window = 400;
    send(60000);
    play_until(6);
    relay.peer.window = 0;
    relay_say("354 go on\r\n");
    relay_say("552 5.3.4 too big\r\n");
    assert_int_equal(outcome.calls, 0);
    relay.peer.window = 400;
    peer_acknowledge(&relay.peer);
    peer_run(2000);
    expect_failure("data", "data: the relay refused (552 5.3.4 too big)");
}

static void goodbye_of_tls(void **state)
{
    (void)state;
    uint8_t record[FAKE_TLS_PREFIX];
    use(&scripts[2]);
    send(1900);
    play_until(4);
    peer_send(&relay.peer, record, fake_tls_seal('C', "", 0, record));
    peer_run(5);
    expect_failure("sender", "sender: the connection ended");
    relay_text();
    assert_true(relay.closed);
}

/// Time ///

// A relay that hangs, at any step: the outcome comes before the letter's deadline and says what was waited for.
static void hangs_until_the_deadline(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t row = 0; row < scripts[s].count; row++) {
            char why[MAIL_WHY];
            struct text t = text_in(why, sizeof why);
            fresh(NULL);
            use(&scripts[s]);
            uint64_t deadline = machine_now_ms + 3000;
            send(3000);
            play_until(row);
            peer_run(2500);
            assert_int_equal(outcome.calls, 0);
            peer_run(600);
            text_format(&t, "timeout: the relay did not answer in time (%s)", waits_at(row));
            expect_failure("timeout", text_end(&t));
            assert_int_equal(outcome.addressed, is_addressed(waits_at(row)));
            assert_int_equal(outcome.unsure, row == script->count - 1);
            assert_true(outcome.at < deadline);
            assert_true(relay.peer.reset);
        }
}

// The time limit of a step begins anew with each reply.
static void hangs_at_a_step(void **state)
{
    (void)state;
    mail_settings.timeout = 4;
    send(60000);
    for (size_t row = 0; row + 1 < COUNT(plain); row++) {
        play_until(0);
        peer_run(3900);
        relay_say(plain[row].says);
        relay_clear();
    }
    peer_run(3900);
    assert_int_equal(outcome.calls, 0);
    peer_run(200);
    expect_failure("timeout", "timeout: the relay did not answer in time (data)");
    assert_true(outcome.unsure);
}

// So it does with the replies to a batch, where nothing of ours is acknowledged in between.
static void slow_batch(void **state)
{
    (void)state;
    mail_settings.timeout = 4;
    use(&scripts[1]);
    send(60000);
    play_until(6);
    peer_run(3900);
    relay_say("250 ok\r\n");
    peer_run(3900);
    relay_say("250 ok\r\n");
    peer_run(3900);
    relay_say("354 go on\r\n");
    relay_expects("\r\n.\r\n");
    relay_say("250 taken\r\n");
    expect_accepted();
}

// A step that took too long is tried again while there is time for it, but not when the mail may be taken.
static void hangs_and_is_tried_again(void **state)
{
    (void)state;
    mail_settings.timeout = 2;
    send(60000);
    play_until(3);
    peer_run(2100);
    assert_int_equal(outcome.calls, 0);
    assert_true(relay.peer.reset);
    relay_listen();
    assert_true(relay_is_dialled(1010));
    play_whole();
    expect_accepted();
}

// The cause that was seen before counts for more than the try that the deadline cut off.
static void deadline_behind_a_refusal(void **state)
{
    (void)state;
    uint64_t deadline = machine_now_ms + 5000;
    send(5000);
    play_until(4);
    relay_say("451 4.7.1 come back\r\n");
    relay_listen();
    assert_true(relay_is_dialled(1010));
    peer_run(5000);
    expect_failure("recipient", "recipient: the relay refused for now (451 4.7.1 come back); tried 2 times");
    assert_true(outcome.at < deadline);
}

// But not for more than that the mail may be out.
static void deadline_at_the_end_behind_a_refusal(void **state)
{
    (void)state;
    send(5000);
    play_until(1);
    relay_say("421 4.3.2 not now\r\n");
    relay_listen();
    assert_true(relay_is_dialled(1010));
    play_until(6);
    peer_run(5000);
    expect_failure("timeout", "timeout: the relay did not answer in time (data); tried 2 times");
    assert_true(outcome.unsure);
}

static void deadline_in_the_past(void **state)
{
    (void)state;
    struct mail_letter letter = {.to = span_of(TO), .body = span_of(BODY), .deadline = 0};
    uint32_t dialled = net_counters.dialled;
    assert_non_null(mail_send(&letter, on_done, &outcome));
    peer_run(3);
    expect_failure("timeout", "timeout: other mails were in front of this one for too long");
    assert_false(outcome.addressed);
    assert_int_equal(net_counters.dialled, dialled);
}

// Bytes that complete no reply are no progress.
static void dribbles(void **state)
{
    (void)state;
    mail_settings.timeout = 3;
    uint64_t begin = machine_now_ms;
    send(5500);
    assert_true(relay_is_dialled(20));
    for (int i = 0; i < 20 && outcome.calls == 0; i++) {
        relay_send("220-still thinking\r\n" + i, 1);
        peer_run(500);
    }
    expect_failure("timeout", "timeout: the relay did not answer in time (connect)");
    assert_in_range(outcome.at - begin, 3000, 3100);
}

// Complete lines of a reply that never ends are none either; and a new reply every time, within the rules, is bounded
// by the letter's deadline.
static void babbles(void **state)
{
    (void)state;
    mail_settings.timeout = 3;
    uint64_t begin = machine_now_ms;
    send(5500);
    play_until(1);
    for (int i = 0; i < 20 && outcome.calls == 0; i++) {
        relay_say("250-and another thing\r\n");
        peer_run(400);
    }
    expect_failure("timeout", "timeout: the relay did not answer in time (connect)");
    assert_in_range(outcome.at - begin, 3000, 3200);
}

// A relay that takes a few bytes now and then makes progress, and the deadline still holds.
static void takes_little_by_little(void **state)
{
    (void)state;
    mail_settings.timeout = 2;
    uint64_t deadline = machine_now_ms + 8000;
    relay.peer.window = 11;
    send(8000);
    play_until(5);
    relay_say("354 go on\r\n");
    relay.peer.silent = true;
    while (machine_now_ms < deadline) {
        peer_run(1500);
        peer_acknowledge(&relay.peer);
    }
    expect_failure("timeout", "timeout: the relay did not answer in time (data)");
    assert_in_range(outcome.at, deadline - 150, deadline - 1);
}

// The outcome does not wait for the relay's goodbye, and the goodbye does not hold the session for long.
static void quit_ignored(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(scripts); s++) {
        fresh(NULL);
        use(&scripts[s]);
        send(60000);
        play_whole();
        expect_accepted();
        relay_expects("QUIT\r\n");
        peer_run(1900);
        assert_false(relay.peer.fin);
        peer_run(200);
        assert_true(relay.peer.fin);
        assert_int_equal(outcome.calls, 1);
    }
}

// It does not even take the QUIT, or the goodbye of TLS.
static void nothing_taken_any_more(void **state)
{
    (void)state;
    use(&scripts[2]);
    send(60000);
    play_until(7);
    relay.peer.window = 0;
    relay_say("250 taken\r\n");
    expect_accepted();
    peer_run(2100);
    assert_int_equal(fake_tls_sessions, 0);
}

/// The queue ///

static void queue_full(void **state)
{
    (void)state;
    static struct outcome told[MAIL_QUEUE];
    static struct mail *letters[MAIL_QUEUE];
    uint32_t dialled = net_counters.dialled;
    peer_forget(&relay.peer);
    memset(told, 0, sizeof told);
    for (size_t i = 0; i < MAIL_QUEUE; i++)
        assert_non_null(letters[i] = send_to(TO, 5000, &told[i]));
    assert_null(send_to(TO, 5000, &outcome));
    assert_int_equal(mail_queued(), MAIL_QUEUE);
    peer_run(1000);
    assert_int_equal(net_counters.dialled - dialled, MAIL_SESSIONS);
    mail_cancel(letters[0]);
    assert_non_null(send_to(TO, 5000, &outcome));
    peer_run(5000);
    for (size_t i = 1; i < MAIL_QUEUE; i++) {
        assert_int_equal(told[i].calls, 1);
        assert_string_equal(told[i].step, "timeout");
        assert_string_equal(told[i].why, i < MAIL_SESSIONS ? "timeout: the relay did not answer in time (connect)"
                                         : i == MAIL_SESSIONS
                                             ? "timeout: the relay did not answer in time (connect)"
                                             : "timeout: other mails were in front of this one for too long");
    }
    assert_int_equal(told[0].calls, 0);
    assert_int_equal(outcome.calls, 1);
}

static void send_numbered(unsigned number, struct outcome *o)
{
    char to[32];
    struct text t = text_in(to, sizeof to);
    text_format(&t, "%u@example.org", number);
    assert_non_null(send_to(text_end(&t), 60000, o));
}

static void refuse_numbered(unsigned number)
{
    char command[32];
    struct text t = text_in(command, sizeof command);
    text_format(&t, "RCPT TO:<%u@", number);
    relay_say("220 ready\r\n");
    relay_say("250-relay\r\n250 AUTH PLAIN\r\n");
    relay_say("235 ok\r\n");
    relay_clear();
    relay_say("250 ok\r\n");
    relay_expects(text_end(&t));
    relay_say("550 no\r\n");
}

// While all sessions hang at another relay letters wait; the oldest goes first when one of them is free.
static void oldest_first(void **state)
{
    (void)state;
    static struct outcome blocked, told[3];
    static struct mail *blocking[MAIL_SESSIONS];
    memset(told, 0, sizeof told);
    strcpy(mail_settings.host, "10.0.2.9");
    for (size_t i = 0; i < MAIL_SESSIONS; i++)
        assert_non_null(blocking[i] = send_to(TO, 60000, &blocked));
    peer_run(2);
    strcpy(mail_settings.host, "10.0.2.2");
    for (unsigned i = 0; i < COUNT(told); i++)
        send_numbered(i, &told[i]);
    peer_run(100);
    assert_false(relay.peer.synchronized);
    mail_cancel(blocking[0]);
    for (unsigned i = 0; i < COUNT(told); i++) {
        assert_true(relay_is_dialled(2100)); // the one before has no answer to its QUIT
        refuse_numbered(i);
        assert_int_equal(told[i].calls, 1);
        relay_listen();
    }
    for (size_t i = 1; i < MAIL_SESSIONS; i++)
        mail_cancel(blocking[i]);
}

static void does_not_fit(void **state)
{
    (void)state;
    char big[MAIL_BODY + EMAIL_MAX_BYTES + 2];
    memset(big, 'a', sizeof big);
    struct mail_letter letter = {.to = span_of(TO), .body = {big, MAIL_BODY + 1}, .deadline = machine_now_ms + 5000};
    assert_null(mail_send(&letter, on_done, &outcome));
    letter.body.length = MAIL_BODY;
    letter.to = (struct span){big, EMAIL_MAX_BYTES + 1};
    assert_null(mail_send(&letter, on_done, &outcome));
    letter.to = span_of(TO);
    struct mail *m = mail_send(&letter, on_done, &outcome);
    assert_non_null(m);
    mail_cancel(m);
    peer_run(5);
    assert_int_equal(outcome.calls, 0);
}

// Whatever becomes of a letter is not told in the turn that sent it, neither before nor behind our own step.
static void told_in_a_later_turn(void **state)
{
    (void)state;
    mail_settings.host[0] = '\0';
    send(5000);
    mail_service.step(machine_now_ms);
    assert_int_equal(outcome.calls, 0);
    assert_int_equal(mail_service.step(machine_now_ms), 0);
    assert_int_equal(outcome.calls, 1);
    while (mail_service.step(machine_now_ms) == 0)
        ;
    assert_int_equal(mail_service.step(machine_now_ms), SERVICE_IDLE);
}

static void outcome_cancels_and_sends(void **state)
{
    (void)state;
    struct outcome other = {0}, next = {0};
    peer_forget(&relay.peer);
    struct mail *cancelled = send_to(TO, 60000, &other);
    peer_run(1);
    mail_settings.host[0] = '\0';
    outcome.cancel = cancelled;
    outcome.then = &next;
    send(60000);
    peer_run(20);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(other.calls, 0);
    assert_int_equal(next.calls, 1);
    assert_string_equal(next.step, "connect");
}

static void outcome_cancels_itself(void **state)
{
    (void)state;
    mail_settings.host[0] = '\0';
    outcome.cancel = send(5000);
    peer_run(5);
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(mail_queued(), 0);
}

// At any step, the pause between two tries included, it leaves nothing behind and is told nothing.
static void cancelled(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t row = 0; row < scripts[s].count; row++) {
            fresh(NULL);
            use(&scripts[s]);
            struct mail *m = send(60000);
            play_until(row);
            assert_int_equal(mail_cancel(m), is_addressed(waits_at(row)));
            peer_run(5);
            assert_int_equal(outcome.calls, 0);
            assert_int_equal(mail_queued(), 0);
            assert_int_equal(fake_tls_sessions, 0);
            assert_true(relay.peer.reset);
        }
    fresh(NULL);
    struct mail *m = send(60000);
    assert_false(mail_cancel(m)); // before it was looked at
    m = send(60000);
    play_until(4);
    relay_say("451 4.7.1 come back\r\n");
    assert_true(mail_cancel(m));
    uint32_t dialled = net_counters.dialled;
    peer_run(3000);
    assert_int_equal(net_counters.dialled, dialled);
    assert_int_equal(outcome.calls, 0);
}

// Known, but not told yet.
static void cancelled_when_done(void **state)
{
    (void)state;
    mail_settings.host[0] = '\0';
    struct mail *m = send(5000);
    mail_service.step(machine_now_ms);
    assert_false(mail_cancel(m));
    peer_run(5);
    assert_int_equal(outcome.calls, 0);
}

static void (*turn_before)(void);
static struct mail *accepted_letter;

static void cancel_between(void)
{
    if (accepted_letter != NULL && strstr(machine_console, "the relay took a mail") != NULL) {
        assert_true(mail_cancel(accepted_letter));
        accepted_letter = NULL;
    }
    turn_before();
}

// Taken, and not told yet: it is out.
static void cancelled_when_taken(void **state)
{
    (void)state;
    accepted_letter = send(60000);
    play_until(6);
    turn_before = peer_services;
    peer_services = cancel_between;
    relay_say("250 taken\r\n");
    peer_services = turn_before;
    assert_null(accepted_letter);
    assert_int_equal(outcome.calls, 0);
}

static void stopped(void **state)
{
    (void)state;
    struct outcome waiting = {0};
    send(60000);
    play_until(3);
    assert_non_null(send_to(TO, 60000, &waiting));
    mail_service.stop();
    expect_failure("connect", "connect: this machine is stopping");
    assert_int_equal(waiting.calls, 1);
    assert_int_equal(mail_queued(), 0);
    peer_run(5);
    assert_true(relay.peer.reset);
    fresh(NULL);
    send(60000);
    play_until(6);
    mail_service.stop();
    expect_failure("connect", "connect: this machine is stopping");
    assert_true(outcome.unsure);
}

static void stopped_in_the_goodbye(void **state)
{
    (void)state;
    use(&scripts[2]);
    send(60000);
    play_whole();
    expect_accepted();
    mail_service.stop();
    assert_int_equal(fake_tls_sessions, 0);
    peer_run(5);
    assert_true(relay.peer.fin);
}

/// Settings ///

// A change under way counts from the next conversation on.
static void settings_change_under_way(void **state)
{
    (void)state;
    send(60000);
    play_until(1);
    memset(mail_settings.host, 'x', sizeof mail_settings.host - 1);
    memset(mail_settings.user, 'x', sizeof mail_settings.user - 1);
    memset(mail_settings.password, 'x', sizeof mail_settings.password - 1);
    memset(mail_settings.from, 'x', sizeof mail_settings.from - 1);
    mail_settings.tls = SMTP_TLS_STARTTLS;
    relay_say(plain[1].says);
    for (size_t row = 2; row < COUNT(plain); row++) {
        relay_expects(plain[row].expects);
        relay_say(plain[row].says);
    }
    expect_accepted();
}

static void unverified_is_said(void **state)
{
    (void)state;
    static const char warning[] = "mail.verify=0";
    peer_run(3);
    assert_null(strstr(machine_console, warning));
    mail_settings.tls = SMTP_TLS_STARTTLS;
    mail_settings.verify = 0;
    peer_run(3);
    assert_non_null(strstr(machine_console, warning));
    machine_console_clear();
    peer_run(3);
    assert_null(strstr(machine_console, warning));
    mail_settings.verify = 1;
    peer_run(3);
    mail_settings.verify = 0;
    peer_run(3);
    assert_non_null(strstr(machine_console, warning));
    use(&scripts[2]);
    send(60000);
    play_until(0);
    assert_false(fake_tls_verify);
    relay_send(FAKE_TLS_HELLO, 8);
    peer_close(&relay.peer);
    peer_run(5);
    mail_settings.host[0] = '\0';
    peer_run(2000);
    assert_int_equal(outcome.calls, 1);
}

/// Secrets in memory ///

static bool memory_has(const char *pool, const char *secret)
{
    size_t length = strlen(secret);
    for (struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p)) {
        const char *slots = p->slots;
        for (size_t i = 0; strcmp(p->name, pool) == 0 && i + length <= p->size * p->slot_size; i++)
            if (memcmp(slots + i, secret, length) == 0)
                return true;
    }
    return false;
}

// The credentials are gone as soon as they are sent, the rest when the conversation and the letter are over.
static void secrets_are_wiped(void **state)
{
    (void)state;
    send(60000);
    play_until(2);
    assert_false(memory_has("mail_sessions", "AHVzZXIA"));
    assert_true(memory_has("mail_sessions", PASSWORD));
    assert_true(memory_has("mail_letters", "123456"));
    relay_say(plain[2].says);
    for (size_t row = 3; row < COUNT(plain); row++) {
        relay_expects(plain[row].expects);
        relay_say(plain[row].says);
    }
    expect_accepted();
    assert_false(memory_has("mail_letters", "123456"));
    peer_run(2100);
    assert_false(memory_has("mail_sessions", PASSWORD));
    assert_false(memory_has("mail_sessions", "123456"));
    mail_cancel(send(60000));
    assert_false(memory_has("mail_letters", "123456"));
}

static void long_address(char address[EMAIL_MAX_BYTES + 1], char c)
{
    static const char domain[] = "@example.org";
    size_t local = EMAIL_MAX_BYTES - (sizeof domain - 1);
    memset(address, c, local);
    strcpy(address + local, domain);
}

// A batch that does not fit is refused half written. The letter's slot is the next letter's by the time there is room
// again, and nothing of that may go to this relay.
static void refused_in_the_batch(void **state)
{
    (void)state;
    char to[EMAIL_MAX_BYTES + 1], next[EMAIL_MAX_BYTES + 1];
    struct outcome other = {0};
    use(&scripts[2]);
    fake_tls_most = 1;
    fake_tls_hears = true;
    mail_settings.user[0] = '\0';
    long_address(mail_settings.from, 'f');
    long_address(to, 't');
    long_address(next, 'n');
    assert_non_null(send_to(to, 60000, &outcome));
    play_until(2);
    relay.peer.silent = true;
    relay_say("250-relay.example\r\n250 PIPELINING\r\n");
    relay_say("550 5.7.1 not you\r\n");
    expect_failure("sender", "sender: the relay refused (550 5.7.1 not you)");
    strcpy(mail_settings.host, "10.0.2.9");
    struct mail *m = send_to(next, 60000, &other);
    assert_true(memory_has("mail_letters", "nnn"));
    assert_false(memory_has("mail_letters", "ttt"));
    relay.peer.silent = false;
    peer_acknowledge(&relay.peer);
    peer_run(100);
    assert_null(strstr(relay_text(), "nnn"));
    assert_null(memchr(relay.plain, '\0', relay.length));
    assert_true(relay.peer.fin);
    mail_cancel(m);
}

/// The console ///

static void console_has(const char *line)
{
    if (strstr(machine_console, line) == NULL)
        fail_msg("the console has no '%s' but:\n%s", line, machine_console);
}

static void no_secrets_on_the_console(void)
{
    static const char *const secrets[] = {PASSWORD, CREDENTIAL, "czNjcmV0LVBhc3N3MHJk", "dXNlcg==", "123456"};
    for (size_t i = 0; i < COUNT(secrets); i++)
        assert_null(strstr(machine_console, secrets[i]));
    for (const char *line = machine_console; *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line <= LOG_LINE);
        for (; line < end; line++)
            assert_in_range(*line, ' ', '~');
        line = end + 1;
    }
}

static void transcript(void **state)
{
    (void)state;
    use(&scripts[1]);
    log_threshold = LOG_DEBUG;
    assert_true(mail_test(span_of(TO)));
    assert_false(mail_test(span_of(TO)));
    play_until(5);
    relay_say("235-you said " CREDENTIAL "\r\n235 and " PASSWORD "\r\n");
    relay_expects("DATA\r\n");
    relay_say(starttls[6].says);
    relay_expects("\r\n.\r\n");
    relay_say("250 2.0.0 taken\r\n");
    relay_expects("QUIT\r\n");
    relay_say("221 bye\r\n");
    peer_run(5);
    console_has("-- dialling 10.0.2.2, port 2525\n");
    console_has("-- connected to 10.0.2.2\n");
    console_has("S: 220 relay.example ESMTP\n");
    console_has("C: EHLO [10.0.2.15]\n");
    console_has("S: 250-relay.example\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n");
    console_has("-- TLS is up: TLSv0 TEST-WITH-FLIPPED-BITS\n");
    console_has("C: AUTH PLAIN (secret)\n");
    console_has("S: 235-\nS: 235\n");
    console_has("C: MAIL FROM:<" FROM ">\nC: RCPT TO:<" TO ">\nC: DATA\n");
    console_has("S: 354 go on\n");
    console_has("C: (the message, ");
    console_has("S: 250 2.0.0 taken\n");
    console_has("-- the relay has taken the mail\n");
    console_has("C: QUIT\n");
    console_has("S: 221 bye\n");
    no_secrets_on_the_console();
}

// The size that is shown is the size that went out.
static void transcript_counts(void **state)
{
    (void)state;
    char line[64];
    assert_true(mail_test(span_of(TO)));
    play_until(5);
    relay_say("354 go on\r\n");
    assert_true(relay_hears("\r\n.\r\n"));
    struct text t = text_in(line, sizeof line);
    text_format(&t, "C: (the message, %zu bytes)\n", relay.peer.length);
    console_has(text_end(&t));
    relay_clear();
    relay_say("250 taken\r\n");
    peer_close(&relay.peer);
    peer_run(5);
}

static void transcript_of_login(void **state)
{
    (void)state;
    log_threshold = LOG_DEBUG;
    assert_true(mail_test(span_of(TO)));
    play_until(1);
    relay_say("250-relay.example\r\n250 AUTH LOGIN\r\n");
    relay_expects("AUTH LOGIN\r\n");
    relay_say("334 VXNlcm5hbWU6\r\n");
    relay_expects("dXNlcg==\r\n");
    relay_say("334 dXNlcg== what?\r\n");
    relay_expects("czNjcmV0LVBhc3N3MHJk\r\n");
    relay_say("535 5.7.8 " PASSWORD " is czNjcmV0LVBhc3N3MHJk and wrong\r\n");
    console_has("C: AUTH LOGIN\nS: 334\nC: (secret)\nS: 334\nC: (secret)\nS: 535\n");
    console_has("-- failed: auth: the relay refused (535 5.7.8)\n");
    relay_expects("QUIT\r\n");
    peer_close(&relay.peer);
    peer_run(5);
    no_secrets_on_the_console();
}

// A relay that sends commands to the terminal, lines without end, and one that is not finished.
static void transcript_is_clean(void **state)
{
    (void)state;
    char line[900];
    memset(line, 'x', sizeof line);
    memcpy(line, "220-", 4);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    assert_true(mail_test(span_of(TO)));
    assert_true(relay_is_dialled(20));
    relay_say("220-\x1b[2J\a\x9b"
              "1m\xc3\xa4\r\n");
    relay_say(line);
    relay_say("220 ready\r\n");
    relay_expects("EHLO");
    relay_say("250 \x1b]0;half a line");
    peer_close(&relay.peer);
    peer_run(5);
    console_has("S: 220-?[2J??1m??\n");
    console_has("xxx...\n");
    console_has("S: 250 ?]0;half a line\n");
    console_has("-- connect: the connection ended; trying again in 1 s\n");
    no_secrets_on_the_console();
    mail_settings.host[0] = '\0';
    peer_run(1100);
    console_has("-- failed: connect: no mail relay is configured; set mail.host; tried 2 times\n");
    assert_true(mail_test(span_of(TO)));
    peer_run(5);
}

static void test_that_does_not_fit(void **state)
{
    (void)state;
    static struct mail *letters[MAIL_QUEUE];
    char big[EMAIL_MAX_BYTES + 1];
    memset(big, 'a', sizeof big);
    assert_false(mail_test((struct span){big, sizeof big}));
    peer_forget(&relay.peer);
    for (size_t i = 0; i < MAIL_QUEUE; i++)
        assert_non_null(letters[i] = send_to(TO, 5000, &outcome));
    assert_false(mail_test(span_of(TO)));
    for (size_t i = 0; i < MAIL_QUEUE; i++)
        mail_cancel(letters[i]);
    assert_true(mail_test(span_of("nobody")));
    peer_run(5);
    console_has("-- failed: recipient: the address is no plain local@domain\n");
}

// All that is logged, at any level, of a whole conversation and of a failed one.
static void log_has_no_secrets(void **state)
{
    (void)state;
    log_threshold = LOG_DEBUG;
    for (size_t s = 0; s < COUNT(scripts); s++) {
        fresh(NULL);
        use(&scripts[s]);
        send(60000);
        play_whole();
        expect_accepted();
        console_has(": HANDING_OVER -> DONE");
        console_has(": DIALLING -> TALKING");
        no_secrets_on_the_console();
        assert_null(strstr(machine_console, "C: "));
        assert_null(strstr(machine_console, TO));
        peer_close(&relay.peer);
        peer_run(10);
    }
}

static int start(void **state)
{
    (void)state;
    strcpy(net_settings.dns, "10.0.2.3");
    peer_network_start();
    peer_services = services_turn;
    return mail_service.start();
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, fresh, nothing_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mail),
        TEST(every_way),
        TEST(usual_ports),
        TEST(byte_by_byte),
        TEST(narrow),
        TEST(ids_and_dates),
        TEST(sender_is_the_user),
        TEST(no_sender),
        TEST(refused_beforehand),
        TEST(no_relay),
        TEST(refusals),
        TEST(bad_certificate),
        TEST(no_tls_memory),
        TEST(no_tls_memory_for_too_long),
        TEST(bad_trust),
        TEST(trust_is_not_set),
        TEST(trust_is_missed_at_the_start),
        TEST(no_starttls_offered),
        TEST(plain_bytes_behind_the_220),
        TEST(plain_greeting),
        TEST(tls_breaks),
        TEST(not_smtp),
        TEST(pauses),
        TEST(second_try_works),
        TEST(then_for_good),
        TEST(no_time_for_another),
        TEST(name_without_server),
        TEST(no_name_server),
        TEST(slow_name_server),
        TEST(refused_connection),
        TEST(no_answer),
        TEST(relay_closes),
        TEST(relay_resets),
        TEST(lost_and_tried_again),
        TEST(odd_ends),
        TEST(addressed_by_an_earlier_try),
        TEST(lost_within_the_message),
        TEST(lost_before_the_end_was_sent),
        TEST(early_no),
        TEST(goodbye_of_tls),
        TEST(hangs_until_the_deadline),
        TEST(hangs_at_a_step),
        TEST(slow_batch),
        TEST(hangs_and_is_tried_again),
        TEST(deadline_behind_a_refusal),
        TEST(deadline_at_the_end_behind_a_refusal),
        TEST(deadline_in_the_past),
        TEST(dribbles),
        TEST(babbles),
        TEST(takes_little_by_little),
        TEST(quit_ignored),
        TEST(nothing_taken_any_more),
        TEST(queue_full),
        TEST(oldest_first),
        TEST(does_not_fit),
        TEST(told_in_a_later_turn),
        TEST(outcome_cancels_and_sends),
        TEST(outcome_cancels_itself),
        TEST(cancelled),
        TEST(cancelled_when_done),
        TEST(cancelled_when_taken),
        TEST(stopped),
        TEST(stopped_in_the_goodbye),
        TEST(settings_change_under_way),
        TEST(unverified_is_said),
        TEST(secrets_are_wiped),
        TEST(refused_in_the_batch),
        TEST(transcript),
        TEST(transcript_counts),
        TEST(transcript_of_login),
        TEST(transcript_is_clean),
        TEST(test_that_does_not_fit),
        TEST(log_has_no_secrets),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
