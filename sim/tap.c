// A TAP device: raw Ethernet to the host's own TCP/IP, with a vnet header that spares both sides TCP's checksums.
#include "../port/log.h"
#include "backend.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MTU_MOST 65440
#define PARTS    1000 // writev() takes 1024

static int tap = -1;
static int link_events = -1; // a netlink socket: tells that some interface of the host has changed
static bool carrier;
static char tap_name[IFNAMSIZ];

/// Checksums of what we send ///

#define ETHERNET_HEADER 14
#define TCP_CHECKSUM    16 // its offset in the TCP header
#define PROTOCOL_TCP    6

static uint32_t sum16(const uint8_t *bytes, size_t length, uint32_t sum)
{
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    return sum;
}

// Where the TCP header of an Ethernet frame begins, 0 when it holds none or only a piece of one.
static size_t tcp_header(const uint8_t *frame, size_t length)
{
    const uint8_t *ip = frame + ETHERNET_HEADER;
    if (length < ETHERNET_HEADER + 20 || frame[12] != 0x08 || frame[13] != 0x00)
        return 0;
    size_t at = ETHERNET_HEADER + (size_t)(ip[0] & 15) * 4;
    bool fragment = (ip[6] & 0x3f) != 0 || ip[7] != 0;
    return ip[9] == PROTOCOL_TCP && !fragment && at + 20 <= length ? at : 0;
}

// RFC 9293 section 3.1: the pseudo-header's sum stands in the checksum's place, and the host adds the rest if the
// segment ever leaves it.
static void pseudo_checksum(uint8_t *frame, size_t tcp)
{
    const uint8_t *ip = frame + ETHERNET_HEADER;
    uint32_t tcp_length = (uint32_t)(ip[2] << 8 | ip[3]) - (uint32_t)(tcp - ETHERNET_HEADER);
    uint32_t sum = sum16(ip + 12, 8, PROTOCOL_TCP + tcp_length);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    frame[tcp + TCP_CHECKSUM] = (uint8_t)(sum >> 8);
    frame[tcp + TCP_CHECKSUM + 1] = (uint8_t)sum;
}

static struct virtio_net_hdr header_for(uint8_t *frame, size_t length)
{
    struct virtio_net_hdr header = {0};
    size_t tcp = tcp_header(frame, length);
    if (tcp == 0)
        return header;
    pseudo_checksum(frame, tcp);
    header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header.csum_start = (uint16_t)tcp;
    header.csum_offset = TCP_CHECKSUM;
    return header;
}

/// Frames ///

static bool tap_send(const struct part *parts, int count)
{
    static struct virtio_net_hdr header;
    static struct iovec all[PARTS + 1];
    header = header_for(parts[0].bytes, parts[0].length);
    all[0] = (struct iovec){&header, sizeof header};
    for (int i = 0; i < count; i++)
        all[i + 1] = (struct iovec){parts[i].bytes, parts[i].length};
    ssize_t n;
    do
        n = writev(tap, all, count + 1);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void tap_shut(void)
{
    shut(&tap);
    shut(&link_events);
}

// After a failed read: nothing there, or the device is gone for good.
static void read_failed(int error)
{
    if (error == EAGAIN || error == EINTR || error == EIO)
        return;
    log_line(LOG_ERROR, "sim", "%s is gone (%s); start again when it is back", tap_name, strerror(error));
    tap_shut();
}

static bool tap_receive(struct frame *frame)
{
    static uint8_t scratch[65536];
    struct virtio_net_hdr header;
    struct iovec parts[] = {{&header, sizeof header}, {scratch, sizeof scratch}};
    if (tap < 0)
        return false;
    ssize_t n = readv(tap, parts, 2);
    if (n <= (ssize_t)sizeof header) {
        if (n < 0)
            read_failed(errno);
        return false;
    }
    // Without either flag the frame came from a wire and nobody has checked it yet.
    bool verified = (header.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
    *frame = (struct frame){scratch, (size_t)n - sizeof header, verified};
    return true;
}

/// Opening the device ///

static const char *open_failure(int error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return "this kernel has no TAP devices; load them with \"modprobe tun\"";
    case EACCES:
    case EPERM:
        return "not permitted; run as root, or let root create it for you: ip tuntap add dev NAME mode tap user YOU";
    case EBUSY:
        return "another program uses it; end that one, or choose another name";
    case EINVAL:
        return "it exists and is no plain TAP device; choose another name";
    default:
        return strerror(error);
    }
}

static bool open_failed(const char *name, struct text *why)
{
    text_format(why, "--tap %s: %s.", name, open_failure(errno));
    tap_shut();
    return false;
}

static bool open_device(const char *name, struct text *why)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    memcpy(request.ifr_name, name, strlen(name));
    int header_size = sizeof(struct virtio_net_hdr);
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0 || ioctl(tap, TUNSETVNETHDRSZ, &header_size) != 0 ||
        ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM) != 0)
        return open_failed(name, why);
    memcpy(tap_name, request.ifr_name, sizeof tap_name); // "tap%d" was given its number
    tap_name[sizeof tap_name - 1] = '\0';
    return true;
}

