/* The page's one-time links and logins, and what it keeps of the record: tables that are bounded and forget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/authority/page_login.h"
#include "core/authority/recent.h"
#include "core/base/id.h"
#include "tls/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL 1790000000000ULL

static struct page_logins *logins;
static char link[PAGE_TOKEN_HEX + 1], cookie[PAGE_TOKEN_HEX + 1], key[PAGE_TOKEN_HEX + 1];

static int setup(void **state)
{
    struct err err = {0};

    (void)state;
    clock_fake(WALL, 1000000);
    logins = page_logins_new();
    return tls_init(&err) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    page_logins_free(logins);
    clock_fake(0, 0);
    return 0;
}

static uint64_t log_in(void)
{
    page_link_new(logins, link);
    assert_true(page_link_use(logins, span_of(link), cookie, key));
    return page_login_find(logins, span_of(cookie), span_of(key));
}

static void a_link_is_for_once(void **state)
{
    char again[PAGE_TOKEN_HEX + 1], other[PAGE_TOKEN_HEX + 1];

    (void)state;
    assert_true(log_in() != 0);
    assert_int_equal(strlen(cookie), PAGE_TOKEN_HEX);
    assert_string_not_equal(cookie, key);
    assert_string_not_equal(cookie, link);
    assert_false(page_link_use(logins, span_of(link), again, other));
    assert_false(page_link_use(logins, span_of(cookie), again, other));
    assert_false(page_link_use(logins, SPAN(""), again, other));
    assert_false(page_link_use(logins, SPAN("zz"), again, other));
}

static void a_link_has_a_minute(void **state)
{
    (void)state;
    page_link_new(logins, link);
    clock_fake(WALL, 1000000 + PAGE_LINK_MS - 1);
    assert_true(page_link_use(logins, span_of(link), cookie, key));
    page_link_new(logins, link);
    clock_fake(WALL, 1000000 + 2 * (uint64_t)PAGE_LINK_MS);
    assert_false(page_link_use(logins, span_of(link), cookie, key));
}

static void a_login_needs_both_secrets_and_ends(void **state)
{
    char first_cookie[PAGE_TOKEN_HEX + 1], first_key[PAGE_TOKEN_HEX + 1];
    uint64_t first = log_in();

    (void)state;
    memcpy(first_cookie, cookie, sizeof cookie);
    memcpy(first_key, key, sizeof key);
    uint64_t second = log_in();
    assert_int_equal(second, first + 1);
    assert_int_equal(page_login_find(logins, span_of(first_cookie), span_of(first_key)), first);
    assert_int_equal(page_login_find(logins, span_of(first_cookie), span_of(key)), 0); /* of two logins */
    assert_int_equal(page_login_find(logins, span_of(first_cookie), SPAN("")), 0);
    assert_int_equal(page_login_find(logins, (struct span){0}, span_of(first_key)), 0);
    assert_int_equal(page_login_find(logins, span_of(first_key), span_of(first_cookie)), 0);
    assert_true(page_login_alive(logins, first));
    page_logout(logins, first);
    assert_false(page_login_alive(logins, first));
    assert_int_equal(page_login_find(logins, span_of(first_cookie), span_of(first_key)), 0);
    clock_fake(WALL, 1000000 + PAGE_LOGIN_MS);
    assert_int_equal(page_login_find(logins, span_of(cookie), span_of(key)), 0);
    assert_false(page_login_alive(logins, second));
    assert_false(page_login_alive(logins, 0));
}

static void both_tables_are_bounded(void **state)
{
    char links[PAGE_LINKS + 1][PAGE_TOKEN_HEX + 1];

    (void)state;
    for (size_t i = 0; i <= PAGE_LINKS; i++) {
        clock_fake(WALL, 1000000 + i);
        page_link_new(logins, links[i]);
    }
    assert_false(page_link_use(logins, span_of(links[0]), cookie, key)); /* the oldest went */
    assert_true(page_link_use(logins, span_of(links[1]), cookie, key));
    uint64_t first = page_login_find(logins, span_of(cookie), span_of(key));
    for (size_t i = 0; i < PAGE_LOGINS - 1; i++)
        log_in();
    assert_true(page_login_alive(logins, first));
    log_in();
    assert_false(page_login_alive(logins, first));
    assert_true(page_login_alive(logins, first + 1));
}

