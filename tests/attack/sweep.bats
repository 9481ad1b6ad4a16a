# C01: a secret that was put in the vault and used is found nowhere else. The sandbox uses it in every way there is,
# and goes idle; then everything that could hold it is looked through (lib/sweep), also for parts of it and for base64.
load ../lib/world.bash
ENGINE=bwrap

# SECRET is not exported here: the sweep looks at environments, and the secret is in the file that it is given.
setup_file() {
    world_start api.test basic.test || return 1
    export WORLD UP_PORT UP_PLAIN_PORT UPSTREAM_PID
    sed -i 's/api.test, basic.test, /api.test, /' "$AILERON_HOME/bindings.yaml"
    cat >> "$AILERON_HOME/bindings.yaml" <<YAML
  - { name: user/basic, hosts: [basic.test], scheme: basic, username: octo, entry: user/api }
YAML
    aileron connector add "$BATS_TEST_DIRNAME/../e2e/shim.connector.json"
    # A daemon that was started where core files are welcome: what it forbids itself is what counts.
    aileron daemon stop
    (ulimit -c unlimited && aileron daemon)
    aileron vault unlock
    mkfifo "$WORLD/ws/enough"
    head -c 20971520 /dev/zero > "$WORLD/ws/big"
    cat > "$WORLD/ws/traffic" <<'SH'
curl -sS https://api.test/user https://api.test/user https://basic.test/user
svc whoami; svc download --bytes 3000000 | tail -c 1 | wc -c
curl -sS -T big https://api.test/upload; curl -sS -T big https://basic.test/upload
curl -sS -H 'Transfer-Encoding: chunked' --data-binary @big -o /dev/null https://api.test/upload
timeout 1 curl -sS --limit-rate 100k -T big https://api.test/upload
timeout 1 curl -sS --limit-rate 1k -o /dev/null 'https://api.test/download?bytes=9000000'
timeout 1 curl -sSN 'https://api.test/stream?count=50&delay=0.1' > /dev/null
curl -sS https://api.test/close; curl -sS https://expired.test/user; curl -sS http://api.test/user; svc cut; svc gone
SH
    (inside sh -c 'sh traffic > answers 2>&1; touch used; read -r line < enough' > "$WORLD/launch" 2>&1 3>&-) &
    export LAUNCHER=$!
    wait_for test -e "$WORLD/ws/used" || wait_for test -e "$WORLD/ws/used"
    sleep 2 # connections at rest give their buffers back after one second
}

teardown_file() {
    timeout 2 bash -c 'echo > "$WORLD/ws/enough"' || true
    world_stop
}

setup() {
    world_clean_environment
    daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    worker=$(pgrep -P "$daemon" -f 'aileron worker')
}

sweep() { "$TESTS_LIB/sweep" "$WORLD/up/secret" "$@"; }

below() { # PID: its descendants
    local pid
    for pid in $(pgrep -P "$1"); do echo "$pid"; below "$pid"; done
}

# The processes of the sandbox, as the host numbers them: they have another network than we have.
sandboxed() {
    local pid
    for pid in $(below "$LAUNCHER"); do
        [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ] || echo "$pid"
    done
}

@test "C01 the secret was used: the services saw it, in every scheme" {
    cat "$WORLD/ws/answers"
    [ "$(grep -c '"login": "octo"' "$WORLD/ws/answers")" -eq 4 ]
    [ "$(grep -c '"length": 20971520' "$WORLD/ws/answers")" -eq 2 ]
    [ "$(grep -c '"/upload"' "$WORLD/up/requests.log")" -eq 3 ] # the fourth was cut off
    [ "$(grep -c '"/close"' "$WORLD/up/requests.log")" -eq 2 ]
    grep -q 'Basic ' "$WORLD/up/requests.log"
}

@test "C01 the sweep finds what is there: memory, file, environment, arguments, part of it, base64" {
    run sweep --memory "$UPSTREAM_PID"
    [ "$status" -eq 1 ]
    run sweep --tree "$WORLD/up"
    [ "$status" -eq 1 ]
    mkdir "$WORLD/control"
    cut -c 11-24 "$WORLD/up/secret" > "$WORLD/control/part"
    for user in o oc octo-; do printf '%s:%s' "$user" "$(cat "$WORLD/up/secret")" | base64 > "$WORLD/control/$user"; done
    run sweep --tree "$WORLD/control"
    [ "$(grep -c '^found' <<< "$output")" -eq 4 ]
    MARK="$(cat "$WORLD/up/secret")" sleep 30 3>&- &
    run sweep --processes
    kill $!
    [ "$(grep -c '^found: environ' <<< "$output")" -eq 1 ]
    /usr/bin/python3 -c 'import time; time.sleep(30)' "$(cat "$WORLD/up/secret")" 3>&- &
    run sweep --processes
    kill $!
    [ "$(grep -c '^found: cmdline' <<< "$output")" -eq 1 ]
    # And these processes can be read: what is in them for certain is found.
    echo 'wrongname.test' > "$WORLD/control/name"
    for pid in $daemon $worker; do
        run "$TESTS_LIB/sweep" "$WORLD/control/name" --memory "$pid"
        [ "$status" -eq 1 ]
    done
}

