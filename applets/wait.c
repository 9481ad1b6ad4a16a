/* `aileron-wait`: waits for operations and shows each as the shim would have; or drains, one JSON object a line,
 * whatever the session has not collected. An object is marked collected only after it was written. */
#include "applets/applet.h"

#include "applets/outcome.h"
#include "core/base/id.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = 64, ANY_WAIT_S = 600, AGAIN_MS = 500, AWAY_MS = 60 * 1000 };

struct wait_options {
    uint64_t timeout_ms;
    bool any, drain, json;
};
static const struct opt_row rows[] = {
    {0, "timeout", OPT_DURATION, "TIME", "Give up after this time (60s, 5m) with status 124.", NULL,
     offsetof(struct wait_options, timeout_ms)},
    {0, "any", OPT_FLAG, NULL, "Return when the first of them has ended.", NULL, offsetof(struct wait_options, any)},
    {0, "drain", OPT_FLAG, NULL, "Print every result that was not collected yet, one JSON object a line.", NULL,
     offsetof(struct wait_options, drain)},
    {0, "json", OPT_FLAG, NULL, "Errors as a JSON object.", NULL, offsetof(struct wait_options, json)},
};
static const struct opt_spec spec = {
    .command = "aileron-wait",
    .synopsis = "[OPTION...] ID... | --drain",
    .summary = "Wait for operations and print their results",
    .details = "Exits as the tool itself would have: 0 done, 1 failed, 77 denied, 79 expired (nobody decided in time), "
               "80 unknown (it may or may not have happened); and 124 where --timeout is over and it is still open. "
               "With several ids the first status that is not 0 counts.",
    .rows = rows,
    .row_count = COUNT(rows)};
static const struct opt_spec *const specs[] = {&spec};

static int wait_all(char **ids, size_t count, const struct wait_options *options)
{
    struct err err = {0};
    struct client *client = outcome_connect(&err);
    uint64_t start_ms = clock_mono_ms();
    int first = 0;

    if (client == NULL)
        return outcome_error(&err, options->json);
    for (size_t i = 0; i < count; i++) {
        uint64_t spent = clock_mono_ms() - start_ms, left = UINT64_MAX;
        if (options->timeout_ms > 0)
            left = options->timeout_ms > spent ? options->timeout_ms - spent : 0;
        int status = outcome_wait(&client, ids[i], left, options->json);
        if (first == 0)
            first = status;
    }
    client_close(client);
    return first;
}

/* ---- --any: one connection for each, and poll(2) ---- */

struct race {
    const struct wait_options *options;
    char **ids;
    size_t count;
    struct client *clients[IDS_MAX]; /* NULL: to be asked anew at again_ms */
    uint64_t again_ms, end_ms, away_ms; /* away: since when nothing answers; 0: it does */
    int status;
    bool over;
};

static void race_ask(struct race *race, size_t i)
{
    AUTOFREE char *path = mem_printf("/v1/operations/%s?wait=%d", race->ids[i], ANY_WAIT_S);
    struct err err = {0};

    if (race->clients[i] == NULL)
        race->clients[i] = outcome_connect(&err);
    if (race->clients[i] != NULL && client_send(race->clients[i], "GET", path, NULL, 0, &err))
        return;
    client_close(race->clients[i]);
    race->clients[i] = NULL;
    race->again_ms = clock_mono_ms() + AGAIN_MS;
    race->away_ms = race->away_ms != 0 ? race->away_ms : clock_mono_ms();
    if (clock_mono_ms() - race->away_ms >= AWAY_MS) {
        race->status = outcome_error(&err, race->options->json);
        race->over = true;
    }
}

/* Reads the answer that is there: the first final state ends it; what is open, or passes, is asked for again. */
static void race_read(struct race *race, size_t i)
{
    struct client *client = race->clients[i];
    bool json = race->options->json;
    struct doc doc = {0};
    struct err err = {0};
    struct buf text;
    int http = 0;

    buf_init(&text, 0);
    bool good = client_head(client, &http, &err) && client_read_all(client, &text, &err) &&
                json_parse(text.data, text.len, CLIENT_BODY_BYTES, "answer", ERR_INTERNAL, &doc, &err);
    buf_clear(&text);
    if (good && http >= 400)
        client_error(http, doc.root, &err);
    if (good && http < 400 && outcome_final(doc.root)) {
        race->status = outcome_show(client, doc.root, json);
        race->over = true;
    } else if (good && http < 400) {
        race->away_ms = 0;
        race_ask(race, i);
    } else if (outcome_passes(err.code)) {
        client_close(client);
        race->clients[i] = NULL;
        race->again_ms = clock_mono_ms() + AGAIN_MS;
    } else {
        race->status = good ? outcome_denied(http, doc.root, json) : outcome_error(&err, json);
        race->over = true;
    }
    doc_clear(&doc);
}

