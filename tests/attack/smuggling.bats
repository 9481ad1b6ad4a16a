# C09 (and C03, C07, C08, E09, E10, F08 where they are about bytes): the corpus of tests/smuggling, sent from a sandbox
# through the real program to a real nginx and a real Node, and answers of a hostile upstream. README there says how.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap
CORPUS=$ROOT/tests/smuggling

setup_file() {
    world_start api.test hostile.test two.test || return 1
    mkdir "$WORLD/tee"
    cp "$WORLD"/up/*.pem "$WORLD/tee"
    cp "$CORPUS"/*.txt "$CORPUS"/*.py "$WORLD/ws"
    /usr/bin/python3 "$CORPUS/upstreams.py" "$WORLD/tee" "$WORLD/ws" < "$WORLD/up/stdin" > "$WORLD/tee/out" 2>&1 3>&- &
    UPSTREAM_PID="$UPSTREAM_PID $!"
    wait_for test -s "$WORLD/tee/port" -a -s "$WORLD/tee/plain-port" -a -s "$WORLD/tee/two-port" || { cat "$WORLD/tee/out"; return 1; }
    sed -i -e "/two.test/s/127.0.0.1:$UP_PORT/127.0.0.1:$(cat "$WORLD/tee/two-port")/" \
        -e "s/127.0.0.1:$UP_PORT/127.0.0.1:$(cat "$WORLD/tee/port")/" \
        -e "s/127.0.0.1:$UP_PLAIN_PORT/127.0.0.1:$(cat "$WORLD/tee/plain-port")/" "$AILERON_HOME/config.yaml"
    sed -i 's/hosts: .*/hosts: [api.test, hostile.test, two.test]/' "$AILERON_HOME/bindings.yaml"
    cat >> "$AILERON_HOME/policy.yaml" <<'YAML'
  - { name: hidden, host: api.test, paths: ["/smuggled/**", /smuggled], action: deny }
  - { name: hidden there, host: two.test, paths: ["/smuggled/**", /smuggled], action: deny }
  - { name: hidden too, host: plain.test, paths: ["/smuggled/**", /smuggled], action: deny }
YAML
    aileron policy reload > /dev/null || return 1
    inside python3 client.py . || return 1
    export WORLD UPSTREAM_PID
}
teardown_file() { world_stop; }

check() { /usr/bin/python3 "$CORPUS/check.py" "$WORLD/tee" "$WORLD/ws" "$AILERON_HOME" "$1"; }

@test "C09 the corpus: answers" { check answers; }

@test "C09 the corpus: chunks" { check chunks; }

@test "C09 the corpus: codings" { check codings; }

@test "C09 the corpus: hidden" { check hidden; }

@test "C09 the corpus: hops" { check hops; }

@test "C09 the corpus: hosts" { check hosts; }

@test "C09 the corpus: http2" { check http2; }

@test "C09 the corpus: lengths" { check lengths; }

@test "C09 the corpus: lines" { check lines; }

@test "C09 the corpus: targets" { check targets; }

@test "C09 the corpus: nginx and Node read the same requests, and none that is hidden" { check all; }
