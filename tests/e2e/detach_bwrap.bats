# Sandboxes in the background, under either engine: launch --detach, attach, and what becomes of keeper, terminals and
# session when one of them goes. The file's name says the engine: detach_docker.bats and detach_podman.bats
# are links to this one.
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup() {
    world_enter
    rm -f go first
    SESSION=
}

# A test that failed leaves nothing to the next one.
teardown() { [ -z "${SESSION:-}" ] || aileron sessions end "$SESSION" > /dev/null 2>&1 || true; }

detach() { aileron launch --detach --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- "$@"; }
# SESSION runs the shell command, in the background.
start() {
    SESSION=$(detach sh -c "$1" 2> err) || { cat err; return 1; }
    [ "${#SESSION}" -eq 26 ]
}
terminal() { "$TESTS_LIB/terminal.py" "$@"; }
session_gone() { [ ! -e "$AILERON_HOME/run/private/$SESSION" ] && [ ! -e "$AILERON_HOME/run/sessions/$SESSION" ]; }
keeper_pid() { aileron audit list --session="$SESSION" --event=session.start --json | jq .pid; }
attached() { [ -n "$(pgrep -x -f "aileron attach $SESSION")" ]; }
reads_lines='while read -r line; do echo "got <$line>"; [ "$line" != quit ] || exit 7; done'

@test "--detach prints the id when the command runs; attach shows what was said, types, and has its exit status" {
    start "echo ready; $reads_lines"
    grep -q "session $SESSION" err
    run -7 terminal 'expect:ready' 'send:one\n' 'expect:got <one>' 'send:quit\n' 'expect:got <quit>' -- aileron attach "$SESSION"
    grep -q 'modes restored' <<< "$output"
    wait_for session_gone
    [ "$(aileron audit list --session="$SESSION" --event=session.end --json | jq -r .reason)" = exit ]
}

@test "the keys detach with 0, and whoever attaches again sees the screen and goes on" {
    start "echo ready; $reads_lines"
    run -0 terminal 'expect:ready' 'send:one\n' 'expect:got <one>' 'send:\x1c\x1c' -- aileron attach
    grep -q 'modes restored' <<< "$output"
    run -0 terminal 'expect:got <one>' 'send:two\n' 'expect:got <two>' 'send:\x01d' -- \
        aileron attach --detach-keys=ctrl-a,d "$SESSION"
    run -7 terminal 'expect:got <two>' 'send:quit\n' -- aileron attach "$SESSION"
}

