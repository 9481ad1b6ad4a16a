/* The hidden command that the monitor executes for each session. By hand it is of no use. */
#include "applets/applet.h"
#include "core/plane/worker.h"

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return worker_main();
}

const struct applet applet_worker = {
    .name = "worker", .summary = "carry one session's traffic", .run = run, .hidden = true,
};
