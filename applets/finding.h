/* What a check found, and what to do about it: doctor's lines, and those of `agents check`. */
#ifndef AILERON_APPLETS_FINDING_H
#define AILERON_APPLETS_FINDING_H

#include "core/base/err.h"

enum { FINDING_BYTES = 512 };

enum verdict { FINDING_GOOD, FINDING_WARNING, FINDING_BAD };
struct finding {
    enum verdict verdict;
    char note[FINDING_BYTES], next[FINDING_BYTES]; /* next: "" where there is nothing to do */
};

/* Longer texts are cut. */
void finding_set(struct finding *finding, enum verdict verdict, const char *note, const char *next) NONNULL;
void finding_from_err(struct finding *finding, enum verdict verdict, const struct err *err) NONNULL;
/* One line, and one more where there is a next step; name is padded to width. Escaped: it may hold anybody's words. */
void finding_print(const char *name, int width, const struct finding *finding) NONNULL;
const char *finding_word(enum verdict verdict); /* "ok", "warning", "MISSING" */

#endif
