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
#include <stddef.h>
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
          "       aileron help [COMMAND...] | --list | --version | --install DIR\n\n"
          "An AI agent in a sealed sandbox, with every credential, decision and record outside it.\n\n"
          "Commands:\n", out);
    for (size_t i = 0; applet_table[i] != NULL; i++)
        if (!applet_table[i]->hidden)
            fprintf(out, "  %-10s %s\n", applet_table[i]->name, applet_table[i]->summary);
    fputs("\nSee `aileron COMMAND --help`. Start with `aileron doctor` and `aileron launch -- COMMAND`.\n",
          out);
    return out == stdout ? 0 : err_exit(ERR_USAGE);
}

static int help_error(const char *what, const char *hint)
{
    struct err err = {0};

    err_set(&err, ERR_USAGE, "help: %s", what);
    err_hint(&err, "%s", hint);
    return err_print(&err, "aileron");
}

/* Whether these words name this command ("launch", "vault put"), or a part of it that all belongs to ("vault"). */
static bool is_named(const struct opt_spec *spec, char *const *words, size_t count)
{
    struct span rest = span_of(spec->command), word;

    if (!span_cut(&rest, ' ', &word)) /* "aileron", or one of its other names as a whole */
        return true;
    for (size_t i = 0; i < count; i++)
        if (!span_cut(&rest, ' ', &word) || !span_eqs(word, words[i]))
            return false;
    return true;
}

/* words: the command's own name, and a verb where there is one. */
static int print_specs(const struct applet *applet, char *const *words, size_t count, enum opt_format format)
{
    bool any = false;

    for (size_t i = 0; i < applet->spec_count; i++) {
        const struct opt_spec *spec = applet->specs[i];
        bool own = strncmp(spec->command, "aileron-", 8) == 0; /* "aileron-proxy run" is `proxy run` */
        if (!is_named(spec, own ? words + 1 : words, own ? count - 1 : count))
            continue;
        opt_print(spec, format);
        any = true;
    }
    AUTOFREE char *what = mem_printf("unknown command %s %s", words[0], count > 1 ? words[1] : "");
    AUTOFREE char *hint = mem_printf("See aileron %s --help", words[0]);
    return any ? 0 : help_error(what, hint);
}

struct help_options {
    const char *format;
};
static const struct opt_row help_rows[] = {
    {0, "format", OPT_STRING, "FORM", "What it is for.", "help|mdoc|completion", offsetof(struct help_options, format)},
};
static const struct opt_spec help_spec = {.command = "aileron help", .synopsis = "[--format=FORM] [COMMAND...]",
                                          .summary = "Print the help of a command",
                                          .details = "Or what the manual, or a shell's completion, is made of.",
                                          .rows = help_rows, .row_count = COUNT(help_rows)};

int about_help_command(int argc, char **argv)
{
    struct help_options options = {.format = "help"};
    enum opt_format format = OPT_FORMAT_HELP;
    char **words;
    size_t count;
    int status = 0;

    if (!applet_parse(&help_spec, argc, argv, &options, &words, &count, &status))
        return status;
    if (strcmp(options.format, "mdoc") == 0)
        format = OPT_FORMAT_MDOC;
    else if (strcmp(options.format, "completion") == 0)
        format = OPT_FORMAT_COMPLETION;
    if (count == 0)
        return about_help(NULL, stdout);
    if (strcmp(words[0], "help") == 0) {
        opt_print(&help_spec, format);
        return 0;
    }
    const struct applet *applet = applet_find(words[0]);
    if (applet != NULL)
        return print_specs(applet, words, count, format);
    AUTOFREE char *what = mem_printf("unknown command %s", words[0]);
    return help_error(what, "See aileron --list");
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
        err_hint(&err, "Like: aileron --install ~/bin");
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
