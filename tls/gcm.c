/* AES-GCM by nettle, behind mbedTLS's own door for it (MBEDTLS_GCM_ALT): nettle takes many blocks at a time and asks
 * the processor what it can do. The cipher and the hash are nettle's; here are the contract of mbedtls/gcm.h (pieces
 * of any length, overlap, what is refused) and the wiping. Tags are compared in constant time; no other line here
 * depends on a secret. Compiled where contrib/deps builds mbedTLS. */
#include <mbedtls/constant_time.h>
#include <mbedtls/error.h>
#include <mbedtls/gcm.h>
#include <nettle/aes.h>
#include <nettle/gcm.h>

#include "core/base/mem.h"
#include "core/base/secret.h"

#include <stdlib.h>
#include <string.h>

#define DATA_MAX ((UINT64_C(1) << 36) - 32) /* bytes under one key and IV, SP 800-38D 5.2.1.1 */
#define OTHERS_MAX (UINT64_C(1) << 61)      /* bytes of an IV, and of additional data */

/* nettle takes a part of a block only at the end. What does not fill one is kept here, and its output is made with a
 * message state that is put back: once more bytes have come, the block is made anew, whole. */
struct part {
    uint8_t bytes[GCM_BLOCK_SIZE];
    size_t len;
};

struct gcm_state {
    struct gcm_key hash;
    struct gcm_ctx message;
    union {
        struct aes128_ctx aes128;
        struct aes192_ctx aes192;
        struct aes256_ctx aes256;
    } key;
    nettle_cipher_func *cipher;
    int mode;
    struct part added, data;
    uint64_t added_bytes, data_bytes;
};

static void encrypt128(const void *key, size_t len, uint8_t *to, const uint8_t *from)
{
    aes128_encrypt(key, len, to, from);
}

static void encrypt192(const void *key, size_t len, uint8_t *to, const uint8_t *from)
{
    aes192_encrypt(key, len, to, from);
}

static void encrypt256(const void *key, size_t len, uint8_t *to, const uint8_t *from)
{
    aes256_encrypt(key, len, to, from);
}

void mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
    ctx->state = NULL;
}

void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
    if (ctx == NULL || ctx->state == NULL)
        return;
    secret_wipe(ctx->state, sizeof *ctx->state);
    free(ctx->state);
    ctx->state = NULL;
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher, const unsigned char *key, unsigned bits)
{
    if (cipher != MBEDTLS_CIPHER_ID_AES || (bits != 128 && bits != 192 && bits != 256))
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    mbedtls_gcm_free(ctx);
    struct gcm_state *state = ctx->state = mem_alloc(sizeof *state);
    switch (bits) {
    case 128:
        state->cipher = encrypt128;
        aes128_set_encrypt_key(&state->key.aes128, key);
        break;
    case 192:
        state->cipher = encrypt192;
        aes192_set_encrypt_key(&state->key.aes192, key);
        break;
    default:
        state->cipher = encrypt256;
        aes256_set_encrypt_key(&state->key.aes256, key);
        break;
    }
    gcm_set_key(&state->hash, &state->key, state->cipher);
    return 0;
}

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len)
{
    struct gcm_state *state = ctx->state;
    if (state == NULL || iv_len == 0 || iv_len >= OTHERS_MAX ||
        (mode != MBEDTLS_GCM_ENCRYPT && mode != MBEDTLS_GCM_DECRYPT))
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    gcm_set_iv(&state->message, &state->hash, iv_len, iv);
    state->mode = mode;
    state->added.len = state->data.len = 0;
    state->added_bytes = state->data_bytes = 0;
    return 0;
}

/* Fills a part from what comes; the number of bytes taken. */
static size_t part_fill(struct part *part, const uint8_t *from, size_t len)
{
    size_t room = sizeof part->bytes - part->len, take = len < room ? len : room;
    if (take > 0)
        memcpy(part->bytes + part->len, from, take);
    part->len += take;
    return take;
}

int mbedtls_gcm_update_ad(mbedtls_gcm_context *ctx, const unsigned char *add, size_t add_len)
{
    struct gcm_state *state = ctx->state;
    if (state == NULL || state->data_bytes > 0 || add_len >= OTHERS_MAX - state->added_bytes)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    state->added_bytes += add_len;
    if (state->added.len > 0) {
        size_t taken = part_fill(&state->added, add, add_len);
        add += taken;
        add_len -= taken;
        if (state->added.len < GCM_BLOCK_SIZE)
            return 0;
        gcm_update(&state->message, &state->hash, GCM_BLOCK_SIZE, state->added.bytes);
        state->added.len = 0;
    }
    size_t whole = add_len - add_len % GCM_BLOCK_SIZE;
    if (whole > 0)
        gcm_update(&state->message, &state->hash, whole, add);
    part_fill(&state->added, add + whole, add_len - whole);
    return 0;
}

