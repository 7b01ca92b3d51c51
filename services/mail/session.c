#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../../port/tls/tls.h"
#include "../../port/trail.h"
#include "mail_private.h"
#include "transcript.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define DIAL_MS 10000
#define QUIT_MS 2000 // for the goodbye, when the outcome is known
#define SEND    1000 // bytes given to net_send() at most; NET_SEND_MAX is never below 1,024

// DIALLING -> TALKING (-> HANDSHAKE -> TALKING) -> CLOSING -> FREE     any -> CLOSING, FREE
enum state {
    STATE_FREE,
    STATE_DIALLING,
    STATE_TALKING,
    STATE_HANDSHAKE, // TLS
    STATE_CLOSING,   // the SMTP conversation is over
};

static const char *const state_names[] = {"FREE", "DIALLING", "TALKING", "HANDSHAKE", "CLOSING"};

// `letter` stands first: it is what a slot that was given back loses to the pool.
struct session {
    struct mail *letter;   // NULL once its outcome is known
    struct net_conn *conn; // NULL before the dial and once it is gone
    struct tls *tls;       // read through tls_of()
    struct span arrived;   // what TLS has not taken yet of the bytes that `data` was offered
    uint64_t limit;        // ms
    uint32_t acknowledged;
    uint8_t state;               // enum state
    bool shown;                  // on the console
    bool unsure;                 // the relay may have taken the mail, whatever was wrong with what came then
    uint16_t out_length;         // bytes in `out`
    uint16_t out_given;          // ... that were sent
    struct mail_settings copied; // a change of the settings counts from the next conversation on
    char name[20];               // our own, for EHLO
    uint8_t out[MAIL_OUT];
    struct smtp smtp;
};

POOL(mail_sessions, struct session, MAIL_SESSIONS);

_Static_assert(offsetof(struct session, state) >= sizeof(void *), "a free slot's link would hide that it is free");

static void change(struct session *s, enum state state)
{
    trail_change("mail", "session", pool_index(&mail_sessions, s), state_names[s->state], state_names[state]);
    s->state = (uint8_t)state;
}

/// Time limits ///

static uint64_t step_ms(const struct session *s)
{
    return (uint64_t)s->copied.timeout * 1000;
}

// Something has happened: the step begins anew. The goodbye does not.
static void arm(struct session *s)
{
    if (s->letter != NULL)
        s->limit = port_now_ms() + step_ms(s);
}

// In a state that waits for the relay's address there is none yet.
const char *session_waits_for(const struct session *s)
{
    if (s->state == STATE_DIALLING)
        return s->conn == NULL || net_peer_address(s->conn) == 0 ? "dns" : "connect";
    return smtp_step_name(smtp_step(&s->smtp));
}

// NULL while the connection is plain. Where there are no sessions of TLS the compiler sees that it always is.
static struct tls *tls_of(const struct session *s)
{
    return TLS_SESSIONS > 0 ? s->tls : NULL;
}

/// The end ///

static void release(struct session *s)
{
    tls_end(tls_of(s));
    if (s->conn != NULL)
        net_leave(s->conn);
    if (s->shown)
        transcript_end();
    smtp_end(&s->smtp);
    change(s, STATE_FREE);
    mbedtls_platform_zeroize(s, sizeof *s);
    pool_give(&mail_sessions, s);
    mail_stir();
}

void session_break(struct session *s)
{
    if (s->conn != NULL)
        net_abort(s->conn);
    release(s);
}

// The slot is given back by sessions_step() alone: whoever called us still holds it.
static void begin_closing(struct session *s)
{
    change(s, STATE_CLOSING);
    if (s->conn == NULL || tls_of(s) == NULL)
        return;
    tls_close(tls_of(s));
    tls_step(tls_of(s));
}

static bool goodbye_said(const struct session *s)
{
    return s->conn == NULL || tls_of(s) == NULL || !tls_sending(tls_of(s));
}

/// Outcomes ///

bool session_is_addressed(const struct session *s)
{
    return smtp_step(&s->smtp) >= SMTP_STEP_RECIPIENT;
}

