/* The library's source, compiled once more under other names. */
#include "tests/lib/gcm_reference.h"

#if __has_include(<gcm.c>)
#include <mbedtls/build_info.h>
#undef MBEDTLS_GCM_ALT
#define mbedtls_gcm_init reference_init
#define mbedtls_gcm_free reference_free
#define mbedtls_gcm_setkey reference_setkey
#define mbedtls_gcm_starts reference_starts
#define mbedtls_gcm_update_ad reference_update_ad
#define mbedtls_gcm_update reference_update
#define mbedtls_gcm_finish reference_finish
#define mbedtls_gcm_crypt_and_tag reference_crypt_and_tag
#define mbedtls_gcm_auth_decrypt reference_auth_decrypt
#include <gcm.c>

bool gcm_reference(bool encrypt, const struct gcm_message *message, uint8_t *out, uint8_t tag[16])
{
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    bool good = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, message->key, (unsigned)message->key_bits) == 0 &&
                mbedtls_gcm_crypt_and_tag(&gcm, encrypt ? MBEDTLS_GCM_ENCRYPT : MBEDTLS_GCM_DECRYPT, message->len,
                                          message->iv, message->iv_len, message->added, message->added_len,
                                          message->data, out, 16, tag) == 0;
    mbedtls_gcm_free(&gcm);
    return good;
}
#endif
