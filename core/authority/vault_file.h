/* The form of vault.json (design 8): parse, check, seal and open. Pure: no file is read or written here.
 *
 *   {"version": 1, "generation": N,
 *    "members": [{"name", "kdf": "argon2id", "salt", "t", "m_kib", "p", "check", "nonce", "wrapped"}],
 *    "entries": {"user/github": {"version": N, "kind", "created", "nonce", "ciphertext"}},
 *    "mac": "...", "checksum": "..."}
 *
 * Binary values are base64. `wrapped` is the vault key under the member's key (AES-256-GCM, the member's name
 * and parameters as associated data); `check` tells a wrong passphrase from damage. Entries are sealed under a
 * key derived from the vault key, with path, kind and version as associated data, so that they cannot be
 * swapped; `version` of an entry is the generation that wrote it, so that it never repeats. `mac` (keyed)
 * covers everything but itself and the checksum, so that a removed entry, or an older copy of one, is found on
 * unlock; `checksum` (SHA-256, not keyed) covers everything but itself, so that damage is told apart from a
 * wrong passphrase while the vault is locked. */
#ifndef AILERON_AUTHORITY_VAULT_FILE_H
#define AILERON_AUTHORITY_VAULT_FILE_H

#include "core/base/err.h"
#include "core/base/secret.h"
#include "core/data/json.h"

enum {
    VAULT_KEY_BYTES = 32,
    VAULT_SALT_BYTES = 16,
    VAULT_NONCE_BYTES = 12,
    VAULT_TAG_BYTES = 16,
    VAULT_FILE_BYTES = 4 * 1024 * 1024, /* vault.json */
    VAULT_ENTRIES = 1000,
    VAULT_SECRET_BYTES = 64 * 1024,     /* one secret */
    VAULT_PATH_BYTES = 128,
    VAULT_USERNAME_BYTES = 256,
    VAULT_MEMBERS = 16,
    VAULT_KDF_M_KIB_MAX = 1024 * 1024
};

enum vault_kind { VAULT_TOKEN, VAULT_BASIC, VAULT_CERTIFICATE, VAULT_KINDS };
const char *vault_kind_word(enum vault_kind kind);
bool vault_kind_parse(const char *word, enum vault_kind *kind) MUSTUSE NONNULL;

/* How a member's key is made from the passphrase; stored with the member. */
struct vault_kdf {
    uint8_t salt[VAULT_SALT_BYTES];
    uint32_t t, m_kib, p;
};
struct vault_kdf vault_kdf_new(void); /* a fresh salt, t=3, 64 MiB, p=4 */
bool vault_kdf_from_json(const json_t *member, struct vault_kdf *out, struct err *err) MUSTUSE NONNULL;
bool vault_kdf_to_json(const struct vault_kdf *kdf, json_t *member) MUSTUSE NONNULL;
/* Argon2id; about 0.1 s and 64 MiB: run it in the command line, never in the daemon. */
struct secret *vault_kdf_derive(const struct vault_kdf *kdf, const void *passphrase, size_t len,
                                struct err *err) MUSTUSE NONNULL;

extern const char VAULT_DAMAGED_HINT[]; /* the next step where the file is not what was written */
/* A path is words of [A-Za-z0-9._-] joined by '/', none of them "." or "..". */
bool vault_path_valid(const char *path) NONNULL;

/* A new document with one member, generation 1, no entries. *key gets the new vault key. */
json_t *vault_file_new(const char *member, const struct vault_kdf *kdf, const struct secret *kek,
                       struct secret **key, struct err *err) MUSTUSE NONNULL;
/* Parses and checks form and checksum. ERR_DATA: damaged (the message says how). Caller decrefs. */
json_t *vault_file_parse(const void *data, size_t len, struct err *err) MUSTUSE NONNULL_AT(3);
/* The vault key. ERR_DENIED: wrong passphrase. ERR_DATA: the file was tampered with (MAC or tag). member NULL:
 * the first. */
struct secret *vault_file_unwrap(const json_t *doc, const char *member, const struct secret *kek,
                                 struct err *err) MUSTUSE NONNULL_AT(1, 3, 4);
/* Whether the MAC holds under this key. */
bool vault_file_verify(const json_t *doc, const struct secret *key, struct err *err) MUSTUSE NONNULL;
/* Counts the generation up and writes mac and checksum anew; to be called after each change. */
bool vault_file_seal(json_t *doc, const struct secret *key, struct err *err) MUSTUSE NONNULL;

/* Seals an entry into the document under the generation that vault_file_seal will write. Replaces. */
bool vault_file_put(json_t *doc, const struct secret *key, const char *path, enum vault_kind kind,
                    const char *username, const void *secret, size_t len, struct err *err)
    MUSTUSE NONNULL_AT(1, 2, 3, 6, 8);
/* username gets at most VAULT_USERNAME_BYTES (empty for a token). ERR_NOT_FOUND, ERR_DATA. */
struct secret *vault_file_get(const json_t *doc, const struct secret *key, const char *path,
                              enum vault_kind *kind, char username[VAULT_USERNAME_BYTES + 1],
                              struct err *err) MUSTUSE NONNULL;

#endif