/* Until an answer can be read, or something is due. */
static void race_turn(struct race *race)
{
    struct pollfd fds[IDS_MAX];
    uint64_t now = clock_mono_ms(), until = race->end_ms;

    for (size_t i = 0; i < race->count; i++) {
        if (race->clients[i] == NULL && race->again_ms <= now && !race->over)
            race_ask(race, i);
        if (race->clients[i] == NULL && race->again_ms < until)
            until = race->again_ms;
        fds[i] = (struct pollfd){.fd = race->clients[i] != NULL ? client_fd(race->clients[i]) : -1, .events = POLLIN};
    }
    uint64_t left = until > now ? until - now : 0;
    if (!race->over && poll(fds, race->count, until == UINT64_MAX ? -1 : left < INT32_MAX ? (int)left : INT32_MAX) > 0)
        for (size_t i = 0; i < race->count && !race->over; i++)
            if (fds[i].revents != 0)
                race_read(race, i);
}

static int wait_any(char **ids, size_t count, const struct wait_options *options)
{
    struct race race = {.options = options, .ids = ids, .count = count, .end_ms = UINT64_MAX};
    struct err err = {0};

    if (options->timeout_ms > 0)
        race.end_ms = clock_mono_ms() + options->timeout_ms;
    if ((race.clients[0] = outcome_connect(&err)) == NULL)
        return outcome_error(&err, options->json);
    for (size_t i = 0; i < count && !race.over; i++)
        race_ask(&race, i);
    while (!race.over && clock_mono_ms() < race.end_ms)
        race_turn(&race);
    if (!race.over) {
        err_set(&err, ERR_TIMEOUT, "none of the operations has ended");
        err_hint(&err, "Wait longer, or go on with other work");
        race.status = outcome_error(&err, options->json);
    }
    for (size_t i = 0; i < race.count; i++)
        client_close(race.clients[i]);
    return race.status;
}

/* ---- --drain ---- */

static int drain_one(struct client *client, const char *id, bool json)
{
    int status = 0;
    json_t *state JSON_AUTO = outcome_get(client, id, 0, json, &status);

    if (state == NULL)
        return status;
    AUTOFREE char *text = json_dumps(state, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (puts(text) < 0 || fflush(stdout) != 0)
        return err_exit(ERR_IO);
    outcome_ack(client, id);
    return 0;
}

/* One list of results in this state, which shows a part where there are many. *last: the id that it began with, so that
 * a list that does not change (nothing can be marked) ends the work. Freed by the caller. */
static int drain_list(struct client *client, const char *state, char **last, bool *more, bool json)
{
    AUTOFREE char *path = mem_printf("/v1/operations?uncollected=true&state=%s", state);
    json_t *answer JSON_AUTO = NULL;
    struct err err = {0};
    const json_t *row;
    size_t i;
    int status = 0;

    *more = false;
    if (!client_ask(client, "GET", path, NULL, &answer, &err))
        return outcome_error(&err, json);
    json_array_foreach(json_object_get(answer, "operations"), i, row) {
        const char *id = json_string_value(json_object_get(row, "id"));
        if (status != 0 || id == NULL || (i == 0 && *last != NULL && strcmp(*last, id) == 0))
            return status;
        if (i == 0) {
            free(*last);
            *last = mem_strdup(id);
        }
        status = drain_one(client, id, json);
        *more = status == 0;
    }
    return status;
}

static int drain(const struct wait_options *options)
{
    static const char *const finals[] = {"succeeded", "failed", "denied", "expired", "unknown"};
    struct err err = {0};
    struct client *client = outcome_connect(&err);
    int status = 0;

    if (client == NULL)
        return outcome_error(&err, options->json);
    for (size_t i = 0; status == 0 && i < COUNT(finals); i++) {
        AUTOFREE char *last = NULL;
        bool more = true;
        while (status == 0 && more)
            status = drain_list(client, finals[i], &last, &more, options->json);
    }
    client_close(client);
    return status;
}

static int run(int argc, char **argv)
{
    struct wait_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (options.drain && count == 0)
        return drain(&options);
    if (count == 0 || options.drain || count > IDS_MAX)
        return applet_usage(&spec, options.drain ? "--drain takes no id" : "1 to 64 ids are needed, or --drain");
    for (size_t i = 0; i < count; i++) {
        if (id_valid(operands[i], "op_") || id_valid(operands[i], "apr_"))
            continue;
        err_set(&err, ERR_USAGE, "%s is no operation's id", operands[i]);
        err_hint(&err, "An id looks like op_01J... or apr_01J..., as the tool or the refusal printed it");
        return outcome_error(&err, options.json);
    }
    return options.any && count > 1 ? wait_any(operands, count, &options) : wait_all(operands, count, &options);
}

const struct applet applet_wait = {"wait", "Wait for operations of a session and print their results", run, specs,
                                   COUNT(specs), false};
