# Leaving the sandbox: rows E01 to E06, E08 and E09 of the threats, performed against the real program.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test hostile.test untouched.test || return 1
    /usr/bin/python3 "$TESTS_LIB/upstream-hostile.py" "$WORLD/up" < "$WORLD/up/stdin" > "$WORLD/up/hostile-out" 2>&1 3>&- &
    UPSTREAM_PID="$UPSTREAM_PID $!"
    wait_for test -s "$WORLD/up/dns-port" || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT UPSTREAM_PID
    cat >> "$AILERON_HOME/config.yaml" <<YAML
  - { host: metadata.test, address: "169.254.169.254" }
  - { host: private.test, address: "10.9.8.7" }
  - { host: websocket.test, address: "127.0.0.1:$(cat "$WORLD/up/websocket-port")" }
network: { resolvers: ["127.0.0.1:$(cat "$WORLD/up/dns-port")"] }
YAML
    sed -i 's/hosts: .*/hosts: [api.test]/' "$AILERON_HOME/bindings.yaml" # nobody looks into untouched.test
    aileron daemon reload
}
teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

# Fails at once and never hangs: the time limit is far below any TCP timeout.
cannot() { # COMMAND...
    run timeout 20 bash -c "$(declare -f inside); inside \"\$@\"" _ "$@"
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
}

@test "E01 a raw connect to an address has no route, at once" {
    cannot python3 -c 'import socket; socket.create_connection(("1.1.1.1", 443), 10)'
    grep -qi 'unreachable' <<< "$output"
    cannot curl -sS --noproxy '*' -m 10 https://1.1.1.1/
    grep -q '^curl: (7)' <<< "$output"
}

@test "E01 unsetting the proxy variables changes nothing" {
    run inside env -u HTTPS_PROXY -u https_proxy -u ALL_PROXY -u all_proxy curl -sS https://forbidden.test/
    [ "$(grep '^{' <<< "$output" | jq -r .error.rule)" = "no forbidden host" ]
}

@test "E02 a raw socket by name is captured, and policy applies" {
    run inside python3 -c '
import socket, ssl
def get(host):
    context = ssl.create_default_context(cafile="/etc/aileron/ca.pem")
    with context.wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host) as tls:
        tls.sendall(b"GET /user HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            part = tls.recv(65536)
            if not part: break
            data += part
    print(data.decode())
get("api.test"); get("forbidden.test")'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    grep -q 'HTTP/1.1 403' <<< "$output"
    grep -q 'no forbidden host' <<< "$output"
}

