// The gRPC server over lwIP, against a client that is written frame by frame: good, slow, rude, or gone.
#include "../../app/limits.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/pool.h"
#include "../../services/interop/interop.h"
#include "../../services/rpc/health.h"
#include "../../services/rpc/server_private.h"
#include "peer_support.h"

#include "lwip/priv/tcp_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// The services under the server ///

#define LARGE_LENGTH 200000

static struct {
    unsigned begun, ended;
    struct rpc_call *held[RPC_CALLS]; // by Hold, not over yet
    size_t held_count;
    struct rpc_call *last;
    uint64_t deadline;
    char request[2 * RPC_MESSAGE];
    char metadata[256];
    size_t put_length; // of a field of metadata in headers and trailers
    uint8_t room[2000];
    unsigned rooms, room_calls;
    unsigned puts;
    void (*in_end)(void);
} service;

static void note(struct rpc_call *call, struct span request)
{
    assert_true(request.length < sizeof service.request);
    memcpy(service.request, request.at, request.length);
    service.request[request.length] = '\0';
    service.begun++;
    service.last = call;
    service.deadline = rpc_deadline(call);
}

static void echo(struct rpc_call *call, struct span request)
{
    note(call, request);
    rpc_reply(call, request);
}

static void hold(struct rpc_call *call, struct span request)
{
    note(call, request);
    service.held[service.held_count++] = call;
}

// "5 text"
static void fail_as_told(struct rpc_call *call, struct span request)
{
    note(call, request);
    char *text = NULL;
    unsigned long status = strtoul(service.request, &text, 10);
    rpc_fail(call, (enum grpc_status)status, span_of(text + (*text == ' ')));
}

static uint8_t pattern(uint32_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static void produce(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length)
{
    assert_ptr_equal(call, service.last);
    assert_true(length > 0);
    for (size_t i = 0; i < length; i++)
        at[i] = pattern(from + (uint32_t)i);
}

static void produce_any(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length)
{
    (void)call;
    memset(at, (int)from, length);
}

static void large(struct rpc_call *call, struct span request)
{
    note(call, request);
    uint32_t length = (uint32_t)strtoul(service.request, NULL, 10);
    rpc_reply_produced(call, length, produce);
}

static void reply_too_large(struct rpc_call *call, struct span request)
{
    static char bytes[RPC_MESSAGE + 1];
    note(call, request);
    rpc_reply(call, (struct span){bytes, sizeof bytes});
}

static void reply_thrice(struct rpc_call *call, struct span request)
{
    note(call, request);
    rpc_reply(call, span_of("first"));
    rpc_reply(call, span_of("second"));
    rpc_fail(call, GRPC_ABORTED, span_of("third"));
    rpc_reply_produced(call, 5, produce);
}

static void ended(struct rpc_call *call)
{
    service.ended++;
    for (size_t i = 0; i < service.held_count; i++)
        if (service.held[i] == call)
            service.held[i--] = service.held[--service.held_count];
    if (service.in_end != NULL)
        service.in_end();
}

static void take_metadata(struct rpc_call *call, struct span name, struct span value)
{
    char line[256];
    snprintf(line, sizeof line, "%.*s=%.*s;", (int)name.length, name.at, (int)value.length, value.at);
    strncat(service.metadata, line, sizeof service.metadata - strlen(service.metadata) - 1);
    rpc_set_context(call, service.metadata);
}

static void put_metadata(const struct rpc_call *call, struct hpack_block *block, bool trailers)
{
    static char value[4096];
    service.puts++;
    memset(value, '!', sizeof value); // longer as Huffman code
    if (rpc_context(call) != service.metadata || service.put_length == 0)
        return;
    assert_true(service.put_length <= sizeof value);
    hpack_put(block, span_of(trailers ? "x-last" : "x-first"), (struct span){value, service.put_length},
              HPACK_WITHOUT_INDEXING);
}

static uint8_t *find_room(struct rpc_call *call, uint32_t length)
{
    (void)call;
    service.room_calls++;
    if (length > sizeof service.room || service.rooms > 0)
        return NULL;
    service.rooms++;
    return service.room;
}

static void roomy_ended(struct rpc_call *call)
{
    ended(call);
    service.rooms = 0;
}

static const struct rpc_method methods[] = {
    {"Echo", echo},           {"Hold", hold}, {"Fail", fail_as_told}, {"Large", large}, {"TooLarge", reply_too_large},
    {"Thrice", reply_thrice},
};

// Of services that are not told the end of a call.
static void plain_echo(struct rpc_call *call, struct span request)
{
    rpc_reply(call, request);
}

static const struct rpc_method plain_methods[] = {{"Echo", plain_echo}};

static uint32_t off_enabled;

static const struct rpc_service test_rpc = {.name = "test.Test",
                                            .methods = methods,
                                            .method_count = COUNT(methods),
                                            .ended = ended,
                                            .metadata = take_metadata,
                                            .put_metadata = put_metadata};
static const struct rpc_service open_rpc = {
    .name = "test.Open", .methods = methods, .method_count = COUNT(methods), .open = true, .ended = ended};
static const struct rpc_service roomy_rpc = {
    .name = "test.Roomy", .methods = methods, .method_count = COUNT(methods), .ended = roomy_ended, .room = find_room};
static const struct rpc_service plain_rpc = {
    .name = "test.Plain", .methods = plain_methods, .method_count = COUNT(plain_methods)};
static const struct rpc_service off_rpc = {
    .name = "test.Off", .methods = plain_methods, .method_count = COUNT(plain_methods), .enabled = &off_enabled};

const struct rpc_service *const rpc_services[] = {&test_rpc, &open_rpc,   &roomy_rpc,  &plain_rpc,
                                                  &off_rpc,  &health_rpc, &interop_rpc};
const size_t rpc_service_count = COUNT(rpc_services);

/// The machine ///

static uint32_t wish; // of the server's last step

static void step_services(void)
{
    wish = rpc_server_service.step(port_now_ms());
}

static bool is_listed(const char *name)
{
    struct pool *p = pool_next(NULL);
    while (p != NULL && strcmp(p->name, name) != 0)
        p = pool_next(p);
    return p != NULL;
}

static int start(void **state)
{
    (void)state;
    peer_network_start();
    // Without a secret it does not open itself to everybody, and says what to do.
    rpc_settings.listen_any = 1;
    machine_console_clear();
    assert_int_equal(rpc_server_service.start(), -1);
    assert_non_null(strstr(machine_console, "rpc.secret"));
    strcpy(rpc_settings.secret, "Sesame");
    assert_int_equal(rpc_server_service.start(), 0);
    assert_int_equal(rpc_server_service.step(port_now_ms()), SERVICE_IDLE);
    // The ports are taken now.
    machine_console_clear();
    assert_int_equal(rpc_server_service.start(), -1);
    assert_non_null(strstr(machine_console, "50051"));
    // /metrics shows them before their first use.
    assert_true(is_listed("rpc_connections") && is_listed("rpc_calls"));
    assert_true(is_listed("interop_calls") && is_listed("interop_requests"));
    peer_services = step_services;
    return 0;
}

// The server as if it were started with that setting of rpc.listen.
static void restart(uint32_t listen_any)
{
    net_stop_listening();
    rpc_settings.listen_any = listen_any;
    assert_int_equal(rpc_server_service.start(), 0);
}

/// A client ///

#define REPLIES 140

struct reply {
    uint32_t id;
    unsigned blocks; // HEADERS frames
    char headers[1024];
    char trailers[2048];
    uint8_t data[2048]; // the first bytes
    size_t length;      // of all
    unsigned frames;    // DATA
    bool patterned;     // so far all of it is what produce() makes
    bool ended;
    bool reset;
    uint32_t error;
};

struct client {
    struct peer peer;
    struct net_conn *net; // its connection through lwIP's own loopback, where `peer` is but what was received
    struct hpack_decoder decoder;
    uint8_t table[HPACK_TABLE_MAX];
    char fields[8192];
    uint32_t next_id;
    bool gives_back; // windows, as soon as data comes
    unsigned settings, settings_acks, pings, pongs, window_updates;
    bool goaway;
    uint32_t goaway_last, goaway_error;
    char debug[80];
    struct reply replies[REPLIES];
    unsigned reply_count;
    uint32_t table_size; // SETTINGS_HEADER_TABLE_SIZE
};

static struct client clients[RPC_CONNECTIONS + 2];
#define first (&clients[0])

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

// A segment carries 1,000 bytes of a long frame.
static void send_bytes(struct client *c, const uint8_t *bytes, size_t length)
{
    for (size_t n = 0; length > 0; bytes += n, length -= n) {
        n = length < 1000 ? length : 1000;
        if (c->net != NULL)
            assert_int_equal(net_send(c->net, bytes, n), NET_OK);
        else
            peer_send(&c->peer, bytes, n);
        peer_turn();
    }
}

#define LOOPBACK 0x7f000001

static void on_loopback_opened(struct net_conn *net)
{
    struct client *c = net_owner(net);
    c->peer.synchronized = true;
}

static size_t on_loopback_data(struct net_conn *net, const uint8_t *bytes, size_t length)
{
    struct peer *p = &((struct client *)net_owner(net))->peer;
    assert_true(length <= sizeof p->received - p->length);
    memcpy(p->received + p->length, bytes, length);
    p->length += length;
    return length;
}

static void on_loopback_closed(struct net_conn *net, enum net_error why)
{
    struct client *c = net_owner(net);
    c->net = NULL;
    c->peer.fin = why == NET_OK;
    c->peer.reset = why != NET_OK;
}

static void dial_loopback(struct client *c, uint16_t port)
{
    static const struct net_handlers handlers = {
        .opened = on_loopback_opened, .data = on_loopback_data, .closed = on_loopback_closed};
    c->net = net_dial(span_of("127.0.0.1"), port, 5000, &handlers, c);
    assert_non_null(c->net);
    for (int i = 0; i < 10 && c->net != NULL && !c->peer.synchronized; i++)
        peer_turn();
}

static size_t put_frame(uint8_t *at, unsigned type, unsigned flags, uint32_t id, const void *payload, size_t length)
{
    write32(at, (uint32_t)length << 8 | type);
    at[4] = (uint8_t)flags;
    write32(at + 5, id);
    if (length > 0)
        memcpy(at + H2_FRAME_HEADER, payload, length);
    return H2_FRAME_HEADER + length;
}

static void send_frame(struct client *c, unsigned type, unsigned flags, uint32_t id, const void *payload, size_t length)
{
    static uint8_t bytes[H2_FRAME_HEADER + H2_FRAME_MAX];
    send_bytes(c, bytes, put_frame(bytes, type, flags, id, payload, length));
}

#define END_STREAM  1u
#define ACK         1u
#define END_HEADERS 4u

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };

static void give_window(struct client *c, uint32_t id, uint32_t bytes)
{
    uint8_t payload[4];
    write32(payload, bytes);
    send_frame(c, WINDOW_UPDATE, 0, id, payload, sizeof payload);
}

// Without a turn, in which more would come than there is room for here.
static void give_back(struct client *c, uint32_t id, uint32_t bytes)
{
    uint8_t frames[2 * (H2_FRAME_HEADER + 4)];
    uint8_t payload[4];
    write32(payload, bytes);
    size_t n = put_frame(frames, WINDOW_UPDATE, 0, 0, payload, sizeof payload);
    n += put_frame(frames + n, WINDOW_UPDATE, 0, id, payload, sizeof payload);
    peer_send(&c->peer, frames, n);
}

static void reset_stream(struct client *c, uint32_t id, uint32_t error)
{
    uint8_t payload[4];
    write32(payload, error);
    send_frame(c, RST_STREAM, 0, id, payload, sizeof payload);
}

static struct reply *reply_of(struct client *c, uint32_t id)
{
    for (unsigned i = 0; i < c->reply_count; i++)
        if (c->replies[i].id == id)
            return &c->replies[i];
    assert_true(c->reply_count < REPLIES);
    struct reply *r = &c->replies[c->reply_count++];
    *r = (struct reply){.id = id, .patterned = true};
    return r;
}

static void read_headers(struct client *c, struct reply *r, const uint8_t *at, size_t length)
{
    char *text = r->blocks++ == 0 ? r->headers : r->trailers;
    size_t size = text == r->headers ? sizeof r->headers : sizeof r->trailers;
    hpack_begin_block(&c->decoder, c->fields, sizeof c->fields, 65536);
    for (;;) {
        struct hpack_step step = hpack_decode(&c->decoder, at, length);
        at += step.consumed;
        length -= step.consumed;
        if (step.event == HPACK_NEED_MORE)
            break;
        assert_int_equal(step.event, HPACK_FIELD);
        size_t used = strlen(text);
        int n = snprintf(text + used, size - used, "%.*s: %.*s\n", (int)step.name.length, step.name.at,
                         (int)step.value.length, step.value.at);
        assert_true(n > 0 && (size_t)n < size - used);
    }
    assert_int_equal(hpack_end_block(&c->decoder), HPACK_OK);
}

static void read_data(struct client *c, struct reply *r, const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        size_t position = r->length + i;
        if (position < sizeof r->data)
            r->data[position] = at[i];
        if (position >= GRPC_PREFIX && at[i] != pattern((uint32_t)(position - GRPC_PREFIX)))
            r->patterned = false;
    }
    r->length += length;
    r->frames++;
    if (c->gives_back && length > 0)
        give_back(c, r->id, (uint32_t)length);
}