/* An agent causes notifications: their links take no other's place. */
static void links_of_notifications_are_apart(void **state)
{
    char notices[PAGE_NOTICE_LINKS + 1][PAGE_TOKEN_HEX + 1];

    (void)state;
    clock_fake(WALL, 1000000);
    page_link_new(logins, link);
    for (size_t i = 0; i <= PAGE_NOTICE_LINKS; i++) {
        clock_fake(WALL, 1000001 + i);
        page_link_notice(logins, notices[i]);
    }
    assert_true(page_link_use(logins, span_of(link), cookie, key));
    assert_false(page_link_use(logins, span_of(notices[0]), cookie, key)); /* the oldest went */
    assert_true(page_link_use(logins, span_of(notices[1]), cookie, key));
    assert_false(page_link_use(logins, span_of(notices[1]), cookie, key));
    clock_fake(WALL, 1000003 + PAGE_NOTICE_LINK_MS - 1);
    assert_true(page_link_use(logins, span_of(notices[2]), cookie, key));
    clock_fake(WALL, 1000004 + PAGE_NOTICE_LINK_MS);
    assert_false(page_link_use(logins, span_of(notices[3]), cookie, key));
}

/* ---- what is kept of the record ---- */

static void write_line(struct recent *recent, uint64_t seq, const char *session, const char *event, const char *host,
                       const char *decision, const char *message)
{
    json_t *line JSON_AUTO = json_object();
    struct buf text CLEANUP(buf_clear);

    json_put(line, "event", event);
    json_put(line, "session", session);
    json_put(line, "host", host);
    json_put(line, "decision", decision);
    json_put(line, "message", message);
    struct buf flat CLEANUP(buf_clear);
    struct audit_entry entry;
    struct err err;
    buf_init(&flat, 1 << 20);
    assert_true(audit_event_flat(line, &flat, &err));
    struct span rest = {(const char *)flat.data, flat.len};
    assert_true(audit_entry_take(&rest, false, &entry, &err));
    json_put_int(line, "seq", (int64_t)seq);
    buf_init(&text, 1 << 20);
    assert_true(json_write(line, &text));
    recent_line(recent, seq, (struct span){(const char *)text.data, text.len}, &entry);
}

/* The lines after `after`, as a document; *after goes on. */
static json_t *lines_after(const struct recent *recent, uint64_t *after, size_t max)
{
    struct buf text CLEANUP(buf_clear);

    buf_init(&text, 1 << 20);
    assert_true(recent_lines(recent, after, max, &text));
    json_t *answer = json_loadb((const char *)text.data, text.len, 0, NULL);
    assert_non_null(answer);
    return answer;
}

static size_t count_of(const json_t *answer)
{
    return json_array_size(json_object_get(answer, "lines"));
}

