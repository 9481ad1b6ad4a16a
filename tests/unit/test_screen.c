/* The modes of a terminal that are followed: each one of the table, in any pieces, and what is no such sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base/mem.h"
#include "core/sandbox/screen.h"

static void undoes(const char *written, const char *undo)
{
    for (size_t piece = 1; piece <= 7; piece += 3) {
        struct screen screen = {0};
        char out[SCREEN_UNDO_MAX];
        for (size_t at = 0, len = strlen(written); at < len; at += piece)
            screen_follow(&screen, (const uint8_t *)written + at, piece < len - at ? piece : len - at);
        size_t len = screen_undo(&screen, out);
        assert_int_equal(len, strlen(undo));
        assert_memory_equal(out, undo, len);
    }
}

static void what_is_on_is_switched_off(void **state)
{
    (void)state;
    undoes("plain text", "");
    undoes("a\033[?1049hb", "\033[?1049l");
    undoes("\033[?25l", "\033[?25h");
    undoes("\033[?1049h\033[?25l\033[?1000;1006h\033[?2004h", "\033[?1000l\033[?1006l\033[?2004l\033[?1049l\033[?25h");
    undoes("\033=", "\033>");
    undoes("\033[?7l\033[?1h", "\033[?1l\033[?7h");
}

static void what_keys_send_is_put_back(void **state)
{
    (void)state;
    undoes("\033[>4;2m", "\033[>4m");
    undoes("\033[>4;2m\033[>4;0m", "");
    undoes("\033[>4;2m\033[>4m", "");
    undoes("\033[>1u\033[>7u", "\033[<2u");
    undoes("\033[>1u\033[>7u\033[<u", "\033[<1u");
    undoes("\033[>1u\033[>7u\033[<9u", "");
    undoes("\033[=5;1u", "\033[=0u");
    undoes("\033[=5u\033[=0u", "");
    undoes("\033[?u\033[u\033[>4;1h", ""); /* a question, a cursor put back, and nothing */
    /* What was pushed on the other screen goes with it. */
    undoes("\033[>1u\033[?1049h\033[>3u\033[=1u", "\033[?1049l\033[<1u");
    undoes("\033[?1049h\033[>3u\033[<u\033[?1049l", "");
    undoes("\033[>1u\033[>4;1m\033c", "");
}

static void what_is_off_again_is_left_alone(void **state)
{
    (void)state;
    undoes("\033[?1049h\033[?25l ... \033[?25h\033[?1049l", "");
    undoes("\033=\033>", "");
    undoes("\033[?1049;25h", "\033[?1049l");
    undoes("\033[?1049h\033[?25l\033c", ""); /* a reset */
    undoes("\033[?25h\033[?2004l", "");
}

static void what_is_no_mode_is_passed_over(void **state)
{
    char many[256] = "\033[?";

    (void)state;
    undoes("\033[25l\033[?12h\033[?99999999999h\033[?u\033[?h\033[?;;h", "");
    undoes("\033[>1049h\033]0;?1049h\007\033[?10\033[49h", "");
    for (int i = 0; i < 40; i++)
        strcat(many, "25;");
    strcat(many, "1049h");
    undoes(many, ""); /* more numbers than are kept */
    undoes("\033[?1049", "");
}

static void every_mode_at_once_fits(void **state)
{
    static const char *const on = "\033[>1u\033[=1u\033[>4;2m"
                                  "\033[?1;9;1000;1001;1002;1003;1004;1005h\033[?1006;1015;1016;2004;2026;47;1047;1049h"
                                  "\033[?7;25l\033=";
    struct screen screen = {0};
    char out[SCREEN_UNDO_MAX];

    (void)state;
    screen_follow(&screen, (const uint8_t *)on, strlen(on));
    size_t len = screen_undo(&screen, out);
    assert_true(len > 100 && len < SCREEN_UNDO_MAX);
    screen_follow(&screen, (const uint8_t *)out, len);
    assert_int_equal(screen_undo(&screen, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_on_is_switched_off),
        cmocka_unit_test(what_keys_send_is_put_back),
        cmocka_unit_test(what_is_off_again_is_left_alone),
        cmocka_unit_test(what_is_no_mode_is_passed_over),
        cmocka_unit_test(every_mode_at_once_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
