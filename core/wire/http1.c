/* The HTTP/1.1 pull parser. A head is gathered whole (bounded), read by llhttp without any leniency, checked
 * against what was seen while gathering, and judged by http1_frame.c; bodies are cut here and in http1_chunk.c.
 * llhttp does not see bodies: it has no bounds for the syntax of chunks. */
#include "core/wire/http1_private.h"

#include <llhttp.h>
#include <stdlib.h>

enum state { STATE_HEAD, STATE_LENGTH, STATE_CHUNKED, STATE_UNTIL_CLOSE, STATE_DONE, STATE_FAILED };

struct http1 {
    enum state state;
    bool response;
    enum http1_answer to;
    bool upgrade;           /* the request asked for one */
    struct msg *msg;
    struct buf head;        /* of a head that came in pieces */
    size_t line;            /* where the last line in head begins, counted over head and input */
    size_t lines;           /* complete lines of this head, the empty one not counted */
    bool skipped_line;      /* the one empty line before a request */
    size_t head_bytes;      /* of all heads of this message */
    unsigned informational; /* 1xx heads */
    uint64_t left;          /* STATE_LENGTH */
    struct chunk chunk;
    int status;             /* of the error */
};

struct http1 *http1_new(void)
{
    struct http1 *parser = mem_alloc(sizeof(*parser));
    buf_init(&parser->head, MSG_HEAD_BYTES);
    chunk_init(&parser->chunk);
    parser->state = STATE_FAILED; /* until something is begun */
    parser->status = 400;
    return parser;
}

void http1_free(struct http1 *parser)
{
    if (!parser)
        return;
    buf_wipe(&parser->head);
    chunk_clear(&parser->chunk);
    free(parser);
}

static void begin_head(struct http1 *parser)
{
    buf_wipe(&parser->head); /* it may hold somebody's Authorization */
    parser->line = parser->lines = 0;
    parser->state = STATE_HEAD;
}

static void begin(struct http1 *parser, struct msg *msg)
{
    parser->msg = msg;
    parser->skipped_line = false;
    parser->head_bytes = 0;
    parser->informational = 0;
    parser->left = 0;
    parser->status = 0;
    chunk_clear(&parser->chunk);
    chunk_init(&parser->chunk);
    begin_head(parser);
}

void http1_begin_request(struct http1 *parser, struct msg *msg)
{
    begin(parser, msg);
    parser->response = false;
}

void http1_begin_response(struct http1 *parser, struct msg *msg, enum http1_answer to, bool upgrade)
{
    begin(parser, msg);
    parser->response = true;
    parser->to = to;
    parser->upgrade = upgrade;
}

static enum http1_event fail(struct http1 *parser, int status)
{
    parser->state = STATE_FAILED;
    parser->status = status;
    return HTTP1_ERROR;
}

static enum http1_event refuse(struct http1 *parser, int status, struct err *err, const char *what)
{
    err_set(err, status == 431 ? ERR_LIMIT : ERR_DATA, "%s", what);
    return fail(parser, status);
}

/* ---- the head, by llhttp ---- */

struct reading {
    struct msg *msg;
    struct span name, value;
    struct err *err;
    size_t fields;
    bool failed, complete;
};

/* A token that llhttp reports in pieces is one stretch of the head, since the head lies whole before it. */
static int extend(struct span *span, const char *at, size_t len)
{
    if (!span->p)
        *span = (struct span){at, len};
    else if (span->p + span->len == at)
        span->len += len;
    else
        return HPE_USER;
    return 0;
}

static struct reading *reading_of(llhttp_t *parser)
{
    return parser->data;
}

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    return extend(&reading_of(parser)->msg->method, at, len);
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    return extend(&reading_of(parser)->msg->target, at, len);
}

