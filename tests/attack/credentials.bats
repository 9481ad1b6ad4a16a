# Getting a credential, or using it elsewhere: rows C01, C03, C05, C10, C11 and C12 of the threats, and F02 of a worker,
# performed against the real program.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    # A test that failed leaves its rules to none.
    cp -n "$AILERON_HOME/bindings.yaml" "$WORLD/bindings"
    if ! cmp -s "$WORLD/bindings" "$AILERON_HOME/bindings.yaml"; then
        cp "$WORLD/bindings" "$AILERON_HOME/bindings.yaml"
        aileron daemon reload
    fi
    : > "$WORLD/up/requests.log"
}

@test "C01 a sweep of environments, arguments, files and memory maps finds no secret" {
    echo "$SECRET" > "$WORLD/needle"
    run inside sh -c 'curl -sS https://api.test/user > /dev/null; env
        for p in /proc/[0-9]*; do tr "\0" "\n" < $p/environ; tr "\0" " " < $p/cmdline; cat $p/status; done 2> /dev/null
        cat /run/aileron/* /etc/aileron/* 2> /dev/null; ls -laR /run/aileron /etc/aileron /opt/aileron /home /root 2> /dev/null'
    [ -n "$output" ]
    absent -F "$SECRET" <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
}

@test "C01 the home of the daemon is not there" {
    run inside sh -c "ls -la '$AILERON_HOME' '$WORLD/home' ~/.aileron /root/.aileron 2>&1"
    absent vault.json <<< "$output"
}

@test "C03 the client's own Authorization is replaced, in any case and repeated" {
    run inside curl -sS -H 'Authorization: Bearer mine' -H 'authorization: Basic bWluZTptaW5l' -H 'AUTHORIZATION: token x' \
        https://api.test/user
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    run jq -r '[.headers[] | select(.[0] | ascii_downcase == "authorization")] | length' "$WORLD/up/requests.log"
    [ "$output" = 1 ]
    absent mine "$WORLD/up/requests.log"
}

@test "C03 a credential in a field of its own, over either version: what the client says there, or in Authorization, goes nowhere" {
    printf 'version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], scheme: header, header: { name: X-Api-Key, template: "key {secret}" } }\n' \
        > "$AILERON_HOME/bindings.yaml"
    aileron daemon reload
    for version in --http1.1 --http2; do
        : > "$WORLD/up/requests.log"
        run -0 inside curl -sS "$version" -H 'x-api-KEY: mine' -H 'X-Api-Key: mine too' -H 'Authorization: Bearer mine' \
            -H 'Connection: x-api-key' https://api.test/user
        grep -q '"login": "octo"' <<< "$output"
        run jq -r '.headers[] | select(.[0] | ascii_downcase | test("api-key|authorization")) | join(": ")' "$WORLD/up/requests.log"
        [ "$output" = "X-Api-Key: key $SECRET" ]
        absent mine "$WORLD/up/requests.log"
    done
}

@test "C05 a credential is never sent over plain http" {
    run inside curl -sS -w ' %{http_code}' http://plain.test/user
    grep -q ' 502$' <<< "$output"
    grep -q 'never sent over plain http' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
}

@test "C05 nor to a host with an expired, self-signed or wrong-name certificate" {
    for host in expired.test selfsigned.test wrongname.test; do
        run inside curl -sS -w ' %{http_code}' "https://$host/user"
        grep -q ' 502$' <<< "$output"
        grep -q "$host" <<< "$output"
    done
    [ "$(upstream_count)" -eq 0 ]
    inside curl -sS https://api.test/user > "$WORLD/out"
    aileron audit list --event credential > "$WORLD/list"
    grep -q api.test "$WORLD/list"
    absent 'expired.test\|selfsigned.test\|wrongname.test' "$WORLD/list"
}

# ---- C10: what would break a line

@test "C10 CR, LF or NUL in a secret is refused in every scheme, and the upstream sees nothing" {
    cat > "$AILERON_HOME/bindings.yaml" <<YAML
version: 1
bindings:
  - { name: evil/bearer, hosts: [api.test], paths: [/bearer], scheme: bearer, entry: user/evil }
  - { name: evil/basic, hosts: [api.test], paths: [/basic], scheme: basic, username: octo, entry: user/evil }
  - { name: evil/header, hosts: [api.test], paths: [/header], scheme: header, entry: user/evil,
      header: { name: X-Api-Key, template: "key={secret}" } }
YAML
    aileron daemon reload
    for value in 'x\r\nX-Evil: 1' 'x\nX-Evil: 1' 'x\rX-Evil: 1' 'x\0X-Evil: 1' '\r\nX-Evil: 1' \
        'X-Evil: 1\r\n\r\nGET / HTTP/1.1' 'X-Evil\t1' 'X-Evil\0331'; do
        printf "$value" | aileron vault put user/evil
        for scheme in bearer basic header; do
            run inside curl -sS -w ' %{http_code}' "https://api.test/$scheme"
            grep -q ' 403$' <<< "$output"
            grep -q 'control character' <<< "$output"
            absent -F X-Evil <<< "$output"
        done
    done
    [ "$(upstream_count)" -eq 0 ]
    # And it is this that is refused: a plain secret is sent, by each scheme, where and as it belongs.
    printf '%s' "$SECRET" | aileron vault put user/evil
    for scheme in bearer basic header; do inside curl -sS "https://api.test/$scheme" > /dev/null; done
    run jq -r '.headers[] | select(.[0] | ascii_downcase == "authorization" or ascii_downcase == "x-api-key") | join(": ")' \
        "$WORLD/up/requests.log"
    [ "${lines[0]}" = "Authorization: Bearer $SECRET" ]
    [ "${lines[1]}" = "Authorization: Basic $(printf 'octo:%s' "$SECRET" | base64 -w0)" ]
    [ "${lines[2]}" = "X-Api-Key: key=$SECRET" ]
}

@test "C10 CR, LF or NUL in a header's name, a template or a user name: the file is refused, with its line" {
    while read -r scheme; do
        printf 'version: 1\nbindings:\n  - { name: user/api, hosts: [api.test], %s }\n' "$scheme" > "$AILERON_HOME/bindings.yaml"
        run aileron daemon reload
        echo "$scheme: $status $output"
        [ "$status" -eq 78 ]
        grep -q 'bindings.yaml:3:[0-9]*: ' <<< "$output"
        [ "${#lines[@]}" -eq 1 ]
    done <<'CASES'
scheme: header, header: { name: X-Api-Key, template: "{secret}\r\nX-Evil: 1" }
scheme: header, header: { name: X-Api-Key, template: "{secret}\nX-Evil: 1" }
scheme: header, header: { name: X-Api-Key, template: "x\rX-Evil: 1 {secret}" }
scheme: header, header: { name: X-Api-Key, template: "x\0{secret}" }
scheme: header, header: { name: X-Api-Key, template: "x\e{secret}" }
scheme: header, header: { name: "X-Api-Key\r\nX-Evil", template: "{secret}" }
scheme: header, header: { name: "X-Api-Key: 1\nX-Evil" }
scheme: header, header: { name: "X-Api-Key\0" }
scheme: header, header: { name: "X Api Key" }
scheme: header, header: { name: Host }
scheme: header, header: { name: Transfer-Encoding }
scheme: basic, username: "octo\r\nX-Evil"
scheme: basic, username: "octo\0"
scheme: basic, username: "octo:x"
CASES
    run inside true # the last good rules are for the sessions that have them
    [ "$status" -eq 125 ]
    grep -q 'bindings.yaml:3:' <<< "$output"
}

@test "C10 what the sandbox sends with a bare CR, LF or NUL in target or field goes nowhere" {
    run inside python3 -c '
import socket, ssl
def ask(head):
    s = socket.create_connection(("127.0.0.1", 3128)); s.settimeout(10)
    s.sendall(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
    while b"\r\n\r\n" not in s.recv(65536): pass
    tls = ssl.create_default_context(cafile="/etc/aileron/ca.pem").wrap_socket(s, server_hostname="api.test")
    tls.sendall(head)
    try: return tls.recv(65536).split(b"\r\n")[0].decode() or "closed"
    except OSError: return "closed"
host = b"Host: api.test\r\n"
for bad in (b"\r", b"\n", b"\0", b"\rX-Evil: 1", b"\x7f"):
    print(ask(b"GET /user?x=" + bad + b" HTTP/1.1\r\n" + host + b"\r\n"))
    print(ask(b"GET /user" + bad + b"x HTTP/1.1\r\n" + host + b"\r\n"))
    print(ask(b"GET /user HTTP/1.1\r\n" + host + b"X-A: b" + bad + b"c\r\n\r\n"))
    print(ask(b"GET /user HTTP/1.1\r\n" + host + b"X-A" + bad + b": c\r\n\r\n"))
for path in (b"/a%0d%0ab", b"/a%0ab", b"/a%00b"):
    print(ask(b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n"))
print("good", ask(b"GET /user HTTP/1.1\r\n" + host + b"\r\n"))'
    [ "$status" -eq 0 ]
    echo "$output"
    [ "$(grep -c '^HTTP/1.1 400 ' <<< "$output")" -eq 23 ]
    grep -qx 'good HTTP/1.1 200 OK' <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
}

@test "C11 another token, or none, gets nothing from the session's socket" {
    run inside python3 -c '
import socket
def talk(first):
    s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("/run/aileron/session.sock"); s.sendall(first)
    try: return s.recv(65536).decode().split("\r\n")[0]
    except ConnectionError as e: return str(e)
get = b"GET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\n\r\n"
print(talk(b"AILERON " + b"0" * 64 + b" api\r\n" + get))
print(talk(b"AILERON  api\r\n" + get))
print(talk(b"GET http://plain.test/open HTTP/1.1\r\nHost: plain.test\r\n\r\n"))
token = open("/run/aileron/token", "rb").read().strip()
print(talk(b"AILERON " + token + b" api\r\n" + get))'
    [ "$status" -eq 0 ]
    [ "$(grep -c ' 403 ' <<< "$output")" -eq 2 ]
    [ "$(grep -c ' 407 ' <<< "$output")" -eq 1 ]
    [ "$(grep -c ' 200 ' <<< "$output")" -eq 1 ]
}

@test "C11 the token of another session gets nothing, while that lives and after its end" {
    (cd "$WORLD/ws" && exec aileron launch --sandbox=bwrap -- sh -c 'echo "$AILERON_TOKEN" > theirs.new; mv theirs.new theirs
        while [ ! -e end ]; do sleep 0.05; done') 2> /dev/null 3>&- &
    wait_for test -e "$WORLD/ws/theirs"
    cat > "$WORLD/ws/ask.py" <<'PY'
import os, socket, ssl, sys
def ask(token): # by the line that our own programs write, and by TLS with a bearer token
    for tls in (False, True):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect("/run/aileron/session.sock")
        get = "GET /v1/session HTTP/1.1\r\nHost: aileron.internal\r\nAuthorization: Bearer %s\r\n\r\n" % token
        if tls:
            context = ssl.create_default_context(cafile="/etc/aileron/ca.pem")
            s = context.wrap_socket(s, server_hostname="aileron.internal")
        else:
            get = "AILERON %s api\r\n" % token + get
        s.sendall(get.encode())
        print(s.recv(65536).split(b"\r\n")[0].decode())
ask(open("theirs").read().strip() if sys.argv[1:] else os.environ["AILERON_TOKEN"])
PY
    run --separate-stderr inside sh -c 'python3 ask.py theirs; touch end; sleep 1; python3 ask.py theirs; echo own
        python3 ask.py'
    wait $!
    rm -f "$WORLD"/ws/{theirs,end,ask.py}
    [ "$status" -eq 0 ]
    echo "$output"
    [ "$(grep -c '^HTTP/1.1 403 ' <<< "$output")" -eq 4 ]
    [ "$(sed -n '/^own$/,$p' <<< "$output" | grep -c '^HTTP/1.1 200 ')" -eq 2 ]
}

@test "C12 an entry that is missing, or a locked vault: refused, never sent without" {
    aileron vault lock
    run inside curl -sS -w ' %{http_code}' https://api.test/user
    aileron vault unlock
    grep -q ' 403$' <<< "$output"
    grep -q 'vault' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    aileron vault rm user/api
    run inside curl -sS -w ' %{http_code}' https://api.test/user
    printf '%s' "$SECRET" | aileron vault put user/api
    grep -q ' 403$' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    run inside curl -sS https://api.test/user
    grep -q '"login": "octo"' <<< "$output"
}

@test "F02 kill -9 of a worker: it is started again on the same socket, and the sandbox goes on" {
    mkfifo "$WORLD/ws/go"
    exited() { aileron audit list --event worker.exit | grep -q worker.exit; }
    (wait_for test -e "$WORLD/ws/asked"; kill -9 $(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")"); wait_for exited
     echo > "$WORLD/ws/go") > /dev/null 3>&- &
    run inside sh -c 'curl -sS https://api.test/user; touch asked; cat go > /dev/null; curl -sS https://api.test/user'
    rm "$WORLD/ws/go" "$WORLD/ws/asked"
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 2 ]
    exited
}
