/* The library's source, compiled once more under other names. */
#if __has_include(<ecdsa.c>)
#include <mbedtls/build_info.h>
#undef MBEDTLS_ECDSA_SIGN_ALT
#undef MBEDTLS_ECDSA_VERIFY_ALT
#define mbedtls_ecdsa_can_do reference_can_do
#define mbedtls_ecdsa_sign reference_sign
#define mbedtls_ecdsa_sign_restartable reference_sign_restartable
#define mbedtls_ecdsa_verify reference_verify
#define mbedtls_ecdsa_verify_restartable reference_verify_restartable
#define mbedtls_ecdsa_write_signature reference_write_signature
#define mbedtls_ecdsa_write_signature_restartable reference_write_signature_restartable
#define mbedtls_ecdsa_read_signature reference_read_signature
#define mbedtls_ecdsa_read_signature_restartable reference_read_signature_restartable
#define mbedtls_ecdsa_genkey reference_genkey
#define mbedtls_ecdsa_from_keypair reference_from_keypair
#define mbedtls_ecdsa_init reference_init
#define mbedtls_ecdsa_free reference_free
#include <ecdsa.c>

#include "tests/lib/ecdsa_reference.h"
#endif
