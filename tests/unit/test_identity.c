// The TLS identity, with OpenSSL's command line as judge and as maker of what is loaded. The test owns the clock, the
// address, the name and the store.
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../port/syslog/syslog.h"
#include "../../port/tls/identity.c"
#include "machine.h"
#include <mbedtls/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DAY_MS  86400000ull
#define ADDRESS 0xc0a80114u // 192.168.1.20
#define OTHER   0xc0a80115u

/// The device ///

static uint32_t own_address;
static const char *own_name;

uint32_t net_own_address(void)
{
    return own_address;
}

const char *net_own_name(void)
{
    return own_name;
}

// Without these two the log brings the network along, and with it the functions above.
void syslog_line(enum log_level level, const char *module, struct span message)
{
    (void)level;
    (void)module;
    (void)message;
}

void syslog_poll(void)
{
}

static struct {
    uint8_t bytes[TLS_IDENTITY_BLOB];
    size_t length;
    uint32_t writes;
} kept_certificate, kept_key;
static bool flash_works;

static bool fake_keep(struct span name, struct span bytes)
{
    bool certificate = span_equal(name, span_of("tls.cert"));
    assert_true(certificate || span_equal(name, span_of("tls.key")));
    assert_true(bytes.length <= TLS_IDENTITY_BLOB);
    if (!flash_works)
        return false;
    memcpy(certificate ? kept_certificate.bytes : kept_key.bytes, bytes.at, bytes.length);
    *(certificate ? &kept_certificate.length : &kept_key.length) = bytes.length;
    (*(certificate ? &kept_certificate.writes : &kept_key.writes))++;
    return true;
}

static size_t fake_read(struct span name, uint8_t *bytes, size_t size)
{
    bool certificate = span_equal(name, span_of("tls.cert"));
    size_t length = certificate ? kept_certificate.length : kept_key.length;
    assert_true(length <= size);
    memcpy(bytes, certificate ? kept_certificate.bytes : kept_key.bytes, length);
    return length;
}

static const struct tls_identity_store fake_store = {fake_keep, fake_read};

static char sentence[300];
static struct text why;

static bool begin(void)
{
    why = text_in(sentence, sizeof sentence);
    bool good = tls_identity_start(&why);
    text_end(&why);
    return good;
}

// What a reset does: everything in RAM is gone.
static void reset(void)
{
    empty(&slots[0]);
    empty(&slots[1]);
    shown = NULL;
    started = clock_known = keeps = false;
    wipe();
    tls_identity_paste_end();
}

static void pass(uint64_t ms)
{
    for (uint64_t end = machine_now_ms + ms; machine_now_ms < end;) {
        machine_now_ms += end - machine_now_ms < 1000 ? end - machine_now_ms : 1000;
        tls_identity_step(machine_now_ms);
    }
}

// Days without their seconds.
static void pass_days(uint64_t days)
{
    machine_now_ms += days * DAY_MS;
    pass(2000);
}

static void set_wall(int64_t seconds)
{
    machine_wall_ms = seconds == 0 ? 0 : (uint64_t)seconds * 1000 - machine_now_ms;
}

static int set_up(void **state)
{
    (void)state;
    machine_now_ms += 10000;
    set_wall(time(NULL));
    machine_has_entropy = true;
    machine_console_clear();
    own_address = ADDRESS;
    own_name = "pipit";
    kept_certificate.length = kept_key.length = 0;
    kept_certificate.writes = kept_key.writes = 0;
    flash_works = true;
    tls_identity_settings = (struct tls_identity_settings){.days = 397, .names = "", .store = &fake_store};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reset();
    assert_int_equal(tls_arena_used(), 0);
    return 0;
}

/// What others think of it ///

static char folder[] = "/tmp/pipit-identity-XXXXXX";
static FILE *pem_file;

static void write_line(const char *line)
{
    fprintf(pem_file, "%s\n", line);
}

static void export_pem(void)
{
    pem_file = fopen("device.pem", "w");
    assert_non_null(pem_file);
    tls_identity_pem(write_line);
    fclose(pem_file);
}

// Runs a command; true when it ends with 0. %ld in it is the device's time.
static bool shell(const char *format)
{
    char command[500];
    snprintf(command, sizeof command, format, (long)tls_identity_now());
    return system(command) == 0;
}

