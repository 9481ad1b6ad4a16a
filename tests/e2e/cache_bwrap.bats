# sandbox.cache under either engine: what one session leaves in it the next one finds, at the agent's own place, and
# nothing else is mounted by it. The file's name says the engine: cache_docker.bats and cache_podman.bats are
# links to this one.
# bats file_tags=own-world
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup_file() {
    world_share
    [ -z "${WORLD_SKIP:-}" ] || return 0
    cp "$AILERON_HOME/config.yaml" "$WORLD/config.yaml"
}

config() { { cat "$WORLD/config.yaml"; printf 'sandbox:\n  cache: %s\n' "$1"; } > "$AILERON_HOME/config.yaml"; }

@test "what one session leaves in a cache, the next one finds; its neighbours are the agent's, and not kept" {
    config '{ npm: ~/.npm, pip: ~/.cache/pip, deep: ~/.a/b/c }'
    run -0 inside sh -c 'echo kept > ~/.npm/one; echo kept > ~/.cache/pip/two; echo kept > ~/.a/b/c/three
        mkdir ~/.cache/other ~/.a/b/other; echo gone > ~/.cache/other/four'
    run -0 inside sh -c 'cat ~/.npm/one ~/.cache/pip/two ~/.a/b/c/three; ls -d ~/.cache/other'"; true"
    [ "$(grep -c '^kept$' <<< "$output")" -eq 3 ]
    grep -q "other.*No such file" <<< "$output"
    [ "$(ls "$AILERON_HOME/cache")" = $'deep\nnpm\npip' ]
    [ "$(stat -c %a "$AILERON_HOME/cache" "$AILERON_HOME/cache/npm" | sort -u)" = 700 ]
    [ "$(cat "$AILERON_HOME/cache/npm/one")" = kept ]
}

@test "a workspace of another user than root has caches that its user can write to" {
    [ "$ENGINE" != bwrap ] || skip "bwrap runs as the workspace's owner"
    [ "$(id -u)" -eq 0 ] || skip "only root launches for another"
    mkdir "$WORLD/theirs"
    chown 1234:1234 "$WORLD/theirs"
    config '{ theirs: ~/.cache/theirs }'
    cd "$WORLD/theirs"
    run -0 aileron launch --sandbox="$ENGINE" --image="$IMAGE" -- sh -c 'id -u; echo kept > ~/.cache/theirs/one; mkdir ~/.cache/other'
    grep -qx 1234 <<< "$output"
    cd "$WORLD/ws"
    run -125 inside true
    grep -q "cache/theirs cannot be used: it is another user's than the workspace" <<< "$output"
}

@test "F10: a cache covers nothing but a place in the agent's home" {
    for place in /etc /opt/aileron /run/aileron '~' '~/' '~/workspace' '~/workspace/.git' '~/../../etc' '~/a/./b' '~/a//b' '~/a/' \
        'a' '""' '"~/with space"' '"~/a,readonly"' "'~/a\"b'"; do
        config "{ one: $place }"
        run -125 inside true
        grep -q 'config.yaml:.*\(must be\|must not\)' <<< "$output" || { echo "$place: $output"; return 1; }
    done
    for name in .. .hidden '"a/b"' "$(printf 'x%.0s' $(seq 33))"; do
        config "{ $name: ~/.x }"
        run -125 inside true
        grep -q 'is no name of a cache' <<< "$output" || { echo "$name: $output"; return 1; }
    done
    config '{ one: ~/.a, two: ~/.a/b }'
    run -125 inside true
    grep -q 'must not hold the place of another cache' <<< "$output"
}

@test "F10: a symlink in the place of a cache's directory is not followed" {
    mkdir -p "$AILERON_HOME/cache"
    ln -s "$AILERON_HOME" "$AILERON_HOME/cache/linked"
    config '{ linked: ~/.linked }'
    run -125 inside true
    grep -q 'cache/linked cannot be used: it is no directory' <<< "$output"
    rm "$AILERON_HOME/cache/linked"
}

@test "prune --caches removes them, links of an agent's making and all, while no session runs" {
    config '{ npm: ~/.npm }'
    echo precious > "$WORLD/precious"
    run -0 inside sh -c "ln -s '$WORLD/precious' ~/.npm/link; ln -s / ~/.npm/root; mkdir -p ~/.npm/d; chmod 0 ~/.npm/d"
    SESSION=$(aileron launch --detach --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- sleep 1000 2> /dev/null)
    run -1 aileron session prune --caches
    grep -q 'the caches stay: sessions are running' <<< "$output"
    aileron session stop "$SESSION"
    none_runs() { [ -z "$(aileron session list)" ]; }
    wait_for none_runs
    run -0 aileron session prune --caches
    [ ! -e "$AILERON_HOME/cache" ]
    [ "$(cat "$WORLD/precious")" = precious ]
}
