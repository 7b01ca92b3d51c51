#include "http1_private.h"

_Static_assert(sizeof(struct http1) <= 344, "a request needs more than its kept bytes and 344 others");
_Static_assert(HTTP1_FIELDS_MAX <= INT16_MAX, "a 16-bit counter holds the section");

#define CHUNK_DIGITS_MAX     16   // hexadecimal, so a size always fits 64 bits
#define CHUNK_EXTENSIONS_MAX 4096 // bytes a request: nobody reads them, so nobody may stream them for ever

/// Words, recognised while they stream by ///
//
// No word is stored. A bit for each word of a list says whether the bytes so far are still its beginning.

// Members of the lists that steer the connection; TOKEN_CHUNKED_AGAIN and TOKEN_OTHER_CODING are verdicts, not names.
enum token {
    TOKEN_CLOSE,
    TOKEN_KEEP_ALIVE,
    TOKEN_UPGRADE,
    TOKEN_CHUNKED,
    TOKEN_CONTINUE,
    TOKEN_CHUNKED_AGAIN,
    TOKEN_OTHER_CODING,
};

static const char *const token_names[] = {
    [TOKEN_CLOSE] = "close",     [TOKEN_KEEP_ALIVE] = "keep-alive", [TOKEN_UPGRADE] = "upgrade",
    [TOKEN_CHUNKED] = "chunked", [TOKEN_CONTINUE] = "100-continue",
};

void http1_word_begin(struct http1 *p, uint16_t candidates)
{
    p->candidates = candidates;
    p->word_length = 0;
}

// Drops the candidates that don't go on with `c`. One that is still a candidate is never shorter than the word so
// far: its NUL matches no byte that gets here.
void http1_word_byte(struct http1 *p, const char *const *names, uint8_t c)
{
    uint16_t candidates = p->candidates;
    for (unsigned i = 0; candidates >> i != 0; i++)
        if ((candidates & BIT(i)) != 0 && (uint8_t)names[i][p->word_length] != c)
            candidates &= (uint16_t)~BIT(i);
    p->candidates = candidates;
    if (p->word_length < UINT8_MAX)
        p->word_length++;
}

// The number of the candidate that the word is now, in full, or `none`.
unsigned http1_word_found(const struct http1 *p, const char *const *names, unsigned none)
{
    for (unsigned i = 0; p->candidates >> i != 0; i++)
        if ((p->candidates & BIT(i)) != 0 && names[i][p->word_length] == '\0')
            return i;
    return none;
}

/// Kept bytes ///

bool http1_keep_byte(struct http1 *p, uint8_t c)
{
    if (p->used == p->keep_size)
        return false;
    p->keep[p->used++] = (char)c;
    return true;
}

struct span http1_keep_end(const struct http1 *p)
{
    return (struct span){p->keep + p->used, 0};
}

// A blank inside a value belongs to it, one at its end does not; which it is, the next byte tells.
static void keep_blank(struct http1 *p, uint8_t c)
{
    if (p->used + p->held < p->keep_size)
        p->keep[p->used + p->held] = (char)c;
    p->held++;
}

static void reverse(char *from, char *to)
{
    while (from < to) {
        char c = *from;
        *from++ = *--to;
        *to = c;
    }
}

// Moves the kept value `f` behind all others, so that it can grow.
static void keep_move_last(struct http1 *p, struct span *f)
{
    char *from = p->keep + (f->at - p->keep), *behind = from + f->length, *end = p->keep + p->used;
    if (behind == end)
        return;
    reverse(from, behind);
    reverse(behind, end);
    reverse(from, end);
    for (unsigned i = 0; i < HTTP1_KEPT_FIELDS; i++)
        if (p->fields[i].at != NULL && p->fields[i].at > f->at)
            p->fields[i].at -= f->length;
    f->at = end - f->length;
}

/// Fields that are understood ///

