# How the command line is used, well and badly: words that it does not take, an output that takes nothing, keys and
# signals at its prompts.
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD AILERON_HOME
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    export AILERON_VAULT_PASSPHRASE="a passphrase for the test"
    cd "$WORLD/ws"
}

# The status, and one line of words on standard error.
says() { # STATUS WORDS COMMAND...
    local want=$1 words=$2
    shift 2
    run timeout 20 "$@"
    [ "$status" -eq "$want" ] || { echo "$*: status $status, not $want: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ] || { echo "$*: not one line: $output"; return 1; }
    grep -qE -- "$words" <<< "$output" || { echo "$*: $output"; return 1; }
}

@test "a word that a command does not take is an error, and nothing is done" {
    for command in 'vault list' 'vault init' 'vault lock' 'vault unlock' 'policy reload' 'connector list' 'status' \
        'audit list' 'audit tail' 'audit verify' 'daemon status' 'daemon stop' 'daemon reload' 'session list' \
        'approvals list' 'approvals watch' 'open' 'doctor' 'agents list' 'sandbox build' 'sandbox init'; do
        says 64 "^aileron: $command: no operand is expected: extra. See aileron $command --help" aileron $command extra
    done
    says 64 'unknown command daemon restart. See aileron daemon --help' aileron daemon restart
    aileron vault get --reveal user/api > /dev/null # the vault is not locked, the daemon runs
    aileron daemon status
}

@test "help is for a command or one of its verbs, in either spelling of its option" {
    run aileron help vault put
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "usage: aileron vault put [OPTION...] PATH" ]
    [ "$(grep -c '^usage: ' <<< "$output")" -eq 1 ]
    [ "$(aileron help vault | grep -c '^usage: ')" -eq 7 ]
    [ "$(aileron help proxy run | grep -c '^usage: aileron-proxy run ')" -eq 1 ]
    [ "$(aileron help --format mdoc status)" = "$(aileron help --format=mdoc status)" ]
    aileron help --help | grep -q '^usage: aileron help '
    says 64 'unknown command vault nothing. See aileron vault --help' aileron help vault nothing
    says 64 'unknown command nothing. See aileron --list' aileron help nothing
    says 64 'option --format takes help.mdoc.completion' aileron help --format=text vault
    for name in $(aileron --list) proxy; do
        absent '^usage: .* $' <(aileron help "$name")
    done
}

@test "standard output that is closed or full is one line and status 74, whatever was to be printed" {
    for command in --version --help --list 'help vault' 'vault list' 'vault list --json' 'vault get --reveal user/api' \
        'policy check' 'policy test GET https://api.test/' 'audit list' 'audit verify' status 'status --json' \
        'agents show claude' 'sandbox plan --json' 'open --print' 'session list --json'; do
        says 74 'cannot write to standard output(: No space left on device)?\. ' sh -c "aileron $command > /dev/full"
        says 74 'cannot write to standard output(: Bad file descriptor)?\. ' sh -c "aileron $command >&-"
    done
    # Nothing that is opened takes the place of a closed one.
    run sh -c 'aileron launch --sandbox=bwrap --detach -- sleep 60 >&-'
    [ "$status" -eq 74 ]
    grep -q "the session's id cannot be printed; the sandbox stops" <<< "$output"
    absent 'cannot write' <<< "$output"
    aileron daemon stop
    sh -c 'aileron vault list <&- >&- 2>&-' || [ $? -eq 74 ]
    aileron vault list | grep -q '^user/api '
}

# A command on a terminal of its own: keys are sent when it asks; its status is printed (-N: signal N), and how long it
# took to end.
on_terminal() { # KEYS [SIGNAL] COMMAND...
    timeout 30 /usr/bin/python3 - "$@" << 'PYTHON'
import os, pty, signal, sys, time
keys, number, command = sys.argv[1].encode().decode("unicode_escape").encode("latin1"), int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen = b""
while b": " not in seen:
    seen += os.read(fd, 1024)
began = time.monotonic()
if number:
    os.kill(pid, number)
os.write(fd, keys)
try:
    while chunk := os.read(fd, 1024):
        seen += chunk
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(seen.decode(), "status %d, %s" % (status, "at once" if time.monotonic() - began < 5 else "late"))
PYTHON
}

@test "Ctrl-C and signals end a command that asks for a passphrase or a secret, at once" {
    run on_terminal '\x03' 0 aileron vault put new/secret
    grep -q 'status -2, at once' <<< "$output"
    aileron vault lock
    unset AILERON_VAULT_PASSPHRASE
    run on_terminal '\x03' 0 aileron vault unlock
    grep -q 'status -2, at once' <<< "$output"
    run on_terminal 'half\x03' 0 aileron vault unlock
    grep -q 'status -2, at once' <<< "$output"
    for number in 1 15; do
        run on_terminal '' "$number" aileron vault unlock
        grep -q "status -$number, at once" <<< "$output"
    done
    # The terminal has its echo again: the shell behind it shows what is typed.
    run on_terminal '\x03' 0 sh -c 'trap : INT; aileron vault unlock; stty -a'
    grep -qE '(^|[^-])echo( |;|$)' <<< "$output"
    run on_terminal '\x04' 0 aileron vault unlock
    grep -q 'nothing was read from the terminal. Nothing was changed. Try again' <<< "$output"
    grep -q 'status 74, at once' <<< "$output"
    run on_terminal '\r' 0 aileron vault unlock
    grep -q 'the secret is empty. Nothing was changed. Try again' <<< "$output"
    run on_terminal 'a passphrase for the test\r' 0 aileron vault unlock
    grep -q 'The vault is unlocked' <<< "$output"
    absent new/secret <(aileron vault list)
}

@test "Ctrl-Z at a prompt: the terminal has its echo meanwhile, and the question comes again" {
    aileron vault lock
    unset AILERON_VAULT_PASSPHRASE
    run timeout 30 /usr/bin/python3 - << 'PYTHON'
import os, pty, signal, termios
pid, fd = pty.fork()
if pid == 0: # stands for a shell with job control
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execlp("aileron", "aileron", "vault", "unlock")
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    _, status = os.waitpid(child, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped", os.WIFSTOPPED(status), "echo", bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
    os.tcsetpgrp(0, child)
    os.kill(-child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    print("ended", status, flush=True)
    os._exit(0)
seen = b""
def until(words):
    global seen
    while words not in seen:
        seen += os.read(fd, 1024)
until(b"vault: ")
os.write(fd, b"\x1a")
until(b"stopped")
seen = seen.replace(b"vault: ", b"asked ", 1)
until(b"vault: ")
os.write(fd, b"a passphrase for the test\n")
until(b"ended")
print(seen.decode())
PYTHON
    [ "$status" -eq 0 ]
    grep -q 'stopped True echo True' <<< "$output"
    grep -q 'The vault is unlocked' <<< "$output"
    grep -q 'ended 0' <<< "$output"
}