static void read_stream_frame(struct client *c, unsigned type, unsigned flags, uint32_t id, const uint8_t *at,
                              size_t length)
{
    struct reply *r = reply_of(c, id);
    assert_false(r->reset);
    assert_true(!r->ended || type == RST_STREAM);
    if (type == HEADERS) {
        assert_true(flags & END_HEADERS);
        read_headers(c, r, at, length);
    } else if (type == DATA) {
        assert_int_equal(r->blocks, 1);
        read_data(c, r, at, length);
    } else {
        assert_int_equal(length, 4);
        r->reset = true;
        r->error = read32(at);
    }
    r->ended = r->ended || (type != RST_STREAM && (flags & END_STREAM) != 0);
}

static void read_settings(struct client *c, const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i += 6)
        if (at[i] == 0 && at[i + 1] == 1)
            c->table_size = read32(at + i + 2);
}

static void read_frame(struct client *c, unsigned type, unsigned flags, uint32_t id, const uint8_t *at, size_t length)
{
    switch (type) {
    case DATA:
    case HEADERS:
    case RST_STREAM:
        read_stream_frame(c, type, flags, id, at, length);
        break;
    case SETTINGS:
        assert_true(c->settings + c->settings_acks > 0 || (flags & ACK) == 0); // first of all
        *((flags & ACK) != 0 ? &c->settings_acks : &c->settings) += 1;
        read_settings(c, at, length);
        break;
    case PING:
        *((flags & ACK) != 0 ? &c->pongs : &c->pings) += 1;
        break;
    case WINDOW_UPDATE:
        c->window_updates++;
        break;
    case GOAWAY:
        c->goaway = true;
        c->goaway_last = read32(at);
        c->goaway_error = read32(at + 4);
        snprintf(c->debug, sizeof c->debug, "%.*s", (int)(length - 8), (const char *)at + 8);
        break;
    default:
        fail_msg("a frame of type %u", type);
    }
}

// Takes a frame off the front of what was received; what it brings may make more arrive.
static bool next_frame(struct client *c, uint8_t frame[H2_FRAME_HEADER + H2_FRAME_MAX])
{
    struct peer *p = &c->peer;
    size_t length = p->length < H2_FRAME_HEADER ? 0 : H2_FRAME_HEADER + (read32(p->received) >> 8);
    assert_true(length <= H2_FRAME_HEADER + H2_FRAME_MAX);
    if (length == 0 || p->length < length)
        return false;
    memcpy(frame, p->received, length);
    memmove(p->received, p->received + length, p->length - length);
    p->length -= length;
    return true;
}

static void read_frames(struct client *c)
{
    uint8_t frame[H2_FRAME_HEADER + H2_FRAME_MAX];
    while (next_frame(c, frame))
        read_frame(c, frame[3], frame[4], read32(frame + 5), frame + H2_FRAME_HEADER, read32(frame) >> 8);
}

static void run(struct client *c, uint32_t ms)
{
    for (; ms > 0; ms--) {
        peer_run(1);
        read_frames(c);
    }
}

static void greet_with(struct client *c, const uint8_t *settings, size_t length)
{
    uint8_t bytes[H2_PREFACE_BYTES + H2_FRAME_HEADER + 32];
    memcpy(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H2_PREFACE_BYTES);
    send_bytes(c, bytes, H2_PREFACE_BYTES + put_frame(bytes + H2_PREFACE_BYTES, SETTINGS, 0, 0, settings, length));
}

static void dial(struct client *c, uint16_t port)
{
    uint32_t address = c->peer.address;
    uint32_t window = c->peer.window;
    memset(c, 0, sizeof *c);
    c->peer.address = address;
    c->peer.window = window;
    c->next_id = 1;
    c->table_size = 4096; // RFC 9113 section 6.5.2
    hpack_begin(&c->decoder, c->table, sizeof c->table);
    if (address == LOOPBACK)
        dial_loopback(c, port);
    else
        peer_open(&c->peer, port);
}

static void begin_with(struct client *c, const uint8_t *settings, size_t length)
{
    dial(c, RPC_VERIFY_PORT);
    greet_with(c, settings, length);
    run(c, 2);
    assert_int_equal(c->settings, 1);
    assert_int_equal(c->settings_acks, 1);
    send_frame(c, SETTINGS, ACK, 0, NULL, 0);
}

static void begin(struct client *c)
{
    begin_with(c, NULL, 0);
}

static void begin_on_loopback(struct client *c)
{
    c->peer.address = LOOPBACK;
    begin(c);
}

// The peer's initial window.
static void begin_with_window(struct client *c, uint32_t window)
{
    uint8_t setting[6] = {0, 4};
    write32(setting + 2, window);
    begin_with(c, setting, sizeof setting);
}

static size_t encode(uint8_t *at, size_t size, const char *lines)
{
    struct hpack_block block = hpack_block_in(at, size);
    struct span rest = span_of(lines);
    while (rest.length > 0) {
        struct span line = span_cut(&rest, '\n');
        struct span name = {line.at, line.at[0] == ':' ? 1 : 0};
        while (line.at[name.length] != ':')
            name.length++;
        hpack_put(&block, name, span_behind(line, name.length + 2), HPACK_WITHOUT_INDEXING);
    }
    assert_false(block.cut);
    return block.length;
}

static uint32_t send_headers(struct client *c, const char *lines, unsigned flags)
{
    uint8_t bytes[12000];
    uint32_t id = c->next_id;
    c->next_id += 2;
    send_frame(c, HEADERS, END_HEADERS | flags, id, bytes, encode(bytes, sizeof bytes, lines));
    return id;
}

#define FRONT ":method: POST\n:scheme: http\n:authority: pipit\n"
#define GRPC  "te: trailers\ncontent-type: application/grpc\n"
#define SHOWN "authorization: Bearer Sesame\n"

static const char *shown; // by calls: SHOWN, or nothing

// The headers of a call, with more lines behind them.
static uint32_t open_call_with(struct client *c, const char *path, const char *more)
{
    char lines[9000];
    snprintf(lines, sizeof lines, FRONT ":path: %s\n" GRPC "%s%s", path, shown, more);
    return send_headers(c, lines, 0);
}

static uint32_t open_call(struct client *c, const char *path)
{
    return open_call_with(c, path, "");
}

static void send_data(struct client *c, uint32_t id, const void *bytes, size_t length, bool end)
{
    send_frame(c, DATA, end ? END_STREAM : 0, id, bytes, length);
}

static void send_message(struct client *c, uint32_t id, const char *text, bool end)
{
    uint8_t bytes[GRPC_PREFIX + 4000];
    size_t length = strlen(text);
    grpc_put_prefix(bytes, (uint32_t)length);
    memcpy(bytes + GRPC_PREFIX, text, length);
    send_data(c, id, bytes, GRPC_PREFIX + length, end);
}

// A whole call, answered.
static struct reply *call_with(struct client *c, const char *path, const char *more, const char *message)
{
    uint32_t id = open_call_with(c, path, more);
    send_message(c, id, message, true);
    run(c, 3);
    return reply_of(c, id);
}

static struct reply *call(struct client *c, const char *path, const char *message)
{
    return call_with(c, path, "", message);
}

/// What a reply has to be ///

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in: %s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("there is '%s' in: %s", part, text);
}

static void assert_good_headers(const struct reply *r)
{
    static const char front[] = ":status: 200\ncontent-type: application/grpc\ngrpc-accept-encoding: identity\n";
    assert_memory_equal(r->headers, front, sizeof front - 1);
}

static void assert_good(const struct reply *r, const char *message)
{
    uint8_t prefix[GRPC_PREFIX];
    grpc_put_prefix(prefix, (uint32_t)strlen(message));
    assert_true(r->ended);
    assert_false(r->reset);
    assert_int_equal(r->blocks, 2);
    assert_good_headers(r);
    assert_int_equal(r->length, GRPC_PREFIX + strlen(message));
    assert_memory_equal(r->data, prefix, sizeof prefix);
    assert_memory_equal(r->data + GRPC_PREFIX, message, strlen(message));
    assert_memory_equal(r->trailers, "grpc-status: 0\n", 15);
    assert_lacks(r->trailers, "grpc-message");
}

// Trailers-Only. `part` is part of its grpc-message.
static void assert_failed(const struct reply *r, unsigned status, const char *part)
{
    char line[40];
    snprintf(line, sizeof line, "\ngrpc-status: %u\n", status);
    assert_true(r->ended);
    assert_int_equal(r->blocks, 1);
    assert_int_equal(r->length, 0);
    assert_memory_equal(r->headers, ":status: 200\ncontent-type: application/grpc\n", 44);
    assert_has(r->headers, line);
    assert_has(r->headers, "\ngrpc-message: ");
    assert_has(strstr(r->headers, "\ngrpc-message: "), part);
}

static void assert_refused(const struct reply *r, unsigned status)
{
    char front[80], length[40];
    snprintf(front, sizeof front, ":status: %u\ncontent-type: text/plain; charset=utf-8\n", status);
    snprintf(length, sizeof length, "\ncontent-length: %zu\n", r->length);
    assert_true(r->ended);
    assert_int_equal(r->blocks, 1);
    assert_memory_equal(r->headers, front, strlen(front));
    assert_has(r->headers, length);
    assert_lacks(r->headers, "grpc-status");
    assert_true(r->length > 20);
}

static void assert_reset(const struct reply *r, uint32_t error)
{
    assert_true(r->reset);
    assert_int_equal(r->error, error);
}

static void assert_nothing(const struct reply *r)
{
    assert_int_equal(r->blocks, 0);
    assert_int_equal(r->length, 0);
    assert_false(r->ended);
    assert_false(r->reset);
}

// The connection is as good as new.
static void assert_lives(struct client *c)
{
    assert_false(c->goaway);
    assert_good(call(c, "/test.Test/Echo", "still here"), "still here");
}

/// lwIP's memory ///

static struct tcp_seg *taken[MEMP_NUM_TCP_SEG + 1];
static size_t taken_count;

