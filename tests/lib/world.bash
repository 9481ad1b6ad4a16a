# A world for one test file: a home, a vault with a marked secret, an upstream with real TLS, a policy.
# Sourced by bats files and by the demonstration. Everything it starts, it ends in world_stop.
#
#   WORLD        a private directory; WORLD/ws is the workspace, WORLD/up the upstream's directory
#   SECRET       the credential that the upstream insists on: random, so that a sweep for it is certain
#   upstream_log prints what the upstream saw
#   BIN          the directory of the program under test

TESTS_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$TESTS_LIB/../.." && pwd)
BIN=${TEST_BIN:-$ROOT/build/bin}

# What a developer's machine may carry must not decide a test.
world_clean_environment() {
    unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE PIP_CERT NODE_EXTRA_CA_CERTS \
        GIT_SSL_CAINFO AWS_CA_BUNDLE CARGO_HTTP_CAINFO DENO_CERT GRPC_DEFAULT_SSL_ROOTS_FILE_PATH \
        HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy \
        NODE_OPTIONS NODE_USE_ENV_PROXY JAVA_TOOL_OPTIONS GH_TOKEN GITHUB_TOKEN DOCKER_CONTEXT DOCKER_CONFIG \
        AILERON_TOKEN AILERON_API_URL AILERON_SESSION_ID AILERON_TOOLS_FILE AILERON_SHIMS_DIR
    # Which docker is with-docker's to say: never the person's own, which may be another machine.
    export DOCKER_HOST="${TEST_DOCKER_HOST:-unix:///var/run/docker.sock}"
    export PATH="$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    export LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
}

# IMAGE for the engine docker or podman. Where there is no such engine, or nobody may make an image, the file's tests
# are skipped and say why: setup() begins with world_skip. Where one could be made and was not, that is a failure.
world_image() { # debian|scratch
    world_clean_environment
    export IMAGE WORLD_SKIP ENGINE
    if [ "$ENGINE" = podman ]; then
        world_podman
    elif ! docker version > /dev/null 2>&1; then
        WORLD_SKIP="no docker answers at $DOCKER_HOST"
    fi
    if [ -n "${WORLD_SKIP:-}" ]; then
        return
    elif [ "$(id -u)" -ne 0 ]; then
        WORLD_SKIP="only root can make the image $1"
    else
        IMAGE=$("$TESTS_LIB/image" "$1")
    fi
}

# podman's images and containers of the tests, away from those of the machine. What it can do here is found out without
# us: PODMAN_RUN is `podman run` with a runtime that starts containers and with limits that may be set.
world_podman() {
    export CONTAINERS_STORAGE_CONF=$ROOT/build/podman/storage.conf PODMAN_RUN
    local runtime tiny
    unset CONTAINER_HOST CONTAINERS_CONF
    if ! command -v podman > /dev/null; then
        WORLD_SKIP="no podman here"
        return
    fi
    mkdir -p "$ROOT/build/podman"
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/root"\nrunroot = "%s/run"\n' "$ROOT/build/podman" \
        "$ROOT/build/podman" > "$CONTAINERS_STORAGE_CONF.$$"
    mv "$CONTAINERS_STORAGE_CONF.$$" "$CONTAINERS_STORAGE_CONF"
    tiny=$("$TESTS_LIB/image" scratch) || return 0
    for runtime in crun runc; do
        PODMAN_RUN="podman --runtime=$runtime run --rm --network=none --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"
        $PODMAN_RUN "$tiny" /busybox true > /dev/null 2>&1 && return
    done
    WORLD_SKIP="podman starts no container here, with crun nor with runc"
}
world_skip() { [ -z "${WORLD_SKIP:-}" ] || skip "$WORLD_SKIP"; }

