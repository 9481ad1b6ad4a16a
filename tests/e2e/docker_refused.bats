# What a launch under docker refuses: each with one line that says what, why and what next, and the exit status of
# the design; no session, no container and nothing half-written stays.
ENGINE=docker
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_image scratch
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron status > /dev/null # the daemon is there, so that no test waits for it
}

teardown_file() { world_stop; }
setup() {
    world_skip
    world_clean_environment
    cd "$WORLD/ws"
}

launch() { aileron launch --sandbox=docker --image="$IMAGE" -- "$@"; }

# One line on standard error beside the launcher's own, with a next step, and nothing on standard output.
refuses() { # STATUS TEXT COMMAND...
    local want=$1 text=$2 lines
    shift 2
    run --separate-stderr "-$want" "$@"
    lines=$(grep -v '^aileron: sandbox \|is root in the sandbox' <<< "$stderr")
    [ -z "$output" ] || { echo "$*: on standard output: $output"; return 1; }
    [ "$(wc -l <<< "$lines")" -eq 1 ] || { echo "$*: not one line: $lines"; return 1; }
    grep -q '^aileron: ..*\. [A-Z`].' <<< "$lines" || { echo "$*: no next step: $lines"; return 1; }
    grep -qF -- "$text" <<< "$lines" || { echo "$*: $lines"; return 1; }
    [ -z "$(ls "$AILERON_HOME/run/sessions")" ] || { echo "$*: a session is left"; return 1; }
}

# A docker engine that misbehaves: a socket in the workspace's parent, served by a few lines of Python.
engine_that() { # PYTHON: what it does with each connection c
    rm -f "$WORLD/engine"
    /usr/bin/python3 -c '
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9)
while True:
    c, _ = s.accept()
    try: exec(sys.argv[2])
    except OSError: pass' "$WORLD/engine" "$1" 3>&- &
    ENGINE_PID=$!
    wait_for test -S "$WORLD/engine"
}
teardown() {
    [ -z "${ENGINE_PID:-}" ] || kill "$ENGINE_PID"
    ENGINE_PID=
}

@test "an image that is not here, cannot be pulled, is for another machine, or is no image's name" {
    refuses 125 'there is no image localhost:1/nothing:1 on this machine, and it cannot be pulled: ' \
        aileron launch --sandbox=docker --image=localhost:1/nothing:1 -- true
    grep -q 'connection refused' <<< "$stderr"
    refuses 125 'must be lowercase' aileron launch --sandbox=docker --image=UPPER:CASE -- true
    refuses 125 'needs an image' aileron launch --sandbox=docker --image= -- true
    refuses 125 'needs an image' aileron launch --sandbox=docker -- true
    for name in --privileged /etc/passwd ../x 'a b' $'a\nb'; do
        refuses 64 "is not an image's name" aileron launch --sandbox=docker --image="$name" -- true
    done
}

