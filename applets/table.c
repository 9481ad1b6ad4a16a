/* The list of commands, and the only one: help, manual, completion and dispatch read it. The order is the
 * order of the help. It also holds what commands made of subcommands share. It runs nothing by itself. */
#include "applets/applet.h"

#include "core/base/mem.h"

#include <stdio.h>
#include <string.h>

extern const struct applet applet_launch, applet_attach, applet_session, applet_sandbox, applet_agents, applet_status,
    applet_doctor, applet_open, applet_approvals, applet_vault, applet_policy, applet_connector, applet_audit,
    applet_daemon, applet_shim, applet_wait, applet_proxy, applet_worker, applet_page_worker, applet_sessions;

const struct applet *const applet_table[] = {
    &applet_launch,
    &applet_attach,
    &applet_session,
    &applet_sandbox,
    &applet_agents,
    &applet_status,
    &applet_doctor,
    &applet_open,
    &applet_approvals,
    &applet_vault,
    &applet_policy,
    &applet_connector,
    &applet_audit,
    &applet_daemon,
    &applet_shim,
    &applet_wait,
    &applet_proxy,
    &applet_worker,
    &applet_page_worker,
    &applet_sessions,
    NULL,
};

const struct applet *applet_find(const char *name)
{
    for (size_t i = 0; applet_table[i] != NULL; i++)
        if (strcmp(applet_table[i]->name, name) == 0)
            return applet_table[i];
    return NULL;
}

static void print_verbs(const struct applet *applet, const struct applet_verb *verbs, size_t count)
{
    printf("usage: aileron %s COMMAND [OPTION...]\n\n%s\n\nCommands:\n", applet->name, applet->summary);
    for (size_t i = 0; i < count; i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].spec->summary);
    printf("\nSee `aileron %s COMMAND --help`.\n", applet->name);
}

int applet_verbs(const struct applet *applet, const struct applet_verb *verbs, size_t count, int argc,
                 char **argv)
{
    struct err err = {0};

    if (argc >= 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        print_verbs(applet, verbs, count);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < count; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (argc < 2)
        err_set(&err, ERR_USAGE, "%s needs a command", applet->name);
    else
        err_set(&err, ERR_USAGE, "unknown command %s %s", applet->name, argv[1]);
    err_hint(&err, "See aileron %s --help", applet->name);
    return err_print(&err, "aileron");
}

/* `vault lock user/github` would lock all of it. */
static int refuse_operand(const struct opt_spec *spec, const char *operand)
{
    AUTOFREE char *what = mem_printf("no operand is expected: %s", operand);

    return applet_usage(spec, what);
}

bool applet_parse(const struct opt_spec *spec, int argc, char **argv, void *target, char ***operands,
                  size_t *operand_count, int *status)
{
    struct err err = {0};

    switch (opt_parse(spec, argc, argv, target, operands, operand_count, &err)) {
    case OPT_OK:
        if (!spec->alone || *operand_count == 0)
            return true;
        *status = refuse_operand(spec, (*operands)[0]);
        return false;
    case OPT_HELP:
        *status = 0;
        return false;
    case OPT_BAD:
        break;
    }
    *status = err_print(&err, "aileron");
    return false;
}

int applet_usage(const struct opt_spec *spec, const char *what)
{
    struct err err = {0};

    const char *command = spec->command;
    if (strncmp(command, "aileron ", 8) == 0) /* its name stands in front of every error */
        command += 8;
    err_set(&err, ERR_USAGE, "%s: %s", command, what);
    err_hint(&err, "See %s --help", spec->command);
    return err_print(&err, "aileron");
}
