#include "identity.h"
#include "../port/tls/identity.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char file[65536];

// The whole of it; false with a sentence.
static bool read_file(const char *option, const char *path, struct span *whole, struct text *why)
{
    size_t length = 0;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd >= 0 && n > 0 && length < sizeof file) {
        n = read(fd, file + length, sizeof file - length);
        length += n > 0 ? (size_t)n : 0;
    }
    if (fd < 0 || n < 0)
        text_format(why, "%s %s: the file can't be read (%s).", option, path, strerror(errno));
    else if (length == sizeof file)
        text_format(why, "%s %s: a certificate or key has less than 64 KB.", option, path);
    if (fd >= 0)
        close(fd);
    *whole = (struct span){file, length};
    return fd >= 0 && n >= 0 && length < sizeof file;
}

static bool collect(const char *option, const char *path, struct text *why)
{
    struct span rest;
    if (!read_file(option, path, &rest, why))
        return false;
    bool good = true;
    text_format(why, "%s %s: ", option, path);
    while (good && rest.length > 0)
        good = tls_identity_paste_line(span_cut(&rest, '\n'), why) != TLS_PASTE_REFUSED;
    explicit_bzero(file, sizeof file);
    if (good && !tls_identity_paste_is_whole()) {
        text_string(why, "The last PEM block has no END line; give the whole file.");
        return false;
    }
    if (good)
        why->length = 0;
    return good;
}

bool identity_load(const char *certificate, const char *key, struct text *why)
{
    tls_identity_paste();
    if (!collect("--cert", certificate, why) || (strcmp(certificate, key) != 0 && !collect("--key", key, why)))
        return false;
    text_format(why, "--cert %s and --key %s: ", certificate, key);
    if (tls_identity_paste_line(span_of("."), why) == TLS_PASTE_REFUSED || !tls_identity_load(false, why))
        return false;
    why->length = 0;
    return true;
}
