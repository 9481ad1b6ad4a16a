/* What page.c (the process), page_check.c (whose request it is) and page_request.c (what becomes of it) share; for
 * nobody else. */
#ifndef AILERON_PLANE_PAGE_PRIVATE_H
#define AILERON_PLANE_PAGE_PRIVATE_H

#include "core/data/page_message.h"
#include "core/loop/ipc.h"
#include "core/loop/listen.h"
#include "core/loop/service.h"
#include "core/plane/page.h"

struct page_question;
struct page_worker {
    struct loop *loop;
    struct ipc *ipc;
    struct listener *listener;
    struct page_question *questions; /* what the monitor has not answered, and streams */
    uint32_t last_id;
    size_t connections;
    unsigned port;
    int status;
};

/* ---- page_check.c ---- */
/* Whether it comes from the page itself, by the fields that a browser sets and no script can. On a refusal: why, a word
 * of PAGE_REASONS, and what to answer. api: more is asked of it than of the three files. */
bool page_check(const struct service_request *req, unsigned port, bool api, const char **reason, struct err *err)
    MUSTUSE NONNULL;
/* The cookie of this port, borrowed; p NULL: there is none. */
struct span page_cookie(const struct service_request *req, unsigned port) NONNULL;

/* ---- page_request.c ---- */
void page_request(struct page_worker *page, struct service_request *req) NONNULL;
void page_answer(struct page_worker *page, const struct ipc_message *message) NONNULL;

#endif
