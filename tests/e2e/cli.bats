# The command line on the host: vault, policy, connectors, record, status, and what it says of bad input.
# bats file_tags=own-world
bats_require_minimum_version 1.5.0
load ../lib/world.bash

setup() {
    world_start api.test || return 1
}
teardown() { world_stop; }

# One line on standard error, and this status.
fails() { # STATUS WORDS COMMAND...
    local want=$1 words=$2
    shift 2
    run "$@"
    [ "$status" -eq "$want" ] || { echo "$*: status $status, not $want: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ] || { echo "$*: more than one line: $output"; return 1; }
    grep -q -- "$words" <<< "$output" || { echo "$*: $output"; return 1; }
}

@test "usage errors: unknown commands and flags, with the next step" {
    fails 64 'unknown command nothing' aileron nothing
    fails 64 'unknown option --nothing' aileron status --nothing
    fails 64 'aileron vault --help' aileron vault nothing
    fails 64 'one path is needed' aileron vault put
    fails 64 'METHOD\|method' aileron policy test GET
    run aileron
    [ "$status" -eq 64 ]
}

@test "every listed command has help, and the manual's source" {
    for name in $(aileron --list); do
        run aileron help "$name"
        [ "$status" -eq 0 ]
        [ -n "$output" ]
        run aileron help --format=mdoc "$name"
        [ "$status" -eq 0 ]
    done
    run aileron --version
    for library in 'Mbed TLS\|mbedTLS' libevent jansson libyaml SQLite argon2 libseccomp llhttp; do
        grep -q "$library" <<< "$output"
    done
}

@test "--install copies the binary and links its names" {
    aileron --install "$WORLD/bin"
    for name in aileron aileron-shim aileron-proxy aileron-wait; do
        [ "$(stat -c %i "$WORLD/bin/$name")" = "$(stat -c %i "$WORLD/bin/aileron")" ]
    done
    aileron --install "$WORLD/bin"
    [ "$("$WORLD/bin/aileron" --version)" = "$(aileron --version)" ]
    [ "$(ls "$WORLD/bin" | wc -l)" -eq 4 ]
}

@test "the vault: put, list, get, rm, lock, unlock" {
    printf 'line\n' | aileron vault put a/token
    printf 'pw' > "$WORLD/pw"
    aileron vault put --username=alice --from-file="$WORLD/pw" a/basic
    run aileron vault list
    grep -q '^a/basic  *basic ' <<< "$output"
    grep -q '^a/token  *token ' <<< "$output"
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
    [ "$(aileron vault get --reveal a/token)" = line ]
    [ "$(aileron vault get --reveal a/basic)" = pw ]
    fails 64 '--reveal' aileron vault get a/token
    aileron vault rm a/token
    fails 1 'no entry a/token' aileron vault get --reveal a/token
    aileron vault lock
    AILERON_VAULT_PASSPHRASE=wrong fails 77 'wrong passphrase' aileron vault unlock
    printf '%s' "$AILERON_VAULT_PASSPHRASE" > "$WORLD/pass"
    unset AILERON_VAULT_PASSPHRASE
    fails 77 'AILERON_VAULT_PASSPHRASE' setsid aileron vault get --reveal a/basic
    aileron vault unlock --passphrase-file="$WORLD/pass"
    [ "$(aileron vault get --reveal a/basic)" = pw ]
    fails 1 'a vault already' aileron vault init
}

@test "a passphrase is asked for on the terminal, without echo" {
    unset AILERON_VAULT_PASSPHRASE
    aileron vault lock
    run /usr/bin/python3 - << 'PYTHON'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execlp("aileron", "aileron", "vault", "unlock")
seen = b""
while b"Passphrase" not in seen:
    seen += os.read(fd, 1024)
os.write(fd, b"a passphrase for the test\n")
try:
    while chunk := os.read(fd, 1024):
        seen += chunk
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
    [ "$status" -eq 0 ]
    grep -q 'The vault is unlocked' <<< "$output"
    [ "$(grep -c 'for the test' <<< "$output")" -eq 0 ]
}

# A person may fetch it from elsewhere first: the daemon keeps no connection for so long on which nothing is asked.
@test "a secret that is typed when the daemon has closed the connection meanwhile is put in all the same" {
    run /usr/bin/python3 - <<'PY'
import os, pty, subprocess, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("aileron", ["aileron", "vault", "put", "user/late"])
said = b""
while b"Secret: " not in said:
    said += os.read(terminal, 100)
subprocess.run(["aileron", "daemon", "stop"], check=True)
subprocess.run(["aileron", "vault", "unlock"], check=True)
os.write(terminal, b"typed late\n")
try:
    while data := os.read(terminal, 100):
        print(data)
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
    [ "$status" -eq 0 ]
    [ "$(aileron vault get --reveal user/late)" = "typed late" ]
}

@test "the echo is off before the passphrase is asked for: nothing typed at once is shown, or lost" {
    unset AILERON_VAULT_PASSPHRASE
    aileron vault lock
    run /usr/bin/python3 - << 'PYTHON'
import os, select, signal, sys, termios, time
signal.alarm(15)
master, slave = os.openpty()
termios.tcflow(slave, termios.TCOOFF) # a terminal that takes no output: the prompt waits, and what stands before it is done
pid = os.fork()
if pid == 0:
    os.login_tty(slave)
    os.execlp("aileron", "aileron", "vault", "unlock")
end = time.monotonic() + 5
while termios.tcgetattr(slave)[3] & termios.ECHO and time.monotonic() < end:
    time.sleep(0.01)
print("echo", bool(termios.tcgetattr(slave)[3] & termios.ECHO), "asked", bool(select.select([master], [], [], 0)[0]))
os.write(master, b"a passphrase for the test\n")
termios.tcflow(slave, termios.TCOON)
os.close(slave)
seen = b""
try:
    while chunk := os.read(master, 1024):
        seen += chunk
except OSError:
    pass
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
    [ "$status" -eq 0 ]
    grep -qx 'echo False asked False' <<< "$output"
    grep -q 'The vault is unlocked' <<< "$output"
    [ "$(grep -c 'for the test' <<< "$output")" -eq 0 ]
}

# C01: a core file lands in the current directory, which may be a workspace.
@test "C01: the vault's commands leave no core file, whatever ends them" {
    (
        cd "$WORLD" && ulimit -c unlimited
        mkfifo secret && exec 7<> secret
        printf 'half of a secret' >&7
        aileron vault put user/half < secret 7>&- 3>&- &
        put=$!
        wait_for test "$(readlink -f secret)" -ef "/proc/$put/fd/0"
        wait_for grep -q '^Max core file size  *0 ' "/proc/$put/limits"
        kill -ABRT "$put"
        wait "$put" || [ $? -eq 134 ]
        [ -z "$(ls core* 2> /dev/null)" ]
    )
}

@test "C15: a damaged vault is told apart from a wrong passphrase, and left alone" {
    aileron daemon stop
    cp "$AILERON_HOME/vault.json" "$WORLD/good"
    sed 's/"generation": 2/"generation": 3/' "$WORLD/good" > "$AILERON_HOME/vault.json"
    sum=$(sha256sum < "$AILERON_HOME/vault.json")
    fails 65 'damaged' aileron vault unlock
    printf x > "$WORLD/x"
    fails 65 'damaged' aileron vault put --from-file="$WORLD/x" a/b
    [ "$sum" = "$(sha256sum < "$AILERON_HOME/vault.json")" ]
    : > "$AILERON_HOME/vault.json"
    fails 65 'empty' aileron vault unlock
    fails 1 'already' aileron vault init
    [ ! -s "$AILERON_HOME/vault.json" ]
    run aileron status
    grep -q '^vault  *damaged' <<< "$output"
    cp "$WORLD/good" "$AILERON_HOME/vault.json"
    aileron vault unlock
    [ "$(aileron vault get --reveal user/api)" = "$SECRET" ]
}

# A whole file of yesterday holds under its key. Which generation was the last is in state.db, over a lock and a restart.
@test "C15: a vault.json that is older than the one used last is taken when a person says so, and not before" {
    cp "$AILERON_HOME/vault.json" "$WORLD/older"
    printf 'the new one' | aileron vault put user/api
    cp "$AILERON_HOME/vault.json" "$WORLD/newer"
    sum=$(sha256sum < "$WORLD/older")
    aileron vault lock
    cp "$WORLD/older" "$AILERON_HOME/vault.json"
    fails 65 'older than the one that was used last (generation 2, was 3).*vault unlock --older' aileron vault unlock
    fails 65 'older than' aileron vault get --reveal user/api
    aileron status | grep -q '^vault  *locked'
    aileron daemon stop
    fails 65 'older than' aileron vault unlock
    [ "$sum" = "$(sha256sum < "$AILERON_HOME/vault.json")" ]
    cp "$WORLD/newer" "$AILERON_HOME/vault.json"
    aileron vault unlock
    [ "$(aileron vault get --reveal user/api)" = 'the new one' ]
    cp "$WORLD/older" "$AILERON_HOME/vault.json" # while it is unlocked
    fails 65 'is older.*vault lock, then aileron vault unlock --older' aileron vault get --reveal user/api
    aileron vault lock
    aileron vault unlock --older
    [ "$(aileron vault get --reveal user/api)" = "$SECRET" ]
    aileron vault lock
    aileron vault unlock # what was taken is the newest now
    aileron vault lock
    mv "$AILERON_HOME/vault.json" "$WORLD/moved" # another vault begins anew
    aileron vault init
    aileron vault lock
    aileron vault unlock
}

@test "the policy: check, test, and errors with line and column" {
    run aileron policy check
    [ "$status" -eq 0 ]
    grep -q 'forbidden.test' <<< "$output"
    run aileron policy test GET https://api.test/user
    [ "$status" -eq 0 ]
    grep -q 'user/api' <<< "$output"
    run aileron policy test GET https://forbidden.test/
    [ "$status" -eq 77 ]
    grep -q 'no forbidden host' <<< "$output"
    run aileron policy test GET http://169.254.169.254/
    [ "$status" -eq 77 ]
    # What no rule can allow, as the data plane has it.
    run aileron policy test GET http://api.test/user
    [ "$status" -eq 77 ]
    grep -q 'credential user/api: is never sent over plain http' <<< "$output"
    run aileron policy test TRACE https://api.test/user
    [ "$status" -eq 77 ]
    sed 's|host: api.test, address: "127.0.0.1|host: api.test, address: "10.1.2.3|' "$AILERON_HOME/config.yaml" > "$WORLD/config"
    cp "$AILERON_HOME/config.yaml" "$WORLD/config-good"
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    run aileron policy test GET https://api.test/user
    [ "$status" -eq 77 ]
    grep -q 'network.private: private' <<< "$output"
    { cat "$WORLD/config-good"; echo '  - { host: cert.test, port: 443, client_cert: user/mtls }'; } > "$AILERON_HOME/config.yaml"
    run aileron policy test GET https://cert.test/
    [ "$status" -eq 0 ]
    grep -q 'with client certificate user/mtls' <<< "$output"
    run aileron policy test GET http://cert.test:443/
    [ "$status" -eq 77 ]
    cp "$WORLD/config-good" "$AILERON_HOME/config.yaml"
    printf 'version: 1\nrules:\n  - { host: a.test, action: alow }\n' > "$AILERON_HOME/policy.yaml"
    fails 78 'policy.yaml:3:2[0-9]: ' aileron policy check
    fails 78 'policy.yaml:3:2[0-9]: ' aileron policy reload
    run aileron status
    [ "$status" -eq 78 ]
    printf 'a: [\n' > "$WORLD/broken.yaml"
    fails 78 'broken.yaml:[0-9]*:' aileron policy check "$WORLD/broken.yaml"
    aileron daemon stop
    fails 78 'policy.yaml:3:2[0-9]: ' aileron vault unlock
}

@test "connectors: add, list, show, check, remove" {
    file=$BATS_TEST_DIRNAME/shim.connector.json
    aileron connector check "$file"
    aileron connector add "$file"
    run aileron connector list
    grep -q '^test.example/api  *1.0.0  *svc$' <<< "$output"
    aileron connector show test.example/api | /usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)'
    sed 's/1\.0\.0/1.0.1/' "$file" > "$WORLD/newer.json"
    aileron connector add "$WORLD/newer.json"
    [ "$(aileron connector list | wc -l)" -eq 1 ]
    sed 's/test.example/other.example/' "$file" > "$WORLD/other.json"
    fails 1 'both have a tool named svc' aileron connector add "$WORLD/other.json"
    sed 's/"type": "integer"/"type": "whole"/' "$file" > "$WORLD/bad.json"
    fails 65 'type' aileron connector check "$WORLD/bad.json"
    printf '{"schema_version": 1,\n "x": }' > "$WORLD/bad.json"
    fails 65 'bad.json:2:' aileron connector add "$WORLD/bad.json"
    aileron connector remove test.example/api
    fails 1 'no connector' aileron connector remove test.example/api
}

