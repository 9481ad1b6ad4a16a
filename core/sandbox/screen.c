/* A table of modes and a reader of five states. What it does not know it passes over. */
#include "core/sandbox/screen.h"

#include "core/base/mem.h"

#include <stdio.h>

enum state { PLAIN, ESCAPE, BRACKET, PRIVATE };
enum {
    ESC = 0x1b,
    KEYPAD = 0xffff, /* names of modes that have no number */
    OTHER_KEYS = 0xfffe,
    KEY_FLAGS = 0xfffd,
    DIGITS_MAX = 9999,
    PUSHED_MAX = 32 /* a terminal keeps fewer */
};

static const struct {
    uint16_t mode;
    uint8_t begins; /* 1: it is on when a terminal begins */
} modes[] = {
    {1, 0},    /* arrow keys for an application */
    {7, 1},    /* lines wrap */
    {9, 0},    /* mouse, in five ways and four encodings, and focus */
    {1000, 0}, {1001, 0}, {1002, 0}, {1003, 0}, {1004, 0}, {1005, 0}, {1006, 0}, {1015, 0}, {1016, 0},
    {2004, 0}, /* what is pasted is marked */
    {2026, 0}, /* nothing is shown until it ends */
    {47, 0},   {1047, 0}, {1049, 0}, /* the other screen */
    {KEYPAD, 0},
    {OTHER_KEYS, 0},
    {KEY_FLAGS, 0}, /* of the main screen */
    {25, 1}, /* the cursor; last, when the screen is the right one */
};

/* NULL: as its number says. */
static const char *undo_of(uint16_t mode)
{
    return mode == KEYPAD ? "\033>" : mode == OTHER_KEYS ? "\033[>4m" : mode == KEY_FLAGS ? "\033[=0u" : NULL;
}

static void set(struct screen *screen, uint16_t mode, bool on)
{
    for (size_t i = 0; i < COUNT(modes); i++) {
        uint32_t bit = UINT32_C(1) << i;
        if (modes[i].mode == mode)
            screen->changed = on == (modes[i].begins != 0) ? screen->changed & ~bit : screen->changed | bit;
    }
}

static bool is_other_screen(const struct screen *screen)
{
    bool other = false;

    for (size_t i = 0; i < COUNT(modes); i++)
        other = other || ((modes[i].mode == 47 || modes[i].mode == 1047 || modes[i].mode == 1049) &&
                          (screen->changed >> i & 1) != 0);
    return other;
}

static void keyboard(struct screen *screen)
{
    uint16_t first = screen->params[0], count = first > 0 ? first : 1;

    if (is_other_screen(screen))
        return;
    if (screen->prefix == '>')
        screen->pushed += screen->pushed < PUSHED_MAX;
    else if (screen->prefix == '<')
        screen->pushed = count < screen->pushed ? (uint8_t)(screen->pushed - count) : 0;
    else if (screen->prefix == '=')
        set(screen, KEY_FLAGS, first != 0);
}

static void end(struct screen *screen, uint8_t byte)
{
    if (byte == 'u')
        keyboard(screen);
    else if (byte == 'm' && screen->prefix == '>' && screen->params[0] == 4)
        set(screen, OTHER_KEYS, screen->count > 0 && screen->params[1] != 0);
    bool is_mode = screen->prefix == '?' && (byte == 'h' || byte == 'l');
    for (size_t i = 0; is_mode && i <= screen->count && i < SCREEN_PARAMS; i++)
        set(screen, screen->params[i], byte == 'h');
    screen->state = PLAIN;
}

static void in_private(struct screen *screen, uint8_t byte)
{
    if (byte == ';') {
        if (++screen->count < SCREEN_PARAMS)
            screen->params[screen->count] = 0;
        else
            screen->count = SCREEN_PARAMS;
    } else if (byte < '0' || byte > '9') {
        end(screen, byte);
    } else if (screen->count < SCREEN_PARAMS) {
        uint16_t *param = &screen->params[screen->count];
        *param = *param > DIGITS_MAX / 10 ? DIGITS_MAX : (uint16_t)(*param * 10 + byte - '0');
    }
}

static void after_escape(struct screen *screen, uint8_t byte)
{
    screen->state = byte == '[' ? BRACKET : PLAIN;
    if (byte == '=' || byte == '>')
        set(screen, KEYPAD, byte == '=');
    else if (byte == 'c') /* a reset */
        screen->changed = screen->pushed = 0;
}

void screen_follow(struct screen *screen, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == ESC) {
            screen->state = ESCAPE;
        } else if (screen->state == ESCAPE) {
            after_escape(screen, bytes[i]);
        } else if (screen->state == BRACKET) {
            screen->state = bytes[i] >= '<' && bytes[i] <= '?' ? PRIVATE : PLAIN;
            screen->prefix = bytes[i];
            screen->count = 0;
            screen->params[0] = 0;
        } else if (screen->state == PRIVATE) {
            in_private(screen, bytes[i]);
        }
    }
}

size_t screen_undo(const struct screen *screen, char out[SCREEN_UNDO_MAX])
{
    uint32_t changed = screen->changed;
    size_t len = 0;

    for (size_t i = 0; i < COUNT(modes); i++) {
        if ((changed >> i & 1) == 0)
            continue;
        const char *undo = undo_of(modes[i].mode);
        int n = undo != NULL ? snprintf(out + len, SCREEN_UNDO_MAX - len, "%s", undo)
                             : snprintf(out + len, SCREEN_UNDO_MAX - len, "\033[?%u%c", modes[i].mode,
                                        modes[i].begins != 0 ? 'h' : 'l');
        len += n > 0 ? (size_t)n : 0;
    }
    if (screen->pushed > 0) {
        int n = snprintf(out + len, SCREEN_UNDO_MAX - len, "\033[<%uu", screen->pushed);
        len += n > 0 ? (size_t)n : 0;
    }
    return len;
}
