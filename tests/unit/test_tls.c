// The TLS engine against OpenSSL: certificates made by its command line, servers that are its s_server. Where a peer
// has to misbehave, the bytes between the two are cut, damaged or made up.
#define _GNU_SOURCE 1 // prctl() and what sim/certificates.c wants
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define port_certificates file_certificates // the simulator's, beside the fake machine's
#include "../../sim/certificates.c"
#undef port_certificates

#include "../../port/log.h"
#include "../../port/tls/tls_private.h"
#include "machine.h"
#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/entropy.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DAY_MS       86400000
#define PATIENCE_MS  10000 // before a test that waits for a peer fails

static char folder[] = "/tmp/pipit-tls-XXXXXX";

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/// Certificates ///

// make NAME SECTION SUBJECT KEY ISSUER OPTIONS: NAME.pem and NAME.key; ISSUER "" for self-signed.
static const char script[] =
    "set -e\n"
    "cat >conf <<'END'\n"
    "[req]\ndistinguished_name=dn\n[dn]\n"
    "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
    "[leaf]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=$ENV::SAN\n"
    "[bare]\nbasicConstraints=critical,CA:FALSE\n"
    "[usage]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=$ENV::SAN\nextendedKeyUsage=clientAuth\n"
    "END\n"
    "key() { case $2 in rsa*) openssl genrsa -out $1.key ${2#rsa};;"
    " *) openssl ecparam -genkey -noout -name $2 -out $1.key;; esac; }\n"
    "make() { n=$1 s=$2 d=$3 k=$4 i=$5; shift 5; [ -f $n.key ] || key $n $k;"
    " openssl req -x509 -new -config conf -extensions $s -subj \"$d\" -key $n.key -days 30 -out $n.pem"
    " ${i:+-CA $i.pem -CAkey $i.key} \"$@\"; }\n"
    "export SAN='DNS:mail.example.org,DNS:*.wild.example.org'\n"
    "make root ca '/O=Pipit/CN=Test Root' prime256v1 '' -days 3650\n"
    "make ec leaf /CN=ec prime256v1 root\n"
    "make rsa leaf /CN=rsa rsa2048 root\n"
    "make p384root ca '/CN=Root 384' secp384r1 '' -sha384\n"
    "make p384 leaf /CN=p384 secp384r1 p384root -sha384\n"
    "make rsaroot ca '/CN=RSA Root' rsa4096 '' -sha512\n"
    "make pkcs1 leaf /CN=pkcs1 prime256v1 rsaroot -sha512\n"
    "make pss leaf /CN=pss prime256v1 rsaroot -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1\n"
    "make rsamiddle ca '/C=XX/O=A Certification Authority of the Usual Size/CN=Middle' rsa2048 rsaroot\n"
    "make rsachained leaf /CN=rsachained rsa2048 rsamiddle\n"
    "make middle ca '/CN=Middle' prime256v1 root\n"
    "make chained leaf /CN=chained prime256v1 middle\n"
    "make false ca '/CN=False Middle' prime256v1 root\n"
    "make falsely leaf /CN=falsely prime256v1 ec\n"
    "make other ca '/CN=Other Root' prime256v1 ''\n"
    "make double ca '/O=Pipit/CN=Test Root' prime256v1 ''\n"
    "make self leaf /CN=self prime256v1 ''\n"
    "make usage usage /CN=usage prime256v1 root\n"
    "make sha1 leaf /CN=sha1 prime256v1 root -sha1\n"
    "make weak leaf /CN=weak rsa1024 root\n"
    "make cn bare /CN=mail.example.org prime256v1 root\n"
    "make cnip bare /CN=127.0.0.1 prime256v1 root\n"
    "SAN=IP:127.0.0.1 make ip leaf /CN=ip prime256v1 root\n"
    "SAN=DNS:127.0.0.1,IP:127.0.0.2,IP:::1 make ipdns leaf /CN=127.0.0.1 prime256v1 root\n"
    // The issuer's name in other letters and as another kind of text: the same name (RFC 5280 section 7.1).
    "cp root.key loud.key\n"
    "make loud ca '/O=PIPIT/CN=TEST ROOT' prime256v1 '' -nameopt utf8 -days 3650\n"
    // The bundle of a Debian machine holds as many and has ours last.
    "for i in $(seq 1 25); do cp root.key many.key; make many ca \"/CN=Authority $i\" '' ''; cat many.pem; done "
    ">some.pem\n"
    "for i in 1 2 3 4 5 6; do cat some.pem; echo \"# more\"; done >bundle.pem\n"
    "cat root.pem >>bundle.pem\n"
    "{ echo 'Issued to: somebody'; echo; sed 's/^/ /' other.pem; head -5 other.pem; echo '-----BEGIN "
    "CERTIFICATE-----';\n"
    "  echo '-----END CERTIFICATE-----'; echo '-----BEGIN CERTIFICATE-----'; echo 'AAAA'; echo '-----END "
    "CERTIFICATE-----';\n"
    "  sed 's/^MII/!!!/' double.pem; openssl x509 -in root.pem -noout -text; sed 's/$/\\r/' root.pem; head -3 ec.pem;\n"
    "  } >messy.pem\n"
    "{ head -c -40 double.pem; cat root.key ; } >hopeless.pem\n"
    // A certificate of the right name with a kind of key that there is not, before the good one.
    "openssl x509 -in root.pem -outform DER | LC_ALL=C sed 's/\\xce\\x3d\\x02\\x01/\\xce\\x3d\\x02\\x7f/' | base64 "
    ">damaged\n"
    "{ echo '-----BEGIN CERTIFICATE-----'; cat damaged; echo '-----END CERTIFICATE-----'; } >damaged.pem\n"
    "cat damaged.pem root.pem >broken.pem\n"
    "cat double.pem root.pem >namesakes.pem\n"
    ": >empty.pem\n";

