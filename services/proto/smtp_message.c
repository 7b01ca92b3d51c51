#include "smtp_private.h"
#include "utf8.h"
#include <mbedtls/base64.h>
#include <mbedtls/platform_util.h>

#define LINE_MAX_BYTES 998 // RFC 5322 section 2.1.1, without the CRLF
#define BASE64_LINE    57  // bytes that make 76 digits, the most on a line (RFC 2045 section 6.8)

_Static_assert(BASE64_LINE / 3 * 4 + 3 <= SMTP_CHUNK, "a line of base64, its CRLF or mbedTLS's NUL outgrew the chunk");

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void put_base64(struct text *out, const uint8_t *bytes, size_t length)
{
    size_t written = 0;
    uint8_t *at = (uint8_t *)out->at + out->length;
    if (mbedtls_base64_encode(at, out->size - out->length, &written, bytes, length) == 0)
        out->length += written;
}

/// Encoding of the body (RFC 2045 section 6) ///

enum encoding {
    AS_7BIT,
    AS_8BIT,
    AS_BASE64,
};

static const char *const encoding_names[] = {[AS_7BIT] = "7bit", [AS_8BIT] = "8bit", [AS_BASE64] = "base64"};

static enum encoding encoding(const struct smtp *s)
{
    if (s->body_long)
        return AS_BASE64;
    if (!s->body_8bit)
        return AS_7BIT;
    return s->capabilities & CAN_8BITMIME ? AS_8BIT : AS_BASE64;
}

static bool ends_line(char c)
{
    return c == '\r' || c == '\n';
}

static void measure_body(struct smtp *s)
{
    struct span body = s->mail.body;
    size_t line = 0;
    for (size_t i = 0; i < body.length; i++) {
        line = ends_line(body.at[i]) ? 0 : line + 1;
        s->body_long = s->body_long || line > LINE_MAX_BYTES;
        s->body_8bit = s->body_8bit || (uint8_t)body.at[i] >= 0x80;
    }
}

/// What stands for the letters of a script: each writes its next bytes, nothing when it is at its end ///

static void put_part(struct smtp_pen *pen, struct text *out, struct span whole)
{
    size_t n = least(whole.length - pen->at, out->size);
    if (n > 0)
        text_span(out, (struct span){whole.at + pen->at, n});
    pen->at += n;
}

static void put_host(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    put_part(pen, out, s->settings.host);
}

static void put_from(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    put_part(pen, out, s->settings.from);
}

static void put_to(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    put_part(pen, out, s->mail.to);
}

static bool first_time(struct smtp_pen *pen)
{
    return pen->at++ == 0;
}

static void put_parameters(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    if (!first_time(pen))
        return;
    if (s->capabilities & CAN_SIZE)
        text_format(out, " SIZE=%u", (unsigned)s->message_size);
    if (encoding(s) == AS_8BIT)
        text_string(out, " BODY=8BITMIME");
    if (smtp_needs_smtputf8(s->settings.from) || smtp_needs_smtputf8(s->mail.to))
        text_string(out, " SMTPUTF8");
}

static void put_id(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    if (first_time(pen))
        text_hex(out, s->mail.id, sizeof s->mail.id);
}

static void put_encoding(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    if (first_time(pen))
        text_string(out, encoding_names[encoding(s)]);
}

/// Credentials ///

// The base64 of what stands in the parts one after another. Whole groups of three bytes but for the last.
static void put_secret(struct smtp_pen *pen, struct text *out, const struct span *parts, size_t count)
{
    uint8_t bytes[BASE64_LINE];
    size_t have = 0;
    size_t skip = pen->at;
    for (size_t i = 0; i < count; i++) {
        size_t passed = least(skip, parts[i].length);
        size_t n = least(parts[i].length - passed, sizeof bytes - have);
        if (n > 0)
            memcpy(bytes + have, parts[i].at + passed, n);
        have += n;
        skip -= passed;
    }
    pen->at += have;
    put_base64(out, bytes, have);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
}

// RFC 4616: authorization identity (none), NUL, user, NUL, password
static void put_plain(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    struct span nul = {"", 1};
    struct span parts[] = {nul, s->settings.user, nul, s->settings.password};
    put_secret(pen, out, parts, COUNT(parts));
}