static void take_all_segments(void)
{
    while ((taken[taken_count] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        taken_count++;
}

static void give_segments_back(void)
{
    while (taken_count > 0)
        memp_free(MEMP_TCP_SEG, taken[--taken_count]);
}

/// Setting up and taking down ///

static int setup(void **state)
{
    (void)state;
    memset(&service, 0, sizeof service);
    memset(&rpc_server_counters, 0, sizeof rpc_server_counters);
    shown = SHOWN;
    strcpy(rpc_settings.secret, "Sesame");
    restart(1);
    interop_settings.enabled = off_enabled = 0;
    net_settings.per_address = 0;
    peer_link_down = false;
    machine_console_clear();
    return 0;
}

// After each test every call, connection and buffer is free again, and the service was told the end of each call.
static int teardown(void **state)
{
    (void)state;
    give_segments_back();
    for (size_t i = 0; i < COUNT(clients); i++)
        if (clients[i].net != NULL)
            net_abort(clients[i].net);
        else if (clients[i].peer.port != 0 && clients[i].peer.synchronized && !clients[i].peer.reset)
            peer_abort(&clients[i].peer);
    peer_turn();
    peer_turn();
    for (size_t i = 0; i < COUNT(clients); i++)
        peer_forget(&clients[i].peer);
    peer_run(20000); // everything lingering is let go
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(service.held_count, 0);
    assert_true(service.ended >= service.begun);
    assert_int_equal(machine_pools_used(), 0);
    return 0;
}

/// Good calls ///

static void test_a_call(void **state)
{
    (void)state;
    begin(first);
    assert_good(call(first, "/test.Test/Echo", "hello"), "hello");
    assert_int_equal(service.begun, 1);
    assert_int_equal(service.ended, 1);
    assert_true(service.deadline == UINT64_MAX);
    assert_int_equal(rpc_server_counters.calls, 1);
    assert_int_equal(rpc_server_counters.replies[GRPC_OK], 1);
    assert_int_equal(rpc_server_counters.cancelled, 0);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(rpc_server_connections(), 1);
    assert_lives(first);
}

static void test_both_ports(void **state)
{
    (void)state;
    dial(first, RPC_STATUS_PORT);
    greet_with(first, NULL, 0);
    run(first, 2);
    assert_good(call(first, "/test.Test/Echo", "over there"), "over there");
}

static void test_an_empty_message(void **state)
{
    (void)state;
    begin(first);
    assert_good(call(first, "/test.Test/Echo", ""), "");
    assert_good(call(first, "/test.Roomy/Echo", ""), "");
    assert_int_equal(service.room_calls, 0);
    assert_int_equal(service.begun, 2);
}

static void test_the_longest_message(void **state)
{
    (void)state;
    char message[RPC_MESSAGE + 1];
    memset(message, 'm', RPC_MESSAGE);
    message[RPC_MESSAGE] = '\0';
    begin(first);
    assert_good(call(first, "/test.Test/Echo", message), message);
}

// Everything that a client says, in segments of one byte.
static void test_byte_by_byte(void **state)
{
    (void)state;
    uint8_t bytes[1000];
    uint8_t block[500];
    size_t n = H2_PREFACE_BYTES;
    memcpy(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", n);
    n += put_frame(bytes + n, SETTINGS, 0, 0, NULL, 0);
    size_t length = encode(block, sizeof block, FRONT ":path: /test.Test/Echo\n" GRPC SHOWN "x-meta: data\n");
    n += put_frame(bytes + n, HEADERS, 0, 1, block, 30);
    n += put_frame(bytes + n, CONTINUATION, END_HEADERS, 1, block + 30, length - 30);
    n += put_frame(bytes + n, DATA, 0, 1, "\0\0\0\0\5he", 7);
    n += put_frame(bytes + n, DATA, END_STREAM, 1, "llo", 3);
    dial(first, RPC_VERIFY_PORT);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(service.begun, 0);
        peer_send(&first->peer, bytes + i, 1);
        run(first, 1);
    }
    run(first, 2);
    assert_good(reply_of(first, 1), "hello");
    assert_string_equal(service.metadata, "x-meta=data;");
}

// What a small reply takes goes out in one segment.
static void test_one_segment_a_reply(void **state)
{
    (void)state;
    begin(first);
    run(first, 5);
    unsigned before = first->peer.segments;
    assert_good(call(first, "/test.Test/Echo", "hello"), "hello");
    assert_int_equal(first->peer.segments, before + 1);
}

static void test_a_later_reply(void **state)
{
    (void)state;
    begin(first);
    uint32_t one = open_call(first, "/test.Test/Hold");
    send_message(first, one, "one", true);
    uint32_t two = open_call(first, "/test.Test/Hold");
    send_message(first, two, "two", true);
    run(first, 60000);
    assert_nothing(reply_of(first, one));
    assert_int_equal(rpc_server_calls(), 2);
    rpc_reply(service.held[1], span_of("2"));
    run(first, 2);
    assert_good(reply_of(first, two), "2");
    assert_nothing(reply_of(first, one));
    rpc_fail(service.held[0], GRPC_NOT_FOUND, span_of("no such thing"));
    run(first, 2);
    assert_failed(reply_of(first, one), GRPC_NOT_FOUND, "no such thing");
    assert_int_equal(service.ended, 2);
}

// The loop must not sleep on it.
static void test_a_reply_wakes_the_loop(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "", true);
    run(first, 5);
    assert_false(net_pending());
    rpc_reply(service.held[0], span_of("now"));
    assert_true(net_pending());
    run(first, 2);
    assert_good(reply_of(first, id), "now");
}

static void test_only_the_first_answer_counts(void **state)
{
    (void)state;
    begin(first);
    assert_good(call(first, "/test.Test/Thrice", ""), "first");
    assert_int_equal(service.ended, 1);
}

static void test_a_reply_that_is_too_large(void **state)
{
    (void)state;
    begin(first);
    assert_failed(call(first, "/test.Test/TooLarge", ""), GRPC_INTERNAL, "larger than a message");
}

static void test_a_service_without_functions(void **state)
{
    (void)state;
    begin(first);
    assert_good(call_with(first, "/test.Plain/Echo", "x-meta: data\n", "plain"), "plain");
}

static void test_all_streams_at_once(void **state)
{
    (void)state;
    uint32_t ids[RPC_STREAMS];
    begin(first);
    for (size_t i = 0; i < RPC_STREAMS; i++) {
        char text[8];
        snprintf(text, sizeof text, "%zu", i);
        ids[i] = open_call(first, "/test.Test/Hold");
        send_message(first, ids[i], text, true);
    }
    run(first, 5);
    assert_int_equal(rpc_server_calls(), RPC_STREAMS);
    // One more than was announced: the client may try it again.
    uint32_t more = open_call(first, "/test.Test/Hold");
    run(first, 2);
    assert_reset(reply_of(first, more), H2_REFUSED_STREAM);
    while (service.held_count > 0) {
        size_t before = service.held_count;
        rpc_reply(service.held[before - 1], span_of("done"));
        run(first, 2);
        assert_int_equal(service.held_count, before - 1);
    }
    for (size_t i = 0; i < RPC_STREAMS; i++)
        assert_good(reply_of(first, ids[i]), "done");
    assert_false(first->goaway);
}

// Answers for many calls in one turn: each is whole, and none waits for another.
static void test_many_answers_in_one_turn(void **state)
{
    (void)state;
    uint32_t ids[RPC_STREAMS];
    begin(first);
    for (size_t i = 0; i < RPC_STREAMS; i++) {
        ids[i] = open_call(first, "/test.Test/Hold");
        send_message(first, ids[i], "", true);
    }
    run(first, 5);
    for (size_t i = 0; i < RPC_STREAMS; i++)
        rpc_reply(service.held[i], span_of("all at once"));
    run(first, 20);
    for (size_t i = 0; i < RPC_STREAMS; i++)
        assert_good(reply_of(first, ids[i]), "all at once");
    for (size_t i = 0; i < RPC_STREAMS; i++)
        assert_int_equal(reply_of(first, ids[i])->frames, 1); // not in crumbs where a segment ends
}

/// Metadata ///

static void test_metadata(void **state)
{
    (void)state;
    service.put_length = 100;
    begin(first);
    struct reply *r = call_with(first, "/test.Test/Echo",
                                "x-one: 1\ngrpc-timeout: 5S\nuser-agent: test\ngrpc-other: no\nx-two-bin: AQI\n"
                                "authorization: Bearer none\naccept: text\n",
                                "hi");
    assert_string_equal(service.metadata, "x-one=1;x-two-bin=AQI;accept=text;");
    assert_good(r, "hi");
    assert_has(r->headers, "\nx-first: !!!!!");
    assert_has(r->trailers, "\nx-last: !!!!!");
    // Trailers-Only has that of the trailers.
    r = call_with(first, "/test.Test/Fail", "x-one: 1\n", "9 no");
    assert_failed(r, 9, "no");
    assert_has(r->headers, "\nx-last: !!!!!");
    assert_lacks(r->headers, "x-first");
    // Who was never told the call is not asked.
    service.metadata[0] = '\0';
    r = call_with(first, "/test.Open/Echo", "x-one: 1\n", "hi");
    assert_good(r, "hi");
    assert_string_equal(service.metadata, "");
}

// Told before the headers are known to be good, so the service must be told the end too.
static void test_metadata_of_a_refused_call(void **state)
{
    (void)state;
    service.put_length = 10;
    begin(first);
    struct reply *r = call_with(first, "/test.Test/Nothing", "x-one: 1\n", "");
    assert_failed(r, GRPC_UNIMPLEMENTED, "unknown method Nothing");
    assert_int_equal(service.ended, 1);
    assert_int_equal(service.begun, 0);
    // Headers that turn out to be malformed.
    uint32_t id = send_headers(first, FRONT ":path: /test.Test/Echo\n" GRPC "x-one: 1\nconnection: close\n", 0);
    run(first, 2);
    assert_reset(reply_of(first, id), H2_PROTOCOL_ERROR);
    assert_int_equal(service.ended, 2);
    assert_lives(first);
}

static void test_metadata_that_fits_nowhere(void **state)
{
    (void)state;
    service.put_length = 4000;
    begin(first);
    assert_reset(call_with(first, "/test.Test/Echo", "x-one: 1\n", ""), H2_INTERNAL_ERROR);
    assert_int_equal(service.ended, 1);
    service.put_length = 0;
    assert_lives(first);
}

/// What is no gRPC, and what is no call of ours ///

static void test_not_grpc(void **state)
{
    (void)state;
    begin(first);
    uint32_t get = send_headers(first, ":method: GET\n:scheme: http\n:authority: pipit\n:path: /\n", END_STREAM);
    uint32_t json =
        send_headers(first, FRONT ":path: /test.Test/Echo\ncontent-type: application/grpc+json\nx-one: 1\n", 0);
    uint32_t none = send_headers(first, FRONT ":path: /test.Test/Echo\n", END_STREAM);
    run(first, 3);
    assert_refused(reply_of(first, get), 415);
    assert_refused(reply_of(first, none), 415);
    assert_refused(reply_of(first, json), 415);
    assert_has((char *)reply_of(first, get)->data, "application/grpc");
    assert_false(reply_of(first, json)->reset);
    send_data(first, json, "{}", 2, true);
    run(first, 2);
    assert_false(reply_of(first, json)->reset);
    assert_int_equal(rpc_server_counters.refused, 3);
    assert_int_equal(rpc_server_counters.calls, 0);
    assert_int_equal(service.begun, 0);
    assert_lives(first);
}

static void test_other_methods(void **state)
{
    (void)state;
    begin(first);
    uint32_t put = send_headers(first, ":method: PUT\n:scheme: http\n:path: /test.Test/Echo\n" GRPC, END_STREAM);
    uint32_t get = send_headers(first, ":method: GET\n:scheme: http\n:path: /test.Test/Echo\n" GRPC, END_STREAM);
    uint32_t head = send_headers(first, ":method: HEAD\n:scheme: http\n:path: /\n", END_STREAM);
    uint32_t head_grpc = send_headers(first, ":method: HEAD\n:scheme: http\n:path: /\n" GRPC, END_STREAM);
    run(first, 3);
    assert_refused(reply_of(first, put), 405);
    assert_has(reply_of(first, put)->headers, "\nallow: POST\n");
    assert_refused(reply_of(first, get), 405);
    // RFC 9110 section 9.3.2: no content.
    struct reply *r = reply_of(first, head);
    assert_true(r->ended && r->length == 0 && r->frames == 0);
    assert_has(r->headers, ":status: 415\n");
    assert_lacks(r->headers, "content-length: 0");
    assert_has(reply_of(first, head_grpc)->headers, ":status: 405\n");
    assert_int_equal(reply_of(first, head_grpc)->length, 0);
    assert_lives(first);
}

static void test_large_headers(void **state)
{
    (void)state;
    char lines[9200] = "x-large: ";
    begin(first);
    memset(lines + 9, 'x', 8300);
    strcpy(lines + 9 + 8300, "\n");
    uint32_t id = open_call_with(first, "/test.Test/Echo", lines);
    send_message(first, id, "", true);
    run(first, 3);
    assert_refused(reply_of(first, id), 431);
    assert_int_equal(service.begun, 0);
    assert_lives(first);
}

static void test_unknown_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *says;
    } rows[] = {
        {"/test.Nobody/Echo", "unknown service test.Nobody"},
        {"/test.Test/Nothing", "unknown method Nothing"},
        {"/test.Test/echo", "unknown method echo"}, // case matters
        {"/test.Off/Echo", "unknown service test.Off"},
        {"/Test/Echo", "unknown service Test"},
        {"/", "path"},
        {"/test.Test", "path"},
        {"/test.Test/", "path"},
        {"//Echo", "path"},
        {"/test.Test/Echo/", "path"},
        {"/test.Test/Echo/More", "path"},
        {"*", "path"},
        {"/test.Test/Echo?x=/y", "path"},
        {"/test.Test/Echo?x", "unknown method Echo?x"},
        {"/caf\xc3\xa9/Echo", "unknown service caf%C3%A9"},
    };
    begin(first);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_failed(call(first, rows[i].path, "hello"), GRPC_UNIMPLEMENTED, rows[i].says);
    assert_int_equal(service.begun, 0);
    assert_int_equal(rpc_server_counters.calls, 0);
    assert_int_equal(rpc_server_counters.replies[GRPC_UNIMPLEMENTED], COUNT(rows));
    assert_int_equal(service.puts, 0);
    off_enabled = 1;
    assert_good(call(first, "/test.Off/Echo", "on"), "on");
    assert_lives(first);
}

static void test_a_long_path(void **state)
{
    (void)state;
    char path[3000];
    begin(first);
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[2000] = '/';
    path[sizeof path - 1] = '\0';
    struct reply *r = call(first, path, "");
    assert_int_equal(r->blocks, 1);
    assert_has(r->headers, "\ngrpc-status: 12\n");
    assert_true(strlen(strstr(r->headers, "grpc-message: ")) <= 14 + GRPC_MESSAGE_MAX + 1);
    // The whole of the name counts, not the part that is kept.
    path[1] = '\0';
    strcpy(path, "/test.Test/Echo");
    memset(path + strlen(path), 'o', 900);
    path[800] = '\0';
    assert_failed(call(first, path, ""), GRPC_UNIMPLEMENTED, "unknown method Echooo");
    assert_int_equal(service.begun, 0);
}

static void test_content_types_of_grpc(void **state)
{
    (void)state;
    static const char *const types[] = {"application/grpc+proto", "application/grpc;charset=utf-8"};
    begin(first);
    for (size_t i = 0; i < COUNT(types); i++) {
        char lines[300];
        snprintf(lines, sizeof lines, FRONT ":path: /test.Test/Echo\n" SHOWN "content-type: %s\n",
                 types[i]); // and no te
        uint32_t id = send_headers(first, lines, 0);
        send_message(first, id, "hello", true);
        run(first, 3);
        assert_good(reply_of(first, id), "hello");
    }
}

/// Statuses ///

static void test_a_status_message(void **state)
{
    (void)state;
    begin(first);
    struct reply *r = call(first, "/test.Test/Fail", "2 \t\ntest with whitespace\r\nand \xe2\x98\xba\t\n");
    assert_failed(r, 2, "grpc-message: %09%0Atest with whitespace%0D%0Aand %E2%98%BA%09%0A\n");
    r = call(first, "/test.Test/Fail", "3");
    assert_has(r->headers, "\ngrpc-status: 3\n");
    assert_lacks(r->headers, "grpc-message");
    r = call(first, "/test.Test/Fail", "77 odd");
    assert_failed(r, 77, "odd");
    assert_int_equal(rpc_server_counters.replies[GRPC_UNKNOWN], 2);
    assert_int_equal(rpc_server_counters.replies[GRPC_INVALID_ARGUMENT], 1);
}

// 120 bytes at most, and not within a character.
static void test_a_long_status_message(void **state)
{
    (void)state;
    static const struct {
        size_t letters;
        const char *end;
    } rows[] = {{119, ""}, {118, "%C3%A9"}, {117, "a%C3%A9"}};
    begin(first);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[200] = "4 ";
        char line[200] = "grpc-message: ";
        memset(message + 2, 'a', rows[i].letters);
        strcpy(message + 2 + rows[i].letters, i == 2 ? "a\xc3\xa9tail" : "\xc3\xa9tail");
        memset(line + 14, 'a', rows[i].letters);
        strcpy(line + 14 + rows[i].letters, rows[i].end);
        strcat(line, "\n");
        assert_failed(call(first, "/test.Test/Fail", message), 4, line);
    }
}

/// Messages that are none ///

struct wrong {
    const char *bytes;
    size_t length;
    const char *more; // header fields
    unsigned status;
    const char *says;
};

