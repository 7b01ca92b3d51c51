// WebSocket decoder: the same bytes, arriving in different pieces and taken out through buffers of different sizes,
// must tell the same story. Close frames and handshakes of ours are read back by a second opinion.
//
// The first two input bytes choose the pieces and the buffer; the rest is what a client sent.
#include "../../services/proto/ws.h"
#include <stdlib.h>
#include <string.h>

static void check(bool good)
{
    if (!good)
        abort();
}

/// A story as a hash ///

static uint8_t control[WS_CONTROL_MAX];

struct story {
    uint64_t told;    // of all events that are over
    uint64_t message; // of the message under way: dropped when it fails, for a large piece fails before it is told
    bool in_message;
    struct utf8 text;
};

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    return hash;
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof number);
}

static void tell_piece(struct story *s, const struct ws_piece *p)
{
    check(p->opcode == WS_TEXT || p->opcode == WS_BINARY);
    check(p->first == !s->in_message);
    if (p->first) {
        s->message = mix_number(0, p->opcode);
        s->text = (struct utf8){0};
    }
    s->message = mix(s->message, p->payload.at, p->payload.length);
    if (p->opcode == WS_TEXT)
        check(utf8_feed(&s->text, (const uint8_t *)p->payload.at, p->payload.length));
    s->in_message = !p->last;
    if (!p->last)
        return;
    check(utf8_complete(&s->text) || p->opcode == WS_BINARY);
    s->told = mix_number(s->told, s->message);
}

static void tell_control(struct story *s, const struct ws_piece *p)
{
    check(p->payload.length <= WS_CONTROL_MAX);
    check(p->opcode == WS_CLOSE || p->opcode == WS_PING || p->opcode == WS_PONG);
    if (p->opcode == WS_CLOSE && p->payload.length > 0) {
        check(p->payload.length >= 2 && p->status >= 1000 && p->status < 5000 && p->status != WS_NO_STATUS);
        check(utf8_valid((struct span){p->payload.at + 2, p->payload.length - 2}));
    }
    s->told = mix_number(mix_number(s->told, p->opcode), p->status);
    s->told = mix_number(mix(s->told, p->payload.at, p->payload.length), p->payload.length);
}

/// Decoding ///

// Decodes one arrival from memory of exactly its length. False once it failed.
static bool arrive(struct story *s, struct ws_decoder *d, const uint8_t *bytes, size_t length, size_t size)
{
    uint8_t *exact = malloc(length);
    uint8_t *out = malloc(size);
    bool more = true;
    memcpy(exact, bytes, length);
    for (size_t at = 0; more;) {
        struct ws_piece p = ws_decode(d, exact + at, length - at, out, size);
        check(p.consumed <= length - at);
        at += p.consumed;
        if (p.event == WS_NEED_MORE) {
            check(at == length);
            break;
        }
        check(p.consumed > 0);
        if (p.event == WS_PIECE) {
            check((const uint8_t *)p.payload.at == out && p.payload.length <= size);
            check(ws_in_message(d) == !p.last);
            tell_piece(s, &p);
        } else if (p.event == WS_CONTROL) {
            tell_control(s, &p);
        } else {
            check(p.status == WS_PROTOCOL_ERROR || p.status == WS_INVALID_DATA);
            s->told = mix_number(s->told, p.status);
            p = ws_decode(d, exact, length, out, size);
            check(p.event == WS_FAILED && p.consumed == 0);
            more = false;
        }
    }
    free(exact);
    free(out);
    return more;
}

static uint64_t decode(const uint8_t *bytes, size_t length, size_t first, size_t step, size_t size)
{
    struct ws_decoder d;
    struct story s = {0};
    ws_begin(&d, control);
    for (size_t at = 0; at < length;) {
        size_t n = at == 0 && first > 0 ? first : step;
        n = n < length - at ? n : length - at;
        if (!arrive(&s, &d, bytes + at, n, size))
            break;
        at += n;
    }
    return s.told;
}

/// Our own frames ///

// Our close frame, masked with a key of zeros as a client's would be, has to come back as it went in.
static void close_and_read_back(struct span reason, uint16_t status)
{
    uint8_t frame[WS_CONTROL_MAX + 2];
    uint8_t masked[WS_CONTROL_MAX + 6] = {0};
    uint8_t out[1];
    struct ws_decoder d;
    size_t length = ws_close_frame(frame, status, reason);
    check(length >= 4 && length <= sizeof frame && frame[1] == length - 2);
    masked[0] = frame[0];
    masked[1] = frame[1] | 0x80;
    memcpy(masked + 6, frame + 2, length - 2);
    ws_begin(&d, control);
    struct ws_piece p = ws_decode(&d, masked, length + 4, out, sizeof out);
    check(p.event == WS_CONTROL && p.opcode == WS_CLOSE && p.status == status && p.consumed == length + 4);
    struct span back = {p.payload.at + 2, p.payload.length - 2};
    check(span_starts(reason, back) && (back.length == reason.length || back.length > WS_CONTROL_MAX - 2 - 4));
}

static void shake_hands(struct span key)
{
    char accept[WS_ACCEPT_LENGTH];
    if (!ws_accept(key, accept))
        return;
    check(key.length == 24 && memchr(key.at, '\n', key.length) == NULL && accept[WS_ACCEPT_LENGTH - 1] == '=');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const uint8_t *bytes = data + 2;
    size_t length = size - 2;
    uint64_t whole = decode(bytes, length, 0, length, 65536);
    check(decode(bytes, length, 0, 1, 1) == whole);
    check(decode(bytes, length, data[0], 1 + data[1], 1 + data[0] % 16) == whole);
    check(decode(bytes, length, 0, length, 1 + data[1]) == whole);

    struct span text = {(const char *)bytes, length};
    if (utf8_valid(text))
        close_and_read_back(text, (uint16_t)(3000 + data[0]));
    shake_hands(text);
    return 0;
}
