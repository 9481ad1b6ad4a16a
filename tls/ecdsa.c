/* ECDSA over P-256, P-384 and P-521 by nettle (its libhogweed), behind mbedTLS's own doors for it
 * (MBEDTLS_ECDSA_SIGN_ALT and VERIFY_ALT): a signature in a seventh of the time, a verification in a ninth, which are
 * most of what a handshake and a new leaf cost. The arithmetic is nettle's; here numbers are turned from one library's
 * form into the other's, and what either would not refuse is refused.
 *
 * nettle computes with a secret (the key, the nonce) in constant time and at addresses that do not depend on it, so
 * that it needs no blinding. Turning a number into GMP's form depends on how many 64-bit words of zeros it begins with,
 * and on no more. GMP frees what it has used as it is; here it is wiped.
 * Compiled where contrib/deps builds mbedTLS. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* the coordinates of a point */
#include <mbedtls/ecdsa.h>
#include <mbedtls/error.h>

#include <gmp.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/secret.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 66 /* of P-521 */ };

/* ---- memory ---- */

static void *gmp_new(size_t size)
{
    return mem_alloc(size);
}

static void gmp_drop(void *data, size_t size)
{
    secret_wipe(data, size);
    free(data);
}

static void *gmp_resize(void *data, size_t size, size_t wanted)
{
    uint8_t *bigger = mem_alloc(wanted);
    memcpy(bigger, data, size < wanted ? size : wanted);
    gmp_drop(data, size);
    return bigger;
}

/* ---- numbers ---- */

static const struct ecc_curve *curve_of(const mbedtls_ecp_group *group)
{
    mp_set_memory_functions(gmp_new, gmp_resize, gmp_drop); /* nobody else here uses GMP */
    if (group->id == MBEDTLS_ECP_DP_SECP256R1)
        return nettle_get_secp_256r1();
    if (group->id == MBEDTLS_ECP_DP_SECP384R1)
        return nettle_get_secp_384r1();
    return group->id == MBEDTLS_ECP_DP_SECP521R1 ? nettle_get_secp_521r1() : NULL;
}

/* False: negative, or too long to be of any curve here. */
static bool to_gmp(mpz_t out, const mbedtls_mpi *number)
{
    uint8_t bytes[NUMBER_BYTES];
    bool good = mbedtls_mpi_cmp_int(number, 0) >= 0 && mbedtls_mpi_write_binary(number, bytes, sizeof bytes) == 0;
    if (good)
        mpz_import(out, sizeof bytes, 1, 1, 1, 0, bytes);
    secret_wipe(bytes, sizeof bytes);
    return good;
}

static int from_gmp(mbedtls_mpi *out, const mpz_t number)
{
    uint8_t bytes[NUMBER_BYTES];
    size_t len = 0;
    if (mpz_sizeinbase(number, 256) > sizeof bytes)
        return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    mpz_export(bytes, &len, 1, 1, 1, 0, number);
    return mbedtls_mpi_read_binary(out, bytes, len);
}

/* ---- signing ---- */

struct source {
    int (*random)(void *, unsigned char *, size_t);
    void *arg;
    int failed;
};

/* nettle has no word for a source that fails, and would ask it for ever: it gets good bytes, and the caller none of
 * what comes of them. */
static void draw(void *arg, size_t len, uint8_t *out)
{
    struct source *source = arg;
    int ret = source->random(source->arg, out, len);
    if (ret == 0)
        return;
    source->failed = ret;
    random_bytes(out, len);
}

int mbedtls_ecdsa_sign(mbedtls_ecp_group *grp, mbedtls_mpi *r, mbedtls_mpi *s, const mbedtls_mpi *d,
                       const unsigned char *buf, size_t blen, int (*f_rng)(void *, unsigned char *, size_t),
                       void *p_rng)
{
    const struct ecc_curve *curve = curve_of(grp);
    struct source source = {f_rng, p_rng, 0};
    struct ecc_scalar key;
    struct dsa_signature signature;
    mpz_t secret;
    if (curve == NULL || f_rng == NULL)
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    mpz_init(secret);
    ecc_scalar_init(&key, curve);
    dsa_signature_init(&signature);
    int ret = to_gmp(secret, d) && ecc_scalar_set(&key, secret) ? 0 : MBEDTLS_ERR_ECP_INVALID_KEY; /* 1 to n - 1 */
    if (ret == 0) {
        ecdsa_sign(&key, &source, draw, blen, buf, &signature);
        ret = source.failed;
    }
    if (ret == 0)
        ret = from_gmp(r, signature.r);
    if (ret == 0)
        ret = from_gmp(s, signature.s);
    dsa_signature_clear(&signature);
    ecc_scalar_clear(&key);
    mpz_clear(secret);
    return ret;
}

/* ---- verifying: all of it is public ---- */

int mbedtls_ecdsa_verify(mbedtls_ecp_group *grp, const unsigned char *buf, size_t blen, const mbedtls_ecp_point *Q,
                         const mbedtls_mpi *r, const mbedtls_mpi *s)
{
    const struct ecc_curve *curve = curve_of(grp);
    struct ecc_point key;
    struct dsa_signature signature;
    mpz_t x, y;
    if (curve == NULL)
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    mpz_inits(x, y, NULL);
    ecc_point_init(&key, curve);
    dsa_signature_init(&signature);
    /* The point at infinity has no coordinates; ecc_point_set says whether a point is on the curve. */
    bool good = mbedtls_mpi_cmp_int(&Q->Z, 1) == 0 && to_gmp(x, &Q->X) && to_gmp(y, &Q->Y) &&
                ecc_point_set(&key, x, y) && to_gmp(signature.r, r) && to_gmp(signature.s, s) &&
                ecdsa_verify(&key, blen, buf, &signature);
    dsa_signature_clear(&signature);
    ecc_point_clear(&key);
    mpz_clears(x, y, NULL);
    return good ? 0 : MBEDTLS_ERR_ECP_VERIFY_FAILED;
}
