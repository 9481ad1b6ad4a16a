/* `aileron approvals`: what waits for a person, and the person's word about it. The daemon decides whether the word
 * counts; here it is asked for, with the digest of what was printed. */
#include "applets/approvals.h"

#include "applets/applet.h"
#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, PIECE_BYTES = 2000 /* escaped it has at most four times as many */, EDIT_BYTES = 512 * 1024 };

struct approvals_options {
    bool json, all, edit;
    const char *scope, *reason;
};
static const struct opt_row list_rows[] = {
    {0, "all", OPT_FLAG, NULL, "Decided ones too.", NULL, offsetof(struct approvals_options, all)},
    {0, "json", OPT_FLAG, NULL, "Print the daemon's answer as JSON.", NULL, offsetof(struct approvals_options, json)},
};
static const struct opt_row show_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the daemon's answer as JSON.", NULL, offsetof(struct approvals_options, json)},
};
static const struct opt_row approve_rows[] = {
    {0, "for", OPT_STRING, "SCOPE", "How far the yes goes: this once, or whatever the same rule asks in this session.",
     "once|session", offsetof(struct approvals_options, scope)},
    {0, "edit", OPT_FLAG, NULL, "Change an operation's arguments in $EDITOR first.", NULL,
     offsetof(struct approvals_options, edit)},
    {0, "reason", OPT_STRING, "TEXT", "Kept on the record.", NULL, offsetof(struct approvals_options, reason)},
};
static const struct opt_row deny_rows[] = {
    {0, "reason", OPT_STRING, "TEXT", "Told to the agent, and kept on the record.", NULL,
     offsetof(struct approvals_options, reason)},
};
static const struct opt_spec list_spec = {.command = "aileron approvals list", .synopsis = "[--all] [--json]",
                                          .alone = true,
                                          .summary = "List what waits for a person, the oldest first",
                                          .rows = list_rows, .row_count = COUNT(list_rows)};
static const struct opt_spec show_spec = {.command = "aileron approvals show", .synopsis = "[--json] ID",
                                          .summary = "Show all that would be done", .rows = show_rows,
                                          .row_count = COUNT(show_rows)};
static const struct opt_spec approve_spec = {
    .command = "aileron approvals approve",
    .synopsis = "[--for=SCOPE] [--edit] [--reason=TEXT] ID",
    .summary = "Let it be done",
    .details = "An operation runs at once. A request that is still held goes on; one that is not may be sent again "
               "within 15 minutes, once.",
    .rows = approve_rows,
    .row_count = COUNT(approve_rows)};
static const struct opt_spec deny_spec = {.command = "aileron approvals deny", .synopsis = "[--reason=TEXT] ID",
                                          .summary = "Do not let it be done", .rows = deny_rows,
                                          .row_count = COUNT(deny_rows)};
static const struct opt_spec watch_spec = {.command = "aileron approvals watch", .alone = true, .synopsis = "[--json]",
                                           .summary = "List what waits as it changes, until interrupted",
                                           .rows = show_rows, .row_count = COUNT(show_rows)};
static const struct opt_spec *const specs[] = {&list_spec, &show_spec, &approve_spec, &deny_spec, &watch_spec};
extern const struct applet applet_approvals;

/* ---- printing ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Escaped, and all of it: what would be left out here is approved all the same. */
static void print_whole(struct span text)
{
    char shown[LINE_BYTES];

    while (text.len > 0) {
        struct span piece = {text.p, text.len < PIECE_BYTES ? text.len : PIECE_BYTES};
        while (piece.len < text.len && piece.len > 1 && ((unsigned char)text.p[piece.len] & 0xc0) == 0x80)
            piece.len--; /* between characters */
        text_display(piece, shown, sizeof shown);
        fputs(shown, stdout);
        text.p += piece.len;
        text.len -= piece.len;
    }
    putchar('\n');
}

static void print_lines(const char *indent, const char *text)
{
    struct span rest = span_of(text), line;

    while (rest.len > 0 && span_cut(&rest, '\n', &line)) {
        fputs(indent, stdout);
        print_whole(line);
    }
}

static void print_field(const char *name, const char *text)
{
    if (text[0] == 0)
        return;
    printf("%-11s ", name);
    print_whole(span_of(text));
}

static void print_what(const json_t *shown, FILE *out)
{
    char line[LINE_BYTES];
    const char *preview = text_of(shown, "preview"), *query = text_of(shown, "query");
    json_int_t port = json_integer_value(json_object_get(shown, "port"));
    AUTOFREE char *text =
        preview[0] != 0
            ? mem_printf("%s %s: %s", text_of(shown, "tool"), text_of(shown, "operation"), preview)
            : mem_printf("%s %s://%s:%lld%s%s%s", text_of(shown, "method"), text_of(shown, "scheme"),
                         text_of(shown, "host"), (long long)port, text_of(shown, "path"), query[0] != 0 ? "?" : "",
                         query);

    text_display(span_of(text), line, sizeof line);
    fprintf(out, "%s", line);
}

