# bwrap with a root file system that is not the host's: a directory with one static program and nothing else shows that
# nothing has to be in it, one with symlinks where ours have to be that nothing in it leads out.
# bats file_tags=own-world
ENGINE=bwrap
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    mkdir "$WORLD/bare"
    cp "$(command -v busybox)" "$WORLD/bare/busybox"
    add_libraries "$WORLD/bare"
}
# A program under test that is not static itself, as one with sanitizers cannot be, needs its loader and libraries.
add_libraries() { # DIR
    local library
    for library in $(ldd "$BIN/aileron" 2> /dev/null | grep -o '/[^ ]*'); do install -D "$library" "$1$library"; done
}
teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

bb() { (cd "$WORLD/ws" && aileron launch --rootfs="${ROOTFS:-$WORLD/bare}" -- /busybox "$@" 2> "$WORLD/stderr"); }

@test "a root of one static program: it runs, resolves and calls, with its own exit status" {
    run bb sh -c 'echo "$0 $AILERON_SANDBOX_RUNTIME $PATH"; /busybox nslookup api.test > names; /busybox wget -qO- https://api.test/user; exit 7' word
    [ "$status" -eq 7 ]
    [ "${lines[0]}" = "word bwrap /opt/aileron/shims:/opt/aileron/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" ]
    grep -q '"login": "octo"' <<< "$output"
    absent -F "$SECRET" <<< "$output"
    grep -q '^Address: 127\.' "$WORLD/ws/names"
    run bb sh -c 'kill -TERM $$'
    [ "$status" -eq 143 ]
}

# A tree that has links where the sandbox has directories of its own, all of them leading out of it.
make_odd() {
    [ ! -e "$WORLD/odd" ] || return 0
    mkdir -p "$WORLD/odd/etc/ssl/certs" "$WORLD/odd/var/lib/kept" "$WORLD/odd/home/app" "$WORLD/outside"
    cp "$WORLD/bare/busybox" "$WORLD/odd/busybox"
    add_libraries "$WORLD/odd"
    printf 'root:x:0:0:root:/root:/bin/sh\napp:x:4711:4711::/home/app:/bin/sh' > "$WORLD/odd/etc/passwd"
    ln -s "$WORLD/outside" "$WORLD/odd/opt"
    ln -s "$WORLD/outside" "$WORLD/odd/home/agent"
    ln -s "$WORLD/outside/hosts" "$WORLD/odd/etc/hosts"
    ln -s "$AILERON_HOME/vault" "$WORLD/odd/etc/group"
    ln -s /nonexistent "$WORLD/odd/tmp"
    ln -s "$WORLD/outside" "$WORLD/odd/etc/aileron"
    ln -s "$WORLD/outside" "$WORLD/odd/link"
    echo setting > "$WORLD/odd/etc/setting"
    echo file > "$WORLD/odd/home/app/file"
    echo "the image's own" > "$WORLD/odd/etc/ssl/certs/ca-certificates.crt"
}

@test "what the root has is there, beside what the sandbox needs, and nothing is written to it" {
    make_odd
    before=$(cd "$WORLD/odd" && find . -printf '%p %y %m %l %T@\n' | sort)
    ROOTFS=$WORLD/odd run bb sh -c '/busybox cat /etc/passwd /etc/setting /home/app/file /etc/hosts /etc/group
        /busybox head -n 1 /etc/ssl/certs/ca-certificates.crt; /busybox whoami; /busybox ls -d /var/lib/kept; /busybox readlink /link
        for place in / /etc /etc/passwd /var/lib/kept /home/app/file /usr /busybox; do
            (echo x >> $place/new || echo x >> $place) 2> /dev/null && echo "WRITTEN $place"
        done
        echo x > /tmp/x && echo x > /var/tmp/x && echo x > ~/x && echo x > made && echo wrote
        /busybox wget -qO- https://api.test/user'
    [ "$status" -eq 0 ]
    grep -qx 'app:x:4711:4711::/home/app:/bin/sh' <<< "$output"
    grep -qx 'agent:x:[0-9]*:[0-9]*:Agent:/home/agent:/bin/sh' <<< "$output"
    grep -qx setting <<< "$output"
    grep -qx file <<< "$output"
    grep -qx '127.0.0.1 localhost' <<< "$output"
    grep -qx "the image's own" <<< "$output"
    grep -qx agent <<< "$output"
    grep -qx "$WORLD/outside" <<< "$output"
    grep -qx wrote <<< "$output"
    grep -q '"login": "octo"' <<< "$output"
    absent WRITTEN <<< "$output"
    [ "$(cd "$WORLD/odd" && find . -printf '%p %y %m %l %T@\n' | sort)" = "$before" ]
    [ -z "$(ls -A "$WORLD/outside")" ]
}

