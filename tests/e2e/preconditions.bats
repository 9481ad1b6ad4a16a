# What a launch needs, and that what is missing is said in one sentence with its repair: preconditions.rows, a test a row.
# The engines are real where they are there, and what they lack is taken from them.
ENGINE=podman
load ../lib/world.bash
bats_require_minimum_version 1.5.0

ROWS=$BATS_TEST_DIRNAME/preconditions.rows

setup_file() {
    world_image scratch
    export PODMAN_SKIP=${WORLD_SKIP:-}
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron status > /dev/null # the daemon is there, so that no test waits for it
    # A user who is nobody here.
    chmod 755 "$WORLD"
    install -d -m 700 -o 4321 -g 4321 "$WORLD/u" "$WORLD/u/home" "$WORLD/u/run" "$WORLD/u/p"
    cp "$BIN/aileron" "$WORLD/u/aileron"
    mkdir "$WORLD/no-runtime"
    ln -s "$(command -v podman)" "$(command -v conmon)" "$WORLD/no-runtime/" || true
}

teardown_file() { world_stop; }
setup() {
    world_clean_environment
    cd "$WORLD/ws"
}
teardown() {
    [ -z "${SERVER:-}" ] || kill "$SERVER"
    SERVER=
}
needs_podman() { [ -z "$PODMAN_SKIP" ] || skip "$PODMAN_SKIP"; }
needs_root() { [ "$(id -u)" -eq 0 ] || skip "needs root to become another user, or to mount"; }

# Runs the command, which fails as its row says: one line beside the banner, nothing on standard output, no session.
fails() { # ROW COMMAND...
    local row=$1 name status_wanted says repair lines
    shift
    IFS='|' read -r name status_wanted says repair < <(grep "^$row |" "$ROWS")
    says=$(sed 's/^ *//; s/ *$//' <<< "$says") repair=$(sed 's/^ *//; s/ *$//' <<< "$repair")
    [ -n "$repair" ] || { echo "no row $row"; return 1; }
    run --separate-stderr "-${status_wanted// /}" "$@"
    lines=$(grep -v '^aileron: sandbox \|is root in the sandbox' <<< "$stderr")
    [ -z "$output" ] || { echo "$row: on standard output: $output"; return 1; }
    [ "$(wc -l <<< "$lines")" -eq 1 ] || { echo "$row: not one line: $lines"; return 1; }
    grep -qF -- "$says" <<< "$lines" || { echo "$row: it does not say \"$says\": $lines"; return 1; }
    grep -qF -- "$repair" <<< "$lines" || { echo "$row: it does not say what to do: $lines"; return 1; }
    [ -z "$(ls "$AILERON_HOME/run/sessions")" ] || { echo "$row: a session is left"; return 1; }
}

docker() { aileron launch --sandbox=docker --image=x -- true; }
as_nobody() { # COMMAND...: in a directory of his own
    env -i -C "$WORLD/u/p" HOME="$WORLD/u/home" XDG_RUNTIME_DIR="$WORLD/u/run" PATH="$PATH" DOCKER_HOST="$DOCKER_HOST" \
        setpriv --reuid 4321 --regid 4321 --clear-groups "$@"
}
# A podman without crun and runc on its PATH; its configuration names another runtime.
podman_with() { # RUNTIME
    printf '[engine]\nruntime = "%s"\n' "$1" > "$WORLD/containers.conf"
    env CONTAINERS_CONF="$WORLD/containers.conf" PATH="$WORLD/no-runtime" "$BIN/aileron" launch --sandbox=podman --image=x -- true
}
bwrap_that() { # SHELL: what it does before the real one
    mkdir -p "$WORLD/holes"
    printf '#!/bin/bash\n%s\n' "$1" > "$WORLD/holes/bwrap"
    chmod 755 "$WORLD/holes/bwrap"
    PATH=$WORLD/holes:$PATH aileron launch --sandbox=bwrap -- sh -c 'touch started; sleep 1'
}

