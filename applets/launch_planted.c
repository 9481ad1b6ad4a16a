/* The words for what was found, and the call that puts it on the record. The finding is core/sandbox/planted.c. */
#include "applets/launch_planted.h"

#include "core/base/text.h"
#include "core/client/client.h"
#include "core/data/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SHOWN_MAX = 20,        /* lines on the terminal; the record has more */
    SHOWN_PATH = 256,      /* bytes of a path */
    RECORD_TIMEOUT_MS = 5000
};

struct planted *launch_planted_look(const char *workspace)
{
    struct err err = {0};
    struct planted *before = planted_take(workspace, getenv("PATH"), &err);

    if (before == NULL) {
        err_hint(&err, "What the agent leaves there for this host to run will not be told");
        err_print(&err, "aileron");
    }
    return before;
}

static void show(const struct planted_report *report, const char *session_id)
{
    char path[SHOWN_PATH];

    if (report->total > 0)
        fprintf(stderr, "aileron: changed in this session, and run by this host without being asked: %zu file%s. "
                        "Look at %s before you go on\n",
                report->total, report->total == 1 ? "" : "s", report->total == 1 ? "it" : "them");
    for (size_t i = 0; i < report->count && i < SHOWN_MAX; i++) {
        text_display(span_of(report->changes[i].path), path, sizeof path);
        fprintf(stderr, "aileron:   %-7s  %s  (%s)\n", planted_word(report->changes[i].kind), path,
                report->changes[i].runs);
    }
    if (report->total > SHOWN_MAX)
        fprintf(stderr, "aileron:   and %zu more: aileron audit list --session=%s\n", report->total - SHOWN_MAX,
                session_id);
    if (report->partial[0] != '\0')
        fprintf(stderr, "aileron: not all of the workspace was looked at for files that this host runs (%s)\n",
                report->partial);
}

static json_t *request_of(const struct planted_report *report)
{
    json_t *request = json_object(), *files = json_array();
    char path[SHOWN_PATH];

    for (size_t i = 0; i < report->count; i++) {
        json_t *file = json_object();
        text_display(span_of(report->changes[i].path), path, sizeof path);
        json_put(file, "path", path);
        json_put(file, "change", planted_word(report->changes[i].kind));
        json_put(file, "runs", report->changes[i].runs);
        json_array_append_new(files, file);
    }
    json_object_set_new(request, "files", files);
    json_put_int(request, "total", (int64_t)report->total);
    if (report->partial[0] != '\0')
        json_put(request, "partial", report->partial);
    return request;
}

static void record(const struct planted_report *report, const char *home, const char *session_id)
{
    JSON_AUTO json_t *request = request_of(report);
    AUTOFREE char *path = mem_printf("/v1/sessions/%s/executable", session_id);
    struct err err = {0};
    struct client *client = client_connect(home, true, &err);

    if (client != NULL)
        client_timeout(client, RECORD_TIMEOUT_MS);
    if (client == NULL || !client_ask(client, "POST", path, request, NULL, &err)) {
        err_wrap(&err, "the changed files are not on the record");
        err_print(&err, "aileron");
    }
    client_close(client);
}

void launch_planted_tell(struct planted *before, const char *home, const char *session_id)
{
    struct planted_report report = {.count = 0};
    struct err err = {0};

    if (before == NULL)
        return;
    if (!planted_compare(before, &report, &err))
        err_print(&err, "aileron");
    show(&report, session_id);
    if (report.total > 0 || report.partial[0] != '\0')
        record(&report, home, session_id);
    planted_report_clear(&report);
    planted_free(before);
}
