# What people get wrong: each is one line on standard error that says what, where and what to do next, with the exit
# status of design 14, at once, and with nothing half-written. No space is attack/faults.bats (F03); the engine's and
# the workspace's own are launch.bats and docker.bats.
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD AILERON_HOME
    mkdir -p "$WORLD/in/dir" "$WORLD/in/empty-dir"
    cd "$WORLD/in"
    truncate -s 100M big
    mkfifo fifo
    head -c 500 /dev/urandom | tr '\n' x > noise
    printf 'version: 1\nrules: [\n  - x' > bad.yaml
    printf 'version: 1\nnothing: 2\n' > unknown.yaml
    printf 'version: 1\nversion: 1\n' > twice.yaml
    printf 'version: 1\n# caf\xe9\n' > latin.yaml
    : > empty
    printf '{"schema_version": 1,\n  "connector": {,' > bad.json
    printf '{"schema_version": 1, "schema_version": 1}' > twice.json
    printf '{"schema_version": 1, "connector": "text"}' > shape.json
    cp -a "$AILERON_HOME" "$WORLD/good"
}

teardown_file() { world_stop; }

setup() {
    world_clean_environment
    cd "$WORLD/in"
}

# The status, words, and a next step behind the message's full stop; within ten seconds, whatever is read.
says() { # STATUS WORDS COMMAND...
    local want=$1 words=$2
    shift 2
    run timeout 10 "$@"
    [ "$status" -eq "$want" ] || { echo "$*: status $status, not $want: $output"; return 1; }
    [ "${#lines[@]}" -eq 1 ] || { echo "$*: more than one line: $output"; return 1; }
    [[ $output == aileron*:* ]] || { echo "$*: $output"; return 1; }
    grep -qE -- "$words" <<< "$output" || { echo "$*: $output"; return 1; }
    grep -qE '[^.]\. [A-Za-z]' <<< "$output" || { echo "$*: no next step: $output"; return 1; }
}

# A file of the home replaced by one of ours, and put back.
replaced() { # NAME BY COMMAND...
    local name=$1 by=$2 result=0
    shift 2
    rm -rf "${AILERON_HOME:?}/$name"
    cp -a --sparse=always "$by" "$AILERON_HOME/$name"
    "$@" || result=$?
    rm -rf "${AILERON_HOME:?}/$name"
    [ ! -e "$WORLD/good/$name" ] || cp -a "$WORLD/good/$name" "$AILERON_HOME/$name"
    return $result
}

# ---- usage

@test "unknown commands, verbs and flags of every command" {
    for name in $(aileron --list); do
        [ "$name" != shim ] || continue
        says 64 "See aileron[ -]$name --help" aileron "$name" --bogus
    done
    for name in vault connector audit policy sessions; do
        says 64 "unknown command $name bogus. See aileron $name --help" aileron "$name" bogus
        for verb in $(aileron help "$name" | sed -n "s/^ *aileron $name \([a-z]*\).*/\1/p"); do
            says 64 "unknown option --bogus. See aileron $name $verb --help" aileron "$name" "$verb" --bogus
        done
    done
    for verb in stop status reload; do says 64 'unknown option --bogus' aileron daemon "$verb" --bogus; done
    says 64 'unknown command bogus. See aileron --help' aileron bogus
    says 64 'unknown command --bogus. See aileron --help' aileron --bogus
    says 64 'See aileron-proxy run --help' aileron-proxy run --bogus
    says 64 'See aileron-wait --help' aileron-wait --bogus
    says 64 'See aileron vault put --help' aileron vault put one two
    says 64 "letters, digits" aileron vault put ../climb
    says 69 'Run it in a sandbox' aileron-shim
}

# ---- the user's files

