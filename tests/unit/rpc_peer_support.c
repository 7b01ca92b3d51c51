#include "rpc_peer_support.h"
#include "lwip/memp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/// The machine ///

struct peer servers[4];

static void step(void)
{
    rpc_channel_service.step(machine_now_ms);
}

int rpc_peer_start(void **state)
{
    (void)state;
    peer_network_start();
    peer_services = step;
    return rpc_channel_service.start();
}

int rpc_peer_setup(void **state)
{
    (void)state;
    memset(&rpc_settings, 0, sizeof rpc_settings);
    machine_now_ms += 100000;
    return 0;
}

int rpc_peer_teardown(void **state)
{
    (void)state;
    rpc_channel_service.stop();
    for (size_t i = 0; i < 4; i++) {
        if (servers[i].synchronized && !servers[i].reset)
            peer_abort(&servers[i]);
        peer_turn();
        peer_forget(&servers[i]);
    }
    peer_link_down = false;
    peer_run(20000);
    assert_int_equal(rpc_requests(), 0);
    assert_int_equal(rpc_channels(), 0);
    assert_int_equal(net_open(), 0);
    return machine_pools_used() == 0 ? 0 : -1;
}

struct peer *listen_at(size_t i, uint16_t port)
{
    peer_listen(&servers[i], port);
    return &servers[i];
}

/// What the server sends ///

#define SEGMENT 1000 // bytes

static uint8_t wire[1u << 15];
size_t wire_length;

