# F02: the engine itself is killed under a running sandbox, and comes back. It is a dockerd of this file's own, so
# that nobody else's containers are lost with it.
ENGINE=docker
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_image scratch
    [ -n "$WORLD_SKIP" ] || command -v dockerd > /dev/null || WORLD_SKIP="no dockerd here"
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}

teardown_file() { world_stop; }
setup() {
    world_skip
    world_clean_environment
    export DOCKER_HOST=unix://$WORLD/d/sock
    MARK=4$BATS_ROOT_PID.$BATS_TEST_NUMBER LAUNCHER= DOCKERD=
    cd "$WORLD/ws"
}
teardown() {
    [ -z "$LAUNCHER" ] || kill -9 "$LAUNCHER" || true
    if [ -n "$DOCKERD" ]; then
        kill "$DOCKERD"
        wait "$DOCKERD" || true
        mount | sed -n "s|.* on \($WORLD/d/[^ ]*\) type .*|\1|p" | xargs -r umount -l
    fi
}

# Where a container ended while its engine was gone, the engine's containerd waits for that container's shim at its next
# start, and dockerd gives up after 15 s; a service manager would start it again, as is done here.
engine_start() {
    local try
    mkdir -p "$WORLD/d"
    for try in 1 2 3; do
        rm -f "$WORLD/d/pid" # of one that was killed
        dockerd --host "$DOCKER_HOST" --data-root "$WORLD/d/data" --exec-root "$WORLD/d/exec" --pidfile "$WORLD/d/pid" \
            --bridge none --iptables=false --ip6tables=false > "$WORLD/d/log" 2>&1 3>&- 7>&- &
        DOCKERD=$!
        while kill -0 "$DOCKERD" 2> /dev/null; do
            if docker version > /dev/null 2>&1; then return 0; fi
            sleep 0.1
        done
        wait "$DOCKERD" || DOCKERD=
    done
    tail "$WORLD/d/log"
    return 1
}
no_process() { [ -z "$(pgrep -x -f "/busybox sleep $MARK")" ]; }
no_folder() { [ ! -e "$AILERON_HOME/run/sessions/$SESSION" ]; }
no_containers() { [ -z "$(docker ps -aq)" ]; }

@test "F02: the engine is killed: the sandbox ends, nothing stays, and the next launch works" {
    engine_start
    docker import "$("$TESTS_LIB/image" scratch archive)" "$IMAGE" > /dev/null
    # The daemon is started under this engine's name, as it would be by a person who has no other.
    aileron daemon stop
    (exec aileron launch --sandbox=docker --image="$IMAGE" -- /busybox sh -c "/busybox touch first; exec /busybox sleep $MARK") \
        > out 2>&1 3>&- 7>&- &
    LAUNCHER=$!
    wait_for test -e first
    SESSION=$(sed -n 's/^aileron: sandbox .* session //p' out)
    aileron vault unlock > /dev/null
    kill -9 "$DOCKERD"
    wait "$DOCKERD" || true
    DOCKERD=
    status=0
    wait "$LAUNCHER" || status=$?
    LAUNCHER=
    [ "$status" -eq 125 ]
    wait_for no_folder
    wait_for no_process
    [ "$(aileron audit list --session="$SESSION" --event=session.end | wc -l)" -eq 1 ]
    aileron audit verify
    run -125 --separate-stderr aileron launch --sandbox=docker --image="$IMAGE" -- /busybox true
    grep -q 'Start the docker engine' <<< "$stderr"
    engine_start
    wait_for no_containers
    run -3 aileron launch --sandbox=docker --image="$IMAGE" -- /busybox sh -c 'exit 3'
    no_containers
}