#define WRONG(bytes, more, status, says)                                                                               \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1, more, status, says                                                                   \
    }

static void test_wrong_messages(void **state)
{
    (void)state;
    static const struct wrong rows[] = {
        WRONG("", "", GRPC_UNIMPLEMENTED, "without a message"),
        WRONG("\0\0\0", "", GRPC_INTERNAL, "within a message"),
        WRONG("\0\0\0\0\5hell", "", GRPC_INTERNAL, "within a message"),
        WRONG("\0\0\0\0\5hello\0", "", GRPC_UNIMPLEMENTED, "more than one message"),
        WRONG("\0\0\0\0\1a\0\0\0\0\1b", "", GRPC_UNIMPLEMENTED, "more than one message"),
        WRONG("\3\0\0\0\1a", "", GRPC_INTERNAL, "neither 0 nor 1"),
        WRONG("\1\0\0\0\1a", "grpc-encoding: gzip\n", GRPC_UNIMPLEMENTED, "only identity"),
        WRONG("\1\0\0\0\1a", "grpc-encoding: identity\n", GRPC_INTERNAL, "no grpc-encoding"),
        WRONG("\1\0\0\0\1a", "", GRPC_INTERNAL, "no grpc-encoding"),
        WRONG("\0\0\0\2\x81", "", GRPC_RESOURCE_EXHAUSTED, "larger than"), // RPC_MESSAGE + 1
        WRONG("\0\377\377\377\377", "", GRPC_RESOURCE_EXHAUSTED, "larger than"),
    };
    begin(first);
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t id = open_call_with(first, "/test.Test/Echo", rows[i].more);
        send_data(first, id, rows[i].bytes, rows[i].length, true);
        run(first, 3);
        struct reply *r = reply_of(first, id);
        assert_failed(r, rows[i].status, rows[i].says);
        assert_false(r->reset);
        bool tells = strstr(r->headers, "grpc-accept-encoding: identity\n") != NULL;
        assert_int_equal(tells, rows[i].bytes[0] == 1);
    }
    assert_int_equal(service.begun, 0);
    assert_int_equal(service.ended, COUNT(rows));
    // An encoding that is not used does no harm; END_STREAM on HEADERS is no message either.
    assert_good(call_with(first, "/test.Test/Echo", "grpc-encoding: gzip\n", "as it is"), "as it is");
    uint32_t id = send_headers(first, FRONT ":path: /test.Test/Echo\n" GRPC SHOWN, END_STREAM);
    run(first, 3);
    assert_failed(reply_of(first, id), GRPC_UNIMPLEMENTED, "without a message");
    assert_lives(first);
}

// The answer does not wait for the end of a message that will not be taken.
static void test_an_early_answer(void **state)
{
    (void)state;
    static const uint8_t prefix[] = {0, 0, 16, 0, 0};
    static const uint8_t zeros[8192];
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Echo");
    send_data(first, id, prefix, sizeof prefix, false);
    run(first, 2);
    struct reply *r = reply_of(first, id);
    assert_failed(r, GRPC_RESOURCE_EXHAUSTED, "larger than");
    assert_int_equal(service.ended, 1);
    assert_int_equal(rpc_server_calls(), 1);
    // What comes is thrown away; the client that ends in time is not reset.
    send_data(first, id, zeros, sizeof zeros, false);
    send_data(first, id, zeros, sizeof zeros, true);
    run(first, 2);
    assert_false(r->reset);
    assert_int_equal(rpc_server_calls(), 0);
    assert_lives(first);
}

static void test_a_client_that_goes_on_after_the_answer(void **state)
{
    (void)state;
    static const uint8_t zeros[8192];
    begin(first);
    uint32_t id = open_call(first, "/test.Nobody/Echo");
    run(first, 2);
    struct reply *r = reply_of(first, id);
    assert_failed(r, GRPC_UNIMPLEMENTED, "unknown service");
    for (int i = 0; i < 8; i++) {
        send_data(first, id, zeros, sizeof zeros, false);
        run(first, 2);
        assert_false(r->reset);
    }
    send_data(first, id, zeros, sizeof zeros, false);
    run(first, 2);
    assert_reset(r, H2_NO_ERROR);
    assert_int_equal(rpc_server_calls(), 0);
    assert_true(first->window_updates > 0);
    // Or that does nothing at all.
    id = open_call(first, "/test.Nobody/Echo");
    run(first, 4990);
    r = reply_of(first, id);
    assert_failed(r, GRPC_UNIMPLEMENTED, "unknown service");
    assert_false(r->reset);
    run(first, 20);
    assert_reset(r, H2_NO_ERROR);
    assert_lives(first);
}

static void test_room_of_a_service(void **state)
{
    (void)state;
    char message[1900 + 1];
    uint8_t bytes[GRPC_PREFIX + 1900];
    memset(message, 'r', 1900);
    message[1900] = '\0';
    begin(first);
    uint32_t id = open_call(first, "/test.Roomy/Hold");
    grpc_put_prefix(bytes, 1900);
    memcpy(bytes + GRPC_PREFIX, message, 1900);
    service.request[0] = '\0';
    send_data(first, id, bytes, 5, false); // the prefix alone asks for room at once
    run(first, 1);
    assert_int_equal(service.room_calls, 1);
    send_data(first, id, bytes + 5, 1000, false);
    assert_int_equal(service.begun, 0);
    send_data(first, id, bytes + 1005, 900, false);
    (void)message;
    reset_stream(first, id, H2_CANCEL);
    run(first, 2);
    assert_int_equal(service.ended, 1);
    assert_int_equal(service.rooms, 0);
    // One has the room, the other is refused.
    id = open_call(first, "/test.Roomy/Hold");
    send_data(first, id, "\0\0\0\0\5roo", 8, false);
    uint32_t other = open_call(first, "/test.Roomy/Hold");
    send_data(first, other, "\0\0\0\0\5roomy", 10, true);
    run(first, 2);
    assert_failed(reply_of(first, other), GRPC_RESOURCE_EXHAUSTED, "larger");
    // That one's end took the room away in this service; what still comes for the first is put where it was.
    send_data(first, id, "my", 2, true);
    run(first, 2);
    assert_string_equal(service.request, "roomy");
    rpc_reply(service.held[0], (struct span){(char *)service.room, 5});
    run(first, 2);
    assert_good(reply_of(first, id), "roomy");
}

/// Deadlines ///

static void test_bad_timeouts(void **state)
{
    (void)state;
    static const char *const bad[] = {"5", "S", "-1S", "123456789S", "1s", "1.5S"};
    begin(first);
    for (size_t i = 0; i < COUNT(bad); i++) {
        char more[60];
        snprintf(more, sizeof more, "grpc-timeout: %s\n", bad[i]);
        assert_failed(call_with(first, "/test.Test/Echo", more, "x"), GRPC_INTERNAL, "bad grpc-timeout");
    }
    assert_int_equal(service.begun, 0);
    assert_lives(first);
}

static void test_a_deadline(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call_with(first, "/test.Test/Hold", "grpc-timeout: 500m\n");
    uint64_t came = machine_now_ms;
    send_message(first, id, "x", true);
    run(first, 1);
    assert_int_equal(service.deadline, came + 500);
    run(first, (uint32_t)(came + 499 - machine_now_ms));
    assert_nothing(reply_of(first, id));
    assert_int_equal(service.ended, 0);
    assert_int_equal(wish, 1); // the loop would sleep until then
    run(first, 1);
    assert_int_equal(service.ended, 1);
    run(first, 1);
    assert_failed(reply_of(first, id), GRPC_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(rpc_server_counters.replies[GRPC_DEADLINE_EXCEEDED], 1);
    assert_lives(first);
}

static void test_no_time_at_all(void **state)
{
    (void)state;
    begin(first);
    assert_failed(call_with(first, "/test.Test/Echo", "grpc-timeout: 0m\n", "x"), GRPC_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(service.begun, 0);
    assert_int_equal(service.ended, 1);
    // Also when the request is whole at once.
    uint8_t bytes[400], block[300];
    size_t length = encode(block, sizeof block, FRONT ":path: /test.Test/Echo\n" GRPC SHOWN "grpc-timeout: 0m\n");
    size_t n = put_frame(bytes, HEADERS, END_HEADERS, first->next_id, block, length);
    n += put_frame(bytes + n, DATA, END_STREAM, first->next_id, "\0\0\0\0\1x", 6);
    peer_send(&first->peer, bytes, n);
    run(first, 2);
    assert_failed(reply_of(first, first->next_id), GRPC_DEADLINE_EXCEEDED, "deadline");
    assert_int_equal(service.begun, 0);
    assert_int_equal(service.ended, 2);
}

static void test_a_deadline_before_the_request_is_whole(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call_with(first, "/test.Test/Echo", "grpc-timeout: 1S\n");
    send_data(first, id, "\0\0\0\0\5he", 7, false);
    run(first, 990);
    assert_nothing(reply_of(first, id));
    run(first, 20);
    assert_failed(reply_of(first, id), GRPC_DEADLINE_EXCEEDED, "deadline");
    assert_reset(reply_of(first, id), H2_NO_ERROR);
    assert_int_equal(service.begun, 0);
    assert_int_equal(service.ended, 1);
    send_data(first, id, "llo", 3, true); // on the way when the reset was
    assert_lives(first);
}

static void test_a_request_that_takes_too_long(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call_with(first, "/test.Test/Echo", "grpc-timeout: 1H\n");
    run(first, 10000);
    send_data(first, id, "\0\0\0\0\5he", 7, false);
    run(first, 9990);
    assert_nothing(reply_of(first, id));
    run(first, 20);
    assert_failed(reply_of(first, id), GRPC_DEADLINE_EXCEEDED, "too long");
    assert_reset(reply_of(first, id), H2_NO_ERROR);
    assert_lives(first);
}

static void test_a_header_block_that_does_not_end(void **state)
{
    (void)state;
    uint8_t block[400];
    begin(first);
    size_t length = encode(block, sizeof block, FRONT ":path: /test.Test/Echo\n" GRPC "x-one: 1\nx-two: 2\n");
    send_frame(first, HEADERS, 0, 1, block, length);
    run(first, 19990);
    assert_false(first->goaway);
    run(first, 20);
    assert_true(first->goaway);
    assert_int_equal(first->goaway_error, H2_PROTOCOL_ERROR);
    run(first, 10);
    assert_true(first->peer.fin);
    assert_int_equal(service.ended, 1); // its first field of metadata was told
    assert_int_equal(rpc_server_calls(), 0);
}

// PROTOCOL-HTTP2: what is under way when the deadline passes is cancelled.
static void test_a_deadline_while_the_reply_is_sent(void **state)
{
    (void)state;
    begin_with_window(first, 10);
    uint32_t id = open_call_with(first, "/test.Test/Large", "grpc-timeout: 2S\n");
    send_message(first, id, "100", true);
    run(first, 1900);
    assert_int_equal(reply_of(first, id)->length, 10);
    assert_int_equal(service.ended, 0);
    run(first, 110);
    assert_reset(reply_of(first, id), H2_CANCEL);
    assert_int_equal(service.ended, 1);
    assert_int_equal(rpc_server_counters.cancelled, 1);
    assert_int_equal(rpc_server_calls(), 0);
}

static void test_a_late_answer_does_no_harm(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call_with(first, "/test.Test/Hold", "grpc-timeout: 1S\n");
    send_message(first, id, "x", true);
    run(first, 2);
    struct rpc_call *held = service.held[0];
    rpc_reply(held, span_of("in time"));
    machine_now_ms += 2000;
    rpc_fail(held, GRPC_ABORTED, span_of("too late"));
    run(first, 3);
    assert_true(reply_of(first, id)->reset || reply_of(first, id)->ended);
    assert_int_equal(service.ended, 1);
}

/// Cancellation ///

static void test_cancelled_at_every_step(void **state)
{
    (void)state;
    begin_with_window(first, 4);
    // Before a byte of the message, within its prefix, within the message.
    for (size_t n = 0; n <= 7; n++) {
        uint32_t id = open_call(first, "/test.Test/Echo");
        if (n > 0)
            send_data(first, id, "\0\0\0\0\5he", n, false);
        reset_stream(first, id, H2_CANCEL);
        run(first, 2);
        assert_nothing(reply_of(first, id));
        assert_int_equal(service.ended, n + 1);
        assert_int_equal(rpc_server_calls(), 0);
    }
    assert_int_equal(service.begun, 0);
    // While the service has it.
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    run(first, 2);
    assert_int_equal(service.held_count, 1);
    reset_stream(first, id, H2_CANCEL);
    run(first, 2);
    assert_int_equal(service.held_count, 0);
    assert_nothing(reply_of(first, id));
    // In the middle of the reply.
    id = open_call(first, "/test.Test/Echo");
    send_message(first, id, "hello", true);
    run(first, 2);
    assert_int_equal(reply_of(first, id)->length, 4);
    reset_stream(first, id, H2_CANCEL);
    run(first, 2);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(service.ended, 10);
    assert_int_equal(rpc_server_counters.cancelled, 10);
    // After an answer that came early: the service knows already.
    id = open_call_with(first, "/test.Test/Echo", "grpc-timeout: x\nx-one: 1\n");
    run(first, 2);
    assert_failed(reply_of(first, id), GRPC_INTERNAL, "timeout");
    assert_int_equal(service.ended, 11);
    reset_stream(first, id, H2_CANCEL);
    run(first, 2);
    assert_int_equal(service.ended, 11);
    assert_int_equal(rpc_server_counters.cancelled, 10);
    assert_int_equal(rpc_server_calls(), 0);
}

// An answer that is ready, and whose caller resets in the same segment as something else.
static void test_cancelled_before_the_answer_is_written(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    run(first, 2);
    rpc_reply(service.held[0], span_of("ready"));
    reset_stream(first, id, H2_CANCEL);
    run(first, 2);
    assert_int_equal(service.ended, 1);
    assert_lives(first);
}

static void lose_connection(void (*lose)(struct peer *p))
{
    begin_with_window(first, 4);
    uint32_t held = open_call(first, "/test.Test/Hold");
    send_message(first, held, "x", true);
    uint32_t coming = open_call(first, "/test.Test/Echo");
    send_data(first, coming, "\0\0\0\0\5he", 7, false);
    uint32_t going = open_call(first, "/test.Test/Echo");
    send_message(first, going, "hello", true);
    uint32_t answered = open_call_with(first, "/test.Test/Echo", "grpc-timeout: x\n");
    run(first, 2);
    assert_failed(reply_of(first, answered), GRPC_INTERNAL, "timeout");
    assert_int_equal(rpc_server_calls(), 4);
    lose(&first->peer);
    peer_run(3);
}

static void test_a_lost_connection(void **state)
{
    (void)state;
    lose_connection(peer_abort);
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(service.ended, 3);
    assert_int_equal(rpc_server_counters.cancelled, 3);
}

// A client that has said all it wants to say, but still listens.
static void test_a_client_that_ends_its_direction(void **state)
{
    (void)state;
    lose_connection(peer_close);
    // The incomplete ones are over; the others go on.
    assert_int_equal(rpc_server_calls(), 2);
    assert_int_equal(service.ended, 1);
    rpc_reply(service.held[0], span_of(""));
    run(first, 2);
    run(first, 1100); // its window is shut for good
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(rpc_server_connections(), 0);
    assert_true(first->peer.fin);
}

static void test_a_client_that_ends_right_behind_its_request(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    peer_close(&first->peer);
    run(first, 5);
    rpc_reply(service.held[0], span_of("for you"));
    run(first, 5);
    assert_good(reply_of(first, id), "for you");
    assert_true(first->peer.fin);
    assert_int_equal(rpc_server_connections(), 0);
}

static void answer_another(void)
{
    if (service.held_count > 0)
        rpc_reply(service.held[0], span_of("because another ended"));
}

// Services may answer from within `ended`.
static void test_an_end_that_answers_another(void **state)
{
    (void)state;
    service.in_end = answer_another;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    uint32_t other = open_call(first, "/test.Test/Hold");
    send_message(first, other, "x", true);
    run(first, 2);
    reset_stream(first, other, H2_CANCEL);
    run(first, 2);
    assert_good(reply_of(first, id), "because another ended");
}

/// Too many ///

// What strangers can have.
#define FOREIGN_CALLS       (RPC_CALLS / 2)
#define FOREIGN_CONNECTIONS (RPC_CONNECTIONS - RPC_CHANNELS)

// Calls of clients at `address`, the last of which comes when the others have taken `most`.
static struct client *take_calls(uint32_t address, uint32_t most)
{
    struct client *late = &clients[most / RPC_STREAMS];
    for (struct client *c = clients; c <= late; c++) {
        c->peer.address = address;
        begin(c);
        for (size_t n = 0; n < RPC_STREAMS && c < late; n++)
            send_message(c, open_call(c, "/test.Test/Hold"), "x", true);
        run(c, 2);
    }
    assert_int_equal(rpc_server_calls(), most);
    // It was not begun, so the client may repeat it.
    uint32_t id = open_call(late, "/test.Test/Echo");
    send_message(late, id, "x", true);
    run(late, 2);
    assert_reset(reply_of(late, id), H2_REFUSED_STREAM);
    assert_int_equal(rpc_server_counters.no_slot, 1);
    // One that is answered, but goes on sending, makes room.
    rpc_fail(service.held[0], GRPC_ABORTED, span_of("enough"));
    run(late, 2);
    uint32_t draining = open_call(late, "/test.Nobody/Echo");
    run(late, 2);
    assert_true(reply_of(late, draining)->ended);
    assert_int_equal(rpc_server_calls(), most);
    assert_good(call(late, "/test.Test/Echo", "room again"), "room again");
    assert_reset(reply_of(late, draining), H2_NO_ERROR);
    return late;
}

static void test_all_calls_taken(void **state)
{
    (void)state;
    take_calls(LOOPBACK, RPC_CALLS);
}

// Whatever strangers do, the gate has the other half.
static void test_all_calls_of_strangers_taken(void **state)
{
    (void)state;
    struct client *gate = take_calls(0, FOREIGN_CALLS) + 1;
    begin_on_loopback(gate);
    assert_lives(gate);
    uint32_t held = rpc_server_calls();
    for (size_t i = 0; i < RPC_STREAMS; i++)
        send_message(gate, open_call(gate, "/test.Test/Hold"), "x", true);
    run(gate, 2);
    assert_int_equal(rpc_server_calls(), held + RPC_STREAMS);
    assert_int_equal(rpc_server_counters.no_slot, 1);
}

// One that takes no byte of any refusal, from as many calls as strangers can have.
static void test_refusals_that_are_not_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < FOREIGN_CALLS / RPC_STREAMS; i++) {
        begin_with_window(&clients[i], 0);
        for (size_t n = 0; n < RPC_STREAMS; n++)
            send_headers(&clients[i], ":method: GET\n:scheme: http\n:path: /\n", END_STREAM);
        run(&clients[i], 2);
    }
    struct client *late = &clients[FOREIGN_CALLS / RPC_STREAMS];
    begin(late);
    assert_int_equal(rpc_server_calls(), FOREIGN_CALLS);
    assert_reset(call(late, "/test.Test/Echo", "x"), H2_REFUSED_STREAM);
    for (int i = 0; i < 5; i++) {
        run(first, 990);
        give_window(first, 1, 1); // one byte in a second is no progress
    }
    run(late, 200);
    run(first, 2);
    assert_int_equal(rpc_server_calls(), 0);
    assert_reset(reply_of(first, 1), H2_CANCEL);
    assert_true(reply_of(first, 1)->length > 0);
    assert_lives(late);
}

