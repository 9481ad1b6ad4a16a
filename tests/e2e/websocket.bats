# WebSocket with real programs, its credential in the handshake: every byte passes in both directions, whatever the
# frames are and however they are cut, over HTTP/1.1 and over HTTP/2 (RFC 8441) on either side.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start http2.test http1.test ws.test || return 1
    world_http2 || return 1
    world_http2 http1.test plain || return 1
    /usr/bin/python3 "$TESTS_LIB/websocket.py" serve "$WORLD/up" ws.test < "$WORLD/up/stdin" > "$WORLD/up/ws-out" 2>&1 3>&- &
    HTTP2_PID="$HTTP2_PID $!"
    wait_for test -s "$WORLD/up/ws.test-port" || return 1
    world_at ws.test "$(cat "$WORLD/up/ws.test-port")"
    cp "$TESTS_LIB/client-websocket.js" "$TESTS_LIB/client-http2.js" "$TESTS_LIB/websocket.py" "$WORLD/ws/"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT HTTP2_PID
}
teardown_file() { world_stop; }
setup() { world_clean_environment; }

frames() { # OVER CLIENT-ARGUMENT...: every byte came back, and the upstream was spoken to over OVER
    local over=$1
    shift
    run -0 --separate-stderr inside node client-websocket.js "$@"
    [ "${lines[0],,}" = "x-over: $over sec-websocket-extensions: permessage-deflate; client_max_window_bits" ]
    [ "${lines[1]}" = 'the same bytes and the end' ]
}

@test "a real client and a real service: all kinds and sizes, pieces, pings, compression, closes" {
    run -0 --separate-stderr inside /usr/bin/python3 websocket.py talk ws.test
    [ "$output" = 'all came back' ]
}

@test "every frame there is, byte for byte, over HTTP/1.1" {
    frames h1 h1 http1.test
    frames h1 h1 http1.test pieces
}

@test "a client over HTTP/2 at a service that takes WebSocket over HTTP/1.1 alone" {
    frames h1 h2 http1.test
    frames h1 h2 http1.test pieces
    frames h1 h2 http1.test over
}

@test "a client over HTTP/2 at a service that takes it over HTTP/2: over a connection that is there" {
    frames h2 h2 http2.test over
    frames h2 h2 http2.test over pieces
    frames h1 h2 http2.test
}

@test "a service that wants its credential does not get it from elsewhere, and its answer passes" {
    sed -i 's/hosts: \[http2.test, http1.test, ws.test,/hosts: [/' "$AILERON_HOME/bindings.yaml"
    cat > "$AILERON_HOME/policy.yaml" <<YAML
version: 1
network: { default: allow, allow_private: ["127.0.0.1/32"] }
rules:
  - { name: seen, host: "*.test", paths: ["/ws"], action: allow }
  - { name: chat, host: ws.test, paths: ["/"], action: deny, reason: no chat }
YAML
    aileron policy reload > /dev/null
    for host in http1.test http2.test; do
        run -0 --separate-stderr inside node client-websocket.js h2 "$host"
        [ "$output" = 'status 401' ]
    done
    run -0 --separate-stderr inside node client-websocket.js h1 http1.test
    [[ "$output" == 'HTTP/1.1 401 '* ]]
    run -1 --separate-stderr inside /usr/bin/python3 websocket.py talk ws.test
    [[ "$stderr" == *'HTTP 403'* ]]
}

@test "the record has each, and verifies" {
    aileron audit verify
    run -0 aileron audit list --json
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
    [ "$(jq -r 'select(.event == "network.end" and .status == 101 and .host == "http2.test") | .method' <<< "$output" | sort -u)" = GET ]
    [ "$(jq -r 'select(.event == "network.end" and .status == 101) | .host' <<< "$output" | sort -u | tr '\n' ' ')" = 'http1.test http2.test ws.test ' ]
}