static void the_newest_lines_are_kept(void **state)
{
    struct recent *recent = recent_new();
    char *large = mem_alloc(RECENT_LINE_BYTES + 1);
    uint64_t after = 0;

    (void)state;
    memset(large, 'x', RECENT_LINE_BYTES);
    for (uint64_t seq = 41; seq < 51; seq++) /* a daemon that begins within a record */
        write_line(recent, seq, NULL, "vault", NULL, NULL, seq == 50 ? large : "m");
    json_t *answer = lines_after(recent, &after, 1 << 20);
    assert_int_equal(count_of(answer), 10);
    assert_int_equal(json_integer_value(json_object_get(answer, "missed")), 40);
    const json_t *last = json_array_get(json_object_get(answer, "lines"), 9);
    assert_non_null(strstr(json_string_value(json_object_get(last, "message")), "too long")); /* and no larger */
    json_decref(answer);
    assert_int_equal(after, 50);
    for (uint64_t seq = 51; seq < 51 + 2 * RECENT_LINES; seq++)
        write_line(recent, seq, NULL, "vault", NULL, NULL, "m");
    answer = lines_after(recent, &after, 1 << 20);
    assert_int_equal(count_of(answer), RECENT_LINES);
    assert_int_equal(json_integer_value(json_object_get(answer, "missed")), RECENT_LINES);
    json_decref(answer);
    assert_int_equal(after, recent_seq(recent));
    after -= 10;
    answer = lines_after(recent, &after, 200); /* as many as fit, then the rest */
    size_t some = count_of(answer);
    assert_in_range(some, 1, 9);
    json_decref(answer);
    answer = lines_after(recent, &after, 1 << 20);
    assert_int_equal(count_of(answer), 10 - some);
    json_decref(answer);
    after = 1 << 30; /* of another record */
    answer = lines_after(recent, &after, 1 << 20);
    assert_int_equal(count_of(answer), RECENT_LINES);
    json_decref(answer);
    free(large);
    recent_free(recent);
}

static int64_t number_of(const json_t *list, const char *host, const char *field)
{
    const json_t *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, row)
        if (strcmp(json_string_value(json_object_get(row, "host")), host) == 0)
            return json_integer_value(json_object_get(row, field));
    return -1;
}

static void hosts_are_counted_by_session(void **state)
{
    struct recent *recent = recent_new();
    char host[32];

    (void)state;
    write_line(recent, 1, "S1", "network", "a.test", "allow", NULL);
    write_line(recent, 2, "S1", "credential", "a.test", "allow", NULL);
    write_line(recent, 3, "S1", "credential", "a.test", "deny", NULL);
    write_line(recent, 4, "S1", "network", "b.test", "deny", NULL);
    write_line(recent, 5, "S1", "network", "b.test", "approve", NULL);
    write_line(recent, 6, "S1", "network.end", "b.test", NULL, NULL);
    write_line(recent, 7, "S2", "network", "c.test", "allow", NULL);
    json_t *hosts = recent_hosts(recent, "S1");
    assert_int_equal(json_array_size(hosts), 2);
    assert_int_equal(number_of(hosts, "a.test", "allowed"), 1);
    assert_int_equal(number_of(hosts, "a.test", "credential"), 1);
    assert_int_equal(number_of(hosts, "a.test", "denied"), 0);
    assert_int_equal(number_of(hosts, "b.test", "denied"), 1);
    assert_int_equal(number_of(hosts, "b.test", "asked"), 1);
    json_decref(hosts);
    for (unsigned i = 0; i < 3 * RECENT_HOSTS; i++) { /* a sandbox that counts up */
        snprintf(host, sizeof host, "h%u.test", i);
        write_line(recent, 8 + i, "S1", "network", host, "deny", NULL);
    }
    hosts = recent_hosts(recent, "S1");
    assert_int_equal(json_array_size(hosts), RECENT_HOSTS + 1);
    assert_int_equal(number_of(hosts, "", "denied"), 2 * RECENT_HOSTS + 2);
    json_decref(hosts);
    write_line(recent, 9000, "S1", "session.end", NULL, NULL, NULL);
    assert_null(recent_hosts(recent, "S1"));
    hosts = recent_hosts(recent, "S2");
    assert_int_equal(json_array_size(hosts), 1);
    json_decref(hosts);
    recent_free(recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_is_for_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_has_a_minute, setup, teardown),
        cmocka_unit_test_setup_teardown(a_login_needs_both_secrets_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(both_tables_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(links_of_notifications_are_apart, setup, teardown),
        cmocka_unit_test(the_newest_lines_are_kept),
        cmocka_unit_test(hosts_are_counted_by_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
