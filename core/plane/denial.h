/* A refusal: one shape on every path out of the data plane (threats section 6). It says that this is
 * policy or a named fault and not a broken network, and what to do next. */
#ifndef AILERON_PLANE_DENIAL_H
#define AILERON_PLANE_DENIAL_H

#include "core/base/err.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/wire/msg.h"

struct denial {
    int status;          /* HTTP: 400, 403, 407, 421, 429, 431, 501, 502, 503, 504 */
    char code[32];       /* the stable word */
    char message[512];
    char reason[512];    /* "" where the message says it all */
    char rule[128];      /* "" where no rule decided */
    char next[256];
    struct id id;        /* of the event on the record */
};

/* From an error: status and word of its code, message, hint as the next step (an upstream's fault without one gets
 * one). status 0: the code's own. */
void denial_from_err(struct denial *denial, const struct err *err, int status) NONNULL;
/* The form of the body, by the client's Accept: JSON, unless it asks for HTML (a browser) or plain text and not for
 * anything (RFC 9110 12.5.1, without weights: what is named first counts). Plain text for git by its User-Agent. */
enum denial_form { DENIAL_JSON, DENIAL_TEXT, DENIAL_HTML };
enum denial_form denial_form(struct span accept, struct span user_agent);
/* JSON: {"error": {"code", "message", "reason", "rule", "next", "id"}, "message"} and a newline. Text: the line that
 * people see everywhere. HTML: a small page with the same. out has room for DENIAL_BODY_BYTES. */
enum { DENIAL_BODY_BYTES = 32 * 1024 };
bool denial_body(const struct denial *denial, enum denial_form form, struct buf *out) MUSTUSE NONNULL;
/* The head of an answer with a body of that length, for any version of HTTP. 407 says how to authenticate. */
bool denial_head(const struct denial *denial, enum denial_form form, size_t body_bytes, struct msg *msg,
                 struct err *err) MUSTUSE NONNULL;
/* A whole HTTP/1.1 answer with that body; close: "Connection: close" is said. head_only: to a HEAD. */
bool denial_answer(const struct denial *denial, enum denial_form form, bool close, bool head_only,
                   struct buf *out) MUSTUSE NONNULL;

struct plane;
/* "session.denied" on the record: what was refused before any rule was asked. */
void denial_record(const struct denial *denial, struct plane *plane) NONNULL;

#endif