@test "config.yaml, policy.yaml and bindings.yaml: unreadable or malformed, for a daemon that runs and one that starts" {
    for file in config policy bindings; do
        while read -r by words; do
            words=${words//FILE/$file.yaml}
            replaced $file.yaml $by says 78 "$words" aileron policy check
            replaced $file.yaml $by says 78 "$words" aileron policy reload
            aileron daemon stop
            replaced $file.yaml $by says 78 "$words" aileron vault unlock
            aileron vault unlock
        done <<'CASES'
big FILE is larger than 1048576 bytes
dir FILE is not a regular file
fifo FILE is not a regular file
empty FILE: must be an object
bad.yaml FILE:3:[0-9]+: not valid YAML
unknown.yaml FILE:2:1: nothing: unknown key
twice.yaml FILE:2:1: this key stands here twice
latin.yaml FILE:2:6: not valid text
CASES
        replaced $file.yaml noise says 78 "$file.yaml:1:[0-9]+: not valid text" aileron policy check
    done
    # The last good rules stayed, and these are whole again.
    aileron policy reload
    aileron status
}

@test "the same for launch: 125, and no session is left" {
    mkdir -p "$WORLD/ws"
    for by in big dir fifo bad.yaml latin.yaml; do
        replaced config.yaml $by says 125 'config.yaml' env -C "$WORLD/ws" aileron launch -- true
        replaced bindings.yaml $by says 125 'bindings.yaml' env -C "$WORLD/ws" aileron launch -- true
    done
    [ -z "$(ls "$AILERON_HOME/run/sessions")" ]
}

@test "an agent's file that is unreadable or malformed" {
    mkdir -p "$AILERON_HOME/agents" "$WORLD/ws"
    while read -r by words; do
        replaced agents/mine.yaml $by says 125 "$words" env -C "$WORLD/ws" aileron launch mine
    done <<'CASES'
big mine.yaml is larger than 65536 bytes
dir mine.yaml is not a regular file
fifo mine.yaml is not a regular file
empty mine.yaml: must be an object
bad.yaml mine.yaml:3:[0-9]+: not valid YAML
unknown.yaml mine.yaml:2:1: nothing: unknown key
latin.yaml mine.yaml:2:6: not valid text
CASES
}

@test "a policy that is given by name" {
    while read -r want by words; do says "$want" "$words" aileron policy check $by; done <<'CASES'
78 big big is larger than
78 dir dir is not a regular file
78 fifo fifo is not a regular file
78 empty empty: must be an object
78 bad.yaml bad.yaml:3:[0-9]+: not valid YAML
78 latin.yaml latin.yaml:2:6: not valid text
1 missing missing does not exist
CASES
}

@test "files that an ordinary user may not read" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to become somebody else"
    install -d -m 700 -o 4321 -g 4321 "$WORLD/u" "$WORLD/u/home"
    chmod 755 "$WORLD"
    as() { env -i AILERON_HOME="$WORLD/u/home" AILERON_VAULT_PASSPHRASE=x HOME="$WORLD/u" PATH="$PATH" \
        setpriv --reuid 4321 --regid 4321 --clear-groups "$@"; }
    export -f as
    export WORLD
    cp -r "$BIN" "$WORLD/u/bin"
    chown -R 4321:4321 "$WORLD/u/bin"
    PATH=$WORLD/u/bin:$PATH
    in_as() { bash -c 'as "$@"' _ "$@"; }
    for file in config policy bindings; do
        install -m 000 -o 4321 bad.yaml "$WORLD/u/home/$file.yaml"
        says 78 "$file.yaml: Permission denied" bash -c 'as "$@"' _ aileron policy check
        rm "$WORLD/u/home/$file.yaml"
    done
    install -m 000 -o 4321 bad.json "$WORLD/u/home/vault.json"
    says 74 'vault.json: Permission denied' bash -c 'as "$@"' _ aileron vault unlock
    rm "$WORLD/u/home/vault.json"
    install -m 000 -o 4321 bad.json "$WORLD/u/c.json"
    says 74 'c.json: Permission denied' bash -c 'as "$@"' _ aileron connector add "$WORLD/u/c.json"
    chmod 000 "$WORLD/u/home/audit"
    says 74 'audit: Permission denied. Check the owner and the mode' bash -c 'as "$@"' _ aileron audit list
    chmod 700 "$WORLD/u/home/audit"
    chmod 000 "$WORLD/u/home/run/control.sock"
    for command in 'vault list' status 'daemon status'; do
        says 77 'control.sock: Permission denied. It is made with mode 0600' bash -c 'as "$@"' _ aileron $command
    done
    chmod 600 "$WORLD/u/home/run/control.sock"
    in_as aileron daemon stop
}

# ---- connectors and the vault

@test "connectors: unreadable or malformed, with line and column; nothing is installed" {
    for verb in add check; do
        while read -r want by words; do says "$want" "$words" aileron connector $verb $by; done <<'CASES'
65 big big is larger than 4194304 bytes
65 fifo fifo is not a regular file
65 empty empty:1:1: not valid JSON
65 noise noise:1:[0-9]+: not valid JSON
65 bad.json bad.json:2:[0-9]+: not valid JSON
65 twice.json twice.json:1:[0-9]+: .*duplicate
65 shape.json connector: must be an object
1 empty-dir empty-dir/aileron.connector.v1.json does not exist
1 missing missing does not exist
CASES
    done
    [ "$(aileron connector list | wc -l)" -eq 0 ]
    [ ! -d "$AILERON_HOME/store" ] || [ -z "$(find "$AILERON_HOME/store" -type f)" ]
}

