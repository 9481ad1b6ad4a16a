/* The loop between what a session has to say and what its connection takes. */
#include "core/plane/frames.h"

void frames_send(struct http2 *http2, struct conn *conn)
{
    struct span bytes;
    conn_cork(conn);
    while (conn_room(conn) >= HTTP2_NEXT_BYTES && (bytes = http2_next_bytes(http2)).len > 0)
        if (!conn_write(conn, bytes.p, bytes.len))
            break;
    conn_uncork(conn);
}
