#include "grpc.h"
#include <string.h>

/// Statuses ///

const char *grpc_status_name(uint32_t status)
{
    static const char *const names[] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return names[status < GRPC_STATUSES ? status : GRPC_UNKNOWN];
}

// gRPC's http-grpc-status-mapping.
enum grpc_status grpc_status_of_http(uint32_t http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

// The table of PROTOCOL-HTTP2, "Errors". STREAM_CLOSED, HTTP_1_1_REQUIRED and numbers that are none are not in it.
enum grpc_status grpc_status_of_h2(uint32_t h2_error)
{
    static const uint8_t statuses[] = {
        [0x0] = GRPC_INTERNAL,           // NO_ERROR
        [0x1] = GRPC_INTERNAL,           // PROTOCOL_ERROR
        [0x2] = GRPC_INTERNAL,           // INTERNAL_ERROR
        [0x3] = GRPC_INTERNAL,           // FLOW_CONTROL_ERROR
        [0x4] = GRPC_INTERNAL,           // SETTINGS_TIMEOUT
        [0x5] = GRPC_UNKNOWN,            // STREAM_CLOSED
        [0x6] = GRPC_INTERNAL,           // FRAME_SIZE_ERROR
        [0x7] = GRPC_UNAVAILABLE,        // REFUSED_STREAM
        [0x8] = GRPC_CANCELLED,          // CANCEL
        [0x9] = GRPC_INTERNAL,           // COMPRESSION_ERROR
        [0xa] = GRPC_INTERNAL,           // CONNECT_ERROR
        [0xb] = GRPC_RESOURCE_EXHAUSTED, // ENHANCE_YOUR_CALM
        [0xc] = GRPC_PERMISSION_DENIED,  // INADEQUATE_SECURITY
    };
    return h2_error < sizeof statuses ? (enum grpc_status)statuses[h2_error] : GRPC_UNKNOWN;
}

uint32_t grpc_read_status(struct span value)
{
    uint64_t status = 0;
    return span_number(value, UINT32_MAX, &status) ? (uint32_t)status : GRPC_UNKNOWN;
}

/// Messages ///

void grpc_reader_begin(struct grpc_reader *r)
{
    *r = (struct grpc_reader){.state = GRPC_AT_PREFIX};
}

static void fail(struct grpc_reader *r, enum grpc_reader_error error)
{
    r->state = GRPC_BROKEN;
    r->error = (uint8_t)error;
}

static void read_prefix(struct grpc_reader *r)
{
    const uint8_t *p = r->prefix;
    r->length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    r->have = 0;
    if (p[0] == 0)
        r->state = r->length == 0 ? GRPC_AFTER_MESSAGE : GRPC_IN_MESSAGE;
    else
        fail(r, p[0] == 1 ? GRPC_READER_COMPRESSED : GRPC_READER_BAD_FLAG);
}

// Copies what is wanted of `data` to `at`, behind what is there already.
static size_t fill(struct grpc_reader *r, uint8_t *at, uint32_t size, struct span data)
{
    uint32_t want = size - r->have;
    uint32_t n = data.length < want ? (uint32_t)data.length : want;
    memcpy(at + r->have, data.at, n);
    r->have += n;
    return n;
}

static size_t take_prefix(struct grpc_reader *r, struct span data)
{
    size_t n = fill(r, r->prefix, GRPC_PREFIX, data);
    if (r->have == GRPC_PREFIX)
        read_prefix(r);
    return n;
}

static size_t take_message(struct grpc_reader *r, struct span data)
{
    size_t n = fill(r, r->message, r->length, data);
    if (r->have == r->length)
        r->state = GRPC_AFTER_MESSAGE;
    return n;
}

static size_t take_some(struct grpc_reader *r, struct span data)
{
    switch (r->state) {
    case GRPC_AT_PREFIX:
        return take_prefix(r, data);
    case GRPC_IN_MESSAGE:
        return take_message(r, data);
    case GRPC_AFTER_MESSAGE:
        fail(r, GRPC_READER_SECOND);
        return data.length;
    default:
        return data.length;
    }
}

size_t grpc_reader_take(struct grpc_reader *r, struct span data)
{
    size_t taken = 0;
    while (taken < data.length && !grpc_reader_wants_room(r))
        taken += take_some(r, span_behind(data, taken));
    return taken;
}

bool grpc_reader_wants_room(const struct grpc_reader *r)
{
    return r->state == GRPC_IN_MESSAGE && r->message == NULL;
}

void grpc_reader_room(struct grpc_reader *r, uint8_t *at)
{
    r->message = at;
    if (at == NULL)
        fail(r, GRPC_READER_TOO_LARGE);
}

static enum grpc_reader_error unfinished(const struct grpc_reader *r)
{
    if (r->state == GRPC_AT_PREFIX && r->have == 0)
        return GRPC_READER_MISSING;
    return GRPC_READER_TRUNCATED;
}

enum grpc_reader_error grpc_reader_end(struct grpc_reader *r)
{
    if (r->state == GRPC_AT_PREFIX || r->state == GRPC_IN_MESSAGE)
        fail(r, unfinished(r));
    return (enum grpc_reader_error)r->error;
}

// One row for each error: the status that it becomes (statuscodes: how many messages a call has is part of what is
// implemented), and a sentence.
static const struct {
    enum grpc_status status;
    const char *sentence;
} reader_errors[] = {
    [GRPC_READER_OK] = {GRPC_OK, "The message is whole."},
    [GRPC_READER_COMPRESSED] = {GRPC_UNIMPLEMENTED, "The message is compressed; only identity is understood here."},
    [GRPC_READER_BAD_FLAG] = {GRPC_INTERNAL, "The compressed flag of the message is neither 0 nor 1."},
    [GRPC_READER_TOO_LARGE] = {GRPC_RESOURCE_EXHAUSTED, "The message is larger than what can be taken."},
    [GRPC_READER_SECOND] = {GRPC_UNIMPLEMENTED, "There is more than one message in a unary call."},
    [GRPC_READER_TRUNCATED] = {GRPC_INTERNAL, "The stream ended within a message."},
    [GRPC_READER_MISSING] = {GRPC_UNIMPLEMENTED, "The stream ended without a message."},
};

enum grpc_status grpc_reader_status(enum grpc_reader_error error)
{
    return reader_errors[error].status;
}

const char *grpc_reader_explain(enum grpc_reader_error error)
{
    return reader_errors[error].sentence;
}

void grpc_put_prefix(uint8_t prefix[GRPC_PREFIX], uint32_t length)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(length >> 24);
    prefix[2] = (uint8_t)(length >> 16);
    prefix[3] = (uint8_t)(length >> 8);
    prefix[4] = (uint8_t)length;
}

