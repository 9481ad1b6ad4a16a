# Connections to upstreams: kept, resumed, and of the TLS version that config.yaml asks for.
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test other.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    cp "$AILERON_HOME/config.yaml" "$WORLD/config.yaml"
}

teardown_file() { world_stop; }

setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
}

configure() {
    [ $# -eq 0 ] || printf '%s\n' "$@" >> "$AILERON_HOME/config.yaml"
    aileron daemon reload
}
seen() { jq -r "$1" "$WORLD/up/requests.log" | tr '\n' ' '; }

@test "a connection is kept for the next client" {
    configure
    run inside sh -c 'for i in 1 2 3; do curl -sS https://api.test/user; done'
    [ "$status" -eq 0 ]
    [ "$(upstream_count)" -eq 3 ]
    [ "$(jq .peer "$WORLD/up/requests.log" | sort -u | wc -l)" -eq 1 ]
}

@test "where it is not, the next one resumes the TLS session, of the same host alone" {
    configure 'limits: { pool_total: 0 }'
    run inside sh -c 'for i in 1 2 3; do curl -sS https://api.test/user; done; curl -sS https://other.test/user'
    [ "$status" -eq 0 ]
    [ "$(jq .peer "$WORLD/up/requests.log" | sort -u | wc -l)" -eq 4 ]
    [ "$(seen .version)" = 'TLSv1.3 TLSv1.3 TLSv1.3 TLSv1.3 ' ]
    [ "$(seen .resumed)" = 'false true true false ' ]
}

@test "no session is resumed under rules that have been read again" {
    configure 'limits: { pool_total: 0 }'
    run inside sh -c 'curl -sS https://api.test/user; touch one; until [ -e two ]; do sleep 0.05; done
        curl -sS https://api.test/user' &
    wait_for test -e "$WORLD/ws/one"
    aileron daemon reload
    touch "$WORLD/ws/two"
    wait $!
    rm "$WORLD/ws/one" "$WORLD/ws/two"
    [ "$(seen .resumed)" = 'false false ' ]
}

@test "tls.min_version 1.3 is asked of upstreams too" {
    openssl s_server -quiet -www -tls1_2 -accept 127.0.0.1:0 -cert "$WORLD/up/api.test.pem" \
        > "$WORLD/old.out" 2>&1 3>&- < /dev/null &
    old=$!
    port() { ss -Htlnp | sed -n "s/.*127.0.0.1:\([0-9]*\) .*pid=$old,.*/\1/p"; }
    listens() { [ -n "$(port)" ]; }
    wait_for listens
    sed -i "s/host: api.test, address: \"[^\"]*\"/host: api.test, address: \"127.0.0.1:$(port)\"/" \
        "$AILERON_HOME/config.yaml"
    configure
    either=$(inside curl -sS -o /dev/null -w '%{http_code}' https://api.test/ 2> "$WORLD/stderr")
    sed -i 's/^tls: {/tls: { min_version: "1.3",/' "$AILERON_HOME/config.yaml"
    configure
    newest=$(inside curl -sS https://api.test/ 2> "$WORLD/stderr")
    kill "$old"
    [ "$either" = 200 ]
    grep -q '"code":"upstream"' <<< "$newest"
    grep -q 'no TLS version in common' <<< "$newest"
}

@test "a host's own ca_file is trusted for that host, and for no other" {
    sed -i '/^tls:/d; s/{ host: other.test,/{ host: other.test, ca_file: "'"${WORLD//\//\\/}"'\/up\/ca.pem",/' "$AILERON_HOME/config.yaml"
    configure
    run inside sh -c 'curl -sS https://other.test/user; curl -sS -w "%{http_code}" https://api.test/user'
    grep -q '"login": "octo"' <<< "$output"
    grep -q 'signed by an authority that is not trusted' <<< "$output"
    grep -q '502$' <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
}

@test "F07 a ca_file that is not there keeps the last good rules, and is said to be missing" {
    configure
    run inside sh -c 'touch one; until [ -e two ]; do sleep 0.05; done; curl -sS https://api.test/user' 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/ws/one"
    sed -i 's/{ host: other.test,/{ host: other.test, ca_file: gone.pem,/' "$AILERON_HOME/config.yaml"
    run aileron daemon reload
    [ "$status" -eq 78 ]
    grep -q 'ca_file.*gone.pem' <<< "$output"
    run aileron policy check
    [ "$status" -eq 78 ]
    run aileron status
    [ "$status" -eq 78 ]
    grep -q 'gone.pem' <<< "$output"
    aileron audit list --event=policy.load --json --lines=1 | jq -e '.ok == false'
    touch "$WORLD/ws/two"
    wait "$launcher" # not for all: bats has a child of its own, which counts the time
    rm "$WORLD/ws/one" "$WORLD/ws/two"
    [ "$(upstream_count)" -eq 1 ]
}
