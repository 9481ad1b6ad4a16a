/* The table, and how its links are made in a container. hostroot.c makes the browsers' for bwrap; the distributions'
 * are of no use there, since nothing can write to the roots that they are for. */
#include "core/sandbox/anchor.h"

#include "core/base/file.h"
#include "core/sandbox/layout.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHROMIUM SANDBOX_ETC "/policy-chromium.json"

/* The distributions' make their file of roots anew from what is in these directories, when the package of roots is
 * upgraded: what the supervisor adds to the file would be lost. Chromium reads a directory of policies, which one by
 * who built it; Firefox reads one file, so that an image's own stays, and lets the session's CA out. */
const struct anchor anchor_table[ANCHOR_COUNT] = {
    {"/usr/local/share/ca-certificates/aileron.crt", SANDBOX_CA_EXTRA, true}, /* Debian, Alpine */
    {"/etc/pki/ca-trust/source/anchors/aileron.crt", SANDBOX_CA_EXTRA, true}, /* Fedora, RHEL */
    {"/etc/pki/trust/anchors/aileron.crt", SANDBOX_CA_EXTRA, true},           /* SUSE */
    {"/etc/ca-certificates/trust-source/anchors/aileron.crt", SANDBOX_CA_EXTRA, true}, /* Arch */
    {"/etc/chromium/policies/managed/aileron.json", CHROMIUM, false},
    {"/etc/opt/chrome/policies/managed/aileron.json", CHROMIUM, false},
    {"/etc/opt/chrome_for_testing/policies/managed/aileron.json", CHROMIUM, false}, /* Playwright's, Puppeteer's */
    {"/etc/opt/edge/policies/managed/aileron.json", CHROMIUM, false},
    {"/etc/firefox/policies/policies.json", SANDBOX_ETC "/policy-firefox.json", false},
};

static void make(const struct anchor *anchor, int root)
{
    CLEANUP(file_close_ptr) int at = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *rest = anchor->place + 1, *slash;

    while (at >= 0 && (slash = strchr(rest, '/')) != NULL) {
        AUTOFREE char *name = mem_strndup(rest, (size_t)(slash - rest));
        rest = slash + 1;
        /* Debian's own directory comes with the package of roots, which may be installed later. */
        if (!anchor->distribution || strchr(rest, '/') == NULL)
            (void)!mkdirat(at, name, 0755);
        int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(at);
        at = next;
    }
    if (at >= 0)
        (void)!symlinkat(anchor->target, at, rest);
}

void anchor_make_all(int root)
{
    mode_t mask = umask(022);

    for (size_t i = 0; i < ANCHOR_COUNT; i++)
        make(&anchor_table[i], root);
    umask(mask);
}

bool anchor_below(const char *directory)
{
    size_t len = strlen(directory);

    for (size_t i = 0; i < ANCHOR_COUNT; i++)
        if (!anchor_table[i].distribution && strncmp(anchor_table[i].place, directory, len) == 0 &&
            anchor_table[i].place[len] == '/')
            return true;
    return false;
}