static char *path_of(const char *name)
{
    static char paths[4][256];
    static size_t turn;
    char *path = paths[turn++ % COUNT(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int run(const char *command)
{
    char line[512];
    snprintf(line, sizeof line, "cd %s && %s", folder, command);
    return system(line);
}

static int make_certificates(void)
{
    FILE *file = fopen(path_of("make.sh"), "w");
    if (file == NULL || fputs(script, file) < 0 || fclose(file) != 0)
        return -1;
    if (run("sh make.sh >log 2>&1") == 0)
        return 0;
    run("tail -n 5 log >&2");
    return -1;
}

/// Servers ///

struct server {
    const char *arguments; // of s_server
    pid_t pid;
    int in, out; // pipes: what it sends, and what it says and has received
    uint16_t port;
    char text[300000];
    size_t length;
};

static struct server servers[48];

// The port, from "ACCEPT 127.0.0.1:4433".
static bool read_port(struct server *s)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (now_ms() < end) {
        struct pollfd fd = {.fd = s->out, .events = POLLIN};
        poll(&fd, 1, 100);
        ssize_t n = read(s->out, s->text + s->length, sizeof s->text - 1 - s->length);
        if (n == 0)
            break;
        s->length += n > 0 ? (size_t)n : 0;
        s->text[s->length] = '\0';
        char *line = strstr(s->text, "ACCEPT 127.0.0.1:");
        if (line == NULL || strchr(line, '\n') == NULL)
            continue;
        s->port = (uint16_t)strtoul(line + 17, NULL, 10);
        return true;
    }
    return false;
}

// Dies with its parent, however that ends.
_Noreturn static void become_server(const char *arguments, const int in[2], const int out[2])
{
    char line[512];
    snprintf(line, sizeof line, "exec openssl s_server -accept 127.0.0.1:0 %s", arguments);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(folder) != 0)
        _exit(127);
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(out[1], 2);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

static struct server *start(struct server *s, const char *arguments)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_server(arguments, in, out);
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    s->arguments = arguments;
    s->pid = pid;
    s->in = in[1];
    s->out = out[0];
    if (!read_port(s))
        fail_msg("s_server %s: %s", arguments, s->text);
    return s;
}

static void stop(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    close(s->in);
    close(s->out);
    s->pid = 0;
    s->length = 0;
    s->arguments = NULL;
}

// The server with these arguments, started when it is first asked for. It serves one connection after the other.
static struct server *server(const char *arguments)
{
    for (size_t i = 0; i < COUNT(servers); i++) {
        if (servers[i].pid == 0)
            return start(&servers[i], arguments);
        if (strcmp(servers[i].arguments, arguments) == 0)
            return &servers[i];
    }
    fail_msg("too many servers");
    return NULL;
}

static void stop_servers(void)
{
    for (size_t i = 0; i < COUNT(servers); i++) {
        if (servers[i].pid != 0)
            stop(&servers[i]);
    }
}

// What a server says is looked at from here on.
static void listen_to(struct server *s)
{
    ssize_t n;
    while ((n = read(s->out, s->text, sizeof s->text)) > 0)
        ;
    s->length = 0;
    s->text[0] = '\0';
}

static void hear(struct server *s)
{
    ssize_t n = read(s->out, s->text + s->length, sizeof s->text - 1 - s->length);
    s->length += n > 0 ? (size_t)n : 0;
    s->text[s->length] = '\0';
}

static void tell(struct server *s, const char *line)
{
    assert_int_equal(write(s->in, line, strlen(line)), strlen(line));
}

/// Links: what a session's owner does, with faults ///

#define NEVER SIZE_MAX

struct link {
    struct tls *tls;
    int fd;          // -1: what comes is `made_up`
    bool stutters;   // one byte a call, and every other call nothing
    bool deaf;       // takes nothing
    bool mute;       // brings nothing
    size_t received; // bytes so far
    size_t sent;
    size_t cut_at; // the connection ends behind so many bytes
    size_t flip_at;
    bool harmless;                // what was flipped there
    bool idle;                    // nothing has moved since this was set
    unsigned receives, transmits; // calls
    const uint8_t *made_up;
    size_t made_up_length;
};

static struct link links[TLS_SESSIONS + 1];

static size_t most(const struct link *l, unsigned *calls, size_t size)
{
    if (!l->stutters)
        return size;
    return (*calls)++ % 2 == 0 ? 0 : 1;
}

static size_t receive_made_up(struct link *l, uint8_t *bytes, size_t size)
{
    size_t left = l->made_up_length - l->received;
    size_t n = left < size ? left : size;
    if (n > 0)
        memcpy(bytes, l->made_up + l->received, n);
    l->received += n;
    return n;
}

// The version in the header of a record, asked for by itself, is the one thing that nothing protects and nobody
// believes (RFC 5246 appendix E.1).
static void damage(struct link *l, uint8_t *bytes, size_t size)
{
    size_t at = l->flip_at - l->received;
    bytes[at] ^= 1;
    l->harmless = size == 5 && (at == 1 || at == 2);
}

static size_t receive(void *owner, uint8_t *bytes, size_t size)
{
    struct link *l = owner;
    if (l->fd < 0)
        return receive_made_up(l, bytes, size);
    if (l->received >= l->cut_at)
        return TLS_ENDED;
    if (l->mute)
        return 0;
    size = most(l, &l->receives, size);
    if (size == 0) {
        l->idle = false;
        return 0;
    }
    if (size > l->cut_at - l->received)
        size = l->cut_at - l->received;
    ssize_t n = recv(l->fd, bytes, size, 0);
    if (n == 0)
        return TLS_ENDED;
    if (n < 0)
        return errno == EAGAIN ? 0 : TLS_ENDED;
    if (l->flip_at >= l->received && l->flip_at < l->received + (size_t)n)
        damage(l, bytes, size);
    l->received += (size_t)n;
    l->idle = false;
    return (size_t)n;
}

static size_t transmit(void *owner, const uint8_t *bytes, size_t length)
{
    struct link *l = owner;
    if (l->fd < 0)
        return length;
    size_t size = l->deaf ? 0 : most(l, &l->transmits, length);
    if (size == 0) {
        l->idle = l->idle && l->deaf;
        return 0;
    }
    ssize_t n = send(l->fd, bytes, size, MSG_NOSIGNAL);
    if (n <= 0)
        return errno == EAGAIN ? 0 : length; // a peer that is gone: told by receive()
    l->sent += (size_t)n;
    l->idle = false;
    return (size_t)n;
}

static const struct tls_transport transport = {receive, transmit};

static struct link *take_link(void)
{
    for (size_t i = 0; i < COUNT(links); i++) {
        if (links[i].tls == NULL && links[i].fd <= 0) {
            links[i] = (struct link){.fd = -1, .cut_at = NEVER, .flip_at = NEVER};
            return &links[i];
        }
    }
    fail_msg("no link");
    return NULL;
}

static void drop(struct link *l)
{
    tls_end(l->tls);
    l->tls = NULL;
    if (l->fd > 0)
        close(l->fd);
    l->fd = -1;
}

static void dial(struct link *l, struct server *s)
{
    listen_to(s); // or it would wait for room to say more
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(l->fd, (const struct sockaddr *)&to, sizeof to), 0);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
}

