/* Errors: the one table of codes, and the functions that fill and print a struct err. It decides
 * nothing and logs nothing; the edge prints. */
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct code_row {
    const char *word;
    int exit, http;
} codes[ERR_CODES] = {
    [ERR_NONE] = {"ok", 0, 200},
    [ERR_FAILED] = {"failed", 1, 502},
    [ERR_USAGE] = {"usage", 64, 400},
    [ERR_DATA] = {"bad_data", 65, 400},
    [ERR_UNAVAILABLE] = {"unavailable", 69, 503},
    [ERR_INTERNAL] = {"internal", 70, 500},
    [ERR_IO] = {"io", 74, 503},
    [ERR_PENDING] = {"pending", 75, 202},
    [ERR_DENIED] = {"denied", 77, 403},
    [ERR_CONFIG] = {"bad_config", 78, 500},
    [ERR_TIMEOUT] = {"timeout", 124, 504},
    [ERR_LAUNCH] = {"launch_failed", 125, 500},
    [ERR_NOT_EXECUTABLE] = {"not_executable", 126, 500},
    [ERR_NOT_FOUND_COMMAND] = {"command_not_found", 127, 500},
    [ERR_NOT_FOUND] = {"not_found", 1, 404},
    [ERR_CONFLICT] = {"conflict", 1, 409},
    [ERR_LOCKED] = {"vault_locked", 77, 403},
    [ERR_LIMIT] = {"limit", 1, 429},
    [ERR_EXPIRED] = {"expired", 79, 403},
    [ERR_UNKNOWN] = {"unknown", 80, 502},
    [ERR_UPSTREAM] = {"upstream", 1, 502},
};

const char *err_word(enum err_code code)
{
    return codes[code < ERR_CODES ? code : ERR_INTERNAL].word;
}

int err_exit(enum err_code code)
{
    return codes[code < ERR_CODES ? code : ERR_INTERNAL].exit;
}

int err_http(enum err_code code)
{
    return codes[code < ERR_CODES ? code : ERR_INTERNAL].http;
}

enum err_code err_from_word(const char *word)
{
    for (int i = 0; i < ERR_CODES; i++)
        if (strcmp(codes[i].word, word) == 0)
            return (enum err_code)i;
    return ERR_FAILED;
}

/* out = a + b + c, cut where it is full; cap is at least 1. The rest of out is zeroed: an error is copied
 * whole, and old stack must not go with it. */
static void put(char *out, size_t cap, const char *a, const char *b, const char *c)
{
    const char *const parts[] = {a, b, c};
    size_t at = 0;
    for (size_t i = 0; i < COUNT(parts); i++)
        for (const char *p = parts[i]; *p && at < cap - 1; p++)
            out[at++] = *p;
    memset(out + at, 0, cap - at);
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    /* The arguments may point into err->message (a caller that rewrites it), so build beside it. */
    char text[sizeof(err->message)] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    err->code = code;
    memcpy(err->message, text, sizeof(text));
    err->hint[0] = '\0';
    return false;
}

bool err_errno(struct err *err, enum err_code code, int errno_value, const char *fmt, ...)
{
    /* What failed may be a long path; the reason behind it must not be what is cut off. */
    char what[sizeof(err->message) - 64] = "", text[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    put(text, sizeof(text), what, ": ", strerror(errno_value));
    return err_set(err, code, "%s", text);
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    char context[sizeof(err->message) / 2] = "", text[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    put(text, sizeof(text), context, ": ", err->message);
    memcpy(err->message, text, sizeof(text));
    return false;
}

bool err_hint(struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->hint)] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    memcpy(err->hint, text, sizeof(text));
    return false;
}

bool err_hint_default(struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->hint)] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (err->hint[0] == '\0')
        memcpy(err->hint, text, sizeof(text));
    return false;
}

int err_print(const struct err *err, const char *name)
{
    char message[sizeof(err->message) * 2], hint[sizeof(err->hint) * 2];
    text_display(span_of(err->message), message, sizeof(message));
    text_display(span_of(err->hint), hint, sizeof(hint));
    /* Messages end without a full stop; one that has it (text from an upstream) gets no second. */
    size_t len = strlen(message);
    const char *stop = len > 0 && message[len - 1] == '.' ? " " : ". ";
    fprintf(stderr, "%s: %s%s%s\n", name, message, hint[0] ? stop : "", hint);
    return err_exit(err->code);
}