enum field {
    FIELD_CONTENT_LENGTH = HTTP1_KEPT_FIELDS,
    FIELD_TRANSFER_ENCODING,
    FIELD_CONNECTION,
    FIELD_EXPECT,
    FIELD_OTHER,
};

static const char *const field_names[] = {
    [HTTP1_HOST] = "host",
    [HTTP1_ORIGIN] = "origin",
    [HTTP1_AUTHORIZATION] = "authorization",
    [HTTP1_CONTENT_TYPE] = "content-type",
    [HTTP1_ACCEPT_ENCODING] = "accept-encoding",
    [HTTP1_IF_NONE_MATCH] = "if-none-match",
    [HTTP1_UPGRADE] = "upgrade",
    [HTTP1_WEBSOCKET_KEY] = "sec-websocket-key",
    [HTTP1_WEBSOCKET_VERSION] = "sec-websocket-version",
    [HTTP1_WEBSOCKET_PROTOCOL] = "sec-websocket-protocol",
    [FIELD_CONTENT_LENGTH] = "content-length",
    [FIELD_TRANSFER_ENCODING] = "transfer-encoding",
    [FIELD_CONNECTION] = "connection",
    [FIELD_EXPECT] = "expect",
};

_Static_assert(COUNT(field_names) == FIELD_OTHER, "every field that is understood has a name");
_Static_assert(FIELD_OTHER < 16, "`candidates` and `seen` have a bit for every field");

// How a field's value is read.
// byte: takes a byte of it, behind the blanks that lead it · end: its line has ended ·
// repeats: may be sent more than once · tokens: the list members that matter
struct field_row {
    uint16_t (*byte)(struct http1 *p, uint8_t c);
    uint16_t (*end)(struct http1 *p);
    bool repeats;
    uint16_t tokens;
};

static const struct field_row field_rows[];

static uint16_t other_byte(struct http1 *p, uint8_t c)
{
    (void)p, (void)c;
    return 0;
}

static uint16_t other_end(struct http1 *p)
{
    (void)p;
    return 0;
}

// A list that was sent before goes on behind a comma (RFC 9110 section 5.3). It is moved only once there is
// something to add, so lines that add nothing cost nothing.
static void kept_join(struct http1 *p)
{
    struct span *before = &p->fields[p->field];
    if (!field_rows[p->field].repeats || before->length == 0)
        return;
    keep_move_last(p, before);
    p->value = *before;
    keep_blank(p, ',');
    keep_blank(p, ' ');
}

static uint16_t kept_byte(struct http1 *p, uint8_t c)
{
    if (is_blank(c)) {
        keep_blank(p, c);
        return 0;
    }
    if (p->value.length == 0)
        kept_join(p);
    if (p->used + p->held >= p->keep_size)
        return FIELDS_TOO_LARGE;
    p->used = (uint16_t)(p->used + p->held);
    p->value.length += p->held + 1u;
    p->held = 0;
    p->keep[p->used++] = (char)c;
    return 0;
}

static uint16_t kept_end(struct http1 *p)
{
    struct span *field = &p->fields[p->field];
    if (field->at == NULL || p->value.length > 0)
        *field = p->value;
    return 0;
}

// Host is checked in any case, but gives way to the authority of the target (RFC 9112 sections 3.2 and 3.2.2).
static uint16_t host_end(struct http1 *p)
{
    if (!http1_host_is_valid(p->value))
        return MALFORMED;
    if (p->fields[HTTP1_HOST].at == NULL)
        return kept_end(p);
    p->used = (uint16_t)(p->used - p->value.length);
    return 0;
}

// Content-Length: digits alone, RFC 9110 section 8.6. A list of equal ones could be folded; it is refused instead.
static uint16_t length_byte(struct http1 *p, uint8_t c)
{
    if (is_blank(c)) {
        p->blank = true;
        return 0;
    }
    if (p->blank || !is_digit(c))
        return MALFORMED;
    uint64_t digit = (uint64_t)(c - '0');
    if (p->content_length > (UINT64_MAX - digit) / 10)
        return MALFORMED;
    p->content_length = p->content_length * 10 + digit;
    p->digits = 1;
    return 0;
}

