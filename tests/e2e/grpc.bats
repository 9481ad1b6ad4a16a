# gRPC with its own library at both ends and a credential that the sandbox does not have: each kind of call, statuses and
# trailing metadata, large messages, deadlines and cancelled calls.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start grpc.test || return 1
    /usr/bin/python3 "$TESTS_LIB/grpc_world.py" serve "$WORLD/up" grpc.test < "$WORLD/up/stdin" > "$WORLD/up/grpc-out" 2>&1 3>&- &
    HTTP2_PID=$!
    wait_for test -s "$WORLD/up/grpc.test-port" || return 1
    world_at grpc.test "$(cat "$WORLD/up/grpc.test-port")"
    cp "$TESTS_LIB/grpc_world.py" "$WORLD/ws/"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT HTTP2_PID
}
teardown_file() { world_stop; }
setup() { world_clean_environment; }

@test "each kind of call, through the proxy that the library finds" {
    run -0 --separate-stderr inside /usr/bin/python3 grpc_world.py talk grpc.test
    [ "$output" = 'all as it should be' ]
}

@test "and past the proxy: the connection is captured" {
    run -0 --separate-stderr inside env -u https_proxy -u HTTPS_PROXY -u http_proxy -u HTTP_PROXY -u all_proxy -u ALL_PROXY \
        /usr/bin/python3 grpc_world.py talk grpc.test
    [ "$output" = 'all as it should be' ]
}

@test "what policy denies is a status that says so" {
    cat > "$AILERON_HOME/policy.yaml" <<YAML
version: 1
network: { default: allow, allow_private: ["127.0.0.1/32"] }
rules:
  - { name: no calls, host: grpc.test, paths: ["/t.S/**"], action: deny, reason: no calls today }
YAML
    aileron policy reload > /dev/null
    run -1 --separate-stderr inside /usr/bin/python3 grpc_world.py talk grpc.test
    [[ "$stderr" == *PERMISSION_DENIED* ]]
}

@test "the record of all that verifies" {
    aileron audit verify
    run -0 aileron audit list --json
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
    [ "$(jq -r 'select(.event == "credential" or .event == "network") | select(.decision == "allow") | .path' <<< "$output" | sort -u | grep -c '^/t.S/')" -ge 7 ]
}
