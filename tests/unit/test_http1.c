/* core/wire/http1: what is read and what is refused (threats C08, C09). Each message is given whole, byte by byte,
 * and cut in two at every place; the outcome must be the same. */
#include "core/wire/http1.h"
#include "tests/unit/http1_run.h"

/* Feeds data in pieces whose ends are: at cut, or every byte (cut SIZE_MAX). Each piece is a copy of its own, so
 * that a parser that looks behind it is caught by the sanitizer. */
static void check(int kind, struct span data, size_t cut, const char *expected)
{
    struct run run;
    run_open(&run);
    begin(&run, kind);
    size_t at = 0, left = 0;
    while (at < data.len && !run.over) {
        size_t len = cut == SIZE_MAX ? 1 : at < cut && cut < data.len ? cut - at : data.len - at;
        char *piece = malloc(len);
        memcpy(piece, data.p + at, len);
        left = feed(&run, (struct span){piece, len}).len;
        free(piece);
        at += len;
    }
    at -= left;
    if (!run.over)
        say(&run, "~"); /* wants more */
    else if (at < data.len && run.text.data[run.text.len - 1] == '.')
        say(&run, "+%zu", data.len - at); /* bytes left over */
    if (strcmp(buf_cstr(&run.text), expected) != 0)
        fail_msg("%.*s\ncut at %zu\n  is     %s\n  wanted %s", SPAN_ARG(data), cut,
                 buf_cstr(&run.text), expected);
    run_close(&run);
}

static void check_all(int kind, struct span data, const char *expected)
{
    check(kind, data, data.len, expected);
    check(kind, data, SIZE_MAX, expected);
    for (size_t cut = 1; cut < data.len; cut++)
        check(kind, data, cut, expected);
}

struct row {
    int kind;
    const char *text, *expected;
};
#define SAW_POST "[POST / 1.1 chunked keep|Host=a;Transfer-Encoding=chunked;]"

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_all(rows[i].kind, span_of(rows[i].text), rows[i].expected);
}

