/* Positions of a document's nodes: what yaml.c writes down and json.c looks up when it reports. */
#ifndef AILERON_DATA_JSON_MARKS_H
#define AILERON_DATA_JSON_MARKS_H

#include "core/data/json.h"

/* A node is known by its parent and its place there: jansson's true, false and null are shared, so their
 * own addresses say nothing. */
struct json_mark {
    const json_t *parent; /* NULL: the root */
    const char *key;      /* borrowed from the parent; NULL in an array */
    size_t index;
    unsigned line, column;         /* of the value, from 1 */
    unsigned key_line, key_column; /* of the key; 0 where there is none */
};

#endif
