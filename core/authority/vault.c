/* The vault as the monitor holds it: reads vault.json when it changed, keeps the vault key while unlocked, and
 * writes changes atomically. A file that does not check out is reported and never written over. The kernel's
 * keyring cache is in vault_cache.c. */
#include "core/authority/vault_private.h"

#include "core/base/file.h"
#include "tls/crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct vault *vault_open(const char *home)
{
    struct vault *vault = mem_alloc(sizeof *vault);

    vault->home = mem_strdup(home);
    vault->path = file_join(home, "vault.json");
    return vault;
}

void vault_close(struct vault *vault)
{
    if (vault == NULL)
        return;
    secret_free(vault->key);
    json_decref(vault->doc);
    free(vault->path);
    free(vault->home);
    free(vault);
}

static void forget_doc(struct vault *vault)
{
    json_decref(vault->doc);
    vault->doc = NULL;
    memset(&vault->seen, 0, sizeof vault->seen);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A file that another hand replaced while we are unlocked must hold under our key, and must not be older than
 * what we have seen: a copy from yesterday is a roll-back, not a change. */
static bool accept_changed(struct vault *vault, const json_t *doc, struct err *err)
{
    json_int_t generation = json_integer_value(json_object_get(doc, "generation"));

    if (vault->key == NULL)
        return true;
    if (!vault_file_verify(doc, vault->key, err))
        return false;
    if (generation >= vault->generation)
        return true;
    err_set(err, ERR_DATA, "vault.json is older than the one that was unlocked (generation %lld, was %lld)",
            (long long)generation, (long long)vault->generation);
    return err_hint(err, "If you put a backup back, run aileron vault lock, then aileron vault unlock --older");
}

bool vault_load(struct vault *vault, struct err *err)
{
    struct stat st;
    struct buf text;

    if (stat(vault->path, &st) != 0) {
        int reason = errno;
        forget_doc(vault);
        if (reason != ENOENT)
            return err_errno(err, ERR_IO, reason, "cannot read %s", vault->path);
        err_set(err, ERR_NOT_FOUND, "there is no vault");
        return err_hint(err, "Make one with: aileron vault init");
    }
    if (vault->doc != NULL && same_file(&st, &vault->seen))
        return true;
    if (!file_read(vault->path, VAULT_FILE_BYTES, &text, err)) {
        if (err->code == ERR_LIMIT || err->code == ERR_DATA) { /* never ours */
            err->code = ERR_DATA;
            err_hint(err, "%s", VAULT_DAMAGED_HINT);
        }
        return false;
    }
    json_t *doc = vault_file_parse(text.data, text.len, err);
    buf_clear(&text);
    if (doc == NULL || !accept_changed(vault, doc, err)) {
        json_decref(doc);
        forget_doc(vault);
        return false;
    }
    json_decref(vault->doc);
    vault->doc = doc;
    vault->seen = st;
    vault->generation = json_integer_value(json_object_get(doc, "generation"));
    return true;
}

static bool load_unlocked(struct vault *vault, struct err *err)
{
    if (!vault_load(vault, err))
        return false;
    if (vault->key != NULL)
        return true;
    err_set(err, ERR_LOCKED, "the vault is locked");
    return err_hint(err, "Unlock it on the host with: aileron vault unlock");
}

/* Takes doc in any case. */
static bool save(struct vault *vault, json_t *doc, struct err *err)
{
    char *text = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS);
    size_t len = text != NULL ? strlen(text) : 0;

    if (len == 0 || len > VAULT_FILE_BYTES)
        err_set(err, ERR_LIMIT, "the vault would be larger than %d bytes", VAULT_FILE_BYTES);
    else if (file_write_atomic(vault->path, 0600, text, len, err)) {
        json_decref(vault->doc);
        vault->doc = doc;
        vault->generation = json_integer_value(json_object_get(doc, "generation"));
        if (stat(vault->path, &vault->seen) != 0)
            memset(&vault->seen, 0, sizeof vault->seen); /* read anew next time */
        free(text);
        return true;
    }
    free(text);
    json_decref(doc);
    return false;
}

enum vault_state vault_state(struct vault *vault, struct err *why)
{
    if (vault_load(vault, why))
        return vault->key != NULL ? VAULT_UNLOCKED : VAULT_LOCKED;
    return why->code == ERR_NOT_FOUND ? VAULT_ABSENT : VAULT_DAMAGED;
}

const char *vault_state_word(enum vault_state state)
{
    switch (state) {
    case VAULT_ABSENT:
        return "absent";
    case VAULT_LOCKED:
        return "locked";
    case VAULT_UNLOCKED:
        return "unlocked";
    case VAULT_DAMAGED:
        return "damaged";
    }
    return "damaged";
}

