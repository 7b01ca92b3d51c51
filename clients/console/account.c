#include "account.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "input.h"
#include "loop.h"
#include "screen.h"
#include "text.h"

#define ANSWER    512 // bytes: more than any bound, so that a bound is what is told
#define CALL_TIME 10  // s
#define MAIL_TIME 20  // s: the server's own deadline for handing over the mail is 15 s

#define ERROR_CODE_WRONG 1005
#define ERROR_TAKEN      1006

struct answers {
    char email[ANSWER];
    char code[ANSWER];
    char user[ANSWER];
    char password[ANSWER];
};

/// Bounds: each check returns a sentence, or NULL ///

static bool has_control(const char *text)
{
    uint32_t c;
    size_t length = strlen(text);
    for (size_t at = 0, step; at < length; at += step) {
        step = text_character(text + at, length - at, &c);
        if (step == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
            return true;
    }
    return false;
}

static const char *check_email(const char *email)
{
    const char *at = strchr(email, '@');
    if (at == NULL || at == email || at[1] == '\0' || strchr(at + 1, '@') != NULL)
        return "An email address has one @, with something on both sides.";
    if (strlen(email) > 254)
        return "An email address has at most 254 bytes.";
    return has_control(email) ? "An email address has no control characters." : NULL;
}

static const char *check_code(const char *code)
{
    return strlen(code) == 6 && strspn(code, "0123456789") == 6 ? NULL : "The code has six digits.";
}

static const char *check_user(const char *user)
{
    size_t length = strlen(user);
    const char *trimmed = user;
    text_trim(&trimmed, &length);
    if (strlen(user) < 1 || strlen(user) > 32)
        return "A name has 1 to 32 bytes.";
    if (length != strlen(user))
        return "A name has no white space at its ends.";
    if (has_control(user))
        return "A name is UTF-8 text without control characters.";
    return strncasecmp(user, "guest-", 6) == 0 ? "Names that begin with guest- are for guests." : NULL;
}

static const char *check_password(const char *password)
{
    if (strlen(password) < 6 || strlen(password) > 64)
        return "The password must have 6 to 64 bytes.";
    return text_is_utf8(password, strlen(password)) ? NULL : "The password must be UTF-8 text.";
}

/// Questions ///

// A person may try again; a script's next line is the answer to another question.
static bool may_try_again(const char *sentence)
{
    if (isatty(STDIN_FILENO)) {
        screen_status("%.*s", (int)strlen(sentence) - 1, sentence);
        return true;
    }
    screen_sorry("%s", sentence);
    return false;
}

static bool ask(const char *question, bool is_secret, char *answer, const char *(*check)(const char *))
{
    for (;;) {
        if (!input_ask(question, is_secret, answer, ANSWER)) {
            if (!loop_was_told())
                screen_sorry("no answer was given.");
            return false;
        }
        const char *sentence = check(answer);
        if (sentence == NULL)
            return true;
        if (!may_try_again(sentence))
            return false;
    }
}

static const char *check_nothing(const char *answer)
{
    (void)answer;
    return NULL;
}

static bool ask_new_password(char *password)
{
    char again[ANSWER];
    for (;;) {
        if (!ask("Password: ", true, password, check_password) || !ask("Password again: ", true, again, check_nothing))
            return false;
        bool is_same = strcmp(password, again) == 0;
        input_wipe(again, sizeof again);
        if (is_same)
            return true;
        if (!may_try_again("The two passwords differ."))
            return false;
    }
}

/// Calls ///

static int error_of(const cJSON *reply)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    return cJSON_IsNumber(error) ? error->valueint : -1;
}

static const char *text_of(const cJSON *reply, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, name));
    return text != NULL ? text : "";
}

// The server's own sentence, and after how long another try makes sense.
static void say_refused(const char *what, const cJSON *reply)
{
    const cJSON *wait = cJSON_GetObjectItemCaseSensitive(reply, "retry_after");
    const char *message = text_of(reply, "message");
    char reason[600];
    if (message[0] != '\0')
        snprintf(reason, sizeof reason, "%s", message);
    else
        snprintf(reason, sizeof reason, "error %d", error_of(reply));
    const char *stop = strchr(".!?", reason[strlen(reason) - 1]) != NULL ? "" : ".";
    if (cJSON_IsNumber(wait))
        screen_sorry("%s: %s%s (again in %d s)", what, reason, stop, wait->valueint);
    else
        screen_sorry("%s: %s%s", what, reason, stop);
}

static cJSON *request_of(const char *first, const char *value)
{
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, first, value);
    return request;
}

