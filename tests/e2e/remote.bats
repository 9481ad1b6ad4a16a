# An engine on another machine (DOCKER_HOST=tcp://...): nothing of this host is mounted there, and the sandbox is sealed
# all the same. The other machine is tests/lib/far.bash.
ENGINE=docker
load ../lib/world.bash
load ../lib/far.bash
bats_require_minimum_version 1.5.0

setup_file() {
    far_can || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    chown 1234:2345 "$WORLD/ws"
    far_start || return 1
    echo "  - { host: open.test, address: \"127.0.0.1:$UP_PLAIN_PORT\" }" >> "$AILERON_HOME/config.yaml"
    sed -i "1a sandbox: { remote_listen: \"$FAR_HERE\" }" "$AILERON_HOME/config.yaml"
    aileron daemon reload > /dev/null
    aileron connector add "$BATS_TEST_DIRNAME/shim.connector.json"
}

teardown_file() {
    far_stop
    [ -z "${WORLD:-}" ] || world_stop
}

setup() {
    world_skip
    world_clean_environment
    export DOCKER_HOST=tcp://$FAR_THERE:2375
    : > "$WORLD/up/requests.log"
    cd "$WORLD/ws" && find . -mindepth 1 -delete
}

# Nothing of a session is left, here or there.
teardown() {
    [ -z "${WORLD_SKIP:-}" ] || return 0
    wait_for nothing_left
}
nothing_left() {
    local left
    left=$(docker ps -aq; aileron session list --json | jq -r '.sessions[].id'; ls "$AILERON_HOME/run/sessions"
        ls "$AILERON_HOME/run/private"; ls -d "$AILERON_HOME"/run/back-* 2> /dev/null; listeners)
    [ -z "$left" ]
}
listeners() { ss -Hltn "src $FAR_HERE"; }

far() { aileron launch --sandbox=docker --image="$IMAGE" -- /busybox "$@"; }
# In the background: LAUNCHER is its process, OUT what it says.
far_begin() {
    OUT=$WORLD/up/out.far
    (exec aileron launch --sandbox=docker --image="$IMAGE" -- /busybox "$@") > "$OUT" 2>&1 3>&- &
    LAUNCHER=$!
    wait_for session_runs
}
session_runs() { [ "$(docker ps -q --filter status=running | wc -l)" -eq 1 ]; }
far_end() { STATUS=0; wait "$LAUNCHER" || STATUS=$?; }
owned() { chown -R 1234:2345 "$WORLD/ws"; }
# A docker that does this where it is to bring the workspace back; $DOCKER is the true one. To be put before PATH.
bringing_back() { # SCRIPT
    mkdir -p "$WORLD/up/bin"
    printf '#!/bin/sh\nDOCKER=%s\ncase $1$3 in cp-) %s ;; esac\nexec "$DOCKER" "$@"\n' "$(command -v docker)" "$1" \
        > "$WORLD/up/bin/docker"
    chmod +x "$WORLD/up/bin/docker"
}

@test "the engine cannot see this machine's files, nor can a sandbox reach anything but by the listener" {
    run -0 nsenter -m -t "$FAR_PID" ls "$WORLD" "$BIN"
    absent 'home\|ws\|aileron$' <<< "$output"
    run -0 nsenter -n -t "$FAR_PID" ip -4 -br addr
    grep -q "$FAR_THERE" <<< "$output"
}

@test "a command runs there, as the workspace's owner, with its own exit status and streams" {
    run -7 --separate-stderr far sh -c 'id -u; id -g; pwd; cat; echo err >&2; exit 7' <<< 'from stdin'
    [ "$output" = $'1234\n2345\n/home/agent/workspace\nfrom stdin' ]
    grep -q '^err$' <<< "$stderr"
    grep -q 'sandbox docker .*on another machine.*network sealed' <<< "$stderr"
    run -143 far sh -c 'kill -TERM $$'
    run -127 far nonsense-of-busybox
    run -127 aileron launch --sandbox=docker --image="$IMAGE" -- nobody-has-this
    aileron audit list --event=session.start --json --lines=1 | jq -e --arg at "$FAR_HERE:" \
        '.engine_host == env.DOCKER_HOST and (.remote | startswith($at)) and .enforced == true'
    aileron audit list --event=session.end --json --lines=1 | jq -e '.reason == "not started" and .status == 127'
}