bool vault_init(struct vault *vault, const char *member, const struct vault_kdf *kdf,
                const struct secret *kek, struct err *err)
{
    struct secret *key = NULL;

    if (file_exists(vault->path)) {
        err_set(err, ERR_CONFLICT, "there is a vault already: %s", vault->path);
        return err_hint(err, "Unlock it with aileron vault unlock, or move it away first");
    }
    json_t *doc = vault_file_new(member, kdf, kek, &key, err);
    if (doc == NULL)
        return false;
    if (!save(vault, doc, err)) {
        secret_free(key);
        return false;
    }
    secret_free(vault->key);
    vault->key = key;
    return true;
}

json_t *vault_members(struct vault *vault, struct err *err)
{
    static const char *const public_fields[] = {"name", "kdf", "salt", "t", "m_kib", "p"};
    const json_t *member;
    size_t i;

    if (!vault_load(vault, err))
        return NULL;
    json_t *list = json_array();
    json_array_foreach(json_object_get(vault->doc, "members"), i, member) {
        json_t *shown = json_object();
        for (size_t f = 0; f < COUNT(public_fields); f++)
            json_object_set(shown, public_fields[f], json_object_get(member, public_fields[f]));
        json_array_append_new(list, shown);
    }
    return list;
}

bool vault_unlock(struct vault *vault, const char *member, const struct secret *kek, struct err *err)
{
    if (!vault_load(vault, err))
        return false;
    struct secret *key = vault_file_unwrap(vault->doc, member, kek, err);
    if (key == NULL)
        return false;
    secret_free(vault->key);
    vault->key = key;
    return true;
}

void vault_lock(struct vault *vault)
{
    secret_free(vault->key);
    vault->key = NULL;
    forget_doc(vault);
    vault->generation = 0;
}

int64_t vault_generation(const struct vault *vault)
{
    return vault->generation;
}

struct secret *vault_derive(const struct vault *vault, const char *label)
{
    if (vault->key == NULL)
        return NULL;
    struct secret *made = secret_zeroed(CRYPTO_HASH_LEN);
    crypto_hmac_sha256(secret_bytes(vault->key), secret_len(vault->key), label, strlen(label), secret_writable(made));
    return made;
}

/* Changes are made on a copy, so that a failed write leaves what is held as it is on the disk. */
bool vault_put(struct vault *vault, const char *path, enum vault_kind kind, const char *username,
               const void *secret, size_t len, struct err *err)
{
    if (!load_unlocked(vault, err))
        return false;
    json_t *doc = json_deep_copy(vault->doc);
    if (!vault_file_put(doc, vault->key, path, kind, username, secret, len, err) ||
        !vault_file_seal(doc, vault->key, err)) {
        json_decref(doc);
        return false;
    }
    return save(vault, doc, err);
}

struct secret *vault_get(struct vault *vault, const char *path, enum vault_kind *kind,
                         char username[VAULT_USERNAME_BYTES + 1], struct err *err)
{
    if (!load_unlocked(vault, err))
        return NULL;
    return vault_file_get(vault->doc, vault->key, path, kind, username, err);
}

bool vault_remove(struct vault *vault, const char *path, struct err *err)
{
    if (!load_unlocked(vault, err))
        return false;
    if (json_object_get(json_object_get(vault->doc, "entries"), path) == NULL) {
        err_set(err, ERR_NOT_FOUND, "the vault has no entry %s", path);
        return err_hint(err, "See aileron vault list");
    }
    json_t *doc = json_deep_copy(vault->doc);
    json_object_del(json_object_get(doc, "entries"), path);
    if (!vault_file_seal(doc, vault->key, err)) {
        json_decref(doc);
        return false;
    }
    return save(vault, doc, err);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *vault_list(struct vault *vault, struct err *err)
{
    const char *paths[VAULT_ENTRIES], *path;
    json_t *entry;
    size_t count = 0;

    if (!vault_load(vault, err))
        return NULL;
    json_t *entries = json_object_get(vault->doc, "entries");
    json_object_foreach(entries, path, entry) {
        if (count < COUNT(paths))
            paths[count++] = path;
    }
    qsort(paths, count, sizeof paths[0], by_path);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        entry = json_object_get(entries, paths[i]);
        json_array_append_new(list, json_pack("{s:s, s:O, s:O, s:O}", "path", paths[i], "kind",
                                              json_object_get(entry, "kind"), "version",
                                              json_object_get(entry, "version"), "created",
                                              json_object_get(entry, "created")));
    }
    return list;
}
