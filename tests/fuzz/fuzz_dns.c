/* Every message gets a well-formed answer or none, of at most 512 bytes, with the question as it was asked. */
#include "core/wire/dns.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t v4[4] = {127, 64, 1, 2};
    struct dns_query query;
    uint8_t *out = malloc(DNS_MESSAGE_BYTES);
    dns_parse(data, size, &query);
    require(strlen(query.name) < DNS_NAME_BYTES);
    if (query.canonical && query.kind != DNS_DROP && query.question_len)
        require(strspn(query.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(query.name) &&
                query.name[0] != 0);
    size_t len = dns_answer(data, &query, v4, out);
    require(len == 0 ? query.kind == DNS_DROP : len >= 12 && len <= DNS_MESSAGE_BYTES);
    if (len) {
        require(memcmp(out, data, 2) == 0);
        require(out[2] & 0x80);
        require(memcmp(out + 12, data + 12, query.question_len) == 0);
        /* what is an answer is itself not answered */
        struct dns_query echo;
        dns_parse(out, len, &echo);
        require(echo.kind == DNS_DROP);
    }
    free(out);
    return 0;
}