// The last byte of the message has gone out and nobody knows what became of it. A second try could be a second mail.
static bool may_be_taken(const struct session *s)
{
    return s->smtp.state == SMTP_CONTENT && smtp_next(&s->smtp) != SMTP_SEND && s->out_given == s->out_length;
}

// A refusal is an answer; a reply that makes no sense is none.
bool session_is_unsure(const struct session *s)
{
    enum smtp_reason reason = s->smtp.failure.reason;
    return reason == SMTP_NO_FAILURE ? may_be_taken(s) : s->unsure && reason != SMTP_REFUSED;
}

static struct mail *detach(struct session *s)
{
    struct mail *m = s->letter;
    s->letter = NULL;
    s->limit = port_now_ms() + QUIT_MS;
    return m;
}

static void fail(struct session *s, enum mail_step step, bool temporary, struct span why)
{
    if (s->letter == NULL)
        return;
    if (s->shown)
        transcript_end();
    mail_failed(detach(s), step, temporary, why);
}

static const enum mail_step steps[] = {
    [SMTP_STEP_CONNECT] = MAIL_CONNECT,     [SMTP_STEP_TLS] = MAIL_TLS,
    [SMTP_STEP_AUTH] = MAIL_AUTH,           [SMTP_STEP_SENDER] = MAIL_SENDER,
    [SMTP_STEP_RECIPIENT] = MAIL_RECIPIENT, [SMTP_STEP_DATA] = MAIL_DATA,
};

// "recipient: the relay refused (451 ...)" with " for now" in front of the bracket.
static void explain_refusal(const struct smtp_failure *f, struct text *out)
{
    char buffer[MAIL_WHY];
    struct text whole = text_in(buffer, sizeof buffer);
    smtp_explain(f, &whole);
    struct span reply = text_whole(&whole);
    struct span sentence = span_trim(span_cut(&reply, '('));
    text_span(out, sentence);
    text_string(out, " for now (");
    text_span(out, reply);
}

static void fail_smtp(struct session *s)
{
    const struct smtp_failure *f = &s->smtp.failure;
    char buffer[MAIL_WHY];
    struct text why = text_in(buffer, sizeof buffer);
    bool unsure = session_is_unsure(s);
    if (unsure && f->reason == SMTP_LOST)
        text_string(&why, "data: the relay closed before it said whether it took the mail");
    else if (f->reason == SMTP_REFUSED && f->temporary)
        explain_refusal(f, &why);
    else
        smtp_explain(f, &why);
    fail(s, steps[f->step], f->temporary && !unsure, text_whole(&why));
}

static void settle(struct session *s)
{
    if (s->letter == NULL)
        return;
    if (smtp_accepted(&s->smtp))
        mail_accepted(detach(s));
    else if (s->smtp.failure.reason != SMTP_NO_FAILURE)
        fail_smtp(s);
}

static void lose(struct session *s)
{
    s->unsure = s->unsure || may_be_taken(s);
    smtp_lost(&s->smtp);
}

static void fail_tls(struct session *s, struct span reason, bool temporary)
{
    char buffer[MAIL_WHY];
    struct text why = text_in(buffer, sizeof buffer);
    text_string(&why, "tls: ");
    text_span(&why, reason);
    if (!may_be_taken(s) && !smtp_accepted(&s->smtp))
        fail(s, MAIL_TLS, temporary, text_whole(&why));
    lose(s);
}

/// TLS ///

static size_t transport_receive(void *owner, uint8_t *bytes, size_t size)
{
    struct session *s = owner;
    size_t n = s->arrived.length < size ? s->arrived.length : size;
    if (n > 0)
        memcpy(bytes, s->arrived.at, n);
    s->arrived = span_behind(s->arrived, n);
    return n;
}

static size_t send_piece(struct session *s, const uint8_t *bytes, size_t length)
{
    if (s->conn == NULL)
        return 0;
    size_t room = net_room(s->conn);
    size_t n = length < room ? length : room;
    n = n < SEND ? n : SEND;
    return n > 0 && net_send(s->conn, bytes, n) == NET_OK ? n : 0;
}

static size_t transport_send(void *owner, const uint8_t *bytes, size_t length)
{
    return send_piece(owner, bytes, length);
}

