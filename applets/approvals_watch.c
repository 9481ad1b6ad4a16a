/* The live list of `aileron approvals watch`: one long poll after the other. On a terminal the list is drawn anew with
 * each change; otherwise each approval is one line (or object) when it begins to wait, and one when it does no more. */
#include "applets/approvals.h"

#include "applets/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_S = 60 };

static const char *id_of(const json_t *row)
{
    const char *id = json_string_value(json_object_get(row, "id"));

    return id != NULL ? id : "";
}

static bool holds(const json_t *rows, const char *id)
{
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
        if (strcmp(id_of(row), id) == 0)
            return true;
    return false;
}

static void draw(const json_t *answer)
{
    const json_t *rows = json_object_get(answer, "approvals"), *row;
    size_t i;

    fputs("\033[H\033[2J", stdout);
    printf("%zu waiting. Decide with: aileron approvals approve|deny ID\n", json_array_size(rows));
    approvals_print_refused(stdout, answer);
    fputs("\n", stdout);
    json_array_foreach(rows, i, row)
        approvals_print_row(row);
}

static void print_changes(const json_t *before, const json_t *now, bool json)
{
    const json_t *row;
    size_t i;

    json_array_foreach(now, i, row) {
        if (holds(before, id_of(row)))
            continue;
        if (json)
            show_json(row);
        else
            approvals_print_row(row);
    }
    json_array_foreach(before, i, row)
        if (!holds(now, id_of(row)) && !json)
            printf("%s no longer waits\n", id_of(row));
}

int approvals_watch(struct client *client, bool json)
{
    json_t *before JSON_AUTO = json_array();
    struct err err = {0};
    json_int_t version = 0;
    bool screen = !json && isatty(STDOUT_FILENO);

    for (;;) {
        AUTOFREE char *path = mem_printf("/v1/approvals?state=pending&after=%lld&wait=%d", (long long)version, POLL_S);
        json_t *answer JSON_AUTO = NULL;
        if (!client_ask(client, "GET", path, NULL, &answer, &err))
            return err_print(&err, "aileron");
        json_t *rows = json_object_get(answer, "approvals");
        version = json_integer_value(json_object_get(answer, "version"));
        if (screen)
            draw(answer);
        else
            print_changes(before, rows, json);
        if (fflush(stdout) != 0)
            return err_exit(ERR_IO);
        json_decref(before);
        before = json_incref(rows);
    }
}
