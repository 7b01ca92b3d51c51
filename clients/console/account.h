// Logging in and registering, by questions on the terminal (or answers from a pipe, line by line).
#ifndef CONSOLE_ACCOUNT_H
#define CONSOLE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "http.h"

#define ACCOUNT_TOKEN 400 // bytes, with the NUL

// Asks for the password of `user` and logs in. False after one sentence on stderr, or when a signal said to leave.
bool account_login(const struct http_server *server, const char *user, char token[ACCOUNT_TOKEN]);

// Asks for email, verification code, name (unless user is given) and password, registers, and logs in.
bool account_register(const struct http_server *server, const char *user, char token[ACCOUNT_TOKEN]);

#endif
