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
until(b"ended ")
while not seen.endswith(b"\n"): # what is written at once may be read in pieces
    seen += os.read(fd, 1024)
print(seen.decode())
PYTHON
    [ "$status" -eq 0 ]
    grep -q 'stopped True echo True' <<< "$output"
    grep -q 'The vault is unlocked' <<< "$output"
    grep -q 'ended 0' <<< "$output"
}

@test "filters and hashes of the record that can find nothing are errors" {
    [ "$(aileron audit list --lines=0 | wc -l)" -eq 0 ]
    says 64 'there is no event networks. Use network' aileron audit list --event=networks
    says 64 'there is no event x' aileron audit tail --event=x
    says 64 'option --decision takes allow.deny.approve, not "denied"' aileron audit list --decision=denied
    says 64 '--anchor takes a head: 64 hexadecimal digits. It is what' aileron audit verify --anchor=abc
    says 65 'no line has the hash' sh -c 'aileron audit verify --anchor=$(printf "%064d" 0) > /dev/null'
    says 1 'the record has no line about nothing. See aileron audit list' aileron audit show nothing
}

@test "the manual has the options and the events that there are, and no others" {
    run /usr/bin/python3 - "$ROOT/man" << 'PYTHON'
import re, subprocess, sys
pages = {name: open("%s/%s" % (sys.argv[1], name)).read() for name in ("aileron.1", "aileron.7")}
def aileron(*words):
    return subprocess.run(("aileron",) + words, capture_output=True, text=True).stdout
for name in aileron("--list").split() + ["proxy"]:
    parts = re.findall(r"(?ms)^\.Ss aileron[ -]%s\b.*?(?=^\.S[sh] )" % name, pages["aileron.1"])
    told = set(re.findall(r"Fl -([a-z][a-z-]+)", "".join(parts)))
    real = set(re.findall(r"(?m)^  (?:-\w, |    )--([a-z][a-z-]*)", aileron("help", name))) | {"help"}
    if name == "shim":
        real |= set("args json wait idempotency-key".split())
    other = {"attach": {"detach"}, "session": {"detach-keys"}} # launch's, told there; attach's, told there
    missing, wrong = real - told - {"help"} - other.get(name, set()), told - real - other.get(name, set())
    for word in missing:
        print("%s: --%s is not in the manual" % (name, word))
    for word in wrong:
        print("%s: there is no --%s" % (name, word))
events = re.search(r"(?ms)^Events in this version:.*?^\.Ss", pages["aileron.7"])[0]
told = set(re.findall(r"[a-z]+(?:\.[a-z]+)?", " ".join(re.findall(r"(?m)^\.Cm (.*)", events))))
source = open(sys.argv[1] + "/../core/data/audit_events.c").read()
unused = {"daemon.reload", "worker.start", "credential.used", "connector", "exec"} # rows that nothing writes yet
real = set(re.findall(r'(?m)^    \{"([a-z.]+)"', source)) - unused
for word in told ^ real:
    print("event %s: in the manual or in the table alone" % word)
PYTHON
    [ "$status" -eq 0 ]
    [ -z "$output" ] || { echo "$output"; return 1; }
}

@test "vault rm removes all or nothing; a user name is one that a request can have" {
    for path in rm/a rm/b; do echo x | aileron vault put "$path"; done
    says 1 'no entry rm/none. Nothing was removed. See aileron vault list' aileron vault rm rm/a rm/none
    says 1 'no entry rm/a. Nothing was removed' aileron vault rm rm/a rm/a
    [ "$(aileron vault list | grep -c '^rm/')" -eq 2 ]
    aileron vault rm rm/a rm/b
    for name in 'a:b' $'\xff' '' $'a\nb' "$(printf 'x%.0s' $(seq 257))"; do
        says 64 'a user name is UTF-8 text of 1 to 256 bytes' aileron vault put --username="$name" rm/c <<< x
    done
    absent '^rm/' <(aileron vault list)
}