/// Header fields ///

bool grpc_is_content_type(struct span value)
{
    struct span type = span_trim(span_cut(&value, ';'));
    return span_equal_nocase(type, span_of("application/grpc")) ||
           span_equal_nocase(type, span_of("application/grpc+proto"));
}

// A unit of grpc-timeout is `times` / `per` milliseconds.
struct timeout_unit {
    char letter;
    uint32_t times;
    uint32_t per;
};

static const struct timeout_unit *find_unit(char letter)
{
    static const struct timeout_unit units[] = {
        {'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1}, {'m', 1, 1}, {'u', 1, 1000}, {'n', 1, 1000000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].letter == letter)
            return &units[i];
    return NULL;
}

bool grpc_read_timeout(struct span value, uint32_t *ms)
{
    uint64_t number = 0;
    if (value.length < 2 || value.length > GRPC_TIMEOUT_DIGITS + 1)
        return false;
    const struct timeout_unit *unit = find_unit(value.at[value.length - 1]);
    value.length--;
    if (unit == NULL || !span_number(value, GRPC_TIMEOUT_NUMBER_MAX, &number))
        return false;
    uint64_t rounded = (number * unit->times + unit->per - 1) / unit->per;
    *ms = rounded < GRPC_TIMEOUT_MAX ? (uint32_t)rounded : GRPC_TIMEOUT_MAX;
    return true;
}

void grpc_put_timeout(struct text *t, uint32_t ms)
{
    if (ms == 0)
        text_string(t, "1n"); // the number is a positive one
    else if (ms <= GRPC_TIMEOUT_NUMBER_MAX)
        text_format(t, "%um", ms);
    else
        text_format(t, "%uS", ms / 1000 + (ms % 1000 != 0));
}

static void put_coded(struct text *t, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char coded[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    text_span(t, (struct span){coded, sizeof coded});
}

// A field's value has no space at its ends (RFC 9113 section 8.2.1).
static bool is_plain(struct span message, size_t i)
{
    char byte = message.at[i];
    if (byte == ' ')
        return i > 0 && i < message.length - 1;
    return byte > ' ' && byte <= '~' && byte != '%';
}

void grpc_put_message(struct text *t, struct span message)
{
    for (size_t i = 0; i < message.length; i++) {
        bool plain = is_plain(message, i);
        if (t->size - t->length < (plain ? 1u : 3u)) {
            t->cut = true; // not within a %XX
            return;
        }
        if (plain)
            text_byte(t, message.at[i]);
        else
            put_coded(t, (uint8_t)message.at[i]);
    }
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    char folded = span_fold(digit);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

static bool is_coded(struct span s)
{
    return s.length >= 3 && s.at[0] == '%' && hex_value(s.at[1]) >= 0 && hex_value(s.at[2]) >= 0;
}

// The byte that stands at the front of `rest`, coded or not, which is then behind it.
static uint8_t next_byte(struct span *rest)
{
    struct span s = *rest;
    bool coded = is_coded(s);
    *rest = span_behind(s, coded ? 3 : 1);
    return (uint8_t)(coded ? hex_value(s.at[1]) * 16 + hex_value(s.at[2]) : s.at[0]);
}

void grpc_read_message(struct text *t, struct span value)
{
    while (value.length > 0) {
        uint8_t byte = next_byte(&value);
        text_byte(t, byte < ' ' || byte == 0x7f ? ' ' : (char)byte);
    }
}
