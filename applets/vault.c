/* `aileron vault`: init, put, list, get --reveal, rm, unlock, lock. The key is made from the passphrase here
 * (Argon2id takes 64 MiB and a tenth of a second, which the daemon's loop must not) and handed to the daemon,
 * which holds the vault. */
#include "applets/applet.h"

#include "applets/passphrase.h"
#include "applets/show.h"
#include "core/authority/vault_file.h"
#include "core/client/client.h"
#include "tls/crypto.h"
#include "tls/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vault_options {
    const char *passphrase_file, *from_file, *kind, *username, *cache, *member;
    uint64_t timeout_ms;
    bool reveal, json, older;
};

#define ROW(letter, name, kind, value, help, choices, field)                                                  \
    {letter, name, kind, value, help, choices, offsetof(struct vault_options, field)}
#define PASSPHRASE_ROW                                                                                        \
    ROW(0, "passphrase-file", OPT_STRING, "FILE", "Read the passphrase from FILE, \"-\" is standard input.",  \
        NULL, passphrase_file)

static const struct opt_row init_rows[] = {
    PASSPHRASE_ROW,
    ROW(0, "member", OPT_STRING, "NAME", "Name of the first member (owner).", NULL, member),
};
static const struct opt_row put_rows[] = {
    ROW(0, "kind", OPT_STRING, "KIND",
        "A token, a user name and password, or a client certificate (PEM: chain and key).", "token|basic|certificate",
        kind),
    ROW(0, "username", OPT_STRING, "NAME", "The user name, for the kind basic.", NULL, username),
    ROW(0, "from-file", OPT_STRING, "FILE", "Read the secret from FILE, \"-\" is standard input.", NULL, from_file),
    PASSPHRASE_ROW,
};
static const struct opt_row list_rows[] = {
    ROW(0, "json", OPT_FLAG, NULL, "Print JSON.", NULL, json),
};
static const struct opt_row get_rows[] = {
    ROW(0, "reveal", OPT_FLAG, NULL, "Print the secret to standard output.", NULL, reveal),
    PASSPHRASE_ROW,
};
static const struct opt_row rm_rows[] = {PASSPHRASE_ROW};
static const struct opt_row unlock_rows[] = {
    ROW(0, "cache", OPT_STRING, "WHERE", "Keep the key in the kernel's keyring, so that a restarted daemon has it.",
        "none|keyring", cache),
    ROW(0, "timeout", OPT_DURATION, "TIME", "How long the keyring keeps it (8h).", NULL, timeout_ms),
    ROW(0, "member", OPT_STRING, "NAME", "The member whose passphrase it is.", NULL, member),
    ROW(0, "older", OPT_FLAG, NULL, "Take a vault.json that is older than the one used last: a backup.", NULL, older),
    PASSPHRASE_ROW,
};
#define SPEC(name, verb, operands, text, summary_text, table)                                                 \
    static const struct opt_spec name = {.command = "aileron vault " verb, .synopsis = text,                  \
                                         .summary = summary_text, .rows = table, .row_count = COUNT(table),   \
                                         .alone = (operands) == 0}
SPEC(init_spec, "init", 0, "[OPTION...]", "Make a new vault", init_rows);
SPEC(put_spec, "put", 1, "[OPTION...] PATH", "Put a secret in, from the terminal, a file or standard input", put_rows);
SPEC(list_spec, "list", 0, "[--json]", "List what is in the vault, never the secrets", list_rows);
SPEC(get_spec, "get", 1, "--reveal [OPTION...] PATH", "Print one secret", get_rows);
SPEC(rm_spec, "rm", 1, "[OPTION...] PATH...", "Remove secrets", rm_rows);
SPEC(unlock_spec, "unlock", 0, "[OPTION...]", "Unlock the vault until the daemon ends", unlock_rows);
static const struct opt_spec lock_spec = {.command = "aileron vault lock", .synopsis = "", .alone = true,
                                          .summary = "Lock the vault and forget a cached key"};
static const struct opt_spec *const specs[] = {&init_spec, &put_spec,    &list_spec, &get_spec,
                                               &rm_spec,   &unlock_spec, &lock_spec};
extern const struct applet applet_vault;

