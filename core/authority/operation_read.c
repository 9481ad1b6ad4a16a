/* Reading operations back: get (at once, or when it is final), results in pieces, list, and ack. It changes
 * nothing but the mark `collected`. */
#include "core/authority/operation_private.h"

#include "core/authority/approval.h"
#include "core/authority/worker.h"
#include "core/base/id.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 255, ACK_IDS = 1000, QUEUE_BYTES = 512 * 1024, RETRY_MS = 5 };

size_t operations_swept(const struct operations *operations)
{
    return operations->swept;
}

/* ---- as JSON ---- */

json_t *operation_json(const struct store_operation *row)
{
    json_t *shown = json_object();

    json_put(shown, "id", row->id);
    json_put(shown, "session", row->session);
    json_put(shown, "connector", row->connector);
    json_put(shown, "tool", row->tool);
    json_put(shown, "operation", row->operation);
    json_put(shown, "state", row->state);
    json_put_int(shown, "status", row->status);
    json_put_time(shown, "created", row->created_ms);
    json_put_time(shown, "updated", row->updated_ms);
    json_put(shown, "content_type", row->content_type);
    json_put_int(shown, "result_bytes", row->result_bytes);
    json_put_bool(shown, "truncated", row->truncated);
    json_put_bool(shown, "collected", row->collected);
    if (row->error != NULL)
        json_object_set_new(shown, "error", json_loads(row->error, 0, NULL));
    return shown;
}

static bool add_row(void *arg, const struct store_operation *row)
{
    json_array_append_new(arg, operation_json(row));
    return true;
}

json_t *operation_rows(struct monitor *monitor, const struct store_operation_filter *filter, struct err *err)
{
    json_t *list = json_array();

    if (store_operations(monitor->store, filter, add_row, list, err))
        return list;
    json_decref(list);
    return NULL;
}

/* ---- results in pieces ---- */

void delivery_free(struct delivery *delivery)
{
    struct delivery **at = &delivery->session->monitor->operations->deliveries;

    while (*at != delivery)
        at = &(*at)->next;
    *at = delivery->next;
    timer_stop(&delivery->timer);
    buf_clear(&delivery->result);
    free(delivery->op_id);
    free(delivery);
}

/* What the person is asked, where it waits for one. */
static void put_approval(struct session *session, const struct store_operation *row, json_t *shown)
{
    struct store_approval_filter filter = {.session = session->id, .operation = row->id, .limit = 1};
    struct err err = {0};

    if (strcmp(row->state, operation_word(OPERATION_PENDING)) != 0)
        return;
    json_t *rows JSON_AUTO = approval_rows(session->monitor, &filter, &err);
    json_put(shown, "approval", json_string_value(json_object_get(json_array_get(rows, 0), "id")));
    AUTOFREE char *next =
        mem_printf("A person on the host decides; nothing has been sent yet, and asking again changes nothing. "
                   "Go on with other work, then collect the result: aileron-wait %s", row->id);
    json_put(shown, "next", next);
}

static bool send_state(struct session *session, uint32_t id, const struct store_operation *row, size_t result_len)
{
    json_t *shown JSON_AUTO = operation_json(row);

    put_approval(session, row, shown);
    json_put_int(shown, "result_bytes", (int64_t)result_len);
    return worker_send_json(session, MESSAGE_OP_STATE, id, shown);
}

static bool begin(struct delivery *delivery, struct err *err)
{
    struct session *session = delivery->session;
    struct store_operation row = {0};

    delivery->begun = store_operation_get(session->monitor->store, delivery->op_id, &row, err) &&
                      store_operation_result(session->monitor->store, delivery->op_id, &delivery->result, err) &&
                      send_state(session, delivery->id, &row, delivery->result.len);
    store_operation_clear(&row);
    return delivery->begun;
}

/* It is off the list first, as with one that waits: a refusal may be told, and who is told looks. */
static void refuse(struct delivery *delivery, const struct err *err)
{
    struct session *session = delivery->session;
    AUTOFREE char *op_id = mem_strdup(delivery->op_id);
    uint32_t id = delivery->id;

    delivery_free(delivery);
    worker_refuse(session, id, err, NULL, op_id);
}

/* False: it goes on in a while. */
static bool send_pieces(struct delivery *delivery)
{
    while (delivery->sent < delivery->result.len) {
        if (worker_queued(delivery->session) > QUEUE_BYTES) {
            timer_start(&delivery->timer, RETRY_MS);
            return false;
        }
        size_t rest = delivery->result.len - delivery->sent;
        size_t piece = rest < MESSAGE_CHUNK_BYTES ? rest : MESSAGE_CHUNK_BYTES;
        unsigned flags = piece == rest ? MESSAGE_LAST : 0;
        if (!worker_send(delivery->session, MESSAGE_OP_RESULT, flags, delivery->id,
                         delivery->result.data + delivery->sent, piece))
            break;
        delivery->sent += piece;
    }
    return true;
}

