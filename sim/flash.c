#include "flash.h"
#include "../port/port.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGION       (1u << 20)
#define ERASE_UNIT   16384u
#define PROGRAM_UNIT 16u
#define TITLE_BYTES  4096 // the file's first ones tell what it is; the region follows

static const char title[] = "The flash memory of Pipit's simulator, 1 MB from byte 4096 on.\n";

static uint8_t region[REGION];
static int file = -1;

/// port.h ///

struct flash_geometry port_flash_geometry(void)
{
    return (struct flash_geometry){REGION, ERASE_UNIT, PROGRAM_UNIT};
}

void port_flash_read(uint32_t offset, void *bytes, size_t length)
{
    memcpy(bytes, region + offset, length);
}

static bool write_whole(const void *bytes, size_t length, off_t offset)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t n = pwrite(file, at, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        offset += n;
        length -= (size_t)n;
    }
    return true;
}

static bool read_whole(void *bytes, size_t length, off_t offset)
{
    for (char *at = bytes; length > 0;) {
        ssize_t n = pread(file, at, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        offset += n;
        length -= (size_t)n;
    }
    return true;
}

// What the disk did not take is not in memory either.
static bool store(uint32_t offset, size_t length)
{
    off_t at = (off_t)offset + TITLE_BYTES;
    if (file < 0 || (write_whole(region + offset, length, at) && fdatasync(file) == 0))
        return true;
    (void)read_whole(region + offset, length, at);
    return false;
}

bool port_flash_program(uint32_t offset, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < length; i++)
        region[offset + i] &= from[i];
    return store(offset, length);
}

bool port_flash_erase(uint32_t offset)
{
    memset(region + offset, 0xff, ERASE_UNIT);
    return store(offset, ERASE_UNIT);
}

/// The file ///

static bool failed(const char *path, const char *reason, struct text *why)
{
    text_format(why, "--flash %s: %s; name another file, or none.", path, reason);
    return false;
}

static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool good = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!good)
            return false;
    }
    return true;
}

// The XDG Base Directory Specification: a relative path counts as none.
static bool default_path(char *path, size_t size, struct text *why)
{
    struct text t = text_in(path, size);
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (state != NULL && state[0] == '/')
        text_format(&t, "%s/pipit/flash", state);
    else if (home != NULL && home[0] == '/')
        text_format(&t, "%s/.local/state/pipit/flash", home);
    else
        return failed("FILE", "neither XDG_STATE_HOME nor HOME says where accounts are to be kept", why);
    if (t.cut || t.length == size)
        return failed("FILE", "the path from XDG_STATE_HOME or HOME is too long", why);
    return make_folders((char *)(uintptr_t)text_end(&t)) || failed(path, strerror(errno), why);
}

static bool make_new(void)
{
    char head[TITLE_BYTES] = {0};
    memcpy(head, title, sizeof title - 1);
    memset(region, 0xff, sizeof region);
    // The title last: a file that was cut off while it was made is an empty one.
    return write_whole(region, sizeof region, TITLE_BYTES) && fdatasync(file) == 0 &&
           write_whole(head, sizeof head, 0) && fsync(file) == 0;
}

static bool is_ours(off_t size)
{
    char head[sizeof title];
    return size == TITLE_BYTES + (off_t)sizeof region && read_whole(head, sizeof head, 0) &&
           memcmp(head, title, sizeof title - 1) == 0 && read_whole(region, sizeof region, TITLE_BYTES);
}

// Empty, or what make_new() leaves when it is cut off: no title, and nothing but erased bytes.
static bool is_unmade(off_t size)
{
    uint8_t block[TITLE_BYTES];
    for (off_t at = 0; at < size; at += TITLE_BYTES) {
        size_t n = size - at < TITLE_BYTES ? (size_t)(size - at) : sizeof block;
        if (at > (off_t)sizeof region || !read_whole(block, n, at))
            return false;
        for (size_t i = 0; i < n; i++)
            if (block[i] != (at == 0 ? 0x00 : 0xff))
                return false;
    }
    return true;
}

static bool take(const char *path, struct text *why)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return failed(path, strerror(errno), why);
    if (!S_ISREG(status.st_mode))
        return failed(path, "this is no file", why);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        text_format(why, "--flash %s: another simulator has its accounts there; end that one, or name another file.",
                    path);
        return false;
    }
    if (is_ours(status.st_size))
        return true;
    if (!is_unmade(status.st_size))
        return failed(path, "the file holds something else than a simulator's flash memory", why);
    return make_new() || failed(path, strerror(errno), why);
}

bool flash_open(const char *path, struct text *why)
{
    char found[PATH_MAX];
    memset(region, 0xff, sizeof region);
    if (path != NULL && strcmp(path, "none") == 0)
        return true;
    if (path == NULL) {
        if (!default_path(found, sizeof found, why))
            return false;
        path = found;
    }
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    return file < 0 ? failed(path, strerror(errno), why) : take(path, why);
}
