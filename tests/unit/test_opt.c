/* core/base/opt: parsing by rows, and that help, manual and completion come from the same rows. */
#include "core/base/opt.h"

#include "core/base/mem.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct target {
    bool quiet, dashes, all;
    const char *sandbox;
    uint64_t number, hold_ms;
    struct opt_list mounts;
};

static const struct opt_row rows[] = {
    {'q', "quiet", OPT_FLAG, NULL, "Say less.", NULL, offsetof(struct target, quiet)},
    {'a', "all", OPT_FLAG, NULL, "All of them.", NULL, offsetof(struct target, all)},
    {'s', "sandbox", OPT_STRING, "ENGINE", "The engine.", "auto|docker|bwrap", offsetof(struct target, sandbox)},
    {'n', "number", OPT_NUMBER, "N", "How many. Not 'too' many.", NULL, offsetof(struct target, number)},
    {0, "hold", OPT_DURATION, "TIME", ".How long a request waits for a person before it is given a pending answer "
     "and the client has to come back.", NULL, offsetof(struct target, hold_ms)},
    {'m', "mount", OPT_LIST, "DIR", "Mounts a directory.", NULL, offsetof(struct target, mounts)},
    {0, "", OPT_DASHES, NULL, "A command follows, not an agent.", NULL, offsetof(struct target, dashes)},
};
static const struct opt_spec plain = {.command = "aileron test", .synopsis = "[OPTION...] FILE [ARG...]",
                                      .summary = "Tests options.", .rows = rows, .row_count = COUNT(rows)};
static const struct opt_spec stops = {.command = "aileron launch",
                                      .synopsis = "[OPTION...] AGENT [ARG...] | -- COMMAND [ARG...]",
                                      .summary = "Launches.", .details = "One.\n\n  example \\ here\n\n.Two.",
                                      .rows = rows, .row_count = COUNT(rows), .stop_at_first = true};

/* A vector of its own for each parse: opt_parse moves what is in it. */
static struct line {
    char *words[80];
    int count;
    struct target target;
    char **operands;
    size_t operand_count;
    struct err err;
} line;

static enum opt_result parse(const struct opt_spec *spec, const char *text)
{
    static char copy[1024];
    memset(&line, 0, sizeof(line));
    snprintf(copy, sizeof(copy), "test %s", text);
    for (char *p = copy; p; line.count++) {
        line.words[line.count] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = '\0';
    }
    return opt_parse(spec, line.count, line.words, &line.target, &line.operands, &line.operand_count, &line.err);
}

static void every_form(void **state)
{
    (void)state;
    static const char *const same[] = {
        "-q -s docker -n 5 --hold 2m -m a -m b x y",
        "x --quiet --sandbox=docker --number=5 y --hold=120 --mount=a --mount=b",
        "-qsdocker x -n5 --hold 120s -ma y -mb",
        "-q --sandbox docker --number 5 --hold 2m --mount a --mount b -- x y",
    };
    for (size_t i = 0; i < COUNT(same); i++) {
        assert_int_equal(parse(&plain, same[i]), OPT_OK);
        assert_true(line.target.quiet);
        assert_false(line.target.all);
        assert_string_equal(line.target.sandbox, "docker");
        assert_int_equal(line.target.number, 5);
        assert_int_equal(line.target.hold_ms, 120000);
        assert_int_equal(line.target.mounts.count, 2);
        assert_string_equal(line.target.mounts.items[1], "b");
        assert_int_equal(line.operand_count, 2);
        assert_string_equal(line.operands[0], "x");
        assert_string_equal(line.operands[1], "y");
        assert_null(line.operands[2]);
        assert_int_equal(line.target.dashes, i == 3);
    }
}

static void operands(void **state)
{
    (void)state;
    assert_int_equal(parse(&plain, "- -- -q --quiet --"), OPT_OK);
    assert_false(line.target.quiet);
    assert_int_equal(line.operand_count, 4);
    assert_string_equal(line.operands[0], "-");
    assert_string_equal(line.operands[3], "--");
    assert_int_equal(opt_parse(&plain, 1, line.words, &line.target, &line.operands, &line.operand_count,
                               &line.err), OPT_OK);
    assert_int_equal(line.operand_count, 0);
    assert_null(line.operands[0]);
    assert_int_equal(parse(&stops, "-q claude -a --help -- z"), OPT_OK);
    assert_true(line.target.quiet);
    assert_false(line.target.all);
    assert_false(line.target.dashes);
    assert_int_equal(line.operand_count, 5);
    assert_string_equal(line.operands[3], "--");
    assert_int_equal(parse(&stops, "-q -- claude -a"), OPT_OK);
    assert_true(line.target.dashes);
    assert_int_equal(line.operand_count, 2);
    assert_int_equal(parse(&stops, "-m -- claude"), OPT_OK); /* here it is a value */
    assert_false(line.target.dashes);
    assert_string_equal(line.target.mounts.items[0], "--");
    assert_int_equal(parse(&plain, "--sandbox=auto --mount="), OPT_OK);
    assert_string_equal(line.target.mounts.items[0], "");
}

