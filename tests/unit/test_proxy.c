/* Runs the proxy cases (tests/proxy/NAME.case): what a client says, what the upstream must hear, what the monitor is
 * asked, and what stands on the record. Each file is one test with a plane of its own; tests/proxy/README says how
 * a case is written. */
#include "plane_steps.h"

#include <glob.h>

enum { CASE_BYTES = 256 * 1024, CASES_MAX = 512, BLOCK_BYTES = 64 * 1024 };

static char *copy_text(const char *text)
{
    return mem_strdup(text ? text : "");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "..." with \r \n \t \" \\ \xHH; *at is behind the first quote and then behind the last. */
static bool read_quoted(const char **at, struct buf *out)
{
    for (const char *p = *at; *p; p++) {
        char c = *p;
        if (c == '"') {
            *at = p + 1;
            return true;
        }
        if (c == '\\') {
            c = *++p;
            if (c == 'x' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
                c = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
                p += 2;
            } else {
                c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c;
            }
        }
        assert_true(buf_add(out, &c, 1));
    }
    return false;
}

/* "<<": the lines up to ".", each with CRLF for peers, with LF for files. */
static void read_block(struct script *script, struct span *rest, bool crlf, struct buf *out)
{
    struct span line;
    while (span_cut(rest, '\n', &line)) {
        script->line++;
        if (span_eqs(line, "."))
            return;
        assert_true(buf_add(out, line.p ? line.p : "", line.len) && buf_adds(out, crlf ? "\r\n" : "\n"));
    }
    STEP_FAIL(script, "a block that does not end");
}

static void run_step(struct script *script, struct step *step)
{
    for (size_t i = 0; i < COUNT(steps); i++) {
        if (strcmp(steps[i].word, step->words[0]) == 0) {
            steps[i].run(script, step);
            return;
        }
    }
    STEP_FAIL(script, "%s is no step", step->words[0]);
}

static void read_step(struct script *script, char *line, struct span *rest)
{
    struct step step = {.count = 0};
    struct buf text;
    bool has_text = false, file = strncmp(line, "policy", 6) == 0 || strncmp(line, "bindings", 8) == 0 ||
                                  strncmp(line, "config", 6) == 0;
    buf_init(&text, BLOCK_BYTES);
    for (const char *p = line; *p;) {
        p += strspn(p, " ");
        if (*p == '"') {
            p++;
            has_text = true;
            if (!read_quoted(&p, &text))
                STEP_FAIL(script, "a quote that does not end");
        } else if (strcmp(p, "<<") == 0) {
            has_text = true;
            read_block(script, rest, !file, &text);
            break;
        } else if (*p) {
            size_t len = strcspn(p, " ");
            assert_true(step.count < COUNT(step.words) - 1);
            step.words[step.count++] = mem_strndup(p, len);
            p += len;
        }
    }
    step.len = text.len;
    step.text = has_text ? buf_cstr(&text) : NULL;
    run_step(script, &step);
    for (size_t i = 0; i < step.count; i++)
        free(step.words[i]);
    buf_clear(&text);
}

static void run_case(void **state)
{
    struct world world = {.home = ""};
    struct script script = {.world = &world, .name = *state};
    struct err err;
    struct buf file;
    struct span rest, line;
    buf_init(&script.answer, PEER_HEARD_BYTES);
    if (!file_read(script.name, CASE_BYTES, &file, &err))
        fail_msg("%s", err.message);
    world_start(&world);
    rest = (struct span){(const char *)file.data, file.len};
    while (span_cut(&rest, '\n', &line)) {
        script.line++;
        if (line.len == 0 || line.p[0] == '#')
            continue;
        AUTOFREE char *text = mem_strndup(line.p, line.len);
        read_step(&script, text, &rest);
    }
    buf_clear(&file);
    buf_clear(&script.answer);
    assert_false(world.monitor_gone || world.plane_gone);
    world_stop(&world);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES_MAX];
    glob_t found = {0};
    size_t count = 0;
    /* From the repository's root, as every test; a pattern to run some alone. */
    if (glob(argc > 1 ? argv[1] : "tests/proxy/*.case", 0, NULL, &found) != 0 || found.gl_pathc > CASES_MAX) {
        fprintf(stderr, "no proxy case is here\n");
        return 1;
    }
    for (; count < found.gl_pathc; count++)
        tests[count] = (struct CMUnitTest){.name = copy_text(strrchr(found.gl_pathv[count], '/') + 1),
                                           .test_func = run_case, .initial_state = found.gl_pathv[count]};
    int failed = _cmocka_run_group_tests("proxy", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tests[i].name);
    globfree(&found);
    return failed != 0;
}
