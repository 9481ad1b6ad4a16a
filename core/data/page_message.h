/* Messages between the monitor and the page worker, over core/loop/ipc. The page worker has no session, no snapshot and
 * no authority: it carries what a browser asked, with the login that came with it, and the monitor answers. The
 * monitor treats all of it as hostile, as with a session's worker (core/data/message.h). */
#ifndef AILERON_DATA_PAGE_MESSAGE_H
#define AILERON_DATA_PAGE_MESSAGE_H

#include "core/base/attr.h"

enum page_message {
    /* ---- monitor to worker ---- */
    /* Answer to PAGE_ASK. Payload: {"status": 200, "cookie"?: "<64 hex>"}, one NUL byte, the first bytes of the
     * answer's JSON; PAGE_LAST where they are all. Flag PAGE_SECRET with a cookie. "" ends the cookie. */
    PAGE_ANSWER = 32,
    /* More bytes, in order; flag PAGE_LAST on the last. Those of a stream (the answer to "events") are whole
     * server-sent events, and the next come after PAGE_MORE. */
    PAGE_DATA = 33,
    /* ---- worker to monitor ---- */
    /* The first message, after the jail was entered. No payload. */
    PAGE_READY = 96,
    /* {"call": "...", "cookie"?: "<64 hex>", "key"?: "<64 hex>", and of "id", "session", "limit", "after" what the call
     * has}, one NUL byte, the request's body, which may be empty. */
    PAGE_ASK = 97,
    /* No payload; same id as the stream's PAGE_ASK: the browser has taken what came. */
    PAGE_MORE = 98,
    /* No payload; same id as the PAGE_ASK whose browser went away. */
    PAGE_CANCEL = 99,
    /* {"reason": "<a word of PAGE_REASONS>"}: the worker has refused a request by itself (A04). */
    PAGE_REFUSED = 100
};

enum { PAGE_SECRET = 1, PAGE_LAST = 2 }; /* flags */
enum {
    PAGE_TOKEN_HEX = 64,               /* of a link, a cookie and a key: 32 random bytes */
    PAGE_HEAD_BYTES = 2048,            /* of a PAGE_ASK's object */
    PAGE_BODY_BYTES = 128 * 1024,      /* of a request */
    PAGE_PIECE_BYTES = 48 * 1024,      /* of PAGE_DATA, and of what follows the object of PAGE_ANSWER */
    PAGE_ANSWER_BYTES = 2 * 1024 * 1024 /* of an answer that is no stream */
};
/* Why a request is refused before its call is looked at, or instead of it. */
#define PAGE_REASONS "host", "origin", "site", "frame", "login", "link"

#endif
