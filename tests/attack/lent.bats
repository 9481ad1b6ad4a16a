# Credentials that a worker keeps for a moment: rows F01, C12 and F07 of the threats, by a client that never rests on a
# connection that stays. What such a request leaves behind is its line, whoever dies; and what takes the credential back
# is felt by the next request.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    # Requests one after another, /lent/TEST/1 and so on, until a file "end" is there; each status is a line of "said".
    cat > "$WORLD/ws/stream.py" <<'PY'
import http.client, os, ssl, sys, time
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
link, count = None, 0
with open("said", "w", buffering=1) as said:
    while not os.path.exists("end") and count < 200000:
        count += 1
        try:
            if link is None:
                link = http.client.HTTPSConnection("127.0.0.1", 3128, timeout=5, context=context)
                link.set_tunnel("api.test", 443)
            link.request("GET", "/lent/%s/%d" % (sys.argv[1], count))
            answer = link.getresponse()
            answer.read()
            print(count, answer.status, file=said)
        except (OSError, http.client.HTTPException):
            print(count, "lost", file=said)
            link = None
            time.sleep(0.02)
PY
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    rm -f "$WORLD"/ws/{said,end}
    (cd "$WORLD/ws" && exec aileron launch --sandbox=bwrap -- python3 stream.py "$BATS_TEST_NUMBER") > "$WORLD/out" 2>&1 3>&- &
    LAUNCHER=$!
    wait_for more_than 50
}
teardown() { touch "$WORLD/ws/end"; kill "$LAUNCHER" 2> /dev/null || true; }

more_than() { [ "$(grep -c ' 200$' "$WORLD/ws/said")" -gt "$1" ]; }
more() { wait_for more_than $(($(grep -c ' 200$' "$WORLD/ws/said") + $1)); }
control() { curl -sS --unix-socket "$AILERON_HOME/run/control.sock" "$@"; }
worker_pid() { control http://d/v1/sessions | jq '.sessions[0].worker_pid'; }
end_stream() {
    touch "$WORLD/ws/end"
    wait_for eval "! kill -0 $LAUNCHER"
}
# Which requests the upstream saw with the credential, and which the record has.
seen() { jq -r --arg secret "$SECRET" 'select(tostring | contains($secret)) | .path' "$WORLD/up/requests.log" | sort -u; }
recorded() {
    aileron audit list --event=credential --json | jq -r 'select(.decision == "allow") | .path' | grep "^/lent/$BATS_TEST_NUMBER/" | sort
}

@test "F01 whoever dies, each request that went out with the credential is on the record" {
    for round in 1 2; do
        kill -9 "$(worker_pid)"
        more 100
    done
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    aileron daemon > /dev/null
    aileron vault unlock
    more 100
    end_stream
    [ "$(seen | wc -l)" -gt 300 ]
    run comm -23 <(seen) <(recorded | uniq)
    [ -z "$output" ]
    # Told twice is what the daemon had written and not yet ticked off when it was killed: its last message and no more.
    [ "$(recorded | uniq -d | wc -l)" -le 64 ]
    aileron audit verify
}

@test "a credential that is lent is asked for seldom, and the record is the same" {
    more 150
    end_stream
    seen=$(seen | wc -l)
    [ "$(recorded | uniq | wc -l)" -ge "$seen" ]
    [ "$(recorded | uniq -d | wc -l)" -eq 0 ]
    run -0 aileron audit list --event=network --json
    [ "$(jq -r 'select(.decision == "allow") | .path' <<< "$output" | grep -c "^/lent/$BATS_TEST_NUMBER/")" -ge "$seen" ]
    # In the order in which they happened: a decision, its credential, its end.
    aileron audit list --json | jq -se 'map(select(.request)) | group_by(.request) |
        map(select(any(.event == "credential")) | map(.event)) | all(.[0] == "network" and .[1] == "credential")'
}

@test "C12 a vault that is locked is felt by the next request, and the one after it is unlocked by the next again" {
    aileron vault lock
    : > "$WORLD/up/requests.log"
    refused() { tail -n 1 "$WORLD/ws/said" | grep -q ' 403$'; }
    wait_for refused
    aileron vault unlock
    more 50
    end_stream
    # Between the first refusal and the last, nothing went out: all that the upstream saw came before or after.
    first=$(grep -m 1 ' 403$' "$WORLD/ws/said" | cut -d ' ' -f 1)
    last=$(grep ' 403$' "$WORLD/ws/said" | tail -n 1 | cut -d ' ' -f 1)
    [ "$((last - first + 1))" -eq "$(grep -c ' 403$' "$WORLD/ws/said")" ]
    [ "$(seen | sed 's,/lent/[0-9]*/,,' | awk -v a="$first" -v b="$last" '$1 >= a && $1 <= b' | wc -l)" -eq 0 ]
}

@test "F07 new rules are felt by the next request" {
    sed -i 's/^rules:$/rules:\n  - { name: stop, host: api.test, paths: ["\/lent\/**"], action: deny }/' "$AILERON_HOME/policy.yaml"
    aileron daemon reload > /dev/null
    at=$(tail -n 1 "$WORLD/ws/said" | cut -d ' ' -f 1)
    stopped() { tail -n 1 "$WORLD/ws/said" | grep -q ' 403$'; }
    wait_for stopped
    sed -i '/name: stop/d' "$AILERON_HOME/policy.yaml"
    aileron daemon reload > /dev/null
    more 20
    end_stream
    # No more than what was under way when the reload had been answered.
    first=$(grep -m 1 ' 403$' "$WORLD/ws/said" | cut -d ' ' -f 1)
    [ "$((first - at))" -le 3 ]
}
