#include "reply.h"
#include "../../port/port.h"
#include "../https/https.h"
#include "gateway.h"
#include "guard.h"

/// Date ///

// Year, month and day for a number of days since 1970-01-01: the proleptic Gregorian calendar repeats every 146,097
// days, and a year that begins in March has its leap day last.
static void civil_from_days(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint32_t shifted = days + 719468;
    uint32_t era = shifted / 146097;
    uint32_t of_era = shifted % 146097;
    uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = era * 400 + year_of_era + (*month <= 2 ? 1 : 0);
}

// RFC 9110 section 6.6.1: a server without a clock sends no Date.
static void reply_date(struct text *out)
{
    uint64_t seconds = port_wall_ms() / 1000;
    if (seconds == 0)
        return;
    uint32_t days = (uint32_t)(seconds / 86400);
    uint32_t of_day = (uint32_t)(seconds % 86400);
    unsigned year = 0, month = 0, day = 0;
    civil_from_days(days, &year, &month, &day);
    static const char names[] = "ThuFriSatSunMonTueWedJanFebMarAprMayJunJulAugSepOctNovDec";
    text_format(out, "Date: %.*s, %02u %.*s %u %02u:%02u:%02u GMT\r\n", 3, names + days % 7 * 3, day, 3,
                names + 21 + (month - 1) * 3, year, (unsigned)(of_day / 3600), (unsigned)(of_day / 60 % 60),
                (unsigned)(of_day % 60));
}

/// Heads ///

enum reply_connection reply_connection(const struct http_connection *h)
{
    unsigned secure = net_secure(h->net) ? REPLY_SECURE : 0;
    unsigned way = h->parser.minor_version == 0 ? REPLY_KEEP_10 : REPLY_KEEP;
    return (enum reply_connection)((h->close ? REPLY_CLOSE : way) | secure);
}

static void connection_field(struct text *out, enum reply_connection connection)
{
    static const char *const connections[] = {
        [REPLY_KEEP] = "",
        [REPLY_KEEP_10] = "Connection: keep-alive\r\n",
        [REPLY_CLOSE] = "Connection: close\r\n",
    };
    text_string(out, connections[connection % REPLY_SECURE]);
    if (connection >= REPLY_SECURE && https_settings.hsts > 0)
        text_format(out, "Strict-Transport-Security: max-age=%u\r\n", (unsigned)https_settings.hsts);
}

static void reply_fields(struct text *out, const char *type, size_t length, enum reply_connection connection)
{
    reply_date(out);
    text_format(out, "Content-Type: %s\r\n", type);
    if (length == REPLY_CHUNKED)
        text_string(out, "Transfer-Encoding: chunked\r\n");
    else if (length != REPLY_CLOSES)
        text_format(out, "Content-Length: %zu\r\n", length);
    text_string(out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    connection_field(out, connection);
}

static void status_line(struct text *out, unsigned status)
{
    text_format(out, "HTTP/1.1 %u %s\r\n", status, http1_reason(status));
}

void reply_head(struct text *out, unsigned status, const char *type, size_t length, enum reply_connection connection)
{
    status_line(out, status);
    reply_fields(out, type, length, connection);
    text_string(out, "\r\n");
}

void reply_head_begin(struct text *out, unsigned status, enum reply_connection connection)
{
    status_line(out, status);
    reply_date(out);
    connection_field(out, connection);
}

/// Refusals ///

#define REFUSAL_BODY 600 // bytes: the longest sentence (SERVICE_SENTENCE), each of its bytes escaped

// The fields that a status must or should come with.
static void status_fields(struct text *out, const struct http_refusal *refusal, const char *allow)
{
    if (refusal->status == 405 && allow != NULL)
        text_format(out, "Allow: %s\r\n", allow); // RFC 9110 section 15.5.6
    if (refusal->status == 401)
        text_string(out, "WWW-Authenticate: Bearer\r\n"); // section 15.5.2
    if (refusal->status == 426)                           // section 15.5.22, RFC 6455 section 4.4
        text_string(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    if (refusal->status == 406)
        text_string(out, "Vary: Accept-Encoding\r\n");
    if (refusal->retry_after > 0)
        text_format(out, "Retry-After: %u\r\n", refusal->retry_after);
}

// 404 is plain text, as the original has it, and 406 is for people with curl.
static bool is_plain(unsigned status)
{
    return status == 404 || status == 406;
}

static void refusal_body(struct text *out, const struct http_refusal *refusal)
{
    if (is_plain(refusal->status)) {
        text_format(out, "%s\n", refusal->message);
        return;
    }
    text_format(out, "{\"error\":%u,\"message\":\"", refusal->error);
    text_json(out, span_of(refusal->message));
    text_byte(out, '"');
    if (refusal->retry_after > 0)
        text_format(out, ",\"retry_after\":%u", refusal->retry_after);
    text_string(out, "}\n");
}

void reply_refusal(struct text *out, const struct http_refusal *refusal, const char *allow,
                   enum reply_connection connection, bool head_only)
{
    char buffer[REFUSAL_BODY];
    struct text body = text_in(buffer, sizeof buffer);
    refusal_body(&body, refusal);
    status_line(out, refusal->status);
    status_fields(out, refusal, allow);
    const char *type = is_plain(refusal->status) ? "text/plain; charset=utf-8" : "application/json";
    // RFC 9112 section 9.6: an upgrade offer is an option of this connection.
    bool upgrade = refusal->status == 426;
    reply_fields(out, type, body.length, upgrade ? REPLY_KEEP : connection);
    if (upgrade)
        text_string(out, connection % REPLY_SECURE == REPLY_CLOSE ? "Connection: close, upgrade\r\n"
                                                                  : "Connection: upgrade\r\n");
    text_string(out, "\r\n");
    if (!head_only)
        text_span(out, text_whole(&body));
}

/// The way to HTTPS ///

// RFC 9110 section 15.4.9. Host is one of ours (guard.c), and the paths of our routes need no escapes.
void reply_redirect(struct text *out, const struct http_connection *h)
{
    struct guard_authority host = {0};
    guard_authority(h->parser.fields[HTTP1_HOST], &host);
    status_line(out, 308);
    text_format(out, host.bracketed ? "Location: https://[%.*s]" : "Location: https://%.*s", (int)host.host.length,
                host.host.at);
    if (https_settings.port != HTTPS_PORT)
        text_format(out, ":%u", (unsigned)https_settings.port);
    text_span(out, h->parser.path);
    if (h->parser.query.length > 0)
        text_byte(out, '?');
    text_span(out, h->parser.query);
    text_string(out, "\r\n");
    reply_fields(out, "text/plain; charset=utf-8", 0, reply_connection(h));
    text_string(out, "\r\n");
}