static int on_status(llhttp_t *parser, const char *at, size_t len)
{
    return extend(&reading_of(parser)->msg->reason, at, len);
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    return extend(&reading_of(parser)->name, at, len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    return extend(&reading_of(parser)->value, at, len);
}

static int on_value_complete(llhttp_t *parser)
{
    struct reading *reading = reading_of(parser);
    struct span value = reading->value.p ? reading->value : SPAN("");
    if (!msg_add_borrowed(reading->msg, reading->name, value, reading->err)) {
        reading->failed = true;
        return HPE_USER;
    }
    reading->fields++;
    reading->name = reading->value = (struct span){NULL, 0};
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    reading_of(parser)->complete = true;
    return HPE_PAUSED; /* the rest is ours */
}

static const llhttp_settings_t callbacks = {
    .on_method = on_method,
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_complete,
};

static int status_of(llhttp_errno_t error)
{
    if (error == HPE_INVALID_METHOD)
        return 501;
    return error == HPE_INVALID_VERSION ? 505 : 400;
}

/* RFC 9112 3: one space on each side of the target, and no other protocol; llhttp forgives more, and takes ICE and
 * RTSP for HTTP. text: the head that msg's strings lie in. */
static bool request_line_exact(const struct msg *msg, struct span text)
{
    static const char version[] = {' ', 'H', 'T', 'T', 'P', '/', '1', '.'};
    if (msg->target.p != msg->method.p + msg->method.len + 1)
        return false;
    const char *end = msg->target.p + msg->target.len;
    return (size_t)(text.p + text.len - end) > sizeof(version) && memcmp(end, version, sizeof(version)) == 0;
}

/* text: a whole head, in msg's arena. */
static bool read_head(struct http1 *parser, struct span text, struct err *err)
{
    struct msg *msg = parser->msg;
    struct reading reading = {.msg = msg, .err = err};
    llhttp_t llhttp;
    llhttp_init(&llhttp, parser->response ? HTTP_RESPONSE : HTTP_REQUEST, &callbacks);
    llhttp.data = &reading;
    llhttp_errno_t error = llhttp_execute(&llhttp, text.p, text.len);
    if (reading.failed) {
        parser->status = err->code == ERR_LIMIT ? 431 : 400;
        return false;
    }
    if (error != HPE_PAUSED || !reading.complete) {
        const char *reason = llhttp_get_error_reason(&llhttp);
        parser->status = status_of(error);
        return err_set(err, ERR_DATA, "malformed HTTP: %s", reason && *reason ? reason : "head");
    }
    msg->minor = llhttp.http_minor;
    msg->status = parser->response ? llhttp.status_code : 0;
    if (llhttp.http_major != 1 || msg->minor > 1) {
        parser->status = 505;
        return err_set(err, ERR_DATA, "an HTTP version other than 1.0 and 1.1");
    }
    parser->status = 400;
    /* As many fields as there were lines: what folds, splits or hides lines shows here. */
    if (reading.fields + 1 != parser->lines)
        return err_set(err, ERR_DATA, "malformed HTTP: lines that are no fields");
    if (!msg_value_valid(msg->reason))
        return err_set(err, ERR_DATA, "a control character in the reason phrase");
    if (!parser->response && !request_line_exact(msg, text))
        return err_set(err, ERR_DATA, "malformed HTTP: a request line that is not METHOD TARGET HTTP/1.1");
    for (size_t i = 0; i < msg->target.len; i++)
        if (msg->target.p[i] <= ' ' || msg->target.p[i] >= 0x7f)
            return err_set(err, ERR_DATA, "a byte in the target that must be percent-encoded");
    return true;
}

/* ---- gathering the head ---- */

/* Every line ends in CRLF and holds no other CR, none begins with a blank (obsolete folding), no byte is NUL. */
static const char *line_complaint(struct span line)
{
    if (line.len < 2 || line.p[line.len - 2] != '\r')
        return "a line that ends in LF without CR";
    line.len -= 2;
    if (line.len && memchr(line.p, '\r', line.len))
        return "a CR without LF";
    if (line.len && memchr(line.p, 0, line.len))
        return "a NUL byte";
    if (line.len && (line.p[0] == ' ' || line.p[0] == '\t'))
        return "a line that begins with a blank";
    return NULL;
}

enum gathered { GATHERED_MORE, GATHERED_WHOLE, GATHERED_BAD };

/* Moves input into parser->head, line by line, up to the empty line. */
static enum gathered gather(struct http1 *parser, struct span *input, struct err *err)
{
    struct buf *head = &parser->head;
    while (input->len) {
        const char *end = memchr(input->p, '\n', input->len);
        size_t len = end ? (size_t)(end - input->p) + 1 : input->len;
        if (parser->head_bytes + len > MSG_HEAD_BYTES || !buf_add(head, input->p, len)) {
            refuse(parser, 431, err, "a head of more than 65536 bytes");
            return GATHERED_BAD;
        }
        parser->head_bytes += len;
        *input = (struct span){input->p + len, input->len - len};
        if (!end)
            return GATHERED_MORE;
        struct span line = {(const char *)head->data + parser->line, head->len - parser->line};
        const char *complaint = line_complaint(line);
        if (complaint) {
            refuse(parser, 400, err, complaint);
            return GATHERED_BAD;
        }
        parser->line = head->len;
        if (line.len > 2) {
            parser->lines++;
        } else if (parser->lines) {
            return GATHERED_WHOLE;
        } else if (!parser->response && !parser->skipped_line) { /* RFC 9112 2.2: one is forgiven */
            parser->skipped_line = true;
            parser->line = parser->head_bytes = 0;
            buf_clear(head);
        } else {
            refuse(parser, 400, err, "an empty line instead of a head");
            return GATHERED_BAD;
        }
    }
    return GATHERED_MORE;
}

/* What a first line begins with: a method, "HTTP/", or the empty line. Anything else (TLS, SSH, SOCKS) need not
 * be gathered for long. */
static bool begins_well(const struct http1 *parser)
{
    const struct buf *head = &parser->head;
    if (head->len == 0 || head->data[0] == '\r')
        return true;
    return text_is_token((struct span){(const char *)head->data, 1});
}

static void begin_body(struct http1 *parser)
{
    const struct msg *msg = parser->msg;
    switch (msg->framing) {
    case MSG_NONE:
        if (parser->response && msg->status < 200 && msg->status != 101)
            begin_head(parser);
        else
            parser->state = STATE_DONE;
        return;
    case MSG_LENGTH:
        parser->left = msg->content_length;
        parser->state = parser->left ? STATE_LENGTH : STATE_DONE;
        return;
    case MSG_CHUNKED:
        parser->state = STATE_CHUNKED;
        return;
    case MSG_UNTIL_CLOSE:
        parser->state = STATE_UNTIL_CLOSE;
        return;
    }
}

static enum http1_event next_head(struct http1 *parser, struct span *input, struct err *err)
{
    struct msg *msg = parser->msg;
    enum gathered gathered = gather(parser, input, err);
    if (gathered == GATHERED_BAD)
        return HTTP1_ERROR;
    if (!begins_well(parser))
        return refuse(parser, 400, err, "what came is not HTTP");
    if (gathered == GATHERED_MORE)
        return HTTP1_NEED_MORE;
    msg_init(msg, msg->arena);
    struct span text = {arena_strndup(msg->arena, (const char *)parser->head.data, parser->head.len),
                        parser->head.len};
    if (!text.p)
        return refuse(parser, 431, err, "the head does not fit into its arena");
    if (!read_head(parser, text, err))
        return fail(parser, parser->status);
    bool ok = parser->response ? http1_frame_response(msg, parser->to, parser->upgrade, err)
                               : http1_frame_request(msg, &parser->status, err);
    if (!ok)
        return fail(parser, parser->status);
    if (parser->response && msg->status < 200 && msg->status != 101 &&
        ++parser->informational > HTTP1_INFORMATIONAL_MAX)
        return refuse(parser, 400, err, "more than 16 informational responses");
    buf_wipe(&parser->head);
    begin_body(parser);
    return HTTP1_HEAD;
}

/* ---- pulling ---- */

static enum http1_event next_chunked(struct http1 *parser, struct span *input, struct span *body,
                                     struct err *err)
{
    int status = 400;
    enum http1_event event = chunk_next(&parser->chunk, parser->msg, input, body, &status, err);
    if (event == HTTP1_ERROR)
        return fail(parser, status);
    if (event != HTTP1_END)
        return event;
    parser->state = STATE_DONE;
    return parser->msg->trailers.count ? HTTP1_TRAILERS : HTTP1_END;
}

enum http1_event http1_next(struct http1 *parser, struct span *input, struct span *body, struct err *err)
{
    *body = (struct span){NULL, 0};
    switch (parser->state) {
    case STATE_HEAD:
        return next_head(parser, input, err);
    case STATE_LENGTH:
    case STATE_UNTIL_CLOSE:
        if (input->len == 0)
            return HTTP1_NEED_MORE;
        *body = *input;
        if (parser->state == STATE_LENGTH) {
            if (body->len > parser->left)
                body->len = (size_t)parser->left;
            parser->left -= body->len;
            if (parser->left == 0)
                parser->state = STATE_DONE;
        }
        *input = (struct span){input->p + body->len, input->len - body->len};
        return HTTP1_BODY;
    case STATE_CHUNKED:
        return next_chunked(parser, input, body, err);
    case STATE_DONE:
        return HTTP1_END;
    case STATE_FAILED:
        break;
    }
    err_set(err, ERR_DATA, "the connection carried malformed HTTP");
    return HTTP1_ERROR;
}

enum http1_event http1_eof(struct http1 *parser, struct err *err)
{
    if (parser->state == STATE_UNTIL_CLOSE)
        parser->state = STATE_DONE;
    if (parser->state == STATE_DONE)
        return HTTP1_END;
    if (http1_idle(parser))
        return HTTP1_NEED_MORE;
    err_set(err, parser->response ? ERR_UPSTREAM : ERR_DATA, "the %s closed in the middle of its %s",
            parser->response ? "upstream" : "client",
            parser->state == STATE_HEAD ? "head" : "body");
    return fail(parser, 400);
}

int http1_error_status(const struct http1 *parser)
{
    return parser->status ? parser->status : 400;
}

bool http1_idle(const struct http1 *parser)
{
    return parser->state == STATE_HEAD && parser->head_bytes == 0 && parser->informational == 0;
}

uint64_t http1_remaining(const struct http1 *parser)
{
    return parser->state == STATE_LENGTH ? parser->left : 0;
}
