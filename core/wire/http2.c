/* HTTP/2 sessions: nghttp2's callbacks become the few events of http2.h, and its freedoms become bounds. Heads are
 * read in http2_head.c; what we send is http2_send.c. */
#include "core/wire/http2_private.h"

#include <stdlib.h>

enum { SETTINGS_ENTRIES_MAX = 32 };

/* ---- memory: heads with credentials pass through nghttp2's buffers, so that what it frees is wiped ---- */

union block {
    size_t size;
    max_align_t align;
};

static void *block_new(size_t size, void *arg)
{
    (void)arg;
    union block *block = mem_alloc(sizeof(*block) + size);
    block->size = size;
    return block + 1;
}

static void block_free(void *ptr, void *arg)
{
    (void)arg;
    if (!ptr)
        return;
    union block *block = (union block *)ptr - 1;
    explicit_bzero(block, sizeof(*block) + block->size);
    free(block);
}

static void *block_array(size_t count, size_t size, void *arg)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return block_new(bytes, arg);
}

static void *block_resize(void *ptr, size_t size, void *arg)
{
    void *made = block_new(size, arg);
    if (ptr) {
        size_t old = ((union block *)ptr - 1)->size;
        memcpy(made, ptr, old < size ? old : size);
        block_free(ptr, arg);
    }
    return made;
}

/* ---- streams ---- */

struct http2_stream *http2_stream_new(struct http2 *session, int32_t id)
{
    struct http2_stream *stream = mem_alloc(sizeof(*stream));
    stream->session = session;
    stream->id = id;
    stream->arena = arena_new(MSG_ARENA_BYTES);
    msg_init(&stream->msg, stream->arena);
    buf_init(&stream->in, HTTP2_WINDOW_BYTES);
    buf_init(&stream->out, 2 * HTTP2_OUT_BYTES);
    stream->next = session->streams;
    stream->self = &session->streams;
    if (stream->next)
        stream->next->self = &stream->next;
    session->streams = stream;
    session->count++;
    return stream;
}

static void stream_free(struct http2_stream *stream)
{
    arena_free(stream->arena);
    buf_wipe(&stream->in);
    buf_wipe(&stream->out);
    free(stream->err);
    free(stream);
}

struct http2_stream *http2_find(struct http2 *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->nghttp2, id);
}

/* The owner of a server's session knows of a stream by its head alone. */
static void tell_closed(struct http2_stream *stream, uint32_t code)
{
    struct http2 *session = stream->session;
    if (!session->server || stream->head_given)
        session->handler->closed(session->arg, stream, code);
}

void http2_stream_drop(struct http2_stream *stream)
{
    struct http2 *session = stream->session;
    if (stream->lingering)
        session->lingering--;
    else
        nghttp2_session_set_stream_user_data(session->nghttp2, stream->id, NULL);
    stream->lingering = false;
    stream->gone = true;
    *stream->self = stream->next;
    if (stream->next)
        stream->next->self = stream->self;
    stream->next = session->freed;
    session->freed = stream;
    session->count--;
}

/* The closed streams whose last bytes were taken by now. */
static void end_lingering(struct http2 *session)
{
    struct http2_stream *stream = session->streams;
    while (session->lingering && stream) {
        struct http2_stream *next = stream->next;
        if (stream->lingering && stream->in.len == 0) {
            http2_stream_drop(stream);
            tell_closed(stream, HTTP2_NO_ERROR);
            next = session->streams; /* the handler may have ended others */
        }
        stream = next;
    }
}

void http2_reap(struct http2 *session)
{
    end_lingering(session);
    while (session->freed) {
        struct http2_stream *stream = session->freed;
        session->freed = stream->next;
        stream_free(stream);
    }
}

/* ---- what comes ---- */