static bool openssl_accepts(const char *option)
{
    char command[400];
    export_pem();
    snprintf(command, sizeof command,
             "openssl verify -attime %ld -x509_strict -purpose sslserver -CAfile device.pem %s device.pem >out 2>&1",
             (long)tls_identity_now(), option);
    return system(command) == 0;
}

static bool mbedtls_accepts(const char *name)
{
    uint32_t flags;
    return mbedtls_x509_crt_verify(&shown->certificate, &shown->certificate, NULL, name, &flags, NULL, NULL) == 0;
}

static struct text print_of(char buffer[100])
{
    struct text t = text_in(buffer, 100);
    tls_identity_fingerprint(&t);
    text_end(&t);
    return t;
}

static bool same_key(const uint8_t *public, size_t length)
{
    uint8_t now[200];
    int n = mbedtls_pk_write_pubkey_der(&shown->key, now, sizeof now);
    return n == (int)length && memcmp(now + sizeof now - length, public, length) == 0;
}

static size_t public_key(uint8_t public[200])
{
    int n = mbedtls_pk_write_pubkey_der(&shown->key, public, 200);
    assert_true(n > 0);
    memmove(public, public + 200 - n, (size_t)n);
    return (size_t)n;
}

static bool all_zero(const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((const uint8_t *)bytes)[i] != 0)
            return false;
    return true;
}

/// Own certificates ///

static void test_made_and_accepted(void **state)
{
    (void)state;
    tls_identity_settings.names = "chat.example, 10.9.8.7,bad*name,pipit";
    assert_true(begin());
    assert_int_not_equal(tls_identity_generation(), 0);
    assert_false(tls_identity_is_loaded());
    for (const char **option =
             (const char *[]){"", "-verify_hostname pipit", "-verify_hostname pipit.local",
                              "-verify_hostname localhost", "-verify_hostname chat.example", "-verify_ip 192.168.1.20",
                              "-verify_ip 127.0.0.1", "-verify_ip 10.9.8.7", NULL};
         *option != NULL; option++)
        assert_true(openssl_accepts(*option));
    assert_false(openssl_accepts("-verify_hostname other.example"));
    assert_false(openssl_accepts("-verify_ip 192.168.1.21"));
    assert_true(mbedtls_accepts("pipit.local"));
    assert_false(mbedtls_accepts("other.example"));
    char print[100], command[300];
    print_of(print);
    snprintf(command, sizeof command,
             "openssl x509 -in device.pem -noout -fingerprint -sha256 | grep -qi 'fingerprint=%s'", print);
    assert_int_equal(system(command), 0);
    assert_true(shell("openssl x509 -in device.pem -noout -text >text; grep -q 'CA:FALSE' text && grep -q 'TLS Web "
                      "Server Authentication' text && grep -q 'ecdsa-with-SHA256' text && grep -q prime256v1 text"));
    assert_true(all_zero(&material, sizeof material));
    assert_non_null(strstr(machine_console, "self-signed, valid from "));
}

static void test_waits_for_an_address(void **state)
{
    (void)state;
    own_address = 0;
    assert_true(begin());
    pass(5000);
    assert_null(tls_identity_certificate());
    assert_null(tls_identity_key());
    assert_int_equal(tls_identity_generation(), 0);
    own_address = ADDRESS;
    pass(2000);
    assert_true(openssl_accepts("-verify_ip 192.168.1.20"));
    assert_int_equal(kept_certificate.writes, 1);
}

static void test_waits_not_for_ever(void **state)
{
    (void)state;
    own_address = 0;
    assert_true(begin());
    pass(TLS_IDENTITY_PATIENCE_MS + 1000);
    assert_true(openssl_accepts("-verify_hostname pipit.local"));
}

static void test_restart_keeps_it(void **state)
{
    (void)state;
    char before[100], after[100];
    assert_true(begin());
    print_of(before);
    reset();
    own_address = 0; // DHCP has not answered yet
    assert_true(begin());
    print_of(after);
    assert_string_equal(before, after);
    pass(30000);
    assert_int_equal(kept_certificate.writes, 1);
    assert_int_equal(kept_key.writes, 1);
}

