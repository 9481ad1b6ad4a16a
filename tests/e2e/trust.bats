# What a sandbox trusts and which names it knows, beyond what a program of tests/clients shows: browsers that are driven,
# what changes while it runs, names and addresses in unusual forms.
bats_require_minimum_version 1.5.0
ENGINE=bwrap
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    export PAGE_DRIVER=$ROOT/build/deps/node/node_modules/playwright-core
    world_start api.test tunnel.test api || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    sed -i 's/api.test, tunnel.test, api,/api.test, api,/' "$AILERON_HOME/bindings.yaml"
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    sed -i 's/^  allow_private: .*/  allow_private: ["127.0.0.1\/32"]/' "$AILERON_HOME/policy.yaml"
    aileron daemon reload
    cp "$BATS_TEST_DIRNAME/../clients/playwright.js" "$WORLD/"
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
}

teardown_file() { world_stop; }
setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    rm -rf "$WORLD/ws"/*
}
teardown() { [ -z "${LAUNCHER:-}" ] || kill -9 "$LAUNCHER" || true; }

without_proxy='env -u HTTPS_PROXY -u https_proxy -u HTTP_PROXY -u http_proxy -u ALL_PROXY -u all_proxy'

@test "Playwright's browser accepts what is intercepted, with a credential that it never sees" {
    [ -x /usr/bin/chromium ] || skip "no chromium"
    [ -d "$PAGE_DRIVER" ] || skip "no playwright-core (contrib/deps test fetches it)"
    cp -r "$PAGE_DRIVER" "$WORLD/playwright.js" "$WORLD/ws/"
    run inside timeout 100 node playwright.js ./playwright-core /usr/bin/chromium https://api.test/user
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    absent -F "$SECRET" <<< "$output"
}

# What aileron-clients(7) says of browsers without policies.
@test "the headless shell trusts by NSS's database alone" {
    for name in chromium-headless-shell certutil; do command -v $name > /dev/null || skip "no $name"; done
    cat > "$WORLD/ws/shell" <<'SH'
ask() { timeout 60 chromium-headless-shell --no-sandbox --disable-gpu --dump-dom https://api.test/user 2>&1; }
ask | grep -o ERR_CERT_AUTHORITY_INVALID | head -n 1
mkdir -p ~/.pki/nssdb
certutil -N -d sql:$HOME/.pki/nssdb --empty-password
certutil -A -d sql:$HOME/.pki/nssdb -t C,, -n aileron -i /etc/aileron/ca.pem
ask | grep -o '"login": "octo"'
SH
    run --separate-stderr inside sh shell
    [ "$output" = $'ERR_CERT_AUTHORITY_INVALID\n"login": "octo"' ]
}

# A sandbox in the background that does, whenever the file `ask` appears, what it says.
begin() {
    cat > "$WORLD/ws/obey" <<'SH'
touch ready
while [ ! -e end ]; do
    if [ -e ask ]; then mv ask asked; sh ./asked > answer.new 2>&1; mv answer.new answer; fi
    sleep 0.05
done
SH
    (cd "$WORLD/ws" && exec aileron launch --sandbox=bwrap -- sh ./obey) > "$WORLD/out" 2>&1 3>&- &
    LAUNCHER=$!
    wait_for test -e "$WORLD/ws/ready"
}
ask() { # COMMAND: its output
    rm -f "$WORLD/ws/answer"
    echo "$1" > "$WORLD/ws/ask.new"
    mv "$WORLD/ws/ask.new" "$WORLD/ws/ask"
    wait_for test -e "$WORLD/ws/answer"
    cat "$WORLD/ws/answer"
}
end() {
    touch "$WORLD/ws/end"
    wait "$LAUNCHER"
    LAUNCHER=
}
store_has() { ask "cat /etc/ssl/certs/ca-certificates.crt" | grep -qF "$1"; }

@test "a certificate that comes and goes in tls.ca_file does so in a running sandbox's own file of roots" {
    [ -e /etc/ssl/certs/ca-certificates.crt ] || skip "no roots at Debian's place"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -days 2 \
        -subj "/CN=late" -out "$WORLD/late.pem" 2> /dev/null
    line=$(sed -n 3p "$WORLD/late.pem")
    own=$(sed -n 3p "$WORLD/up/ca.pem")
    begin
    store_has "$own"
    run store_has "$line"
    [ "$status" -ne 0 ]
    cat "$WORLD/up/ca.pem" "$WORLD/late.pem" > "$WORLD/both.pem"
    sed "s|ca_file: .*}|ca_file: \"$WORLD/both.pem\" }|" "$WORLD/config" > "$AILERON_HOME/config.yaml"
    aileron daemon reload
    wait_for store_has "$line"
    store_has "$own"
    # A program that reads no variable goes on with the session's.
    ask "env -i PATH=$PATH curl -sS https://api.test/user" | grep -q '"login": "octo"'
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    aileron daemon reload
    gone() { if store_has "$line"; then return 1; fi; }
    wait_for gone
    store_has "$own"
    end
}

# ---- names ----

session_of() { grep -o 'session [0-9A-Z]*$' <<< "$1" | cut -d' ' -f2; }

@test "a name is what it says: with a dot behind it, in upper case, without a domain" {
    cat > "$WORLD/ws/names" <<'SH'
for name in api.test api.test. API.Test api; do
    curl -sS "https://$name/user?proxied=$name"
    $without_proxy curl -sS "https://$name/user?captured=$name"
done
SH
    run inside env without_proxy="$without_proxy" sh names
    [ "$status" -eq 0 ]
    [ "$(grep -o '"login": "octo"' <<< "$output" | wc -l)" -eq 8 ]
    aileron audit list --json --event=network --session "$(session_of "$output")" |
        jq -r 'select(.path == "/user") | .host + (if .captured then " captured" else "" end)' | sort | uniq -c | tr -s ' ' > "$WORLD/hosts"
    [ "$(paste -sd, "$WORLD/hosts")" = ' 1 api, 1 api captured, 3 api.test, 3 api.test captured' ]
}

# glibc (python), Go's own resolver, c-ares (node), musl.
@test "the name server: one address of loopback for a name in every form, none of IPv6, localhost is the sandbox" {
    cat > "$WORLD/ws/names.py" <<'PY'
import socket
def ask(name, family):
    try:
        return sorted({info[4][0] for info in socket.getaddrinfo(name, 443, family, socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return error.errno
one = ask("api.test", socket.AF_UNSPEC)
assert len(one) == 1 and one[0].startswith("127."), one
assert ask("API.TEST.", socket.AF_UNSPEC) == one
assert ask("api", socket.AF_UNSPEC) != one and len(ask("api", socket.AF_UNSPEC)) == 1
assert ask("api.test", socket.AF_INET6) in (socket.EAI_NONAME, socket.EAI_NODATA), ask("api.test", socket.AF_INET6)
assert ask("localhost", socket.AF_INET) == ["127.0.0.1"]
assert ask("a.localhost.", socket.AF_INET) == ["127.0.0.1"]
print("glibc is right")
PY
    cat > "$WORLD/ws/names.js" <<'JS'
const assert = require('assert'), dns = require('dns').promises;
(async () => {
  const [one] = await dns.resolve4('api.test');
  assert.match(one, /^127\./);
  assert.deepEqual(await dns.resolve4('API.test.'), [one]);
  assert.notDeepEqual(await dns.resolve4('api'), [one]);
  await assert.rejects(dns.resolve6('api.test'), { code: 'ENODATA' });
  await assert.rejects(dns.resolveMx('api.test'), { code: 'ENODATA' });
  assert.deepEqual(await dns.resolve4('a.localhost'), ['127.0.0.1']);
  assert.equal((await dns.lookup('api.test')).address, one);
  console.log('c-ares is right');
})();
JS
    programs='python3 names.py; node names.js'
    cat > "$WORLD/names.c" <<'C'
#include <netdb.h>
#include <stdio.h>
#include <string.h>
static unsigned ask(const char *name, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(name, "443", &hints, &list) != 0)
        return 0;
    if (list->ai_next != NULL || list->ai_family != AF_INET)
        return 1;
    unsigned address;
    memcpy(&address, (char *)list->ai_addr + 4, 4);
    return address;
}
int main(void)
{
    unsigned one = ask("api.test", AF_UNSPEC), loopback = ask("localhost", AF_INET);
    if (one > 1 && one == ask("API.TEST.", AF_INET) && one != ask("api", AF_UNSPEC) && ask("api", AF_UNSPEC) > 1 &&
        ask("api.test", AF_INET6) == 0 && loopback > 1 && loopback == ask("a.localhost", AF_INET))
        puts("musl is right");
    return 0;
}
C
    want='glibc is right,c-ares is right'
    if command -v musl-gcc > /dev/null; then
        musl-gcc -static -o "$WORLD/ws/names" "$WORLD/names.c"
        programs="$programs; ./names" want="$want,musl is right"
    fi
    if command -v go > /dev/null; then
        cat > "$WORLD/names.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
)

func ask(network, name string) string {
	list, err := (&net.Resolver{PreferGo: true}).LookupIP(context.Background(), network, name)
	if err != nil {
		return "none"
	}
	return fmt.Sprint(list)
}

func main() {
	one := ask("ip", "api.test")
	if one != "none" && one == ask("ip4", "API.test.") && one != ask("ip4", "api") && ask("ip4", "api") != "none" &&
		ask("ip6", "api.test") == "none" && ask("ip4", "a.localhost") == "[127.0.0.1]" {
		fmt.Println("Go is right")
	}
}
GO
        (cd "$WORLD" && env -i PATH="$PATH" HOME="$WORLD" GO111MODULE=off CGO_ENABLED=0 GOFLAGS= \
            GOCACHE="$ROOT/build/clients/go" go build -o "$WORLD/ws/names-go" names.go)
        programs="$programs; ./names-go" want="$want,Go is right"
    fi
    run --separate-stderr inside sh -c "$programs"
    echo "$output $stderr"
    [ "$(paste -sd, <<< "$output")" = "$want" ]
}

# ---- addresses ----

@test "an IPv6 address: the sandbox's own loopback is its own; another goes by the policy, or nowhere" {
    cat > "$WORLD/ws/serve.py" <<'PY'
import http.server, socket, subprocess, threading
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
server = Server(("::1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
open("inside", "w").write("from inside")
print(subprocess.run(["curl", "-sS", "http://[::1]:%d/inside" % server.server_port], capture_output=True, text=True))
PY
    run inside python3 serve.py
    [ "$status" -eq 0 ]
    grep -q "stdout='from inside'" <<< "$output"
    # By itself a program has no route; the proxy's answer says why.
    run inside timeout 20 curl -sS --noproxy '*' 'https://[2001:db8::1]/'
    [ "$status" -eq 7 ]
    run inside sh -c 'curl -sS "http://[fd00::1]/"; curl -sSk "https://[2001:db8::1]/"; curl -sSk --noproxy "" "https://[::1]:5/"'
    [ "$status" -eq 56 ]
    grep -q 'fd00::1 is at fd00::1, a private address' <<< "$output"
    aileron audit list --json --event=network --session "$(session_of "$output")" |
        jq -r 'select(.decision == "deny") | .host + " " + (.message | capture("(?<kind>[a-z]+) address").kind)' > "$WORLD/denied"
    [ "$(paste -sd, "$WORLD/denied")" = 'fd00::1 private,2001:db8::1 reserved,::1 loopback' ]
}

@test "an IPv6 address is a host as any other: a tunnel, by CONNECT and by SOCKS, and intercepted with a credential" {
    cat > "$WORLD/v6.py" <<'PY'
import http.server, socket, ssl, sys
class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"credential\n" if open(sys.argv[2] + "/secret").read() in self.headers.get("Authorization", "") else b"none\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
server = Server(("::1", 0), Service)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
open(sys.argv[1] + ".port", "w").write(str(server.server_port))
server.serve_forever()
PY
    (
        cd "$WORLD/up"
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout v6.key -subj /CN=v6 -out v6.csr
        printf 'subjectAltName=IP:::1\nextendedKeyUsage=serverAuth\n' > v6.ext
        openssl x509 -req -in v6.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile v6.ext -days 5 -out v6.crt
        cat v6.key v6.crt > v6.pem
    ) 2> /dev/null
    /usr/bin/python3 "$WORLD/v6.py" "$WORLD/up/v6.pem" "$WORLD/up" > "$WORLD/v6.out" 2>&1 3>&- &
    LAUNCHER=$!
    wait_for test -s "$WORLD/up/v6.pem.port"
    at="https://[::1]:$(cat "$WORLD/up/v6.pem.port")/"
    sed -i 's/^  allow_private: .*/  allow_private: ["127.0.0.1\/32", "::1\/128"]/' "$AILERON_HOME/policy.yaml"
    aileron daemon reload
    run --separate-stderr inside sh -c "curl -sS --noproxy '' $at; curl -sS --noproxy '' -x socks5h://127.0.0.1:3128 $at"
    [ "$output" = $'none\nnone' ]
    echo '  - { name: user/v6, hosts: ["::1"], scheme: bearer, entry: user/api }' >> "$AILERON_HOME/bindings.yaml"
    aileron daemon reload
    run --separate-stderr inside curl -sS --noproxy '' "$at"
    [ "$output" = credential ]
}

@test "a name of a link is asked of nobody, and the answer says so" {
    run inside curl -sS http://printer.local/
    [ "$status" -eq 0 ]
    grep -q 'names below .local belong to a link' <<< "$output"
}
