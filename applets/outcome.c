/* How an operation ended, shown in one way by the shim and by aileron-wait: a result goes to standard output as it
 * is, everything else to standard error in one line (or as JSON). Nothing is decided here. */
#include "applets/outcome.h"

#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/sandbox/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SHOWN_BYTES = 2048,
    ID_BYTES = 40,
    POLL_S = 600,          /* of one question, the most that the API waits */
    AWAY_MS = 60 * 1000,   /* that the daemon may be gone while somebody waits */
    PAUSE_MS = 500
};

struct client *outcome_connect(struct err *err)
{
    const char *socket_path = getenv("AILERON_SESSION_SOCKET"), *from_env = getenv("AILERON_TOKEN");
    struct buf token;

    if (from_env != NULL && from_env[0] != 0)
        return client_connect_session(socket_path != NULL ? socket_path : SANDBOX_SOCKET, from_env, err);
    if (!file_read(SANDBOX_TOKEN, SANDBOX_TOKEN_BYTES, &token, err)) {
        err_set(err, ERR_UNAVAILABLE, "this is no session of Aileron: there is neither AILERON_TOKEN nor %s",
                SANDBOX_TOKEN);
        err_hint(err, "Run it in a sandbox: aileron launch -- COMMAND");
        return NULL;
    }
    struct span text = span_trim((struct span){(const char *)token.data, token.len});
    AUTOFREE char *copy = mem_strndup(text.p, text.len);
    copy[strcspn(copy, "\r\n")] = 0;
    struct client *client = client_connect_session(socket_path != NULL ? socket_path : SANDBOX_SOCKET, copy, err);
    buf_wipe(&token);
    return client;
}

/* ---- failures ---- */

static void print_json_error(const json_t *error)
{
    json_t *wrapped JSON_AUTO = json_pack("{s:O}", "error", error);
    AUTOFREE char *text = json_dumps(wrapped, JSON_COMPACT | JSON_ENSURE_ASCII);

    fprintf(stderr, "%s\n", text);
}

