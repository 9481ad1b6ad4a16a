/* Approvals: their states, their rows, and who waits for them. A request that its worker holds is approval_ask.c's,
 * deciding is approval_decide.c's. */
#include "core/authority/approval_private.h"

#include "core/authority/operation.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "tls/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[APPROVAL_STATES] = {
    [APPROVAL_PENDING] = "pending", [APPROVAL_APPROVED] = "approved", [APPROVAL_USED_UP] = "used",
    [APPROVAL_DENIED] = "denied", [APPROVAL_EXPIRED] = "expired",
};

const char *approval_word(enum approval_state state)
{
    return words[state];
}

bool approval_parse(const char *word, enum approval_state *state)
{
    for (size_t i = 0; i < APPROVAL_STATES; i++) {
        if (strcmp(word, words[i]) == 0) {
            *state = (enum approval_state)i;
            return true;
        }
    }
    return false;
}

enum approval_state approval_state_of(const struct store_approval *row)
{
    enum approval_state state = APPROVAL_EXPIRED;

    if (!approval_parse(row->state, &state))
        log_error("approval %s is in a state that this version does not know", row->id);
    return state;
}

struct approvals *approvals_new(struct monitor *monitor)
{
    struct approvals *approvals = mem_alloc(sizeof *approvals);

    approvals->monitor = monitor;
    approvals->version = 1;
    return approvals;
}

void approval_waiter_free(struct approval_waiter *waiter)
{
    struct approval_waiter **at = &waiter->session->monitor->approvals->waiters;

    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    timer_stop(&waiter->timer);
    free(waiter->rule);
    free(waiter);
}

void approval_used_drop(struct approval_used **at)
{
    struct approval_used *used = *at;

    *at = used->next;
    free(used);
}

size_t approval_count_waiters(const struct session *session)
{
    size_t count = 0;

    for (const struct approval_waiter *w = session->monitor->approvals->waiters; w != NULL; w = w->next)
        count += w->session == session;
    return count;
}

struct approval_waiter *approval_waiter_new(struct session *session, uint32_t id, const char *approval,
                                            void (*over)(void *))
{
    struct approvals *approvals = session->monitor->approvals;
    struct approval_waiter *waiter = mem_alloc(sizeof *waiter);

    waiter->session = session;
    waiter->id = id;
    snprintf(waiter->approval, sizeof waiter->approval, "%s", approval);
    timer_init(&waiter->timer, session->monitor->loop, over, waiter);
    waiter->next = approvals->waiters;
    approvals->waiters = waiter;
    return waiter;
}

void approvals_free(struct approvals *approvals)
{
    if (approvals == NULL)
        return;
    while (approvals->waiters != NULL)
        approval_waiter_free(approvals->waiters);
    while (approvals->used != NULL)
        approval_used_drop(&approvals->used);
    free(approvals);
}

/* ---- rows ---- */

char *approval_digest(const json_t *shown, char digest[65])
{
    char *text = json_canonical(shown);
    uint8_t hash[CRYPTO_HASH_LEN];

    crypto_sha256(text, strlen(text), hash);
    text_hex(hash, sizeof hash, digest);
    return text;
}

json_t *approval_summary(const json_t *shown)
{
    static const char *const sealed[] = {"args", "query", "type", "fields", "body", "body_base64"};
    json_t *summary = json_copy((json_t *)(uintptr_t)shown);

    for (size_t i = 0; i < COUNT(sealed); i++)
        json_object_del(summary, sealed[i]);
    return summary;
}

/* What a yes for the session was said under: the same name may be another rule after a reload, or another
 * connector's. Made once for each snapshot: a catalogue may be large. */
static char *basis_of(struct session *session)
{
    const struct rules *rules = session->snapshot->rules;

    if (session->basis[0] != 0)
        return session->basis;
    json_t *all JSON_AUTO = json_array(), *catalogue JSON_AUTO = catalogue_json(rules->catalogue);

    json_array_append(all, policy_json(rules->policy));
    json_array_append(all, session->snapshot->project != NULL ? policy_json(session->snapshot->project) : json_null());
    json_array_append(all, catalogue);
    AUTOFREE char *text = approval_digest(all, session->basis);
    return session->basis;
}

bool approval_granted(struct session *session, const char *rule)
{
    struct store_approval_filter filter = {.session = session->id, .state = words[APPROVAL_APPROVED],
                                           .rule = rule, .scope = "session", .basis = basis_of(session), .limit = 1};
    struct err err = {0};
    size_t count = 0;

    if (!store_approval_count(session->monitor->store, &filter, &count, &err))
        log_error("approvals: %s", err.message);
    return count > 0;
}

/* A05: so many of one session and no more; a person can read them. */
static bool room_for_more(struct session *session, struct err *err)
{
    size_t most = session->snapshot->rules->config->limits[LIMIT_APPROVALS], count = 0;
    struct store_approval_filter filter = {.session = session->id, .state = words[APPROVAL_PENDING],
                                           .limit = most};

    if (!store_approval_count(session->monitor->store, &filter, &count, err))
        return false;
    if (count < most)
        return true;
    err_set(err, ERR_LIMIT, "%zu approvals of this session wait for a person already", count);
    return err_hint(err, "Nothing was sent. Wait until the person has decided: aileron-wait ID");
}