static struct delivery *first_of(const struct session *session)
{
    struct delivery *delivery = session->monitor->operations->deliveries;

    while (delivery != NULL && delivery->session != session)
        delivery = delivery->next;
    return delivery;
}

/* A session's results one after another: a sandbox may ask for thousands at once, and each is a mebibyte. */
static void deliver(struct session *session)
{
    struct delivery *delivery;

    while ((delivery = first_of(session)) != NULL) {
        struct err err = {0};
        if (!delivery->begun && !begin(delivery, &err)) {
            refuse(delivery, &err);
            continue;
        }
        if (!send_pieces(delivery))
            return;
        delivery_free(delivery);
    }
}

static void deliver_on(void *arg)
{
    const struct delivery *delivery = arg;

    deliver(delivery->session);
}

static void add_delivery(struct session *session, uint32_t id, const char *op_id)
{
    struct delivery **at = &session->monitor->operations->deliveries;
    size_t count = 0;

    for (; *at != NULL; at = &(*at)->next)
        count += (*at)->session == session;
    if (count >= OPERATION_WAITERS) {
        operation_refuse_waiter(session, id, OPERATION_WAITERS);
        return;
    }
    struct delivery *delivery = *at = mem_alloc(sizeof *delivery);
    delivery->session = session;
    delivery->id = id;
    delivery->op_id = mem_strdup(op_id);
    timer_init(&delivery->timer, session->monitor->loop, deliver_on, delivery);
    deliver(session);
}

void operation_answer(struct session *session, uint32_t id, const struct store_operation *row)
{
    if (row->result_bytes > 0)
        add_delivery(session, id, row->id);
    else
        send_state(session, id, row, 0);
}

/* ---- OP_GET ---- */

void waiter_free(struct waiter *waiter)
{
    struct waiter **at = &waiter->session->monitor->operations->waiters;

    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    timer_stop(&waiter->timer);
    free(waiter->op_id);
    free(waiter);
}

/* The row, if it is this session's: another session's operation does not exist for it. */
static bool own_row(struct session *session, const char *op_id, struct store_operation *row, struct err *err)
{
    if (id_valid(op_id, "op_") && store_operation_get(session->monitor->store, op_id, row, err)) {
        if (strcmp(row->session, session->id) == 0)
            return true;
        store_operation_clear(row);
    }
    if (err->code == ERR_IO)
        return false;
    err_set(err, ERR_NOT_FOUND, "this session has no operation %.64s", op_id);
    return err_hint(err, "List them with GET /v1/operations");
}

static void answer_now(struct session *session, uint32_t id, const char *op_id)
{
    struct store_operation row = {0};
    struct err err = {0};

    if (own_row(session, op_id, &row, &err))
        operation_answer(session, id, &row);
    else
        worker_refuse(session, id, &err, NULL, NULL);
    store_operation_clear(&row);
}

/* It is off the list before it is answered: the answer looks at approvals, and the end of one wakes who waits. */
static void wait_over(void *arg)
{
    struct waiter *waiter = arg;
    struct session *session = waiter->session;
    AUTOFREE char *op_id = mem_strdup(waiter->op_id);
    uint32_t id = waiter->id;

    waiter_free(waiter);
    answer_now(session, id, op_id);
}

void operation_refuse_waiter(struct session *session, uint32_t id, size_t most)
{
    struct err err = {0};

    err_set(&err, ERR_LIMIT, "%zu questions of this session wait for an answer already", most);
    err_hint(&err, "Ask again in a while, without wait=, or for fewer at once");
    worker_refuse(session, id, &err, NULL, NULL);
}

static size_t count_waiters(const struct session *session)
{
    size_t count = 0;

    for (const struct waiter *w = session->monitor->operations->waiters; w != NULL; w = w->next)
        count += w->session == session;
    return count;
}