static void test_renewed_before_its_end(void **state)
{
    (void)state;
    uint8_t public[200];
    assert_true(begin());
    size_t length = public_key(public);
    uint32_t generation = tls_identity_generation();
    pass_days(360);
    assert_int_equal(tls_identity_generation(), generation);
    assert_true(openssl_accepts(""));
    pass_days(8);
    assert_int_not_equal(tls_identity_generation(), generation);
    assert_true(same_key(public, length));
    assert_true(openssl_accepts(""));
    pass_days(300);
    assert_true(openssl_accepts(""));
    pass_days(2000); // switched on after years in a drawer
    assert_true(openssl_accepts(""));
}

static void test_days_is_a_setting(void **state)
{
    (void)state;
    tls_identity_settings.days = 1;
    assert_true(begin());
    uint32_t generation = tls_identity_generation();
    machine_now_ms += DAY_MS / 2;
    pass(2000);
    assert_int_equal(tls_identity_generation(), generation);
    machine_now_ms += DAY_MS / 3;
    pass(2000);
    assert_int_not_equal(tls_identity_generation(), generation);
    export_pem();
    assert_true(shell("openssl verify -attime $((%ld + 86000)) -CAfile device.pem device.pem >out 2>&1"));
}

static void test_clock_unknown(void **state)
{
    (void)state;
    set_wall(0);
    assert_true(begin());
    int64_t floor = tls_identity_now();
    assert_true(floor >= 1704067200 && floor <= time(NULL) + DAY_SECONDS);
    assert_true(openssl_accepts(""));
    // The time comes, and the certificate is good: nothing happens.
    set_wall(floor + 100 * DAY_SECONDS);
    pass(2000);
    assert_int_equal(kept_certificate.writes, 1);
    assert_true(openssl_accepts(""));
}

static void test_clock_comes_late(void **state)
{
    (void)state;
    set_wall(0);
    assert_true(begin());
    set_wall(tls_identity_now() + 800 * DAY_SECONDS);
    pass(2000); // at once, though one has just been made
    assert_int_equal(kept_certificate.writes, 2);
    assert_true(openssl_accepts(""));
}

static void test_clock_was_ahead(void **state)
{
    (void)state;
    int64_t now = tls_identity_now();
    set_wall(now + 3000 * DAY_SECONDS);
    assert_true(begin());
    set_wall(now);
    pass(61000);
    assert_int_equal(kept_certificate.writes, 2);
    assert_true(openssl_accepts(""));
    pass(300000);
    assert_int_equal(kept_certificate.writes, 2);
}

static void test_new_address(void **state)
{
    (void)state;
    uint8_t public[200];
    assert_true(begin());
    size_t length = public_key(public);
    own_address = 0; // the link is down
    pass(300000);
    assert_int_equal(kept_certificate.writes, 1);
    own_address = OTHER;
    pass(2000);
    assert_int_equal(kept_certificate.writes, 2);
    assert_true(openssl_accepts("-verify_ip 192.168.1.21"));
    assert_true(same_key(public, length));
    own_address = ADDRESS; // back and forth: one a minute
    pass(50000);
    assert_int_equal(kept_certificate.writes, 2);
    pass(12000);
    assert_int_equal(kept_certificate.writes, 3);
    assert_true(openssl_accepts("-verify_ip 192.168.1.20"));
}

static void test_new_names(void **state)
{
    (void)state;
    assert_true(begin());
    pass(61000);
    tls_identity_settings.names = "chat.example";
    pass(2000);
    assert_true(openssl_accepts("-verify_hostname chat.example"));
    pass(61000);
    own_name = "pipit-2"; // mDNS found the other taken
    pass(2000);
    assert_true(openssl_accepts("-verify_hostname pipit-2.local"));
    assert_false(openssl_accepts("-verify_hostname pipit.local"));
    pass(61000);
    tls_identity_settings.names = "";
    pass(2000);
    assert_false(openssl_accepts("-verify_hostname chat.example"));
}

static void test_most_names(void **state)
{
    (void)state;
    own_name = "a-host-name-of-thirty-two-bytes-";
    tls_identity_settings.names = "a.example,b.example,c.example,d.example,e.example,f.example,g.example,h.example,"
                                  "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,1.1.1.9";
    assert_true(begin());
    assert_true(openssl_accepts("-verify_hostname h.example"));
    assert_true(openssl_accepts("-verify_ip 1.1.1.3"));
    assert_true(tls_identity_covers(&shown->certificate));
    pass(130000);
    assert_int_equal(kept_certificate.writes, 1);
}

/// Handshakes under way ///