@test "a name resolves, and the API is called with the credential that never leaves this host" {
    run -0 far sh -c 'wget -qO- https://api.test/user; env -i /busybox wget -qO- https://api.test/user
        wget -qO- http://open.test/open; /opt/aileron/shims/svc whoami; env; cat /run/aileron/token; grep -r . /etc/aileron'
    [ "$(grep -c '"login": "octo"' <<< "$output")" -ge 3 ]
    grep -q '"open": true' <<< "$output"
    [ "$(grep -caF "$SECRET" <<< "$output")" -eq 0 ]
    aileron audit list --host=api.test --json | jq -se 'any(.decision == "allow")'
}

@test "sealed: no interface but loopback; not the engine's network, the host's listener or the engine itself" {
    # There is a way for whoever has the engine's network.
    nsenter -n -t "$FAR_PID" bash -c "exec 9<> /dev/tcp/$FAR_THERE/2375"
    run -0 far sh -c "ip -o link; ip route; cat /proc/net/route | wc -l
        for at in $FAR_HERE:22 $FAR_THERE:2375 ${FAR_THERE/10.213/10.214}:2375 10.214.1.1:80 1.1.1.1:443; do
            nc -w 2 \${at%:*} \${at#*:} < /dev/null && echo \"reached \$at\"
        done; echo done"
    grep -q '^done$' <<< "$output"
    absent 'reached\|eth0' <<< "$output"
    grep -q '1: lo:' <<< "$output"
}

@test "sealed: the process that carries is out of the agent's reach, which has no capability" {
    run -0 far sh -c 'grep -h "^Cap\|^NoNewPrivs" /proc/self/status
        unshare -U -r true && echo "has every capability among users of its own"
        for p in /proc/[0-9]*; do
            case $(cat $p/comm) in aileron-proxy) ;; *) continue ;; esac
            echo "found ${p#/proc/}"
            readlink $p/ns/net && echo "sees $p"
            ls $p/fd && echo "lists $p"
            nsenter -t ${p#/proc/} -n true && echo "enters $p"
            [ "$p" = /proc/1 ] || { kill -9 ${p#/proc/} && echo "kills $p"; } # of pid 1 the kernel takes none from inside
        done 2> /dev/null; echo done'
    [ "$(grep -c '^found' <<< "$output")" -eq 2 ] # pid 1 and the carrier
    grep -q '^done$' <<< "$output"
    [ "$(grep -c '^Cap.*0000000000000000$' <<< "$output")" -eq 5 ]
    absent 'sees\|lists\|enters\|kills\|has every' <<< "$output"
}

@test "an engine that allows no network namespace: no start, and a sentence" {
    # A limit of the machine: none can be made.
    nsenter -n -t "$FAR_PID" true
    old=$(cat /proc/sys/user/max_net_namespaces)
    printf '#!/bin/sh\nfor a; do case $a in --cap-add=SYS_ADMIN) ;; *) set -- "$@" "$a" ;; esac; shift; done\nexec %s "$@"\n' \
        "$(command -v docker)" > "$WORLD/up/docker"
    chmod +x "$WORLD/up/docker"
    PATH=$WORLD/up:$PATH run -125 far echo started
    absent '^started' <<< "$output"
    grep -q 'cannot leave the engine.s network, and would not be sealed' <<< "$output"
    grep -q 'CAP_SYS_ADMIN' <<< "$output"
    [ "$(cat /proc/sys/user/max_net_namespaces)" = "$old" ]
}

@test "the workspace goes there and comes back: changed, new, removed, links, modes, owners; what did not change stays" {
    mkdir -p same deep/er "a name
of two lines"
    echo 1 > same/file; echo old > old; echo gone > gone; echo x > deep/er/x; echo 2 > "a name
of two lines/f"; printf '#!/bin/sh\n' > script; chmod 755 script; ln -s old link; ln -s /etc/hostname out
    head -c 3000000 /dev/urandom > big
    long=$(printf 'n%.0s' $(seq 150)); echo long > "$long"
    mkfifo pipe
    owned
    before=$(stat -c '%i %y' same/file big)
    sum=$(sha256sum < big)
    run -0 --separate-stderr far sh -c 'set -e; sha256sum < big; ls -a; cat same/file "$1"; readlink link; readlink out; ls -ld script
        echo new > old; rm gone; rm -r deep; mkdir -p made/here; echo y > made/here/y; ln -s ../old made/up; chmod 700 script
        ln -s /etc/passwd escape; ln -s ../../x climb; ln -s made/here/../../.. around; mkfifo fifo; echo "$1" > deep
        chmod 4755 script; ln big hard' sh "$long"
    [ "${lines[0]}" = "$sum" ]
    grep -qx 1 <<< "$output"
    grep -qx long <<< "$output"
    grep -qx /etc/hostname <<< "$output"
    absent -w pipe <<< "$output"
    grep -q 'brought back from the sandbox: .* changed, 2 removed' <<< "$stderr"
    grep -q '3 symbolic links lead out of the workspace' <<< "$stderr"
    [ "$(cat old)" = new ]
    [ ! -e gone ]
    [ "$(cat deep)" = "$long" ]
    [ "$(cat made/here/y)" = y ]
    [ "$(readlink made/up)" = ../old ]
    [ "$(readlink out)" = /etc/hostname ]
    [ ! -L escape ]
    [ ! -L climb ]
    [ ! -L around ]
    [ ! -e fifo ]
    [ -p pipe ]
    [ "$(stat -c %a script)" = 755 ]
    cmp big hard
    [ "$(stat -c '%i %y' same/file big)" = "$before" ]
    [ -z "$(find . ! -user 1234 -o ! -group 2345)" ]
}

@test "what this host would run is told after it has come back (F11)" {
    git init -q . && owned
    run -0 far sh -c 'echo "echo hi" > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit'
    grep -q 'run by this host without being asked: 1 file' <<< "$output"
    grep -q '.git/hooks/pre-commit' <<< "$output"
}

@test "a file that was changed here meanwhile stays, and the container is kept for the other one" {
    echo one > both; echo mine > mine; owned
    far_begin sh -c 'echo theirs > both; echo ok > started; sleep 2'
    echo ours > both; rm mine
    far_end
    [ "$STATUS" -eq 0 ]
    [ "$(cat both)" = ours ]
    [ "$(cat started)" = ok ]
    [ ! -e mine ]
    grep -q '1 file changed here too meanwhile' "$OUT"
    kept=$(grep -o 'docker rm -v [^ ]*' "$OUT")
    docker cp "${kept##* }:/home/agent/workspace/both" "$WORLD/up/theirs" > /dev/null
    [ "$(cat "$WORLD/up/theirs")" = theirs ]
    run -0 aileron session prune # it is somebody's work
    [ "$(docker ps -aq | wc -l)" -eq 1 ]
    DOCKER_HOST=unix://$FAR/sock run -0 aileron session prune # also where the same engine is one of this machine
    [ "$(docker ps -aq | wc -l)" -eq 1 ]
    $kept
}

@test "a connection that breaks while the workspace comes back: nothing is removed here, and the container is kept" {
    echo 1 > a; echo 1 > b; owned
    bringing_back '"$DOCKER" "$@" | head -c 1536; exit 0' # the directory and one file, whole
    PATH=$WORLD/up/bin:$PATH run -0 far sh -c 'echo 2 > b'
    grep -q 'not brought back as a whole: the archive is cut off' <<< "$output"
    [ "$(cat a b)" = $'1\n1' ]
    $(grep -o 'docker rm -v [^ ]*' <<< "$output")
}

@test "an engine that has said all and does not hang up keeps nobody waiting; one that says nothing can be left" {
    bringing_back '"$DOCKER" "$@"; exec sleep 90'
    SECONDS=0
    PATH=$WORLD/up/bin:$PATH run -0 far sh -c 'echo 1 > made'
    [ "$SECONDS" -lt 60 ]
    [ -e made ]
    bringing_back 'touch '"$WORLD"'/up/asked; exec sleep 90'
    SECONDS=0
    PATH=$WORLD/up/bin:$PATH far_begin sh -c 'rm made; sleep 3'
    wait_for test -e "$WORLD/up/asked"
    kill -TERM "$LAUNCHER"
    far_end
    [ "$SECONDS" -lt 60 ]
    [ -e made ]
    grep -q 'not brought back as a whole: interrupted' "$OUT"
    $(grep -o 'docker rm -v [^ ]*' "$OUT")
}

@test "a launcher that is killed while the workspace comes back: prune removes what had come, and nothing that still comes" {
    bringing_back '"$DOCKER" "$@" | head -c 700; exec sleep 30'
    back() { ls -d "$AILERON_HOME"/run/back-*/workspace; }
    PATH=$WORLD/up/bin:$PATH far_begin true
    wait_for back
    aileron session prune
    back
    kill -9 "$LAUNCHER"
    far_end
    run -0 aileron session prune
    grep -q '^removed 1 directories' <<< "$output"
    run ! back
    docker rm -v "$(docker ps -aq)"
}

@test "an engine that takes the files and does not answer can be left, too" {
    bringing_back 'exit 1'
    sed -i "s|^case.*|case \$1\$2 in cp-) cat > /dev/null; touch $WORLD/up/taken; exec sleep 90 ;; esac|" "$WORLD/up/bin/docker"
    SECONDS=0
    (PATH=$WORLD/up/bin:$PATH exec aileron launch --sandbox=docker --image="$IMAGE" -- /busybox echo started) \
        > "$WORLD/up/out.far" 2>&1 3>&- &
    launcher=$!
    wait_for test -e "$WORLD/up/taken"
    kill -TERM "$launcher"
    STATUS=0; wait "$launcher" || STATUS=$?
    [ "$STATUS" -eq 125 ]
    [ "$SECONDS" -lt 60 ]
    absent '^started' < "$WORLD/up/out.far"
}


@test "F10 another directory in the workspace's place, by a link above it: not sent, and not written to" {
    mkdir -p pkg/src "$WORLD/up/other/src"; echo private > "$WORLD/up/other/src/private"; owned
    cd pkg/src
    far_begin sh -c 'echo x > made; sleep 3'
    mv ../../pkg ../../old; ln -s "$WORLD/up/other" ../../pkg
    far_end
    [ "$(ls "$WORLD/up/other/src")" = private ]
    grep -q 'is another directory than it was' "$OUT"
    $(grep -o 'docker rm -v [^ ]*' "$OUT")
    cd "$WORLD/ws"; rm pkg; mv old pkg; cd pkg/src
    mkdir -p "$WORLD/up/bin"
    printf '#!/bin/sh\n[ "$1" != create ] || { mv %s %s; ln -s %s %s; }\nexec %s "$@"\n' "$WORLD/ws/pkg" "$WORLD/ws/old" \
        "$WORLD/up/other" "$WORLD/ws/pkg" "$(command -v docker)" > "$WORLD/up/bin/docker"
    chmod +x "$WORLD/up/bin/docker"
    PATH=$WORLD/up/bin:$PATH run -125 far sh -c 'echo started; ls'
    absent '^started\|^private' <<< "$output"
    grep -q 'is another directory than it was' <<< "$output"
}

@test "Ctrl-C on a terminal, and SIGTERM to the launcher, are the command's" {
    run -130 timeout 60 script -qec "aileron launch --sandbox=docker --image=$IMAGE -- /busybox sh -c 'echo up; sleep 60'" \
        /dev/null < <(wait_for session_runs; sleep 1; printf '\003'; sleep 5)
    far_begin sh -c 'trap "echo term > got; exit 5" TERM; echo up > up; while :; do sleep 0.1; done'
    wait_for trapped
    kill -TERM "$LAUNCHER"
    far_end
    [ "$STATUS" -eq 5 ]
    [ "$(cat got)" = term ]
}
trapped() { docker exec "$(docker ps -q)" /busybox test -e /home/agent/workspace/up; }

@test "the daemon may die and come back; the address stays" {
    far_begin sh -c 'wget -qO- http://open.test/open?a; echo; until [ -e /tmp/go ]; do sleep 0.1; done
        wget -qO- http://open.test/open?b'
    wait_for grep -q '"open": true' "$OUT"
    at=$(listeners | awk '{print $4}')
    kill -9 "$(cat "$AILERON_HOME/run/daemon.pid")"
    docker exec "$(docker ps -q)" /busybox touch /tmp/go
    far_end
    [ "$STATUS" -eq 0 ]
    [ "$(grep -c '"open": true' "$OUT")" -eq 2 ]
    [ -n "$at" ]
}

@test "session stop ends it, and what it did comes back" {
    far_begin sh -c 'echo x > made; sleep 60'
    run -0 aileron session list
    run -0 aileron session stop "$(aileron session list --json | jq -r '.sessions[0].id')"
    far_end
    [ "$STATUS" -eq 143 ]
    [ "$(cat made)" = x ]
}

@test "a launcher that is killed: the sandbox is stopped, and kept with what is in it" {
    far_begin sh -c 'echo x > made; sleep 60'
    kill -9 "$LAUNCHER"
    far_end
    stopped() { [ -z "$(docker ps -q)" ]; }
    wait_for stopped
    kept=$(docker ps -aq)
    docker cp "$kept:/home/agent/workspace/made" "$WORLD/up/made" > /dev/null
    docker rm -v "$kept"
    [ ! -e made ]
}

# Where links of the image lead they lie on top of each other, in no order that anybody knows.
@test "an image's own volumes cannot put its program where ours is" {
    mkdir -p "$WORLD/up/evil/opt/aileron/bin" "$WORLD/up/evil/v"
    printf '#!/busybox sh\necho PWNED\n' > "$WORLD/up/evil/opt/aileron/bin/aileron-proxy"
    chmod +x "$WORLD/up/evil/opt/aileron/bin/aileron-proxy"
    cp "$(command -v busybox)" "$WORLD/up/evil/busybox"
    changes=(--change 'VOLUME /data')
    for name in 1 2 3 4 5 6 7 8; do
        ln -s /opt/aileron/bin "$WORLD/up/evil/v/$name"
        changes+=(--change "VOLUME /v/$name")
    done
    tar -C "$WORLD/up/evil" -c . | docker import "${changes[@]}" - aileron-test-volumes:1 > /dev/null
    for _ in 1 2 3; do
        IMAGE=aileron-test-volumes:1 run far true
        absent PWNED <<< "$output" || { echo "$output"; return 1; }
        [ "$status" -eq 0 ] || [ "$status" -eq 125 ]
    done
    # One that is honest is there.
    tar -C "$WORLD/up/evil" -c busybox | docker import --change 'VOLUME /data' - aileron-test-volumes:1 > /dev/null
    owned
    IMAGE=aileron-test-volumes:1 run far sh -c 'echo x > /data/x && echo wrote'
    docker image rm aileron-test-volumes:1 > /dev/null
    [ "$(tail -n 1 <<< "$output")" = wrote ] || { echo "$output"; return 1; }
}

@test "an image's own signal for stopping does not take the time from the command that it has to end" {
    printf 'FROM %s\nSTOPSIGNAL SIGWINCH\n' "$IMAGE" | docker build -q -t aileron-test-stop:1 - > /dev/null 2>&1
    IMAGE=aileron-test-stop:1 far_begin sh -c 'trap "echo bye > bye; exit" TERM; echo x > made; while :; do /busybox sleep 0.1; done'
    has() { docker cp "$(docker ps -aq):/home/agent/workspace/$1" - > /dev/null 2>&1; }
    wait_for has made
    kill -9 "$LAUNCHER"
    far_end
    stopped() { [ -z "$(docker ps -q)" ]; }
    wait_for stopped
    has bye
    docker rm -v "$(docker ps -aq)"
    docker image rm aileron-test-stop:1 > /dev/null
}

@test "a launcher that is killed before the sandbox starts: prune removes the container, in which nobody has worked" {
    mkdir -p "$WORLD/up/bin"
    printf '#!/bin/sh\ncase $1$2 in cp-) echo $$ > %s/up/copying; exec sleep 60 ;; esac\nexec %s "$@"\n' "$WORLD" \
        "$(command -v docker)" > "$WORLD/up/bin/docker"
    chmod +x "$WORLD/up/bin/docker"
    rm -f "$WORLD/up/copying"
    (PATH=$WORLD/up/bin:$PATH exec aileron launch --sandbox=docker --image="$IMAGE" -- /busybox true) > /dev/null 2>&1 3>&- &
    LAUNCHER=$!
    copies() { [ -s "$WORLD/up/copying" ]; }
    wait_for copies
    aileron session prune > /dev/null # not while it lives
    [ -n "$(docker ps -aq)" ]
    kill -9 "$LAUNCHER"
    far_end
    over() { [ -z "$(aileron session list)" ]; }
    wait_for over
    aileron session prune
    [ -z "$(docker ps -aq)" ]
}

@test "what is not possible is said before anything is made; doctor and plan say where the engine is" {
    refused() { # WHY COMMAND...
        run -125 "${@:2}"
        grep -q "$1" <<< "$output"
    }
    refused 'detach is not possible with an engine on another machine' aileron launch --detach --sandbox=docker --image="$IMAGE" -- x
    run aileron doctor
    grep -q 'docker .*on another machine' <<< "$output"
    run -0 aileron sandbox plan --sandbox=docker --image="$IMAGE" -- x
    grep -q 'on another machine' <<< "$output"
    cp "$AILERON_HOME/config.yaml" "$WORLD/up/config"
    sed -i '/^sandbox:/d' "$AILERON_HOME/config.yaml"
    refused 'Set sandbox.remote_listen in config.yaml' aileron launch --sandbox=docker --image="$IMAGE" -- x
    sed -i '1a sandbox: { remote_listen: "198.51.100.7" }' "$AILERON_HOME/config.yaml"
    refused 'cannot listen at 198.51.100.7 .*must be an address of this host' aileron launch --sandbox=docker --image="$IMAGE" -- x
    # An address of ours that does not lead here from there.
    sed -i 's/198.51.100.7/127.0.0.1/' "$AILERON_HOME/config.yaml"
    refused 'the host cannot be reached at 127.0.0.1:' far echo started
    cp "$WORLD/up/config" "$AILERON_HOME/config.yaml"
    mkdir deep && mkfifo deep/p && owned
    run -0 far true
}

@test "no listener for a sandbox on this machine" {
    mkdir "$WORLD/own"
    (cd "$WORLD/own" && exec env -u DOCKER_HOST "$BIN/aileron" launch --sandbox=bwrap -- sleep 2) > "$WORLD/up/out.near" 2>&1 3>&- &
    launcher=$!
    one() { [ "$(aileron session list --json | jq '.sessions | length')" -eq 1 ]; }
    wait_for one
    [ -z "$(listeners)" ]
    wait $launcher
}