static void test_requests(void **state)
{
    static const struct row rows[] = {
        {REQUEST, GET "\r\n", "[GET / 1.1 none keep|Host=a;]."},
        {REQUEST, "\r\n" GET "\r\n", "[GET / 1.1 none keep|Host=a;]."},
        {REQUEST, "GET / HTTP/1.0\r\n\r\n", "[GET / 1.0 none|]."},
        {REQUEST, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "[GET / 1.0 none keep|Connection=Keep-Alive;]."},
        {REQUEST, GET "Connection: close\r\n\r\n", "[GET / 1.1 none|Host=a;Connection=close;]."},
        {REQUEST, GET "X:\r\nY: \t b c \t\r\n\r\n", "[GET / 1.1 none keep|Host=a;X=;Y=b c;]."},
        {REQUEST, GET "X: caf\xe9\r\n\r\n", "[GET / 1.1 none keep|Host=a;X=caf\xe9;]."},
        {REQUEST, POST "Content-Length: 3\r\n\r\nabcGET",
         "[POST / 1.1 length 3 keep|Host=a;Content-Length=3;]<abc>.+3"},
        {REQUEST, POST "Content-Length: 0\r\n\r\n", "[POST / 1.1 length 0 keep|Host=a;Content-Length=0;]."},
        {REQUEST, POST CHUNKED "3\r\nabc\r\n00A;x=\"y \\\" z\";n;m=1\r\n0123456789\r\n0\r\n\r\nX",
         SAW_POST "<abc0123456789>.+1"},
        {REQUEST, POST CHUNKED "0\r\nX-Sum: 1 \r\nB:\r\n\r\n", SAW_POST "{X-Sum=1}{B=}."},
        {REQUEST, POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
         "[POST / 1.1 chunked keep|Host=a;Transfer-Encoding=Chunked;]."},
        {REQUEST, POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
         "[POST / 1.1 length 1 keep expect|Host=a;Expect=100-continue;Content-Length=1;]~"},
        {REQUEST, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n\x16\x03",
         "[CONNECT a.example:443 1.1 none keep|Host=a.example:443;].+2"},
        {REQUEST, "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
         "[CONNECT [::1]:443 1.1 none keep|Host=[::1]:443;]."},
        {REQUEST, "GET http://a/x?y=[1]|{} HTTP/1.1\r\nHost: a\r\n\r\n",
         "[GET http://a/x?y=[1]|{} 1.1 none keep|Host=a;]."},
        {REQUEST, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "[OPTIONS * 1.1 none keep|Host=a;]."},
        {REQUEST, GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
         "[GET / 1.1 none keep upgrade|Host=a;Connection=Upgrade;Upgrade=websocket;].+3"},
        {REQUEST, GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
         "[GET / 1.1 none keep|Host=a;Connection=Upgrade, HTTP2-Settings;Upgrade=h2c;]."},
        {REQUEST, GET "Connection: Upgrade\r\nUpgrade: websocket, TLS/1.0\r\n\r\n",
         "[GET / 1.1 none keep|Host=a;Connection=Upgrade;Upgrade=websocket, TLS/1.0;]."},
        {REQUEST, GET "Connection: Upgrade\r\nUpgrade: h2, websocket\r\n\r\n",
         "[GET / 1.1 none keep|Host=a;Connection=Upgrade;Upgrade=h2, websocket;]."},
        {REQUEST, GET "Connection: Upgrade\r\nUpgrade: http/3\r\n\r\n",
         "[GET / 1.1 none keep|Host=a;Connection=Upgrade;Upgrade=http/3;]."},
        {REQUEST, GET "Connection: Upgrade\r\nUpgrade: http\r\n\r\nraw",
         "[GET / 1.1 none keep upgrade|Host=a;Connection=Upgrade;Upgrade=http;].+3"},
        {REQUEST, GET "Upgrade: websocket\r\n\r\n", "[GET / 1.1 none keep|Host=a;Upgrade=websocket;]."},
        {REQUEST, "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "[M-SEARCH / 1.1 none keep|Host=a;]."},
        {REQUEST, GET "X: 1\r\n", "~"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void test_requests_refused(void **state)
{
    static const struct row rows[] = {
        /* two readings of the length */
        {REQUEST, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 1, 1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: +1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: -1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 0x1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 1 1\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length:\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 9223372036854775808\r\n\r\n", "!400"},
        {REQUEST, POST "Content-Length: 18446744073709551617\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: chunked, chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: identity\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: xchunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: chunked;q=1\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding:\r\n\r\n", "!400"},
        {REQUEST, POST "Transfer-Encoding: \"chunked\"\r\n\r\n", "!400"},
        {REQUEST, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {REQUEST, POST "Content_Length: 3\r\nContent-Length : 3\r\n\r\n", "!400"},
        /* lines */
        {REQUEST, "GET / HTTP/1.1\nHost: a\n\n", "!400"},
        {REQUEST, GET "X: 1\n\r\n", "!400"},
        {REQUEST, GET "X: 1\r\n\n", "!400"},
        {REQUEST, GET "X: a\rb\r\n\r\n", "!400"},
        {REQUEST, GET "X: a\r\r\n\r\n", "!400"},
        {REQUEST, GET "X: a\r\n b\r\n\r\n", "!400"},
        {REQUEST, GET "X: a\r\n\tb\r\n\r\n", "!400"},
        {REQUEST, GET " X: a\r\n\r\n", "!400"},
        {REQUEST, GET "X : a\r\n\r\n", "!400"},
        {REQUEST, GET "X\t: a\r\n\r\n", "!400"},
        {REQUEST, GET ": a\r\n\r\n", "!400"},
        {REQUEST, GET "X\r\n\r\n", "!400"},
        {REQUEST, GET "X y: 1\r\n\r\n", "!400"},
        {REQUEST, GET "(X): 1\r\n\r\n", "!400"},
        {REQUEST, GET "X: \x01\r\n\r\n", "!400"},
        {REQUEST, GET "X: \x7f\r\n\r\n", "!400"},
        {REQUEST, GET "Caf\xe9: 1\r\n\r\n", "!400"},
        {REQUEST, "\r\n\r\n" GET "\r\n", "!400"},
        {REQUEST, "\n" GET "\r\n", "!400"},
        /* the request line */
        {REQUEST, "GET /\r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET / HTTP/11\r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET / http/1.1\r\nHost: a\r\n\r\n", "!400"},
        {REQUEST, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "!505"},
        {REQUEST, "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "!400"},
        {REQUEST, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "!400"},
        {REQUEST, "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", "!400"},
        {REQUEST, "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "!400"},
        {REQUEST, "get / HTTP/1.1\r\nHost: a\r\n\r\n", "!501"},
        {REQUEST, "FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n", "!501"},
        {REQUEST, "\x16\x03\x01", "!400"},
        {REQUEST, "\x05\x01\x00", "!400"},
        {REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!400"},
        /* Host, Connection, Expect, CONNECT */
        {REQUEST, "GET / HTTP/1.1\r\n\r\n", "!400"},
        {REQUEST, GET "Host: a\r\n\r\n", "!400"},
        {REQUEST, GET "host: b\r\n\r\n", "!400"},
        {REQUEST, GET "Connection: a b\r\n\r\n", "!400"},
        {REQUEST, GET "Expect: 200-ok\r\n\r\n", "!417"},
        {REQUEST, GET "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", "!417"},
        {REQUEST, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "!400"},
        {REQUEST, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
    check_all(REQUEST, SPAN("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), "!400");
    check_all(REQUEST, SPAN("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400");
    check_all(REQUEST, SPAN("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), "!400");
    check_all(REQUEST, SPAN("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n"), "!400"); /* llhttp knows it, and RTSP */
    check_all(REQUEST, SPAN("DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n"), "!400");
    check_all(REQUEST, SPAN("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), "!400");
}

static void test_chunks_refused(void **state)
{
    static const struct row rows[] = {
        {REQUEST, POST CHUNKED "g\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED " 1\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1 \r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1 ;x\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0x1\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "-1\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1\na\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1\rX", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a\nb", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;\x01", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1; a", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a\"b\"\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=\"b\"c\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=\"b\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=\"b\\\"\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=b=c\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=bc\"\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=bc\t\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=bc;\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1;a=bc;d=\"\t\"\r\na\r\n", SAW_POST "<a~"},
        {REQUEST, POST CHUNKED "1;\xe9", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "1\r\nab", SAW_POST "<a>!400"},
        {REQUEST, POST CHUNKED "1\r\na\n", SAW_POST "<a>!400"},
        {REQUEST, POST CHUNKED "1\r\na\rX", SAW_POST "<a>!400"},
        {REQUEST, POST CHUNKED "20000000000001\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "20000000000000\r\n", SAW_POST "~"},
        {REQUEST, POST CHUNKED "00000000000000001\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0000000000000001\r\na\r\n", SAW_POST "<a~"},
        /* trailers */
        {REQUEST, POST CHUNKED "0\r\nX: 1\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\n\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nX: 1\r\n y\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nX\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nX : 1\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nX: a\rb\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nContent-Length: 1\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\ntransfer-encoding: chunked\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nAuthorization: x\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nProxy-Authorization: x\r\n\r\n", SAW_POST "!400"},
        {REQUEST, POST CHUNKED "0\r\nHost: b\r\n\r\n", SAW_POST "!400"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void test_responses(void **state)
{
    static const struct row rows[] = {
        {TO_OTHER, OK "Content-Length: 2\r\n\r\nabX", "[200 OK 1.1 length 2 keep|Content-Length=2;]<ab>.+1"},
        {TO_OTHER, OK "\r\nabc", "[200 OK 1.1 close|]<abc~"},
        {TO_OTHER, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "[200  1.1 length 0 keep|Content-Length=0;]."},
        {TO_OTHER, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "[200  1.1 length 0 keep|Content-Length=0;]."},
        {TO_OTHER, "HTTP/1.1 404 Not Found \xe9\r\nContent-Length: 0\r\n\r\n",
         "[404 Not Found \xe9 1.1 length 0 keep|Content-Length=0;]."},
        {TO_OTHER, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "[200 OK 1.0 length 1|Content-Length=1;]<a>."},
        {TO_OTHER, OK CHUNKED "1\r\na\r\n0\r\nX: y\r\n\r\n",
         "[200 OK 1.1 chunked keep|Transfer-Encoding=chunked;]<a>{X=y}."},
        {TO_OTHER, "HTTP/1.1 204 No Content\r\n\r\nX", "[204 No Content 1.1 none keep|].+1"},
        {TO_OTHER, "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nX", "[204 No 1.1 none keep|Content-Length=5;].+1"},
        {TO_OTHER, "HTTP/1.1 304 NM\r\nContent-Length: 5\r\n\r\nX", "[304 NM 1.1 none 5 keep|Content-Length=5;].+1"},
        {TO_HEAD, OK "Content-Length: 5\r\n\r\nX", "[200 OK 1.1 none 5 keep|Content-Length=5;].+1"},
        {TO_HEAD, OK CHUNKED, "[200 OK 1.1 none keep|Transfer-Encoding=chunked;]."},
        {TO_HEAD, OK "\r\n", "[200 OK 1.1 none keep|]."},
        {TO_OTHER, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" OK
                   "Content-Length: 0\r\n\r\n",
         "[100 Continue 1.1 none keep|][103 Hint 1.1 none keep|Link=x;]"
         "[200 OK 1.1 length 0 keep|Content-Length=0;]."},
        {TO_UPGRADE, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw",
         "[101 S 1.1 none keep upgrade|Upgrade=websocket;Connection=upgrade;].+3"},
        {TO_UPGRADE, OK "Content-Length: 1\r\n\r\na", "[200 OK 1.1 length 1 keep|Content-Length=1;]<a>."},
        {TO_CONNECT, OK "\r\nraw", "[200 OK 1.1 none keep upgrade|].+3"},
        {TO_CONNECT, OK "Content-Length: 5\r\n\r\nraw", "[200 OK 1.1 none keep upgrade|Content-Length=5;].+3"},
        {TO_CONNECT, "HTTP/1.1 407 P\r\nContent-Length: 1\r\n\r\na", "[407 P 1.1 length 1 keep|Content-Length=1;]<a>."},
        /* refused */
        {TO_OTHER, OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "!400"},
        {TO_OTHER, OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "!400"},
        {TO_OTHER, OK "Transfer-Encoding: gzip\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", "!400"},
        {TO_UPGRADE, "HTTP/1.1 101 S\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 099 X\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 999 X\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 20 X\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 2000 X\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/2.0 200 OK\r\n\r\n", "!505"},
        {TO_OTHER, "HTTP/1.1 200 O\x01K\r\n\r\n", "!400"},
        {TO_OTHER, "HTTP/1.1 200 OK\n\n", "!400"},
        {TO_OTHER, "\r\n" OK "\r\n", "!400"},
        {TO_OTHER, OK "X: a\r\n b\r\n\r\n", "!400"},
        {TO_OTHER, "SSH-2.0-x\r\n\r\n", "!400"},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

/* head of `fields` more fields and `size` bytes in all */
static struct buf big_head(size_t fields, size_t size)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_true(buf_adds(&text, GET));
    for (size_t i = 0; i < fields; i++)
        assert_true(buf_adds(&text, "X: 1\r\n"));
    if (size) {
        assert_true(buf_adds(&text, "Y: "));
        while (text.len < size - 4)
            assert_true(buf_adds(&text, "y"));
        assert_true(buf_adds(&text, "\r\n"));
    }
    assert_true(buf_adds(&text, "\r\n"));
    return text;
}

/* The last thing that happened: '.' or "!431". */
static void check_end(int kind, struct buf *text, const char *end)
{
    struct run run;
    run_open(&run);
    begin(&run, kind);
    struct span data = {(const char *)text->data, text->len};
    while (data.len && !run.over) { /* in pieces of 1,000 */
        struct span piece = {data.p, data.len < 1000 ? data.len : 1000};
        feed(&run, piece);
        data = (struct span){data.p + piece.len, data.len - piece.len};
    }
    if (!span_ends(span_of(buf_cstr(&run.text)), end))
        fail_msg("%s: not %s", buf_cstr(&run.text), end);
    run_close(&run);
    buf_clear(text);
}

static void test_bounds(void **state)
{
    struct buf text;
    (void)state;
    text = big_head(MSG_FIELDS_MAX - 1, 0);
    check_end(REQUEST, &text, ".");
    text = big_head(MSG_FIELDS_MAX, 0);
    check_end(REQUEST, &text, "!431");
    text = big_head(0, MSG_HEAD_BYTES);
    assert_int_equal(text.len, MSG_HEAD_BYTES);
    struct run run; /* say() is too small for this one */
    run_open(&run);
    msg_init(&run.msg, run.arena);
    http1_begin_request(run.parser, &run.msg);
    struct span data = {(const char *)text.data, text.len}, body;
    struct err err;
    assert_int_equal(http1_next(run.parser, &data, &body, &err), HTTP1_HEAD);
    run_close(&run);
    buf_clear(&text);
    text = big_head(0, MSG_HEAD_BYTES + 1);
    check_end(REQUEST, &text, "!431");
    /* a head that never ends */
    buf_init(&text, 1 << 20);
    assert_true(buf_adds(&text, GET "X: "));
    while (text.len <= MSG_HEAD_BYTES)
        assert_true(buf_adds(&text, "x"));
    check_end(REQUEST, &text, "!431");
    /* options in Connection */
    for (int more = 0; more < 2; more++) {
        buf_init(&text, 1 << 20);
        assert_true(buf_adds(&text, GET "Connection: a"));
        for (int i = 1; i < MSG_TOKENS_MAX + more; i++)
            assert_true(buf_adds(&text, ",a"));
        assert_true(buf_adds(&text, "\r\n\r\n"));
        check_end(REQUEST, &text, more ? "!400" : ".");
    }
    /* chunk extensions */
    for (int more = 0; more < 2; more++) {
        buf_init(&text, 1 << 20);
        assert_true(buf_adds(&text, POST CHUNKED "0;"));
        for (int i = 0; i < HTTP1_CHUNK_EXTENSION_BYTES + more; i++)
            assert_true(buf_adds(&text, "e"));
        assert_true(buf_adds(&text, "\r\n\r\n"));
        check_end(REQUEST, &text, more ? "!400" : ".");
    }
    /* trailers */
    for (int more = 0; more < 2; more++) {
        buf_init(&text, 1 << 20);
        assert_true(buf_adds(&text, POST CHUNKED "0\r\n"));
        for (int i = 0; i < MSG_TRAILERS_MAX + more; i++)
            assert_true(buf_adds(&text, "X: 1\r\n"));
        assert_true(buf_adds(&text, "\r\n"));
        check_end(REQUEST, &text, more ? "!431" : ".");
    }
    for (int more = 0; more < 2; more++) { /* all of their lines, and the empty one */
        buf_init(&text, 1 << 20);
        assert_true(buf_adds(&text, POST CHUNKED "0\r\nX: "));
        for (int i = 0; i < HTTP1_TRAILER_BYTES - 7 + more; i++)
            assert_true(buf_adds(&text, "x"));
        assert_true(buf_adds(&text, "\r\n\r\n"));
        check_end(REQUEST, &text, more ? "!431" : ".");
    }
    /* informational responses */
    for (int more = 0; more < 2; more++) {
        buf_init(&text, 1 << 20);
        for (int i = 0; i < HTTP1_INFORMATIONAL_MAX + more; i++)
            assert_true(buf_adds(&text, "HTTP/1.1 103 H\r\n\r\n"));
        assert_true(buf_adds(&text, "HTTP/1.1 204 N\r\n\r\n"));
        check_end(TO_OTHER, &text, more ? "!400" : ".");
    }
}

static void test_eof(void **state)
{
    static const struct {
        int kind;
        const char *text;
        enum http1_event event;
    } rows[] = {
        {REQUEST, "", HTTP1_NEED_MORE},
        {REQUEST, "\r\n", HTTP1_NEED_MORE},
        {REQUEST, "G", HTTP1_ERROR},
        {REQUEST, GET "\r\n", HTTP1_END},
        {REQUEST, POST "Content-Length: 2\r\n\r\na", HTTP1_ERROR},
        {REQUEST, POST CHUNKED, HTTP1_ERROR},
        {REQUEST, POST CHUNKED "0\r\n", HTTP1_ERROR},
        {REQUEST, POST CHUNKED "0\r\n\r\n", HTTP1_END},
        {TO_OTHER, "", HTTP1_NEED_MORE},
        {TO_OTHER, OK "\r\n", HTTP1_END},
        {TO_OTHER, OK "\r\nabc", HTTP1_END},
        {TO_OTHER, OK "Content-Length: 2\r\n\r\na", HTTP1_ERROR},
        {TO_OTHER, "HTTP/1.1 100 C\r\n\r\n", HTTP1_ERROR},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct run run;
        struct err err = {0};
        run_open(&run);
        begin(&run, rows[i].kind);
        feed(&run, span_of(rows[i].text));
        enum http1_event event = http1_eof(run.parser, &err);
        if (event != rows[i].event)
            fail_msg("%s: event %d", rows[i].text, (int)event);
        if (event == HTTP1_ERROR)
            assert_int_equal(err.code, rows[i].kind == REQUEST ? ERR_DATA : ERR_UPSTREAM);
        run_close(&run);
    }
}

static void test_pipeline(void **state)
{
    struct run run;
    struct span rest = SPAN(GET "\r\n" POST "Content-Length: 1\r\n\r\na" GET "\r\n");
    (void)state;
    run_open(&run);
    for (int i = 0; i < 3; i++) {
        begin(&run, REQUEST);
        assert_true(http1_idle(run.parser));
        rest = feed(&run, rest);
        assert_false(http1_idle(run.parser));
    }
    assert_int_equal(rest.len, 0);
    assert_string_equal(buf_cstr(&run.text),
                        "[GET / 1.1 none keep|Host=a;]."
                        "[POST / 1.1 length 1 keep|Host=a;Content-Length=1;]<a>."
                        "[GET / 1.1 none keep|Host=a;].");
    run_close(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),       cmocka_unit_test(test_requests_refused),
        cmocka_unit_test(test_chunks_refused), cmocka_unit_test(test_responses),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_eof),
        cmocka_unit_test(test_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
