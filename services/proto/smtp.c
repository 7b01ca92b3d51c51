#include "smtp_private.h"
#include <mbedtls/platform_util.h>

_Static_assert(sizeof(struct smtp) <= 640, "an SMTP conversation outgrew its 640 bytes");

#define COMMAND_LINE 512 // bytes with its CRLF (RFC 5321 section 4.5.3.1.4)
#define CLOSING      421 // "service not available, closing transmission channel": may come at any time

/// States ///

// What we say in a state, the letters being those of smtp_message.c; the first digit of the reply that leads to the
// next state; what failing there is called. `batched`: with PIPELINING it goes out right behind the command before it.
// `secret`: the reply could quote a password. EHLO and HELO lead on to where after_hello() says.
static const struct {
    const char *name;
    const char *script;
    char expects;
    enum smtp_state next;
    enum smtp_step step;
    bool batched;
    bool secret;
} states[] = {
    [SMTP_HANDSHAKE] = {"HANDSHAKE", NULL, 0, SMTP_EHLO, SMTP_STEP_TLS, false, false},
    [SMTP_GREETING] = {"GREETING", NULL, 2, SMTP_EHLO, SMTP_STEP_CONNECT, false, false},
    [SMTP_EHLO] = {"EHLO", "EHLO %h\r\n", 2, SMTP_MAIL, SMTP_STEP_CONNECT, false, false},
    [SMTP_HELO] = {"HELO", "HELO %h\r\n", 2, SMTP_MAIL, SMTP_STEP_CONNECT, false, false},
    [SMTP_STARTTLS] = {"STARTTLS", "STARTTLS\r\n", 2, SMTP_HANDSHAKE, SMTP_STEP_TLS, false, false},
    [SMTP_AUTH_PLAIN] = {"AUTH_PLAIN", "AUTH PLAIN %p\r\n", 2, SMTP_MAIL, SMTP_STEP_AUTH, false, true},
    [SMTP_AUTH_PLAIN_ALONE] = {"AUTH_PLAIN_ALONE", "AUTH PLAIN\r\n", 3, SMTP_AUTH_PLAIN_RESPONSE, SMTP_STEP_AUTH, false,
                               false},
    [SMTP_AUTH_PLAIN_RESPONSE] = {"AUTH_PLAIN_RESPONSE", "%p\r\n", 2, SMTP_MAIL, SMTP_STEP_AUTH, false, true},
    [SMTP_AUTH_LOGIN] = {"AUTH_LOGIN", "AUTH LOGIN\r\n", 3, SMTP_AUTH_LOGIN_USER, SMTP_STEP_AUTH, false, false},
    [SMTP_AUTH_LOGIN_USER] = {"AUTH_LOGIN_USER", "%u\r\n", 3, SMTP_AUTH_LOGIN_PASSWORD, SMTP_STEP_AUTH, false, true},
    [SMTP_AUTH_LOGIN_PASSWORD] = {"AUTH_LOGIN_PASSWORD", "%w\r\n", 2, SMTP_MAIL, SMTP_STEP_AUTH, false, true},
    [SMTP_MAIL] = {"MAIL", "MAIL FROM:<%f>%m\r\n", 2, SMTP_RCPT, SMTP_STEP_SENDER, false, false},
    [SMTP_RCPT] = {"RCPT", "RCPT TO:<%t>\r\n", 2, SMTP_DATA, SMTP_STEP_RECIPIENT, true, false},
    [SMTP_DATA] = {"DATA", "DATA\r\n", 3, SMTP_CONTENT, SMTP_STEP_DATA, true, false},
    [SMTP_CONTENT] = {"CONTENT", smtp_message_script, 2, SMTP_QUIT, SMTP_STEP_DATA, false, false},
    [SMTP_ABORT] = {"ABORT", ".\r\n", 0, SMTP_QUIT, SMTP_STEP_DATA, false, false},
    [SMTP_QUIT] = {"QUIT", "QUIT\r\n", 0, SMTP_DONE, SMTP_STEP_DATA, false, false},
    [SMTP_DONE] = {"DONE", NULL, 0, SMTP_DONE, SMTP_STEP_DATA, false, false},
    [SMTP_FAILED] = {"FAILED", NULL, 0, SMTP_FAILED, SMTP_STEP_DATA, false, false},
};

