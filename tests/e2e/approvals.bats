# What waits for a person, from both sides: the agent in a real sandbox, and the person at their own terminal.
bats_require_minimum_version 1.5.0
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    sed -i '/^rules:/a\  - { name: ask before posting, host: api.test, methods: [POST, PUT], action: approve, reason: money }' \
        "$AILERON_HOME/policy.yaml"
    aileron policy reload > /dev/null
}

teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; rm -rf "$WORLD/ws"/*; }
teardown() { [ -z "${SANDBOX:-}" ] || { kill "$SANDBOX" 2> /dev/null; wait "$SANDBOX" 2> /dev/null; } || true; }

# The agent goes on in the background, its output in WORLD/out; the test is the person meanwhile.
agent() { inside sh -c "$1" > "$WORLD/out" 2> "$WORLD/stderr" 3>&- & SANDBOX=$!; }
agent_ends() { local status=0; wait "$SANDBOX" || status=$?; SANDBOX=; [ "$status" -eq "$1" ]; }
waiting() { aileron approvals list | awk '{print $1}'; }
one_waits() { [ "$(waiting | wc -l)" -eq 1 ]; }

@test "a tool's call that needs a person: pending at once, approved, collected by aileron-wait" {
    agent 'svc drop 2> said; echo "first $?"; aileron-wait "$(grep -o "op_[0-9A-Z]*" said | head -n 1)"; echo "then $?"'
    wait_for one_waits
    id=$(waiting)
    run -0 aileron approvals show "$id"
    grep -q '^What .*svc drop' <<< "$output"
    grep -q '^Credential *user/api' <<< "$output"
    grep -q '^Method *DELETE' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    run -0 aileron approvals approve --reason="go ahead" "$id"
    agent_ends 0
    grep -q '^first 75$' "$WORLD/out"
    grep -q '^then [01]$' "$WORLD/out"
    [ "$(upstream_count)" -eq 1 ]
    grep -q '"method": "DELETE"' "$WORLD/up/requests.log"
    run -0 aileron audit list --event=approval
    grep -q 'go ahead' <<< "$output"
}

@test "the person changes the arguments in an editor, and that is what is sent" {
    printf '#!/bin/sh\nsed -i s/"dear"/"cheap"/ "$1"\n' > "$WORLD/editor"
    chmod +x "$WORLD/editor"
    agent 'svc create --name dear --size 3 --wait'
    wait_for one_waits
    id=$(waiting)
    EDITOR=false run -1 aileron approvals approve --edit "$id"
    grep -q 'nothing was decided' <<< "$output"
    EDITOR="$WORLD/editor" run -0 aileron approvals approve --edit "$id"
    grep -q '^-.*dear' <<< "$output"
    grep -q '^+.*cheap' <<< "$output"
    agent_ends 0
    grep -q '"path": "/open/cheap"' "$WORLD/out"
}

@test "svc --wait returns when the person has decided" {
    agent 'svc drop --wait; echo "status $?"'
    wait_for one_waits
    aileron approvals deny --reason="use the staging system" "$(waiting)"
    agent_ends 0
    grep -q '^status 77$' "$WORLD/out"
    grep -q 'use the staging system' "$WORLD/stderr"
    [ "$(upstream_count)" -eq 0 ]
}

@test "a raw request is held until it is approved, and its body is what was shown" {
    agent 'curl -sS -w "\n%{http_code}\n" -d "{\"amount\": 5}" https://api.test/open/pay'
    wait_for one_waits
    id=$(waiting)
    run -0 aileron approvals show "$id"
    grep -q '^What .*POST https://api.test:443/open/pay' <<< "$output"
    grep -q '^Why *money' <<< "$output"
    grep -qF '{"amount": 5}' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    aileron approvals approve "$id"
    agent_ends 0
    grep -q '^200$' "$WORLD/out"
    [ "$(upstream_count)" -eq 1 ]
    run -1 aileron approvals approve "$id" # a second time
    grep -q 'is used already' <<< "$output"
}

@test "nobody decides in time: 403 with the id, aileron-wait, and the same request once more" {
    sed -i '/^approvals:/d' "$AILERON_HOME/config.yaml"
    echo 'approvals: { hold: 1s }' >> "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
    agent 'curl -s -d a=1 https://api.test/open/pay > refused; cat refused
        id=$(grep -o "apr_[0-9A-Z]*" refused | head -n 1); aileron-wait "$id"; echo "wait $?"
        curl -s -o again -w "%{http_code}\n" -d a=2 https://api.test/open/pay; grep -o "\"code\":\"[a-z]*\"" again
        curl -s -o last -w "%{http_code}\n" -d a=1 https://api.test/open/pay'
    wait_for grep -q apr_ "$WORLD/out"
    grep -q '"code":"pending"' "$WORLD/out"
    [ "$(upstream_count)" -eq 0 ]
    aileron approvals approve "$(waiting)"
    agent_ends 0
    grep -q '^wait 0$' "$WORLD/out"
    grep -q '^403$' "$WORLD/out" # other bytes are another request
    [ "$(tail -n 1 "$WORLD/out")" = 200 ]
    [ "$(upstream_count)" -eq 1 ]
    sed -i '/^approvals:/d' "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
}

@test "for the session: the same rule asks nobody again, in this session" {
    agent 'for i in 1 2 3; do curl -s -o out$i -w "%{http_code}\n" -d n=$i https://api.test/open/pay; done'
    wait_for one_waits
    aileron approvals approve --for=session "$(waiting)"
    agent_ends 0
    [ "$(grep -c '^200$' "$WORLD/out")" -eq 3 ]
    agent 'curl -s -o out4 -w "%{http_code}\n" -d n=1 https://api.test/open/pay' # another session
    wait_for one_waits
    aileron approvals deny "$(waiting)"
    agent_ends 0
    grep -q '^403$' "$WORLD/out"
}

notify_with() { # COMMAND as a YAML list
    sed -i '/^approvals:/d' "$AILERON_HOME/config.yaml"
    [ -z "$1" ] || echo "approvals: { notify: $1 }" >> "$AILERON_HOME/config.yaml"
    aileron policy reload > /dev/null
}

@test "a notification command gets what waits as JSON" {
    printf '#!/bin/sh\ncat > %q/note.new; mv %q/note.new %q/note\n' "$WORLD" "$WORLD" "$WORLD" > "$WORLD/notify"
    chmod +x "$WORLD/notify"
    notify_with "[\"$WORLD/notify\"]"
    agent 'curl -s -o out -d n=1 https://api.test/open/pay'
    wait_for test -s "$WORLD/note"
    [ "$(jq -r .shown.path "$WORLD/note")" = /open/pay ]
    [ "$(jq -r .summary,.host "$WORLD/note")" = $'POST api.test/open/pay\napi.test' ]
    [ "$(jq -r .id "$WORLD/note")" = "$(waiting)" ]
    [ "$(jq -r .session "$WORLD/note")" = "$(aileron approvals list | awk '{print $3}')" ]
    aileron approvals deny "$(waiting)"
    agent_ends 0
    notify_with ''
}

# What a notification's link is worth: 200 and a login, or 403.
use_link() { # URL
    curl -sS -o /dev/null -w '%{http_code}' -H "Origin: ${1%/#*}" -H 'Content-Type: application/json' \
        -d "{\"token\":\"$(sed 's/.*#login=//; s/&.*//' <<< "$1")\"}" "${1%/#*}/api/login"
}