@test "vault.json: unreadable or malformed; nothing is written over it" {
    aileron daemon stop
    for by in big dir fifo empty noise bad.json twice.json shape.json; do
        replaced vault.json $by says 65 'vault.json.*Nothing was changed' aileron vault unlock
        replaced vault.json $by says 65 'vault.json' aileron vault list
        replaced vault.json $by says 65 'vault.json' aileron vault put --from-file=bad.json a/b
        replaced vault.json $by says 1 'there is a vault already' aileron vault init
    done
    aileron vault unlock
    aileron vault list | grep -q '^user/api '
}

@test "secrets and passphrases from files that hold none; a wrong passphrase" {
    while read -r want by words; do
        says "$want" "$words" aileron vault put --from-file=$by a/b
        says "$want" "$words" aileron vault unlock --passphrase-file=$by
    done <<'CASES'
65 big big is larger than
65 dir dir is not a regular file
65 fifo fifo is not a regular file
65 empty empty: the secret is empty
1 missing missing does not exist
CASES
    aileron vault lock
    AILERON_VAULT_PASSPHRASE=wrong says 77 'wrong passphrase.*Try again' aileron vault unlock
    says 77 'wrong passphrase.*Try again' aileron vault unlock --passphrase-file=bad.json
    aileron vault unlock
    [ "$(aileron vault list | wc -l)" -eq 1 ]
}

# ---- places

@test "homes that cannot be one: open to others, a file, somebody else's, too long a path" {
    chmod 770 "$AILERON_HOME"
    says 78 'open to other users.*chmod 700' aileron vault list # also where a daemon runs: another could be behind the socket
    says 78 'open to other users' aileron status
    says 125 'open to other users' env -C "$WORLD/ws" aileron launch -- true
    chmod 700 "$AILERON_HOME"
    AILERON_HOME=$WORLD/in/empty says 78 'is a file, not a directory' aileron vault list
    AILERON_HOME=relative says 78 'absolute path' aileron vault list
    AILERON_HOME=/proc/nothing says 74 'cannot (make|create)' aileron vault list
    AILERON_HOME=$WORLD/$(printf 'x%.0s' $(seq 90)) says 78 'shorter path' aileron vault list
    if [ "$(id -u)" -eq 0 ]; then
        install -d -m 700 -o 4321 "$WORLD/theirs"
        AILERON_HOME=$WORLD/theirs says 78 'belongs to user 4321' aileron vault list
    fi
}

@test "what stands in the way of a daemon that starts is named, not taken for another daemon" {
    aileron daemon stop
    for name in run/control.sock run/daemon.lock run/daemon.log state.db; do
        rm -rf "${AILERON_HOME:?}/$name"
        mkdir "$AILERON_HOME/$name"
        run timeout 10 aileron vault list
        [ "$status" -ne 0 ]
        [ "$status" -ne 124 ]
        [ "${#lines[@]}" -eq 1 ]
        grep -q "$name" <<< "$output"
        grep -qE '[^.]\. [A-Za-z]' <<< "$output" || { echo "no next step: $output"; return 1; }
        rmdir "$AILERON_HOME/$name"
    done
    aileron vault unlock
}

@test "a daemon of another version" {
    sed -i 's/"version": *"[^"]*"/"version":"0.0.1"/' "$AILERON_HOME/run/daemon.json"
    says 1 'version 0.0.1, and this program is version.*aileron daemon stop' aileron vault list
    says 125 'version 0.0.1' env -C "$WORLD/ws" aileron launch -- true
    aileron daemon stop
    aileron vault unlock
}

@test "what this version would not keep is an error, not a promise" {
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy"
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    printf 'version: 1\nexec:\n  default: deny\n' > "$AILERON_HOME/policy.yaml"
    says 78 'policy.yaml:[0-9:]* .*does not enforce rules about programs' aileron policy check
    cp "$WORLD/policy" "$AILERON_HOME/policy.yaml"
    printf 'version: 1\naudit: { anchor: [tee, heads] }\n' > "$AILERON_HOME/config.yaml"
    says 78 'config.yaml:2:[0-9]*: .*heads of the record' aileron policy check
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
}
