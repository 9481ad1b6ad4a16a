# The page in a real browser, against the real daemon and sandboxes. Screenshots are left in tests/e2e/out.
bats_require_minimum_version 1.5.0
load ../lib/world.bash

setup_file() {
    export PAGE_DRIVER=$ROOT/build/deps/node/node_modules/playwright-core PAGE_SKIP=
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || PAGE_SKIP="no chromium"
    [ -d "$PAGE_DRIVER" ] || PAGE_SKIP="no playwright-core (contrib/deps test fetches it)"
    world_start api.test forbidden.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    sed -i '/^rules:/a\  - { name: ask before posting, host: api.test, methods: [POST, PUT], action: approve, reason: money }' \
        "$AILERON_HOME/policy.yaml"
    aileron policy reload > /dev/null
}

teardown_file() { world_stop; }
setup() {
    [ -z "$PAGE_SKIP" ] || skip "$PAGE_SKIP"
    world_clean_environment
    : > "$WORLD/up/requests.log"
    rm -rf "$WORLD/ws"/* "$WORLD/page"
}
teardown() {
    local pid id
    for pid in ${PAGE_PID:-} ${SANDBOX:-}; do kill "$pid" 2> /dev/null || true; wait "$pid" 2> /dev/null || true; done
    for id in $(timeout 10 aileron approvals list | awk '{print $1}'); do aileron approvals deny "$id" > /dev/null; done
}

page() { timeout 60 node "$TESTS_LIB/page.js" "$@"; }
page_starts() { page "$@" > "$WORLD/page" 2>&1 3>&- & PAGE_PID=$!; } # and goes on beside the test
page_ends() { local status=0; wait "$PAGE_PID" || status=$?; PAGE_PID=; cat "$WORLD/page"; [ "$status" -eq 0 ]; }
agent() { inside sh -c "$1" > "$WORLD/out" 2> "$WORLD/stderr" 3>&- & SANDBOX=$!; }
agent_ends() { local status=0; wait "$SANDBOX" || status=$?; SANDBOX=; [ "$status" -eq "$1" ]; }
waiting() { aileron approvals list | awk '{print $1}'; }
wait_count() { [ "$(waiting | wc -l)" -eq "$1" ]; }

@test "a link logs in once, in one browser; the cookie is the browser's alone; logging out is for good" {
    page login
    run -0 aileron audit list --event=page
    grep -q 'action=login' <<< "$output"
    grep -q 'action=refused reason=link' <<< "$output"
    absent -E '[0-9a-f]{64}' <<< "$output"
}

@test "approve by keys while aileron-wait waits in a sandbox" {
    agent 'svc drop 2> said; aileron-wait "$(grep -o "op_[0-9A-Z]*" said | head -n 1)" > result.new; mv result.new result'
    wait_for wait_count 1
    page approve "$WORLD/ws/result" >&3
    agent_ends 0
    [ "$(upstream_count)" -eq 1 ]
    run -0 aileron audit list --event=approval
    grep -q 'by=page' <<< "$output"
}

@test "a notification's link opens what it is about; used up, it logs nobody out" {
    # Four are told at once, in no order: each of a file of its own, and the DELETE's alone is looked at.
    printf '#!/bin/sh\nN=%q/note\ncat > $N.$$; grep -q DELETE $N.$$ && mv $N.$$ $N\n' "$WORLD" > "$WORLD/notify"
    chmod +x "$WORLD/notify"
    echo "approvals: { notify: [\"$WORLD/notify\"], notify_link: true }" >> "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
    agent 'for i in 1 2 3; do svc create --name "n$i"; done; svc drop --wait || true' # three wait before it
    wait_for wait_count 4
    wait_for grep -q 'DELETE' "$WORLD/note"
    page shown "$(jq -r .url "$WORLD/note")"
    agent_ends 0
    sed -i '/^approvals:/d' "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
}

@test "deny with a reason, which the agent reads" {
    agent 'svc drop --wait; echo "status $?"'
    wait_for wait_count 1
    page deny
    agent_ends 0
    grep -q '^status 77$' "$WORLD/out"
    grep -q 'use the staging system' "$WORLD/stderr"
}

@test "edit the arguments: what was written is sent, large numbers included" {
    agent 'svc create --name dear --size 9007199254740993 --wait'
    wait_for wait_count 1
    page edit
    agent_ends 0
    grep -q '"path": "/open/cheap"' "$WORLD/out"
    # Of the bodies it keeps the hash.
    grep -q "$(printf '{"size":9007199254740993}' | sha256sum | cut -c1-64)" "$WORLD/up/requests.log"
}

@test "A06: two deciders: the page that comes second is told" {
    agent 'svc drop --wait || true'
    wait_for wait_count 1
    page race
    agent_ends 0
}

@test "what begins to wait appears by itself; a key decides nothing that is not open" {
    page_starts live
    wait_for grep -q watching "$WORLD/page"
    agent 'svc drop --wait & sleep 0.2; svc create --name second --wait; wait; true'
    page_ends >&3
    agent_ends 0
}

@test "A03, A04: markup and unseen characters are shown as they are, and nothing executes" {
    agent 'printf "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script> \342\200\256 \033[2J" > body
        curl -s -o out --data-binary @body "https://api.test/open/<script>window.pwned=1</script>" || true
        curl -s -o out --data-binary @body https://api.test/open/x'
    wait_for wait_count 1
    page markup
    while alive "$SANDBOX"; do # one after the other
        for id in $(waiting); do aileron approvals deny "$id"; done
        sleep 0.1
    done
    agent_ends 0
}

@test "A04: a page of another origin can frame nothing, read nothing and decide nothing" {
    agent 'svc drop --wait; true'
    wait_for wait_count 1
    page origin
    aileron approvals deny "$(waiting)"
    agent_ends 0
    run -0 aileron audit list --event=page
    grep -q 'reason=origin' <<< "$output"
}

@test "the vault's lock, and a policy that does not load" {
    page_starts vault
    wait_for grep -q '^locked' "$WORLD/page"
    inside curl -s -o out https://api.test/user
    wait_for grep -q '^refused' "$WORLD/page"
    aileron vault unlock > /dev/null
    wait_for grep -q '^unlocked' "$WORLD/page"
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy.good"
    printf 'rules:\n  - { host: [ }\n' >> "$AILERON_HOME/policy.yaml"
    page_ends
    cp "$WORLD/policy.good" "$AILERON_HOME/policy.yaml"
    aileron policy reload > /dev/null
}

@test "a session's hosts, and the record with filters" {
    agent 'curl -s -o /dev/null https://api.test/user; curl -s -o /dev/null https://forbidden.test/; while [ ! -e stop ]; do sleep 0.1; done'
    page hosts
    touch "$WORLD/ws/stop"
    agent_ends 0
}

@test "light, dark and 360 pixels wide, with long texts: nothing runs off the screen, everything has a name" {
    agent 'long=$(printf "%0300d" 7); for i in 1 2 3; do svc create --name "item-$i" --tags "[\"$long\", \"b\"]"; done
        svc drop; curl -s -o out -d "{\"amount\": 5, \"note\": \"$long\"}" "https://api.test/open/$long?q=$long"'
    wait_for wait_count 5
    page looks
    for id in $(waiting); do aileron approvals deny "$id" > /dev/null; done
    agent_ends 0
}