static void test_held(void **state)
{
    (void)state;
    char buffer[100];
    assert_true(begin());
    mbedtls_x509_crt *old = tls_identity_certificate();
    uint32_t held = tls_identity_hold();
    assert_int_equal(held, tls_identity_generation());
    why = text_in(sentence, sizeof sentence);
    assert_true(tls_identity_make(&why));
    assert_ptr_not_equal(tls_identity_certificate(), old);
    pass(300000);
    assert_true(old->raw.len > 0);
    print_of(buffer);
    assert_false(tls_identity_make(&why)); // no third slot
    assert_non_null(strstr(text_end(&why), "still under way"));
    tls_identity_release(held);
    tls_identity_release(held); // once too often does no harm
    tls_identity_release(0);
    pass(2000);
    assert_int_equal(old->raw.len, 0);
    assert_true(tls_identity_make(&why));
    assert_true(openssl_accepts(""));
}

static void test_not_held(void **state)
{
    (void)state;
    assert_true(begin());
    mbedtls_x509_crt *old = tls_identity_certificate();
    assert_true(tls_identity_make(&why));
    pass(100000);
    assert_true(old->raw.len > 0);
    pass(30000);
    assert_int_equal(old->raw.len, 0);
}

/// Without ///

static void test_no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    assert_false(begin());
    assert_string_equal(sentence,
                        "This device has no TLS, because it has no randomness to make keys of; give it a seed.");
    pass(20000);
    assert_null(tls_identity_certificate());
    why = text_in(sentence, sizeof sentence);
    assert_false(tls_identity_make(&why));
    assert_int_equal(kept_key.writes, 0);
}

static void test_no_flash(void **state)
{
    (void)state;
    flash_works = false;
    assert_true(begin());
    assert_true(openssl_accepts(""));
    assert_non_null(strstr(machine_console, "could not be kept"));
    reset();
    tls_identity_settings.store = NULL;
    assert_true(begin());
    assert_true(openssl_accepts(""));
}

// The power went between the two.
static void test_torn(void **state)
{
    (void)state;
    uint8_t public[200];
    assert_true(begin());
    struct tls_material old = {.chain_length = kept_certificate.length};
    memcpy(&old.kind, kept_certificate.bytes, kept_certificate.length);
    assert_true(tls_identity_make(&why));
    size_t length = public_key(public);
    memcpy(kept_certificate.bytes, &old.kind, old.chain_length);
    kept_certificate.length = old.chain_length;
    reset();
    assert_true(begin());
    assert_true(same_key(public, length));
    assert_true(openssl_accepts(""));
    assert_int_equal(kept_certificate.writes, 3);
    // A certificate without its key, a key that is none.
    kept_key.length = 0;
    reset();
    assert_true(begin());
    assert_true(openssl_accepts(""));
    kept_key.length = 20;
    reset();
    assert_true(begin());
    assert_true(openssl_accepts(""));
    reset();
    assert_true(begin());
    assert_int_equal(kept_certificate.writes, 5);
}

/// Loading ///

