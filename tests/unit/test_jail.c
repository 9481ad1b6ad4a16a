/* The jail, in forked children: what a worker needs works inside, everything else kills the
 * process. Under a sanitizer the list is longer (its report needs files), so the rows that it adds
 * are not tried there. */
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/conn.h"
#include "core/loop/ipc.h"
#include "core/loop/jail.h"
#include "core/loop/listen.h"
#include "core/loop/resolve.h"
#include "tls/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct err err;

/* valgrind makes system calls of its own in our name; the jail would kill it. */
static void not_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload"))
        skip();
}

/* The child's status when it ran fn in the jail. fn's result is the exit status. */
static int in_jail(int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20);
        if (!jail_enter(JAIL_WORKER, &err)) {
            fprintf(stderr, "%s\n", err.message);
            _exit(99);
        }
        _exit(fn());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_killed(int (*fn)(void))
{
    int status = in_jail(fn);
    if (!WIFSIGNALED(status))
        print_message("exit status %d\n", WEXITSTATUS(status));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void assert_works(int (*fn)(void))
{
    int status = in_jail(fn);
    if (WIFSIGNALED(status))
        print_message("killed by signal %d\n", WTERMSIG(status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- what kills ---- */

static int make_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}
static int make_raw_socket(void)
{
    return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0;
}
static int make_netlink(void)
{
    return socket(AF_NETLINK, SOCK_DGRAM, 0) >= 0;
}
static int execute(void)
{
    char name[] = "/bin/true";
    char *argv[] = {name, NULL}, *envp[] = {NULL};
    return execve(name, argv, envp) == 0;
}
static int kill_other(void)
{
    return (int)syscall(SYS_kill, 1, 0) == 0;
}
static int listen_somewhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}
static int make_memory_of_a_process(void)
{
    return (int)syscall(SYS_process_vm_writev, getpid(), NULL, 0, NULL, 0, 0) == 0;
}
static int change_identity(void)
{
    return (int)syscall(SYS_setuid, 0) == 0;
}
static int unlink_file(void)
{
    return unlink("/nonexistent/file") == 0;
}

static void test_killed(void **state)
{
    (void)state;
    not_under_valgrind();
    int (*const calls[])(void) = {make_unix_socket, make_raw_socket,  make_netlink,
                                  execute,          listen_somewhere, make_memory_of_a_process,
                                  change_identity,  unlink_file,      kill_other};
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_killed(calls[i]);
}

#if !defined(__SANITIZE_ADDRESS__)
static int open_file(void)
{
    return open("/etc/hostname", O_RDONLY) >= 0;
}
static int open_proc(void)
{
    return (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR) >= 0;
}
static int make_child(void)
{
    return fork() >= 0;
}
static int trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}
static int make_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static int turn_into_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}
static int signal_other(void)
{
    return (int)syscall(SYS_tgkill, 1, 1, 0) == 0;
}
static int become_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

/* The journal is a file that the monitor writes to: a hole in it on a full disk would be its end. */
static int make_a_hole(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return madvise(p, 4096, MADV_REMOVE) == 0;
}

static void test_killed_outside_sanitizers(void **state)
{
    (void)state;
    not_under_valgrind();
    int (*const calls[])(void) = {open_file, open_proc,      make_child,      trace,
                                  make_code, turn_into_code, become_dumpable, signal_other, make_a_hole};
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_killed(calls[i]);
}

static int look_at_files(void)
{
    struct {
        char room[512];
    } stat_room;
    /* Not a death, since libc's fstat is this call; but it tells nothing. */
    return (int)syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &stat_room, 0) != -1 ||
           errno != EPERM;
}

static void test_no_look_at_files(void **state)
{
    (void)state;
    not_under_valgrind();
    assert_works(look_at_files);
}
#endif

/* ---- what works ---- */

static struct loop *loop;
static struct resolver *resolver;
static int ipc_fds[2], listen_fd;
static struct addr dns_addr, peer_addr;

static int not_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1;
}

