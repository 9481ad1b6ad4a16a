/* Any bytes as SOCKS5: both readers end, use no more than there is, and want no more than their bound. */
#include "core/wire/socks.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = {(const char *)data, size};
    struct target_host host;
    enum socks_reply reply;
    struct err err;
    size_t used = 0;
    uint16_t port = 0;
    uint8_t method;
    enum socks_result result = socks_greeting(input, &used, &method);
    if (result == SOCKS_MORE && size >= SOCKS_INPUT_MAX)
        abort();
    if (result == SOCKS_OK) {
        if (used > size)
            abort();
        input = (struct span){input.p + used, size - used};
    }
    used = 0;
    result = socks_request(input, &used, &host, &port, &reply, &err);
    if (result == SOCKS_MORE && input.len >= SOCKS_INPUT_MAX)
        abort();
    if (result == SOCKS_OK && (used > input.len || port == 0 || host.name[0] == 0))
        abort();
    return 0;
}
