# podman as an ordinary user: he keeps his id in the sandbox, and all that is his on the host stays his. He is made for
# this file: a name and subordinate ids in files that only a mount namespace of ours has.
ENGINE=podman
load ../lib/world.bash
bats_require_minimum_version 1.5.0

ID=4321

setup_file() {
    world_image scratch
    [ -n "$WORLD_SKIP" ] || command -v newuidmap > /dev/null || WORLD_SKIP="no newuidmap here (the package uidmap)"
    [ -n "$WORLD_SKIP" ] || setpriv --reuid $ID --regid $ID --clear-groups unshare -U true || WORLD_SKIP="no user namespaces for users here"
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    chmod 755 "$WORLD"
    install -d -m 700 -o $ID -g $ID "$WORLD/u" "$WORLD/u/run" "$WORLD/u/ws"
    mkdir "$WORLD/etc"
    for file in passwd group subuid subgid; do cp "/etc/$file" "$WORLD/etc/" || : > "$WORLD/etc/$file"; done
    echo "aileron-test:x:$ID:$ID::$WORLD/u:/bin/sh" >> "$WORLD/etc/passwd"
    echo "aileron-test:x:$ID:" >> "$WORLD/etc/group"
    echo "aileron-test:2000000:65536" | tee -a "$WORLD/etc/subuid" >> "$WORLD/etc/subgid"
    cp "$BIN/aileron" "$WORLD/u/aileron"
    aileron daemon stop > /dev/null
    cp -r "$AILERON_HOME" "$WORLD/u/.aileron"
    chown -R $ID:$ID "$WORLD/u"
    chmod 644 "$WORLD/up/ca.pem"
    # One for all: podman's processes of one user share his first one's.
    unshare -m sh -c 'for file in passwd group subuid subgid; do mount --bind "$0/etc/$file" /etc/$file || exit; done
        exec sleep 1000' "$WORLD" 3>&- 7>&- &
    export HOLDER=$!
    is_there() { nsenter -m -t "$HOLDER" grep -q aileron-test /etc/subgid; }
    wait_for is_there || return 1
    as_user "$WORLD/u/aileron" vault unlock > /dev/null || return 1
    as_user podman import "$("$TESTS_LIB/image" scratch archive)" "$IMAGE" > /dev/null 2>&1
}

teardown_file() {
    [ -n "${WORLD:-}" ] || return 0
    as_user "$WORLD/u/aileron" daemon stop --force > /dev/null 2>&1 || true
    # podman keeps a process to hold its namespace; what is in its storage belongs to subordinate ids.
    kill "$(cat "$WORLD/u/run/libpod/tmp/pause.pid")" "$HOLDER" || true
    world_stop
}
setup() {
    world_skip
    world_clean_environment
    : > "$WORLD/up/requests.log"
}

as_user() { # COMMAND...
    nsenter -m -t "$HOLDER" env -i -C "$WORLD/u/ws" HOME="$WORLD/u" XDG_RUNTIME_DIR="$WORLD/u/run" PATH="$PATH" \
        TMPDIR="$WORLD/u/run" LC_ALL=C.UTF-8 AILERON_VAULT_PASSPHRASE="$AILERON_VAULT_PASSPHRASE" \
        ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} setpriv --reuid $ID --regid $ID --clear-groups "$@"
}
theirs() { as_user "$WORLD/u/aileron" launch --sandbox=podman --image="$IMAGE" -- "$@"; }

@test "he is himself in the sandbox, without capabilities, and what is written is his on the host" {
    run -7 --separate-stderr theirs /busybox sh -c '/busybox id -u; /busybox id -g; pwd; echo made > made
        echo x > ~/x && echo x > /tmp/x && echo wrote; /busybox grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs)" /proc/self/status; exit 7'
    [ "${lines[*]:0:4}" = "$ID $ID /home/agent/workspace wrote" ]
    [ "$(grep -c '^Cap.*[[:space:]]0000000000000000$' <<< "$output")" -eq 3 ]
    grep -qx $'NoNewPrivs:\t1' <<< "$output"
    [ "$(stat -c %u:%g "$WORLD/u/ws/made")" = $ID:$ID ]
    absent 'is root in the sandbox' <<< "$stderr"
}

@test "a request has its credential, the sandbox has not, and there is no other way out" {
    run -0 --separate-stderr theirs /busybox sh -c '/busybox wget -qO- https://api.test/user; /busybox env; /busybox ip -o link
        /busybox cat /etc/hosts /proc/1/environ; echo'
    grep -q '"login": "octo"' <<< "$output"
    absent -aF "$SECRET" <<< "$output"
    [ "$(grep -c '^[0-9]*: ' <<< "$output")" -eq 1 ]
    absent host.containers.internal <<< "$output"
    [ "$(upstream_count)" -eq 1 ]
}

@test "processes are bounded, by cgroups or by the user namespace" {
    run theirs /busybox sh -c 'echo begun; i=0; while [ $i -lt 600 ]; do /busybox sleep 20 & i=$((i + 1)); done; echo "all of them"'
    grep -q '^begun$' <<< "$output"
    absent '^all of them$' <<< "$output"
}

@test "nothing is left of a container, and the doctor says with what podman works" {
    theirs /busybox true
    [ -z "$(as_user podman ps -aq)" ]
    as_user "$WORLD/u/aileron" doctor > "$WORLD/doctor" || true
    grep -q '^podman *\(ok *works with /\|warning *its memory cannot be limited here\)' "$WORLD/doctor"
}

@test "containers.conf of the user shows the sandbox nothing and gives it nothing" {
    mkdir -p "$WORLD/u/.config/containers" "$WORLD/u/private"
    echo "of the host" > "$WORLD/u/private/file"
    printf '[containers]\nvolumes = ["%s:/private"]\nenv = ["FROM_CONF=1"]\nprivileged = true\ndefault_capabilities = ["SYS_ADMIN"]\n' \
        "$WORLD/u/private" > "$WORLD/u/.config/containers/containers.conf"
    chown -R $ID:$ID "$WORLD/u/.config" "$WORLD/u/private"
    run -0 theirs /busybox sh -c '/busybox cat /private/file; /busybox env; echo done'
    rm -r "$WORLD/u/.config"
    absent 'of the host\|FROM_CONF' <<< "$output"
    grep -qx done <<< "$output"
}