static void put_user(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    put_secret(pen, out, &s->settings.user, 1);
}

static void put_password(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    put_secret(pen, out, &s->settings.password, 1);
}

/// Subject (RFC 2047) ///

#define PLAIN_SUBJECT 60 // bytes that go on the line of "Subject: " as they are
#define FIRST_WORD    39 // bytes in base64 between =?UTF-8?B? and ?= so that the line has 76 characters at most
#define NEXT_WORD     45 // so that the encoded-word has 75 characters at most

// Blanks at the ends would be lost, and what looks like an encoded-word would be read as one.
static bool goes_plain(struct span subject)
{
    for (size_t i = 0; i < subject.length; i++)
        if ((uint8_t)subject.at[i] >= 0x80 ||
            (subject.at[i] == '=' && i + 1 < subject.length && subject.at[i + 1] == '?'))
            return false;
    return subject.length <= PLAIN_SUBJECT && span_trim(subject).length == subject.length;
}

// The most of `s` that fits into `size` bytes without tearing a character (section 5, rule 3).
static size_t whole_characters(struct span s, size_t size)
{
    if (s.length <= size)
        return s.length;
    while (((uint8_t)s.at[size] & 0xC0) == 0x80)
        size--;
    return size;
}

static void put_word(struct smtp_pen *pen, struct text *out, struct span subject)
{
    struct span rest = {subject.at + pen->at, subject.length - pen->at};
    size_t n = whole_characters(rest, pen->at == 0 ? FIRST_WORD : NEXT_WORD);
    if (pen->at > 0)
        text_string(out, "\r\n ");
    text_string(out, "=?UTF-8?B?");
    put_base64(out, (const uint8_t *)rest.at, n);
    text_string(out, "?=");
    pen->at += n;
}

static void put_subject(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    struct span subject = s->mail.subject;
    if (goes_plain(subject))
        put_part(pen, out, subject);
    else if (pen->at < subject.length)
        put_word(pen, out, subject);
}

/// Date (RFC 5322 section 3.3) ///

#define DAY_SECONDS 86400u
#define DATE_END    253402300800000u // the year 10000, in ms: four digits are the end of our format

static unsigned is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 ? is_leap(year) : 0);
}

static void put_day(struct text *out, unsigned days)
{
    static const char week[] = "ThuFriSatSunMonTueWed"; // 1 January 1970 was a Thursday
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *weekday = week + 3 * (days % 7);
    unsigned year = 1970;
    unsigned month = 0;
    for (; days >= 365 + is_leap(year); year++)
        days -= 365 + is_leap(year);
    for (; days >= month_days(year, month); month++)
        days -= month_days(year, month);
    text_format(out, "%.*s, %u %.*s %04u", 3, weekday, days + 1, 3, months + (size_t)3 * month, year);
}

static void put_date(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    if (!first_time(pen) || s->mail.date == 0 || s->mail.date >= DATE_END)
        return;
    uint64_t seconds = s->mail.date / 1000;
    unsigned today = (unsigned)(seconds % DAY_SECONDS);
    text_string(out, "Date: ");
    put_day(out, (unsigned)(seconds / DAY_SECONDS));
    text_format(out, " %02u:%02u:%02u +0000\r\n", today / 3600, today / 60 % 60, today % 60);
}

/// Body ///

static bool at_line_start(const struct smtp_pen *pen, struct span body)
{
    return !pen->lf_due && (pen->at == 0 || (pen->at <= body.length && ends_line(body.at[pen->at - 1])));
}

// The body's end: a last line without an end gets one.
static int body_end(struct smtp_pen *pen, struct span body)
{
    bool ended = body.length == 0 || pen->at > body.length || ends_line(body.at[body.length - 1]);
    if (ended)
        return -1;
    pen->at++;
    pen->lf_due = true;
    return '\r';
}

// The next byte with every line end made CRLF, or -1.
static int body_byte(struct smtp_pen *pen, struct span body)
{
    if (pen->lf_due) {
        pen->lf_due = false;
        return '\n';
    }
    if (pen->at >= body.length)
        return body_end(pen, body);
    char c = body.at[pen->at++];
    if (c == '\r' && pen->at < body.length && body.at[pen->at] == '\n')
        pen->at++;
    pen->lf_due = ends_line(c);
    return ends_line(c) ? '\r' : (uint8_t)c;
}

