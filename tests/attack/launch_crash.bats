# F02: kill -9 of the daemon at each commit, record line and message of a launch, one after another, found by the hook of
# crash.bats. Whatever the launch makes of it, nothing is left but a record in which what began has ended, once.
bats_require_minimum_version 1.5.0
load ../lib/world.bash
ENGINE=bwrap
BIN=$ROOT/build/$([[ $BIN == */build/bin ]] && echo release || basename "$(dirname "$BIN")")/crash

setup() {
    [ -x "$BIN/aileron" ] || make -s -C "$ROOT" "${BIN#"$ROOT"/}/aileron"
    world_start api.test || return 1
    export WORLD
}

teardown() { world_stop; }

no_folders() { [ -z "$(ls "$AILERON_HOME/run/sessions" "$AILERON_HOME/run/private" | grep -v ':$')" ]; }
nothing_runs() { [ -z "$(aileron session list | grep -v ' ending ')" ]; }
# The point may lie behind the launch, and then it is this that meets it.
unlock() { aileron vault unlock > /dev/null 2>&1 || aileron vault unlock > /dev/null; }
# One that was not told to have begun may have an end: the daemon died between the row in state.db and the line.
every_start_has_its_end() {
    aileron audit list --event=session.end --json | jq -r .session | sort > ends
    [ -z "$(uniq -d ends)" ] &&
        [ -z "$(comm -23 <(aileron audit list --event=session.start --json | jq -r .session | sort) ends)" ]
}

@test "F02: the daemon is killed at each step of a launch: no directory, no session, and every start has its end" {
    for point in $(seq 24); do
        unlock
        echo "$point" > "$AILERON_HOME/crash-at"
        status=0
        inside true > "out-$point" 2>&1 || status=$?
        rm -f "$AILERON_HOME/crash-at"
        [ "$status" -eq 0 ] || [ "$status" -eq 125 ] || { cat "out-$point"; return 1; }
        [ "$status" -eq 0 ] || grep -q '^aileron: ' "out-$point"
    done
    unlock
    [ "$(aileron audit list --event=daemon.start --json | wc -l)" -ge 12 ]
    wait_for nothing_runs
    wait_for no_folders
    cd "$WORLD"
    wait_for every_start_has_its_end
    aileron audit verify
}
