/* What the files of core/wire/http1 share; nobody else includes it. */
#ifndef AILERON_WIRE_HTTP1_PRIVATE_H
#define AILERON_WIRE_HTTP1_PRIVATE_H

#include "core/wire/http1.h"

/* Judges a parsed head and sets framing, length, keep_alive, upgrade and expect_continue (http1_frame.c). False:
 * err, and *status for the answer. */
bool http1_frame_request(struct msg *msg, int *status, struct err *err) MUSTUSE NONNULL;
bool http1_frame_response(struct msg *msg, enum http1_answer to, bool upgrade, struct err *err) MUSTUSE
    NONNULL;

/* The chunked coding (http1_chunk.c). */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,
    CHUNK_DONE
};

/* Where in ";name=value" the reader stands; a value may be quoted. */
enum chunk_part {
    PART_NAME_START,
    PART_NAME,
    PART_VALUE_START,
    PART_VALUE,
    PART_QUOTED,
    PART_ESCAPED,
    PART_QUOTED_END
};

struct chunk {
    enum chunk_state state;
    unsigned digits;    /* of the size */
    unsigned extension; /* bytes */
    enum chunk_part part; /* of the extension */
    uint64_t left;      /* of the size or of the data */
    size_t line;        /* where the trailer's last line begins */
    struct buf trailer;
};

void chunk_init(struct chunk *chunk) NONNULL;
void chunk_clear(struct chunk *chunk) NONNULL;
/* NEED_MORE, BODY, END (msg->trailers is filled) or ERROR. */
enum http1_event chunk_next(struct chunk *chunk, struct msg *msg, struct span *input, struct span *body,
                            int *status, struct err *err) MUSTUSE NONNULL;

#endif
