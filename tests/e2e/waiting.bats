# Waiting for a person: many at once, in any order, through pipes that break and a daemon that dies; each way to end has
# a status of its own, and who waits costs nothing meanwhile.
# bats file_tags=own-world
bats_require_minimum_version 1.5.0
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    cat > "$WORLD/calls.json" <<'JSON'
{"schema_version": 1, "connector": {"fqn": "test.example/wait", "version": "1.0.0"}, "tools": [{
  "name": "svc", "description": "asks", "operations": [
    {"name": "ask", "summary": "a person decides", "method": "POST", "path": "/open/{name}", "hosts": ["api.test"],
     "approval": "required", "preview": "ask {name}",
     "inputs": [{"name": "name", "type": "string", "required": true, "in": "path"}]},
    {"name": "held", "summary": "until it is released", "method": "GET", "path": "/held", "hosts": ["api.test"],
     "inputs": []}]}]}
JSON
    aileron connector add "$WORLD/calls.json"
}

teardown_file() { world_stop; }
setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    rm -rf "$WORLD/ws"/* "$WORLD"/out* "$WORLD"/said*
    SANDBOXES=()
    world_configure ''
}
teardown() { local pid; for pid in "${SANDBOXES[@]}"; do kill "$pid" 2> /dev/null; wait "$pid" 2> /dev/null; done || true; }

world_configure() { # LINE of config.yaml
    sed -i '/^approvals:/d;/^limits:/d' "$AILERON_HOME/config.yaml"
    [ -z "$1" ] || echo "$1" >> "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
}
agent() { # NAME SCRIPT: in the background, with output in WORLD/out.NAME
    inside sh -c "$2" > "$WORLD/out.$1" 2> "$WORLD/said.$1" 3>&- &
    SANDBOXES+=($!)
}
ends() { # NUMBER STATUS
    local status=0
    wait "${SANDBOXES[$1]}" || status=$?
    [ "$status" -eq "$2" ]
}
waiting() { aileron approvals list | awk '{print $1}'; }
so_many_wait() { [ "$(waiting | wc -l)" -eq "$1" ]; }
approve_all() { local id; for id in $(waiting | "$@"); do aileron approvals approve "$id" > /dev/null; done; }

@test "two sessions, ten operations each, approved in reverse order, drained with results in full" {
    for name in a b; do
        agent $name 'for i in 0 1 2 3 4 5 6 7 8 9; do svc ask --name '$name'$i 2> said; echo "$?"; done
            touch asked.'$name'; while [ ! -e go ]; do sleep 0.05; done; aileron-wait --drain'
    done
    wait_for so_many_wait 20
    [ "$(grep -c '^75$' "$WORLD/out.a")" -eq 10 ]
    approve_all tac
    sent() { [ "$(upstream_count)" -eq 20 ]; }
    wait_for sent
    all_done() { [ "$(aileron audit list --event=operation --json | grep -c '"state":"succeeded"')" -eq 20 ]; }
    wait_for all_done
    touch "$WORLD/ws/go"
    ends 0 0
    ends 1 0
    for name in a b; do
        sed -n '/^{/p' "$WORLD/out.$name" > "$WORLD/drained"
        [ "$(wc -l < "$WORLD/drained")" -eq 10 ]
        [ "$(jq -r .state "$WORLD/drained" | sort -u)" = succeeded ]
        for i in 0 1 2 3 4 5 6 7 8 9; do
            [ "$(jq -r .result "$WORLD/drained" | grep -c "\"path\": \"/open/$name$i\"")" -eq 1 ]
        done
    done
    [ "$(jq -r .path "$WORLD/up/requests.log" | sort | uniq -d | wc -l)" -eq 0 ]
}

@test "each end has a status of its own" {
    world_configure 'approvals: { expire: 2s }'
    agent late 'svc ask --name late 2> said; aileron-wait "$(grep -o "op_[0-9A-Z]*" said | head -n 1)"; echo "expired $?"'
    # The daemon looks once a minute; a new one looks at once.
    wait_for so_many_wait 1
    sleep 2.1
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    back() { aileron vault unlock; }
    wait_for back
    ends 0 0
    grep -q '^expired 79$' "$WORLD/out.late"
    grep -q '^aileron: expired: ' "$WORLD/said.late"
    world_configure ''
    agent rest 'id() { grep -o "op_[0-9A-Z]*" $1 | head -n 1; }
        svc ask --name no 2> no; svc ask --name open 2> open; svc ask --name yes 2> yes
        aileron-wait "$(id no)"; echo "denied $?"; aileron-wait "$(id yes)" > result; echo "done $?"
        aileron-wait --timeout=1s "$(id open)"; echo "open $?"; aileron-wait --timeout=1s --json "$(id open)" 2> json
        jq -r .error.code json; touch ran; svc held --idempotency-key k > held 2>&1
        sleep 1; svc held --idempotency-key k --json 2> unknown; echo "unknown $?"; jq -r .error.code unknown'
    wait_for so_many_wait 3
    for row in $(aileron approvals list --json | jq -r '.approvals[] | .id + "=" + .shown.preview | gsub(" "; "_")'); do
        case $row in
        *ask_no) aileron approvals deny "${row%%=*}" ;;
        *ask_yes) aileron approvals approve "${row%%=*}" ;;
        esac
    done
    wait_for test -e "$WORLD/ws/ran"
    held() { grep -q '"/held"' "$WORLD/up/requests.log"; }
    wait_for held
    kill -9 "$(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")" -f 'aileron worker')"
    ends 1 0
    cat "$WORLD/out.rest" "$WORLD/said.rest"
    grep -q '^denied 77$' "$WORLD/out.rest"
    grep -q '^done 0$' "$WORLD/out.rest"
    grep -q '^open 124$' "$WORLD/out.rest"
    grep -q '^timeout$' "$WORLD/out.rest"
    grep -q '^unknown 80$' "$WORLD/out.rest"
    [ "$(tail -n 1 "$WORLD/out.rest")" = unknown ]
    [ "$(grep -c '"/held"' "$WORLD/up/requests.log")" -eq 1 ]
}

@test "what an agent reads says what to do" {
    agent one 'svc ask --name words; svc ask --name words --json; while [ ! -e go ]; do sleep 0.05; done'
    wait_for so_many_wait 2
    touch "$WORLD/ws/go"
    ends 0 0
    grep -qE 'op_[0-9A-Z]{26} waits for a person.s approval\. .*nothing has been sent yet.*aileron-wait op_' \
        "$WORLD/said.one"
    grep -q '"next": *".*aileron-wait op_' "$WORLD/out.one"
}

@test "--any returns with the first that ends, whichever it is, and lives through a daemon that dies" {
    agent any 'for i in 0 1 2; do svc ask --name any$i 2> said$i; grep -o "op_[0-9A-Z]*" said$i | head -n 1; done > ids
        touch asked; aileron-wait --any $(cat ids); echo "status $?"'
    wait_for so_many_wait 3
    wait_for test -e "$WORLD/ws/asked"
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    back() { aileron vault unlock; }
    wait_for back
    aileron approvals approve "$(waiting | tail -n 1)"
    ends 0 0
    grep -q '"path": "/open/any2"' "$WORLD/out.any"
    grep -q '^status 0$' "$WORLD/out.any"
}

@test "aileron-wait lives through a daemon that dies" {
    agent one 'svc ask --name survives 2> said; touch asked; aileron-wait "$(grep -o "op_[0-9A-Z]*" said | head -n 1)"'
    wait_for so_many_wait 1
    wait_for test -e "$WORLD/ws/asked"
    for round in 1 2; do
        daemon=$(cat "$AILERON_HOME/run/daemon.pid")
        kill -9 "$daemon"
        another() { [ "$(cat "$AILERON_HOME/run/daemon.pid")" != "$daemon" ]; }
        wait_for another
        back() { aileron vault unlock; }
        wait_for back
    done
    aileron approvals approve "$(waiting)"
    ends 0 0
    grep -q '"path": "/open/survives"' "$WORLD/out.one"
}

@test "--drain into a pipe that closes: what was not written is there the next time" {
    agent pipe 'for i in 0 1 2 3 4 5; do svc ask --name pipe$i 2> said; done
        states() { curl -s -H "Authorization: Bearer $AILERON_TOKEN" "$AILERON_API_URL/operations?state=succeeded"; }
        while [ "$(states | grep -o "\"state\" *: *\"succeeded\"" | wc -l)" -ne 6 ]; do sleep 0.1; done
        aileron-wait --drain > /dev/full; echo "full $?"
        (trap "" PIPE; sh -c "sleep 0.2; aileron-wait --drain; echo pipe \$? >&2" | true)
        aileron-wait --drain > drained; echo "status $?"'
    wait_for so_many_wait 6
    approve_all cat
    ends 0 0
    cat "$WORLD/out.pipe" "$WORLD/said.pipe"
    grep -q '^full 74$' "$WORLD/out.pipe"
    grep -q '^pipe 74$' "$WORLD/said.pipe"
    for i in 0 1 2 3 4 5; do [ "$(jq -r .result "$WORLD/ws/drained" | grep -c "\"path\": \"/open/pipe$i\"")" -eq 1 ]; done
}

@test "who waits costs nothing: no system call of worker or daemon while ten wait" {
    command -v strace > /dev/null || skip "no strace"
    agent idle 'for i in 0 1 2 3 4 5 6 7 8 9; do svc ask --name idle$i 2> said$i
            aileron-wait "$(grep -o "op_[0-9A-Z]*" said$i | head -n 1)" & done; touch asked; wait'
    wait_for so_many_wait 10
    wait_for test -e "$WORLD/ws/asked"
    daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    worker=$(pgrep -P "$daemon" -f 'aileron worker')
    # Buffers and heap are given back once, soon after the last byte: one of these windows begins after that.
    quiet() { # PID: for five seconds it makes no call but the one that it sleeps in
        timeout 5 strace -f -p "$1" -o "$WORLD/strace" 3>&- || true
        cat "$WORLD/strace"
        [ "$(grep -c . "$WORLD/strace")" -le 2 ] || return 1
        [ "$(grep -cv epoll "$WORLD/strace")" -le 1 ]
    }
    for pid in $worker $daemon; do quiet "$pid" || quiet "$pid" || quiet "$pid" || quiet "$pid"; done
    for id in $(waiting); do aileron approvals deny "$id" > /dev/null; done
    ends 0 0
}