static uint16_t length_end(struct http1 *p)
{
    return p->digits > 0 ? 0 : MALFORMED;
}

static void member_begin(struct http1 *p)
{
    http1_word_begin(p, field_rows[p->field].tokens);
    p->blank = false;
}

// Empty members are ignored (RFC 9110 section 5.6.1.2), but not among the transfer codings: what frames the body is
// exactly one "chunked", or nothing that we read.
static void member_end(struct http1 *p)
{
    unsigned token = http1_word_found(p, token_names, TOKEN_OTHER_CODING);
    if (token == TOKEN_CHUNKED && (p->tokens & BIT(TOKEN_CHUNKED)) != 0)
        token = TOKEN_CHUNKED_AGAIN;
    if (token != TOKEN_OTHER_CODING || p->field == FIELD_TRANSFER_ENCODING)
        p->tokens |= BIT(token);
}

static uint16_t list_byte(struct http1 *p, uint8_t c)
{
    if (c == ',') {
        member_end(p);
        member_begin(p);
    } else if (is_blank(c)) {
        p->blank = p->word_length > 0;
    } else {
        if (p->blank)
            p->candidates = 0; // two words are not a token
        http1_word_byte(p, token_names, lower(c));
    }
    return 0;
}

static uint16_t list_end(struct http1 *p)
{
    member_end(p);
    return 0;
}

static const struct field_row field_rows[] = {
    [HTTP1_HOST] = {.byte = kept_byte, .end = host_end},
    [HTTP1_ORIGIN] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_AUTHORIZATION] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_CONTENT_TYPE] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_ACCEPT_ENCODING] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_IF_NONE_MATCH] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_UPGRADE] = {.byte = kept_byte, .end = kept_end, .repeats = true},
    [HTTP1_WEBSOCKET_KEY] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_WEBSOCKET_VERSION] = {.byte = kept_byte, .end = kept_end},
    [HTTP1_WEBSOCKET_PROTOCOL] = {.byte = kept_byte, .end = kept_end, .repeats = true},
    [FIELD_CONTENT_LENGTH] = {.byte = length_byte, .end = length_end},
    [FIELD_TRANSFER_ENCODING] = {.byte = list_byte, .end = list_end, .repeats = true, .tokens = BIT(TOKEN_CHUNKED)},
    [FIELD_CONNECTION] = {.byte = list_byte,
                          .end = list_end,
                          .repeats = true,
                          .tokens = BIT(TOKEN_CLOSE) | BIT(TOKEN_KEEP_ALIVE) | BIT(TOKEN_UPGRADE)},
    [FIELD_EXPECT] = {.byte = list_byte, .end = list_end, .repeats = true, .tokens = BIT(TOKEN_CONTINUE)},
    [FIELD_OTHER] = {.byte = other_byte, .end = other_end, .repeats = true},
};

/// Header section ///

static uint16_t take_name(struct http1 *p, uint8_t c);

// A blank here would be obs-fold, or white space before the first field (RFC 9112 sections 2.2 and 5.2); no name
// begins with one.
static uint16_t take_field(struct http1 *p, uint8_t c)
{
    if (c == '\r') {
        http1_go(p, AT_FIELDS_LF);
        return 0;
    }
    http1_word_begin(p, ALL_OF(field_names));
    http1_go(p, AT_NAME);
    return take_name(p, c);
}

static uint16_t name_end(struct http1 *p)
{
    p->field = (uint8_t)http1_word_found(p, field_names, FIELD_OTHER);
    if (p->word_length == 0 || ((p->seen & BIT(p->field)) != 0 && !field_rows[p->field].repeats))
        return MALFORMED;
    p->seen |= BIT(p->field);
    p->value = http1_keep_end(p);
    p->held = 0;
    p->digits = 0;
    member_begin(p);
    http1_go(p, AT_BLANK);
    return 0;
}

