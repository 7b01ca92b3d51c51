#include "ws.h"
#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <string.h>

#define FIN      0x80 // first byte of a header (section 5.2)
#define RESERVED 0x70
#define OPCODE   0x0F
#define MASK     0x80 // second byte
#define LENGTH   0x7F
#define LENGTH16 126
#define LENGTH64 127

#define SHORTEST_HEADER 2
#define MASKING_KEY     4

_Static_assert(sizeof(struct ws_decoder) <= 48, "a WebSocket decoder outgrew its 48 bytes; every client has one");

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/// State ///

static void enter(struct ws_decoder *d, enum ws_state state)
{
    d->state = (uint8_t)state;
    d->have = 0;
    if (state != WS_AT_DATA && state != WS_AT_CONTROL)
        d->remaining = 0;
    if (state >= WS_AFTER_CLOSE)
        d->message = 0;
}

static void report_failure(const struct ws_decoder *d, struct ws_piece *piece)
{
    *piece = (struct ws_piece){.event = WS_FAILED, .consumed = piece->consumed};
    piece->status = d->state == WS_BROKEN_TEXT ? WS_INVALID_DATA : WS_PROTOCOL_ERROR;
}

static void fail(struct ws_decoder *d, struct ws_piece *piece, enum ws_state why)
{
    enter(d, why);
    report_failure(d, piece);
}

void ws_begin(struct ws_decoder *d, uint8_t *control)
{
    memset(d, 0, sizeof *d);
    d->control = control;
    enter(d, WS_AT_HEADER);
}

bool ws_in_message(const struct ws_decoder *d)
{
    return d->message != 0;
}

bool ws_in_control(const struct ws_decoder *d)
{
    return d->state == WS_AT_CONTROL && d->have > 0;
}

uint64_t ws_remaining(const struct ws_decoder *d)
{
    return d->remaining;
}

/// Header ///

// Bytes of an extended payload length.
static uint8_t extension(uint8_t second)
{
    switch (second & LENGTH) {
    case LENGTH16:
        return 2;
    case LENGTH64:
        return 8;
    default:
        return 0;
    }
}

static bool is_control(uint8_t first)
{
    return (first & 0x08) != 0;
}

// No extension was negotiated, so the reserved bits are 0 (section 5.2). A continuation needs a message, and a message
// has to end before the next begins (section 5.4). Control frames are never fragmented (section 5.5).
static bool first_allowed(const struct ws_decoder *d)
{
    uint8_t first = d->header[0];
    if (first & RESERVED)
        return false;
    switch (first & OPCODE) {
    case WS_CONTINUATION:
        return d->message != 0;
    case WS_TEXT:
    case WS_BINARY:
        return d->message == 0;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return (first & FIN) != 0;
    default:
        return false;
    }
}

// A client masks (section 5.1); a control frame has at most 125 bytes (section 5.5), so never an extended length.
static bool second_allowed(const struct ws_decoder *d)
{
    uint8_t second = d->header[1];
    return (second & MASK) != 0 && (!is_control(d->header[0]) || (second & LENGTH) <= WS_CONTROL_MAX);
}

static uint64_t payload_length(const uint8_t *header)
{
    uint8_t bytes = extension(header[1]);
    uint64_t length = 0;
    if (bytes == 0)
        return header[1] & LENGTH;
    for (uint8_t i = 0; i < bytes; i++)
        length = length << 8 | header[SHORTEST_HEADER + i];
    return length;
}

// Section 5.2: the minimal number of bytes MUST be used, and the most significant bit of 64 MUST be 0.
static bool length_allowed(const struct ws_decoder *d)
{
    uint64_t length = payload_length(d->header);
    switch (extension(d->header[1])) {
    case 2:
        return length > WS_CONTROL_MAX;
    case 8:
        return length > UINT16_MAX && length >> 63 == 0;
    default:
        return true;
    }
}

static void start_frame(struct ws_decoder *d)
{
    d->frame = d->header[0];
    d->remaining = payload_length(d->header);
    memcpy(d->mask, d->header + d->have - MASKING_KEY, MASKING_KEY);
    if (is_control(d->frame)) {
        enter(d, WS_AT_CONTROL);
        return;
    }
    if (d->message == 0)
        d->message = d->frame & OPCODE;
    enter(d, WS_AT_DATA);
}

