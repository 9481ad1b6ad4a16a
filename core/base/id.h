/* Identifiers (ULID, Crockford base 32, 26 characters) and clocks. Tests may fake both clocks. */
#ifndef AILERON_BASE_ID_H
#define AILERON_BASE_ID_H

#include "core/base/attr.h"

#define ULID_LEN 26
struct id {
    char text[32]; /* "op_01J...", NUL-terminated */
};
/* prefix: "", "op_", "apr_". Monotonic within the process for one millisecond. */
struct id id_new(const char *prefix) NONNULL;
bool id_valid(const char *text, const char *prefix) NONNULL;
uint64_t clock_wall_ms(void);  /* Unix time */
uint64_t clock_mono_ms(void);
void clock_fake(uint64_t wall_ms, uint64_t mono_ms); /* tests; 0, 0 goes back to the real ones */
/* "2026-11-24T05:09:01.123Z"; out has at least 25 bytes. */
void clock_iso(uint64_t wall_ms, char out[32]) NONNULL;
void random_bytes(void *out, size_t len) NONNULL; /* getrandom(2); aborts where it fails */

#endif
