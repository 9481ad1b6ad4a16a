# Leaving the sandbox: rows E01 to E06 of the threats, performed against the real program.
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    cat >> "$AILERON_HOME/config.yaml" <<YAML
  - { host: metadata.test, address: "169.254.169.254" }
  - { host: private.test, address: "10.9.8.7" }
YAML
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
