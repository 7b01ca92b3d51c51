// What the files with the console's commands share; nobody else includes it.
#ifndef PIPIT_SHELL_PRIVATE_H
#define PIPIT_SHELL_PRIVATE_H

#include "../port/text.h"

/// Saying ///

// One line on the console, at most SAY_MOST bytes of it, without the line end. What somebody else has made up, such as
// a name, may hold no control bytes that do any harm: they are escaped.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define SAY_MOST 300

/// Answers of many lines ///

// Says the next line and moves `*at` on, which is 0 first; false when there was nothing more to say. At most one line a
// call: a UART takes its time.
typedef bool shell_next(uint32_t *at);

// Calls `next` once a turn until it returns false. What is typed meanwhile waits.
void shell_go_on(shell_next *next);

/// Questions, and texts of many lines ///

// Takes one line, which ends in no line feed, and returns true when it wants another one. A line without `at` says that
// nothing more comes: whoever typed has thought better of it (Ctrl-C).
typedef bool shell_take(struct span line);

// The lines that are typed from now on go to `take` and to no command, until it returns false. They are kept in no
// history; `secret` ones are shown as stars. A yes/no question is one such line; SHELL_LINE bounds each.
void shell_ask(shell_take *take, bool secret);

/// Commands ///

// Carries out a command; `rest` is what was typed behind its name, without space at its ends.
typedef void shell_run(struct span rest);

struct shell_command {
    const char *name;
    const char *arguments; // "NAME", or "" when it takes none
    shell_run *run;
    const char *help;
};

extern const struct shell_command shell_commands[];
extern const size_t shell_command_count;

// shell_watch.c: how the machine is doing.
shell_run shell_status, shell_net, shell_pools, shell_top, shell_log;

// shell_people.c
shell_run shell_users, shell_who, shell_kick, shell_say;

// shell_sessions.c: sessions shows who is logged in, since when, for how long, and who chats with it. Each has a number
// of four digits, which tells a user's logins apart and nothing about the token.
shell_run shell_sessions, shell_logout;

// shell_settings.c
shell_run shell_get, shell_set, shell_unset, shell_config, shell_mail, shell_reboot, shell_factory_reset;

// tls/shell_cert.c
shell_run shell_cert;

#endif
