/* mbedTLS's own ECDSA, which its library holds no more where tls/ecdsa.c takes its place; for comparison. */
#ifndef AILERON_TESTS_ECDSA_REFERENCE_H
#define AILERON_TESTS_ECDSA_REFERENCE_H

#include <mbedtls/ecp.h>

int reference_sign(mbedtls_ecp_group *group, mbedtls_mpi *r, mbedtls_mpi *s, const mbedtls_mpi *d,
                   const unsigned char *hash, size_t len, int (*random)(void *, unsigned char *, size_t), void *arg);
int reference_verify(mbedtls_ecp_group *group, const unsigned char *hash, size_t len, const mbedtls_ecp_point *key,
                     const mbedtls_mpi *r, const mbedtls_mpi *s);

#endif
