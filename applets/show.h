/* Printing for people: columns of text that may come from hostile places (escaped), and JSON. */
#ifndef AILERON_APPLETS_SHOW_H
#define AILERON_APPLETS_SHOW_H

#include "core/data/json.h"

/* Padded to width and followed by one space; width 0: as it is. NULL prints "-". */
void show_string(const char *text, int width);
void show_text(const json_t *object, const char *key, int width) NONNULL_AT(2); /* a string or number of object */
int show_json(const json_t *value) NONNULL; /* compact, with a newline; returns an exit status */
/* What could not be written, and the error, are forgotten: it was said already, and main says it no second time. */
void show_none(void);

#endif
