/* The shared parts of a worker: rules in force, questions to the monitor. */
#include "core/plane/plane.h"
#include "core/base/log.h"
#include "core/plane/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERNAME_BYTES = 1024 };

static struct stream_config *client_of(const struct snapshot *snapshot, struct trust *trust, bool http1,
                                       struct span identity, struct err *err)
{
    static const char *const both[] = {"h2", "http/1.1", NULL};
    struct stream_client_options options = {.trust = trust, .alpn = both + http1,
                                            .tls13_only = snapshot->rules->config->tls.tls13_only,
                                            .client_cert_pem = identity, .client_key_pem = identity};
    return stream_config_client(&options, err);
}

/* A host may have no roots at all: nothing is trusted then, and the session runs all the same. */
static bool trust_host(struct trust *trust, const struct snapshot *snapshot, struct err *err)
{
    return snapshot->roots_pem == NULL || snapshot->roots_pem[0] == '\0' ||
           trust_add(trust, span_of(snapshot->roots_pem), TRUST_BORROW, err);
}

struct epoch *epoch_new(struct snapshot *snapshot, struct err *err)
{
    struct epoch *epoch = mem_alloc(sizeof(*epoch));
    epoch->refs = 1;
    epoch->trust = trust_new();
    struct span none = {NULL, 0};
    if (trust_host(epoch->trust, snapshot, err) &&
        (epoch->client = client_of(snapshot, epoch->trust, false, none, err)) &&
        (epoch->client_http1 = client_of(snapshot, epoch->trust, true, none, err))) {
        epoch->snapshot = snapshot;
        epoch->sentinels = guard_sentinels(snapshot);
        epoch->own = mem_array(snapshot->upstream_root_count + 1, sizeof(*epoch->own));
        return epoch;
    }
    stream_config_unref(epoch->client);
    trust_unref(epoch->trust);
    free(epoch);
    return NULL;
}

struct epoch *epoch_ref(struct epoch *epoch)
{
    epoch->refs++;
    return epoch;
}

void epoch_unref(struct epoch *epoch)
{
    if (!epoch || --epoch->refs > 0)
        return;
    for (size_t i = 0; i < epoch->snapshot->upstream_root_count; i++) {
        stream_config_unref(epoch->own[i].client[0]);
        stream_config_unref(epoch->own[i].client[1]);
        trust_unref(epoch->own[i].trust);
    }
    free(epoch->own);
    stream_config_unref(epoch->client);
    stream_config_unref(epoch->client_http1);
    trust_unref(epoch->trust);
    needles_free(epoch->sentinels);
    snapshot_free(epoch->snapshot); /* last: trust borrows its roots */
    free(epoch);
}

static struct trust *trust_with(const struct snapshot *snapshot, const char *pem, struct err *err)
{
    struct trust *trust = trust_new();
    if (trust_host(trust, snapshot, err) && trust_add(trust, span_of(pem), TRUST_BORROW, err))
        return trust;
    trust_unref(trust);
    return NULL;
}

static struct epoch_own *own_of(struct epoch *epoch, struct span host)
{
    for (size_t i = 0; i < epoch->snapshot->upstream_root_count; i++)
        if (span_eqs(host, epoch->snapshot->upstream_roots[i].host))
            return &epoch->own[i];
    return NULL;
}

struct stream_config *epoch_client(struct epoch *epoch, struct span host, bool http1, struct span identity,
                                   struct err *err)
{
    const struct snapshot *snapshot = epoch->snapshot;
    struct epoch_own *own = own_of(epoch, host);
    if (own && !own->trust &&
        !(own->trust = trust_with(snapshot, snapshot->upstream_roots[own - epoch->own].pem, err)))
        return NULL;
    if (identity.len > 0)
        return client_of(snapshot, own ? own->trust : epoch->trust, http1, identity, err);
    if (!own)
        return stream_config_ref(http1 ? epoch->client_http1 : epoch->client);
    if (!own->client[http1])
        own->client[http1] = client_of(snapshot, own->trust, http1, identity, err);
    return own->client[http1] ? stream_config_ref(own->client[http1]) : NULL;
}

/* ---- the end ---- */

void plane_leave(struct plane *plane)
{
    plane->connections--;
    if (plane->connections == 0 && plane->drained)
        task_post(plane->drained);
}