static char sentence[256];
static bool starved; // the last session that could not begin

static struct tls_client settings_for(const char *name, const char *trusted)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", trusted == NULL ? "" : path_of(trusted));
    return (struct tls_client){.name = {name, strlen(name)}, .trusted = path, .verify = trusted != NULL};
}

static struct tls *begin(struct link *l, const struct tls_client *settings)
{
    struct tls_refusal refusal = {.why = text_in(sentence, sizeof sentence - 1), .starved = true};
    l->tls = tls_client(settings, &transport, l, &refusal);
    sentence[refusal.why.length] = '\0';
    starved = refusal.starved;
    return l->tls;
}

static const char *explained(const struct tls *t)
{
    struct text why = text_in(sentence, sizeof sentence);
    tls_explain(t, &why);
    return text_end(&why);
}

// One step; when nothing moved, waits so long for something to come.
static enum tls_state step_waiting(struct link *l, int wait_ms)
{
    l->idle = true;
    enum tls_state state = tls_step(l->tls);
    if (l->idle && l->fd >= 0) {
        struct pollfd fd = {.fd = l->fd, .events = POLLIN};
        poll(&fd, 1, wait_ms);
    }
    return state;
}

static enum tls_state step(struct link *l)
{
    return step_waiting(l, 5);
}

static enum tls_state shake(struct link *l)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (step(l) == TLS_HANDSHAKE) {
        if (now_ms() > end)
            fail_msg("the handshake does not end");
    }
    return tls_state(l->tls);
}

// A session with a server, its handshake done or failed.
static struct link *meet(const char *arguments, const char *name, const char *trusted)
{
    struct link *l = take_link();
    struct tls_client settings = settings_for(name, trusted);
    dial(l, server(arguments));
    assert_non_null(begin(l, &settings));
    shake(l);
    return l;
}

static struct link *open_to(const char *arguments)
{
    struct link *l = meet(arguments, "mail.example.org", "root.pem");
    if (tls_state(l->tls) != TLS_OPEN)
        fail_msg("%s: %s", arguments, explained(l->tls));
    return l;
}

/// Every test ///

static int set_up(void **state)
{
    (void)state;
    machine_wall_ms = (uint64_t)time(NULL) * 1000;
    machine_has_entropy = true;
    machine_certificates = file_certificates;
    machine_console_clear();
    return 0;
}

static void *ballast; // what a test has taken of the arena

static void free_ballast(void)
{
    mbedtls_free(ballast);
    ballast = NULL;
}

// All memory is back.
static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(links); i++)
        drop(&links[i]);
    free_ballast();
    if (tls_arena_used() != 0)
        fprintf(stderr, "%u bytes of the arena are still used\n", tls_arena_used());
    return machine_pools_used() == 0 && tls_arena_used() == 0 ? 0 : -1;
}

/// Peers and certificates ///

#define EC     "-cert ec.pem -key ec.key"
#define RSA    "-cert rsa.pem -key rsa.key"
#define OLD    " -cipher ALL:@SECLEVEL=0"
#define NAME   "mail.example.org"
#define SECURE "TLSv1.2 TLS-ECDHE-"

