/* The form of vault.json: what is written, what is checked, and how entries are sealed. It reads and writes no
 * file and holds no key longer than a call. The order of the checks tells damage (form, checksum) from a wrong
 * passphrase (check) from tampering (tag, MAC); threat C15. */
#include "core/authority/vault_file.h"

#include "core/base/id.h"
#include "core/base/text.h"
#include "tls/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, WRAPPED_BYTES = VAULT_KEY_BYTES + VAULT_TAG_BYTES, MAC_BYTES = CRYPTO_HASH_LEN };

const char VAULT_DAMAGED_HINT[] =
    "Nothing was changed. Put a backup of vault.json in its place, or move it away and run aileron vault init";

static const char *const kind_words[VAULT_KINDS] = {
    [VAULT_TOKEN] = "token", [VAULT_BASIC] = "basic", [VAULT_CERTIFICATE] = "certificate"};

const char *vault_kind_word(enum vault_kind kind)
{
    return kind_words[kind];
}

bool vault_kind_parse(const char *word, enum vault_kind *kind)
{
    for (size_t i = 0; i < VAULT_KINDS; i++) {
        if (strcmp(word, kind_words[i]) == 0) {
            *kind = (enum vault_kind)i;
            return true;
        }
    }
    return false;
}

bool vault_path_valid(const char *path)
{
    struct span rest = span_of(path), word;

    if (rest.len == 0 || rest.len > VAULT_PATH_BYTES || path[rest.len - 1] == '/')
        return false;
    while (span_cut(&rest, '/', &word)) {
        if (word.len == 0 || span_eqs(word, ".") || span_eqs(word, ".."))
            return false;
        for (size_t i = 0; i < word.len; i++) {
            char c = word.p[i];
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-'))
                return false;
        }
    }
    return true;
}

/* ---- JSON fields ---- */

static bool damaged(struct err *err, const char *what)
{
    err_set(err, ERR_DATA, "vault.json is damaged: %s", what);
    return err_hint(err, "%s", VAULT_DAMAGED_HINT);
}

static bool set_bytes(json_t *object, const char *key, const void *data, size_t len)
{
    AUTOFREE char *text = mem_alloc(text_base64_len(len));

    text_base64(data, len, text);
    return json_object_set_new(object, key, json_string(text)) == 0;
}

/* A base64 field of at least min and at most max bytes; NULL and err where it is not that. Caller frees. */
static uint8_t *get_bytes(const json_t *object, const char *key, size_t min, size_t max, size_t *len,
                          struct err *err)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value)) {
        size_t cap = json_string_length(value);
        uint8_t *out = mem_alloc(cap + 1);
        struct span text = {json_string_value(value), cap};
        if (text_unbase64(text, out, cap + 1, len) && *len >= min && *len <= max)
            return out;
        free(out);
    }
    err_set(err, ERR_DATA, "vault.json is damaged: bad field %s", key);
    err_hint(err, "%s", VAULT_DAMAGED_HINT);
    return NULL;
}

static bool get_exact(const json_t *object, const char *key, void *out, size_t len, struct err *err)
{
    size_t got;
    AUTOFREE uint8_t *data = get_bytes(object, key, len, len, &got, err);

    if (data == NULL)
        return false;
    memcpy(out, data, len);
    return true;
}

/* The document's canonical bytes without the named top-level fields. Caller frees. */
static char *canonical(const json_t *doc, bool with_mac)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)doc); /* shallow: the original keeps its values */
    json_object_del(copy, "checksum");
    if (!with_mac)
        json_object_del(copy, "mac");
    char *text = json_canonical(copy);
    json_decref(copy);
    return text;
}

/* ---- keys ---- */

struct vault_kdf vault_kdf_new(void)
{
    struct vault_kdf kdf = {.t = 3, .m_kib = 64 * 1024, .p = 4};

    random_bytes(kdf.salt, sizeof kdf.salt);
    return kdf;
}

