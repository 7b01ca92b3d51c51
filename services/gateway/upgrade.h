// From HTTP to WebSocket (RFC 6455 section 4.2): checks the handshake and who it is that comes.
//
// An account proves itself with the token that /login gave it, in the query (`?token=`), as `Authorization: Bearer`, or
// as a subprotocol `pipit.token.TOKEN` (browsers can set nothing else). A bad token is 401 and never a guest.
#ifndef PIPIT_UPGRADE_H
#define PIPIT_UPGRADE_H

#include "http_server.h"

// Handlers for the table of routes: the chat, and the echo service.
void upgrade_chat(struct http_connection *h);
void upgrade_echo(struct http_connection *h);

// The answer when the chat has no room.
extern const struct http_refusal upgrade_house_full;

// Writes the "101 Switching Protocols" for a request that was checked. False when the service has no room any more.
bool upgrade_answer(struct http_connection *h, struct text *out);

// Hands the connection over after the 101 was sent; `h` is still whole and is released by the caller. False when the
// service would not have it.
bool upgrade_attach(struct http_connection *h);

#endif
