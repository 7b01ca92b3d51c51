// HTTP/2 as a client: requests, responses, GOAWAY; and a client against a server over wires that cut, pad and continue
// as they like. The names say the section of RFC 9113.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "h2_support.h"

/// Opening ///

static void section_3_4_nothing_is_opened_before_settings(void)
{
    begin(H2_CLIENT, 4);
    assert_null(h2_open(&h2));
    assert_false(h2_spent(&h2));
    frame(H2_TYPE_SETTINGS, 0, 0, NULL, 0);
    arrive();
    assert_told("window\n");
    assert_sent("preface\nSETTINGS 1=0 2=0 6=4096\nSETTINGS ack\n");
    assert_int_equal(request(true), 1);
    assert_sent("HEADERS 1 end\n");
}

// The peer's SETTINGS came first; ours and the preface go in front of everything all the same.
static void section_3_4_nothing_is_written_before_the_preface(void)
{
    uint8_t bytes[64];
    begin(H2_CLIENT, 4);
    writes = false;
    frame(H2_TYPE_SETTINGS, 0, 0, NULL, 0);
    arrive();
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    struct h2_stream *s = h2_open(&h2);
    struct hpack_block block = h2_headers_begin(&h2, &out);
    assert_false(h2_headers_end(&h2, &out, s, &block, true));
    assert_int_equal(out.length, 0);
    write_now();
    block = h2_headers_begin(&h2, &out);
    assert_true(h2_headers_end(&h2, &out, s, &block, true));
    h2_release(&h2, s, H2_CANCEL);
}

static void section_5_1_2_peer_allows_so_many(void)
{
    greet(H2_CLIENT);
    setting(H2_MAX_CONCURRENT_STREAMS, 2);
    arrive();
    request(true);
    request(true);
    assert_null(h2_open(&h2));
    headers(WHOLE | END, 1, OK);
    arrive();
    let_go(1, H2_CANCEL);
    assert_int_equal(request(true), 5);
    assert_null(h2_open(&h2));
    setting(H2_MAX_CONCURRENT_STREAMS, 0);
    arrive();
    let_go(3, H2_CANCEL);
    assert_null(h2_open(&h2));
    setting(H2_MAX_CONCURRENT_STREAMS, 100);
    arrive();
    request(true);
    request(true);
    request(true);
    assert_null(h2_open(&h2)); // no slot is free
}

// The stream counts until our reset is on its way.
static void section_5_1_2_cancelled_one_counts_until_written(void)
{
    greet_with(H2_CLIENT, 2);
    setting(H2_MAX_CONCURRENT_STREAMS, 1);
    arrive();
    request(false);
    let_go(1, H2_CANCEL);
    assert_null(h2_open(&h2));
    write_now();
    assert_int_equal(request(true), 3);
}

// Identifiers go in the order of writing, or the peer would take the lower one for closed.
static void section_5_1_1_order_of_writing(void)
{
    uint8_t bytes[64];
    greet(H2_CLIENT);
    struct h2_stream *first = h2_open(&h2);
    assert_int_equal(first->id, 0);
    assert_int_equal(request(true), 1);
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    assert_int_equal(h2_data_room(&h2, &out, first), 0);
    assert_false(h2_data(&h2, &out, first, 0, true));
    struct hpack_block block = h2_headers_begin(&h2, &out);
    assert_true(h2_headers_end(&h2, &out, first, &block, true));
    assert_int_equal(first->id, 3);
    h2_release(&h2, first, H2_CANCEL);
    struct h2_stream *unwritten = h2_open(&h2);
    h2_release(&h2, unwritten, H2_CANCEL); // of which the peer never hears
    forget();
    write_now();
    assert_sent("RST_STREAM 3 CANCEL\n");
}