bool vault_kdf_to_json(const struct vault_kdf *kdf, json_t *member)
{
    return json_object_set_new(member, "kdf", json_string("argon2id")) == 0 &&
           set_bytes(member, "salt", kdf->salt, sizeof kdf->salt) &&
           json_object_set_new(member, "t", json_integer(kdf->t)) == 0 &&
           json_object_set_new(member, "m_kib", json_integer(kdf->m_kib)) == 0 &&
           json_object_set_new(member, "p", json_integer(kdf->p)) == 0;
}

bool vault_kdf_from_json(const json_t *member, struct vault_kdf *out, struct err *err)
{
    const char *kdf = json_string_value(json_object_get(member, "kdf"));
    json_int_t t = json_integer_value(json_object_get(member, "t"));
    json_int_t m = json_integer_value(json_object_get(member, "m_kib"));
    json_int_t p = json_integer_value(json_object_get(member, "p"));

    if (kdf == NULL || strcmp(kdf, "argon2id") != 0 || t < 1 || t > 100 || p < 1 || p > 64 || m < 8 * p ||
        m > VAULT_KDF_M_KIB_MAX)
        return damaged(err, "bad key derivation parameters");
    *out = (struct vault_kdf){.t = (uint32_t)t, .m_kib = (uint32_t)m, .p = (uint32_t)p};
    return get_exact(member, "salt", out->salt, sizeof out->salt, err);
}

struct secret *vault_kdf_derive(const struct vault_kdf *kdf, const void *passphrase, size_t len,
                                struct err *err)
{
    struct crypto_kdf params = {.passes = kdf->t, .memory_kib = kdf->m_kib, .lanes = kdf->p};
    struct secret *kek = secret_zeroed(VAULT_KEY_BYTES);

    if (crypto_argon2id(&params, passphrase, len, kdf->salt, sizeof kdf->salt, secret_writable(kek), err))
        return kek;
    secret_free(kek);
    return NULL;
}

static void derive(const struct secret *key, const char *label, uint8_t out[CRYPTO_HASH_LEN])
{
    crypto_hmac_sha256(secret_bytes(key), secret_len(key), label, strlen(label), out);
}

static void compute_mac(const char *text, const struct secret *key, uint8_t mac[MAC_BYTES])
{
    uint8_t mac_key[CRYPTO_HASH_LEN];

    derive(key, "aileron vault mac v1", mac_key);
    crypto_hmac_sha256(mac_key, sizeof mac_key, text, strlen(text), mac);
    secret_wipe(mac_key, sizeof mac_key);
}

/* The associated data of a member's wrapped key: everything that says how it was made. */
static char *member_aad(const char *name, const struct vault_kdf *kdf)
{
    char salt[2 * VAULT_SALT_BYTES + 1];

    text_hex(kdf->salt, sizeof kdf->salt, salt);
    return mem_printf("aileron vault member v1 %s argon2id %s %u %u %u", name, salt, kdf->t, kdf->m_kib,
                      kdf->p);
}

static json_t *member_new(const char *name, const struct vault_kdf *kdf, const struct secret *kek,
                          const struct secret *key)
{
    uint8_t nonce[VAULT_NONCE_BYTES], wrapped[WRAPPED_BYTES], check[CRYPTO_HASH_LEN];
    AUTOFREE char *aad = member_aad(name, kdf);
    struct crypto_aead aead = {secret_bytes(kek), nonce, aad, strlen(aad)};

    random_bytes(nonce, sizeof nonce);
    crypto_seal(&aead, secret_bytes(key), secret_len(key), wrapped);
    derive(kek, "aileron vault passphrase check v1", check);
    json_t *member = json_pack("{s:s}", "name", name);
    if (member != NULL && vault_kdf_to_json(kdf, member) && set_bytes(member, "check", check, sizeof check) &&
        set_bytes(member, "nonce", nonce, sizeof nonce) &&
        set_bytes(member, "wrapped", wrapped, sizeof wrapped))
        return member;
    json_decref(member);
    return NULL;
}

json_t *vault_file_new(const char *member, const struct vault_kdf *kdf, const struct secret *kek,
                       struct secret **key, struct err *err)
{
    struct secret *fresh = secret_zeroed(VAULT_KEY_BYTES);

