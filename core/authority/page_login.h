/* Who may use the page: one-time links, and the logins that they were exchanged for. In memory only, so that they end
 * with the daemon; of each secret only its SHA-256 is kept. Monitor only.
 *
 * A login has two secrets. The cookie is the browser's (HttpOnly, SameSite=Strict), and browsers send it to every port
 * of the host: another program's server on loopback would learn it. The key is kept by the page's own script for its
 * own origin, port included, and goes in a field that no other origin may set. A call needs both. */
#ifndef AILERON_AUTHORITY_PAGE_LOGIN_H
#define AILERON_AUTHORITY_PAGE_LOGIN_H

#include "core/base/text.h"
#include "core/data/page_message.h"

enum {
    PAGE_LINKS = 8,                      /* not used yet; one more, and the oldest is no link any more */
    PAGE_LINK_MS = 60 * 1000,
    PAGE_NOTICE_LINKS = 8,               /* of notifications: however many an agent causes, the others stay */
    PAGE_NOTICE_LINK_MS = 10 * 60 * 1000,
    PAGE_LOGINS = 16,                    /* one more, and the oldest is logged out */
    PAGE_LOGIN_MS = 12 * 60 * 60 * 1000
};

struct page_logins;
struct page_logins *page_logins_new(void) MUSTUSE;
void page_logins_free(struct page_logins *logins); /* NULL is fine */

/* A new link's token, in hex. */
void page_link_new(struct page_logins *logins, char token[PAGE_TOKEN_HEX + 1]) NONNULL;
/* As page_link_new, for a notification. */
void page_link_notice(struct page_logins *logins, char token[PAGE_TOKEN_HEX + 1]) NONNULL;
/* Exchanges a link's token; whatever happens then, that link is used up. False: no such link, or its time is over. */
bool page_link_use(struct page_logins *logins, struct span token, char cookie[PAGE_TOKEN_HEX + 1],
                   char key[PAGE_TOKEN_HEX + 1]) MUSTUSE NONNULL;
/* The login's number, from 1 on and never used twice; 0: there is none. */
uint64_t page_login_find(const struct page_logins *logins, struct span cookie, struct span key) MUSTUSE NONNULL;
bool page_login_alive(const struct page_logins *logins, uint64_t login) MUSTUSE NONNULL;
void page_logout(struct page_logins *logins, uint64_t login) NONNULL;

#endif
