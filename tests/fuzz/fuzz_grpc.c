// gRPC. The first byte chooses what the rest is:
//
//     'r'  a stream of DATA for the reader: a byte for its room, then bytes; any pieces must tell the same story
//     't'  a header field's value, for everything that reads one; what we write must be read back
//     otherwise a connection to the whole server, on a make-believe net.h: bits that say how it goes (below), the size
//     of the pieces, then what the peer sends. Whatever it is, only whole frames go out, no more than there is room
//     for, every call of a service is told its end exactly once, and in the end everything is free again.
#include "../../app/limits.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/syslog/syslog.h"
#include "../../services/rpc/health.h"
#include "../../services/rpc/server_private.h"
#include "../unit/machine.h"
#include <stdlib.h>
#include <string.h>

static void check(bool good)
{
    if (!good)
        abort();
}

/// The reader ///

struct story {
    enum grpc_reader_error error;
    uint32_t length;
    uint64_t hash;
};

static uint64_t hash_of(const uint8_t *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static struct story read_in_pieces(const uint8_t *data, size_t size, size_t piece, uint32_t room)
{
    struct grpc_reader r;
    uint8_t *message = NULL;
    grpc_reader_begin(&r);
    for (size_t at = 0, n; at < size; at += n) {
        n = piece < size - at ? piece : size - at;
        uint8_t *exact = malloc(n);
        memcpy(exact, data + at, n);
        for (size_t used = 0; used < n;) {
            size_t taken = grpc_reader_take(&r, (struct span){(const char *)exact + used, n - used});
            used += taken;
            check(taken > 0 && used <= n);
            if (grpc_reader_wants_room(&r)) {
                check(message == NULL && r.length > 0);
                message = r.length <= room ? malloc(r.length) : NULL;
                grpc_reader_room(&r, message);
            }
        }
        free(exact);
    }
    struct story s = {.error = grpc_reader_end(&r)};
    check(grpc_reader_explain(s.error) != NULL && (grpc_reader_status(s.error) == GRPC_OK) == (s.error == 0));
    if (s.error == GRPC_READER_OK) {
        s.length = r.length;
        s.hash = hash_of(message, r.length);
    }
    free(message);
    return s;
}

static void fuzz_reader(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    uint32_t room = data[0] * 8u;
    struct story whole = read_in_pieces(data + 1, size - 1, SIZE_MAX, room);
    for (size_t piece = 1; piece <= 7; piece += 2) {
        struct story again = read_in_pieces(data + 1, size - 1, piece, room);
        check(again.error == whole.error && again.length == whole.length && again.hash == whole.hash);
    }
}

/// Header fields ///

static void fuzz_message(struct span value)
{
    char *coded = malloc(3 * value.length + 1), *back = malloc(value.length + 1);
    struct text t = text_in(coded, 3 * value.length);
    grpc_put_message(&t, value);
    check(!t.cut);
    for (size_t i = 0; i < t.length; i++)
        check(coded[i] >= ' ' && coded[i] <= '~');
    check(t.length == 0 || (coded[0] != ' ' && coded[t.length - 1] != ' '));
    struct text read = text_in(back, value.length);
    grpc_read_message(&read, text_whole(&t));
    check(!read.cut && read.length == value.length);
    for (size_t i = 0; i < value.length; i++) {
        bool control = (uint8_t)value.at[i] < ' ' || value.at[i] == 0x7f;
        check(back[i] == (control ? ' ' : value.at[i]));
    }
    struct text raw = text_in(back, value.length);
    grpc_read_message(&raw, value); // never longer than what it is made from
    check(!raw.cut);
    free(coded);
    free(back);
}

static void fuzz_fields(const uint8_t *data, size_t size)
{
    uint32_t ms = 0;
    uint32_t again = 0;
    char text[GRPC_TIMEOUT_DIGITS + 1];
    char *exact = malloc(size);
    struct span value = {memcpy(exact, data, size), size};
    if (grpc_read_timeout(value, &ms)) {
        struct text t = text_in(text, sizeof text);
        grpc_put_timeout(&t, ms);
        check(!t.cut && grpc_read_timeout(text_whole(&t), &again) && again >= ms && again - ms <= 1000);
    }
    check(grpc_status_name(grpc_read_status(value)) != NULL);
    check(!grpc_is_content_type(value) || size >= 16);
    fuzz_message(value);
    free(exact);
}

/// A network of one connection ///

struct net_conn {
    const struct net_handlers *handlers;
    void *owner;
    uint32_t sent, acknowledged;
    bool over;
    bool local;
    bool http1;
    unsigned frames;
    size_t room;
    size_t full; // so many sends find no memory
};

static struct net_conn connection;
static const struct net_handlers *server;
struct net_settings net_settings;

// The log would go out over the network that is not here.
void syslog_line(enum log_level level, const char *module, struct span message)
{
    (void)level;
    (void)module;
    (void)message;
}

int net_listen(uint16_t port, bool loopback_only, const struct net_handlers *handlers, const uint32_t *per_address)
{
    (void)port;
    (void)loopback_only;
    (void)per_address;
    server = handlers;
    return 0;
}

bool net_has_tls(void)
{
    return false;
}

int net_listen_tls(uint16_t port, bool loopback_only, enum net_alpn alpn, const struct net_handlers *handlers,
                   const uint32_t *per_address)
{
    (void)alpn;
    return net_listen(port, loopback_only, handlers, per_address);
}

uint32_t net_peer_address(const struct net_conn *c)
{
    return c->local ? 0x7f000001 : 0x0a000202;
}

void *net_owner(const struct net_conn *c)
{
    return c->owner;
}

void net_hand_over(struct net_conn *c, const struct net_handlers *handlers, void *owner)
{
    c->handlers = handlers;
    c->owner = owner;
}

size_t net_room(const struct net_conn *c)
{
    size_t under_way = c->sent - c->acknowledged;
    return c->over || under_way >= c->room ? 0 : c->room - under_way;
}

static void check_frames(struct net_conn *c, const uint8_t *at, size_t length)
{
    while (length > 0) {
        check(length >= H2_FRAME_HEADER);
        size_t payload = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        check(payload <= H2_FRAME_MAX && length >= H2_FRAME_HEADER + payload);
        check(c->frames++ > 0 || at[3] == 4); // SETTINGS come first
        at += H2_FRAME_HEADER + payload;
        length -= H2_FRAME_HEADER + payload;
    }
}

enum net_error net_send(struct net_conn *c, const void *bytes, size_t length)
{
    if (c->over)
        return NET_CLOSED;
    check(length > 0);
    if (c->full > 0) {
        c->full--;
        return NET_FULL;
    }
    if (length > net_room(c))
        return NET_FULL;
    check(!c->http1);
    c->http1 = c->frames == 0 && length > 8 && memcmp(bytes, "HTTP/1.1", 8) == 0;
    if (!c->http1)
        check_frames(c, bytes, length);
    c->sent += (uint32_t)length;
    return NET_OK;
}

uint32_t net_sent(const struct net_conn *c)
{
    return c->sent;
}

uint32_t net_acknowledged(const struct net_conn *c)
{
    return c->acknowledged;
}

void net_resume(struct net_conn *c)
{
    (void)c; // what was left is offered again anyway
}

void net_close(struct net_conn *c)
{
    c->over = true;
}

void net_abort(struct net_conn *c)
{
    c->over = true;
}

static size_t nobody_data(struct net_conn *c, const uint8_t *bytes, size_t length)
{
    (void)c;
    (void)bytes;
    return length;
}

static const struct net_handlers nobody = {.data = nobody_data};

void net_leave(struct net_conn *c)
{
    net_hand_over(c, &nobody, NULL);
    c->over = true;
}

/// Services ///

static struct rpc_call *held[RPC_CALLS];
static size_t held_count;
static uint32_t known; // calls that the service knows of

static void hold(struct rpc_call *call, struct span request)
{
    (void)hash_of((const uint8_t *)request.at, request.length);
    held[held_count++] = call;
}

static void echo(struct rpc_call *call, struct span request)
{
    rpc_reply(call, request);
}

static void produce(struct rpc_call *call, uint32_t from, uint8_t *at, size_t length)
{
    (void)call;
    memset(at, (int)from, length);
}

static void large(struct rpc_call *call, struct span request)
{
    rpc_reply_produced(call, (uint32_t)request.length * 1000, produce);
}

static void fail_with(struct rpc_call *call, struct span request)
{
    rpc_fail(call, (enum grpc_status)request.length, request);
}

static void take_metadata(struct rpc_call *call, struct span name, struct span value)
{
    check(name.length > 0 && hash_of((const uint8_t *)value.at, value.length) != 0);
    if (rpc_context(call) == NULL)
        known++;
    rpc_set_context(call, &known);
}

static void put_metadata(const struct rpc_call *call, struct hpack_block *block, bool trailers)
{
    if (rpc_context(call) != NULL)
        hpack_put(block, span_of(trailers ? "t" : "h"), span_of("metadata"), HPACK_WITHOUT_INDEXING);
}

static void ended(struct rpc_call *call)
{
    for (size_t i = 0; i < held_count; i++)
        if (held[i] == call)
            held[i--] = held[--held_count];
    if (rpc_context(call) != NULL)
        known--;
    rpc_set_context(call, NULL);
}

static const struct rpc_method methods[] = {{"E", echo}, {"H", hold}, {"L", large}, {"F", fail_with}};
static const struct rpc_service fuzz_rpc = {.name = "f",
                                            .methods = methods,
                                            .method_count = sizeof methods / sizeof methods[0],
                                            .ended = ended,
                                            .metadata = take_metadata,
                                            .put_metadata = put_metadata};
const struct rpc_service *const rpc_services[] = {&fuzz_rpc, &health_rpc};
const size_t rpc_service_count = 2;

/// A connection ///

enum how {
    GREETED = 1,   // the preface and SETTINGS stand in front
    SLOW = 2,      // half a second passes with each piece
    SHORT = 4,     // lwIP has little memory
    SILENT = 8,    // what was sent is acknowledged late
    SECRET = 16,   // rpc.listen=any
    ANSWERED = 32, // what the service holds is answered after each piece
    FOREIGN = 64   // the peer is not on the loopback
};

static void acknowledge(struct net_conn *c)
{
    c->acknowledged = c->sent;
    if (!c->over && c->handlers->room != NULL)
        c->handlers->room(c);
}

static void pass(struct net_conn *c, unsigned how, size_t piece_number)
{
    machine_now_ms += how & SLOW ? 500 : 1;
    rpc_server_service.step(port_now_ms());
    if (!(how & SILENT) || piece_number % 16 == 15)
        acknowledge(c);
    if (how & ANSWERED && held_count > 0)
        rpc_reply(held[0], span_of("late"));
    if (how & SHORT)
        c->full = piece_number % 3;
}

// Bytes that are not taken are offered again with the next ones, as net.h says.
static void send_all(struct net_conn *c, const uint8_t *data, size_t size, size_t piece, unsigned how)
{
    size_t from = 0;
    size_t to = 0;
    for (size_t n = 0; to < size && !c->over; n++) {
        to = size - to < piece ? size : to + piece;
        uint8_t *exact = malloc(to - from);
        memcpy(exact, data + from, to - from);
        size_t used = c->handlers->data(c, exact, to - from);
        check(used <= to - from);
        free(exact);
        from += used;
        pass(c, how, n);
    }
}

static void finish(struct net_conn *c, bool in_order)
{
    if (in_order && !c->over && c->handlers->ended != NULL)
        c->handlers->ended(c);
    c->over = true;
    if (c->handlers->closed != NULL)
        c->handlers->closed(c, NET_RESET);
    check(rpc_server_connections() == 0 && rpc_server_calls() == 0);
    check(held_count == 0 && known == 0);
}

static void fuzz_connection(const uint8_t *data, size_t size)
{
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    if (size < 2)
        return;
    unsigned how = data[0];
    memcpy(rpc_settings.secret, "s", 2);
    rpc_settings.timeout = 15;
    rpc_settings.listen_any = (how & SECRET) != 0;
    check(rpc_server_service.start() == 0);
    connection = (struct net_conn){.handlers = server, .room = how & SHORT ? 1024 : 65536, .local = !(how & FOREIGN)};
    machine_now_ms += 1000 - machine_now_ms % 1000; // an input runs alike whatever ran before it
    rpc_server_service.step(port_now_ms());
    server->opened(&connection);
    if (how & GREETED)
        send_all(&connection, greeting, sizeof greeting - 1, SIZE_MAX, 0);
    send_all(&connection, data + 2, size - 2, 1u + data[1], how);
    for (size_t i = 0; i < 4 && !connection.over; i++)
        pass(&connection, how | ANSWERED, i);
    finish(&connection, (size & 1) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_threshold = LOG_ERROR;
    if (size == 0)
        return 0;
    if (data[0] == 'r')
        fuzz_reader(data + 1, size - 1);
    else if (data[0] == 't')
        fuzz_fields(data + 1, size - 1);
    else
        fuzz_connection(data, size);
    return 0;
}
