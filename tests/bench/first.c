/* What a sandbox starts where its start is measured: prints the monotonic clock, in nanoseconds, as it is at the
 * program's first instruction after the C library's own. Linked statically, so that it runs in any image. */
#include <stdio.h>
#include <time.h>

int main(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    printf("%lld\n", at.tv_sec * 1000000000LL + at.tv_nsec);
    return 0;
}
