/* Printing for people (threat A03): nothing that came from a sandbox, an upstream or a file reaches a terminal
 * unescaped. */
#include "applets/show.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>

enum { SHOWN_BYTES = 1024 };

void show_string(const char *text, int width)
{
    char shown[SHOWN_BYTES];

    text_display(span_of(text != NULL && text[0] != 0 ? text : "-"), shown, sizeof shown);
    if (width > 0)
        printf("%-*s ", width, shown);
    else
        fputs(shown, stdout);
}

void show_text(const json_t *object, const char *key, int width)
{
    const json_t *value = json_object_get(object, key);
    char number[32];

    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        show_string(number, width);
    } else {
        show_string(json_string_value(value), width);
    }
}

int show_json(const json_t *value)
{
    AUTOFREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);

    return text == NULL || puts(text) < 0 ? err_exit(ERR_IO) : 0;
}

void show_none(void)
{
    __fpurge(stdout);
    clearerr(stdout);
}
