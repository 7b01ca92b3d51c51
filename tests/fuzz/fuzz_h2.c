// HTTP/2, as a server and as a client: the same bytes, cut into different pieces, must tell the same story and be
// answered with the same bytes, and every stream that was told has to be given back and leave an empty slot. The owner
// of the streams answers, cancels and writes at moments that depend on what was told alone.
//
// The input: a byte for the role and the owner, one for the pieces, one for the room to write in; then what arrives. A
// server's client preface goes in front of it when the first byte asks for that.
#include "../../services/proto/h2_private.h"
#include <stdlib.h>
#include <string.h>

#define SLOTS      5
#define SETUP      3
#define IS_CLIENT  0x01 // bits of the first byte
#define PREFACE    0x02
#define CANCELS    0x04
#define GOES_AWAY  0x08
#define NO_TABLE   0x10
#define SMALL_LIST 0x20

static void check(bool good)
{
    if (!good)
        abort();
}

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

struct call {
    bool taken, ended, answered;
    size_t left;
};

struct run {
    struct h2_connection c;
    struct h2_stream slots[SLOTS];
    struct call calls[SLOTS];
    uint8_t table[HPACK_TABLE_MAX];
    char fields[200];
    uint8_t choice;
    size_t room;
    uint64_t events, output;
    size_t sent;
    bool failed, away;
};

/// Writing ///

// Whole frames, of the types that we send; behind a GOAWAY for an error comes nothing.
static void check_output(struct run *r, const uint8_t *at, size_t length)
{
    if (length >= H2_PREFACE_BYTES && memcmp(at, h2_preface, H2_PREFACE_BYTES) == 0) {
        check(r->sent == 0 && r->c.role == H2_CLIENT);
        at += H2_PREFACE_BYTES;
        length -= H2_PREFACE_BYTES;
    }
    while (length > 0) {
        check(length >= H2_FRAME_HEADER && !r->away);
        size_t payload = h2_read32(at) >> 8;
        check(payload <= H2_FRAME_MAX && length >= H2_FRAME_HEADER + payload);
        check(at[3] <= H2_TYPE_WINDOW_UPDATE && at[3] != H2_TYPE_PRIORITY && at[3] != H2_TYPE_PUSH_PROMISE);
        check(r->sent > 0 || (at[3] == H2_TYPE_SETTINGS && at[4] == 0));
        r->away = at[3] == H2_TYPE_GOAWAY && h2_read32(at + H2_FRAME_HEADER + 4) != H2_NO_ERROR;
        r->sent += H2_FRAME_HEADER + payload;
        at += H2_FRAME_HEADER + payload;
        length -= H2_FRAME_HEADER + payload;
    }
}

static void begin_message(struct run *r, struct h2_out *out, struct h2_stream *s, struct call *call)
{
    struct hpack_block block = h2_headers_begin(&r->c, out);
    hpack_put(&block, span_of(r->c.role == H2_SERVER ? ":status" : ":path"), span_of("200"), HPACK_WITHOUT_INDEXING);
    call->left = s->id % 4 == 1 ? 0 : s->id * 997 % 20000;
    call->answered = h2_headers_end(&r->c, out, s, &block, call->left == 0);
}

static void write_content(struct run *r, struct h2_out *out, struct h2_stream *s, struct call *call)
{
    size_t n = h2_data_room(&r->c, out, s);
    n = n < call->left ? n : call->left;
    if (n == 0)
        return;
    memset(h2_data_at(out), 'x', n);
    call->left -= n;
    check(h2_data(&r->c, out, s, n, call->left == 0));
}

static void release(struct run *r, struct h2_stream *s, uint32_t error)
{
    struct call *call = s->owner;
    check(call == &r->calls[s - r->slots] && call->taken);
    call->taken = false;
    h2_release(&r->c, s, error);
}

static void write_messages(struct run *r, struct h2_out *out)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct h2_stream *s = &r->slots[i];
        struct call *call = s->owner;
        if (call == NULL || s->state == H2_CLOSED || (!call->ended && r->c.role == H2_SERVER))
            continue;
        if (!call->answered)
            begin_message(r, out, s, call);
        if (call->answered && call->left > 0)
            write_content(r, out, s, call);
        if (s->state == H2_CLOSED)
            release(r, s, H2_CANCEL);
    }
}

static void write_all(struct run *r)
{
    size_t before;
    do {
        uint8_t *bytes = malloc(r->room);
        struct h2_out out = {.at = bytes, .size = r->room};
        before = r->sent;
        bool owed = h2_owes(&r->c);
        bool all = h2_write(&r->c, &out);
        check(owed == (out.length > 0) && all != h2_owes(&r->c));
        if (all)
            write_messages(r, &out);
        check_output(r, bytes, out.length);
        r->output = mix(r->output, bytes, out.length);
        free(bytes);
    } while (r->sent > before);
    check(!h2_owes(&r->c));
}

/// Receiving ///

static void open_calls(struct run *r)
{
    struct h2_stream *s;
    while (r->c.role == H2_CLIENT && (s = h2_open(&r->c)) != NULL) {
        r->calls[s - r->slots] = (struct call){.taken = true};
        s->owner = &r->calls[s - r->slots];
    }
}

static void own(struct run *r, const struct h2_step *step)
{
    struct h2_stream *s = step->stream;
    if (s == NULL)
        return;
    struct call *call = &r->calls[s - r->slots];
    if (s->owner == NULL) {
        check(step->event == H2_HEADERS && r->c.role == H2_SERVER && !call->taken);
        *call = (struct call){.taken = true};
        s->owner = call;
    }
    check(s->owner == call && call->taken);
}

