/* Key and answer of WebSocket's handshake. What is said behind it is nobody's business here. */
#include "core/plane/websocket.h"
#include "core/base/id.h"
#include "tls/crypto.h"

#include <stdio.h>

enum { NONCE_BYTES = 16 };
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

bool websocket_ask(struct msg *msg, char accept[WEBSOCKET_ACCEPT_BYTES], struct err *err)
{
    uint8_t nonce[NONCE_BYTES], hash[CRYPTO_SHA1_LEN];
    char key[25], proof[sizeof(key) + sizeof(WEBSOCKET_GUID)];
    random_bytes(nonce, sizeof(nonce));
    text_base64(nonce, sizeof(nonce), key);
    if (!msg_set(msg, "Sec-WebSocket-Key", span_of(key), err))
        return false;
    int len = snprintf(proof, sizeof(proof), "%s" WEBSOCKET_GUID, key);
    crypto_sha1(proof, (size_t)len, hash);
    text_base64(hash, sizeof(hash), accept);
    return true;
}

bool websocket_agreed(struct msg *msg, const char *accept, struct err *err)
{
    bool good = span_eqis(msg_get(msg, "Upgrade"), "websocket") && msg_count(msg, "Sec-WebSocket-Accept") == 1 &&
                span_eqs(msg_get(msg, "Sec-WebSocket-Accept"), accept);
    msg_remove(msg, "Sec-WebSocket-Accept");
    return good || err_set(err, ERR_UPSTREAM, "the upstream's answer to the WebSocket handshake is not one");
}
