/* Option rows: one table a command gives parsing, --help, the manual's OPTIONS and shell completion. */
#ifndef AILERON_BASE_OPT_H
#define AILERON_BASE_OPT_H

#include "core/base/err.h"

enum opt_kind {
    OPT_FLAG,
    OPT_STRING,
    OPT_NUMBER,
    OPT_DURATION, /* "90s", "5m": milliseconds */
    OPT_LIST,     /* may be repeated */
    OPT_DASHES    /* not an option: a bool that is set where "--" stood before the operands; name is "" */
};
struct opt_row {
    char letter;           /* 0: none */
    const char *name;      /* long name without dashes */
    enum opt_kind kind;
    const char *value;     /* placeholder in the help ("FILE"); NULL for a flag */
    const char *help;      /* one sentence */
    const char *choices;   /* "auto|docker|bwrap", or NULL */
    /* Of the field in the command's own struct: bool, const char *, uint64_t, or struct opt_list. */
    size_t offset;
};
struct opt_list {
    const char *items[64];
    size_t count;
};
struct opt_spec {
    const char *command;   /* "aileron launch" */
    const char *synopsis;  /* "[OPTION...] AGENT [ARG...] | -- COMMAND [ARG...]" */
    const char *summary;   /* one sentence */
    const char *details;   /* paragraphs for the help and the manual, or NULL */
    const struct opt_row *rows;
    size_t row_count;
    bool stop_at_first;    /* the first operand ends the options (launch) */
    bool alone;            /* takes no operands */
};
enum opt_result { OPT_OK, OPT_HELP, OPT_BAD };
/* Fills target (zeroed by the caller, or set to its defaults); operands get the rest of argv, borrowed and
 * ended by NULL; *operand_count of them. The pointers in argv are moved for that.
 * OPT_HELP: help was asked for and has been printed. OPT_BAD: err is set (ERR_USAGE, hint: --help). */
enum opt_result opt_parse(const struct opt_spec *spec, int argc, char **argv, void *target,
                          char ***operands, size_t *operand_count, struct err *err) MUSTUSE NONNULL;
enum opt_format { OPT_FORMAT_HELP, OPT_FORMAT_MDOC, OPT_FORMAT_COMPLETION };
void opt_print(const struct opt_spec *spec, enum opt_format format) NONNULL;

#endif