static const char script[] =
    "set -e\n"
    "cat >conf <<'END'\n"
    "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n"
    "[leaf]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:loaded.example\n"
    "END\n"
    "make() { n=$1 s=$2 i=$3; shift 3; openssl genpkey \"$@\" -out $n.key; openssl req -x509 -new -config conf"
    " -extensions $s -subj /CN=$n -key $n.key -days 60 -out $n.pem ${i:+-CA $i.pem -CAkey $i.key}; }\n"
    "ec='-algorithm EC -pkeyopt ec_paramgen_curve:'\n"
    "make root ca '' ${ec}P-256\n"
    "make middle ca root ${ec}P-256\n"
    "make leaf leaf middle ${ec}P-256\n"
    "make p384 leaf root ${ec}P-384\n"
    "make rsa leaf root -algorithm RSA -pkeyopt rsa_keygen_bits:2048\n"
    "make rsa4096 leaf '' -algorithm RSA -pkeyopt rsa_keygen_bits:4096\n"
    "make rsa1024 leaf '' -algorithm RSA -pkeyopt rsa_keygen_bits:1024\n"
    "make ed leaf '' -algorithm ED25519\n"
    "make p521 leaf '' ${ec}P-521\n"
    "cat leaf.pem middle.pem >chain.pem\n"
    "cat leaf.pem root.pem >gap.pem\n"
    "cat middle.pem leaf.pem >turned.pem\n"
    "for i in 1 2 3 4 5; do cat root.pem; done >many.pem\n"
    "for i in 1 2 3 4; do cat rsa4096.pem; done >long.pem\n"
    "for i in 1 2 3; do cat rsa4096.pem; done >rsa3.pem\n"
    "for i in 1 2 3 4; do cat root.pem; done >four.pem\n"
    "openssl ec -in leaf.key -out sec1.key\n"
    "openssl rsa -traditional -in rsa.key -out pkcs1.key\n"
    "(openssl ecparam -name prime256v1; cat sec1.key) >params.key\n"
    "openssl pkcs8 -topk8 -passout pass:x -in leaf.key -out locked.key\n"
    "openssl rsa -traditional -aes128 -passout pass:x -in rsa.key -out locked1.key\n"
    "head -c 300 leaf.pem >cut.pem\n"
    "(sed 2d leaf.pem) >damaged.pem\n"
    "sed 's/^M/*/' leaf.pem >star.pem\n"
    "sed 's/$/\\r/' leaf.pem >crlf.pem\n"
    "printf -- '-----BEGIN CERTIFICATE-----\\n-----END CERTIFICATE-----\\n' >nothing.pem\n"
    "(cat leaf.key leaf.key) >two.key\n"
    "(echo Subject: leaf; cat leaf.pem; echo) >talk.pem\n";

static enum tls_paste give_file(const char *name)
{
    char line[400];
    enum tls_paste result = TLS_PASTE_MORE;
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    while (result != TLS_PASTE_REFUSED && fgets(line, sizeof line, f) != NULL)
        result = tls_identity_paste_line(span_of(line), &why);
    fclose(f);
    return result;
}

static bool load_files(const char *first, const char *second)
{
    why = text_in(sentence, sizeof sentence);
    tls_identity_paste();
    bool good = give_file(first) != TLS_PASTE_REFUSED && give_file(second) != TLS_PASTE_REFUSED &&
                tls_identity_paste_line(span_of("."), &why) == TLS_PASTE_READY && tls_identity_load(true, &why);
    text_end(&why);
    assert_true(all_zero(tls_identity_collected(), sizeof(struct tls_material)));
    return good;
}

static void test_loaded(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"leaf.pem", "leaf.key"}, {"leaf.pem", "sec1.key"},       {"leaf.pem", "params.key"}, {"chain.pem", "leaf.key"},
        {"p384.pem", "p384.key"}, {"rsa.pem", "rsa.key"},         {"rsa.pem", "pkcs1.key"},   {"crlf.pem", "leaf.key"},
        {"talk.pem", "leaf.key"}, {"rsa4096.pem", "rsa4096.key"}, {"leaf.key", "leaf.pem"},   {"leaf.key", "chain.pem"},
    };
    assert_true(begin());
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint32_t generation = tls_identity_generation();
        char command[200], print[100], restarted[100];
        if (!load_files(pairs[i][0], pairs[i][1]))
            fail_msg("%s with %s: %s", pairs[i][0], pairs[i][1], sentence);
        assert_int_not_equal(tls_identity_generation(), generation);
        assert_true(tls_identity_is_loaded());
        export_pem();
        const char *file = strstr(pairs[i][0], "key") ? pairs[i][1] : pairs[i][0];
        snprintf(command, sizeof command, "tr -d '\\r' <%s | sed /Subject/d | sed '/^$/d' | cmp - device.pem", file);
        assert_int_equal(system(command), 0);
        print_of(print);
        reset();
        assert_true(begin());
        print_of(restarted);
        assert_string_equal(print, restarted);
        assert_true(tls_identity_is_loaded());
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *certificate, *key, *words;
    } rows[] = {
        {"leaf.pem", "root.key", "does not belong"},
        {"rsa.pem", "leaf.key", "does not belong"},
        {"leaf.pem", "rsa.key", "does not belong"},
        {"turned.pem", "leaf.key", "does not belong"},
        {"gap.pem", "leaf.key", "number 2 did not sign"},
        {"ed.pem", "ed.key", "number 1 cannot be read"},
        {"leaf.pem", "ed.key", "key cannot be read"},
        {"p521.pem", "p521.key", "cannot be read"},
        {"rsa1024.pem", "rsa1024.key", "2048 to 4096"},
        {"leaf.pem", "locked.key", "encrypted"},
        {"rsa.pem", "locked1.key", "encrypted"},
        {"cut.pem", "leaf.key", "no END line"},
        {"leaf.key", "cut.pem", "no END line"},
        {"damaged.pem", "leaf.key", "number 1 cannot be read"},
        {"star.pem", "leaf.key", "no base64"},
        {"nothing.pem", "leaf.key", "empty"},
        {"leaf.pem", "two.key", "two keys"},
        {"leaf.pem", "conf", "no private key"},
        {"leaf.key", "conf", "no certificate"},
        {"many.pem", "root.key", "more than four"},
        {"long.pem", "rsa4096.key", "longer than the 4048 bytes"},
    };
    char print[100], after[100];
    assert_true(begin());
    print_of(print);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (load_files(rows[i].certificate, rows[i].key) || strstr(sentence, rows[i].words) == NULL)
            fail_msg("%s with %s: %s", rows[i].certificate, rows[i].key, sentence);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        print_of(after);
        assert_string_equal(print, after);
    }
    assert_int_equal(kept_certificate.writes, 1);
    assert_false(tls_identity_is_loaded());
}

