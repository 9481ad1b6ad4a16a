# F01: kill -9 of the daemon at every commit, record line and message, found by a hook in a program of its own
# (build/CONFIG/crash). CRASH_ROUNDS says how many; CRASH_SEED repeats a run.
# bats file_tags=own-world
bats_require_minimum_version 1.5.0
load ../lib/world.bash
ENGINE=bwrap
BIN=$ROOT/build/$([[ $BIN == */build/bin ]] && echo release || basename "$(dirname "$BIN")")/crash

setup() {
    [ -x "$BIN/aileron" ] || make -s -C "$ROOT" "${BIN#"$ROOT"/}/aileron"
    world_start api.test || return 1
    export WORLD
    cat > "$WORLD/calls.json" <<'JSON'
{"schema_version": 1, "connector": {"fqn": "test.example/crash", "version": "1.0.0"}, "tools": [{
  "name": "svc", "description": "counted", "operations": [
    {"name": "put", "summary": "at once", "method": "POST", "path": "/open/{name}", "hosts": ["api.test"],
     "inputs": [{"name": "name", "type": "string", "required": true, "in": "path"}]},
    {"name": "ask", "summary": "a person decides", "method": "POST", "path": "/open/{name}", "hosts": ["api.test"],
     "approval": "required", "inputs": [{"name": "name", "type": "string", "required": true, "in": "path"}]}]}]}
JSON
    aileron connector add "$WORLD/calls.json"
}

teardown() { world_stop; }

@test "F01 kill -9 of the daemon at random commits: nothing lost, nothing twice" {
    cp "$TESTS_LIB/crash-rounds" "$WORLD/ws"
    inside /usr/bin/python3 crash-rounds --agent > "$WORLD/launch" 2>&1 3>&- &
    local launcher=$!
    status=0
    "$TESTS_LIB/crash-rounds" "${CRASH_ROUNDS:-6}" ${CRASH_SEED:-} > "$WORLD/said" 2>&1 || status=$?
    cat "$WORLD/said" | tee /dev/fd/3
    [ "$status" -eq 0 ]
    wait "$launcher"
    aileron audit verify
}

# Between the line and state.db nothing tells that it was written, but the record.
@test "F01 kill -9 of the daemon as it ends a session: the end is on the record, and once" {
    told() { aileron audit list --event="$1" --json | jq -r .session | sort; }
    each_has_one_end() { [ "$(told session.start)" = "$(told session.end)" ]; }
    local point launcher
    for point in $(seq 5); do
        rm -f "$WORLD/ws/first" "$WORLD/ws/go"
        inside sh -c 'touch first; while [ ! -e go ]; do sleep 0.02; done' > "$WORLD/launch" 2>&1 3>&- &
        launcher=$!
        wait_for test -e "$WORLD/ws/first"
        echo "$point" > "$AILERON_HOME/crash-at"
        touch "$WORLD/ws/go"
        wait "$launcher"
        rm -f "$AILERON_HOME/crash-at"
    done
    # Starts a daemon where the last one died, or is what it dies of.
    aileron vault unlock > /dev/null 2>&1 || aileron vault unlock > /dev/null
    [ "$(aileron audit list --event=daemon.start --json | wc -l)" -ge 4 ]
    wait_for each_has_one_end
    [ "$(told session.end | wc -l)" -eq 5 ]
    aileron audit verify
}
