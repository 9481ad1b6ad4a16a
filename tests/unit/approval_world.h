/* A monitor with rules that ask for a person, and the words of a test about it: what its worker asks, and what a
 * person says over control.sock. */
#ifndef AILERON_TESTS_APPROVAL_WORLD_H
#define AILERON_TESTS_APPROVAL_WORLD_H

#include "core/data/catalogue.h"
#include "tests/unit/monitor_world.h"

static const char connector[] =
    "{\"schema_version\": 1, \"connector\": {\"fqn\": \"test.example/api\", \"version\": \"1.0.0\"}, \"tools\": ["
    "{\"name\": \"svc\", \"description\": \"a service\", \"operations\": ["
    "{\"name\": \"drop\", \"summary\": \"drop\", \"method\": \"DELETE\", \"path\": \"/items/{id}\","
    " \"hosts\": [\"api.test\"], \"approval\": \"required\", \"preview\": \"drop {id}\","
    " \"inputs\": [{\"name\": \"id\", \"type\": \"string\", \"required\": true, \"in\": \"path\"}]},"
    "{\"name\": \"asked\", \"summary\": \"asked\", \"method\": \"PATCH\", \"path\": \"/all\","
    " \"hosts\": [\"api.test\"], \"inputs\": []}]}]}";

static inline void configure(struct world *world, const char *hold)
{
    AUTOFREE char *config = mem_printf("version: 1\napprovals: { hold: %s, expire: 1h }\nlimits: { approvals: 3 }\n",
                                       hold);

    write_file(world, "config.yaml", config);
}

static inline int setup_with(void **state, const char *hold)
{
    struct err err = {0};

    if (world_setup(state) != 0)
        return -1;
    struct world *world = *state;
    struct connector *parsed = connector_parse(connector, strlen(connector), "test", &err);
    if (parsed == NULL || !catalogue_install(world->home, parsed, &err)) {
        err_print(&err, "setup");
        return -1;
    }
    connector_free(parsed);
    write_file(world, "bindings.yaml",
               "version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], scheme: bearer }\n");
    write_file(world, "policy.yaml",
               "version: 1\nrules:\n"
               "  - { name: ask first, host: api.test, methods: [PATCH, POST], action: approve }\n"
               "  - { name: the dear ones, host: api.test, paths: [/items/dear], action: approve }\n"
               "  - { name: never, host: api.test, methods: [PUT], action: deny }\n");
    configure(world, hold);
    start_monitor(world);
    make_vault(world);
    put_secret(world, "user/api", "token", NULL, "MARKER");
    start_session(world);
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, "60s");
}

static inline int setup_short(void **state)
{
    return setup_with(state, "1s");
}

/* ---- words ---- */

static inline char *run_op(struct world *world, uint32_t id, const char *item, const char *key)
{
    json_t *run = json_pack("{s:s, s:s, s:{s:s}}", "tool", "svc", "operation", "drop", "args", "id", item);

    json_put(run, "idempotency_key", key);
    tell_json(world, MESSAGE_OP_RUN, id, run);
    json_t *shown = hear_json(world, MESSAGE_OP_STATE, id);
    assert_string_equal(text_at(shown, "state"), "pending");
    char *approval = mem_strdup(text_at(shown, "approval"));
    assert_true(id_valid(approval, "apr_"));
    json_decref(shown);
    return approval;
}

static inline json_t *request(const char *method, const char *path, const char *name)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "method", method, "scheme", "https", "host", "api.test",
                     "port", 443, "path", path, "request", name);
}

static inline void ask_request(struct world *world, uint32_t id, json_t *object, const char *body)
{
    AUTOFREE char *text = json_dumps(object, JSON_COMPACT);
    size_t head = strlen(text) + 1, len = strlen(body);
    AUTOFREE char *payload = mem_alloc(head + len + 1);

    memcpy(payload, text, head);
    memcpy(payload + head, body, len);
    tell(world, MESSAGE_APPROVAL_ASK, id, payload, head + len);
    json_decref(object);
}

static inline json_t *look(struct world *world, const char *approval)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s", approval);

    return ask(world, "GET", path, NULL);
}

/* The only one that waits; waits for it. */
static inline char *the_pending(struct world *world)
{
    for (int i = 0; i < 500; i++) {
        json_t *list = ask(world, "GET", "/v1/approvals?state=pending", NULL);
        json_t *rows = json_object_get(list, "approvals");
        char *id = json_array_size(rows) == 1 ? mem_strdup(text_at(json_array_get(rows, 0), "id")) : NULL;
        json_decref(list);
        if (id != NULL)
            return id;
        pause_ms(10);
    }
    fail_msg("nothing waits for a person");
    return NULL;
}

/* ERR_NONE, or why not. */
static inline enum err_code try_decide(struct world *world, const char *approval, const char *digest,
                                       const char *decision, const char *scope, json_t *args)
{
    AUTOFREE char *path = mem_printf("/v1/approvals/%s/decide", approval);
    json_t *body JSON_AUTO = json_pack("{s:s, s:s, s:s}", "decision", decision, "digest", digest, "scope", scope);
    struct err err = {0};

    if (args != NULL)
        json_object_set_new(body, "args", args);
    return client_ask(world->client, "POST", path, body, NULL, &err) ? ERR_NONE : err.code;
}

static inline void decide(struct world *world, const char *approval, const char *decision, const char *scope)
{
    json_t *shown JSON_AUTO = look(world, approval);

    assert_int_equal(try_decide(world, approval, text_at(shown, "digest"), decision, scope, NULL), ERR_NONE);
}

static inline void expect_approval(struct world *world, const char *approval, const char *state)
{
    json_t *shown JSON_AUTO = look(world, approval);

    assert_string_equal(text_at(shown, "state"), state);
}

static inline void expect_operation(struct world *world, uint32_t id, const char *op_id, const char *want)
{
    tell_json(world, MESSAGE_OP_GET, id, json_pack("{s:s, s:i}", "id", op_id, "wait_ms", 0));
    json_t *shown JSON_AUTO = hear_json(world, MESSAGE_OP_STATE, id);

    assert_string_equal(text_at(shown, "state"), want);
}

static inline char *operation_of(struct world *world, const char *approval)
{
    json_t *shown JSON_AUTO = look(world, approval);

    return mem_strdup(text_at(shown, "operation"));
}

/* What the worker is told to send, unasked. */
static inline json_t *hear_start(struct world *world, uint32_t *id)
{
    static char payload[FRAME_BYTES];
    size_t len;
    struct frame_head head = hear(world, payload, sizeof payload, &len);

    if (head.type != MESSAGE_OP_START)
        fail_msg("message %u for %u: %s", head.type, head.id, payload);
    assert_true(head.id >= MESSAGE_UNASKED);
    *id = head.id;
    return json_loadb(payload, len, 0, NULL);
}

static inline void expect_refusal(struct world *world, uint32_t id, const char *code)
{
    json_t *answer JSON_AUTO = hear_json(world, MESSAGE_REFUSED, id);

    assert_string_equal(text_at(answer, "code"), code);
}

#endif