@test "one key of those that detach reaches the command, a moment later or with the next" {
    start 'exec python3 -c "
import os, tty
tty.setraw(0)
os.write(1, b\"up\")
while (key := os.read(0, 1)) != b\"q\": os.write(1, b\"[%02x]\" % key[0])"'
    run -0 terminal 'expect:up' 'send:\x1c' 'expect:[1c]' 'send:\x1ca' 'expect:[1c][61]' 'send:\x03\x1a' 'expect:[03][1a]' \
        'send:q' -- aileron attach "$SESSION"
}

@test "the size is that of the terminal that types, and follows it" {
    start 'until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; echo first
        until [ "$(stty size)" = "44 88" ]; do sleep 0.1; done; echo second; read -r line'
    run -0 terminal size:33x77 'expect:first' size:44x88 'expect:second' 'send:\n' -- aileron attach "$SESSION"
}

@test "two terminals: the newest types, the other is told so, watches, and types again when it has gone" {
    start "echo ready; $reads_lines"
    terminal 'expect:ready' 'expect:only watches' 'send:nobody reads this\n' 'expect:got <second>' 'expect:types again' \
        'send:first\n' 'expect:got <first>' 'send:\x1c\x1c' -- aileron attach "$SESSION" > one 2>&1 3>&- &
    one=$!
    wait_for attached
    run -0 terminal 'expect:ready' 'wait:1' 'send:second\n' 'expect:got <second>' 'send:\x1c\x1c' -- aileron attach "$SESSION"
    status=0
    wait "$one" || status=$?
    cat one
    [ "$status" -eq 0 ]
    absent 'got <nobody' one
    run -7 terminal 'expect:got <first>' 'send:quit\n' -- aileron attach "$SESSION"
}

@test "a file as standard input is typed, and its end is not the sandbox's" {
    start "stty -echo; echo ready; $reads_lines"
    wait_for sh -c "timeout 1 aileron attach '$SESSION' < /dev/null | grep -q ready"
    run -7 --separate-stderr aileron attach "$SESSION" < <(printf 'one\nquit\n')
    grep -q 'got <one>' <<< "$output"
    [ "$stderr" = '' ]
}

@test "output that nobody reads holds nobody up and is kept to a bound" {
    start 'head -c 50000000 /dev/zero | tr "\0" x; echo; echo the-end; touch first; read -r line'
    wait_for test -e first
    # An engine brings it here in its own time; before that attach has what is kept, and what comes meanwhile besides.
    wait_for sh -c "timeout 1 aileron attach '$SESSION' < /dev/null | grep -q the-end"
    keeper=$(keeper_pid)
    bound=20000
    [[ $BIN != */asan/* ]] || bound=40000 # 20000 are the sanitizer's
    [ "$(awk '/^VmHWM/ { print $2 }' "/proc/$keeper/status")" -lt "$bound" ]
    run -0 aileron attach "$SESSION" < <(echo)
    grep -q the-end <<< "$output"
    [ "${#output}" -lt 70000 ]
}

@test "a terminal that does not read holds the command up for a moment and no more, and hears what it missed" {
    start 'read -r line; head -c 50000000 /dev/zero | tr "\0" x; echo; touch first; read -r line'
    echo > in-file
    mkfifo stuck
    aileron attach "$SESSION" < <(echo; sleep 30) > stuck 2> missed 3>&- &
    reader=$!
    exec 8< stuck
    wait_for test -e first
    cat <&8 > all &
    cat=$!
    wait_for grep -q 'left out here' missed
    kill "$reader"
    wait "$cat"
    exec 8<&-
    rm stuck
    [ "$(stat -c %s all)" -lt 40000000 ]
}

@test "a terminal that takes nothing, or a command that reads nothing, does not keep attach from ending" {
    start 'stty raw -echo; touch first; echo ready; exec sleep 100'
    wait_for test -e first
    steps=()
    for i in $(seq 40); do steps+=("size:$((20 + i))x80" wait:0.02); done
    run -143 terminal 'expect:ready' 'paste:400000' "${steps[@]}" 'signal:TERM' -- aileron attach "$SESSION"
    grep -q 'were not taken' <<< "$output"
    grep -q 'modes restored' <<< "$output"
    aileron session stop "$SESSION"
    start 'echo ready; sleep 0.5; exec yes'
    run -143 terminal 'expect:ready' 'wait:1' 'signal:TERM' 'deaf:5' -- aileron attach "$SESSION"
    absent 'the command goes on' <<< "$output"
    aileron session stop "$SESSION"
}

@test "the keeper survives the terminal that it was launched from" {
    run -0 terminal 'expect:# ' "send:aileron launch --detach --sandbox=$ENGINE ${IMAGE:+--image=$IMAGE} -- sh -c 'while [ ! -e go ]; do sleep 0.1; done; echo awake; read -r line; exit 3'\n" \
        'expect:sealed' 'expect:# ' 'send:exit 0\n' -- env PS1='# ' bash --norc --noprofile -i
    SESSION=$(ls "$AILERON_HOME/run/sessions")
    keeper=$(keeper_pid)
    kill -HUP "$keeper"
    [ "$(awk '{ print $7 }' "/proc/$keeper/stat")" -eq 0 ] # no controlling terminal
    [ "$(readlink "/proc/$keeper/fd/"{0,1} | sort -u)" = /dev/null ]
    touch go
    run -3 terminal 'expect:awake' 'send:\n' -- aileron attach "$SESSION"
}

@test "what the launcher says at the end is shown to whoever is attached" {
    git init -q .
    start 'echo ready; read -r line; printf "#!/bin/sh\n" > .git/hooks/post-commit; chmod +x .git/hooks/post-commit'
    run -0 terminal 'expect:ready' 'send:\n' 'expect:.git/hooks/post-commit' -- aileron attach "$SESSION"
    rm -rf .git
}

@test "the keeper ends with its session, and a terminal is told" {
    start 'echo ready; exec sleep 1000'
    keeper=$(keeper_pid)
    terminal 'expect:ready' 'wait:1' -- aileron attach "$SESSION" > one 2>&1 3>&- &
    one=$!
    wait_for attached
    aileron sessions end "$SESSION"
    status=0
    wait "$one" || status=$?
    cat one
    [ "$status" -eq 143 ] || [ "$status" -eq 137 ]
    keeper_gone() { [ ! -e "/proc/$keeper" ]; }
    wait_for keeper_gone
    wait_for session_gone
}

@test "the daemon that is stopped when a session has been ended stays so" {
    start 'echo ready; exec sleep 1000'
    keeper=$(keeper_pid) daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    aileron sessions end "$SESSION"
    aileron daemon stop
    keeper_gone() { [ ! -e "/proc/$keeper" ]; }
    wait_for keeper_gone
    run -69 aileron daemon status
    [ "$(cat "$AILERON_HOME/run/daemon.pid" 2> /dev/null || echo "$daemon")" = "$daemon" ]
}

@test "F02: the keeper is killed: the sandbox goes with it, attached terminals are made sane and say so" {
    start 'echo ready; exec sleep 1000'
    terminal 'expect:ready' 'wait:3' -- aileron attach "$SESSION" > one 2>&1 3>&- &
    one=$!
    wait_for attached
    kill -9 "$(keeper_pid)"
    status=0
    wait "$one" || status=$?
    cat one
    [ "$status" -eq 69 ]
    grep -q 'keeper of the sandbox.*has gone' one
    grep -q 'modes restored' one
    wait_for session_gone
    [ "$(aileron audit list --session="$SESSION" --event=session.end --json | jq -r .reason)" = "launcher gone" ]
}

@test "what cannot start is said, with the exit status of a launch, and no session is left" {
    before=$(ls "$AILERON_HOME/run/sessions")
    run -127 detach no-such-command
    grep -q 'no command no-such-command' <<< "$output"
    none_left() { [ "$(ls "$AILERON_HOME/run/sessions")" = "$before" ]; }
    wait_for none_left
}

@test "a command that is over at once was launched all the same" {
    run -0 --separate-stderr detach true
    [ "${#output}" -eq 26 ]
    SESSION=$output
    wait_for session_gone
}

@test "a launch that is interrupted before its command runs leaves nothing" {
    mkdir slow
    real=$(command -v "$ENGINE")
    # Slow with the sandbox alone, not with what is asked and tried of the engine before.
    printf '#!/bin/sh\ncase "$*" in *aileron-proxy*) sleep 2 ;; esac\nexec "%s" "$@"\n' "$real" > "slow/$ENGINE"
    chmod +x "slow/$ENGINE"
    # Not by way of a function: an interrupt is ignored by what a shell without job control starts in the background.
    PATH=$PWD/slow:$PATH python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' aileron launch --detach --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- \
        sh -c 'touch first; exec sleep 1000' > out 2>&1 3>&- &
    launcher=$!
    # Said just before the engine is started.
    wait_for grep -q '^aileron: sandbox .* session ' out
    SESSION=$(sed -n 's/^aileron: sandbox .* session //p' out)
    [ "${#SESSION}" -eq 26 ]
    kill -INT "$launcher"
    status=0
    wait "$launcher" || status=$?
    [ "$status" -eq 130 ]
    wait_for session_gone
    aileron audit list --session="$SESSION" --event=session.end | grep -q 'reason=.*not started'
}

@test "attach says what there is to attach to, and what is not" {
    run -1 aileron attach
    grep -q 'no sandbox runs that was launched with --detach' <<< "$output"
    run -1 aileron attach 01ARZ3NDEKTSV4RRFFQ69G5FAV
    grep -q 'there is no session' <<< "$output"
    run -64 aileron attach --detach-keys=ctrl-1 x
    grep -q 'not a list of at most 8 keys' <<< "$output"
    start 'echo ready; exec sleep 1000'
    one=$SESSION
    start 'echo ready; exec sleep 1000'
    run -64 aileron attach
    grep -q '2 sandboxes run detached' <<< "$output"
    aileron sessions end "$one"
}

@test "the socket is the user's own: mode 0600, beside what is mounted, and a sandbox cannot use it" {
    start 'echo ready; exec sleep 1000'
    [ "$(stat -c %a "$AILERON_HOME/run/private/$SESSION/attach.sock")" = 600 ]
    [ "$(stat -c %a "$AILERON_HOME/run/private/$SESSION")" = 700 ]
    absent -r attach <(ls "$AILERON_HOME/run/sessions/$SESSION")
    # From a namespace of its own, as a sandbox of the same user would be: it gets nothing.
    run -69 timeout 10 unshare --pid --fork --mount-proc aileron attach "$SESSION" < /dev/null
    absent ready <<< "$output"
    timeout 5 aileron attach "$SESSION" < /dev/null > out || true
    grep -q ready out
}