// What a session with `server` comes to: what was agreed on, or what tls_explain() says.
static const struct meeting {
    const char *server;
    const char *name;
    const char *trusted; // NULL: no check
    int days;            // by which the clock is off
    enum tls_state state;
    const char *outcome; // what it begins with
} meetings[] = {
    // Keys, signatures, ciphers, groups
    {EC, NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA-WITH-AES-128-GCM-SHA256"},
    {RSA, NAME, "root.pem", 0, TLS_OPEN, SECURE "RSA-WITH-AES-128-GCM-SHA256"},
    {RSA " -sigalgs RSA+SHA256", NAME, "root.pem", 0, TLS_OPEN, SECURE "RSA"},
    {"-cert p384.pem -key p384.key", NAME, "p384root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert pkcs1.pem -key pkcs1.key", NAME, "rsaroot.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert pss.pem -key pss.key", NAME, "rsaroot.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC " -cipher ECDHE-ECDSA-CHACHA20-POLY1305", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA-WITH-CHACHA20"},
    {EC " -cipher ECDHE-ECDSA-AES256-GCM-SHA384", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA-WITH-AES-256"},
    {EC " -groups X25519", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC " -groups P-384:P-256 -serverpref", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC " -tls1_3", NAME, "root.pem", 0, TLS_FAILED,
     "the peer broke it off with the alert protocol_version: it does not speak TLS 1.2"},
    {RSA " -tls1_1" OLD, NAME, "root.pem", 0, TLS_FAILED,
     "the peer broke it off with the alert handshake_failure: it found no cipher"}, // it has none of ours in TLS 1.1
    {RSA " -tls1" OLD, NAME, "root.pem", 0, TLS_FAILED, "the peer broke it off with the alert handshake_failure"},
    {EC " -cipher ECDHE-ECDSA-AES128-SHA256", NAME, "root.pem", 0, TLS_FAILED,
     "the peer broke it off with the alert handshake_failure: it found no cipher"},
    {RSA " -cipher AES128-GCM-SHA256", NAME, "root.pem", 0, TLS_FAILED,
     "the peer broke it off with the alert handshake_failure"},
    {EC " -groups P-521", NAME, "root.pem", 0, TLS_FAILED, "the peer broke it off with the alert handshake_failure"},
    {EC " -verify 1", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA"}, // it asks for ours; none will do
    {EC " -Verify 1", NAME, "root.pem", 0, TLS_FAILED, "the peer broke it off with the alert handshake_failure"},
    // Chains
    {"-cert chained.pem -key chained.key -cert_chain middle.pem", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert rsachained.pem -key rsachained.key -cert_chain rsamiddle.pem", NAME, "rsaroot.pem", 0, TLS_OPEN,
     SECURE "RSA"},
    {"-cert chained.pem -key chained.key", NAME, "middle.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert chained.pem -key chained.key", NAME, "root.pem", 0, TLS_FAILED,
     "the certificate comes from nobody whom we trust"},
    {"-cert chained.pem -key chained.key -cert_chain false.pem", NAME, "root.pem", 0, TLS_FAILED,
     "the certificate comes from nobody whom we trust"},
    {"-cert falsely.pem -key falsely.key -cert_chain ec.pem", NAME, "root.pem", 0, TLS_FAILED,
     "the certificate comes from nobody whom we trust"}, // signed by a certificate that is no CA's
    {EC, NAME, "other.pem", 0, TLS_FAILED, "the certificate comes from nobody whom we trust"},
    {EC, NAME, "double.pem", 0, TLS_FAILED, "the certificate comes from nobody whom we trust"},
    {EC, NAME, "namesakes.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, NAME, "loud.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, NAME, "bundle.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, NAME, "messy.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, NAME, "broken.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, NAME, "damaged.pem", 0, TLS_FAILED, "the certificate comes from nobody whom we trust"},
    {EC, NAME, "ec.pem", 0, TLS_OPEN, SECURE "ECDSA"}, // itself
    {"-cert self.pem -key self.key", NAME, "self.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert self.pem -key self.key", NAME, "root.pem", 0, TLS_FAILED,
     "the certificate comes from nobody whom we trust"},
    {"-cert self.pem -key self.key", "nobody.example.org", NULL, 9999, TLS_OPEN, SECURE "ECDSA"},
    // Dates
    {EC, NAME, "root.pem", 60, TLS_FAILED, "the certificate has expired"},
    {EC, NAME, "root.pem", -60, TLS_FAILED, "the certificate is not yet valid"},
    {EC, NAME, "other.pem", 60, TLS_FAILED,
     "the certificate has expired, and the certificate comes from nobody whom we trust"},
    // Names
    {EC, "MAIL.Example.ORG", "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, "mail.example.org.", "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, "a.wild.example.org", "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {EC, "a.b.wild.example.org", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {EC, "wild.example.org", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {EC, "example.org", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {EC, "127.0.0.1", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {"-cert cn.pem -key cn.key", NAME, "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert ip.pem -key ip.key", "127.0.0.1", "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert ip.pem -key ip.key", "127.0.0.2", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {"-cert ip.pem -key ip.key", NAME, "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {"-cert cnip.pem -key cnip.key", "127.0.0.1", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {"-cert ipdns.pem -key ipdns.key", "127.0.0.1", "root.pem", 0, TLS_FAILED, "the certificate is for another name"},
    {"-cert ipdns.pem -key ipdns.key", "127.0.0.2", "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    // What a certificate may not be
    {"-cert usage.pem -key usage.key", NAME, "root.pem", 0, TLS_FAILED, "the certificate is not one for servers"},
    {"-cert sha1.pem -key sha1.key" OLD, NAME, "root.pem", 0, TLS_FAILED,
     "the certificate is signed with a hash that is no longer safe"},
    {"-cert weak.pem -key weak.key" OLD, NAME, "root.pem", 0, TLS_FAILED, "the certificate has a key that is too weak"},
    // SNI (RFC 6066 section 3): for the name ec.pem, for an address nothing, and so ip.pem
    {"-cert ip.pem -key ip.key -servername mail.example.org -servername_fatal -cert2 ec.pem -key2 ec.key", NAME,
     "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert ip.pem -key ip.key -servername mail.example.org -servername_fatal -cert2 ec.pem -key2 ec.key", "127.0.0.1",
     "root.pem", 0, TLS_OPEN, SECURE "ECDSA"},
    {"-cert ip.pem -key ip.key -servername mail.example.org -servername_fatal -cert2 ec.pem -key2 ec.key",
     "a.wild.example.org", "root.pem", 0, TLS_FAILED,
     "the peer broke it off with the alert unrecognized_name: it does not know the name that we asked for"},
};

static void check_meeting(const struct meeting *m)
{
    machine_wall_ms = (uint64_t)time(NULL) * 1000 + (uint64_t)((int64_t)m->days * DAY_MS);
    struct link *l = meet(m->server, m->name, m->trusted);
    const char *outcome = tls_state(l->tls) == TLS_OPEN ? tls_agreed(l->tls) : explained(l->tls);
    if (tls_state(l->tls) != m->state || strncmp(outcome, m->outcome, strlen(m->outcome)) != 0)
        fail_msg("%s as %s with %s: \"%s\", not \"%s\"", m->server, m->name, m->trusted, outcome, m->outcome);
    assert_int_equal(strlen(explained(l->tls)) > 0, m->state == TLS_FAILED);
    assert_false(tls_was_starved(l->tls));
    assert_int_equal(strlen(tls_agreed(l->tls)) > 0, m->state == TLS_OPEN);
    drop(l);
    assert_int_equal(tls_arena_used(), 0);
}

static void meets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(meetings); i++)
        check_meeting(&meetings[i]);
}

// A machine that does not know the time checks all but the dates, and says so once a session.
static void time_unknown(void **state)
{
    (void)state;
    machine_wall_ms = 0;
    meet(EC, NAME, "root.pem");
    assert_int_equal(tls_state(links[0].tls), TLS_OPEN);
    const char *line = strstr(machine_console, "the dates of certificates are not checked");
    assert_non_null(line);
    assert_null(strstr(line + 1, "the dates of certificates are not checked"));
    drop(&links[0]);
    meet(EC, "example.org", "root.pem");
    assert_string_equal(explained(links[0].tls), "the certificate is for another name");
}

static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct link *l = meet(EC, NAME, "root.pem");
    assert_int_equal(tls_state(l->tls), TLS_FAILED);
    assert_string_equal(explained(l->tls), "the machine has no randomness, and without it there are no secrets");
    assert_int_equal(l->sent, 0);
}

// The randomness fails later on: when the key exchange wants a secret.
static void entropy_lost(void **state)
{
    (void)state;
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "root.pem");
    dial(l, server(EC));
    assert_non_null(begin(l, &settings));
    l->mute = true;
    assert_int_equal(tls_step(l->tls), TLS_HANDSHAKE);
    l->mute = false;
    machine_has_entropy = false;
    assert_int_equal(shake(l), TLS_FAILED);
    assert_string_equal(explained(l->tls), "the machine has no randomness, and without it there are no secrets");
}

/// What is trusted ///

static void refused(const char *trusted, const char *expected)
{
    struct link *l = take_link();
    struct tls_client settings = {.name = {NAME, strlen(NAME)}, .trusted = trusted, .verify = true};
    assert_null(begin(l, &settings));
    if (strstr(sentence, expected) == NULL)
        fail_msg("%s: \"%s\"", trusted, sentence);
    assert_false(starved);
    assert_int_equal(tls_arena_used(), 0);
}

static void trust_wall(void **state)
{
    (void)state;
    refused(NULL, "nobody has said which certificates to trust: name them, or turn the check off");
    refused("", "nobody has said which certificates to trust");
    refused(path_of("none.pem"), "none.pem, cannot be read");
    refused(folder, "cannot be read");
    refused(path_of("empty.pem"), "empty.pem, are an empty file");
    refused(path_of("root.key"), "root.key, are no certificates in PEM");
    refused(path_of("hopeless.pem"), "hopeless.pem, are no certificates in PEM");
    machine_certificates = NULL;
    refused(path_of("root.pem"), "root.pem, cannot be read");
}

static void trust_lost(void **state)
{
    (void)state;
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "root.pem");
    dial(l, server(EC));
    assert_non_null(begin(l, &settings));
    machine_certificates = NULL;
    assert_int_equal(shake(l), TLS_FAILED);
    assert_string_equal(explained(l->tls), "the certificates to trust can no longer be read");
}

// A changed file counts at once; a FIFO, which would keep us waiting, is none.
static void files(void **state)
{
    (void)state;
    const char *pem;
    size_t length;
    assert_int_equal(run("printf one >changing && mkfifo fifo"), 0);
    assert_true(file_certificates(path_of("changing"), &pem, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(pem, "one", 3);
    assert_int_equal(run("printf three >changing"), 0);
    assert_true(file_certificates(path_of("changing"), &pem, &length));
    assert_int_equal(length, 5);
    assert_memory_equal(pem, "three", 5);
    assert_true(file_certificates(path_of("empty.pem"), &pem, &length));
    assert_int_equal(length, 0);
    assert_false(file_certificates(path_of("fifo"), &pem, &length));
    assert_false(file_certificates(path_of("none.pem"), &pem, &length));
    assert_false(file_certificates(folder, &pem, &length));
}

static void names_refused(void **state)
{
    (void)state;
    static char name[300];
    memset(name, 'a', sizeof name);
    const struct {
        struct span name;
        const char *why;
    } rows[] = {{{"", 0}, "the peer has no name"},
                {{".", 1}, "the peer has no name"},
                {{name, 254}, "the peer's name is no host name"},
                {{"mail.example.org\0.evil.example", 30}, "the peer's name is no host name"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls_client settings = {.name = rows[i].name, .verify = false};
        assert_null(begin(take_link(), &settings));
        assert_string_equal(sentence, rows[i].why);
        assert_false(starved);
    }
    struct tls_client settings = {.name = {name, 253}, .verify = false};
    assert_non_null(begin(take_link(), &settings));
}

/// Data ///

#define PLENTY 102400

static uint8_t pattern[PLENTY], got[PLENTY];

static void make_pattern(void)
{
    for (size_t i = 0; i < PLENTY; i++)
        pattern[i] = (uint8_t)(i % 61 == 60 ? '\n' : '0' + (i * 7 + i / 61) % 10);
}

// Sends all of it and lets the server's text grow until it holds it.
static void upload(struct link *l, struct server *s, size_t length)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    size_t sent = 0;
    listen_to(s);
    while (s->length < length || memmem(s->text, s->length, pattern, length) == NULL) {
        size_t n = tls_write(l->tls, pattern + sent, length - sent);
        assert_true(n <= TLS_OUT);
        sent += n;
        assert_int_equal(step(l), TLS_OPEN);
        hear(s);
        if (now_ms() > end)
            fail_msg("%zu of %zu bytes went, %zu came", sent, length, s->length);
    }
    assert_int_equal(sent, length);
    assert_false(tls_sending(l->tls));
}

static void download(struct link *l, struct server *s, size_t length)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    size_t sent = 0, n = 0;
    while (n < length) {
        ssize_t wrote = sent < length ? write(s->in, pattern + sent, length - sent) : 0;
        sent += wrote > 0 ? (size_t)wrote : 0;
        assert_int_equal(step(l), TLS_OPEN);
        n += tls_read(l->tls, got + n, length - n < 777 ? length - n : 777);
        if (now_ms() > end)
            fail_msg("%zu of %zu bytes came", n, length);
    }
    assert_memory_equal(got, pattern, length);
    assert_int_equal(tls_read(l->tls, got, sizeof got), 0);
}

static void both_ways(void **state)
{
    (void)state;
    static const char *const peers[] = {EC, EC " -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
                                        EC " -cipher ECDHE-ECDSA-AES256-GCM-SHA384"};
    for (size_t i = 0; i < COUNT(peers); i++) {
        struct link *l = open_to(peers[i]);
        upload(l, server(peers[i]), PLENTY);
        download(l, server(peers[i]), PLENTY);
        drop(l);
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "root.pem");
    dial(l, server(EC));
    l->stutters = true;
    assert_non_null(begin(l, &settings));
    assert_int_equal(shake(l), TLS_OPEN);
    upload(l, server(EC), 10000);
    download(l, server(EC), 10000);
}

// What a write took is sent although the transport takes nothing for a while; meanwhile nothing more is taken.
static void write_without_room(void **state)
{
    (void)state;
    struct link *l = open_to(EC);
    struct server *s = server(EC);
    listen_to(s);
    l->deaf = true;
    assert_int_equal(tls_write(l->tls, pattern, 0), 0);
    assert_int_equal(tls_write(l->tls, pattern, PLENTY), TLS_OUT);
    assert_true(tls_sending(l->tls));
    assert_int_equal(tls_write(l->tls, pattern + TLS_OUT, 10), 0);
    assert_int_equal(step(l), TLS_OPEN);
    assert_true(tls_sending(l->tls));
    tls_close(l->tls); // waits behind it
    assert_int_equal(tls_write(l->tls, pattern, 10), 0);
    l->deaf = false;
    uint64_t end = now_ms() + PATIENCE_MS;
    while (memmem(s->text, s->length, pattern, TLS_OUT) == NULL || strstr(s->text, "DONE") == NULL) {
        step(l);
        hear(s);
        assert_true(now_ms() < end);
    }
    assert_false(tls_sending(l->tls));
    assert_null(strstr(s->text, "ERROR"));
}

// Plain bytes that nobody takes stay, and hold what is behind them.
static void read_late(void **state)
{
    (void)state;
    struct link *l = open_to(EC);
    tell(server(EC), "0123456789\n");
    uint64_t end = now_ms() + PATIENCE_MS;
    size_t before = l->received;
    while (l->received == before && now_ms() < end)
        step(l);
    for (int i = 0; i < 5; i++)
        assert_int_equal(step(l), TLS_OPEN);
    assert_int_equal(tls_read(l->tls, got, 0), 0);
    assert_int_equal(tls_read(l->tls, got, 4), 4);
    assert_int_equal(step(l), TLS_OPEN);
    assert_int_equal(tls_read(l->tls, got + 4, sizeof got - 4), 7);
    assert_memory_equal(got, "0123456789\n", 11);
}

// The server asks for another handshake (RFC 5246 section 7.4.1.1): it gets none, and no harm is done to us.
static void renegotiation(void **state)
{
    (void)state;
    struct link *l = open_to(RSA);
    tell(server(RSA), "r\n");
    uint64_t end = now_ms() + 300;
    size_t sent = l->sent;
    while (now_ms() < end && tls_state(l->tls) == TLS_OPEN && l->sent == sent)
        step(l);
    assert_true(l->sent > sent); // no_renegotiation
    while (now_ms() < end && step(l) == TLS_OPEN)
        ;
    if (tls_state(l->tls) == TLS_FAILED)
        assert_true(strlen(explained(l->tls)) > 0);
}

/// The end ///

#define WEB EC " -WWW"

// Everything sent before the goodbye is read, then the session is closed; our own goodbye still goes out.
static void closed_by_peer(void **state)
{
    (void)state;
    static uint8_t page[200000];
    static const char request[] = "GET /bundle.pem HTTP/1.0\r\n\r\n";
    struct link *l = open_to(WEB);
    size_t n = 0;
    uint64_t end = now_ms() + PATIENCE_MS;
    assert_int_equal(tls_write(l->tls, (const uint8_t *)request, sizeof request - 1), sizeof request - 1);
    while (step(l) == TLS_OPEN) {
        n += tls_read(l->tls, page + n, sizeof page - n);
        assert_true(now_ms() < end);
    }
    assert_true(n > 50000);
    assert_memory_equal(page + n - 26, "-----END CERTIFICATE-----\n", 26);
    assert_int_equal(tls_state(l->tls), TLS_CLOSED);
    assert_string_equal(explained(l->tls), "");
    assert_int_equal(tls_read(l->tls, got, sizeof got), 0);
    assert_int_equal(tls_write(l->tls, pattern, 10), 0);
    size_t sent = l->sent;
    tls_close(l->tls);
    assert_true(l->sent > sent);
    assert_false(tls_sending(l->tls));
    tls_close(l->tls);
    assert_int_equal(step(l), TLS_CLOSED);
}

// Looks at what waits in a socket: is there a whole alert, the goodbye, behind the data?
static bool goodbye_waits(int fd)
{
    static uint8_t waiting[16384];
    ssize_t n = recv(fd, waiting, sizeof waiting, MSG_PEEK);
    for (ssize_t at = 0; at + 5 <= n; at += 5 + waiting[at + 3] * 256 + waiting[at + 4]) {
        if (waiting[at] == 21)
            return true;
    }
    return false;
}

// Data and close_notify that came together are told in order.
static void closed_behind_data(void **state)
{
    (void)state;
    static const char request[] = "GET /log HTTP/1.0\r\n\r\n";
    struct link *l = open_to(WEB);
    assert_int_equal(tls_write(l->tls, (const uint8_t *)request, sizeof request - 1), sizeof request - 1);
    uint64_t end = now_ms() + PATIENCE_MS;
    while (!goodbye_waits(l->fd))
        assert_true(now_ms() < end);
    for (int i = 0; i < 3; i++)
        assert_int_equal(step(l), TLS_OPEN);
    assert_true(tls_read(l->tls, got, 12) == 12);
    assert_memory_equal(got, "HTTP/1.0 200", 12);
    assert_int_equal(step(l), TLS_OPEN);
    while (tls_read(l->tls, got, sizeof got) > 0)
        ;
    assert_int_equal(tls_state(l->tls), TLS_CLOSED);
}

static void closed_by_us(void **state)
{
    (void)state;
    struct link *l = open_to(EC);
    struct server *s = server(EC);
    listen_to(s);
    tls_close(l->tls);
    assert_int_equal(tls_write(l->tls, pattern, 10), 0);
    uint64_t end = now_ms() + PATIENCE_MS;
    while (step(l) == TLS_OPEN)
        assert_true(now_ms() < end);
    assert_int_equal(tls_state(l->tls), TLS_CLOSED); // the peer's answer
    while (strstr(s->text, "DONE") == NULL) {
        hear(s);
        assert_true(now_ms() < end);
    }
    assert_null(strstr(s->text, "ERROR"));
}

// Said while the handshake is under way, it goes out at its end.
static void closed_early(void **state)
{
    (void)state;
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "root.pem");
    dial(l, server(EC));
    assert_non_null(begin(l, &settings));
    tls_close(l->tls);
    l->mute = true;
    assert_int_equal(tls_step(l->tls), TLS_HANDSHAKE);
    l->mute = false;
    assert_false(tls_sending(l->tls));
    assert_true(shake(l) != TLS_FAILED);
    assert_false(tls_sending(l->tls));
    uint64_t end = now_ms() + PATIENCE_MS;
    while (step(l) == TLS_OPEN)
        assert_true(now_ms() < end);
    assert_int_equal(tls_state(l->tls), TLS_CLOSED);
}

// The bytes that a whole handshake brings: a few more or less each time, since ECDSA signatures vary.
static size_t handshake_bytes(void)
{
    struct link *l = open_to(EC);
    size_t bytes = l->received;
    drop(l);
    return bytes;
}

static void cut_in_handshake(void **state)
{
    (void)state;
    size_t whole = handshake_bytes();
    assert_true(whole > 500);
    for (size_t at = 0; at < whole - 8; at += at < 12 || at > whole - 60 ? 1 : 37) {
        struct link *l = take_link();
        struct tls_client settings = settings_for(NAME, "root.pem");
        dial(l, server(EC));
        l->cut_at = at;
        assert_non_null(begin(l, &settings));
        assert_int_equal(shake(l), TLS_FAILED);
        assert_string_equal(explained(l->tls), "the connection ended in the middle of the handshake");
        drop(l);
    }
}

static void cut_in_data(void **state)
{
    (void)state;
    for (size_t more = 0; more < 40; more += 3) {
        struct link *l = open_to(EC);
        l->cut_at = l->received + more;
        tell(server(EC), "0123456789\n");
        uint64_t end = now_ms() + PATIENCE_MS;
        while (step(l) == TLS_OPEN && tls_read(l->tls, got, sizeof got) == 0)
            assert_true(now_ms() < end);
        step(l);
        assert_int_equal(tls_state(l->tls), TLS_FAILED);
        assert_string_equal(explained(l->tls),
                            "the connection ended without a close_notify, so what came may not be all");
        assert_int_equal(tls_read(l->tls, got, sizeof got), 0);
        assert_int_equal(tls_write(l->tls, pattern, 10), 0);
        assert_false(tls_sending(l->tls));
        tls_close(l->tls);
        assert_int_equal(step(l), TLS_FAILED);
        drop(l);
    }
}

// A bit turned anywhere in what the server sends never leads to an open session.
static void damaged_handshake(void **state)
{
    (void)state;
    size_t whole = handshake_bytes();
    for (size_t at = 0; at < whole; at += at < 90 ? 3 : 29) {
        struct link *l = take_link();
        struct tls_client settings = settings_for(NAME, "root.pem");
        dial(l, server(EC));
        l->flip_at = at;
        assert_non_null(begin(l, &settings));
        uint64_t end = now_ms() + 200; // a longer length makes it wait for what will not come
        while (step(l) == TLS_HANDSHAKE && now_ms() < end)
            ;
        if (tls_state(l->tls) == TLS_OPEN && l->received > at && !l->harmless)
            fail_msg("open although byte %zu was damaged", at);
        drop(l);
        assert_int_equal(tls_arena_used(), 0);
    }
}

static void damaged_data(void **state)
{
    (void)state;
    struct link *l = open_to(EC);
    l->flip_at = l->received + 20;
    tell(server(EC), "0123456789\n");
    uint64_t end = now_ms() + PATIENCE_MS;
    while (step(l) == TLS_OPEN)
        assert_true(now_ms() < end);
    assert_string_equal(explained(l->tls), "a record was damaged on the way, or forged");
    assert_int_equal(tls_read(l->tls, got, sizeof got), 0);
}

#define BYTES(STRING)                                                                                                  \
    {                                                                                                                  \
        (const uint8_t *)(STRING), sizeof(STRING) - 1                                                                  \
    }
#define RANDOM "0123456789abcdef0123456789abcdef"

static void answered(const uint8_t *answer, size_t length, const char *why)
{
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "root.pem");
    l->made_up = answer;
    l->made_up_length = length;
    assert_non_null(begin(l, &settings));
    step(l);
    assert_int_equal(tls_state(l->tls), why[0] == '\0' ? TLS_HANDSHAKE : TLS_FAILED);
    if (strncmp(explained(l->tls), why, strlen(why)) != 0)
        fail_msg("\"%s\", not \"%s\"", sentence, why);
    drop(l);
}

static void wrong_answers(void **state)
{
    (void)state;
    static const struct {
        struct {
            const uint8_t *at;
            size_t length;
        } answer;
        const char *why;
    } rows[] = {
        {BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), "what came is not TLS"},
        {BYTES("220 mail.example.org ESMTP\r\n"), "what came is not TLS"},
        {BYTES("\x16\x03"), ""},
        {BYTES("\x16\x03\x03\x7f\xff"), "a message of the peer's, such as its certificates, is too long for us"},
        {BYTES("\x16\x03\x03\0\0"), "what came is not TLS"},
        {BYTES("\x17\x03\x03\0\x01x"), "a message came that does not belong there"},
        {BYTES("\x16\x03\x03\0\x04\x0e\0\0\0"), "a message could not be read"},
        {BYTES("\x16\x03\x03\0\x04\x02\0\0\0"), "a message could not be read"},
        {BYTES("\x15\x03\x03\0\x02\x02\x46"),
         "the peer broke it off with the alert protocol_version: it does not speak TLS 1.2"},
        {BYTES("\x15\x03\x03\0\x02\x01\x70"), ""}, // a warning
        {BYTES("\x15\x03\x03\0\x02\x01\0"), "the peer said goodbye in the middle of the handshake"},
        {BYTES("\x16\x03\x02\0\x2a\x02\0\0\x26\x03\x02" RANDOM "\0\xc0\x2b\0"), "the peer does not speak TLS 1.2"},
        {BYTES("\x16\x03\x03\0\x2a\x02\0\0\x26\x03\x03" RANDOM "\0\xc0\x09\0"),
         "a message of the peer's, such as its certificates, is too long for us or makes no sense"}, // CBC was chosen
        {BYTES("\x16\x03\x03\0\x2a\x02\0\0\x26\x03\x03" RANDOM "\0\xc0\x2b\x01"),
         "the peer wants something that we do not have"}, // compression
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        answered(rows[i].answer.at, rows[i].answer.length, rows[i].why);
}

// A ServerHello that says it has 1 MB, in as many records as it likes.
static void endless_message(void **state)
{
    (void)state;
    enum { RECORD = 1024 };
    static uint8_t answer[(TLS_IN / RECORD + 8) * (5 + RECORD)];
    for (size_t at = 0; at < sizeof answer; at += 5 + RECORD)
        memcpy(answer + at, "\x16\x03\x03\x04", 4);
    memcpy(answer + 5, "\x02\x0f\xff\xff", 4);
    answered(answer, sizeof answer, "a message of the peer's, such as its certificates, is too long for us");
}

/// Memory ///

// All sessions at once, with their handshakes interleaved; one more is refused, and they do not notice.
static void all_sessions(void **state)
{
    (void)state;
    static struct server own[TLS_SESSIONS];
    struct tls_client settings = settings_for(NAME, "bundle.pem");
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        start(&own[i], i % 2 == 0 ? RSA : EC);
        dial(&links[i], &own[i]);
        links[i].cut_at = links[i].flip_at = NEVER;
        links[i].stutters = i == 0;
        assert_non_null(begin(&links[i], &settings));
    }
    assert_null(begin(&links[TLS_SESSIONS], &settings));
    assert_non_null(strstr(sentence, "all TLS sessions"));
    assert_true(starved);
    uint64_t end = now_ms() + PATIENCE_MS;
    for (size_t open = 0; open < TLS_SESSIONS && now_ms() < end;) {
        open = 0;
        for (size_t i = 0; i < TLS_SESSIONS; i++)
            open += step_waiting(&links[i], 0) == TLS_OPEN;
    }
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        if (tls_state(links[i].tls) != TLS_OPEN)
            fail_msg("%zu: %s", i, explained(links[i].tls));
        download(&links[i], &own[i], 3000);
    }
    for (size_t i = 0; i < TLS_SESSIONS; i++)
        stop(&own[i]);
}

