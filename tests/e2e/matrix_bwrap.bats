# Any image, under each engine: it starts, a name resolves in it, the API is called with a credential that it never sees,
# and the exit status is the program's. The file's name is the engine: matrix_docker.bats and matrix_podman.bats are
# links to this one. tests/lib/images makes the images, and says what is in each.
# bats file_tags=own-world
load ../lib/world.bash
world_by_engine scratch
bats_require_minimum_version 1.5.0

setup_file() {
    world_share
    [ -z "${WORLD_SKIP:-}" ] || return 0
    # The workspace is somebody's where the engine can be him, so that the agent is no root inside.
    [ "$ENGINE" = bwrap ] || chown 1234:2345 "$WORLD/ws"
    chmod 755 "$WORLD"
}
setup() { world_skip; world_clean_environment; : > "$WORLD/up/requests.log"; }

# Runs a command in the image; bwrap gets it in one of the three forms that it takes.
in_image() { # NAME FORM COMMAND...
    local name=$1 form=$2 image option=--image
    shift 2
    if [ "$ENGINE" = bwrap ]; then option=--rootfs; else form=$ENGINE; fi
    image=$("$TESTS_LIB/images" "$name" "$form") || return 99
    (cd "$WORLD/ws" && aileron launch --sandbox="$ENGINE" "$option=$image" -- "$@" 2> "$WORLD/stderr")
}
# What each must do, by a shell of busybox: a name, the API by the proxy and captured by name, a status.
STORY='b=$1; $b nslookup api.test | $b grep "^Address: 127\." && $b wget -qO- https://api.test/user &&
    $b env -u https_proxy -u HTTPS_PROXY $b wget -qO- https://api.test/user && echo "user $($b id -u)" &&
    echo x > made && echo x > ~/x && echo x > /tmp/x && echo wrote; exit 7'
tells_its_story() { # NAME FORM SHELL BUSYBOX
    rm -f "$WORLD/ws/made"
    run in_image "$1" "$2" "$3" ${SHELL_WORD:-} -c "$STORY" sh "$4"
    cat "$WORLD/stderr"
    [ "$status" -eq 7 ]
    grep -q '^Address: 127\.' <<< "$output"
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 2 ]
    absent -F "$SECRET" <<< "$output"
    [ "$(upstream_count)" -eq 2 ]
    grep -qx wrote <<< "$output"
    grep -qx "user $([ "$ENGINE" = bwrap ] && echo 1000 || echo 1234)" <<< "$output"
    [ -e "$WORLD/ws/made" ]
}

@test "debian" {
    run in_image debian dir sh -c 'getent hosts api.test && curl -sS https://api.test/user &&
        curl -sS --noproxy "*" https://api.test/user && wget -qO- https://api.test/user && whoami; exit 7'
    cat "$WORLD/stderr"
    [ "$status" -eq 7 ]
    grep -q '^127\.' <<< "$output"
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 3 ]
    absent -F "$SECRET" <<< "$output"
    [ "$(tail -n 1 <<< "$output")" = agent ]
}

@test "busybox and musl" {
    tells_its_story alpine tar /bin/sh busybox
    run in_image alpine tar resolve api.test
    [ "$status" -eq 0 ]
    grep -qx '127\.[0-9.]* agent' <<< "$output"
}

@test "no shell: curl and its libraries" {
    for option in --silent --noproxy=*; do
        run in_image distroless oci curl -sS "${option%%=*}" ${option#"${option%%=*}"=} https://api.test/user
        [ "$status" -eq 0 ]
        grep -q '"login": "octo"' <<< "$output"
        absent -F "$SECRET" <<< "$output"
    done
    run in_image distroless oci curl -sS file:///none
    [ "$status" -eq 37 ]
    run -127 in_image distroless oci sh -c true
}

@test "one static program" {
    SHELL_WORD=sh tells_its_story scratch tar /busybox /busybox
}

@test "another user" {
    tells_its_story user oci sh busybox
    run in_image user oci sh -c 'echo "$FROM_IMAGE"; pwd; cat /home/app/file; id -u app; whoami'
    [ "$status" -eq 0 ]
    [ "$(tr '\n' ' ' <<< "$output")" = "yes /home/agent/workspace the image's 4711 agent " ]
}

@test "an entry point" {
    tells_its_story entrypoint oci sh busybox
}

@test "a read-only root" {
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    echo 'sandbox: { read_only: true }' >> "$AILERON_HOME/config.yaml"
    run in_image readonly tar sh -c "(echo x > /new) 2> /dev/null && echo WRITTEN; cat /etc/passwd; $STORY" sh busybox
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    cat "$WORLD/stderr"
    [ "$status" -eq 7 ]
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 2 ]
    grep -qx wrote <<< "$output"
    absent WRITTEN <<< "$output"
    # The supervisor cannot add to it: a container gets one that is mounted, and bwrap's is made with the agent in it.
    grep -q '^root:x:0:' <<< "$output"
    [ "$ENGINE" = bwrap ] || grep -qx 'nobody:x:65534:65534:nobody:/nonexistent:/bin/false' <<< "$output"
}

@test "no /home, nor anything beside a shell" {
    tells_its_story nohome dir sh /bin/busybox
}

# curl without a variable knows what is in the image's own file.
@test "an authority of its own" {
    tells_its_story ownca oci sh busybox
    run in_image ownca oci sh -c 'env -i /usr/bin/curl -sS https://api.test/user
        head -n "$(cat /usr/local/share/ca-certificates/own.crt | wc -l)" /etc/ssl/certs/ca-certificates.crt |
            cmp - /usr/local/share/ca-certificates/own.crt && echo kept'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    grep -qx kept <<< "$output"
}
