// Fuzzes the HTTP/1.1 parser: the same bytes whole, byte by byte, and in pieces whose lengths come from the bytes
// themselves must tell the same requests. Every piece lies in a block of its own, so AddressSanitizer sees a byte too
// far.
#include "../../services/proto/http1.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STORY_MAX (1u << 20)

static char keep[512];

// All that was found, in the order in which it was found.
struct story {
    uint8_t bytes[STORY_MAX];
    size_t length;
    bool told; // the head of the request under way is in it
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void tell(struct story *s, const void *bytes, size_t length)
{
    require(length <= STORY_MAX - s->length);
    if (length > 0)
        memcpy(s->bytes + s->length, bytes, length);
    s->length += length;
}

static void tell_number(struct story *s, uint64_t n)
{
    tell(s, &n, sizeof(n));
}

static void tell_span(struct story *s, const struct http1 *p, struct span span)
{
    tell_number(s, span.at == NULL);
    tell_number(s, span.length);
    if (span.at == NULL)
        return;
    require(span.at >= p->keep && span.at + span.length <= p->keep + sizeof keep);
    tell(s, span.at, span.length);
}

// What a reader of a kept field may rely on: no control characters but the tab, no blank at its ends.
static void require_value(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        require(value.at[i] == '\t' || ((uint8_t)value.at[i] >= ' ' && value.at[i] != 0x7f));
    require(span_equal(span_trim(value), value));
}

static void require_head(const struct http1 *p)
{
    require(p->path.length > 0 && memchr(p->path.at, '\0', p->path.length) == NULL);
    require(p->path.at[0] == '/' || (p->method == HTTP1_OPTIONS && span_equal(p->path, span_of("*"))));
    require(p->minor_version <= 1 && p->method <= HTTP1_OTHER_METHOD);
    require(p->minor_version == 0 || p->fields[HTTP1_HOST].at != NULL);
    require(!p->chunked || (p->minor_version == 1 && p->content_length == 0));
    require(p->has_body == (p->chunked || p->content_length > 0));
    for (unsigned i = 0; i < HTTP1_KEPT_FIELDS; i++)
        require_value(p->fields[i]);
}

static void tell_head(struct story *s, const struct http1 *p)
{
    require_head(p);
    tell_number(s, p->method);
    tell_number(s, p->minor_version);
    tell_span(s, p, p->path);
    tell_span(s, p, p->query);
    for (unsigned i = 0; i < HTTP1_KEPT_FIELDS; i++)
        tell_span(s, p, p->fields[i]);
    tell_number(s, p->content_length);
    tell_number(s, (uint64_t)(p->chunked | p->keep_alive << 1 | p->upgrade << 2 | p->expects_continue << 3));
    s->told = true;
}

static void try_helpers(const struct http1 *p)
{
    char buffer[16];
    struct span value;
    if (http1_query(p->query, "a", buffer, sizeof(buffer), &value))
        require(value.at == buffer && value.length <= sizeof(buffer));
    http1_list_has(p->fields[HTTP1_UPGRADE], "websocket");
}

static void tell_step(struct story *s, struct http1 *p, const struct http1_step *step)
{
    if (!s->told && p->state > HTTP1_FIELDS && p->state != HTTP1_BAD) {
        tell_head(s, p);
        try_helpers(p);
    }
    tell(s, step->body.at, step->body.length);
    if (p->state != HTTP1_DONE)
        return;
    tell_number(s, HTTP1_DONE);
    s->told = false;
    http1_begin(p, keep, sizeof keep);
}

static void hear(struct story *s, struct http1 *p, const uint8_t *bytes, size_t length)
{
    while (length > 0 && p->state != HTTP1_BAD) {
        struct http1_step step = http1_feed(p, bytes, length);
        require(step.consumed > 0 && step.consumed <= length);
        require(step.body.length == 0 || (const uint8_t *)step.body.at + step.body.length == bytes + step.consumed);
        tell_step(s, p, &step);
        bytes += step.consumed;
        length -= step.consumed;
    }
}

static void hear_piece(struct story *s, struct http1 *p, const uint8_t *bytes, size_t length)
{
    uint8_t *block = malloc(length);
    require(block != NULL);
    memcpy(block, bytes, length);
    hear(s, p, block, length);
    free(block);
}

static void tell_end(struct story *s, const struct http1 *p)
{
    static const uint16_t refusals[] = {400, 414, 431, 501, 505};
    bool known = p->state != HTTP1_BAD;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        known = known || p->status == refusals[i];
    require(known);
    tell_number(s, p->state);
    tell_number(s, p->status);
}

enum cutting { WHOLE, BYTES, OWN };

static size_t piece_length(enum cutting cutting, const uint8_t *data, size_t size, size_t at)
{
    size_t n = cutting == WHOLE ? size : cutting == BYTES ? 1 : 1u + data[(at * 7 + 3) % size] % 37u;
    return n < size - at ? n : size - at;
}

static void read_story(struct story *s, enum cutting cutting, const uint8_t *data, size_t size)
{
    struct http1 *p = malloc(sizeof(*p));
    require(p != NULL);
    http1_begin(p, keep, sizeof keep);
    s->length = 0;
    s->told = false;
    for (size_t at = 0, n; at < size; at += n) {
        n = piece_length(cutting, data, size, at);
        hear_piece(s, p, data + at, n);
    }
    tell_end(s, p);
    free(p);
}

static void require_equal(const struct story *a, const struct story *b)
{
    require(a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0);
}

static struct story whole, bytewise, cut;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 40000) // the story of many tiny requests is longer than they are
        return 0;
    read_story(&whole, WHOLE, data, size);
    read_story(&bytewise, BYTES, data, size);
    read_story(&cut, OWN, data, size);
    require_equal(&whole, &bytewise);
    require_equal(&whole, &cut);
    return 0;
}