/* Ends the connection; the first reason stays. */
static int fail(struct http2 *session, uint32_t code, const char *what)
{
    if (!session->has_err) {
        session->has_err = true;
        err_set(&session->err, ERR_LIMIT, "%s", what);
        nghttp2_session_terminate_session(session->nghttp2, code);
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *arg)
{
    struct http2 *session = arg;
    struct http2_stream *stream = http2_find(session, frame->hd.stream_id);
    session->passed_over = 0;
    if (!stream && session->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        stream = http2_stream_new(session, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(nghttp2, frame->hd.stream_id, stream);
    }
    if (stream && stream->head_given)
        stream->trailers = true;
    else if (stream)
        msg_init(&stream->msg, stream->arena); /* after an informational head the next one */
    return 0;
}

static void note(struct http2_stream *stream, const struct err *err)
{
    stream->err = mem_alloc(sizeof(*err));
    *stream->err = *err;
}

/* The rest of the head is passed over; the owner is told when it is complete. */
static void mark_refused(struct http2_stream *stream, const struct err *err)
{
    stream->refused = true;
    note(stream, err);
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct http2 *session = arg;
    struct http2_stream *stream = http2_find(session, frame->hd.stream_id);
    struct err err;
    (void)nghttp2;
    (void)flags;
    if (!stream || stream->refused) {
        /* A byte names an entry of 4 KiB: each is looked at, and a second of that goes into one head. */
        session->passed_over += name_len + value_len;
        if (session->passed_over <= HTTP2_PASSED_OVER_MAX)
            return 0;
        fail(session, HTTP2_ENHANCE_YOUR_CALM, "a head many times as large as the bound that it was told");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (!http2_take_field(stream, (struct span){(const char *)name, name_len},
                          (struct span){(const char *)value, value_len}, &err)) {
        mark_refused(stream, &err);
    }
    return 0;
}

static void refuse(struct http2_stream *stream)
{
    struct http2 *session = stream->session;
    if (session->server && !stream->head_given) {
        stream->head_given = true;
        session->handler->malformed(session->arg, stream, stream->err);
        return;
    }
    nghttp2_submit_rst_stream(session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, HTTP2_PROTOCOL_ERROR);
    http2_stream_drop(stream);
    tell_closed(stream, HTTP2_PROTOCOL_ERROR);
}

static void on_head(struct http2_stream *stream, bool ended)
{
    struct http2 *session = stream->session;
    struct err err;
    if (!stream->refused && !stream->trailers && !http2_judge(stream, ended, &err)) {
        mark_refused(stream, &err);
    }
    stream->remote_ended = ended;
    if (stream->refused) {
        refuse(stream);
    } else if (stream->trailers) {
        session->handler->readable(session->arg, stream); /* nghttp2 insists that trailers end the stream */
    } else {
        stream->head_given = session->server || stream->msg.status >= 200 || stream->msg.upgrade;
        session->handler->head(session->arg, stream, &stream->msg, ended);
    }
}

static int on_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *arg)
{
    struct http2 *session = arg;
    struct http2_stream *stream = http2_find(session, frame->hd.stream_id);
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    (void)nghttp2;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        session->control = 0;
        if (stream)
            on_head(stream, ended);
        return 0;
    case NGHTTP2_DATA:
        if (stream && ended) {
            stream->remote_ended = true;
            session->handler->readable(session->arg, stream);
        }
        if (frame->hd.length > frame->data.padlen)
            return 0;
        break;
    case NGHTTP2_RST_STREAM:
        if (stream)
            stream->reset_by_peer = true;
        break;
    default:
        break;
    }
    return ++session->control > HTTP2_CONTROL_MAX
               ? fail(session, HTTP2_ENHANCE_YOUR_CALM, "a flood of HTTP/2 control frames")
               : 0;
}

static int on_data(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct http2 *session = arg;
    struct http2_stream *stream = http2_find(session, id);
    (void)flags;
    session->control = 0;
    /* The connection's window is as large as all streams' together: it is never what holds somebody up. */
    nghttp2_session_consume_connection(nghttp2, len);
    if (!stream)
        return 0;
    if (!buf_add(&stream->in, data, len)) /* nghttp2 holds the peer to the window that we gave */
        return fail(session, NGHTTP2_FLOW_CONTROL_ERROR, "more body than its HTTP/2 window allows");
    session->handler->readable(session->arg, stream);
    return 0;
}

/* Of an answer, or of what an upgrade has made of a request, nothing is lost that came before its end. */
static bool is_read_on(const struct http2_stream *stream)
{
    const struct http2 *session = stream->session;
    return !session->server ||
           (stream->to_upgrade && stream->remote_ended && session->lingering < HTTP2_STREAMS_MAX);
}

static void linger(struct http2_stream *stream)
{
    nghttp2_session_set_stream_user_data(stream->session->nghttp2, stream->id, NULL);
    stream->lingering = true;
    stream->session->lingering++;
}

static int on_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *arg)
{
    struct http2 *session = arg;
    (void)nghttp2;
    struct http2_stream *stream = http2_find(session, id);
    if (!stream)
        return 0;
    if (code == HTTP2_NO_ERROR && stream->in.len > 0 && is_read_on(stream)) {
        linger(stream);
        return 0;
    }
    /* nghttp2 resets what it finds malformed; with this code it closes what a GOAWAY of the peer's leaves out. */
    if (code != HTTP2_NO_ERROR && code != HTTP2_REFUSED_STREAM && !stream->reset_by_peer && !stream->err) {
        struct err err;
        err_set(&err, ERR_DATA, "malformed HTTP/2: %s", http2_code_word(code));
        note(stream, &err);
    }
    http2_stream_drop(stream);
    tell_closed(stream, code);
    return 0;
}

/* RFC 9113 5.4.1: nghttp2 tells the peer of a connection's error, and goes on with the streams that are open, deaf. */
static int on_sent(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *arg)
{
    struct http2 *session = arg;
    (void)nghttp2;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != HTTP2_NO_ERROR && !session->has_err) {
        session->has_err = true;
        err_set(&session->err, ERR_DATA, "malformed HTTP/2: %s", http2_code_word(frame->goaway.error_code));
    }
    return 0;
}

/* ---- the session ---- */

