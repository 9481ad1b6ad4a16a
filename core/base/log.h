/* Log lines on standard error: "time level process message key=value ...", values escaped once.
 * Never a credential, a header value, a query string or a body. */
#ifndef AILERON_BASE_LOG_H
#define AILERON_BASE_LOG_H

#include "core/base/attr.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_open(const char *process, enum log_level level) NONNULL;
/* fmt is printf; write values as key=value and quote what may hold spaces. */
void log_line(enum log_level level, const char *fmt, ...) NONNULL PRINTF(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
