# Launch: what it says, how it is suspended, what it refuses. Under bwrap, which every machine can have; what is so
# under either engine stands in life_bwrap.bats.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}

teardown_file() { world_stop; }
setup() {
    world_clean_environment
    cd "$WORLD/ws"
}

terminal() { "$TESTS_LIB/terminal.py" "$@"; }
session_count() { ls "$AILERON_HOME/run/sessions" | wc -l; }
no_sessions() { [ "$(session_count)" -eq 0 ]; }

# ---- what it says

@test "one line says the engine and why, the network and the session" {
    run --separate-stderr aileron launch -- echo hello
    [ "$status" -eq 0 ]
    [ "$output" = hello ]
    [[ "$stderr" =~ ^"aileron: sandbox bwrap (docker and podman: no image named), network sealed, session "[0-9A-Z]{26}$ ]]
}

@test "the session's directory goes when the sandbox ends" {
    run aileron launch -- true
    [ "$status" -eq 0 ]
    wait_for no_sessions
}

@test "an agent's own file: command, arguments and environment" {
    mkdir -p "$AILERON_HOME/agents"
    printf 'version: 1\nname: mine\ncommand: [sh, -c, "echo $GREETING $1 $2", sh]\nenv: { GREETING: hello }\n' \
        > "$AILERON_HOME/agents/mine.yaml"
    run --separate-stderr aileron launch mine --flag "two words"
    [ "$status" -eq 0 ]
    [ "$output" = "hello --flag two words" ]
}

@test "a built-in agent that is not installed: 127, and how to get it" {
    run -127 aileron launch claude
    grep -q 'npm install -g @anthropic-ai/claude-code' <<< "$output"
}

# ---- Ctrl-Z

# The sleep runs before "up" is said: a dash that is stopped in the middle of its vfork would wait for ever.
@test "Ctrl-Z suspends the launcher under a shell, and fg goes on" {
    run -0 terminal 'expect:# ' 'send:aileron launch -- sh -c "sleep 2 & echo u''p; wait; echo awa''ke"\n' 'expect:sealed' \
        'expect:up' 'send:\x1a' 'expect:Stopped' 'send:stty -a | grep -c -- " icanon"\n' 'expect:1' \
        'send:fg\n' 'expect:awake' 'expect:# ' 'send:exit 0\n' -- env PS1='# ' bash --norc --noprofile -i
}

@test "a terminal that hangs up ends a sandbox that is suspended" {
    run -99 terminal 'expect:# ' 'send:aileron launch -- sh -c "echo u''p; exec sleep 4141"\n' 'expect:sealed' \
        'expect:up' 'wait:0.2' 'send:\x1a' 'expect:Stopped' 'expect:never' -- env PS1='# ' bash --norc --noprofile -i
    gone() { ! pgrep -f 'sleep 4141' > /dev/null; }
    wait_for gone
    wait_for no_sessions
}

# ---- what it refuses

refuses() { # STATUS TEXT COMMAND...
    local want=$1 text=$2
    shift 2
    run "-$want" "$@"
    grep -qF -- "$text" <<< "$output"
    no_sessions
}

@test "bad usage" {
    refuses 64 'needs an agent' aileron launch
    refuses 64 'unknown option --bogus' aileron launch --bogus x
    refuses 64 'auto|docker|podman|bwrap' aileron launch --sandbox=lxc -- true
    refuses 64 'always sealed' aileron launch --sandbox=bwrap --network=open -- true
    refuses 64 'takes no image' aileron launch --sandbox=bwrap --image=x -- true
    refuses 125 'Agents here: aider, amp, claude, cline, codex' aileron launch nobody
}

@test "no engine" {
    refuses 125 'Install bubblewrap' env PATH=/nonexistent "$BIN/aileron" launch -- true
    refuses 125 'the engine docker cannot be used' env DOCKER_HOST=unix:///nonexistent aileron launch \
        --sandbox=docker --image=x -- true
    refuses 125 'Set sandbox.remote_listen' env DOCKER_HOST=tcp://127.0.0.1:1 aileron launch --sandbox=docker --image=x -- true
}

