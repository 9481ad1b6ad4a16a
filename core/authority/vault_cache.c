/* The kernel's keyring as a cache of the vault key, so that a restarted daemon need not ask again. The key in
 * the keyring is sealed by another key that lies in run/private, which no sandbox sees: a process that can read
 * the user's keyring (a sandbox under the same uid may) gains nothing by that alone. Plain system calls, since
 * libkeyutils would be one more library for three of them. */
#include "core/authority/vault_private.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "tls/crypto.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SEALED_BYTES = VAULT_NONCE_BYTES + VAULT_KEY_BYTES + VAULT_TAG_BYTES,
    /* All rights for who holds the key and for its user: a daemon of another login session finds it too. */
    KEY_PERMISSIONS = 0x3f3f0000
};

static const char AAD[] = "aileron vault keyring v1";

/* One name a home, so that two homes of one user do not mix. */
static char *key_name(const struct vault *vault)
{
    uint8_t hash[CRYPTO_HASH_LEN];
    char hex[2 * CRYPTO_HASH_LEN + 1];

    crypto_sha256(vault->home, strlen(vault->home), hash);
    text_hex(hash, sizeof hash, hex);
    return mem_printf("aileron:vault:%.16s", hex);
}

static char *wrapper_path(const struct vault *vault)
{
    return mem_printf("%s/run/private/keyring.key", vault->home);
}

static struct secret *wrapper_read(const struct vault *vault)
{
    AUTOFREE char *path = wrapper_path(vault);
    struct err ignored;
    struct buf text;

    if (!file_read(path, VAULT_KEY_BYTES, &text, &ignored))
        return NULL;
    struct secret *key = text.len == VAULT_KEY_BYTES ? secret_new(text.data, text.len) : NULL;
    buf_wipe(&text);
    return key;
}

static struct secret *wrapper_new(const struct vault *vault, struct err *err)
{
    AUTOFREE char *path = wrapper_path(vault);
    struct secret *key = secret_zeroed(VAULT_KEY_BYTES);

    random_bytes(secret_writable(key), VAULT_KEY_BYTES);
    if (file_write_atomic(path, 0600, secret_bytes(key), VAULT_KEY_BYTES, err))
        return key;
    secret_free(key);
    return NULL;
}

bool vault_cache_store(struct vault *vault, uint64_t timeout_s, struct err *err)
{
    uint8_t sealed[SEALED_BYTES];
    AUTOFREE char *name = key_name(vault);

    if (vault->key == NULL)
        return err_set(err, ERR_LOCKED, "the vault is locked");
    struct secret *wrapper = wrapper_new(vault, err);
    if (wrapper == NULL)
        return err_wrap(err, "keyring cache");
    struct crypto_aead aead = {secret_bytes(wrapper), sealed, AAD, sizeof AAD};
    random_bytes(sealed, VAULT_NONCE_BYTES);
    crypto_seal(&aead, secret_bytes(vault->key), VAULT_KEY_BYTES, sealed + VAULT_NONCE_BYTES);
    secret_free(wrapper);

    long key = syscall(SYS_add_key, "user", name, sealed, sizeof sealed, KEY_SPEC_USER_KEYRING);
    if (key >= 0 && syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, (unsigned)timeout_s) == 0 &&
        syscall(SYS_keyctl, KEYCTL_SETPERM, key, KEY_PERMISSIONS) == 0)
        return true;
    err_errno(err, ERR_UNAVAILABLE, errno, "the kernel's keyring cannot keep the vault key");
    vault_cache_forget(vault);
    return err_hint(err, "The vault is unlocked without it; use --cache=none");
}

static long find_key(const struct vault *vault)
{
    AUTOFREE char *name = key_name(vault);

    return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0);
}

bool vault_cache_load(struct vault *vault)
{
    uint8_t sealed[SEALED_BYTES];
    struct err ignored;
    long id = find_key(vault);

    if (id < 0 || syscall(SYS_keyctl, KEYCTL_READ, id, sealed, sizeof sealed) != SEALED_BYTES ||
        !vault_load(vault, &ignored))
        return false;
    struct secret *wrapper = wrapper_read(vault);
    if (wrapper == NULL)
        return false;
    struct crypto_aead aead = {secret_bytes(wrapper), sealed, AAD, sizeof AAD};
    struct secret *key = secret_zeroed(VAULT_KEY_BYTES);
    bool good = crypto_open(&aead, sealed + VAULT_NONCE_BYTES, SEALED_BYTES - VAULT_NONCE_BYTES,
                            secret_writable(key)) &&
                vault_file_verify(vault->doc, key, &ignored);
    secret_free(wrapper);
    if (!good) { /* of another vault.json, or half-stored */
        secret_free(key);
        return false;
    }
    secret_free(vault->key);
    vault->key = key;
    return true;
}

void vault_cache_forget(struct vault *vault)
{
    AUTOFREE char *path = wrapper_path(vault);
    long id = find_key(vault);

    if (id >= 0 && syscall(SYS_keyctl, KEYCTL_INVALIDATE, id) != 0)
        syscall(SYS_keyctl, KEYCTL_REVOKE, id);
    unlink(path);
}
