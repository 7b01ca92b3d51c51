#include "smtp_private.h"

enum place {
    AT_CODE,
    AT_MARK, // between code and text
    AT_TEXT,
    AT_LF,
};

/// What EHLO offers (RFC 5321 section 4.1.1.1) ///

enum keyword {
    OTHER,
    PIPELINING,
    STARTTLS,
    EIGHTBITMIME,
    SMTPUTF8,
    SIZE,
    AUTH,
};

// Keywords and what they mean by themselves; AUTH needs a mechanism behind it.
static const struct {
    const char *name;
    enum keyword keyword;
    uint16_t capability;
} keywords[] = {
    {"PIPELINING", PIPELINING, CAN_PIPELINING},
    {"STARTTLS", STARTTLS, CAN_STARTTLS},
    {"8BITMIME", EIGHTBITMIME, CAN_8BITMIME},
    {"SMTPUTF8", SMTPUTF8, CAN_SMTPUTF8},
    {"SIZE", SIZE, CAN_SIZE},
    {"AUTH", AUTH, 0},
};

static const struct {
    const char *name;
    uint16_t capability;
} mechanisms[] = {{"PLAIN", CAN_AUTH_PLAIN}, {"LOGIN", CAN_AUTH_LOGIN}};

static void take_keyword(struct smtp *s, struct span word)
{
    s->reply.keyword = OTHER;
    for (size_t i = 0; i < COUNT(keywords); i++)
        if (span_equal_nocase(word, span_of(keywords[i].name))) {
            s->reply.keyword = (uint8_t)keywords[i].keyword;
            s->capabilities |= keywords[i].capability;
        }
}

static void take_mechanism(struct smtp *s, struct span word)
{
    for (size_t i = 0; i < COUNT(mechanisms); i++)
        if (span_equal_nocase(word, span_of(mechanisms[i].name)))
            s->capabilities |= mechanisms[i].capability;
}

static void take_parameter(struct smtp *s, struct span word)
{
    uint64_t value = 0;
    if (s->reply.keyword == AUTH)
        take_mechanism(s, word);
    else if (s->reply.keyword == SIZE && span_number(word, UINT64_MAX, &value))
        s->size_limit = value;
}

static void end_word(struct smtp *s)
{
    struct smtp_reply *r = &s->reply;
    struct span word = {r->word, r->word_length};
    if (word.length == 0)
        return;
    if (word.length > sizeof r->word)
        word.length = 0; // none that we know is so long
    if (r->words == 0)
        take_keyword(s, word);
    else
        take_parameter(s, word);
    r->words = 1;
    r->word_length = 0;
}

// AUTH=LOGIN is from before the RFC, and still about.
static void offer_byte(struct smtp *s, char c)
{
    struct smtp_reply *r = &s->reply;
    if (c == ' ' || c == '\t' || c == '=') {
        end_word(s);
        return;
    }
    if (r->word_length < sizeof r->word)
        r->word[r->word_length] = c;
    if (r->word_length <= sizeof r->word)
        r->word_length++;
}

/// Text ///

static void text_put(struct smtp_failure *f, char c)
{
    if (f->text_length < sizeof f->text)
        f->text[f->text_length++] = c;
}

static void keep_byte(struct smtp_failure *f, char c)
{
    if (c == '\t')
        c = ' ';
    text_put(f, c >= ' ' && c <= '~' ? c : '?');
}

// RFC 3463 section 2: class 2, 4 or 5, which is the reply's, then one to three digits each.
static bool enhanced_read(struct span text, uint16_t code, uint16_t enhanced[3])
{
    static const uint64_t most[3] = {5, 999, 999};
    struct span word = span_cut(&text, ' ');
    for (size_t i = 0; i < 3; i++) {
        uint64_t value = 0;
        if (!span_number(span_cut(&word, '.'), most[i], &value))
            return false;
        enhanced[i] = (uint16_t)value;
    }
    return word.length == 0 && enhanced[0] == code / 100;
}

