/* Log lines on standard error. One write(2) a line, so that lines of several processes do not mix. */
#include "core/base/log.h"
#include "core/base/id.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const words[] = {"error", "warn", "info", "debug"};
static char process_name[32] = "aileron";
static enum log_level limit = LOG_WARN;

void log_open(const char *process, enum log_level level)
{
    snprintf(process_name, sizeof(process_name), "%s", process);
    limit = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > limit)
        return;
    char message[1024], shown[2048], when[32], line[2200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    text_display(span_of(message), shown, sizeof(shown));
    clock_iso(clock_wall_ms(), when);
    int len = snprintf(line, sizeof(line), "%s %s %s[%d] %s\n", when, words[level], process_name,
                       (int)getpid(), shown);
    if (len > 0) {
        size_t size = (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1;
        ssize_t written = write(STDERR_FILENO, line, size);
        (void)written; /* there is nowhere left to report to */
    }
}