static uint16_t take_name(struct http1 *p, uint8_t c)
{
    if (c == ':')
        return name_end(p);
    if (!is_token(c))
        return MALFORMED;
    http1_word_byte(p, field_names, lower(c));
    return 0;
}

static uint16_t take_value(struct http1 *p, uint8_t c)
{
    if (c == '\r') {
        http1_go(p, AT_VALUE_LF);
        return field_rows[p->field].end(p);
    }
    return is_text(c) ? field_rows[p->field].byte(p, c) : MALFORMED;
}

static uint16_t take_blank(struct http1 *p, uint8_t c)
{
    if (is_blank(c))
        return 0;
    http1_go(p, AT_VALUE);
    return take_value(p, c);
}

static bool was_sent(const struct http1 *p, unsigned field)
{
    return (p->seen & BIT(field)) != 0;
}

static bool was_listed(const struct http1 *p, enum token token)
{
    return (p->tokens & BIT(token)) != 0;
}

// RFC 9112 section 6: how long the body is. Whatever two readers could understand differently is refused.
static uint16_t framing_decide(struct http1 *p)
{
    p->chunked = was_sent(p, FIELD_TRANSFER_ENCODING);
    if (p->chunked && (was_sent(p, FIELD_CONTENT_LENGTH) || p->minor_version == 0))
        return MALFORMED;
    if (was_listed(p, TOKEN_OTHER_CODING))
        return NOT_IMPLEMENTED;
    if (was_listed(p, TOKEN_CHUNKED_AGAIN))
        return MALFORMED;
    p->has_body = p->chunked || p->content_length > 0;
    return 0;
}

static void connection_decide(struct http1 *p)
{
    bool current = p->minor_version > 0;
    p->keep_alive = !was_listed(p, TOKEN_CLOSE) && (current || was_listed(p, TOKEN_KEEP_ALIVE));
    p->upgrade = current && was_listed(p, TOKEN_UPGRADE);
    p->expects_continue = current && was_listed(p, TOKEN_CONTINUE);
}

static void chunk_size_begin(struct http1 *p)
{
    p->left = 0;
    p->digits = 0;
    http1_go(p, AT_CHUNK_SIZE);
}

static uint16_t take_fields_lf(struct http1 *p, uint8_t c)
{
    if (c != '\n' || (p->minor_version > 0 && !was_sent(p, HTTP1_HOST)))
        return MALFORMED;
    uint16_t refusal = framing_decide(p);
    if (refusal != 0)
        return refusal;
    connection_decide(p);
    p->left = p->content_length;
    if (p->chunked)
        chunk_size_begin(p);
    else
        http1_go(p, p->has_body ? AT_BODY : AT_DONE);
    return 0;
}

/// Chunked body, RFC 9112 section 7.1 ///

static uint16_t extension_count(struct http1 *p)
{
    return ++p->extensions <= CHUNK_EXTENSIONS_MAX ? 0 : MALFORMED;
}

static uint16_t chunk_size_end(struct http1 *p, uint8_t c)
{
    if (c == '\r') {
        http1_go(p, AT_CHUNK_SIZE_LF);
        return 0;
    }
    if (c != ';' && !is_blank(c))
        return MALFORMED;
    http1_go(p, c == ';' ? AT_CHUNK_EXTENSION : AT_CHUNK_BLANK);
    return extension_count(p);
}

static uint16_t take_chunk_size(struct http1 *p, uint8_t c)
{
    int digit = hex_digit(c);
    if (digit < 0)
        return p->digits > 0 ? chunk_size_end(p, c) : MALFORMED;
    if (p->digits++ == CHUNK_DIGITS_MAX)
        return MALFORMED;
    p->left = p->left << 4 | (uint64_t)digit;
    return 0;
}

// The grammar has blanks only where an extension follows, so a size may not end in them.
static uint16_t take_chunk_blank(struct http1 *p, uint8_t c)
{
    if (c == ';')
        http1_go(p, AT_CHUNK_EXTENSION);
    else if (!is_blank(c))
        return MALFORMED;
    return extension_count(p);
}