@test "an image for another machine" {
    foreign=arm64
    [ "$(uname -m)" != aarch64 ] || foreign=amd64
    /usr/bin/python3 -c '
import hashlib, io, json, sys, tarfile
name, architecture = sys.argv[1:]
layer = io.BytesIO()
tarfile.open(fileobj=layer, mode="w").close()
config = {"architecture": architecture, "os": "linux", "config": {},
          "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]}}
manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
    for path, data in (("layer.tar", layer.getvalue()), ("config.json", json.dumps(config).encode()),
                       ("manifest.json", json.dumps(manifest).encode())):
        entry = tarfile.TarInfo(path)
        entry.size = len(data)
        out.addfile(entry, io.BytesIO(data))' "aileron-test-foreign:1" $foreign | docker load > /dev/null
    refuses 125 "the image aileron-test-foreign:1 is for $foreign and this machine is" \
        aileron launch --sandbox=docker --image=aileron-test-foreign:1 -- true
    docker image rm aileron-test-foreign:1 > /dev/null
}

@test "a command that is not in the image is 127, one that cannot be executed is 126" {
    printf '#!/bin/sh\n' > script
    printf 'x' > plain
    chmod 755 script
    chmod 644 plain
    refuses 127 'there is no command nothing in the sandbox' launch nothing
    refuses 127 'there is no command /bin/sh in the sandbox' launch /bin/sh
    refuses 127 'there is no command nothing\u{202e}' launch $'nothing\u202e'
    refuses 126 './plain cannot be executed: Permission denied' launch ./plain
    refuses 126 '/home cannot be executed' launch /home
    refuses 126 'its interpreter is not in the sandbox' launch ./script
}

@test "a path that is no UTF-8, which engines of containers do not mount" {
    mkdir -p "$WORLD/o/"$'a\xffb' "$WORLD/fake"
    refuses 125 'its path is not UTF-8' env -C "$WORLD/o/"$'a\xffb' aileron launch --sandbox=docker --image="$IMAGE" -- /busybox true
    run -0 env -C "$WORLD/o/"$'a\xffb' aileron launch --sandbox=bwrap -- true
    for home in "$WORLD/o/"$'a\xffb' "$WORLD/o/"$'a\nb'; do
        refuses 125 'AILERON_HOME is not UTF-8, or has a line break in it' env AILERON_HOME="$home" aileron launch --sandbox=bwrap -- true
    done
}

@test "prune says so where an engine that had sandboxes does not answer" {
    run -0 launch /busybox true
    engine_that 'time.sleep(60)'
    DOCKER_HOST="unix://$WORLD/engine" run -69 aileron session prune
    grep -q '^aileron: what docker still has is not known: the docker engine does not answer\. See' <<< "$output"
    absent 'nothing was left' <<< "$output"
    teardown
    rm "$AILERON_HOME/run/engines.json" # where it never had any, nobody is told
    engine_that 'c.close()'
    DOCKER_HOST="unix://$WORLD/engine" run -0 aileron session prune
    [ "$output" = 'nothing was left behind' ]
}

# docker and podman give these numbers to what went wrong before anything of ours was started.
@test "an engine that ends with 126 or 127 by itself: the launch failed" {
    printf '#!/bin/sh\n[ "$1" != run ] || { echo "docker: no runtime" >&2; exit $(cat %s/fake/status); }\nexec %s "$@"\n' "$WORLD" \
        "$(command -v docker)" > "$WORLD/fake/docker"
    chmod +x "$WORLD/fake/docker"
    for status in 126 127; do
        echo $status > "$WORLD/fake/status"
        PATH=$WORLD/fake:$PATH run -125 launch /busybox true
        grep -q 'docker: no runtime' <<< "$output"
    done
}

@test "a workspace that its own owner cannot write" {
    install -d -m 555 -o 4321 -g 4321 "$WORLD/theirs"
    refuses 125 'not writable for user 4321' env -C "$WORLD/theirs" aileron launch --sandbox=docker --image="$IMAGE" -- /busybox true
}

@test "a workspace that holds the engine's socket would be the host itself" {
    engine=$(readlink -f "${DOCKER_HOST#unix://}")
    refuses 125 "the engine's socket" env -C "$(dirname "$engine")" aileron launch --sandbox=docker --image="$IMAGE" -- /busybox true
    mkdir -p "$WORLD/outer/ws"
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$WORLD/outer/ws/docker.sock"
    for sandbox in docker bwrap; do
        refuses 125 "the engine's socket" env -C "$WORLD/outer" DOCKER_HOST="unix://$WORLD/outer/ws/docker.sock" \
            aileron launch --sandbox=$sandbox -- true
    done
}

@test "an engine that is not there, is far away, does not answer, answers nonsense or fails" {
    refuses 125 'the engine docker cannot be used' env DOCKER_HOST=unix:///nonexistent aileron launch --sandbox=docker --image=x -- true
    for host in tcp://127.0.0.1:1 ssh://nobody@127.0.0.1; do
        refuses 125 'DOCKER_HOST names an engine on another machine' env DOCKER_HOST=$host aileron launch --sandbox=docker --image=x -- true
    done
    for host in npipe://x nonsense; do
        refuses 125 'DOCKER_HOST is neither a local socket' env DOCKER_HOST=$host aileron launch --sandbox=docker --image=x -- true
    done
    refuses 125 'no docker on PATH' env PATH=/nonexistent "$BIN/aileron" launch --sandbox=docker --image=x -- true
    engine_that 'c.close()'
    refuses 125 'the docker engine does not answer' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    teardown
    engine_that 'c.recv(9999); c.sendall(b"SSH-2.0-x\r\n\r\n" * 9); c.close()'
    refuses 125 'is not HTTP' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    teardown
    engine_that 'c.recv(9999); c.sendall(b"HTTP/1.1 500 Bad\r\n\r\n"); c.close()'
    refuses 125 'answers with status 500' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    teardown
    engine_that 'c.recv(9999); c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000000); c.close()'
    refuses 125 'too long' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    teardown
    engine_that 'time.sleep(60)'
    start=$SECONDS
    refuses 125 'does not answer' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    [ $((SECONDS - start)) -lt 10 ]
    teardown
    engine_that 'c.recv(9999); [(c.sendall(b"x"), time.sleep(1)) for i in range(60)]'
    start=$SECONDS
    refuses 125 'does not answer' env DOCKER_HOST="unix://$WORLD/engine" aileron launch --sandbox=docker --image=x -- true
    [ $((SECONDS - start)) -lt 10 ]
}

@test "an engine of the user's own is taken where the machine's is closed to him" {
    engine_that 'c.recv(9999); c.sendall(b"HTTP/1.1 500 Bad\r\n\r\n"); c.close()'
    chmod 666 "$WORLD/engine"
    chmod 755 "$WORLD"
    install -d -m 700 -o 4321 -g 4321 "$WORLD/u" "$WORLD/u/home" "$WORLD/u/p" "$WORLD/u/run"
    ln -s "$WORLD/engine" "$WORLD/u/run/docker.sock"
    cp "$BIN/aileron" "$WORLD/u/aileron"
    chown 4321:4321 "$WORLD/u/aileron"
    cd "$WORLD/u/p"
    refuses 125 'answers with status 500' unshare -m sh -c 'mount -t tmpfs none /run && install -m 600 /dev/null /run/docker.sock && exec "$@"' sh \
        env -i HOME="$WORLD/u/home" PATH="$PATH" XDG_RUNTIME_DIR="$WORLD/u/run" \
        setpriv --reuid 4321 --regid 4321 --clear-groups "$WORLD/u/aileron" launch --sandbox=docker --image=x -- true
    refuses 125 'docker context inspect' unshare -m sh -c 'mount -t tmpfs none /run && exec "$@"' sh \
        env -i HOME="$WORLD/u/home" PATH="$PATH" \
        setpriv --reuid 4321 --regid 4321 --clear-groups "$WORLD/u/aileron" launch --sandbox=docker --image=x -- true
}

# Its root is the user himself, wherever its socket is.
@test "a rootless engine is known by what it says" {
    mkdir -p "$WORLD/fake"
    printf '#!/bin/sh\n[ "$1" != run ] || echo "$@" > %s/fake/words\nexit 1\n' "$WORLD" > "$WORLD/fake/docker"
    chmod +x "$WORLD/fake/docker"
    for security in '["name=seccomp,profile=builtin","name=rootless"]' '["name=seccomp,profile=builtin"]' null; do
        engine_that '
body = b"OK" if b"/_ping" in c.recv(9999) else b"{\"OSType\": \"linux\", \"SecurityOptions\": '"${security//\"/\\\"}"'}"
c.sendall(b"HTTP/1.0 200 OK\r\nServer: Docker/'"${#security}"'\r\n\r\n" + body); c.close()'
        DOCKER_HOST="unix://$WORLD/engine" PATH=$WORLD/fake:$PATH run launch /busybox true
        case $security in *rootless*) absent ' --uid=' "$WORLD/fake/words" ;; *) grep -q ' --uid=' "$WORLD/fake/words" ;; esac
        teardown
    done
}

@test "an engine that only others may use" {
    [ "$(id -u)" -eq 0 ]
    engine_that 'c.close()'
    chmod 600 "$WORLD/engine"
    chmod 755 "$WORLD"
    install -d -m 700 -o 4321 -g 4321 "$WORLD/u" "$WORLD/u/home" "$WORLD/u/p"
    cp "$BIN/aileron" "$WORLD/u/aileron"
    chown 4321:4321 "$WORLD/u/aileron"
    cd "$WORLD/u/p"
    refuses 125 'you are in the group docker' env -i HOME="$WORLD/u/home" PATH="$PATH" DOCKER_HOST="unix://$WORLD/engine" \
        setpriv --reuid 4321 --regid 4321 --clear-groups "$WORLD/u/aileron" launch --sandbox=docker --image=x -- true
    [ ! -e "$WORLD/u/home/.aileron/run/sessions" ]
}