@test "every row has a test, and is in aileron(7) in its words" {
    grep -v '^#' "$ROWS" | cut -d'|' -f1 | tr -d ' ' | sort > "$WORLD/rows"
    grep -o '^ *fails [a-z-]*' "$BATS_TEST_FILENAME" | tr -s ' ' | cut -d' ' -f3 | sort -u > "$WORLD/tested"
    diff "$WORLD/rows" "$WORLD/tested"
    [ "$(sort -u "$WORLD/rows" | wc -l)" -ge 20 ]
    # The part of each that says what is wrong, and the status, in order; cut where the rest is a name of the test's.
    grep -v '^#' "$ROWS" | awk -F' *[|] *' '{ print $2 " " $3 }' > "$WORLD/wanted"
    sed -n '/^\.Ss What a launch needs/,/^\.S[sh] [^W]/p' "$ROOT/man/aileron.7" | sed -n 's/^\.It Li \([0-9]*\) Ta \(.*\) Ta .*/\1 \2/p' \
        > "$WORLD/manual"
    diff "$WORLD/wanted" "$WORLD/manual"
}

@test "docker: not installed, not running, not ours to use, mute, on another machine" {
    fails docker-missing env PATH=/nonexistent "$BIN/aileron" launch --sandbox=docker --image=x -- true
    if [ ! -e /var/run/docker.sock ]; then
        fails docker-stopped env -u DOCKER_HOST aileron launch --sandbox=docker --image=x -- true
    fi
    DOCKER_HOST=unix://$WORLD/engine
    fails docker-stopped docker
    for host in tcp://127.0.0.1:1 ssh://nobody@127.0.0.1; do
        DOCKER_HOST=$host
        fails docker-remote docker
    done
}

@test "docker: an engine that takes connections and says nothing, and one that is closed to this user" {
    needs_root
    /usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9); time.sleep(100)' "$WORLD/engine" 3>&- &
    SERVER=$!
    wait_for test -S "$WORLD/engine"
    DOCKER_HOST=unix://$WORLD/engine
    fails docker-mute docker
    chmod 600 "$WORLD/engine"
    fails docker-closed as_nobody "$WORLD/u/aileron" launch --sandbox=docker --image=x -- true
}

@test "podman: not installed, on another machine" {
    fails podman-missing env PATH=/nonexistent "$BIN/aileron" launch --sandbox=podman --image=x -- true
    needs_podman
    for host in ssh://nobody@127.0.0.1/run/podman.sock unix:///nonexistent; do
        fails podman-remote env CONTAINER_HOST=$host aileron launch --sandbox=podman --image=x -- true
    done
}

@test "podman: no runtime, one that starts nothing, and then one that does" {
    needs_podman
    fails podman-no-runtime podman_with /nonexistent
    printf '#!/bin/sh\n[ "$1" = --version ] && echo broken 1 && exit 0\necho no way >&2\nexit 1\n' > "$WORLD/broken"
    chmod 755 "$WORLD/broken"
    fails podman-broken-runtime podman_with "$WORLD/broken"
    # What was found out before is not believed of an engine that is asked for by name, and it is another PATH now.
    run -3 aileron launch --sandbox=podman --image="$IMAGE" -- /busybox sh -c 'exit 3'
}

@test "podman: a user without subordinate ids" {
    needs_root
    needs_podman
    fails podman-no-subids as_nobody "$WORLD/u/aileron" launch --sandbox=podman --image=x -- true
    SERVER=$(cat "$WORLD/u/run/libpod/tmp/pause.pid" 2> /dev/null || true) # podman leaves it to hold its namespace
}

@test "bwrap: not installed, and user namespaces that are forbidden" {
    fails bwrap-missing env PATH=/nonexistent "$BIN/aileron" launch --sandbox=bwrap -- true
    fails userns-forbidden unshare --user --map-root-user sh -c \
        'echo 0 > /proc/sys/user/max_user_namespaces; exec aileron launch --sandbox=bwrap -- true'
    # Here they are not: neither the switch nor what was found out is remembered against it.
    run -3 aileron launch -- sh -c 'exit 3'
}

# An engine beside us has its containers' roots mounted below /var, and takes them away when it likes.
@test "bwrap: file systems of others that come and go are no reason against it" {
    needs_root
    mkdir "$WORLD/mounts"
    run unshare --mount --propagation shared "$TESTS_LIB/come-and-go" "$WORLD/mounts" 40 \
        sh -c 'rm -f "$AILERON_HOME/run/engines.json"; exec aileron sandbox plan --json'
    [ "$status" -eq 0 ]
    [ "$(grep -c '"engine":"bwrap"' <<< "$output")" -eq 40 ]
}

