/* `aileron policy`: check explains the files, test says what would be decided for one request and by which rule,
 * reload tells the daemon. It reads the files itself, with the daemon's own functions, so it works without one. */
#include "applets/applet.h"

#include "applets/show.h"
#include "core/base/id.h"
#include "core/client/client.h"
#include "core/data/snapshot.h"
#include "core/data/yaml.h"
#include "core/loop/own.h"
#include "core/wire/target.h"

#include <stdio.h>
#include <string.h>

enum { EXPLAIN_BYTES = 4 * 1024 * 1024 };

struct policy_options {
    bool json;
};
static const struct opt_row test_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the decision as JSON.", NULL, offsetof(struct policy_options, json)},
};
static const struct opt_spec check_spec = {
    .command = "aileron policy check",
    .synopsis = "[FILE]",
    .summary = "Check policy.yaml and what belongs to it, and explain the rules in their order",
    .details = "With FILE that policy alone is checked. Without it all files of $AILERON_HOME are, also against "
               "each other."};
static const struct opt_spec test_spec = {
    .command = "aileron policy test",
    .synopsis = "[--json] METHOD URL",
    .summary = "Say what is decided for a request, by which rule and with which credential",
    .details = "Exits with 0 where the request is allowed, and with 77 where it is denied or needs approval.",
    .rows = test_rows,
    .row_count = COUNT(test_rows)};
static const struct opt_spec reload_spec = {.command = "aileron policy reload", .synopsis = "",
                                            .summary = "Load the files anew; on an error the last good ones stay"};
static const struct opt_spec *const specs[] = {&check_spec, &test_spec, &reload_spec};
extern const struct applet applet_policy;

/* The files of the home, and the home; NULL and err. */
static struct rules *load(struct err *err)
{
    AUTOFREE char *home = client_home(err);

    return home != NULL ? rules_load(home, err) : NULL;
}

static bool explain(const struct policy *policy, struct err *err)
{
    struct buf text;

    buf_init(&text, EXPLAIN_BYTES);
    if (!policy_explain(policy, &text)) {
        buf_clear(&text);
        return err_set(err, ERR_LIMIT, "the explanation is over %d bytes", EXPLAIN_BYTES);
    }
    fwrite(text.data, 1, text.len, stdout);
    buf_clear(&text);
    return true;
}

static bool check_file(const char *path, struct err *err)
{
    struct doc doc = {0};

    if (!yaml_read(path, &doc, err))
        return err_hint_default(err, "Correct it: aileron.yaml(5) says what may stand there");
    struct json_at at = json_root(&doc);
    struct policy *policy = policy_from(&at, err);
    if (policy == NULL)
        err_hint_default(err, "Correct it: aileron.yaml(5) says what may stand there");
    bool good = policy != NULL && explain(policy, err);
    policy_free(policy);
    doc_clear(&doc);
    return good;
}

static bool check_all(struct err *err)
{
    struct rules *rules = load(err);
    struct policy *project = NULL;

    if (rules == NULL)
        return false;
    bool good = policy_project_read(".", &project, err) && explain(rules->policy, err);
    if (good && project != NULL) {
        puts(POLICY_PROJECT_FILE " of this directory, which only narrows:");
        good = explain(project, err);
    }
    policy_free(project);
    printf("%zu bindings, %zu connectors\n", bindings_count(rules->bindings), rules->catalogue->count);
    for (size_t i = 0; i < rules->catalogue->problem_count; i++) {
        fputs("left out: ", stdout);
        show_string(rules->catalogue->problems[i], 0);
        putchar('\n');
    }
    rules_unref(rules);
    return good;
}

static int run_check(int argc, char **argv)
{
    struct policy_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&check_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count > 1)
        return applet_usage(&check_spec, "one file at a time");
    bool good = count == 1 ? check_file(operands[0], &err) : check_all(&err);
    return good ? 0 : err_print(&err, "aileron");
}