static void finished(void *arg)
{
    plane_leave(arg);
}

void plane_finish(struct plane *plane, struct conn *conn, uint64_t ms)
{
    conn_finish_then(conn, ms, finished, plane);
}

void plane_drain(struct plane *plane, struct task *drained)
{
    plane->draining = true;
    plane->drained = drained;
    if (plane->connections == 0)
        task_post(drained);
}

bool plane_may_begin(const struct plane *plane, struct err *err)
{
    if (plane->draining) {
        err_set(err, ERR_DENIED, "this session has ended");
        return err_hint(err, "Nothing more is sent for it; the user can launch a new one");
    }
    *err = plane->halted;
    return err->code == ERR_NONE;
}

void plane_follow(struct plane *plane, struct epoch *epoch)
{
    const uint64_t *limits = epoch->snapshot->rules->config->limits;
    epoch_unref(plane->epoch);
    plane->epoch = epoch;
    pool_limits(plane->pool, limits[LIMIT_POOL_IDLE_MS], limits[LIMIT_POOL_TOTAL]);
    pool_empty(plane->pool);
    resolver_timeout(plane->resolver, limits[LIMIT_RESOLVE_MS]);
    resume_empty(plane->resume);
}

/* ---- questions ---- */

struct ask {
    struct plane *plane;
    struct ask *next;
    uint32_t id;
    ask_fn fn; /* NULL: cancelled, while its answer is being given */
    void *arg;
    bool answering;
};

static void forget(struct ask *ask)
{
    struct ask **link = &ask->plane->asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    free(ask);
}

bool plane_fits(const json_t *payload, struct err *err)
{
    struct buf text CLEANUP(buf_wipe);
    buf_init(&text, IPC_PAYLOAD_MAX);
    return json_write(payload, &text) ||
           err_set(err, ERR_LIMIT, "the request is longer than %d KiB", IPC_PAYLOAD_MAX / 1024);
}

struct ask *plane_ask_later(struct plane *plane, ask_fn fn, void *arg)
{
    struct ask *ask = mem_alloc(sizeof(*ask));
    plane->last_ask = plane->last_ask < MESSAGE_UNASKED - 1 ? plane->last_ask + 1 : 1;
    *ask = (struct ask){.plane = plane, .next = plane->asks, .id = plane->last_ask, .fn = fn, .arg = arg};
    plane->asks = ask;
    return ask;
}

struct ask *plane_ask_bytes(struct plane *plane, enum message_type type, const void *payload, size_t len, ask_fn fn,
                            void *arg)
{
    struct ask *ask = plane_ask_later(plane, fn, arg);
    lines_flush(&plane->lines);
    ipc_send(plane->ipc, (uint16_t)type, 0, ask->id, payload, len, NULL, 0);
    return ask;
}

struct ask *plane_ask(struct plane *plane, enum message_type type, const json_t *payload, ask_fn fn,
                      void *arg)
{
    struct buf text CLEANUP(buf_wipe);
    buf_init(&text, IPC_PAYLOAD_MAX);
    /* What goes in is bounded by its sources (heads, arguments); a payload that does not fit reaches the
     * monitor as an empty one, which it refuses. */
    if (!json_write(payload, &text))
        buf_clear(&text);
    return plane_ask_bytes(plane, type, text.data, text.len, fn, arg);
}

uint32_t ask_id(const struct ask *ask)
{
    return ask->id;
}

void ask_cancel(struct ask *ask)
{
    if (!ask)
        return;
    if (ask->answering)
        ask->fn = NULL;
    else
        forget(ask); /* at once: the monitor answers no question that it was told to drop */
}

static void answer_one(struct plane *plane, const struct ipc_message *message)
{
    struct ask *ask = plane->asks;
    while (ask && ask->id != message->id)
        ask = ask->next;
    if (!ask)
        return;
    ask->answering = true;
    bool more = ask->fn(ask->arg, message);
    ask->answering = false;
    if (!more || !ask->fn)
        forget(ask);
}

