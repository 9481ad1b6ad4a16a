/* Findings as lines for people. It checks nothing itself. */
#include "applets/finding.h"

#include "applets/show.h"

#include <stdio.h>

void finding_set(struct finding *finding, enum verdict verdict, const char *note, const char *next)
{
    finding->verdict = verdict;
    snprintf(finding->note, sizeof finding->note, "%s", note);
    snprintf(finding->next, sizeof finding->next, "%s", next);
}

void finding_from_err(struct finding *finding, enum verdict verdict, const struct err *err)
{
    finding_set(finding, verdict, err->message, err->hint);
}

const char *finding_word(enum verdict verdict)
{
    static const char *const words[] = {"ok", "warning", "MISSING"}; /* order of the enum */

    return words[verdict];
}

void finding_print(const char *name, int width, const struct finding *finding)
{
    show_string(name, width);
    printf("%-8s ", finding_word(finding->verdict));
    show_string(finding->note, 0);
    if (finding->next[0] != '\0') {
        printf("\n%-*s %-8s -> ", width, "", "");
        show_string(finding->next, 0);
    }
    putchar('\n');
}
