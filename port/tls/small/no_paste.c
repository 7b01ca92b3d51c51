// A chain and a key of somebody else's are not loaded: there is room for the certificate that the device makes itself.
#include "../identity_private.h"

bool tls_identity_paste_is_whole(void)
{
    return true;
}

void tls_identity_paste(void)
{
}

void tls_identity_paste_end(void)
{
}

enum tls_paste tls_identity_paste_line(struct span line, struct text *why)
{
    (void)line;
    text_string(why, "This device takes no certificate but its own.");
    return TLS_PASTE_REFUSED;
}

// Nothing is ever ready to be loaded.
struct tls_material *tls_identity_collected(void)
{
    static struct tls_material none;
    return &none;
}