static void section_5_1_1_identifiers_are_used_up(void)
{
    greet(H2_CLIENT);
    h2.next_id = 0x7ffffffd;
    struct h2_stream *first = h2_open(&h2);
    struct h2_stream *second = h2_open(&h2);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(h2_open(&h2));
    assert_false(h2_spent(&h2));
    h2_release(&h2, first, H2_CANCEL);
    h2_release(&h2, second, H2_CANCEL);
    assert_int_equal(request(true), 0x7ffffffd);
    assert_int_equal(request(true), 0x7fffffff);
    assert_true(h2_spent(&h2));
    assert_null(h2_open(&h2));
    headers(WHOLE | END, 0x7fffffff, OK);
    arrive();
    assert_told("2147483647 headers\n2147483647 ready 200\n2147483647 end\n");
}

static void section_5_1_1_streams_that_nobody_opened(void)
{
    static const uint32_t ids[] = {1, 2, 3, 0x7fffffff};
    for (size_t i = 0; i < COUNT(ids); i++) {
        greet(H2_CLIENT);
        headers(WHOLE | END, ids[i], OK);
        arrive();
        assert_failed(H2_PROTOCOL_ERROR);
    }
    greet(H2_CLIENT);
    h2_release(&h2, h2_open(&h2), H2_CANCEL);
    data(0, 1, 1);
    arrive();
    assert_failed(H2_PROTOCOL_ERROR);
}

static void edge_a_server_opens_nothing(void)
{
    greet(H2_SERVER);
    assert_null(h2_open(&h2));
}

/// Responses ///

static void section_8_1_response(void)
{
    greet(H2_CLIENT);
    tell_fields = true;
    request(true);
    headers(WHOLE, 1, OK "content-type: application/grpc\n");
    data(0, 1, 7);
    headers(WHOLE | END, 1, "grpc-status: 0\n");
    arrive();
    assert_told("1 headers\n1 :status: 200\n1 content-type: application/grpc\n1 ready 200\n1 data 7\n1 trailers\n"
                "1 grpc-status: 0\n1 end\n");
    assert_int_equal(slot(1)->state, H2_CLOSED);
    let_go(1, H2_CANCEL);
    assert_lives();
}

// The server answers before the request is over; what we still had to say is cut off.
static void section_8_1_early_response(void)
{
    greet(H2_CLIENT);
    request(false);
    headers(WHOLE | END, 1, ":status: 413\n");
    reset(1, H2_NO_ERROR);
    arrive();
    assert_told("1 headers\n1 ready 413\n1 end\n1 reset NO_ERROR\n");
    let_go(1, H2_CANCEL);
    assert_lives();
}

static void section_8_1_interim_responses_are_not_told(void)
{
    greet(H2_CLIENT);
    tell_fields = true;
    request(true);
    headers(WHOLE, 1, ":status: 100\nx: y\n");
    headers(0, 1, ":status: 103\ncontent-length: 99\n");
    continuation(WHOLE, 1, "link: z\n");
    headers(WHOLE, 1, OK "content-length: 3\n");
    data(END, 1, 3);
    arrive();
    assert_told("1 headers\n1 :status: 200\n1 content-length: 3\n1 ready 200\n1 data 3\n1 end\n");
}