static const struct tls_transport transport = {.receive = transport_receive, .send = transport_send};

static void tls_is_up(struct session *s)
{
    if (s->shown)
        transcript_note("TLS is up: %s", tls_agreed(tls_of(s)));
    change(s, STATE_TALKING);
    smtp_tls_up(&s->smtp);
    arm(s);
}

static void look_after_tls(struct session *s)
{
    char buffer[MAIL_WHY];
    struct text reason = text_in(buffer, sizeof buffer);
    switch (tls_state(tls_of(s))) {
    case TLS_HANDSHAKE:
    case TLS_OPEN:
        break;
    case TLS_CLOSED:
        lose(s);
        break;
    case TLS_FAILED:
        tls_explain(tls_of(s), &reason);
        fail_tls(s, text_whole(&reason), tls_was_starved(tls_of(s)));
        break;
    }
}

/// Talking ///

// With a transcript line by line: each belongs to the state that its first byte was received in.
static void hear(struct session *s, struct span bytes)
{
    enum smtp_state before = s->smtp.state;
    s->unsure = s->unsure || may_be_taken(s);
    while (bytes.length > 0) {
        const char *end = s->shown ? memchr(bytes.at, '\n', bytes.length) : NULL;
        struct span line = {bytes.at, end == NULL ? bytes.length : (size_t)(end - bytes.at) + 1};
        if (s->shown)
            transcript_heard(s->smtp.state, line);
        smtp_receive(&s->smtp, (const uint8_t *)line.at, line.length);
        bytes = span_behind(bytes, line.length);
    }
    if (s->smtp.state != before)
        arm(s); // a reply was complete
}

static void hear_tls(struct session *s)
{
    char bytes[256];
    size_t n;
    enum tls_state state = tls_step(tls_of(s));
    if (s->state == STATE_HANDSHAKE && (state == TLS_OPEN || state == TLS_CLOSED))
        tls_is_up(s);
    while ((n = tls_read(tls_of(s), (uint8_t *)bytes, sizeof bytes)) > 0)
        hear(s, (struct span){bytes, n});
    mbedtls_platform_zeroize(bytes, sizeof bytes);
}

static bool write_out(struct session *s)
{
    enum smtp_state state = s->smtp.state;
    size_t n = smtp_next(&s->smtp) == SMTP_SEND ? smtp_write(&s->smtp, s->out, sizeof s->out) : 0;
    s->out_length = (uint16_t)n;
    s->out_given = 0;
    if (n > 0 && s->shown)
        transcript_said(state, (struct span){(const char *)s->out, n}, smtp_next(&s->smtp) == SMTP_SEND);
    return n > 0;
}

static size_t pass_on(struct session *s)
{
    const uint8_t *bytes = s->out + s->out_given;
    size_t length = (size_t)(s->out_length - s->out_given);
    return tls_of(s) != NULL ? tls_write(tls_of(s), bytes, length) : send_piece(s, bytes, length);
}

static void speak(struct session *s)
{
    while (s->out_given < s->out_length || write_out(s)) {
        size_t n = pass_on(s);
        s->out_given = (uint16_t)(s->out_given + n);
        if (s->out_given == s->out_length)
            mbedtls_platform_zeroize(s->out, s->out_length);
        else if (n == 0)
            return;
    }
}

// Goes on with everything that can be gone on with.
static void run(struct session *s)
{
    if (tls_of(s) != NULL)
        hear_tls(s);
    if (s->state == STATE_TALKING)
        speak(s);
    if (tls_of(s) != NULL)
        look_after_tls(s);
    settle(s);
    if (smtp_next(&s->smtp) == SMTP_END)
        begin_closing(s);
}

/// What net.c tells ///

static void on_opened(struct net_conn *conn)
{
    struct session *s = net_owner(conn);
    char address[16];
    if (s->shown)
        transcript_note("connected to %s", net_address_text(net_peer_address(conn), address));
    change(s, STATE_TALKING);
    arm(s);
    run(s);
}

