# Any image: one that holds a single static program and nothing else, one whose own settings get in the way, one
# that is read-only. What is shown is that nothing has to be installed in it, and that it decides nothing.
ENGINE=docker
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_image scratch
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    aileron daemon reload
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    # The workspace is somebody's, so that the agent is no root inside.
    chown 1234:2345 "$WORLD/ws"
}

teardown_file() {
    [ -n "${WORLD:-}" ] || return 0
    docker image rm "aileron-test-odd:$BATS_ROOT_PID" > /dev/null 2>&1 || true
    world_stop
}
setup() {
    world_skip
    world_clean_environment
    : > "$WORLD/up/requests.log"
}

# The program that the image holds; what the launcher says is left out.
bb() { inside /busybox "$@" 2> "$WORLD/stderr"; }
# One without a proxy variable: captured by name.
captured() { bb env -i /busybox "$@"; }

@test "an image of one static program: it runs, with its own exit status" {
    run bb sh -c 'echo "$0 $AILERON_SANDBOX_RUNTIME"; exit 7' word
    [ "$status" -eq 7 ]
    [ "$output" = "word docker" ]
    run bb sh -c 'kill -TERM $$'
    [ "$status" -eq 143 ]
    [[ $BIN == */asan/* ]] || # it has libraries besides
        [ "$(docker run --rm --network=none "$IMAGE" /busybox find / -xdev -type f | grep -v '^/etc/\|^/.dockerenv$')" = /busybox ]
}

@test "an image without any roots gets the session's, for programs that read no variable" {
    run bb cmp /etc/ssl/certs/ca-certificates.crt /etc/aileron/ca-bundle.pem
    [ "$status" -eq 0 ]
}

@test "an image of one static program: a name resolves, and the API is called over http and over TLS" {
    run bb nslookup api.test
    [ "$status" -eq 0 ]
    grep -q '^Address: 127\.' <<< "$output"
    for how in bb captured; do
        run $how wget -qO- http://open.test/open
        [ "$status" -eq 0 ]
        grep -q '"open": true' <<< "$output"
        run $how wget -qO- https://api.test/user
        [ "$status" -eq 0 ]
        grep -q '"login": "octo"' <<< "$output"
        absent -F "$SECRET" <<< "$output"
    done
    [ "$(upstream_count)" -eq 4 ]
}

@test "an image of one static program: tools from connectors work, with their exit status" {
    run inside svc whoami
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    run inside svc forbidden
    [ "$status" -eq 77 ]
    grep -q 'this host is not for agents' <<< "$output"
    run inside svc nobody
    [ "$status" -eq 1 ]
}

@test "an image of one static program: the agent is the workspace's owner, has a name, a home and a place for its files" {
    run bb sh -c '/busybox id -u; /busybox id -g; /busybox whoami; pwd; echo made > made && echo x > ~/x && echo x > /tmp/x && echo wrote
        /busybox grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Groups)" /proc/self/status'
    [ "$status" -eq 0 ]
    [ "${lines[*]:0:5}" = "1234 2345 agent /home/agent/workspace wrote" ]
    [ "$(grep -c '^Cap.*[[:space:]]0000000000000000$' <<< "$output")" -eq 3 ]
    grep -qx $'NoNewPrivs:\t1' <<< "$output"
    [ "$(stat -c %u:%g "$WORLD/ws/made")" = 1234:2345 ]
}

@test "an image of one static program has no way out either" {
    run bb ip -o link
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    run bb ip route get 1.1.1.1
    [ "$status" -ne 0 ]
    grep -q 'Network is unreachable' "$WORLD/stderr"
}

@test "a read-only root" {
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    echo 'sandbox: { read_only: true }' >> "$AILERON_HOME/config.yaml"
    run bb sh -c 'echo x 2> /dev/null > /new && echo WRITTEN
        echo x > made && echo x > /tmp/x && echo x > ~/x && echo wrote; /busybox wget -qO- http://open.test/open'
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = wrote ]
    grep -q '"open": true' <<< "${lines[1]}"
}

@test "an image's own user, entry point, directory, variables, volumes and health check decide nothing" {
    changes=()
    while read -r change; do changes+=(--change "$change"); done <<'DOCKERFILE'
USER 99:99
ENTRYPOINT ["/busybox", "false"]
CMD ["--version"]
WORKDIR /nowhere
VOLUME /home/agent /data
HEALTHCHECK --interval=200ms CMD ["/busybox", "touch", "/sick"]
ENV LD_PRELOAD=/evil.so HTTP_PROXY=http://evil.test:1 AILERON_TOKEN=0 OWN=kept
DOCKERFILE
    docker import "${changes[@]}" "$("$TESTS_LIB/image" scratch archive)" "aileron-test-odd:$BATS_ROOT_PID" > /dev/null
    volumes=$(docker volume ls -q | wc -l)
    IMAGE=aileron-test-odd:$BATS_ROOT_PID run bb sh -c '/busybox id -u; pwd
        echo "$OWN $HTTP_PROXY ${#AILERON_TOKEN}"; /busybox wget -qO- http://open.test/open
        /busybox sleep 1; [ ! -e /sick ] || echo SICK; echo x > ~/x && echo wrote'
    [ "$status" -eq 0 ]
    [ "${lines[*]:0:3}" = "1234 /home/agent/workspace kept http://127.0.0.1:3128 64" ]
    grep -q '"open": true' <<< "$output"
    [ "${lines[-1]}" = wrote ]
    absent SICK <<< "$output"
    [ "$(docker volume ls -q | wc -l)" -eq "$volumes" ]
}

@test "docker is taken by itself where an image is named, on the command line or in config.yaml" {
    cd "$WORLD/ws"
    run -3 aileron launch --image="$IMAGE" -- /busybox sh -c 'exit 3'
    grep -q "^aileron: sandbox docker $IMAGE, network sealed, session " <<< "$output"
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    echo "sandbox: { image: \"$IMAGE\" }" >> "$AILERON_HOME/config.yaml"
    run aileron launch -- /busybox sh -c 'exit 4'
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    [ "$status" -eq 4 ]
    grep -q "^aileron: sandbox docker $IMAGE, " <<< "$output"
    # Neither docker nor podman, which would be next.
    CONTAINER_HOST=unix:///nonexistent DOCKER_HOST=unix:///nonexistent \
        run -125 aileron launch --image="$IMAGE" -- /busybox true
    grep -q 'takes no image (docker: .*nonexistent' <<< "$output"
}

@test "nothing is left of a container, and the image is as it was" {
    before=$(docker image inspect -f '{{.Id}}' "$IMAGE")
    run inside /busybox sh -c 'echo x > /tmp/x'
    [ "$status" -eq 0 ]
    session=$(grep -o 'session [0-9A-Z]*$' <<< "$output" | cut -d' ' -f2)
    [ "${#session}" -eq 26 ]
    [ -z "$(docker ps -aq --filter "label=dev.aileron.session=$session")" ]
    [ ! -e "$AILERON_HOME/run/sessions/$session" ]
    [ "$(docker image inspect -f '{{.Id}}' "$IMAGE")" = "$before" ]
}