static void assert_response(unsigned flags, const char *fields, bool good)
{
    greet(H2_CLIENT);
    request(true);
    headers(WHOLE | flags, 1, fields);
    arrive();
    if (good)
        assert_lives();
    else
        assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_8_3_2_status(void)
{
    char too_large[2000] = ":status: 200";
    memset(too_large + 12, '0', sizeof too_large - 14);
    too_large[sizeof too_large - 2] = '\n';
    assert_response(END, OK, true);
    assert_response(END, ":status: 999\n", true);
    assert_response(0, ":status: 199\n", true);
    assert_response(0, ":status: 101\n", false);
    assert_response(END, ":status: 100\n", false);
    assert_response(END, ":status: 099\n", false);
    assert_response(END, ":status: 20\n", false);
    assert_response(END, ":status: 2000\n", false);
    assert_response(END, ":status: 2x0\n", false);
    assert_response(END, ":status: \n", false);
    assert_response(END, too_large, false);
    assert_response(END, "x: y\n", false);
    assert_response(END, "", false);
    assert_response(END, OK OK, false);
    assert_response(END, OK ":path: /\n", false);
    assert_response(END, ":method: GET\n" OK, false);
    assert_response(END, "x: y\n" OK, false);
    assert_response(0, ":status: 100\nConnection: x\n", false);
    assert_response(END, OK "connection: close\n", false);
    assert_response(END, OK "content-length: 3\n", false);
}

static void section_8_1_data_before_the_response(void)
{
    greet(H2_CLIENT);
    request(true);
    headers(WHOLE, 1, ":status: 100\n");
    data(0, 1, 4);
    arrive();
    assert_told("1 reset PROTOCOL_ERROR\n");
    assert_reset(1, H2_PROTOCOL_ERROR);
}

static void section_10_5_1_response_too_large(void)
{
    greet(H2_CLIENT);
    request(true);
    h2.settings.list_max = 20;
    headers(WHOLE | END, 1, OK);
    arrive();
    assert_told("1 headers\n1 ready large\n1 end\n"); // no status: it is among what is missing
}

static void section_10_5_interim_responses_without_end(void)
{
    greet(H2_CLIENT);
    request(true);
    for (unsigned i = 0; !h2_failed(&h2); i++) {
        assert_in_range(i, 0, H2_NUISANCES_MAX);
        headers(WHOLE, 1, ":status: 102\n");
        arrive();
    }
    assert_failed(H2_ENHANCE_YOUR_CALM);
}

// We take it back, and what was on its way is decoded, counted and ignored.
static void section_5_4_2_cancel(void)
{
    greet(H2_CLIENT);
    request(true);
    headers(WHOLE, 1, OK);
    arrive();
    let_go(1, H2_CANCEL);
    forget();
    write_now();
    assert_sent("RST_STREAM 1 CANCEL\n");
    data(0, 1, 100);
    headers(WHOLE | END, 1, "x: y\n");
    reset(1, H2_NO_ERROR);
    arrive();
    assert_told("");
    assert_int_equal(h2.credit, 100);
    assert_lives();
}

static void section_5_1_response_behind_its_end(void)
{
    greet(H2_CLIENT);
    request(true);
    headers(WHOLE | END, 1, OK);
    arrive();
    let_go(1, H2_CANCEL);
    data(0, 1, 1);
    arrive();
    assert_failed(H2_STREAM_CLOSED);
}

static void section_7541_no_table(void)
{
    greet(H2_CLIENT);
    request(true);
    // A table of 0 was acknowledged. The update that RFC 7541 section 4.2 asks for may come, or be left out.
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, "\x88\x40\1x\1y", 6); // enters nothing
    arrive();
    assert_told("1 headers\n1 ready 200\n1 end\n");
    request(true);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, "\x88\xbe", 2);
    arrive();
    assert_failed(H2_COMPRESSION_ERROR);
    greet(H2_CLIENT);
    request(true);
    frame(H2_TYPE_HEADERS, WHOLE | END, 1, "\x20\x88\x40\1x\1y", 7);
    arrive();
    assert_told("1 headers\n1 ready 200\n1 end\n");
    request(true);
    frame(H2_TYPE_HEADERS, WHOLE | END, 3, "\x88\xbe", 2);
    arrive();
    assert_failed(H2_COMPRESSION_ERROR);
}

/// GOAWAY ///

static void section_6_8_streams_above_the_last_one(void)
{
    greet(H2_CLIENT);
    request(true);
    request(true);
    request(false);
    struct h2_stream *unwritten = h2_open(&h2);
    unwritten->owner = h2_slots; // somebody
    forget();
    goaway(1, H2_NO_ERROR);
    octets("\0", 1); // more is there, and told later
    h2_release(&h2, unwritten, H2_CANCEL);
    arrive();
    assert_told("goaway NO_ERROR\n3 reset REFUSED_STREAM\n5 reset REFUSED_STREAM\n");
    assert_true(h2_spent(&h2));
    assert_null(h2_open(&h2));
    octets("\0\6\6\0\0\0\0\0abcdef", 14); // the rest of a PING that is too short
    arrive();
    assert_failed(H2_FRAME_SIZE_ERROR);
}

