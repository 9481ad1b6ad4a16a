/* Carrying sessions on after the daemon was killed (design 4, F01): the rows of state.db whose launcher still
 * lives get their socket and a worker again; the others are ended; directories that belong to none go. */
#include "core/authority/session_private.h"

#include "core/authority/session_folder.h"
#include "core/authority/session_prune.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/data/audit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAT_BYTES = 4096, META_BYTES = 1024 * 1024, TAIL_BYTES = 256 * 1024, START_FIELD = 22 };

int64_t process_start_time(pid_t pid)
{
    AUTOFREE char *path = mem_printf("/proc/%ld/stat", (long)pid);
    struct err ignored;
    struct buf text;
    struct span word;
    uint64_t value = 0;
    bool good = true;

    if (!file_read(path, STAT_BYTES, &text, &ignored))
        return 0;
    /* The command's name stands in parentheses and may hold anything: count from the last one. */
    const char *close_paren = strrchr(buf_cstr(&text), ')');
    struct span rest = span_of(close_paren != NULL ? close_paren + 1 : "");
    rest = span_trim(rest);
    for (int field = 3; good && field <= START_FIELD; field++)
        good = span_cut(&rest, ' ', &word);
    good = good && text_u64(word, INT64_MAX, &value);
    buf_clear(&text);
    return good ? (int64_t)value : 0;
}

bool session_launcher_lives(const json_t *meta)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(meta, "pid"));
    int64_t start = json_integer_value(json_object_get(meta, "pid_start"));

    return pid > 1 && start != 0 && process_start_time(pid) == start;
}

/* Copied out first: restoring writes to the table that is being walked. */
struct row {
    char *id, *json;
    int64_t created_ms;
    bool told; /* its end is on the record */
};
struct rows {
    struct row *rows;
    size_t count;
};

static bool carry_on(struct session *session, struct err *err)
{
    session->ca = session_folder_load_ca(session->private_dir, err);
    if (session->ca == NULL)
        return false;
    session->snapshot = session_make_snapshot(session, session->monitor->rules, err);
    return session->snapshot != NULL && session_start(session, NULL, err);
}

static void restore(struct monitor *monitor, const struct row *row)
{
    struct doc doc = {0};
    struct err err = {0};
    const char *reason = "launcher gone while the daemon was not running";

    if (!json_parse(row->json, strlen(row->json), META_BYTES, "session", ERR_DATA, &doc, &err))
        doc.root = json_object();
    struct session *session = session_new(monitor, row->id, doc.root);
    bool launcher = session_launcher_lives(doc.root);
    session->created_ms = row->created_ms;
    const char *engine = json_string_value(json_object_get(doc.root, "engine"));
    json_t *event = NULL;
    if (launcher && !row->told) {
        if (carry_on(session, &err)) {
            event = record_event("session.restore", row->id);
            json_put(event, "engine", engine);
            record_note(monitor->record, event);
            doc_clear(&doc);
            return;
        }
        reason = "cannot be carried on";
        log_error("session %s cannot be carried on: %s", row->id, err.message);
    }
    if (row->told)
        session_store_end(monitor, row->id);
    else
        session_record_end(monitor, row->id, reason, -1, row->created_ms);
    session_folder_remove(session->dir, session->private_dir);
    if (!launcher)
        session_reap_engine(doc.root, row->id);
    session_prune_later(monitor);
    session_free(session);
    doc_clear(&doc);
}

/* Directories of sessions that state.db does not know as alive. */
static size_t sweep(struct monitor *monitor, const char *kind)
{
    AUTOFREE char *path = mem_printf("%s/run/%s", monitor->home, kind);
    DIR *dir = opendir(path);
    struct err err = {0};
    size_t count = 0;

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (!id_valid(entry->d_name, "") || session_find(monitor, span_of(entry->d_name)) != NULL)
            continue;
        AUTOFREE char *stale = file_join(path, entry->d_name);
        if (file_remove_tree(stale, &err))
            count++;
        else
            log_warn("cannot remove %s: %s", stale, err.message);
    }
    if (dir != NULL)
        closedir(dir);
    return count;
}

size_t session_sweep(struct monitor *monitor)
{
    return sweep(monitor, "sessions") + sweep(monitor, "private");
}


static bool copy_row(void *arg, const struct store_session *row)
{
    struct rows *rows = arg;

    rows->rows = mem_resize(rows->rows, rows->count + 1, sizeof *rows->rows);
    rows->rows[rows->count++] = (struct row){.id = mem_strdup(row->id), .created_ms = row->created_ms,
                                             .json = mem_strdup(row->json)};
    return true;
}

/* The end goes to the record first, so that it is never missing there; a daemon that died before state.db had it must
 * not tell it again. Nothing is written between the two, so it stands among the record's last lines. */
static void find_told(const struct monitor *monitor, struct rows *rows)
{
    const struct audit_filter filter = {.event = "session.end", .tail_bytes = TAIL_BYTES};
    AUTOFREE char *dir = file_join(monitor->home, "audit");
    struct err err = {0};
    struct audit_reader *reader = rows->count > 0 ? audit_reader_open(dir, &filter, false, &err) : NULL;
    struct span line;
    json_t *event;

    while (reader != NULL && audit_reader_next(reader, &line, &event, &err) == AUDIT_LINE) {
        const char *session = json_string_value(json_object_get(event, "session"));
        for (size_t i = 0; session != NULL && i < rows->count; i++)
            rows->rows[i].told = rows->rows[i].told || strcmp(rows->rows[i].id, session) == 0;
    }
    audit_reader_close(reader);
    if (err.code != ERR_NONE)
        log_warn("the end of a session may be on the record twice: %s", err.message);
}

bool session_restore_all(struct monitor *monitor, struct err *err)
{
    struct rows rows = {0};

    bool good = store_sessions(monitor->store, true, copy_row, &rows, err);
    find_told(monitor, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        if (good)
            restore(monitor, &rows.rows[i]);
        free(rows.rows[i].id);
        free(rows.rows[i].json);
    }
    free(rows.rows);
    if (!good)
        return false;
    session_sweep(monitor);
    return true;
}