/* ---- keys ---- */

static struct secret *derive(const struct vault_kdf *kdf, struct secret *passphrase, struct err *err)
{
    struct secret *kek = NULL;

    if (passphrase != NULL && tls_init(err))
        kek = vault_kdf_derive(kdf, secret_bytes(passphrase), secret_len(passphrase), err);
    secret_free(passphrase);
    return kek;
}

/* A call whose answer is of no interest, on a connection of its own: before it a person may have looked for what to
 * type for longer than the daemon keeps one on which nothing is asked. */
static bool send_secret(const char *path, const json_t *meta, const struct secret *secret, struct err *err)
{
    struct client *client = client_connect(NULL, true, err);
    struct buf answer;
    bool good = client != NULL &&
                client_ask_secret(client, path, meta, secret_bytes(secret), secret_len(secret), &answer, err);

    if (good)
        buf_wipe(&answer);
    client_close(client);
    return good;
}

static const json_t *find_member(const json_t *vault, const char *name)
{
    const json_t *members = json_object_get(vault, "members"), *member;
    size_t i;

    json_array_foreach(members, i, member) {
        const char *its = json_string_value(json_object_get(member, "name"));
        if (name == NULL || (its != NULL && strcmp(its, name) == 0))
            return member;
    }
    return NULL;
}

static bool unlock(const json_t *vault, const struct vault_options *options, struct err *err)
{
    const json_t *member = find_member(vault, options->member);
    struct vault_kdf kdf;

    if (member == NULL)
        return err_set(err, ERR_NOT_FOUND, "the vault has no member %s",
                       options->member != NULL ? options->member : "") ||
               err_hint(err, "Leave --member out where you made the vault yourself");
    if (!vault_kdf_from_json(member, &kdf, err))
        return false;
    struct secret *kek = derive(&kdf, passphrase_read(options->passphrase_file, false, err), err);
    if (kek == NULL)
        return false;
    json_t *meta JSON_AUTO = json_object();
    json_put(meta, "member", json_string_value(json_object_get(member, "name")));
    json_put(meta, "cache", options->cache);
    if (options->timeout_ms > 0)
        json_put_int(meta, "timeout_ms", (int64_t)options->timeout_ms);
    json_put_bool(meta, "older", options->older);
    bool good = send_secret("/v1/vault/unlock", meta, kek, err);
    secret_free(kek);
    return good;
}

/* A vault that is there and in order; *locked tells. The answer of GET /v1/vault, or NULL. */
static json_t *look(struct client *client, bool *locked, struct err *err)
{
    json_t *vault = NULL;

    if (!client_ask(client, "GET", "/v1/vault", NULL, &vault, err))
        return NULL;
    const char *state = json_string_value(json_object_get(vault, "state"));
    if (state != NULL && (strcmp(state, "locked") == 0 || strcmp(state, "unlocked") == 0)) {
        *locked = strcmp(state, "locked") == 0;
        return vault;
    }
    if (state != NULL && strcmp(state, "damaged") == 0) {
        client_error(500, vault, err);
    } else {
        err_set(err, ERR_NOT_FOUND, "there is no vault");
        err_hint(err, "Make one with: aileron vault init");
    }
    json_decref(vault);
    return NULL;
}

/* A client whose vault is unlocked; asks for the passphrase where it is not. */
static struct client *open_unlocked(const struct vault_options *options, struct err *err)
{
    struct client *client = client_connect(NULL, true, err);
    bool locked = false;

    if (client == NULL)
        return NULL;
    json_t *vault JSON_AUTO = look(client, &locked, err);
    if (vault != NULL && !locked)
        return client;
    client_close(client);
    return vault != NULL && unlock(vault, options, err) ? client_connect(NULL, true, err) : NULL;
}

static int finish(struct client *client, bool good, const struct err *err)
{
    client_close(client);
    return good ? 0 : err_print(err, "aileron");
}

/* ---- the commands ---- */

