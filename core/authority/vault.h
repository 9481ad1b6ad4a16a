/* The vault as the monitor holds it: the file, and the vault key while it is unlocked. Everything here is
 * fast (the passphrase's key is derived by the command line). Nothing is written over a file that does not
 * check out. Monitor only. */
#ifndef AILERON_AUTHORITY_VAULT_H
#define AILERON_AUTHORITY_VAULT_H

#include "core/authority/vault_file.h"

struct vault;
enum vault_state { VAULT_ABSENT, VAULT_LOCKED, VAULT_UNLOCKED, VAULT_DAMAGED };

struct vault *vault_open(const char *home) MUSTUSE NONNULL; /* reads nothing yet */
void vault_close(struct vault *vault);                      /* wipes the key */
enum vault_state vault_state(struct vault *vault, struct err *why) NONNULL; /* why: for VAULT_DAMAGED */
const char *vault_state_word(enum vault_state state);

/* New file; ERR_CONFLICT where there is one. The vault is unlocked then. */
bool vault_init(struct vault *vault, const char *member, const struct vault_kdf *kdf,
                const struct secret *kek, struct err *err) MUSTUSE NONNULL;
/* Public facts of the members ([{"name", "kdf", "salt", "t", "m_kib", "p"}]), for the command line to derive
 * the key with. NULL: ERR_NOT_FOUND, ERR_DATA. Caller decrefs. */
json_t *vault_members(struct vault *vault, struct err *err) MUSTUSE NONNULL;
bool vault_unlock(struct vault *vault, const char *member, const struct secret *kek, struct err *err)
    MUSTUSE NONNULL_AT(1, 3, 4);
void vault_lock(struct vault *vault) NONNULL;
/* How often the file was written, as the one that was read last says; proven where the vault is unlocked. */
int64_t vault_generation(const struct vault *vault) NONNULL;
/* A key that only this vault gives, for what is sealed elsewhere; NULL while locked. */
struct secret *vault_derive(const struct vault *vault, const char *label) MUSTUSE NONNULL;

/* All of these: ERR_LOCKED while locked, ERR_NOT_FOUND without a file or entry, ERR_DATA for damage. */
bool vault_put(struct vault *vault, const char *path, enum vault_kind kind, const char *username,
               const void *secret, size_t len, struct err *err) MUSTUSE NONNULL_AT(1, 2, 5, 7);
struct secret *vault_get(struct vault *vault, const char *path, enum vault_kind *kind,
                         char username[VAULT_USERNAME_BYTES + 1], struct err *err) MUSTUSE NONNULL;
bool vault_remove(struct vault *vault, const char *path, struct err *err) MUSTUSE NONNULL;
/* [{"path", "kind", "version", "created"}], sorted by path; works while locked. Caller decrefs. */
json_t *vault_list(struct vault *vault, struct err *err) MUSTUSE NONNULL;

/* The kernel's keyring (design 8, --cache=keyring): keeps the vault key, sealed by a key in
 * run/private/keyring.key, for timeout_s, so that neither the keyring nor the file alone opens the vault. */
bool vault_cache_store(struct vault *vault, uint64_t timeout_s, struct err *err) MUSTUSE NONNULL;
bool vault_cache_load(struct vault *vault) NONNULL; /* true: it was there and the vault is unlocked */
void vault_cache_forget(struct vault *vault) NONNULL;

#endif