// Nor does a status for a stranger wait for long.
static void test_a_stranger_that_does_not_read(void **state)
{
    (void)state;
    begin(first);
    send_message(first, open_call(first, "/test.Test/Large"), "60000", true);
    first->peer.gone = true;
    send_message(first, open_call(first, "/test.Test/Fail"), "5 x", true);
    shown = "";
    send_message(first, open_call(first, "/test.Test/Echo"), "x", true);
    run(first, 4900);
    assert_int_equal(rpc_server_calls(), 3);
    run(first, 200);
    assert_int_equal(rpc_server_calls(), 2);
    assert_int_equal(rpc_server_counters.cancelled, 1);
    assert_int_equal(rpc_server_counters.replies[GRPC_UNAUTHENTICATED], 0);
    run(first, 24000); // a call of ours has its half minute
    assert_int_equal(rpc_server_calls(), 2);
}

static void fill_house(void)
{
    uint32_t before = rpc_server_connections();
    for (size_t i = 0; i < FOREIGN_CONNECTIONS; i++) {
        begin(&clients[i]);
        assert_good(call(&clients[i], "/test.Test/Echo", "in"), "in");
    }
    assert_int_equal(rpc_server_connections(), before + FOREIGN_CONNECTIONS);
}

static void test_the_longest_idle_makes_room(void **state)
{
    (void)state;
    struct client *newcomer = &clients[FOREIGN_CONNECTIONS];
    fill_house();
    // The first is busy, the second was heard of last.
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    run(first, 10);
    assert_good(call(&clients[1], "/test.Test/Echo", "in"), "in");
    begin(newcomer);
    assert_good(call(newcomer, "/test.Test/Echo", "me too"), "me too");
    run(&clients[2], 2);
    assert_true(clients[2].goaway);
    assert_int_equal(clients[2].goaway_error, H2_NO_ERROR);
    assert_int_equal(clients[2].goaway_last, 1);
    assert_has(clients[2].debug, "newcomer");
    assert_true(clients[2].peer.fin);
    assert_int_equal(rpc_server_counters.evicted, 1);
    assert_lives(&clients[1]);
    rpc_reply(service.held[0], span_of("done"));
    run(first, 2);
    assert_good(reply_of(first, id), "done");
}

static void test_a_full_house(void **state)
{
    (void)state;
    struct client *newcomer = &clients[FOREIGN_CONNECTIONS];
    for (size_t i = 0; i < FOREIGN_CONNECTIONS; i++) {
        begin(&clients[i]);
        send_message(&clients[i], open_call(&clients[i], "/test.Test/Hold"), "x", true);
        run(&clients[i], 1);
    }
    dial(newcomer, RPC_VERIFY_PORT);
    greet_with(newcomer, NULL, 0);
    run(newcomer, 5);
    assert_int_equal(newcomer->settings, 1);
    assert_true(newcomer->goaway);
    assert_int_equal(newcomer->goaway_error, H2_ENHANCE_YOUR_CALM);
    assert_true(newcomer->peer.fin);
    assert_int_equal(rpc_server_counters.turned_away, 1);
    assert_int_equal(rpc_server_counters.evicted, 0);
    assert_int_equal(service.held_count, FOREIGN_CONNECTIONS);
    // The gate has its own.
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        begin_on_loopback(&clients[FOREIGN_CONNECTIONS + i]);
        assert_lives(&clients[FOREIGN_CONNECTIONS + i]);
    }
    assert_int_equal(rpc_server_connections(), RPC_CONNECTIONS);
    assert_int_equal(rpc_server_counters.evicted, 0);
}

// A burst of newcomers does not push each other out, but those that bring nothing for a second may go.
static void test_newcomers_have_a_second(void **state)
{
    (void)state;
    struct client *newcomer = &clients[FOREIGN_CONNECTIONS];
    for (size_t i = 0; i < FOREIGN_CONNECTIONS; i++)
        dial(&clients[i], RPC_VERIFY_PORT);
    dial(newcomer, RPC_VERIFY_PORT);
    run(newcomer, 2);
    assert_true(newcomer->goaway);
    assert_int_equal(newcomer->goaway_error, H2_ENHANCE_YOUR_CALM);
    peer_abort(&newcomer->peer);
    peer_turn();
    peer_forget(&newcomer->peer);
    peer_run(1000);
    begin(newcomer);
    assert_good(call(newcomer, "/test.Test/Echo", "hello"), "hello");
    unsigned gone = 0;
    for (size_t i = 0; i < FOREIGN_CONNECTIONS; i++)
        gone += clients[i].peer.fin;
    assert_int_equal(gone, 1);
}

static void greet_strangers(size_t from)
{
    for (size_t i = from; i < FOREIGN_CONNECTIONS; i++)
        begin(&clients[i]);
}

static void ping_from(size_t from)
{
    run(first, 700);
    for (size_t i = from; i < FOREIGN_CONNECTIONS; i++)
        send_frame(&clients[i], PING, 0, 0, "pingping", 8);
}

// A second from the accept on, not from the last byte.
static void test_pings_are_no_reason_to_stay(void **state)
{
    (void)state;
    struct client *newcomer = &clients[FOREIGN_CONNECTIONS];
    greet_strangers(0);
    ping_from(0);
    ping_from(0);
    begin(newcomer);
    assert_lives(newcomer);
    assert_int_equal(rpc_server_counters.evicted, 1);
    assert_int_equal(rpc_server_counters.turned_away, 0);
}

// Though it is the one that was not heard of for longest. A call that needs no secret does not count.
static void test_who_has_shown_the_secret_stays(void **state)
{
    (void)state;
    struct client *newcomer = &clients[FOREIGN_CONNECTIONS];
    begin(first);
    assert_lives(first);
    shown = "";
    greet_strangers(1);
    for (size_t i = 1; i < FOREIGN_CONNECTIONS; i++)
        assert_good(call(&clients[i], "/test.Open/Echo", "anybody"), "anybody");
    assert_failed(call(&clients[2], "/test.Test/Echo", "x"), GRPC_UNAUTHENTICATED, "rpc.secret");
    shown = SHOWN;
    begin(newcomer);
    assert_lives(newcomer);
    assert_lives(first);
    run(&clients[1], 2);
    assert_true(clients[1].goaway);
    assert_int_equal(rpc_server_counters.evicted, 1);
}

// The gate keeps its connections, idle or not, whoever comes.
static void test_strangers_do_not_close_those_of_the_loopback(void **state)
{
    (void)state;
    struct client *gate = &clients[FOREIGN_CONNECTIONS], *newcomer = gate + RPC_CHANNELS;
    for (size_t i = 0; i < RPC_CHANNELS; i++) {
        begin_on_loopback(&gate[i]);
        if (i > 0)
            assert_lives(&gate[i]); // the first has not called yet
    }
    run(gate, 2000);
    fill_house();
    begin(newcomer);
    assert_lives(newcomer);
    run(first, 2);
    assert_true(first->goaway);
    for (size_t i = 0; i < RPC_CHANNELS; i++)
        assert_lives(&gate[i]);
    assert_int_equal(rpc_server_counters.evicted, 1);
    // When one of them goes, its slot stays free for the next.
    net_abort(gate->net);
    peer_run(3);
    assert_int_equal(rpc_server_connections(), RPC_CONNECTIONS - 1);
    peer_forget(&first->peer);
    begin(first);
    assert_lives(first);
    assert_int_equal(rpc_server_connections(), RPC_CONNECTIONS - 1);
    assert_int_equal(rpc_server_counters.evicted, 2);
    begin_on_loopback(gate);
    assert_lives(gate);
    assert_int_equal(rpc_server_counters.evicted, 2);
}

