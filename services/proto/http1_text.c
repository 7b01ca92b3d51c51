// Around the parser: reasons, escapes, queries and lists.
#include "http1_private.h"

const char *http1_reason(unsigned status)
{
    static const struct {
        uint16_t status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

// `to` may be where `from` is: what is written never overtakes what is read.
static long percent_decode(struct span from, char *to, size_t size)
{
    size_t length = 0;
    while (from.length > 0) {
        bool escape = from.at[0] == '%';
        int c = escape ? escape_read(from) : (uint8_t)from.at[0];
        if (c <= 0 || length == size)
            return -1;
        to[length++] = (char)c;
        from.at += escape ? 3 : 1;
        from.length -= escape ? 3 : 1;
    }
    return (long)length;
}

long http1_percent_decode(char *bytes, size_t length)
{
    return percent_decode((struct span){bytes, length}, bytes, length);
}

bool http1_query(struct span query, const char *name, char *buffer, size_t size, struct span *value)
{
    while (query.length > 0) {
        struct span rest = span_cut(&query, '&');
        if (!span_equal(span_cut(&rest, '='), span_of(name)))
            continue;
        long length = percent_decode(rest, buffer, size);
        if (length < 0)
            return false;
        *value = (struct span){buffer, (size_t)length};
        return true;
    }
    return false;
}

bool http1_list_has(struct span list, const char *token)
{
    while (list.length > 0) {
        struct span member = span_trim(span_cut(&list, ','));
        if (member.length > 0 && span_equal_nocase(member, span_of(token)))
            return true;
    }
    return false;
}
