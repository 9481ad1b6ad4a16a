/* Options: parsing an argument vector by a command's rows. --name=value, --name value, -x value, -xvalue,
 * flags bundled (-ab), "--" ends them. Names are never abbreviated. What is printed from the same rows is in
 * opt_print.c. */
#include "core/base/opt.h"

#include "core/base/text.h"

#include <string.h>

/* The words that are read so far, and where they go. */
struct parser {
    const struct opt_spec *spec;
    char **argv;
    int argc, at; /* at: the word being read */
    char *target;
    struct err *err;
};

static bool bad(const struct parser *p, const char *what, const char *option)
{
    err_set(p->err, ERR_USAGE, "%s %s", what, option);
    return err_hint(p->err, "See %s --help", p->spec->command);
}

static const struct opt_row *row_by_name(const struct opt_spec *spec, struct span name)
{
    for (size_t i = 0; i < spec->row_count; i++)
        if (spec->rows[i].kind != OPT_DASHES && span_eqs(name, spec->rows[i].name))
            return &spec->rows[i];
    return NULL;
}

static const struct opt_row *row_by_letter(const struct opt_spec *spec, char letter)
{
    for (size_t i = 0; i < spec->row_count; i++)
        if (spec->rows[i].letter == letter)
            return &spec->rows[i];
    return NULL;
}

static bool is_choice(const struct opt_row *row, const char *value)
{
    if (!row->choices)
        return true;
    struct span rest = span_of(row->choices), choice;
    while (span_cut(&rest, '|', &choice))
        if (span_eqs(choice, value))
            return true;
    return false;
}

static bool bad_value(const struct parser *p, const struct opt_row *row, const char *wanted,
                      const char *value)
{
    err_set(p->err, ERR_USAGE, "option --%s takes %s, not \"%s\"", row->name, wanted, value);
    return err_hint(p->err, "See %s --help", p->spec->command);
}

static bool put_value(const struct parser *p, const struct opt_row *row, const char *value)
{
    void *field = p->target + row->offset;
    if (!is_choice(row, value))
        return bad_value(p, row, row->choices, value);
    switch (row->kind) {
    case OPT_FLAG:
    case OPT_DASHES:
        *(bool *)field = true;
        return true;
    case OPT_STRING:
        *(const char **)field = value;
        return true;
    case OPT_NUMBER:
        return text_u64(span_of(value), UINT64_MAX, field) || bad_value(p, row, "a number", value);
    case OPT_DURATION:
        return text_duration_ms(span_of(value), field) ||
               bad_value(p, row, "a duration such as 90s, 5m or 8h", value);
    case OPT_LIST: {
        struct opt_list *list = field;
        if (list->count == COUNT(list->items)) {
            err_set(p->err, ERR_USAGE, "option --%s is given more than %zu times", row->name,
                    COUNT(list->items));
            return err_hint(p->err, "See %s --help", p->spec->command);
        }
        list->items[list->count++] = value;
        return true;
    }
    }
    return false;
}

/* The next word as the option's value; shown is the option as it was written. */
static bool take_next(struct parser *p, const struct opt_row *row, const char *shown)
{
    if (p->at + 1 >= p->argc) {
        err_set(p->err, ERR_USAGE, "option %s needs a value%s%s", shown, row->value ? ": " : "",
                row->value ? row->value : "");
        return err_hint(p->err, "See %s --help", p->spec->command);
    }
    return put_value(p, row, p->argv[++p->at]);
}

static enum opt_result parse_long(struct parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    struct span name = equals ? (struct span){word + 2, (size_t)(equals - word - 2)} : span_of(word + 2);
    const struct opt_row *row = row_by_name(p->spec, name);
    bool good;
    if (!row && span_eqs(name, "help") && !equals) {
        opt_print(p->spec, OPT_FORMAT_HELP);
        return OPT_HELP;
    }
    if (!row) {
        err_set(p->err, ERR_USAGE, "unknown option --%.*s", SPAN_ARG(name));
        good = err_hint(p->err, "See %s --help", p->spec->command);
    } else if (row->kind == OPT_FLAG) {
        good = equals ? bad(p, "no value is taken by", word) : put_value(p, row, "");
    } else {
        good = equals ? put_value(p, row, equals + 1) : take_next(p, row, word);
    }
    return good ? OPT_OK : OPT_BAD;
}

static enum opt_result parse_letters(struct parser *p, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        const char shown[] = {'-', *c, '\0'};
        const struct opt_row *row = row_by_letter(p->spec, *c);
        if (!row && *c == 'h') {
            opt_print(p->spec, OPT_FORMAT_HELP);
            return OPT_HELP;
        }
        if (!row) {
            bad(p, "unknown option", shown);
            return OPT_BAD;
        }
        if (row->kind == OPT_FLAG) {
            if (!put_value(p, row, ""))
                return OPT_BAD;
            continue;
        }
        return (c[1] ? put_value(p, row, c + 1) : take_next(p, row, shown)) ? OPT_OK : OPT_BAD;
    }
    return OPT_OK;
}

enum opt_result opt_parse(const struct opt_spec *spec, int argc, char **argv, void *target,
                          char ***operands, size_t *operand_count, struct err *err)
{
    struct parser p = {.spec = spec, .argv = argv, .argc = argc, .at = 1, .target = target, .err = err};
    int kept = 0; /* operands move to the front of argv, behind argv[0]; what they replace was read before */
    bool options = true;
    for (; p.at < argc; p.at++) {
        char *word = argv[p.at];
        if (!options || word[0] != '-' || word[1] == '\0') {
            argv[++kept] = word;
            options = options && !spec->stop_at_first;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            options = false;
            for (size_t i = 0; i < spec->row_count; i++)
                if (spec->rows[i].kind == OPT_DASHES)
                    (void)put_value(&p, &spec->rows[i], "");
            continue;
        }
        enum opt_result result = word[1] == '-' ? parse_long(&p, word) : parse_letters(&p, word);
        if (result != OPT_OK)
            return result;
    }
    if (argc > 0)
        argv[kept + 1 < argc ? kept + 1 : argc] = NULL;
    *operands = argc > 0 ? argv + 1 : argv;
    *operand_count = (size_t)kept;
    return OPT_OK;
}
