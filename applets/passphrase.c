/* Reads secrets from a person. Every buffer that a secret passes is wiped; the terminal's own line buffer is the
 * kernel's. It keeps nothing and prints nothing but the prompt. */
#include "applets/passphrase.h"

#include "core/base/file.h"
#include "core/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { TERMINAL_BYTES = 4096 }; /* a line of a terminal in canonical mode */

/* Ctrl-C and its like are held back while the echo is off: one that comes ends the wait, the terminal gets its modes
 * back, and then it takes effect. */
static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

enum answer { ANSWER_LINE, ANSWER_SIGNAL, ANSWER_NONE };

static enum answer await_input(int fd, int signals)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

    while (poll(fds, COUNT(fds), -1) < 0)
        if (errno != EINTR)
            return ANSWER_NONE;
    return fds[1].revents != 0 ? ANSWER_SIGNAL : ANSWER_LINE;
}

static enum answer read_line(int fd, int signals, char *line, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        enum answer answer = await_input(fd, signals);
        if (answer != ANSWER_LINE)
            return answer;
        ssize_t n = read(fd, line + *len, cap - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return *len > 0 ? ANSWER_LINE : ANSWER_NONE;
        *len += (size_t)n;
        if (line[*len - 1] == '\n')
            return ANSWER_LINE;
    }
    return ANSWER_LINE;
}

static struct secret *take_line(char *line, size_t len, size_t max, struct err *err)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len > 0 && len <= max)
        return secret_new(line, len);
    if (len == 0)
        err_set(err, ERR_DATA, "the secret is empty");
    else
        err_set(err, ERR_DATA, "the secret is over %zu bytes", max);
    return NULL;
}

/* Asks once, with the held signals blocked and the echo off. */
static enum answer ask(int fd, const char *prompt, const sigset_t *held, char *line, size_t cap, size_t *len)
{
    CLEANUP(file_close_ptr) int signals = signalfd(-1, held, SFD_CLOEXEC);
    struct termios before, quiet;
    struct err ignored = {0};
    enum answer answer = ANSWER_NONE;

    if (signals < 0 || tcgetattr(fd, &before) != 0)
        return ANSWER_NONE;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ICANON;
    /* Who answers at once must find the echo off, and the line that is read not thrown away. */
    if (tcsetattr(fd, TCSAFLUSH, &quiet) == 0 && file_write_all(fd, prompt, strlen(prompt), &ignored))
        answer = read_line(fd, signals, line, cap, len);
    tcsetattr(fd, TCSAFLUSH, &before);
    return file_write_all(fd, "\n", 1, &ignored) ? answer : ANSWER_NONE;
}

struct secret *secret_from_terminal(const char *prompt, size_t max, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    char line[TERMINAL_BYTES];
    enum answer answer;
    sigset_t held, old;
    size_t len = 0;

    if (fd < 0 || isatty(fd) != 1) {
        err_set(err, ERR_UNAVAILABLE, "there is no terminal to ask on");
        return NULL;
    }
    sigemptyset(&held);
    for (size_t i = 0; i < COUNT(held_signals); i++)
        sigaddset(&held, held_signals[i]);
    do { /* who survives the signal (fg after Ctrl-Z) is asked again */
        sigprocmask(SIG_BLOCK, &held, &old);
        answer = ask(fd, prompt, &held, line, sizeof line, &len);
        sigprocmask(SIG_SETMASK, &old, NULL);
    } while (answer == ANSWER_SIGNAL);
    if (answer == ANSWER_NONE)
        err_set(err, ERR_IO, "nothing was read from the terminal");
    struct secret *secret = answer == ANSWER_LINE ? take_line(line, len, max, err) : NULL;
    secret_wipe(line, sizeof line);
    if (secret == NULL)
        err_hint(err, "Nothing was changed. Try again");
    return secret;
}

struct secret *secret_from_file(const char *path, size_t max, struct err *err)
{
    struct buf text;
    bool good;

    if (strcmp(path, "-") == 0)
        good = file_read_fd(STDIN_FILENO, max + 2, &text, err);
    else
        good = file_read(path, max + 2, &text, err);
    if (!good) {
        err->code = err->code == ERR_LIMIT ? ERR_DATA : err->code;
        return NULL;
    }
    struct secret *secret = take_line((char *)text.data, text.len, max, err);
    buf_wipe(&text);
    if (secret == NULL) {
        err_wrap(err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
        err_hint_default(err, "Put the secret there, on one line");
    }
    return secret;
}

static struct secret *ask_new(struct err *err)
{
    struct secret *first = secret_from_terminal("New passphrase for the vault: ", PASSPHRASE_BYTES, err);

    if (first == NULL)
        return NULL;
    struct secret *second = secret_from_terminal("Once more: ", PASSPHRASE_BYTES, err);
    if (second != NULL && secret_len(first) == secret_len(second) &&
        secret_equal(secret_bytes(first), secret_bytes(second), secret_len(first))) {
        secret_free(second);
        return first;
    }
    if (second != NULL) {
        err_set(err, ERR_DATA, "the two passphrases differ");
        err_hint(err, "No vault was made. Try again");
    }
    secret_free(first);
    secret_free(second);
    return NULL;
}

struct secret *passphrase_read(const char *file, bool is_new, struct err *err)
{
    const char *from_env = getenv("AILERON_VAULT_PASSPHRASE");
    struct secret *passphrase;

    if (file != NULL)
        return secret_from_file(file, PASSPHRASE_BYTES, err);
    if (from_env != NULL && from_env[0] != 0)
        return secret_new(from_env, strlen(from_env));
    if (is_new)
        passphrase = ask_new(err);
    else
        passphrase = secret_from_terminal("Passphrase of the vault: ", PASSPHRASE_BYTES, err);
    if (passphrase == NULL && err->code == ERR_UNAVAILABLE) {
        err_set(err, ERR_LOCKED, "the vault's passphrase is needed, and there is no terminal to ask on");
        err_hint(err, "Use --passphrase-file or AILERON_VAULT_PASSPHRASE, or run aileron vault unlock first");
    }
    return passphrase;
}