// Every byte is judged when it comes, so a peer that says nonsense and falls silent is found out.
static void header_byte(struct ws_decoder *d, struct ws_piece *piece, uint8_t byte)
{
    d->header[d->have++] = byte;
    uint8_t lengths_end = SHORTEST_HEADER;
    if (d->have >= SHORTEST_HEADER)
        lengths_end = (uint8_t)(SHORTEST_HEADER + extension(d->header[1]));

    bool good = true;
    if (d->have == 1)
        good = first_allowed(d);
    else if (d->have == SHORTEST_HEADER)
        good = second_allowed(d);
    else if (d->have == lengths_end)
        good = length_allowed(d);

    if (!good)
        fail(d, piece, WS_BROKEN_PROTOCOL);
    else if (d->have == lengths_end + MASKING_KEY)
        start_frame(d);
}

static void take_header(struct ws_decoder *d, struct ws_piece *piece, const uint8_t *bytes, size_t length)
{
    while (d->state == WS_AT_HEADER && piece->consumed < length) {
        uint8_t byte = bytes[piece->consumed++];
        header_byte(d, piece, byte);
    }
}

/// Payload ///

// Section 5.3. Word-wise: the key's bytes stand in memory order in each half of `key`, whatever the byte order is.
static void unmask(struct ws_decoder *d, uint8_t *out, const uint8_t *bytes, size_t length)
{
    uint64_t key;
    memcpy(&key, d->mask, MASKING_KEY);
    memcpy((uint8_t *)&key + MASKING_KEY, d->mask, MASKING_KEY);
    size_t at = 0;
    for (uint64_t word; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        word ^= key;
        memcpy(out + at, &word, sizeof word);
    }
    for (; at < length; at++)
        out[at] = bytes[at] ^ d->mask[at % MASKING_KEY];

    uint8_t turned[MASKING_KEY];
    for (size_t i = 0; i < MASKING_KEY; i++)
        turned[i] = d->mask[(length + i) % MASKING_KEY];
    memcpy(d->mask, turned, MASKING_KEY);
}

static void end_data_frame(struct ws_decoder *d, struct ws_piece *piece)
{
    bool final = (d->frame & FIN) != 0;
    enter(d, WS_AT_HEADER);
    if (!final)
        return;
    if (d->message == WS_TEXT && !utf8_complete(&d->utf8)) {
        fail(d, piece, WS_BROKEN_TEXT);
        return;
    }
    piece->last = true;
    d->message = 0;
}

static void take_data(struct ws_decoder *d, struct ws_piece *piece, const uint8_t *bytes, size_t length, uint8_t *out)
{
    bool header_just_came = piece->consumed > 0;
    if (length == 0 && !header_just_came)
        return;
    unmask(d, out, bytes, length);
    d->remaining -= length;
    piece->consumed += length;
    if (d->message == WS_TEXT && !utf8_feed(&d->utf8, out, length)) {
        fail(d, piece, WS_BROKEN_TEXT);
        return;
    }
    piece->event = WS_PIECE;
    piece->opcode = d->message;
    piece->first = header_just_came && (d->frame & OPCODE) != WS_CONTINUATION;
    piece->payload = (struct span){(const char *)out, length};
    if (d->remaining == 0)
        end_data_frame(d, piece);
}

/// Control frames ///

// The codes that may come in a close frame (section 7.4 and the IANA registry): not 1004, which means nothing, nor
// 1005, 1006 and 1015, which are for local use; 3000 and above are for libraries and applications.
static const struct {
    uint16_t first, last;
} close_codes[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};

static bool close_code_allowed(uint16_t code)
{
    for (size_t i = 0; i < sizeof close_codes / sizeof close_codes[0]; i++)
        if (code >= close_codes[i].first && code <= close_codes[i].last)
            return true;
    return false;
}

static void end_close(struct ws_decoder *d, struct ws_piece *piece)
{
    struct span body = piece->payload;
    if (body.length == 0) {
        piece->status = WS_NO_STATUS;
        enter(d, WS_AFTER_CLOSE);
        return;
    }
    if (body.length >= 2)
        piece->status = (uint16_t)(d->control[0] << 8 | d->control[1]);
    if (!close_code_allowed(piece->status)) // half a code leaves 0
        fail(d, piece, WS_BROKEN_PROTOCOL);
    else if (!utf8_valid((struct span){body.at + 2, body.length - 2}))
        fail(d, piece, WS_BROKEN_TEXT);
    else
        enter(d, WS_AFTER_CLOSE);
}