void put_frame(uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t length)
{
    uint8_t *at = wire + wire_length;
    assert_true(wire_length + H2_FRAME_HEADER + length <= sizeof wire);
    const uint8_t header[H2_FRAME_HEADER] = {
        (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,    type,        flags,
        (uint8_t)(id >> 24),     (uint8_t)(id >> 16),    (uint8_t)(id >> 8), (uint8_t)id,
    };
    memcpy(at, header, sizeof header);
    if (length > 0)
        memcpy(at + sizeof header, payload, length);
    wire_length += sizeof header + length;
}

void put_number(uint8_t type, uint32_t id, uint32_t number)
{
    const uint8_t payload[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                                (uint8_t)number};
    put_frame(type, 0, id, payload, sizeof payload);
}

void put_setting(uint8_t id, uint32_t value)
{
    const uint8_t payload[6] = {
        0, id, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    put_frame(SETTINGS, 0, 0, payload, sizeof payload);
}

void put_settings(void)
{
    put_frame(SETTINGS, 0, 0, NULL, 0);
    put_frame(SETTINGS, ACK, 0, NULL, 0);
}

void put_goaway(uint32_t last, uint32_t error)
{
    const uint8_t payload[8] = {
        (uint8_t)(last >> 24), (uint8_t)(last >> 16), (uint8_t)(last >> 8), (uint8_t)last, 0, 0, 0, (uint8_t)error};
    put_frame(GOAWAY, 0, 0, payload, sizeof payload);
}

// Fields as "name: value\n…". Our SETTINGS_HEADER_TABLE_SIZE of 0 has to be answered in front of a block (RFC 7541
// section 4.2), once; more often does no harm.
size_t encode(const char *text, uint8_t *at, size_t size)
{
    struct hpack_block block = hpack_block_in(at, size);
    struct span rest = span_of(text);
    hpack_put_table_size(&block, 0);
    while (rest.length > 0) {
        struct span value = span_cut(&rest, '\n');
        struct span name = {value.at, 0};
        for (size_t i = 1; i < value.length && name.length == 0; i++)
            if (value.at[i] == ':')
                name.length = i;
        hpack_put(&block, name, span_trim(span_behind(value, name.length + 1)), HPACK_WITHOUT_INDEXING);
    }
    assert_false(block.cut);
    return block.length;
}

void put_headers(uint32_t id, uint8_t flags, const char *fields)
{
    uint8_t block[4096];
    put_frame(HEADERS, (uint8_t)(flags | END_HEADERS), id, block, encode(fields, block, sizeof block));
}

void put_message(uint32_t id, uint8_t flags, const char *message)
{
    uint8_t payload[2048] = {0};
    size_t length = strlen(message);
    payload[3] = (uint8_t)(length >> 8);
    payload[4] = (uint8_t)length;
    memcpy(payload + GRPC_PREFIX, message, length);
    put_frame(DATA, flags, id, payload, GRPC_PREFIX + length);
}

void put_reply(uint32_t id, const char *message)
{
    put_headers(id, 0, GOOD);
    put_message(id, 0, message);
    put_headers(id, END_STREAM, OK_TAIL);
}

void flush(struct peer *p)
{
    size_t length = wire_length;
    wire_length = 0;
    for (size_t at = 0; at < length; at += SEGMENT)
        peer_send(p, wire + at, length - at < SEGMENT ? length - at : SEGMENT);
    peer_run(5);
}

void flush_byte_by_byte(struct peer *p)
{
    size_t length = wire_length;
    wire_length = 0;
    for (size_t i = 0; i < length; i++) {
        peer_send(p, wire + i, 1);
        peer_turn();
    }
    peer_run(5);
}

/// What the client has sent ///

// The frame behind `*at` bytes of what was received; false when there is no whole one.
static bool next_frame(const struct peer *p, size_t *at, struct frame *f)
{
    if (*at == 0)
        *at = H2_PREFACE_BYTES;
    if (*at + H2_FRAME_HEADER > p->length)
        return false;
    const uint8_t *h = p->received + *at;
    f->length = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    f->type = h[3];
    f->flags = h[4];
    f->id = (uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
    f->payload = h + H2_FRAME_HEADER;
    *at += H2_FRAME_HEADER + f->length;
    return *at <= p->length;
}

bool find_frame(const struct peer *p, uint8_t type, unsigned n, struct frame *f)
{
    for (size_t at = 0; next_frame(p, &at, f);)
        if (f->type == type && n-- == 0)
            return true;
    return false;
}

unsigned count_frames(const struct peer *p, uint8_t type)
{
    struct frame f;
    unsigned n = 0;
    while (find_frame(p, type, n, &f))
        n++;
    return n;
}

int reset_of(const struct peer *p, uint32_t id)
{
    struct frame f;
    for (unsigned n = 0; find_frame(p, RST_STREAM, n, &f); n++)
        if (f.id == id)
            return f.payload[3];
    return -1;
}

size_t content_of(const struct peer *p, uint32_t id, uint8_t *at, bool *ended)
{
    struct frame f;
    size_t length = 0;
    *ended = false;
    for (unsigned n = 0; find_frame(p, DATA, n, &f); n++) {
        if (f.id != id)
            continue;
        memcpy(at + length, f.payload, f.length);
        length += f.length;
        *ended = f.flags & END_STREAM;
    }
    return length;
}

const char *fields_of(const struct peer *p, unsigned request)
{
    static char text[2048];
    char buffer[256];
    uint8_t table[HPACK_TABLE_MAX];
    struct hpack_decoder d;
    struct frame f;
    struct text out = text_in(text, sizeof text);
    assert_true(find_frame(p, HEADERS, request, &f));
    assert_int_equal(f.flags, END_HEADERS);
    hpack_begin(&d, table, sizeof table);
    hpack_begin_block(&d, buffer, sizeof buffer, 4096);
    for (size_t at = 0; at < f.length;) {
        struct hpack_step s = hpack_decode(&d, f.payload + at, f.length - at);
        at += s.consumed;
        assert_int_not_equal(s.event, HPACK_FAILED);
        if (s.event == HPACK_FIELD)
            text_format(&out, "%s%.*s: %.*s\n", s.never_indexed ? "!" : "", (int)s.name.length, s.name.at,
                        (int)s.value.length, s.value.at);
    }
    assert_int_equal(hpack_end_block(&d), HPACK_OK);
    return text_end(&out);
}

/// A caller ///

void told(void *context, const struct rpc_outcome *o)
{
    struct answer *a = context;
    a->calls++;
    a->status = o->status;
    if (a->cancels != NULL)
        rpc_cancel(a->cancels);
    if (a->then != NULL)
        assert_non_null(rpc_call(TARGET, PATH, span_of("then"), 5000, told, a->then));
    snprintf(a->step, sizeof a->step, "%s", o->step == NULL ? "" : o->step);
    memcpy(a->message, o->message.at, o->message.length);
    if (o->reply.length > 0)
        memcpy(a->reply, o->reply.at, o->reply.length);
    a->length = o->reply.length;
}

struct rpc_request *call_at(const char *target, const char *message, uint32_t deadline, struct answer *a)
{
    memset(a, 0, sizeof *a);
    struct rpc_request *r = rpc_call(target, PATH, span_of(message), deadline, told, a);
    assert_int_equal(a->calls, 0);
    return r;
}

struct rpc_request *call(const char *message, struct answer *a)
{
    struct rpc_request *r = call_at(TARGET, message, 5000, a);
    assert_non_null(r);
    return r;
}

void assert_answer(const struct answer *a, uint32_t status, const char *step_name, const char *message)
{
    assert_int_equal(a->calls, 1);
    if (a->status != status || strcmp(a->step, step_name) != 0 || strcmp(a->message, message) != 0)
        fail_msg("status %u, step '%s', message '%s'", a->status, a->step, a->message);
    assert_int_equal(a->length, 0);
}

void assert_reply(const struct answer *a, const char *reply)
{
    if (a->calls != 1 || a->status != GRPC_OK)
        fail_msg("%d answers, status %u, '%s'", a->calls, a->status, a->message);
    assert_string_equal(a->reply, reply);
    assert_int_equal(a->length, strlen(reply));
    assert_string_equal(a->step, "");
}

struct peer *sent(struct answer *a)
{
    struct peer *p = listen_at(0, PORT);
    call("question", a);
    peer_run(5);
    put_settings();
    flush(p);
    assert_int_equal(count_frames(p, HEADERS), 1);
    return p;
}

void assert_answers(struct peer *p, uint32_t id)
{
    struct answer a;
    call("again", &a);
    peer_run(5);
    put_reply(id, "alive");
    flush(p);
    assert_reply(&a, "alive");
}

/// Scarce memory ///

static void *taken[MEMP_NUM_TCP_SEG + 1];
static size_t taken_count;

void take_all_segments(void)
{
    while ((taken[taken_count] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        taken_count++;
}

void give_segments_back(void)
{
    while (taken_count > 0)
        memp_free(MEMP_TCP_SEG, taken[--taken_count]);
}