static void put_lines(struct smtp_pen *pen, struct text *out, struct span body)
{
    while (out->size - out->length >= 2) {
        bool start = at_line_start(pen, body);
        int c = body_byte(pen, body);
        if (c < 0)
            return;
        if (start && c == '.') {
            text_byte(out, '.');
            pen->dots++;
        }
        text_byte(out, (char)c);
    }
}

// RFC 2045 section 6.8: line ends of text are CRLF before they are encoded.
static void put_base64_line(struct smtp_pen *pen, struct text *out, struct span body)
{
    uint8_t bytes[BASE64_LINE];
    size_t have = 0;
    for (int c; have < sizeof bytes && (c = body_byte(pen, body)) >= 0;)
        bytes[have++] = (uint8_t)c;
    if (have == 0)
        return;
    put_base64(out, bytes, have);
    text_string(out, "\r\n");
}

static void put_body(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    if (encoding(s) == AS_BASE64)
        put_base64_line(pen, out, s->mail.body);
    else
        put_lines(pen, out, s->mail.body);
}

/// Scripts ///

#define MESSAGE_END ".\r\n"

const char smtp_message_script[] = "From: %f\r\n"
                                   "To: %t\r\n"
                                   "Subject: %s\r\n"
                                   "%d" // a whole line, or nothing
                                   "Message-ID: <%i@%h>\r\n"
                                   "MIME-Version: 1.0\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\n"
                                   "Content-Transfer-Encoding: %e\r\n"
                                   "\r\n"
                                   "%b" MESSAGE_END;

static const struct {
    char letter;
    void (*put)(const struct smtp *s, struct smtp_pen *pen, struct text *out);
} letters[] = {
    {'h', put_host},  {'f', put_from}, {'t', put_to},       {'m', put_parameters}, // of MAIL
    {'p', put_plain}, {'u', put_user}, {'w', put_password}, {'s', put_subject},
    {'d', put_date},  {'i', put_id},   {'e', put_encoding}, {'b', put_body},
};

void smtp_pen_begin(struct smtp_pen *pen, enum smtp_state state, const char *script)
{
    mbedtls_platform_zeroize(pen, sizeof *pen);
    pen->state = state;
    pen->script = script;
}

static void put_literal(struct smtp_pen *pen, struct text *out)
{
    size_t n = least(strcspn(pen->script, "%"), out->size);
    text_span(out, (struct span){pen->script, n});
    pen->script += n;
}

static void put_letter(const struct smtp *s, struct smtp_pen *pen, struct text *out)
{
    for (size_t i = 0; i < COUNT(letters); i++)
        if (letters[i].letter == pen->script[1])
            letters[i].put(s, pen, out);
    if (out->length > 0)
        return;
    pen->script += 2;
    pen->at = 0;
}

bool smtp_pen_ready(const struct smtp *s, struct smtp_pen *pen)
{
    struct text out = text_in(pen->chunk, sizeof pen->chunk);
    if (pen->given < pen->have)
        return true;
    while (out.length == 0 && *pen->script != '\0')
        if (*pen->script == '%')
            put_letter(s, pen, &out);
        else
            put_literal(pen, &out);
    pen->have = (uint8_t)out.length;
    pen->given = 0;
    return pen->have > 0;
}

uint32_t smtp_message_size(const struct smtp *s)
{
    struct smtp_pen pen;
    uint32_t bytes = 0;
    smtp_pen_begin(&pen, SMTP_CONTENT, smtp_message_script);
    while (smtp_pen_ready(s, &pen)) {
        bytes += pen.have;
        pen.given = pen.have;
    }
    return bytes - pen.dots - (uint32_t)(sizeof MESSAGE_END - 1);
}

/// What is refused before anything is sent ///

bool smtp_needs_smtputf8(struct span address)
{
    for (size_t i = 0; i < address.length; i++)
        if ((uint8_t)address.at[i] >= 0x80)
            return true;
    return false;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.length; i++)
        if ((uint8_t)s.at[i] < ' ' || s.at[i] == 0x7F)
            return true;
    return false;
}

