#include "scrape.h"
#include <string.h>

enum place {
    AT_STATUS_LINE,
    IN_FIELDS,
    IN_BODY,
    AT_CHUNK_SIZE,
    IN_CHUNK_EXTENSION, // up to the end of the line
    IN_CHUNK,
    BEHIND_CHUNK, // its CRLF
};

enum framing {
    UNTIL_CLOSE,
    BY_LENGTH,
    CHUNKED,
};

#define CHUNK_DIGITS 7 // a larger chunk is no page of ours

/// Lines ///

static void begin_line(struct scrape *s)
{
    s->length = 0;
    s->cut = false;
}

static void keep(struct scrape *s, char byte)
{
    s->cut = s->length == sizeof s->line;
    if (!s->cut)
        s->line[s->length++] = byte;
}

// What was kept, without the CR at its end.
static struct span line_of(const struct scrape *s)
{
    bool ends_in_cr = !s->cut && s->length > 0 && s->line[s->length - 1] == '\r';
    return (struct span){s->line, ends_in_cr ? s->length - 1u : s->length};
}

/// Head ///

// "HTTP/1.1 200 OK": the reason phrase may be cut off, or missing with its space (RFC 9112 section 4).
static void end_status_line(struct scrape *s)
{
    struct span line = line_of(s);
    uint64_t status = 0;
    bool good = line.length >= 12 && span_starts(line, span_of("HTTP/1.")) && line.at[7] >= '0' && line.at[7] <= '9' &&
                line.at[8] == ' ' && (line.length == 12 || line.at[12] == ' ') &&
                span_number((struct span){line.at + 9, 3}, 999, &status) && status >= 100;
    s->place = IN_FIELDS;
    s->framing = UNTIL_CLOSE;
    s->status = (uint16_t)status;
    if (!good)
        s->verdict = SCRAPE_MALFORMED;
    else if (status != 200 && (status / 100 != 1 || status == 101))
        s->verdict = SCRAPE_REFUSED;
}

static void take_length(struct scrape *s, struct span value)
{
    uint64_t length;
    if (s->framing == CHUNKED)
        return; // Transfer-Encoding overrides it (RFC 9112 section 6.3)
    if (!span_number(value, UINT32_MAX, &length)) {
        s->verdict = SCRAPE_MALFORMED;
        return;
    }
    s->framing = BY_LENGTH;
    s->left = (uint32_t)length;
}

static void take_coding(struct scrape *s, struct span value)
{
    s->framing = CHUNKED;
    if (s->cut || !span_equal_nocase(value, span_of("chunked")))
        s->verdict = SCRAPE_MALFORMED; // we have not asked for any other
}

static void end_field(struct scrape *s)
{
    struct span value = line_of(s);
    struct span name = span_cut(&value, ':');
    if (span_equal_nocase(name, span_of("Content-Length")))
        take_length(s, span_trim(value));
    else if (span_equal_nocase(name, span_of("Transfer-Encoding")))
        take_coding(s, span_trim(value));
}

static void begin_chunk_size(struct scrape *s)
{
    s->place = AT_CHUNK_SIZE;
    s->digits = 0;
    s->left = 0;
}

// Behind an interim answer, like 103, comes the real one (RFC 9110 section 15.2).
static void end_head(struct scrape *s)
{
    if (s->status != 200)
        s->place = AT_STATUS_LINE;
    else if (s->framing == CHUNKED)
        begin_chunk_size(s);
    else if (s->framing == BY_LENGTH && s->left == 0)
        s->verdict = SCRAPE_SILENT;
    else
        s->place = IN_BODY;
}

static void take_in_head(struct scrape *s, char byte)
{
    if (byte != '\n') {
        keep(s, byte);
        return;
    }
    if (s->place == AT_STATUS_LINE)
        end_status_line(s);
    else if (line_of(s).length == 0)
        end_head(s);
    else
        end_field(s);
    begin_line(s);
}

/// Body ///

// Only a line with its end counts: of one that was cut off, "17" may be the beginning of "170".
static void end_body_line(struct scrape *s)
{
    struct span line = line_of(s);
    struct span name = span_of("pipit_connections{kind=\"ws\"} ");
    uint64_t load;
    if (!s->cut && span_starts(line, name) && span_number(span_behind(line, name.length), UINT32_MAX, &load)) {
        s->load = (uint32_t)load;
        s->verdict = SCRAPE_FOUND;
    }
    begin_line(s);
}