// With so many bytes of the arena left, a session works or fails with the right words, and gives all of it back.
static enum tls_state with_room(size_t room)
{
    ballast = mbedtls_calloc(1, TLS_ARENA - room);
    struct link *l = take_link();
    struct tls_client settings = settings_for(NAME, "bundle.pem");
    enum tls_state state = TLS_FAILED;
    assert_non_null(ballast);
    dial(l, server("-cert chained.pem -key chained.key -cert_chain middle.pem"));
    if (begin(l, &settings) != NULL) {
        assert_false(starved);
        state = shake(l);
        explained(l->tls);
        starved = tls_was_starved(l->tls);
    }
    if (state == TLS_FAILED)
        assert_string_equal(sentence, "there is not enough memory for another TLS session just now");
    assert_int_equal(starved, state == TLS_FAILED);
    drop(l);
    free_ballast();
    assert_int_equal(tls_arena_used(), 0);
    return state;
}

static void arena_exhausted(void **state)
{
    (void)state;
    size_t least = 0;
    tls_arena_prepare();
    for (size_t room = 256; room < 72000 && room < TLS_ARENA - 64; room += room < 20000 ? 1999 : 331) {
        enum tls_state outcome = with_room(room);
        if (outcome == TLS_OPEN && least == 0)
            least = room;
        assert_true(outcome == TLS_OPEN || least == 0); // more room never makes it worse
    }
    assert_true(least > TLS_IN + TLS_OUT);
    assert_true(least < TLS_ARENA);
}

