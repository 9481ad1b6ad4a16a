/* Where things are inside a sandbox (design 3), for whoever mounts them and whoever looks for them. */
#ifndef AILERON_SANDBOX_LAYOUT_H
#define AILERON_SANDBOX_LAYOUT_H

#define SANDBOX_BIN "/opt/aileron/bin"
#define SANDBOX_PROXY SANDBOX_BIN "/aileron-proxy"
#define SANDBOX_SHIMS "/opt/aileron/shims"
#define SANDBOX_RUN "/run/aileron" /* the session's directory, read-only */
#define SANDBOX_SOCKET SANDBOX_RUN "/session.sock"
#define SANDBOX_CONTROL_NAME "control.sock" /* there until the supervisor has connected: before any agent runs */
#define SANDBOX_CONTROL SANDBOX_RUN "/" SANDBOX_CONTROL_NAME
#define SANDBOX_TOKEN SANDBOX_RUN "/token"
#define SANDBOX_ETC "/etc/aileron" /* the same directory */
#define SANDBOX_CA SANDBOX_ETC "/ca.pem"
#define SANDBOX_CA_EXTRA SANDBOX_ETC "/ca-extra.pem" /* what a sandbox trusts beside the public roots */
#define SANDBOX_BUNDLE SANDBOX_ETC "/ca-bundle.pem"
#define SANDBOX_KEYSTORE SANDBOX_ETC "/ca-bundle.p12" /* the same for Java */
#define SANDBOX_TOOLS SANDBOX_ETC "/tools.json"
#define SANDBOX_HOME "/home/agent"
#define SANDBOX_WORKSPACE "/home/agent/workspace"
#define SANDBOX_API_URL "https://aileron.internal/v1"
#define SANDBOX_PROXY_HOST "127.0.0.1"
#define SANDBOX_PROXY_PORT_TEXT "3128" /* SANDBOX_PROXY_PORT */
#define SANDBOX_PROXY_URL "http://" SANDBOX_PROXY_HOST ":" SANDBOX_PROXY_PORT_TEXT
#define SANDBOX_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where distributions keep their one file of roots. Programs that read no variable (GnuTLS: Debian's wget) find the
 * session's CA there. */
#define SANDBOX_ROOT_STORES                                                                                 \
    {                                                                                                       \
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",          \
            "/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/etc/ssl/cert.pem",                        \
            "/etc/pki/tls/certs/ca-bundle.crt"                                                              \
    }

/* What the launcher tells the supervisor by environment; none of it is secret. The agent sees them too. */
#define SANDBOX_ENV_SESSION "AILERON_SESSION_ID"
#define SANDBOX_ENV_IMAGE "AILERON_SANDBOX_IMAGE"
#define SANDBOX_ENV_TIER "AILERON_SANDBOX_TIER"
#define SANDBOX_ENV_RUNTIME "AILERON_SANDBOX_RUNTIME"

enum {
    SANDBOX_PROXY_PORT = 3128,
    SANDBOX_DNS_PORT = 53,
    SANDBOX_CAPTURE_PORTS_MAX = 16, /* of network.capture_ports */
    SANDBOX_TOKEN_BYTES = 128       /* of the token file, at most */
};

#endif
