/* `aileron agents check`: whether an agent would work here, row by row and with what to do: its file, its program in
 * a sandbox (launched as a person would, and asked for its version), a credential for it, and the policy for its
 * hosts. Files are read with the daemon's own functions; what the vault holds is the daemon's to say. */
#include "applets/agents.h"

#include "applets/finding.h"
#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/client/client.h"
#include "core/data/snapshot.h"
#include "core/sandbox/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PROBE_MS = 60 * 1000, /* an interpreter's first start on a slow disk */
    PROBE_BYTES = 64 * 1024,
    NAME_WIDTH = 32,
    HTTPS = 443
};

struct check_options {
    const char *sandbox, *image;
    bool json;
};
static const struct opt_row rows[] = {
    {0, "sandbox", OPT_STRING, "ENGINE", "Engine of the sandbox that the program is tried in, as launch takes it.",
     NULL, offsetof(struct check_options, sandbox)},
    {0, "image", OPT_STRING, "REF", "Image of that sandbox.", NULL, offsetof(struct check_options, image)},
    {0, "json", OPT_FLAG, NULL, "Print what was found as JSON.", NULL, offsetof(struct check_options, json)},
};
const struct opt_spec agents_check_spec = {
    .command = "aileron agents check",
    .synopsis = "[OPTION...] NAME",
    .summary = "Say whether an agent would work here: its program, its credential, the policy for its hosts",
    .details = "The program is started in a sandbox with the current directory as the workspace, and asked for its "
               "version. Exits with 0 where the agent can be launched, with 69 where something that it needs is "
               "missing.",
    .rows = rows,
    .row_count = COUNT(rows)};

struct check {
    const struct check_options *options;
    const struct agent *agent;
    struct snapshot *snapshot; /* policy, the project's own, bindings */
    json_t *shown;             /* what --json prints; NULL: lines are printed as they are found */
    bool bad;
};

static void add(struct check *check, const char *name, const struct finding *finding)
{
    check->bad = check->bad || finding->verdict == FINDING_BAD;
    if (check->shown == NULL) {
        finding_print(name, NAME_WIDTH, finding);
        fflush(stdout); /* the next row may take a while */
        return;
    }
    json_t *row = json_object();
    json_put(row, "name", name);
    json_put(row, "verdict", finding->verdict == FINDING_BAD ? "missing" : finding_word(finding->verdict));
    json_put(row, "note", finding->note);
    json_put(row, "next", finding->next);
    json_array_append_new(check->shown, row);
}

/* ---- the program ---- */

/* The last line that says something: what a program that fails says last is why. */
static char *last_line(const struct buf *text)
{
    struct span rest = {(const char *)text->data, text->len}, line, last = SPAN("");

    while (text->len > 0 && span_cut(&rest, '\n', &line))
        if (line.len > 0)
            last = line;
    if (last.len > 9 && memcmp(last.p, "aileron: ", 9) == 0)
        last = (struct span){last.p + 9, last.len - 9};
    return mem_strndup(last.p, last.len);
}

static char *first_line(const struct buf *text)
{
    struct span rest = {(const char *)text->data, text->len}, line = SPAN("");

    if (text->len == 0 || !span_cut(&rest, '\n', &line))
        return mem_strdup("");
    return mem_strndup(line.p, line.len);
}