// More of the loopback than are kept free for it close what is idle: strangers without the secret first, and, when
// there are none, each other.
static void test_a_newcomer_of_the_loopback(void **state)
{
    (void)state;
    struct client *gate = &clients[1], *newcomer = &clients[RPC_CONNECTIONS];
    for (size_t i = 0; i < RPC_CONNECTIONS - 1; i++) {
        begin_on_loopback(&gate[i]);
        assert_lives(&gate[i]);
    }
    // No slot is missing on the loopback now, so a stranger may have the last one.
    begin(first);
    run(first, 1100);
    begin_on_loopback(newcomer);
    assert_lives(newcomer);
    run(first, 2);
    assert_true(first->goaway);
    peer_forget(&first->peer);
    begin_on_loopback(first);
    assert_lives(first);
    run(gate, 2);
    assert_true(gate[0].goaway);
    assert_int_equal(rpc_server_counters.evicted, 2);
    assert_lives(&gate[1]);
}

static void test_too_many_of_one_address(void **state)
{
    (void)state;
    net_settings.per_address = 2;
    begin(&clients[0]);
    begin(&clients[1]);
    dial(&clients[2], RPC_VERIFY_PORT);
    run(&clients[2], 5);
    assert_true(clients[2].goaway);
    assert_int_equal(clients[2].goaway_error, H2_ENHANCE_YOUR_CALM);
    assert_true(clients[2].peer.fin);
    clients[3].peer.address = 0x0a000203;
    begin(&clients[3]);
    assert_lives(&clients[3]);
    assert_lives(&clients[0]);
}

/// Slow ones, and those that are gone ///

static void test_no_preface(void **state)
{
    (void)state;
    dial(first, RPC_VERIFY_PORT);
    run(first, 9000);
    assert_int_equal(rpc_server_connections(), 1);
    run(first, 2100);
    assert_int_equal(rpc_server_connections(), 0);
    assert_true(first->peer.fin);
    // Half a preface, and no SETTINGS.
    for (size_t n = H2_PREFACE_BYTES / 2; n <= H2_PREFACE_BYTES; n += H2_PREFACE_BYTES / 2) {
        peer_forget(&first->peer);
        dial(first, RPC_VERIFY_PORT);
        send_bytes(first, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", n);
        run(first, 9000);
        assert_false(first->goaway);
        run(first, 2100);
        assert_true(first->goaway);
        assert_int_equal(first->goaway_error, H2_SETTINGS_TIMEOUT);
        assert_int_equal(rpc_server_connections(), 0);
    }
}

static void test_a_quiet_peer_is_asked(void **state)
{
    (void)state;
    begin(first);
    assert_good(call(first, "/test.Test/Echo", "hi"), "hi");
    run(first, 299000);
    assert_int_equal(first->pings, 0);
    run(first, 2100);
    assert_int_equal(first->pings, 1);
    send_frame(first, PING, ACK, 0, "pipit-up", 8);
    run(first, 60000);
    assert_int_equal(rpc_server_connections(), 1);
    assert_int_equal(first->pings, 1);
    // Next time nobody answers.
    run(first, 240000);
    run(first, 2000);
    assert_int_equal(first->pings, 2);
    run(first, 17000);
    assert_int_equal(rpc_server_connections(), 1);
    run(first, 4000);
    assert_true(first->peer.reset);
    assert_int_equal(rpc_server_connections(), 0);
}

static void test_a_vanished_peer(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    run(first, 2);
    first->peer.gone = true;
    rpc_reply(service.held[0], span_of("where are you"));
    run(first, 29000);
    assert_int_equal(rpc_server_connections(), 1);
    run(first, 3000);
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(net_open(), 0);
}

// Bytes that the only connection has sent and nobody has acknowledged.
static uint32_t under_way(void)
{
    struct pool *p = pool_next(NULL);
    while (strcmp(p->name, "rpc_connections") != 0)
        p = pool_next(p);
    for (uint32_t i = 0; i < p->fresh; i++) {
        const struct rpc_connection *c = pool_slot(p, i);
        if (c->state != CONNECTION_FREE)
            return net_sent(c->net) - net_acknowledged(c->net);
    }
    return 0;
}

// It takes what HTTP/2 says, but its TCP window is shut.
static void test_a_peer_that_does_not_read(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Large");
    first->peer.silent = true;
    send_message(first, id, "60000", true);
    run(first, 10000);
    assert_int_equal(rpc_server_calls(), 1);
    assert_in_range(under_way(), 8000, 16384); // lwIP's memory is not for one alone
    run(first, 32000);
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(service.ended, 1);
    assert_int_equal(rpc_server_counters.cancelled, 1);
}

// HTTP/2's window alone is shut: the connection is fine, the call is given up.
static void test_a_window_that_stays_shut(void **state)
{
    (void)state;
    begin_with_window(first, 0);
    uint32_t id = open_call(first, "/test.Test/Echo");
    send_message(first, id, "hello", true);
    run(first, 29000);
    assert_int_equal(reply_of(first, id)->blocks, 1);
    assert_int_equal(reply_of(first, id)->length, 0);
    run(first, 1100);
    assert_reset(reply_of(first, id), H2_CANCEL);
    assert_int_equal(rpc_server_connections(), 1);
    assert_false(first->goaway);
    // Any progress in time is good.
    id = open_call(first, "/test.Test/Echo");
    send_message(first, id, "hello", true);
    for (int i = 0; i < 10; i++) {
        run(first, 25000);
        assert_false(reply_of(first, id)->reset);
        give_window(first, id, 1);
    }
    run(first, 2);
    assert_good(reply_of(first, id), "hello");
}

// Refusals in plain HTTP are under flow control too.
static void test_a_refusal_through_a_tiny_window(void **state)
{
    (void)state;
    begin_with_window(first, 7);
    uint32_t id = send_headers(first, ":method: GET\n:scheme: http\n:path: /\n", END_STREAM);
    run(first, 2);
    assert_int_equal(reply_of(first, id)->length, 7);
    give_window(first, id, 1000);
    run(first, 2);
    assert_refused(reply_of(first, id), 415);
}

static void test_a_reply_through_tiny_windows(void **state)
{
    (void)state;
    begin_with_window(first, 1);
    uint32_t id = open_call(first, "/test.Test/Large");
    send_message(first, id, "300", true);
    for (int i = 0; i < 304; i++) {
        run(first, 1);
        assert_int_equal(reply_of(first, id)->length, i + 1);
        give_window(first, id, 1);
    }
    run(first, 2);
    struct reply *r = reply_of(first, id);
    assert_true(r->ended && r->patterned);
    assert_int_equal(r->length, 305);
    assert_int_equal(r->frames, 305);
    assert_int_equal(service.ended, 1);
}

static void test_a_large_reply(void **state)
{
    (void)state;
    begin(first);
    first->gives_back = true;
    uint32_t id = open_call(first, "/test.Test/Large");
    send_message(first, id, "200000", true);
    run(first, 400);
    struct reply *r = reply_of(first, id);
    assert_true(r->ended && r->patterned);
    assert_int_equal(r->length, GRPC_PREFIX + LARGE_LENGTH);
    assert_int_equal(read32(r->data + 1), LARGE_LENGTH);
    assert_has(r->trailers, "grpc-status: 0\n");
}

static void test_a_produced_reply_of_nothing(void **state)
{
    (void)state;
    begin(first);
    assert_good(call(first, "/test.Test/Large", "0"), "");
}

// A long reply that is still on its way does not keep a short one waiting.
static void test_short_replies_overtake_long_ones(void **state)
{
    (void)state;
    begin(first);
    uint32_t one = open_call(first, "/test.Test/Hold");
    send_message(first, one, "x", true);
    uint32_t large_one = open_call(first, "/test.Test/Large");
    send_message(first, large_one, "60000", true);
    rpc_reply(service.held[0], span_of("short"));
    while (!reply_of(first, one)->ended)
        run(first, 1);
    assert_good(reply_of(first, one), "short");
    assert_false(reply_of(first, large_one)->ended);
    run(first, 100);
    assert_true(reply_of(first, large_one)->ended && reply_of(first, large_one)->patterned);
}

// Long ones share what there is.
static void test_long_replies_side_by_side(void **state)
{
    (void)state;
    uint32_t ids[4];
    begin(first);
    for (size_t i = 0; i < COUNT(ids); i++) {
        ids[i] = open_call(first, "/test.Test/Hold");
        send_message(first, ids[i], "x", true);
    }
    run(first, 2);
    struct rpc_call *calls[COUNT(ids)];
    memcpy(calls, service.held, sizeof calls);
    for (size_t i = 0; i < COUNT(ids); i++)
        rpc_reply_produced(calls[i], 100000, produce_any);
    for (int i = 0; i < 100 && reply_of(first, ids[0])->length + reply_of(first, ids[1])->length < 30000; i++)
        run(first, 1);
    for (size_t i = 0; i < COUNT(ids); i++)
        assert_in_range(reply_of(first, ids[i])->length, 12000, 20000);
}

// A peer that takes one segment in a while.
static void test_a_slow_peer(void **state)
{
    (void)state;
    first->peer.window = 700;
    begin(first);
    first->gives_back = true;
    uint32_t id = open_call(first, "/test.Test/Large");
    send_message(first, id, "9000", true);
    for (int i = 0; i < 4000 && !reply_of(first, id)->ended; i++)
        run(first, 10);
    struct reply *r = reply_of(first, id);
    assert_true(r->ended && r->patterned);
    assert_int_equal(r->length, GRPC_PREFIX + 9000);
}

// What is owed to a peer that only sends is bounded: its bytes stay where they are until it reads.
static void test_pings_of_a_peer_that_does_not_read(void **state)
{
    (void)state;
    begin(first);
    run(first, 2);
    first->peer.gone = true; // sees nothing
    for (int i = 0; i < 400; i++) {
        peer_send(&first->peer, "\0\0\x08\6\0\0\0\0\0pingping", 17);
        peer_turn();
    }
    assert_int_equal(rpc_server_connections(), 1);
    first->peer.gone = false;
    run(first, 5000);
    assert_int_equal(first->pongs, 400);
    assert_lives(first);
}

static uint32_t answer_without_memory(const char *path, const char *message)
{
    uint32_t id = open_call(first, path);
    send_message(first, id, message, true);
    run(first, 105);
    assert_nothing(reply_of(first, id));
    assert_true(wish <= 10);
    return id;
}

// Nothing else happens on the connection: what waits is tried again all the same.
static void test_short_memory(void **state)
{
    (void)state;
    begin(first);
    run(first, 5);
    take_all_segments();
    uint32_t id = answer_without_memory("/test.Test/Echo", "mine");
    give_segments_back();
    run(first, 11);
    assert_good(reply_of(first, id), "mine");
    assert_true(wish > 10);
}

// The client ends its direction while its answer waits: it gets it.
static void test_short_memory_of_a_client_that_ends_its_direction(void **state)
{
    (void)state;
    begin(first);
    run(first, 5);
    take_all_segments();
    uint32_t id = answer_without_memory("/test.Test/Echo", "mine");
    peer_close(&first->peer);
    run(first, 20);
    assert_int_equal(rpc_server_connections(), 1);
    give_segments_back();
    run(first, 20);
    assert_good(reply_of(first, id), "mine");
    assert_true(first->peer.fin);
    assert_int_equal(rpc_server_connections(), 0);
}

// It is not kept for ever, nor closed for a newcomer before its time.
static void test_a_client_that_waits_for_memory(void **state)
{
    (void)state;
    fill_house();
    run(first, 5);
    take_all_segments();
    memp_free(MEMP_TCP_SEG, taken[--taken_count]); // for the newcomer's handshake; the reply needs two
    uint32_t id = answer_without_memory("/test.Test/Large", "600");
    for (size_t i = 1; i < FOREIGN_CONNECTIONS; i++) // it is the one that was not heard of for longest
        send_frame(&clients[i], PING, 0, 0, "pingping", 8);
    dial(&clients[FOREIGN_CONNECTIONS], RPC_VERIFY_PORT);
    assert_int_equal(rpc_server_counters.evicted, 1);
    assert_int_equal(rpc_server_connections(), FOREIGN_CONNECTIONS);
    peer_close(&first->peer);
    run(first, 29000);
    assert_false(first->peer.reset || first->peer.fin);
    run(first, 3000);
    assert_true(first->peer.reset);
    give_segments_back();
    assert_nothing(reply_of(first, id));
}

// Frames that were made for one connection wait for memory; neither they nor those of others are lost.
static void test_short_memory_of_two(void **state)
{
    (void)state;
    begin(&clients[0]);
    begin(&clients[1]);
    run(&clients[0], 5);
    run(&clients[1], 5);
    take_all_segments();
    uint32_t one = open_call(&clients[0], "/test.Test/Echo");
    send_message(&clients[0], one, "first", true);
    uint32_t two = open_call(&clients[1], "/test.Test/Echo");
    send_message(&clients[1], two, "second", true);
    run(&clients[0], 100);
    run(&clients[1], 100);
    assert_nothing(reply_of(&clients[0], one));
    assert_nothing(reply_of(&clients[1], two));
    assert_true(wish <= 10);
    give_segments_back();
    run(&clients[0], 30);
    run(&clients[1], 30);
    assert_good(reply_of(&clients[0], one), "first");
    assert_good(reply_of(&clients[1], two), "second");
    // The holder may go meanwhile.
    take_all_segments();
    one = open_call(&clients[0], "/test.Test/Echo");
    send_message(&clients[0], one, "first", true);
    two = open_call(&clients[1], "/test.Test/Echo");
    send_message(&clients[1], two, "second", true);
    run(&clients[0], 10);
    peer_abort(&clients[0].peer);
    run(&clients[0], 10);
    give_segments_back();
    run(&clients[1], 30);
    assert_good(reply_of(&clients[1], two), "second");
}

// The service is told at once, though the caller cannot be: as much is on the way to it as may be.
static void test_a_deadline_while_nothing_can_be_sent(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call_with(first, "/test.Test/Hold", "grpc-timeout: 100m\n");
    send_message(first, id, "x", true);
    send_message(first, open_call(first, "/test.Test/Large"), "60000", true);
    first->peer.gone = true;
    run(first, 150);
    assert_int_equal(service.begun, 2);
    assert_int_equal(service.ended, 1);
    assert_int_equal(service.held_count, 0);
    assert_int_equal(rpc_server_counters.replies[GRPC_DEADLINE_EXCEEDED], 0);
}

// Frames that wait for memory go with their connection: whoever gets its slot must not get them.
static void test_held_frames_of_a_lost_connection(void **state)
{
    (void)state;
    begin(first);
    run(first, 5);
    take_all_segments();
    uint32_t id = open_call(first, "/test.Test/Echo");
    send_message(first, id, "mine", true);
    run(first, 2);
    peer_services = NULL;
    peer_abort(&first->peer);
    peer_turn();
    give_segments_back();
    assert_int_equal(rpc_server_connections(), 0);
    dial(&clients[1], RPC_VERIFY_PORT);
    peer_services = step_services;
    run(&clients[1], 20);
    assert_int_equal(clients[1].settings + clients[1].reply_count, 0);
    greet_with(&clients[1], NULL, 0);
    run(&clients[1], 2);
    assert_lives(&clients[1]);
}

/// Wrong doors, and broken rules ///

static void test_http1(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: pipit\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: pipit\r\nContent-Length: 2\r\n\r\n{}",
    };
    for (size_t i = 0; i < COUNT(requests); i++) {
        dial(first, RPC_VERIFY_PORT);
        peer_send_text(&first->peer, requests[i]);
        peer_run(5);
        const char *text = peer_text(&first->peer);
        assert_memory_equal(text, "HTTP/1.1 400 Bad Request\r\n", 26);
        const char *body = strstr(text, "\r\n\r\n") + 4;
        assert_int_equal(strlen(body), strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10));
        assert_has(text, "\r\nConnection: close\r\n");
        assert_has(body, "gRPC");
        assert_true(first->peer.fin);
        assert_int_equal(rpc_server_connections(), 0);
        peer_abort(&first->peer);
        peer_turn();
        peer_forget(&first->peer);
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    dial(first, RPC_VERIFY_PORT);
    peer_send(&first->peer, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11); // TLS
    run(first, 5);
    assert_true(first->goaway);
    assert_int_equal(first->goaway_error, H2_PROTOCOL_ERROR);
    assert_true(first->peer.fin);
    assert_int_equal(rpc_server_connections(), 0);
}

