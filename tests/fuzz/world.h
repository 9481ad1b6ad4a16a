/* A monitor with one session in the fuzzer's own process, for the two fuzzers whose input crosses a process border:
 * vault, rules, record and store are real and lie in a directory of their own; the worker's process is not there,
 * its channel is. Nothing leaves the machine: the policy denies every name but those with an address on loopback,
 * and no name server is known. */
#ifndef AILERON_FUZZ_WORLD_H
#define AILERON_FUZZ_WORLD_H

/* Its inside: a worker without a process, and what the monitor does with a message. */
#include "core/authority/worker.c"

#include "core/authority/approval.h"
#include "core/authority/operation_private.h"
#include "core/authority/quota.h"
#include "core/authority/session_private.h"
#include "tls/crypto.h"

enum { WORLD_INPUTS = 5000 /* until all begins anew: the record grows */ };
#define WORLD_TOKEN "T"
#define WORLD_SECRET "the-secret-of-the-fuzzed-world"

struct world {
    char home[32]; /* in memory: it is written with each input */
    struct monitor monitor;
    struct session *session;
    struct worker worker;
    unsigned inputs;
};

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void write_file(const struct world *world, const char *name, const char *text)
{
    AUTOFREE char *path = file_join(world->home, name);
    struct err err;
    require(file_write_atomic(path, 0600, text, strlen(text), &err));
}

static const char world_connector[] =
    "{\"schema_version\":1,\"connector\":{\"fqn\":\"f/api\",\"version\":\"1\"},"
    "\"tools\":[{\"name\":\"t\",\"operations\":[{\"name\":\"get\",\"method\":\"GET\",\"path\":\"/a/{x}\","
    "\"hosts\":[\"api.test\"],\"inputs\":[{\"name\":\"x\",\"required\":true},{\"name\":\"q\"}]},"
    "{\"name\":\"put\",\"method\":\"POST\",\"path\":\"/b\",\"hosts\":[\"api.test\"],\"inputs\":[{\"name\":\"y\","
    "\"type\":\"object\"}]},{\"name\":\"ask\",\"method\":\"POST\",\"path\":\"/b\",\"hosts\":[\"api.test\"],"
    "\"approval\":true},{\"name\":\"no\",\"method\":\"GET\",\"path\":\"/\",\"hosts\":[\"no.test\"]}]}]}";

static void write_files(const struct world *world, uint16_t upstream_port)
{
    struct err err;
    AUTOFREE char *config = mem_printf(
        "version: 1\nlimits: { disk_free: 0, record_bytes: 1099511627776 }\n"
        "upstreams:\n  - { host: plain.test, address: \"127.0.0.1:%u\" }\n"
        "  - { host: api.test, address: \"127.0.0.1:%u\" }\n", upstream_port, upstream_port);
    write_file(world, "config.yaml", config);
    write_file(world, "policy.yaml",
               "version: 1\nnetwork: { default: deny, private: deny, allow_private: [\"127.0.0.1/32\"] }\nrules:\n"
               "  - { name: plain, host: plain.test, action: allow }\n"
               "  - { name: read, host: api.test, methods: [GET, POST], paths: [\"/a/**\", \"/b\"], action: allow }\n"
               "  - { name: ask, host: api.test, methods: [PATCH], action: approve }\n");
    write_file(world, "bindings.yaml",
               "version: 1\nbindings:\n"
               "  - { name: user/api, hosts: [api.test], paths: [\"/a/**\"], scheme: bearer }\n");
    struct connector *connector =
        connector_parse(world_connector, sizeof world_connector - 1, "connector", &err);
    require(connector && catalogue_install(world->home, connector, &err));
    connector_free(connector);
}

static void fill_vault(struct world *world)
{
    struct vault_kdf kdf = {.salt = {7}, .t = 1, .m_kib = 64, .p = 1};
    struct err err;
    struct secret *kek = secret_new("0123456789abcdef0123456789abcdef", VAULT_KEY_BYTES);
    world->monitor.vault = vault_open(world->home);
    require(vault_init(world->monitor.vault, "owner", &kdf, kek, &err) &&
            vault_put(world->monitor.vault, "user/api", VAULT_TOKEN, NULL, WORLD_SECRET, sizeof WORLD_SECRET - 1,
                      &err));
    secret_free(kek);
}

static void open_session(struct world *world)
{
    char hash_hex[2 * CRYPTO_HASH_LEN + 1];
    uint8_t hash[CRYPTO_HASH_LEN];
    struct err err;
    crypto_sha256(WORLD_TOKEN, sizeof WORLD_TOKEN - 1, hash);
    text_hex(hash, sizeof hash, hash_hex);
    json_t *meta = json_pack("{s:s, s:s, s:s}", "network", "sealed", "engine", "bwrap", "token_hash", hash_hex);
    struct session *session = session_new(&world->monitor, id_new("").text, meta);
    json_decref(meta);
    require((session->ca = ca_new(session->id, &err)) != NULL);
    require(buf_adds(&world->monitor.roots, ca_cert_pem(session->ca))); /* roots that no upstream has */
    session->snapshot = session_make_snapshot(session, world->monitor.rules, &err);
    require(session->snapshot != NULL);
    session->snapshot->resolver_count = 0; /* the machine's own */
    world->worker = (struct worker){.session = session};
    session->worker = &world->worker;
    world->monitor.sessions = world->session = session;
    world->monitor.session_count = 1;
}

/* loop lives longer than the world. */
static void world_open(struct world *world, struct loop *loop, uint16_t upstream_port)
{
    struct monitor *monitor = &world->monitor;
    struct err err;
    *world = (struct world){.home = "/dev/shm/fuzz-world.XXXXXX"};
    require(mkdtemp(world->home) != NULL);
    *monitor = (struct monitor){.loop = loop, .home = world->home, .version = "fuzz", .lock_fd = -1};
    write_files(world, upstream_port);
    AUTOFREE char *db = file_join(world->home, "state.db");
    require((monitor->rules = rules_load(world->home, &err)) != NULL &&
            (monitor->record = record_open(loop, world->home, &err)) != NULL &&
            (monitor->store = store_open(db, &err)) != NULL);
    fill_vault(world);
    monitor->quotas = quotas_open(monitor);
    monitor->approvals = approvals_new(monitor);
    require((monitor->operations = operations_open(monitor, &err)) != NULL);
    buf_init(&monitor->roots, 1 << 20);
    open_session(world);
}

/* The record must prove itself, whatever was in it. */
static void world_close(struct world *world)
{
    struct monitor *monitor = &world->monitor;
    struct audit_report report = {0};
    struct err err;
    AUTOFREE char *dir = file_join(world->home, "audit");
    approvals_free(monitor->approvals); /* who waits names the session */
    world->session->worker = NULL;
    session_free(world->session);
    operations_close(monitor->operations);
    quotas_close(monitor->quotas);
    vault_close(monitor->vault);
    rules_unref(monitor->rules);
    store_close(monitor->store);
    record_close(monitor->record);
    buf_clear(&monitor->roots);
    require(audit_verify(dir, NULL, &report, &err) && report.intact);
    require(file_remove_tree(world->home, &err));
}

#endif
