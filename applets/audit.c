/* `aileron audit`: list, tail, show, verify. Reads the record's files itself: it needs no daemon, and a daemon
 * that lied could not hide it. */
#include "applets/applet.h"

#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/client/client.h"
#include "core/data/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAIL_PAUSE_MS = 100, ANCHOR_BYTES = 64 };
#define ALL_LINES UINT64_MAX

struct audit_options {
    const char *session, *event, *host, *decision, *since, *anchor;
    uint64_t lines;
    bool json;
};

#define ROW(name, kind, value, help, field)                                                                   \
    {0, name, kind, value, help, NULL, offsetof(struct audit_options, field)}
#define FILTER_ROWS                                                                                           \
    ROW("session", OPT_STRING, "ID", "Lines of this session alone.", session),                                \
        ROW("event", OPT_STRING, "WORD", "Lines of this event alone (network, credential, operation).", event), \
        ROW("host", OPT_STRING, "HOST", "Lines about this host alone.", host),                                \
        {0, "decision", OPT_STRING, "WORD", "Lines with this decision alone.", "allow|deny|approve",         \
         offsetof(struct audit_options, decision)},                                                           \
        ROW("json", OPT_FLAG, NULL, "Print the lines as they stand on the record, but what is not ASCII escaped.", json)

static const struct opt_row list_rows[] = {
    FILTER_ROWS,
    ROW("since", OPT_STRING, "TIME", "Lines from this long ago (2h, 7d) or this day (2026-11-24) on.", since),
    ROW("lines", OPT_NUMBER, "N", "The last N lines alone.", lines),
};
static const struct opt_row tail_rows[] = {FILTER_ROWS};
static const struct opt_row verify_rows[] = {
    ROW("anchor", OPT_STRING, "HASH", "A head that was kept elsewhere: it must be one of the record.", anchor),
    ROW("json", OPT_FLAG, NULL, "Print JSON.", json),
};
static const struct opt_spec list_spec = {.command = "aileron audit list", .alone = true, .synopsis = "[OPTION...]",
                                          .summary = "Print the record, the oldest line first",
                                          .rows = list_rows, .row_count = COUNT(list_rows)};
static const struct opt_spec tail_spec = {.command = "aileron audit tail", .alone = true, .synopsis = "[OPTION...]",
                                          .summary = "Print what comes on the record from now on",
                                          .rows = tail_rows, .row_count = COUNT(tail_rows)};
static const struct opt_spec show_spec = {
    .command = "aileron audit show", .synopsis = "SEQ|ID",
    .summary = "Print everything about one line (its number), or about one request or operation (its id)"};
static const struct opt_spec verify_spec = {
    .command = "aileron audit verify", .alone = true, .synopsis = "[--anchor=HASH] [--json]",
    .summary = "Prove that nothing was removed from the record, changed or reordered",
    .details = "A daemon that runs is asked what it wrote last. Exits with 0 where the chain of hashes is whole, with "
               "65 where it is not.",
    .rows = verify_rows, .row_count = COUNT(verify_rows)};
static const struct opt_spec *const specs[] = {&list_spec, &tail_spec, &show_spec, &verify_spec};
extern const struct applet applet_audit;

static char *audit_dir(struct err *err)
{
    AUTOFREE char *home = client_home(err);

    return home != NULL ? file_join(home, "audit") : NULL;
}

/* ---- one line for people ---- */

/* "ts seq event session key=value ...": the fields in the order in which they were written. */
static void print_line(const json_t *line)
{
    static const char *const ahead[] = {"ts", "seq", "event", "session", "prev"};
    const char *key;
    json_t *value;

    show_text(line, "ts", 24);
    show_text(line, "seq", 6);
    show_text(line, "event", 16);
    show_text(line, "session", 26);
    json_object_foreach((json_t *)(uintptr_t)line, key, value) {
        bool printed = false;
        for (size_t i = 0; i < COUNT(ahead); i++)
            printed = printed || strcmp(key, ahead[i]) == 0;
        if (printed)
            continue;
        show_string(key, 0);
        putchar('=');
        if (json_is_boolean(value))
            fputs(json_is_true(value) ? "yes" : "no", stdout);
        else
            show_text(line, key, 0);
        putchar(' ');
    }
    putchar('\n');
}

static void print(struct span text, const json_t *line, bool json)
{
    if (!json) {
        print_line(line);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] >= 0x80) { /* A03: controls beyond ASCII, and what turns text around */
            show_json(line);
            return;
        }
    fwrite(text.p, 1, text.len, stdout);
    putchar('\n');
}

/* ---- list, tail ---- */

