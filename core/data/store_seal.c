/* Sealing of what agents and services write into state.db. It knows which row and column bytes belong to, and nothing
 * of what they mean. A sealed value is the key's number, a nonce, the ciphertext and its tag. */
#include <stdlib.h>

#include "core/base/id.h"
#include "core/data/store_db.h"
#include "tls/crypto.h"

enum { ID_BYTES = 4, ROW_KEY_BYTES = ID_BYTES + STORE_KEY_BYTES };
static const char key_label[] = "aileron state.db key";

enum store_sealing store_sealing(const struct store *store)
{
    return store->sealing;
}

void store_lock(struct store *store, bool vault)
{
    secret_free(store->key);
    store->key = NULL;
    store->sealing = vault ? STORE_LOCKED : STORE_CLEAR;
}

/* Its number in front, so that who opens it knows which one it was. */
static struct secret *row_key(uint32_t number, const struct secret *key, const char *id)
{
    struct secret *made = secret_zeroed(ROW_KEY_BYTES);
    for (size_t i = 0; i < ID_BYTES; i++)
        secret_writable(made)[i] = (uint8_t)(number >> 8 * i);
    crypto_hmac_sha256(secret_bytes(key), STORE_KEY_BYTES, id, strlen(id), secret_writable(made) + ID_BYTES);
    return made;
}

struct secret *store_row_key(const struct store *store, const char *id)
{
    return store->key ? row_key(store->key_id, store->key, id) : NULL;
}

static struct crypto_aead aead_of(const uint8_t *key, const uint8_t *nonce, const char *aad)
{
    return (struct crypto_aead){.key = key, .nonce = nonce, .aad = aad, .aad_len = strlen(aad)};
}

static bool locked(struct err *err)
{
    err_set(err, ERR_LOCKED, "the vault is locked, and what is kept of this is sealed under it");
    return err_hint(err, "Nothing was sent. The user unlocks it on the host with: aileron vault unlock");
}

bool store_seal(struct store *store, const struct secret *key, const char *id, const char *column, struct span plain,
                struct buf *out, struct err *err)
{
    AUTOFREE char *aad = mem_printf("%s %s", column, id);
    CLEANUP(secret_free_ptr) struct secret *own = key ? NULL : store_row_key(store, id);
    const struct secret *with = key ? key : own;
    buf_init(out, plain.len + STORE_SEAL_BYTES);
    if (!with)
        return store->sealing == STORE_CLEAR ? plain.len == 0 || buf_add(out, plain.p, plain.len) : locked(err);
    AUTOFREE uint8_t *made = mem_alloc(plain.len + STORE_SEAL_BYTES);
    memcpy(made, secret_bytes(with), ID_BYTES);
    random_bytes(made + ID_BYTES, CRYPTO_NONCE_LEN);
    struct crypto_aead aead = aead_of(secret_bytes(with) + ID_BYTES, made + ID_BYTES, aad);
    crypto_seal(&aead, plain.p, plain.len, made + ID_BYTES + CRYPTO_NONCE_LEN);
    return buf_add(out, made, plain.len + STORE_SEAL_BYTES);
}

bool store_open_sealed(const struct store *store, const char *id, const char *column, struct span sealed,
                       struct buf *out, struct err *err)
{
    AUTOFREE char *aad = mem_printf("%s %s", column, id);
    CLEANUP(secret_free_ptr) struct secret *key = store_row_key(store, id);
    if (!key)
        return locked(err);
    const uint8_t *bytes = (const uint8_t *)sealed.p;
    if (sealed.len < STORE_SEAL_BYTES || memcmp(bytes, secret_bytes(key), ID_BYTES) != 0)
        return err_set(err, ERR_DATA, "%s of %.40s is sealed under another vault", column, id);
    size_t len = sealed.len - STORE_SEAL_BYTES;
    AUTOFREE uint8_t *plain = mem_alloc(len + 1);
    struct crypto_aead aead = aead_of(secret_bytes(key) + ID_BYTES, bytes + ID_BYTES, aad);
    if (!crypto_open(&aead, bytes + ID_BYTES + CRYPTO_NONCE_LEN, len + CRYPTO_TAG_LEN, plain))
        return err_set(err, ERR_DATA, "%s of %.40s is damaged in state.db", column, id);
    bool good = len == 0 || buf_add(out, plain, len) || err_set(err, ERR_LIMIT, "%s is too long", column);
    secret_wipe(plain, len + 1);
    return good;
}

