/* Text: spans (borrowed bytes with a length), strict numbers, hex and base64, and escaping of hostile
 * bytes for terminals and logs. */
#ifndef AILERON_BASE_TEXT_H
#define AILERON_BASE_TEXT_H

#include "core/base/attr.h"
#include <string.h>

struct span {
    const char *p;
    size_t len;
};
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
#define SPAN_ARG(s) (int)(s).len, (s).p /* for "%.*s" */

struct span span_of(const char *s) NONNULL;
bool span_eq(struct span a, struct span b);
bool span_eqs(struct span a, const char *s) NONNULL;
bool span_eqi(struct span a, struct span b); /* ASCII case-insensitive */
bool span_eqis(struct span a, const char *s) NONNULL;
bool span_starts(struct span s, const char *prefix) NONNULL;
bool span_ends(struct span s, const char *suffix) NONNULL;
struct span span_trim(struct span s);               /* spaces and tabs off both ends */
bool span_cut(struct span *rest, char sep, struct span *head) MUSTUSE NONNULL; /* false when rest was empty */

/* ASCII from the space on, without the quotation mark and the backslash: as it is in UTF-8, in JSON, and without a NUL.
 * What most texts are; a look at eight bytes at a time. */
bool text_is_plain(struct span s);

/* Decimal digits only, no sign, no space; false on overflow past max. */
bool text_u64(struct span s, uint64_t max, uint64_t *out) MUSTUSE NONNULL;
/* "90", "120s", "5m", "8h", "7d" -> milliseconds. */
bool text_duration_ms(struct span s, uint64_t *out) MUSTUSE NONNULL;
/* "512", "64k", "4m", "4g" -> bytes. */
bool text_bytes(struct span s, uint64_t *out) MUSTUSE NONNULL;

size_t text_decimal(uint64_t value, char out[21]) NONNULL; /* the digits' count; a NUL stands behind them */
void text_hex(const uint8_t *data, size_t len, char *out) NONNULL; /* out: 2*len+1 bytes */
bool text_unhex(struct span s, uint8_t *out, size_t out_len) MUSTUSE NONNULL;
size_t text_base64_len(size_t len);                                /* with the NUL */
void text_base64(const uint8_t *data, size_t len, char *out) NONNULL;
bool text_unbase64(struct span s, uint8_t *out, size_t cap, size_t *out_len) MUSTUSE NONNULL; /* strict, padded */

/* Copies s into out (cap bytes, NUL-terminated) for display: control bytes, invalid UTF-8, bidi
 * controls and DEL become \xNN or \u{N}; cut with "..." at cap. Threat A03. */
void text_display(struct span s, char *out, size_t cap) NONNULL;
bool text_is_token(struct span s);  /* RFC 9110 token, 1 or more bytes */
bool text_utf8_valid(struct span s);

#endif
