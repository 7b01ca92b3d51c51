#include "options.h"
#include "../app/config.h"
#include "../port/net.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOOPBACK  0x7f000001u
#define MTU_LEAST 576   // RFC 791: what every host must take
#define MTU_MOST  65440 // lwIP's segment of 65400 bytes and the headers before it

/// Addresses and ports ///

bool options_address(const char *text, uint32_t *address, uint32_t *prefix)
{
    struct span rest = span_of(text);
    if (prefix == NULL)
        return net_address_read(rest, address);
    struct span host = span_cut(&rest, '/');
    uint64_t bits;
    if (!net_address_read(host, address) || !span_number(rest, 30, &bits) || bits == 0)
        return false;
    *prefix = (uint32_t)bits;
    return true;
}

static bool port_of(struct span s, uint16_t *port)
{
    uint64_t number;
    if (!span_number(s, 65535, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

/// What each option does with its value ///

static bool take_forward(struct options *o, const char *value, struct text *why)
{
    if (o->forward_count == OPTIONS_FORWARDS) {
        text_format(why, "There is room for %u --forward options; leave some out.", (unsigned)OPTIONS_FORWARDS);
        return false;
    }
    struct forward *f = &o->forwards[o->forward_count];
    struct span rest = span_of(value);
    struct span host_port = span_cut(&rest, ':');
    f->host_address = LOOPBACK;
    if (memchr(rest.at, ':', rest.length) != NULL) {
        if (!net_address_read(host_port, &f->host_address)) {
            text_format(why, "--forward %s: \"%.*s\" is not an IPv4 address such as 127.0.0.1.", value,
                        (int)host_port.length, host_port.at);
            return false;
        }
        host_port = span_cut(&rest, ':');
    }
    if (!port_of(host_port, &f->host_port) || !port_of(rest, &f->device_port) || f->device_port == 0) {
        text_format(why, "--forward %s: give it as HOSTPORT:DEVICEPORT, two numbers up to 65535, such as 8080:80.",
                    value);
        return false;
    }
    o->forward_count++;
    return true;
}

static bool take_tap(struct options *o, const char *value, struct text *why)
{
    (void)why;
    o->tap = value;
    return true;
}

static bool take_flash(struct options *o, const char *value, struct text *why)
{
    (void)why;
    o->flash = value;
    return true;
}

static bool take_address(struct options *o, const char *value, struct text *why)
{
    uint32_t address, prefix;
    if (!options_address(value, &address, &prefix)) {
        text_format(why, "--ip %s: give it as an address and a prefix length from 1 to 30, such as 192.168.7.2/24.",
                    value);
        return false;
    }
    o->address = value;
    return true;
}

static bool take_plain_address(const char *option, const char **to, const char *value, struct text *why)
{
    uint32_t address;
    if (!options_address(value, &address, NULL)) {
        text_format(why, "%s %s: give it as an IPv4 address such as 192.168.7.1.", option, value);
        return false;
    }
    *to = value;
    return true;
}

static bool take_gateway(struct options *o, const char *value, struct text *why)
{
    return take_plain_address("--gateway", &o->gateway, value, why);
}

static bool take_dns(struct options *o, const char *value, struct text *why)
{
    return take_plain_address("--dns", &o->dns, value, why);
}

static bool take_mtu(struct options *o, const char *value, struct text *why)
{
    uint64_t mtu;
    if (!span_number(span_of(value), MTU_MOST, &mtu) || mtu < MTU_LEAST) {
        text_format(why, "--mtu %s: give a number from %u to %u.", value, (unsigned)MTU_LEAST, (unsigned)MTU_MOST);
        return false;
    }
    o->mtu = (uint32_t)mtu;
    return true;
}

static bool take_certificate(struct options *o, const char *value, struct text *why)
{
    (void)why;
    o->certificate = value;
    return true;
}

static bool take_key(struct options *o, const char *value, struct text *why)
{
    (void)why;
    o->key = value;
    return true;
}

static bool take_set(struct options *o, const char *value, struct text *why)
{
    (void)o;
    struct span rest = span_of(value);
    if (memchr(rest.at, '=', rest.length) == NULL) {
        text_format(why, "--set %s: give it as KEY=VALUE, such as chat.rate=0.", value);
        return false;
    }
    struct span key = span_cut(&rest, '=');
    return config_set(key, rest, why);
}

static bool take_help(struct options *o, const char *value, struct text *why)
{
    (void)value;
    (void)why;
    o->action = OPTIONS_HELP;
    return true;
}

static bool take_version(struct options *o, const char *value, struct text *why)
{
    (void)value;
    (void)why;
    o->action = OPTIONS_VERSION;
    return true;
}

/// The configuration file ///

static bool file_failed(const char *path, const char *reason, struct text *why)
{
    text_format(why, "--config %s: the file can't be read (%s).", path, reason);
    return false;
}

// Fills `bytes` from `fd`; returns how many, or -1 with errno.
static ssize_t read_whole(int fd, char *bytes, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, bytes + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return (ssize_t)length;
}

static bool take_config(struct options *o, const char *value, struct text *why)
{
    (void)o;
    static char file[65536];
    int fd = open(value, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_failed(value, strerror(errno), why);
    ssize_t length = read_whole(fd, file, sizeof file);
    int error = errno;
    close(fd);
    if (length < 0)
        return file_failed(value, strerror(error), why);
    if (length == sizeof file)
        return file_failed(value, "a configuration has less than 64 KB", why);
    text_format(why, "--config %s: ", value);
    bool good = config_read((struct span){file, (size_t)length}, why);
    explicit_bzero(file, sizeof file); // it may hold passwords
    if (good)
        why->length = 0;
    return good;
}

/// The table ///

// When an option is carried out: the machine first, since the defaults of the settings depend on it.
enum phase { PHASE_MACHINE, PHASE_FILES, PHASE_KEYS };

struct option_row {
    const char *name;
    const char *argument; // NULL: it takes none
    enum phase phase;
    bool (*take)(struct options *o, const char *value, struct text *why);
    const char *help;
};

static const struct option_row rows[] = {
    {"--forward", "[ADDRESS:]HOSTPORT:DEVICEPORT", PHASE_MACHINE, take_forward,
     "lead a TCP port of this machine to one of the device; again for more (8080:80)"},
    {"--tap", "NAME", PHASE_MACHINE, take_tap, "use the TAP device NAME instead of the built-in network"},
    {"--ip", "A.B.C.D/N", PHASE_MACHINE, take_address,
     "with --tap: the device's address and prefix length (asks DHCP)"},
    {"--gateway", "A.B.C.D", PHASE_MACHINE, take_gateway, "with --tap: the way to other networks"},
    {"--dns", "A.B.C.D", PHASE_MACHINE, take_dns, "with --tap: the name server"},
    {"--mtu", "N", PHASE_MACHINE, take_mtu, "with --tap: largest packet in bytes, up to 65440 (what the device has)"},
    {"--flash", "FILE", PHASE_MACHINE, take_flash,
     "where accounts are kept, or none (pipit/flash in XDG_STATE_HOME or ~/.local/state)"},
    {"--cert", "FILE", PHASE_MACHINE, take_certificate, "the certificate for HTTPS and its chain, PEM (makes its own)"},
    {"--key", "FILE", PHASE_MACHINE, take_key, "with --cert: its private key, PEM"},
    {"--config", "FILE", PHASE_FILES, take_config, "read \"key = value\" lines"},
    {"--set", "KEY=VALUE", PHASE_KEYS, take_set, "set one key; again for more; wins over --config"},
    {"--help", NULL, PHASE_MACHINE, take_help, "show this, and end"},
    {"--version", NULL, PHASE_MACHINE, take_version, "show the versions, and end"},
};

#define ROWS (sizeof rows / sizeof rows[0])

static const struct option_row *row_find(struct span name)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (span_equal(span_of(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

/// Walking the command line ///

// The option at argv[*at] and its value, as "--name value" or "--name=value"; moves `*at` behind both.
static const struct option_row *walk_one(int argc, char **argv, int *at, const char **value, struct text *why)
{
    const char *word = argv[(*at)++];
    struct span rest = span_of(word);
    bool joined = strncmp(word, "--", 2) == 0 && strchr(word, '=') != NULL;
    const struct option_row *row = row_find(joined ? span_cut(&rest, '=') : rest);
    if (row == NULL) {
        text_format(why, "There is no option \"%s\"; \"pipit --help\" lists them.", word);
        return NULL;
    }
    *value = joined ? rest.at : NULL;
    if (row->argument != NULL && !joined && *at < argc)
        *value = argv[(*at)++];
    if ((row->argument != NULL) == (*value != NULL))
        return row;
    if (row->argument != NULL)
        text_format(why, "%s needs a value: %s %s.", row->name, row->name, row->argument);
    else
        text_format(why, "%s takes no value; leave \"=%s\" out.", row->name, *value);
    return NULL;
}

static bool walk(int argc, char **argv, enum phase phase, struct options *o, struct text *why)
{
    for (int at = 1; at < argc;) {
        const char *value;
        const struct option_row *row = walk_one(argc, argv, &at, &value, why);
        if (row == NULL)
            return false;
        if (row->phase == phase && !row->take(o, value, why))
            return false;
    }
    return true;
}

/// What goes together ///

static bool check_gateway(const struct options *o, struct text *why)
{
    uint32_t own, prefix, gateway;
    if (o->gateway == NULL || o->address == NULL || !options_address(o->address, &own, &prefix) ||
        !options_address(o->gateway, &gateway, NULL))
        return true;
    if ((own ^ gateway) >> (32 - prefix) == 0 && own != gateway)
        return true;
    text_format(why, "--gateway %s: it must be another address in the network of --ip %s.", o->gateway, o->address);
    return false;
}

static bool check_together(const struct options *o, struct text *why)
{
    if (o->tap == NULL && (o->address != NULL || o->gateway != NULL || o->dns != NULL || o->mtu != 0)) {
        text_string(why, "--ip, --gateway, --dns and --mtu go with --tap; add --tap NAME, or leave them out.");
        return false;
    }
    if (o->tap != NULL && o->forward_count > 0) {
        text_string(why, "--forward goes with the built-in network; with --tap, connect to the device's address.");
        return false;
    }
    if ((o->certificate == NULL) != (o->key == NULL)) {
        text_string(why, "--cert and --key go together; give both, or neither.");
        return false;
    }
    return o->tap == NULL || check_gateway(o, why);
}

/// Defaults ///

static bool preset(const char *key, const char *value, struct text *why)
{
    return config_preset(span_of(key), span_of(value != NULL ? value : ""), why);
}

static bool preset_slirp(struct options *o, struct text *why)
{
    if (o->forward_count == 0) {
        o->forwards[o->forward_count++] = (struct forward){LOOPBACK, 8080, 80};
        o->forwards[o->forward_count++] = (struct forward){LOOPBACK, 8443, 443};
        if (!preset("https.port", "8443", why))
            return false;
    }
    // Behind libslirp every client shows as the gateway, and nobody hears a multicast.
    return preset("net.address", "10.0.2.15/24", why) && preset("net.gateway", "10.0.2.2", why) &&
           preset("net.dns", "10.0.2.3", why) && preset("net.mdns", "0", why) && preset("net.per_address", "0", why) &&
           preset("mail.per_address", "0", why) && preset("login.tries", "0", why);
}

static bool preset_tap(const struct options *o, struct text *why)
{
    return preset("net.address", o->address, why) && preset("net.gateway", o->gateway, why) &&
           preset("net.dns", o->dns, why);
}

// Development mode is on where nobody mails codes: without a relay of our own, and without another verify service,
// which has one of its own. Unless somebody has said what it shall be.
static bool decide_development_mode(struct text *why)
{
    if (config_was_set(span_of("dev.echo_code")) || !config_is_default(span_of("mail.host")) ||
        !config_is_default(span_of("verify.target")))
        return true;
    return preset("dev.echo_code", "1", why);
}

// What the distribution trusts.
#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static bool set_defaults(struct options *o, struct text *why)
{
    if (access(BUNDLE, R_OK) == 0 && !preset("mail.ca", BUNDLE, why))
        return false;
    // The host knows what time it is.
    return preset("net.sntp", "", why) && (o->tap != NULL ? preset_tap(o, why) : preset_slirp(o, why));
}

bool options_read(int argc, char **argv, struct options *options, struct text *why)
{
    *options = (struct options){0};
    return walk(argc, argv, PHASE_MACHINE, options, why) && check_together(options, why) && set_defaults(options, why);
}

bool options_settings(int argc, char **argv, struct options *options, struct text *why)
{
    return walk(argc, argv, PHASE_FILES, options, why) && walk(argc, argv, PHASE_KEYS, options, why) &&
           decide_development_mode(why);
}

/// Help ///

#define HELP_COLUMN 42

static void help_row(const struct option_row *row, struct text *line)
{
    text_format(line, "  %s", row->name);
    if (row->argument != NULL)
        text_format(line, " %s", row->argument);
    do
        text_byte(line, ' ');
    while (line->length < HELP_COLUMN);
    text_format(line, "%s\n", row->help);
}

void options_help(void (*write)(const char *bytes, size_t length))
{
    static const char head[] = "Usage: pipit [OPTION]...\n\n";
    static const char keys[] = "\nKeys of --set and --config:\n\n";
    static const char ours[] = "\nDefaults of the simulator's own: dev.echo_code=1 when neither mail.host nor "
                               "verify.target is set, since nobody\n"
                               "could mail a code then; mail.ca=" BUNDLE " where that is there; net.sntp is\n"
                               "empty, since the host has a clock; and without --tap\n"
                               "net.per_address=0, mail.per_address=0 and login.tries=0, since all callers share one\n"
                               "address then,\n"
                               "net.mdns=0, net.address=10.0.2.15/24, net.gateway=10.0.2.2 and net.dns=10.0.2.3.\n";
    char buffer[512];
    write(head, sizeof head - 1);
    for (size_t i = 0; i < ROWS; i++) {
        struct text line = text_in(buffer, sizeof buffer);
        help_row(&rows[i], &line);
        write(line.at, line.length);
    }
    write(keys, sizeof keys - 1);
    for (size_t i = 0;; i++) {
        struct text line = text_in(buffer, sizeof buffer - 1);
        text_string(&line, "  ");
        if (!config_help(i, &line))
            break;
        buffer[line.length] = '\n';
        write(buffer, line.length + 1);
    }
    write(ours, sizeof ours - 1);
}