    random_bytes(secret_writable(fresh), VAULT_KEY_BYTES);
    json_t *doc = json_pack("{s:i, s:i, s:[o], s:{}}", "version", VERSION, "generation", 0, "members",
                            member_new(member, kdf, kek, fresh), "entries");
    if (doc != NULL && vault_file_seal(doc, fresh, err)) {
        *key = fresh;
        return doc;
    }
    if (doc == NULL)
        err_set(err, ERR_DATA, "the member's name is not valid UTF-8");
    json_decref(doc);
    secret_free(fresh);
    return NULL;
}

/* ---- the whole ---- */

static bool check_shape(json_t *doc, struct err *err)
{
    const json_t *members = json_object_get(doc, "members"), *member;
    json_t *entries = json_object_get(doc, "entries"), *entry;
    const char *path;
    size_t i;

    if (!json_is_integer(json_object_get(doc, "version")))
        return damaged(err, "it has no version");
    if (json_integer_value(json_object_get(doc, "version")) != VERSION) {
        err_set(err, ERR_DATA, "vault.json has version %lld, and this program knows version %d",
                (long long)json_integer_value(json_object_get(doc, "version")), VERSION);
        return err_hint(err, "Nothing was changed. Use the version of aileron that wrote it");
    }
    if (!json_is_object(doc) || !json_is_integer(json_object_get(doc, "generation")) || !json_is_array(members) ||
        json_array_size(members) < 1 || json_array_size(members) > VAULT_MEMBERS || !json_is_object(entries) ||
        json_object_size(entries) > VAULT_ENTRIES || !json_is_string(json_object_get(doc, "mac")) ||
        !json_is_string(json_object_get(doc, "checksum")))
        return damaged(err, "a part is missing");
    json_array_foreach(members, i, member) {
        struct vault_kdf kdf;
        if (!json_is_string(json_object_get(member, "name")))
            return damaged(err, "a member has no name");
        if (!vault_kdf_from_json(member, &kdf, err))
            return false;
    }
    json_object_foreach(entries, path, entry) {
        enum vault_kind kind;
        const char *word = json_string_value(json_object_get(entry, "kind"));
        if (!vault_path_valid(path) || word == NULL || !vault_kind_parse(word, &kind) ||
            !json_is_integer(json_object_get(entry, "version")) ||
            !json_is_string(json_object_get(entry, "created")))
            return damaged(err, "a bad entry");
    }
    return true;
}

json_t *vault_file_parse(const void *data, size_t len, struct err *err)
{
    struct err parse_err = {0};
    struct doc parsed = {0};
    uint8_t expected[CRYPTO_HASH_LEN], found[CRYPTO_HASH_LEN];

    if (len == 0) {
        damaged(err, "it is empty");
        return NULL;
    }
    if (!json_parse(data, len, VAULT_FILE_BYTES, "vault.json", ERR_DATA, &parsed, &parse_err)) {
        damaged(err, parse_err.message);
        return NULL;
    }
    json_t *doc = json_incref(parsed.root);
    doc_clear(&parsed);
    if (check_shape(doc, err)) {
        AUTOFREE char *text = canonical(doc, true);
        crypto_sha256(text, strlen(text), expected);
        if (get_exact(doc, "checksum", found, sizeof found, err)) {
            if (memcmp(expected, found, sizeof found) == 0)
                return doc;
            damaged(err, "its checksum does not fit its contents");
        }
    }
    json_decref(doc);
    return NULL;
}

static const json_t *find_member(const json_t *doc, const char *name)
{
    const json_t *members = json_object_get(doc, "members"), *member;
    size_t i;

    json_array_foreach(members, i, member) {
        if (name == NULL || strcmp(json_string_value(json_object_get(member, "name")), name) == 0)
            return member;
    }
    return NULL;
}

static bool tampered(struct err *err, const char *what)
{
    err_set(err, ERR_DATA, "vault.json was changed by another hand: %s", what);
    return err_hint(err, "%s", VAULT_DAMAGED_HINT);
}

struct secret *vault_file_unwrap(const json_t *doc, const char *member_name, const struct secret *kek,
                                 struct err *err)
{
    const json_t *member = find_member(doc, member_name);
    struct vault_kdf kdf;
    uint8_t nonce[VAULT_NONCE_BYTES], wrapped[WRAPPED_BYTES], check[CRYPTO_HASH_LEN], got[CRYPTO_HASH_LEN];

