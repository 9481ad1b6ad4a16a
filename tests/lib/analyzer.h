/* What the analyzer cannot see from one file (make analyze): these set an error and return false, and memory that is
 * given is there and zeroed. */
#include <string.h>

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/data/json.h"

#define err_set(...) ((void)err_set(__VA_ARGS__), false)
#define err_errno(...) ((void)err_errno(__VA_ARGS__), false)
#define err_wrap(...) ((void)err_wrap(__VA_ARGS__), false)
#define err_hint(...) ((void)err_hint(__VA_ARGS__), false)
#define err_hint_default(...) ((void)err_hint_default(__VA_ARGS__), false)
#define json_fail(...) ((void)json_fail(__VA_ARGS__), false)

/* Not as malloc's: what is freed by leaving a scope would be a leak to it. */
static inline void *analyzed_memory(void *memory, size_t bytes)
{
    return memset(memory, 0, bytes);
}
#define mem_alloc(size) analyzed_memory(mem_alloc(size), size)
#define mem_array(count, size) analyzed_memory(mem_array(count, size), (count) * (size))