@test "the session's authority is added to the root's own file of them" {
    make_odd
    ROOTFS=$WORLD/odd run bb sh -c '/busybox tail -n +3 /etc/ssl/certs/ca-certificates.crt | /busybox cmp - /etc/aileron/ca-extra.pem'
    [ "$status" -eq 0 ]
    run bb cmp /etc/ssl/certs/ca-certificates.crt /etc/aileron/ca-bundle.pem
    [ "$status" -eq 0 ]
}

@test "what cannot be a root is refused, with the reason" {
    cd "$WORLD/ws"
    mkdir -p root
    for try in "/|this host's own" "$WORLD|would show the home directory or Aileron's files" \
        "$AILERON_HOME/run|would show the home directory or Aileron's files" \
        "$WORLD/ws/root|the agent could change it" "$WORLD/none|there is no root file system"; do
        run -125 aileron launch --rootfs="${try%%|*}" -- /busybox true
        grep -qF "${try##*|}" <<< "$output"
    done
    run -64 aileron launch --rootfs="$WORLD/bare" --image=debian -- /busybox true
    run -64 aileron launch --rootfs="$WORLD/bare" --sandbox=docker -- /busybox true
    grep -q 'is for the engine bwrap' <<< "$output"
}

@test "sandbox.rootfs of config.yaml is taken where bwrap is, and the record says so" {
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    echo "sandbox: { runtime: bwrap, rootfs: ../bare }" >> "$AILERON_HOME/config.yaml"
    cd "$WORLD/ws"
    run aileron launch -- /busybox sh -c 'echo "$AILERON_SANDBOX_IMAGE"; exit 4'
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    [ "$status" -eq 4 ]
    grep -qx rootfs <<< "$output"
    session=$(grep -o 'session [0-9A-Z]*' <<< "$output" | cut -d' ' -f2)
    aileron audit list --json --session "$session" | grep -qF "\"image\":\"$WORLD/bare\""
}

@test "an ordinary user unpacks and launches, too" {
    if [ "$(id -u)" -ne 0 ]; then skip "only root can become another user"; fi
    setpriv --reuid 4711 --regid 4711 --clear-groups unshare -U true || skip "no user namespaces for users here"
    mkdir -p "$WORLD/other/home" "$WORLD/other/ws"
    cp "$BIN/aileron" "$WORLD/other/aileron"
    tar -C "$WORLD/bare" -cf "$WORLD/other/image.tar" .
    chmod 700 "$WORLD/other/home"
    chmod 755 "$WORLD"
    chown -R 4711:4711 "$WORLD/other"
    as_other() {
        setpriv --reuid 4711 --regid 4711 --clear-groups env AILERON_HOME="$WORLD/other/home" HOME="$WORLD/other" "$@"
    }
    cd "$WORLD/other/ws"
    for launch in first again; do
        run as_other ../aileron launch --rootfs=../image.tar -- /busybox sh -c '/busybox id -u; echo x > made; echo x > ~/x && exit 5'
        [ "$status" -eq 5 ]
        grep -qx 4711 <<< "$output"
        [ "$(stat -c %u made)" = 4711 ]
        grep -c 'unpacking the image' <<< "$output" >> "$WORLD/unpacked-$launch" || true
    done
    [ "$(cat "$WORLD/unpacked-first" "$WORLD/unpacked-again" | tr '\n' ' ')" = "1 0 " ]
    as_other ../aileron daemon stop
}
