# The life of a sandbox under either engine: its streams, its terminal, its signals, and what becomes of it when
# one of those that it needs is killed. The file's name says the engine: life_docker.bats and life_podman.bats are links to
# this one.
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup() {
    world_enter
    rm -f first go
    # Nothing that the tests look for in the list of processes is anybody else's.
    LAUNCHER= MARK=4$BATS_ROOT_PID.$BATS_TEST_NUMBER
}

# A test that failed leaves nothing to the next one.
teardown() { [ -z "${LAUNCHER:-}" ] || kill -9 "$LAUNCHER" || true; }

launch() { exec ${WITH:-} aileron launch --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- "$@"; }
# In a terminal, with the steps of terminal.py before the --.
terminal() {
    local steps=()
    while [ "$1" != -- ]; do steps+=("$1"); shift; done
    shift
    "$TESTS_LIB/terminal.py" "${steps[@]}" -- aileron launch --sandbox="$ENGINE" ${IMAGE:+--image="$IMAGE"} -- "$@"
}
daemon_pid() { cat "$AILERON_HOME/run/daemon.pid"; }
launcher_ends() { # STATUS
    local status=0
    wait "$LAUNCHER" 2> /dev/null || status=$?
    LAUNCHER=
    [ "$status" -eq "$1" ] || { echo "the launcher's status is $status, not $1"; return 1; }
}

# A sandbox in the background: LAUNCHER and SESSION. Its command has begun; its output is in the file out.
start() { # SHELL-COMMAND
    launch sh -c "touch first; $1" > out 2>&1 3>&- &
    LAUNCHER=$!
    wait_for test -e first
    SESSION=$(sed -n 's/^aileron: sandbox .* session //p' out)
    [ "${#SESSION}" -eq 26 ]
}
supervisor_pid() { # as the host sees it: the parent of the marked sleep, or its grandparent
    local pid
    pid=$(pgrep -x -f "sleep $MARK")
    while [ "$(tr '\0' ' ' < "/proc/$pid/cmdline" | grep -c '^[^ ]*aileron-proxy run ')" -eq 0 ]; do
        pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")
    done
    echo "$pid"
}

no_process() { [ -z "$(pgrep -x -f "sleep $MARK")" ]; }
no_container() { [ "$ENGINE" = bwrap ] || [ -z "$("$ENGINE" ps -aq --filter "label=dev.aileron.session=$SESSION")" ]; }
no_folder() { [ -z "$(ls -d "$AILERON_HOME"/run/{sessions,private}/"$SESSION" 2> /dev/null)" ]; }