static bool cancels(const struct run *r, const struct h2_step *step)
{
    if (step->event == H2_RESET)
        return true;
    return step->stream != NULL && step->event != H2_DATA && r->choice & CANCELS &&
           (step->stream->id / 2 + (uint32_t)step->event) % 5 == 0;
}

static void note(struct run *r, const struct h2_step *step)
{
    uint64_t hash = r->events;
    if (step->event == H2_DATA) { // octet by octet, so that pieces make no difference
        for (size_t i = 0; i < step->data.length; i++)
            hash = mix_number(mix(hash, step->data.at + i, 1), step->stream->id);
    } else {
        hash = mix_number(hash, step->stream == NULL ? 0 : step->stream->id);
        hash = mix_number(hash, (uint64_t)step->event << 32 | step->error);
        hash = mix_number(mix(hash, step->name.at, step->name.length), step->name.length);
        hash = mix_number(mix(hash, step->value.at, step->value.length), step->value.length);
        hash = mix_number(hash, (uint64_t)step->status << 2 | (uint64_t)step->too_large << 1 | step->never_indexed);
    }
    r->events = hash;
}

static void act(struct run *r, const struct h2_step *step)
{
    own(r, step);
    note(r, step);
    check(step->event != H2_DATA || step->data.length > 0);
    if (step->event == H2_END)
        ((struct call *)step->stream->owner)->ended = true;
    if (step->event == H2_PONG || (step->event == H2_WINDOW && step->stream == NULL))
        h2_ping(&r->c);
    if (step->event == H2_END && r->choice & GOES_AWAY && step->stream->id > 4)
        h2_goaway(&r->c, H2_NO_ERROR, "enough");
    if (cancels(r, step))
        release(r, step->stream, H2_CANCEL);
    if (step->event != H2_DATA && step->event != H2_FIELD)
        open_calls(r);
    if (step->event == H2_END || step->event == H2_RESET)
        write_all(r);
}

static void check_bounds(const struct run *r)
{
    check(r->c.owes_resets <= H2_RESETS_OWED && r->c.owes_pings <= H2_PINGS);
    check(r->c.owes_settings_acks <= H2_SETTINGS_ACKS && r->c.receive_window >= 0);
    check(r->c.receive_window + (int64_t)r->c.credit <= H2_WINDOW_BYTES);
    check(h2_streams(&r->c) <= SLOTS);
}

static void receive(struct run *r, const uint8_t *bytes, size_t length)
{
    for (size_t at = 0; !r->failed;) {
        struct h2_step step = h2_receive(&r->c, bytes + at, length - at);
        check(step.consumed <= length - at);
        at += step.consumed;
        check_bounds(r);
        if (step.event == H2_NEED_MORE) {
            check(at == length);
            return;
        }
        if (step.event == H2_BLOCKED) {
            check(h2_owes(&r->c));
            write_all(r);
            continue;
        }
        r->failed = step.event == H2_FAILED || step.event == H2_NOT_HTTP2;
        act(r, &step);
    }
}

static void arrive(struct run *r, const uint8_t *bytes, size_t length, size_t piece)
{
    for (size_t at = 0, n; at < length; at += n) {
        n = length - at < piece ? length - at : piece;
        uint8_t *exact = malloc(n);
        memcpy(exact, bytes + at, n);
        receive(r, exact, n);
        free(exact);
    }
}

static void finish(struct run *r)
{
    write_all(r);
    for (size_t i = 0; i < SLOTS; i++)
        if (r->slots[i].owner != NULL)
            release(r, &r->slots[i], H2_CANCEL);
    write_all(r);
    check(h2_streams(&r->c) == 0 || (r->c.in_block && h2_streams(&r->c) == 1)); // one that nobody was told of yet
    for (size_t i = 0; i < SLOTS; i++)
        check(!r->calls[i].taken);
}

static void converse(struct run *r, const uint8_t *data, size_t size, size_t piece)
{
    enum h2_role role = data[0] & IS_CLIENT ? H2_CLIENT : H2_SERVER;
    struct h2_settings settings = {.streams = r->slots,
                                   .stream_count = SLOTS,
                                   .table = data[0] & NO_TABLE ? NULL : r->table,
                                   .table_size = data[0] & NO_TABLE ? 0 : HPACK_TABLE_MAX,
                                   .fields = r->fields,
                                   .fields_size = sizeof r->fields,
                                   .list_max = data[0] & SMALL_LIST ? 150 : 4096};
    memset(r, 0, sizeof *r);
    r->choice = data[0];
    r->room = H2_WRITE_LEAST + data[2] * 64u;
    h2_begin(&r->c, role, &settings);
    if (role == H2_SERVER && r->choice & PREFACE)
        arrive(r, (const uint8_t *)h2_preface, H2_PREFACE_BYTES, piece);
    write_all(r);
    arrive(r, data + SETUP, size - SETUP, piece);
    finish(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    if (size < SETUP)
        return 0;
    converse(&whole, data, size, size);
    for (size_t i = 0; i < 2; i++) {
        converse(&cut, data, size, i == 0 ? 1 : 2u + data[1]);
        check(cut.events == whole.events && cut.output == whole.output);
        check(cut.failed == whole.failed && cut.c.error == whole.c.error && cut.c.nuisance == whole.c.nuisance);
    }
    return 0;
}
