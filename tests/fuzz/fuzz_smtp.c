// SMTP client against any relay: the same replies, arriving in different pieces and answered through buffers of
// different sizes, must lead to the same conversation; no secret goes out where it must not, and whatever is sent is
// well-formed. Then the input is mailed to a good relay, and what arrives is decoded and compared.
//
// The first two bytes of the input choose settings and pieces; the rest is what the relay sends.
#include "../../services/proto/smtp.h"
#include "../../services/proto/utf8.h"
#include <mbedtls/base64.h>
#include <stdlib.h>
#include <string.h>

#define SENT_MAX 131072

static void check(bool good)
{
    if (!good)
        abort();
}

static const char secret[] = "AHVzZXIAc2VjcmV0LXdvcmQ="; // "\0user\0secret-word"
static const char password[] = "c2VjcmV0LXdvcmQ=";

static struct span span(const char *text)
{
    return (struct span){text, strlen(text)};
}

struct wire {
    char at[SENT_MAX + 1];
    size_t length;
};

/// Any relay ///

struct way {
    struct smtp_settings settings;
    size_t step;   // bytes of an arrival at once
    size_t size;   // of the output buffer
    bool tls_late; // the relay gets to speak before TLS begins
};

static void drain(struct smtp *s, struct wire *wire, size_t size)
{
    uint8_t *out = malloc(size);
    size_t n;
    while ((n = smtp_write(s, out, size)) > 0) {
        check(n <= size && wire->length + n <= SENT_MAX);
        memcpy(wire->at + wire->length, out, n);
        wire->length += n;
    }
    check(smtp_next(s) != SMTP_SEND);
    wire->at[wire->length] = '\0';
    free(out);
}

static bool is_plain_text(const struct smtp_failure *f)
{
    for (size_t i = 0; i < f->text_length; i++)
        if (f->text[i] < ' ' || f->text[i] > '~')
            return false;
    return f->text_length <= SMTP_TEXT_MAX;
}

static void check_lines(const struct wire *wire)
{
    for (size_t i = 0; i < wire->length; i++) {
        check(wire->at[i] != '\0' && (uint8_t)wire->at[i] < 0x80);
        check(wire->at[i] != '\n' || (i > 0 && wire->at[i - 1] == '\r'));
        check(wire->at[i] != '\r' || wire->at[i + 1] == '\n');
    }
    check(wire->length == 0 || wire->at[wire->length - 1] == '\n');
}

static void check_secrets(const struct smtp *s, const struct wire *wire, const struct way *way, size_t plain)
{
    const char *quoted = strstr(wire->at, secret);
    quoted = quoted == NULL ? strstr(wire->at, password) : quoted;
    if (quoted != NULL && !way->settings.insecure_auth)
        check(way->settings.tls != SMTP_TLS_NONE && (size_t)(quoted - wire->at) >= plain);
    if (way->settings.tls == SMTP_TLS_IMPLICIT)
        check(plain == 0 || wire->length == 0);
    if (smtp_next(s) == SMTP_END)
        check(s->settings.password.at == NULL && s->mail.to.at == NULL);
}

static void check_end(const struct smtp *s, const struct wire *wire)
{
    if (smtp_accepted(s))
        check(strstr(wire->at, "\r\nMIME-Version: 1.0\r\n") != NULL && strstr(wire->at, "\r\n.\r\n") != NULL);
    else if (smtp_next(s) == SMTP_END)
        check(s->failure.reason != SMTP_NO_FAILURE);
    if (smtp_next(s) == SMTP_END && !smtp_accepted(s))
        check(is_plain_text(&s->failure));
}

static size_t line_length(const uint8_t *bytes, size_t length)
{
    const uint8_t *lf = memchr(bytes, '\n', length);
    return lf == NULL ? length : (size_t)(lf - bytes) + 1;
}

static void arrive(struct smtp *s, const uint8_t *bytes, size_t length, size_t step)
{
    for (size_t at = 0; at < length; at += step) {
        size_t n = step < length - at ? step : length - at;
        uint8_t *exact = malloc(n);
        memcpy(exact, bytes + at, n);
        smtp_receive(s, exact, n);
        free(exact);
    }
}