static void section_6_8_unwritten_requests_are_refused_too(void)
{
    uint8_t bytes[64];
    greet(H2_CLIENT);
    struct h2_stream *s = h2_open(&h2);
    s->owner = s;
    uint8_t frame_of_goaway[] = {0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    struct h2_step step = h2_receive(&h2, frame_of_goaway, sizeof frame_of_goaway);
    assert_int_equal(step.event, H2_GOAWAY);
    assert_int_equal(step.consumed, sizeof frame_of_goaway);
    step = h2_receive(&h2, NULL, 0);
    assert_int_equal(step.event, H2_RESET);
    assert_ptr_equal(step.stream, s);
    assert_int_equal(step.error, H2_REFUSED_STREAM);
    struct h2_out out = {.at = bytes, .size = sizeof bytes};
    struct hpack_block block = h2_headers_begin(&h2, &out);
    assert_false(h2_headers_end(&h2, &out, s, &block, true));
    h2_release(&h2, s, H2_CANCEL);
    assert_int_equal(h2_receive(&h2, NULL, 0).event, H2_NEED_MORE);
    assert_false(h2_owes(&h2));
}

static void section_6_8_lower_streams_go_on(void)
{
    greet(H2_CLIENT);
    request(true);
    goaway(0x7fffffff, H2_NO_ERROR); // the first of two, as a graceful server says it
    arrive();
    assert_told("goaway NO_ERROR\n");
    goaway(1, H2_ENHANCE_YOUR_CALM);
    goaway(3, H2_NO_ERROR); // it must not grow
    headers(WHOLE | END, 1, OK);
    arrive();
    assert_told("goaway ENHANCE_YOUR_CALM\ngoaway NO_ERROR\n1 headers\n1 ready 200\n1 end\n");
    assert_int_equal(h2.goaway_id, 1);
}

static void section_6_8_our_own(void)
{
    greet(H2_CLIENT);
    request(true);
    h2_goaway(&h2, H2_NO_ERROR, NULL);
    assert_null(h2_open(&h2));
    forget();
    write_now();
    assert_sent("GOAWAY 0 NO_ERROR \n");
    headers(WHOLE | END, 1, OK);
    arrive();
    assert_told("1 headers\n1 ready 200\n1 end\n");
}

/// A client against a server ///

#define PLAY_SLOTS 6
#define PLAY_CALLS 400
#define WIRE       (1u << 17)

enum call_end { GOES_ON, DONE, GIVEN_UP };

// One message each way. What it consists of follows from its number.
struct call {
    unsigned number;
    bool begun;         // our headers are written
    bool got_end;       // all of the peer's message
    uint32_t sent, got; // octets of content
};

struct end {
    struct h2_connection c;
    struct h2_stream slots[PLAY_SLOTS];
    struct call calls[PLAY_SLOTS];
    uint8_t table[HPACK_TABLE_MAX];
    char fields[256];
    uint8_t wire[WIRE]; // to the other end
    size_t length;
};

static struct end ends[2]; // H2_SERVER, H2_CLIENT
static uint32_t seed;
static unsigned calls_opened, calls_done, calls_given_up;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static uint32_t content_length(enum h2_role role, unsigned number)
{
    uint32_t mixed = (number * 2 + role + 1) * 2654435761u >> 12;
    return number % 7 == 0 ? 0 : number % 11 == 0 ? mixed % 200000 : mixed % 3000;
}

static uint8_t content_octet(enum h2_role role, unsigned number, uint32_t at)
{
    return (uint8_t)(number * 31 + at * 7 + (at >> 8) + role);
}

static struct call *call_of(struct end *e, const struct h2_stream *s)
{
    return &e->calls[s - e->slots];
}

static void put_text(struct hpack_block *block, const char *name, const char *value)
{
    hpack_put(block, span_of(name), span_of(value), any(2) ? HPACK_NEVER_INDEXED : HPACK_WITHOUT_INDEXING);
}

static void write_headers(struct end *e, struct h2_out *out, struct h2_stream *s)
{
    struct call *call = call_of(e, s);
    char number[8] = {(char)('0' + call->number / 100), (char)('0' + call->number / 10 % 10),
                      (char)('0' + call->number % 10)};
    struct hpack_block block = h2_headers_begin(&e->c, out);
    if (e->c.role == H2_CLIENT) {
        put_text(&block, ":method", "POST");
        put_text(&block, ":scheme", "http");
        put_text(&block, ":path", "/play");
    } else {
        put_text(&block, ":status", "200");
    }
    put_text(&block, "x-number", number);
    call->begun = h2_headers_end(&e->c, out, s, &block, content_length(e->c.role, call->number) == 0);
}

static void write_data(struct end *e, struct h2_out *out, struct h2_stream *s)
{
    struct call *call = call_of(e, s);
    uint32_t left = content_length(e->c.role, call->number) - call->sent;
    size_t n = h2_data_room(&e->c, out, s);
    n = n < left ? n : left;
    n = n > 0 && any(3) == 0 ? 1 + any((uint32_t)n) : n;
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        h2_data_at(out)[i] = content_octet(e->c.role, call->number, call->sent + (uint32_t)i);
    call->sent += (uint32_t)n;
    assert_true(h2_data(&e->c, out, s, n, call->sent == content_length(e->c.role, call->number)));
}

static void release_done(struct end *e, struct h2_stream *s)
{
    if (s->state != H2_CLOSED)
        return;
    assert_true(call_of(e, s)->got_end);
    calls_done += e->c.role == H2_CLIENT;
    h2_release(&e->c, s, H2_CANCEL);
}

// The server answers as soon as the request is known, so both directions are busy at once.
static void write_messages(struct end *e, struct h2_out *out)
{
    uint32_t first = any(PLAY_SLOTS);
    for (uint32_t i = 0; i < PLAY_SLOTS; i++) {
        struct h2_stream *s = &e->slots[(first + i) % PLAY_SLOTS];
        if (s->owner == NULL || s->state == H2_CLOSED || call_of(e, s)->number == 0)
            continue;
        if (!call_of(e, s)->begun)
            write_headers(e, out, s);
        else if (h2_stream_sends(s))
            write_data(e, out, s);
        release_done(e, s);
    }
}

static void put_wire(struct end *e, const void *bytes, size_t length)
{
    assert_true(e->length + length <= sizeof e->wire);
    memcpy(e->wire + e->length, bytes, length);
    e->length += length;
}

static void put_piece(struct end *e, unsigned type, unsigned flags, const uint8_t *header, const uint8_t *piece,
                      size_t length)
{
    uint8_t padding = type == H2_TYPE_HEADERS ? (uint8_t)any(40) : 0;
    bool padded = type == H2_TYPE_HEADERS && any(2);
    size_t payload = length + (padded ? 1u + padding : 0);
    uint8_t own[H2_FRAME_HEADER] = {(uint8_t)(payload >> 16), (uint8_t)(payload >> 8), (uint8_t)payload, (uint8_t)type,
                                    (uint8_t)(flags | (padded ? PADDED : 0))};
    static const uint8_t zeros[256];
    memcpy(own + 5, header + 5, 4);
    put_wire(e, own, sizeof own);
    put_wire(e, &padding, padded ? 1 : 0);
    put_wire(e, piece, length);
    put_wire(e, zeros, padded ? padding : 0);
}

// HEADERS become HEADERS with padding and CONTINUATION after CONTINUATION; all else passes.
static size_t rewrite_frame(struct end *e, const uint8_t *at, size_t left)
{
    if (left >= H2_PREFACE_BYTES && memcmp(at, h2_preface, H2_PREFACE_BYTES) == 0) {
        put_wire(e, at, H2_PREFACE_BYTES);
        return H2_PREFACE_BYTES;
    }
    size_t length = h2_read32(at) >> 8;
    if (at[3] != H2_TYPE_HEADERS) {
        put_wire(e, at, H2_FRAME_HEADER + length);
        return H2_FRAME_HEADER + length;
    }
    for (size_t done = 0, n; done < length; done += n) {
        n = 1 + any((uint32_t)(length - done));
        unsigned flags = (done + n == length ? WHOLE : 0) | (done == 0 ? at[4] & END : 0);
        put_piece(e, done == 0 ? H2_TYPE_HEADERS : H2_TYPE_CONTINUATION, flags, at, at + H2_FRAME_HEADER + done, n);
    }
    return H2_FRAME_HEADER + length;
}

static void play_write(struct end *e)
{
    static uint8_t bytes[20000];
    if (e->length > WIRE / 2)
        return;
    struct h2_out out = {.at = bytes, .size = H2_WRITE_LEAST + any(any(2) ? 300 : 19000)};
    if (h2_write(&e->c, &out))
        write_messages(e, &out);
    for (size_t at = 0; at < out.length;)
        at += rewrite_frame(e, bytes + at, out.length - at);
}

static void play_begins(struct end *e, struct h2_stream *s)
{
    if (s->owner != NULL)
        return;
    assert_int_equal(e->c.role, H2_SERVER);
    *call_of(e, s) = (struct call){0};
    s->owner = call_of(e, s);
}

static void play_field(struct end *e, const struct h2_step *step)
{
    struct call *call = call_of(e, step->stream);
    if (!span_equal(step->name, span_of("x-number")))
        return;
    uint64_t number = 0;
    assert_true(span_number(step->value, PLAY_CALLS, &number));
    assert_true(e->c.role == H2_SERVER || call->number == number);
    call->number = (unsigned)number;
}

static void play_data(struct end *e, const struct h2_step *step)
{
    struct call *call = call_of(e, step->stream);
    enum h2_role sender = e->c.role == H2_SERVER ? H2_CLIENT : H2_SERVER;
    for (size_t i = 0; i < step->data.length; i++)
        assert_int_equal((uint8_t)step->data.at[i], content_octet(sender, call->number, call->got + (uint32_t)i));
    call->got += (uint32_t)step->data.length;
}

static void play_end(struct end *e, struct h2_stream *s)
{
    struct call *call = call_of(e, s);
    assert_int_equal(call->got, content_length(e->c.role == H2_SERVER ? H2_CLIENT : H2_SERVER, call->number));
    call->got_end = true;
    release_done(e, s);
}

static void play_event(struct end *e, const struct h2_step *step)
{
    switch (step->event) {
    case H2_HEADERS:
        play_begins(e, step->stream);
        break;
    case H2_FIELD:
        play_field(e, step);
        break;
    case H2_DATA:
        play_data(e, step);
        break;
    case H2_END:
        play_end(e, step->stream);
        break;
    case H2_RESET:
        calls_given_up += e->c.role == H2_CLIENT;
        h2_release(&e->c, step->stream, H2_CANCEL);
        break;
    default:
        assert_int_not_equal(step->event, H2_FAILED);
    }
}

// Lets some of what `from` has sent arrive at the other end.
static void play_deliver(struct end *from, struct end *to)
{
    size_t length = from->length == 0 ? 0 : any(4) == 0 ? from->length : 1 + any((uint32_t)from->length);
    size_t at = 0;
    for (;;) {
        struct h2_step step = h2_receive(&to->c, from->wire + at, length - at);
        at += step.consumed;
        if (step.event == H2_NEED_MORE || step.event == H2_BLOCKED)
            break;
        play_event(to, &step);
    }
    from->length -= at;
    memmove(from->wire, from->wire + at, from->length);
}

static void play_open(struct end *client)
{
    if (calls_opened == PLAY_CALLS - 1 || any(3) > 0)
        return;
    struct h2_stream *s = h2_open(&client->c);
    if (s == NULL)
        return;
    s->owner = call_of(client, s);
    *call_of(client, s) = (struct call){.number = ++calls_opened};
}

// Either end changes its mind.
static void play_cancel(struct end *e)
{
    struct h2_stream *s = &e->slots[any(PLAY_SLOTS)];
    if (s->owner == NULL || any(60) > 0)
        return;
    calls_given_up += e->c.role == H2_CLIENT;
    h2_release(&e->c, s, H2_CANCEL);
}

static void play_begin(enum h2_role role)
{
    struct end *e = &ends[role];
    bool has_table = role == H2_SERVER || any(2);
    struct h2_settings settings = {.streams = e->slots,
                                   .stream_count = PLAY_SLOTS,
                                   .table = has_table ? e->table : NULL,
                                   .table_size = has_table ? HPACK_TABLE_MAX : 0,
                                   .fields = e->fields,
                                   .fields_size = sizeof e->fields,
                                   .list_max = 1000};
    memset(e, 0, sizeof *e);
    h2_begin(&e->c, role, &settings);
}

static void play_round(unsigned round)
{
    play_open(&ends[H2_CLIENT]);
    play_cancel(&ends[any(2)]);
    play_write(&ends[H2_CLIENT]);
    play_deliver(&ends[H2_CLIENT], &ends[H2_SERVER]);
    play_write(&ends[H2_SERVER]);
    play_deliver(&ends[H2_SERVER], &ends[H2_CLIENT]);
    if (round % 200 == 0) {
        h2_calm(&ends[H2_CLIENT].c);
        h2_calm(&ends[H2_SERVER].c);
    }
}

static bool play_is_over(void)
{
    return calls_opened == PLAY_CALLS - 1 && calls_done + calls_given_up == calls_opened &&
           h2_streams(&ends[0].c) + h2_streams(&ends[1].c) == 0 && ends[0].length + ends[1].length == 0 &&
           !h2_owes(&ends[0].c) && !h2_owes(&ends[1].c);
}

// What one end thinks that it may send is what the other would take.
static void assert_windows_agree(void)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(ends[i].c.send_window, ends[1 - i].c.receive_window);
}