void plane_answer(struct plane *plane, const struct ipc_message *message)
{
    struct span rest = {(const char *)message->data, message->len};
    struct err err;
    if (message->type != MESSAGE_CREDENTIAL) {
        answer_one(plane, message);
        return;
    }
    while (rest.len > 0) {
        struct ipc_message one = *message;
        struct flat flat;
        int64_t id;
        one.data = (const uint8_t *)rest.p;
        if (!flat_take(&rest, &flat, &err) || !flat_check(&flat, message_answer_names, &err) ||
            !flat_get_int(&flat, "id", 1, MESSAGE_UNASKED - 1, &id, &err)) {
            log_error("the monitor's credentials cannot be read: %s", err.message);
            return;
        }
        one.id = (uint32_t)id;
        one.len = (size_t)(rest.p - (const char *)one.data);
        answer_one(plane, &one);
    }
}

void plane_refusal(const struct ipc_message *message, struct err *err)
{
    struct doc doc CLEANUP(doc_clear) = {0};
    const char *code = NULL, *text = "", *hint = "";
    err_set(err, ERR_INTERNAL, "the monitor's answer cannot be read");
    if (!json_parse(message->data, message->len, IPC_PAYLOAD_MAX, "monitor", ERR_INTERNAL, &doc, err))
        return;
    struct json_at at = json_root(&doc);
    if (!json_get_text(&at, "code", JSON_NEED, 64, &code, err) ||
        !json_get_raw(&at, "message", JSON_NEED, 1024, &text, err) ||
        !json_get_raw(&at, "hint", JSON_MAY, 1024, &hint, err))
        return;
    err_set(err, err_from_word(code), "%s", text);
    err_hint(err, "%s", hint);
}

bool plane_credential(const struct ipc_message *message, struct plane_credential *out, struct err *err)
{
    struct span rest = {(const char *)message->data, message->len};
    struct flat_field secret, grant;
    struct flat flat;
    *out = (struct plane_credential){.username = ""};
    if (message->type == MESSAGE_REFUSED) {
        plane_refusal(message, err);
        return false;
    }
    if (message->type != MESSAGE_CREDENTIAL)
        return err_set(err, ERR_INTERNAL, "the monitor's answer is of an unknown type");
    if (!flat_take(&rest, &flat, err) || !flat_check(&flat, message_answer_names, err) ||
        !flat_get_text(&flat, "username", FLAT_MAY, USERNAME_BYTES, &out->username, err))
        return false;
    if (!flat_find(&flat, "secret", &secret) || secret.type != FLAT_BYTES)
        return err_set(err, ERR_INTERNAL, "the monitor's credential cannot be read");
    out->secret = secret.text;
    if (flat_find(&flat, "grant", &grant) && grant.type == FLAT_INT)
        out->grant = (uint64_t)grant.number;
    return true;
}

void plane_halt(struct plane *plane, const struct ipc_message *message)
{
    plane->halted = (struct err){0};
    if (message->len > sizeof("{}") - 1)
        plane_refusal(message, &plane->halted);
}

/* ---- a monitor that is slow ---- */

enum { CALM_BYTES = IPC_QUEUE_BYTES / 8, CALM_RETRY_MS = 5 };

void calm_cancel(struct calm *calm)
{
    if (!calm->link)
        return;
    *calm->link = calm->next;
    if (calm->next)
        calm->next->link = calm->link;
    calm->link = NULL;
}

static void on_calm_time(void *arg)
{
    struct plane *plane = arg;
    if (ipc_queued(plane->ipc) > CALM_BYTES) {
        timer_start(&plane->calm_timer, CALM_RETRY_MS);
        return;
    }
    while (plane->waiting) {
        struct task *task = plane->waiting->task;
        calm_cancel(plane->waiting);
        task_post(task); /* it looks again: one of many may fill the channel */
    }
}

bool plane_calm(struct plane *plane, struct calm *calm, struct task *task)
{
    if (ipc_queued(plane->ipc) <= CALM_BYTES)
        return true;
    if (calm->link)
        return false;
    if (!plane->calm_timed) /* once: it may run for one that waited, and has gone */
        timer_init(&plane->calm_timer, plane->loop, on_calm_time, plane);
    plane->calm_timed = true;
    if (!timer_running(&plane->calm_timer))
        timer_start(&plane->calm_timer, CALM_RETRY_MS);
    *calm = (struct calm){.next = plane->waiting, .link = &plane->waiting, .task = task};
    if (calm->next)
        calm->next->link = &calm->next;
    plane->waiting = calm;
    return false;
}
