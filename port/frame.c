#include "frame.h"

#include "lwip/pbuf.h"

struct pbuf *frame_alloc(size_t length)
{
    if (length > UINT16_MAX)
        return NULL;
    struct pbuf *p = length <= NET_SMALL_FRAME ? pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM) : NULL;
    return p != NULL ? p : pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
}
