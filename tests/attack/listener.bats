# The TLS listener of a session whose sandbox is on another machine: what anybody on the network can try. No engine is
# needed: a session is what the daemon makes of a launch, and its launcher is a process of the test's.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_start api.test || return 1
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    sed -i '1a sandbox: { remote_listen: "127.0.0.1" }' "$AILERON_HOME/config.yaml"
    aileron daemon reload > /dev/null
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}
teardown_file() { world_stop; }

setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    SLEEPERS=
    session ONE
    session TWO
}
teardown() { [ -z "$SLEEPERS" ] || kill $SLEEPERS 2> /dev/null || true; }

control() { curl -sS --unix-socket "$AILERON_HOME/run/control.sock" -H 'Content-Type: application/json' "$@"; }
# NAME_ID, NAME_AT, NAME_DIR, NAME_TOKEN of a session of an engine that nobody asks.
session() { # NAME
    local answer
    sleep 300 3>&- &
    SLEEPERS="$SLEEPERS $!"
    answer=$(control -d "{\"command\": [\"x\"], \"engine\": \"docker\", \"pid\": $!,
        \"engine_env\": {\"DOCKER_HOST\": \"tcp://127.0.0.1:1\"}}" http://d/v1/sessions)
    eval "$1_ID=$(jq -r .id <<< "$answer") $1_AT=$(jq -r .remote <<< "$answer") $1_DIR=$(jq -r .dir <<< "$answer")"
    local dir="$1_DIR"
    eval "$1_TOKEN=$(cat "${!dir}/token")"
}

# Says the text under TLS, which must be of that session's CA, and prints what comes until the end.
tls() { # AT DIR TEXT
    timeout 20 /usr/bin/python3 -c '
import socket, ssl, sys
host, port = sys.argv[1].rsplit(":", 1)
context = ssl.create_default_context(cafile=sys.argv[2] + "/ca.pem")
with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname="aileron.internal") as s:
    print("secured", s.version(), file=sys.stderr)
    s.sendall(sys.argv[3].encode())
    s.settimeout(15)
    try:
        while True:
            data = s.recv(65536)
            if not data:
                break
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
    except (ConnectionResetError, ssl.SSLError):
        pass
' "$1" "$2" "$3"
}
GET=$'GET http://open.test/open HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n'

@test "C11 the token opens the listener of its own session, and no other" {
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET"
    grep -q '"open": true' <<< "$output"
    grep -q 'secured TLSv1.3' <<< "$stderr"
    run -0 --separate-stderr tls "$TWO_AT" "$TWO_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET"
    [ -z "$output" ]
    [ "$(upstream_count)" -eq 1 ]
    aileron audit list --event=session.denied --session="$TWO_ID" --json |
        jq -se 'length == 1 and (.[0].message | contains("did not begin with the session"))'
    # Each has a certificate of its own authority: the one does not trust the other's.
    run ! tls "$TWO_AT" "$ONE_DIR" x
    grep -q 'CERTIFICATE_VERIFY_FAILED' <<< "$output"
}