@test "C01 not in the worker's memory once it is idle, nor in the daemon's" {
    run sweep --memory "$worker"
    echo "$output"
    [ "$status" -eq 0 ]
    run sweep --memory "$daemon"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "C01 not in the sandbox: memory of its processes, files, arguments, environments" {
    pids=$(sandboxed)
    [ "$(wc -w <<< "$pids")" -ge 2 ]
    run sweep $(printf -- '--memory %s ' $pids)
    echo "$output"
    [ "$status" -eq 0 ]
    root=/proc/$(head -n 1 <<< "$pids")/root
    run sweep --tree "$root/run" --tree "$root/home/agent" --tree "$root/etc/aileron" --tree "$root/opt/aileron"
    echo "$output"
    [ "$status" -eq 0 ]
    for dir in tmp var root; do
        run sweep --tree "$root/$dir"
        [ "$status" -ne 1 ] # these may be empty
    done
}

@test "C01 not in ps, not in the home's files (record, logs, state, vault), not in the workspace" {
    run sweep --processes
    echo "$output"
    [ "$status" -eq 0 ]
    run sweep --tree "$AILERON_HOME" --tree "$WORLD/ws"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -s "$AILERON_HOME/state.db" ]
    [ -s "$AILERON_HOME/run/daemon.log" ]
    [ -s "$AILERON_HOME"/audit/*.jsonl ]
}

# The text of an operation goes into state.db sealed. That the sweep finds it where it is in clear, the record's path says.
@test "C01 what an agent asks for and what a service answers is in no file of the home" {
    printf 'word-%s' "$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')" > "$WORLD/argument"
    printf 'path-%s' "$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')" > "$WORLD/path"
    rm -f "$WORLD/ws/said"
    # In a file: a session's command line is kept as it was given.
    echo "svc create --name $(cat "$WORLD/path") --tags $(cat "$WORLD/argument") > said" > "$WORLD/ws/call"
    inside sh call
    grep -q '"open"' "$WORLD/ws/said"
    run "$TESTS_LIB/sweep" "$WORLD/path" --tree "$AILERON_HOME/audit"
    [ "$status" -eq 1 ]
    run "$TESTS_LIB/sweep" "$WORLD/argument" --tree "$AILERON_HOME"
    echo "$output"
    [ "$status" -eq 0 ]
    printf '"open": true, "path"' > "$WORLD/answer"
    run "$TESTS_LIB/sweep" "$WORLD/answer" --tree "$AILERON_HOME"
    echo "$output"
    [ "$status" -eq 0 ]
    run "$TESTS_LIB/sweep" "$WORLD/answer" --tree "$WORLD/ws"
    [ "$status" -eq 1 ]
}

@test "C01 still not after the vault was locked, unlocked, read and written" {
    aileron vault get --reveal user/api > /dev/null
    aileron vault put --from-file="$WORLD/up/secret" user/again
    aileron vault rm user/again
    aileron vault lock
    aileron vault unlock
    run sweep --memory "$daemon"
    echo "$output"
    [ "$status" -eq 0 ]
}

# The last one: it ends what the others look at.
@test "C01 no core file of worker or daemon, however they end" {
    pattern=$(cat /proc/sys/kernel/core_pattern)
    case $pattern in
    '|'*) where= ;;              # a program takes them; PR_SET_DUMPABLE is what keeps it from being asked
    /*) where=$(dirname "$pattern") ;;
    *) where=/ ;;                # the directory that both run in
    esac
    [ "$(readlink "/proc/$daemon/cwd")" = / ]
    [ "$(readlink "/proc/$worker/cwd")" = / ]
    for pid in $daemon $worker; do grep -q 'Max core file size *0 *0 ' "/proc/$pid/limits"; done
    # A process that forbids nothing leaves one, so that "none" means something. SEGV is a sanitizer's own.
    signal=SEGV
    [[ $BIN != */asan/* ]] || signal=ABRT
    mkdir "$WORLD/core"
    touch "$WORLD/before"
    sleep 0.1
    if [ "$where" = / ] && [ "$(ulimit -Hc)" = unlimited ]; then
        (cd "$WORLD/core" && ulimit -c unlimited && exec sleep 30) 3>&- &
        sleep 0.2
        kill -$signal $!
        wait $! || true
        [ "$(ls "$WORLD/core" | wc -l)" -eq 1 ]
    fi
    kill -$signal "$worker"
    another_worker() { pgrep -P "$daemon" -f 'aileron worker' | grep -qvx "$worker"; }
    wait_for another_worker
    kill -$signal "$daemon"
    ended() { ! alive "$daemon"; }
    wait_for ended
    [ -z "$where" ] || [ -z "$(find "$where" -maxdepth 1 -newer "$WORLD/before" -name '*core*')" ]
    [ -z "$(find "$AILERON_HOME" "$WORLD/ws" -newer "$WORLD/before" -name '*core*')" ]
}
