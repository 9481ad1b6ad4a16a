# Rows F05, F07 and F08 of the threats, in small, against the real program: what is slow, what is too much, what is
# broken. (tests/bench/soak does F05 in full.)
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test hostile.test || return 1
    /usr/bin/python3 "$TESTS_LIB/upstream-hostile.py" "$WORLD/up" < "$WORLD/up/stdin" > "$WORLD/up/hostile-out" 2>&1 3>&- &
    UPSTREAM_PID="$UPSTREAM_PID $!"
    wait_for test -s "$WORLD/up/dns-port" || return 1
    sed -i "s/\\(host: hostile.test, address: \"127.0.0.1:\\)[0-9]*/\\1$(cat "$WORLD/up/hostile-port")/" "$AILERON_HOME/config.yaml"
    echo "  - { host: garbage.test, address: \"127.0.0.1:$(cat "$WORLD/up/garbage-port")\" }" >> "$AILERON_HOME/config.yaml"
    sed -i 's/hosts: .*/hosts: [api.test, hostile.test, garbage.test]/' "$AILERON_HOME/bindings.yaml"
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT UPSTREAM_PID
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    { cat "$WORLD/config"; echo 'limits: { first_byte_ms: 400, idle_ms: 2000 }'; } > "$AILERON_HOME/config.yaml"
    aileron daemon reload
    : > "$WORLD/up/requests.log"
    : > "$WORLD/up/hostile.log"
    rm -f "$WORLD"/ws/*
}

limits() { # TEXT
    { cat "$WORLD/config"; echo "limits: { $1 }"; } > "$AILERON_HOME/config.yaml"
    aileron daemon reload
}

# The largest worker's memory, in KiB, and what it may be: far below 1 MiB (aileron(7)) for each of the connections here,
# and below each of the bodies. A sanitizer keeps what was freed for a while.
worker_kib() {
    pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")" | while read -r pid; do
        sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
    done | sort -n | tail -n 1
}
bound_kib() { case $BIN in *asan*) echo 600000 ;; *) echo 65536 ;; esac; }

@test "F08 an upstream that says nothing, stops, or ends early: one clear error, and its connection is not used again" {
    run -0 inside sh -c 'for path in silent good stall good short good; do
        curl -sS -m 60 -w " %{http_code} %{exitcode}\n" "https://hostile.test/$path" 2>&1; done'
    echo "$output"
    [ "$(grep -c '"code":"timeout".*did not answer in time' <<< "$output")" -eq 1 ]
    [ "$(grep -cx ' 504 0' <<< "$output")" -eq 1 ]
    [ "$(grep -cx ' 200 0' <<< "$output")" -eq 3 ] # the good ones
    [ "$(grep -cE '^half 200 (18|92)$' <<< "$output")" -eq 2 ] # cut: curl saw that it was not whole
    # Each bad answer's connection was its last: the good one that follows came over another.
    wait_for [ "$(sort -u "$WORLD/up/hostile.log" | wc -l)" -ge 6 ]
    for path in silent stall short; do
        port=$(sed -n "s|^/$path \([0-9]*\) .*|\1|p" "$WORLD/up/hostile.log")
        [ -n "$port" ]
        [ "$(sed -n "\|^/$path $port |,\$p" "$WORLD/up/hostile.log" | grep -c " $port ")" -eq 1 ]
    done
    aileron audit list --event network.end --json > "$WORLD/list"
    grep 'timeout' "$WORLD/list" | grep -q 'stopped in the middle of its answer'
}

@test "F08 1 GiB of headers, and 1xx heads without an end: refused after some KiB, in little memory" {
    run -0 inside sh -c 'for path in headers informational; do
        curl -sS -m 60 -o /dev/null -w "%{http_code}\n" "https://hostile.test/$path"; done
        curl -sS https://api.test/user; touch done; while [ ! -e end ]; do sleep 0.05; done' 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/ws/done"
    kib=$(worker_kib)
    touch "$WORLD/ws/end"
    wait $launcher
    echo "$kib KiB"; cat "$WORLD/up/hostile.log"
    [ "$kib" -lt "$(bound_kib)" ]
    for path in headers informational; do
        sent=$(sed -n "s|^/$path [0-9]* ||p" "$WORLD/up/hostile.log")
        [ "$sent" -lt 16000000 ] # what the kernel's buffers take, too
        aileron audit list --event network.end --json | grep '"status":502' > "$WORLD/list"
    done
    [ "$(grep -c '"code":"upstream"' "$WORLD/list")" -ge 2 ]
}

@test "F08 a bomb in gzip is carried as it is, and what is no TLS is one clear error" {
    run -0 inside sh -c 'curl -sS https://hostile.test/bomb | wc -c; curl -sS -w " %{http_code}\n" https://garbage.test/'
    grep -qx 1048576 <<< "$output"
    grep -q '"code":"upstream".*garbage.test' <<< "$output"
    grep -q ' 502$' <<< "$output"
}

@test "F07 a policy with an error while traffic flows: the last good one stays, and open connections take the new one next" {
    limits 'idle_ms: 60000'
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy"
    cat > "$WORLD/ws/agent.py" <<'PY'
import http.client, os, ssl, time
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
flowing, open_one = (http.client.HTTPSConnection("api.test", context=context) for _ in range(2))
def wait(name):
    while not os.path.exists(name): time.sleep(0.02)
def ask(when):
    open_one.request("GET", "/open/" + when)
    answer = open_one.getresponse()
    print(when, answer.status, answer.read().decode().strip().replace("\n", " "), flush=True)
flowing.request("GET", "/held")
answer = flowing.getresponse()
assert answer.read(5) == b"held "
ask("before"); socket = open_one.sock; open("started", "w").close()
wait("broken"); ask("broken"); open("asked", "w").close()
wait("closed"); ask("closed")
assert open_one.sock is socket
other = http.client.HTTPSConnection("api.test", context=context)
wait("opened"); ask("opened"); other.request("GET", "/release"); other.getresponse()
print("flowing", answer.status, answer.read().decode().strip())
PY
    inside python3 agent.py > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/ws/started"
    printf 'version: 1\nnetwork: { default: allow }\nrules:\n  - { name: x, host: "a..b", action: deny }\n' > "$AILERON_HOME/policy.yaml"
    run -78 aileron policy reload
    grep -q 'policy.yaml:4:' <<< "$output"
    run aileron status
    grep -q 'policy.yaml:4:' <<< "$output"
    touch "$WORLD/ws/broken"
    wait_for test -e "$WORLD/ws/asked"
    { cat "$WORLD/policy"; echo '  - { name: closed now, host: api.test, paths: ["/open/**"], action: deny }'; } > "$AILERON_HOME/policy.yaml"
    aileron policy reload
    touch "$WORLD/ws/closed"
    closed() { grep -q '^closed ' "$WORLD/out"; }
    wait_for closed
    cp "$WORLD/policy" "$AILERON_HOME/policy.yaml"
    aileron policy reload
    touch "$WORLD/ws/opened"
    wait $launcher || { cat "$WORLD/out"; return 1; }
    cat "$WORLD/out"
    grep -q '^before 200 ' "$WORLD/out"
    grep -q '^broken 200 ' "$WORLD/out"
    grep -q '^closed 403 .*"rule":"closed now"' "$WORLD/out"
    grep -q '^opened 200 ' "$WORLD/out"
    grep -qx 'flowing 200 free' "$WORLD/out"
    aileron audit list --event policy.load --json | grep -q '"decision":"deny"\|"code"\|"message"'
}

# Editors, and whoever manages files, move the old one away first. Without rules every host is allowed.
@test "F07 a policy.yaml that is gone while it is edited: its rules stay until a person says that it is meant" {
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy"
    loads() { [ "$(aileron audit list --event policy.load | wc -l)" -gt "$1" ]; }
    before=$(aileron audit list --event policy.load | wc -l)
    echo '  - { name: closed, host: api.test, paths: ["/open/**"], action: deny }' >> "$AILERON_HOME/policy.yaml"
    wait_for loads "$before"
    cat > "$WORLD/ws/agent" <<'SH'
rule() { curl -sS https://api.test/open/x | sed -n 's/.*"rule":"\([^"]*\)".*/\1/p'; }
await() { i=0; while [ ! -e "$1" ] && [ "$i" -lt 200 ]; do i=$((i + 1)); sleep 0.1; done; }
echo "before $(rule)"; await gone; echo "gone $(rule)"
SH
    inside sh agent > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    asked() { grep -q "^$1 " "$WORLD/out"; }
    wait_for asked before
    before=$(aileron audit list --event policy.load | wc -l)
    mv "$AILERON_HOME/policy.yaml" "$AILERON_HOME/policy.yaml~"
    wait_for loads "$before"
    touch "$WORLD/ws/gone"
    wait $launcher
    cat "$WORLD/out"
    grep -qx 'before closed' "$WORLD/out"
    grep -qx 'gone closed' "$WORLD/out"
    run -78 aileron status
    grep -q 'policy.yaml is gone.*aileron policy reload' <<< "$output"
    aileron policy reload
    run -0 aileron status
    cp "$WORLD/policy" "$AILERON_HOME/policy.yaml"
    aileron policy reload
}

