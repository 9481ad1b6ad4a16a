/* Any bytes as a ClientHello: it ends, stays within its bounds, and its answer for a prefix is in
 * keeping with its answer for the whole. */
#include "tls/hello.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hello hello, again;
    enum hello_result result = tls_hello_parse(data, size, &hello);
    if (result == HELLO_MORE && size >= HELLO_INPUT_MAX)
        abort();
    if (result != HELLO_OK)
        return 0;
    if (hello.wire_len > size || (hello.has_name && strlen(hello.name) == 0))
        abort();
    for (size_t i = 0; i < hello.alpn_count; i++)
        if (!hello_offers(&hello, "h2") && span_eqs(hello_alpn(&hello, i), "h2"))
            abort();
    if (tls_hello_parse(data, hello.wire_len, &again) != HELLO_OK)
        abort();
    if (tls_hello_parse(data, hello.wire_len - 1, &again) != HELLO_MORE)
        abort();
    return 0;
}