bool operation_get(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    const char *op_id;
    int64_t wait_ms = 0;
    enum operation_state state;
    struct store_operation row = {0};
    struct err why = {0};

    if (!json_get_text(at, "id", JSON_NEED, NAME_BYTES, &op_id, err) ||
        !json_get_int(at, "wait_ms", JSON_MAY, 0, OPERATION_WAIT_MS, &wait_ms, err))
        return false;
    if (id_valid(op_id, "apr_")) {
        approval_get(session, id, op_id, wait_ms);
        return true;
    }
    if (!own_row(session, op_id, &row, &why)) {
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    bool final = operation_parse(row.state, &state) && operation_final(state);
    if (!final && wait_ms > 0 && count_waiters(session) >= OPERATION_WAITERS) {
        operation_refuse_waiter(session, id, OPERATION_WAITERS);
    } else if (!final && wait_ms > 0) {
        struct waiter *waiter = mem_alloc(sizeof *waiter);
        waiter->session = session;
        waiter->id = id;
        waiter->op_id = mem_strdup(op_id);
        timer_init(&waiter->timer, session->monitor->loop, wait_over, waiter);
        timer_start(&waiter->timer, (uint64_t)wait_ms);
        waiter->next = session->monitor->operations->waiters;
        session->monitor->operations->waiters = waiter;
    } else {
        operation_answer(session, id, &row);
    }
    store_operation_clear(&row);
    return true;
}

void operation_cancel(struct session *session, uint32_t id)
{
    approval_cancel(session, id);
    for (struct waiter *w = session->monitor->operations->waiters; w != NULL; w = w->next) {
        if (w->session == session && w->id == id) {
            waiter_free(w);
            break;
        }
    }
    for (struct delivery *d = session->monitor->operations->deliveries; d != NULL; d = d->next) {
        if (d->session == session && d->id == id) {
            delivery_free(d);
            break;
        }
    }
    deliver(session); /* it may have been the one that others wait for */
}

void operation_wake(struct operations *operations, const char *op_id)
{
    struct waiter *waiter = operations->waiters;

    while (waiter != NULL) {
        bool wanted = strcmp(waiter->op_id, op_id) == 0;
        struct waiter *next = waiter->next;
        if (wanted) {
            wait_over(waiter);
            next = operations->waiters; /* others may have gone with it */
        }
        waiter = next;
    }
}

void operation_forget_waiters(struct session *session)
{
    struct operations *operations = session->monitor->operations;
    struct waiter *next;
    struct delivery *after;

    for (struct waiter *w = operations->waiters; w != NULL; w = next) {
        next = w->next;
        if (w->session == session)
            waiter_free(w);
    }
    for (struct delivery *d = operations->deliveries; d != NULL; d = after) {
        after = d->next;
        if (d->session == session)
            delivery_free(d);
    }
}

/* ---- OP_LIST, OP_ACK ---- */

bool operation_list(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    const char *state_word = NULL;
    enum operation_state state;
    bool uncollected = false;
    struct err why = {0};

    if (!json_get_text(at, "state", JSON_MAY, NAME_BYTES, &state_word, err) ||
        !json_get_bool(at, "uncollected", JSON_MAY, &uncollected, err))
        return false;
    if (state_word != NULL && state_word[0] != 0 && !operation_parse(state_word, &state)) {
        err_set(&why, ERR_DATA, "no such state: %.32s", state_word);
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    json_t *rows = operation_rows(session->monitor,
                                  &(struct store_operation_filter){
                                      .session = session->id,
                                      .state = state_word != NULL && state_word[0] != 0 ? state_word : NULL,
                                      .uncollected = uncollected,
                                      .limit = OPERATION_LISTED},
                                  &why);
    if (rows == NULL) {
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    json_t *answer JSON_AUTO = json_object();
    json_object_set_new(answer, "operations", rows);
    worker_send_json(session, MESSAGE_OP_LISTED, id, answer);
    return true;
}

bool operation_ack(struct session *session, uint32_t id, const struct json_at *at, struct err *err)
{
    struct json_at ids;
    struct err why = {0};
    size_t count;
    int64_t acked = 0;

    if (!json_get_list(at, "ids", JSON_NEED, ACK_IDS, &ids, &count, err))
        return false;
    /* One commit for all of them. */
    if (!store_begin(session->monitor->store, &why)) {
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_at element = json_element(&ids, i);
        struct store_operation row = {0};
        enum operation_state state;
        const char *op_id;
        bool changed = false;
        if (!json_text_of(&element, NAME_BYTES, &op_id, err)) {
            store_rollback(session->monitor->store);
            return false;
        }
        if (!own_row(session, op_id, &row, &why))
            continue;
        if (operation_parse(row.state, &state) && operation_final(state) &&
            !store_operation_collect(session->monitor->store, session->id, op_id, &changed, &why))
            log_warn("operation %s: %s", op_id, why.message);
        acked += changed;
        store_operation_clear(&row);
    }
    if (!store_commit(session->monitor->store, &why)) {
        worker_refuse(session, id, &why, NULL, NULL);
        return true;
    }
    if (acked > 0) {
        json_t *event = record_event("operation.collected", session->id);
        json_put_int(event, "count", acked);
        session->quota.collected = true;
        quota_note(session, event);
    }
    json_t *answer JSON_AUTO = json_object();
    json_put_int(answer, "acked", acked);
    worker_send_json(session, MESSAGE_OP_ACKED, id, answer);
    return true;
}
