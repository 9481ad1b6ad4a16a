/* What a worker that was taken over says to the monitor (C13): messages, one a line: a byte that is the type ('@' is
 * READY, 64), a byte that is the id, the payload. A round ('B') is one event as JSON, or the bytes as they are; a
 * question for a credential ('A') is JSON. The operation id of zeros stands for the newest one that runs, which no
 * input could know. Whatever comes, the monitor goes on, its record verifies, and the one secret of its vault is handed
 * out for exactly the requests that the rules give it to. */
#include "tests/fuzz/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ASK = 65 /* 'A': a question for a credential, by itself and as JSON */ };

static struct loop *loop;
static struct world world;
static unsigned given;
static bool said; /* the input holds the secret itself: a fuzzer learns what it is compared with, and answers echo */

static unsigned answers_in(const struct ipc_message *message)
{
    struct span rest = {(const char *)message->data, message->len};
    struct flat flat;
    struct err err;
    unsigned count = 0;
    for (; rest.len > 0; count++)
        require(flat_take(&rest, &flat, &err) && flat_check(&flat, message_answer_names, &err));
    return count;
}

/* The worker's end of the channel: all answers come here. */
static void on_answer(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    require(message->type < MESSAGE_READY && message->type != MESSAGE_SNAPSHOT);
    if (message->type == MESSAGE_CREDENTIAL)
        given += answers_in(message);
    else
        require(said || memmem(message->data, message->len, WORLD_SECRET, sizeof WORLD_SECRET - 1) == NULL);
}

static void on_end(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    (void)arg;
}

static const struct ipc_handler worker_end = {on_answer, on_end};

/* Lines of the record that say a credential was given, and whether the rules give it there. */
static unsigned count_given(void)
{
    static const struct audit_filter filter = {.event = "credential", .decision = "allow"};
    AUTOFREE char *dir = file_join(world.home, "audit");
    struct span text;
    struct err err;
    json_t *line;
    unsigned count = 0;
    struct audit_reader *reader = audit_reader_open(dir, &filter, false, &err);
    require(reader != NULL);
    while (audit_reader_next(reader, &text, &line, &err) == AUDIT_LINE) {
        const char *path = json_string_value(json_object_get(line, "path"));
        require(strcmp(json_string_value(json_object_get(line, "host")), "api.test") == 0 &&
                strcmp(json_string_value(json_object_get(line, "binding")), "user/api") == 0 &&
                strncmp(path, "/a/", 3) == 0);
        count++;
    }
    audit_reader_close(reader);
    return count;
}

static void end(void)
{
    require(count_given() == given);
    world_close(&world);
}

static void begin(void)
{
    struct err err;
    if (!loop) {
        require(tls_init(&err) && (loop = loop_new(&err)) != NULL && atexit(end) == 0);
        log_open("fuzz", LOG_ERROR);
    } else {
        end();
    }
    given = 0;
    world_open(&world, loop, 1);
}

static void name_operation(struct buf *payload)
{
    static const char zeros[] = "op_00000000000000000000000000";
    const struct running *running = world.monitor.operations->running;
    uint8_t *at = payload->data;
    while (running && at && (at = memmem(at, payload->len - (size_t)(at - payload->data), zeros, sizeof zeros - 1)))
        memcpy(at, running->op_id, sizeof zeros - 1);
}

static void put_field(struct flat_out *out, const char *key, const json_t *value)
{
    if (json_is_integer(value))
        flat_put_int(out, key, json_integer_value(value));
    else if (json_is_string(value))
        flat_put_span(out, key, (struct span){json_string_value(value), json_string_length(value)});
    else if (json_is_boolean(value))
        flat_put_bool(out, key, json_is_true(value));
}

/* JSON in place of the bytes: an event, or a question with this id. False: it stands for none. */
static bool make_flat(struct buf *payload, uint8_t id)
{
    json_t *object = json_loadb((const char *)payload->data, payload->len, 0, NULL);
    struct flat_out out;
    struct buf flat;
    struct err err;
    bool made = json_is_object(object);
    buf_init(&flat, 8 * payload->len + 1024);
    if (made && id == 0) {
        made = audit_event_flat(object, &flat, &err);
    } else if (made) {
        flat_begin(&out, &flat, MESSAGE_FLAT_ASK, message_ask_names);
        flat_put_int(&out, "id", id);
        for (const char *const *name = message_ask_names + 1; *name; name++)
            put_field(&out, *name, json_object_get(object, *name));
        made = flat_end(&out);
    }
    json_decref(object);
    buf_wipe(payload);
    *payload = flat;
    if (!made)
        buf_clear(payload);
    return made;
}

static void say(const uint8_t *line, size_t len)
{
    CLEANUP(buf_wipe) struct buf payload; /* of exactly its size, so that a sanitizer sees what is read beyond */
    buf_init(&payload, len);
    require(buf_add(&payload, line + 2, len - 2));
    name_operation(&payload);
    struct err err = {0};
    if ((line[0] == ASK || line[0] == MESSAGE_ROUND) && payload.len > 0 && payload.data[0] == '{' &&
        !make_flat(&payload, line[0] == ASK ? line[1] : 0))
        return;
    uint8_t nothing[1] = {0}; /* the channel's buffer is always there */
    struct ipc_message message = {.type = line[0] == ASK ? MESSAGE_ROUND : line[0], .id = line[1],
                                  .data = payload.len > 0 ? payload.data : nothing, .len = payload.len};
    struct doc doc = {0};
    bool raw = message.type == MESSAGE_OP_BODY || message.type == MESSAGE_CANCEL ||
               message.type == MESSAGE_ROUND;
    struct json_at at = {0};
    if (!raw) {
        if (!json_parse(message.data, message.len, WORKER_JSON_BYTES, "message", ERR_DATA, &doc, &err))
            return;
        at = json_root(&doc);
    }
    if ((raw || json_want_object(&at, &err)) && !dispatch(world.session, &message, &at, &err))
        require(err.message[0] != 0);
    doc_clear(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    struct err err;
    if (!loop || world.inputs++ == WORLD_INPUTS)
        begin();
    said = size > 0 && memmem(data, size, WORLD_SECRET, sizeof WORLD_SECRET - 1) != NULL;
    require(ipc_pair(pair, &err));
    static const struct ipc_handler monitor_end = {on_answer, on_end}; /* nothing comes: messages are given below */
    world.worker.ipc = ipc_new(loop, pair[0], &monitor_end, NULL);
    struct ipc *other = ipc_new(loop, pair[1], &worker_end, NULL);
    while (size > 0) {
        const uint8_t *line_end = memchr(data, '\n', size);
        size_t len = line_end ? (size_t)(line_end - data) : size;
        if (len >= 2)
            say(data, len);
        len = line_end ? len + 1 : len;
        data += len;
        size -= len;
        loop_turn(loop, false);
    }
    operation_worker_gone(world.session);
    require(world.monitor.operations->running == NULL && world.monitor.operations->waiters == NULL);
    for (int turn = 0; turn < 64 && world.monitor.operations->deliveries; turn++)
        loop_turn(loop, false);
    loop_turn(loop, false);
    loop_turn(loop, false);
    ipc_free(world.worker.ipc);
    ipc_free(other);
    world.worker.ipc = NULL;
    while (world.monitor.operations->deliveries)
        delivery_free(world.monitor.operations->deliveries);
    loop_turn(loop, false);
    return 0;
}
