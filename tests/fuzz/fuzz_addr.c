/* What is parsed as an address or a range is written and parsed again as the same one; a metadata address is
 * never allowed, in whatever form and by whatever list. */
#include "core/wire/addr.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_verdict(const struct addr *addr, const struct cidr *cidr)
{
    const char *why = NULL;
    enum addr_class class = addr_class(addr);
    bool allowed = addr_verdict(addr, cidr, 1, true, &why);
    require(allowed || strcmp(why, addr_class_word(class)) == 0);
    require(!allowed || class != ADDR_METADATA);
    if (class == ADDR_METADATA && cidr_match(cidr, addr) && addr->family == ADDR_V4)
        require(cidr_has_metadata(cidr));
}

static void check_text(struct span text)
{
    struct addr addr, again;
    struct cidr cidr;
    char out[ADDR_TEXT_BYTES];
    if (addr_parse_loose(text, &addr)) {
        addr_format(&addr, out);
        require(addr_parse(span_of(out), &again) && addr_equal(&addr, &again));
    }
    if (addr_parse_port(text, &addr)) {
        addr_format_port(&addr, out);
        require(addr_parse_port(span_of(out), &again) && addr_equal(&addr, &again) &&
                addr.port == again.port);
    }
    if (cidr_parse(text, &cidr)) {
        require(cidr_match(&cidr, &cidr.base));
        check_verdict(&cidr.base, &cidr);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text((struct span){(const char *)data, size});
    if (size >= 17) { /* raw bytes: a prefix length and an address */
        struct addr addr = {.family = ADDR_V6};
        struct cidr all = {.base = {.family = ADDR_V6}, .bits = 0};
        struct cidr own = {.bits = data[0] % 129};
        char out[ADDR_TEXT_BYTES];
        memcpy(addr.bytes, data + 1, 16);
        addr_format(&addr, out);
        check_text(span_of(out));
        check_verdict(&addr, &all);
        own.base = addr;
        require(cidr_match(&own, &addr));
        bool isatap = addr.bytes[10] == 0x5e && addr.bytes[11] == 0xfe; /* left to the verdict */
        require(addr_class(&addr) != ADDR_METADATA || isatap || cidr_has_metadata(&own));
        addr = (struct addr){.family = ADDR_V4};
        memcpy(addr.bytes, data + 1, 4);
        all.base.family = ADDR_V4;
        check_verdict(&addr, &all);
    }
    return 0;
}