@test "F05 clients that send and read a byte at a time, and idle tunnels: others are as quick, memory stays small" {
    limits 'idle_ms: 60000'
    cat > "$WORLD/ws/slow.py" <<'PY'
import os, socket, ssl, time, http.client
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
def tls(): return context.wrap_socket(socket.create_connection(("api.test", 443)), server_hostname="api.test")
def quick():
    connection, times = http.client.HTTPSConnection("api.test", context=context), []
    for _ in range(40):
        began = time.monotonic()
        connection.request("GET", "/user")
        assert b"octo" in connection.getresponse().read()
        times.append(time.monotonic() - began)
    return sorted(times)[20]
alone = quick()
idle = [tls() for _ in range(200)]
readers = [tls() for _ in range(50)]
for reader in readers:
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.sendall(b"GET /download?bytes=50000000 HTTP/1.1\r\nHost: api.test\r\n\r\n")
writers = [tls() for _ in range(50)]
head = b"POST /upload HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\n"
for at in range(len(head) + 20):  # a byte of each in turn, head and body
    for writer in writers: writer.sendall((head + b"x" * 20)[at:at + 1])
    for reader in readers: assert reader.recv(1)
    if at == 60: print("quick", alone, quick(), flush=True)
idle[7].sendall(b"GET /user HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
assert b"octo" in idle[7].makefile("rb").read()
open("done", "w").close()
while not os.path.exists("end"): time.sleep(0.05)
PY
    inside python3 slow.py > "$WORLD/out" 2>&1 3>&- &
    launcher=$!
    wait_for_long() { for i in $(seq 1200); do [ -e "$WORLD/ws/done" ] && return 0; kill -0 $launcher || break; sleep 0.05; done; cat "$WORLD/out"; return 1; }
    wait_for_long
    kib=$(worker_kib)
    touch "$WORLD/ws/end"
    wait $launcher
    echo "$kib KiB"; cat "$WORLD/out"
    [ "$kib" -lt "$(bound_kib)" ]
    # As quick: with a busy machine's allowance.
    awk '/^quick/ { exit !($3 < 10 * $2 + 0.2) }' "$WORLD/out"
}

@test "F05 a large body each way in little memory; one connection too many is told so" {
    limits 'idle_ms: 60000, connections: 32'
    cat > "$WORLD/ws/many.py" <<'PY'
import socket
held, answers = [], []
for i in range(60):
    s = socket.create_connection(("127.0.0.1", 3128)); s.settimeout(20); held.append(s)
    try:
        s.sendall(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        answers.append(s.recv(4096).split(b"\r\n")[0].decode() or "closed")
    except ConnectionError:
        answers.append("closed")
print(*answers, sep="\n")
held[0].close()
PY
    run -0 inside sh -c 'head -c 150000000 /dev/zero | curl -sS -T - https://api.test/upload
        curl -sS "https://api.test/download?bytes=150000000" | wc -c; touch done; while [ ! -e end ]; do sleep 0.05; done' 3>&- &
    launcher=$!
    for i in $(seq 2000); do [ ! -e "$WORLD/ws/done" ] || break; sleep 0.05; done
    kib=$(worker_kib)
    touch "$WORLD/ws/end"
    wait $launcher
    echo "$kib KiB"
    [ "$kib" -lt "$(bound_kib)" ]
    [ "$(jq -s 'map(select(.path == "/upload"))[0].length' "$WORLD/up/requests.log")" -eq 150000000 ]
    run -0 --separate-stderr inside python3 many.py
    echo "$output"
    [ "$(grep -c '^HTTP/1.1 200' <<< "$output")" -le 32 ]
    [ "$(grep -c '^HTTP/1.1 200' <<< "$output")" -ge 16 ]
    grep -q '^HTTP/1.1 429' <<< "$output"
}
