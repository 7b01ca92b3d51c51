// The chat's page at /: register, log in, chat, in any browser. Its sources are in clients/web; the build makes one
// constant of them (clients/web/bundle.py), compressed, with the fields of its head.
#ifndef PIPIT_WEB_H
#define PIPIT_WEB_H

#include "http_server.h"

// Made by the build.
extern const struct http_constant web_page;
extern const char web_page_tag[]; // its entity tag, without the quotes

// Handler for the table of routes.
void web_home(struct http_connection *h);

#endif