/* "2h" ago, or the beginning of "2026-11-24" (UTC). */
static bool read_since(const char *text, int64_t *out, struct err *err)
{
    struct tm day = {0};
    uint64_t ago;
    const char *end = strptime(text, "%Y-%m-%d", &day);

    if (end != NULL && *end == 0) {
        *out = (int64_t)timegm(&day) * 1000;
        return true;
    }
    if (text_duration_ms(span_of(text), &ago)) {
        *out = (int64_t)(clock_wall_ms() - ago);
        return true;
    }
    err_set(err, ERR_USAGE, "--since is no time: %s", text);
    return err_hint(err, "Use 2h, 7d, or a day like 2026-11-24");
}

/* A word that is mistyped would find nothing, and look like a record that has nothing. */
static bool check_event(const char *word, struct err *err)
{
    if (audit_event_find(word) != NULL)
        return true;
    err_set(err, ERR_USAGE, "there is no event %s", word);
    return err_hint(err, "Use network, network.end, credential, operation, approval, session.start, vault, or another "
                         "of aileron(7), The record");
}

static bool check_hash(const char *text, struct err *err)
{
    if (strlen(text) == ANCHOR_BYTES && strspn(text, "0123456789abcdef") == ANCHOR_BYTES)
        return true;
    err_set(err, ERR_USAGE, "--anchor takes a head: %d hexadecimal digits", ANCHOR_BYTES);
    return err_hint(err, "It is what aileron audit verify printed when it was kept");
}

static struct audit_reader *open_reader(const struct audit_options *options, bool from_end, struct err *err)
{
    struct audit_filter filter = {.session = options->session, .event = options->event, .host = options->host,
                                  .decision = options->decision};
    AUTOFREE char *dir = audit_dir(err);

    if (dir == NULL || (options->event != NULL && !check_event(options->event, err)) ||
        (options->since != NULL && !read_since(options->since, &filter.since_ms, err)))
        return NULL;
    return audit_reader_open(dir, &filter, from_end, err);
}

/* All lines, without the first `skip` of them; returns how many there were. */
static uint64_t walk(struct audit_reader *reader, uint64_t skip, bool silent, bool json, enum audit_read *end,
                     struct err *err)
{
    struct span text;
    json_t *line;
    uint64_t count = 0;

    while ((*end = audit_reader_next(reader, &text, &line, err)) == AUDIT_LINE)
        if (count++ >= skip && !silent)
            print(text, line, json);
    return count;
}

/* What sessions do is on the record within a moment; a daemon that runs writes now what it still has of it. */
static void collect(void)
{
    struct err err = {0};

    if (!client_ask_once(false, "GET", "/v1/audit/head", NULL, &err))
        log_debug("audit: %s", err.message); /* there is none, or it is busy: the record is a file */
}

static int list_lines(const struct audit_options *options, struct err *err)
{
    enum audit_read end = AUDIT_END;
    uint64_t skip = 0;

    collect();
    if (options->lines != ALL_LINES) { /* counted first, so that no line needs to be kept */
        struct audit_reader *counter = open_reader(options, false, err);
        if (counter == NULL)
            return err_print(err, "aileron");
        uint64_t count = walk(counter, 0, true, false, &end, err);
        audit_reader_close(counter);
        skip = count > options->lines ? count - options->lines : 0;
    }
    struct audit_reader *reader = end == AUDIT_FAILED ? NULL : open_reader(options, false, err);
    if (reader == NULL)
        return err_print(err, "aileron");
    walk(reader, skip, false, options->json, &end, err);
    audit_reader_close(reader);
    return end == AUDIT_FAILED ? err_print(err, "aileron") : 0;
}

static int run_list(int argc, char **argv)
{
    struct audit_options options = {.lines = ALL_LINES};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return list_lines(&options, &err);
}

static int run_tail(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = TAIL_PAUSE_MS * 1000000L};
    struct audit_options options = {0};
    enum audit_read end;
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&tail_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct audit_reader *reader = open_reader(&options, true, &err);
    if (reader == NULL)
        return err_print(&err, "aileron");
    do {
        walk(reader, 0, false, options.json, &end, &err);
        if (fflush(stdout) != 0)
            break;
        nanosleep(&pause, NULL);
    } while (end != AUDIT_FAILED);
    audit_reader_close(reader);
    return end == AUDIT_FAILED ? err_print(&err, "aileron") : err_exit(ERR_IO);
}

/* ---- show, verify ---- */

static bool is_about(const json_t *line, const char *id, uint64_t seq)
{
    static const char *const keys[] = {"id", "request", "operation", "approval", "connection", "session"};

    if (seq > 0)
        return (uint64_t)json_integer_value(json_object_get(line, "seq")) == seq;
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *value = json_string_value(json_object_get(line, keys[i]));
        if (value != NULL && strcmp(value, id) == 0)
            return true;
    }
    return false;
}