static void take_control(struct ws_decoder *d, struct ws_piece *piece, const uint8_t *bytes, size_t length)
{
    unmask(d, d->control + d->have, bytes, length);
    d->have = (uint8_t)(d->have + length);
    d->remaining -= length;
    piece->consumed += length;
    if (d->remaining > 0)
        return;
    piece->event = WS_CONTROL;
    piece->opcode = d->frame & OPCODE;
    piece->payload = (struct span){(const char *)d->control, d->have};
    if (piece->opcode == WS_CLOSE)
        end_close(d, piece);
    else
        enter(d, WS_AT_HEADER);
}

/// Decoder ///

struct ws_piece ws_decode(struct ws_decoder *d, const uint8_t *bytes, size_t length, uint8_t *out, size_t size)
{
    struct ws_piece piece = {.event = WS_NEED_MORE};
    take_header(d, &piece, bytes, length);

    size_t here = length - piece.consumed;
    if (here > d->remaining)
        here = (size_t)d->remaining;
    const uint8_t *payload = here == 0 ? bytes : bytes + piece.consumed;
    switch ((enum ws_state)d->state) {
    case WS_AT_HEADER:
        break;
    case WS_AT_DATA:
        take_data(d, &piece, payload, least(here, size), out);
        break;
    case WS_AT_CONTROL:
        take_control(d, &piece, payload, here);
        break;
    case WS_AFTER_CLOSE:
        piece.consumed = length;
        break;
    case WS_BROKEN_PROTOCOL:
    case WS_BROKEN_TEXT:
        report_failure(d, &piece);
        break;
    }
    return piece;
}

/// Encoding ///

size_t ws_header(uint8_t *out, enum ws_opcode opcode, bool final, uint64_t length)
{
    size_t bytes = length <= WS_CONTROL_MAX ? 0 : length <= UINT16_MAX ? 2 : 8;
    out[0] = (uint8_t)((final ? FIN : 0) | (unsigned)opcode);
    out[1] = (uint8_t)(bytes == 0 ? length : bytes == 2 ? LENGTH16 : LENGTH64);
    for (size_t i = 0; i < bytes; i++)
        out[SHORTEST_HEADER + i] = (uint8_t)(length >> (8 * (bytes - 1 - i)));
    return SHORTEST_HEADER + bytes;
}

// The most of `s` that fits into `size` bytes without tearing a character.
static size_t whole_characters(struct span s, size_t size)
{
    if (s.length <= size)
        return s.length;
    while (size > 0 && ((uint8_t)s.at[size] & 0xC0) == 0x80)
        size--;
    return size;
}

size_t ws_close_frame(uint8_t *out, uint16_t status, struct span reason)
{
    if (status == WS_NO_STATUS)
        return ws_header(out, WS_CLOSE, true, 0);
    size_t length = whole_characters(reason, WS_CONTROL_MAX - 2);
    size_t at = ws_header(out, WS_CLOSE, true, 2 + length);
    out[at++] = (uint8_t)(status >> 8);
    out[at++] = (uint8_t)status;
    if (length > 0)
        memcpy(out + at, reason.at, length);
    return at + length;
}

/// Handshake ///

#define KEY_LENGTH 24 // 16 bytes in base64: 22 digits and two '='

static const char key_suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // section 1.3

static bool base64_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

// By hand, because mbedTLS's decoder skips line ends and would take keys that are none.
static bool is_key(struct span key)
{
    if (key.length != KEY_LENGTH || key.at[KEY_LENGTH - 2] != '=' || key.at[KEY_LENGTH - 1] != '=')
        return false;
    for (size_t i = 0; i < KEY_LENGTH - 2; i++)
        if (!base64_digit(key.at[i]))
            return false;
    return true;
}

bool ws_accept(struct span key, char out[WS_ACCEPT_LENGTH])
{
    uint8_t input[KEY_LENGTH + sizeof key_suffix - 1];
    uint8_t digest[20];
    uint8_t text[WS_ACCEPT_LENGTH + 1]; // mbedTLS adds a NUL
    size_t written = 0;
    if (!is_key(key))
        return false;
    memcpy(input, key.at, KEY_LENGTH);
    memcpy(input + KEY_LENGTH, key_suffix, sizeof key_suffix - 1);
    if (mbedtls_sha1(input, sizeof input, digest) != 0 ||
        mbedtls_base64_encode(text, sizeof text, &written, digest, sizeof digest) != 0)
        return false;
    memcpy(out, text, WS_ACCEPT_LENGTH);
    return true;
}
