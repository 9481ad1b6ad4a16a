# Getting a credential, or using it elsewhere: rows C01, C03, C05, C11 and C12 of the threats, and F02 of a worker,
# performed against the real program.
load ../lib/world.bash
ENGINE=bwrap

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}
teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

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
    (wait_for pgrep -f '^aileron worker' ; sleep 1
     kill -9 $(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")"); sleep 0.5; echo > "$WORLD/ws/go") > /dev/null 3>&- &
    run inside sh -c 'curl -sS https://api.test/user; cat go > /dev/null; curl -sS https://api.test/user'
    rm "$WORLD/ws/go"
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 2 ]
    aileron audit list --event worker.exit | grep -q worker.exit
}
