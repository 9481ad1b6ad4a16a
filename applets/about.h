/* What the program says of itself: list, version, help, and the installation of its names. Each function
 * returns an exit status. */
#ifndef AILERON_APPLETS_ABOUT_H
#define AILERON_APPLETS_ABOUT_H

#include "core/base/attr.h"
#include <stdio.h>

int about_list(void);                                   /* one name a line */
int about_version(void);                                /* ours, and of everything linked */
int about_help(const char *command, FILE *out) NONNULL_AT(2); /* NULL: the overview (status 64 on stderr) */
int about_help_command(int argc, char **argv) NONNULL;  /* help [--format=help|mdoc|completion] [COMMAND] */
int about_install(int argc, char **argv) NONNULL;       /* DIR: the binary and its three other names */

#endif
