/* Makes the two ends and lets go of them. What is said on the channel is supervisor.h's and attend's. */
#include "applets/launch_control.h"

#include "core/base/file.h"
#include "core/base/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

bool launch_control_open(struct launch_control *control, const struct engine *engine, struct plan *plan,
                         struct attend *attend, struct err *err)
{
    int ends[2];

    *control = (struct launch_control){.ours = -1, .theirs = -1, .listen_fd = -1};
    if (engine->far) /* signals go by the engine's own program */
        return true;
    if (engine->own_terminal) {
        control->path = file_join(plan->session_dir, SANDBOX_CONTROL_NAME);
        control->listen_fd = proc_unix_listen(control->path, 0666, err);
        plan->control_socket = control->listen_fd >= 0;
        attend->control_listen_fd = control->listen_fd;
        attend->control_path = control->path;
        return plan->control_socket;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot make the control channel");
    attend->control_fd = control->ours = ends[0];
    plan->control_fd = control->theirs = ends[1];
    return true;
}

void launch_control_given(struct launch_control *control, struct plan *plan)
{
    file_close_ptr(&control->theirs);
    control->theirs = plan->control_fd = -1;
}

void launch_control_close(struct launch_control *control, struct plan *plan, struct attend *attend)
{
    launch_control_given(control, plan);
    file_close_ptr(&attend->control_listen_fd); /* it may have ended before the supervisor came */
    attend->control_listen_fd = -1;
    file_close_ptr(&control->ours);
    free(control->path);
    control->path = NULL;
}