static const char *const steps[] = {
    [SMTP_STEP_CONNECT] = "connect",     [SMTP_STEP_TLS] = "tls",
    [SMTP_STEP_AUTH] = "auth",           [SMTP_STEP_SENDER] = "sender",
    [SMTP_STEP_RECIPIENT] = "recipient", [SMTP_STEP_DATA] = "data",
};

static bool is_over(const struct smtp *s)
{
    return s->state == SMTP_DONE || s->state == SMTP_FAILED;
}

static bool has_failed(const struct smtp *s)
{
    return s->failure.reason != SMTP_NO_FAILURE;
}

static bool pipelines(const struct smtp *s)
{
    return (s->capabilities & CAN_PIPELINING) != 0;
}

static void write_script(struct smtp *s, enum smtp_state state)
{
    const char *script = states[state].script;
    smtp_pen_begin(&s->pen, script == NULL ? SMTP_DONE : state, script);
}

// The spans too: a secret that nobody points to cannot be quoted.
static void forget(struct smtp *s)
{
    mbedtls_platform_zeroize(&s->settings, sizeof s->settings);
    mbedtls_platform_zeroize(&s->mail, sizeof s->mail);
    mbedtls_platform_zeroize(&s->reply, sizeof s->reply);
    smtp_pen_begin(&s->pen, SMTP_DONE, NULL);
}

static void enter(struct smtp *s, enum smtp_state state)
{
    bool written_already = states[state].batched && pipelines(s);
    s->state = state;
    smtp_reply_begin(s);
    if (is_over(s))
        forget(s);
    else if (!written_already)
        write_script(s, state);
}

// EHLO's offers belong to the reply to come (RFC 3207 section 4.2: what was offered before TLS is to be discarded).
static void say_hello(struct smtp *s, enum smtp_state state)
{
    s->capabilities = 0;
    s->size_limit = 0;
    enter(s, state);
}

/// Failures ///

// The sentence for people; is it worth another try, beside 4yz?; does a reply of the relay's belong to it?
static const struct {
    const char *sentence;
    bool temporary;
    bool reply;
} reasons[] = {
    [SMTP_NO_FAILURE] = {"nothing failed", false, false},
    [SMTP_REFUSED] = {"the relay refused", false, true},
    [SMTP_UNEXPECTED] = {"the relay sent a reply that does not fit", false, true},
    [SMTP_MALFORMED] = {"the relay sent something that is no SMTP reply", false, false},
    [SMTP_REPLY_TOO_LONG] = {"the relay sent a reply without end", false, false},
    [SMTP_LOST] = {"the connection ended", true, false},
    [SMTP_PLAIN_BYTES] = {"the relay sent plain text where TLS had to begin", false, false},
    [SMTP_NO_STARTTLS] = {"the relay does not offer STARTTLS", false, false},
    [SMTP_NO_AUTH] = {"the relay offers neither AUTH PLAIN nor AUTH LOGIN", false, false},
    [SMTP_NO_SMTPUTF8] = {"the relay does not take addresses beyond ASCII", false, false},
    [SMTP_TOO_BIG] = {"the mail is larger than the relay takes", false, false},
    [SMTP_AUTH_IN_PLAIN] = {"the password must not go over a connection without TLS", false, false},
    [SMTP_BAD_HOST] = {"our own host name is no domain", false, false},
    [SMTP_BAD_CREDENTIALS] = {"the user name or the password is too long or has a NUL", false, false},
    [SMTP_BAD_ADDRESS] = {"the address is no plain local@domain", false, false},
    [SMTP_BAD_SUBJECT] = {"the subject is too long, no UTF-8, or has control characters", false, false},
    [SMTP_BAD_BODY] = {"the text is too long, no UTF-8, or has a NUL", false, false},
};

// The first failure is the one that counts.
static void record(struct smtp *s, enum smtp_step step, enum smtp_reason reason)
{
    struct smtp_failure *f = &s->failure;
    if (has_failed(s))
        return;
    if (!reasons[reason].reply)
        memset(f, 0, sizeof *f);
    f->step = step;
    f->reason = reason;
    f->code = reasons[reason].reply ? s->reply.code : 0;
    f->temporary = reasons[reason].temporary || (reason == SMTP_REFUSED && f->code / 100 == 4);
}

static void finish(struct smtp *s)
{
    enter(s, has_failed(s) ? SMTP_FAILED : SMTP_DONE);
}

