/* What the files of session share; for nobody else. */
#ifndef AILERON_AUTHORITY_SESSION_PRIVATE_H
#define AILERON_AUTHORITY_SESSION_PRIVATE_H

#include "core/authority/session.h"

/* Takes a reference of meta. Not yet in the registry. */
struct session *session_new(struct monitor *monitor, const char *id, json_t *meta) MUSTUSE NONNULL;
void session_free(struct session *session) NONNULL;
/* A text of the launch request that is kept; "" where there is none. */
const char *session_meta_text(const struct session *session, const char *key) MUSTUSE NONNULL;
struct snapshot *session_make_snapshot(struct session *session, struct rules *rules, struct err *err)
    MUSTUSE NONNULL;
/* ca, snapshot and created_ms are set before. token NULL: the file is there already. Puts it into the registry. */
bool session_start(struct session *session, const char *token, struct err *err) MUSTUSE NONNULL_AT(1, 3);
void session_record_start(struct session *session) NONNULL;
void session_record_end(struct monitor *monitor, const char *id, const char *reason, int status, int64_t created_ms)
    NONNULL; /* status -1: nobody knows it */
/* The part of it that comes last: from then on state.db says that it is over. */
void session_store_end(struct monitor *monitor, const char *id) NONNULL;
/* meta: as in state.db; says which engine, and where. */
void session_reap_engine(const json_t *meta, const char *id) NONNULL;
/* Removes the directories of no session; how many. */
size_t session_sweep(struct monitor *monitor) NONNULL;
/* Field 22 of /proc/<pid>/stat, which tells a process from a later one of the same number; 0: there is none. */
int64_t process_start_time(pid_t pid);

#endif