static void cipher_run(struct gcm_state *state, size_t len, uint8_t *to, const uint8_t *from)
{
    (state->mode == MBEDTLS_GCM_ENCRYPT ? gcm_encrypt : gcm_decrypt)(&state->message, &state->hash, &state->key,
                                                                     state->cipher, len, to, from);
}

/* The additional data is complete. */
static void end_added(struct gcm_state *state)
{
    if (state->added.len > 0)
        gcm_update(&state->message, &state->hash, state->added.len, state->added.bytes);
    state->added.len = 0;
}

/* Adds bytes to the part of a block and writes what comes of them; the number taken. */
static size_t crypt_part(struct gcm_state *state, const uint8_t *from, size_t len, uint8_t *to)
{
    uint8_t out[GCM_BLOCK_SIZE];
    size_t before = state->data.len, taken = part_fill(&state->data, from, len);
    struct gcm_ctx message = state->message;
    cipher_run(state, state->data.len, out, state->data.bytes);
    memcpy(to, out + before, taken);
    if (state->data.len < GCM_BLOCK_SIZE)
        state->message = message;
    else
        state->data.len = 0;
    secret_wipe(out, sizeof out);
    return taken;
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, const unsigned char *input, size_t len, unsigned char *output,
                       size_t output_size, size_t *output_length)
{
    struct gcm_state *state = ctx->state;
    if (output_size < len)
        return MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL;
    if (state == NULL || len > DATA_MAX - state->data_bytes)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    *output_length = len;
    if (len == 0)
        return 0;
    if (output > input && (size_t)(output - input) < len)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (output < input && (size_t)(input - output) < len) { /* nettle takes the very same buffer, or another one */
        memmove(output, input, len);
        input = output;
    }
    end_added(state);
    state->data_bytes += len;
    if (state->data.len > 0) {
        size_t taken = crypt_part(state, input, len, output);
        input += taken;
        output += taken;
        len -= taken;
    }
    size_t whole = len - len % GCM_BLOCK_SIZE;
    if (whole > 0)
        cipher_run(state, whole, output, input);
    if (len > whole)
        crypt_part(state, input + whole, len - whole, output + whole);
    return 0;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *output, size_t output_size, size_t *output_length,
                       unsigned char *tag, size_t tag_len)
{
    struct gcm_state *state = ctx->state;
    uint8_t out[GCM_BLOCK_SIZE];
    (void)output; /* update has given all */
    (void)output_size;
    *output_length = 0;
    if (state == NULL || tag_len < 4 || tag_len > GCM_DIGEST_SIZE)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    end_added(state);
    if (state->data.len > 0)
        cipher_run(state, state->data.len, out, state->data.bytes);
    gcm_digest(&state->message, &state->hash, &state->key, state->cipher, tag_len, tag);
    secret_wipe(out, sizeof out);
    secret_wipe(&state->data, sizeof state->data);
    return 0;
}

int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length, const unsigned char *iv, size_t iv_len,
                              const unsigned char *add, size_t add_len, const unsigned char *input,
                              unsigned char *output, size_t tag_len, unsigned char *tag)
{
    size_t done;
    int ret = mbedtls_gcm_starts(ctx, mode, iv, iv_len);
    if (ret == 0)
        ret = mbedtls_gcm_update_ad(ctx, add, add_len);
    if (ret == 0)
        ret = mbedtls_gcm_update(ctx, input, length, output, length, &done);
    return ret == 0 ? mbedtls_gcm_finish(ctx, NULL, 0, &done, tag, tag_len) : ret;
}

int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv, size_t iv_len,
                             const unsigned char *add, size_t add_len, const unsigned char *tag, size_t tag_len,
                             const unsigned char *input, unsigned char *output)
{
    uint8_t check[GCM_DIGEST_SIZE];
    int ret = mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_DECRYPT, length, iv, iv_len, add, add_len, input, output,
                                        tag_len, check);
    if (ret == 0 && mbedtls_ct_memcmp(check, tag, tag_len) != 0) {
        if (length > 0)
            secret_wipe(output, length); /* what is not authentic is not seen */
        ret = MBEDTLS_ERR_GCM_AUTH_FAILED;
    }
    secret_wipe(check, sizeof check);
    return ret;
}
