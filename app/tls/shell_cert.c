// The console's `cert`: the device's certificate, shown, made anew, or loaded. The key is never shown.
#include "../../port/tls/identity.h"
#include "../shell_private.h"

static void say_part(const char *name, void (*write)(struct text *out))
{
    char buffer[560];
    struct text t = text_in(buffer, sizeof buffer);
    write(&t);
    say("%s%s", name, text_end(&t));
}

static void say_line(const char *line)
{
    say("%s", line);
}

static void show(void)
{
    if (tls_identity_certificate() == NULL) {
        say("There is no certificate; it is made once the device has an address, and never without randomness.");
        return;
    }
    say_part("SHA-256 fingerprint ", tls_identity_fingerprint);
    say_part("for ", tls_identity_subject);
    say_part("names ", tls_identity_names);
    say_part("", tls_identity_validity);
    tls_identity_pem(say_line);
}

static void say_result(bool good, struct text *why)
{
    if (good)
        show();
    else
        say("%s Nothing was changed.", text_end(why));
}

static void make(void)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    say_result(tls_identity_make(&why), &why);
}

static bool paste_line(struct span line)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    switch (tls_identity_paste_line(line.at != NULL ? line : span_of("."), &why)) {
    case TLS_PASTE_MORE:
        return true;
    case TLS_PASTE_READY:
        say_result(tls_identity_load(true, &why), &why);
        break;
    case TLS_PASTE_REFUSED:
        say_result(false, &why);
        break;
    }
    return false;
}

static bool answer(struct span line)
{
    if (line.at != NULL && span_equal_nocase(span_trim(line), span_of("yes")))
        make();
    else
        say("Nothing was changed.");
    return false;
}

/// The command ///

void shell_cert(struct span rest)
{
    if (rest.length == 0)
        show();
    else if (span_equal_nocase(rest, span_of("new"))) {
        say("Everybody who trusts this certificate must be told of the new one. Type yes to make it:");
        shell_ask(answer, false);
    } else if (span_equal_nocase(rest, span_of("self"))) {
        say("The certificate and key in use are thrown away for new ones that the device signs itself. Type yes for "
            "that:");
        shell_ask(answer, false);
    } else if (span_equal_nocase(rest, span_of("paste"))) {
        tls_identity_paste();
        say("Paste the certificate, the rest of its chain, then its key, all in PEM; a line with a single dot ends "
            "it:");
        shell_ask(paste_line, true);
    } else
        say("Say it as: cert, cert new, cert paste or cert self");
}
