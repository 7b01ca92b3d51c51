// IPv4 addresses as text.
#include "net.h"
#include "text.h"

const char *net_address_text(uint32_t address, char buffer[16])
{
    struct text t = text_in(buffer, 16);
    text_format(&t, "%u.%u.%u.%u", (unsigned)(address >> 24), (unsigned)(address >> 16 & 255),
                (unsigned)(address >> 8 & 255), (unsigned)(address & 255));
    return text_end(&t);
}

static bool read_byte(struct span digits, uint32_t *address)
{
    uint64_t number;
    if (!span_number(digits, 255, &number) || (digits.length > 1 && digits.at[0] == '0'))
        return false;
    *address = *address << 8 | (uint32_t)number;
    return true;
}

bool net_address_read(struct span text, uint32_t *address)
{
    struct span rest = text;
    *address = 0;
    for (int dots = 0; dots < 3; dots++)
        if (!read_byte(span_cut(&rest, '.'), address))
            return false;
    return read_byte(rest, address);
}
