// The built-in network: libslirp in our own process. It needs no rights, and the device's TCP becomes ordinary
// sockets of the host.
#include "../port/log.h"
#include "../port/net.h"
#include "../port/port.h"
#include "backend.h"
#include "frame_ring.h"
#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define NETWORK     0x0a000200u // 10.0.2.0/24, with the gateway at .2 and the name server at .3
#define NETWORK_MTU 9000
#define BACKLOG     4096

// libslirp would take an MTU of 65521. But it has no window scaling, so its window is 64 KB, and lwIP waits for its
// persist timer (1.5 s) when a segment does not fit in what is left of a window: with 32 KB segments it often does
// not. 9000 is as fast as anything larger.
_Static_assert(NETWORK_MTU * 4 <= 65535, "a window of libslirp must hold several segments");

static Slirp *slirp;
static uint32_t device_address;

/// Timers ///

// libslirp uses them for IPv6 alone, which is off; they are here because its interface asks for them.
struct timer {
    bool taken;
    bool running;
    int64_t expires_ms;
    SlirpTimerId id;
    void *argument;
};

static struct timer timers[4];

static int64_t clock_ns(void *opaque)
{
    (void)opaque;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *timer_new(SlirpTimerId id, void *argument, void *opaque)
{
    (void)opaque;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        if (timers[i].taken)
            continue;
        timers[i] = (struct timer){.taken = true, .id = id, .argument = argument};
        return &timers[i];
    }
    return NULL;
}

static void timer_free(void *timer, void *opaque)
{
    (void)opaque;
    if (timer != NULL)
        *(struct timer *)timer = (struct timer){0};
}

static void timer_mod(void *timer, int64_t expires_ms, void *opaque)
{
    (void)opaque;
    struct timer *t = timer;
    if (t == NULL)
        return;
    t->expires_ms = expires_ms;
    t->running = true;
}

static void timers_shorten(uint32_t *timeout_ms)
{
    int64_t now_ms = clock_ns(NULL) / 1000000;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        if (!timers[i].running)
            continue;
        int64_t left = timers[i].expires_ms > now_ms ? timers[i].expires_ms - now_ms : 0;
        if (left < *timeout_ms)
            *timeout_ms = (uint32_t)left;
    }
}

static void timers_fire(void)
{
    int64_t now_ms = clock_ns(NULL) / 1000000;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        struct timer *t = &timers[i];
        if (!t->running || t->expires_ms > now_ms)
            continue;
        t->running = false;
        slirp_handle_timer(slirp, t->id, t->argument);
    }
}

/// Callbacks of libslirp ///

// Runs inside slirp_input() and slirp_pollfds_poll(), so it only keeps the frame.
static ssize_t send_packet(const void *bytes, size_t length, void *opaque)
{
    (void)opaque;
    if (!frame_ring_put(bytes, length))
        backend_dropped++;
    return (ssize_t)length;
}

static void guest_error(const char *message, void *opaque)
{
    (void)opaque;
    log_line(LOG_WARNING, "slirp", "%s", message);
}

static void nothing_for_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_new_opaque = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = nothing_for_fd,
    .unregister_poll_fd = nothing_for_fd,
    .notify = nothing,
};

/// Waiting ///

// The array that the current watch() fills.
static struct pollfd *watched;
static size_t watched_count;
static size_t watched_room;

static const struct {
    short host;
    int slirp;
} events[] = {
    {POLLIN, SLIRP_POLL_IN},   {POLLOUT, SLIRP_POLL_OUT}, {POLLPRI, SLIRP_POLL_PRI},
    {POLLERR, SLIRP_POLL_ERR}, {POLLHUP, SLIRP_POLL_HUP},
};

#define EVENTS (sizeof events / sizeof events[0])

static int add_poll(int fd, int wanted, void *opaque)
{
    (void)opaque;
    if (watched_count == watched_room)
        return -1;
    struct pollfd *p = &watched[watched_count];
    *p = (struct pollfd){.fd = fd};
    for (size_t i = 0; i < EVENTS; i++) {
        if (wanted & events[i].slirp)
            p->events = (short)(p->events | events[i].host);
    }
    return (int)watched_count++;
}

static int get_revents(int index, void *opaque)
{
    const struct pollfd *fds = opaque;
    int happened = 0;
    if (index < 0)
        return 0;
    for (size_t i = 0; i < EVENTS; i++) {
        if (fds[index].revents & events[i].host)
            happened |= events[i].slirp;
    }
    return happened;
}

static size_t slirp_watch(struct pollfd *fds, size_t room, uint32_t *timeout_ms)
{
    watched = fds;
    watched_count = 0;
    watched_room = room;
    slirp_pollfds_fill(slirp, timeout_ms, add_poll, NULL);
    timers_shorten(timeout_ms);
    if (frame_ring_waits()) // libslirp answers at once to some of what it is given
        *timeout_ms = 0;
    return watched_count;
}

// Whether libslirp has looked at its sockets since lwIP last took its frames.
static bool looked;

static void slirp_ready(const struct pollfd *fds, size_t count)
{
    (void)count;
    slirp_pollfds_poll(slirp, 0, get_revents, (void *)(uintptr_t)fds);
    timers_fire();
    looked = true;
}

/// Frames ///

