# A real agent, Claude Code from npm, in the sandbox: it talks to a model (tests/lib/model.py) with a key that it does not
# have, calls a tool that needs a person, is told that it is pending, waits, and goes on when the person has decided.
# ENGINE is bwrap, where the agent is shown what is installed in its user's home.
# bats file_tags=own-world
bats_require_minimum_version 1.5.0
load ../lib/world.bash
ENGINE=bwrap

# tests/agents/fetch gets it, before the tests: as the person's npm is configured, which tests are not.
AGENTS=$ROOT/build/agents

setup_file() {
    export WORLD_SKIP
    if [ ! -e "$AGENTS/bin/claude" ] || ! command -v node > /dev/null; then
        WORLD_SKIP="no agent: contrib/deps test fetches it where there are npm and a registry"
        return
    fi
    WORLD_UPSTREAM=$TESTS_LIB/model.py world_start api.test api.anthropic.com || return 1
    MODEL_KEY=sk-ant-api03-$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s' "$MODEL_KEY" > "$WORLD/up/model-key"
    printf '%s' "$MODEL_KEY" | aileron vault put user/model > /dev/null
    cat > "$AILERON_HOME/bindings.yaml" << 'YAML'
version: 1
bindings:
  - { name: user/api, hosts: [api.test], scheme: bearer }
  - name: user/model
    hosts: [api.anthropic.com]
    scheme: header
    header: { name: X-Api-Key, template: "{secret}" }
    sentinel: { env: [ANTHROPIC_API_KEY], like: "sk-ant-api03-" }
YAML
    # All that it tries besides, whatever that is in this version, is denied.
    cat > "$AILERON_HOME/policy.yaml" << 'YAML'
version: 1
network: { default: deny, private: deny, allow_private: ["127.0.0.1/32"] }
rules:
  - { name: the model, host: api.anthropic.com, action: allow }
  - { name: the service, host: api.test, action: allow }
YAML
    aileron policy reload > /dev/null
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    # As a person has it who lets npm install into the home: the built-in agent's file says where.
    mkdir "$WORLD/person"
    ln -s "$AGENTS" "$WORLD/person/.local"
    export WORLD SECRET MODEL_KEY UP_PORT UP_PLAIN_PORT
}

teardown_file() { world_stop; }
setup() {
    world_skip
    world_clean_environment
    : > "$WORLD/up/requests.log"
    : > "$WORLD/up/model.log"
    rm -f "$WORLD/ws/key"
    cd "$WORLD/ws"
}
teardown() { [ -z "${SANDBOX:-}" ] || { kill "$SANDBOX" 2> /dev/null; wait "$SANDBOX" 2> /dev/null; } || true; }

# The person's side starts it by its name; nothing of it outlives its bound.
agent() { # NAME ARGUMENT...
    HOME=$WORLD/person PATH=$WORLD/person/.local/bin:$PATH timeout 110 aileron launch \
        --sandbox=bwrap "$@" > "$WORLD/out" 2> "$WORLD/stderr" < /dev/null 3>&- &
    SANDBOX=$!
}
agent_ends() { local status=0; wait "$SANDBOX" || status=$?; SANDBOX=; [ "$status" -eq "$1" ]; }
waiting() { aileron approvals list | awk '{print $1}'; }
became() { # COMMAND...: wait_for, as long as the agent runs: it may need a minute on a machine that is busy
    while ! "$@" 2> /dev/null; do
        kill -0 "$SANDBOX" 2> /dev/null || { cat "$WORLD/out" "$WORLD/stderr" "$WORLD/up/model.log"; return 1; }
        sleep 0.2
    done
}
one_waits() { [ "$(waiting | wc -l)" -eq 1 ]; }
told() { jq -r "$1" "$WORLD/up/model.log"; } # FILTER over what the model was sent and what it answered
waits() { # the agent's shell runs what the model asked for when it had read the answer
    local asked
    asked=$(told 'select(.reply.id == "toolu_wait") | .reply.input.command')
    [[ "$asked" =~ ^"aileron-wait op_"[0-9A-Z]{26}$ ]] || return 1
    pgrep -f "^([^ ]*/)?$asked\$" > /dev/null
}

story() { # AGENT
    agent "$1" -p "remove the user" --allowedTools Bash
    became waits
    one_waits
    id=$(waiting)
    run -0 aileron approvals show "$id"
    grep -q '^What .*svc drop' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    run -0 aileron approvals approve "$id"
    agent_ends 0
    grep -qx 'STORY ENDS: the service knows octo' "$WORLD/out"
    # The service was asked once, with its credential; the model's last word came after it had the service's answer.
    [ "$(upstream_count)" -eq 1 ]
    grep -qF "Bearer $SECRET" "$WORLD/up/requests.log"
    grep -q '"method": "DELETE"' "$WORLD/up/requests.log"
    [ "$(told 'select(.results.toolu_drop) | .results.toolu_drop' | grep -c "^Exit code 75$")" -ge 2 ]
    # Whatever the agent asked of its vendor bore the key, and the agent had a stand-in of it.
    [ "$(told .key | sort -u)" = true ]
    grep -qE '^sk-ant-api03-[A-Za-z0-9]{36}$' "$WORLD/ws/key"
    absent -rqF -e "$MODEL_KEY" -e "$SECRET" "$WORLD/ws" "$WORLD/out" "$WORLD/stderr"
}

@test "a real agent calls a tool, is told that it is pending, waits for the person, and goes on" {
    story claude
    run -0 aileron audit list --event=network --decision=allow --json
    [ "$(jq -r .host <<< "$output" | sort -u)" = $'api.anthropic.com\napi.test' ]
}

@test "what it sends home besides is denied, and hinders nothing" {
    mkdir -p "$AILERON_HOME/agents"
    sed -e 's/^name: .*/name: chatty/' -e '/^env:/,/^hosts:/{/^hosts:/!d}' "$ROOT/contrib/agents/claude.yaml" \
        > "$AILERON_HOME/agents/chatty.yaml"
    story chatty
    run -0 aileron audit list --event=network --decision=deny --json
    [ -n "$output" ]
}