static void print_decision(const struct decision *decision, const char *reason, const char *certificate, bool as_json)
{
    const char *credential = decision->binding != NULL ? decision->binding->name : NULL;

    if (as_json) {
        json_t *shown JSON_AUTO = json_object();
        json_put(shown, "decision", policy_action_word(decision->action));
        json_put(shown, "rule", decision->rule);
        json_put(shown, "reason", reason);
        json_put(shown, "credential", credential);
        json_put(shown, "client_cert", certificate);
        show_json(shown);
        return;
    }
    printf("%s by rule ", policy_action_word(decision->action));
    show_string(decision->rule, 0);
    if (credential != NULL) {
        fputs(", with credential ", stdout);
        show_string(credential, 0);
    }
    if (certificate != NULL) {
        fputs(", with client certificate ", stdout);
        show_string(certificate, 0);
    }
    if (reason != NULL) {
        fputs(": ", stdout);
        show_string(reason, 0);
    }
    putchar('\n');
}

/* An address in the URL, or in config.yaml for its host, meets the address policy too; a name is only resolved when a
 * request is made. */
static const char *address_reason(const struct rules *rules, const struct target *target)
{
    const struct config_upstream *fixed =
        config_upstream(rules->config, span_of(target->host.name), target->port);
    bool known = fixed != NULL && fixed->has_address;
    const struct addr *addr = known ? &fixed->address : &target->host.addr;
    const char *why = NULL;

    return (known || target->host.is_ip) && !policy_address(rules->policy, addr, own_address(addr), &why) ? why : NULL;
}

/* What the data plane adds to the rules: the reason, and decision becomes a denial; else the rule's own reason. */
static const char *judge(const struct rules *rules, const struct target *target, const char *method,
                         const char *certificate, struct decision *decision)
{
    const char *address = address_reason(rules, target);
    bool tls = target->scheme == TARGET_HTTPS;
    const char *bar = decision_bar(decision, tls, span_of(method));

    if (decision->action != POLICY_ALLOW)
        return decision->reason;
    if (bar == NULL && certificate != NULL && !tls)
        bar = "the host's client certificate is shown over TLS alone";
    if (address == NULL && bar == NULL)
        return decision->reason;
    decision->action = POLICY_DENY;
    if (address != NULL)
        *decision = (struct decision){.action = POLICY_DENY, .rule = "network.private"};
    return address != NULL ? address : bar;
}

static int test(struct rules *rules, const char *method, const char *url, bool as_json, struct err *err)
{
    struct arena *arena = arena_new(MATCH_GLOB_MAX + 4 * TARGET_PATH_BYTES);
    struct snapshot *snapshot = snapshot_new(rules);
    struct decision decision;
    struct target target;
    int status = 0;

    if (policy_project_read(".", &snapshot->project, err) &&
        target_parse_absolute(span_of(url), arena, &target, err)) {
        struct match_query query = {.host = span_of(target.host.name), .port = target.port,
                                    .method = span_of(method), .path = span_of(target.path),
                                    .ambiguous = target.ambiguous};
        snapshot_decide(snapshot, &query, &decision);
        const char *certificate = config_client_cert(rules->config, query.host, query.port);
        const char *reason = judge(rules, &target, method, certificate, &decision);
        print_decision(&decision, reason, decision.action == POLICY_DENY ? NULL : certificate, as_json);
        status = decision.action == POLICY_ALLOW ? 0 : err_exit(ERR_DENIED);
    } else {
        status = err_print(err, "aileron");
    }
    snapshot_free(snapshot);
    arena_free(arena);
    return status;
}

static int run_test(int argc, char **argv)
{
    struct policy_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&test_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 2 || !text_is_token(span_of(operands[0])))
        return applet_usage(&test_spec, "a method and a URL are needed, like: GET https://api.github.com/user");
    struct rules *rules = load(&err);
    if (rules == NULL)
        return err_print(&err, "aileron");
    status = test(rules, operands[0], operands[1], options.json, &err);
    rules_unref(rules);
    return status;
}

static int run_reload(int argc, char **argv)
{
    struct policy_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&reload_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (!client_ask_once(false, "POST", "/v1/reload", NULL, &err))
        return err_print(&err, "aileron");
    puts("Loaded.");
    return 0;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {
        {"check", &check_spec, run_check}, {"test", &test_spec, run_test}, {"reload", &reload_spec, run_reload}};

    return applet_verbs(&applet_policy, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_policy = {"policy", "Check the rules, test a request against them, reload", run, specs,
                                     COUNT(specs), false};