static int run_init(int argc, char **argv)
{
    struct vault_options options = {.member = "owner"};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;
    bool good = false;

    if (!applet_parse(&init_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, true, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    json_t *vault JSON_AUTO = NULL;
    if (!client_ask(client, "GET", "/v1/vault", NULL, &vault, &err))
        return finish(client, false, &err);
    const char *state = json_string_value(json_object_get(vault, "state"));
    if (state == NULL || strcmp(state, "absent") != 0) { /* before a passphrase is asked for in vain */
        err_set(&err, ERR_CONFLICT, "there is a vault already");
        err_hint(&err, "Unlock it with aileron vault unlock, or move vault.json away first");
        return finish(client, false, &err);
    }
    struct vault_kdf kdf = vault_kdf_new();
    struct secret *kek = derive(&kdf, passphrase_read(options.passphrase_file, true, &err), &err);
    json_t *meta JSON_AUTO = json_object();
    json_put(meta, "member", options.member);
    if (kek != NULL && vault_kdf_to_json(&kdf, meta))
        good = send_secret("/v1/vault/init", meta, kek, &err);
    secret_free(kek);
    if (good)
        puts("The vault is made, and unlocked until the daemon ends.");
    return finish(client, good, &err);
}

static struct secret *read_secret(const struct vault_options *options, struct err *err)
{
    if (options->from_file != NULL)
        return secret_from_file(options->from_file, VAULT_SECRET_BYTES, err);
    if (isatty(STDIN_FILENO))
        return secret_from_terminal("Secret: ", VAULT_SECRET_BYTES, err);
    return secret_from_file("-", VAULT_SECRET_BYTES, err);
}

/* Better said now than at the first connection. */
static bool certificate_good(const struct secret *secret, struct err *err)
{
    struct span pem = {(const char *)secret_bytes(secret), secret_len(secret)};
    struct trust *trust = trust_new();
    struct stream_client_options options = {.trust = trust, .client_cert_pem = pem, .client_key_pem = pem};
    struct stream_config *config = tls_init(err) ? stream_config_client(&options, err) : NULL;
    bool good = config != NULL;

    stream_config_unref(config);
    trust_unref(trust);
    return good || err_hint(err, "The entry is one PEM text: the certificates, the leaf's first, and the leaf's key "
                                 "without a passphrase");
}

/* As a request has it (RFC 7617): a colon ends it there. */
static bool username_good(const char *name)
{
    size_t len = strlen(name);

    for (const char *c = name; *c; c++)
        if (*c == ':' || (unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return len > 0 && len <= VAULT_USERNAME_BYTES && text_utf8_valid(span_of(name));
}

static int run_put(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&put_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&put_spec, "one path is needed, like user/github; the secret is never an argument");
    const char *kind = options.kind != NULL ? options.kind : options.username != NULL ? "basic" : "token";
    if (!vault_path_valid(operands[0]))
        return applet_usage(&put_spec, "a path is made of letters, digits, '.', '_', '-', joined by '/', of 128 bytes");
    if ((strcmp(kind, "basic") == 0) != (options.username != NULL))
        return applet_usage(&put_spec, "--username belongs to --kind=basic, and is needed there");
    if (options.username != NULL && !username_good(options.username))
        return applet_usage(&put_spec, "a user name is UTF-8 text of 1 to 256 bytes, without colons and line ends");
    struct client *client = open_unlocked(&options, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    struct secret *secret = read_secret(&options, &err);
    json_t *meta JSON_AUTO = json_pack("{s:s, s:s}", "path", operands[0], "kind", kind);
    json_put(meta, "username", options.username);
    bool good = secret != NULL && (strcmp(kind, "certificate") != 0 || certificate_good(secret, &err)) &&
                send_secret("/v1/vault/put", meta, secret, &err);
    secret_free(secret);
    return finish(client, good, &err);
}

static int run_list(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    const json_t *entry;
    char **operands;
    size_t count, i;
    int status = 0;

    if (!applet_parse(&list_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, true, &err);
    json_t *answer JSON_AUTO = NULL;
    bool good = client != NULL && client_ask(client, "GET", "/v1/vault/entries", NULL, &answer, &err);
    if (good && options.json) {
        client_close(client);
        return show_json(answer);
    }
    json_array_foreach(json_object_get(answer, "entries"), i, entry) {
        show_text(entry, "path", 32);
        show_text(entry, "kind", 6);
        show_text(entry, "created", 0);
        putchar('\n');
    }
    return finish(client, good, &err);
}

static int run_get(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    struct buf answer;
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&get_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count != 1)
        return applet_usage(&get_spec, "one path is needed");
    if (!options.reveal)
        return applet_usage(&get_spec, "--reveal says that the secret may be shown");
    struct client *client = open_unlocked(&options, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    json_t *meta JSON_AUTO = json_pack("{s:s}", "path", operands[0]);
    AUTOFREE char *text = json_dumps(meta, JSON_COMPACT);
    bool good = client_send(client, "POST", "/v1/vault/reveal", text, strlen(text), &err) &&
                client_head(client, &status, &err) && client_read_all(client, &answer, &err);
    if (!good)
        return finish(client, false, &err);
    const uint8_t *nul = status < 400 ? memchr(answer.data, 0, answer.len) : NULL;
    if (nul != NULL) {
        fwrite(nul + 1, 1, answer.len - (size_t)(nul + 1 - answer.data), stdout);
        putchar('\n');
    } else {
        struct doc doc = {0};
        struct err ignored;
        good = json_parse(answer.data, answer.len, JSON_FILE_MAX, "answer", ERR_INTERNAL, &doc, &ignored);
        good = client_error(status, doc.root, &err);
        doc_clear(&doc);
    }
    buf_wipe(&answer);
    return finish(client, good, &err);
}

/* Before the first of them goes. */
static bool all_there(struct client *client, char **paths, size_t count, struct err *err)
{
    json_t *answer JSON_AUTO = NULL;
    const json_t *entry;
    size_t i;

    if (!client_ask(client, "GET", "/v1/vault/entries", NULL, &answer, err))
        return false;
    for (size_t n = 0; n < count; n++) {
        bool there = false;
        json_array_foreach(json_object_get(answer, "entries"), i, entry) {
            const char *path = json_string_value(json_object_get(entry, "path"));
            there = there || (path != NULL && strcmp(path, paths[n]) == 0);
        }
        for (size_t before = 0; before < n; before++)
            there = there && strcmp(paths[before], paths[n]) != 0;
        if (!there) {
            err_set(err, ERR_NOT_FOUND, "the vault has no entry %s", paths[n]);
            return err_hint(err, "Nothing was removed. See aileron vault list");
        }
    }
    return true;
}

static int run_rm(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;
    bool good = true;

    if (!applet_parse(&rm_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&rm_spec, "a path is needed");
    struct client *client = open_unlocked(&options, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    good = all_there(client, operands, count, &err);
    for (size_t i = 0; good && i < count; i++) {
        json_t *meta JSON_AUTO = json_pack("{s:s}", "path", operands[i]);
        good = client_ask(client, "POST", "/v1/vault/remove", meta, NULL, &err);
    }
    return finish(client, good, &err);
}

static int run_unlock(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;
    bool locked;

    if (!applet_parse(&unlock_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, true, &err);
    if (client == NULL)
        return err_print(&err, "aileron");
    json_t *vault JSON_AUTO = look(client, &locked, &err);
    bool good = vault != NULL && unlock(vault, &options, &err);
    if (good)
        puts("The vault is unlocked.");
    return finish(client, good, &err);
}

static int run_lock(int argc, char **argv)
{
    struct vault_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;

    if (!applet_parse(&lock_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    struct client *client = client_connect(NULL, true, &err);
    bool good = client != NULL && client_ask(client, "POST", "/v1/vault/lock", NULL, NULL, &err);
    return finish(client, good, &err);
}

static int run(int argc, char **argv)
{
    static const struct applet_verb verbs[] = {
        {"init", &init_spec, run_init}, {"put", &put_spec, run_put},          {"list", &list_spec, run_list},
        {"get", &get_spec, run_get},    {"rm", &rm_spec, run_rm},             {"unlock", &unlock_spec, run_unlock},
        {"lock", &lock_spec, run_lock},
    };

    secret_harden_process(); /* a core file would hold what was typed, and lie in the current directory */
    return applet_verbs(&applet_vault, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_vault = {"vault", "Keep credentials: init, put, list, get, rm, unlock, lock", run, specs,
                                    COUNT(specs), false};
