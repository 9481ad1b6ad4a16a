# `aileron session` under either engine: what is listed and shown, stopping, and what becomes of what is left behind. The
# file's name says the engine: session_docker.bats and session_podman.bats are links to this one.
# bats file_tags=own-world
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup() {
    world_enter
    rm -f first go
    SESSION=
}
teardown() { [ -z "${SESSION:-}" ] || aileron session stop "$SESSION" > /dev/null 2>&1 || true; }

start() { # SHELL-COMMAND
    SESSION=$(aileron launch --detach --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- sh -c "$1" 2> err) || { cat err; return 1; }
}
containers() { "$ENGINE" ps -aq --filter "label=dev.aileron.home=$(cat "$AILERON_HOME/id")" "$@"; }
no_containers() { [ "$ENGINE" = bwrap ] || [ -z "$(containers)" ]; }
no_folders() { [ -z "$(ls "$AILERON_HOME/run/sessions" "$AILERON_HOME/run/private" | grep -v ':$')" ]; }
nothing_runs() { [ -z "$(aileron session list)" ]; }

@test "list and show say what runs where, since when, whom it talks to, and what waits" {
    cat >> "$AILERON_HOME/policy.yaml" <<'YAML'
  - { name: ask first, host: api.test, paths: ["/asked"], action: approve }
YAML
    aileron policy reload
    start 'curl -sS https://api.test/user > one; curl -sS -X POST https://api.test/asked > two & touch first; wait; sleep 1000'
    wait_for test -e first
    asked() { [ -n "$(aileron approvals list)" ]; }
    wait_for asked
    run -0 aileron session list
    [[ "$output" =~ ^$SESSION\ +ready\ +$ENGINE\ +sealed\ +detached\ +sh\ .*/ws$ ]]
    run -0 aileron session show "$SESSION"
    echo "$output"
    for line in "^id  *$SESSION$" '^state  *ready$' "^engine  *$ENGINE$" "^image  *${IMAGE:--}$" '^network  *sealed$' \
        '^workspace  */.*/ws$' '^pid  *[0-9]*$' '^uptime  *0:0[0-9]:[0-9]*, since 20' '^limits  *memory .*, processes 512$' \
        '^hosts  *api.test: [1-9][0-9]* allowed, .* [1-9][0-9]* with a credential$' '^waiting  *apr_[0-9A-Z]*: '; do
        grep -q "$line" <<< "$output" || { echo "not there: $line"; return 1; }
    done
    [ "$(aileron session show --json "$SESSION" | jq -r .id)" = "$SESSION" ]
    run -1 aileron session show 01ARZ3NDEKTSV4RRFFQ69G5FAV
    grep -q 'there is no session' <<< "$output"
}

@test "the record says which limits hold" {
    start 'sleep 1000'
    event=$(aileron audit list --session="$SESSION" --event=session.start --json)
    [ "$(jq .pids <<< "$event")" = 512 ]
    if [ "$ENGINE" != bwrap ]; then
        [ "$(jq .memory <<< "$event")" = "$("$ENGINE" inspect -f '{{.HostConfig.Memory}}' "aileron-$SESSION")" ]
        [ "$ENGINE" != docker ] ||
            [ "$(docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "aileron-$SESSION")" = '4294967296 512' ]
    else
        [ "$(jq .memory <<< "$event")" = 0 ]
        aileron session show "$SESSION" | grep -q '^limits  *memory none'
        aileron doctor | grep -q '^bwrap .*cannot limit the memory'
    fi
}

@test "stop ends it, by both of its names" {
    for command in 'session stop' 'sessions end'; do
        start 'sleep 1000'
        run -0 aileron $command "$SESSION"
        wait_for nothing_runs
        wait_for no_folders
        wait_for no_containers
        run -1 aileron $command "$SESSION"
    done
}

@test "prune finds nothing where nothing is left, and leaves what lives alone" {
    start 'touch first; sleep 1000'
    wait_for test -e first
    run -0 aileron session prune
    [ "$output" = 'nothing was left behind' ]
    [ -n "$(aileron session list)" ]
    [ "$ENGINE" = bwrap ] || [ -n "$(containers --filter status=running)" ]
}

@test "prune removes directories of no session" {
    mkdir "$AILERON_HOME/run/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV" "$AILERON_HOME/run/private/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    run -0 aileron session prune
    grep -qx 'removed 2 directories' <<< "$output"
    no_folders
}

