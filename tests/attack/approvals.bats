# Deciding for the person, where many ask and little works: A05 (a flood) and A06 (two deciders, a store or a record that
# takes nothing). The home is a small file system of its own, in a mount namespace of the test.
# bats file_tags=own-world
bats_require_minimum_version 1.5.0
load ../lib/world.bash
ENGINE=bwrap

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root to mount a file system"
    world_start api.test || return 1
    sed -i '/^rules:/a\  - { name: ask first, host: api.test, methods: [POST], action: approve }' "$AILERON_HOME/policy.yaml"
    echo 'limits: { disk_free: 0 }' >> "$AILERON_HOME/config.yaml" # the space runs out for good here
    aileron daemon stop
    unshare -m sleep 600 3>&- 7>&- &
    NAMESPACE=$!
    other_mounts() { [ "$(readlink "/proc/$NAMESPACE/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; }
    wait_for other_mounts
    cp -a "$AILERON_HOME" "$WORLD/kept"
    in_there mount -t tmpfs -o size=4m,mode=700 tmpfs "$AILERON_HOME"
    in_there cp -a "$WORLD/kept/." "$AILERON_HOME"
    there vault unlock
}

teardown() {
    [ -n "${NAMESPACE:-}" ] || return 0
    [ -z "${SANDBOX:-}" ] || kill "$SANDBOX" 2> /dev/null || true
    there daemon stop --force > /dev/null 2>&1 || true
    kill "$NAMESPACE"
    world_stop
}

in_there() { nsenter --mount="/proc/$NAMESPACE/ns/mnt" --wd="${IN:-/}" "$@"; }
there() { in_there aileron "$@"; }
agent() { IN=$WORLD/ws there launch --sandbox=bwrap -- sh -c "$1" > "$WORLD/out" 2>&1 3>&- & SANDBOX=$!; }
agent_ends() { local status=0; wait "$SANDBOX" || status=$?; SANDBOX=; [ "$status" -eq "$1" ]; }
waiting() { there approvals list | awk '{print $1}'; }
one_waits() { [ "$(waiting | wc -l)" -eq 1 ]; }
state_of() { there approvals show --json "$1" | jq -r .state; }

@test "A05 a flood of approvals is bounded, told with a code, and the person goes on working" {
    agent 'i=0; while [ $i -lt 60 ]; do curl -s -o answer$i -m 60 -d "n=$i" https://api.test/open/pay & i=$((i + 1)); done
        wait; cat answer*'
    many() { [ "$(waiting | wc -l)" -eq 20 ]; }
    wait_for many || wait_for many || wait_for many
    limited() { [ "$(cat "$WORLD"/ws/answer* 2> /dev/null | grep -o '"code":"limit"' | wc -l)" -eq 40 ]; }
    wait_for limited || wait_for limited || wait_for limited
    [ "$(waiting | wc -l)" -eq 20 ]
    # In the middle of it: what the person does is answered, and quickly.
    start=$(date +%s%N)
    id=$(waiting | head -n 1)
    there approvals show "$id" > /dev/null
    there approvals deny "$id"
    [ $((($(date +%s%N) - start) / 1000000)) -lt 5000 ]
    [ "$(state_of "$id")" = denied ]
    [ "$(upstream_count)" -eq 0 ]
    there audit verify
}

@test "A06 two deciders at once: one wins, the other is told" {
    for round in 1 2 3 4 5; do
        : > "$WORLD/up/requests.log"
        agent 'curl -s -o answer -w "%{http_code}\n" -d "n='$round'" https://api.test/open/pay'
        wait_for one_waits
        id=$(waiting)
        for verb in approve deny approve deny; do
            { status=0; there approvals $verb "$id" > "$WORLD/$verb.$RANDOM" 2>&1 || status=$?
                echo "$verb $status" >> "$WORLD/said.$round"; } 3>&- &
            deciders+=($!)
        done
        for pid in "${deciders[@]}"; do wait "$pid" || true; done
        deciders=()
        agent_ends 0
        cat "$WORLD/said.$round" "$WORLD"/approve.* "$WORLD"/deny.*
        [ "$(grep -c ' 0$' "$WORLD/said.$round")" -eq 1 ]
        [ "$(grep -c ' 1$' "$WORLD/said.$round")" -eq 3 ]
        case $(grep ' 0$' "$WORLD/said.$round") in
        approve*) [ "$(upstream_count)" -eq 1 ] ;;
        deny*) [ "$(upstream_count)" -eq 0 ] ;;
        esac
    done
    grep -q 'already' "$WORLD"/approve.* "$WORLD"/deny.*
}

# The last page of the record, or of the log of state.db, has room for some lines: it is asked until it has none.
@test "A06 no space: not stored means not decided, nothing is sent, and it can be decided when there is space" {
    agent 'curl -s -o answer -w "%{http_code}\n" -d n=1 https://api.test/open/pay'
    wait_for one_waits
    id=$(waiting)
    in_there dd if=/dev/zero of="$AILERON_HOME/ballast" bs=4k > /dev/null 2>&1 || true
    # Fill the record's last page, too, with lines of the person's own.
    for i in $(seq 40); do there vault put --from-file="$WORLD/up/secret" user/none > /dev/null 2>&1 || true; done
    run there approvals approve "$id"
    [ "$status" -eq 74 ]
    grep -qi 'space' <<< "$output"
    [ "$(state_of "$id")" = pending ]
    run there approvals deny "$id"
    [ "$status" -eq 74 ]
    [ "$(state_of "$id")" = pending ]
    [ "$(upstream_count)" -eq 0 ]
    in_there rm "$AILERON_HOME/ballast"
    there approvals approve "$id"
    agent_ends 0
    grep -q '^200$' "$WORLD/out"
    [ "$(upstream_count)" -eq 1 ]
    there audit verify
}

@test "A06 a home that is read-only: not decided, and decided when it is not" {
    agent 'curl -s -o answer -w "%{http_code}\n" -d n=1 https://api.test/open/pay'
    wait_for one_waits
    id=$(waiting)
    # The daemon has its files open; a limit on their size is what it meets then.
    daemon=$(in_there cat "$AILERON_HOME/run/daemon.pid")
    prlimit --pid "$daemon" --fsize=1:unlimited
    run there approvals approve "$id"
    [ "$status" -eq 74 ]
    [ "$(state_of "$id")" = pending ]
    [ "$(upstream_count)" -eq 0 ]
    prlimit --pid "$daemon" --fsize=unlimited:unlimited
    there approvals approve "$id"
    agent_ends 0
    [ "$(upstream_count)" -eq 1 ]
    there audit verify
}