# For a file that holds under any engine, and whose name ends in one (life_bwrap.bats): ENGINE, IMAGE, a world that its
# tests share, and what each of them begins with.
world_by_engine() { # [IMAGE]
    ENGINE=$(basename "$BATS_TEST_FILENAME" .bats | cut -d_ -f2)
    WORLD_IMAGE=${1:-debian}
    setup_file() { world_share; }
    teardown_file() { world_stop; }
    setup() { world_enter; }
}
world_share() {
    [ "$ENGINE" = bwrap ] || world_image "$WORLD_IMAGE"
    [ -z "${WORLD_SKIP:-}" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}
world_enter() { world_skip; world_clean_environment; cd "$WORLD/ws"; }

world_start() { # NAME...: names that the upstream has certificates for
    world_clean_environment
    WORLD=$(mktemp -d "${TMPDIR:-/tmp}/aileron-test.XXXXXX")
    export AILERON_HOME=$WORLD/home AILERON_VAULT_PASSPHRASE="a passphrase for the test"
    mkdir -m 700 "$AILERON_HOME"
    mkdir "$WORLD/ws" "$WORLD/up" "$WORLD/git"
    SECRET=ghp_$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    "$TESTS_LIB/certs" "$WORLD/up" "$@" || return 1
    printf '%s' "$SECRET" > "$WORLD/up/secret"
    : > "$WORLD/up/requests.log"
    mkfifo "$WORLD/up/stdin"
    /usr/bin/python3 "${WORLD_UPSTREAM:-$TESTS_LIB/upstream.py}" "$WORLD/up" --git "$WORLD/git" \
        < "$WORLD/up/stdin" > "$WORLD/up/out" 2>&1 3>&- &
    UPSTREAM_PID=$!
    exec 7> "$WORLD/up/stdin"
    wait_for test -s "$WORLD/up/port" -a -s "$WORLD/up/plain-port" || return 1
    UP_PORT=$(cat "$WORLD/up/port") UP_PLAIN_PORT=$(cat "$WORLD/up/plain-port")
    world_config "$@"
    world_policy "$@"
    world_bindings "$@"
    aileron vault init > /dev/null || return 1
    printf '%s' "$SECRET" | aileron vault put user/api > /dev/null || return 1
}

# Further upstreams: HTTP/2, at http2.test or NAME (upstream-http2.js has the options). HTTP2_PID are their processes.
world_http2() { # [NAME [OPTION...]]
    local name=${1:-http2.test}
    [ $# -eq 0 ] || shift
    node "$TESTS_LIB/upstream-http2.js" "$WORLD/up" "$name" "$@" < "$WORLD/up/stdin" > "$WORLD/up/$name-out" 2>&1 3>&- &
    HTTP2_PID="${HTTP2_PID:-} $!"
    wait_for test -s "$WORLD/up/$name-port" || return 1
    world_at "$name" "$(cat "$WORLD/up/$name-port")"
}

world_at() { # NAME PORT: where the name is served
    sed -i "s/\\(host: $1, address: \"127.0.0.1:\\)[0-9]*/\\1$2/" "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
}

# The upstream's names are served at a port of its own on loopback: `address` says where a name is.
world_config() {
    {
        echo 'version: 1'
        echo "tls: { ca_file: \"$WORLD/up/ca.pem\" }"
        echo 'upstreams:'
        local name
        for name in "$@" expired.test selfsigned.test wrongname.test; do
            echo "  - { host: $name, address: \"127.0.0.1:$UP_PORT\" }"
        done
        echo "  - { host: plain.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }"
    } > "$AILERON_HOME/config.yaml"
}

world_policy() {
    cat > "$AILERON_HOME/policy.yaml" <<YAML
version: 1
network:
  default: allow
  private: deny
  allow_private: ["127.0.0.1/32"]
rules:
  - { name: no forbidden host, host: forbidden.test, action: deny, reason: this host is not for agents }
YAML
}

world_bindings() {
    {
        echo 'version: 1'
        echo 'bindings:'
        echo '  - name: user/api'
        printf '    hosts: [%s, expired.test, selfsigned.test, wrongname.test, plain.test]\n' \
            "$(printf '%s, ' "$@" | sed 's/, $//')"
        echo '    scheme: bearer'
    } > "$AILERON_HOME/bindings.yaml"
}

world_stop() {
    [ -n "${WORLD:-}" ] || return 0
    world_stop_daemon
    exec 7>&-
    # A process that a failed test left behind may hold the pipe open: the upstream is ended, too.
    for pid in ${UPSTREAM_PID:-} ${HTTP2_PID:-}; do
        kill "$pid" 2> /dev/null || true
        wait "$pid" 2> /dev/null || true
    done
    world_keep_reports
    if [ -n "${KEEP_WORLD:-}" ]; then echo "kept $WORLD" >&2; else rm -rf "$WORLD"; fi
    WORLD=
}

# A process that has ended and waits for its parent is not: who inherits a daemon may take seconds to look.
alive() { # PID
    local state=
    read -r _ _ state _ 2> /dev/null < "/proc/$1/stat" && [ "$state" != Z ]
}

# Its lock is free before its process ends, and a sanitizer looks for leaks last of all: in the workers of sessions
# that have just ended, then in the daemon.
world_stop_daemon() {
    local daemon i
    daemon=$(cat "$AILERON_HOME/run/daemon.pid" 2> /dev/null)
    for i in $(seq 500); do [ -n "$daemon" ] && pgrep -P "$daemon" > /dev/null || break; sleep 0.02; done
    aileron daemon stop > /dev/null 2>&1 || aileron daemon stop --force > /dev/null 2>&1 || true
    for i in $(seq 500); do [ -n "$daemon" ] && alive "$daemon" || break; sleep 0.02; done
}

# What a sanitizer wrote inside a sandbox (lib/sanitizer.c), for lib/run.
world_keep_reports() {
    [ -n "${SANITIZER_REPORTS:-}" ] || return 0
    local report
    find "$WORLD" -name '.sanitizer.*' | while read -r report; do
        mv "$report" "$(mktemp -u "$SANITIZER_REPORTS/sandbox.XXXXXX")"
    done
}

wait_for() { # COMMAND...: true within 10 seconds, or as many times of that as the runner's limits have
    local i
    for i in $(seq $((200 * ${BATS_TEST_TIMEOUT:-120} / 120))); do
        "$@" 2> /dev/null && return 0
        sleep 0.05
    done
    echo "waited in vain for: $*" >&2
    return 1
}

# True where grep finds nothing, and prints what it found. `! grep` would never fail a test: bash ignores it.
absent() { # GREP-ARGUMENT...
    local status=0
    grep "$@" || status=$?
    [ "$status" -eq 1 ] # 2 is a file that is not there, or a pattern that is none
}

upstream_log() { cat "$WORLD/up/requests.log"; }
upstream_count() { wc -l < "$WORLD/up/requests.log"; }

# Runs a command in a sandbox of the engine under test, in the workspace.
inside() { (cd "$WORLD/ws" && aileron launch --sandbox="${ENGINE:-bwrap}" ${IMAGE:+--image="$IMAGE"} -- "$@"); }

# A container that holds a network namespace, with nothing of ours in it.
container_holder() { # NAME
    if [ "$ENGINE" = podman ]; then
        ${PODMAN_RUN} -d --name "$1" "$IMAGE" sleep 60 > /dev/null
    else
        docker run --rm -d --network=none --name "$1" "$IMAGE" sleep 60 > /dev/null
    fi
}
