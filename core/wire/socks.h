/* SOCKS5 (RFC 1928) as a server: the two messages that a client sends before its bytes. Pure. Only CONNECT, and only
 * without authentication: who may speak at all was settled before. */
#ifndef AILERON_WIRE_SOCKS_H
#define AILERON_WIRE_SOCKS_H

#include "core/base/err.h"
#include "core/wire/target.h"

enum {
    SOCKS_VERSION = 5,
    SOCKS_INPUT_MAX = 262, /* of either message: 4 + 1 + 255 + 2 */
    SOCKS_ANSWER_BYTES = 10
};
/* RFC 1928 6: the answers that we give. */
enum socks_reply {
    SOCKS_SUCCEEDED = 0,
    SOCKS_FAILURE = 1,
    SOCKS_NOT_ALLOWED = 2,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_COMMAND_UNKNOWN = 7,
    SOCKS_ADDRESS_UNKNOWN = 8
};
enum socks_result { SOCKS_MORE, SOCKS_OK, SOCKS_BAD };

/* The greeting. OK: *used bytes; the answer is { 5, *method }: 0, or 255 where no method without authentication is
 * offered (then the connection ends). BAD: no SOCKS5. */
enum socks_result socks_greeting(struct span input, size_t *used, uint8_t *method) MUSTUSE NONNULL_AT(2, 3);
/* The request. OK: host and port. BAD: *reply says why, and err in words. */
enum socks_result socks_request(struct span input, size_t *used, struct target_host *host, uint16_t *port,
                                enum socks_reply *reply, struct err *err) MUSTUSE NONNULL_AT(2, 3, 4, 5, 6);
/* An answer to a request; the address in it is 0.0.0.0:0, since no client has a use for ours. */
void socks_answer(enum socks_reply reply, uint8_t out[SOCKS_ANSWER_BYTES]) NONNULL;

#endif