// Nothing of what was said stays behind.
static void wiped(void **state)
{
    (void)state;
    static const char secret[] = "314159265358979323846264338327950288\n";
    struct link *l = open_to(EC);
    struct server *s = server(EC);
    listen_to(s);
    assert_int_equal(tls_write(l->tls, (const uint8_t *)secret, sizeof secret - 1), sizeof secret - 1);
    tell(s, secret);
    uint64_t end = now_ms() + PATIENCE_MS;
    size_t n = 0;
    while (n < sizeof secret - 1 || strstr(s->text, "31415926535897932384626433") == NULL) {
        step(l);
        n += tls_read(l->tls, got + n, 1);
        hear(s);
        assert_true(now_ms() < end);
    }
    drop(l);
    assert_null(memmem(tls_arena, TLS_ARENA, "3141592653", 10));
    assert_null(memmem(tls_arena, TLS_ARENA, "0288\n", 5));
    memset(got, 0, sizeof got);
}

static void counters(void **state)
{
    (void)state;
    assert_int_equal(tls_arena_used(), 0);
    struct link *l = open_to(EC);
    uint32_t open = tls_arena_used();
    assert_true(open > TLS_IN + TLS_OUT);
    assert_true(open < TLS_ARENA / TLS_SESSIONS);
    assert_true(tls_arena_high_water() > open);
    assert_true(tls_arena_high_water() <= TLS_ARENA);
    drop(l);
    tls_end(NULL);
}