@test "a notification has a link only where it is asked for; it opens that approval, once" {
    printf '#!/bin/sh\ncat > %q/note.new; mv %q/note.new %q/note\n' "$WORLD" "$WORLD" "$WORLD" > "$WORLD/notify"
    chmod +x "$WORLD/notify"
    for link in false true; do
        rm -f "$WORLD/note"
        sed -i '/^approvals:/d' "$AILERON_HOME/config.yaml"
        echo "approvals: { notify: [\"$WORLD/notify\"], notify_link: $link }" >> "$AILERON_HOME/config.yaml"
        aileron policy reload > /dev/null
        agent "curl -s -o out -d n=$link https://api.test/open/pay"
        wait_for test -s "$WORLD/note"
        id=$(waiting)
        aileron approvals deny "$id"
        agent_ends 0
        [ "$(jq -r .kind,.id "$WORLD/note")" = $'approval\n'"$id" ]
        [ "$link" = true ] || [ "$(jq -r .url "$WORLD/note")" = null ]
    done
    url=$(jq -r .url "$WORLD/note")
    [[ $url =~ ^http://127\.0\.0\.1:[0-9]+/#login=[0-9a-f]{64}\&show=$id$ ]]
    [ "$(use_link "$url")" = 200 ]
    [ "$(use_link "$url")" = 403 ]
    run -0 aileron audit list --event=page
    [ "$(grep -c 'action=notice' <<< "$output")" -eq 1 ]
    absent -E '[0-9a-f]{64}' <<< "$output"
    notify_with ''
}

noted() { [ "$(wc -l < "$WORLD/notes")" -eq "$1" ]; }

@test "a vault that is locked when it is needed is told once a lock, and listed" {
    printf '#!/bin/sh\ncat >> %q/notes; echo >> %q/notes\n' "$WORLD" "$WORLD" > "$WORLD/notify"
    chmod +x "$WORLD/notify"
    notify_with "[\"$WORLD/notify\"]"
    run -0 --separate-stderr aileron approvals list
    [ -z "$stderr" ]
    for round in 1 2; do
        aileron vault lock
        inside sh -c 'for i in 1 2 3; do curl -s -o out https://api.test/user; done' 2> /dev/null
        wait_for noted "$round"
        run -0 --separate-stderr aileron approvals list
        [ -z "$output" ]
        [ "$stderr" = '3 requests were refused: the vault is locked. Unlock it: aileron vault unlock' ]
        aileron vault unlock
        run -0 --separate-stderr aileron approvals list
        [ -z "$stderr" ]
        inside curl -s -o out https://api.test/user 2> /dev/null
    done
    [ "$(wc -l < "$WORLD/notes")" -eq 2 ]
    [ "$(tail -n 1 "$WORLD/notes" | jq -r .kind,.command)" = $'vault.unlock\naileron vault unlock' ]
    tail -n 1 "$WORLD/notes" | jq -r .session | grep -qE '^[0-9A-Z]{26}$'
    run -0 aileron audit list --event=vault
    [ "$(grep -c 'action=wanted' <<< "$output")" -eq 2 ]
    notify_with ''
}

@test "contrib/notify: what is shown to a person is text, and what leaves the host has no arguments" {
    mkdir -p "$WORLD/stub"
    printf '#!/bin/sh\nprintf "%%s\\n" "$@" > %q/desktop.new; mv %q/desktop.new %q/desktop\n' "$WORLD" "$WORLD" "$WORLD" \
        > "$WORLD/stub/notify-send"
    printf '#!/bin/sh\ncat > %q/hook.new; printf "%%s " "$@" > %q/hook.args; mv %q/hook.new %q/hook\n' "$WORLD" "$WORLD" \
        "$WORLD" "$WORLD" > "$WORLD/stub/curl"
    chmod +x "$WORLD/stub"/*
    for script in desktop webhook; do
        printf '#!/bin/sh\nPATH=%q:$PATH exec %q https://hook.example/x\n' "$WORLD/stub" "$ROOT/contrib/notify/$script" \
            > "$WORLD/run-$script"
        chmod +x "$WORLD/run-$script"
        notify_with "[\"$WORLD/run-$script\"]"
        agent 'curl -s -o out -d "MARKER=1" "https://api.test/open/<b>pay"'
        wait_for one_waits
        [ "$script" = webhook ] || wait_for test -s "$WORLD/desktop"
        [ "$script" = desktop ] || wait_for test -s "$WORLD/hook"
        aileron approvals deny "$(waiting)"
        agent_ends 0
    done
    notify_with ''
    grep -q '^Approval for api.test$' "$WORLD/desktop"
    grep -q '^POST api.test/open/.*pay$' "$WORLD/desktop"
    absent -q '<b>' "$WORLD/desktop"
    [ "$(jq -r 'keys | join(" ")' "$WORLD/hook")" = "host id session summary text" ]
    absent -q MARKER "$WORLD/hook"
    grep -q 'https://hook.example/x' "$WORLD/hook.args"
    for script in desktop webhook; do
        printf '{"kind":"vault.unlock","summary":"S","session":"X","command":"aileron vault unlock","url":"http://127.0.0.1:1/#login=aa"}' |
            PATH=$WORLD/stub:$PATH "$ROOT/contrib/notify/$script" https://hook.example/x
    done
    grep -qx 'Vault locked' "$WORLD/desktop"
    grep -qx 'aileron vault unlock' "$WORLD/desktop"
    [ "$(jq -r .text,.url "$WORLD/hook")" = \
        $'Aileron: S (aileron vault unlock) http://127.0.0.1:1/#login=aa\nhttp://127.0.0.1:1/#login=aa' ]
}

@test "A01: the session API and the sandbox have no way to decide" {
    agent 'curl -s -o out -d n=1 https://api.test/open/pay; true'
    wait_for one_waits
    id=$(waiting)
    run inside sh -c 'for path in approvals approvals/'"$id"' approvals/'"$id"'/decide sessions; do
        for method in GET POST DELETE; do
            curl -s -o answer -w "%{http_code}\n" -X $method -H "Authorization: Bearer $(cat /run/aileron/token)" -d "{}" \
                "$AILERON_API_URL/v1/$path"
        done; done; aileron approvals approve '"$id"'; echo "cli $?"'
    [ "$(grep -cE '^(403|404|405)$' <<< "$output")" -eq 12 ]
    grep -qE '^cli (69|77)$' <<< "$output"
    [ "$(waiting)" = "$id" ]
    aileron approvals deny "$id"
    agent_ends 0
}

@test "A03: what an agent writes cannot play with the person's terminal" {
    agent 'printf "a\033[2J\342\200\256b" > body; curl -s -o out --data-binary @body https://api.test/open/pay; true'
    wait_for one_waits
    run -0 aileron approvals show "$(waiting)"
    absent -q $'\033' <<< "$output"
    absent -q $'\342\200\256' <<< "$output"
    grep -qF 'a\x1b[2J' <<< "$output"
    aileron approvals deny "$(waiting)"
    agent_ends 0
}

@test "A02: all of it is shown, however long its lines are" {
    agent 'printf "{\"a\": \"%s\", \"admin\": true}" "$(head -c 60000 /dev/zero | tr "\0" "x")" > body
           long=$(head -c 12000 /dev/zero | tr "\0" "y")
           curl -s -o out -H "Note: ${long}z" --data-binary @body "https://api.test/open/pay?q=${long}&force=1"; true'
    wait_for one_waits
    run -0 aileron approvals show "$(waiting)"
    grep -q 'x", "admin": true}$' <<< "$output"
    grep -qE '^Query .*y&force=1$' <<< "$output"
    grep -qE '^Field .*note: y*z$' <<< "$output"
    [ "$(tr -cd x <<< "$output" | wc -c)" -ge 60000 ]
    aileron approvals deny "$(waiting)"
    agent_ends 0
}

@test "wrong words are told, with what to do" {
    run -64 aileron approvals approve
    grep -q 'which approval' <<< "$output"
    run -64 aileron approvals show nonsense
    grep -q 'aileron approvals list' <<< "$output"
    run -1 aileron approvals deny apr_01J00000000000000000000000
    grep -q 'there is no approval' <<< "$output"
    run -64 aileron approvals approve --for=ever apr_01J00000000000000000000000
}
