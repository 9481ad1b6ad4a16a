/* The control API on run/control.sock (design 13, admin scope): JSON over HTTP/1.1, for processes of this user
 * alone. One row a route (control.c); what a route does is in control_*.c. Monitor only. */
#ifndef AILERON_AUTHORITY_CONTROL_H
#define AILERON_AUTHORITY_CONTROL_H

#include "core/authority/session.h"
#include "core/loop/service.h"

struct approval_decision;

struct control;
/* Listens; connections are answered from the loop. */
struct control *control_open(struct monitor *monitor, struct err *err) MUSTUSE NONNULL;
void control_close(struct control *control); /* NULL is fine */
/* The session's hold request, if one is open, ends with {"ended": true}. */
void control_session_over(struct session *session) NONNULL;

/* ---- for the routes ---- */
/* Both end the request. status 200 where the route has no better one. */
void control_reply(struct service_request *req, int status, json_t *answer) NONNULL; /* drops the reference */
void control_fail(struct service_request *req, const struct err *err) NONNULL;
/* The body as JSON; an empty body is {}. False: the request was answered. */
bool control_body(struct service_request *req, struct doc *doc) MUSTUSE NONNULL;
/* A body with a secret: a JSON object, one NUL, raw bytes (borrowed, wiped with the request). */
bool control_secret_body(struct service_request *req, struct doc *doc, struct span *secret) MUSTUSE NONNULL;

/* Copies a parameter that is to be one of our words; "" where it is absent. False: too long. */
bool control_param(struct service_request *req, const char *name, char *out, size_t cap) MUSTUSE NONNULL;

typedef void (*control_fn)(struct monitor *monitor, struct service_request *req, struct span id);
struct control_route {
    const char *method;
    const char *path; /* "{id}" stands for one segment, which is given to fn */
    control_fn fn;
};
extern const struct control_route control_vault_routes[]; /* ends with a NULL method */
extern const struct control_route control_session_routes[];
extern const struct control_route control_approval_routes[];
extern const struct control_route control_workspace_routes[];

/* ---- shared with the page ---- */
/* Who we are, and everything that is wrong. Caller's reference. */
json_t *control_health(struct monitor *monitor) MUSTUSE NONNULL;
/* {"decision", "digest", "scope"?, "args"?, "reason"?}: borrowed from the document. */
bool control_read_decision(const struct json_at *at, struct approval_decision *decision, struct err *err)
    MUSTUSE NONNULL;

#endif
