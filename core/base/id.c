/* Identifiers (ULID, https://github.com/ulid/spec), randomness and clocks. Not safe over a fork that does
 * not exec: both sides would make the same identifiers. */
#include "core/base/id.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static uint64_t fake_wall_ms, fake_mono_ms;

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t clock_wall_ms(void)
{
    return fake_wall_ms ? fake_wall_ms : clock_ms(CLOCK_REALTIME);
}

uint64_t clock_mono_ms(void)
{
    return fake_mono_ms ? fake_mono_ms : clock_ms(CLOCK_MONOTONIC);
}

void clock_fake(uint64_t wall_ms, uint64_t mono_ms)
{
    fake_wall_ms = wall_ms;
    fake_mono_ms = mono_ms;
}

/* The last one at `last`, over zeros. Each line of the record has a time: printf's is a tenth of it. */
static void put_digits(char *last, unsigned value)
{
    for (; value > 0; value /= 10)
        *last-- = (char)('0' + value % 10);
}

/* Howard Hinnant's days-to-civil, over eras of 400 years that begin on 1 March. gmtime_r is not used: its
 * first call reads the time zone's file, which a jailed process may not. */
void clock_iso(uint64_t wall_ms, char out[32])
{
    uint64_t seconds = wall_ms / 1000, days = seconds / 86400 + 719468; /* since 0000-03-01 */
    unsigned era_day = (unsigned)(days % 146097);
    unsigned era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    unsigned year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    unsigned march_month = (5 * year_day + 2) / 153;
    unsigned day = year_day - (153 * march_month + 2) / 5 + 1;
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
    unsigned year = (unsigned)((days / 146097 * 400 + era_year + (month <= 2)) % 10000);
    unsigned rest = (unsigned)(seconds % 86400);
    memcpy(out, "0000-00-00T00:00:00.000Z", sizeof("0000-00-00T00:00:00.000Z"));
    put_digits(out + 3, year);
    put_digits(out + 6, month);
    put_digits(out + 9, day);
    put_digits(out + 12, rest / 3600);
    put_digits(out + 15, rest / 60 % 60);
    put_digits(out + 18, rest % 60);
    put_digits(out + 22, (unsigned)(wall_ms % 1000));
}

void random_bytes(void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort(); /* no randomness: nothing that we make would be safe */
        p += n;
        len -= (size_t)n;
    }
}

/* Ten bytes of what was drawn for sixteen identifiers: a request needs one, and a system call each would show. */
static void draw(uint8_t out[10])
{
    static uint8_t drawn[160];
    static size_t left;
    if (left == 0) {
        random_bytes(drawn, sizeof(drawn));
        left = sizeof(drawn);
    }
    left -= 10;
    memcpy(out, drawn + left, 10);
    explicit_bzero(drawn + left, 10);
}

struct id id_new(const char *prefix)
{
    static uint64_t last_ms;
    static uint8_t last[10];
    assert(strlen(prefix) + ULID_LEN < sizeof(((struct id *)0)->text));
    uint64_t now = clock_wall_ms();
    if (now <= last_ms) { /* the same millisecond, or a clock that went back: count up */
        now = last_ms;
        for (int i = 9; i >= 0 && ++last[i] == 0; i--)
            ;
    } else {
        draw(last);
        last[0] &= 0x7f; /* room to count up without overflow */
    }
    last_ms = now;
    uint8_t raw[16];
    for (int i = 0; i < 6; i++)
        raw[i] = (uint8_t)(now >> (8 * (5 - i)));
    memcpy(raw + 6, last, sizeof(last));
    /* 128 bits as 26 digits of 5 bits, the first two bits zero. */
    struct id id = {""};
    int at = snprintf(id.text, sizeof(id.text) - ULID_LEN, "%s", prefix);
    for (int digit = 0; digit < ULID_LEN; digit++) {
        int value = 0;
        for (int bit = 0; bit < 5; bit++) {
            int position = digit * 5 + bit - 2;
            int one = position < 0 ? 0 : raw[position / 8] >> (7 - position % 8) & 1;
            value = value << 1 | one;
        }
        id.text[at + digit] = crockford[value];
    }
    return id;
}

bool id_valid(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(text, prefix, len) != 0 || strlen(text + len) != ULID_LEN || text[len] > '7')
        return false;
    return strspn(text + len, crockford) == ULID_LEN;
}
