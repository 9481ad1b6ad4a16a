# Breaking it: F03 (no space, a home that is read-only, a daemon killed while it writes) and F04 (files that are
# damaged). The home is a small file system of its own, in a mount namespace that everything of the test runs in.
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root to mount a file system"
    world_start api.test || return 1
    aileron daemon stop
    unshare -m sleep 600 3>&- 7>&- &
    NAMESPACE=$!
    other_mounts() { [ "$(readlink "/proc/$NAMESPACE/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; }
    wait_for other_mounts
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    # What is tested is a disk without any space; the floor that is kept above that has a test of its own.
    echo "limits: { disk_free: 0 }" >> "$AILERON_HOME/config.yaml"
    cp -a "$AILERON_HOME" "$WORLD/kept"
    in_there mount -t tmpfs -o size=2m,mode=700 tmpfs "$AILERON_HOME"
    in_there cp -a "$WORLD/kept/." "$AILERON_HOME"
    there vault unlock
}

teardown() {
    [ -n "${NAMESPACE:-}" ] || return 0
    there daemon stop --force > /dev/null 2>&1 || true
    kill "$NAMESPACE"
    world_stop
}

in_there() { nsenter --mount="/proc/$NAMESPACE/ns/mnt" --wd="${IN:-/}" "$@"; }
there() { in_there aileron "$@"; }
fill() { in_there dd if=/dev/zero of="$AILERON_HOME/ballast" bs=4k > /dev/null 2>&1 || true; }
free() { in_there rm "$AILERON_HOME/ballast"; }
sandbox() { IN=$WORLD/ws there launch --sandbox=bwrap -- "$@"; }
record() { in_there cat "$AILERON_HOME"/audit/*.jsonl; }

# One line on standard error, this status, these words; and what the words say to do.
fails() { # STATUS WORDS COMMAND...
    local want=$1 words=$2
    shift 2
    run "$@"
    [ "$status" -eq "$want" ] || { echo "$*: status $status, not $want: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ] || { echo "$*: more than one line: $output"; return 1; }
    grep -qi -- "$words" <<< "$output" || { echo "$*: $output"; return 1; }
}

no_leftovers() { in_there find "$AILERON_HOME" -name '.new*' -o -name '*.tmp' | absent .; }

@test "F03 no space: vault put fails in one line, nothing is half-written, and works again by itself" {
    sum=$(in_there sha256sum "$AILERON_HOME/vault.json")
    fill
    fails 74 'space' there vault put --from-file="$WORLD/up/secret" user/new
    [ "$sum" = "$(in_there sha256sum "$AILERON_HOME/vault.json")" ]
    no_leftovers
    free
    there vault put --from-file="$WORLD/up/secret" user/new
    there vault list | grep -q '^user/new '
    there audit verify
}

@test "F03 no space: connector add and remove" {
    file=$BATS_TEST_DIRNAME/../e2e/shim.connector.json
    fill
    fails 74 'space' there connector add "$file"
    free
    [ "$(there connector list | wc -l)" -eq 0 ]
    [ "$(in_there find "$AILERON_HOME/store" -name '*.json' | wc -l)" -eq 0 ]
    no_leftovers
    there connector add "$file"
    [ "$(there connector list | wc -l)" -eq 1 ]
}

@test "F03 no space: launch fails in one line and leaves no session" {
    fill
    fails 125 'space' sandbox true
    [ -z "$(in_there ls "$AILERON_HOME/run/sessions" "$AILERON_HOME/run/private" | grep -v :)" ]
    free
    sandbox true
    there audit verify
}

# The last page of the record has room for some lines: what is written there may be acted upon.
@test "F03 no space: credentialed traffic stops with a clear error, and starts again by itself" {
    mkfifo "$WORLD/ws/full" "$WORLD/ws/free"
    cat > "$WORLD/ws/agent" <<'SH'
ask() { curl -sS -w '%{http_code}\n' "$1"; }
ask https://api.test/user; read -r x < full
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do ask https://api.test/user; done
for i in 1 2 3; do ask https://api.test/user; done > last; ask http://open.test/open; read -r x < free
ask https://api.test/user > again
SH
    sandbox sh agent > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    used() { grep -q octo "$WORLD/out"; }
    wait_for used
    fill
    echo > "$WORLD/ws/full"
    stopped() { grep -q '"open"' "$WORLD/out"; } # without a credential: it passes
    wait_for stopped
    run there status
    [ "$status" -eq 74 ]
    grep -q 'space' <<< "$output"
    free
    echo > "$WORLD/ws/free"
    wait $launcher
    [ "$(grep -c '^503$' "$WORLD/ws/last")" -eq 3 ]
    error=$(head -n 1 "$WORLD/ws/last")
    [ "$(jq -r .error.code <<< "$error")" = io ]
    grep -qi 'space' <<< "$(jq -r .error.message,.error.next <<< "$error")"
    grep -q '"login": "octo"' "$WORLD/ws/again"
    # No credential without its line: what the service saw is what the record tells.
    [ "$(record | grep -c '"event":"credential".*"decision":"allow"')" -eq "$(grep -c '/user' "$WORLD/up/requests.log")" ]
    run there status
    [ "$status" -eq 0 ]
    there audit verify
}

# A line that was written is not on the disk: what comes after it may not be, either.
@test "F03 the record cannot be put on the disk: credentialed traffic stops with a clear error, and starts again by itself" {
    command -v strace > /dev/null || skip "no strace"
    mkfifo "$WORLD/ws/bad" "$WORLD/ws/good"
    cat > "$WORLD/ws/agent" <<'SH'
ask() { curl -sS -w '%{http_code}\n' "$1"; }
ask https://api.test/user; read -r x < bad
for i in 1 2 3 4 5 6 7 8 9 10; do ask https://api.test/user; sleep 0.1; done
for i in 1 2 3; do ask https://api.test/user; done > last; ask http://open.test/open; read -r x < good
ask https://api.test/user > again
SH
    sandbox sh agent > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    used() { grep -q octo "$WORLD/out"; }
    wait_for used
    daemon=$(in_there cat "$AILERON_HOME/run/daemon.pid")
    strace -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO -p "$daemon" 3>&- &
    tracer=$!
    wait_for grep -q "^TracerPid:.*[1-9]" "/proc/$daemon/status"
    echo > "$WORLD/ws/bad"
    stopped() { grep -q '"open"' "$WORLD/out"; } # without a credential: it passes
    wait_for stopped
    run there status
    [ "$status" -eq 74 ]
    grep -q 'cannot be put on the disk' <<< "$output"
    kill "$tracer"
    wait "$tracer" || true
    well() { there status > /dev/null; }
    wait_for well
    echo > "$WORLD/ws/good"
    wait $launcher
    [ "$(grep -c '^503$' "$WORLD/ws/last")" -eq 3 ]
    grep -q 'cannot be put on the disk' <<< "$(jq -r .error.message <<< "$(head -n 1 "$WORLD/ws/last")")"
    grep -q '"login": "octo"' "$WORLD/ws/again"
    # No use without its line, also of what was lent before.
    [ "$(record | grep -c '"event":"credential".*"decision":"allow"')" -eq "$(grep -c '/user' "$WORLD/up/requests.log")" ]
    there audit verify
}

# A sandbox that fills the disk finds the floor first: nothing new begins there, and what is decided is still recorded.
@test "F03 the floor under the free space: every session is halted, no launch, and all goes on by itself" {
    in_there sed -i 's/disk_free: 0/disk_free: 524288/' "$AILERON_HOME/config.yaml"
    there policy reload
    mkfifo "$WORLD/ws/low" "$WORLD/ws/free"
    cat > "$WORLD/ws/agent" <<'SH'
ask() { curl -sS -w '%{http_code}\n' "$1"; }
ask https://api.test/user; read -r x < low
i=0; while [ $i -lt 100 ]; do ask http://open.test/open > last; grep -q '^503$' last && break; i=$((i + 1)); sleep 0.1; done
ask https://api.test/user > credentialed; echo halted; read -r x < free
i=0; while [ $i -lt 100 ]; do ask https://api.test/user > again; grep -q '^200$' again && break; i=$((i + 1)); sleep 0.1; done
SH
    sandbox sh agent > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    used() { grep -q octo "$WORLD/out"; }
    wait_for used
    free_kb=$(in_there df -k --output=avail "$AILERON_HOME" | tail -n 1)
    in_there dd if=/dev/zero of="$AILERON_HOME/ballast" bs=1k count=$((free_kb - 300)) 2> /dev/null
    echo > "$WORLD/ws/low"
    halted() { grep -q halted "$WORLD/out"; }
    wait_for halted
    for file in last credentialed; do
        grep -q '^503$' "$WORLD/ws/$file"
        grep -q 'no space to spare' "$WORLD/ws/$file"
    done
    fails 125 'no space to spare' sandbox true
    run there status
    [ "$status" -eq 74 ]
    grep -q 'no space to spare' <<< "$output"
    free
    echo > "$WORLD/ws/free"
    wait $launcher
    grep -q '"login": "octo"' "$WORLD/ws/again"
    [ "$(record | grep -c '"event":"daemon.space"')" -eq 2 ]
    [ "$(record | grep -c '"event":"credential".*"decision":"allow"')" -eq "$(grep -c '/user' "$WORLD/up/requests.log")" ]
    there audit verify
}

# A sandbox that does nothing but ask is halted at its share of the record; the others have theirs.
@test "F03 a flood of requests is halted, counted and told, and another sandbox goes on" {
    in_there sed -i 's/disk_free: 0/disk_free: 0, record_bytes: 65536, record_rate: 0/' "$AILERON_HOME/config.yaml"
    there policy reload
    mkfifo "$WORLD/ws/go"
    before=$(record | wc -c)
    sandbox sh -c 'curl -sS -o /dev/null -w "%{http_code}\n" "http://open.test/open?[1-400]"; touch flooded; read -r x < go' \
        > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/ws/flooded"
    grep -q '^200$' "$WORLD/out"
    [ "$(tail -n 1 "$WORLD/out")" = 429 ]
    run there status
    [ "$status" -eq 1 ]
    grep -q 'is halted' <<< "$output"
    IN=$WORLD/ws there launch --sandbox=bwrap -- curl -sS https://api.test/user > "$WORLD/other" 3>&-
    grep -q octo "$WORLD/other"
    echo > "$WORLD/ws/go"
    wait $launcher
    [ "$(record | grep -c '"event":"session.flooded","session":"[^"]*","state":"halted"')" -eq 1 ]
    [ "$(record | grep '"event":"session.flooded".*"state":"ended"' | jq .lost_lines)" -gt 0 ]
    [ "$(($(record | wc -c) - before))" -lt 80000 ]
    there audit verify
}

@test "F03 no space when the daemon starts: it says so in one line, and starts when there is" {
    there daemon stop
    fill
    fails 74 'space' there vault unlock
    fails 125 'space' sandbox true
    free
    there vault unlock
    sandbox true
    there audit verify
}

@test "F03 a home that is read-only: each command says so in one line" {
    file=$BATS_TEST_DIRNAME/../e2e/shim.connector.json
    sum=$(in_there sha256sum "$AILERON_HOME/vault.json")
    in_there mount --bind "$AILERON_HOME" "$AILERON_HOME"
    in_there mount -o remount,bind,ro "$AILERON_HOME"
    fails 74 'writable' there vault put --from-file="$WORLD/up/secret" user/new
    fails 74 'writable' there connector add "$file"
    fails 125 'writable' sandbox true
    there vault list | grep -q '^user/api '
    there daemon stop
    fails 74 'read-only' there vault unlock
    fails 125 'read-only' sandbox true
    in_there umount "$AILERON_HOME"
    there vault unlock
    [ "$sum" = "$(in_there sha256sum "$AILERON_HOME/vault.json")" ]
    sandbox true
    there audit verify
}

daemon_is_gone() { ! alive "$daemon"; }

@test "F03 kill -9 while it writes: what was acknowledged is there, nothing is half-written" {
    : > "$WORLD/acknowledged"
    for round in 1 2 3 4 5 6 7 8; do
        there vault unlock
        (for i in 1 2 3 4 5 6 7 8 9; do
            there vault put --from-file="$WORLD/up/secret" "k/$round-$i" > /dev/null 2>&1 || break
            echo "k/$round-$i" >> "$WORLD/acknowledged"
        done) 3>&- &
        putter=$!
        sleep "0.0$((round * 11))"
        daemon=$(in_there cat "$AILERON_HOME/run/daemon.pid")
        kill -9 "$daemon"
        wait $putter || true
        wait_for daemon_is_gone # its socket may still take a connection while it dies
    done
    [ -s "$WORLD/acknowledged" ]
    # As a daemon leaves it that is killed between the two halves of a write; the putter may have started another.
    pid=$(in_there cat "$AILERON_HOME/run/daemon.pid")
    kill -9 "$pid" 2> /dev/null || true
    gone() { [ ! -e "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status"; }
    wait_for gone
    in_there touch "$AILERON_HOME/.new-0123456789abcdef" "$AILERON_HOME/run/.new-0123456789abcdef"
    there vault unlock
    there vault list > "$WORLD/list"
    while read -r entry; do grep -q "^$entry " "$WORLD/list" || { echo "lost: $entry"; return 1; }; done < "$WORLD/acknowledged"
    [ "$(there vault get --reveal "$(tail -n 1 "$WORLD/acknowledged")")" = "$SECRET" ]
    no_leftovers
    there audit verify
}

@test "F02 a worker that hangs after its session's end keeps nobody from stopping the daemon" {
    mkfifo "$WORLD/ws/go"
    sandbox sh -c 'touch up; read -r x < go' 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/ws/up"
    worker=$(pgrep -P "$(in_there cat "$AILERON_HOME/run/daemon.pid")" -f 'aileron worker')
    fails 1 '1 session is running' there daemon stop
    kill -STOP "$worker"
    echo > "$WORLD/ws/go"
    wait $launcher
    there daemon stop
    [ ! -e "/proc/$worker" ]
}

@test "F04 a half-written last line of the record: it starts, reports and keeps the rest" {
    there daemon stop
    lines=$(record | wc -l)
    in_there sh -c 'for f in "$AILERON_HOME"/audit/*.jsonl; do printf "{\"ts\":\"2026-11-2" >> "$f"; done'
    there vault unlock
    [ "$(record | grep -c '"event":"record.recovered"')" -eq 1 ]
    [ "$(record | wc -l)" -ge $((lines + 2)) ]
    there audit verify
    there daemon stop
    in_there sh -c 'for f in "$AILERON_HOME"/audit/*.jsonl; do head -c 300 /dev/urandom | tr -d "\n" >> "$f"; done'
    sandbox true
    [ "$(record | grep -c '"event":"record.recovered"')" -eq 2 ]
    there audit verify
}

@test "F04 a line of the record over 1 MiB: it starts, verify says where, the others are read" {
    there daemon stop
    in_there sh -c 'for f in "$AILERON_HOME"/audit/*.jsonl; do head -c 1100000 /dev/zero | tr "\0" x >> "$f"; echo >> "$f"; done'
    there vault unlock
    there audit list | grep -q 'daemon.start'
    run there audit verify
    [ "$status" -eq 65 ]
    grep -q 'jsonl:[0-9]*:' <<< "$output"
}

@test "F04 a state.db that is damaged: it starts, says so, puts the old one aside" {
    there daemon stop
    in_there sh -c 'head -c 8192 /dev/urandom > "$AILERON_HOME/state.db"; rm -f "$AILERON_HOME"/state.db-*'
    there vault unlock
    run there status
    [ "$status" -ne 0 ]
    grep -q 'state.db was damaged and is put aside' <<< "$output"
    in_there sh -c 'ls "$AILERON_HOME"/state.db.damaged*'
    sandbox curl -sS https://api.test/user | grep -q octo
    there audit verify
}

@test "F04 a damaged page of state.db while a sandbox runs: it starts, and the sandbox goes on" {
    there daemon stop # so that all pages are in the file and not in its log
    there vault unlock
    mkfifo "$WORLD/ws/go"
    sandbox sh -c 'touch up; read -r x < go; curl -sS https://api.test/user' > "$WORLD/out" 2>&1 3>&- &
    job=$!
    wait_for test -e "$WORLD/ws/up"
    daemon=$(in_there cat "$AILERON_HOME/run/daemon.pid")
    launcher=$(pgrep -f '^aileron launch' | while read -r pid; do
        [ "$(readlink "/proc/$pid/cwd")" != "$WORLD/ws" ] || echo "$pid"; done)
    kill -STOP "$launcher" # or it would start a daemon at once
    kill -9 "$daemon"
    in_there /usr/bin/python3 - "$AILERON_HOME/state.db" "$WORLD/copy.db" <<'PY'
import shutil, sqlite3, sys
shutil.copy(sys.argv[1], sys.argv[2])
root, = sqlite3.connect(sys.argv[2]).execute("SELECT rootpage FROM sqlite_schema WHERE name = 'operation_state'").fetchone()
with open(sys.argv[1], "r+b") as db:
    db.seek((root - 1) * 4096)
    db.write(b"\x5a" * 4096)
PY
    kill -CONT "$launcher"
    another() { [ "$(in_there cat "$AILERON_HOME/run/daemon.pid")" != "$daemon" ]; }
    wait_for another
    there vault unlock
    run there status
    [ "$status" -eq 65 ]
    grep -q '1 sessions were carried over' <<< "$output"
    echo > "$WORLD/ws/go"
    wait $job
    grep -q octo "$WORLD/out"
    [ "$(record | grep -c '"event":"state.recovered"')" -eq 1 ]
    there audit verify
}