static void mistakes(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--foo", "unknown option --foo"},
        {"--foo=secret", "unknown option --foo"},
        {"--quie", "unknown option --quie"}, /* no abbreviations */
        {"--=x", "unknown option --"},
        {"-qz", "unknown option -z"},
        {"--quiet=yes", "no value is taken by --quiet=yes"},
        {"--sandbox", "option --sandbox needs a value: ENGINE"},
        {"-s", "option -s needs a value: ENGINE"},
        {"--sandbox=lxc", "option --sandbox takes auto|docker|bwrap, not \"lxc\""},
        {"--sandbox=", "option --sandbox takes auto|docker|bwrap, not \"\""},
        {"--sandbox=auto|docker", "option --sandbox takes auto|docker|bwrap, not \"auto|docker\""},
        {"-n -5", "option --number takes a number, not \"-5\""},
        {"--hold=soon", "option --hold takes a duration such as 90s, 5m or 8h, not \"soon\""},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(&plain, bad[i][0]), OPT_BAD);
        assert_string_equal(line.err.message, bad[i][1]);
        assert_string_equal(line.err.hint, "See aileron test --help");
        assert_int_equal(line.err.code, ERR_USAGE);
    }
    char many[1024] = "";
    for (int i = 0; i < 64; i++)
        strncat(many, "-mx ", sizeof(many) - strlen(many) - 1);
    strncat(many, "y", sizeof(many) - strlen(many) - 1);
    assert_int_equal(parse(&plain, many), OPT_OK);
    many[strlen(many) - 1] = '\0';
    strncat(many, "-mx", sizeof(many) - strlen(many) - 1);
    assert_int_equal(parse(&plain, many), OPT_BAD);
}

/* What a call prints on standard output, which is a file meanwhile. */
static FILE *capture;
static int saved;

static void capture_start(void)
{
    fflush(stdout);
    capture = tmpfile();
    assert_non_null(capture);
    saved = dup(STDOUT_FILENO);
    dup2(fileno(capture), STDOUT_FILENO);
}

static void capture_end(char *out, size_t cap)
{
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(capture);
    size_t len = fread(out, 1, cap - 1, capture);
    out[len] = '\0';
    fclose(capture);
}

static void help_shows_every_row(void **state)
{
    (void)state;
    static const char *const asks[] = {"--help", "-h", "-qh", "x --help", "--foo-is-after --help"};
    char text[4096];
    for (size_t i = 0; i < COUNT(asks) - 1; i++) {
        capture_start();
        enum opt_result result = parse(&plain, asks[i]);
        capture_end(text, sizeof(text));
        assert_int_equal(result, OPT_HELP);
        assert_non_null(strstr(text, "usage: aileron test [OPTION...] FILE [ARG...]\n"));
        for (size_t row = 0; row < COUNT(rows); row++) {
            AUTOFREE char *name = mem_printf("--%s%s%s", rows[row].name, rows[row].value ? "=" : "",
                                             rows[row].value ? rows[row].value : "");
            assert_non_null(strstr(text, name));
        }
        assert_non_null(strstr(text, "  -s, --sandbox=ENGINE      The engine. One of auto, docker, bwrap.\n"));
        assert_non_null(strstr(text, "  -h, --help                Show this help.\n"));
    }
    for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1)
        assert_true(end - p <= 80);
    assert_int_equal(parse(&plain, asks[4]), OPT_BAD);
    assert_int_equal(parse(&plain, "-- --help"), OPT_OK);
}

static void manual_shows_every_row(void **state)
{
    (void)state;
    char text[8192];
    capture_start();
    opt_print(&stops, OPT_FORMAT_MDOC);
    capture_end(text, sizeof(text));
    assert_non_null(strstr(text, ".Nm aileron launch\n.Op Fl q | Fl -quiet\n"));
    assert_non_null(strstr(text, ".Op Fl s | Fl -sandbox Ns = Ns Ar ENGINE\n"));
    assert_non_null(strstr(text, ".Ar AGENT\n.Op Ar ARG ...\n.Nm aileron launch\n.Fl -\n.Ar COMMAND\n"));
    assert_non_null(strstr(text, ".It Fl s , Fl -sandbox Ns = Ns Ar ENGINE\nThe engine.\n"));
    assert_non_null(strstr(text, ".Cm auto ,\n.Cm docker ,\n.Cm bwrap .\n"));
    assert_non_null(strstr(text, "\n\\&.How long")); /* never taken for a request */
    assert_non_null(strstr(text, "How many.\nNot 'too' many.\n"));
    assert_non_null(strstr(text, ".Bd -literal -offset indent\nexample \\e here\n.Ed\n.Pp\n\\&.Two.\n"));
    assert_non_null(strstr(text, ".It Fl -\nA command follows"));
}

static void completion_shows_every_row(void **state)
{
    (void)state;
    char text[4096];
    capture_start();
    opt_print(&plain, OPT_FORMAT_COMPLETION);
    capture_end(text, sizeof(text));
    assert_string_equal(text, "-q\n--quiet\n-a\n--all\n-s\n--sandbox=\n--sandbox=auto\n--sandbox=docker\n"
                              "--sandbox=bwrap\n-n\n--number=\n--hold=\n-m\n--mount=\n--help\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),
        cmocka_unit_test(operands),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(help_shows_every_row),
        cmocka_unit_test(manual_shows_every_row),
        cmocka_unit_test(completion_shows_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