static void converse(struct smtp *s, struct wire *wire, const struct way *way, const uint8_t *bytes, size_t length)
{
    size_t plain = SENT_MAX; // what went out before TLS
    struct smtp_mail mail = {.to = span("ada@example.org"), .subject = span("Code"), .body = span("1\n.\n2")};
    wire->length = 0;
    smtp_begin(s, &way->settings, &mail);
    for (size_t at = 0; at < length;) {
        if (smtp_next(s) == SMTP_START_TLS && !way->tls_late) {
            plain = wire->length;
            smtp_tls_up(s);
        }
        drain(s, wire, way->size);
        size_t n = line_length(bytes + at, length - at);
        arrive(s, bytes + at, n, way->step);
        at += n;
    }
    drain(s, wire, way->size);
    check_lines(wire);
    check_secrets(s, wire, way, plain);
    check_end(s, wire);
    bool accepted = smtp_accepted(s);
    smtp_lost(s);
    check(smtp_next(s) == SMTP_END && smtp_accepted(s) == accepted);
    check_end(s, wire);
}

static void same(const struct way *way, const uint8_t *bytes, size_t length, size_t step, size_t size)
{
    static struct wire one, other;
    struct smtp a, b;
    struct way again = *way;
    again.step = step;
    again.size = size;
    converse(&a, &one, way, bytes, length);
    converse(&b, &other, &again, bytes, length);
    check(one.length == other.length && memcmp(one.at, other.at, one.length) == 0);
    check(a.state == b.state && smtp_accepted(&a) == smtp_accepted(&b));
    check(memcmp(&a.failure, &b.failure, sizeof a.failure) == 0);
}

// Replies that come early, in the middle of what is being written: nothing is compared, but it must end well.
static void interrupt(const struct way *way, const uint8_t *bytes, size_t length, size_t step)
{
    static struct wire wire;
    struct smtp s;
    struct smtp_mail mail = {.to = span("ada@example.org"), .subject = span("Code"), .body = span("1\n.\n2")};
    smtp_begin(&s, &way->settings, &mail);
    for (size_t at = 0; at < length; at += step) {
        uint8_t out[8];
        size_t n = smtp_write(&s, out, 1 + at % sizeof out);
        check(n <= 1 + at % sizeof out);
        smtp_tls_up(&s);
        arrive(&s, bytes + at, step < length - at ? step : length - at, step);
    }
    wire.length = 0;
    drain(&s, &wire, 64);
    smtp_lost(&s);
    check(smtp_next(&s) == SMTP_END);
}

/// A good relay, that decodes what it gets ///

// The text as it has to arrive: every line end CRLF, and one at the end.
static size_t canonical(char *out, struct span text)
{
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool pair = text.at[i] == '\r' && i + 1 < text.length && text.at[i + 1] == '\n';
        if (text.at[i] == '\r' || text.at[i] == '\n') {
            out[length++] = '\r';
            out[length++] = '\n';
        } else {
            out[length++] = text.at[i];
        }
        i += pair;
    }
    if (length > 0 && out[length - 1] != '\n') {
        out[length++] = '\r';
        out[length++] = '\n';
    }
    return length;
}

// Takes the dots off and ends at the lone one, which must be the very end.
static size_t without_dots(char *out, const char *at, size_t length)
{
    size_t have = 0;
    bool start = true;
    for (size_t i = 0; i < length; i++) {
        if (start && at[i] == '.') {
            i++;
            if (at[i] == '\r') {
                check(i + 2 == length && at[i + 1] == '\n');
                return have;
            }
            check(at[i] == '.');
        }
        out[have++] = at[i];
        start = at[i] == '\n';
    }
    check(false);
    return 0;
}

static size_t decoded(char *out, const char *at, size_t length)
{
    size_t have = 0;
    check(mbedtls_base64_decode((unsigned char *)out, SENT_MAX, &have, (const unsigned char *)at, length) == 0);
    return have;
}

