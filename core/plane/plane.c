/* The shared parts of a worker: rules in force, questions to the monitor, lines for the record. */
#include "core/plane/plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const alpn[] = {"http/1.1", NULL};

struct epoch *epoch_new(struct snapshot *snapshot, struct err *err)
{
    struct epoch *epoch = mem_alloc(sizeof(*epoch));
    epoch->refs = 1;
    epoch->trust = trust_new();
    struct stream_client_options options = {.trust = epoch->trust, .alpn = alpn,
                                            .tls13_only = snapshot->rules->config->tls.tls13_only};
    if (trust_add(epoch->trust, span_of(snapshot->roots_pem), TRUST_BORROW, err) &&
        (epoch->client = stream_config_client(&options, err))) {
        epoch->snapshot = snapshot;
        epoch->own = mem_array(snapshot->upstream_root_count + 1, sizeof(struct stream_config *));
        return epoch;
    }
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
    for (size_t i = 0; i < epoch->snapshot->upstream_root_count; i++)
        stream_config_unref(epoch->own[i]);
    free(epoch->own);
    stream_config_unref(epoch->client);
    trust_unref(epoch->trust);
    snapshot_free(epoch->snapshot); /* last: trust borrows its roots */
    free(epoch);
}

static struct stream_config *config_with(const struct snapshot *snapshot, const char *pem, struct err *err)
{
    struct trust *trust = trust_new();
    struct stream_client_options options = {.trust = trust, .alpn = alpn,
                                            .tls13_only = snapshot->rules->config->tls.tls13_only};
    struct stream_config *config = NULL;
    if (trust_add(trust, span_of(snapshot->roots_pem), TRUST_BORROW, err) &&
        trust_add(trust, span_of(pem), TRUST_BORROW, err))
        config = stream_config_client(&options, err);
    trust_unref(trust);
    return config;
}

struct stream_config *epoch_client(struct epoch *epoch, struct span host, struct err *err)
{
    const struct snapshot *snapshot = epoch->snapshot;
    for (size_t i = 0; i < snapshot->upstream_root_count; i++) {
        if (!span_eqs(host, snapshot->upstream_roots[i].host))
            continue;
        if (!epoch->own[i])
            epoch->own[i] = config_with(snapshot, snapshot->upstream_roots[i].pem, err);
        return epoch->own[i] ? stream_config_ref(epoch->own[i]) : NULL;
    }
    return stream_config_ref(epoch->client);
}

/* ---- questions ---- */

struct ask {
    struct ask *next;
    uint32_t id;
    ask_fn fn; /* NULL: cancelled */
    void *arg;
};

bool plane_fits(const json_t *payload, struct err *err)
{
    struct buf text CLEANUP(buf_wipe);
    buf_init(&text, IPC_PAYLOAD_MAX);
    return json_write(payload, &text) ||
           err_set(err, ERR_LIMIT, "the request is longer than %d KiB", IPC_PAYLOAD_MAX / 1024);
}

struct ask *plane_ask(struct plane *plane, enum message_type type, const json_t *payload, ask_fn fn,
                      void *arg)
{
    struct ask *ask = mem_alloc(sizeof(*ask));
    *ask = (struct ask){.next = plane->asks, .id = ++plane->last_ask, .fn = fn, .arg = arg};
    plane->asks = ask;
    struct buf text CLEANUP(buf_wipe);
    buf_init(&text, IPC_PAYLOAD_MAX);
    /* What goes in is bounded by its sources (heads, arguments); a payload that does not fit reaches the
     * monitor as an empty one, which it refuses. */
    if (!json_write(payload, &text))
        buf_clear(&text);
    ipc_send(plane->ipc, (uint16_t)type, 0, ask->id, text.data, text.len, NULL, 0);
    return ask;
}

uint32_t ask_id(const struct ask *ask)
{
    return ask->id;
}

void ask_cancel(struct ask *ask)
{
    if (ask)
        ask->fn = NULL;
}

void plane_answer(struct plane *plane, const struct ipc_message *message)
{
    struct ask **link = &plane->asks;
    while (*link && (*link)->id != message->id)
        link = &(*link)->next;
    struct ask *ask = *link;
    if (!ask)
        return;
    bool more = ask->fn && ask->fn(ask->arg, message);
    if (more && ask->fn)
        return;
    /* The callback may have asked something itself: find the link again. */
    for (link = &plane->asks; *link != ask; link = &(*link)->next)
        ;
    *link = ask->next;
    free(ask);
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

void plane_record(struct plane *plane, json_t *event)
{
    struct buf text CLEANUP(buf_clear);
    buf_init(&text, IPC_PAYLOAD_MAX);
    if (json_write(event, &text))
        ipc_send(plane->ipc, MESSAGE_RECORD, 0, 0, text.data, text.len, NULL, 0);
    json_decref(event);
}