void approvals_print_row(const json_t *row)
{
    show_text(row, "id", 30);
    show_text(row, "state", 9);
    show_text(row, "session", 26);
    print_what(json_object_get(row, "shown"), stdout);
    putchar('\n');
}

void approvals_print(const json_t *approval)
{
    static const struct {
        const char *name, *key;
    } decided[] = {{"Decided", "decided"}, {"By", "by"}, {"For", "scope"}, {"Reason", "reason"}},
      asked[] = {{"Host", "host"},      {"Method", "method"}, {"Path", "path"}, {"Query", "query"},
                 {"Method by", "override"}, {"Type", "type"}, {"Credential", "binding"}, {"Own token", "own"},
                 {"Rule", "rule"}, {"Why", "reason"}};
    const json_t *shown = json_object_get(approval, "shown"), *args = json_object_get(shown, "args"), *field;
    size_t n;

    print_field("Approval", text_of(approval, "id"));
    print_field("State", text_of(approval, "state"));
    printf("%-11s ", "What");
    print_what(shown, stdout);
    putchar('\n');
    for (size_t i = 0; i < COUNT(asked); i++)
        print_field(asked[i].name, text_of(shown, asked[i].key));
    print_field("Session", text_of(approval, "session"));
    print_field("Asked", text_of(approval, "created"));
    print_field("Expires", text_of(approval, "expires"));
    for (size_t i = 0; i < COUNT(decided); i++)
        print_field(decided[i].name, text_of(approval, decided[i].key));
    if (json_is_true(json_object_get(approval, "sealed")))
        puts("The vault is locked: arguments and body are sealed. Unlock it to see them: aileron vault unlock");
    json_array_foreach(json_object_get(shown, "fields"), n, field)
        print_field("Field", json_string_value(field));
    if (json_object_size(args) > 0) {
        AUTOFREE char *text = json_dumps(args, JSON_INDENT(2));
        puts("Arguments");
        print_lines("  ", text != NULL ? text : "");
    }
    if (json_is_string(json_object_get(shown, "body"))) {
        puts("Body");
        print_lines("  ", text_of(shown, "body"));
    } else if (json_is_string(json_object_get(shown, "body_base64"))) {
        puts("Body (base64)");
        print_lines("  ", text_of(shown, "body_base64"));
    }
}

/* ---- asking the daemon ---- */

json_t *approvals_get(struct client *client, const char *id, struct err *err)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s", id);
    json_t *answer = NULL;

    if (!id_valid(id, "apr_")) {
        err_set(err, ERR_USAGE, "%.64s is no approval's id", id);
        err_hint(err, "See aileron approvals list");
        return NULL;
    }
    return client_ask(client, "GET", path, NULL, &answer, err) ? answer : NULL;
}

bool approvals_decide(struct client *client, const json_t *approval, bool approve, bool for_session, json_t *args,
                      const char *reason, struct err *err)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s/decide", text_of(approval, "id"));
    json_t *body JSON_AUTO = json_object();

    json_put(body, "decision", approve ? "approve" : "deny");
    json_put(body, "digest", text_of(approval, "digest"));
    json_put(body, "scope", for_session ? "session" : "once");
    json_put(body, "reason", reason);
    if (args != NULL)
        json_object_set(body, "args", args);
    return client_ask(client, "POST", path, body, NULL, err);
}

void approvals_print_refused(FILE *out, const json_t *answer)
{
    json_int_t refused = json_integer_value(json_object_get(answer, "vault_refused"));

    if (refused > 0)
        fprintf(out, "%lld request%s refused: the vault is locked. Unlock it: aileron vault unlock\n",
                (long long)refused, refused == 1 ? " was" : "s were");
}

static int run_list(int argc, char **argv)
{
    struct approvals_options options = {0};
    struct err err = {0};
    const json_t *row;
    char **operands;
    size_t count, i;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    json_t *answer JSON_AUTO = NULL;
    const char *path = options.all ? "/v1/approvals" : "/v1/approvals?state=pending";
    if (!client_ask_once(false, "GET", path, &answer, &err))
        return err_print(&err, "aileron");
    if (options.json)
        return show_json(answer);
    json_array_foreach(json_object_get(answer, "approvals"), i, row)
        approvals_print_row(row);
    approvals_print_refused(stderr, answer);
    return 0;
}

/* The one operand's approval, and the connection; NULL and *status. */
static json_t *wanted(const struct opt_spec *spec, int argc, char **argv, struct approvals_options *options,
                      struct client **client, int *status)
{
    struct err err = {0};
    char **operands;
    size_t count;

    *client = NULL;
    if (!applet_parse(spec, argc, argv, options, &operands, &count, status))
        return NULL;
    if (count != 1) {
        *status = applet_usage(spec, "which approval? See aileron approvals list");
        return NULL;
    }
    *client = client_connect(NULL, false, &err);
    json_t *approval = *client != NULL ? approvals_get(*client, operands[0], &err) : NULL;
    if (approval == NULL)
        *status = err_print(&err, "aileron");
    return approval;
}

static int run_show(int argc, char **argv)
{
    struct approvals_options options = {0};
    struct client *client;
    int status = 0;
    json_t *approval JSON_AUTO = wanted(&show_spec, argc, argv, &options, &client, &status);

    if (approval != NULL && options.json)
        status = show_json(approval);
    else if (approval != NULL)
        approvals_print(approval);
    client_close(client);
    return status;
}

