# Connectors as tools: the shim and aileron-wait in a real sandbox, against a real HTTPS service.
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
}

teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

# Standard error goes to a file of its own, since the launcher speaks there too.
sandbox() { inside sh -c "$1" 2> "$WORLD/stderr"; }
stderr() { grep -v '^aileron: sandbox ' "$WORLD/stderr"; }

@test "an operation's answer goes to standard output, with the credential that it needs" {
    run sandbox 'svc whoami'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    [ -z "$(stderr)" ]
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
    grep -qF "Bearer $SECRET" "$WORLD/up/requests.log"
}

@test "help comes from the catalogue" {
    run sandbox 'aileron-shim; svc --help; svc create --help'
    [ "$status" -eq 0 ]
    grep -q '^svc  *a service for the tests' <<< "$output"
    grep -q '^  whoami  *who one is' <<< "$output"
    grep -q -- '--level  *string .*one of \["low","high"\]' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
}

@test "a large answer streams unchanged, counted and chunked" {
    sum=$(/usr/bin/python3 -c 'import sys; sys.stdout.buffer.write((bytes(range(256)) * 20000)[:5000000])' | sha256sum)
    for form in '' --chunked; do
        run sandbox "svc download --bytes 5000000 $form | sha256sum"
        [ "$status" -eq 0 ]
        [ "$output" = "$sum" ]
    done
}

@test "a slow answer arrives as it is sent" {
    run sandbox 'svc stream --count 3 --delay 0.5 | { read -r first; date +%s%N; cat > rest; date +%s%N; }'
    [ "$status" -eq 0 ]
    [ $((${lines[1]} - ${lines[0]})) -gt 500000000 ]
}

@test "an answer that is cut off is a failure, and says so" {
    run sandbox 'svc cut'
    [ "$status" -eq 1 ]
    [ "$output" = cut ]
    grep -q 'cut off' <<< "$(stderr)"
}

@test "inputs have types, and are sent in a JSON body" {
    run sandbox 'svc create --name "a b" --size 3 --ratio 0.5 --draft --tags one --tags two --level high --extra "{\"k\": [1]}"'
    [ "$status" -eq 0 ]
    grep -q '"path": "/open/a%20b"' <<< "$output"
    run sandbox 'svc create --args "{\"name\": \"n\", \"size\": 1}" --size=2; echo "{\"name\": \"i\"}" | svc create --args -'
    [ "$status" -eq 0 ]
    [ "$(upstream_count)" -eq 3 ]
}

@test "bad inputs are refused before anything is sent" {
    while IFS='|' read -r want args; do
        run sandbox "svc $args"
        [ "$status" -eq "$want" ] || { echo "svc $args: $status, not $want"; return 1; }
        [ -n "$(stderr)" ]
    done << 'CASES'
64|
64|nothing
64|create
64|create --name
64|create --name x --unknown 1
64|create name x
65|create --name x --size 1.5
65|create --name x --size 0x10
65|create --name x --ratio nan
65|create --name x --draft=maybe
65|create --name x --level middle
65|create --name x --extra '[1]'
65|create --name x --args '[1]'
65|create --name x --args '{'
65|create --name ..
65|create --name a/b
1|create --name x --args @/not/there
CASES
    [ "$(upstream_count)" -eq 0 ]
}

@test "what the service refuses is status 1, with its words on standard error" {
    run sandbox 'svc nobody'
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    grep -q '^aileron: failed: the service answered 401 (operation op_' <<< "$(stderr)"
    grep -q 'Bad credentials' <<< "$(stderr)"
    run sandbox 'svc nobody --json'
    [ "$status" -eq 1 ]
    stderr | /usr/bin/python3 -c 'import json, sys; e = json.load(sys.stdin)["error"]; assert e["status"] == 401, e'
}

@test "denials say what, why and what next" {
    run sandbox 'svc forbidden'
    [ "$status" -eq 77 ]
    grep -q 'this host is not for agents' <<< "$(stderr)"
    run sandbox 'svc forbidden --json'
    [ "$status" -eq 77 ]
    stderr | /usr/bin/python3 -c 'import json, sys; e = json.load(sys.stdin)["error"]; assert e["code"] == "denied" and e["next"], e'
    [ "$(upstream_count)" -eq 0 ]
}

