/* AES-GCM's context as mbedTLS sees it where MBEDTLS_GCM_ALT takes the place of the library's own (tls/gcm.c). The
 * library includes this file by its bare name; the Makefile puts it beside the library's headers. */
#ifndef AILERON_TLS_GCM_ALT_H
#define AILERON_TLS_GCM_ALT_H

struct gcm_state;
/* Zero: no key is set. What is behind the pointer is wiped and freed by mbedtls_gcm_free. */
typedef struct mbedtls_gcm_context {
    struct gcm_state *state;
} mbedtls_gcm_context;

#endif
