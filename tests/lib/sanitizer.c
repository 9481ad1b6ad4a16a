/* The sanitizers' options in a build with CONFIG=asan, as part of the program: a sandbox gets no environment of the
 * host's, so what runs inside (supervisor, shim, wait) could not be told any other way. Reports go to files,
 * since a report on standard error could pass for a message that a story expects: on the host where
 * ASAN_OPTIONS says (tests/lib/run), inside a sandbox to the workspace, which is the one place that both see. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_options(void);

#define WHERE "log_path=/home/agent/workspace/.sanitizer:"

const char *__asan_default_options(void)
{
    return WHERE "exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1";
}

const char *__ubsan_default_options(void)
{
    return WHERE "exitcode=99:print_stacktrace=1";
}

const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
