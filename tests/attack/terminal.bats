# The person's terminal and shell, with a hostile program in the sandbox (F02).
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_start api.test || return 1
    export WORLD
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    cd "$WORLD/ws"
    rm -f agent done
}

@test "F02: a program that stops itself again and again stops the launcher once" {
    cat > agent <<'END'
( for i in 1 2 3 4 5 6 7 8 9 10; do kill -STOP $$; sleep 0.05; kill -CONT $$; sleep 0.05; done; touch done ) &
wait
exit 7
END
    run "$TESTS_LIB/terminal.py" 'expect:$ ' 'send:aileron launch --sandbox=bwrap -- sh agent\n' 'expect:Stopped' \
        'expect:$ ' 'send:until [ -e done ]; do sleep 0.1; done; fg; echo "status"=$?\n' 'expect:status=' 'expect:$ ' \
        'send:exit 0\n' -- env PS1='$ ' bash --norc --noprofile
    echo "$output"
    [ "$status" -eq 0 ]
    grep -q 'status=7' <<< "$output"
}

@test "F02: Ctrl-C ends a launch whose daemon does not answer, and nothing is left of it" {
    aileron vault unlock > /dev/null
    daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    kill -STOP "$daemon"
    status=0
    "$TESTS_LIB/terminal.py" 'wait:1' 'send:\x03' 'deaf:5' -- aileron launch --sandbox=bwrap -- touch done > out || status=$?
    kill -CONT "$daemon"
    cat out
    [ "$status" -eq 130 ]
    no_session() { [ -z "$(ls "$AILERON_HOME/run/sessions")" ]; }
    wait_for no_session
    [ ! -e done ]
}

@test "F02: a launch ends after its command though the daemon does not answer" {
    aileron vault unlock > /dev/null
    daemon=$(cat "$AILERON_HOME/run/daemon.pid")
    timeout -s KILL 30 aileron launch --sandbox=bwrap -- sh -c 'touch done; until [ -e agent ]; do sleep 0.1; done; exit 5' \
        > out 2>&1 3>&- &
    launcher=$!
    wait_for test -e done
    kill -STOP "$daemon"
    touch agent
    status=0
    wait "$launcher" || status=$?
    kill -CONT "$daemon"
    [ "$status" -eq 5 ]
    no_session() { [ -z "$(ls "$AILERON_HOME/run/sessions")" ]; }
    wait_for no_session
}

@test "F02: what was pasted for a program that has ended is no command of the shell's" {
    launch="aileron launch --sandbox=bwrap -- sh -c 'stty raw -echo; echo rea\"\"dy; sleep 4'"
    run -3 "$TESTS_LIB/terminal.py" 'expect:$ ' "send:$launch\n" 'expect:ready' 'paste:40000' 'expect:$ ' 'wait:0.5' \
        'send:\x15exit 3\n' -- env PS1='$ ' bash --norc --noprofile
    absent pppp <<< "$output"
}
