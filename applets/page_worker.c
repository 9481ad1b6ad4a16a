/* The hidden command that the monitor executes when a browser connects to the page. By hand it is of no use. */
#include "applets/applet.h"
#include "core/plane/page.h"

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return page_main();
}

const struct applet applet_page_worker = {
    .name = "page-worker", .summary = "face the browsers on loopback", .run = run, .hidden = true,
};