    if (member == NULL) {
        err_set(err, ERR_NOT_FOUND, "the vault has no member %s", member_name != NULL ? member_name : "");
        err_hint(err, "See the members in aileron vault list");
        return NULL;
    }
    if (!vault_kdf_from_json(member, &kdf, err) || !get_exact(member, "nonce", nonce, sizeof nonce, err) ||
        !get_exact(member, "wrapped", wrapped, sizeof wrapped, err) ||
        !get_exact(member, "check", check, sizeof check, err))
        return NULL;
    derive(kek, "aileron vault passphrase check v1", got);
    if (!secret_equal(got, check, sizeof got)) {
        err_set(err, ERR_DENIED, "wrong passphrase");
        err_hint(err, "The vault is unchanged. Try again");
        return NULL;
    }
    AUTOFREE char *aad = member_aad(json_string_value(json_object_get(member, "name")), &kdf);
    struct crypto_aead aead = {secret_bytes(kek), nonce, aad, strlen(aad)};
    struct secret *key = secret_zeroed(VAULT_KEY_BYTES);
    if (!crypto_open(&aead, wrapped, sizeof wrapped, secret_writable(key)))
        tampered(err, "the wrapped key does not open");
    else if (vault_file_verify(doc, key, err))
        return key;
    secret_free(key);
    return NULL;
}

bool vault_file_verify(const json_t *doc, const struct secret *key, struct err *err)
{
    uint8_t mac[MAC_BYTES], expected[MAC_BYTES];
    AUTOFREE char *text = canonical(doc, false);

    if (!get_exact(doc, "mac", mac, sizeof mac, err))
        return false;
    compute_mac(text, key, expected);
    if (!secret_equal(mac, expected, sizeof mac))
        return tampered(err, "entries were removed, replaced or altered");
    return true;
}

bool vault_file_seal(json_t *doc, const struct secret *key, struct err *err)
{
    uint8_t mac[MAC_BYTES], sum[CRYPTO_HASH_LEN];
    json_int_t generation = json_integer_value(json_object_get(doc, "generation")) + 1;

    if (json_object_set_new(doc, "generation", json_integer(generation)) != 0)
        return err_set(err, ERR_INTERNAL, "cannot write the vault's generation");
    AUTOFREE char *bare = canonical(doc, false);
    compute_mac(bare, key, mac);
    if (!set_bytes(doc, "mac", mac, sizeof mac))
        return err_set(err, ERR_INTERNAL, "cannot write the vault's MAC");
    AUTOFREE char *with_mac = canonical(doc, true);
    crypto_sha256(with_mac, strlen(with_mac), sum);
    if (!set_bytes(doc, "checksum", sum, sizeof sum))
        return err_set(err, ERR_INTERNAL, "cannot write the vault's checksum");
    return true;
}

/* ---- entries ---- */

static char *entry_aad(const char *path, enum vault_kind kind, json_int_t version)
{
    return mem_printf("aileron vault entry v1 %s %s %lld", path, vault_kind_word(kind), (long long)version);
}

