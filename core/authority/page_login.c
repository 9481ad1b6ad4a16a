/* One-time links and logins of the page: two small tables of hashes. It knows no HTTP and no message; whoever asks has
 * the secrets or has not. */
#include "core/authority/page_login.h"

#include "core/base/id.h"
#include "core/base/secret.h"
#include "tls/crypto.h"

#include <stdlib.h>

enum { TOKEN_BYTES = PAGE_TOKEN_HEX / 2 };

struct link {
    uint64_t ends_ms; /* monotonic; 0: free */
    uint8_t hash[CRYPTO_HASH_LEN];
};
struct login {
    uint64_t number; /* 0: free */
    uint64_t ends_ms;
    uint8_t cookie[CRYPTO_HASH_LEN], key[CRYPTO_HASH_LEN];
};
struct page_logins {
    struct link links[PAGE_LINKS + PAGE_NOTICE_LINKS]; /* those of notifications behind the others */
    struct login logins[PAGE_LOGINS];
    uint64_t last;
};

struct page_logins *page_logins_new(void)
{
    return mem_alloc(sizeof(struct page_logins));
}

void page_logins_free(struct page_logins *logins)
{
    free(logins);
}

static void make_token(char token[PAGE_TOKEN_HEX + 1], uint8_t hash[CRYPTO_HASH_LEN])
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof bytes);
    text_hex(bytes, sizeof bytes, token);
    crypto_sha256(bytes, sizeof bytes, hash);
    secret_wipe(bytes, sizeof bytes);
}

/* False: it is no token at all. */
static bool hash_token(struct span token, uint8_t hash[CRYPTO_HASH_LEN])
{
    uint8_t bytes[TOKEN_BYTES];

    if (token.p == NULL || token.len != PAGE_TOKEN_HEX || !text_unhex(token, bytes, sizeof bytes))
        return false;
    crypto_sha256(bytes, sizeof bytes, hash);
    secret_wipe(bytes, sizeof bytes);
    return true;
}

/* Free ones end at 0, and so are taken first. */
static void make_link(struct link *links, size_t count, uint64_t life_ms, char token[PAGE_TOKEN_HEX + 1])
{
    struct link *oldest = links;

    for (size_t i = 1; i < count; i++)
        if (links[i].ends_ms < oldest->ends_ms)
            oldest = &links[i];
    make_token(token, oldest->hash);
    oldest->ends_ms = clock_mono_ms() + life_ms;
}

void page_link_new(struct page_logins *logins, char token[PAGE_TOKEN_HEX + 1])
{
    make_link(logins->links, PAGE_LINKS, PAGE_LINK_MS, token);
}

void page_link_notice(struct page_logins *logins, char token[PAGE_TOKEN_HEX + 1])
{
    make_link(logins->links + PAGE_LINKS, PAGE_NOTICE_LINKS, PAGE_NOTICE_LINK_MS, token);
}

bool page_link_use(struct page_logins *logins, struct span token, char cookie[PAGE_TOKEN_HEX + 1],
                   char key[PAGE_TOKEN_HEX + 1])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    uint64_t now = clock_mono_ms();
    bool good = false;

    if (!hash_token(token, hash))
        return false;
    for (size_t i = 0; i < COUNT(logins->links); i++) {
        struct link *link = &logins->links[i];
        if (link->ends_ms == 0 || !secret_equal(hash, link->hash, sizeof hash))
            continue;
        good = now < link->ends_ms;
        *link = (struct link){0};
    }
    if (!good)
        return false;
    struct login *oldest = logins->logins;
    for (size_t i = 1; i < PAGE_LOGINS; i++)
        if (logins->logins[i].number < oldest->number)
            oldest = &logins->logins[i];
    *oldest = (struct login){.number = ++logins->last, .ends_ms = now + PAGE_LOGIN_MS};
    make_token(cookie, oldest->cookie);
    make_token(key, oldest->key);
    return true;
}

uint64_t page_login_find(const struct page_logins *logins, struct span cookie, struct span key)
{
    uint8_t cookie_hash[CRYPTO_HASH_LEN], key_hash[CRYPTO_HASH_LEN];

    if (!hash_token(cookie, cookie_hash) || !hash_token(key, key_hash))
        return 0;
    for (size_t i = 0; i < PAGE_LOGINS; i++) {
        const struct login *login = &logins->logins[i];
        if (login->number != 0 && secret_equal(cookie_hash, login->cookie, sizeof cookie_hash) &&
            secret_equal(key_hash, login->key, sizeof key_hash))
            return clock_mono_ms() < login->ends_ms ? login->number : 0;
    }
    return 0;
}

bool page_login_alive(const struct page_logins *logins, uint64_t login)
{
    for (size_t i = 0; i < PAGE_LOGINS; i++)
        if (login != 0 && logins->logins[i].number == login)
            return clock_mono_ms() < logins->logins[i].ends_ms;
    return false;
}

void page_logout(struct page_logins *logins, uint64_t login)
{
    for (size_t i = 0; i < PAGE_LOGINS; i++)
        if (login != 0 && logins->logins[i].number == login)
            logins->logins[i] = (struct login){0};
}