@test "E02 Node, which ignores proxy variables, and a WebSocket are captured" {
    cat > "$WORLD/ws/ask.js" <<'JS'
const http = require('http'), https = require('https');
const get = (host) => new Promise((done) => https.get({ host, path: '/user' }, (answer) => {
    let text = '';
    answer.on('data', (data) => { text += data; }).on('end', () => { console.log(host, answer.statusCode, text.trim()); done(); });
}));
get('api.test').then(() => get('forbidden.test')).then(() => {
    const asked = http.get({ host: 'websocket.test', path: '/', headers: {
        Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' } });
    asked.on('upgrade', (answer, socket) => {
        socket.on('data', (data) => { console.log('websocket', answer.statusCode, data.toString()); socket.end(); });
        socket.write('echo');
    });
});
JS
    run -0 --separate-stderr inside env -u NODE_USE_ENV_PROXY node ask.js
    grep -q '^api.test 200 .*"login": "octo"' <<< "$output"
    grep -q '^forbidden.test 403 .*no forbidden host' <<< "$output"
    grep -qx 'websocket 101 echo' <<< "$output"
    aileron audit list --event network --json | grep '"captured":true' > "$WORLD/list"
    for host in api.test forbidden.test websocket.test; do grep -q "\"host\":\"$host\"" "$WORLD/list"; done
}

@test "E03 DNS over TLS goes nowhere, and DNS over HTTPS is a host like any other" {
    cannot python3 -c 'import socket; socket.create_connection(("dns.test", 853), 10)'
    grep -qi 'refused\|unreachable' <<< "$output"
    run -0 inside curl -sS -w ' %{http_code}' -H 'Content-Type: application/dns-message' --data-binary x https://forbidden.test/dns-query
    grep -q 'no forbidden host' <<< "$output"
    grep -q ' 403$' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
}

@test "E03 no DNS query leaves: odd types are empty, another resolver is unreachable" {
    run inside python3 -c '
import socket, struct
def ask(server, name, kind):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
    q = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0)
    q += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack(">2H", kind, 1)
    s.sendto(q, (server, 53)); r = s.recv(4096)
    return struct.unpack(">6H", r[:12])
for kind in (16, 28, 15, 255): print("answers", ask("127.0.0.1", "a" * 60 + ".tunnel.test", kind)[3])
try: ask("8.8.8.8", "example.com", 1); print("ESCAPED")
except OSError as e: print("outside:", e)'
    [ "$status" -eq 0 ]
    [ "$(grep -c '^answers 0' <<< "$output")" -eq 4 ]
    grep -q '^outside:' <<< "$output"
    absent ESCAPED <<< "$output"
}

@test "E04 UDP, raw sockets and IPv6 do not leave" {
    run inside python3 -c '
import socket
for family, kind, proto, to in ((socket.AF_INET, socket.SOCK_DGRAM, 0, ("1.1.1.1", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 0, ("2606:4700:4700::1111", 443)),
        (socket.AF_INET6, socket.SOCK_DGRAM, 0, ("2606:4700:4700::1111", 443)),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, ("1.1.1.1", 0))):
    try:
        s = socket.socket(family, kind, proto); s.settimeout(5); s.connect(to); s.send(b"x" * 8); print("ESCAPED", family, kind)
    except OSError as e: print("refused:", e)'
    [ "$status" -eq 0 ]
    [ "$(grep -c '^refused:' <<< "$output")" -eq 4 ]
    absent ESCAPED <<< "$output"
}

@test "E05 private, loopback, link-local and metadata addresses are refused in every spelling" {
    run inside sh -c 'for host in 10.0.0.1 127.0.0.2 169.254.169.254 2130706434 0x7f000002 0177.0.0.2 127.2 \
        "[::ffff:10.0.0.1]" "[::1]" "[2002:a00:1::]" "[64:ff9b::a00:1]" "[fe80::1]" 192.168.1.1 0.0.0.0; do
        echo "$host $(curl -sS -g -m 10 -o /dev/null -w "%{http_code}" --noproxy none -x http://127.0.0.1:3128 "http://$host/" 2>&1)"; done'
    [ "$status" -eq 0 ]
    echo "$output"
    [ "$(grep -cE ' (403|400)$' <<< "$output")" -eq 14 ]
    [ "$(upstream_count)" -eq 0 ]
}

@test "E05 the same by CONNECT, on any port" {
    run -0 inside python3 -c '
import socket
for host in ("10.0.0.1", "127.0.0.2", "169.254.169.254", "2130706434", "0x7f000002", "0177.0.0.2", "127.2", "[::ffff:10.0.0.1]", "[::1]",
             "[2002:a00:1::]", "[64:ff9b::a00:1]", "[fe80::1]", "[fd00:ec2::254]", "[fd00::1]", "192.168.1.1", "172.16.0.1", "100.100.100.200",
             "0.0.0.0", "255.255.255.255", "224.0.0.1", "[ff02::1]"):
    for port in (80, 22):
        s = socket.create_connection(("127.0.0.1", 3128)); s.settimeout(20)
        s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        if port == 80 and b" 200 " in s.recv(65536): s.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        print(host, port, s.recv(65536).split(b"\r\n")[0].decode())'
    echo "$output"
    [ "$(grep -cE ' HTTP/1.1 403 ' <<< "$output")" -eq 42 ]
}

@test "E05 a public address of the host itself leads to the services that loopback leads to: refused, unless it is listed" {
    [ "$(id -u)" -eq 0 ] || skip "only root can give a host another address"
    unshare -n true 2> /dev/null || skip "no network namespace can be made"
    home=$WORLD/own-home
    mkdir -m 700 "$home"
    ask() { # in a network of its own that is this machine's whole world: who asks for a name gets no answer
        AILERON_HOME=$home unshare -n bash -c '
            ip link set lo up && ip addr add 9.8.7.6/32 dev lo && ip -6 addr add 2a01:4f8::5/128 dev lo || exit 1
            /usr/bin/python3 -m http.server --bind :: 3000 --directory "$1" > /dev/null 2>&1 3>&- & server=$!
            for i in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:3000/ && break; sleep 0.1; done
            cd "$2" && aileron launch --sandbox=bwrap -- sh -c "for at in 9.8.7.6 [2a01:4f8::5]; do
                curl -gsS -m 20 -w \"%{http_code}\\n\" http://\$at:3000/mine
                curl -gsS -m 20 -p -w \"%{http_code}\\n\" http://\$at:3000/mine; done" 2>&1
            aileron policy test GET http://9.8.7.6:3000/
            aileron daemon stop; kill "$server"' bash "$WORLD/up" "$WORLD/ws"
    }
    echo "a service of the host" > "$WORLD/up/mine"
    run ask
    echo "$output"
    absent 'a service of the host' <<< "$output"
    [ "$(grep -c "host's own address, and these are not reachable" <<< "$output")" -ge 2 ]
    grep -q 'deny by rule network.private' <<< "$output"
    printf 'version: 1\nnetwork: { allow_private: ["9.8.7.6/32"] }\n' > "$home/policy.yaml"
    run ask
    [ "$(grep -c 'a service of the host' <<< "$output")" -eq 2 ]
}

@test "E06 a good and a bad address, a bad one of IPv6, and an answer that changes between two lookups" {
    ask() { inside curl -sS -w ' %{http_code}\n' "http://$1.dns.test:$UP_PLAIN_PORT/open"; }
    run -0 ask mixed
    grep -q '10.9.8.7.*private address' <<< "$output"
    grep -q ' 403$' <<< "$output"
    run -0 ask sixth
    grep -q 'fd00:ec2::254.*metadata address' <<< "$output"
    grep -q ' 403$' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    run -0 ask flip # one lookup: what was checked is what is connected to
    grep -q ' 200$' <<< "$output"
    [ "$(grep -cx 'flip.dns.test 1' "$WORLD/up/dns.log")" -eq 1 ]
    [ "$(upstream_count)" -eq 1 ]
    run -0 ask flip # another worker, which looks again
    grep -q '169.254.169.254.*metadata address' <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
}

@test "E06 a name at a private or metadata address is refused, with the reason" {
    run inside sh -c 'curl -sS http://metadata.test/; curl -sS http://private.test/'
    [ "$status" -eq 0 ]
    [ "$(grep -c '"code":"denied"' <<< "$output")" -eq 2 ]
    grep -q 'metadata address' <<< "$output"
    grep -q 'private address' <<< "$output"
}

@test "E08 SOCKS5 on the relay is under the same policy, by name and by address" {
    run -0 inside sh -c 'curl -sS --noproxy "" --proxy socks5h://127.0.0.1:3128 https://api.test/user
        curl -sS --proxy socks5h://127.0.0.1:3128 https://forbidden.test/x
        curl -sS --max-time 10 --proxy socks5h://127.0.0.1:3128 http://169.254.169.254:81/ || echo "status $?"'
    grep -q '"login": "octo"' <<< "$output"
    grep -q 'this host is not for agents' <<< "$output"
    grep -q 'status 97' <<< "$output"
}

# raw.py HOST WAY...: what becomes of a tunnel to HOST in which something else is said than was agreed.
raw() {
    cp "$ROOT/tests/corpus/hello/encrypted" "$WORLD/ws/encrypted"
    cat > "$WORLD/ws/raw.py" <<'PY'
import socket, ssl, sys
host = sys.argv[1]
def tunnel(captured=False):
    s = socket.create_connection((host, 443) if captured else ("127.0.0.1", 3128)); s.settimeout(20)
    if not captured:
        s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert b" 200 " in s.recv(65536)
    return s
def said(data, captured=False):
    s = tunnel(captured); s.sendall(data)
    try: return s.recv(65536)[:12] or b"closed"
    except ConnectionError: return b"closed"
def named(name, captured=False):
    context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
    try: tls = context.wrap_socket(tunnel(captured), server_hostname=name)
    except (ssl.SSLError, OSError): return b"closed"
    tls.sendall(b"GET /user HTTP/1.1\r\nHost: %s\r\n\r\n" % (name or host).encode())
    return tls.recv(65536)[:12]
for captured in (False, True):
    for other in (b"SSH-2.0-OpenSSH_9\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x05\x01\x00",
                  b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n"):
        if host == "api.test": print("other", said(other, captured)) # else it is the service's to refuse
    print("half a hello", said(b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", captured))
    print("another name", named("other.test", captured)); print("no name", named(None, captured))
    print("an encrypted name", said(open("encrypted", "rb").read(), captured))
print("own", named(host))
PY
    run --separate-stderr inside python3 raw.py "$1"
    echo "$output$stderr"
    [ "$status" -eq 0 ]
}

@test "E08 E09 ssh, plain HTTP, CONNECT, SOCKS, TLS for another name or for none: not on a connection that is looked into" {
    raw api.test
    [ "$(grep -c "b'closed'$" <<< "$output")" -eq 16 ]
    grep -qx "own b'HTTP/1.1 200'" <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
    absent other.test "$WORLD/up/requests.log"
}

@test "E09 TLS for another name, or for none, does not pass an untouched tunnel either" {
    raw untouched.test
    for what in 'another name' 'no name' 'half a hello' 'an encrypted name'; do
        [ "$(grep -cx "$what b'closed'" <<< "$output")" -eq 2 ]
    done
    grep -qx "own b'HTTP/1.1 401'" <<< "$output" # the service's own answer: no credential for this host
    [ "$(upstream_count)" -eq 1 ]
}
