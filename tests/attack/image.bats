# Images that somebody hostile has made: what is unpacked stays where it is unpacked, and nothing of it decides on the
# host. The engine is bwrap: docker unpacks its images itself.
ENGINE=bwrap
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_start api.test || return 1
    export WORLD
    mkdir "$WORLD/outside"
    echo untouched > "$WORLD/outside/file"
    chmod 700 "$WORLD/outside"
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    PROGRAMS=("exec:busybox:$(command -v busybox)")
    # A program under test that is not static itself, as one with sanitizers cannot be, needs its loader and libraries.
    for library in $(ldd "$BIN/aileron" 2> /dev/null | grep -o '/[^ ]*'); do
        PROGRAMS+=("exec:${library#/}:$library")
    done
    IMAGES=$AILERON_HOME/images
}

archive() { "$TESTS_LIB/archive.py" tar "$WORLD/image.tar" "${PROGRAMS[@]}" "$@"; }
layer() { "$TESTS_LIB/archive.py" tar "$WORLD/layer$1.tar" "${@:2}"; }
oci() { rm -rf "$WORLD/oci" && "$TESTS_LIB/archive.py" oci "$WORLD/oci" "${CONFIG:-"{}"}" "$@"; }
bb() { (cd "$WORLD/ws" && aileron launch --rootfs="${ROOTFS:-$WORLD/image.tar}" -- /busybox "$@" 2>&1); }
nothing_outside() {
    [ "$(ls -A "$WORLD/outside")" = file ]
    [ "$(cat "$WORLD/outside/file")" = untouched ]
    [ "$(stat -c %a "$WORLD/outside")" = 700 ]
    [ -z "$(find "$IMAGES" -name '.new.*')" ]
}

@test "F10: an archive with names that lead out is refused, and nothing of it is kept" {
    before=$(ls -A "$IMAGES" 2> /dev/null | wc -l)
    for entry in "file:../outside/new:x" "file:a/../../../outside/new:x" "file:$WORLD/outside/new:x" "dir:.." \
        "hard:mine:../outside/file" "hard:mine:$WORLD/outside/file"; do
        archive "$entry"
        run -125 bb true
        grep -q 'absolute, too long, .*or leads up' <<< "$output"
        nothing_outside
    done
    [ "$(ls -A "$IMAGES" | wc -l)" -eq "$before" ]
}

@test "F10: what is unpacked through links of the archive stays inside" {
    archive "link:out:$WORLD/outside" "link:up:../../../../../../../../..$WORLD/outside" \
        "dir:$(cut -c2- <<< "$WORLD")/outside" \
        "file:out/new:inside" "file:up/more:inside" "dir:out" "link:file:$WORLD/outside/file" "file:file:replaced" \
        "link:again:$WORLD/outside/file" "hard:same:again" "file:same:own"
    run bb cat /file /same
    [ "$status" -eq 0 ]
    [ "$(tail -n 1 <<< "$output")" = replacedown ]
    root=$(echo "$IMAGES/$(sha256sum < "$WORLD/image.tar" | cut -d' ' -f1)/root")
    [ "$(cat "$root/$WORLD/outside/new" "$root/$WORLD/outside/more")" = insideinside ]
    nothing_outside
    archive "link:loop:loop" "file:loop/x:x"
    run -125 bb true
    archive "link:out:$WORLD/outside" "file:out/new:x" # it is not there, inside
    run -125 bb true
    archive "hard:mine:busybox/../../../outside/file"
    run -125 bb true
    nothing_outside
}

@test "F10: devices are refused, set-id bits go, and a /dev of the image's is not taken" {
    for entry in "char:null" "fifo:pipe"; do
        archive "$entry"
        run -125 bb true
        grep -q 'a device or a FIFO' <<< "$output"
    done
    archive "dir:dev" "char:dev/null" "file:dev/own:x"
    run bb sh -c '/busybox ls /dev/own; echo x > /dev/null && /busybox stat -c %a /busybox'
    [ "$status" -eq 0 ]
    [ "$(tail -n 1 <<< "$output")" = 755 ]
    grep -q '/dev/own: No such' <<< "$output"
}

@test "F10: an archive that is none, is cut off, or that its program cannot read is refused" {
    printf 'no archive' > "$WORLD/image.tar"
    run -125 bb true
    grep -q 'damaged or no tar' <<< "$output"
    archive "file:x:x"
    head -c 20000 "$WORLD/image.tar" > "$WORLD/cut.tar"
    ROOTFS=$WORLD/cut.tar run -125 bb true
    grep -q 'cut off' <<< "$output"
    gzip -c "$WORLD/image.tar" | head -c 20000 > "$WORLD/cut.tar"
    ROOTFS=$WORLD/cut.tar run -125 bb true
    nothing_outside
}