bool vault_file_put(json_t *doc, const struct secret *key, const char *path, enum vault_kind kind,
                    const char *username, const void *secret, size_t len, struct err *err)
{
    json_t *entries = json_object_get(doc, "entries");
    size_t name_len = username != NULL ? strlen(username) : 0;

    if (!vault_path_valid(path)) {
        err_set(err, ERR_DATA, "the vault path is not valid");
        return err_hint(err, "Use words of letters, digits, '.', '_' and '-', joined by '/': user/github");
    }
    if (len == 0 || len > VAULT_SECRET_BYTES)
        return err_set(err, ERR_DATA, "the secret has %zu bytes; it must have 1 to %d", len,
                       VAULT_SECRET_BYTES);
    if ((kind == VAULT_BASIC) != (name_len > 0) || name_len > VAULT_USERNAME_BYTES)
        return err_set(err, ERR_DATA, "a secret of kind basic has a user name of 1 to %d bytes, others none",
                       VAULT_USERNAME_BYTES);
    if (json_object_get(entries, path) == NULL && json_object_size(entries) >= VAULT_ENTRIES)
        return err_set(err, ERR_LIMIT, "the vault holds %d entries already", VAULT_ENTRIES);

    /* Plain text: the user name, one NUL, the secret; the user name is as secret as the rest. */
    json_int_t version = json_integer_value(json_object_get(doc, "generation")) + 1;
    size_t plain_len = name_len + 1 + len;
    struct secret *plain = secret_zeroed(plain_len);
    memcpy(secret_writable(plain), username != NULL ? username : "", name_len);
    memcpy(secret_writable(plain) + name_len + 1, secret, len);

    uint8_t entry_key[CRYPTO_HASH_LEN], nonce[VAULT_NONCE_BYTES];
    AUTOFREE char *aad = entry_aad(path, kind, version);
    AUTOFREE uint8_t *sealed = mem_alloc(plain_len + VAULT_TAG_BYTES);
    struct crypto_aead aead = {entry_key, nonce, aad, strlen(aad)};
    random_bytes(nonce, sizeof nonce);
    derive(key, "aileron vault entries v1", entry_key);
    crypto_seal(&aead, secret_bytes(plain), plain_len, sealed);
    secret_wipe(entry_key, sizeof entry_key);
    secret_free(plain);

    char created[32];
    clock_iso(clock_wall_ms(), created);
    json_t *entry = json_pack("{s:I, s:s, s:s}", "version", version, "kind", vault_kind_word(kind), "created",
                              created);
    if (entry == NULL || !set_bytes(entry, "nonce", nonce, sizeof nonce) ||
        !set_bytes(entry, "ciphertext", sealed, plain_len + VAULT_TAG_BYTES) ||
        json_object_set_new(entries, path, entry) != 0)
        return err_set(err, ERR_INTERNAL, "cannot write the vault's entry");
    return true;
}

/* Splits the opened plain text in user name and secret; the plain text is wiped by its owner. */
static struct secret *split(const struct secret *plain, char *username)
{
    const uint8_t *bytes = secret_bytes(plain);
    const uint8_t *nul = memchr(bytes, 0, secret_len(plain));

    if (nul == NULL || (size_t)(nul - bytes) > VAULT_USERNAME_BYTES)
        return NULL;
    size_t name_len = (size_t)(nul - bytes);
    memcpy(username, bytes, name_len + 1);
    return secret_new(nul + 1, secret_len(plain) - name_len - 1);
}

struct secret *vault_file_get(const json_t *doc, const struct secret *key, const char *path,
                              enum vault_kind *kind, char username[VAULT_USERNAME_BYTES + 1],
                              struct err *err)
{
    const json_t *entry = json_object_get(json_object_get(doc, "entries"), path);
    uint8_t nonce[VAULT_NONCE_BYTES], entry_key[CRYPTO_HASH_LEN];
    size_t len;

    if (entry == NULL) {
        err_set(err, ERR_NOT_FOUND, "the vault has no entry %s", path);
        err_hint(err, "Put it there with: aileron vault put %s", path);
        return NULL;
    }
    if (!vault_kind_parse(json_string_value(json_object_get(entry, "kind")), kind) ||
        !get_exact(entry, "nonce", nonce, sizeof nonce, err))
        return NULL;
    AUTOFREE uint8_t *sealed =
        get_bytes(entry, "ciphertext", VAULT_TAG_BYTES + 2,
                  VAULT_SECRET_BYTES + VAULT_USERNAME_BYTES + 1 + VAULT_TAG_BYTES, &len, err);
    if (sealed == NULL)
        return NULL;
    AUTOFREE char *aad = entry_aad(path, *kind, json_integer_value(json_object_get(entry, "version")));
    struct crypto_aead aead = {entry_key, nonce, aad, strlen(aad)};
    struct secret *plain = secret_zeroed(len - VAULT_TAG_BYTES);
    derive(key, "aileron vault entries v1", entry_key);
    bool good = crypto_open(&aead, sealed, len, secret_writable(plain));
    secret_wipe(entry_key, sizeof entry_key);
    struct secret *secret = good ? split(plain, username) : NULL;
    secret_free(plain);
    if (secret == NULL)
        tampered(err, "an entry does not open");
    return secret;
}
