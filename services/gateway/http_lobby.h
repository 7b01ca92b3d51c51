// Where a connection waits that finds every slot of the server taken: a browser opens up to six at a time, and 64 KB
// hold five. A place costs a few bytes. What the client has sent meanwhile stays with lwIP, and its window shut.
#ifndef PIPIT_HTTP_LOBBY_H
#define PIPIT_HTTP_LOBBY_H

#include "../../port/net.h"

// Lists its pool, for /status and the tests.
void http_lobby_start(void);

// Lets the connection wait. False when there is no place, or so few connections are left that they are kept for other
// services.
bool http_lobby_enter(struct net_conn *net);

bool http_lobby_empty(void);

// The one that has waited for longest, which leaves; NULL when nobody waits. The caller hands it over.
struct net_conn *http_lobby_next(void);

// The same, of those that have waited too long.
struct net_conn *http_lobby_late(void);

#endif
