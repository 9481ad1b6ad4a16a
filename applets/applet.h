/* An applet is one command of the program. Each file of applets/ defines one `const struct applet
 * applet_NAME`; applets/table.c lists them all, and main.c picks one by argv[0] or by argv[1].
 *
 * run gets argv with argv[0] being the command's own name ("vault", "proxy", or a tool's name for the shim)
 * and returns the exit status of design 14; it prints its own errors with err_print(&err, "aileron"). */
#ifndef AILERON_APPLETS_APPLET_H
#define AILERON_APPLETS_APPLET_H

#include "core/base/err.h"
#include "core/base/opt.h"

struct applet {
    const char *name;
    const char *summary;                 /* one line for the list and the manual */
    int (*run)(int argc, char **argv);
    const struct opt_spec *const *specs; /* the command, or one a subcommand; help, manual and completion */
    size_t spec_count;
    bool hidden;                         /* for the program's own use; left out of the list */
};

/* The one list, ended by NULL (table.c). */
extern const struct applet *const applet_table[];
const struct applet *applet_find(const char *name) NONNULL; /* NULL: no such command */

/* A command made of subcommands ("vault put"): one row each. */
struct applet_verb {
    const char *name;
    const struct opt_spec *spec;
    int (*run)(int argc, char **argv);
};
/* Runs the verb that argv[1] names with argv shifted by one; prints the command's own help for -h, --help
 * or nothing at all, and a usage error for an unknown verb. */
int applet_verbs(const struct applet *applet, const struct applet_verb *verbs, size_t count, int argc,
                 char **argv) NONNULL;

/* Parses with the row's table. Returns true to go on. Otherwise *status is what to exit with (help was
 * printed, or the error was). */
bool applet_parse(const struct opt_spec *spec, int argc, char **argv, void *target, char ***operands,
                  size_t *operand_count, int *status) MUSTUSE NONNULL;
/* A usage error for a wrong number of operands; returns its exit status. */
int applet_usage(const struct opt_spec *spec, const char *what) NONNULL;

#endif
