/* The overview, the list, the version of everything linked, and `--install DIR`. It knows no command by
 * itself: all comes from the table and from the option rows of each applet. */
#include "applets/about.h"

#include "applets/applet.h"
#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/data/store.h"
#include "core/data/yaml.h"
#include "core/loop/versions.h"
#include "core/wire/versions.h"
#include "tls/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

int about_list(void)
{
    for (size_t i = 0; applet_table[i] != NULL; i++)
        if (!applet_table[i]->hidden)
            puts(applet_table[i]->name);
    return 0;
}

int about_version(void)
{
    struct buf text;

    buf_init(&text, 1024);
    if (!loop_versions(&text) || !buf_adds(&text, ", ") || !wire_versions(&text))
        return err_exit(ERR_INTERNAL);
    printf("aileron %s\n%s, %s, %s, jansson %s, libyaml %s, SQLite %s\n", AILERON_VERSION,
           crypto_mbedtls_version(), crypto_argon2_version(), buf_cstr(&text), JANSSON_VERSION,
           yaml_library_version(), store_library_version());
    buf_clear(&text);
    return 0;
}

int about_help(const char *command, FILE *out)
{
    (void)command;
    fputs("usage: aileron COMMAND [OPTION...]\n"
          "       aileron --list | --version | --install DIR\n\n"
          "An AI agent in a sealed sandbox, with every credential, decision and record outside it.\n\n"
          "Commands:\n", out);
    for (size_t i = 0; applet_table[i] != NULL; i++)
        if (!applet_table[i]->hidden)
            fprintf(out, "  %-10s %s\n", applet_table[i]->name, applet_table[i]->summary);
    fputs("\nSee `aileron COMMAND --help`. Start with `aileron doctor` and `aileron launch -- COMMAND`.\n",
          out);
    return out == stdout ? 0 : err_exit(ERR_USAGE);
}

static int print_specs(const struct applet *applet, enum opt_format format)
{
    for (size_t i = 0; i < applet->spec_count; i++)
        opt_print(applet->specs[i], format);
    return 0;
}

int about_help_command(int argc, char **argv)
{
    static const char *const names[] = {"help", "mdoc", "completion"};
    static const enum opt_format formats[] = {OPT_FORMAT_HELP, OPT_FORMAT_MDOC, OPT_FORMAT_COMPLETION};
    enum opt_format format = OPT_FORMAT_HELP;
    struct err err = {0};
    int at = 1;

    if (at < argc && strncmp(argv[at], "--format=", 9) == 0) {
        size_t i = 0;
        while (i < COUNT(names) && strcmp(argv[at] + 9, names[i]) != 0)
            i++;
        if (i == COUNT(names)) {
            err_set(&err, ERR_USAGE, "help: unknown format %s", argv[at] + 9);
            err_hint(&err, "Use help, mdoc or completion");
            return err_print(&err, "aileron");
        }
        format = formats[i];
        at++;
    }
    if (at >= argc)
        return about_help(NULL, stdout);
    const struct applet *applet = applet_find(argv[at]);
    if (applet == NULL) {
        err_set(&err, ERR_USAGE, "unknown command %s", argv[at]);
        err_hint(&err, "See aileron --list");
        return err_print(&err, "aileron");
    }
    return print_specs(applet, format);
}

/* Copies our executable beside its place and renames it, so that a running program is never half-written. */
static bool install_binary(const char *target, struct err *err)
{
    CLEANUP(file_close_ptr) int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_errno(err, ERR_IO, errno, "cannot read our own executable");
    AUTOFREE char *temp = mem_printf("%s.new.%ld", target, (long)getpid());
    CLEANUP(file_close_ptr) int out = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (out < 0)
        return err_errno(err, ERR_IO, errno, "cannot create %s", temp);
    struct stat st;
    bool good = fstat(in, &st) == 0;
    for (off_t done = 0; good && done < st.st_size;) {
        ssize_t n = sendfile(out, in, &done, (size_t)(st.st_size - done));
        good = n > 0 || (n < 0 && errno == EINTR);
    }
    if (!good || fchmod(out, 0755) != 0 || fsync(out) != 0 || rename(temp, target) != 0) {
        err_errno(err, ERR_IO, errno, "cannot write %s", target);
        unlink(temp);
        return false;
    }
    return true;
}

int about_install(int argc, char **argv)
{
    static const char *const names[] = {"aileron-shim", "aileron-proxy", "aileron-wait"};
    struct err err = {0};

    if (argc != 1) {
        err_set(&err, ERR_USAGE, "--install needs one directory");
        return err_print(&err, "aileron");
    }
    if (!file_mkdirs(argv[0], 0755, &err))
        return err_print(&err, "aileron");
    AUTOFREE char *target = file_join(argv[0], "aileron");
    if (!install_binary(target, &err))
        return err_print(&err, "aileron");
    for (size_t i = 0; i < COUNT(names); i++) {
        AUTOFREE char *link_path = file_join(argv[0], names[i]);
        AUTOFREE char *temp = mem_printf("%s.new.%ld", link_path, (long)getpid());
        /* A file system without hard links gets a relative symlink. rename() of two names of one inode
         * does nothing and leaves the first, hence the unlink after it. */
        if ((link(target, temp) != 0 && symlink("aileron", temp) != 0) || rename(temp, link_path) != 0) {
            err_errno(&err, ERR_IO, errno, "cannot create %s", link_path);
            return err_print(&err, "aileron");
        }
        unlink(temp);
        puts(link_path);
    }
    return 0;
}