@test "C11 no token, a guessed one, none in time, other ways to prove oneself: closed, without an answer" {
    local guessed=${ONE_TOKEN//[0-9]/a}
    for first in "$GET" "AILERON $guessed proxy"$'\r\n'"$GET" $'AILERON\r\n' "AILERON $ONE_TOKEN listener"$'\r\n' \
        "AILERON $ONE_TOKEN"$'\r\n' \
        $'GET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\nAuthorization: Bearer '"$ONE_TOKEN"$'\r\n\r\n' \
        $'GET http://open.test/ HTTP/1.1\r\nHost: open.test\r\nProxy-Authorization: Bearer '"$ONE_TOKEN"$'\r\n\r\n'; do
        run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "$first"
        [ -z "$output" ]
    done
    SECONDS=0
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" 'AILERON '
    [ -z "$output" ]
    [ "$SECONDS" -ge 8 ]
    [ "$SECONDS" -lt 18 ]
    [ "$(upstream_count)" -eq 0 ]
}

@test "A01 C11 without TLS, and the control API by the listener: nothing" {
    run ! timeout 20 curl -sS "http://$ONE_AT/v1/session" -H "Authorization: Bearer $ONE_TOKEN"
    absent 'HTTP\|session' <<< "${output//curl: /}"
    run -0 timeout 20 /usr/bin/python3 -c '
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
s = socket.create_connection((host, int(port)))
s.sendall(sys.argv[2].encode() + b"\r\n" + sys.argv[3].encode())
heard = b""
try:
    while data := s.recv(4096):
        heard += data
except ConnectionResetError:
    pass
print(heard)' "$ONE_AT" "AILERON $ONE_TOKEN proxy" "$GET"
    absent 'HTTP' <<< "$output"
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN api"$'\r\nGET /v1/sessions HTTP/1.1\r\nHost: aileron.internal\r\nConnection: close\r\n\r\n'
    grep -q '^HTTP/1.1 40[34]' <<< "$output"
}

@test "F05 connections that say nothing, or a byte at a time, keep nobody out" {
    timeout 60 /usr/bin/python3 -c '
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
held = []
print("begin", flush=True)
for i in range(400):
    held.append(socket.create_connection((host, int(port))))
print("held", flush=True)
for i in range(600):
    for s in held[-64:]:
        try:
            s.send(b"\x16" if i == 0 else b"\x03")
        except OSError:
            pass
    time.sleep(0.1)
' "$ONE_AT" > "$WORLD/up/slow" 3>&- &
    SLEEPERS="$SLEEPERS $!"
    wait_for grep -q held "$WORLD/up/slow"
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET"
    grep -q '"open": true' <<< "$output"
    worker=$(control http://d/v1/sessions | jq -r ".sessions[] | select(.id == \"$ONE_ID\").worker_pid")
    [ "$(ls "/proc/$worker/fd" | wc -l)" -lt 100 ]
}

# A worker of the daemon that was killed may outlive it for an instant; here it is another who holds the port.
@test "F01 a new daemon waits for the listener that the dying worker of the old one still holds" {
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    timeout 20 /usr/bin/python3 -c '
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    try:
        s.bind((host, int(port)))
        s.listen(1)
        break
    except OSError:
        time.sleep(0.01)
print("held", flush=True)
time.sleep(0.7)
' "$ONE_AT" > "$WORLD/up/holder" 3>&- &
    SLEEPERS="$SLEEPERS $!"
    wait_for grep -q held "$WORLD/up/holder"
    aileron daemon > /dev/null
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET"
    grep -q '"open": true' <<< "$output"
}

@test "the listener lives as long as its session, through the daemon's death, and there is none for an engine of this host" {
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    aileron daemon > /dev/null
    run -0 --separate-stderr tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET"
    grep -q '"open": true' <<< "$output"
    worker=$(control http://d/v1/sessions | jq -r ".sessions[] | select(.id == \"$ONE_ID\").worker_pid")
    kill -9 "$worker"
    back() { tls "$ONE_AT" "$ONE_DIR" "AILERON $ONE_TOKEN proxy"$'\r\n'"$GET" | grep -q '"open": true'; }
    wait_for back
    control -X DELETE "http://d/v1/sessions/$ONE_ID" > /dev/null
    gone() { [ -z "$(ss -Hltn "sport = :${ONE_AT##*:}")" ]; }
    wait_for gone
    run ! tls "$ONE_AT" "$TWO_DIR" x
    grep -q 'ConnectionRefused' <<< "$output"
    before=$(ss -Hltn src 127.0.0.1 | sort)
    sleep 300 3>&- &
    SLEEPERS="$SLEEPERS $!"
    run -0 control -d "{\"command\": [\"x\"], \"engine\": \"docker\", \"pid\": $!}" http://d/v1/sessions
    [ "$(jq -r '.remote // "none"' <<< "$output")" = none ]
    daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    [ "$(ss -Hltnp | grep -c "pid=$daemon,")" -le 2 ] # the page, and TWO's
}