// The reply names a chat server too; behind a port forward its address means nothing here, so the given one stays.
static bool log_in(const struct http_server *server, const char *user, const char *password, char *token)
{
    cJSON *request = request_of("user", user);
    cJSON_AddStringToObject(request, "password", password);
    cJSON *reply = http_post(server, "/login", request, CALL_TIME);
    bool is_in = false;
    if (reply != NULL && error_of(reply) != 0)
        say_refused("not logged in", reply);
    else if (reply != NULL && (text_of(reply, "token")[0] == '\0' || strlen(text_of(reply, "token")) >= ACCOUNT_TOKEN))
        screen_sorry("the server's reply to the login has no usable token.");
    else
        is_in = reply != NULL;
    if (is_in)
        snprintf(token, ACCOUNT_TOKEN, "%s", text_of(reply, "token"));
    cJSON_Delete(reply);
    return is_in;
}

bool account_login(const struct http_server *server, const char *user, char token[ACCOUNT_TOKEN])
{
    char password[ANSWER];
    bool is_in = ask("Password: ", true, password, check_nothing) && log_in(server, user, password, token);
    input_wipe(password, sizeof password);
    return is_in;
}

// In development mode the code comes with the reply: Enter takes it over.
static bool ask_code(struct answers *answers, const char *echoed)
{
    char question[64] = "Code from the mail: ";
    if (echoed[0] == '\0')
        return ask(question, false, answers->code, check_code);
    snprintf(question, sizeof question, "Code [%.6s]: ", echoed);
    if (!ask(question, false, answers->code, check_nothing))
        return false;
    if (answers->code[0] == '\0')
        snprintf(answers->code, sizeof answers->code, "%s", echoed);
    const char *sentence = check_code(answers->code);
    if (sentence == NULL)
        return true;
    return may_try_again(sentence) && ask_code(answers, echoed);
}

static bool request_code(const struct http_server *server, struct answers *answers)
{
    cJSON *reply = http_post(server, "/get_varifycode", request_of("email", answers->email), MAIL_TIME);
    bool has_code = false;
    if (reply != NULL && error_of(reply) != 0) {
        say_refused("no code was sent", reply);
    } else if (reply != NULL) {
        const char *echoed = text_of(reply, "code");
        if (echoed[0] != '\0')
            screen_status("the server is in development mode: the code is %s", echoed);
        else
            screen_status("a code was sent to %s", answers->email);
        has_code = ask_code(answers, echoed);
    }
    cJSON_Delete(reply);
    return has_code;
}

static cJSON *post_register(const struct http_server *server, const struct answers *answers)
{
    cJSON *request = request_of("user", answers->user);
    cJSON_AddStringToObject(request, "email", answers->email);
    cJSON_AddStringToObject(request, "password", answers->password);
    cJSON_AddStringToObject(request, "code", answers->code);
    return http_post(server, "/register", request, CALL_TIME);
}

// Two refusals can be put right at once: a mistyped code and a name that is taken.
static bool put_right(int error, struct answers *answers)
{
    if (error == ERROR_CODE_WRONG)
        return may_try_again("The code does not match.") && ask("Code: ", false, answers->code, check_code);
    return may_try_again("This name or email is taken.") && ask("Name: ", false, answers->user, check_user);
}

static bool send_registration(const struct http_server *server, struct answers *answers)
{
    for (;;) {
        cJSON *reply = post_register(server, answers);
        int error = error_of(reply);
        bool may_repeat = isatty(STDIN_FILENO) && (error == ERROR_CODE_WRONG || error == ERROR_TAKEN);
        if (reply != NULL && error != 0 && !may_repeat)
            say_refused("not registered", reply);
        cJSON_Delete(reply);
        if (error == 0 || !may_repeat)
            return error == 0;
        if (!put_right(error, answers))
            return false;
    }
}

static bool ask_name(struct answers *answers, const char *user)
{
    if (user == NULL)
        return ask("Name: ", false, answers->user, check_user);
    snprintf(answers->user, sizeof answers->user, "%s", user);
    const char *sentence = check_user(user);
    if (sentence != NULL)
        screen_sorry("%s", sentence);
    return sentence == NULL;
}

bool account_register(const struct http_server *server, const char *user, char token[ACCOUNT_TOKEN])
{
    struct answers answers;
    bool is_in = ask("Email: ", false, answers.email, check_email) && request_code(server, &answers) &&
                 ask_name(&answers, user) && ask_new_password(answers.password) &&
                 send_registration(server, &answers) && log_in(server, answers.user, answers.password, token);
    input_wipe(&answers, sizeof answers);
    return is_in;
}