# Of SESSION: no process, no container, no directory; its end is on the record, once, and the record is whole.
nothing_is_left() { # REASON [STATUS]
    wait_for no_process
    wait_for no_container
    wait_for no_folder
    [ "$(aileron audit list --session="$SESSION" --event=session.end --json | jq -r '"\(.reason) \(.status // "")"')" = "$1 ${2:-}" ]
    aileron audit verify
}

# ---- streams, terminal, signals

@test "standard streams are the command's own" {
    printf 'a\nb\n' > in
    status=0
    (launch sh -c 'cat; echo to-stderr >&2; test -t 1 || echo no-tty; test -t 0 || exit 3') < in > out 2> err || status=$?
    [ "$status" -eq 3 ]
    [ "$(cat out)" = $'a\nb\nno-tty' ]
    grep -qx to-stderr err
    absent to-stderr out
}

@test "a login shell has the sandbox's PATH, too" {
    run -0 --separate-stderr inside sh -lc 'command -v aileron-wait; echo "$PATH"'
    [ "${lines[0]}" = /opt/aileron/bin/aileron-wait ]
    [[ "${lines[1]}" = /opt/aileron/shims:/opt/aileron/bin:* ]]
}

@test "a terminal: size, resize, job control" {
    # Each step waits for what the one before shows: an engine passes a new size on when it comes to it.
    run terminal 'size:33x77' 'expect:$ ' 'send:until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; echo fir""st\n' \
        'expect:first' 'size:44x88' 'send:until [ "$(stty size)" = "44 88" ]; do sleep 0.1; done; echo sec""ond\n' \
        'expect:second' 'expect:$ ' 'send:sleep 100\n' 'wait:0.5' 'send:\x1a' 'expect:Stopped' 'expect:$ ' \
        'send:fg\n' 'expect:fg' 'expect:sleep 100' 'wait:0.3' 'send:\x03' 'expect:$ ' 'send:exit 7\n' -- \
        env PS1='$ ' bash --norc --noprofile
    echo "$output"
    [ "$status" -eq 7 ]
    grep -q 'modes restored' <<< "$output"
}

@test "every key reaches the command at once, those that an engine would keep too" {
    steps=()
    for key in 10 11 10 1c 0f 1a 13 03 1d; do steps+=("send:\\x$key" "expect:[$key]"); done
    run -0 terminal 'expect:up' "${steps[@]}" 'send:q' -- python3 -c '
import os, tty
tty.setraw(0)
os.write(1, b"up")
while (key := os.read(0, 1)) != b"q": os.write(1, b"[%02x]" % key[0])'
    grep -q 'modes restored' <<< "$output"
}

@test "Ctrl-Z suspends the launcher as any command of a shell, which has its terminal meanwhile; fg goes on" {
    # What stty says is the shell's own terminal: with the launcher stopped it is in the modes that it had before.
    # An engine's client brings the new size itself, so that it may come behind what was typed; under bwrap it is there.
    local size='until stty size | grep 44; do sleep 0.1; done'
    [ "$ENGINE" != bwrap ] || size='stty size'
    local inside='echo rea""dy; read line; '"$size"'; echo got $line'
    run "$TESTS_LIB/terminal.py" 'size:33x77' 'expect:$ ' \
        "send:aileron launch --sandbox=$ENGINE ${IMAGE:+--image=$IMAGE} -- sh -c '$inside'\n" \
        'expect:ready' 'send:\x1a' 'expect:Stopped' 'expect:$ ' 'send:stty -a | tr ";" " "\n' 'expect: icanon' \
        'expect:$ ' 'size:44x88' 'send:fg\n' 'expect:aileron launch' 'wait:0.3' 'send:hello\n' 'expect:44 88' \
        'expect:got hello' 'expect:$ ' 'send:exit 9\n' -- env PS1='$ ' bash --norc --noprofile
    echo "$output"
    [ "$status" -eq 9 ]
    grep -q 'modes restored' <<< "$output"
}

@test "a change of size that the engine's client has slept through reaches the sandbox all the same" {
    [ "$ENGINE" != bwrap ] || skip "bwrap has no client: the terminal is the sandbox's own"
    # A client as docker's is when it has just begun: it does not hear SIGWINCH until the agent lets it.
    mkdir "$WORLD/late"
    cat > "$WORLD/late/$ENGINE" << EOF
#!/bin/sh
PATH=\${PATH#*:}
exec 9<&0
$ENGINE "\$@" <&9 &
client=\$!
until [ -e "$WORLD/ws/awake" ] || ! kill -0 \$client 2> /dev/null; do sleep 0.05; done
trap 'kill -WINCH \$client' WINCH
for turn in 1 2 3; do
    wait \$client
    status=\$?
    kill -0 \$client 2> /dev/null || exit \$status
done
EOF
    chmod +x "$WORLD/late/$ENGINE"
    PATH=$WORLD/late:$PATH run terminal 'size:33x77' 'expect:ready' 'size:44x88' 'wait:0.2' 'send:\n' 'expect:44 88' \
        -- sh -c 'echo ready; read line; touch awake; until stty size | grep 44; do sleep 0.1; done'
    echo "$output"
    [ "$status" -eq 0 ]
    rm -f "$WORLD/ws/awake"
}

@test "what a program has switched on and cannot switch off any more, as it is killed, is switched off" {
    run terminal 'expect:full' -- sh -c 'printf "\033[?1049h\033[?25l\033[?1002;1006hfull"; sleep 0.3; kill -9 $$'
    [ "$status" -eq 137 ]
    grep -qF $'\033[?1002l\033[?1006l\033[?1049l\033[?25h' <<< "$output"
    run terminal 'expect:again' -- sh -c 'printf "\033[?1049h\033[?25lfull\033[?25h\033[?1049lagain"; exit 3'
    [ "$status" -eq 3 ]
    [ "$(grep -oF $'\033[?25h' <<< "$output" | wc -l)" -eq 1 ]
}

@test "a long paste, into a program that paints at each piece of it, comes to its end" {
    # Neither the keys nor the screen may wait for each other: the program reads nothing while it paints.
    run -0 terminal 'expect:ready' 'paste:60000' 'expect:all of it' -- python3 -c '
import os, tty
tty.setraw(0)
os.write(1, b"ready")
left = 60000
while left > 0:
    left -= len(os.read(0, 1024))
    os.write(1, b"x" * 20000)
os.write(1, b"all of it")'
    absent 'were not taken' <<< "$output"
}

@test "what is typed for the shell is not the sandbox's, though a standard stream of its own is the terminal" {
    # Neither the terminal as standard input of a job in the background, nor as standard error alone, which can be read.
    echo 'touch first"$1"; exec cat <&"$1" >> stolen' > steal
    rm -f stolen first0 first2
    local launch="aileron launch --sandbox=$ENGINE ${IMAGE:+--image=$IMAGE} -- sh steal" steps=()
    for key in one two three four; do steps+=("send:echo ty\"\"ped-$key\n" "expect:typed-$key"); done
    run -0 "$TESTS_LIB/terminal.py" 'expect:$ ' "send:$launch 0 > log &\n" 'expect:$ ' \
        "send:$launch 2 < /dev/null > log2 &\n" 'expect:$ ' \
        'send:until [ -e first0 -a -e first2 ]; do sleep 0.1; done; echo rea""dy\n' 'expect:ready' "${steps[@]}" \
        'send:kill %1 %2; wait; exit 0\n' -- env PS1='$ ' bash --norc --noprofile
    [ ! -s stolen ]
    grep -q 'modes restored' <<< "$output"
    rm -f steal first0 first2
}

@test "a command whose output goes elsewhere gets what is typed line by line, and its end" {
    echo 'echo reads >&2; read x; echo got $x; cat; echo over >&2' > got.sh
    run "$TESTS_LIB/terminal.py" 'expect:$ ' \
        "send:aileron launch --sandbox=$ENGINE ${IMAGE:+--image=$IMAGE} -- sh got.sh > got\n" 'expect:reads' \
        'send:hello\n' 'send:more\n' 'send:part\x04' 'wait:0.3' 'send:\x04' 'expect:over' 'expect:$ ' 'send:exit 9\n' \
        -- env PS1='$ ' bash --norc --noprofile
    echo "$output"
    [ "$status" -eq 9 ]
    [ "$(cat got)" = $'got hello\nmore\npart' ]
    grep -q 'modes restored' <<< "$output"
}

@test "a terminal that takes nothing any more does not keep the launcher from ending" {
    run terminal 'expect:up' 'wait:1' 'signal:TERM' 'deaf:8' -- sh -c 'echo up; sleep 0.3; exec yes'
    absent 'the command goes on' <<< "$output"
    [ "$status" -eq 143 ]
    grep -q 'modes restored' <<< "$output"
}

@test "a slow terminal gets all of the output, also what is left when the command has ended" {
    run -0 terminal 'expect:up' 'wait:2' -- sh -c 'echo up; seq 3000; echo last line'
    grep -q 'last line' <<< "$output"
    [ "$(grep -c '^[0-9]' <<< "$output")" -eq 3000 ]
    run -0 "$TESTS_LIB/terminal.py" 'expect:$ ' \
        "send:aileron launch --sandbox=$ENGINE ${IMAGE:+--image=$IMAGE} -- seq -s. 9000 < /dev/null\n" 'wait:3' \
        'expect:.8999.9000' 'expect:$ ' 'send:exit\n' -- env PS1='$ ' bash --norc --noprofile
}

@test "Ctrl-C ends a plain program with 130" {
    run -130 terminal 'expect:up' 'wait:0.2' 'send:\x03' -- sh -c 'echo up; exec sleep 100'
    grep -q 'modes restored' <<< "$output"
}

@test "Ctrl-C ends an engine that does not come to start the command" {
    [ "$ENGINE" = bwrap ] || skip "the launcher is the same under any engine: see life_bwrap.bats"
    mkdir "$WORLD/stuck"
    printf '#!/bin/sh\n[ "$1" != --args ] || exec sleep 60\nexec %s "$@"\n' "$(command -v bwrap)" > "$WORLD/stuck/bwrap"
    chmod +x "$WORLD/stuck/bwrap"
    PATH=$WORLD/stuck:$PATH run -130 terminal 'expect:session' 'wait:1' 'send:x\x03' -- true
    grep -q 'modes restored' <<< "$output"
}

@test "signals to the launcher reach the command, on a terminal and without" {
    run -9 terminal 'expect:up' 'signal:TERM' -- sh -c 'trap "echo got; exit 9" TERM; echo up; while :; do sleep 0.05; done'
    grep -q got <<< "$output"
    grep -q 'modes restored' <<< "$output"
    run -129 terminal 'expect:up' 'signal:HUP' -- sh -c 'echo up; exec sleep 100'
    start 'trap "echo got; exit 5" USR1; while :; do sleep 0.05; done'
    kill -USR1 "$LAUNCHER"
    launcher_ends 5
    grep -qx got out
}

@test "nohup's SIGHUP stays ignored; without it SIGHUP is the command's" {
    [ "$ENGINE" = bwrap ] || skip "the launcher is the same under any engine: see life_bwrap.bats"
    # The lower number goes first, here and in the shell.
    local command='trap "echo got hup" HUP; trap "echo got usr1; exit 6" USR1; while :; do sleep 0.05; done'
    WITH="env --default-signal=HUP nohup" start "$command"
    kill -HUP "$LAUNCHER"
    kill -USR1 "$LAUNCHER"
    launcher_ends 6
    grep -qx 'got usr1' out
    absent 'got hup' out
    rm first
    WITH="env --default-signal=HUP" start "$command"
    kill -HUP "$LAUNCHER"
    kill -USR1 "$LAUNCHER"
    launcher_ends 6
    grep -qx 'got hup' out
}

@test "a launcher whose parent ignored SIGCHLD sees its sandbox end" {
    [ "$ENGINE" = bwrap ] || skip "the launcher is the same under any engine: see life_bwrap.bats"
    WITH="timeout -s KILL 30 env --ignore-signal=CHLD" start 'exit 3'
    launcher_ends 3
}

# ---- time to stop, memory

@test "a session that is ended on the host gives its command time to stop" {
    start 'trap "sleep 0.5; touch stopped; exit 3" TERM; while :; do sleep 0.05; done'
    rm -f stopped
    aileron session stop "$SESSION"
    launcher_ends 3
    [ -e stopped ]
    grep -q 'the session was ended on the host' out
    nothing_is_left "ended on request"
}

@test "a command that goes on after SIGTERM is killed after 10 seconds" {
    [ "$ENGINE" = bwrap ] || skip "it is the supervisor that does it: see life_bwrap.bats"
    start 'trap "" TERM; while :; do sleep 0.05; done'
    began=$(date +%s%3N)
    kill -TERM "$LAUNCHER"
    launcher_ends 137
    [ $(($(date +%s%3N) - began)) -ge 10000 ]
    grep -q 'did not stop when it was asked to, and is killed' out
    nothing_is_left exit 137
}

@test "F02: a command that goes over to another process group, or is traced by its own child, is killed all the same" {
    cat > leave.py << 'EOF'
import ctypes, os, signal, sys, time
for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(signo, signal.SIG_IGN)
libc, agent = ctypes.CDLL(None), os.getpid()
libc.prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER, any
ours, theirs = os.pipe()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    if sys.argv[1] == "traced":
        libc.ptrace(0x4206, agent, 0, 0)  # PTRACE_SEIZE
    os.write(theirs, b"x")
    time.sleep(1000)
os.read(ours, 1)
if sys.argv[1] == "group":
    os.setpgid(0, child)
os.execvp("sleep", ["sleep", sys.argv[2]])
EOF
    for how in group traced; do
        rm -f first
        start "exec python3 leave.py $how $MARK"
        wait_for pgrep -x -f "sleep $MARK" > /dev/null
        aileron session stop "$SESSION"
        launcher_ends 137
        nothing_is_left "ended on request"
    done
    rm -f leave.py
}

@test "F02: a supervisor that does not come to run keeps nobody from ending its sandbox" {
    start "sleep $MARK; true"
    kill -STOP "$(supervisor_pid)"
    aileron session stop "$SESSION"
    launcher_ends 137
    wait_for no_process
    wait_for no_container
    wait_for no_folder
}

@test "F02: a terminal that the command has stopped keeps nobody from ending it" {
    terminal 'expect:up' 'wait:8' -- python3 -c "
import signal, sys, termios, time
for signo in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(signo, signal.SIG_IGN)
print('up', flush=True)
termios.tcflow(0, termios.TCOOFF)
open('first', 'w')
time.sleep(100)" > out 3>&- &
    LAUNCHER=$!
    wait_for test -e first
    SESSION=$(ls "$AILERON_HOME/run/sessions")
    aileron session stop "$SESSION"
    launcher_ends 137
    grep -q 'modes restored' out
    nothing_is_left "ended on request"
}

@test "the kernel takes the command before the supervisor where memory ends" {
    own=$(cat /proc/self/oom_score_adj)
    [ "$own" -lt 500 ] || skip "whatever is started here goes first anyway: oom_score_adj is $own"
    run -0 --separate-stderr inside sh -c 'cat /proc/1/oom_score_adj /proc/self/oom_score_adj'
    [ "${lines[0]}" -le "$own" ]
    [ "${lines[1]}" -eq 500 ]
}

@test "a command that takes more memory than it may is told so: message, status and record" {
    [ "$ENGINE" != bwrap ] || skip "bwrap cannot limit memory"
    sed -i '$a sandbox: { memory: 64m }' "$AILERON_HOME/config.yaml"
    start 'exec python3 -c "bytearray(b\"x\" * (1 << 29))"'
    sed -i '/^sandbox: { memory/d' "$AILERON_HOME/config.yaml"
    [ "$(aileron audit list --session="$SESSION" --event=session.start --json | jq .memory)" -gt 0 ] ||
        skip "$ENGINE cannot limit memory here"
    launcher_ends 137
    grep -q 'the command was killed: out of memory. Raise sandbox.memory' out
    nothing_is_left "out of memory" 137
}

# ---- what dies

@test "F01: the daemon is killed: the sandbox goes on, the next request works, the record verifies" {
    start 'curl -sS https://api.test/user; echo; while [ ! -e go ]; do sleep 0.05; done; curl -sS https://api.test/user'
    wait_for grep -q '"login": "octo"' out
    old=$(daemon_pid)
    kill -9 "$old"
    another_daemon() { [ "$(cat "$AILERON_HOME/run/daemon.pid" || echo "$old")" != "$old" ]; }
    wait_for another_daemon
    printf '%s' "$AILERON_VAULT_PASSPHRASE" | aileron vault unlock > /dev/null
    touch go
    launcher_ends 0
    [ "$(grep -c '"login": "octo"' out)" -eq 2 ]
    nothing_is_left exit 0
}

@test "F02: a worker is killed: the sandbox goes on" {
    start 'while [ ! -e go ]; do sleep 0.05; done; curl -sS https://api.test/user'
    old=$(pgrep -P "$(daemon_pid)" -f 'aileron worker')
    kill -9 "$old"
    touch go
    launcher_ends 0
    grep -q '"login": "octo"' out
    nothing_is_left exit 0
    aileron audit list --event=worker.exit | grep -qF "$SESSION"
}

# Whether the process has the sandbox's listening socket of the proxy port.
holds_port() { # PID
    local inode
    inode=$(awk '$2 == "0100007F:0C38" && $4 == "0A" { print $10 }' "/proc/$(supervisor_pid)/net/tcp")
    [ -n "$inode" ] || return 1
    ls -l "/proc/$1/fd" | grep -qF "socket:[$inode]"
}
worker_pid() { pgrep -P "$(daemon_pid)" -f 'aileron worker'; }

@test "F02: the worker accepts from the proxy port itself, and so does the one after it" {
    [ "$(id -u)" -eq 0 ] || skip "only root sees a worker's descriptors"
    start "sleep $MARK & while [ ! -e go ]; do sleep 0.05; done; curl -sS https://api.test/user; kill \$!"
    old=$(worker_pid)
    wait_for holds_port "$old"
    holds_port "$(supervisor_pid)"
    kill -9 "$old"
    another_worker() { [ "$(worker_pid || echo "$old")" != "$old" ]; }
    wait_for another_worker
    new_holds_port() { holds_port "$(worker_pid)"; }
    wait_for new_holds_port
    touch go
    launcher_ends 0
    grep -q '"login": "octo"' out
    nothing_is_left exit 0
}

@test "F02: the launcher is killed: the sandbox goes with it, and the session ends" {
    start "exec sleep $MARK"
    kill -9 "$LAUNCHER"
    launcher_ends 137
    nothing_is_left "launcher gone"
}

@test "F02: the launcher is killed on a terminal: its modes are put back" {
    run -137 terminal 'expect:up' 'wait:0.2' 'signal:KILL' -- sh -c "echo up; exec sleep $MARK"
    grep -q 'modes restored' <<< "$output"
    SESSION=$(sed -n 's/^aileron: sandbox .* session \([0-9A-Z]*\).*/\1/p' <<< "$output")
    nothing_is_left "launcher gone"
}

@test "F02: the launcher and the daemon are killed together: the next daemon clears up" {
    start "exec sleep $MARK"
    old=$(daemon_pid)
    kill -9 "$LAUNCHER" "$old"
    launcher_ends 137
    has_closed_all() { [ -z "$(ls "/proc/$old/fd" || true)" ]; } # else it is this one that is asked
    wait_for has_closed_all
    aileron vault unlock > /dev/null
    nothing_is_left "launcher gone while the daemon was not running"
}

@test "F02: the supervisor is killed: the launcher says so by its status, and the session ends" {
    start "sleep $MARK; true"
    kill -9 "$(supervisor_pid)"
    launcher_ends 137
    nothing_is_left killed 137
}

@test "F02: the container is killed, or removed" {
    [ "$ENGINE" != bwrap ] || skip "bwrap has no container"
    at_once=
    [ "$ENGINE" != podman ] || at_once=--time=0 # it would let it end by itself
    for how in "$ENGINE kill" "$ENGINE rm -f $at_once"; do
        rm -f first
        start "exec sleep $MARK"
        $how "aileron-$SESSION" > /dev/null
        launcher_ends 137
        nothing_is_left killed 137
    done
}

@test "F02: the engine's own process is killed: the sandbox goes, and a terminal's modes are put back" {
    # bwrap takes its sandbox along; a container goes on, until its supervisor sees that the launcher let go of it.
    gone="engine gone"
    [ "$ENGINE" != bwrap ] || gone=killed
    engine_process() { pgrep -P "$1" -x 'docker|podman|bwrap'; }
    start "exec sleep $MARK"
    kill -9 "$(engine_process "$LAUNCHER")"
    launcher_ends 137
    nothing_is_left "$gone" 137
    rm first
    terminal 'expect:up' 'wait:2' -- sh -c "touch first; echo up; exec sleep $MARK" > out 3>&- &
    LAUNCHER=$!
    wait_for test -e first
    SESSION=$(ls "$AILERON_HOME/run/sessions")
    kill -9 "$(engine_process "$(aileron audit list --session="$SESSION" --event=session.start --json | jq .pid)")"
    launcher_ends 137
    grep -q 'modes restored' out
    nothing_is_left "$gone" 137
}