// No QUIT: the relay is not there, not in step with us, or not to be trusted. In QUIT the outcome is settled.
static void break_off(struct smtp *s, enum smtp_reason reason)
{
    if (s->state != SMTP_QUIT)
        record(s, states[s->state].step, reason);
    finish(s);
}

static void part(struct smtp *s, enum smtp_step step, enum smtp_reason reason)
{
    record(s, step, reason);
    enter(s, SMTP_QUIT);
}

/// What a hello leads to ///

// RFC 4954 section 4: with an initial response that makes the command's line too long there must be none.
static enum smtp_state plain_form(const struct smtp *s)
{
    size_t response = (2 + s->settings.user.length + s->settings.password.length + 2) / 3 * 4;
    return sizeof "AUTH PLAIN \r\n" - 1 + response <= COMMAND_LINE ? SMTP_AUTH_PLAIN : SMTP_AUTH_PLAIN_ALONE;
}

static void authenticate(struct smtp *s)
{
    if (s->settings.user.length == 0)
        enter(s, SMTP_MAIL);
    else if (s->capabilities & CAN_AUTH_PLAIN)
        enter(s, plain_form(s));
    else if (s->capabilities & CAN_AUTH_LOGIN)
        enter(s, SMTP_AUTH_LOGIN);
    else
        part(s, SMTP_STEP_AUTH, SMTP_NO_AUTH);
}

static void after_hello(struct smtp *s)
{
    bool utf8 = (s->capabilities & CAN_SMTPUTF8) != 0;
    s->message_size = smtp_message_size(s);
    if (s->settings.tls == SMTP_TLS_STARTTLS && !s->secure) {
        if (s->capabilities & CAN_STARTTLS)
            enter(s, SMTP_STARTTLS);
        else
            part(s, SMTP_STEP_TLS, SMTP_NO_STARTTLS);
    } else if (!utf8 && smtp_needs_smtputf8(s->settings.from)) {
        part(s, SMTP_STEP_SENDER, SMTP_NO_SMTPUTF8);
    } else if (!utf8 && smtp_needs_smtputf8(s->mail.to)) {
        part(s, SMTP_STEP_RECIPIENT, SMTP_NO_SMTPUTF8);
    } else if (s->size_limit > 0 && s->message_size > s->size_limit) {
        part(s, SMTP_STEP_DATA, SMTP_TOO_BIG);
    } else {
        authenticate(s);
    }
}

/// Replies ///

static bool is_written(const struct smtp *s)
{
    return s->pen.state > s->state;
}

static void take_good(struct smtp *s)
{
    if (s->state == SMTP_GREETING) {
        say_hello(s, SMTP_EHLO);
    } else if (s->state == SMTP_EHLO || s->state == SMTP_HELO) {
        after_hello(s);
    } else {
        s->accepted = s->state == SMTP_CONTENT;
        enter(s, states[s->state].next);
    }
}

// With PIPELINING the replies to the rest of the batch still come. What is not written of it cannot be: whoever is told
// of the failure takes the mail's bytes away.
static void take_refusal(struct smtp *s)
{
    enum smtp_state next = states[s->state].next;
    if (s->state == SMTP_EHLO && s->reply.code / 100 == 5) {
        say_hello(s, SMTP_HELO);
        return;
    }
    record(s, states[s->state].step, SMTP_REFUSED);
    if (s->pen.state != SMTP_DONE)
        finish(s);
    else
        enter(s, states[next].batched && pipelines(s) ? next : SMTP_QUIT);
}

// Behind a failure: what is left of the batch, then QUIT.
static void take_leftover(struct smtp *s)
{
    bool wants_content = s->state == SMTP_DATA && s->reply.code / 100 == 3;
    enum smtp_state next = states[s->state].next;
    if (wants_content)
        enter(s, SMTP_ABORT);
    else
        enter(s, states[next].batched ? next : SMTP_QUIT);
}

static void take_reply(struct smtp *s)
{
    unsigned digit = s->reply.code / 100u;
    if (!is_written(s) || s->reply.code == CLOSING)
        break_off(s, digit >= 4 ? SMTP_REFUSED : SMTP_UNEXPECTED);
    else if (s->state == SMTP_QUIT)
        finish(s);
    else if (has_failed(s))
        take_leftover(s);
    else if (digit == (unsigned)states[s->state].expects)
        take_good(s);
    else if (digit >= 4)
        take_refusal(s);
    else
        break_off(s, SMTP_UNEXPECTED);
}