@test "a configuration with an error, with line and column" {
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    printf 'version: 1\nsandbox: { runtime: bwrap, colour: red }\n' > "$AILERON_HOME/config.yaml"
    run -125 aileron launch -- true
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
    grep -q 'config.yaml:2:' <<< "$output"
}

@test "a socket path that is too long" {
    long=$WORLD/$(printf 'x%.0s' $(seq 90))
    refuses 125 'shorter path' env AILERON_HOME="$long" aileron launch -- true
}

@test "F10: workspaces that would hand over the host" {
    refuses 125 'the whole host' env -C / aileron launch -- true
    refuses 125 "Aileron's own files" env -C "$AILERON_HOME" aileron launch -- true
    refuses 125 "Aileron's own files" env -C "$WORLD" aileron launch -- true
    mkdir -p "$WORLD/user/project"
    refuses 125 'home directory' env -C "$WORLD/user" HOME="$WORLD/user" aileron launch -- true
    ln -sfn "$AILERON_HOME" "$WORLD/user/link"
    refuses 125 "Aileron's own files" env -C "$WORLD/user/link" HOME="$WORLD/user" aileron launch -- true
    run -0 env -C "$WORLD/user/project" HOME="$WORLD/user" aileron launch -- true
}

@test "a workspace that is not writable" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to become somebody else"
    install -d -m 755 -o 4321 -g 4321 "$WORLD/theirs"
    refuses 125 'belongs to user 4321' env -C "$WORLD/theirs" aileron launch -- true
}

# ---- a bare host

# The well-known places are covered in a mount namespace of the test's own.
@test "a host without trusted certificates: a sandbox runs, what tls.ca_file vouches for is reached, nothing else is" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to hide the host's certificates"
    bare() {
        unshare -m bash -c 'for dir in /etc/ssl /etc/pki /var/lib/ca-certificates; do
                [ ! -d $dir ] || mount -t tmpfs none $dir; done
            exec "$@"' _ "$@"
    }
    aileron daemon stop
    bare aileron vault unlock
    run --separate-stderr bare aileron launch -- curl -sS https://api.test/user
    aileron daemon stop
    echo "$output $stderr"
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    rm -rf "$WORLD/other"
    mkdir -m 700 "$WORLD/other"
    sed '/^tls:/d' "$AILERON_HOME/config.yaml" > "$WORLD/other/config.yaml"
    cp "$AILERON_HOME/policy.yaml" "$AILERON_HOME/bindings.yaml" "$AILERON_HOME/vault.json" "$WORLD/other/"
    export AILERON_HOME=$WORLD/other
    bare aileron vault unlock
    run --separate-stderr bare aileron launch -- curl -sS -w ' %{http_code}' https://api.test/user
    aileron daemon stop
    AILERON_HOME=$WORLD/home aileron vault unlock
    [ "$status" -eq 0 ]
    grep -q ' 502$' <<< "$output"
    grep -q 'an authority that is not trusted' <<< "$output"
}

# ---- an ordinary user

@test "an ordinary user launches too, and is himself inside" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to become somebody else"
    chmod 755 "$WORLD"
    # His home has a short name: the paths of sockets in it are bounded.
    install -d -m 700 -o 4321 -g 4321 "$WORLD/u" "$WORLD/u/p"
    cp -r "$BIN" "$WORLD/u/bin"
    as() { env -i HOME="$WORLD/u" PATH="$WORLD/u/bin:/usr/bin:/bin" setpriv --reuid 4321 --regid 4321 --clear-groups "$@"; }
    chown -R 4321:4321 "$WORLD/u/bin"
    cd "$WORLD/u/p"
    run --separate-stderr as aileron launch -- sh -c 'id -u; id -g; touch made'
    [ "$status" -eq 0 ]
    as aileron daemon stop
    [ "$output" = $'4321\n4321' ]
    [ "$(stat -c %u made)" = 4321 ]
}