// One question to the host about the device; the answer is in `request`.
static bool ask(unsigned long what, struct ifreq *request)
{
    memcpy(request->ifr_name, tap_name, sizeof tap_name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool good = ioctl(fd, what, request) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return good;
}

static uint16_t device_mtu(void)
{
    struct ifreq request = {0};
    if (!ask(SIOCGIFMTU, &request))
        return 1500;
    return request.ifr_mtu < MTU_MOST ? (uint16_t)request.ifr_mtu : MTU_MOST;
}

// Both ends should agree: the host cuts what it sends by the device's MTU, lwIP by ours.
static uint16_t agree_on_mtu(uint32_t wanted)
{
    uint16_t has = device_mtu();
    struct ifreq request = {.ifr_mtu = (int)wanted};
    if (wanted == 0)
        return has;
    if (has != wanted && !ask(SIOCSIFMTU, &request))
        log_line(LOG_WARNING, "sim",
                 "%s keeps its MTU of %u on the host (%s); root can change it: ip link set %s mtu %u", tap_name,
                 (unsigned)has, strerror(errno), tap_name, (unsigned)wanted);
    return (uint16_t)wanted;
}

static void say_how_to_raise(const struct options *o)
{
    struct ifreq request = {0};
    if (!ask(SIOCGIFFLAGS, &request) || request.ifr_flags & IFF_UP)
        return;
    struct span address = span_of(o->address != NULL ? o->address : "A.B.C.D/N");
    struct span host = o->gateway != NULL ? span_of(o->gateway) : span_of("HOST-ADDRESS");
    span_cut(&address, '/');
    log_line(LOG_WARNING, "sim", "%s is down on the host; as root: ip addr add %.*s/%.*s dev %s && ip link set %s up",
             tap_name, (int)host.length, host.at, (int)address.length, address.at, tap_name, tap_name);
}

// Locally administered, and different for devices that share a bridge: FNV-1a over the device's name and our address.
static void make_address(const struct options *o, uint8_t address[6])
{
    const char *strings[] = {tap_name, o->address != NULL ? o->address : ""};
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < 2; i++) {
        for (const char *c = strings[i]; *c != '\0'; c++)
            hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    const uint8_t made[6] = {0x02,         0, (uint8_t)(hash >> 24), (uint8_t)(hash >> 16), (uint8_t)(hash >> 8),
                             (uint8_t)hash};
    memcpy(address, made, sizeof made);
}

/// The link ///

// The host's end of the cable: pulled with `ip link set NAME down`.
static bool ask_carrier(void)
{
    struct ifreq request = {0};
    return ask(SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

static void watch_link(void)
{
    struct sockaddr_nl from = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    link_events = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (link_events < 0 || bind(link_events, (struct sockaddr *)&from, sizeof from) != 0) {
        log_line(LOG_WARNING, "sim", "changes of the link will not be seen: %s", strerror(errno));
        shut(&link_events);
    }
    carrier = ask_carrier();
}

// What the messages say is asked for anew, since some may have found no room.
static void take_link_events(void)
{
    static char message[8192];
    while (recv(link_events, message, sizeof message, 0) >= 0 || errno == ENOBUFS)
        carrier = ask_carrier();
}

static bool tap_has_link(void)
{
    return carrier && tap >= 0;
}

/// Waiting ///

// NOLINTNEXTLINE(readability-non-const-parameter): slirp_watch() does write it
static size_t tap_watch(struct pollfd *fds, size_t room, uint32_t *timeout_ms)
{
    (void)timeout_ms;
    if (tap < 0 || room < 2)
        return 0;
    fds[0] = (struct pollfd){.fd = tap, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = link_events, .events = POLLIN}; // -1 is passed over
    return 2;
}

static void tap_ready(const struct pollfd *fds, size_t count)
{
    // poll() answers at once with POLLERR, and for ever, when the device was deleted.
    if (count > 0 && fds[0].revents & (POLLERR | POLLNVAL) && !(fds[0].revents & POLLIN))
        read_failed(EBADFD);
    if (count > 1 && fds[1].revents != 0)
        take_link_events();
}

/// Opening ///

static bool tap_open(const struct options *o, struct backend_link *link, struct text *why)
{
    size_t length = strlen(o->tap);
    if (length == 0 || length >= IFNAMSIZ) {
        text_format(why, "--tap \"%s\": the name of a network device has 1 to %u characters.", o->tap,
                    (unsigned)IFNAMSIZ - 1);
        return false;
    }
    if (!open_device(o->tap, why))
        return false;
    link->mtu = agree_on_mtu(o->mtu);
    link->completes_tcp = true;
    make_address(o, link->address);
    log_line(LOG_INFO, "sim", "on %s, MTU %u", tap_name, (unsigned)link->mtu);
    watch_link();
    say_how_to_raise(o);
    return true;
}

const struct backend tap_backend = {
    .name = "tap",
    .most_parts = PARTS,
    .open = tap_open,
    .send = tap_send,
    .receive = tap_receive,
    .has_link = tap_has_link,
    .watch = tap_watch,
    .ready = tap_ready,
    .close = tap_shut,
};