static size_t on_data(struct net_conn *conn, const uint8_t *bytes, size_t length)
{
    struct session *s = net_owner(conn);
    struct span all = {(const char *)bytes, length};
    if (s->state == STATE_CLOSING)
        return length;
    if (tls_of(s) == NULL)
        hear(s, all);
    else
        s->arrived = all;
    run(s);
    size_t left = s->arrived.length;
    s->arrived = (struct span){NULL, 0};
    return s->state == STATE_CLOSING ? length : length - left;
}

static void on_ended(struct net_conn *conn)
{
    struct session *s = net_owner(conn);
    lose(s);
    if (s->state != STATE_CLOSING)
        run(s);
}

static void on_room(struct net_conn *conn)
{
    struct session *s = net_owner(conn);
    if (net_acknowledged(conn) != s->acknowledged)
        arm(s);
    s->acknowledged = net_acknowledged(conn);
    if (s->state != STATE_CLOSING)
        run(s);
    else if (tls_of(s) != NULL)
        tls_step(tls_of(s));
    if (tls_of(s) != NULL)
        net_resume(conn); // TLS may have left bytes until it could send
}

static void dial_failed(struct session *s, enum net_error why)
{
    bool resolved = net_peer_address(s->conn) != 0;
    switch (why) {
    case NET_NO_ADDRESS:
        fail(s, MAIL_DNS, true, span_of("dns: the relay's name could not be resolved"));
        break;
    case NET_NO_ROUTE:
        fail(s, MAIL_CONNECT, true, span_of("connect: there is no way to the relay's network"));
        break;
    case NET_NO_SLOT:
        fail(s, MAIL_CONNECT, true, span_of("connect: no connection is free"));
        break;
    case NET_TIMEOUT:
        if (resolved)
            fail(s, MAIL_CONNECT, true, span_of("connect: the relay did not answer in time"));
        else
            fail(s, MAIL_DNS, true, span_of("dns: no name server answered in time"));
        break;
    default:
        fail(s, MAIL_CONNECT, true, span_of("connect: the relay refused the connection"));
        break;
    }
}

static void on_closed(struct net_conn *conn, enum net_error why)
{
    struct session *s = net_owner(conn);
    log_line(LOG_DEBUG, "mail", "session %u: %s", (unsigned)pool_index(&mail_sessions, s), net_error_name(why));
    if (s->state == STATE_DIALLING)
        dial_failed(s, why);
    s->conn = NULL;
    lose(s);
    if (s->state != STATE_CLOSING)
        run(s);
}

static const struct net_handlers handlers = {
    .opened = on_opened,
    .data = on_data,
    .ended = on_ended,
    .room = on_room,
    .closed = on_closed,
};

/// The beginning ///

static uint16_t port_of(const struct mail_settings *settings)
{
    static const uint16_t usual[] = {[SMTP_TLS_NONE] = 25, [SMTP_TLS_STARTTLS] = 587, [SMTP_TLS_IMPLICIT] = 465};
    return (uint16_t)(settings->port != 0 ? settings->port : usual[settings->tls]);
}

// Empty when nothing can be one.
static struct span sender_of(const struct mail_settings *settings)
{
    bool user_will_do = settings->from[0] == '\0' && strchr(settings->user, '@') != NULL;
    return span_of(user_will_do ? settings->user : settings->from);
}

// RFC 5321 section 4.1.3: a host without a name says its address.
static struct span name_in(char buffer[20])
{
    char address[16];
    struct text t = text_in(buffer, 20);
    text_format(&t, "[%s]", net_address_text(net_own_address(), address));
    return text_whole(&t);
}

static void begin_smtp(struct session *s)
{
    struct mail *m = s->letter;
    const char *why = mail_cannot_encrypt(&s->copied);
    struct smtp_settings settings = {
        .host = name_in(s->name),
        .user = span_of(s->copied.user),
        .password = span_of(s->copied.password),
        .from = sender_of(&s->copied),
        .tls = (enum smtp_tls)s->copied.tls,
        .insecure_auth = s->copied.insecure_auth != 0,
    };
    struct smtp_mail mail = {
        .to = {m->to, m->to_length},
        .subject = m->subject,
        .body = {m->body, m->body_length},
        .date = port_wall_ms(),
    };
    memcpy(mail.id, m->id, sizeof mail.id);
    smtp_begin(&s->smtp, &settings, &mail);
    if (settings.from.length == 0)
        fail(s, MAIL_SENDER, false, span_of("sender: mail.from is not set"));
    else if (why != NULL)
        fail_tls(s, span_of(why), false);
}

