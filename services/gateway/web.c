#include "web.h"

// RFC 9110 lets a client that names no coding have any. But those are no browsers: they are people with curl, who would
// see noise.
void web_home(struct http_connection *h)
{
    static const struct http_refusal unpacked = {
        406, 406, 0,
        "The chat page is sent with gzip alone: open it in a browser, or with curl --compressed. The chat itself is at "
        "/ws (WebSocket); see also /status and /metrics."};
    struct span accepted = h->parser.fields[HTTP1_ACCEPT_ENCODING];
    struct span known = h->parser.fields[HTTP1_IF_NONE_MATCH];
    if (!http1_accepts(accepted, "gzip"))
        http_refuse(h, &unpacked);
    else if (http1_has_tag(known, span_of(web_page_tag)))
        http_reply_constant(h, &web_page, 304);
    else
        http_reply_constant(h, &web_page, 200);
}
