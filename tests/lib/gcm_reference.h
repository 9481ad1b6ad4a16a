/* mbedTLS's own AES-GCM, which its library holds no more where tls/gcm.c takes its place; for comparison. */
#ifndef AILERON_TESTS_GCM_REFERENCE_H
#define AILERON_TESTS_GCM_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gcm_message {
    const uint8_t *key, *iv, *added, *data;
    size_t key_bits, iv_len, added_len, len;
};
/* False: it refused. */
bool gcm_reference(bool encrypt, const struct gcm_message *message, uint8_t *out, uint8_t tag[16]);

#endif
