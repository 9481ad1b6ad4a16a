# What a program inside tells the person, or the model, that runs it when its request is refused or fails: the reason
# must come through whatever it shows of an answer.
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test down.test api.github.com || return 1
    export WORLD AILERON_HOME
    sed -i 's/\(host: down.test, address: "127.0.0.1:\)[0-9]*/\11/' "$AILERON_HOME/config.yaml"
    echo 'network: { resolvers: ["127.0.0.1:9"] }' >> "$AILERON_HOME/config.yaml"
    sed -i 's/^    scheme: bearer/&\n    sentinel: { env: [GH_TOKEN] }/' "$AILERON_HOME/bindings.yaml"
    sed -i 's/, down.test//' "$AILERON_HOME/bindings.yaml"
    echo '  - { name: look first, host: api.github.com, methods: [POST], action: deny, reason: reading is enough }' \
        >> "$AILERON_HOME/policy.yaml"
    aileron policy reload
}
teardown_file() { world_stop; }
setup() { world_clean_environment; cd "$WORLD/ws"; }

denied='aileron: denied: access to forbidden.test is denied by policy: this host is not for agents'
down='aileron: upstream: cannot reach down.test port 443: .*Connection refused'

@test "git shows why it was refused" {
    run inside git clone -q https://forbidden.test/a.git
    grep -q "^remote: $denied (no forbidden host). This is policy, not a network fault" <<< "$output"
    run inside git clone -q http://nodns.test/a.git
    grep -q '^remote: aileron: timeout: the name servers did not answer for nodns.test. This is no rule. The user can' \
        <<< "$output"
}

@test "programs that show an answer's first line show why, also of a CONNECT" {
    run inside wget -nv -O- https://forbidden.test/
    grep -q "403: Forbidden ($denied)" <<< "$output"
    run inside wget -nv -O- https://down.test/
    grep -q "Bad Gateway ($down)" <<< "$output"
    run inside curl -sSv https://down.test/
    grep -q "< HTTP/1.1 502 Bad Gateway ($down)" <<< "$output"
    for host in forbidden.test down.test; do
        run inside python3 -c "import urllib.request as u
try: u.urlopen('https://$host/')
except Exception as e: print(e)"
        grep -qE "HTTP Error 403: Forbidden \($denied\)|502 Bad Gateway \($down\)" <<< "$output"
    done
    command -v npm > /dev/null || skip "no npm"
    run inside npm --fetch-retries=0 --registry=https://forbidden.test/ view nothing
    grep -q "403 Forbidden ($denied)" <<< "$output"
}

@test "gh shows why it was refused" {
    run inside gh issue create -R acme/project -t title -b body
    grep -q 'HTTP 403: aileron: denied: POST https access to api.github.com is denied by policy: reading is enough (look first)' \
        <<< "$output"
}

@test "a service that is down, or has no name, is told apart from policy, with what to do next" {
    run inside curl -sS http://down.test/
    grep -q '"next":"This is no rule: the service, or the way to it from the host, does not work. Try again' <<< "$output"
    run inside curl -sS http://nodns.test/
    grep -q '"next":"This is no rule. The user can check the network and the name servers of the host, outside' <<< "$output"
}

@test "a certificate that is not good, and a request that is malformed, come with what to do next" {
    run inside sh -c 'for host in expired selfsigned wrongname; do curl -sS https://$host.test/; done
        curl -sS https://api.test/a%2fb'
    grep -q "its certificate has expired (on .*\"next\":\"The server's owner must renew it; the user can" <<< "$output"
    grep -q 'is self-signed and not trusted.*"next":"The user can have it trusted: tls.ca_file in config.yaml' <<< "$output"
    grep -q 'is for another name.*"next":"Check the host name' <<< "$output"
    grep -q 'holds an escaped slash.*"next":"Nothing was sent upstream. Correct the request' <<< "$output"
}