bool approval_add(struct session *session, const char *operation, const char *rule, const json_t *shown,
                  char id[APPROVAL_ID_BYTES], struct err *err)
{
    struct monitor *monitor = session->monitor;
    int64_t now = (int64_t)clock_wall_ms();
    char digest[65];
    json_t *summary JSON_AUTO = approval_summary(shown);
    AUTOFREE char *text = json_canonical(summary), *full = approval_digest(shown, digest);
    AUTOFREE char *rule_copy = mem_strdup(rule), *op_copy = operation != NULL ? mem_strdup(operation) : NULL;
    struct store_approval row = {
        .id = id, .session = session->id, .operation = op_copy, .digest = digest, .rule = rule_copy, .shown = text,
        .full = full, .basis = basis_of(session),
        .state = (char *)(uintptr_t)words[APPROVAL_PENDING], .created_ms = now,
        .expires_ms = now + (int64_t)session->snapshot->rules->config->approvals.expire_ms};

    if (!quota_open(session, err) || !room_for_more(session, err))
        return false;
    snprintf(id, APPROVAL_ID_BYTES, "%s", id_new("apr_").text);
    return store_approval_add(monitor->store, &row, err) &&
           quota_write(session, approval_event(&row, APPROVAL_PENDING), err);
}

/* ---- questions ---- */

static void answer_state(struct approval_waiter *waiter, const struct store_approval *row)
{
    json_t *shown JSON_AUTO = approval_json(row);

    json_put_int(shown, "result_bytes", 0);
    worker_send_json(waiter->session, MESSAGE_OP_STATE, waiter->id, shown);
}

static void question_over(void *arg)
{
    struct approval_waiter *waiter = arg;
    struct store_approval row = {0};
    struct err err = {0};

    if (store_approval_get(waiter->session->monitor->store, waiter->approval, &row, &err))
        answer_state(waiter, &row);
    else
        worker_refuse(waiter->session, waiter->id, &err, NULL, NULL);
    store_approval_clear(&row);
    approval_waiter_free(waiter);
}

void approval_get(struct session *session, uint32_t id, const char *approval, int64_t wait_ms)
{
    struct store_approval row = {0};
    struct err err = {0};

    bool own = store_approval_get(session->monitor->store, approval, &row, &err) &&
               strcmp(row.session, session->id) == 0;
    if (!own) {
        if (err.code != ERR_IO)
            err_set(&err, ERR_NOT_FOUND, "this session has no approval %.64s", approval);
        worker_refuse(session, id, &err, NULL, NULL);
        store_approval_clear(&row);
        return;
    }
    bool waits = approval_state_of(&row) == APPROVAL_PENDING && wait_ms > 0;
    if (waits && approval_count_waiters(session) >= APPROVAL_WAITERS) {
        operation_refuse_waiter(session, id, APPROVAL_WAITERS);
    } else {
        struct approval_waiter *waiter = approval_waiter_new(session, id, approval, question_over);
        if (waits) {
            timer_start(&waiter->timer, (uint64_t)wait_ms);
        } else {
            answer_state(waiter, &row);
            approval_waiter_free(waiter);
        }
    }
    store_approval_clear(&row);
}

void approval_wake(struct approvals *approvals, const char *id)
{
    bool again = true;

    while (again) { /* answering one changes what the next one gets, and the list */
        struct approval_waiter *waiter = approvals->waiters;
        struct store_approval row = {0};
        struct err err = {0};
        while (waiter != NULL && strcmp(waiter->approval, id) != 0)
            waiter = waiter->next;
        again = waiter != NULL && store_approval_get(approvals->monitor->store, id, &row, &err) &&
                approval_state_of(&row) != APPROVAL_PENDING;
        if (again && !waiter->request) {
            question_over(waiter);
        } else if (again && approval_state_of(&row) == APPROVAL_USED_UP) { /* by another like it: this one asks anew */
            approval_ask_again(waiter);
        } else if (again && approval_settle(waiter, &row)) {
            approval_waiter_free(waiter);
        }
        store_approval_clear(&row);
    }
}

void approval_cancel(struct session *session, uint32_t id)
{
    for (struct approval_waiter *w = session->monitor->approvals->waiters; w != NULL; w = w->next) {
        if (w->session == session && w->id == id) {
            approval_waiter_free(w);
            return;
        }
    }
}

void approval_forget(struct session *session)
{
    struct approvals *approvals = session->monitor->approvals;
    struct approval_used **at = &approvals->used;
    struct approval_waiter *next;

    for (struct approval_waiter *w = approvals->waiters; w != NULL; w = next) {
        next = w->next;
        if (w->session == session)
            approval_waiter_free(w);
    }
    while (*at != NULL) {
        if ((*at)->session == session)
            approval_used_drop(at);
        else
            at = &(*at)->next;
    }
}
