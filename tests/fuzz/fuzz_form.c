/* Wherever a body is cut, the same is found in it; and what was found stays found. The first byte is the kinds. */
#include "core/wire/form.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct form_scan whole, pieces;
    bool found = false;
    if (size < 2)
        return 0;
    struct span body = {(const char *)data + 2, size - 2};
    form_scan_init(&whole, data[0] & 7U);
    form_scan_init(&pieces, data[0] & 7U);
    size_t step = data[1] % 16U + 1U;
    for (size_t at = 0; at < body.len; at += step) {
        bool now = form_scan_next(&pieces, (struct span){body.p + at, body.len - at < step ? body.len - at : step});
        if (found && !now)
            abort();
        found = now;
    }
    if (form_scan_next(&whole, body) != found || form_scan_end(&whole) != form_scan_end(&pieces))
        abort();
    return 0;
}