char *store_sealed_text(struct store *store, sqlite3_stmt *statement, const char *id, const char *column, size_t max,
                        struct err *err)
{
    char *text = NULL;
    struct buf plain CLEANUP(buf_wipe);
    buf_init(&plain, max);
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        struct span kept = {sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
        bool clear = sqlite3_column_int(statement, 1) == 0;
        if (clear || store_open_sealed(store, id, column, kept, &plain, err))
            text = clear ? mem_strndup(kept.len ? kept.p : "", kept.len)
                         : mem_strndup(plain.len ? (const char *)plain.data : "", plain.len);
    } else if (result == SQLITE_DONE) {
        err_set(err, ERR_NOT_FOUND, "there is no %.40s", id);
    } else {
        store_fail(store, err, "reading state.db");
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return text;
}

/* ---- the key ---- */

static bool wrap_new(struct store *store, const struct secret *vault_key, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    uint8_t wrapped[CRYPTO_NONCE_LEN + STORE_KEY_BYTES + CRYPTO_TAG_LEN];
    store->key = secret_zeroed(STORE_KEY_BYTES);
    random_bytes(secret_writable(store->key), STORE_KEY_BYTES);
    random_bytes(wrapped, CRYPTO_NONCE_LEN);
    struct crypto_aead aead = aead_of(secret_bytes(vault_key), wrapped, key_label);
    crypto_seal(&aead, secret_bytes(store->key), STORE_KEY_BYTES, wrapped + CRYPTO_NONCE_LEN);
    bool good = sqlite3_prepare_v2(store->db, "INSERT INTO state_key (wrapped) VALUES (?)", -1, &statement, NULL) ==
                    SQLITE_OK &&
                store_bind(statement, err, "b", (const void *)wrapped, sizeof wrapped) &&
                sqlite3_step(statement) == SQLITE_DONE;
    if (!good)
        store_fail(store, err, "storing the key of state.db");
    sqlite3_finalize(statement);
    store->key_id = (uint32_t)sqlite3_last_insert_rowid(store->db);
    return good;
}

/* The newest that this vault opens; a new one where it opens none. */
static bool find_key(struct store *store, const struct secret *vault_key, struct err *err)
{
    uint8_t plain[STORE_KEY_BYTES];
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(store->db, "SELECT id, wrapped FROM state_key ORDER BY id DESC", -1, &statement,
                                    NULL);
    while (result == SQLITE_OK && !store->key && sqlite3_step(statement) == SQLITE_ROW) {
        const uint8_t *wrapped = sqlite3_column_blob(statement, 1);
        size_t len = (size_t)sqlite3_column_bytes(statement, 1);
        if (len != CRYPTO_NONCE_LEN + STORE_KEY_BYTES + CRYPTO_TAG_LEN)
            continue;
        struct crypto_aead aead = aead_of(secret_bytes(vault_key), wrapped, key_label);
        if (!crypto_open(&aead, wrapped + CRYPTO_NONCE_LEN, len - CRYPTO_NONCE_LEN, plain))
            continue;
        store->key = secret_new(plain, sizeof plain);
        store->key_id = (uint32_t)sqlite3_column_int64(statement, 0);
    }
    bool good = result == SQLITE_OK || store_fail(store, err, "reading the key of state.db");
    sqlite3_finalize(statement);
    secret_wipe(plain, sizeof plain);
    return good && (store->key || wrap_new(store, vault_key, err));
}

bool store_generation(struct store *store, int64_t *generation, struct err *err)
{
    sqlite3_stmt *statement =
        store_statement(store, STORE_GENERATION, "SELECT generation FROM state_key WHERE id = ?", err);
    if (!statement || !store_bind(statement, err, "i", (int64_t)store->key_id))
        return false;
    bool good = sqlite3_step(statement) == SQLITE_ROW || store_fail(store, err, "reading the vault's generation");
    *generation = good ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return good;
}

bool store_set_generation(struct store *store, int64_t generation, struct err *err)
{
    sqlite3_stmt *statement =
        store_statement(store, STORE_SET_GENERATION, "UPDATE state_key SET generation = ? WHERE id = ?", err);
    return statement && store_bind(statement, err, "ii", generation, (int64_t)store->key_id) &&
           store_done(store, statement, "storing the vault's generation", NULL, err);
}

/* ---- what was written before there was a vault ---- */

/* One row: two columns at the most. *more: there was one. */
static bool seal_one(struct store *store, const char *find, const char *change, const char *const columns[2],
                     bool *more, struct err *err)
{
    sqlite3_stmt *found = NULL, *changed = NULL;
    struct buf sealed[2];
    bool good = sqlite3_prepare_v2(store->db, find, -1, &found, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(store->db, change, -1, &changed, NULL) == SQLITE_OK;
    *more = good && sqlite3_step(found) == SQLITE_ROW;
    for (int i = 0; *more && i < 2; i++) {
        AUTOFREE char *id = store_column(found, 0);
        struct span plain = {sqlite3_column_blob(found, i + 1), (size_t)sqlite3_column_bytes(found, i + 1)};
        buf_init(&sealed[i], 0);
        bool some = columns[i] && (i == 0 || plain.len > 0);
        good = good && (!some || store_seal(store, NULL, id, columns[i], plain, &sealed[i], err));
        if (some)
            sqlite3_bind_blob64(changed, i + 2, sealed[i].data, sealed[i].len, SQLITE_TRANSIENT);
        sqlite3_bind_text(changed, 1, id, -1, SQLITE_TRANSIENT);
        buf_clear(&sealed[i]);
    }
    if (*more && good)
        good = sqlite3_step(changed) == SQLITE_DONE;
    sqlite3_finalize(found);
    sqlite3_finalize(changed);
    return good || store_fail(store, err, "sealing state.db");
}

static bool seal_rest(struct store *store, struct err *err)
{
    static const char *const operation[2] = {"args", "result"}, *const approval[2] = {"full", NULL};
    bool more = true, any = false, good = true;
    for (; good && more; any |= more)
        good = seal_one(store, "SELECT id, args, result FROM operation WHERE sealed = 0 LIMIT 1",
                        "UPDATE operation SET args = ?2, result = ?3, sealed = 1 + 2 * (?3 IS NOT NULL) WHERE id = ?1",
                        operation, &more, err);
    for (more = true; good && more; any |= more)
        good = seal_one(store, "SELECT id, full, NULL FROM approval WHERE sealed = 0 LIMIT 1",
                        "UPDATE approval SET full = ?2, sealed = 1 WHERE id = ?1", approval, &more, err);
    if (good && any) /* or the log would keep the clear text */
        sqlite3_exec(store->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    return good;
}

bool store_unlock(struct store *store, const struct secret *vault_key, struct err *err)
{
    store_lock(store, true);
    if (find_key(store, vault_key, err)) {
        store->sealing = STORE_UNLOCKED;
        if (seal_rest(store, err))
            return true;
    }
    store_lock(store, true);
    return false;
}