static void test_dates_of_loaded(void **state)
{
    (void)state;
    assert_true(begin());
    int64_t now = time(NULL);
    set_wall(now + 70 * DAY_SECONDS);
    assert_false(load_files("leaf.pem", "leaf.key"));
    assert_non_null(strstr(sentence, "expired"));
    set_wall(now - 10 * DAY_SECONDS);
    assert_false(load_files("leaf.pem", "leaf.key"));
    assert_non_null(strstr(sentence, "not valid yet"));
    set_wall(0); // then the build's date is no reason to refuse
    assert_true(load_files("leaf.pem", "leaf.key"));
}

static uint32_t said(const char *words)
{
    uint32_t count = 0;
    for (const char *at = machine_console; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void test_loaded_is_never_replaced(void **state)
{
    (void)state;
    char print[100], after[100];
    assert_true(begin());
    assert_true(load_files("leaf.pem", "leaf.key"));
    print_of(print);
    own_address = OTHER;
    tls_identity_settings.names = "another.example";
    pass(130000);
    assert_int_equal(said("within 30 days"), 0);
    pass_days(35);
    pass(10000);
    assert_int_equal(said("within 30 days"), 1);
    assert_int_equal(said("has expired"), 0);
    pass_days(40);
    pass(10000);
    assert_int_equal(said("has expired"), 1);
    reset();
    assert_true(begin());
    assert_int_equal(said("has expired"), 2);
    print_of(after);
    assert_string_equal(print, after);
    why = text_in(sentence, sizeof sentence);
    assert_true(tls_identity_make(&why));
    assert_false(tls_identity_is_loaded());
    reset();
    assert_true(begin());
    assert_false(tls_identity_is_loaded());
    assert_true(openssl_accepts("-verify_ip 192.168.1.21"));
}

// As with --cert: before the start, and not kept.
static void test_loaded_for_this_run(void **state)
{
    (void)state;
    why = text_in(sentence, sizeof sentence);
    tls_identity_paste();
    give_file("leaf.pem");
    assert_int_equal(give_file("leaf.key"), TLS_PASTE_READY);
    assert_true(tls_identity_load(false, &why));
    assert_true(begin());
    assert_true(tls_identity_is_loaded());
    pass(70000);
    assert_int_equal(kept_certificate.writes, 0);
    reset();
    assert_true(begin());
    assert_false(tls_identity_is_loaded());
}

// Only people throw a loaded certificate away.
static void test_kept_pair_is_broken(void **state)
{
    (void)state;
    assert_true(begin());
    assert_true(load_files("chain.pem", "leaf.key"));
    uint32_t writes = kept_certificate.writes;
    kept_key.bytes[40] ^= 1;
    reset();
    machine_console_clear();
    assert_true(begin());
    assert_non_null(strstr(machine_console, "that was kept is not used"));
    assert_false(tls_identity_is_loaded());
    assert_true(openssl_accepts(""));
    pass_days(380);
    assert_int_equal(kept_certificate.writes, writes);
}

// Other sessions have taken the arena, all but `left` bytes or a little more.
static void *taken[TLS_ARENA / 128];
static size_t taken_count;

static void take_arena(uint32_t left)
{
    while ((taken[taken_count] = mbedtls_calloc(1, 128)) != NULL)
        taken_count++;
    uint32_t full = tls_arena_used();
    while (tls_arena_used() + left > full)
        mbedtls_free(taken[--taken_count]);
}

static void give_arena(void)
{
    while (taken_count > 0)
        mbedtls_free(taken[--taken_count]);
}

static void test_starved(void **state)
{
    (void)state;
    char print[100], after[100];
    assert_true(begin());
    print_of(print);
    uint32_t made = 0, loads = 0, tries = 0;
    for (uint32_t left = 200; left < 9000; left += 200, tries++) {
        pass(130000); // the retired slot is empty
        print_of(print);
        take_arena(left);
        uint32_t used = tls_arena_used();
        why = text_in(sentence, sizeof sentence);
        if (!tls_identity_make(&why)) {
            assert_non_null(strstr(text_end(&why), "not enough memory"));
            print_of(after);
            assert_string_equal(print, after);
            assert_int_equal(tls_arena_used(), used);
        } else {
            made++;
        }
        print_of(print);
        bool loaded = load_files("leaf.pem", "leaf.key");
        assert_true(loaded || strstr(sentence, "not enough memory") != NULL);
        print_of(after);
        assert_true(loaded || strcmp(print, after) == 0);
        loads += loaded;
        give_arena();
    }
    assert_true(made > 0 && made < tries && loads > 0 && loads < tries);
    pass(130000);
    take_arena(300);
    assert_false(load_files("leaf.pem", "leaf.key"));
    give_arena();
    assert_false(load_files("leaf.pem", "root.key"));
    assert_non_null(strstr(sentence, "does not belong"));
    assert_true(load_files("leaf.pem", "leaf.key"));
    // A renewal that found no memory comes a minute later.
    assert_true(tls_identity_make(&why));
    pass(130000);
    uint32_t generation = tls_identity_generation();
    take_arena(300);
    own_address = OTHER;
    pass(5000);
    assert_int_equal(tls_identity_generation(), generation);
    assert_non_null(strstr(machine_console, "not enough memory"));
    give_arena();
    pass(61000);
    assert_true(openssl_accepts("-verify_ip 192.168.1.21"));
}

static void test_arena(void **state)
{
    (void)state;
    assert_true(begin());
    uint32_t one = tls_arena_used();
    assert_true(tls_identity_make(&why));
    uint32_t two = tls_arena_used();
    assert_true(load_files("four.pem", "root.key"));
    assert_true(load_files("four.pem", "root.key"));
    uint32_t chains = tls_arena_used();
    assert_true(load_files("rsa3.pem", "rsa4096.key"));
    assert_true(load_files("rsa3.pem", "rsa4096.key"));
    uint32_t rsa = tls_arena_used();
    print_message(
        "arena: %u bytes, two generations %u, two chains of four %u, two of three with RSA 4096 %u; peak %u\n", one,
        two, chains, rsa, tls_arena_high_water());
    assert_true(two <= TLS_IDENTITY && chains <= TLS_IDENTITY && rsa <= TLS_IDENTITY);
}

static int make_folder(void **state)
{
    char command[sizeof script + 200];
    (void)state;
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    FILE *f = fopen("script", "w");
    if (f == NULL)
        return -1;
    fputs(script, f);
    fclose(f);
    snprintf(command, sizeof command, "sh script >log 2>&1 || { cat log; false; }");
    return system(command);
}

static int remove_folder(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") != 0 || system(command) != 0;
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(test_##NAME, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(made_and_accepted),
        TEST(waits_for_an_address),
        TEST(waits_not_for_ever),
        TEST(restart_keeps_it),
        TEST(renewed_before_its_end),
        TEST(days_is_a_setting),
        TEST(clock_unknown),
        TEST(clock_comes_late),
        TEST(clock_was_ahead),
        TEST(new_address),
        TEST(new_names),
        TEST(most_names),
        TEST(held),
        TEST(not_held),
        TEST(no_entropy),
        TEST(no_flash),
        TEST(torn),
        TEST(loaded),
        TEST(refused),
        TEST(dates_of_loaded),
        TEST(loaded_is_never_replaced),
        TEST(loaded_for_this_run),
        TEST(kept_pair_is_broken),
        TEST(arena),
        TEST(starved),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
