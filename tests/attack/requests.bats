# What a request may not do to the rules: rows E07, E09, E10, C04, C07, C08 and C09, against the real program. Raw bytes
# go through TLS by raw.py, in the sandbox, so that no client's good manners stand between.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test other.test || return 1
    cat >> "$AILERON_HOME/policy.yaml" <<'YAML'
  - { name: not the secret rooms, host: api.test, paths: ["/open/secret/**", "/open/*:read"], action: deny, reason: this is closed }
  - { name: no deleting, host: api.test, methods: [DELETE], action: deny }
  - { name: look inside, host: other.test, methods: [GET], action: allow }
YAML
    sed -i 's/hosts: .*/hosts: [api.test]/' "$AILERON_HOME/bindings.yaml"
    aileron policy reload > /dev/null || return 1
    cat > "$WORLD/ws/raw.py" <<'PYTHON'
import os, socket, ssl, sys
# raw.py HOST: each line of standard input is a request in Python's escapes; prints the first line of each answer.
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
for line in sys.stdin:
    data = line.rstrip("\n").encode().decode("unicode_escape").encode("latin-1")
    with context.wrap_socket(socket.create_connection((sys.argv[1], 443)), server_hostname=sys.argv[1]) as s:
        s.settimeout(5)
        s.sendall(data)
        got = b""
        try:
            while b"\r\n\r\n" not in got and (part := s.recv(65536)):
                got += part
        except OSError:
            got = got or b"(nothing)"
        print(got.split(b"\r\n")[0].decode("latin-1") or "(closed)")
PYTHON
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}
teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

# Every line of standard input is refused with this status, and the upstream hears nothing of it.
all_refused() { # STATUS HOST
    cat > "$WORLD/ws/in"
    run -0 --separate-stderr inside sh -c "python3 raw.py $2 < in"
    [ "$(wc -l <<< "$output")" -eq "$(wc -l < "$WORLD/ws/in")" ]
    grep -vE "^HTTP/1.1 ($1) " <<< "$output" > "$WORLD/passed" || true
    [ ! -s "$WORLD/passed" ] || { paste -d' ' <(echo "$output") "$WORLD/ws/in" | grep -vE "^HTTP/1.1 ($1) "; return 1; }
    [ "$(upstream_count)" -eq 0 ] || { upstream_log; return 1; }
}

@test "E07 metadata addresses in allow_private: refused at load, with line and reason" {
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy"
    for range in 169.254.169.254/32 169.254.0.0/16 0.0.0.0/0 fd00:ec2::254/128; do
        printf 'version: 1\nnetwork:\n  allow_private: ["%s"]\n' "$range" > "$AILERON_HOME/policy.yaml"
        run -78 aileron policy reload
        grep -q 'policy.yaml:3:[0-9]*: .*metadata' <<< "$output"
    done
    run -125 inside true # nor does anything start under it
    cp "$WORLD/policy" "$AILERON_HOME/policy.yaml"
    aileron policy reload
}

@test "E09 a Host, or an absolute target, for another place than the connection's" {
    all_refused '421|400' api.test <<'IN'
GET /user HTTP/1.1\r\nHost: other.test\r\n\r\n
GET /user HTTP/1.1\r\nHost: api.test:8443\r\n\r\n
GET /user HTTP/1.1\r\nHost: api.test.other.test\r\n\r\n
GET https://other.test/user HTTP/1.1\r\nHost: api.test\r\n\r\n
GET http://api.test/user HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /user HTTP/1.1\r\nHost: api.test\r\nHost: other.test\r\n\r\n
GET /user HTTP/1.1\r\n\r\n
IN
}

@test "E10 every spelling of a host is one host, or refused" {
    run -0 inside sh -c 'for host in API.test api.test. Api.TEST.; do curl -sS "https://$host/user"; done'
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 3 ]
    run inside sh -c 'for host in FORBIDDEN.test forbidden.test. ; do curl -sS "https://$host/"; done'
    [ "$(grep -c 'this host is not for agents' <<< "$output")" -eq 2 ]
    : > "$WORLD/up/requests.log"
    run -0 inside python3 -c '
import socket
for host in ["api.test%00.other.test", "api%2etest", "-api.test", "api..test", "api.test\0", "user@api.test", "api.test/x", "[api.test]", "1.2.3.4.5.6", "api_.test:99999", "xn--\u00e9"]:
    s = socket.create_connection(("127.0.0.1", 3128))
    s.sendall(b"CONNECT " + host.encode() + b":443 HTTP/1.1\r\nHost: x\r\n\r\n")
    print(s.recv(4096).split(b"\r\n")[0].decode())'
    [ "$(grep -c '^HTTP/1.1 400 ' <<< "$output")" -eq 11 ]
    [ "$(upstream_count)" -eq 0 ]
}

@test "C04 a redirect to another host is followed without the credential" {
    run -0 inside curl -sSL 'https://api.test/redirect?to=https://other.test/open'
    grep -q '"open": true' <<< "$output"
    [ "$(upstream_count)" -eq 2 ]
    grep '"/redirect' "$WORLD/up/requests.log" | grep -qF "$SECRET"
    grep '"/open' "$WORLD/up/requests.log" | absent -F "$SECRET"
}