static void take_in_lines(struct scrape *s, char byte)
{
    if (byte == '\n')
        end_body_line(s);
    else
        keep(s, byte);
}

static void take_in_body(struct scrape *s, char byte)
{
    take_in_lines(s, byte);
    if (s->framing == BY_LENGTH && --s->left == 0 && s->verdict == SCRAPE_MORE)
        s->verdict = SCRAPE_SILENT;
}

/// Chunks. Their heads stand between the bytes of a line that a chunk cuts, so they must not get into the line. ///

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = span_fold(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static void end_chunk_size(struct scrape *s)
{
    s->place = IN_CHUNK;
    if (s->left == 0)
        s->verdict = SCRAPE_SILENT; // the last chunk; behind it come trailers at most
}

static void take_in_chunk_size(struct scrape *s, char byte)
{
    int digit = hex_digit(byte);
    if (digit >= 0 && s->digits < CHUNK_DIGITS) {
        s->left = s->left * 16 + (uint32_t)digit;
        s->digits++;
    } else if (s->digits > 0 && byte == '\n') {
        end_chunk_size(s);
    } else if (s->digits > 0 && (byte == '\r' || byte == ';' || byte == ' ' || byte == '\t')) {
        s->place = IN_CHUNK_EXTENSION;
    } else {
        s->verdict = SCRAPE_MALFORMED;
    }
}

static void take_in_chunk(struct scrape *s, char byte)
{
    take_in_lines(s, byte);
    if (--s->left == 0)
        s->place = BEHIND_CHUNK;
}

static void take_behind_chunk(struct scrape *s, char byte)
{
    if (byte == '\n')
        begin_chunk_size(s);
    else if (byte != '\r')
        s->verdict = SCRAPE_MALFORMED;
}

/// The whole ///

static void take(struct scrape *s, char byte)
{
    switch (s->place) {
    case AT_STATUS_LINE:
    case IN_FIELDS:
        take_in_head(s, byte);
        break;
    case IN_BODY:
        take_in_body(s, byte);
        break;
    case AT_CHUNK_SIZE:
        take_in_chunk_size(s, byte);
        break;
    case IN_CHUNK_EXTENSION:
        if (byte == '\n')
            end_chunk_size(s);
        break;
    case IN_CHUNK:
        take_in_chunk(s, byte);
        break;
    default:
        take_behind_chunk(s, byte);
        break;
    }
}

void scrape_begin(struct scrape *s)
{
    *s = (struct scrape){.place = AT_STATUS_LINE};
}

enum scrape_verdict scrape_feed(struct scrape *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length && s->verdict == SCRAPE_MORE; i++) {
        if (s->taken++ == SCRAPE_BYTES)
            s->verdict = SCRAPE_TOO_LONG;
        else
            take(s, (char)bytes[i]);
    }
    return s->verdict;
}

enum scrape_verdict scrape_end(struct scrape *s)
{
    bool whole = s->place == IN_BODY && s->framing == UNTIL_CLOSE;
    if (s->verdict == SCRAPE_MORE)
        s->verdict = whole ? SCRAPE_SILENT : SCRAPE_CUT_OFF;
    return s->verdict;
}

void scrape_explain(const struct scrape *s, struct text *out)
{
    static const char *const sentences[] = {
        [SCRAPE_MALFORMED] = "answered with something that is not HTTP/1.1",
        [SCRAPE_SILENT] = "its /metrics has no line pipit_connections{kind=\"ws\"}",
        [SCRAPE_CUT_OFF] = "closed before the end of its answer",
        [SCRAPE_TOO_LONG] = "its answer has no end",
    };
    if (s->verdict == SCRAPE_REFUSED)
        text_format(out, "answered %u%s", (unsigned)s->status,
                    s->status == 403 ? ": add the name to http.names there" : "");
    else if (s->verdict < sizeof sentences / sizeof sentences[0] && sentences[s->verdict] != NULL)
        text_string(out, sentences[s->verdict]);
}