// A busy loop never sleeps, so nothing but this would look at the sockets.
static void look_now(void)
{
    static struct pollfd fds[BACKEND_DESCRIPTORS];
    uint32_t timeout_ms = 0;
    size_t count = slirp_watch(fds, BACKEND_DESCRIPTORS, &timeout_ms);
    if (poll(fds, (nfds_t)count, 0) >= 0)
        slirp_ready(fds, count);
}

static bool slirp_receive(struct frame *frame)
{
    frame->verified = true; // it never left our memory
    if (frame_ring_take(&frame->bytes, &frame->length))
        return true;
    if (!looked)
        look_now();
    looked = false;
    return frame_ring_take(&frame->bytes, &frame->length);
}

static bool slirp_send(const struct part *parts, int count)
{
    (void)count;
    slirp_input(slirp, parts->bytes, (int)parts->length);
    return true;
}

/// Start ///

#define DHCP_FIRST (NETWORK + 15) // what libslirp's own DHCP server gives the first that asks

static bool asks_dhcp(void)
{
    struct span address = span_of(net_settings.address);
    return address.length == 0 || span_equal_nocase(address, span_of("dhcp"));
}

// The device's address comes from the settings, since a key may have changed it.
static bool read_device_address(struct text *why)
{
    uint32_t prefix;
    device_address = DHCP_FIRST;
    if (asks_dhcp())
        return true;
    bool good = options_address(net_settings.address, &device_address, &prefix);
    uint32_t host = device_address & 0xff;
    if (good && (device_address & ~0xffu) == NETWORK && host > 3 && host < 255)
        return true;
    text_format(why, "net.address %s: in the built-in network it must be 10.0.2.4/24 to 10.0.2.254/24, or dhcp.",
                net_settings.address);
    return false;
}

static const char *forward_failure(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program listens there; end it, or choose another port with --forward HOSTPORT:80";
    case EACCES:
        return "ports below 1024 are root's; choose another with --forward HOSTPORT:80";
    case EADDRNOTAVAIL:
        return "this machine does not have that address; choose one of its own";
    default:
        return strerror(error);
    }
}

static bool forward_open(const struct forward *f, struct text *why)
{
    struct in_addr host = {htonl(f->host_address)}, device = {htonl(device_address)};
    if (slirp_add_hostfwd(slirp, 0, host, f->host_port, device, f->device_port) >= 0)
        return true;
    int error = errno;
    char address[16];
    text_format(why, "Can't listen on %s port %u: %s.", net_address_text(f->host_address, address), f->host_port,
                forward_failure(error));
    return false;
}

// Bursts of connections would wait for repeated SYNs: libslirp listens with a backlog of 1.
static int widen_backlog(int fd, int wanted, void *opaque)
{
    (void)opaque;
    (void)wanted;
    int listening = 0;
    struct sockaddr_in at = {0};
    socklen_t size = sizeof listening, at_size = sizeof at;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
        return -1;
    char address[16];
    if (listen(fd, BACKLOG) != 0)
        log_line(LOG_WARNING, "sim", "bursts of connections will be slow: %s", strerror(errno));
    if (getsockname(fd, (struct sockaddr *)&at, &at_size) == 0)
        log_line(LOG_INFO, "sim", "listening on %s:%u", net_address_text(ntohl(at.sin_addr.s_addr), address),
                 (unsigned)ntohs(at.sin_port));
    return -1;
}

static void slirp_shut(void)
{
    if (slirp != NULL)
        slirp_cleanup(slirp);
    slirp = NULL;
}

// Where to go with a browser, in words that a terminal makes a link of.
static void forwards_tell(const struct options *o)
{
    char address[16];
    for (size_t i = 0; i < o->forward_count; i++)
        if (o->forwards[i].device_port == 80)
            log_line(LOG_INFO, "sim", "open http://%s:%u/ in a browser",
                     net_address_text(o->forwards[i].host_address, address), o->forwards[i].host_port);
}

static bool forwards_open(const struct options *o, struct text *why)
{
    for (size_t i = 0; i < o->forward_count; i++) {
        if (!forward_open(&o->forwards[i], why)) {
            slirp_shut();
            return false;
        }
    }
    uint32_t timeout_ms = 0;
    log_line(LOG_INFO, "sim", "the device's own address exists in the built-in network only; from here it is");
    slirp_pollfds_fill(slirp, &timeout_ms, widen_backlog, NULL);
    forwards_tell(o);
    return true;
}

static bool slirp_open(const struct options *o, struct backend_link *link, struct text *why)
{
    if (!read_device_address(why))
        return false;
    SlirpConfig config = {
        .version = 4,
        .in_enabled = true,
        .vnetwork = {htonl(NETWORK)},
        .vnetmask = {htonl(0xffffff00u)},
        .vhost = {htonl(NETWORK + 2)},
        .vnameserver = {htonl(NETWORK + 3)},
        .vdhcp_start = {htonl(DHCP_FIRST)},
        .if_mtu = NETWORK_MTU,
        .if_mru = NETWORK_MTU,
    };
    slirp = slirp_new(&config, &callbacks, NULL);
    if (slirp == NULL) {
        text_format(why, "libslirp %s does not start; install version 4.7 or later.", slirp_version_string());
        return false;
    }
    *link = (struct backend_link){.address = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, .mtu = NETWORK_MTU};
    return forwards_open(o, why);
}

const struct backend slirp_backend = {
    .name = "slirp",
    .most_parts = 1,
    .open = slirp_open,
    .send = slirp_send,
    .receive = slirp_receive,
    .watch = slirp_watch,
    .ready = slirp_ready,
    .close = slirp_shut,
};
