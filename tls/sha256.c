/* SHA-256 and SHA-224 by nettle, behind mbedTLS's own door for it (MBEDTLS_SHA256_ALT): where the processor has
 * instructions for it a fifth of the time, for the record's chain and for handshakes. The hash is nettle's.
 * Compiled where contrib/deps builds mbedTLS. */
#include <mbedtls/sha256.h>

#include <mbedtls/error.h>
#include <nettle/sha2.h>

#include "core/base/secret.h"

#include <string.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof((mbedtls_sha256_context *)0)->opaque, "opaque is too small");

static struct sha256_ctx *inside(mbedtls_sha256_context *ctx)
{
    return (struct sha256_ctx *)(void *)ctx->opaque;
}

void mbedtls_sha256_init(mbedtls_sha256_context *ctx)
{
    memset(ctx, 0, sizeof *ctx);
}

void mbedtls_sha256_free(mbedtls_sha256_context *ctx)
{
    if (ctx != NULL)
        secret_wipe(ctx, sizeof *ctx);
}

void mbedtls_sha256_clone(mbedtls_sha256_context *dst, const mbedtls_sha256_context *src)
{
    *dst = *src;
}

int mbedtls_sha256_starts(mbedtls_sha256_context *ctx, int is224)
{
    if (is224 != 0 && is224 != 1)
        return MBEDTLS_ERR_SHA256_BAD_INPUT_DATA;
    ctx->is224 = is224;
    if (is224)
        sha224_init(inside(ctx));
    else
        sha256_init(inside(ctx));
    return 0;
}

int mbedtls_sha256_update(mbedtls_sha256_context *ctx, const unsigned char *input, size_t ilen)
{
    if (ilen > 0)
        sha256_update(inside(ctx), ilen, input); /* SHA-224's is the same */
    return 0;
}

int mbedtls_sha256_finish(mbedtls_sha256_context *ctx, unsigned char *output)
{
    if (ctx->is224)
        sha224_digest(inside(ctx), SHA224_DIGEST_SIZE, output);
    else
        sha256_digest(inside(ctx), SHA256_DIGEST_SIZE, output);
    secret_wipe(ctx, sizeof *ctx); /* as the library's own does: with HMAC it holds what a key was mixed into */
    return 0;
}