/* Runs to the end with both streams kept. proc_capture leaves standard error to us: it goes to a file meanwhile. */
static bool run_kept(char *const *argv, struct buf *out, struct buf *errors, int *status, struct err *err)
{
    CLEANUP(file_close_ptr) int kept = dup(STDERR_FILENO);
    CLEANUP(file_close_ptr) int fd = memfd_create("errors", MFD_CLOEXEC);

    if (kept < 0 || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        return err_set(err, ERR_INTERNAL, "cannot keep a program's standard error");
    bool good = proc_capture(argv, PROBE_BYTES, out, status, PROBE_MS, err);
    dup2(kept, STDERR_FILENO);
    return good && lseek(fd, 0, SEEK_SET) == 0 && file_read_fd(fd, PROBE_BYTES, errors, err);
}

static void judge_program(const struct agent *agent, int status, const struct buf *out, const struct buf *errors,
                          struct finding *finding)
{
    AUTOFREE char *version = first_line(out), *why = last_line(errors);
    AUTOFREE char *note = NULL;
    const char *install = agent->install != NULL ? agent->install : "Put it on the PATH of the sandbox";

    if (status == 0) {
        finding_set(finding, FINDING_GOOD, version[0] != '\0' ? version : "starts", "");
    } else if (status == err_exit(ERR_NOT_FOUND_COMMAND)) {
        note = mem_printf("%s is not in the sandbox", agent->command[0]);
        finding_set(finding, FINDING_BAD, note, install);
    } else if (status == err_exit(ERR_LAUNCH)) {
        finding_set(finding, FINDING_BAD, why, "See aileron doctor");
    } else {
        note = mem_printf("it is there and does not start (status %d): %s", status, why);
        finding_set(finding, FINDING_BAD, note, install);
    }
}

static void check_program(struct check *check, struct finding *finding)
{
    const struct agent *agent = check->agent;
    struct err err = {0};
    struct buf out = {0}, errors = {0};
    AUTOFREE char *self = proc_self_path(&err);
    AUTOFREE char *sandbox = mem_printf("--sandbox=%s", check->options->sandbox != NULL ? check->options->sandbox : "");
    AUTOFREE char *image = mem_printf("--image=%s", check->options->image != NULL ? check->options->image : "");
    char *argv[AGENT_LIST_MAX + 6] = {self, (char[]){"launch"}}, **next = argv + 2;
    int status = 0;

    if (check->options->sandbox != NULL)
        *next++ = sandbox;
    if (check->options->image != NULL)
        *next++ = image;
    *next++ = agent->name;
    for (size_t i = 0; agent->probe != NULL && agent->probe[i] != NULL; i++)
        *next++ = agent->probe[i];
    if (agent->probe == NULL)
        *next++ = (char[]){"--version"};
    if (self != NULL && run_kept(argv, &out, &errors, &status, &err))
        judge_program(agent, proc_exit_status(status), &out, &errors, finding);
    else
        finding_from_err(finding, FINDING_BAD, &err);
    buf_clear(&out);
    buf_clear(&errors);
}

/* ---- its credential ---- */

/* Whether `ours` of bindings.yaml does what `wanted` of the agent's file would: a host and a variable of it. */
static bool serves(const struct binding *ours, const struct binding *wanted)
{
    bool host = false;

    for (size_t i = 0; i < wanted->host_count && !host; i++) {
        struct match_query query = {.host = span_of(wanted->hosts[i].host), .port = HTTPS};
        host = !wanted->hosts[i].wild && binding_covers(ours, &query);
    }
    for (size_t i = 0; host && ours->env != NULL && ours->env[i] != NULL; i++)
        for (size_t j = 0; wanted->env != NULL && wanted->env[j] != NULL; j++)
            if (strcmp(ours->env[i], wanted->env[j]) == 0)
                return true;
    return false;
}

static const struct binding *binding_serving(const struct check *check)
{
    const struct bindings *ours = check->snapshot->rules->bindings, *wanted = check->agent->bindings;

    for (size_t i = 0; i < bindings_count(ours); i++)
        for (size_t j = 0; j < bindings_count(wanted); j++)
            if (serves(bindings_at(ours, i), bindings_at(wanted, j)))
                return bindings_at(ours, i);
    return NULL;
}

static void check_entry(const struct binding *binding, struct finding *finding)
{
    struct err err = {0};
    json_t *answer JSON_AUTO = NULL;
    const json_t *entry;
    struct client *client = client_connect(NULL, true, &err);
    bool good = client != NULL && client_ask(client, "GET", "/v1/vault/entries", NULL, &answer, &err);
    size_t i;

    client_close(client);
    if (!good) {
        finding_from_err(finding, FINDING_BAD, &err);
        return;
    }
    json_array_foreach(json_object_get(answer, "entries"), i, entry) {
        const char *path = json_string_value(json_object_get(entry, "path"));
        if (path != NULL && strcmp(path, binding->entry) == 0) {
            finding_set(finding, FINDING_GOOD, binding->entry, "");
            return;
        }
    }
    AUTOFREE char *note = mem_printf("the vault has no entry %s", binding->entry);
    AUTOFREE char *next = mem_printf("aileron vault put %s", binding->entry);
    finding_set(finding, FINDING_BAD, note, next);
}

static void check_credential(struct check *check)
{
    struct finding finding = {0};

    if (bindings_count(check->agent->bindings) == 0)
        return;
    const struct binding *binding = binding_serving(check);
    if (binding == NULL) {
        AUTOFREE char *next = mem_printf("Write one of those that aileron agents show %s prints", check->agent->name);
        finding_set(&finding, FINDING_BAD, "bindings.yaml has none with a host and a variable of this agent", next);
        add(check, "credential", &finding);
        return;
    }
    AUTOFREE char *note = mem_printf("%s, as %s", binding->name, binding->env[0]);
    finding_set(&finding, FINDING_GOOD, note, "");
    add(check, "credential", &finding);
    check_entry(binding, &finding);
    add(check, "vault", &finding);
}

/* ---- its hosts ---- */

/* A rule that looks at methods or paths may let through what the host alone does not tell. */
static void check_host(struct check *check, const char *host, enum verdict otherwise)
{
    struct match_query query = {.host = span_of(host), .port = HTTPS};
    struct finding finding = {0};
    struct decision decision;

    if (host[0] == '*')
        return;
    snapshot_decide(check->snapshot, &query, &decision);
    bool inside = policy_needs_inside(check->snapshot->rules->policy, query.host, HTTPS);
    AUTOFREE char *name = mem_printf("host %s", host);
    AUTOFREE char *note = mem_printf("%s by rule %s", policy_action_word(decision.action), decision.rule);
    AUTOFREE char *next = mem_printf("policy.yaml, rules: - { host: %s, action: allow }", host);
    if (decision.action == POLICY_ALLOW)
        finding_set(&finding, FINDING_GOOD, note, "");
    else if (inside)
        finding_set(&finding, FINDING_WARNING, note, "Some rules look at the path: try aileron policy test");
    else
        finding_set(&finding, otherwise, note, next);
    add(check, name, &finding);
}

static void check_hosts(struct check *check)
{
    const struct agent *agent = check->agent;

    for (size_t i = 0; i < agent->host_count; i++)
        check_host(check, agent->hosts[i], FINDING_BAD);
    const struct binding *binding = binding_serving(check);
    for (size_t i = 0; binding != NULL && i < binding->host_count; i++) {
        bool known = binding->hosts[i].wild;
        for (size_t j = 0; j < agent->host_count; j++)
            known = known || strcmp(agent->hosts[j], binding->hosts[i].host) == 0;
        if (!known)
            check_host(check, binding->hosts[i].host, FINDING_BAD);
    }
    for (size_t i = 0; agent->optional_hosts != NULL && agent->optional_hosts[i] != NULL; i++)
        check_host(check, agent->optional_hosts[i], FINDING_GOOD);
}

static bool load_rules(struct check *check, const char *home, struct err *err)
{
    struct rules *rules = rules_load(home, err);

    if (rules == NULL)
        return false;
    check->snapshot = snapshot_new(rules);
    rules_unref(rules);
    return policy_project_read(".", &check->snapshot->project, err);
}

static void check_all(struct check *check, const char *home)
{
    struct finding finding = {0};
    struct err err = {0};

    finding_set(&finding, FINDING_GOOD, check->agent->own ? "own file" : "built in", "");
    add(check, "file", &finding);
    check_program(check, &finding);
    add(check, "program", &finding);
    if (load_rules(check, home, &err)) {
        check_credential(check);
        check_hosts(check);
    } else {
        finding_from_err(&finding, FINDING_BAD, &err);
        add(check, "rules", &finding);
    }
}

int agents_check(int argc, char **argv)
{
    struct check_options options = {0};
    struct check check = {.options = &options};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&agents_check_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&agents_check_spec, "one agent is needed; see aileron agents list");
    AUTOFREE char *home = client_home(&err);
    CLEANUP(agent_free_ptr) struct agent *agent = home != NULL ? agent_load(home, operands[0], &err) : NULL;
    if (agent == NULL)
        return err_print(&err, "aileron");
    json_t *shown JSON_AUTO = options.json ? json_array() : NULL;
    check.agent = agent;
    check.shown = shown;
    check_all(&check, home);
    snapshot_free(check.snapshot);
    if (shown != NULL && show_json(shown) != 0)
        return err_exit(ERR_IO);
    if (!check.bad)
        return 0;
    err_set(&err, ERR_UNAVAILABLE, "%s cannot be used yet, see above", agent->name);
    return err_print(&err, "aileron");
}
