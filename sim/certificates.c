#include "../port/port.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (16 << 20) // bytes; a Debian machine trusts 220 KB of them

static void *mapped;
static size_t mapped_length;

static void unmap(void)
{
    if (mapped_length > 0)
        munmap(mapped, mapped_length);
    mapped_length = 0;
}

// An empty file cannot be mapped, but it is one.
static bool map(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_MOST)
        return false;
    if (status.st_size == 0)
        return true;
    mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED)
        return false;
    mapped_length = (size_t)status.st_size;
    return true;
}

bool port_certificates(const char *name, const char **pem, size_t *length)
{
    unmap();
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not keep the loop waiting
    if (fd < 0)
        return false;
    bool good = map(fd);
    close(fd);
    *pem = mapped_length > 0 ? mapped : "";
    *length = mapped_length;
    return good;
}
