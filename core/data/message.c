/* The names of fields in the flat objects that are not the record's. */
#include "core/data/message.h"

const char *const message_ask_names[] = {"id",   "binding", "host",      "port",    "method",
                                         "path", "rule",    "operation", "request", "grant", NULL};
const char *const message_answer_names[] = {"id", "binding", "username", "secret", "grant", NULL};
