# `aileron agents`: what there is, what a file says, and whether an agent would work here. The agents are stand-ins: a
# script in the person's home, shown to the sandbox by the agent's own file.
bats_require_minimum_version 1.5.0
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    mkdir -p "$AILERON_HOME/agents" "$WORLD/person/bin"
    cat > "$WORLD/person/bin/octo" << 'SH'
#!/bin/sh
[ "$1" = --what ] || exit 9
[ -z "$OCTO_BROKEN" ] || { echo "octo: something is missing" >&2; exit 3; }
echo "octo 1.2.3"
SH
    chmod +x "$WORLD/person/bin/octo"
    octo '' > "$AILERON_HOME/agents/octo.yaml"
    octo '  OCTO_BROKEN: "1"' | sed 's/^name: .*/name: broken/' > "$AILERON_HOME/agents/broken.yaml"
    export WORLD SECRET
}
octo() { # VARIABLE
    cat << YAML
version: 1
name: octo
summary: an agent for the test
command: [octo]
probe: [--what]
headless: [run, "a b"]
env:
  OCTO: "1"
$1
hosts: [api.test]
optional_hosts: [other.test, "*.other.test"]
bindings:
  - name: user/octo
    hosts: [api.test]
    scheme: header
    header: { name: X-Api-Key, template: "{secret}" }
    sentinel: { env: [OCTO_KEY], like: octo- }
keeps: [~/.octo]
expose: [~/bin/octo]
install: get it with octo-get
recipe:
  debian: [RUN octo-get octo]
YAML
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    export HOME=$WORLD/person PATH=$WORLD/person/bin:$PATH
    cd "$WORLD/ws"
    world_policy
    bound_as OCTO_KEY user/api
}
bound_as() { # VARIABLE ENTRY
    cat > "$AILERON_HOME/bindings.yaml" << YAML
version: 1
bindings:
  - { name: user/mine, entry: $2, hosts: [api.test], scheme: bearer, sentinel: { env: [$1], like: octo- } }
YAML
}
row() { grep -q "^$1  *$2  *$3" <<< "$output" || { echo "no row $*: $output"; return 1; }; }

@test "list: the built-in ones and a person's own, a file that is wrong with what is wrong" {
    printf 'version: 1\nname: bad\ncommand: [bad]\nbogus: 1\n' > "$AILERON_HOME/agents/bad.yaml"
    run -0 --separate-stderr aileron agents list
    for name in aider amp claude cline codex continue copilot cursor-agent gemini goose kilo opencode pi qwen \
        shell; do
        row $name built in
    done
    row octo 'own file' 'an agent for the test'
    row bad 'own file' '.*bad.yaml:4:1: .*bogus'
    run -0 aileron agents list --json
    [ "$(jq -r '.[] | select(.name == "octo") | .from' <<< "$output")" = "own file" ]
    run -78 aileron agents check bad
    grep -q 'bad.yaml:4:1: .*bogus' <<< "$output"
    rm "$AILERON_HOME/agents/bad.yaml"
}

@test "show: the lines for bindings.yaml are good for bindings.yaml" {
    run -0 aileron agents show octo
    grep -q '^By itself  *run "a b"$' <<< "$output"
    grep -qx '  aileron vault put user/octo' <<< "$output"
    grep -qx '  RUN octo-get octo' <<< "$output"
    local name
    for name in $(aileron agents list --json | jq -r '.[].name'); do
        run -0 aileron agents show "$name"
        { printf 'version: 1\nbindings:\n'; sed -n '/^  - name:/,/^$/p' <<< "$output"; } > "$AILERON_HOME/bindings.yaml"
        run -0 aileron policy check
        [ "$(aileron agents show --json "$name" | jq '.bindings // [] | length')" -eq \
            "$(grep -c '  - name:' "$AILERON_HOME/bindings.yaml")" ]
    done
    run -1 aileron agents show nobody
    grep -q 'claude, cline, codex, ' <<< "$output"
}

@test "check: an agent that would work" {
    run -0 aileron agents check octo
    row file ok 'own file'
    row program ok 'octo 1.2.3$'
    row credential ok 'user/mine, as OCTO_KEY$'
    row vault ok 'user/api$'
    row 'host api.test' ok allow
    run -0 --separate-stderr aileron agents check --sandbox=bwrap --json octo
    [ "$(jq -r '.[] | select(.name == "program") | .verdict + " " + .note' <<< "$output")" = "ok octo 1.2.3" ]
}

@test "check: each thing that is missing has its row and its repair" {
    bound_as OTHER_KEY user/api
    run -69 aileron agents check octo
    row credential MISSING 'bindings.yaml has none'
    grep -q -- '-> .*aileron agents show octo' <<< "$output"
    bound_as OCTO_KEY user/gone
    run -69 aileron agents check octo
    row vault MISSING 'the vault has no entry user/gone'
    grep -q -- '-> aileron vault put user/gone' <<< "$output"
    bound_as OCTO_KEY user/api
    printf 'version: 1\nnetwork: { default: deny }\n' > "$AILERON_HOME/policy.yaml"
    run -69 aileron agents check octo
    row 'host api.test' MISSING 'deny by rule network.default'
    grep -q -- '-> policy.yaml, rules: - { host: api.test, action: allow }' <<< "$output"
    row 'host other.test' ok 'deny by rule network.default'
    world_policy
    mv "$HOME/bin/octo" "$HOME/bin/away"
    run -69 aileron agents check octo
    mv "$HOME/bin/away" "$HOME/bin/octo"
    row program MISSING 'octo is not in the sandbox'
    grep -q -- '-> get it with octo-get' <<< "$output"
    run -69 aileron agents check broken
    row program MISSING '.*status 3): octo: something is missing'
    cd "$HOME"
    run -69 aileron agents check octo
    row program MISSING '.*home directory'
}