static void test_a_connection_error(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Hold");
    send_message(first, id, "x", true);
    run(first, 2);
    send_frame(first, DATA, 0, 0, "x", 1);
    run(first, 5);
    assert_true(first->goaway);
    assert_int_equal(first->goaway_error, H2_PROTOCOL_ERROR);
    assert_int_equal(first->goaway_last, id);
    assert_true(first->peer.fin);
    assert_int_equal(service.ended, 1);
    assert_int_equal(rpc_server_calls(), 0);
    assert_int_equal(rpc_server_connections(), 0);
}

// Trailers of a request mean nothing, but do end it.
static void test_request_trailers(void **state)
{
    (void)state;
    uint8_t block[100];
    begin(first);
    uint32_t id = open_call(first, "/test.Test/Echo");
    send_message(first, id, "hello", false);
    size_t length = encode(block, sizeof block, "x-one: 1\ngrpc-timeout: 0m\n");
    send_frame(first, HEADERS, END_HEADERS | END_STREAM, id, block, length);
    run(first, 3);
    assert_good(reply_of(first, id), "hello");
    assert_string_equal(service.metadata, "");
}

// Streams that are opened and cancelled without end are an attack (CVE-2023-44487).
static void test_rapid_resets(void **state)
{
    (void)state;
    begin(first);
    for (int i = 0; i < 2000 && !first->goaway; i++) {
        reset_stream(first, open_call(first, "/test.Test/Hold"), H2_CANCEL);
        first->reply_count = 0;
        read_frames(first);
    }
    run(first, 5);
    assert_true(first->goaway);
    assert_int_equal(first->goaway_error, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(rpc_server_calls(), 0);
    assert_true(first->peer.fin);
}

// At a rate that a busy client may have, it goes on for ever.
static void test_cancelling_now_and_then(void **state)
{
    (void)state;
    begin(first);
    for (int i = 0; i < 3000; i++) {
        reset_stream(first, open_call(first, "/test.Test/Hold"), H2_CANCEL);
        first->reply_count = 0;
        run(first, 10);
    }
    assert_lives(first);
}

/// The secret ///

static void test_the_secret(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "authorization: Bearer sesame\n",
        "authorization: Bearer Sesame2\n",
        "authorization: Bearer Sesam\n",
        "authorization: Bearer\n",
        "authorization: Bearer  Sesame\n",
        "authorization: Sesame\n",
        "authorization: Basic Sesame\n",
        "authorization: BearerSesame\n",
    };
    static const char *const right[] = {
        "authorization: Bearer Sesame\n",
        "authorization: bearer Sesame\n",
        "authorization: Basic abc\nauthorization: Bearer Sesame\n",
    };
    log_threshold = LOG_DEBUG;
    shown = "";
    begin(first);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct reply *r = call_with(first, "/test.Test/Echo", wrong[i], "x");
        assert_failed(r, GRPC_UNAUTHENTICATED, "authorization: Bearer");
        assert_lacks(r->headers, "Sesame");
    }
    // Nor does a stranger learn which names there are.
    assert_failed(call(first, "/test.Nobody/Echo", "x"), GRPC_UNAUTHENTICATED, "rpc.secret");
    assert_failed(call(first, "/test.Test/Nothing", "x"), GRPC_UNAUTHENTICATED, "rpc.secret");
    assert_int_equal(service.begun, 0);
    for (size_t i = 0; i < COUNT(right); i++)
        assert_good(call_with(first, "/test.Test/Echo", right[i], "open"), "open");
    assert_failed(call_with(first, "/test.Test/Nothing", right[0], "x"), GRPC_UNIMPLEMENTED, "unknown method");
    assert_good(call(first, "/test.Open/Echo", "anybody"), "anybody");
    assert_lacks(machine_console, "Sesame");
    assert_lacks(service.metadata, "Sesame");
    log_threshold = LOG_INFO;
}

static void test_no_secret_is_no_secret(void **state)
{
    (void)state;
    rpc_settings.secret[0] = '\0';
    shown = "";
    begin(first);
    assert_failed(call_with(first, "/test.Test/Echo", "authorization: Bearer\n", "x"), GRPC_UNAUTHENTICATED, "");
}

// The ports are bound once, so what the setting says later must not open to strangers what they reach already.
static void test_listening_is_decided_at_the_start(void **state)
{
    (void)state;
    shown = "";
    rpc_settings.listen_any = 0;
    begin(first);
    assert_failed(call(first, "/test.Test/Echo", "x"), GRPC_UNAUTHENTICATED, "rpc.secret");
    restart(0);
    rpc_settings.listen_any = 1;
    begin_on_loopback(&clients[1]);
    assert_lives(&clients[1]);
    peer_open(&clients[2].peer, RPC_VERIFY_PORT);
    assert_true(clients[2].peer.reset);
}

// On the loopback alone nobody is a stranger: everything there is may be taken, and idle ones close for each other.
static void test_the_loopback_alone(void **state)
{
    (void)state;
    restart(0);
    shown = "";
    take_calls(LOOPBACK, RPC_CALLS);
    for (size_t i = RPC_CALLS / RPC_STREAMS + 1; i < RPC_CONNECTIONS; i++)
        begin_on_loopback(&clients[i]);
    assert_int_equal(rpc_server_connections(), RPC_CONNECTIONS);
    run(first, 1000);
    begin_on_loopback(&clients[RPC_CONNECTIONS]);
    assert_int_equal(rpc_server_counters.evicted, 1);
}

#define MARKER "Marker-5c3d91"

static bool holds_marker(const void *at, size_t length)
{
    const char *bytes = at;
    for (size_t i = 0; i + sizeof MARKER - 1 <= length; i++)
        if (memcmp(bytes + i, MARKER, sizeof MARKER - 1) == 0)
            return true;
    return false;
}

static bool pool_holds_marker(const char *name)
{
    struct pool *p = pool_next(NULL);
    while (strcmp(p->name, name) != 0)
        p = pool_next(p);
    return holds_marker(p->slots, p->slot_size * p->fresh);
}

static unsigned frames_wiped; // buffers with the marker behind a frame's header

// In the place of mbedtls_platform_zeroize (tests.mk).
void __wrap_mbedtls_platform_zeroize(void *buf, size_t len);

void __wrap_mbedtls_platform_zeroize(void *buf, size_t len)
{
    const uint8_t *bytes = buf;
    frames_wiped += len > 2 * H2_FRAME_HEADER && bytes[3] == HEADERS && holds_marker(buf, len);
    memset(buf, 0, len);
}

// A call with the marker in a field, in the dynamic table, and in the message.
static uint32_t open_marked_call(struct client *c)
{
    static const char field[] = "\x40\6x-note\x0d" MARKER;
    uint8_t block[600];
    uint32_t id = c->next_id;
    size_t n = encode(block, sizeof block, FRONT ":path: /test.Test/Hold\n" GRPC SHOWN);
    memcpy(block + n, field, sizeof field - 1);
    c->next_id += 2;
    send_frame(c, HEADERS, END_HEADERS, id, block, n + sizeof field - 1);
    send_message(c, id, "the code is " MARKER, true);
    run(c, 2);
    return id;
}

// What went through the server, codes and tokens and the secret, does not stay in memory.
static void test_memory_is_wiped(void **state)
{
    (void)state;
    begin(first);
    uint32_t id = open_marked_call(first);
    assert_true(pool_holds_marker("rpc_calls"));
    frames_wiped = 0;
    rpc_reply(service.held[0], span_of("the token is " MARKER));
    run(first, 2);
    assert_good(reply_of(first, id), "the token is " MARKER);
    assert_int_equal(frames_wiped, 1);
    assert_false(pool_holds_marker("rpc_calls"));
    assert_true(pool_holds_marker("rpc_connections"));
    peer_abort(&first->peer);
    peer_run(2);
    assert_int_equal(rpc_server_connections(), 0);
    assert_false(pool_holds_marker("rpc_connections"));
}

// Nor what could not be sent before its connection was lost.
static void test_memory_of_a_lost_connection_is_wiped(void **state)
{
    (void)state;
    begin(first);
    open_marked_call(first);
    take_all_segments();
    frames_wiped = 0;
    rpc_reply(service.held[0], span_of("the token is " MARKER));
    run(first, 20);
    assert_int_equal(frames_wiped, 0);
    peer_abort(&first->peer);
    peer_run(2);
    give_segments_back();
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(frames_wiped, 1);
    assert_false(pool_holds_marker("rpc_calls") || pool_holds_marker("rpc_connections"));
}

/// Stopping ///

static void test_stopping(void **state)
{
    (void)state;
    begin(first);
    uint32_t held = open_call(first, "/test.Test/Hold");
    send_message(first, held, "x", true);
    uint32_t coming = open_call(first, "/test.Test/Echo");
    send_data(first, coming, "\0\0\0\0\5he", 7, false);
    uint32_t answered = open_call(first, "/test.Nobody/Echo");
    run(first, 2);
    begin(&clients[1]);
    dial(&clients[2], RPC_VERIFY_PORT);
    rpc_server_service.stop();
    assert_int_equal(rpc_server_connections(), 0);
    assert_int_equal(rpc_server_calls(), 0);
    run(first, 5);
    run(&clients[1], 5);
    assert_failed(reply_of(first, held), GRPC_UNAVAILABLE, "going down");
    assert_failed(reply_of(first, coming), GRPC_UNAVAILABLE, "going down");
    for (int i = 0; i < 2; i++) {
        assert_true(clients[i].goaway);
        assert_int_equal(clients[i].goaway_error, H2_NO_ERROR);
        assert_true(clients[i].peer.fin);
    }
    assert_failed(reply_of(first, answered), GRPC_UNIMPLEMENTED, "unknown service");
    assert_int_equal(first->goaway_last, answered);
    assert_int_equal(service.ended, 2);
    assert_int_equal(rpc_server_counters.replies[GRPC_UNAVAILABLE], 2);
    assert_int_equal(rpc_server_counters.cancelled, 0);
    assert_true(clients[2].peer.fin);
    run(first, 10);
    assert_int_equal(net_open() > 3, 0);
}

/// Health ///

static void assert_health(const char *name, const char *expected)
{
    char request[80];
    size_t length = strlen(name);
    snprintf(request, sizeof request, "%s%c%s", length > 0 ? "\n" : "", length > 0 ? (int)length : 0, name);
    struct reply *r = call(first, "/grpc.health.v1.Health/Check", request);
    if (expected != NULL)
        assert_failed(r, GRPC_NOT_FOUND, expected);
    else
        assert_good(r, "\x08\x01"); // SERVING
}

static void test_health(void **state)
{
    (void)state;
    shown = ""; // it is open
    begin(first);
    assert_health("", NULL);
    assert_health("test.Test", NULL);
    assert_health("grpc.health.v1.Health", NULL);
    assert_health("test.Nobody", "unknown service");
    assert_health("test.Off", "unknown service");
    assert_health("test.Tes", "unknown service");
    assert_failed(call(first, "/grpc.health.v1.Health/Check", "\x0a\x05hell"), GRPC_INVALID_ARGUMENT, "");
    assert_failed(call(first, "/grpc.health.v1.Health/Check", "\x0a\x02\xff\xfe"), GRPC_INVALID_ARGUMENT, ""); // UTF-8
    assert_failed(call(first, "/grpc.health.v1.Health/Watch", ""), GRPC_UNIMPLEMENTED, "unknown method Watch");
}