@test "an upstream that cannot be trusted is a failure with its reason" {
    run sandbox 'svc gone'
    [ "$status" -eq 1 ]
    grep -q 'expired' <<< "$(stderr)"
    [ "$(upstream_count)" -eq 0 ]
}

@test "the same idempotency key is the same operation, and runs once" {
    run sandbox 'svc whoami --idempotency-key k1; svc whoami --idempotency-key k1'
    [ "$status" -eq 0 ]
    [ "$(grep -c '"login": "octo"' <<< "$output")" -eq 2 ]
    [ "$(upstream_count)" -eq 1 ]
}

@test "aileron-wait prints what the shim would have, with its exit code" {
    run sandbox 'svc stream --count 2 --delay 0.5 > /dev/null & sleep 0.3
        aileron-wait --timeout 20 "$(svc stream --idempotency-key w 2>&1 >/dev/null; printf x)"; echo "bad id $?"
        svc nobody --json 2> e; id=$(sed "s/.*\"id\":\"//; s/\".*//" e)
        aileron-wait "$id"; echo "failed $?"
        aileron-wait op_01ARZ3NDEKTSV4RRFFQ69G5FAV; echo "absent $?"; wait'
    grep -q 'bad id 64' <<< "$output"
    grep -q 'failed 1' <<< "$output"
    grep -q 'absent 1' <<< "$output"
    grep -q 'the service answered 401' <<< "$(stderr)"
}

@test "aileron-wait waits for what runs, and gives up in time" {
    run sandbox 'svc held --idempotency-key slow > first & while ! grep -q held first; do sleep 0.05; done
        svc held --idempotency-key slow 2> pending; echo "still $?"
        id=$(grep -o "op_[0-9A-Z]*" pending | head -n 1)
        aileron-wait --timeout 1 "$id"; echo "timeout $?"
        aileron-wait "$id" > result & waiter=$!
        curl -sS https://api.test/release; wait $waiter; echo "done $?"; cat result; wait'
    grep -q 'still 75' <<< "$output"
    grep -q 'timeout 124' <<< "$output"
    grep -qx 'held free' <<< "$output"
    grep -q 'done 0' <<< "$output"
}

@test "--drain prints each result once, and loses none when it cannot be written" {
    run sandbox 'svc stream --count 1 --delay 0 --idempotency-key d > /dev/null
        svc nobody --json 2> /dev/null
        aileron-wait --drain > /dev/full; echo "full $?"
        aileron-wait --drain; echo ---; aileron-wait --drain'
    [ "$status" -eq 0 ]
    grep -q 'full 74' <<< "$output"
    [ "$(grep -c '"state":"failed"' <<< "$output")" -eq 1 ]
    [ "${lines[-1]}" = --- ]
}

@test "--drain prints all results, also where there are more than one list shows" {
    run sandbox 'i=0; while [ $i -lt 105 ]; do svc stream --count 1 --delay 0 --idempotency-key many$i > /dev/full 2>&1; i=$((i + 1)); done
        aileron-wait --drain | sort -u | wc -l; echo ---; aileron-wait --drain'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" -eq 105 ]
    [ "${lines[-1]}" = --- ]
}

@test "outside of a session the shim says so" {
    run aileron shim svc whoami
    [ "$status" -eq 69 ]
    grep -q 'aileron launch' <<< "$output"
    run aileron-wait op_01ARZ3NDEKTSV4RRFFQ69G5FAV
    [ "$status" -eq 69 ]
}

@test "C11: another token is refused" {
    run sandbox 'AILERON_TOKEN=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef svc whoami'
    [ "$status" -eq 77 ]
    [ "$(upstream_count)" -eq 0 ]
}

@test "a connector that is removed takes its tools out of a running sandbox" {
    sandbox 'svc whoami > /dev/null; touch ready; while [ -e ready ]; do sleep 0.1; done
        ls /opt/aileron/shims; svc whoami; echo "after $?"' > "$WORLD/out" &
    wait_for test -e "$WORLD/ws/ready"
    aileron connector remove test.example/api
    rm "$WORLD/ws/ready"
    wait $!
    [ "$(cat "$WORLD/out")" = "after 127" ]
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
}