static void play_client_against_server(void)
{
    greet(H2_SERVER); // for the fixture
    for (uint32_t game = 1; game <= 3; game++) {
        seed = game;
        calls_opened = calls_done = calls_given_up = 0;
        play_begin(H2_CLIENT);
        play_begin(H2_SERVER);
        for (unsigned round = 1; !play_is_over(); round++) {
            assert_in_range(round, 1, 200000);
            play_round(round);
        }
        assert_windows_agree();
        assert_in_range(calls_done, PLAY_CALLS / 2, PLAY_CALLS);
        assert_in_range(calls_given_up, 1, PLAY_CALLS / 2);
    }
}

int main(void)
{
    static const struct scenario scenarios[] = {
        {"section 3 4 nothing is opened before settings", section_3_4_nothing_is_opened_before_settings},
        {"section 3 4 nothing is written before the preface", section_3_4_nothing_is_written_before_the_preface},
        {"section 5 1 2 peer allows so many", section_5_1_2_peer_allows_so_many},
        {"section 5 1 2 cancelled one counts until written", section_5_1_2_cancelled_one_counts_until_written},
        {"section 5 1 1 order of writing", section_5_1_1_order_of_writing},
        {"section 5 1 1 identifiers are used up", section_5_1_1_identifiers_are_used_up},
        {"section 5 1 1 streams that nobody opened", section_5_1_1_streams_that_nobody_opened},
        {"edge a server opens nothing", edge_a_server_opens_nothing},
        {"section 8 1 response", section_8_1_response},
        {"section 8 1 early response", section_8_1_early_response},
        {"section 8 1 interim responses are not told", section_8_1_interim_responses_are_not_told},
        {"section 8 3 2 status", section_8_3_2_status},
        {"section 8 1 data before the response", section_8_1_data_before_the_response},
        {"section 10 5 1 response too large", section_10_5_1_response_too_large},
        {"section 10 5 interim responses without end", section_10_5_interim_responses_without_end},
        {"section 5 4 2 cancel", section_5_4_2_cancel},
        {"section 5 1 response behind its end", section_5_1_response_behind_its_end},
        {"section 7541 no table", section_7541_no_table},
        {"section 6 8 streams above the last one", section_6_8_streams_above_the_last_one},
        {"section 6 8 unwritten requests are refused too", section_6_8_unwritten_requests_are_refused_too},
        {"section 6 8 lower streams go on", section_6_8_lower_streams_go_on},
        {"section 6 8 our own", section_6_8_our_own},
        {"play client against server", play_client_against_server},
    };
    return run_scenarios("h2_client", scenarios, COUNT(scenarios));
}
