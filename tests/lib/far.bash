# A docker engine that is truly on another machine, as far as a machine can have two: a dockerd in a network namespace
# that a cable (veth) leads to, and in a mount namespace that shows neither the world of the test nor the program.
#
#   far_can      false, and WORLD_SKIP says why, where it cannot be made here
#   far_start    FAR_HERE is our end of the cable, FAR_THERE theirs; DOCKER_HOST is tcp://FAR_THERE:2375, IMAGE is there
#   far_stop
# Sourced after world.bash, with a world that has been started.

far_can() {
    WORLD_SKIP=
    command -v dockerd > /dev/null || WORLD_SKIP="no dockerd here"
    [ "$(id -u)" -eq 0 ] || WORLD_SKIP="only root can make another machine"
    [ -n "$WORLD_SKIP" ] || unshare -n true 2> /dev/null || WORLD_SKIP="no network namespace can be made"
    [ -n "$WORLD_SKIP" ] || ip link add "far$$" type veth peer name "raf$$" 2> /dev/null || WORLD_SKIP="no veth can be made"
    ip link del "far$$" 2> /dev/null || true
    export WORLD_SKIP
    [ -z "$WORLD_SKIP" ]
}

# Addresses that nobody has: several of these may be there at once.
far_number() {
    local n
    for n in $(shuf -i 10-250 -n 40); do
        ip -4 addr | grep -q "10\.213\.$n\." || ip -4 route | grep -q "10\.214\.$n\." || { echo "$n"; return; }
    done
    return 1
}

far_start() { # [DOCKERD-OPTION...]
    local n
    n=$(far_number) || return 1
    FAR=$(mktemp -d /tmp/far.XXXXXX)
    FAR_HERE=10.213.$n.1 FAR_THERE=10.213.$n.2 FAR_LINK=far$n
    export FAR FAR_HERE FAR_THERE FAR_LINK FAR_PID DOCKER_HOST IMAGE
    mkfifo "$FAR/go"
    # It waits for its end of the cable, hides what is the other machine's, and becomes dockerd.
    unshare -n -m --propagation private sh -c '
        read -r _ < "$1/go"
        for hidden in "$2" "$3"; do mount -t tmpfs none "$hidden" || exit 1; done
        ip link set lo up && ip link set "raf$4" name eth0 && ip addr add "10.213.$4.2/24" dev eth0 &&
            ip link set eth0 up && ip route add default via "10.213.$4.1" || exit 1
        n=$4 dir=$1
        shift 4
        exec dockerd --host "tcp://10.213.$n.2:2375" --tls=false --host "unix://$dir/sock" --data-root "$dir/data" \
            --exec-root "$dir/exec" --pidfile "$dir/pid" --iptables=false --ip6tables=false --ip-masq=false \
            --bip "10.214.$n.1/24" "$@"' sh "$FAR" "$WORLD" "$BIN" "$n" "$@" > "$FAR/log" 2>&1 3>&- 7>&- &
    FAR_PID=$!
    wait_for far_apart || return 1 # before that its namespace is ours, and both ends of the cable would be here
    ip link add "$FAR_LINK" type veth peer name "raf$n" netns "$FAR_PID" || return 1
    ip addr add "$FAR_HERE/24" dev "$FAR_LINK" && ip link set "$FAR_LINK" up &&
        ip route add "10.214.$n.0/24" via "$FAR_THERE" || return 1
    echo go > "$FAR/go"
    DOCKER_HOST=tcp://$FAR_THERE:2375
    wait_for far_answers || { tail -n 5 "$FAR/log" >&2; return 1; }
    IMAGE=aileron-far:$n
    docker import "$("$TESTS_LIB/image" scratch archive)" "$IMAGE" > /dev/null
}

far_apart() { [ "$(readlink "/proc/$FAR_PID/ns/net")" != "$(readlink /proc/$$/ns/net)" ]; }
far_answers() { timeout 5 docker version > /dev/null 2>&1; }

far_stop() {
    [ -n "${FAR:-}" ] || return 0
    kill "$FAR_PID" 2> /dev/null || true
    wait "$FAR_PID" 2> /dev/null || true
    ip link del "$FAR_LINK" 2> /dev/null || true
    umount -l "$FAR"/exec/netns/* 2> /dev/null || true
    rm -rf --one-file-system "$FAR"
    FAR=
}