@test "C07 path tricks: canonical before the match, or refused" {
    all_refused '403|400' api.test <<'IN'
GET /open/secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/secret HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/./secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a/../secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a/%2e%2e/secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a/.%2E/secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /op%65n/s%65cret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open%2fsecret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open%5csecret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open\\secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET //open/secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open//secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/%2573ecret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/..;/open/secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/secret%00/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/%zz HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a:read HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a%3Aread HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/a%3area%64 HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open/Secret/x HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /OPEN/SECRET HTTP/1.1\r\nHost: api.test\r\n\r\n
IN
}

@test "C08 another method in a field is under that method's rules" {
    all_refused 403 api.test <<'IN'
POST /open/a HTTP/1.1\r\nHost: api.test\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n
GET /open/a HTTP/1.1\r\nHost: api.test\r\nx-method-override: delete\r\n\r\n
DELETE /open/a HTTP/1.1\r\nHost: api.test\r\n\r\n
IN
}

@test "C08 another method in a form's _method is under that method's rules; the upstream never has the whole" {
    all_refused 403 api.test <<'IN'
POST /open/a?_method=DELETE HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n
POST /open/a?a=b&%5fmethod=delete HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n
POST /open/a HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\n_method=DELETE
POST /open/a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 18\r\n\r\na=b&_method=DELETE
POST /open/a HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"_method":"DELETE"}
POST /open/a HTTP/1.1\r\nHost: api.test\r\nContent-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n--x\r\r\n2f\r\n\nContent-Disposition: form-data; name="_method"\r\n13\r\n\r\n\r\nDELETE\r\n--x--\r\n\r\n0\r\n\r\n
IN
    run -0 aileron audit list --event=network
    [ "$(grep -c 'decision=deny rule=no deleting reason=the method that _method asks for is denied' <<< "$output")" -eq 6 ]
}

@test "C08 a form without it goes through, and so does one to a host whose rules have no other methods" {
    printf 'POST /open/a%s HTTP/1.1\\r\\nHost: %s\\r\\nContent-Length: %d\\r\\n%s\\r\\n%s\n' \
        '?method=_method' api.test 11 '' 'a=_method=b' '' api.test 16 'Content-Type: application/json\r\n' '{"a":"_methods"}' \
        > "$WORLD/ws/in"
    run -0 --separate-stderr inside sh -c 'python3 raw.py api.test < in'
    [ "$(grep -c '^HTTP/1.1 200 ' <<< "$output")" -eq 2 ]
    sed -i '/no deleting/d' "$AILERON_HOME/policy.yaml"
    aileron policy reload > /dev/null
    run -0 --separate-stderr inside curl -sS -o /dev/null -w '%{http_code}\n' -d _method=DELETE https://api.test/open/a
    [ "$output" = 200 ]
}

@test "C09 request smuggling: what can be read in two ways is refused, and the upstream hears nothing" {
    all_refused '400|431|501|505' api.test <<'IN'
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4, 4\r\n\r\nabcd
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: +4\r\n\r\nabcd
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0x4\r\n\r\nabcd
POST /open HTTP/1.1\r\nHost: api.test\r\nContent-Length: -1\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nX: y\r\n folded\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nX: a\x00b\r\n\r\n
POST /open HTTP/1.1\r\nHost: api.test\r\nX: a\rb\r\n\r\n
POST /open HTTP/1.1\nHost: api.test\n\n
GET /open HTTP/1.1\r\nHost: api.test\r\nX : y\r\n\r\n
GET /open HTTP/1.1\r\nHost: api.test\r\n: y\r\n\r\n
GET /open HTTP/1.1\r\nHost: api.test\r\nno colon\r\n\r\n
GET  /open HTTP/1.1\r\nHost: api.test\r\n\r\n
GET /open HTTP/1.1 \r\nHost: api.test\r\n\r\n
GET /o pen HTTP/1.1\r\nHost: api.test\r\n\r\n
BREW! /open HTTP/1.1\r\nHost: api.test\r\n\r\n
POST /open HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
IN
}

@test "C09 a body that lies about its chunks ends the connection; the upstream never has the whole" {
    run -0 inside python3 -c '
import os, socket, ssl
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
head = b"POST /open HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
for body in [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n", b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
             b"fffffffffffffffff\r\n", b"3 \r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nTransfer-Encoding: x\r\n\r\n"]:
    with context.wrap_socket(socket.create_connection(("api.test", 443)), server_hostname="api.test") as s:
        s.settimeout(5)
        s.sendall(head + body + b"GET /open/secret/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n")
        got = b""
        try:
            while part := s.recv(65536): got += part
        except OSError: pass
        print("answers", got.count(b"HTTP/1.1 200"))'
    [ "$(grep -c '^answers 0$' <<< "$output")" -eq 8 ]
    [ "$(upstream_count)" -eq 0 ]
}
