/* vault.json under an enemy of the disk (C15). The input is read twice: as the file itself, and as edits of a good
 * one, four bytes each (position, what to do, a byte). An edited file is refused, or it still means the same. */
#include <stdlib.h>
#include <string.h>

#include "core/authority/vault_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDIT_BYTES = 4, EDITS_MAX = 64, ROOM_BYTES = 64 };

static const char secret[] = "the secret that must stay what it is", path[] = "user/api";
static struct secret *kek;
static char *good; /* canonical text of a good file */

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void begin(void)
{
    struct vault_kdf kdf = {.salt = {7}, .t = 1, .m_kib = 64, .p = 1};
    struct err err;
    struct secret *key = NULL;
    kek = secret_new("0123456789abcdef0123456789abcdef", VAULT_KEY_BYTES);
    json_t *doc = vault_file_new("owner", &kdf, kek, &key, &err);
    require(doc && vault_file_put(doc, key, path, VAULT_BASIC, "alice", secret, sizeof secret - 1, &err) &&
            vault_file_put(doc, key, "user/other", VAULT_TOKEN, NULL, "another", 7, &err) &&
            vault_file_seal(doc, key, &err));
    good = json_canonical(doc);
    json_decref(doc);
    secret_free(key);
}

/* Whatever opens is what was put in. */
static void try_open(const void *bytes, size_t len)
{
    char username[VAULT_USERNAME_BYTES + 1];
    enum vault_kind kind;
    struct err err = {0};
    json_t *doc = vault_file_parse(bytes, len, &err);
    if (!doc) {
        require(err.code == ERR_DATA || err.code == ERR_LIMIT);
        return;
    }
    struct secret *key = vault_file_unwrap(doc, NULL, kek, &err);
    require(key || err.code == ERR_DENIED || err.code == ERR_DATA);
    if (key && vault_file_verify(doc, key, &err)) {
        struct secret *got = vault_file_get(doc, key, path, &kind, username, &err);
        require(got && kind == VAULT_BASIC && strcmp(username, "alice") == 0 &&
                secret_len(got) == sizeof secret - 1 && memcmp(secret_bytes(got), secret, sizeof secret - 1) == 0);
        secret_free(got);
    }
    secret_free(key);
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    if (!good)
        begin();
    try_open(data, size);
    buf_init(&text, strlen(good) + ROOM_BYTES);
    require(buf_adds(&text, good));
    for (size_t at = 0; at + EDIT_BYTES <= size && at < EDITS_MAX * EDIT_BYTES && text.len > 1; at += EDIT_BYTES) {
        size_t where = (size_t)(data[at] << 8 | data[at + 1]) % text.len;
        switch (data[at + 2] % 4) {
        case 0:
            text.data[where] ^= data[at + 3];
            break;
        case 1:
            text.data[where] = data[at + 3];
            break;
        case 2: /* one byte less */
            memmove(text.data + where, text.data + where + 1, text.len - where - 1);
            text.len--;
            break;
        default: /* one byte more */
            if (buf_add(&text, "", 1)) {
                memmove(text.data + where + 1, text.data + where, text.len - where - 1);
                text.data[where] = data[at + 3];
            }
        }
    }
    try_open(text.data, text.len);
    buf_clear(&text);
    return 0;
}
