// What all sessions of the TLS server share: ciphers, tickets, our certificate. For port/tls/layer.c alone.
#ifndef PIPIT_TLS_SERVER_H
#define PIPIT_TLS_SERVER_H

#include "../net.h"
#include "../text.h"

#include <mbedtls/ssl.h>

// Once is enough. False with the reason.
bool tls_server_start(struct text *why);

// For callers that speak `alpn`.
const mbedtls_ssl_config *tls_server_config(enum net_alpn alpn);

// A ticket of ours was shown and is good; to be set to false before it is looked at.
extern bool tls_ticket_taken;

// Now and then: replaces the key of the tickets when it is due.
void tls_server_rotate(uint64_t now_ms);

#endif
