# --network=open: the engine's own network, which nothing of ours enforces. The engine is a dockerd of this file's own in
# a network namespace of its own: its bridge is the whole world, with one server in it.
ENGINE=docker
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_image scratch
    [ -n "$WORLD_SKIP" ] || command -v dockerd > /dev/null || WORLD_SKIP="no dockerd here"
    [ -n "$WORLD_SKIP" ] || unshare -n true || WORLD_SKIP="no network namespace can be made"
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    aileron daemon reload > /dev/null
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    chown 1234:2345 "$WORLD/ws"
    engine_start || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT DOCKERD SERVER OUTSIDE=172.31.99.1
}

engine_start() {
    mkdir "$WORLD/d"
    export DOCKER_HOST=unix://$WORLD/d/sock
    unshare -n sh -c 'ip link set lo up; exec "$@"' sh dockerd --host "$DOCKER_HOST" --data-root "$WORLD/d/data" \
        --exec-root "$WORLD/d/exec" --pidfile "$WORLD/d/pid" --iptables=false --ip6tables=false --ip-masq=false \
        --bip 172.31.99.1/24 > "$WORLD/d/log" 2>&1 3>&- 7>&- &
    DOCKERD=$!
    wait_for docker version > /dev/null || return 1
    docker import "$("$TESTS_LIB/image" scratch archive)" "$IMAGE" > /dev/null || return 1
    mkdir "$WORLD/outside"
    echo 'somebody outside' > "$WORLD/outside/index.html"
    nsenter -n -t "$(cat "$WORLD/d/pid")" /usr/bin/python3 -m http.server --bind 172.31.99.1 \
        --directory "$WORLD/outside" 8080 > "$WORLD/d/server" 2>&1 3>&- 7>&- &
    SERVER=$!
    wait_for nsenter -n -t "$(cat "$WORLD/d/pid")" bash -c 'exec 9<> /dev/tcp/172.31.99.1/8080'
}

teardown_file() {
    [ -n "${WORLD:-}" ] || return 0
    [ -z "${SERVER:-}" ] || kill "$SERVER" || true
    if [ -n "${DOCKERD:-}" ]; then
        kill "$DOCKERD" || true
        wait "$DOCKERD" || true
        mount | sed -n "s|.* on \($WORLD/d/[^ ]*\) type .*|\1|p" | xargs -r umount -l
    fi
    world_stop
}

setup() {
    world_skip
    world_clean_environment
    export DOCKER_HOST=unix://$WORLD/d/sock
    : > "$WORLD/up/requests.log"
    cd "$WORLD/ws"
}

opened() { aileron launch --sandbox=docker --network=open --image="$IMAGE" -- "$@"; }

@test "it has the engine's network, and the banner and the record say that nothing is enforced" {
    run -0 --separate-stderr opened /busybox env -i /busybox wget -qO- "http://$OUTSIDE:8080/"
    [ "$output" = 'somebody outside' ]
    grep -q 'network open (not enforced)' <<< "$stderr"
    aileron audit list --event=session.start --json --lines=1 | jq -e '.network == "open" and .enforced == false'
    # The same sealed: no way there.
    run ! inside /busybox env -i /busybox wget -T 2 -qO- "http://$OUTSIDE:8080/"
    absent 'somebody outside' <<< "$output"
    aileron audit list --event=session.start --json --lines=1 | jq -e '.network == "sealed" and .enforced == true'
}

@test "what uses the proxy variables meets the policy, and is on the record" {
    run -0 opened /busybox sh -c '/busybox wget -qO- http://open.test/open; /busybox wget -S -O- http://forbidden.test/ 2>&1
        echo'
    grep -q '"open": true' <<< "$output"
    grep -q 'HTTP/1.1 403' <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
    aileron audit list --event=network --host=forbidden.test --json |
        jq -se 'any(.decision == "deny" and .rule == "no forbidden host")'
}

@test "tools work, their credential stays outside" {
    run -0 opened /busybox sh -c '/opt/aileron/shims/svc whoami; /busybox env; /busybox cat /proc/self/environ /run/aileron/token
        /busybox grep -r . /etc/aileron; true'
    grep -q '"login": "octo"' <<< "$output"
    [ "$(grep -caF "$SECRET" <<< "$output")" -eq 0 ]
}

@test "the network is left as the engine made it: no names, no captured ports, its own resolver" {
    run -0 opened /busybox sh -c '/busybox cat /etc/resolv.conf; /busybox ip addr show lo
        for port in 53 80 443; do /busybox nc -w 1 127.0.0.1 $port < /dev/null > /dev/null 2>&1 && echo "listens $port"; done
        /busybox env; echo done'
    grep -q '^done$' <<< "$output"
    absent 'listens\|nameserver 127.0.0.1$\|127\.64\.' <<< "$output"
    grep -q '^HTTPS_PROXY=http://127.0.0.1:3128' <<< "$output"
    absent '^AILERON_API_URL=https://aileron.internal' <<< "$output"
}

@test "bwrap is always sealed, and says so" {
    run -64 aileron launch --sandbox=bwrap --network=open -- true
    grep -q 'needs the engine docker' <<< "$output"
}
