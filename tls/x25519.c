/* X25519 public keys by Everest where TLS 1.3 needs one. The library computes with PSA there, which takes Everest for
 * the shared secret and its own generic arithmetic for the public key: 0.5 ms of each handshake, more than all the
 * rest of ours. The linker hands us its function (--wrap, see the Makefile); every other curve is passed on.
 * Compiled where contrib/deps builds mbedTLS, since a distribution's own has no Everest. */
#include <mbedtls/ecp.h> /* the next one needs it */

#include <everest/x25519.h>
#include <psa/crypto.h>

#include "core/base/secret.h"
#include "tls/internal.h"

psa_status_t __wrap_mbedtls_psa_ecp_export_public_key(const psa_key_attributes_t *attributes, const uint8_t *key,
                                                      size_t key_len, uint8_t *out, size_t cap, size_t *len);
psa_status_t __real_mbedtls_psa_ecp_export_public_key(const psa_key_attributes_t *attributes, const uint8_t *key,
                                                      size_t key_len, uint8_t *out, size_t cap, size_t *len);

psa_status_t __wrap_mbedtls_psa_ecp_export_public_key(const psa_key_attributes_t *attributes, const uint8_t *key,
                                                      size_t key_len, uint8_t *out, size_t cap, size_t *len)
{
    psa_key_type_t x25519 = PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_MONTGOMERY);
    if (psa_get_key_type(attributes) != x25519 || psa_get_key_bits(attributes) != 255 ||
        key_len != MBEDTLS_X25519_KEY_SIZE_BYTES || cap < MBEDTLS_X25519_KEY_SIZE_BYTES)
        return __real_mbedtls_psa_ecp_export_public_key(attributes, key, key_len, out, cap, len);
    mbedtls_x25519_context context = {.peer_point = {9}}; /* the base point, RFC 7748 section 4.1 */
    memcpy(context.our_secret, key, key_len);
    int ret = mbedtls_x25519_calc_secret(&context, len, out, cap, tls_random, NULL);
    secret_wipe(&context, sizeof context);
    return ret == 0 ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR;
}