/// Words and dates ///

static const char *words(int error, uint32_t flags, uint8_t alert)
{
    static struct tls t;
    t = (struct tls){.state = TLS_FAILED, .error = error, .flags = flags, .alert = alert};
    return explained(&t);
}

static void explanations(void **state)
{
    (void)state;
    assert_string_equal(words(-0x6d80, 0, 0), "error -0x6d80");
    assert_string_equal(words(MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 0, 48),
                        "the peer broke it off with the alert unknown_ca");
    assert_string_equal(words(MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, 0, 99), "the peer broke it off with the alert 99");
    assert_string_equal(words(MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, 0x40, 0), "there was no certificate");
    assert_string_equal(words(MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, 0x100, 0), "the certificate is not good (0x100)");
    assert_string_equal(words(MBEDTLS_ERR_SSL_BAD_CERTIFICATE, UINT32_MAX, 0), "the certificate cannot be used");
    // A lower layer's error added to a module's
    assert_string_equal(words(MBEDTLS_ERR_X509_INVALID_FORMAT - 0x60, 0, 0), "the certificate could not be read");
}

static void dates(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 13569465600; at += 86400 * 3 + 12345) { // to the year 2400
        struct tm ours, theirs;
        time_t time = (time_t)at;
        assert_non_null(mbedtls_platform_gmtime_r(&at, &ours));
        gmtime_r(&time, &theirs);
        assert_int_equal(ours.tm_year, theirs.tm_year);
        assert_int_equal(ours.tm_mon, theirs.tm_mon);
        assert_int_equal(ours.tm_mday, theirs.tm_mday);
        assert_int_equal(ours.tm_hour, theirs.tm_hour);
        assert_int_equal(ours.tm_min, theirs.tm_min);
        assert_int_equal(ours.tm_sec, theirs.tm_sec);
    }
}

/// All of them ///

static int start_all(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    make_pattern();
    log_threshold = LOG_WARNING;
    if (mkdtemp(folder) == NULL)
        return -1;
    return make_certificates();
}

static int stop_all(void **state)
{
    (void)state;
    stop_servers();
    return run("rm -rf \"$PWD\"");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(arena_exhausted),    TEST(meets),         TEST(time_unknown),
        TEST(no_entropy),         TEST(entropy_lost),  TEST(trust_wall),
        TEST(trust_lost),         TEST(files),         TEST(names_refused),
        TEST(both_ways),          TEST(byte_by_byte),  TEST(write_without_room),
        TEST(read_late),          TEST(renegotiation), TEST(closed_by_peer),
        TEST(closed_behind_data), TEST(closed_by_us),  TEST(closed_early),
        TEST(cut_in_handshake),   TEST(cut_in_data),   TEST(damaged_handshake),
        TEST(damaged_data),       TEST(wrong_answers), TEST(endless_message),
        TEST(all_sessions),       TEST(wiped),         TEST(counters),
        TEST(explanations),       TEST(dates),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