static void dial(struct session *s)
{
    uint64_t most = step_ms(s) < DIAL_MS ? step_ms(s) : DIAL_MS;
    struct span host = span_of(s->copied.host);
    if (s->shown)
        transcript_note("dialling %s, port %u", s->copied.host, (unsigned)port_of(&s->copied));
    s->limit = UINT64_MAX; // net_dial() has one
    s->conn = net_dial(host, port_of(&s->copied), (uint32_t)most, &handlers, s);
    if (s->conn == NULL)
        fail(s, MAIL_CONNECT, true, span_of("connect: no connection is free"));
}

bool session_available(void)
{
    return mail_sessions.used < mail_sessions.size;
}

void session_begin(struct mail *m)
{
    struct session *s = pool_take(&mail_sessions);
    s->letter = m;
    s->shown = m->shown;
    s->copied = mail_settings;
    m->session = s;
    change(s, STATE_DIALLING);
    begin_smtp(s);
    settle(s);
    if (s->letter != NULL)
        dial(s);
    if (s->conn == NULL)
        begin_closing(s);
}

/// The turn ///

// Not as soon as the relay is ready for it: whatever came with its 220 in the same turn is still plain, and SMTP's to
// refuse.
static void start_tls(struct session *s)
{
    char buffer[MAIL_WHY];
    struct tls_refusal refusal = {.why = text_in(buffer, sizeof buffer)};
    struct tls_client settings = {span_of(s->copied.host), s->copied.ca, s->copied.verify != 0};
    s->tls = tls_client(&settings, &transport, s, &refusal);
    if (tls_of(s) == NULL) {
        fail_tls(s, text_whole(&refusal.why), refusal.starved);
    } else {
        change(s, STATE_HANDSHAKE);
        arm(s);
    }
    run(s);
}

static void too_late(struct session *s)
{
    char buffer[MAIL_WHY];
    struct text why = text_in(buffer, sizeof buffer);
    bool again = !may_be_taken(s);
    text_format(&why, "timeout: the relay did not answer in time (%s)", session_waits_for(s));
    if (s->letter == NULL) {
        release(s);
        return;
    }
    fail(s, MAIL_TIMEOUT, again, text_whole(&why));
    session_break(s);
}

static bool wants_tls(const struct session *s)
{
    return s->state == STATE_TALKING && tls_of(s) == NULL && smtp_next(&s->smtp) == SMTP_START_TLS;
}

static bool is_over(const struct session *s)
{
    return s->state == STATE_CLOSING && goodbye_said(s);
}

static void step(struct session *s, uint64_t now_ms)
{
    if (wants_tls(s))
        start_tls(s);
    if (is_over(s))
        release(s);
    else if (now_ms >= s->limit)
        too_late(s);
}

void sessions_step(uint64_t now_ms)
{
    for (uint32_t i = 0; i < mail_sessions.fresh; i++)
        if (mail_sessions_slots[i].state != STATE_FREE)
            step(&mail_sessions_slots[i], now_ms);
}

uint64_t sessions_alarm(void)
{
    uint64_t alarm = UINT64_MAX;
    for (uint32_t i = 0; i < mail_sessions.fresh; i++) {
        const struct session *s = &mail_sessions_slots[i];
        if (s->state == STATE_FREE)
            continue;
        uint64_t wish = wants_tls(s) || is_over(s) ? 0 : s->limit;
        alarm = wish < alarm ? wish : alarm;
    }
    return alarm;
}

void sessions_stop(void)
{
    for (uint32_t i = 0; i < mail_sessions.fresh; i++)
        if (mail_sessions_slots[i].state != STATE_FREE)
            release(&mail_sessions_slots[i]);
}

void sessions_list(void)
{
    pool_list(&mail_sessions);
}