static uint16_t take_chunk_extension(struct http1 *p, uint8_t c)
{
    if (c == '\r') {
        http1_go(p, AT_CHUNK_SIZE_LF);
        return 0;
    }
    return is_text(c) ? extension_count(p) : MALFORMED;
}

static uint16_t take_chunk_size_lf(struct http1 *p, uint8_t c)
{
    if (c != '\n')
        return MALFORMED;
    p->section = 0;
    http1_go(p, p->left > 0 ? AT_CHUNK_DATA : AT_TRAILER);
    return 0;
}

static uint16_t take_chunk_data_lf(struct http1 *p, uint8_t c)
{
    chunk_size_begin(p);
    return c == '\n' ? 0 : MALFORMED;
}

/// Trailer section: checked like the header section, and thrown away ///

static uint16_t take_trailer(struct http1 *p, uint8_t c)
{
    http1_go(p, c == '\r' ? AT_TRAILERS_LF : AT_TRAILER_NAME);
    return c == '\r' || is_token(c) ? 0 : MALFORMED;
}

static uint16_t take_trailer_name(struct http1 *p, uint8_t c)
{
    if (c == ':')
        http1_go(p, AT_TRAILER_VALUE);
    return c == ':' || is_token(c) ? 0 : MALFORMED;
}

static uint16_t take_trailer_value(struct http1 *p, uint8_t c)
{
    if (c == '\r')
        http1_go(p, AT_TRAILER_LF);
    return c == '\r' || is_text(c) ? 0 : MALFORMED;
}

/// The positions ///

static uint16_t take_only(struct http1 *p, uint8_t c);

// state: the public state · take: reads a byte here; NULL where bytes are handed out or none is read ·
// only, then: for take_only, the one byte that may come and the position behind it · counted: part of a section of
// fields, which has a bound
struct position_row {
    enum http1_state state;
    uint16_t (*take)(struct http1 *p, uint8_t c);
    char only;
    enum position then;
    bool counted;
};