/* ---- --edit ---- */

static bool run_editor(const char *path, struct err *err)
{
    const char *editor = getenv("VISUAL") != NULL ? getenv("VISUAL") : getenv("EDITOR");
    AUTOFREE char *command = mem_printf("%s \"$1\"", editor != NULL && editor[0] != 0 ? editor : "vi");
    AUTOFREE char *copy = mem_strdup(path);
    char sh[] = "sh", c[] = "-c", name[] = "aileron";
    char *argv[] = {sh, c, command, name, copy, NULL}; /* as git does: EDITOR is a command line */
    int status = 0;

    pid_t pid = proc_spawn(&(struct proc_spec){.path = "/bin/sh", .argv = argv}, err);
    if (pid < 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (proc_exit_status(status) == 0)
        return true;
    return err_set(err, ERR_FAILED, "the editor ended with an error: nothing was decided");
}

/* Both texts as diff(1) shows them; without it, the new one. */
static void show_difference(const char *before, const char *after)
{
    char name[] = "diff", u[] = "-u", label[] = "--label", asked[] = "asked", yours[] = "yours";
    AUTOFREE char *a = mem_strdup(before), *b = mem_strdup(after);
    char *argv[] = {name, u, label, asked, label, yours, a, b, NULL};
    struct buf out;
    struct err ignored = {0};
    int status;

    if (proc_capture(argv, 4 * (size_t)EDIT_BYTES, &out, &status, 10000, &ignored)) {
        AUTOFREE char *text = mem_strndup(out.data != NULL ? (const char *)out.data : "", out.len);
        print_lines("", text);
    }
    buf_clear(&out);
}

static bool read_edited(const char *path, struct doc *doc, struct err *err)
{
    struct buf text;

    if (!file_read(path, EDIT_BYTES, &text, err))
        return false;
    bool good = json_parse(text.data, text.len, EDIT_BYTES, "arguments", ERR_DATA, doc, err);
    buf_clear(&text);
    return good;
}

/* The person's arguments, after an editor; NULL and err. */
static json_t *edit(const json_t *approval, struct err *err)
{
    const json_t *args = json_object_get(json_object_get(approval, "shown"), "args");
    AUTOFREE char *text = json_dumps(args, JSON_INDENT(2) | JSON_SORT_KEYS);
    char dir[] = "/tmp/aileron-edit.XXXXXX";
    struct doc doc = {0};
    json_t *edited = NULL;

    if (text == NULL || mkdtemp(dir) == NULL) {
        err_set(err, text == NULL ? ERR_USAGE : ERR_IO, "only an operation's arguments can be edited");
        err_hint(err, "Nothing was decided. Approve it as it is, or deny it with --reason");
        return NULL;
    }
    AUTOFREE char *before = file_join(dir, "asked.json"), *after = file_join(dir, "arguments.json");
    AUTOFREE char *lines = mem_printf("%s\n", text);
    if (file_write_atomic(before, 0600, lines, strlen(lines), err) &&
        file_write_atomic(after, 0600, lines, strlen(lines), err) && run_editor(after, err) &&
        read_edited(after, &doc, err)) {
        edited = json_incref(doc.root);
        show_difference(before, after);
    }
    doc_clear(&doc);
    unlink(before);
    unlink(after);
    rmdir(dir);
    return edited;
}

/* ---- deciding ---- */

static int decide(const struct opt_spec *spec, int argc, char **argv, bool approve)
{
    struct approvals_options options = {.scope = "once"};
    struct client *client;
    struct err err = {0};
    int status = 0;
    json_t *approval JSON_AUTO = wanted(spec, argc, argv, &options, &client, &status);
    json_t *args JSON_AUTO = NULL;

    if (approval == NULL) {
        client_close(client);
        return status;
    }
    bool good = !options.edit || (args = edit(approval, &err)) != NULL;
    good = good && approvals_decide(client, approval, approve, strcmp(options.scope, "session") == 0, args,
                                    options.reason, &err);
    client_close(client);
    if (!good)
        return err_print(&err, "aileron");
    printf("%s: ", approve ? "approved" : "denied");
    print_what(json_object_get(approval, "shown"), stdout);
    putchar('\n');
    return 0;
}

static int run_approve(int argc, char **argv)
{
    return decide(&approve_spec, argc, argv, true);
}

static int run_deny(int argc, char **argv)
{
    return decide(&deny_spec, argc, argv, false);
}

static int run_watch(int argc, char **argv)
{
    struct approvals_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&watch_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, false, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    status = approvals_watch(client, options.json);
    client_close(client);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {{"list", &list_spec, run_list}, {"show", &show_spec, run_show},
                                               {"approve", &approve_spec, run_approve}, {"deny", &deny_spec, run_deny},
                                               {"watch", &watch_spec, run_watch}};

    return applet_verbs(&applet_approvals, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_approvals = {"approvals", "See what waits for a person, and decide", run, specs,
                                        COUNT(specs), false};