static int run_show(int argc, char **argv)
{
    struct audit_options options = {0};
    struct err err = {0};
    struct span text;
    json_t *line;
    char **operands;
    size_t count;
    int status = 0;
    uint64_t seq = 0, found = 0;
    enum audit_read end;

    if (!applet_parse(&show_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&show_spec, "one number or id is needed");
    if (!text_u64(span_of(operands[0]), INT64_MAX, &seq))
        seq = 0;
    collect();
    struct audit_reader *reader = open_reader(&options, false, &err);
    if (reader == NULL)
        return err_print(&err, "aileron");
    while ((end = audit_reader_next(reader, &text, &line, &err)) == AUDIT_LINE) {
        if (!is_about(line, operands[0], seq))
            continue;
        AUTOFREE char *pretty = json_dumps(line, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        puts(pretty);
        found++;
    }
    audit_reader_close(reader);
    if (end != AUDIT_FAILED && found == 0)
        err_set(&err, ERR_NOT_FOUND, "the record has no line about %s", operands[0]);
    if (end != AUDIT_FAILED && found == 0)
        err_hint(&err, "See aileron audit list");
    return end == AUDIT_FAILED || found == 0 ? err_print(&err, "aileron") : 0;
}

static void print_report(const struct audit_report *report, bool json)
{
    if (!json) {
        printf("%llu lines in %llu files, head %s\n", (unsigned long long)report->lines,
               (unsigned long long)report->files, report->head);
        puts(report->intact ? "The record is whole." : "The record is NOT whole.");
        if (report->intact && report->retired_lines > 0)
            printf("%llu lines before them were removed by audit.retention, as it says.\n",
                   (unsigned long long)report->retired_lines);
        if (report->open_tail)
            puts("The last line is being written, or was cut off.");
        return;
    }
    json_t *shown JSON_AUTO = json_object();
    json_put_bool(shown, "intact", report->intact);
    json_put_int(shown, "lines", (int64_t)report->lines);
    json_put_int(shown, "files", (int64_t)report->files);
    json_put_int(shown, "retired_lines", (int64_t)report->retired_lines);
    json_put(shown, "head", report->head);
    json_put(shown, "problem", report->intact ? NULL : report->problem);
    show_json(shown);
}

/* A chain whose end was cut off is whole. A daemon that runs knows what it wrote last, and has it in its memory. */
static bool verify(const char *dir, const char *anchor, struct audit_report *report, struct err *err)
{
    json_t *last JSON_AUTO = NULL;
    struct audit_report again;
    struct err none = {0};

    bool asked = client_ask_once(false, "GET", "/v1/audit/head", &last, &none);
    json_int_t seq = json_integer_value(json_object_get(last, "seq"));
    const char *head = json_string_value(json_object_get(last, "hash"));
    if (!audit_verify(dir, anchor, report, err))
        return false;
    if (!report->intact || !asked || seq < 1 || head == NULL || strcmp(head, report->head) == 0)
        return true;
    if (!audit_verify(dir, head, &again, err)) /* other lines may have come meanwhile */
        return false;
    if (again.intact)
        return true;
    report->intact = false;
    snprintf(report->problem, sizeof report->problem,
             "the daemon that runs wrote line %lld last, and no file has it: lines at the end were removed",
             (long long)seq);
    return true;
}

static int run_verify(int argc, char **argv)
{
    struct audit_options options = {0};
    struct audit_report report = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&verify_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    AUTOFREE char *dir = audit_dir(&err);
    if (dir == NULL || (options.anchor != NULL && !check_hash(options.anchor, &err)) ||
        !verify(dir, options.anchor, &report, &err))
        return err_print(&err, "aileron");
    print_report(&report, options.json);
    if (!report.intact) {
        err_set(&err, ERR_DATA, "%s", report.problem);
        err_hint(&err, "Keep the files as they are and compare them with a copy");
        return err_print(&err, "aileron");
    }
    if (options.anchor != NULL && !report.anchor_found) {
        err_set(&err, ERR_DATA, "the anchor is the hash of no line: the record was replaced, or the hash is another's");
        return err_print(&err, "aileron");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {{"list", &list_spec, run_list},
                                               {"tail", &tail_spec, run_tail},
                                               {"show", &show_spec, run_show},
                                               {"verify", &verify_spec, run_verify}};

    return applet_verbs(&applet_audit, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_audit = {"audit", "Read the record and prove that it is whole", run, specs, COUNT(specs),
                                    false};
