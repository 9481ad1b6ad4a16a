/* What a command's rows look like: as --help text of 80 columns, as mdoc(7) for its manual page, and as
 * words for the shell's completion. It prints on standard output and parses nothing. */
#include "core/base/opt.h"

#include "core/base/mem.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 80, HELP_COLUMN = 28, OPTION_MAX = 512 };

static const char *const help_text = "Show this help.";

/* ---- help ---- */

/* Words of one line, wrapped; the cursor stands at column, and further lines begin at indent. */
static void print_wrapped(struct span text, int column, int indent)
{
    struct span word;
    bool first = true;
    while (span_cut(&text, ' ', &word)) {
        if (word.len == 0)
            continue;
        if (!first && column + 1 + (int)word.len > COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", SPAN_ARG(word));
        column += (int)word.len + !first;
        first = false;
    }
    putchar('\n');
}

/* Lines that begin with a space stay as they are: examples. */
static void print_paragraphs(const char *text)
{
    struct span rest = span_of(text), line;
    while (span_cut(&rest, '\n', &line)) {
        if (span_starts(line, " "))
            printf("%.*s\n", SPAN_ARG(line));
        else
            print_wrapped(line, 0, 0);
    }
}

/* A flag has no placeholder; everything else has one, at least "VALUE". */
static const char *value_of(const struct opt_row *row)
{
    if (row->kind == OPT_FLAG || row->kind == OPT_DASHES)
        return NULL;
    return row->value ? row->value : "VALUE";
}

static void help_row(char letter, const char *name, const char *value, const char *help,
                     const char *choices)
{
    char option[OPTION_MAX], shown[OPTION_MAX] = "";
    int len;
    if (letter)
        len = snprintf(option, sizeof(option), "  -%c, --%s%s%s", letter, name, value ? "=" : "",
                       value ? value : "");
    else
        len = snprintf(option, sizeof(option), "      --%s%s%s", name, value ? "=" : "",
                       value ? value : "");
    fputs(option, stdout);
    if (len + 2 > HELP_COLUMN)
        printf("\n%*s", HELP_COLUMN, "");
    else
        printf("%*s", HELP_COLUMN - len, "");
    if (choices) {
        struct span rest = span_of(choices), choice;
        size_t at = 0;
        while (span_cut(&rest, '|', &choice) && at < sizeof(shown) / 2)
            at += (size_t)snprintf(shown + at, sizeof(shown) - at, "%s%.*s", at ? ", " : " One of ",
                                   choice.len < 64 ? (int)choice.len : 64, choice.p);
        snprintf(shown + at, sizeof(shown) - at, ".");
    }
    AUTOFREE char *text = mem_printf("%s%s", help, shown);
    print_wrapped(span_of(text), HELP_COLUMN, HELP_COLUMN);
}

static bool has_own(const struct opt_spec *spec, char letter, const char *name)
{
    for (size_t i = 0; i < spec->row_count; i++)
        if ((letter && spec->rows[i].letter == letter) || (name && strcmp(spec->rows[i].name, name) == 0))
            return true;
    return false;
}

static void print_help(const struct opt_spec *spec)
{
    printf("usage: %s%s%s\n\n", spec->command, spec->synopsis[0] ? " " : "", spec->synopsis);
    print_paragraphs(spec->summary);
    printf("\nOptions:\n");
    for (size_t i = 0; i < spec->row_count; i++) {
        const struct opt_row *row = &spec->rows[i];
        help_row(row->letter, row->name, value_of(row), row->help, row->choices);
    }
    if (!has_own(spec, 0, "help"))
        help_row(has_own(spec, 'h', NULL) ? 0 : 'h', "help", NULL, help_text, NULL);
    if (spec->details) {
        putchar('\n');
        print_paragraphs(spec->details);
    }
}

/* ---- mdoc(7) ---- */

/* Nothing in it is taken by roff for a request or an escape. */
static void mdoc_chars(struct span text, bool line_start)
{
    if (line_start && (span_starts(text, ".") || span_starts(text, "'")))
        fputs("\\&", stdout);
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\\')
            fputs("\\e", stdout);
        else
            putchar(text.p[i]);
    }
}

/* Words in lines of at most 80 bytes, each sentence on a line of its own. */
static void mdoc_text(struct span text)
{
    struct span word;
    size_t column = 0;
    bool ended = false;
    while (span_cut(&text, ' ', &word)) {
        if (word.len == 0)
            continue;
        bool upper = word.p[0] >= 'A' && word.p[0] <= 'Z';
        bool fresh = column == 0 || (ended && upper) || column + 1 + word.len > COLUMNS;
        if (column > 0)
            putchar(fresh ? '\n' : ' ');
        mdoc_chars(word, fresh);
        column = (fresh ? 0 : column + 1) + word.len;
        ended = span_ends(word, ".") || span_ends(word, "?");
    }
    putchar('\n');
}