@test "policy check says which rules never decide, since another comes before" {
    cat > "$WORLD/policy.yaml" << 'YAML'
version: 1
rules:
  - { name: yes, host: a.test, action: allow }
  - { name: no, host: A.test., action: deny }
  - { name: written late, host: a.test, action: deny }
  - { name: reading, host: a.test, methods: [GET, HEAD], action: allow }
  - { name: one method, host: a.test, methods: [head], action: allow, port: 443 }
  - { name: wide, host: "*.a.test", action: deny }
YAML
    says 78 'methods.0.: must be in upper case' aileron policy check "$WORLD/policy.yaml"
    sed -i 's/methods: .head./methods: [HEAD]/' "$WORLD/policy.yaml"
    run aileron policy check "$WORLD/policy.yaml"
    [ "$(grep -c 'never decides' <<< "$output")" -eq 2 ]
    grep -q '^allow  *any a.test  (yes; never decides: no comes before it)' <<< "$output"
    grep -q '^deny  *any a.test  (written late; never decides: no comes before it)' <<< "$output"
    grep -q '^allow  *HEAD a.test:443  (one method)' <<< "$output" # its port makes it come first
    printf 'version: 1\nrules:\n  - { host: "*", action: deny }\n' > "$WORLD/policy.yaml"
    says 78 'for all hosts there is network.default' aileron policy check "$WORLD/policy.yaml"
}

@test "policy test: what is no request, and what is no URL" {
    says 64 'CONNECT only makes a connection' aileron policy test CONNECT https://api.test/
    says 65 'no http:// or https:// URL. A URL is like https' aileron policy test GET ftp://api.test/
    says 65 'has a port that is not one of 1 to 65535. A URL is like' aileron policy test GET https://api.test:0/
}

@test "a home that cannot be written to, and one without room: said by what starts there, and by doctor" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to mount"
    mkdir "$WORLD/small"
    run unshare -m sh -c '
        mount -t tmpfs -o size=1m,mode=700 none "$1" || exit 99
        export AILERON_HOME=$1
        aileron connector check "$2"
        head -c 1000000 /dev/zero > "$1/fill"; head -c 65536 /dev/zero >> "$1/fill"
        echo "-- full"; aileron connector add "$2"; aileron connector list; find "$1/store" -type d -path "*sha256/*"
        aileron doctor | grep -A1 "^space"
        mount -o remount,ro "$1"
        echo "-- read-only"; aileron vault list; aileron doctor | grep -A1 "^home"' \
        - "$WORLD/small" "$BATS_TEST_DIRNAME/shim.connector.json"
    [ "$status" -ne 99 ] || skip "no mounts here"
    echo "$output"
    grep -q 'aileron.connector.v1.json: No space left on device' <<< "$output"
    absent 'left out\|^/.*/sha256/' <<< "$output"
    grep -q '^space *MISSING *less than 128 MiB free' <<< "$output"
    grep -q 'daemon.log: Read-only file system. Nothing was started. The daemon writes below' <<< "$output"
    grep -q '^home *MISSING *cannot be written to' <<< "$output"
}

@test "inside a sandbox the host's commands say where the user is, and start nothing" {
    run aileron launch --sandbox=bwrap -- sh -c 'for command in "vault list" status "policy test GET https://api.test/" \
        "approvals list"; do aileron $command; echo "status $?"; done; ls -A ~; aileron-shim
        AILERON_HOME=/tmp/own aileron policy check > /dev/null; echo "own $?"'
    [ "$(grep -c 'this is a sandbox of Aileron: .* are on the host. Ask the user there' <<< "$output")" -eq 4 ]
    [ "$(grep -cx 'status 69' <<< "$output")" -eq 4 ]
    absent '^\.aileron' <<< "$output"
    grep -q 'this session has no tools: no connector is installed' <<< "$output"
    grep -qx 'own 0' <<< "$output"
}

@test "the completion for bash knows commands, verbs, options, values, names" {
    cat > "$WORLD/complete" << 'BASH'
. "$ROOT/contrib/completion/aileron"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_aileron
echo "${COMPREPLY[*]}"
BASH
    completes() { # WANT WORD...
        local want=$1
        shift
        run bash "$WORLD/complete" "$@"
        [ "$status" -eq 0 ]
        [ "$output" = "$want" ] || { echo "$*: $output"; return 1; }
    }
    export ROOT
    completes 'approvals' aileron app
    completes 'put' aileron vault p
    completes '--kind= --kind=token --kind=basic --kind=certificate' aileron vault put --ki
    completes 'docker' aileron launch --sandbox = d
    completes 'auto docker podman bwrap' aileron launch --sandbox =
    completes 'claude' aileron launch cla
    completes 'codex' aileron agents show code
    completes '' aileron launch -- gi
    completes '--json --help' aileron status --
}