@test "the record: list, filters, show, tail, verify" {
    aileron vault list > /dev/null
    run aileron audit list --event=vault
    [ "$status" -eq 0 ]
    grep -q 'action=put' <<< "$output"
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
    [ "$(aileron audit list --lines=1 | wc -l)" -eq 1 ]
    [ "$(aileron audit list --since=1h | wc -l)" -eq "$(aileron audit list | wc -l)" ]
    fails 64 'since' aileron audit list --since=tomorrow
    aileron audit show 1 | grep -q '"event": "daemon.start"'
    fails 1 'no line about' aileron audit show 99999
    aileron audit tail --json > "$WORLD/tail" &
    tail_pid=$!
    sleep 0.3
    aileron vault lock
    wait_for grep -q '"action":"lock"' "$WORLD/tail"
    kill $tail_pid
    run aileron audit verify
    [ "$status" -eq 0 ]
    head=$(sed -n 's/.*head //p' <<< "$output")
    run aileron audit verify --anchor="$head"
    [ "$status" -eq 0 ]
    run aileron audit verify --anchor="$(printf x | sha256sum | cut -c1-64)"
    [ "$status" -eq 65 ]
    sed -i '2s/vault/vaulT/' "$AILERON_HOME"/audit/*.jsonl
    run aileron audit verify
    [ "$status" -eq 65 ]
    grep -q 'jsonl:[23]' <<< "$output"
}

# The chain of what is left is whole: what the daemon that runs wrote last says that it is not all.
@test "audit verify: lines cut off at the end, and a record that was taken away, while the daemon runs" {
    file=$(ls "$AILERON_HOME"/audit/*.jsonl)
    cp -a "$file" "$WORLD/record"
    sed -i '$d' "$file"
    fails_with_report() { # WORDS
        run --separate-stderr aileron audit verify
        [ "$status" -eq 65 ]
        grep -q 'NOT whole' <<< "$output"
        grep -q "$1" <<< "$stderr"
    }
    fails_with_report 'the daemon that runs wrote line [0-9]* last'
    run --separate-stderr aileron audit verify --anchor="$(sha256sum < <(head -n 1 "$file" | tr -d '\n') | cut -c1-64)"
    [ "$status" -eq 65 ]
    [ "$(aileron audit verify --json 2> /dev/null | jq .intact)" = false ]
    rm "$file"
    fails_with_report 'lines at the end were removed'
    cp -a "$WORLD/record" "$file"
    aileron audit verify
    aileron daemon stop
    aileron audit verify
}

# A03: a directory's name is on the record; what turns text around or is a control beyond ASCII is escaped, and still
# JSON that says the same.
@test "the record as JSON: nothing unseen reaches the terminal" {
    odd=$'a\u202eb\u0085c'
    mkdir "$WORLD/ws/$odd"
    (cd "$WORLD/ws/$odd" && aileron launch --sandbox=bwrap -- true)
    aileron audit list --json > "$WORLD/lines"
    LC_ALL=C absent $'[\x80-\xff]' "$WORLD/lines"
    [ "$(jq -r 'select(.event == "session.start") | .workspace' "$WORLD/lines" | tail -n 1)" = "$WORLD/ws/$odd" ]
}

@test "doctor escapes what it shows" {
    run env AILERON_HOME="$WORLD"/$'x\e[31m\u202ey/z' aileron doctor
    [ "$(grep -c $'\e' <<< "$output")" -eq 0 ]
    [ "$(grep -c $'\u202e' <<< "$output")" -eq 0 ]
    mkdir "$WORLD"/$'x\e[31m'
    chmod 700 "$WORLD"/$'x\e[31m'
    run env AILERON_HOME="$WORLD"/$'x\e[31m' aileron doctor
    grep -qF 'x\x1b[31m' <<< "$output"
    [ "$(grep -c $'\e' <<< "$output")" -eq 0 ]
}

@test "session: prune starts the daemon, and what is no session's id is none" {
    aileron daemon stop
    run aileron session prune
    [ "$status" -eq 0 ] || { echo "$status $output"; return 1; }
    [ "$output" = 'nothing was left behind' ]
    for odd in '' 'a b' $'a\n' ../stop 'x?y' %2e; do
        fails 1 'there is no session' aileron session show "$odd"
        fails 1 'there is no session' aileron session stop "$odd"
    done
}

@test "the daemon: started once, stopped, refused where its home is not private" {
    aileron daemon stop
    local pids=()
    for i in 1 2 3 4 5 6; do aileron vault list > "$WORLD/list.$i" & pids+=($!); done
    wait "${pids[@]}" # not for everything: the upstream is a child of this shell, too
    for i in 1 2 3 4 5 6; do grep -q user/api "$WORLD/list.$i"; done
    [ "$(grep -lzx "AILERON_HOME=$AILERON_HOME" $(pgrep -f '^[^ ]*aileron daemon' | sed 's:.*:/proc/&/environ:') | wc -l)" -eq 1 ]
    fails 1 'runs already' aileron daemon --foreground
    aileron daemon stop
    fails 69 'no daemon' aileron status
    chmod 755 "$AILERON_HOME"
    fails 78 'chmod' aileron vault list
    chmod 700 "$AILERON_HOME"
    AILERON_HOME=relative fails 78 'absolute' aileron vault list
}

@test "a socket that takes connections and answers none, as that of one just killed, is no daemon" {
    aileron daemon stop > /dev/null || true
    mkdir -p -m 700 "$AILERON_HOME/run"
    rm -f "$AILERON_HOME/run/control.sock"
    python3 -c '
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
while True:
    listener.accept()[0].close()
' "$AILERON_HOME/run/control.sock" > "$WORLD/deaf" 3>&- &
    deaf=$!
    wait_for grep -q listens "$WORLD/deaf"
    chmod 600 "$AILERON_HOME/run/control.sock"
    run aileron daemon
    kill "$deaf"
    echo "$output"
    [ "$status" -ne 0 ]
    grep -q 'another process listens on' <<< "$output"
    [ "$(aileron daemon)" = "The daemon runs." ]
    aileron status
}

@test "a daemon of another version is told apart" {
    sed -i 's/"version": *"[^"]*"/"version":"0.0.1"/' "$AILERON_HOME/run/daemon.json"
    fails 1 '0.0.1' aileron vault list
    aileron daemon stop
    aileron vault list
}

@test "no passphrase and no secret reach the daemon's environment, its log or ps" {
    pid=$(cat "$AILERON_HOME/run/daemon.pid")
    [ "$(tr '\0' '\n' < "/proc/$pid/environ" | grep -c PASSPHRASE)" -eq 0 ]
    [ "$(grep -cF "$SECRET" "$AILERON_HOME/run/daemon.log")" -eq 0 ]
    [ "$(tr '\0' ' ' < "/proc/$pid/cmdline" | grep -cF "$SECRET")" -eq 0 ]
    grep -q 'Max core file size *0 *0' "/proc/$pid/limits"
}

@test "doctor says what there is" {
    run aileron doctor
    [ "$status" -eq 0 ]
    grep -q '^bwrap  *ok' <<< "$output"
}

@test "a project's own file only narrows, with line and column where it does not" {
    cd "$WORLD/ws"
    cat > .aileron.yaml <<'YAML'
version: 1
rules:
  - { name: look but do not touch, host: api.test, methods: [POST, PUT, PATCH, DELETE], action: deny, reason: this project reads }
  - { host: forbidden.test, action: allow }
YAML
    run aileron policy check
    [ "$status" -eq 0 ]
    grep -q '.aileron.yaml of this directory, which only narrows' <<< "$output"
    run aileron policy test POST https://api.test/open
    [ "$status" -eq 77 ]
    grep -q 'look but do not touch: this project reads' <<< "$output"
    run aileron policy test GET https://forbidden.test/
    [ "$status" -eq 77 ]
    run aileron launch --sandbox=bwrap -- sh -c 'curl -sS https://api.test/user; curl -sS -d x https://api.test/user
        curl -sS https://forbidden.test/'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    grep -q 'this project reads' <<< "$output"
    grep -q 'this host is not for agents' <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
    aileron audit list --event=session.start | grep -q 'project_rules=2'
    # What would widen is refused, and nothing starts.
    printf 'version: 1\nrules:\n  - { host: api.test, action: allow, credential: user/api }\n' > .aileron.yaml
    fails 125 '.aileron.yaml:3:[0-9]*: .*names no credentials.*\. Correct it: .*agents can write it' aileron launch --sandbox=bwrap -- true
    printf 'version: 1\nnetwork:\n  allow_private: ["10.0.0.0/8"]\n' > .aileron.yaml
    fails 125 '.aileron.yaml:3:[0-9]*: .*private' aileron launch --sandbox=bwrap -- true
    rm .aileron.yaml
    mkfifo .aileron.yaml
    fails 125 'aileron.yaml' timeout 10 aileron launch --sandbox=bwrap -- true
    rm .aileron.yaml
}
