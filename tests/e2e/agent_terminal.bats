# Three real agents as a person uses them: on a terminal (tmux), a prompt is typed, the tool's call is approved where the
# agent asks, the answer is read, and the agent is left by its own command. The models are tests/lib/model.py.
bats_require_minimum_version 1.5.0
load ../lib/world.bash
ENGINE=bwrap
AGENTS=$ROOT/build/agents # contrib/deps

setup_file() {
    export WORLD_SKIP
    if [ ! -e "$AGENTS/bin/claude" ] || [ ! -e "$AGENTS/bin/codex" ] || [ ! -e "$AGENTS/bin/gemini" ]; then
        WORLD_SKIP="no agents: contrib/deps test fetches them where there are npm and a registry"
    elif ! command -v tmux > /dev/null; then
        WORLD_SKIP="no tmux (the package: tmux)"
    fi
    [ -z "$WORLD_SKIP" ] || return 0
    WORLD_UPSTREAM=$TESTS_LIB/model.py world_start api.test api.anthropic.com api.openai.com \
        generativelanguage.googleapis.com || return 1
    MODEL_KEY=sk-$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s' "$MODEL_KEY" > "$WORLD/up/model-key"
    printf '%s' "$MODEL_KEY" | aileron vault put user/model > /dev/null
    for name in claude codex gemini; do aileron agents show --json "$name"; done | jq -s '{version: 1, bindings:
        ([.[].bindings[0] | .entry = "user/model"] + [{name: "user/api", hosts: ["api.test"], scheme: "bearer"}])}' \
        > "$AILERON_HOME/bindings.yaml"
    cat > "$AILERON_HOME/policy.yaml" << 'YAML'
version: 1
network: { default: deny, private: deny, allow_private: ["127.0.0.1/32"] }
rules:
  - { host: api.anthropic.com, action: allow }
  - { host: api.openai.com, action: allow }
  - { host: generativelanguage.googleapis.com, action: allow }
  - { host: api.test, action: allow }
YAML
    aileron policy reload > /dev/null
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
    echo "svc whoami > answer; sed -n 's/.*\"login\": \"octo.*/SAYS:octo/p' answer" > "$WORLD/up/model-command"
    mkdir "$WORLD/person"
    ln -s "$AGENTS" "$WORLD/person/.local"
    export WORLD SECRET MODEL_KEY
}
teardown_file() { world_stop; }
setup() {
    world_skip
    world_clean_environment
    : > "$WORLD/up/model.log"
    rm -f "$WORLD/ws"/*
    cd "$WORLD/ws"
    TMUX='' HOME=$WORLD/person PATH=$WORLD/person/.local/bin:$PATH TERM=xterm-256color \
        tmux -S "$WORLD/tmux" new-session -d -x 100 -y 40 'exec bash --norc --noprofile' 3>&-
}
teardown() { [ -n "${WORLD_SKIP:-}" ] || tmux -S "$WORLD/tmux" kill-server 2> /dev/null || true; }

press() { tmux -S "$WORLD/tmux" send-keys "$@"; }
screen() { tmux -S "$WORLD/tmux" capture-pane -p -S -200; }
shows() { screen | grep -qE -- "$1"; }
# PATTERN [KEY]: within a minute, which an agent may need on a machine that is busy. The key leads to it; it is pressed
# again every 5 s, since an agent may draw a question before it reads keys.
wait_shows() {
    local i
    for i in $(seq 240); do
        [ -z "${2:-}" ] || [ $((i % 20)) -ne 1 ] || press "$2"
        shows "$1" && return 0
        sleep 0.25
    done
    screen
    cat "$WORLD/up/model.log"
    return 1
}
# Typed and seen before it is sent: a line editor that has just begun may lose keys.
say() { # TEXT SEEN
    press -l "$1"
    wait_shows "$2"
    press Enter
}
launched() { # AGENT PROMPT-PATTERN
    stty_before
    say "aileron launch --sandbox=bwrap $1; echo \"ended: \$?\"" 'ended: \\?\$'
    wait_shows "$2"
}
stty_before() {
    wait_shows '[#$] *$'
    say 'stty -a > before' 'before'
    wait_for test -s before
}
left_sane() {
    wait_shows '^ended: 0'
    say 'stty -a > after' 'after'
    wait_for test -s after
    diff before after
    [ "$(tmux -S "$WORLD/tmux" display-message -p '#{alternate_on} #{cursor_flag}')" = "0 1" ]
}
had_the_key() {
    [ "$(jq -r .key "$WORLD/up/model.log" | sort -u)" = true ]
    grep -q '"login": "octo"' answer
    if screen | grep -qF -e "$MODEL_KEY" -e "$SECRET"; then return 1; fi
}

@test "claude: a prompt is typed, the tool's call is approved, the answer is there, /exit leaves the terminal as it was" {
    launched claude 'Do you trust'
    wait_shows '\? for shortcuts' Enter
    say 'write the answer' 'write the answer'
    wait_shows 'Do you want to proceed'
    [ ! -e answer ]
    wait_shows 'STORY ENDS: it says octo' Enter
    press -l /exit
    wait_shows 'Exit the REPL'
    press Enter
    left_sane
    had_the_key
}

@test "codex: a prompt is typed, the tool runs, the answer is there, /quit leaves the terminal as it was" {
    launched codex 'Ask Codex'
    say 'write the answer' '› write the answer'
    wait_shows 'STORY ENDS: it says octo'
    press -l /quit
    wait_shows 'exit Codex'
    press Enter
    left_sane
    had_the_key
}

@test "gemini: a prompt is typed, the tool's call is approved, the answer is there, /quit leaves the terminal as it was" {
    launched gemini 'Type your message'
    say 'write the answer' '> +write the answer'
    wait_shows '1\. Allow once'
    [ ! -e answer ]
    wait_shows 'STORY ENDS: it says octo' Enter
    wait_shows 'Type your message'
    press -l /quit
    wait_shows 'Exit the cli'
    press Enter
    left_sane
    had_the_key
}