static int memory(void)
{
    char *p = mem_alloc(4 * 1024 * 1024);
    memset(p, 1, 4 * 1024 * 1024);
    p = mem_resize(p, 8 * 1024 * 1024, 1);
    free(p);
    for (int i = 0; i < 1000; i++)
        free(mem_alloc((size_t)i * 100));
    return 0;
}

static int aborts(void)
{
    abort();
}

static void on_addresses(void *arg, const struct addr *addrs, size_t count, const struct err *why)
{
    int *result = arg;
    (void)addrs;
    /* The name server below is silent or refuses: what counts is that asking it does not kill. */
    *result = count == 0 && why ? 0 : 1;
}

static int resolving(void)
{
    int result = -1;
    if (!resolver_configure(resolver, &dns_addr, 1, NULL, 0, &err))
        return 2;
    struct resolve_query *query =
        resolve_start(resolver, SPAN("name.test"), 443, on_addresses, &result);
    for (int i = 0; i < 100 && result < 0; i++)
        loop_turn(loop, true);
    (void)query;
    return result;
}

static void on_accept(void *arg, int fd)
{
    *(int *)arg = fd;
}

static void on_client(struct conn *conn, enum conn_event event, void *arg)
{
    int *events = arg;
    *events |= 1 << event;
    if (event == CONN_CONNECTED && !conn_write(conn, "hello", 5))
        *events = -1;
}

static void on_server(struct conn *conn, enum conn_event event, void *arg)
{
    bool *got = arg;
    if (event == CONN_READABLE && span_eqs(conn_peek(conn), "hello"))
        *got = true;
}

static int connecting(void)
{
    int fd = -1, events = 0;
    bool got = false;
    struct listener *listener = listener_new(loop, listen_fd, on_accept, &fd, &err);
    struct conn *client = conn_connect(loop, &peer_addr, 1000, on_client, &events);
    for (int i = 0; i < 100 && fd < 0; i++)
        loop_turn(loop, true);
    struct conn *server = conn_new_fd(loop, fd, on_server, &got);
    for (int i = 0; i < 100 && !got; i++)
        loop_turn(loop, true);
    conn_shutdown(client);
    loop_turn(loop, false);
    conn_finish(server, 10);
    conn_close(client);
    listener_free(listener);
    loop_turn(loop, false);
    return got && events & 1 << CONN_CONNECTED ? 0 : 1;
}

/* TLS in full: a CA, a leaf minted inside, both ends of a handshake. */
static int tls_fds[2];
static int secured;

static void on_secure(struct conn *conn, enum conn_event event, void *arg)
{
    (void)conn;
    (void)arg;
    if (event == CONN_SECURED)
        secured++;
    if (event == CONN_FAILED)
        fprintf(stderr, "%s\n", conn_error(conn)->message);
}

static int securing(void)
{
    struct stream_server_options server_options = {.no_tickets = false};
    struct stream_client_options client_options = {.trust = trust_new()};
    struct ca *ca = ca_new("01TEST", &err);
    struct leaf *leaf = ca ? ca_leaf(ca, "api.test", &err) : NULL;
    if (!leaf || !trust_add(client_options.trust, span_of(ca_cert_pem(ca)), TRUST_COPY, &err))
        return 1;
    struct stream_config *server_config = stream_config_server(&server_options, &err);
    struct stream_config *client_config = stream_config_client(&client_options, &err);
    if (!server_config || !client_config)
        return 2;
    struct conn *server = conn_new_fd(loop, tls_fds[0], on_secure, NULL);
    struct conn *client = conn_new_fd(loop, tls_fds[1], on_secure, NULL);
    struct stream_io server_io = conn_stream_io(server), client_io = conn_stream_io(client);
    struct stream *server_stream = stream_server(server_config, leaf, &server_io, &err);
    struct stream *client_stream =
        stream_client(client_config, "api.test", (struct span){"", 0}, &client_io, &err);
    if (!server_stream || !client_stream)
        return 3;
    conn_secure(server, server_stream, 5000);
    conn_secure(client, client_stream, 5000);
    for (int i = 0; i < 1000 && secured < 2; i++)
        loop_turn(loop, true);
    bool sent = conn_write(client, "hello", 5);
    for (int i = 0; i < 100 && conn_peek(server).len < 5; i++)
        loop_turn(loop, true);
    bool got = conn_peek(server).len == 5;
    conn_close(client);
    conn_close(server);
    loop_turn(loop, false);
    return secured == 2 && sent && got ? 0 : 4;
}

