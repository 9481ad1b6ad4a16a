/* A tool's command line: the catalogue's words for it, its help, and the arguments as JSON. Pure but for what the
 * options themselves name (@FILE, standard input). */
#ifndef AILERON_APPLETS_SHIM_ARGS_H
#define AILERON_APPLETS_SHIM_ARGS_H

#include "core/data/json.h"

enum { SHIM_ARGS_BYTES = 256 * 1024, SHIM_CATALOGUE_BYTES = 16 * 1024 * 1024 };

struct shim_call {
    const char *tool;
    const json_t *operation; /* of tools.json, borrowed */
    json_t *args;            /* object; owned */
    const char *idempotency_key;
    bool json, help, wait;
    uint64_t wait_ms;        /* 0 with wait: for ever */
};
void shim_call_clear(struct shim_call *call) NONNULL;

/* The tool's object in tools.json; NULL: there is none. */
const json_t *shim_find_tool(const json_t *catalogue, const char *tool) NONNULL;
/* argv behind the tool's name: OPERATION [--INPUT VALUE]... Types are checked here, before anything is sent.
 * ERR_USAGE, ERR_DATA. help set: nothing else was checked (operation NULL: of the tool). */
bool shim_parse(const json_t *tool, int argc, char **argv, struct shim_call *call, struct err *err) MUSTUSE
    NONNULL;
void shim_print_help(const json_t *tool, const json_t *operation) NONNULL_AT(1);
/* The catalogue's tools, one a line. */
void shim_print_tools(const json_t *catalogue) NONNULL;

#endif