@test "F10: a layout whose blobs are not what their names say is refused" {
    layer 1 "${PROGRAMS[@]}"
    for part in layer1.tar manifest config; do
        oci "$WORLD/layer1.tar"
        case $part in
        layer1.tar) blob=$(sha256sum < "$WORLD/layer1.tar" | cut -d' ' -f1) ;;
        manifest) blob=$(jq -r '.manifests[1].digest' "$WORLD/oci/index.json" | cut -d: -f2) ;;
        config) blob=$(grep -l architecture "$WORLD/oci/blobs/sha256/"* | xargs basename) ;;
        esac
        printf ' ' >> "$WORLD/oci/blobs/sha256/$blob"
        ROOTFS=$WORLD/oci run -125 bb true
        grep -q "the blob $blob has other contents than its name says" <<< "$output"
    done
    oci "$WORLD/layer1.tar"
    sed -i 's/sha256:[0-9a-f]*/sha256:..\/..\/index.json/g' "$WORLD/oci/index.json"
    ROOTFS=$WORLD/oci run -125 bb true
    grep -q 'a digest is sha256: and 64 digits' <<< "$output"
    nothing_outside
}

@test "F10: whiteouts take away what layers below have, and nothing else" {
    layer 1 "${PROGRAMS[@]}" "file:gone:x" "file:kept/below:x" "file:emptied/old:x" "link:out:$WORLD/outside"
    layer 2 "file:.wh.gone:" "file:emptied/new:x" "file:emptied/.wh..wh..opq:" "file:kept/.wh.none:" "file:out/.wh.file:"
    oci "$WORLD/layer1.tar" "$WORLD/layer2.tar"
    ROOTFS=$WORLD/oci run bb sh -c 'cd /; /busybox find gone kept emptied -type f; echo end'
    [ "$status" -eq 0 ]
    [ "$(tail -n 3 <<< "$output" | tr '\n' ' ')" = "kept/below emptied/new end " ]
    for bad in "file:.wh...:" "file:.wh..:" "file:kept/.wh.:"; do
        layer 2 "$bad"
        oci "$WORLD/layer1.tar" "$WORLD/layer2.tar"
        ROOTFS=$WORLD/oci run -125 bb true
        grep -q 'takes away what has no name' <<< "$output"
    done
    nothing_outside
}

@test "F10: an image of more layers, larger documents or more indexes than are read is refused" {
    layer 1 "${PROGRAMS[@]}"
    layer 2 "file:x:x"
    more=()
    for _ in $(seq 127); do more+=("$WORLD/layer2.tar"); done
    oci "$WORLD/layer1.tar" "${more[@]}"
    ROOTFS=$WORLD/oci run bb true
    [ "$status" -eq 0 ]
    oci "$WORLD/layer1.tar" "${more[@]}" "$WORLD/layer2.tar"
    ROOTFS=$WORLD/oci run -125 bb true
    grep -q 'layers' <<< "$output"

    oci "$WORLD/layer1.tar"
    cp "$WORLD/oci/index.json" "$WORLD/index"
    size=$(stat -c %s "$WORLD/index")
    head -c $((4194304 - size)) /dev/zero | tr '\0' ' ' >> "$WORLD/oci/index.json"
    ROOTFS=$WORLD/oci run bb true
    [ "$status" -eq 0 ]
    printf ' ' >> "$WORLD/oci/index.json"
    ROOTFS=$WORLD/oci run -125 bb true
    grep -q 'larger than 4194304' <<< "$output"

    cp "$WORLD/index" "$WORLD/oci/index.json"
    for depth in 1 2 3 4 5; do
        hash=$(sha256sum < "$WORLD/oci/index.json" | cut -d' ' -f1)
        mv "$WORLD/oci/index.json" "$WORLD/oci/blobs/sha256/$hash"
        echo '{"manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:'"$hash"'"}]}' \
            > "$WORLD/oci/index.json"
        ROOTFS=$WORLD/oci run bb true
        [ "$status" -eq $((depth > 4 ? 125 : 0)) ]
    done
    grep -q 'an index in an index, too deep' <<< "$output"
    nothing_outside
}

@test "F10: an image's variables reach its programs and none that runs on the host" {
    layer 1 "${PROGRAMS[@]}"
    cat > "$WORLD/evil.c" <<'C'
#include <fcntl.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) { open(getenv("EVIL_MARK"), O_CREAT | O_WRONLY, 0600); }
C
    gcc -shared -fPIC -o "$WORLD/evil.so" "$WORLD/evil.c"
    CONFIG=$(jq -n --arg so "LD_PRELOAD=$WORLD/evil.so" --arg mark "EVIL_MARK=$WORLD/loaded" \
        '{Env: [$so, $mark, "PATH=/own/bin", "OWN=kept", "AILERON_TOKEN=0", "HTTPS_PROXY=http://evil.test:1", "no form", 7],
          User: "99", Entrypoint: ["/busybox", "false"], Cmd: ["--version"], WorkingDir: "/nowhere"}')
    oci "$WORLD/layer1.tar"
    ROOTFS=$WORLD/oci run bb sh -c 'echo "$LD_PRELOAD $OWN ${#AILERON_TOKEN} $HTTPS_PROXY $PATH"; pwd'
    [ "$status" -eq 0 ]
    [ "$(tail -n 2 <<< "$output" | tr '\n' ' ')" = "$WORLD/evil.so kept 64 http://127.0.0.1:3128 /opt/aileron/shims:/opt/aileron/bin:/own/bin /home/agent/workspace " ]
    [ ! -e "$WORLD/loaded" ]
    # The library does what it is for: the test can fail.
    EVIL_MARK=$WORLD/loaded LD_PRELOAD=$WORLD/evil.so /usr/bin/true
    [ -e "$WORLD/loaded" ]
}