static void receive_byte(struct smtp *s, char c)
{
    struct smtp_listening listening = {
        .offers = s->state == SMTP_EHLO && is_written(s),
        .text = !has_failed(s),
        .secret = states[s->state].secret && !has_failed(s),
    };
    switch (smtp_reply_byte(s, c, listening)) {
    case READING:
        break;
    case READ_REPLY:
        take_reply(s);
        break;
    case READ_GARBAGE:
        break_off(s, SMTP_MALFORMED);
        break;
    case READ_TOO_MUCH:
        break_off(s, SMTP_REPLY_TOO_LONG);
        break;
    }
}

/// The conversation ///

void smtp_begin(struct smtp *s, const struct smtp_settings *settings, const struct smtp_mail *mail)
{
    enum smtp_step step = SMTP_STEP_CONNECT;
    memset(s, 0, sizeof *s);
    s->settings = *settings;
    s->mail = *mail;
    enum smtp_reason reason = smtp_check(s, &step);
    if (reason == SMTP_NO_FAILURE) {
        enter(s, settings->tls == SMTP_TLS_IMPLICIT ? SMTP_HANDSHAKE : SMTP_GREETING);
    } else {
        record(s, step, reason);
        finish(s);
    }
}

enum smtp_wish smtp_next(const struct smtp *s)
{
    if (is_over(s))
        return SMTP_END;
    if (s->state == SMTP_HANDSHAKE)
        return SMTP_START_TLS;
    return s->pen.state == SMTP_DONE ? SMTP_RECEIVE : SMTP_SEND;
}

void smtp_receive(struct smtp *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length && !is_over(s); i++)
        if (s->state == SMTP_HANDSHAKE)
            break_off(s, SMTP_PLAIN_BYTES);
        else
            receive_byte(s, (char)bytes[i]);
}

// A script is at its end as soon as its last byte is given out, not a call later: the reply may be the next thing.
static bool pen_ready(struct smtp *s)
{
    while (s->pen.state != SMTP_DONE && !smtp_pen_ready(s, &s->pen)) {
        enum smtp_state next = states[s->pen.state].next;
        write_script(s, states[next].batched && pipelines(s) ? next : SMTP_DONE);
    }
    return s->pen.state != SMTP_DONE;
}

size_t smtp_write(struct smtp *s, uint8_t *out, size_t size)
{
    size_t written = 0;
    while (pen_ready(s) && written < size) {
        struct smtp_pen *pen = &s->pen;
        size_t n = (size_t)(pen->have - pen->given);
        n = n < size - written ? n : size - written;
        memcpy(out + written, pen->chunk + pen->given, n);
        pen->given = (uint8_t)(pen->given + n);
        written += n;
    }
    return written;
}

void smtp_tls_up(struct smtp *s)
{
    if (s->state != SMTP_HANDSHAKE)
        return;
    s->secure = true;
    if (s->settings.tls == SMTP_TLS_IMPLICIT)
        enter(s, SMTP_GREETING);
    else
        say_hello(s, SMTP_EHLO);
}

void smtp_lost(struct smtp *s)
{
    if (!is_over(s))
        break_off(s, SMTP_LOST);
}

bool smtp_accepted(const struct smtp *s)
{
    return s->accepted;
}

enum smtp_step smtp_step(const struct smtp *s)
{
    return has_failed(s) ? s->failure.step : states[s->state].step;
}

void smtp_end(struct smtp *s)
{
    mbedtls_platform_zeroize(s, sizeof *s);
    s->state = SMTP_FAILED;
    forget(s);
}

/// Names ///

const char *smtp_step_name(enum smtp_step step)
{
    return steps[step];
}

const char *smtp_state_name(enum smtp_state state)
{
    return states[state].name;
}

void smtp_explain(const struct smtp_failure *failure, struct text *out)
{
    const uint16_t *enhanced = failure->enhanced;
    text_format(out, "%s: %s", steps[failure->step], reasons[failure->reason].sentence);
    if (failure->code == 0)
        return;
    text_format(out, " (%u", failure->code);
    if (enhanced[0] > 0)
        text_format(out, " %u.%u.%u", enhanced[0], enhanced[1], enhanced[2]);
    if (failure->text_length > 0)
        text_format(out, " %.*s", (int)failure->text_length, failure->text);
    text_byte(out, ')');
}
