/* The chunked coding, read byte by byte where it is syntax and in whole pieces where it is data (RFC 9112 7.1).
 * Stricter than the grammar: no blanks around sizes, every CR with its LF, everything bounded (threat C09).
 * Extensions are dropped: nobody uses them, and smuggling does. */
#include "core/wire/http1_private.h"

void chunk_init(struct chunk *chunk)
{
    *chunk = (struct chunk){.state = CHUNK_SIZE};
    buf_init(&chunk->trailer, HTTP1_TRAILER_BYTES);
}

void chunk_clear(struct chunk *chunk)
{
    buf_clear(&chunk->trailer);
}

static enum http1_event bad(int *status, struct err *err, const char *what)
{
    *status = 400;
    err_set(err, ERR_DATA, "%s", what);
    return HTTP1_ERROR;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 9112 7.1.1 without its blanks: who reads the quotes and who does not must find the same end of the line. */
static bool extension_byte(struct chunk *chunk, char c)
{
    bool token = text_is_token((struct span){&c, 1});
    bool text = c == '\t' || (c >= ' ' && c < 0x7f);
    switch (chunk->part) {
    case PART_NAME_START:
        chunk->part = PART_NAME;
        return token;
    case PART_NAME:
        if (c == '=' || c == ';')
            chunk->part = c == '=' ? PART_VALUE_START : PART_NAME_START;
        return token || c == '=' || c == ';';
    case PART_VALUE_START:
        chunk->part = c == '"' ? PART_QUOTED : PART_VALUE;
        return token || c == '"';
    case PART_VALUE:
        if (c == ';')
            chunk->part = PART_NAME_START;
        return token || c == ';';
    case PART_QUOTED:
        if (c == '"' || c == '\\')
            chunk->part = c == '"' ? PART_QUOTED_END : PART_ESCAPED;
        return text;
    case PART_ESCAPED:
        chunk->part = PART_QUOTED;
        return text;
    case PART_QUOTED_END:
        chunk->part = PART_NAME_START;
        return c == ';';
    }
    return false;
}

static bool extension_may_end(const struct chunk *chunk)
{
    return chunk->part == PART_NAME || chunk->part == PART_VALUE || chunk->part == PART_QUOTED_END;
}

/* One byte of syntax. NULL: fine; else what is wrong. */
static const char *step(struct chunk *chunk, char c)
{
    switch (chunk->state) {
    case CHUNK_SIZE:
        if (hex_value(c) >= 0) {
            if (++chunk->digits > HTTP1_CHUNK_DIGITS_MAX)
                return "a chunk size of more than 16 digits";
            chunk->left = chunk->left << 4 | (unsigned)hex_value(c);
            return NULL;
        }
        if (chunk->digits == 0 || (c != ';' && c != '\r'))
            return "a malformed chunk size";
        if (chunk->left > HTTP1_CHUNK_MAX)
            return "a chunk of more than 2^53 bytes";
        chunk->extension = 0;
        chunk->part = PART_NAME_START;
        chunk->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
        return NULL;
    case CHUNK_EXTENSION:
        if (c == '\r' && extension_may_end(chunk))
            chunk->state = CHUNK_SIZE_LF;
        else if (!extension_byte(chunk, c))
            return "a malformed chunk extension";
        else if (++chunk->extension > HTTP1_CHUNK_EXTENSION_BYTES)
            return "a chunk extension of more than 256 bytes";
        return NULL;
    case CHUNK_SIZE_LF:
        chunk->state = chunk->left ? CHUNK_DATA : CHUNK_TRAILER;
        return c == '\n' ? NULL : "a CR without LF behind a chunk size";
    case CHUNK_DATA_CR:
        chunk->state = CHUNK_DATA_LF;
        return c == '\r' ? NULL : "chunk data that is longer than its size";
    case CHUNK_DATA_LF:
        chunk->state = CHUNK_SIZE;
        chunk->digits = 0;
        return c == '\n' ? NULL : "a CR without LF behind chunk data";
    case CHUNK_DATA:
    case CHUNK_TRAILER:
    case CHUNK_DONE:
        break;
    }
    return "a chunk in the wrong state"; /* not reached: these three take no single bytes */
}

/* ---- trailers ---- */

static bool take_trailer(struct msg *msg, struct span line, struct err *err)
{
    const char *colon = memchr(line.p, ':', line.len);
    struct span name = {line.p, colon ? (size_t)(colon - line.p) : 0};
    if (!colon || !text_is_token(name))
        return err_set(err, ERR_DATA, "a trailer line is no field");
    return msg_add_trailer(msg, name, (struct span){colon + 1, line.len - name.len - 1}, err);
}

static bool take_trailers(struct chunk *chunk, struct msg *msg, struct err *err)
{
    struct span text = {(const char *)chunk->trailer.data, chunk->trailer.len - 2};
    if (text.len == 0)
        return true;
    text.p = arena_strndup(msg->arena, text.p, text.len);
    if (!text.p)
        return err_set(err, ERR_LIMIT, "the trailers do not fit beside their head");
    while (text.len) {
        const char *end = memchr(text.p, '\n', text.len); /* each line ends in CRLF: seen when it came */
        struct span line = {text.p, (size_t)(end - text.p) - 1};
        if (!take_trailer(msg, line, err))
            return false;
        text = (struct span){end + 1, text.len - line.len - 2};
    }
    return true;
}

/* Gathers lines up to the empty one. */
static enum http1_event trailer_next(struct chunk *chunk, struct msg *msg, struct span *input,
                                     int *status, struct err *err)
{
    struct buf *text = &chunk->trailer;
    while (input->len) {
        const char *end = memchr(input->p, '\n', input->len);
        size_t len = end ? (size_t)(end - input->p) + 1 : input->len;
        if (!buf_add(text, input->p, len)) {
            *status = 431;
            err_set(err, ERR_LIMIT, "trailers of more than %d bytes", HTTP1_TRAILER_BYTES);
            return HTTP1_ERROR;
        }
        *input = (struct span){input->p + len, input->len - len};
        if (!end)
            break;
        if (text->len - chunk->line < 2 || text->data[text->len - 2] != '\r')
            return bad(status, err, "a trailer line ends in LF without CR");
        if (text->len - chunk->line == 2) {
            chunk->state = CHUNK_DONE;
            bool ok = take_trailers(chunk, msg, err);
            buf_clear(text);
            *status = ok || err->code == ERR_DATA ? 400 : 431;
            return ok ? HTTP1_END : HTTP1_ERROR;
        }
        chunk->line = text->len;
    }
    return HTTP1_NEED_MORE;
}

enum http1_event chunk_next(struct chunk *chunk, struct msg *msg, struct span *input, struct span *body,
                            int *status, struct err *err)
{
    while (input->len) {
        if (chunk->state == CHUNK_TRAILER)
            return trailer_next(chunk, msg, input, status, err);
        if (chunk->state == CHUNK_DATA) {
            size_t len = chunk->left < input->len ? (size_t)chunk->left : input->len;
            *body = (struct span){input->p, len};
            *input = (struct span){input->p + len, input->len - len};
            chunk->left -= len;
            if (chunk->left == 0)
                chunk->state = CHUNK_DATA_CR;
            return HTTP1_BODY;
        }
        const char *wrong = step(chunk, *input->p);
        if (wrong)
            return bad(status, err, wrong);
        input->p++;
        input->len--;
    }
    return HTTP1_NEED_MORE;
}
