/* Standard error is the agent's terminal, or a pipe that somebody else reads, and either may take nothing: after
 * Ctrl-S, with a reader that has stopped, or since the agent wants it so. A pid 1 that waits for it carries no traffic
 * and ends nobody. To make it non-blocking would make it so for the agent too: hence a process, which can be killed. */
#include "core/sandbox/say.h"

#include "core/base/id.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void say_line(const char *text)
{
    uint64_t until = clock_mono_ms() + SAY_MS;
    pid_t pid = fork(); /* where there may be no more processes it stays unsaid */

    if (pid == 0) {
        (void)!write(STDERR_FILENO, text, strlen(text));
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= until) {
            kill(pid, SIGKILL); /* and the supervisor reaps it as any orphan */
            return;
        }
        poll(NULL, 0, 1);
    }
}