static nghttp2_option *options_new(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        abort(); /* memory alone */
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_continuations(option, HTTP2_CONTINUATIONS_MAX);
    nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKS_MAX);
    nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES_MAX);
    nghttp2_option_set_max_reserved_remote_streams(option, 0);
    nghttp2_option_set_stream_reset_rate_limit(option, HTTP2_RESETS_BURST, HTTP2_RESETS_RATE);
    return option;
}

static struct http2 *session_new(const struct http2_handler *handler, void *arg, bool server)
{
    static nghttp2_mem memory = {NULL, block_new, block_free, block_array, block_resize};
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MSG_HEAD_BYTES},
        {server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         server ? HTTP2_STREAMS_MAX : 0},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* a server's: the last one, which a client leaves out */
    };
    struct http2 *session = mem_alloc(sizeof(*session));
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option = options_new();
    *session = (struct http2){.handler = handler, .arg = arg, .server = server};
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    int rc = server ? nghttp2_session_server_new3(&session->nghttp2, callbacks, session, option, &memory)
                    : nghttp2_session_client_new3(&session->nghttp2, callbacks, session, option, &memory);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (rc != 0 ||
        nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, settings,
                                server ? COUNT(settings) : COUNT(settings) - 1) != 0 ||
        nghttp2_session_set_local_window_size(session->nghttp2, NGHTTP2_FLAG_NONE, 0,
                                              HTTP2_CONNECTION_WINDOW_BYTES) != 0)
        abort();
    return session;
}

struct http2 *http2_server(const struct http2_handler *handler, void *arg)
{
    return session_new(handler, arg, true);
}

struct http2 *http2_client(const struct http2_handler *handler, void *arg)
{
    return session_new(handler, arg, false);
}

void http2_free(struct http2 *session)
{
    if (!session)
        return;
    while (session->streams)
        http2_stream_drop(session->streams);
    http2_reap(session);
    nghttp2_session_del(session->nghttp2);
    free(session);
}

bool http2_receive(struct http2 *session, struct span input, struct err *err)
{
    ssize_t taken = 0;
    if (!session->has_err)
        taken = nghttp2_session_mem_recv(session->nghttp2, (const uint8_t *)input.p, input.len);
    http2_reap(session);
    /* What nghttp2 refuses (a stream too many, a promise) is no stream: its reset waits, and nothing else counts it. */
    if (nghttp2_session_get_outbound_queue_size(session->nghttp2) > HTTP2_UNREAD_MAX)
        fail(session, HTTP2_ENHANCE_YOUR_CALM, "HTTP/2 frames without end from one who reads none");
    if (session->has_err) {
        *err = session->err;
        return false;
    }
    if (taken >= 0)
        return true;
    session->has_err = true;
    err_set(&session->err, ERR_DATA, "malformed HTTP/2: %s", nghttp2_strerror((int)taken));
    *err = session->err;
    return false;
}

struct span http2_next_bytes(struct http2 *session)
{
    const uint8_t *data = NULL;
    ssize_t len = nghttp2_session_mem_send(session->nghttp2, &data);
    http2_reap(session);
    return len > 0 ? (struct span){(const char *)data, (size_t)len} : (struct span){NULL, 0};
}

bool http2_over(const struct http2 *session)
{
    return session->has_err || (session->count == 0 && !nghttp2_session_want_read(session->nghttp2) &&
                                !nghttp2_session_want_write(session->nghttp2));
}

const struct err *http2_error(const struct http2 *session)
{
    return session->has_err ? &session->err : NULL;
}

void http2_goaway(struct http2 *session)
{
    if (session->going)
        return;
    session->going = true;
    nghttp2_submit_goaway(session->nghttp2, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session->nghttp2), HTTP2_NO_ERROR, NULL, 0);
}

void http2_abort(struct http2 *session, enum http2_code code, bool all)
{
    struct http2_stream *stream = session->streams;
    while (stream) {
        /* One that came whole, though our side of it has not ended. */
        if (!all && !stream->lingering && !session->server && stream->remote_ended && stream->in.len > 0)
            linger(stream);
        if (stream->lingering && !all) {
            stream = stream->next;
            continue;
        }
        http2_stream_drop(stream);
        tell_closed(stream, code);
        stream = session->streams; /* the handler may have ended others */
    }
}

size_t http2_streams(const struct http2 *session)
{
    return session->count;
}

bool http2_can_request(const struct http2 *session)
{
    uint32_t most = nghttp2_session_get_remote_settings(session->nghttp2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return !session->has_err && session->count < most && session->count < HTTP2_STREAMS_MAX &&
           nghttp2_session_check_request_allowed(session->nghttp2);
}

bool http2_can_upgrade(const struct http2 *session)
{
    return nghttp2_session_get_remote_settings(session->nghttp2, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

const char *http2_code_word(uint32_t code)
{
    const char *word = nghttp2_http2_strerror(code);
    return word ? word : "";
}

const char *http2_version(void)
{
    return nghttp2_version(0)->version_str;
}