// U+0080 to U+009F: one of them, NEL, is a line end to some.
static bool has_c1_control(struct span s)
{
    for (size_t i = 0; i + 1 < s.length; i++)
        if ((uint8_t)s.at[i] == 0xC2 && (uint8_t)s.at[i + 1] < 0xA0)
            return true;
    return false;
}

static bool has_any(struct span s, const char *bytes)
{
    for (size_t i = 0; i < s.length; i++)
        if (s.at[i] != '\0' && strchr(bytes, s.at[i]) != NULL)
            return true;
    return false;
}

static bool has_two_sides(struct span address)
{
    struct span local = span_cut(&address, '@');
    return local.length > 0 && address.length > 0 && !has_any(address, "@");
}

static bool address_is_good(struct span address)
{
    return address.length <= SMTP_ADDRESS_MAX && utf8_valid(address) && !has_control(address) &&
           !has_c1_control(address) && !has_any(address, " <>()[]\",;:\\") && has_two_sides(address);
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

// RFC 5321 section 4.1.3, as far as it matters: nothing that ends the word.
static struct span without_brackets(struct span host)
{
    if (host.length > 2 && host.at[0] == '[' && host.at[host.length - 1] == ']')
        return (struct span){host.at + 1, host.length - 2};
    return host;
}

static bool host_is_good(const struct smtp *s)
{
    struct span host = s->settings.host;
    struct span name = without_brackets(host);
    for (size_t i = 0; i < name.length; i++)
        if (!is_host_byte(name.at[i]) && !(name.at[i] == ':' && name.length < host.length))
            return false;
    return host.length > 0 && host.length <= SMTP_HOST_MAX;
}

static bool auth_is_allowed(const struct smtp *s)
{
    return s->settings.user.length == 0 || s->settings.tls != SMTP_TLS_NONE || s->settings.insecure_auth;
}

static bool credential_is_good(struct span s)
{
    return s.length <= SMTP_CREDENTIAL_MAX && (s.length == 0 || memchr(s.at, '\0', s.length) == NULL);
}

static bool credentials_are_good(const struct smtp *s)
{
    return credential_is_good(s->settings.user) && credential_is_good(s->settings.password);
}

static bool sender_is_good(const struct smtp *s)
{
    return address_is_good(s->settings.from);
}

static bool recipient_is_good(const struct smtp *s)
{
    return address_is_good(s->mail.to);
}

static bool subject_is_good(const struct smtp *s)
{
    struct span subject = s->mail.subject;
    return subject.length <= SMTP_SUBJECT_MAX && utf8_valid(subject) && !has_control(subject);
}

static bool body_is_good(const struct smtp *s)
{
    struct span body = s->mail.body;
    return body.length <= SMTP_BODY_MAX && utf8_valid(body) &&
           (body.length == 0 || memchr(body.at, '\0', body.length) == NULL);
}

static const struct {
    bool (*is_good)(const struct smtp *s);
    enum smtp_step step;
    enum smtp_reason reason; // when it is not
} checks[] = {
    {host_is_good, SMTP_STEP_CONNECT, SMTP_BAD_HOST},
    {auth_is_allowed, SMTP_STEP_AUTH, SMTP_AUTH_IN_PLAIN},
    {credentials_are_good, SMTP_STEP_AUTH, SMTP_BAD_CREDENTIALS},
    {sender_is_good, SMTP_STEP_SENDER, SMTP_BAD_ADDRESS},
    {recipient_is_good, SMTP_STEP_RECIPIENT, SMTP_BAD_ADDRESS},
    {subject_is_good, SMTP_STEP_DATA, SMTP_BAD_SUBJECT},
    {body_is_good, SMTP_STEP_DATA, SMTP_BAD_BODY},
};

enum smtp_reason smtp_check(struct smtp *s, enum smtp_step *step)
{
    for (size_t i = 0; i < COUNT(checks); i++)
        if (!checks[i].is_good(s)) {
            *step = checks[i].step;
            return checks[i].reason;
        }
    measure_body(s);
    return SMTP_NO_FAILURE;
}
