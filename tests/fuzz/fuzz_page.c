/* What a page worker that was taken over says to the monitor (A01): messages, one a line: 'A' a question, 'M' more of a
 * stream, 'C' it is cancelled; a byte that is the id; a question's payload with '~' for its NUL. 64 zeros stand for the
 * cookie, 64 ones for the key, 64 twos for the digest of what waits, and apr_ with 26 zeros for its id: no input could
 * know them. Whatever comes, the monitor goes on; without the login nothing is answered but refusals, and nothing is
 * decided without login and digest. */
#include "tests/fuzz/world.h"

#include "core/authority/page_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct world world;
static char cookie[PAGE_TOKEN_HEX + 1], key[PAGE_TOKEN_HEX + 1], digest[PAGE_TOKEN_HEX + 1];
static char approval[APPROVAL_ID_BYTES];
static bool knows_login, may_open; /* what the message under way has */

static void on_answer(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    require(message->type == PAGE_ANSWER || message->type == PAGE_DATA);
    require(memmem(message->data, message->len, WORLD_SECRET, sizeof WORLD_SECRET - 1) == NULL);
    if (message->type == PAGE_ANSWER && !knows_login && !may_open)
        require(memmem(message->data, message->len, "{\"status\":403}", 14) == message->data ||
                memmem(message->data, message->len, "{\"status\":400}", 14) == message->data);
}

static void on_end(struct ipc *ipc, const struct err *err, void *arg)
{
    (void)ipc;
    (void)err;
    (void)arg;
}

static const struct ipc_handler worker_end = {on_answer, on_end}, monitor_end = {on_answer, on_end};

static void ask_person(void)
{
    struct err err;
    json_t *shown JSON_AUTO = json_pack("{s:s, s:s, s:s}", "kind", "request", "host", "api.test", "body", "<b>");
    require(store_begin(world.monitor.store, &err) &&
            approval_add(world.session, NULL, "rule", shown, approval, &err) &&
            store_commit(world.monitor.store, &err));
    free(approval_digest(shown, digest));
}

static void begin(void)
{
    struct err err;
    char token[PAGE_TOKEN_HEX + 1];
    if (!loop) {
        require(tls_init(&err) && (loop = loop_new(&err)) != NULL);
        log_open("fuzz", LOG_ERROR);
    } else {
        page_close(&world.monitor);
        world_close(&world);
    }
    world_open(&world, loop, 1);
    page_follow(&world.monitor);
    require(world.monitor.page != NULL);
    page_link_new(world.monitor.page->logins, token);
    require(page_link_use(world.monitor.page->logins, span_of(token), cookie, key));
    ask_person();
}

static bool is_pending(void)
{
    struct store_approval row;
    struct err err;
    require(store_approval_get(world.monitor.store, approval, &row, &err));
    bool pending = strcmp(row.state, "pending") == 0;
    store_approval_clear(&row);
    return pending;
}

/* Puts in what no input could know; true where it was asked for. */
static bool put_in(struct buf *payload, char digit, size_t count, const char *text)
{
    char mark[PAGE_TOKEN_HEX];
    uint8_t *at = payload->data;
    bool any = false;
    memset(mark, digit, sizeof mark);
    while (at && (at = memmem(at, payload->len - (size_t)(at - payload->data), mark, count))) {
        memcpy(at, text, count);
        any = true;
    }
    return any;
}

static void say(const uint8_t *line, size_t len)
{
    CLEANUP(buf_wipe) struct buf payload; /* of exactly its size, so that a sanitizer sees what is read beyond */
    struct page *page = world.monitor.page;
    struct err err = {0};
    buf_init(&payload, len);
    require(buf_add(&payload, line + 2, len - 2));
    uint8_t *nul = payload.data ? memchr(payload.data, '~', payload.len) : NULL;
    if (nul)
        *nul = 0;
    bool has_cookie = put_in(&payload, '0', PAGE_TOKEN_HEX, cookie);
    bool has_key = put_in(&payload, '1', PAGE_TOKEN_HEX, key);
    bool has_digest = put_in(&payload, '2', PAGE_TOKEN_HEX, digest);
    put_in(&payload, '0', ULID_LEN, approval + 4);
    knows_login = has_cookie && has_key;
    const void *bytes = payload.data ? payload.data : (const uint8_t *)"";
    may_open = memmem(bytes, payload.len, "login", 5) != NULL;
    if (line[0] == 'A' && !page_ask(page, line[1], bytes, payload.len, &err))
        require(err.message[0] != 0);
    if (line[0] == 'M')
        page_stream_more(page, line[1]);
    if (line[0] == 'C')
        page_stream_gone(page, line[1]);
    loop_turn(loop, false);
    loop_turn(loop, false);
    if (is_pending())
        return;
    require(knows_login && has_digest);
    ask_person();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    struct err err;
    if (!loop || world.inputs++ == WORLD_INPUTS ||
        page_login_find(world.monitor.page->logins, span_of(cookie), span_of(key)) == 0)
        begin();
    require(ipc_pair(pair, &err));
    world.monitor.page->ipc = ipc_new(loop, pair[0], &monitor_end, NULL);
    struct ipc *other = ipc_new(loop, pair[1], &worker_end, NULL);
    while (size > 0) {
        const uint8_t *line_end = memchr(data, '\n', size);
        size_t len = line_end ? (size_t)(line_end - data) : size;
        if (len >= 2)
            say(data, len);
        len = line_end ? len + 1 : len;
        data += len;
        size -= len;
    }
    knows_login = true; /* of the streams: they end with the worker */
    page_streams_end(world.monitor.page, 0);
    ipc_free(world.monitor.page->ipc);
    world.monitor.page->ipc = NULL;
    ipc_free(other);
    loop_turn(loop, false);
    return 0;
}