static const struct position_row positions[] = {
    [AT_START] = {.state = HTTP1_START_LINE, .take = http1_take_start},
    [AT_EMPTY_LF] = {.state = HTTP1_START_LINE, .take = take_only, .only = '\n', .then = AT_START},
    [AT_METHOD] = {.state = HTTP1_START_LINE, .take = http1_take_method},
    [AT_TARGET] = {.state = HTTP1_START_LINE, .take = http1_take_target},
    [AT_ASTERISK_END] = {.state = HTTP1_START_LINE, .take = http1_take_asterisk_end},
    [AT_SCHEME] = {.state = HTTP1_START_LINE, .take = http1_take_scheme},
    [AT_AUTHORITY] = {.state = HTTP1_START_LINE, .take = http1_take_authority},
    [AT_PATH] = {.state = HTTP1_START_LINE, .take = http1_take_path},
    [AT_QUERY] = {.state = HTTP1_START_LINE, .take = http1_take_query},
    [AT_VERSION] = {.state = HTTP1_START_LINE, .take = http1_take_version},
    [AT_VERSION_LF] = {.state = HTTP1_START_LINE, .take = take_only, .only = '\n', .then = AT_FIELD},
    [AT_FIELD] = {.state = HTTP1_FIELDS, .take = take_field, .counted = true},
    [AT_NAME] = {.state = HTTP1_FIELDS, .take = take_name, .counted = true},
    [AT_BLANK] = {.state = HTTP1_FIELDS, .take = take_blank, .counted = true},
    [AT_VALUE] = {.state = HTTP1_FIELDS, .take = take_value, .counted = true},
    [AT_VALUE_LF] = {.state = HTTP1_FIELDS, .take = take_only, .only = '\n', .then = AT_FIELD, .counted = true},
    [AT_FIELDS_LF] = {.state = HTTP1_FIELDS, .take = take_fields_lf, .counted = true},
    [AT_BODY] = {.state = HTTP1_BODY_LENGTH, .then = AT_DONE},
    [AT_CHUNK_SIZE] = {.state = HTTP1_BODY_CHUNKED, .take = take_chunk_size},
    [AT_CHUNK_BLANK] = {.state = HTTP1_BODY_CHUNKED, .take = take_chunk_blank},
    [AT_CHUNK_EXTENSION] = {.state = HTTP1_BODY_CHUNKED, .take = take_chunk_extension},
    [AT_CHUNK_SIZE_LF] = {.state = HTTP1_BODY_CHUNKED, .take = take_chunk_size_lf},
    [AT_CHUNK_DATA] = {.state = HTTP1_BODY_CHUNKED, .then = AT_CHUNK_DATA_CR},
    [AT_CHUNK_DATA_CR] = {.state = HTTP1_BODY_CHUNKED, .take = take_only, .only = '\r', .then = AT_CHUNK_DATA_LF},
    [AT_CHUNK_DATA_LF] = {.state = HTTP1_BODY_CHUNKED, .take = take_chunk_data_lf},
    [AT_TRAILER] = {.state = HTTP1_BODY_CHUNKED, .take = take_trailer, .counted = true},
    [AT_TRAILER_NAME] = {.state = HTTP1_BODY_CHUNKED, .take = take_trailer_name, .counted = true},
    [AT_TRAILER_VALUE] = {.state = HTTP1_BODY_CHUNKED, .take = take_trailer_value, .counted = true},
    [AT_TRAILER_LF] =
        {.state = HTTP1_BODY_CHUNKED, .take = take_only, .only = '\n', .then = AT_TRAILER, .counted = true},
    [AT_TRAILERS_LF] = {.state = HTTP1_BODY_CHUNKED, .take = take_only, .only = '\n', .then = AT_DONE, .counted = true},
    [AT_DONE] = {.state = HTTP1_DONE},
    [AT_BAD] = {.state = HTTP1_BAD},
};

void http1_go(struct http1 *p, enum position position)
{
    p->position = (uint8_t)position;
    p->state = positions[position].state;
}

static uint16_t take_only(struct http1 *p, uint8_t c)
{
    const struct position_row *here = &positions[p->position];
    if (c != (uint8_t)here->only)
        return MALFORMED;
    http1_go(p, here->then);
    return 0;
}

/// Feeding ///

void http1_begin(struct http1 *p, char *keep, uint16_t keep_size)
{
    *p = (struct http1){.keep_size = keep_size};
    p->keep = keep;
    http1_go(p, AT_START);
}

// The bound is on fields; the empty line behind them is two bytes more.
static void take(struct http1 *p, uint8_t c)
{
    const struct position_row *here = &positions[p->position];
    uint16_t refusal;
    if (here->counted && ++p->section > HTTP1_FIELDS_MAX + 2)
        refusal = FIELDS_TOO_LARGE;
    else
        refusal = here->take(p, c);
    if (refusal == 0)
        return;
    p->status = refusal;
    http1_go(p, AT_BAD);
}

static struct span take_body(struct http1 *p, const uint8_t *bytes, size_t length)
{
    size_t n = p->left < length ? (size_t)p->left : length;
    p->left -= n;
    if (p->left == 0)
        http1_go(p, positions[p->position].then);
    return (struct span){(const char *)bytes, n};
}

struct http1_step http1_feed(struct http1 *p, const uint8_t *bytes, size_t length)
{
    struct http1_step step = {0};
    enum http1_state before = p->state;
    while (step.consumed < length && p->state < HTTP1_DONE) {
        if (positions[p->position].take == NULL) {
            step.body = take_body(p, bytes + step.consumed, length - step.consumed);
            step.consumed += step.body.length;
            break;
        }
        take(p, bytes[step.consumed++]);
        if (before <= HTTP1_FIELDS && p->state > HTTP1_FIELDS)
            break;
    }
    return step;
}