// The relay repeats the enhanced code on every line (RFC 2034 section 4); the text is better without.
static void lift_enhanced(struct smtp *s)
{
    struct smtp_failure *f = &s->failure;
    size_t begin = s->reply.line_text;
    struct span line = {f->text + begin, f->text_length - begin};
    struct span rest = line;
    uint16_t enhanced[3];
    if (!enhanced_read(line, s->reply.code, enhanced))
        return;
    if (f->enhanced[0] == 0)
        memcpy(f->enhanced, enhanced, sizeof enhanced);
    size_t prefix = span_cut(&rest, ' ').length;
    prefix += prefix < line.length; // the space
    memmove(f->text + begin, f->text + begin + prefix, line.length - prefix);
    f->text_length = (uint8_t)(f->text_length - prefix);
}

static void begin_text_line(struct smtp *s)
{
    if (s->failure.text_length > 0)
        text_put(&s->failure, ' ');
    s->reply.line_text = s->failure.text_length;
}

static void trim_text(struct smtp_failure *f)
{
    while (f->text_length > 0 && f->text[f->text_length - 1] == ' ')
        f->text_length--;
}

/// Lines (RFC 5321 section 4.2) ///

static void go(struct smtp_reply *r, enum place place)
{
    r->place = (uint8_t)place;
}

void smtp_reply_begin(struct smtp *s)
{
    memset(&s->reply, 0, sizeof s->reply);
    if (s->failure.reason == SMTP_NO_FAILURE)
        memset(&s->failure, 0, sizeof s->failure);
}

static enum smtp_reading end_line(struct smtp *s, struct smtp_listening listening)
{
    struct smtp_reply *r = &s->reply;
    if (listening.offers)
        end_word(s);
    if (listening.text) {
        lift_enhanced(s);
        trim_text(&s->failure);
    }
    if (listening.secret)
        s->failure.text_length = 0;
    r->lines++;
    r->digits = 0;
    r->words = 0;
    r->number = 0;
    go(r, AT_CODE);
    return r->more ? READING : READ_REPLY;
}

static enum smtp_reading take_code(struct smtp *s, char c)
{
    static const char lowest[] = "200", highest[] = "559";
    struct smtp_reply *r = &s->reply;
    if (c < lowest[r->digits] || c > highest[r->digits])
        return READ_GARBAGE;
    r->number = (uint16_t)(r->number * 10 + (c - '0'));
    if (++r->digits < 3)
        return READING;
    if (r->lines > 0 && r->number != r->code)
        return READ_GARBAGE; // every line has the same
    r->code = r->number;
    go(r, AT_MARK);
    return READING;
}

static enum smtp_reading take_text(struct smtp *s, char c, struct smtp_listening listening)
{
    if (c == '\n')
        return end_line(s, listening);
    if (c == '\r') {
        go(&s->reply, AT_LF);
        return READING;
    }
    if (listening.offers && s->reply.lines > 0)
        offer_byte(s, c);
    if (listening.text)
        keep_byte(&s->failure, c);
    return READING;
}

// Section 4.2.1: a code alone, without the space, should be accepted.
static enum smtp_reading take_mark(struct smtp *s, char c, struct smtp_listening listening)
{
    struct smtp_reply *r = &s->reply;
    r->more = c == '-';
    if (listening.text)
        begin_text_line(s);
    go(r, AT_TEXT);
    if (c == '\r' || c == '\n')
        return take_text(s, c, listening);
    return c == ' ' || c == '-' ? READING : READ_GARBAGE;
}

enum smtp_reading smtp_reply_byte(struct smtp *s, char c, struct smtp_listening listening)
{
    if (++s->reply.bytes > SMTP_REPLY_MAX)
        return READ_TOO_MUCH;
    listening.offers = listening.offers && s->reply.code / 100 == 2;
    switch ((enum place)s->reply.place) {
    case AT_CODE:
        return take_code(s, c);
    case AT_MARK:
        return take_mark(s, c, listening);
    case AT_TEXT:
        return take_text(s, c, listening);
    case AT_LF:
        return c == '\n' ? end_line(s, listening) : READ_GARBAGE;
    }
    return READ_GARBAGE;
}