static void compare_body(const struct wire *wire, struct span body)
{
    static char expected[SENT_MAX], arrived[SENT_MAX], text[SENT_MAX];
    const char *begin = strstr(wire->at, "\r\n\r\n");
    check(begin != NULL);
    begin += 4;
    size_t length = without_dots(arrived, begin, wire->length - (size_t)(begin - wire->at));
    const char *header = strstr(wire->at, "\r\nContent-Transfer-Encoding: base64\r\n");
    size_t want = canonical(expected, body);
    if (header != NULL && header < begin - 4) {
        length = decoded(text, arrived, length);
        check(length == want && memcmp(text, expected, want) == 0);
    } else {
        check(length == want && memcmp(arrived, expected, want) == 0);
    }
}

static void compare_subject(const struct wire *wire, struct span subject)
{
    char expected[SMTP_SUBJECT_MAX + 1] = {0}, found[1024] = {0};
    size_t have = 0;
    memcpy(expected, subject.at, subject.length);
    const char *at = strstr(wire->at, "\r\nSubject: ") + 11;
    if (strncmp(at, "=?", 2) != 0) {
        check(strncmp(at, expected, subject.length) == 0 && at[subject.length] == '\r');
        return;
    }
    for (; strncmp(at, "=?UTF-8?B?", 10) == 0; at = at[2] == ' ' ? at + 3 : at) {
        const char *end = strstr(at + 10, "?=");
        size_t n = 0;
        check(end != NULL && end + 2 - at <= 75);
        check(mbedtls_base64_decode((unsigned char *)found + have, sizeof found - have, &n,
                                    (const unsigned char *)at + 10, (size_t)(end - at) - 10) == 0);
        check(utf8_valid((struct span){found + have, n}));
        have += n;
        at = end + 2;
    }
    check(have == subject.length && memcmp(found, expected, have) == 0);
}

static void mail_to_good_relay(struct span subject, struct span body, bool eight, size_t size)
{
    static struct wire wire;
    struct smtp s;
    struct smtp_mail mail = {.to = span("ada@example.org"), .subject = subject, .body = body};
    struct smtp_settings settings = {.host = span("pipit.example"), .from = span("chat@pipit.example")};
    const char *replies[] = {"220 x\r\n", eight ? "250-x\r\n250 8BITMIME\r\n" : "250 x\r\n", "250 x\r\n", "250 x\r\n",
                             "354 x\r\n"};
    smtp_begin(&s, &settings, &mail);
    if (s.failure.reason != SMTP_NO_FAILURE)
        return;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        arrive(&s, (const uint8_t *)replies[i], strlen(replies[i]), 64);
        wire.length = 0;
        drain(&s, &wire, size);
    }
    check(s.state == SMTP_CONTENT);
    compare_subject(&wire, subject);
    compare_body(&wire, body);
}

static struct smtp_settings settings_of(uint8_t choice)
{
    struct smtp_settings settings = {.host = span("pipit.example"), .from = span("chat@pipit.example")};
    settings.tls = (enum smtp_tls)(choice % 3);
    settings.insecure_auth = choice & 0x10;
    if (choice & 0x20) {
        settings.user = span("user");
        settings.password = span("secret-word");
    }
    return settings;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const uint8_t *bytes = data + 2;
    size_t length = size - 2;
    struct way way = {.settings = settings_of(data[0]), .step = 65536, .size = 4096, .tls_late = data[0] & 0x40};
    same(&way, bytes, length, 1, 1);
    same(&way, bytes, length, 1 + data[1] % 32, 1 + data[1]);
    interrupt(&way, bytes, length, 1 + data[1] % 32);

    struct span text = {(const char *)bytes, length};
    struct span subject = {text.at, length < data[1] ? length : data[1]};
    mail_to_good_relay(subject, (struct span){text.at + subject.length, length - subject.length}, data[0] & 1,
                       1 + data[1]);
    mail_to_good_relay(span("x"), text, data[0] & 1, 1 + data[1]);
    return 0;
}