/// The interoperability service ///

#define TESTING "/grpc.testing.TestService/"
#define ECHOED  "x-grpc-test-echo-initial: first\nx-grpc-test-echo-trailing-bin: q6ur\n"

static void test_interop_is_off(void **state)
{
    (void)state;
    begin(first);
    assert_failed(call(first, TESTING "EmptyCall", ""), GRPC_UNIMPLEMENTED, "unknown service");
}

static void test_interop_small_calls(void **state)
{
    (void)state;
    interop_settings.enabled = 1;
    begin(first);
    assert_good(call(first, TESTING "EmptyCall", ""), "");
    struct reply *r = call_with(first, TESTING "EmptyCall", ECHOED, "");
    assert_good(r, "");
    assert_has(r->headers, "\nx-grpc-test-echo-initial: first\n");
    assert_has(r->trailers, "\nx-grpc-test-echo-trailing-bin: q6ur\n");
    // status_code_and_message, special_status_message, unimplemented_method
    r = call_with(first, TESTING "UnaryCall", ECHOED, "\x3a\x17\x08\x02\x12\x13test status message");
    assert_failed(r, 2, "test status message");
    assert_has(r->headers, "\nx-grpc-test-echo-trailing-bin: q6ur\n");
    r = call(first, TESTING "UnaryCall",
             "\x3a\x42\x08\x02\x12\x3e\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
             "\xf0\x9f\x98\x88\t\n");
    assert_failed(r, 2,
                  "grpc-message: %09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP "
                  "%F0%9F%98%88%09%0A\n");
    assert_failed(call(first, TESTING "UnimplementedCall", ""), GRPC_UNIMPLEMENTED, "unknown method");
    assert_failed(call(first, TESTING "UnaryCall", "\x42\x02\x08\x01"), GRPC_INVALID_ARGUMENT, "compressed");
    assert_failed(call(first, TESTING "UnaryCall", "\x10\x81\x80\x40"), GRPC_INVALID_ARGUMENT, "1048576");
    assert_failed(call(first, TESTING "UnaryCall", "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                  GRPC_INVALID_ARGUMENT, "1048576");
    assert_failed(call(first, TESTING "UnaryCall", "\x1a\x05x"), GRPC_INTERNAL, "SimpleRequest");
}

// A payload of zeros, `length` bytes, and a reply of `wanted`: the message without the zeros.
static size_t put_simple_request(uint8_t *at, uint32_t length, uint32_t wanted)
{
    uint8_t *p = at;
    *p++ = 0x10;
    for (; wanted >= 0x80; wanted >>= 7)
        *p++ = (uint8_t)(wanted | 0x80);
    *p++ = (uint8_t)wanted;
    for (int i = 0; i < 2; i++) {
        uint32_t n = i == 0 ? length + 5 : length; // tag and four bytes of length
        *p++ = i == 0 ? 0x1a : 0x12;
        for (int k = 0; k < 3; k++, n >>= 7)
            *p++ = (uint8_t)(n | 0x80);
        *p++ = (uint8_t)n;
    }
    return (size_t)(p - at);
}

static uint32_t open_large(struct client *c, uint32_t length, uint32_t wanted)
{
    uint8_t bytes[40];
    uint32_t id = open_call(c, TESTING "UnaryCall");
    size_t front = put_simple_request(bytes + GRPC_PREFIX, length, wanted);
    grpc_put_prefix(bytes, (uint32_t)front + length);
    send_data(c, id, bytes, GRPC_PREFIX + front, false);
    return id;
}

static void send_zeros(struct client *c, uint32_t id, uint32_t length, bool end)
{
    static const uint8_t zeros[8000];
    while (length > 0) {
        uint32_t n = length < sizeof zeros ? length : sizeof zeros;
        length -= n;
        send_data(c, id, zeros, n, end && length == 0);
        run(c, 1);
    }
}

static void test_interop_large_calls(void **state)
{
    (void)state;
    interop_settings.enabled = 1;
    begin(first);
    first->gives_back = true;
    static const struct {
        uint32_t length, wanted, reply; // bytes of the reply's message
    } rows[] = {{271828, 314159, 314159 + 8}, {1 << 20, 1 << 20, (1 << 20) + 8}, {1, 1, 5}, {1, 0, 4}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t id = open_large(first, rows[i].length, rows[i].wanted);
        send_zeros(first, id, rows[i].length, true);
        for (int k = 0; k < 3000 && !reply_of(first, id)->ended; k++)
            run(first, 1);
        struct reply *r = reply_of(first, id);
        assert_good_headers(r);
        assert_has(r->trailers, "grpc-status: 0\n");
        assert_int_equal(r->length, GRPC_PREFIX + rows[i].reply);
        assert_int_equal(read32(r->data + 1), rows[i].reply);
        assert_int_equal(r->data[5], 0x0a);
    }
}

static void test_interop_through_a_tiny_window(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0, 0, 0, 0, 11, 0x0a, 9, 0x12, 7, 0, 0, 0, 0, 0, 0, 0};
    interop_settings.enabled = 1;
    begin_with_window(first, 1);
    uint32_t id = open_call(first, TESTING "UnaryCall");
    send_message(first, id, "\x10\x07", true);
    for (size_t i = 0; i < sizeof expected; i++) {
        run(first, 1);
        assert_int_equal(reply_of(first, id)->length, i + 1);
        give_window(first, id, 1);
    }
    run(first, 2);
    assert_true(reply_of(first, id)->ended);
    assert_memory_equal(reply_of(first, id)->data, expected, sizeof expected);
}

static void test_interop_buffers_run_out(void **state)
{
    (void)state;
    interop_settings.enabled = 1;
    begin(first);
    uint32_t ids[5];
    for (size_t i = 0; i < 5; i++)
        ids[i] = open_large(first, 2000, 5);
    run(first, 2);
    for (size_t i = 0; i < 4; i++)
        assert_nothing(reply_of(first, ids[i]));
    assert_failed(reply_of(first, ids[4]), GRPC_RESOURCE_EXHAUSTED, "larger");
    assert_good_headers(call(first, TESTING "UnaryCall", "\x10\x05")); // a small one needs none
    reset_stream(first, ids[0], H2_CANCEL);
    run(first, 2);
    uint32_t id = open_large(first, 2000, 5);
    send_zeros(first, id, 2000, true);
    run(first, 3);
    assert_true(reply_of(first, id)->ended);
    assert_has(reply_of(first, id)->trailers, "grpc-status: 0\n");
    id = open_call(first, TESTING "UnaryCall");
    send_data(first, id, "\0\0\x11\0\1", 5, false);
    run(first, 2);
    assert_failed(reply_of(first, id), GRPC_RESOURCE_EXHAUSTED, "larger");
}

/// Metrics ///

static void test_metrics(void **state)
{
    (void)state;
    uint32_t replies = 0;
    begin(first);
    call(first, "/test.Test/Echo", "x");
    call(first, "/test.Test/Fail", "14 x");
    call(first, "/test.Nobody/Fail", "x");
    for (size_t i = 0; i < rpc_server_service.metric_count; i++) {
        const struct metric *m = &rpc_server_service.metrics[i];
        assert_non_null(m->help);
        assert_true((m->value == NULL) != (m->read == NULL));
        uint32_t value = m->value != NULL ? *m->value : m->read();
        if (strcmp(m->name, "pipit_rpc_replies_total") == 0)
            replies += value;
        if (strcmp(m->name, "pipit_connections") == 0)
            assert_int_equal(value, 1);
        if (m->labels != NULL && strcmp(m->labels, "status=\"UNAVAILABLE\"") == 0)
            assert_int_equal(value, 1);
    }
    assert_int_equal(replies, 3);
    assert_int_equal(rpc_server_counters.calls, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

// The gate's encoder has no use for a table, so the connections on the loopback have none, however many there are.
static void test_no_table_for_the_loopback(void **state)
{
    (void)state;
    begin_on_loopback(first);
    assert_int_equal(first->table_size, 0);
    assert_good(call(first, "/test.Test/Echo", "hello"), "hello");
    send_frame(first, HEADERS, END_HEADERS | END_STREAM, first->next_id, "\xbe", 1); // of the dynamic table
    run(first, 3);
    assert_int_equal(first->goaway_error, H2_COMPRESSION_ERROR);
}

static void test_a_table_for_each_that_comes_from_elsewhere(void **state)
{
    (void)state;
    static const uint8_t indexed[] = {0x40, 1, 'a', 1, 'b', 0xbe};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < RPC_CONNECTIONS - RPC_CHANNELS; i++) {
            begin(&clients[i]);
            assert_int_equal(clients[i].table_size, RPC_TABLE);
            send_frame(&clients[i], HEADERS, END_HEADERS | END_STREAM, 1, indexed, sizeof indexed);
            run(&clients[i], 3);
            assert_false(clients[i].goaway && clients[i].goaway_error == H2_COMPRESSION_ERROR);
        }
        for (size_t i = 0; i < RPC_CONNECTIONS - RPC_CHANNELS; i++)
            peer_abort(&clients[i].peer);
        peer_run(5);
        assert_int_equal(rpc_server_connections(), 0);
        for (size_t i = 0; i < RPC_CONNECTIONS - RPC_CHANNELS; i++)
            peer_forget(&clients[i].peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_call),
        TEST(test_both_ports),
        TEST(test_an_empty_message),
        TEST(test_the_longest_message),
        TEST(test_byte_by_byte),
        TEST(test_one_segment_a_reply),
        TEST(test_a_later_reply),
        TEST(test_a_reply_wakes_the_loop),
        TEST(test_only_the_first_answer_counts),
        TEST(test_a_reply_that_is_too_large),
        TEST(test_a_service_without_functions),
        TEST(test_all_streams_at_once),
        TEST(test_many_answers_in_one_turn),
        TEST(test_metadata),
        TEST(test_metadata_of_a_refused_call),
        TEST(test_metadata_that_fits_nowhere),
        TEST(test_not_grpc),
        TEST(test_other_methods),
        TEST(test_large_headers),
        TEST(test_unknown_names),
        TEST(test_a_long_path),
        TEST(test_content_types_of_grpc),
        TEST(test_a_status_message),
        TEST(test_a_long_status_message),
        TEST(test_wrong_messages),
        TEST(test_an_early_answer),
        TEST(test_a_client_that_goes_on_after_the_answer),
        TEST(test_room_of_a_service),
        TEST(test_bad_timeouts),
        TEST(test_a_deadline),
        TEST(test_no_time_at_all),
        TEST(test_a_deadline_before_the_request_is_whole),
        TEST(test_a_request_that_takes_too_long),
        TEST(test_a_header_block_that_does_not_end),
        TEST(test_a_deadline_while_the_reply_is_sent),
        TEST(test_a_late_answer_does_no_harm),
        TEST(test_cancelled_at_every_step),
        TEST(test_cancelled_before_the_answer_is_written),
        TEST(test_a_lost_connection),
        TEST(test_a_client_that_ends_its_direction),
        TEST(test_a_client_that_ends_right_behind_its_request),
        TEST(test_an_end_that_answers_another),
        TEST(test_all_calls_taken),
        TEST(test_all_calls_of_strangers_taken),
        TEST(test_refusals_that_are_not_taken),
        TEST(test_a_stranger_that_does_not_read),
        TEST(test_the_longest_idle_makes_room),
        TEST(test_a_full_house),
        TEST(test_newcomers_have_a_second),
        TEST(test_pings_are_no_reason_to_stay),
        TEST(test_who_has_shown_the_secret_stays),
        TEST(test_strangers_do_not_close_those_of_the_loopback),
        TEST(test_a_newcomer_of_the_loopback),
        TEST(test_too_many_of_one_address),
        TEST(test_no_preface),
        TEST(test_a_quiet_peer_is_asked),
        TEST(test_a_vanished_peer),
        TEST(test_a_peer_that_does_not_read),
        TEST(test_a_window_that_stays_shut),
        TEST(test_a_refusal_through_a_tiny_window),
        TEST(test_a_reply_through_tiny_windows),
        TEST(test_a_large_reply),
        TEST(test_a_produced_reply_of_nothing),
        TEST(test_short_replies_overtake_long_ones),
        TEST(test_long_replies_side_by_side),
        TEST(test_a_slow_peer),
        TEST(test_pings_of_a_peer_that_does_not_read),
        TEST(test_short_memory),
        TEST(test_short_memory_of_a_client_that_ends_its_direction),
        TEST(test_a_client_that_waits_for_memory),
        TEST(test_short_memory_of_two),
        TEST(test_a_deadline_while_nothing_can_be_sent),
        TEST(test_held_frames_of_a_lost_connection),
        TEST(test_http1),
        TEST(test_nonsense),
        TEST(test_a_connection_error),
        TEST(test_request_trailers),
        TEST(test_rapid_resets),
        TEST(test_cancelling_now_and_then),
        TEST(test_the_secret),
        TEST(test_no_secret_is_no_secret),
        TEST(test_listening_is_decided_at_the_start),
        TEST(test_the_loopback_alone),
        TEST(test_memory_is_wiped),
        TEST(test_memory_of_a_lost_connection_is_wiped),
        TEST(test_stopping),
        TEST(test_no_table_for_the_loopback),
        TEST(test_a_table_for_each_that_comes_from_elsewhere),
        TEST(test_health),
        TEST(test_interop_is_off),
        TEST(test_interop_small_calls),
        TEST(test_interop_large_calls),
        TEST(test_interop_through_a_tiny_window),
        TEST(test_interop_buffers_run_out),
        TEST(test_metrics),
    };
    return cmocka_run_group_tests_name("rpc_server", tests, start, NULL);
}