# Containers that a session left behind as it ended, that were made after it had, and that are somebody else's.
some_id() { printf '0%025d' "$BATS_ROOT_PID$1"; }
@test "prune, and the daemon as it starts, remove containers of sessions that are over, and no one else's" {
    [ "$ENGINE" != bwrap ] || skip "bwrap has no containers"
    ours=$(cat "$AILERON_HOME/id")
    ONE=$(some_id 1) TWO=$(some_id 2) THREE=$(some_id 3)
    make() { # SESSION HOME
        "$ENGINE" create --name "aileron-$1" --label "dev.aileron.session=$1" --label "dev.aileron.home=$2" "$IMAGE" true > /dev/null
    }
    left() { "$ENGINE" ps -aq --filter "name=aileron-$1"; }
    start 'touch first; sleep 1000'
    wait_for test -e first
    make "$ONE" "$ours"
    make "$TWO" 01ARZ3NDEKTSV4RRFFQ69G5FAV
    "$ENGINE" create --name "aileron-$THREE" --label "dev.aileron.session=$THREE" "$IMAGE" true > /dev/null
    run -0 aileron session prune
    [ "$output" = 'removed 1 containers' ]
    [ -z "$(left "$ONE")" ]
    [ -n "$(left "$TWO")" ]
    [ -n "$(left "$THREE")" ]
    [ -n "$(left "$SESSION")" ]
    make "$ONE" "$ours"
    aileron daemon stop --force
    # The launcher starts it again.
    removed() { [ -z "$(left "$ONE")" ]; }
    wait_for removed
    [ -n "$(left "$TWO")" ]
    [ -n "$(left "$THREE")" ]
    [ -n "$(left "$SESSION")" ]
    "$ENGINE" rm "aileron-$TWO" "aileron-$THREE" > /dev/null
}

# Wherever the launch is when its launcher dies: there is a row in state.db before there is anything else.
@test "F02: a launcher that is killed at any moment of its launch leaves nothing" {
    for pause in 0.01 0.02 0.03 0.05 0.07 0.09 0.12 0.15 0.2 0.25 0.3 0.4 0.5 0.7 1; do
        timeout -s KILL "$pause" aileron launch --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- sleep 1000 > out 2>&1 || true
    done
    wait_for nothing_runs
    wait_for no_folders
    none_left() { no_containers || { aileron session prune > /dev/null; no_containers; }; }
    wait_for none_left
    none_starts() { [ "$(aileron audit list --event=session.start --json | wc -l)" -eq "$(aileron audit list --event=session.end --json | wc -l)" ]; }
    wait_for none_starts
    aileron audit verify
}

@test "twenty launches at once" {
    aileron vault unlock > /dev/null # a daemon that was started again above has it locked
    for i in $(seq 20); do
        inside sh -c "curl -sS https://api.test/user | grep octo && exit $i" > "out-$i" 2>&1 3>&- &
        launchers[i]=$!
    done
    for i in $(seq 20); do
        status=0
        wait "${launchers[i]}" || status=$?
        [ "$status" -eq "$i" ] || { echo "$i ends with $status:"; cat "out-$i"; return 1; }
    done
    wait_for no_folders
    wait_for no_containers
    aileron audit verify
}

@test "one session above limits.sessions is refused, and says so" {
    cp "$AILERON_HOME/config.yaml" config.yaml
    printf 'limits: { sessions: 1 }\n' >> "$AILERON_HOME/config.yaml"
    aileron policy reload
    start 'sleep 1000'
    run -125 aileron launch --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- true
    grep -q '1 sessions are running already. End one, or raise limits.sessions in config.yaml' <<< "$output"
    run -125 aileron launch --detach --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- true
    grep -q '1 sessions are running already' <<< "$output"
    # One that has ended takes no place while its worker drains, which has a request to finish.
    aileron session stop "$SESSION"
    start 'trap "" TERM; curl -sSN https://api.test/held > stream & touch first; wait'
    wait_for test -s stream
    aileron session stop "$SESSION" 3>&- & # it waits until the command has ended
    local stopping=$!
    only_ending() { [[ "$(aileron session list)" =~ ^$SESSION\ +ending\ [^$'\n']*$ ]]; }
    wait_for only_ending
    run -0 inside true
    aileron session list | grep -q "^$SESSION  *ending"
    wait "$stopping"
    cp config.yaml "$AILERON_HOME/config.yaml"
    aileron policy reload
}
