# What an image of a distribution keeps for certificates: it goes on working in the sandbox.
ENGINE=docker
bats_require_minimum_version 1.5.0
load ../lib/world.bash

setup_file() {
    world_image debian
    [ -z "${WORLD_SKIP:-}" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT ODD=aileron-test-trust:$$
}

teardown_file() {
    [ -n "${WORLD:-}" ] || return 0
    docker image rm "$ODD" > /dev/null 2>&1 || true
    world_stop
}
setup() {
    world_skip
    world_clean_environment
}

@test "the image's own update-ca-certificates keeps the session's authority, and what is in tls.ca_file" {
    ca=$(sed -n 3p "$WORLD/up/ca.pem")
    run --separate-stderr inside sh -c 'id -u; : > /etc/ssl/certs/ca-certificates.crt; update-ca-certificates --fresh > log 2>&1; tail -n 1 log
        head -n 3 /etc/aileron/ca.pem | tail -n 1 | grep -cF -f - /etc/ssl/certs/ca-certificates.crt
        grep -c BEGIN /etc/ssl/certs/ca-certificates.crt
        grep -cF "$0" /etc/ssl/certs/ca-certificates.crt
        env -i PATH="$PATH" curl -sS https://api.test/user' "$ca"
    echo "$output $stderr"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 0 ] # the workspace is root's: only then can the agent do this at all
    [ "${lines[2]}" = 1 ]
    [ "${lines[3]}" -gt 50 ]
    [ "${lines[4]}" = 1 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "so does an upgrade of its package of roots; the session's files are linked to" {
    run --separate-stderr inside sh -c 'dpkg-reconfigure ca-certificates > log 2>&1 || cat log; env -i PATH="$PATH" curl -sS https://api.test/user
        readlink /usr/local/share/ca-certificates/aileron.crt /etc/chromium/policies/managed/aileron.json /etc/firefox/policies/policies.json'
    echo "$output $stderr"
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    [ "$(tail -n 3 <<< "$output" | paste -sd,)" = /etc/aileron/ca-extra.pem,/etc/aileron/policy-chromium.json,/etc/aileron/policy-firefox.json ]
}

@test "an image's NO_PROXY is kept, and is no way out" {
    docker build -q -t "$ODD" - <<< "FROM $IMAGE
ENV NO_PROXY=.corp.test,api.test no_proxy=.corp.test,api.test LOCALDOMAIN=corp.test RES_OPTIONS=ndots:5" > "$WORLD/build" 2>&1 ||
        { cat "$WORLD/build"; return 1; }
    IMAGE=$ODD run --separate-stderr inside sh -c 'echo "$NO_PROXY $no_proxy ${LOCALDOMAIN-none}"; curl -sS https://api.test/user'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = ".corp.test,api.test,localhost,127.0.0.1,::1 .corp.test,api.test,localhost,127.0.0.1,::1 none" ]
    grep -q '"login": "octo"' <<< "$output"
    absent -F "$SECRET" <<< "$output"
    [ "$(aileron audit list --json --event=network | jq -r 'select(.path == "/user") | .captured' | tail -n 1)" = true ]
}
