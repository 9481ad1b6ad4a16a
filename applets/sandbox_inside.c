/* What `aileron sandbox check` runs in the sandbox, in the place of the agent and with its rights. */
#include "applets/sandbox.h"

#include "applets/show.h"
#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/sandbox/fence.h"
#include "core/sandbox/layout.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64, OUR_OLD_MACHINE = EM_386 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64, OUR_OLD_MACHINE = EM_ARM };
#else
#error "which architecture is this?"
#endif

static bool find_command(const char *word, char **found, struct err *err)
{
    const char *path = getenv("PATH");

    *found = proc_which(word, path != NULL ? path : SANDBOX_PATH);
    if (*found != NULL && access(*found, X_OK) == 0)
        return true;
    err_set(err, ERR_NOT_FOUND_COMMAND, "%s is not on the PATH of the agent's user (%s)", word,
            path != NULL ? path : "");
    return err_hint(err,
                    "Install it in the image (aileron sandbox init --agent writes a recipe), or name it by its path");
}

/* A program of another machine; a script's interpreter is its own affair. */
static bool check_machine(const char *command, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(command, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr head; /* e_machine stands at the same place in both classes */

    if (fd < 0 || pread(fd, &head, sizeof(head), 0) < (ssize_t)offsetof(Elf64_Ehdr, e_version) ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_machine == OUR_MACHINE ||
        head.e_machine == OUR_OLD_MACHINE)
        return true;
    err_set(err, ERR_NOT_EXECUTABLE, "%s is made for another machine (ELF machine %u)", command, head.e_machine);
    return err_hint(err, "Build or pull the image for this machine's architecture");
}

static bool check_workspace(struct err *err)
{
    char name[] = ".aileron-check-XXXXXX";
    CLEANUP(file_close_ptr) int fd = mkostemp(name, O_CLOEXEC);

    if (fd >= 0)
        return unlink(name) == 0 || err_errno(err, ERR_LAUNCH, errno, "cannot remove a file from the workspace");
    err_errno(err, ERR_LAUNCH, errno, "the workspace cannot be written to");
    return err_hint(err, "Look at the owner and the mode of the directory on the host");
}

/* Each is looked at, whatever the others said; the first that failed decides the status. */
static void judge(const char *what, bool good, const char *text, const struct err *err, int *status)
{
    printf("%-10s %-8s ", what, good ? "ok" : "MISSING");
    show_string(good ? text : err->message, 0);
    if (!good && err->hint[0] != '\0') {
        printf("\n%-10s %-8s -> ", "", "");
        show_string(err->hint, 0);
    }
    putchar('\n');
    if (!good && *status == 0)
        *status = err_exit(err->code);
}

int sandbox_inside(char *const *words)
{
    const char *token = getenv("AILERON_TOKEN");
    AUTOFREE char *command = NULL;
    struct err err = {0};
    char cwd[4096];
    int status = 0;

    if (words[0] != NULL) {
        bool found = find_command(words[0], &command, &err);
        judge("command", found, command != NULL ? command : "", &err, &status);
        if (found)
            judge("machine", check_machine(command, &err), "it is made for this one", &err, &status);
    }
    judge("workspace", check_workspace(&err), getcwd(cwd, sizeof(cwd)) != NULL ? cwd : ".", &err, &status);
    judge("socket", fence_check_daemon(SANDBOX_SOCKET, token != NULL ? token : "", &err), "the daemon answers", &err,
          &status);
    return status;
}