static int received_fd = -1;
static void on_message(struct ipc *ipc, struct ipc_message *message, void *arg)
{
    (void)ipc;
    (void)arg;
    received_fd = message->fds[0];
    message->fds[0] = -1;
}
static void on_gone(struct ipc *ipc, const struct err *why, void *arg)
{
    (void)ipc;
    (void)why;
    (void)arg;
}

static int messages(void)
{
    static const struct ipc_handler handler = {on_message, on_gone};
    struct ipc *a = ipc_new(loop, ipc_fds[0], &handler, NULL);
    struct ipc *b = ipc_new(loop, ipc_fds[1], &handler, NULL);
    int fd = STDERR_FILENO;
    if (!ipc_send(a, 1, 0, 1, "x", 1, &fd, 1))
        return 1;
    for (int i = 0; i < 10 && received_fd < 0; i++)
        loop_turn(loop, true);
    ipc_free(a);
    ipc_free(b);
    loop_turn(loop, false);
    return received_fd >= 0 ? 0 : 2;
}

/* The snapshot: a sealed memfd, its size by lseek, mapped for reading. */
static int snapshot(void)
{
    void *p = mmap(NULL, 5, PROT_READ, MAP_PRIVATE, received_fd, 0);
    off_t size = lseek(received_fd, 0, SEEK_END);
    return p != MAP_FAILED && size == 5 && memcmp(p, "bytes", 5) == 0 ? 0 : 1;
}

static int local_socket(int type, struct addr *addr)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *addr = (struct addr){.family = ADDR_V4, .bytes = {127, 0, 0, 1}, .port = ntohs(at.sin_port)};
    return fd;
}

static int too_much_memory(void)
{
    char *some = malloc(JAIL_DATA_BYTES / 4), *much = malloc(JAIL_DATA_BYTES); /* no page of it is touched */
    return some != NULL && much == NULL ? 0 : 1;
}

/* F06: a sandbox that makes its worker grow does not take the host's memory. */
static void test_memory_is_bounded(void **state)
{
    (void)state;
    not_under_valgrind();
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its maps are all over the address space */
#endif
    assert_works(too_much_memory);
}

static void test_works(void **state)
{
    (void)state;
    not_under_valgrind();
    loop = loop_new(&err);
    assert_non_null(loop);
    resolver = resolver_new(loop, &err);
    assert_non_null(resolver);
    assert_true(ipc_pair(ipc_fds, &err));
    int dns_fd = local_socket(SOCK_DGRAM, &dns_addr);
    listen_fd = local_socket(SOCK_STREAM, &peer_addr);
    assert_int_equal(listen(listen_fd, 8), 0);

    assert_works(not_dumpable);
    assert_works(memory);
    close(dns_fd); /* refuses from now on */
    assert_works(resolving);
    assert_works(connecting);
    assert_works(messages);
    assert_true(tls_init(&err));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, tls_fds), 0);
    assert_works(securing);

    received_fd = memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(received_fd, "bytes", 5), 5);
    assert_works(snapshot);
    close(received_fd);
    received_fd = -1;

    int status = in_jail(aborts); /* the death of an assertion stays what it is */
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);

    close(listen_fd);
    close(ipc_fds[0]);
    close(ipc_fds[1]);
    close(tls_fds[0]);
    close(tls_fds[1]);
    resolver_free(resolver);
    loop_free(loop);
}

static void test_no_core_file(void **state)
{
    (void)state;
    not_under_valgrind();
    int status = in_jail(aborts);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(test_killed_outside_sanitizers),
        cmocka_unit_test(test_no_look_at_files),
#endif
        cmocka_unit_test(test_memory_is_bounded), cmocka_unit_test(test_works),
        cmocka_unit_test(test_no_core_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