int outcome_error(const struct err *err, bool json)
{
    if (!json)
        return err_print(err, "aileron");
    json_t *error JSON_AUTO = json_object();
    json_put(error, "code", err_word(err->code));
    json_put(error, "message", err->message);
    json_put(error, "next", err->hint);
    print_json_error(error);
    return err_exit(err->code);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* "aileron: denied: MESSAGE (RULE). NEXT" */
static void print_denial(const json_t *error)
{
    char shown[SHOWN_BYTES];
    const char *rule = text_of(error, "rule"), *next = text_of(error, "next"), *reason = text_of(error, "reason");

    if (next[0] == 0)
        next = text_of(error, "hint");
    bool more = reason[0] != 0 && strcmp(reason, text_of(error, "message")) != 0;
    AUTOFREE char *line = mem_printf("%s: %s%s%s%s%s%s%s%s", text_of(error, "code"), text_of(error, "message"),
                                     more ? ": " : "", more ? reason : "", rule[0] != 0 ? " (" : "", rule,
                                     rule[0] != 0 ? ")" : "", next[0] != 0 ? ". " : "", next);
    text_display(span_of(line), shown, sizeof shown);
    fprintf(stderr, "aileron: %s\n", shown);
}

int outcome_denied(int status, const json_t *answer, bool json)
{
    const json_t *error = json_object_get(answer, "error");
    struct err err = {0};

    client_error(status, answer, &err);
    if (error == NULL)
        return outcome_error(&err, json);
    if (json)
        print_json_error(error);
    else
        print_denial(error);
    return err_exit(err.code);
}

int outcome_upstream(const char *operation, int64_t status, const void *body, size_t len, bool json)
{
    AUTOFREE char *message = mem_printf("the service answered %lld", (long long)status);

    if (json) {
        json_t *error JSON_AUTO = json_pack("{s:s, s:s, s:I, s:s}", "code", err_word(ERR_FAILED), "message",
                                            message, "status", (json_int_t)status, "id", operation);
        struct span text = {body, len};
        if (len > 0 && text_utf8_valid(text))
            json_put_span(error, "body", text);
        print_json_error(error);
        return err_exit(ERR_FAILED);
    }
    fprintf(stderr, "aileron: failed: %s (operation %s)\n", message, operation);
    if (len > 0) {
        fwrite(body, 1, len, stderr);
        fputc('\n', stderr);
    }
    return err_exit(ERR_FAILED);
}

/* ---- states ---- */

/* Of a request: it has no result, and there is nothing to wait for once a person has decided. */
static bool is_approval(const json_t *state)
{
    return strncmp(text_of(state, "id"), "apr_", 4) == 0;
}

bool outcome_final(const json_t *state)
{
    static const char *const open_states[] = {"pending", "approved", "running"};
    const char *word = text_of(state, "state");

    if (is_approval(state))
        return strcmp(word, "pending") != 0;
    for (size_t i = 0; i < COUNT(open_states); i++)
        if (strcmp(word, open_states[i]) == 0)
            return false;
    return true;
}

/* The kept result; caller frees. */
static uint8_t *result_of(const json_t *state, size_t *len)
{
    const json_t *text = json_object_get(state, "result");
    const char *encoded = text_of(state, "result_base64");
    uint8_t *out;

    if (json_is_string(text)) {
        *len = json_string_length(text);
        out = mem_alloc(*len + 1);
        memcpy(out, json_string_value(text), *len);
        return out;
    }
    out = mem_alloc(strlen(encoded) + 1);
    if (!text_unbase64(span_of(encoded), out, strlen(encoded) + 1, len))
        *len = 0;
    return out;
}

static int show_approval(const json_t *state, bool json)
{
    const char *word = text_of(state, "state"), *reason = text_of(state, "reason"), *id = text_of(state, "id");
    struct err err = {0};

    if (strcmp(word, "approved") == 0) {
        printf("%s is approved: send the very same request again now\n", id);
        return 0;
    }
    if (strcmp(word, "used") == 0) {
        printf("%s was approved, and the request has been sent\n", id);
        return 0;
    }
    err_set(&err, strcmp(word, "expired") == 0 ? ERR_EXPIRED : ERR_DENIED, "%s is %s%s%s", id, word,
            reason[0] != 0 ? ": " : "", reason);
    err_hint(&err, "Do not send the request again. Ask the user what to do instead");
    return outcome_error(&err, json);
}

static int print_open(const json_t *state, bool json)
{
    struct err err = {0};

    if (json) {
        show_json(state);
        return err_exit(ERR_PENDING);
    }
    if (strcmp(text_of(state, "state"), "pending") == 0)
        err_set(&err, ERR_PENDING, "%s waits for a person's approval", text_of(state, "id"));
    else
        err_set(&err, ERR_PENDING, "operation %s is %s", text_of(state, "id"), text_of(state, "state"));
    if (text_of(state, "next")[0] != 0)
        err_hint(&err, "%s", text_of(state, "next"));
    else
        err_hint(&err, "Go on with other work, then collect the result: aileron-wait %s", text_of(state, "id"));
    return err_print(&err, "aileron");
}

int outcome_state(const json_t *state, bool json)
{
    const char *word = text_of(state, "state");
    const json_t *error = json_object_get(state, "error");
    int64_t status = json_integer_value(json_object_get(state, "status"));
    struct err err = {0};
    size_t len = 0;

    if (!outcome_final(state))
        return print_open(state, json);
    if (is_approval(state))
        return show_approval(state, json);
    AUTOFREE uint8_t *result = result_of(state, &len);
    if (strcmp(word, "succeeded") == 0) {
        if (len > 0 && fwrite(result, 1, len, stdout) != len)
            return err_exit(ERR_IO);
        if (!json_is_true(json_object_get(state, "truncated")))
            return 0;
        err_set(&err, ERR_FAILED, "only the first %zu bytes of the result were kept", len);
        return outcome_error(&err, json);
    }
    if (json_is_object(error)) {
        json_t *answer JSON_AUTO = json_pack("{s:O}", "error", error);
        return outcome_denied(500, answer, json);
    }
    if (strcmp(word, "failed") == 0)
        return outcome_upstream(text_of(state, "id"), status, result, len, json);
    bool unknown = strcmp(word, "unknown") == 0;
    err_set(&err, unknown ? ERR_UNKNOWN : strcmp(word, "expired") == 0 ? ERR_EXPIRED : ERR_DENIED, "operation %s: %s",
            text_of(state, "id"), word);
    if (unknown)
        err_hint(&err, "It may or may not have happened: look at the service before you run it again");
    return outcome_error(&err, json);
}

int outcome_show(struct client *client, const json_t *state, bool json)
{
    int status = outcome_state(state, json);

    if (fflush(stdout) != 0 || ferror(stdout)) { /* what was not written is not collected */
        struct err err = {0};
        err_set(&err, ERR_IO, "the result cannot be written to standard output");
        err_hint(&err, "It is kept: aileron-wait %s", text_of(state, "id"));
        show_none();
        return outcome_error(&err, json);
    }
    if (!is_approval(state))
        outcome_ack(client, text_of(state, "id"));
    return status;
}

/* ---- asking ---- */

void outcome_pause(uint64_t ms)
{
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

json_t *outcome_get(struct client *client, const char *id, uint64_t wait_s, bool json, int *status)
{
    AUTOFREE char *path = mem_printf("/v1/operations/%.*s?wait=%llu", ID_BYTES, id, (unsigned long long)wait_s);
    json_t *answer = NULL;
    struct err err = {0};
    int http;

    if (!client_call(client, "GET", path, NULL, &http, &answer, &err)) {
        *status = outcome_error(&err, json);
        return NULL;
    }
    if (http < 400 && answer != NULL)
        return answer;
    *status = outcome_denied(http, answer, json);
    json_decref(answer);
    return NULL;
}

/* What passes by itself while one waits: a daemon that is started again, and more waiters than may be. */
bool outcome_passes(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_IO || code == ERR_UPSTREAM || code == ERR_TIMEOUT ||
           code == ERR_LIMIT;
}

/* One question; NULL and err where there is no state. */
static json_t *ask_state(struct client **client, const char *id, uint64_t wait_s, json_t **refusal, int *http,
                         struct err *err)
{
    AUTOFREE char *path = mem_printf("/v1/operations/%.*s?wait=%llu", ID_BYTES, id, (unsigned long long)wait_s);
    json_t *answer = NULL;

    *refusal = NULL;
    if (*client == NULL)
        *client = outcome_connect(err);
    if (*client == NULL)
        return NULL;
    if (!client_call(*client, "GET", path, NULL, http, &answer, err)) {
        client_close(*client);
        *client = NULL;
        return NULL;
    }
    if (*http < 400 && answer != NULL)
        return answer;
    client_error(*http, answer, err);
    *refusal = answer;
    return NULL;
}

int outcome_wait(struct client **client, const char *id, uint64_t timeout_ms, bool json)
{
    uint64_t end_ms = timeout_ms > UINT64_MAX / 2 ? UINT64_MAX : clock_mono_ms() + timeout_ms, away_ms = 0;

    for (;;) {
        uint64_t now = clock_mono_ms(), left = now < end_ms ? end_ms - now : 0;
        uint64_t wait_s = left / 1000 + (left % 1000 != 0);
        struct err err = {0};
        int http = 0;
        json_t *refusal JSON_AUTO = NULL;
        json_t *state JSON_AUTO = ask_state(client, id, wait_s < POLL_S ? wait_s : POLL_S, &refusal, &http, &err);
        if (state != NULL && outcome_final(state))
            return outcome_show(*client, state, json);
        now = clock_mono_ms();
        away_ms = state != NULL || err.code == ERR_LIMIT ? 0 : away_ms != 0 ? away_ms : now;
        bool again = state != NULL || (outcome_passes(err.code) && now - away_ms < AWAY_MS);
        if (!again)
            return refusal != NULL ? outcome_denied(http, refusal, json) : outcome_error(&err, json);
        if (now >= end_ms) {
            err_set(&err, ERR_TIMEOUT, "operation %s is still %s", id,
                    state != NULL ? text_of(state, "state") : "open");
            err_hint(&err, "Wait longer: aileron-wait %s", id);
            return outcome_error(&err, json);
        }
        if (state == NULL)
            outcome_pause(PAUSE_MS < end_ms - now ? PAUSE_MS : end_ms - now);
    }
}

void outcome_ack(struct client *client, const char *id)
{
    json_t *body JSON_AUTO = json_pack("{s:[s]}", "ids", id);
    struct err ignored = {0};
    int status;

    if (!client_call(client, "POST", "/v1/operations/ack", body, &status, NULL, &ignored))
        return;
}