static void mdoc_paragraphs(const char *text)
{
    struct span rest = span_of(text), line;
    bool literal = false, gap = true;
    while (span_cut(&rest, '\n', &line)) {
        bool example = span_starts(line, " ");
        if (literal && !example)
            puts(".Ed");
        if (example && !literal)
            puts(".Bd -literal -offset indent");
        else if (!example && line.len > 0 && (gap || literal))
            puts(".Pp");
        literal = example;
        gap = line.len == 0;
        if (example) {
            size_t indent = span_starts(line, "  ") ? 2 : 1; /* of the help; the manual has its own */
            mdoc_chars((struct span){line.p + indent, line.len - indent}, true);
            putchar('\n');
        } else if (line.len > 0) {
            mdoc_text(line);
        }
    }
    if (literal)
        puts(".Ed");
}

static void mdoc_option(const char *macro, char letter, const char *name, const char *value)
{
    fputs(macro, stdout);
    if (letter)
        printf(" Fl %c %s", letter, strcmp(macro, ".Op") == 0 ? "|" : ",");
    if (*name)
        printf(" Fl -%s", name);
    else
        fputs(" Fl -", stdout);
    if (value)
        printf(" Ns = Ns Ar %s", value);
    putchar('\n');
}

/* One word of the synopsis: "FILE", "[FILE...]", "--", "|", or a fixed word. */
static void mdoc_word(const struct opt_spec *spec, struct span word)
{
    if (span_eqs(word, "|")) {
        printf(".Nm %s\n", spec->command);
        return;
    }
    if (span_eqs(word, "--")) {
        puts(".Fl -");
        return;
    }
    bool optional = span_starts(word, "[") && span_ends(word, "]");
    if (optional)
        word = (struct span){word.p + 1, word.len - 2};
    bool many = span_ends(word, "...");
    if (many)
        word.len -= 3;
    bool argument = word.len > 0 && ((word.p[0] >= 'A' && word.p[0] <= 'Z') || word.p[0] == '<');
    if (span_starts(word, "--"))
        printf(".%sFl %.*s", optional ? "Op " : "", (int)word.len - 1, word.p + 1);
    else
        printf(".%s%s %.*s", optional ? "Op " : "", argument ? "Ar" : "Cm", SPAN_ARG(word));
    printf("%s\n", many ? " ..." : "");
}

static void print_mdoc(const struct opt_spec *spec)
{
    struct span rest = span_of(spec->synopsis), word;
    printf(".Sh SYNOPSIS\n.Nm %s\n", spec->command);
    while (span_cut(&rest, ' ', &word)) {
        if (!span_eqs(word, "[OPTION...]")) {
            if (word.len > 0)
                mdoc_word(spec, word);
            continue;
        }
        for (size_t i = 0; i < spec->row_count; i++)
            if (spec->rows[i].kind != OPT_DASHES)
                mdoc_option(".Op", spec->rows[i].letter, spec->rows[i].name, value_of(&spec->rows[i]));
    }
    puts(".Sh DESCRIPTION");
    mdoc_text(span_of(spec->summary));
    if (spec->details)
        mdoc_paragraphs(spec->details);
    puts(".Sh OPTIONS\n.Bl -tag -width Ds");
    for (size_t i = 0; i < spec->row_count; i++) {
        const struct opt_row *row = &spec->rows[i];
        mdoc_option(".It", row->letter, row->name, value_of(row));
        mdoc_text(span_of(row->help));
        if (!row->choices)
            continue;
        puts("One of");
        struct span left = span_of(row->choices), choice;
        while (span_cut(&left, '|', &choice))
            printf(".Cm %.*s%s\n", SPAN_ARG(choice), left.len > 0 ? " ," : " .");
    }
    if (!has_own(spec, 0, "help")) {
        mdoc_option(".It", has_own(spec, 'h', NULL) ? 0 : 'h', "help", NULL);
        mdoc_text(span_of(help_text));
    }
    puts(".El");
}

/* ---- completion ---- */

/* One word a line: "--flag", "--option=", "--option=choice", "-x". */
static void print_words(const struct opt_spec *spec)
{
    for (size_t i = 0; i < spec->row_count; i++) {
        const struct opt_row *row = &spec->rows[i];
        if (row->kind == OPT_DASHES)
            continue;
        if (row->letter)
            printf("-%c\n", row->letter);
        printf("--%s%s\n", row->name, value_of(row) ? "=" : "");
        struct span rest = span_of(row->choices ? row->choices : ""), choice;
        while (span_cut(&rest, '|', &choice))
            printf("--%s=%.*s\n", row->name, SPAN_ARG(choice));
    }
    if (!has_own(spec, 0, "help"))
        puts("--help");
}

void opt_print(const struct opt_spec *spec, enum opt_format format)
{
    switch (format) {
    case OPT_FORMAT_HELP:
        print_help(spec);
        return;
    case OPT_FORMAT_MDOC:
        print_mdoc(spec);
        return;
    case OPT_FORMAT_COMPLETION:
        print_words(spec);
        return;
    }
}
