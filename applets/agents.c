/* `aileron agents`: which agents there are, and what a file says of one, in the words that bindings.yaml, policy.yaml
 * and a Dockerfile take. It reads files and starts nothing; agents_check.c tries them. */
#include "applets/agents.h"

#include "applets/show.h"
#include "core/client/client.h"
#include "core/sandbox/agent.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 6, LABEL_WIDTH = 14 };

struct agents_options {
    bool json;
};
static const struct opt_row list_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the list as JSON.", NULL, offsetof(struct agents_options, json)},
};
static const struct opt_row show_rows[] = {
    {0, "json", OPT_FLAG, NULL, "Print the file as JSON.", NULL, offsetof(struct agents_options, json)},
};
static const struct opt_spec list_spec = {.command = "aileron agents list", .alone = true, .synopsis = "[--json]",
                                          .summary = "List the agents that launch knows by name", .rows = list_rows,
                                          .row_count = COUNT(list_rows)};
static const struct opt_spec show_spec = {
    .command = "aileron agents show",
    .synopsis = "[--json] NAME",
    .summary = "Show what an agent's file says: command, hosts, credentials, how it is installed",
    .rows = show_rows,
    .row_count = COUNT(show_rows)};
static const struct opt_spec *const specs[] = {&list_spec, &show_spec, &agents_check_spec};
extern const struct applet applet_agents;

static const char *origin(const struct agent *agent)
{
    return agent->own ? "own file" : "built in";
}

/* ---- list ---- */

/* A file that is wrong is listed with what is wrong with it. */
static void list_one(const char *name, const struct agent *agent, const struct err *err, json_t *out)
{
    if (out != NULL) {
        json_t *row = json_object();
        json_put(row, "name", name);
        json_put(row, "summary", agent != NULL ? agent->summary : NULL);
        json_put(row, "from", agent != NULL ? origin(agent) : "own file");
        json_put(row, "error", agent == NULL ? err->message : NULL);
        json_array_append_new(out, row);
        return;
    }
    show_string(name, LABEL_WIDTH);
    show_string(agent != NULL ? origin(agent) : "own file", 9);
    show_string(agent != NULL ? agent->summary : err->message, 0);
    putchar('\n');
}

static int run_list(int argc, char **argv)
{
    struct agents_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    AUTOFREE char *home = client_home(&err);
    if (home == NULL)
        return err_print(&err, "aileron");
    json_t *rows JSON_AUTO = options.json ? json_array() : NULL;
    char **names = agent_names(home);
    for (size_t i = 0; names[i] != NULL; i++) {
        CLEANUP(agent_free_ptr) struct agent *agent = agent_load(home, names[i], &err);
        list_one(names[i], agent, &err, rows);
    }
    match_texts_free(names);
    return rows != NULL ? show_json(rows) : 0;
}

/* ---- show ---- */

/* YAML takes it without quotes, and as a text: no number, no word with a meaning of its own. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off"};

    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(text, words[i]) == 0)
            return false;
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./@-");
    return len > 0 && text[len] == '\0' && strspn(text, "0123456789.-") < len && text[0] != '-';
}

/* One line, as YAML has it between brackets. */
static void print_flow(json_t *value, int depth)
{
    const char *key, *between = "";
    json_t *item;
    size_t i;

    if (depth > DEPTH_MAX)
        return;
    if (json_is_array(value)) {
        putchar('[');
        json_array_foreach(value, i, item) {
            fputs(between, stdout);
            print_flow(item, depth + 1);
            between = ", ";
        }
        putchar(']');
    } else if (json_is_object(value)) {
        fputs("{ ", stdout);
        json_object_foreach(value, key, item) {
            printf("%s%s: ", between, key);
            print_flow(item, depth + 1);
            between = ", ";
        }
        fputs(" }", stdout);
    } else if (json_is_string(value) && is_plain(json_string_value(value))) {
        fputs(json_string_value(value), stdout);
    } else {
        AUTOFREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        fputs(text != NULL ? text : "", stdout);
    }
}

/* What a person writes into bindings.yaml; one that is not wanted is left out. */
static void print_bindings(const struct agent *agent)
{
    json_t *list = json_object_get(bindings_json(agent->bindings), "bindings"), *binding;
    size_t i;

    if (bindings_count(agent->bindings) == 0)
        return;
    printf("\nIts credential: put one of these into bindings.yaml, and the secret into the vault:\n\n");
    json_array_foreach(list, i, binding) {
        const char *key, *mark = "  -";
        json_t *value;
        json_object_foreach(binding, key, value) {
            printf("%s %s: ", mark, key);
            print_flow(value, 0);
            putchar('\n');
            mark = "   ";
        }
    }
    putchar('\n');
    for (i = 0; i < bindings_count(agent->bindings); i++)
        printf("  aileron vault put %s\n", bindings_at(agent->bindings, i)->entry);
}

static void print_recipes(const struct agent *agent)
{
    for (size_t i = 0; i < AGENT_FAMILIES; i++) {
        if (agent->recipe[i] == NULL)
            continue;
        printf("\nIn a Dockerfile of %s:\n\n", agent_family_word((enum agent_family)i));
        for (char **line = agent->recipe[i]; *line != NULL; line++) {
            fputs("  ", stdout);
            show_string(*line, 0);
            putchar('\n');
        }
    }
}

/* A list as a person would type it. */
static void print_words(json_t *list)
{
    json_t *word;
    size_t i;

    json_array_foreach(list, i, word) {
        const char *text = json_string_value(word);
        bool quoted = text == NULL || text[strcspn(text, " \t'\"\\$`*")] != '\0';
        if (i > 0)
            putchar(' ');
        if (quoted)
            print_flow(word, 0);
        else
            show_string(text, 0);
    }
}

/* The rows that are one line each. */
static void print_rows(const struct agent *agent)
{
    static const struct {
        const char *key, *label;
    } rows[] = {
        {"summary", "Agent"},          {"command", "Command"}, {"headless", "By itself"},
        {"env", "Variables"},          {"hosts", "Hosts"},     {"optional_hosts", "Also contacts"},
        {"keeps", "Keeps"},            {"expose", "Exposes"},  {"install", "Install"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        json_t *value = json_object_get(agent->json, rows[i].key);
        if (value == NULL)
            continue;
        show_string(rows[i].label, LABEL_WIDTH);
        if (json_is_string(value))
            show_string(json_string_value(value), 0);
        else if (json_is_array(value))
            print_words(value);
        else
            print_flow(value, 0);
        putchar('\n');
    }
    show_string("From", LABEL_WIDTH);
    puts(origin(agent));
}

static int run_show(int argc, char **argv)
{
    struct agents_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&show_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&show_spec, "one agent is needed; see aileron agents list");
    AUTOFREE char *home = client_home(&err);
    CLEANUP(agent_free_ptr) struct agent *agent = home != NULL ? agent_load(home, operands[0], &err) : NULL;
    if (agent == NULL)
        return err_print(&err, "aileron");
    if (options.json) {
        json_t *shown JSON_AUTO = json_copy(agent->json);
        json_put(shown, "from", origin(agent));
        return show_json(shown);
    }
    print_rows(agent);
    print_bindings(agent);
    print_recipes(agent);
    return 0;
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {
        {"list", &list_spec, run_list}, {"show", &show_spec, run_show}, {"check", &agents_check_spec, agents_check}};

    return applet_verbs(&applet_agents, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_agents = {"agents", "List, show and check the agents that launch knows", run, specs,
                                     COUNT(specs), false};
