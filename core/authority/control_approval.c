/* Routes of the control API about approvals: list (at once, or after the next change), show, decide. They are what
 * decides and the session API has none of them (A01). */
#include "core/authority/control.h"

#include "core/authority/approval.h"

#include <stdlib.h>
#include <string.h>

enum { WAIT_S_MAX = 600, DIGEST_BYTES = 64, SCOPE_ONCE = 0, SCOPE_SESSION = 1, DECIDE_APPROVE = 0 };

/* ---- list ---- */

struct listing {
    struct monitor *monitor;
    struct service_request *req;
    char session[64], state[32];
    struct approval_watch watch;
    struct timer timer;
};

static void reply_list(struct listing *listing)
{
    struct err err = {0};
    struct store_approval_filter filter = {.session = listing->session[0] != 0 ? listing->session : NULL,
                                           .state = listing->state[0] != 0 ? listing->state : NULL};
    json_t *rows = approval_rows(listing->monitor, &filter, &err);

    if (rows == NULL)
        control_fail(listing->req, &err);
    else
        control_reply(listing->req, 200,
                      json_pack("{s:I, s:I, s:o}", "version", (json_int_t)approval_version(listing->monitor),
                                "vault_refused", (json_int_t)listing->monitor->locked_refusals, "approvals", rows));
    free(listing);
}

static void listing_over(void *arg)
{
    struct listing *listing = arg;

    timer_stop(&listing->timer);
    approval_unwatch(listing->monitor, &listing->watch);
    service_on_gone(listing->req, NULL, NULL);
    reply_list(listing);
}

static void listing_gone(struct service_request *req, void *arg)
{
    struct listing *listing = arg;

    timer_stop(&listing->timer);
    approval_unwatch(listing->monitor, &listing->watch);
    service_abort(req);
    free(listing);
}

static bool number_param(struct service_request *req, const char *name, uint64_t max, uint64_t *out)
{
    struct span text;

    return !service_param(req, name, &text) || text_u64(text, max, out);
}

/* after=VERSION&wait=SECONDS: answered when the version is another one, or when the time is up. */
static void list_approvals(struct monitor *monitor, struct service_request *req, struct span id)
{
    struct listing *listing = mem_alloc(sizeof *listing);
    enum approval_state parsed;
    uint64_t after = 0, wait_s = 0;
    struct err err = {0};

    (void)id;
    listing->monitor = monitor;
    listing->req = req;
    if (!control_param(req, "session", listing->session, sizeof listing->session) ||
        !control_param(req, "state", listing->state, sizeof listing->state) ||
        (listing->state[0] != 0 && !approval_parse(listing->state, &parsed)) ||
        !number_param(req, "after", UINT64_MAX, &after) || !number_param(req, "wait", WAIT_S_MAX, &wait_s)) {
        err_set(&err, ERR_DATA, "session, state, after or wait is not what it should be");
        control_fail(req, &err);
        free(listing);
    } else if (wait_s == 0 || after != approval_version(monitor)) {
        reply_list(listing);
    } else {
        timer_init(&listing->timer, monitor->loop, listing_over, listing);
        timer_start(&listing->timer, wait_s * 1000);
        listing->watch = (struct approval_watch){.fn = listing_over, .arg = listing};
        approval_watch(monitor, &listing->watch);
        service_on_gone(req, listing_gone, listing);
    }
}

/* ---- show, decide ---- */

static bool show(struct monitor *monitor, const char *id, json_t **answer, struct err *err)
{
    struct store_approval row = {0};
    bool good = store_approval_get(monitor->store, id, &row, err);

    if (good)
        *answer = approval_json_full(monitor, &row);
    store_approval_clear(&row);
    return good || err_hint(err, "See aileron approvals list");
}

static void get_approval(struct monitor *monitor, struct service_request *req, struct span id)
{
    AUTOFREE char *name = mem_strndup(id.p, id.len);
    struct err err = {0};
    json_t *answer = NULL;

    if (show(monitor, name, &answer, &err))
        control_reply(req, 200, answer);
    else
        control_fail(req, &err);
}

bool control_read_decision(const struct json_at *at, struct approval_decision *decision, struct err *err)
{
    static const char *const verbs[] = {"approve", "deny"}, *const scopes[] = {"once", "session"};
    static const char *const keys[] = {"decision", "digest", "scope", "args", "reason", NULL};
    struct json_at args;
    int verb = 0, scope = SCOPE_ONCE;
    bool has_args = false;

    if (!json_only(at, keys, err) ||
        !json_get_word(at, "decision", JSON_NEED, verbs, COUNT(verbs), &verb, err) ||
        !json_get_text(at, "digest", JSON_NEED, DIGEST_BYTES, &decision->digest, err) ||
        !json_get_word(at, "scope", JSON_MAY, scopes, COUNT(scopes), &scope, err) ||
        !json_get_text(at, "reason", JSON_MAY, APPROVAL_REASON_BYTES, &decision->reason, err) ||
        !json_get_object(at, "args", JSON_MAY, &args, &has_args, err))
        return false;
    decision->approve = verb == DECIDE_APPROVE;
    decision->for_session = scope == SCOPE_SESSION;
    decision->args = has_args ? args.node : NULL;
    if (decision->reason != NULL && decision->reason[0] == 0)
        decision->reason = NULL;
    return true;
}

static void post_decision(struct monitor *monitor, struct service_request *req, struct span id)
{
    AUTOFREE char *name = mem_strndup(id.p, id.len);
    struct approval_decision decision = {.by = "cli"};
    struct doc doc = {0};
    struct err err = {0};
    json_t *answer = NULL;

    if (!control_body(req, &doc))
        return;
    struct json_at at = json_root(&doc);
    if (control_read_decision(&at, &decision, &err) && approval_decide(monitor, name, &decision, &err) &&
        show(monitor, name, &answer, &err))
        control_reply(req, 200, answer);
    else
        control_fail(req, &err);
    doc_clear(&doc);
}

const struct control_route control_approval_routes[] = {
    {"GET", "/v1/approvals", list_approvals},
    {"GET", "/v1/approvals/{id}", get_approval},
    {"POST", "/v1/approvals/{id}/decide", post_decision},
    {NULL, NULL, NULL},
};
