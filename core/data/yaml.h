/* YAML (libyaml) to a struct doc with line and column of every node.
 *
 * The subset that configuration needs: one document, block and flow style, comments. Refused, with line and
 * column: anchors and aliases (bombs), tags, duplicate keys, keys that are no plain scalars, nesting over
 * JSON_DEPTH_MAX, over JSON_NODES_MAX nodes, over JSON_FILE_MAX bytes, NUL. Plain scalars are typed by the
 * core schema of YAML 1.2 (null, ~, true, false, decimal, 0o and 0x integers, floats); everything else is a
 * string. An empty document is null. */
#ifndef AILERON_DATA_YAML_H
#define AILERON_DATA_YAML_H

#include "core/data/json.h"

/* Errors are of code ERR_CONFIG and begin "NAME:line:col: ". */
bool yaml_parse(const void *bytes, size_t len, const char *name, struct doc *out, struct err *err)
    MUSTUSE NONNULL_AT(3, 4, 5);
/* Reads path; name is its last component. A missing file: ERR_NOT_FOUND. */
bool yaml_read(const char *path, struct doc *out, struct err *err) MUSTUSE NONNULL;

const char *yaml_library_version(void); /* libyaml's, for --version */

#endif
