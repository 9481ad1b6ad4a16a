/* JSON with comments and trailing commas, as editors and dev containers write it. Both are blanked out in place, so
 * that the strict parser sees plain JSON and its lines and columns are still the file's. */
#ifndef AILERON_DATA_JSONC_H
#define AILERON_DATA_JSONC_H

#include "core/data/json.h"

/* Puts spaces where comments, a byte order mark and commas before a closing bracket stand; line breaks, strings and
 * the length stay. What is no JSON for another reason, an open comment too, stays as it is. */
void jsonc_blank(char *text, size_t len) NONNULL;
/* As json_parse, of such a text. */
bool jsonc_parse(const void *bytes, size_t len, size_t max, const char *name, enum err_code code,
                 struct doc *out, struct err *err) MUSTUSE NONNULL_AT(4, 6, 7);

#endif
