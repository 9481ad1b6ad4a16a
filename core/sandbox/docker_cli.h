/* Docker's own program, for an engine that our small client (docker_api.h) does not reach: it knows TLS, certificates
 * and ssh. DOCKER_HOST names the engine. */
#ifndef AILERON_SANDBOX_DOCKER_CLI_H
#define AILERON_SANDBOX_DOCKER_CLI_H

#include "core/sandbox/engine_container.h"

enum { DOCKER_SAYS_BYTES = 256 * 1024, DOCKER_ASK_MS = 30000 };

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

extern const struct container docker_cli;

/* plan: nothing of the person's config.json, whose proxies may have a password; NULL: with it (registries). The
 * certificates for TLS are where docker would look for them in either case. */
bool docker_environment(struct env *env, const struct plan *plan, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* What it says is in out, its errors too; initialised here. False: it could not be asked, which is another thing than
 * *status. */
bool docker_ask(const char *const *words, uint64_t ms, int *status, struct buf *out, struct err *err) MUSTUSE NONNULL;
/* The same where anything but success is an error. */
bool docker_order(const char *const *words, uint64_t ms, struct buf *out, struct err *err) MUSTUSE NONNULL;
char *docker_line(struct buf *out) MUSTUSE NONNULL; /* the first; caller frees */
/* A child with one end of a pipe as its standard input or output (the other is /dev/null); *fd is ours. -1 and err. */
pid_t docker_start(const char *const *words, int child_fd, int *fd, const struct plan *plan, struct err *err)
    MUSTUSE NONNULL;
/* Its exit status. -1: it was killed, as it took longer than that, or somebody asks us to end. */
int docker_await(pid_t pid, uint64_t ms);

#endif
