/* What lies on the disk for a session: the directory that is mounted and the private one. Monitor only. */
#ifndef AILERON_AUTHORITY_SESSION_FOLDER_H
#define AILERON_AUTHORITY_SESSION_FOLDER_H

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/data/catalogue.h"
#include "tls/ca.h"

enum { SESSION_FIREFOX_MAX = 32 }; /* certificates that Firefox is told of: the session's CA, then tls.ca_file's */

struct session_folder {
    const char *dir, *private_dir;
    const struct ca *ca;
    const char *roots; /* PEM: what the bundle holds behind the CA */
    const char *added; /* PEM: those of them that are not the system's */
    const struct catalogue *catalogue;
    const char *token; /* NULL: the file is there already */
};
/* Makes both directories and everything in them but the socket. Readable by every uid, since the agent's uid in
 * a sandbox is its own; $AILERON_HOME above is closed to others. */
bool session_folder_make(const struct session_folder *folder, struct err *err) MUSTUSE NONNULL;
/* tools.txt, tools.json and shims/ after a change of the catalogue. */
bool session_folder_tools(const struct session_folder *folder, struct err *err) MUSTUSE NONNULL;
/* What programs trust: ca.pem, ca-extra.pem, ca-bundle.pem and ca-bundle.p12, and policies of browsers. */
bool session_folder_trust(const struct session_folder *folder, struct err *err) MUSTUSE NONNULL;
/* That, and the private key. */
bool session_folder_ca(const struct session_folder *folder, struct err *err) MUSTUSE NONNULL;
/* The CA as session_folder_ca left it. */
struct ca *session_folder_load_ca(const char *private_dir, struct err *err) MUSTUSE NONNULL;
/* Both directories; errors are logged. */
void session_folder_remove(const char *dir, const char *private_dir) NONNULL;

#endif