@test "no engine at all: each is named with its reason" {
    fails no-engine env PATH=/nonexistent "$BIN/aileron" launch --image=x -- true
    grep -q 'docker: no docker on PATH; podman: no podman on PATH; bwrap: no bwrap on PATH' <<< "$stderr"
}

@test "an image: none named, no name, not to be had, for another machine" {
    needs_podman
    fails image-needed aileron launch --sandbox=podman --devcontainer=none --image= -- true
    fails image-name aileron launch --sandbox=podman --image=--privileged -- true
    fails image-missing aileron launch --sandbox=podman --image=localhost:1/nothing:1 -- true
    foreign=arm64
    [ "$(uname -m)" != aarch64 ] || foreign=amd64
    tar -cf "$WORLD/empty.tar" -T /dev/null
    podman import --arch=$foreign "$WORLD/empty.tar" "aileron-test-foreign:$BATS_ROOT_PID" > /dev/null 2>&1
    fails image-architecture aileron launch --sandbox=podman --image="aileron-test-foreign:$BATS_ROOT_PID" -- true
    podman image rm "aileron-test-foreign:$BATS_ROOT_PID" > /dev/null
}

@test "a workspace: closed to the user, the host itself, another user's under bwrap" {
    needs_root
    fails workspace-host env -C / aileron launch --sandbox=bwrap -- true
    install -d -m 755 -o 4321 -g 4321 "$WORLD/theirs"
    fails workspace-others env -C "$WORLD/theirs" aileron launch --sandbox=bwrap -- true
    install -d -m 555 -o 4322 -g 4322 "$WORLD/closed"
    fails workspace-closed as_nobody env -C "$WORLD/closed" "$WORLD/u/aileron" launch --sandbox=bwrap -- true
}

@test "a command: not there, not executable, without its interpreter" {
    printf '#!/nonexistent\n' > script
    printf 'x' > plain
    chmod 755 script
    chmod 644 plain
    fails command-missing aileron launch --sandbox=bwrap -- nothing
    fails command-closed aileron launch --sandbox=bwrap -- ./plain
    fails command-interpreter aileron launch --sandbox=bwrap -- ./script
}

@test "the sandbox: a fence with a hole, a daemon that cannot be reached from it, an open network under bwrap" {
    needs_root
    fails fence-hole bwrap_that "exec unshare -n bash -c 'ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
        exec $(command -v bwrap) \"\$1\" \"\$2\" --share-net \"\${@:3}\"' _ \"\$@\""
    fails socket-mute bwrap_that "rm -f '$AILERON_HOME'/run/sessions/*/session.sock; exec $(command -v bwrap) \"\$@\""
    [ ! -e started ]
    fails network-open aileron launch --sandbox=bwrap --network=open -- true
}

@test "a home: open to others, with too long a path, without space" {
    chmod 755 "$AILERON_HOME"
    fails home-open aileron launch --sandbox=bwrap -- true
    chmod 700 "$AILERON_HOME"
    long=$WORLD/$(printf 'x%.0s' $(seq 110))
    mkdir -m 700 "$long"
    fails home-long env AILERON_HOME="$long" aileron launch --sandbox=bwrap -- true
    needs_root
    mkdir "$WORLD/full"
    fails home-full unshare -m sh -c "mount -t tmpfs -o size=64k,mode=700 tmpfs '$WORLD/full'
        head -c 70000 /dev/zero > '$WORLD/full/x' 2> /dev/null; AILERON_HOME='$WORLD/full' exec aileron launch --sandbox=bwrap -- true"
}

@test "what a person writes: configuration, policy, agents" {
    mkdir -p "$WORLD/h" "$WORLD/h/agents"
    chmod 700 "$WORLD/h"
    launch_there() { env AILERON_HOME="$WORLD/h" aileron launch --sandbox=bwrap "$@"; }
    fails agent-unknown launch_there nobody
    echo 'version: 1' > "$WORLD/h/agents/broken.yaml"
    echo 'comand: [x]' >> "$WORLD/h/agents/broken.yaml"
    fails agent-broken launch_there broken
    echo 'sandbox: [' > "$WORLD/h/config.yaml"
    fails config-broken launch_there -- true
    rm "$WORLD/h/config.yaml"
    echo 'rules: [' > "$WORLD/h/policy.yaml"
    fails policy-broken launch_there -- true
}
